//! Observes as clients do: every reply on every reply topic, and the time of its arrival.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::check::cause;
use crate::support::murmur2::partition_of;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail::{self, Isolation};

use super::check::{Asked, Told};
use super::topics::Topics;
use super::transactions::{Held, readable_ms};

const POLL: Duration = Duration::from_millis(20);
/// The interval between two looks for new topics.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Follows all reply topics. Clones share the result.
#[derive(Clone)]
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    started: Instant,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Seen {
    /// The time of the first reply to each granted request, in ms since the start, by the home partition of the
    /// sequence.
    arrivals: Vec<Vec<u64>>,
    /// The time of the first reply to a request, in ms since 1970. The brokers have the same clock as this
    /// machine.
    answered: HashMap<(i32, i64), i64>,
    /// Numbers of requests that were answered since they were last taken.
    request_ids: Vec<u64>,
    /// Replies on topics that will be deleted.
    kept: Vec<Told>,
}

impl Observer {
    /// Starts to read as a client of this mode should.
    pub fn start(service: &Service, topics: &Topics) -> (Observer, JoinHandle<()>) {
        let observer = Observer {
            seen: Arc::new(Mutex::new(Seen {
                arrivals: vec![Vec::new(); PARTITIONS as usize],
                ..Seen::default()
            })),
            started: Instant::now(),
            stop: Arc::default(),
        };
        let consumer = tail::consumer(&service.bootstrap, service.isolation());
        let mut reader = Reader {
            observer: observer.clone(),
            kept: tail::consumer(&service.bootstrap, Isolation::Uncommitted),
            consumer,
            followed: HashSet::new(),
        };
        let default = service.replies.clone();
        let topics = topics.clone();
        let thread = thread::spawn(move || reader.run(&default, &topics));
        (observer, thread)
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Takes the numbers of requests that were answered since the last call.
    pub fn take_answered(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock().request_ids)
    }

    /// The times of replies, by the home partition of their sequence.
    pub fn arrivals(&self) -> Vec<Vec<u64>> {
        self.lock().arrivals.clone()
    }

    /// True when replies have come on every partition since `at_ms`.
    pub fn all_since(&self, at_ms: u64) -> bool {
        let seen = self.lock();
        let mut last = seen.arrivals.iter().map(|all| all.last().copied());
        last.all(|last| last > Some(at_ms))
    }

    /// Number of answered requests.
    pub fn count(&self) -> usize {
        self.lock().answered.len()
    }

    /// The requests of `causes` that are not answered.
    pub fn unanswered(&self, causes: impl Iterator<Item = (i32, i64)>) -> Vec<(i32, i64)> {
        let seen = self.lock();
        causes
            .filter(|cause| !seen.answered.contains_key(cause))
            .collect()
    }

    /// The wait of each answered request for its first reply, with the request's place. The time that one of `held`
    /// held it back does not count.
    pub fn waits(&self, asked: &[Asked], held: &[Held]) -> Vec<(i64, (i32, i64))> {
        let seen = self.lock();
        let wait = |asked: &Asked| {
            let cause = (asked.partition, asked.offset);
            let answered_ms = seen.answered.get(&cause)?;
            let readable_ms = readable_ms(held, asked.partition, asked.appended_ms);
            Some(((answered_ms - readable_ms).max(0), cause))
        };
        asked.iter().filter_map(wait).collect()
    }

    /// The replies that were read from topics that may be deleted by now.
    pub fn kept(&self) -> Vec<Told> {
        self.lock().kept.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

struct Reader {
    observer: Observer,
    consumer: BaseConsumer,
    /// Reads topics that will be deleted, with their aborted records too: a marker may never come.
    kept: BaseConsumer,
    followed: HashSet<String>,
}

impl Reader {
    fn run(&mut self, default: &str, topics: &Topics) {
        self.follow(default, PARTITIONS);
        for topic in topics.lasting() {
            self.follow(topic, super::topics::PARTITIONS);
        }
        let mut look = Instant::now();
        while !self.observer.stop.load(Ordering::Relaxed) {
            if Instant::now() >= look {
                look = Instant::now() + LOOK_INTERVAL;
                if let Some(topic) = topics
                    .doomed()
                    .filter(|topic| !self.followed.contains(topic))
                {
                    self.follow(&topic, super::topics::PARTITIONS);
                }
            }
            // An error means that a broker or a topic is away, or that there is no record now.
            if let Some(Ok(message)) = self.consumer.poll(POLL) {
                self.observer.see(&message, false);
            }
            while let Some(message) = self.kept.poll(Duration::ZERO) {
                if let Ok(message) = message {
                    self.observer.see(&message, true);
                }
            }
        }
    }

    fn follow(&mut self, topic: &str, partitions: i32) {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        let consumer = if Topics::forgets(topic) {
            &self.kept
        } else {
            &self.consumer
        };
        consumer.incremental_assign(&list).unwrap();
        self.followed.insert(topic.to_owned());
    }
}

impl Observer {
    fn see(&self, message: &BorrowedMessage<'_>, keep: bool) {
        let at_ms = self.now_ms();
        let body = message.payload().unwrap_or_default();
        let Some((value, cause)) = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|value| cause(&value).map(|cause| (value, cause)))
        else {
            // The judges will report it.
            return;
        };
        let request_id = value["request_id"].as_str();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut seen = self.lock();
        let mut first = false;
        seen.answered.entry(cause).or_insert_with(|| {
            first = true;
            since_1970.as_millis() as i64
        });
        if first {
            // A wrong request is answered wherever it was written, so an error says nothing about the home.
            if value["error"].is_null() {
                let home = message.key().map_or(0, |key| partition_of(key, PARTITIONS));
                seen.arrivals[home as usize].push(at_ms);
            }
            seen.request_ids
                .extend(request_id.and_then(|id| u64::from_str_radix(id, 16).ok()));
        }
        if keep {
            seen.kept.push(Told {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                body: body.to_vec(),
            });
        }
    }
}
