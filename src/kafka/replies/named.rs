//! Replies to topics that clients name.
//!
//! A reply waits here until it is acknowledged. When its topic cannot be written, the reply goes to the default
//! topic, with the reason in a header:
//!
//! ```text
//!   send ─▶ is the topic known? ─yes─▶ together with others ─▶ acknowledged
//!              │ no                       │ refused      │ not written in time, or gone
//!              ▼                          ▼              ▼
//!           ask for the list ─▶       by itself      ask for the list
//!              │ not there                │ refused      │
//!              └──────────────────────────┴──────────────┴─▶ undeliverable: the default topic
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::kafka::client::Config;
use crate::kafka::clients::Connection;
use crate::kafka::directory::{Directory, Ticket};
use crate::kafka::error::{Delivery, Error, delivery};
use crate::kafka::produce::{self, Enqueued, OpenTopics, Producer};
use crate::kafka::undelivered::{Advice, Memory, Shape, Tally, undelivered};
use crate::processor::checkpoint::{Choice, Destination, Outgoing};
use crate::processor::replies::Token;
use crate::wire::headers::Block;
use crate::wire::route::{Cause, Undelivered};

/// Most replies that are held until they are acknowledged: a second's worth at the highest rate, and few enough
/// that a restarted producer sends them again quickly.
const REPLIES_MAX: usize = 50_000;
/// Most bytes of these replies (64 MiB).
const BYTES_MAX: usize = 64 << 20;
/// Pause before a producer that had a fatal error is created again.
const RENEWAL_PAUSE: Duration = Duration::from_millis(500);

/// A reply in a buffer of its own.
pub(super) struct Parcel {
    pub(super) token: Token,
    topic: String,
    choice: Choice,
    /// The partition of the default reply topic.
    pub(super) fallback: i32,
    pub(super) key: Option<Vec<u8>>,
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<u8>,
    stage: Stage,
}

/// The stage of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for the list of topics, because of this failure or without one.
    Waiting(Ticket, Option<Cause>),
    /// Waits for room in a producer.
    Queued { alone: bool },
    /// In a producer's queue.
    Sent { alone: bool },
}

impl Parcel {
    fn shape(&self) -> Shape {
        Shape::of(self.key.as_deref(), &self.body, &self.headers)
    }

    fn bytes(&self) -> usize {
        let key = self.key.as_ref().map_or(0, Vec::len);
        key + self.body.len() + self.headers.len() + self.topic.len()
    }
}

/// A producer without open topics.
fn sender(config: &Config) -> Result<OpenTopics, Error> {
    Producer::new(config).map(OpenTopics::new)
}

/// The content of a delivery report.
struct Reported {
    number: u64,
    failure: Option<Error>,
}

/// Sends replies to topics that clients name.
pub(super) struct NamedReplies {
    connection: Connection,
    directory: Arc<Directory>,
    together: OpenTopics,
    alone: OpenTopics,
    /// Replies by number, in the order in which they came.
    parcels: BTreeMap<u64, Parcel>,
    bytes: usize,
    next: u64,
    /// Numbers of the replies that wait for the list, and of those that wait for room.
    waiting: Vec<u64>,
    queued: VecDeque<u64>,
    undelivered: VecDeque<Parcel>,
    memory: Memory,
    tally: Tally,
    renew_at: Option<Instant>,
}

impl NamedReplies {
    pub(super) fn new(
        connection: &Connection,
        directory: Arc<Directory>,
    ) -> Result<NamedReplies, Error> {
        Ok(NamedReplies {
            together: sender(&connection.named_reply_producer())?,
            alone: sender(&connection.single_reply_producer())?,
            connection: connection.clone(),
            directory,
            parcels: BTreeMap::new(),
            bytes: 0,
            next: 0,
            waiting: Vec::new(),
            queued: VecDeque::new(),
            undelivered: VecDeque::new(),
            memory: Memory::default(),
            tally: Tally::default(),
            renew_at: None,
        })
    }

    /// Takes a reply.
    pub(super) fn send(&mut self, token: Token, reply: &Outgoing<'_>) {
        let Destination::Named {
            topic,
            partition,
            fallback,
        } = reply.destination
        else {
            return;
        };
        let parcel = Parcel {
            token,
            topic: topic.to_owned(),
            choice: partition,
            fallback,
            key: reply.key.map(<[u8]>::to_vec),
            body: reply.body.to_vec(),
            headers: reply.headers.0.to_vec(),
            stage: Stage::Queued { alone: false },
        };
        let number = self.next;
        self.next += 1;
        self.bytes += parcel.bytes();
        self.parcels.insert(number, parcel);
        self.dispatch(number);
    }

    /// True while more replies may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.parcels.len() < REPLIES_MAX && self.bytes < BYTES_MAX
    }

    /// Number of replies that are not acknowledged.
    pub(super) fn pending(&self) -> i32 {
        i32::try_from(self.parcels.len()).unwrap_or(i32::MAX)
    }

    /// The next reply that goes to the default topic, with all its headers.
    pub(super) fn next_undelivered(&mut self) -> Option<Parcel> {
        self.undelivered.pop_front()
    }

    /// Takes the counts of undeliverable replies.
    pub(super) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Moves all replies on, and passes acknowledgements on. Returns the number of returned replies.
    pub(super) fn serve(&mut self, acknowledged: &mut impl FnMut(Token, u64)) -> usize {
        // This also serves the log lines of idle producers.
        let returned = self.reports(acknowledged);
        if self.parcels.is_empty() {
            return returned;
        }
        self.renew_when_due();
        self.look_at_list();
        self.enqueue_queued();
        returned
    }

    fn reports(&mut self, acknowledged: &mut impl FnMut(Token, u64)) -> usize {
        let mut reported = Vec::new();
        for sender in [&self.together, &self.alone] {
            sender.producer().serve_ready(Duration::ZERO, |report| {
                reported.push(Reported {
                    number: report.opaque as u64,
                    failure: report.result.err(),
                });
            });
        }
        let mut returned = 0;
        for Reported { number, failure } in reported {
            match failure {
                None => {
                    if let Some(parcel) = self.take(number) {
                        acknowledged(parcel.token, 1);
                    }
                }
                Some(error) => {
                    returned += 1;
                    self.failed(number, &error);
                }
            }
        }
        returned
    }

    fn failed(&mut self, number: u64, error: &Error) {
        let Some(parcel) = self.parcels.get_mut(&number) else {
            return;
        };
        let Stage::Sent { alone } = parcel.stage else {
            return;
        };
        if error.is_about_producer() {
            warn!(%error, "the producer of replies to clients' topics is made anew");
            self.renew_at
                .get_or_insert_with(|| Instant::now() + RENEWAL_PAUSE);
            return;
        }
        match delivery(error) {
            Delivery::Record(_) if !alone => {
                parcel.stage = Stage::Queued { alone: true };
                self.queued.push_back(number);
            }
            Delivery::Record(cause) => self.give_up(number, cause, error),
            Delivery::Topic(Cause::NotPermitted) => {
                let topic = parcel.topic.clone();
                self.memory
                    .close(&topic, Cause::NotPermitted, Instant::now());
                self.give_up(number, Cause::NotPermitted, error);
            }
            // The list shows whether the topic is gone.
            Delivery::Topic(cause) => {
                parcel.stage = Stage::Waiting(self.directory.ask(), Some(cause));
                self.waiting.push(number);
            }
        }
    }

    fn give_up(&mut self, number: u64, cause: Cause, error: &Error) {
        if let Some(parcel) = self.parcels.get(&number) {
            info!(topic = parcel.topic, cause = cause.as_str(), %error, "reply undeliverable");
            let reason = undelivered(cause, &parcel.topic);
            self.elsewhere(number, reason);
        }
    }

    /// Chooses the next stage of a reply by what is known of its topic.
    fn dispatch(&mut self, number: u64) {
        let Some(parcel) = self.parcels.get_mut(&number) else {
            return;
        };
        match self
            .memory
            .advice(&parcel.topic, parcel.shape(), Instant::now())
        {
            Advice::Elsewhere(undelivered) => self.elsewhere(number, undelivered),
            // Together or alone makes no difference: here a refusal costs no more than another attempt.
            Advice::Together | Advice::Alone => match self.directory.partitions(&parcel.topic) {
                Some(count) if partition(parcel.choice, count).is_some() => {
                    parcel.stage = Stage::Queued { alone: false };
                    self.enqueue(number);
                }
                _ => {
                    parcel.stage = Stage::Waiting(self.directory.ask(), None);
                    self.waiting.push(number);
                }
            },
        }
    }

    /// Moves the replies on whose list has arrived.
    fn look_at_list(&mut self) {
        for number in std::mem::take(&mut self.waiting) {
            let Some(parcel) = self.parcels.get(&number) else {
                continue;
            };
            let Stage::Waiting(ticket, failure) = parcel.stage else {
                continue;
            };
            if !self.directory.has_answered(ticket) {
                self.waiting.push(number);
                continue;
            }
            let topic = parcel.topic.clone();
            let cause = match self.directory.partitions(&topic) {
                None => Some(Cause::TopicUnknown),
                Some(count) if partition(parcel.choice, count).is_none() => {
                    Some(Cause::PartitionUnknown)
                }
                // The topic has just grown, which the producer does not know yet.
                Some(_) if failure == Some(Cause::PartitionUnknown) => failure,
                Some(_) => failure.inspect(|cause| {
                    self.memory.close_and_tell(&topic, *cause, Instant::now());
                }),
            };
            match cause {
                Some(cause) => self.elsewhere(number, undelivered(cause, &topic)),
                None => self.dispatch(number),
            }
        }
    }

    fn enqueue_queued(&mut self) {
        for _ in 0..self.queued.len() {
            let Some(number) = self.queued.pop_front() else {
                return;
            };
            if !self.enqueue(number) {
                return;
            }
        }
    }

    /// Hands a reply to its producer. False when there is no room.
    fn enqueue(&mut self, number: u64) -> bool {
        if self.renew_at.is_some() {
            // The new producers send it together with all others.
            return true;
        }
        let Some(parcel) = self.parcels.get_mut(&number) else {
            return true;
        };
        let Stage::Queued { alone } = parcel.stage else {
            return true;
        };
        let count = self.directory.partitions(&parcel.topic).unwrap_or(1);
        let record = produce::Outgoing {
            partition: partition(parcel.choice, count).unwrap_or(0),
            key: parcel.key.as_deref(),
            value: Some(&parcel.body),
            headers: Block(&parcel.headers),
            opaque: usize::try_from(number).unwrap_or(usize::MAX),
        };
        let sender = if alone {
            &mut self.alone
        } else {
            &mut self.together
        };
        let topic = sender.get(&parcel.topic);
        match topic.and_then(|topic| topic.produce(record)) {
            Ok(Enqueued::Yes) => parcel.stage = Stage::Sent { alone },
            Ok(Enqueued::QueueFull) => {
                self.queued.push_front(number);
                return false;
            }
            Err(error) => {
                parcel.stage = Stage::Sent { alone };
                self.failed(number, &error);
            }
        }
        true
    }

    fn elsewhere(&mut self, number: u64, undelivered: Undelivered) {
        if let Some(mut parcel) = self.take(number) {
            self.tally.add(undelivered.cause);
            undelivered.push(&mut parcel.headers);
            self.undelivered.push_back(parcel);
        }
    }

    fn take(&mut self, number: u64) -> Option<Parcel> {
        let parcel = self.parcels.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(parcel.bytes());
        Some(parcel)
    }

    /// Creates the producers again after a fatal error, and sends their replies again. A client's topic must
    /// not end the engine.
    fn renew_when_due(&mut self) {
        if self.renew_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        let renewed = sender(&self.connection.named_reply_producer())
            .and_then(|together| Ok((together, sender(&self.connection.single_reply_producer())?)));
        match renewed {
            Ok((together, alone)) => {
                self.renew_at = None;
                self.together = together;
                self.alone = alone;
            }
            Err(error) => {
                warn!(%error, "no producer for replies to clients' topics");
                self.renew_at = Some(Instant::now() + RENEWAL_PAUSE);
                return;
            }
        }
        self.queued.clear();
        for (number, parcel) in &mut self.parcels {
            if let Stage::Sent { alone } | Stage::Queued { alone } = parcel.stage {
                parcel.stage = Stage::Queued { alone };
                self.queued.push_back(*number);
            }
        }
    }
}

/// The partition in a topic of `count` partitions. None when the topic lacks the partition that was asked for.
pub(in crate::kafka) fn partition(choice: Choice, count: u32) -> Option<i32> {
    match choice {
        Choice::Exact(partition) => u32::try_from(partition)
            .is_ok_and(|partition| partition < count)
            .then_some(partition),
        Choice::Hash(hash) => i32::try_from(hash.checked_rem(count)?).ok(),
    }
}
