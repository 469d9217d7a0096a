//! Reads the state log of one partition in order and believes only what adds up.
//!
//! The compacted head of the log is taken as it comes: compaction has removed older values and all
//! footers but one, so nothing can match before the first footer behind it does. From there on the
//! state is *anchored*, and a batch counts only whole: its records wait until its footer comes, are
//! applied if the state then has the footer's digest, and are skipped and counted if not (a zombie's
//! batch, a torn one). Batches may lie interleaved; each record names its own.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoint::Batch;
use crate::core::NextOffset;
use crate::core::fold::{Entry, Fold};
use crate::core::planted::planted;
use crate::wire::state::{self, BatchId, Content, Footer};

/// What a restore arrived at.
#[derive(Debug, Default)]
pub struct Restored {
    /// The state as of the footer, or as far as it came without one.
    pub fold: Fold,
    /// The last footer that matched.
    pub footer: Option<Footer>,
    /// Records read.
    pub records: u64,
    /// Batches that did not add up after one that did.
    pub skipped_batches: u64,
    /// Keys that skipped batches touched: the owner writes them again, because compaction keeps
    /// the last value of a key, whoever wrote it.
    pub touched: BTreeSet<Vec<u8>>,
}

impl Restored {
    /// The highest ID that any record of the partition spoke of, for a repair.
    pub fn highest_id(&self) -> i64 {
        highest_id(&self.fold)
    }
}

/// The highest ID that a fold knows of.
pub fn highest_id(fold: &Fold) -> i64 {
    let highest = |entry: Entry<'_>| match entry {
        // A defined one counts by rules of its own, and says nothing about the others.
        Entry::Sequence {
            sequence,
            defined: None,
            ..
        } => Some(sequence.highest()),
        Entry::Sequence { .. }
        | Entry::Window { .. }
        | Entry::Sent { .. }
        | Entry::Accepted { .. } => None,
    };
    fold.iter()
        .filter_map(highest)
        .chain([fold.scalars().floor])
        .max()
        .unwrap_or(0)
}

/// Names the records of an undo, which nobody reads as a batch.
const UNDO: BatchId = BatchId {
    writer: 0,
    number: 0,
};

/// Reads one partition's state log; feed it every committed record in offset order.
#[derive(Debug, Default)]
pub struct Restore {
    restored: Restored,
    anchored: bool,
    /// Records of batches that have no footer yet.
    staged: BTreeMap<BatchId, Batch>,
}

impl Restore {
    /// Takes the next record. `header` is the value of [`state::BATCH_HEADER`].
    ///
    /// # Errors
    /// [`state::Error::Version`] when a newer release wrote here. Whatever else cannot be read
    /// belongs to no batch of ours: it is counted as touched.
    pub fn record(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> Result<(), state::Error> {
        self.restored.records += 1;
        let record = match state::decode(key, value, header) {
            Ok(record) => record,
            Err(error @ state::Error::Version(_)) => return Err(error),
            Err(state::Error::Malformed { .. }) => {
                self.restored.touched.insert(key.to_vec());
                return Ok(());
            }
        };
        if !self.anchored {
            self.head(record.content);
            return Ok(());
        }
        let Some(batch) = record.batch else {
            self.restored.touched.insert(key.to_vec());
            return Ok(());
        };
        if let Content::Footer(footer) = record.content {
            let staged = self.staged.remove(&batch).unwrap_or_default();
            self.close(&staged, *footer);
        } else {
            self.staged.entry(batch).or_default().raw(key, value);
        }
        Ok(())
    }

    /// The end of the log is reached.
    pub fn finish(mut self) -> Restored {
        for batch in std::mem::take(&mut self.staged).into_values() {
            self.skip(&batch);
        }
        self.restored
    }

    fn head(&mut self, content: Content<'_>) {
        let fold = &mut self.restored.fold;
        match content {
            Content::Entry(entry) => fold.put(entry),
            Content::Tombstone(key) => fold.remove(key),
            Content::Reset(_) => {
                let touched = std::mem::take(&mut self.restored.touched);
                self.restored = Restored {
                    records: self.restored.records,
                    touched,
                    ..Restored::default()
                };
            }
            Content::Footer(footer) => {
                if fold.digest_with(footer.scalars) == footer.digest {
                    self.anchored = true;
                    self.believe(*footer);
                }
            }
        }
    }

    fn believe(&mut self, footer: Footer) {
        self.restored.fold.set_scalars(footer.scalars);
        self.restored.footer = Some(footer);
    }

    fn close(&mut self, batch: &Batch, footer: Footer) {
        if matches!(batch.iter().next(), Some((state::RESET_KEY, _))) {
            return self.close_reset(batch, footer);
        }
        // A zombie that changed nothing has a digest that matches; its offset betrays it, or its
        // own idea of what was decided once for the whole service. Compaction may have left a
        // zombie's idea only, but nobody gets beyond the beginning before the decision is committed.
        let goes_on = self.restored.footer.as_ref().is_none_or(|last| {
            last.next <= footer.next
                && (last.decided() == footer.decided()
                    || (last.next == NextOffset::ZERO && footer.next > NextOffset::ZERO))
        });
        let mut undo = Batch::default();
        for (key, value) in batch.iter() {
            self.remember(key, &mut undo);
            self.apply(key, value);
        }
        let adds_up = self.restored.fold.digest_with(footer.scalars) == footer.digest;
        if (goes_on && adds_up) || planted!(AnyBatchBelieved) {
            return self.believe(footer);
        }
        for (key, value) in undo.iter().rev() {
            self.apply(key, value);
        }
        self.skip(batch);
    }

    /// A repair replaces everything, provided that it is whole.
    fn close_reset(&mut self, batch: &Batch, footer: Footer) {
        let before = std::mem::take(&mut self.restored.fold);
        for (key, value) in batch.iter() {
            self.apply(key, value);
        }
        if self.restored.fold.digest_with(footer.scalars) == footer.digest {
            self.believe(footer);
        } else {
            self.restored.fold = before;
            self.skip(batch);
        }
    }

    /// Applies one record, which has been decoded before.
    fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let fold = &mut self.restored.fold;
        match state::decode(key, value, None).map(|record| record.content) {
            Ok(Content::Entry(entry)) => fold.put(entry),
            Ok(Content::Tombstone(key)) => fold.remove(key),
            Ok(Content::Reset(_) | Content::Footer(_)) | Err(_) => {}
        }
    }

    /// Writes down what is remembered under a key.
    fn remember(&self, key: &[u8], undo: &mut Batch) {
        let fold = &self.restored.fold;
        let slot = state::entry_key(key).and_then(|key| fold.slot(key));
        match slot.and_then(|slot| fold.entry(slot)) {
            Some(entry) => undo.entry(UNDO, &entry),
            None => undo.tombstone(key),
        }
    }

    fn skip(&mut self, batch: &Batch) {
        self.restored.skipped_batches += 1;
        let keys = batch.iter().map(|(key, _)| key.to_vec());
        self.restored.touched.extend(keys);
    }
}

#[cfg(test)]
mod tests;
