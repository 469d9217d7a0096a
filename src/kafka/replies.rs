//! The idempotent producer that sends the replies of `immediate` mode at once.
//!
//! A reply that was handed over is never given up: it waits in the producer's queue while a broker
//! is away, and one that comes back with an error is handed over again. What is outstanding keeps
//! its checkpoint waiting (I4).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use tracing::warn;

use super::clients::Connection;
use super::context;
use super::error::{Class, Error};
use super::produce::{Enqueued, Topic};
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

#[derive(Default)]
struct Reports(Mutex<Reported>);

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level as i32, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::Context.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let token = opaque as u64;
        let mut reported = self.lock();
        match result {
            Ok(_) => match reported.runs.last_mut() {
                Some((last, count)) if *last == token => *count += 1,
                _ => reported.runs.push((token, 1)),
            },
            Err((error, message)) => {
                reported.problem = Some(Error::from_kafka("send reply", error));
                reported.returned.push(OwnedReply {
                    token,
                    partition: message.partition(),
                    key: message.key().map(<[u8]>::to_vec),
                    body: message.payload().unwrap_or_default().to_vec(),
                });
            }
        }
    }
}

/// Sends replies.
pub struct ReplyProducer {
    // Must go before the producer.
    topic: Option<Topic>,
    producer: BaseProducer<Reports>,
    /// Replies that the producer did not take yet, in order.
    waiting: std::collections::VecDeque<OwnedReply>,
    retry_at: Option<Instant>,
}

impl ReplyProducer {
    /// For one default reply topic.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub fn new(connection: &Connection, topic: &str) -> Result<ReplyProducer, Error> {
        let producer: BaseProducer<Reports> = connection
            .reply_producer()
            .create_with_context(Reports::default())
            .map_err(|error| Error::from_kafka("create reply producer", &error))?;
        Ok(ReplyProducer {
            topic: Some(Topic::new(&producer, topic)?),
            producer,
            waiting: std::collections::VecDeque::new(),
            retry_at: None,
        })
    }

    /// Sends a reply, or keeps it until there is room.
    ///
    /// # Errors
    /// The producer is of no more use.
    pub fn send(&mut self, reply: &Reply<'_>) -> Result<(), Error> {
        let Destination::Default { partition } = reply.destination;
        let token = reply.token.to_bits();
        if self.waiting.is_empty() && self.enqueue(partition, reply.key, reply.body, token)? {
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
        for _ in 0..REPORTS_MAX {
            let before = self.producer.in_flight_count();
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() == before {
                break;
            }
        }
        let reported = std::mem::take(&mut *self.producer.context().lock());
        for (token, replies) in reported.runs {
            acknowledged(Token::from_bits(token), replies);
        }
        if let Some(problem) = reported.problem {
            if problem.class == Class::Fatal {
                return Err(Error::fatal_of("send reply", self.producer.client()).unwrap_or(problem));
            }
            let replies = reported.returned.len();
            warn!(error = %problem, replies, "replies came back and are sent again");
            self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        }
        self.waiting.extend(reported.returned);
        self.hand_over_waiting()
    }

    /// Records queued and in flight.
    pub fn queued(&self) -> i32 {
        self.producer.in_flight_count()
    }

    fn hand_over_waiting(&mut self) -> Result<(), Error> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.retry_at = None;
        while let Some(reply) = self.waiting.pop_front() {
            let key = reply.key.as_deref();
            if !self.enqueue(reply.partition, key, &reply.body, reply.token)? {
                self.waiting.push_front(reply);
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when the queue stayed full.
    fn enqueue(
        &self,
        partition: i32,
        key: Option<&[u8]>,
        body: &[u8],
        token: u64,
    ) -> Result<bool, Error> {
        let Some(topic) = &self.topic else {
            return Ok(false);
        };
        let opaque = usize::try_from(token).unwrap_or(usize::MAX);
        let mut deadline = None;
        loop {
            match topic.produce(partition, key, Some(body), opaque) {
                Ok(Enqueued::Yes) => return Ok(true),
                Ok(Enqueued::QueueFull) => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + FULL_QUEUE_WAIT);
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                    self.producer.poll(REPORT_POLL);
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

impl Drop for ReplyProducer {
    fn drop(&mut self) {
        drop(self.topic.take());
    }
}
