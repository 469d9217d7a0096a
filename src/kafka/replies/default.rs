//! Replies to the default reply topic.
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
use tracing::warn;

use super::Pace;
use super::lane::Lane;
use crate::kafka::clients::Connection;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Enqueued, Outgoing, Report, Topic};
use crate::processor::replies::Token;
use crate::wire::headers::{Block, block};

/// How long a full queue is waited for in place before the engine looks after its other duties.
const FULL_QUEUE_WAIT: Duration = Duration::from_millis(500);
/// Step of that wait.
const REPORT_POLL: Duration = Duration::from_millis(1);
/// Pause before replies that came back with an error are handed over again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long a look at a topic that has grown may keep the engine from its other duties.
const LOOK_WAIT: Duration = Duration::from_millis(500);
/// Reports served between two batches of records: bounds the time away from the consumer.
const REPORTS_MAX: usize = 64;

/// A reply in memory of its own.
struct OwnedReply {
    token: u64,
    partition: i32,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
    headers: Vec<u8>,
}

impl OwnedReply {
    fn borrowed(&self) -> Outgoing<'_> {
        Outgoing {
            partition: self.partition,
            key: self.key.as_deref(),
            value: Some(&self.body),
            headers: Block(&self.headers),
            opaque: opaque(self.token),
        }
    }
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
                let mut headers = Vec::new();
                for (name, value) in report.headers.iter() {
                    // Ours all have text names and values.
                    let name = std::str::from_utf8(name).unwrap_or_default();
                    block::push(&mut headers, name, value.unwrap_or_default());
                }
                self.returned.push(OwnedReply {
                    token,
                    partition: report.partition,
                    key: report.key.map(<[u8]>::to_vec),
                    body: report.value.unwrap_or_default().to_vec(),
                    headers,
                });
            }
        }
    }
}

/// One producer and the topic.
struct Sender {
    // This must go before the lane.
    topic: Topic,
    lane: Lane,
}

impl Sender {
    fn new(config: &ClientConfig, topic: &str) -> Result<Sender, Error> {
        let lane = Lane::new(config)?;
        Ok(Sender {
            topic: lane.topic(topic)?,
            lane,
        })
    }
}

/// Sends replies to the default reply topic.
pub(super) struct DefaultReplies {
    swift: Sender,
    bulk: Sender,
    reported: Reported,
    /// Replies that a producer did not take yet, in order.
    waiting: VecDeque<OwnedReply>,
    retry_at: Option<Instant>,
}

impl DefaultReplies {
    pub(super) fn new(connection: &Connection, topic: &str) -> Result<DefaultReplies, Error> {
        Ok(DefaultReplies {
            swift: Sender::new(&connection.reply_producer(), topic)?,
            bulk: Sender::new(&connection.bulk_reply_producer(), topic)?,
            reported: Reported::default(),
            waiting: VecDeque::new(),
            retry_at: None,
        })
    }

    /// Sends a reply, or keeps it until there is room.
    ///
    /// # Errors
    /// The producer is of no more use.
    pub(super) fn send(
        &mut self,
        token: Token,
        partition: i32,
        key: Option<&[u8]>,
        body: &[u8],
        headers: Block<'_>,
        pace: Pace,
    ) -> Result<(), Error> {
        let token = token.to_bits();
        let outgoing = Outgoing {
            partition,
            key,
            value: Some(body),
            headers,
            opaque: opaque(token),
        };
        if self.waiting.is_empty() && self.enqueue(pace, outgoing)? {
            return Ok(());
        }
        self.waiting.push_back(OwnedReply {
            token,
            partition,
            key: key.map(<[u8]>::to_vec),
            body: body.to_vec(),
            headers: headers.0.to_vec(),
        });
        Ok(())
    }

    /// Partitions of the topic that both producers can write to, as they find them now.
    pub(super) fn partitions(&self) -> Result<u32, Error> {
        let of = |sender: &Sender| sender.lane.partitions(sender.topic.name(), LOOK_WAIT);
        Ok(of(&self.swift)?.min(of(&self.bulk)?))
    }

    /// True while no reply waits for room.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Serves delivery reports, hands over again what came back, and passes on what was
    /// acknowledged. Returns how many came back.
    ///
    /// # Errors
    /// The producer is of no more use: its fatal error.
    pub(super) fn serve(
        &mut self,
        acknowledged: &mut impl FnMut(Token, u64),
    ) -> Result<usize, Error> {
        for sender in [&self.swift, &self.bulk] {
            let reported = &mut self.reported;
            for _ in 0..REPORTS_MAX {
                if !sender
                    .lane
                    .serve(Duration::ZERO, |report| reported.add(report))
                {
                    break;
                }
            }
        }
        for (token, replies) in self.reported.runs.drain(..) {
            acknowledged(Token::from_bits(token), replies);
        }
        let returned = self.reported.returned.len();
        if let Some(problem) = self.reported.problem.take() {
            if problem.class == Class::Fatal {
                let of = |sender: &Sender| sender.lane.fatal("send reply");
                return Err(of(&self.swift)
                    .or_else(|| of(&self.bulk))
                    .unwrap_or(problem));
            }
            warn!(error = %problem, replies = returned, "replies came back and are sent again");
            self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        }
        self.waiting.extend(self.reported.returned.drain(..));
        self.hand_over_waiting()?;
        Ok(returned)
    }

    /// Records queued and in flight.
    pub(super) fn in_flight(&self) -> i32 {
        self.swift.lane.in_flight() + self.bulk.lane.in_flight()
    }

    fn hand_over_waiting(&mut self) -> Result<(), Error> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.retry_at = None;
        while let Some(reply) = self.waiting.pop_front() {
            if !self.enqueue(Pace::Bulk, reply.borrowed())? {
                self.waiting.push_front(reply);
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when the queue stayed full.
    fn enqueue(&mut self, pace: Pace, outgoing: Outgoing<'_>) -> Result<bool, Error> {
        let mut deadline = None;
        let Sender { topic, lane } = match pace {
            Pace::Swift => &self.swift,
            Pace::Bulk => &self.bulk,
        };
        loop {
            match topic.produce(outgoing) {
                Ok(Enqueued::Yes) => return Ok(true),
                Ok(Enqueued::QueueFull) => {
                    let deadline =
                        *deadline.get_or_insert_with(|| Instant::now() + FULL_QUEUE_WAIT);
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                    let reported = &mut self.reported;
                    lane.serve(REPORT_POLL, |report| reported.add(report));
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

fn opaque(token: u64) -> usize {
    usize::try_from(token).unwrap_or(usize::MAX)
}
