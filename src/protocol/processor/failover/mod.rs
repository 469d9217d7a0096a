//! Which peers are gone, which instance evicts them, and when it is better to wait. All of this is decided
//! without a clock and without Kafka.
//!
//! The group decides who owns a partition; nothing here does. An eviction is a session time-out that comes
//! sooner. A wrong eviction costs a rebalance and never an ID. So the aim of these rules is to be wrong
//! rarely.
//!
//! | room | subject |
//! |---|---|
//! | [`heartbeat`] | the content of a heartbeat, and the interval |
//! | [`observer`] | which peers are alive, which are silent, and whether this process is fit to judge |
//! | [`order`] | which instance acts first |
//! | [`namesake`] | another process with the same `instance_id` |
//! | [`patience`] | the longer silence that an instance asks for after it was evicted alive |
//!
//! Times are milliseconds of one monotonic clock of this process.

pub mod heartbeat;
pub mod namesake;
pub mod observer;
pub mod order;
pub mod patience;

/// A silence of this number of intervals is too short to mean anything.
pub const SILENT_INTERVALS: u64 = 4;
