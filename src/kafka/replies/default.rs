//! Replies to the default reply topic.
//!
//! A reply that was handed over is never given up: it waits in the producer's queue while a broker
//! is away, and one that comes back with an error is handed over again. What is outstanding keeps
//! its checkpoint waiting (I4).
//!
//! There are two producers, because librdkafka's linger is a setting of the whole producer: one sends
//! each reply at once, for latency; one waits a few milliseconds for a full batch, for a backlog,
//! where it saves a quarter of the CPU. One of them at a time ([`super::pace`]).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use tracing::warn;

use super::lane::Lane;
use super::pace::{Pace, Switch};
use crate::kafka::clients::Connection;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Batch, Enqueued, Outgoing, Report, Topic};
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
/// With so many under way no more records are taken: some ten batches for each of four partitions, which
/// is more than the broker can be asked to write at a time. More only wait, and leave the caches.
const UNDER_WAY_MAX: i32 = 20_000;
/// Replies handed over in one call: enough that the call does not count, few enough that they are still
/// in the processor's cache.
const BATCH_REPLIES: usize = 256;

/// A reply in memory of its own.
struct OwnedReply {
    token: u64,
    partition: i32,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
    headers: Vec<u8>,
}

impl OwnedReply {
    fn of(record: Outgoing<'_>) -> OwnedReply {
        OwnedReply {
            token: record.opaque as u64,
            partition: record.partition,
            key: record.key.map(<[u8]>::to_vec),
            body: record.value.unwrap_or_default().to_vec(),
            headers: record.headers.0.to_vec(),
        }
    }

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
    switch: Switch,
    /// Replies of this turn that were not handed over yet.
    batch: Batch,
    reported: Reported,
    /// Replies that came back, in order; all of them are older than those that wait for room.
    again: VecDeque<OwnedReply>,
    /// Replies that a producer did not take yet, in order.
    waiting: VecDeque<OwnedReply>,
    retry_at: Option<Instant>,
}

impl DefaultReplies {
    pub(super) fn new(connection: &Connection, topic: &str) -> Result<DefaultReplies, Error> {
        Ok(DefaultReplies {
            swift: Sender::new(&connection.reply_producer(), topic)?,
            bulk: Sender::new(&connection.bulk_reply_producer(), topic)?,
            switch: Switch::default(),
            batch: Batch::default(),
            reported: Reported::default(),
            again: VecDeque::new(),
            waiting: VecDeque::new(),
            retry_at: None,
        })
    }

    /// Takes a reply, to be sent with others, at [`DefaultReplies::flush`] at the latest.
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
    ) -> Result<(), Error> {
        self.batch.push(Outgoing {
            partition,
            key,
            value: Some(body),
            headers,
            opaque: opaque(token.to_bits()),
        });
        if self.batch.len() >= BATCH_REPLIES {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what was taken, or keeps it until there is room.
    ///
    /// # Errors
    /// The producer is of no more use.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        let mut result = Ok(());
        if self.nothing_waits() {
            let mut refused = Vec::new();
            let topic = &self.sender().topic;
            topic.produce_all(&mut batch, |record, why| {
                if let Err(error) = why {
                    if error.class == Class::Fatal {
                        result = Err(error);
                    } else {
                        warn!(%error, "reply not taken yet");
                    }
                }
                refused.push(OwnedReply::of(record));
            });
            for reply in refused {
                if !(self.waiting.is_empty() && self.enqueue(reply.borrowed())?) {
                    self.waiting.push_back(reply);
                }
            }
        } else {
            self.waiting.extend(batch.iter().map(OwnedReply::of));
            batch.clear();
        }
        self.batch = batch;
        result
    }

    /// Partitions of the topic that both producers can write to, as they find them now.
    pub(super) fn partitions(&self) -> Result<u32, Error> {
        let of = |sender: &Sender| sender.lane.partitions(sender.topic.name(), LOOK_WAIT);
        Ok(of(&self.swift)?.min(of(&self.bulk)?))
    }

    /// True while records may be taken: no reply waits for room, and the producer is the right one.
    pub(super) fn has_room(&mut self) -> bool {
        let under_way = self.in_flight();
        let settled = self.switch.settle(Instant::now(), under_way);
        settled && self.nothing_waits() && under_way < UNDER_WAY_MAX
    }

    fn nothing_waits(&self) -> bool {
        self.again.is_empty() && self.waiting.is_empty()
    }

    fn sender(&self) -> &Sender {
        match self.switch.used() {
            Pace::Swift => &self.swift,
            Pace::Bulk => &self.bulk,
        }
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
        self.again.extend(self.reported.returned.drain(..));
        self.flush()?;
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
        loop {
            let came_back = !self.again.is_empty();
            let next = if came_back {
                self.again.pop_front()
            } else {
                self.waiting.pop_front()
            };
            let Some(reply) = next else { return Ok(()) };
            if !self.enqueue(reply.borrowed())? {
                let queue = if came_back {
                    &mut self.again
                } else {
                    &mut self.waiting
                };
                queue.push_front(reply);
                return Ok(());
            }
        }
    }

    /// False when the queue stayed full.
    fn enqueue(&mut self, outgoing: Outgoing<'_>) -> Result<bool, Error> {
        let mut deadline = None;
        let Sender { topic, lane } = match self.switch.used() {
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
