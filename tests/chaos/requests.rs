//! The requests of clients, and the partition that a client's partitioner chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::support::load::Names;
use crate::support::murmur2::partition_of;
use crate::support::partitioners::{crc32, fnv1a};
use crate::support::random::Random;
use crate::support::service::PARTITIONS;

use super::run::number;
use super::topics::Topics;

/// Sets the number of sequences.
const NAMES_VARIABLE: &str = "SEQUENCER_CHAOS_NAMES";
const NAMES_DEFAULT: f64 = 60.0;
/// One of this many requests names a reply topic.
const NAMES_TOPIC_ONE_IN: u64 = 25;
/// One of this many requests is invalid.
const WRONG_ONE_IN: u64 = 50;
/// One of this many requests that name a topic has a correlation that is too large for a small topic. In
/// `exactly_once` mode each costs an aborted transaction.
const WIDE_ONE_IN: u64 = 40;
/// Size of a correlation above the limit of the topic that accepts only small records.
const CORRELATION_WIDE_BYTES: usize = 600;

/// One request, which may be written more than once.
#[derive(Clone, Debug)]
pub struct Draft {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub request_id: Option<u64>,
    /// The topic for the answer. None for the default topic.
    pub topic: Option<String>,
    pub correlation_bytes: usize,
    /// The number of partitions that its client knows, also when it writes the request again later.
    partitions: i32,
    /// The number of kinds of clients that write it. The first kind is the ordinary one.
    partitioners: u64,
}

impl Draft {
    /// The partition that one of the kinds of clients would choose.
    pub fn partition(&self, random: &mut Random) -> i32 {
        let Some(key) = self.key.as_deref() else {
            return random.below(self.partitions as u64) as i32;
        };
        match random.below(self.partitioners) {
            0 => partition_of(key, self.partitions),
            1 => crc32(key, self.partitions),
            _ => fnv1a(key, self.partitions),
        }
    }
}

/// The number of partitions that the clients of a source know. Clones share it.
#[derive(Clone)]
pub struct Known(Arc<AtomicI32>);

impl Known {
    pub fn set(&self, partitions: i32) {
        self.0.store(partitions, Ordering::Relaxed);
    }
}

/// Draws random requests.
pub struct Source {
    known: Known,
    names: Names,
    random: Random,
    /// Distinguishes the `request_id`s of this source from those of other sources.
    writer: u64,
    next_id: u64,
    /// True when every request is valid, goes to its home, and names no reply topic.
    is_plain: bool,
}

impl Source {
    pub fn new(writer: u64, random: Random) -> Source {
        Source {
            known: Known(Arc::new(AtomicI32::new(PARTITIONS))),
            names: Names::new(number(NAMES_VARIABLE, NAMES_DEFAULT) as usize),
            random,
            writer,
            next_id: 0,
            is_plain: false,
        }
    }

    /// Requests like those of most clients.
    pub fn plain(writer: u64, random: Random) -> Source {
        Source {
            is_plain: true,
            ..Source::new(writer, random)
        }
    }

    pub fn known(&self) -> Known {
        self.known.clone()
    }

    /// Draws the next request.
    pub fn draw(&mut self, topics: &Topics) -> Draft {
        let random = &mut self.random;
        let mut draft = Draft {
            key: Some(self.names.pick(random).to_vec()),
            value: None,
            request_id: None,
            topic: None,
            correlation_bytes: 0,
            partitions: self.known.0.load(Ordering::Relaxed),
            partitioners: if self.is_plain { 1 } else { 3 },
        };
        if !self.is_plain && random.below(WRONG_ONE_IN) == 0 {
            wrong(&mut draft, random);
            return draft;
        }
        let count = 1 + random.below(5);
        if random.below(2) == 0 {
            self.next_id += 1;
            let id = self.writer << 40 | self.next_id;
            draft.request_id = Some(id);
            draft.value = Some(format!("{{\"count\":{count},\"request_id\":\"{id:x}\"}}").into());
        } else if random.below(2) == 0 {
            draft.value = Some(count.to_string().into());
        }
        if !self.is_plain && random.below(NAMES_TOPIC_ONE_IN) == 0 {
            let (topic, forgets) = topics.pick(random);
            // A client that may lose an answer with its topic sends a `request_id`, so that it can ask again.
            if !forgets || draft.request_id.is_some() {
                draft.topic = Some(topic);
                draft.correlation_bytes = match random.below(WIDE_ONE_IN) {
                    0 => CORRELATION_WIDE_BYTES,
                    1..10 => 0,
                    _ => 16,
                };
            }
        }
        draft
    }
}

fn wrong(draft: &mut Draft, random: &mut Random) {
    let text = match random.below(6) {
        0 => "0",
        1 => "{\"count\":\"5\"}",
        2 => "{\"no such field\":1}",
        3 => "{\"count\":",
        4 => {
            draft.key = None;
            "1"
        }
        _ => {
            draft.key = Some(b"bell\x07".to_vec());
            "1"
        }
    };
    draft.value = Some(text.into());
}
