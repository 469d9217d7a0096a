//! The rebalance that waits for an answer, and the revoke that has not been polled yet.

use std::collections::BTreeMap;

/// The rebalance that was handed out.
#[derive(Debug)]
pub(super) enum Rebalance {
    /// No rebalance waits for an answer.
    Settled,
    Assigning,
    Revoking {
        /// True when the partitions are gone already.
        lost: bool,
        /// The partitions to start once the revoke is answered, and from which offset. Starting them now would
        /// answer it.
        restart: BTreeMap<i32, i64>,
    },
}

/// The next revoke, before it is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unpolled {
    /// If a revoke comes, it waits for its answer.
    Open,
    /// A revoke may be in the queue, and may have been answered already.
    Answered,
    /// The assignment was lost, and the revoke that says so will come.
    Lost,
}
