//! The counters of one partition, and how a record changes them.
//!
//! `Fold::apply` is the product: it decides a request's answer from the records before it. Everything that the
//! fold remembers is an [`Entry`] or one of the [`Scalars`]. Both are in the digest, and a checkpoint writes
//! both and a restore reads both.
//!
//! Sequences live in an `IndexMap`, whose iteration order is the order of insertion. So the random seed of its
//! hasher changes no answer. The seed makes flooding with colliding names useless.

mod act;
mod apply;
mod at;
mod audit;
mod entry;
mod frozen;
mod outlook;
mod rescale;
mod scalars;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;
use indexmap::IndexMap;

use super::command::Undefined;
use super::definition::Definition;
use super::digest::{Digest, Element, Tally};
use super::grant::Grant;
use super::homes::Homes;
use super::invariants::Invariant;
use super::limits::SEQUENCES_PER_PARTITION_MAX;
use super::link::{Accepted, Link, Position};
use super::own::OwnWindows;
use super::rejection::Rejection;
use super::rescale::{Order, Rescaled};
use super::sequence::Sequence;
use super::window::{Replaced, Window};

pub use super::own::{OWN_SEGMENT, OwnSlot};
pub use at::At;
pub use entry::{Defined, Entry, EntryKey, Note, Slot};
pub use frozen::Frozen;
pub use outlook::{Outlook, Survey};
pub use scalars::Scalars;
pub use search::Matches;

/// The definition of a sequence and its next ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The rules of the sequence.
    pub definition: Definition,
    /// The ID that the next grant begins with; none when no ID is left.
    pub next: Option<i64>,
    /// True when the sequence gives no more IDs.
    pub retired: bool,
}

/// The result of one request record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The IDs that the request gets.
    Granted(Grant),
    /// The IDs that an earlier request with the same `request_id` got (I5).
    Again(Grant),
    /// The state of the sequence after an operator's action.
    Described {
        /// The rules of the sequence, and its next ID.
        description: Box<Description>,
        /// The last change. Present only in the answer to `describe`, of a sequence that has a definition. The
        /// author of any other action knows who makes the last change: it is this action.
        changed: Option<Box<Note>>,
    },
    /// The rule for undefined names from this record on.
    Policy(Undefined),
    /// An error; no counter moved.
    Rejected(Rejection),
    /// A stray, which must be forwarded to its home partition under this link.
    Stray {
        /// The home partition of its name.
        home: u32,
        /// The stray's position in the chain to that partition.
        link: Link,
    },
    /// A link that was accepted before. Nothing is to be done.
    Repeated,
    /// A stray that was forwarded as often as a request may be, and is not home (I6). The fold has not moved.
    TooManyHops {
        /// The home partition of its name.
        home: u32,
        /// The link with which it arrived.
        link: Link,
    },
    /// An order of a rescale.
    Rescaled(Box<Rescaled>),
    /// A child's order to adopt, for which not everything is committed here yet. The fold has not moved.
    Adopts {
        /// The partition whose state has what is to be adopted.
        parent: u32,
        /// The list with the new N.
        homes: Homes,
    },
    /// An order that does not fit the N that this partition knows (I6). The fold has not moved.
    Unfit {
        /// The partition that gave the order.
        source: u32,
        /// The order.
        order: Box<Order>,
    },
    /// A link is missing before this one (I6). The fold has not moved.
    Broken {
        /// The link that arrived.
        link: Link,
        /// The position of the last link that was accepted from the same partition.
        accepted: Position,
    },
}

#[derive(Clone, Debug)]
struct State {
    sequence: Sequence,
    /// None for a sequence that nobody defined.
    defined: Option<Box<Defined>>,
    /// True when the sequence is in `Fold::changed` already.
    changed: bool,
    /// True when another partition has adopted the sequence, and it is removed from the state. It keeps its index,
    /// so that a checkpoint in progress can refer to it and to those behind it.
    buried: bool,
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
    /// The windows of sequences that remember requests themselves.
    own: OwnWindows,
    /// By home partition, the last stray that went there.
    sent: BTreeMap<u32, Position>,
    /// By partition, the last stray that was accepted from there.
    accepted: BTreeMap<u32, Accepted>,
    /// In a parent, its window and scalars at its split. In a child, those that it will adopt.
    copied: frozen::Copied,
    /// Partitions that have reported their part of the current rescale.
    reported: BTreeSet<u32>,
    /// True when everything that an order to adopt needs is committed in this partition's state.
    is_staged: bool,
    /// Number of sequences that are buried.
    buried: usize,
    scalars: Scalars,
    /// Digest of the entries: sequences as they stood at the last cut, all other entries as they are now.
    entries: Tally,
    /// Sequences that changed since the last cut.
    changed: Vec<Change>,
    /// Other entries that changed since the last cut, possibly more than once.
    touched: Vec<Slot>,
    sequences_max: SequencesMax,
    /// What does not hold any more: this fold is not to be used.
    broken: Option<Invariant>,
}

/// Limit of sequences: [`SEQUENCES_PER_PARTITION_MAX`], except in tests, which cannot fill as many.
#[derive(Clone, Copy, Debug)]
struct SequencesMax(usize);

impl Default for SequencesMax {
    fn default() -> SequencesMax {
        SequencesMax(SEQUENCES_PER_PARTITION_MAX)
    }
}

impl Fold {
    /// The fold of a partition before its first record.
    pub fn new(homes: Homes) -> Fold {
        Fold {
            scalars: Scalars {
                homes,
                ..Scalars::default()
            },
            ..Fold::default()
        }
    }

    /// Closes an interval: updates the digest, appends the slots of all entries that changed since the last cut
    /// to `slots`, and returns the digest of all that is remembered.
    ///
    /// A cut is a fact about the log, whether or not the state that it describes is ever committed.
    pub fn cut(&mut self, slots: &mut Vec<Slot>) -> Digest {
        let mut changed = std::mem::take(&mut self.changed);
        // In the order of memory, in which they are also written. The digest does not depend on the order.
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

    /// The digest of the sequences as of the last cut, with the current scalars. Right after a cut, or during a
    /// restore, this is the digest of all that is remembered.
    fn digest(&self) -> Digest {
        let Fold {
            sequences: _, // each is an element of `entries`
            window: _,    // each place is one, too
            own: _,       // here, too; the numbers to remember are in the definitions
            sent: _,      // each end of a chain is one, too
            accepted: _,
            copied: _,    // its parts are entries
            reported: _,  // each is an entry
            is_staged: _, // follows from the committed state
            buried: _,    // a buried sequence is no entry
            scalars,
            entries,
            changed: _,       // what `entries` does not know yet; empty after a cut
            touched: _,       // names entries only
            sequences_max: _, // a limit, which is the same in every owner
            broken: _,        // with it, nothing is written
        } = self;
        entries.sum().with(scalars.element())
    }

    /// The invariant that does not hold, if any: nothing of this fold may be answered or written.
    pub fn broken(&self) -> Option<Invariant> {
        self.broken
    }

    /// Entries that changed since the last cut, some of them possibly more than once.
    pub fn changes(&self) -> usize {
        self.changed.len() + self.touched.len()
    }

    /// Number of entries that the fold remembers.
    pub fn len(&self) -> usize {
        self.others() + self.sequences.len()
    }

    /// Number of sequences that the fold remembers.
    pub fn sequences(&self) -> usize {
        self.sequences.len() - self.buried
    }

    /// Number of entries that are not sequences.
    fn others(&self) -> usize {
        let of_rescale = self.copied.len() + self.reported.len();
        let windows = self.window.segments() + self.own.listed();
        self.sent.len() + self.accepted.len() + windows + of_rescale
    }

    /// True when the fold remembers nothing but the scalars.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values that the fold remembers once for the partition.
    pub fn scalars(&self) -> Scalars {
        self.scalars
    }

    /// The slot of the entry at an index below [`Fold::len`]. When entries are added during an iteration, an
    /// entry may come at two indices. No entry that was there at first is skipped, because sequences come last.
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
        match self.of_rescale(left) {
            Some(slot) => return Some(slot),
            None => left -= self.copied.len() + self.reported.len(),
        }
        if left < self.own.listed() {
            return self.own.listed_at(left).map(Slot::Own);
        }
        left -= self.own.listed();
        let (_, state) = self.sequences.get_index(left)?;
        (!state.buried).then_some(Slot::Sequence(left))
    }

    /// The entry in a slot.
    pub fn entry(&self, slot: Slot) -> Option<Entry<'_>> {
        Some(match slot {
            Slot::Sequence(index) => {
                let (name, state) = self.sequences.get_index(index)?;
                if state.buried {
                    return None;
                }
                Entry::of_sequence(name, state.sequence, state.defined.as_deref())
            }
            Slot::Window(segment) => Entry::Window {
                segment,
                places: self.window.segment(segment)?.into(),
            },
            Slot::Own(slot) => Entry::Own {
                name: self.own.name(slot.window)?,
                segment: slot.segment,
                places: self.own.segment(slot)?.into(),
            },
            Slot::Sent(home) => Entry::Sent {
                home,
                position: *self.sent.get(&home)?,
            },
            Slot::Accepted(source) => Entry::Accepted {
                source,
                end: *self.accepted.get(&source)?,
            },
            Slot::Frozen => Entry::Frozen(self.copied.scalars?),
            Slot::FrozenWindow(segment) => Entry::FrozenWindow {
                segment,
                places: self.copied.segment(segment)?.into(),
            },
            Slot::Reported(partition) => Entry::Reported(*self.reported.get(&partition)?),
        })
    }

    /// The key of a slot, whether or not there is an entry in it.
    pub fn key(&self, slot: Slot) -> Option<EntryKey<'_>> {
        Some(match slot {
            Slot::Sequence(index) => {
                let (name, _) = self.sequences.get_index(index)?;
                EntryKey::Sequence(name)
            }
            Slot::Window(segment) => EntryKey::Window(segment),
            Slot::Own(slot) => EntryKey::Own {
                name: self.own.name(slot.window)?,
                segment: slot.segment,
            },
            Slot::Sent(home) => EntryKey::Sent(home),
            Slot::Accepted(source) => EntryKey::Accepted(source),
            Slot::Frozen => EntryKey::Frozen,
            Slot::FrozenWindow(segment) => EntryKey::FrozenWindow(segment),
            Slot::Reported(partition) => EntryKey::Reported(partition),
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
            EntryKey::Sequence(name) => {
                let (index, _, state) = self.sequences.get_full(name)?;
                (!state.buried).then_some(Slot::Sequence(index))
            }
            EntryKey::Window(segment) => {
                self.window.segment(segment).map(|_| Slot::Window(segment))
            }
            EntryKey::Own { name, segment } => self.own.slot(name, segment).map(Slot::Own),
            EntryKey::Sent(home) => self.sent.get(&home).map(|_| Slot::Sent(home)),
            EntryKey::Accepted(source) => {
                self.accepted.get(&source).map(|_| Slot::Accepted(source))
            }
            EntryKey::Frozen => self.copied.scalars.map(|_| Slot::Frozen),
            EntryKey::FrozenWindow(segment) => {
                let found = self.copied.segment(segment);
                found.map(|_| Slot::FrozenWindow(segment))
            }
            EntryKey::Reported(partition) => {
                let found = self.reported.get(&partition);
                found.map(|_| Slot::Reported(partition))
            }
        }
    }

    /// The counter of a name.
    pub fn sequence(&self, name: &str) -> Option<Sequence> {
        self.sequences.get(name).map(|state| state.sequence)
    }

    /// The definition of a name, and its next ID.
    pub fn description(&self, name: &str) -> Option<Description> {
        self.sequences.get(name).map(State::description)
    }

    /// The last change of a name. None when the sequence has no definition.
    pub fn note(&self, name: &str) -> Option<&Note> {
        let state = self.sequences.get(name)?;
        state.defined.as_ref().map(|defined| &defined.note)
    }
}

/// Used by a restore: entries come in as they were stored, and no request is applied.
impl Fold {
    /// Remembers an entry as stored. It replaces the entry with the same key.
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
                    buried: false,
                };
                self.own.set(name, state.definition().remember);
                let after = state.element(name);
                let before = match self.sequences.get_mut(name) {
                    Some(known) => Some(std::mem::replace(known, state)),
                    None => self.sequences.insert(name.into(), state),
                };
                self.entries
                    .replace(before.map(|state| state.element(name)), Some(after));
            }
            Entry::Window { segment, places } => self.put_segment(segment, &places),
            Entry::Own {
                name,
                segment,
                places,
            } => self.put_own(name, segment, &places),
            Entry::Sent { home, position } => {
                let before = self.sent.insert(home, position);
                let before = before.map(|before| entry::sent_element(home, before));
                self.entries
                    .replace(before, Some(entry::sent_element(home, position)));
            }
            Entry::Accepted { source, end } => {
                let before = self.accepted.insert(source, end);
                let before = before.map(|before| entry::accepted_element(source, before));
                self.entries
                    .replace(before, Some(entry::accepted_element(source, end)));
            }
            Entry::Frozen(scalars) => self.copied.put_scalars(Some(scalars), &mut self.entries),
            Entry::FrozenWindow { segment, places } => {
                self.copied.put_segment(segment, &places, &mut self.entries);
            }
            Entry::Reported(partition) => self.report(partition),
        }
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: EntryKey<'_>) {
        let before = match key {
            EntryKey::Sequence(name) => {
                self.own.set(name, 0);
                let before = self.sequences.swap_remove(name);
                before.map(|state| state.element(name))
            }
            EntryKey::Window(segment) => {
                self.put_segment(segment, &[]);
                None
            }
            EntryKey::Own { name, segment } => {
                self.put_own(name, segment, &[]);
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
            EntryKey::Frozen => {
                self.copied.put_scalars(None, &mut self.entries);
                None
            }
            EntryKey::FrozenWindow(segment) => {
                self.copied.put_segment(segment, &[], &mut self.entries);
                None
            }
            EntryKey::Reported(partition) => {
                let before = self.reported.take(&partition);
                before.map(entry::reported_element)
            }
        };
        self.entries.replace(before, None);
    }

    fn put_segment(&mut self, segment: u32, places: &[super::window::Place]) {
        let Fold {
            window, entries, ..
        } = self;
        window.put(segment, places, |Replaced { before, after }| {
            entries.replace(before, after);
        });
    }

    fn put_own(&mut self, name: &str, segment: u64, places: &[super::window::Place]) {
        let Fold { own, entries, .. } = self;
        own.put(name, segment, places, &mut |Replaced { before, after }| {
            entries.replace(before, after);
        });
    }

    /// Sets the scalars as stored.
    pub fn set_scalars(&mut self, scalars: Scalars) {
        self.scalars = scalars;
    }

    /// The digest with these scalars instead of the current ones.
    pub fn digest_with(&self, scalars: Scalars) -> Digest {
        self.entries.sum().with(scalars.element())
    }
}

#[cfg(test)]
mod tests;
