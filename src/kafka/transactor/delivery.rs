//! Decides the destination of each reply to a topic that a client named, in `exactly_once` mode.
//!
//! A topic that refuses a reply aborts the transaction. So the transactor first asks what can be known: the
//! list of topics, whether the service may write, and what was refused recently. It remembers each refusal, so
//! that the next attempt avoids it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::kafka::directory::Directory;
use crate::kafka::error::{Class, Delivery, Error, delivery};
use crate::kafka::produce::{BATCH_OVERHEAD_BYTES, RECORD_OVERHEAD_BYTES};
use crate::kafka::replies::partition;
use crate::kafka::undelivered::{Advice, Memory, Shape, Tally, undelivered};
use crate::processor::checkpoint::{Checkpoint, Choice, Destination, Outgoing};
use crate::wire::route::{Cause, Undelivered};

/// How long the permission to write to a topic is remembered.
const ACCESS_KEPT: Duration = Duration::from_secs(60);
/// Most topics whose access is remembered. Beyond it all are asked about again.
const ACCESS_MAX: usize = 1_000;
/// How long all questions about topics may take together while a transaction waits to begin: many times what a
/// broker needs, and short enough to wait for. Without an answer the topic is tried.
const QUESTIONS_DEADLINE: Duration = Duration::from_millis(500);
/// Pause after a question without an answer. Without the pause, every transaction would wait for the same
/// broker.
const QUESTIONS_PAUSE: Duration = Duration::from_secs(5);

/// A reply to a topic that a client named, in the current transaction.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) topic: String,
    shape: Shape,
    /// True when the reply goes in a batch of its own.
    alone: bool,
    /// Most bytes in a batch of its topic, if known.
    batch_bytes_max: Option<usize>,
    pub(super) done: bool,
}

/// The destination of a reply.
pub(super) enum ReplyTo {
    /// This partition of its topic, alone or with others.
    Named { partition: i32, sent: Sent },
    /// The default topic, for this reason.
    Elsewhere(Undelivered),
}

/// The known facts about clients' topics.
pub(super) struct Deliveries {
    directory: Arc<Directory>,
    memory: Memory,
    /// Topics that the service may write to: the time when this was learnt, and the most bytes of a batch.
    writable: BTreeMap<String, (Instant, Option<usize>)>,
    /// When a question had no answer.
    in_vain: Option<Instant>,
    tally: Tally,
    /// A reply that is not written within this time is undeliverable.
    pub(super) deadline: Duration,
}

impl Deliveries {
    pub(super) fn new(directory: Arc<Directory>, deadline: Duration) -> Deliveries {
        Deliveries {
            directory,
            memory: Memory::of_transactions(),
            writable: BTreeMap::new(),
            in_vain: None,
            tally: Tally::default(),
            deadline,
        }
    }

    /// Asks what is unknown about the topics of a transaction, before the transaction begins.
    pub(super) fn begin(&mut self, checkpoint: &Checkpoint) {
        self.tally = Tally::default();
        let deadline = Instant::now() + QUESTIONS_DEADLINE;
        let mut listed = false;
        for section in &checkpoint.sections {
            for reply in section.replies.iter() {
                let Destination::Named {
                    topic,
                    partition: choice,
                    ..
                } = reply.destination
                else {
                    continue;
                };
                let known = |directory: &Directory| {
                    let count = directory.partitions(topic)?;
                    partition(choice, count)
                };
                if known(&self.directory).is_none() && !listed {
                    listed = true;
                    self.directory.wait(deadline);
                }
                if known(&self.directory).is_some() {
                    self.look_at_access(topic, deadline);
                }
            }
        }
    }

    fn look_at_access(&mut self, topic: &str, deadline: Instant) {
        let fresh = |(at, _): &(Instant, _)| at.elapsed() < ACCESS_KEPT;
        if self.writable.get(topic).is_some_and(fresh) {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let paused = |at: Instant| at.elapsed() < QUESTIONS_PAUSE;
        if left.is_zero() || self.in_vain.is_some_and(paused) {
            return;
        }
        match self.directory.access(topic, left) {
            Ok(Some(access)) if !access.may_write => {
                self.close(topic, Cause::NotPermitted);
            }
            Ok(Some(access)) if !access.takes_markers => {
                self.close(topic, Cause::RecordRefused);
            }
            // The list no longer has the topic, or will not have it for long.
            Ok(None) => self.close(topic, Cause::TopicUnknown),
            Ok(Some(access)) => {
                if self.writable.len() >= ACCESS_MAX {
                    self.writable.clear();
                }
                let known = (Instant::now(), access.batch_bytes_max);
                self.writable.insert(topic.to_owned(), known);
            }
            // The topic is tried all the same.
            Err(error) => {
                if error.class == Class::Retriable {
                    self.in_vain = Some(Instant::now());
                }
                warn!(topic, %error, "cannot ask about a client's reply topic");
            }
        }
    }

    /// Decides the destination of a reply.
    pub(super) fn reply_to(
        &mut self,
        topic: &str,
        choice: Choice,
        reply: &Outgoing<'_>,
    ) -> ReplyTo {
        let shape = Shape::of(reply.key, reply.body, reply.headers.0);
        let alone = match self.memory.advice(topic, shape, Instant::now()) {
            Advice::Elsewhere(undelivered) => return self.elsewhere(undelivered),
            Advice::Alone => true,
            Advice::Together => false,
        };
        let found = match self.directory.partitions(topic) {
            None => Err(Cause::TopicUnknown),
            Some(count) => partition(choice, count).ok_or(Cause::PartitionUnknown),
        };
        match found {
            Err(cause) => self.elsewhere(undelivered(cause, topic)),
            Ok(partition) => {
                let sent = Sent {
                    topic: topic.to_owned(),
                    shape,
                    alone,
                    batch_bytes_max: self.writable.get(topic).and_then(|(_, bytes)| *bytes),
                    done: false,
                };
                if !sent.fits(sent.bytes()) {
                    return self.elsewhere(undelivered(Cause::ReplyTooLarge, topic));
                }
                ReplyTo::Named { partition, sent }
            }
        }
    }

    /// Counts a reply to the default topic that goes without some of its headers.
    pub(super) fn shrunk(&mut self) {
        self.tally.add(Cause::ReplyTooLarge);
    }

    fn elsewhere(&mut self, undelivered: Undelivered) -> ReplyTo {
        self.tally.add(undelivered.cause);
        ReplyTo::Elsewhere(undelivered)
    }

    /// Notes that a reply was refused, and its transaction with it.
    pub(super) fn refused(&mut self, sent: &Sent, error: &Error) {
        let now = Instant::now();
        let Sent {
            topic,
            shape,
            alone,
            ..
        } = sent;
        match delivery(error) {
            Delivery::Record(cause) if *alone => self.memory.refuse(topic, *shape, cause, now),
            Delivery::Record(_) => self.memory.suspect(topic, now),
            // The topic is asked about again before the next attempt.
            Delivery::Topic(Cause::PartitionUnknown) => {
                self.directory.ask();
            }
            Delivery::Topic(cause) => self.close(topic, cause),
        }
    }

    /// Notes that a reply was not written in time, although everything else of its transaction was.
    pub(super) fn late(&mut self, sent: &Sent) {
        // The next attempt asks again what became of the topic.
        self.writable.remove(&sent.topic);
        self.close(&sent.topic, Cause::Unwritable);
    }

    /// Diverts a reply that was not sent, because those before it to its topic, which go one by one, took too
    /// long.
    pub(super) fn too_slow(&mut self, sent: &Sent) -> ReplyTo {
        self.close(&sent.topic, Cause::Unwritable);
        self.elsewhere(undelivered(Cause::Unwritable, &sent.topic))
    }

    /// Notes that nothing at all was written: perhaps the service may no longer write to a topic.
    pub(super) fn doubt(&mut self) {
        self.writable.clear();
        self.directory.ask();
    }

    fn close(&mut self, topic: &str, cause: Cause) {
        self.memory.close_and_tell(topic, cause, Instant::now());
        self.directory.ask();
    }

    /// Takes the counts of replies of this transaction that went to another topic.
    pub(super) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }
}

impl Sent {
    /// Most bytes that the reply adds to a batch.
    pub(super) fn bytes(&self) -> usize {
        self.shape.bytes + RECORD_OVERHEAD_BYTES
    }

    /// True when its topic takes a batch with this number of bytes of records.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        let batch = bytes + BATCH_OVERHEAD_BYTES;
        self.batch_bytes_max.is_none_or(|limit| batch <= limit)
    }

    /// True when the reply must be acknowledged before another one goes.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }
}
