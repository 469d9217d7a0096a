//! How logs are read. The promises depend on it, so this file decides it, and `src/kafka` obeys.

use crate::core::planted::planted;

/// How a client treats open and aborted transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The client sees their records, and the offsets from before them. The end of a log is its high watermark.
    Uncommitted,
    /// The client does not see their records, and waits for the offsets in them. The end of a log is its last stable
    /// offset.
    Committed,
}

impl View {
    /// The value of Kafka's `isolation.level`.
    pub const fn isolation_level(self) -> &'static str {
        match self {
            View::Uncommitted => "read_uncommitted",
            View::Committed => "read_committed",
        }
    }
}

/// T2: the bound of a takeover is the high watermark, because the last transaction of the previous
/// owner may be prepared and not yet visible.
pub fn bound_view() -> View {
    if planted!(StableOffsetAsBound) {
        return View::Committed;
    }
    View::Uncommitted
}

/// The view of a restore on state and committed offset. The offset may be that of answers without a footer. As long as
/// a transaction that the previous owner has sent offsets to is undecided or has no marker, the offset before it would
/// have its answers sent again.
pub fn committed_view() -> View {
    if planted!(UnstableOffset) {
        return View::Uncommitted;
    }
    View::Committed
}

/// T8: a request in an aborted transaction takes no ID.
pub fn requests_view() -> View {
    if planted!(UncommittedRequests) {
        return View::Uncommitted;
    }
    View::Committed
}

/// The behaviour of a consumer when the log has no record at its read offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// The consumer reports an error.
    Error,
    /// The consumer goes on at the start of the log.
    Earliest,
}

impl OffsetReset {
    /// The value of Kafka's `auto.offset.reset`.
    pub const fn as_str(self) -> &'static str {
        match self {
            OffsetReset::Error => "error",
            OffsetReset::Earliest => "earliest",
        }
    }
}

/// I6: librdkafka would otherwise seek silently after a truncation.
pub fn offset_reset() -> OffsetReset {
    if planted!(ResetToEarliest) {
        return OffsetReset::Earliest;
    }
    OffsetReset::Error
}
