//! The load of a checkpoint, and its limits.

use crate::processor::checkpoint::Checkpoint;

/// When this many entries have changed, a checkpoint is made before its interval ends. While the previous
/// checkpoint is in progress, no record is taken beyond this number. It bounds a transaction and its memory.
pub const CHANGES_MAX: usize = 100_000;

/// The same limit for replies held for one transaction.
pub const HELD_REPLIES_MAX: usize = 100_000;

/// The same limit for bytes of replies held for one transaction (32 MiB).
pub const HELD_BYTES_MAX: usize = 32 << 20;

/// The same limit for ledger records held for one transaction. In `immediate` mode the replies have been sent
/// already, so this limit is what bounds the ledger records between two checkpoints.
pub const LEDGER_RECORDS_MAX: usize = 100_000;

/// The same limit for bytes of ledger records held for one transaction (32 MiB).
pub const LEDGER_BYTES_MAX: usize = 32 << 20;

/// Assumed bytes of a state entry in the log. A sequence has less, a segment of the window ten times as much.
pub(super) const ENTRY_BYTES: usize = 256;

/// Assumed bytes of a record besides its key, value and headers.
const RECORD_BYTES: usize = 64;

/// The content of a checkpoint in numbers.
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

    /// The approximate size of the transaction.
    pub(in crate::processor) fn weight_bytes(self) -> usize {
        self.bytes
            + self.ledger_bytes
            + RECORD_BYTES * (self.replies + self.ledger_records)
            + ENTRY_BYTES * self.entries
    }

    /// True when one of the limits is reached `times` times.
    pub(in crate::processor) fn reaches(self, times: usize) -> bool {
        self.entries >= times * CHANGES_MAX
            || self.replies >= times * HELD_REPLIES_MAX
            || self.bytes >= times * HELD_BYTES_MAX
            || self.ledger_records >= times * LEDGER_RECORDS_MAX
            || self.ledger_bytes >= times * LEDGER_BYTES_MAX
    }
}
