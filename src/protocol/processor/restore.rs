//! Reads the state log of one partition in order and accepts only footers that add up.
//!
//! A footer is accepted when the state has its digest, in one of three readings of the same log:
//!
//! 1. *Everything in order.* This covers a compacted head, and every log without foreign records.
//! 2. *On top of the accepted state.* The last accepted state and the footer's own batch, complete. What came
//!    in between (a zombie's batch, a torn one) is skipped and counted.
//! 3. *As its writer saw it.* Everything in order, without what others wrote after the writer's first record:
//!    the writer had restored what lay before, and others that write after it have lost the partition. Also
//!    without batches that come after a later one of their own writer. This distinguishes a zombie's batch from
//!    the owner's when compaction has left no state to judge by.
//!
//! The first reading costs little, and nearly every log needs no other. [`InOrder`] does it alone, and gives up
//! when another reading might see more. Then [`Restore`] reads the log once more, in all three readings.
//!
//! No reading is trusted for itself. The digest covers everything that the fold remembers, so a state with the
//! right digest is the right state, whichever way it was put together. After the first accepted footer, the
//! next offset must not go back. Batches may lie interleaved, and each record names its own.
//!
//! One loss cannot be undone by any reading: compaction removed the owner's last value of a key because of a
//! zombie's, and nobody has written the owner's value again. `min.compaction.lag.ms` gives an owner the time to
//! write it. A partition without this time goes on from an older footer, or halts.

mod in_order;
mod recent;

use std::collections::{BTreeMap, BTreeSet};

pub use in_order::InOrder;
use recent::{Key, Recent, Step, Value};

use crate::core::NextOffset;
use crate::core::fold::{Entry, Fold};
use crate::core::planted::planted;
use crate::wire::state::{self, BatchId, Content, EntryKey, Footer, Reset};

/// The result of a restore.
#[derive(Debug, Default)]
pub struct Restored {
    /// The state as of the footer. Without a footer, the state as far as it was read.
    pub fold: Fold,
    /// The last footer that was accepted.
    pub footer: Option<Footer>,
    /// The batch of that footer.
    pub batch: Option<BatchId>,
    /// Number of records that were read.
    pub records: u64,
    /// Number of batches that did not add up after one that did.
    pub skipped_batches: u64,
    /// The reason in the last reset.
    pub reset: Option<String>,
    /// The epoch of that reset; 0 without one.
    pub epoch: u64,
    /// Keys that skipped batches touched. The owner writes them again, because compaction keeps the last value
    /// of a key, whoever wrote it.
    pub touched: BTreeSet<Vec<u8>>,
}

impl Restored {
    /// The highest ID in any record of the partition, for a repair.
    pub fn highest_id(&self) -> i64 {
        highest_id(&self.fold)
    }

    /// Counts and decodes a record. None for a record that cannot be read: it belongs to no batch of this
    /// service, and its key counts as touched.
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

    /// Makes everything before the reset void, except the counts and the touched keys.
    fn begin_again(&mut self, reset: Reset) {
        *self = Restored {
            records: self.records,
            reset: Some(reset.reason),
            epoch: reset.epoch,
            touched: std::mem::take(&mut self.touched),
            ..Restored::default()
        };
    }

    /// False for a footer that cannot come after the last one, or after the reset. A zombie that changed
    /// nothing has a digest that matches. It is detected by its offset, by the epoch of a repair that it
    /// missed, or by other decisions for the whole service. A rescale adds to the decisions. Compaction may have left only a zombie's version of
    /// these decisions, but nobody gets beyond the beginning before the decision is committed.
    fn goes_on(&self, footer: &Footer) -> bool {
        if footer.scalars.epoch < self.epoch {
            return false;
        }
        self.footer.as_ref().is_none_or(|last| {
            last.next <= footer.next
                && last.scalars.epoch == footer.scalars.epoch
                && ((last.link_key == footer.link_key
                    && footer.scalars.homes.extends(&last.scalars.homes))
                    || (last.next == NextOffset::ZERO && footer.next > NextOffset::ZERO))
        })
    }

    fn adds_up(&self, footer: &Footer) -> bool {
        self.fold.digest_with(footer.scalars) == footer.digest
    }

    fn believe(&mut self, batch: BatchId, footer: Footer) {
        self.fold.set_scalars(footer.scalars);
        self.footer = Some(footer);
        self.batch = Some(batch);
    }
}

/// Takes a record of the state log: key, value, and the value of [`state::BATCH_HEADER`]. Returns false when it
/// needs no more records.
pub type Feed<'a> = dyn FnMut(&[u8], Option<&[u8]>, Option<&[u8]>) -> bool + 'a;

/// Restores a partition from committed records in offset order. `read` feeds them. It is called once if
/// everything is in order, else twice, for the same records.
///
/// # Errors
/// Those of `read`. The inner result is [`state::Error::Version`] when a newer release wrote a record.
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

/// The highest ID that a fold knows.
pub fn highest_id(fold: &Fold) -> i64 {
    let highest = |entry: Entry<'_>| match entry {
        // A defined sequence counts by its own rules, and says nothing about the others.
        Entry::Sequence {
            sequence,
            defined: None,
            ..
        } => Some(sequence.highest()),
        Entry::Sequence { .. }
        | Entry::Window { .. }
        | Entry::Own { .. }
        | Entry::Sent { .. }
        | Entry::Accepted { .. }
        | Entry::Frozen(_)
        | Entry::FrozenWindow { .. }
        | Entry::Reported(_) => None,
    };
    fold.iter()
        .filter_map(highest)
        .chain([fold.scalars().floor])
        .max()
        .unwrap_or(0)
}

/// The batch ID of the records of an undo, which nobody reads as a batch.
const UNDO: BatchId = BatchId {
    writer: 0,
    number: 0,
};

/// Records of one batch, or changes to a state: keys and their values.
type Changes = Vec<(Key, Value)>;

/// Reads one partition's state log in all three readings. Feed it every committed record in offset order.
#[derive(Debug, Default)]
pub struct Restore {
    /// The result, with the fold of everything in order.
    restored: Restored,
    anchored: bool,
    /// The values in the accepted state of the keys that were written since.
    believed: BTreeMap<Key, Value>,
    /// Records of batches that have no footer yet, once a state was accepted.
    staged: BTreeMap<BatchId, Changes>,
    recent: Recent,
}

impl Restore {
    /// Takes the next record. `header` is the value of [`state::BATCH_HEADER`].
    ///
    /// # Errors
    /// [`state::Error::Version`] when a newer release wrote the record. Any other record that cannot be read
    /// belongs to no batch of this service: its key counts as touched.
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

    /// Ends the restore at the end of the log.
    pub fn finish(mut self) -> Restored {
        for batch in std::mem::take(&mut self.staged).into_values() {
            self.skip(&batch);
        }
        for (key, value) in std::mem::take(&mut self.believed) {
            self.apply(&key, value.as_deref());
        }
        self.restored
    }

    /// Before any footer is accepted, a reset makes everything before it void at once.
    fn begin_again(&mut self, reset: Reset) {
        self.restored.begin_again(reset);
        self.recent.clear();
    }

    /// Takes a record in its order: an entry, or (after an accepted footer) a reset.
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
            return self.close_reset(batch, &staged, footer);
        }
        let adds_up = self.restored.goes_on(&footer)
            && (self.restored.adds_up(&footer)
                || (self.anchored && self.on_top_of_believed(batch, &staged, &footer))
                || self.as_its_writer_saw_it(batch, &footer));
        if adds_up || planted!(AnyBatchBelieved) {
            self.believe(batch, footer);
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

    fn believe(&mut self, batch: BatchId, footer: Footer) {
        self.anchored = true;
        self.believed.clear();
        self.restored.believe(batch, footer);
    }

    /// Replaces everything by a repair, if the repair is complete.
    fn close_reset(&mut self, id: BatchId, batch: &Changes, footer: Footer) {
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
            self.believe(id, footer);
        } else {
            self.restored.fold = before;
            self.skip(batch);
        }
    }

    /// Applies one record that was decoded before.
    fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let fold = &mut self.restored.fold;
        match state::decode(key, value, None).map(|record| record.content) {
            Ok(Content::Entry(entry)) => fold.put(entry),
            Ok(Content::Tombstone(key)) => fold.remove(key),
            Ok(Content::Reset(_) | Content::Footer(_)) | Err(_) => {}
        }
    }

    /// The value under a key, in the form of a record.
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
