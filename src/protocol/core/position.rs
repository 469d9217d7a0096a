//! Positions in a log. "Next offset" is a type of its own, and the `+ 1` happens in one place.

use std::fmt;

/// The offset of a record that exists, in its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// The offset to read next: everything below it has been read. Offsets have holes (transaction markers, aborted
/// records), so the next offset may be more than one above the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub i64);

impl NextOffset {
    /// The beginning of a log from which nothing was ever removed.
    pub const ZERO: NextOffset = NextOffset(0);

    /// The offset to read after the record at `offset`.
    pub const fn after(offset: Offset) -> NextOffset {
        NextOffset(offset.0 + 1)
    }

    /// True when the record at `offset` has been read already.
    pub const fn covers(self, offset: Offset) -> bool {
        offset.0 < self.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's time in milliseconds since 1970, as the broker wrote it (LogAppendTime).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time before any record.
    pub const NONE: Timestamp = Timestamp(-1);
}
