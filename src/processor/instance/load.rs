//! How much a checkpoint holds, and how much it may.

use crate::processor::checkpoint::Checkpoint;

/// Entries that may change before a checkpoint is made whatever the interval says, and beyond which
/// no record is taken while the previous one is under way: bounds a transaction and its memory.
pub const CHANGES_MAX: usize = 100_000;

/// Replies held for one transaction, likewise.
pub const HELD_REPLIES_MAX: usize = 100_000;

/// Bytes of replies held for one transaction, likewise (32 MiB).
pub const HELD_BYTES_MAX: usize = 32 << 20;

/// Ledger records held for one transaction, likewise. In `immediate` mode the replies are out already, so
/// this is what bounds them between two checkpoints.
pub const LEDGER_RECORDS_MAX: usize = 100_000;

/// Bytes of ledger records held for one transaction, likewise (32 MiB).
pub const LEDGER_BYTES_MAX: usize = 32 << 20;

/// Assumed bytes of a state entry in the log: a sequence has less, a segment of the
/// window ten times as much.
pub(super) const ENTRY_BYTES: usize = 256;

/// Assumed bytes of a record besides key, value and headers.
const RECORD_BYTES: usize = 64;

/// What a checkpoint holds or will hold.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::processor) struct Load {
    pub(in crate::processor) entries: usize,
    pub(in crate::processor) replies: usize,
    pub(in crate::processor) bytes: usize,
    pub(in crate::processor) ledger_records: usize,
    pub(in crate::processor) ledger_bytes: usize,
}

impl Load {
    pub(in crate::processor) fn of(checkpoint: &Checkpoint) -> Load {
        let sections = checkpoint.sections.iter();
        sections.fold(Load::default(), |load, section| {
            load.plus(Load {
                entries: section.slots.len(),
                replies: section.replies.len(),
                bytes: section.replies.bytes(),
                ledger_records: section.ledger.len(),
                ledger_bytes: section.ledger.bytes(),
            })
        })
    }

    pub(in crate::processor) fn plus(self, other: Load) -> Load {
        Load {
            entries: self.entries + other.entries,
            replies: self.replies + other.replies,
            bytes: self.bytes + other.bytes,
            ledger_records: self.ledger_records + other.ledger_records,
            ledger_bytes: self.ledger_bytes + other.ledger_bytes,
        }
    }

    /// The approximate size of its transaction.
    pub(in crate::processor) fn weight_bytes(self) -> usize {
        self.bytes
            + self.ledger_bytes
            + RECORD_BYTES * (self.replies + self.ledger_records)
            + ENTRY_BYTES * self.entries
    }

    /// True when one of the limits is reached so many times.
    pub(in crate::processor) fn reaches(self, times: usize) -> bool {
        self.entries >= times * CHANGES_MAX
            || self.replies >= times * HELD_REPLIES_MAX
            || self.bytes >= times * HELD_BYTES_MAX
            || self.ledger_records >= times * LEDGER_RECORDS_MAX
            || self.ledger_bytes >= times * LEDGER_BYTES_MAX
    }
}
