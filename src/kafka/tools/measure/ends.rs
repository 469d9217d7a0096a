//! The growth of a topic, with one question for all its partitions.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::CALL_DEADLINE;
use super::{isolation, reading};
use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};

const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The ends of a topic's partitions.
pub struct Ends {
    consumer: Authenticated<BaseConsumer<Context>>,
    list: TopicPartitionList,
}

impl Ends {
    /// Asks for the ends of a topic. With `committed`, these are the ends for readers of committed records.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or a topic that does not exist.
    pub fn new(
        connection: &Connection,
        topic: &str,
        partitions: u32,
        committed: bool,
    ) -> Result<Ends, Error> {
        const OPERATION: &str = "ask for the ends of a topic";
        let failed = |error| Error::from_kafka(OPERATION, &error).about(topic);
        let consumer: Authenticated<BaseConsumer<Context>> =
            reading(connection, isolation(committed), "100").create(OPERATION, Context)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            list.add_partition_offset(topic, partition, Offset::End)
                .map_err(failed)?;
        }
        let ends = Ends { consumer, list };
        // The first question connects. Later ones take a round trip.
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
                // The leaders of a new topic may not know it yet.
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
        // This sends one request to each broker. The timestamp of "end" stands for the end.
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
