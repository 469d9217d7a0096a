//! The floor: the cost of a consume and a produce, and nothing else.
//!
//! It does what the service does (the configuration of its clients, produce through a topic handle, delivery
//! reports from the queue), and also what the service could do. A weak floor would be a false result, so each
//! [`Pace`] is tried with each [`Take`], and the fastest counts.

use std::time::Duration;

use super::source::{Found, Source};
use crate::kafka::clients::Connection;
use crate::kafka::engine::{BUSY_WAIT, IDLE_WAIT};
use crate::kafka::error::Error;
use crate::kafka::produce::{Batch, Enqueued, Outgoing, Producer, Report, Topic};
use crate::kafka::replies::{BACKLOG_REPLIES, BATCH_REPLIES};
use crate::wire::headers::Block;

/// With records taken one by one, the number of records before the delivery reports are served.
const RECORDS_MAX: usize = 2_000;

/// The choice between the service's two producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The producer that sends each record at once.
    Swift,
    /// The producer that fills batches first.
    Bulk,
    /// As the service: the second producer when there is a backlog.
    Adaptive,
}

impl Pace {
    /// All choices.
    pub const ALL: [Pace; 3] = [Pace::Swift, Pace::Bulk, Pace::Adaptive];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Pace::Swift => "swift",
            Pace::Bulk => "bulk",
            Pace::Adaptive => "adaptive",
        }
    }
}

/// The way to take records from the consumer's queue and hand them to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// One by one.
    Each,
    /// Many in one call.
    Batch,
}

impl Take {
    /// All ways.
    pub const ALL: [Take; 2] = [Take::Each, Take::Batch];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Take::Each => "each",
            Take::Batch => "batch",
        }
    }
}

/// The options of an echo.
#[derive(Clone, Debug)]
pub struct Options {
    /// The topic to read.
    pub from: String,
    /// The topic to write, with as many partitions.
    pub to: String,
    /// The number of partitions.
    pub partitions: u32,
    /// A body that is written instead of each value. None to repeat the value.
    pub body: Option<Vec<u8>>,
    /// The producer.
    pub pace: Pace,
    /// The way to take records.
    pub take: Take,
}

/// Echoes until `stop` returns true.
///
/// # Errors
/// A record is not acknowledged, or a client is no longer usable.
pub fn run(
    connection: &Connection,
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let mut config = connection.group_consumer();
    // A floor handles no rebalance and reports no lag. Only memory limits how far ahead it may fetch. Fetching
    // far ahead made it a quarter faster.
    config
        .set("auto.offset.reset", "earliest")
        .set("statistics.interval.ms", "0")
        .set("queued.min.messages", "100000")
        .set("fetch.message.max.bytes", "1048576")
        .set("fetch.max.bytes", "52428800");
    let mut source = Source::new(&config, &options.from, options.partitions)?;
    let mut writer = Writer::new(connection, options)?;
    while !stop() {
        writer.reports()?;
        let queued = writer.queued();
        let bulk = match options.pace {
            Pace::Swift => false,
            Pace::Bulk => true,
            Pace::Adaptive => queued > BACKLOG_REPLIES,
        };
        let wait = if queued > 0 { BUSY_WAIT } else { IDLE_WAIT };
        let mut result = Ok(());
        let mut on = |found: Found<'_>| {
            if !found.end
                && let Err(error) = writer.write(found, bulk)
            {
                result = Err(error);
            }
        };
        match options.take {
            Take::Each => {
                let mut wait = wait;
                for _ in 0..RECORDS_MAX {
                    if !source.next(wait, &mut on)? {
                        break;
                    }
                    wait = Duration::ZERO;
                }
            }
            Take::Batch => {
                if source.batch(&mut on)? == 0 {
                    source.next(wait, &mut on)?;
                }
            }
        }
        result?;
        writer.flush(bulk)?;
    }
    Ok(())
}

struct Writer {
    swift: Topic,
    bulk: Topic,
    body: Option<Vec<u8>>,
    take: Take,
    batch: Batch,
}

impl Writer {
    fn new(connection: &Connection, options: &Options) -> Result<Writer, Error> {
        Ok(Writer {
            swift: Producer::new(&connection.reply_producer())?.topic(&options.to)?,
            bulk: Producer::new(&connection.bulk_reply_producer())?.topic(&options.to)?,
            body: options.body.clone(),
            take: options.take,
            batch: Batch::default(),
        })
    }

    fn queued(&self) -> i32 {
        self.swift.producer().in_flight() + self.bulk.producer().in_flight()
    }

    fn write(&mut self, found: Found<'_>, bulk: bool) -> Result<(), Error> {
        let outgoing = Outgoing {
            partition: found.partition,
            key: found.key,
            value: self.body.as_deref().or(found.value),
            headers: Block::EMPTY,
            opaque: 0,
        };
        if self.take == Take::Each {
            return self.produce(outgoing, bulk);
        }
        self.batch.push(outgoing);
        if self.batch.len() >= BATCH_REPLIES {
            self.flush(bulk)?;
        }
        Ok(())
    }

    fn produce(&self, outgoing: Outgoing<'_>, bulk: bool) -> Result<(), Error> {
        let topic = self.topic(bulk);
        while topic.produce(outgoing)? == Enqueued::QueueFull {
            serve(topic.producer(), BUSY_WAIT)?;
        }
        Ok(())
    }

    fn flush(&mut self, bulk: bool) -> Result<(), Error> {
        let mut batch = std::mem::take(&mut self.batch);
        let mut result = Ok(());
        let topic = self.topic(bulk);
        topic.produce_all(&mut batch, |record, _| {
            if result.is_ok() {
                result = self.produce(record, bulk);
            }
        });
        self.batch = batch;
        result
    }

    fn topic(&self, bulk: bool) -> &Topic {
        if bulk { &self.bulk } else { &self.swift }
    }

    fn reports(&self) -> Result<(), Error> {
        let mut refused = None;
        for topic in [&self.swift, &self.bulk] {
            topic.producer().serve_ready(Duration::ZERO, |report| {
                refused = report.result.err().or(refused.take());
            });
        }
        refused.map_or(Ok(()), Err)
    }
}

fn serve(producer: &Producer, wait: Duration) -> Result<bool, Error> {
    let mut refused = None;
    let served = producer.serve(wait, |report: Report<'_>| {
        if let Err(error) = report.result {
            refused = Some(error);
        }
    });
    refused.map_or(Ok(served), Err)
}
