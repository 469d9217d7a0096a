//! The idempotent producers that send the replies of `immediate` mode at once.
//!
//! A reply that was handed over is never given up: it waits in the producer's queue while a broker
//! is away, and one that comes back with an error is handed over again. What is outstanding keeps
//! its checkpoint waiting (I4).
//!
//! There are two producers, because librdkafka's linger is a setting of the whole producer: one sends
//! each reply at once, for latency; one waits a few milliseconds for a full batch, for a backlog,
//! where it saves a quarter of the CPU. Replies have no order among each other to keep.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use tracing::warn;

use super::clients::Connection;
use super::context::Context;
use super::error::{Class, Error};
use super::produce::{Enqueued, Report, Reports, Topic};
use crate::processor::checkpoint::Destination;
use crate::processor::partition::Reply;
use crate::processor::replies::Token;

/// How long a full queue is waited for in place before the engine looks after its other duties.
const FULL_QUEUE_WAIT: Duration = Duration::from_millis(500);
/// Step of that wait.
const REPORT_POLL: Duration = Duration::from_millis(1);
/// Pause before replies that came back with an error are handed over again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Reports served between two batches of records: bounds the time away from the consumer.
const REPORTS_MAX: usize = 64;

/// A reply in memory of its own.
struct OwnedReply {
    token: u64,
    partition: i32,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
}

/// Delivery reports not yet passed on.
#[derive(Default)]
struct Reported {
    /// Tokens and how many replies in a row were acknowledged under each.
    runs: Vec<(u64, u64)>,
    returned: Vec<OwnedReply>,
    problem: Option<Error>,
}

impl Reported {
    fn add(&mut self, report: Report<'_>) {
        let token = report.opaque as u64;
        match report.result {
            Ok(_) => match self.runs.last_mut() {
                Some((last, count)) if *last == token => *count += 1,
                _ => self.runs.push((token, 1)),
            },
            Err(error) => {
                self.problem = Some(error);
                self.returned.push(OwnedReply {
                    token,
                    partition: report.partition,
                    key: report.key.map(<[u8]>::to_vec),
                    body: report.value.unwrap_or_default().to_vec(),
                });
            }
        }
    }
}

/// How a reply is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Swift,
    /// With many others: there is a backlog.
    Bulk,
}

/// One producer.
struct Lane {
    // These must go before the producer.
    topic: Option<Topic>,
    reports: Option<Reports>,
    producer: BaseProducer<Context>,
}

impl Lane {
    fn new(config: &ClientConfig, topic: &str) -> Result<Lane, Error> {
        let producer: BaseProducer<Context> = config
            .create_with_context(Context)
            .map_err(|error| Error::from_kafka("create reply producer", &error))?;
        Ok(Lane {
            topic: Some(Topic::new(&producer, topic)?),
            reports: Reports::of(&producer),
            producer,
        })
    }

    fn serve(&self, wait: Duration, reported: &mut Reported) -> bool {
        let served = |reports: &Reports| reports.serve(wait, |report| reported.add(report));
        self.reports.as_ref().is_some_and(served)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        drop(self.topic.take());
        drop(self.reports.take());
    }
}

/// Sends replies.
pub struct ReplyProducer {
    swift: Lane,
    bulk: Lane,
    reported: Reported,
    /// Replies that a producer did not take yet, in order.
    waiting: VecDeque<OwnedReply>,
    retry_at: Option<Instant>,
}

impl ReplyProducer {
    /// For one default reply topic.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub fn new(connection: &Connection, topic: &str) -> Result<ReplyProducer, Error> {
        Ok(ReplyProducer {
            swift: Lane::new(&connection.reply_producer(), topic)?,
            bulk: Lane::new(&connection.bulk_reply_producer(), topic)?,
            reported: Reported::default(),
            waiting: VecDeque::new(),
            retry_at: None,
        })
    }

    /// Sends a reply, or keeps it until there is room.
    ///
    /// # Errors
    /// The producer is of no more use.
    pub fn send(&mut self, reply: &Reply<'_>, pace: Pace) -> Result<(), Error> {
        let Destination::Default { partition } = reply.destination;
        let token = reply.token.to_bits();
        if self.waiting.is_empty() && self.enqueue(pace, partition, reply.key, reply.body, token)? {
            return Ok(());
        }
        self.waiting.push_back(OwnedReply {
            token,
            partition,
            key: reply.key.map(<[u8]>::to_vec),
            body: reply.body.to_vec(),
        });
        Ok(())
    }

    /// True while records may be taken: no reply waits for room.
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Serves delivery reports, hands over again what came back, and passes on what was
    /// acknowledged.
    ///
    /// # Errors
    /// The producer is of no more use: its fatal error.
    pub fn serve(&mut self, mut acknowledged: impl FnMut(Token, u64)) -> Result<(), Error> {
        for lane in [&self.swift, &self.bulk] {
            for _ in 0..REPORTS_MAX {
                if !lane.serve(Duration::ZERO, &mut self.reported) {
                    break;
                }
            }
        }
        for (token, replies) in self.reported.runs.drain(..) {
            acknowledged(Token::from_bits(token), replies);
        }
        if let Some(problem) = self.reported.problem.take() {
            if problem.class == Class::Fatal {
                let of = |lane: &Lane| Error::fatal_of("send reply", lane.producer.client());
                return Err(of(&self.swift)
                    .or_else(|| of(&self.bulk))
                    .unwrap_or(problem));
            }
            let replies = self.reported.returned.len();
            warn!(error = %problem, replies, "replies came back and are sent again");
            self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        }
        self.waiting.extend(self.reported.returned.drain(..));
        self.hand_over_waiting()
    }

    /// Records queued and in flight.
    pub fn queued(&self) -> i32 {
        self.swift.producer.in_flight_count() + self.bulk.producer.in_flight_count()
    }

    fn hand_over_waiting(&mut self) -> Result<(), Error> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.retry_at = None;
        while let Some(reply) = self.waiting.pop_front() {
            let key = reply.key.as_deref();
            if !self.enqueue(Pace::Bulk, reply.partition, key, &reply.body, reply.token)? {
                self.waiting.push_front(reply);
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when the queue stayed full.
    fn enqueue(
        &mut self,
        pace: Pace,
        partition: i32,
        key: Option<&[u8]>,
        body: &[u8],
        token: u64,
    ) -> Result<bool, Error> {
        let opaque = usize::try_from(token).unwrap_or(usize::MAX);
        let mut deadline = None;
        let lane = match pace {
            Pace::Swift => &self.swift,
            Pace::Bulk => &self.bulk,
        };
        loop {
            let Some(topic) = &lane.topic else {
                return Ok(false);
            };
            match topic.produce(partition, key, Some(body), opaque) {
                Ok(Enqueued::Yes) => return Ok(true),
                Ok(Enqueued::QueueFull) => {
                    let deadline =
                        *deadline.get_or_insert_with(|| Instant::now() + FULL_QUEUE_WAIT);
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                    lane.serve(REPORT_POLL, &mut self.reported);
                }
                Err(error) if error.class == Class::Fatal => return Err(error),
                // Anything else that is refused in place waits like a full queue: the topic may
                // come back, and no reply is dropped.
                Err(error) => {
                    warn!(%error, "reply not taken yet");
                    return Ok(false);
                }
            }
        }
    }
}
