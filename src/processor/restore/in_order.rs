//! The first reading alone: everything in order, and nothing is kept to go back to.
//!
//! Nearly every log is like this: one writer after another, each batch complete and in its place. Then the
//! other readings add nothing, and the data that they need (the value that each record replaced) would be most
//! of the work of a restore. Anything that they could judge otherwise is a doubt here, and ends this reading:
//! [`Restore`](super::Restore) reads the log again.

use std::collections::BTreeSet;

use super::Restored;
use crate::wire::state::{self, BatchId, Content, Footer, Reset};

/// Reads one partition's state log while it leaves no doubt.
#[derive(Debug, Default)]
pub struct InOrder {
    restored: Restored,
    anchored: bool,
    doubtful: bool,
    /// The batch of the last entry.
    last: Option<BatchId>,
    /// True until the footer of this batch comes.
    open: bool,
    /// The writers before the last batch's writer, one for each run of an owner.
    earlier: BTreeSet<u64>,
}

impl InOrder {
    /// Takes the next record, as [`Restore::record`](super::Restore::record) does.
    ///
    /// # Errors
    /// [`state::Error::Version`] when a newer release wrote the record.
    pub fn record(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> Result<(), state::Error> {
        let Some(record) = self.restored.read(key, value, header)? else {
            return Ok(());
        };
        match (record.content, record.batch) {
            (Content::Footer(footer), Some(batch)) => self.close(batch, *footer),
            (Content::Reset(reset), _) if !self.anchored => self.begin_again(reset),
            (Content::Entry(entry), Some(batch)) => {
                self.note(batch);
                self.restored.fold.put(entry);
            }
            (Content::Tombstone(key), Some(batch)) => {
                self.note(batch);
                self.restored.fold.remove(key);
            }
            // A repair in the middle of a log, or a record without a batch.
            (Content::Reset(_), _) | (_, None) => self.doubtful = true,
        }
        Ok(())
    }

    /// True once another reading might see more: no more records need to be fed.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Ends the restore at the end of the log. None in doubt.
    pub fn finish(self) -> Option<Restored> {
        // A last batch without a footer must be undone, which needs the values that it replaced.
        let whole = !(self.anchored && self.open);
        (whole && !self.doubtful).then_some(self.restored)
    }

    /// Notes an entry of this batch. Its writer must not have been replaced, and its batches must not be out of
    /// order or interleaved.
    fn note(&mut self, batch: BatchId) {
        match self.last {
            Some(last) if last == batch => {}
            Some(last) if last.writer == batch.writer => {
                self.doubtful |= batch.number < last.number || (self.anchored && self.open);
            }
            Some(last) => {
                self.earlier.insert(last.writer);
                self.doubtful |=
                    self.earlier.contains(&batch.writer) || (self.anchored && self.open);
            }
            None => {}
        }
        self.last = Some(batch);
        self.open = true;
    }

    fn close(&mut self, batch: BatchId, footer: Footer) {
        // In a compacted head the footer of the open batch may be gone.
        let is_own = !self.anchored || !self.open || self.last == Some(batch);
        self.open = false;
        if is_own && self.restored.goes_on(&footer) && self.restored.adds_up(&footer) {
            self.anchored = true;
            self.restored.believe(batch, footer);
            return;
        }
        // Before the first footer that adds up, compaction explains one that does not, unless another writer
        // came in between.
        self.doubtful |= self.anchored || self.earlier.contains(&batch.writer);
    }

    fn begin_again(&mut self, reset: Reset) {
        self.restored.begin_again(reset);
        self.last = None;
        self.open = false;
        self.earlier.clear();
    }
}
