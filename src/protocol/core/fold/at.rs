//! The place and the time of a record, which the fold takes as arguments.

use crate::core::link::{Origin, Position};
use crate::core::position::{Offset, Timestamp};

/// The position of a record, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The record's partition.
    pub partition: u32,
    /// The leader epoch under which the broker appended the record.
    pub leader_epoch: i32,
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: Timestamp,
}

impl At {
    pub(super) fn position(&self) -> Position {
        Position {
            leader_epoch: self.leader_epoch,
            offset: self.offset.0,
        }
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            partition: self.partition,
            offset: self.offset,
        }
    }
}
