//! The counters of one partition, and how a record changes them.
//!
//! `Fold::apply` is the product: a request's answer, decided by the records before it. Everything
//! that the fold remembers is an [`Entry`] or one of the [`Scalars`]; both are in the digest, and
//! both are what a checkpoint writes and a restore reads.
//!
//! Sequences live in an `IndexMap`: its iteration order is the order of insertion, so the random
//! seed of its hasher, which makes flooding with colliding names useless, changes no answer.

mod act;
mod apply;
mod audit;
mod entry;
mod outlook;
mod scalars;
mod search;

use std::collections::BTreeMap;

use compact_str::CompactString;
use indexmap::IndexMap;

use super::command::Undefined;
use super::definition::Definition;
use super::digest::{Digest, Element, Tally};
use super::invariants::Invariant;
use super::limits::SEQUENCES_PER_PARTITION_MAX;
use super::link::{Accepted, Link, Position};
use super::rejection::Rejection;
use super::sequence::Sequence;
use super::window::{Replaced, Window};

pub use apply::At;
pub use entry::{Defined, Entry, EntryKey, Note, Slot};
pub use outlook::{Outlook, Survey};
pub use scalars::Scalars;
pub use search::Matches;

/// IDs given to one request: `first..=last` in steps of `increment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// First ID.
    pub first: i64,
    /// Last ID.
    pub last: i64,
    /// How many.
    pub count: u64,
    /// Step from one to the next.
    pub increment: i64,
}

/// How a sequence is defined and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its rules.
    pub definition: Definition,
    /// The ID that the next grant begins with; none when no ID is left.
    pub next: Option<i64>,
    /// No more IDs are given.
    pub retired: bool,
}

/// What one request record gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// IDs.
    Granted(Grant),
    /// The IDs that an earlier request with the same `request_id` got (I5).
    Again(Grant),
    /// What an operator's action came to.
    Described(Box<Description>),
    /// What happens to undefined names from here on.
    Policy(Undefined),
    /// An error; no counter moved.
    Rejected(Rejection),
    /// A stray: to be forwarded to its home, under this link.
    Stray {
        /// The home partition of its name.
        home: u32,
        /// Its place in the chain.
        link: Link,
    },
    /// A link that was accepted before: nothing is to be done.
    Repeated,
    /// A link is missing before this one (I6). The fold has not moved.
    Broken {
        /// The link that came.
        link: Link,
        /// The last one accepted from its partition.
        accepted: Position,
    },
}

#[derive(Clone, Debug)]
struct State {
    sequence: Sequence,
    /// None for a sequence that nobody defined.
    defined: Option<Box<Defined>>,
    /// In `Fold::changed` already.
    changed: bool,
}

impl State {
    fn definition(&self) -> &Definition {
        match &self.defined {
            Some(defined) => &defined.definition,
            None => &Definition::DEFAULT,
        }
    }

    fn is_retired(&self) -> bool {
        self.defined.as_ref().is_some_and(|defined| defined.retired)
    }

    fn description(&self) -> Description {
        let definition = *self.definition();
        Description {
            definition,
            next: self.sequence.next(&definition),
            retired: self.is_retired(),
        }
    }

    fn element(&self, name: &str) -> Element {
        entry::sequence_element(name, self.sequence, self.defined.as_deref())
    }
}

#[derive(Clone, Copy, Debug)]
struct Change {
    index: usize,
    before: Option<Element>,
}

/// The state of one partition as a function of its request log.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    sequences: IndexMap<CompactString, State, foldhash::quality::RandomState>,
    window: Window,
    /// By home partition, the last stray that went there.
    sent: BTreeMap<u32, Position>,
    /// By partition, the last stray that was accepted from there.
    accepted: BTreeMap<u32, Accepted>,
    scalars: Scalars,
    /// Over the entries: sequences as they stood at the last cut, all others as they are.
    entries: Tally,
    /// Sequences that changed since the last cut.
    changed: Vec<Change>,
    /// Other entries that changed since the last cut, possibly more than once.
    touched: Vec<Slot>,
    sequences_max: SequencesMax,
    /// What does not hold any more: this fold is not to be used.
    broken: Option<Invariant>,
}

/// Most sequences: [`SEQUENCES_PER_PARTITION_MAX`] but in tests, which cannot fill as many.
#[derive(Clone, Copy, Debug)]
struct SequencesMax(usize);

impl Default for SequencesMax {
    fn default() -> SequencesMax {
        SequencesMax(SEQUENCES_PER_PARTITION_MAX)
    }
}

impl Fold {
    /// Closes an interval: brings the digest up to date, appends the slots of all entries that
    /// changed since the last cut to `slots`, and returns the digest of all that is remembered.
    ///
    /// A cut is a fact about the log, whether or not what it describes is ever committed.
    pub fn cut(&mut self, slots: &mut Vec<Slot>) -> Digest {
        let mut changed = std::mem::take(&mut self.changed);
        // In the order of memory, which also is the one in which they are written. A digest has none.
        changed.sort_unstable_by_key(|change| change.index);
        // Summed up here: kept twice over in memory for each, the sums took as long as the hashes.
        let mut moved = Digest::default();
        for change in changed {
            if let Some((name, state)) = self.sequences.get_index_mut(change.index) {
                state.changed = false;
                if let Some(before) = change.before {
                    moved = moved.without(before);
                }
                moved = moved.with(state.element(name));
                slots.push(Slot::Sequence(change.index));
            }
        }
        slots.append(&mut self.touched);
        self.entries.move_by(moved);
        if !self.entries.cut() {
            self.broken = Some(Invariant::I6);
        }
        self.digest()
    }

    /// The digest as of the last cut of the sequences, with the scalars of now. Right after a cut,
    /// or while restoring, that is the digest of all that is remembered.
    fn digest(&self) -> Digest {
        let Fold {
            sequences: _, // each is an element of `entries`
            window: _,    // each place is one, too
            sent: _,      // each end of a chain is one, too
            accepted: _,
            scalars,
            entries,
            changed: _,       // what `entries` does not know yet; empty after a cut
            touched: _,       // names entries only
            sequences_max: _, // a limit, and the same in every owner
            broken: _,        // with it, nothing is written
        } = self;
        entries.sum().with(scalars.element())
    }

    fn replace(&mut self, before: Option<Element>, after: Option<Element>) {
        self.entries.replace(before, after);
    }

    /// The invariant that does not hold, if any: nothing of this fold may be answered or written.
    pub fn broken(&self) -> Option<Invariant> {
        self.broken
    }

    /// Entries that changed since the last cut, some of them possibly more than once.
    pub fn changes(&self) -> usize {
        self.changed.len() + self.touched.len()
    }

    /// Entries remembered.
    pub fn len(&self) -> usize {
        self.others() + self.sequences.len()
    }

    /// Sequences remembered.
    pub fn sequences(&self) -> usize {
        self.sequences.len()
    }

    /// Entries that are no sequences.
    fn others(&self) -> usize {
        self.sent.len() + self.accepted.len() + self.window.segments()
    }

    /// True when nothing is remembered but the scalars.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is remembered once for the partition.
    pub fn scalars(&self) -> Scalars {
        self.scalars
    }

    /// The slot of the entry at a place below [`Fold::len`]. While entries are added, one may come
    /// at two places, and none that was there at first is passed over: sequences come last.
    pub fn slot_at(&self, place: usize) -> Option<Slot> {
        let mut left = place;
        match self.sent.keys().nth(left) {
            Some(home) => return Some(Slot::Sent(*home)),
            None => left -= self.sent.len(),
        }
        match self.accepted.keys().nth(left) {
            Some(source) => return Some(Slot::Accepted(*source)),
            None => left -= self.accepted.len(),
        }
        if left < self.window.segments() {
            return u32::try_from(left).ok().map(Slot::Window);
        }
        left -= self.window.segments();
        (left < self.sequences.len()).then_some(Slot::Sequence(left))
    }

    /// The entry in a slot.
    pub fn entry(&self, slot: Slot) -> Option<Entry<'_>> {
        Some(match slot {
            Slot::Sequence(index) => {
                let (name, state) = self.sequences.get_index(index)?;
                Entry::of_sequence(name, state.sequence, state.defined.as_deref())
            }
            Slot::Window(segment) => Entry::Window {
                segment,
                places: self.window.segment(segment)?.into(),
            },
            Slot::Sent(home) => Entry::Sent {
                home,
                position: *self.sent.get(&home)?,
            },
            Slot::Accepted(source) => Entry::Accepted {
                source,
                end: *self.accepted.get(&source)?,
            },
        })
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let slots = (0..self.len()).filter_map(|place| self.slot_at(place));
        slots.filter_map(|slot| self.entry(slot))
    }

    /// The slot of a key.
    pub fn slot(&self, key: EntryKey<'_>) -> Option<Slot> {
        match key {
            EntryKey::Sequence(name) => self.sequences.get_index_of(name).map(Slot::Sequence),
            EntryKey::Window(segment) => {
                self.window.segment(segment).map(|_| Slot::Window(segment))
            }
            EntryKey::Sent(home) => self.sent.get(&home).map(|_| Slot::Sent(home)),
            EntryKey::Accepted(source) => {
                self.accepted.get(&source).map(|_| Slot::Accepted(source))
            }
        }
    }

    /// The counter of a name.
    pub fn sequence(&self, name: &str) -> Option<Sequence> {
        self.sequences.get(name).map(|state| state.sequence)
    }

    /// How a name is defined and where it stands.
    pub fn description(&self, name: &str) -> Option<Description> {
        self.sequences.get(name).map(State::description)
    }
}

/// What a restore does to a fold: entries come in as they were stored, no request is applied.
impl Fold {
    /// Remembers an entry as stored, in the place of the one with the same key.
    pub fn put(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Sequence {
                name,
                sequence,
                defined,
            } => {
                let state = State {
                    sequence,
                    defined: defined.map(|defined| Box::new(defined.into_owned())),
                    changed: false,
                };
                let after = state.element(name);
                let before = match self.sequences.get_mut(name) {
                    Some(known) => Some(std::mem::replace(known, state)),
                    None => self.sequences.insert(name.into(), state),
                };
                self.replace(before.map(|state| state.element(name)), Some(after));
            }
            Entry::Window { segment, places } => self.put_segment(segment, &places),
            Entry::Sent { home, position } => {
                let before = self.sent.insert(home, position);
                let before = before.map(|before| entry::sent_element(home, before));
                self.replace(before, Some(entry::sent_element(home, position)));
            }
            Entry::Accepted { source, end } => {
                let before = self.accepted.insert(source, end);
                let before = before.map(|before| entry::accepted_element(source, before));
                self.replace(before, Some(entry::accepted_element(source, end)));
            }
        }
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: EntryKey<'_>) {
        let before = match key {
            EntryKey::Sequence(name) => {
                let before = self.sequences.swap_remove(name);
                before.map(|state| state.element(name))
            }
            EntryKey::Window(segment) => {
                self.put_segment(segment, &[]);
                None
            }
            EntryKey::Sent(home) => {
                let before = self.sent.remove(&home);
                before.map(|position| entry::sent_element(home, position))
            }
            EntryKey::Accepted(source) => {
                let before = self.accepted.remove(&source);
                before.map(|end| entry::accepted_element(source, end))
            }
        };
        self.replace(before, None);
    }

    fn put_segment(&mut self, segment: u32, places: &[super::window::Place]) {
        let Fold {
            window, entries, ..
        } = self;
        window.put(segment, places, |Replaced { before, after }| {
            entries.replace(before, after);
        });
    }

    /// Takes the scalars as stored.
    pub fn set_scalars(&mut self, scalars: Scalars) {
        self.scalars = scalars;
    }

    /// The digest with these scalars in the place of those held now.
    pub fn digest_with(&self, scalars: Scalars) -> Digest {
        self.entries.sum().with(scalars.element())
    }
}

#[cfg(test)]
mod tests;
