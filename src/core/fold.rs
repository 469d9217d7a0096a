//! The counters of one partition, and how a record changes them.
//!
//! `Fold::apply` is the product: a request's answer, decided by the records before it. Everything
//! that the fold remembers is an [`Entry`] or one of the [`Scalars`]; both are in the digest, and
//! both are what a checkpoint writes and a restore reads.
//!
//! Entries live in an `IndexMap`: its iteration order is the order of insertion, so the random seed
//! of its hasher, which makes flooding with colliding names useless, changes no answer.

use indexmap::IndexMap;

use super::command::{Command, Request};
use super::digest::{Digest, Element, ElementBuilder, Kind};
use super::invariants;
use super::limits::SEQUENCES_PER_PARTITION_MAX;
use super::position::Timestamp;
use super::rejection::{Code, Rejection};
use super::sequence::Sequence;

/// IDs given to one request: `first..=last`, contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// First ID.
    pub first: i64,
    /// Last ID.
    pub last: i64,
    /// How many.
    pub count: u64,
}

/// What one request record gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// IDs.
    Granted(Grant),
    /// An error; no counter moved.
    Rejected(Rejection),
}

/// What the fold remembers once for each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalars {
    /// Highest record time seen. LogAppendTime can step back at a leader change, time in the fold
    /// cannot.
    pub highest_timestamp: Timestamp,
    /// Request records folded since the partition's beginning, rejected ones too. It makes the
    /// digest of two different places in the log differ.
    pub applied: u64,
    /// IDs up to this one count as taken for names that the state does not know: what an operator
    /// said at a repair. 0 without one.
    pub floor: i64,
}

impl Default for Scalars {
    fn default() -> Scalars {
        Scalars {
            highest_timestamp: Timestamp::NONE,
            applied: 0,
            floor: 0,
        }
    }
}

impl Scalars {
    fn element(self) -> Element {
        // Taken apart without `..`, so that a new field cannot be left out of the digest.
        let Scalars {
            highest_timestamp,
            applied,
            floor,
        } = self;
        ElementBuilder::new(Kind::Scalars)
            .number(highest_timestamp.0)
            .number(applied.cast_signed())
            .number(floor)
            .finish()
    }
}

/// One remembered thing with a key of its own; a state record holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The counter of a sequence.
    Sequence {
        /// Its name.
        name: &'a str,
        /// Its counter.
        sequence: Sequence,
    },
}

impl Entry<'_> {
    fn element(&self) -> Element {
        let Entry::Sequence { name, sequence } = *self;
        ElementBuilder::new(Kind::Sequence)
            .text(name)
            .number(sequence.next())
            .finish()
    }
}

/// Key of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKey<'a> {
    /// A sequence's name.
    Sequence(&'a str),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    sequence: Sequence,
    /// In `Fold::changed` already.
    changed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    slot: usize,
    before: Option<Element>,
}

/// The state of one partition as a function of its request log.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    sequences: IndexMap<Box<str>, Slot, foldhash::quality::RandomState>,
    scalars: Scalars,
    /// Over the entries, as they stood at the last cut.
    entries: Digest,
    /// Entries that changed since the last cut.
    changed: Vec<Change>,
}

impl Fold {
    /// Folds one record and answers it. `timestamp` is the record's own.
    pub fn apply(&mut self, timestamp: Timestamp, request: &Request<'_>) -> Answer {
        self.scalars.applied += 1;
        self.scalars.highest_timestamp = self.scalars.highest_timestamp.max(timestamp);
        let (name, Command::Next { count }) = match (&request.name, &request.command) {
            (Ok(name), Ok(command)) => (name.as_str(), *command),
            (Err(rejection), _) | (_, Err(rejection)) => {
                return Answer::Rejected(rejection.clone());
            }
        };
        match self.take(name, count) {
            Ok(grant) => Answer::Granted(grant),
            Err(rejection) => Answer::Rejected(rejection),
        }
    }

    fn take(&mut self, name: &str, count: u64) -> Result<Grant, Rejection> {
        let Some((slot, _, state)) = self.sequences.get_full_mut(name) else {
            return self.take_first(name, count);
        };
        let before = state.sequence;
        let (first, last) = state.sequence.take(count)?;
        if !state.changed {
            state.changed = true;
            let before = Entry::Sequence {
                name,
                sequence: before,
            };
            self.changed.push(Change {
                slot,
                before: Some(before.element()),
            });
        }
        let grant = Grant { first, last, count };
        let holds = invariants::i2_gapless_and_monotonic(before.next(), grant);
        invariants::holds!(holds, "I2 gapless and monotonic");
        Ok(grant)
    }

    /// The first grant of a name creates its sequence; a refused one leaves nothing behind.
    fn take_first(&mut self, name: &str, count: u64) -> Result<Grant, Rejection> {
        if self.sequences.len() >= SEQUENCES_PER_PARTITION_MAX {
            return Err(Rejection::new(
                Code::TooManySequences,
                format!("the partition holds {SEQUENCES_PER_PARTITION_MAX} sequences already"),
            ));
        }
        let mut sequence = Sequence::above(self.scalars.floor);
        let (first, last) = sequence.take(count)?;
        let slot = Slot {
            sequence,
            changed: true,
        };
        let (slot, _) = self.sequences.insert_full(name.into(), slot);
        self.changed.push(Change { slot, before: None });
        Ok(Grant { first, last, count })
    }

    /// Closes an interval: brings the digest up to date, appends the slots of all entries that
    /// changed since the last cut to `slots`, and returns the digest of all that is remembered.
    ///
    /// A cut is a fact about the log, whether or not what it describes is ever committed.
    pub fn cut(&mut self, slots: &mut Vec<usize>) -> Digest {
        for change in std::mem::take(&mut self.changed) {
            if let Some((name, slot)) = self.sequences.get_index_mut(change.slot) {
                slot.changed = false;
                let after = Entry::Sequence {
                    name,
                    sequence: slot.sequence,
                };
                if let Some(before) = change.before {
                    self.entries = self.entries.without(before);
                }
                self.entries = self.entries.with(after.element());
                slots.push(change.slot);
            }
        }
        self.digest()
    }

    /// The digest as of the last cut of the entries, with the scalars of now. Right after a cut, or
    /// while restoring, that is the digest of all that is remembered.
    fn digest(&self) -> Digest {
        let Fold {
            sequences: _, // each is an element of `entries`
            scalars,
            entries,
            changed: _, // what `entries` does not know yet; empty after a cut
        } = self;
        entries.with(scalars.element())
    }

    /// Entries that changed since the last cut.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Entries remembered.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// True when nothing is remembered but the scalars.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// What is remembered once for the partition.
    pub fn scalars(&self) -> Scalars {
        self.scalars
    }

    /// The entry in a slot; slots are `0..len()` and keep their entry while the fold runs.
    pub fn entry(&self, slot: usize) -> Option<Entry<'_>> {
        let (name, state) = self.sequences.get_index(slot)?;
        Some(Entry::Sequence {
            name,
            sequence: state.sequence,
        })
    }

    /// The slot of a key.
    pub fn slot(&self, key: EntryKey<'_>) -> Option<usize> {
        let EntryKey::Sequence(name) = key;
        self.sequences.get_index_of(name)
    }

    /// The counter of a name.
    pub fn sequence(&self, name: &str) -> Option<Sequence> {
        self.sequences.get(name).map(|slot| slot.sequence)
    }
}

/// What a restore does to a fold: entries come in as they were stored, no request is applied.
impl Fold {
    /// Remembers an entry as stored, in the place of the one with the same key.
    pub fn put(&mut self, entry: Entry<'_>) {
        let Entry::Sequence { name, sequence } = entry;
        let slot = Slot {
            sequence,
            changed: false,
        };
        let before = match self.sequences.get_mut(name) {
            Some(known) => Some(std::mem::replace(known, slot)),
            None => self.sequences.insert(name.into(), slot),
        };
        self.entries = self.replaced(name, before).with(entry.element());
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: EntryKey<'_>) {
        let EntryKey::Sequence(name) = key;
        let before = self.sequences.swap_remove(name);
        self.entries = self.replaced(name, before);
    }

    /// Takes the scalars as stored.
    pub fn set_scalars(&mut self, scalars: Scalars) {
        self.scalars = scalars;
    }

    /// The digest with these scalars in the place of those held now.
    pub fn digest_with(&self, scalars: Scalars) -> Digest {
        self.entries.with(scalars.element())
    }

    fn replaced(&self, name: &str, before: Option<Slot>) -> Digest {
        match before {
            Some(before) => self.entries.without(
                Entry::Sequence {
                    name,
                    sequence: before.sequence,
                }
                .element(),
            ),
            None => self.entries,
        }
    }
}

#[cfg(test)]
mod tests;
