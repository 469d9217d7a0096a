//! The Kafka calls that only the command line uses: asking as a client does, writing a repair, measuring.

pub mod measure;
pub mod repair;
pub mod requester;

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::clients::Connection;
use crate::kafka::consumer::Reader;
use crate::kafka::error::Error;

/// The longest time for one call. Brokers answer in milliseconds or are away.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// A reader that sees all records, also those of aborted transactions.
///
/// # Errors
/// A configuration that librdkafka refuses.
pub fn reader_of_everything(connection: &Connection) -> Result<Reader, Error> {
    let mut config = connection.reader();
    config.set("isolation.level", "read_uncommitted");
    Reader::new(&config)
}

/// Kilobytes that [`reader_of_much`] fetches ahead. This is enough to keep reading while records are looked at,
/// and a fraction of a memory budget for millions of them.
const AHEAD_KBYTES: &str = "32768";

/// A reader of whole topics within a memory budget: the bytes that it fetches ahead are limited.
///
/// # Errors
/// A configuration that librdkafka refuses.
pub fn reader_of_much(connection: &Connection) -> Result<Reader, Error> {
    let mut config = connection.reader();
    config.set("queued.max.messages.kbytes", AHEAD_KBYTES);
    Reader::new(&config)
}

/// Bytes of one fetch of [`reader_of_little`]: some hundred records. A broker returns at least one whole batch,
/// also if it is larger.
const LITTLE_BYTES: &str = "65536";

/// A reader of a few records at many places. It fetches few records that are not needed.
///
/// # Errors
/// A configuration that librdkafka refuses.
pub fn reader_of_little(connection: &Connection) -> Result<Reader, Error> {
    let mut config = connection.reader();
    config.set("fetch.message.max.bytes", LITTLE_BYTES);
    config.set("queued.min.messages", "1");
    Reader::new(&config)
}

/// The first offset of a partition whose record has this time or a later one; none when no such record exists.
///
/// # Errors
/// No answer in time.
pub fn offset_at(
    reader: &Reader,
    topic: &str,
    partition: i32,
    time_ms: i64,
) -> Result<Option<i64>, Error> {
    const OPERATION: &str = "ask for the offset of a time";
    let mut asked = TopicPartitionList::with_capacity(1);
    asked
        .add_partition_offset(topic, partition, Offset::Offset(time_ms))
        .map_err(|error| Error::from_kafka(OPERATION, &error))?;
    let answered = reader
        .consumer()
        .offsets_for_times(asked, CALL_DEADLINE)
        .map_err(|error| Error::from_kafka(OPERATION, &error).about(topic))?;
    Ok(match answered.find_partition(topic, partition) {
        Some(found) => match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        },
        None => None,
    })
}

/// Start and end of a partition in the reader's isolation level. A reader that has asked for them knows the
/// topic, and begins to read it at once. Otherwise it begins with librdkafka's next look at unknown topics, up
/// to a second later.
///
/// # Errors
/// No answer in time.
pub fn extent(reader: &Reader, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
    let consumer = reader.consumer();
    consumer
        .fetch_watermarks(topic, partition, CALL_DEADLINE)
        .map_err(|error| {
            Error::from_kafka("ask for the ends of a log", &error)
                .about(&format!("{topic}-{partition}"))
        })
}
