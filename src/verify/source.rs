//! The source of the logs: Kafka, or a test's own records.

use xxhash_rust::xxh3::xxh3_128;

/// The reason why a log cannot be read, in the words of its source.
pub type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// A topic by its content. Reply topics are identified by their number in [`crate::Options::replies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The request topic.
    Requests,
    /// The state topic.
    State,
    /// A reply topic.
    Replies(u16),
}

/// A record with the fields that the checker reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// The leader epoch under which the broker appended the record.
    pub leader_epoch: i32,
    /// The record's offset.
    pub offset: i64,
    /// The record's time in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The header `sequencer-request-id` of a request.
    pub request_id: Option<&'a [u8]>,
    /// The header `sequencer-forwarded` of a request.
    pub forwarded: Option<&'a [u8]>,
    /// True when a request's headers name a topic for the reply.
    pub names_topic: bool,
    /// The header of a tombstone in the state topic.
    pub batch: Option<&'a [u8]>,
}

impl Record<'_> {
    /// The fingerprint that a footer stores of the last record that it covers.
    pub fn fingerprint(&self) -> u128 {
        let part = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => xxh3_128(bytes).rotate_left(1),
            None => 1,
        };
        let key = part(self.key).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        key.wrapping_add(part(self.value)) ^ u128::from(self.timestamp_ms.cast_unsigned())
    }
}

/// Start and end of a partition, committed records only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first possible offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
}

/// The decision of a reader after each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on with the next record.
    Continue,
    /// End the read.
    Stop,
}

/// Reads committed records of logs. It writes nothing, and joins no group.
pub trait Logs {
    /// The number of partitions of a topic.
    ///
    /// # Errors
    /// The number cannot be read now.
    fn partitions(&self, topic: Topic) -> Result<u32, ReadError>;

    /// Start and end of a partition.
    ///
    /// # Errors
    /// The extent cannot be read now.
    fn extent(&self, topic: Topic, partition: u32) -> Result<Extent, ReadError>;

    /// The end of a partition, open transactions included.
    ///
    /// # Errors
    /// The extent cannot be read now.
    fn high_watermark(&self, topic: Topic, partition: u32) -> Result<i64, ReadError> {
        Ok(self.extent(topic, partition)?.end)
    }

    /// Reads the committed records of a range, in order.
    ///
    /// # Errors
    /// The range cannot be read now, or no longer exists.
    fn read(
        &self,
        topic: Topic,
        partition: u32,
        range: Extent,
        on: &mut dyn FnMut(&Record<'_>) -> Flow,
    ) -> Result<(), ReadError>;
}
