//! Where the logs come from: Kafka, or a test's own records.

use xxhash_rust::xxh3::xxh3_128;

use crate::kafka;

/// A topic by what it holds; replies by their number in [`super::Plan::replies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The request topic.
    Requests,
    /// The state topic.
    State,
    /// A reply topic.
    Replies(u16),
}

/// A record, as far as anything here looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// The leader epoch that its broker gave it.
    pub leader_epoch: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// The header `sequencer-request-id` of a request.
    pub request_id: Option<&'a [u8]>,
    /// The header `sequencer-forwarded` of a request.
    pub forwarded: Option<&'a [u8]>,
    /// A request's headers name a topic for the reply.
    pub names_topic: bool,
    /// The header of a tombstone in the state topic.
    pub batch: Option<&'a [u8]>,
}

impl Record<'_> {
    /// What a footer remembers of the last record that it covers.
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
    /// The first offset that there can be.
    pub start: i64,
    /// The offset behind the last.
    pub end: i64,
}

/// Whether to go on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// That is enough.
    Stop,
}

/// Reads committed records of logs. Nothing is written, no group is joined.
pub trait Logs {
    /// How many partitions a topic has.
    ///
    /// # Errors
    /// It cannot be asked for now.
    fn partitions(&self, topic: Topic) -> Result<u32, kafka::error::Error>;

    /// Start and end of a partition.
    ///
    /// # Errors
    /// They cannot be asked for now.
    fn extent(&self, topic: Topic, partition: u32) -> Result<Extent, kafka::error::Error>;

    /// Where a partition ends, open transactions included.
    ///
    /// # Errors
    /// It cannot be asked for now.
    fn high_watermark(&self, topic: Topic, partition: u32) -> Result<i64, kafka::error::Error> {
        Ok(self.extent(topic, partition)?.end)
    }

    /// The committed records of a range, in order.
    ///
    /// # Errors
    /// It cannot be read now, or not any more.
    fn read(
        &self,
        topic: Topic,
        partition: u32,
        range: Extent,
        on: &mut dyn FnMut(&Record<'_>) -> Flow,
    ) -> Result<(), kafka::error::Error>;
}
