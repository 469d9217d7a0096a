//! Reads the state log of one partition in order and believes only what adds up.
//!
//! The compacted head of the log is taken as it comes: compaction has removed older values and all
//! footers but one, so nothing can match before the first footer behind it does. From there on the
//! state is *anchored*, and a batch counts only whole: its records wait until its footer comes, are
//! applied if the state then has the footer's digest, and are skipped and counted if not (a zombie's
//! batch, a torn one). Batches may lie interleaved; each record names its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::fold::{Entry, EntryKey, Fold};
use crate::core::sequence::Sequence;
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
        let sequences = (0..self.fold.len()).filter_map(|slot| self.fold.entry(slot));
        sequences
            .map(|Entry::Sequence { sequence, .. }| sequence.next() - 1)
            .chain([self.fold.scalars().floor])
            .max()
            .unwrap_or(0)
    }
}

/// One record of a batch that has no footer yet.
#[derive(Debug)]
enum Staged {
    Put(Box<str>, Sequence),
    Remove(Box<str>),
    Reset,
}

/// Reads one partition's state log; feed it every committed record in offset order.
#[derive(Debug, Default)]
pub struct Restore {
    restored: Restored,
    anchored: bool,
    staged: BTreeMap<BatchId, Vec<Staged>>,
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
        let staged = match record.content {
            Content::Footer(footer) => {
                let batch = self.staged.remove(&batch).unwrap_or_default();
                self.close(batch, *footer);
                return Ok(());
            }
            Content::Entry(Entry::Sequence { name, sequence }) => {
                Staged::Put(name.into(), sequence)
            }
            Content::Tombstone(EntryKey::Sequence(name)) => Staged::Remove(name.into()),
            Content::Reset(_) => Staged::Reset,
        };
        self.staged.entry(batch).or_default().push(staged);
        Ok(())
    }

    /// The end of the log is reached.
    pub fn finish(mut self) -> Restored {
        for batch in std::mem::take(&mut self.staged).into_values() {
            self.skip(batch);
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

    fn close(&mut self, batch: Vec<Staged>, footer: Footer) {
        if matches!(batch.first(), Some(Staged::Reset)) {
            return self.close_reset(batch, footer);
        }
        // A zombie that changed nothing has a digest that matches; its offset betrays it.
        let goes_on = self
            .restored
            .footer
            .as_ref()
            .is_none_or(|last| last.next <= footer.next);
        let undo: Vec<Option<Sequence>> = batch.iter().map(|staged| self.apply(staged)).collect();
        if goes_on && self.restored.fold.digest_with(footer.scalars) == footer.digest {
            return self.believe(footer);
        }
        for (staged, before) in batch.iter().zip(undo).rev() {
            let (Staged::Put(name, _) | Staged::Remove(name)) = staged else {
                continue;
            };
            match before {
                Some(sequence) => self.restored.fold.put(Entry::Sequence { name, sequence }),
                None => self.restored.fold.remove(EntryKey::Sequence(name)),
            }
        }
        self.skip(batch);
    }

    /// A repair replaces everything, provided that it is whole.
    fn close_reset(&mut self, batch: Vec<Staged>, footer: Footer) {
        let before = std::mem::take(&mut self.restored.fold);
        for staged in &batch {
            self.apply(staged);
        }
        if self.restored.fold.digest_with(footer.scalars) == footer.digest {
            self.believe(footer);
        } else {
            self.restored.fold = before;
            self.skip(batch);
        }
    }

    /// Applies one record and returns the counter that was there before.
    fn apply(&mut self, staged: &Staged) -> Option<Sequence> {
        let fold = &mut self.restored.fold;
        match staged {
            Staged::Put(name, sequence) => {
                let before = fold.sequence(name);
                let sequence = *sequence;
                fold.put(Entry::Sequence { name, sequence });
                before
            }
            Staged::Remove(name) => {
                let before = fold.sequence(name);
                fold.remove(EntryKey::Sequence(name));
                before
            }
            Staged::Reset => None,
        }
    }

    fn skip(&mut self, batch: Vec<Staged>) {
        self.restored.skipped_batches += 1;
        for staged in batch {
            let mut key = Vec::new();
            match staged {
                Staged::Put(name, _) | Staged::Remove(name) => {
                    state::encode_key(&mut key, EntryKey::Sequence(&name));
                }
                Staged::Reset => key.extend_from_slice(state::RESET_KEY),
            }
            self.restored.touched.insert(key);
        }
    }
}

#[cfg(test)]
mod tests;
