//! Replies to the default reply topic.
//!
//! A reply that was handed over is never given up. It waits in the producer's queue while a broker is away, and
//! a reply that comes back with an error is handed over again. An outstanding reply keeps its checkpoint
//! waiting (I4).
//!
//! A batch that is refused as too large comes back whole. Then the producers are created again with smaller
//! batches, once nothing is in progress with them. A single reply that is too large is sent without its largest
//! headers and says so (`sequencer-undelivered`).
//!
//! There are two producers, because librdkafka's linger is a setting of the whole producer. One sends each
//! reply at once, for latency. The other waits up to 20 ms for a full batch, for a backlog, where this saves a
//! third of the CPU. It has a thread of its own ([`super::threaded`]). Only one of them is in use at a time
//! ([`super::pace`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::pace::{Pace, Switch};
use super::reported::{OwnedReply, Reported, opaque};
use super::threaded::Threaded;
use crate::kafka::clients::{Connection, with_batches};
use crate::kafka::directory::Directory;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Batch, BatchSize, Outgoing, Producer, Topic};
use crate::kafka::undelivered::{Tally, undelivered};
use crate::processor::replies::Token;
use crate::wire::headers::Block;
use crate::wire::route::Cause;

/// How long the engine waits for room in a full queue before it turns to its other work.
const FULL_QUEUE_WAIT: Duration = Duration::from_millis(500);
/// Pause before replies that came back with an error are handed over again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long a look-up of a topic that has grown may keep the engine from its other work.
const LOOK_WAIT: Duration = Duration::from_millis(500);
/// With this many replies in progress, no more records are taken. These are four batches of a producer: one is
/// being written while the next fills and reports come back. More replies would only wait, and leave the
/// caches. The records of one poll may come on top.
const UNDER_WAY_MAX: i32 = 40_000;
/// Replies handed over in one call: enough that the cost of the call does not matter, and few enough that they
/// are still in the processor's cache.
pub(in crate::kafka) const BATCH_REPLIES: usize = 256;

fn producers(
    connection: &Connection,
    topic: &str,
    size: &BatchSize,
) -> Result<(Topic, Threaded), Error> {
    let sized = |config| with_batches(config, size.batch_bytes());
    Ok((
        Producer::new(&sized(connection.reply_producer()))?.topic(topic)?,
        Threaded::start(&sized(connection.bulk_reply_producer()), topic)?,
    ))
}

/// Sends replies to the default reply topic.
pub(super) struct DefaultReplies {
    connection: Connection,
    topic: String,
    directory: Arc<Directory>,
    size: BatchSize,
    /// True when the producers are about to be created again, for batches of another size.
    resizing: bool,
    tally: Tally,
    /// The topic of the producer that sends each reply at once.
    swift: Topic,
    bulk: Threaded,
    switch: Switch,
    /// Replies of this turn that are not handed over yet.
    batch: Batch,
    reported: Reported,
    /// Replies that came back, in order. All of them are older than those that wait for room.
    again: VecDeque<OwnedReply>,
    /// Replies that a producer did not take yet, in order.
    waiting: VecDeque<OwnedReply>,
    retry_at: Option<Instant>,
}

impl DefaultReplies {
    pub(super) fn new(
        connection: &Connection,
        topic: &str,
        directory: Arc<Directory>,
    ) -> Result<DefaultReplies, Error> {
        let mut size = BatchSize::new(connection, topic);
        size.ask(&directory);
        let (swift, bulk) = producers(connection, topic, &size)?;
        Ok(DefaultReplies {
            swift,
            bulk,
            connection: connection.clone(),
            topic: topic.to_owned(),
            directory,
            size,
            resizing: false,
            tally: Tally::default(),
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
    /// The producer is no longer usable.
    pub(super) fn send(
        &mut self,
        token: Token,
        partition: i32,
        key: Option<&[u8]>,
        body: &[u8],
        headers: Block<'_>,
    ) -> Result<(), Error> {
        let record = Outgoing {
            partition,
            key,
            value: Some(body),
            headers,
            opaque: opaque(token.to_bits()),
        };
        let bytes = key.map_or(0, <[u8]>::len) + body.len() + headers.0.len();
        if self.size.fits(bytes) {
            self.batch.push(record);
        } else {
            let mut reply = OwnedReply::of(record);
            self.shrink(&mut reply);
            self.batch.push(reply.borrowed());
        }
        if self.batch.len() >= BATCH_REPLIES {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends the replies that were taken, or keeps them until there is room.
    ///
    /// # Errors
    /// The producer is no longer usable.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.nothing_waits() && self.switch.used() == Pace::Bulk {
            return self.bulk.hand_over(&mut self.batch);
        }
        let mut batch = std::mem::take(&mut self.batch);
        let mut result = Ok(());
        if self.nothing_waits() {
            let mut refused = Vec::new();
            self.swift.produce_all(&mut batch, |record, why| {
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

    /// Number of partitions of the topic that both producers can write to, looked up now.
    pub(super) fn partitions(&self) -> Result<u32, Error> {
        let swift = &self.swift;
        let swift = swift.producer().partitions(swift.name(), LOOK_WAIT)?;
        Ok(swift.min(self.bulk.partitions(LOOK_WAIT)?))
    }

    /// True while records may be taken: no reply waits for room, and the right producer is in use.
    pub(super) fn has_room(&mut self) -> bool {
        let under_way = self.in_flight();
        let settled = self.switch.settle(Instant::now(), under_way);
        settled && self.nothing_waits() && under_way < UNDER_WAY_MAX
    }

    fn nothing_waits(&self) -> bool {
        !self.resizing && self.again.is_empty() && self.waiting.is_empty()
    }

    /// Serves delivery reports, hands returned replies over again, and passes acknowledgements on. Returns the
    /// number of returned replies.
    ///
    /// # Errors
    /// The producer is no longer usable: its fatal error.
    pub(super) fn serve(
        &mut self,
        acknowledged: &mut impl FnMut(Token, u64),
    ) -> Result<usize, Error> {
        let (reported, swift) = (&mut self.reported, self.swift.producer());
        swift.serve_ready(Duration::ZERO, |report| reported.add(report));
        self.bulk.reported(reported);
        for (token, replies) in self.reported.runs.drain(..) {
            acknowledged(Token::from_bits(token), replies);
        }
        let returned = self.reported.returned.len();
        let too_large = std::mem::take(&mut self.reported.too_large) && !self.resizing;
        self.resizing |= match too_large {
            true => self.size.refused(&self.directory),
            false => self.size.look_again(&self.directory),
        };
        if let Some(problem) = self.reported.problem.take() {
            if problem.class == Class::Fatal {
                const OPERATION: &str = "send reply";
                let of_swift = self.swift.producer().fatal(OPERATION);
                return Err(of_swift
                    .or_else(|| self.bulk.fatal(OPERATION))
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

    /// Number of records queued and in flight.
    pub(super) fn in_flight(&self) -> i32 {
        self.swift.producer().in_flight() + self.bulk.under_way()
    }

    fn hand_over_waiting(&mut self) -> Result<(), Error> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.retry_at = None;
        if self.resizing && !self.resize_batches()? {
            return Ok(());
        }
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

    /// Removes the headers that keep a reply from fitting, and counts this.
    fn shrink(&mut self, reply: &mut OwnedReply) {
        if reply.shrink(&self.size, &undelivered(Cause::ReplyTooLarge, &self.topic)) {
            self.tally.add(Cause::ReplyTooLarge);
        }
    }

    /// Creates the producers again for batches of another size. False while the old ones are not done.
    fn resize_batches(&mut self) -> Result<bool, Error> {
        if self.in_flight() > 0 {
            return Ok(false);
        }
        (self.swift, self.bulk) = producers(&self.connection, &self.topic, &self.size)?;
        self.resizing = false;
        let mut again = std::mem::take(&mut self.again);
        let mut waiting = std::mem::take(&mut self.waiting);
        for reply in again.iter_mut().chain(&mut waiting) {
            self.shrink(reply);
        }
        (self.again, self.waiting) = (again, waiting);
        Ok(true)
    }

    /// Takes the counts of replies that went without some of their headers.
    pub(super) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Hands a record to the producer in use. False when the queue stayed full.
    fn enqueue(&mut self, outgoing: Outgoing<'_>) -> Result<bool, Error> {
        if self.switch.used() == Pace::Bulk {
            let mut one = Batch::default();
            one.push(outgoing);
            return self.bulk.hand_over(&mut one).map(|()| true);
        }
        let deadline = Instant::now() + FULL_QUEUE_WAIT;
        let reported = &mut self.reported;
        let taken = self
            .swift
            .produce_until(deadline, outgoing, |report| reported.add(report));
        match taken {
            // After any other refusal the reply waits as for a full queue: the topic may come back, and no reply
            // is dropped.
            Err(error) if error.class != Class::Fatal => {
                warn!(%error, "reply not taken yet");
                Ok(false)
            }
            taken => taken,
        }
    }
}
