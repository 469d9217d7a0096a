//! Who is gone, who says so, and when it is better to wait: decided without a clock and without Kafka.
//!
//! Nothing here decides who owns a partition; the group does. An eviction is a session time-out that comes
//! sooner, and a wrong one costs a rebalance and never an ID. So all of this is about being seldom wrong.
//!
//! | room | subject |
//! |---|---|
//! | [`heartbeat`] | what an instance says of itself, and how often |
//! | [`observer`] | who was heard, who is silent, and whether this process is fit to judge |
//! | [`order`] | who acts first |
//! | [`namesake`] | another process with the same `instance_id` |
//! | [`patience`] | how an instance that was evicted alive asks for more of it |
//!
//! Times are milliseconds of one monotonic clock of this process.

pub mod heartbeat;
pub mod namesake;
pub mod observer;
pub mod order;
pub mod patience;

/// Silence that is too short to mean anything: so many heartbeats may be late.
pub const SILENT_INTERVALS: u64 = 4;
