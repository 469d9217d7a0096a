//! How far a topic has grown, in one question for all its partitions; and how fast it can be read.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::CALL_DEADLINE;
use super::source::Source;
use super::{isolation, reading};
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};

/// How long nothing may come before a raw read is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The ends of a topic's partitions.
pub struct Ends {
    consumer: BaseConsumer<Context>,
    list: TopicPartitionList,
}

impl Ends {
    /// With `committed`, as far as readers of committed records see.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or a topic that is not there.
    pub fn new(
        connection: &Connection,
        topic: &str,
        partitions: u32,
        committed: bool,
    ) -> Result<Ends, Error> {
        let failed = |error| Error::from_kafka("ask for the ends of a topic", &error).about(topic);
        let consumer: BaseConsumer<Context> = reading(connection, isolation(committed), "100")
            .create_with_context(Context)
            .map_err(failed)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            list.add_partition_offset(topic, partition, Offset::End)
                .map_err(failed)?;
        }
        let ends = Ends { consumer, list };
        // The first question connects; later ones take a round trip.
        ends.total()?;
        Ok(ends)
    }

    /// The sum of the ends.
    ///
    /// # Errors
    /// No answer in time.
    pub fn total(&self) -> Result<u64, Error> {
        let began = Instant::now();
        loop {
            match self.ask() {
                // The leaders of a topic that is new may not have heard of it.
                Err(error)
                    if error.class == Class::Retriable && began.elapsed() < CALL_DEADLINE =>
                {
                    std::thread::sleep(RETRY_PAUSE);
                }
                answer => return answer,
            }
        }
    }

    fn ask(&self) -> Result<u64, Error> {
        const OPERATION: &str = "ask for the ends of a topic";
        // One request to each broker; the time "end" means the end.
        let ends = self
            .consumer
            .offsets_for_times(self.list.clone(), CALL_DEADLINE)
            .map_err(|error| Error::from_kafka(OPERATION, &error))?;
        let mut total = 0;
        for element in ends.elements() {
            element
                .error()
                .map_err(|error| Error::from_kafka(OPERATION, &error))?;
            if let Offset::Offset(end) = element.offset() {
                total += u64::try_from(end).unwrap_or(0);
            }
        }
        Ok(total)
    }
}

/// What a raw read found.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Records.
    pub records: u64,
    /// From the first question to the last record.
    pub took: Duration,
}

/// Reads what is committed of a topic, from its beginning to its end, and does nothing with it.
///
/// # Errors
/// Nothing came for a while, or the client is of no more use.
pub fn read(connection: &Connection, topic: &str, partitions: u32) -> Result<Read, Error> {
    let began = Instant::now();
    let mut source = Source::new(
        &reading(connection, "read_committed", "10"),
        topic,
        partitions,
    )?;
    let (mut records, mut ended) = (0, std::collections::BTreeSet::new());
    let mut last = began;
    loop {
        let mut seen = 0_usize;
        let mut on = |found: super::source::Found<'_>| {
            seen += 1;
            if found.end {
                ended.insert(found.partition);
            } else {
                records += 1;
            }
        };
        if source.batch(&mut on)? == 0 {
            source.next(POLL, &mut on)?;
        }
        if seen > 0 {
            last = Instant::now();
        }
        if ended.len() >= usize::try_from(partitions).unwrap_or(usize::MAX) {
            break;
        }
        if last.elapsed() > SILENCE_MAX {
            let message = format!("nothing came for {} s", SILENCE_MAX.as_secs());
            return Err(Error::own("read", Class::Retriable, message).about(topic));
        }
    }
    Ok(Read {
        records,
        took: last - began,
    })
}
