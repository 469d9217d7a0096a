//! One partition of a ledger.

use crate::kafka::clients::Connection;
use crate::kafka::consumer::{Flow, Reader};
use crate::kafka::error::Error;
use crate::kafka::tools;

/// A record of the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    /// The record's offset.
    pub offset: i64,
    /// The record's key: the name of the sequence.
    pub key: &'a [u8],
    /// The record's value: the page.
    pub value: &'a [u8],
}

/// The place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The partition of the ledger.
    pub partition: i32,
    /// The record's offset there.
    pub offset: i64,
}

/// One partition of a ledger, or several that are read as one; committed records only.
pub(crate) trait Ledger {
    /// The first possible offset, and one past the last offset.
    ///
    /// # Errors
    /// The broker does not answer now.
    fn extent(&self) -> Result<(i64, i64), Error>;

    /// Reads the records of a range, in order.
    ///
    /// # Errors
    /// The range cannot be read now, or no longer exists.
    fn read(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error>;

    /// The same for a range that the caller will read to its end.
    ///
    /// # Errors
    /// The same as [`Ledger::read`].
    fn scan(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        self.read(from, to, on)
    }

    /// The first offset whose record was written at this time or later, in milliseconds since 1970. The end of
    /// the ledger when there is none.
    ///
    /// # Errors
    /// The broker does not answer now.
    fn at_time(&self, time_ms: i64) -> Result<i64, Error>;

    /// The place of an offset that this ledger has named.
    fn place(&self, offset: i64) -> Place;

    /// The partitions that this ledger reads, in order.
    fn partitions(&self) -> Vec<i32>;

    /// The begins of partitions that have lost records, as far as they are known.
    fn gone(&self) -> Vec<Place>;
}

/// A partition of a cluster's ledger.
pub(crate) struct Live {
    /// Fetches little at a time, for searches.
    near: Reader,
    /// Fetches ahead, for scans.
    far: Reader,
    /// Sees the end of the log without regard to transactions. A record that was acknowledged before may still
    /// wait for its marker, and a reader of committed records waits for the marker.
    uncommitted: Reader,
    topic: String,
    partition: i32,
}

/// A scan of a longer range than this fetches ahead.
const NEAR_OFFSETS: i64 = 100_000;

impl Live {
    /// Creates the readers. They send no request yet.
    ///
    /// # Errors
    /// A configuration that the client library refuses.
    pub(crate) fn new(connection: &Connection, topic: &str, partition: i32) -> Result<Live, Error> {
        Ok(Live {
            near: tools::reader_of_little(connection)?,
            far: tools::reader_of_much(connection)?,
            uncommitted: Reader::new(&connection.uncommitted())?,
            topic: topic.to_owned(),
            partition,
        })
    }

    fn read_with(
        &self,
        reader: &Reader,
        from: i64,
        to: i64,
        on: &mut dyn FnMut(Raw<'_>) -> Flow,
    ) -> Result<(), Error> {
        reader.read(&self.topic, self.partition, from, to, |record| {
            on(Raw {
                offset: record.offset,
                key: record.key.unwrap_or_default(),
                value: record.value.unwrap_or_default(),
            })
        })
    }
}

impl Ledger for Live {
    fn extent(&self) -> Result<(i64, i64), Error> {
        tools::extent(&self.uncommitted, &self.topic, self.partition)
    }

    fn read(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        self.read_with(&self.near, from, to, on)
    }

    fn scan(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        let reader = if to - from > NEAR_OFFSETS {
            &self.far
        } else {
            &self.near
        };
        self.read_with(reader, from, to, on)
    }

    fn at_time(&self, time_ms: i64) -> Result<i64, Error> {
        let found = tools::offset_at(&self.near, &self.topic, self.partition, time_ms)?;
        match found {
            Some(offset) => Ok(offset),
            None => Ok(self.extent()?.1),
        }
    }

    fn place(&self, offset: i64) -> Place {
        Place {
            partition: self.partition,
            offset,
        }
    }

    fn partitions(&self) -> Vec<i32> {
        vec![self.partition]
    }

    fn gone(&self) -> Vec<Place> {
        Vec::new()
    }
}
