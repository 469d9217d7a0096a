//! Produces through a topic handle, and serves delivery reports: one call for each record, without a look-up of
//! the topic's name, an allocation or a lock.
//!
//! | file | subject |
//! |---|---|
//! | `producer` | a producer, which its topics keep alive |
//! | `topic` | records in, one by one |
//! | `batch` | records in, many in one call |
//! | `reports` | what became of them |
//! | `open` | the topics that clients name |
//! | `size` | the largest batch that a topic takes |
//!
//! rust-rdkafka's own poll spins through the last millisecond of its timeout, and wraps each report for a
//! callback. Both showed in profiles.

mod batch;
mod open;
mod producer;
mod reports;
mod size;
mod topic;

use crate::wire::headers::Block;

pub use batch::Batch;
pub use open::OpenTopics;
pub use producer::Producer;
pub use reports::Report;
pub use size::{BATCH_OVERHEAD_BYTES, BatchSize, RECORD_OVERHEAD_BYTES};
pub use topic::Topic;

/// The operation in errors of this room.
const OPERATION: &str = "produce";

/// A record to be produced.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The record's partition.
    pub partition: i32,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: Block<'a>,
    /// A number that comes back with the report.
    pub opaque: usize,
}

/// Whether the producer took a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The record is in the queue. A delivery report will follow.
    Yes,
    /// The producer's queue is full. Serve its reports, then try again.
    QueueFull,
}
