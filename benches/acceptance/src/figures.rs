//! The figures of the scenarios that `sequencer bench` lacks, and their subjects.

use sequencer::bench::figure::Figure;

/// The service, in a scenario that runs it in one way only.
pub const SERVE: &str = "serve";
/// A read of the same records that does not use them.
pub const RAW_READ: &str = "raw read";

/// State records read in a second, compared with a raw read.
pub const RECORDS_RATE: Figure = Figure::Further {
    name: "records/s",
    against: Some(RAW_READ),
};
/// State records read by a restore.
pub const RECORDS: Figure = alone("records read");
/// Duration of a restore.
pub const SECONDS: Figure = alone("seconds");
/// Memory of an idle sequence.
pub const BYTES_PER_SEQUENCE: Figure = alone("bytes/sequence");
/// Duration of a checkpoint.
pub const CHECKPOINT_MS: Figure = alone("checkpoint, ms");
/// State records that a checkpoint writes.
pub const CHECKPOINT_RECORDS: Figure = alone("records/checkpoint");
/// CPU time of the service while it makes checkpoints.
pub const CHECKPOINT_CPU: Figure = alone("CPU, ms/s");
/// The longest wait of a request that was due after an event.
pub const LONGEST_MS: Figure = alone("longest wait, ms");

const fn alone(name: &'static str) -> Figure {
    Figure::Further {
        name,
        against: None,
    }
}
