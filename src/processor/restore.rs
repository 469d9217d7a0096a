//! Reads the state log of one partition in order and believes only what adds up.
//!
//! A footer is believed when the state has its digest, in one of three readings of the same log:
//!
//! 1. *Everything in order.* What a compacted head gives, and every log without strangers in it.
//! 2. *On top of what is believed.* The last believed state and the footer's own batch, whole. What
//!    came in between (a zombie's batch, a torn one) is skipped and counted.
//! 3. *As its writer saw it.* Everything in order, without what others wrote behind the writer's
//!    first record: it had restored what lay before, and others who write behind it have lost the
//!    partition. Without batches, too, that come after a later one of their own writer. This tells a
//!    zombie's batch from the owner's where compaction has left no state to judge by.
//!
//! The first costs little, and nearly every log needs no other: [`InOrder`] does it alone, and gives up where
//! another reading might see more. Then the log is read once more, by [`Restore`], in all three.
//!
//! No reading is trusted for itself. The digest covers everything that the fold remembers, so a state
//! that has it is the right one, whichever way it was put together. Behind the first footer that was
//! believed, the next offset must not go back. Batches may lie interleaved; each record names its own.
//!
//! What no reading can bring back: compaction took the owner's last value of a key because of a
//! zombie's, and nobody has written the owner's again. `min.compaction.lag.ms` gives an owner the time
//! to; a partition without one then goes on from an older footer, or halts.

mod in_order;
mod recent;

use std::collections::{BTreeMap, BTreeSet};

pub use in_order::InOrder;
use recent::{Key, Recent, Step, Value};

use crate::core::NextOffset;
use crate::core::fold::{Entry, Fold};
use crate::core::planted::planted;
use crate::wire::state::{self, BatchId, Content, EntryKey, Footer, Reset};

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
    /// What the last repair that it begins with says of itself.
    pub reset: Option<String>,
    /// The epoch of that repair; 0 without one.
    pub epoch: u64,
    /// Keys that skipped batches touched: the owner writes them again, because compaction keeps
    /// the last value of a key, whoever wrote it.
    pub touched: BTreeSet<Vec<u8>>,
}

impl Restored {
    /// The highest ID that any record of the partition spoke of, for a repair.
    pub fn highest_id(&self) -> i64 {
        highest_id(&self.fold)
    }

    /// Counts and decodes a record. None for one that cannot be read: it belongs to no batch of ours, and
    /// its key is touched.
    fn read<'a>(
        &mut self,
        key: &'a [u8],
        value: Option<&'a [u8]>,
        header: Option<&[u8]>,
    ) -> Result<Option<state::Record<'a>>, state::Error> {
        self.records += 1;
        match state::decode(key, value, header) {
            Ok(record) => Ok(Some(record)),
            Err(error @ state::Error::Version(_)) => Err(error),
            Err(state::Error::Malformed { .. }) => {
                self.touched.insert(key.to_vec());
                Ok(None)
            }
        }
    }

    /// All that came before the reset is void, but for how much it was and what it touched.
    fn begin_again(&mut self, reset: Reset) {
        *self = Restored {
            records: self.records,
            reset: Some(reset.reason),
            epoch: reset.epoch,
            touched: std::mem::take(&mut self.touched),
            ..Restored::default()
        };
    }

    /// False for a footer that cannot come behind the last one, or behind the reset. A zombie that changed nothing
    /// has a digest that matches. Its offset betrays it, or the epoch of a repair that it missed, or its own idea
    /// of the decisions for the whole service. Compaction may have left only a zombie's idea of those, but nobody
    /// gets beyond the beginning before the decision is committed.
    fn goes_on(&self, footer: &Footer) -> bool {
        if footer.scalars.epoch < self.epoch {
            return false;
        }
        self.footer.as_ref().is_none_or(|last| {
            last.next <= footer.next
                && last.scalars.epoch == footer.scalars.epoch
                && (last.decided() == footer.decided()
                    || (last.next == NextOffset::ZERO && footer.next > NextOffset::ZERO))
        })
    }

    fn adds_up(&self, footer: &Footer) -> bool {
        self.fold.digest_with(footer.scalars) == footer.digest
    }

    fn believe(&mut self, footer: Footer) {
        self.fold.set_scalars(footer.scalars);
        self.footer = Some(footer);
    }
}

/// Takes a record of the state log: key, value, and the value of [`state::BATCH_HEADER`]. Returns false
/// when the rest need not be fed.
pub type Feed<'a> = dyn FnMut(&[u8], Option<&[u8]>, Option<&[u8]>) -> bool + 'a;

/// Restores a partition from committed records in offset order. `read` feeds them; it is called once
/// where everything is in order, else twice, for the same records.
///
/// # Errors
/// Those of `read`; within, [`state::Error::Version`] when a newer release wrote here.
pub fn restore<E>(
    mut read: impl FnMut(&mut Feed<'_>) -> Result<(), E>,
) -> Result<Result<Restored, state::Error>, E> {
    let mut unknown = None;
    let mut in_order = InOrder::default();
    read(&mut |key, value, header| {
        unknown = in_order.record(key, value, header).err();
        unknown.is_none() && !in_order.is_doubtful()
    })?;
    if let Some(error) = unknown {
        return Ok(Err(error));
    }
    if let Some(restored) = in_order.finish() {
        return Ok(Ok(restored));
    }
    let mut careful = Restore::default();
    read(&mut |key, value, header| {
        unknown = careful.record(key, value, header).err();
        unknown.is_none()
    })?;
    Ok(match unknown {
        Some(error) => Err(error),
        None => Ok(careful.finish()),
    })
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

/// Records of one batch, or changes to a state: keys and what lies under them.
type Changes = Vec<(Key, Value)>;

/// Reads one partition's state log with care; feed it every committed record in offset order.
#[derive(Debug, Default)]
pub struct Restore {
    /// With the fold of everything in order.
    restored: Restored,
    anchored: bool,
    /// What the believed state has under the keys that were written since.
    believed: BTreeMap<Key, Value>,
    /// Records of batches that have no footer yet, once there is something to put them on.
    staged: BTreeMap<BatchId, Changes>,
    recent: Recent,
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
        let Some(record) = self.restored.read(key, value, header)? else {
            return Ok(());
        };
        match (record.content, record.batch) {
            (Content::Footer(footer), Some(batch)) => self.close(batch, *footer),
            (Content::Reset(reset), _) if !self.anchored => self.begin_again(reset),
            (_, batch) => self.step(batch, key.into(), value.map(Into::into)),
        }
        Ok(())
    }

    /// The end of the log is reached.
    pub fn finish(mut self) -> Restored {
        for batch in std::mem::take(&mut self.staged).into_values() {
            self.skip(&batch);
        }
        for (key, value) in std::mem::take(&mut self.believed) {
            self.apply(&key, value.as_deref());
        }
        self.restored
    }

    /// Before anything is believed, a reset makes all that came before void at once.
    fn begin_again(&mut self, reset: Reset) {
        self.restored.begin_again(reset);
        self.recent.clear();
    }

    /// A record in its order, of an entry or (behind what is believed) of a reset.
    fn step(&mut self, batch: Option<BatchId>, key: Key, value: Value) {
        let before = self.held(&key);
        if self.anchored {
            let believed = self.believed.entry(Key::clone(&key));
            believed.or_insert_with(|| before.clone());
            match batch {
                Some(batch) => {
                    let staged = self.staged.entry(batch).or_default();
                    staged.push((Key::clone(&key), value.clone()));
                }
                None => {
                    self.restored.touched.insert(key.to_vec());
                }
            }
        }
        self.apply(&key, value.as_deref());
        self.recent.push(Step {
            batch,
            key,
            value,
            before,
        });
    }

    fn close(&mut self, batch: BatchId, footer: Footer) {
        let staged = self.staged.remove(&batch).unwrap_or_default();
        if matches!(staged.first(), Some((key, _)) if &**key == state::RESET_KEY) {
            return self.close_reset(&staged, footer);
        }
        let adds_up = self.restored.goes_on(&footer)
            && (self.restored.adds_up(&footer)
                || (self.anchored && self.on_top_of_believed(batch, &staged, &footer))
                || self.as_its_writer_saw_it(batch, &footer));
        if adds_up || planted!(AnyBatchBelieved) {
            self.believe(footer);
        } else if self.anchored {
            self.skip(&staged);
        }
    }

    fn on_top_of_believed(&mut self, batch: BatchId, staged: &Changes, footer: &Footer) -> bool {
        let believed = self.believed.iter();
        let believed = believed.map(|(key, value)| (Key::clone(key), value.clone()));
        let changes = believed.chain(staged.iter().cloned()).collect();
        self.adds_up_with(batch, changes, footer)
    }

    fn as_its_writer_saw_it(&mut self, batch: BatchId, footer: &Footer) -> bool {
        let changes = self.recent.without_others(batch.writer);
        let foreign: Vec<Key> = changes.iter().map(|(key, _)| Key::clone(key)).collect();
        let adds_up = !changes.is_empty() && self.adds_up_with(batch, changes, footer);
        if adds_up {
            let foreign = foreign.iter().map(|key| key.to_vec());
            self.restored.touched.extend(foreign);
        }
        adds_up
    }

    /// Keeps the changes if the state then has the footer's digest.
    fn adds_up_with(&mut self, batch: BatchId, changes: Changes, footer: &Footer) -> bool {
        let mut steps = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            let before = self.held(&key);
            self.apply(&key, value.as_deref());
            steps.push(Step {
                batch: Some(batch),
                key,
                value,
                before,
            });
        }
        let adds_up = self.restored.adds_up(footer);
        if adds_up {
            steps.into_iter().for_each(|step| self.recent.push(step));
        } else {
            for step in steps.iter().rev() {
                self.apply(&step.key, step.before.as_deref());
            }
        }
        adds_up
    }

    fn believe(&mut self, footer: Footer) {
        self.anchored = true;
        self.believed.clear();
        self.restored.believe(footer);
    }

    /// A repair replaces everything, provided that it is whole.
    fn close_reset(&mut self, batch: &Changes, footer: Footer) {
        let before = std::mem::take(&mut self.restored.fold);
        for (key, value) in batch {
            self.apply(key, value.as_deref());
        }
        if self.restored.adds_up(&footer) {
            self.recent.clear();
            let reset = batch.first().and_then(|(key, value)| {
                let record = state::decode(key, value.as_deref(), None).ok()?;
                match record.content {
                    Content::Reset(reset) => Some(reset.reason),
                    _ => None,
                }
            });
            self.restored.reset = reset;
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

    /// What is remembered under a key, as a record would have it.
    fn held(&self, key: &[u8]) -> Value {
        let fold = &self.restored.fold;
        let slot = |key: EntryKey<'_>| fold.slot(key);
        let entry = fold.entry(state::entry_key(key).and_then(slot)?)?;
        let mut value = Vec::new();
        state::entry::encode(&mut value, UNDO, &entry);
        Some(value.into())
    }

    fn skip(&mut self, batch: &Changes) {
        self.restored.skipped_batches += 1;
        let keys = batch.iter().map(|(key, _)| key.to_vec());
        self.restored.touched.extend(keys);
    }
}

#[cfg(test)]
mod tests;
