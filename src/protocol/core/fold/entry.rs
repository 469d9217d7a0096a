//! Entries: what the fold remembers under a key of its own. A state record holds one entry.

use std::borrow::Cow;

use super::frozen::Frozen;
use crate::core::definition::{AtEnd, Definition};
use crate::core::digest::{Element, ElementBuilder, Kind};
use crate::core::ledger::Chain;
use crate::core::link::{Accepted, Position};
use crate::core::own::OwnSlot;
use crate::core::position::{Offset, Timestamp};
use crate::core::sequence::Sequence;
use crate::core::window::Place;

/// The last change of a sequence: who made it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The word in `op`.
    pub op: Box<str>,
    /// The requester that the record names; empty when it names none.
    pub requester: Box<str>,
    /// The reason that the record gives; empty when it gives none.
    pub reason: Box<str>,
    /// Offset of the operator's record.
    pub offset: Offset,
    /// Time of the operator's record.
    pub timestamp: Timestamp,
}

/// The definition of a sequence, and the operator's record that changed it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// The rules of the sequence.
    pub definition: Definition,
    /// True when the sequence gives no more IDs.
    pub retired: bool,
    /// The last change.
    pub note: Note,
    /// The chain of its ledger records. None when it never had a ledger record.
    pub chain: Option<Box<Chain>>,
}

/// One remembered thing with a key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A sequence and its counter.
    Sequence {
        /// The name of the sequence.
        name: &'a str,
        /// The counter of the sequence.
        sequence: Sequence,
        /// The definition, if an operator defined the sequence.
        defined: Option<Cow<'a, Defined>>,
    },
    /// A segment of the window.
    Window {
        /// The number of the segment.
        segment: u32,
        /// The places of the segment, in order.
        places: Cow<'a, [Place]>,
    },
    /// A segment of the own window of a sequence.
    Own {
        /// The name of the sequence.
        name: &'a str,
        /// The number of the segment.
        segment: u64,
        /// The places of the segment, in order.
        places: Cow<'a, [Place]>,
    },
    /// One end of a chain of strays.
    Sent {
        /// The home partition that the strays go to.
        home: u32,
        /// The position of the last stray in this partition's log.
        position: Position,
    },
    /// The receiving end of a chain of strays.
    Accepted {
        /// The partition that the strays come from.
        source: u32,
        /// The last stray that was accepted.
        end: Accepted,
    },
    /// The scalars of a parent at its split, for its children.
    Frozen(Frozen),
    /// A segment of the window of a parent at its split.
    FrozenWindow {
        /// The number of the segment.
        segment: u32,
        /// The places of the segment, in order.
        places: Cow<'a, [Place]>,
    },
    /// A partition that has reported its part of the current rescale: a child here, or in partition 0 also a
    /// parent.
    Reported(u32),
}

/// Key of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKey<'a> {
    /// A sequence's name.
    Sequence(&'a str),
    /// A segment's number.
    Window(u32),
    /// A segment of the own window of a sequence.
    Own {
        /// The name of the sequence.
        name: &'a str,
        /// The number of the segment.
        segment: u64,
    },
    /// A home partition.
    Sent(u32),
    /// A source partition.
    Accepted(u32),
    /// The scalars of a parent.
    Frozen,
    /// A segment's number in the window of a parent.
    FrozenWindow(u32),
    /// A partition that has reported.
    Reported(u32),
}

/// Where the fold keeps an [`Entry`]. An entry stays in its slot while the fold runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The index of a sequence, in the order in which sequences were created.
    Sequence(usize),
    /// A segment's number.
    Window(u32),
    /// A segment of an own window.
    Own(OwnSlot),
    /// A home partition.
    Sent(u32),
    /// A source partition.
    Accepted(u32),
    /// The scalars of a parent.
    Frozen,
    /// A segment's number in the window of a parent.
    FrozenWindow(u32),
    /// A partition that has reported.
    Reported(u32),
}

impl<'a> Entry<'a> {
    pub(super) fn of_sequence(
        name: &'a str,
        sequence: Sequence,
        defined: Option<&'a Defined>,
    ) -> Entry<'a> {
        Entry::Sequence {
            name,
            sequence,
            defined: defined.map(Cow::Borrowed),
        }
    }

    /// The key of the entry.
    pub fn key(&self) -> EntryKey<'a> {
        match self {
            Entry::Sequence { name, .. } => EntryKey::Sequence(name),
            Entry::Window { segment, .. } => EntryKey::Window(*segment),
            Entry::Own { name, segment, .. } => EntryKey::Own {
                name,
                segment: *segment,
            },
            Entry::Sent { home, .. } => EntryKey::Sent(*home),
            Entry::Accepted { source, .. } => EntryKey::Accepted(*source),
            Entry::Frozen(_) => EntryKey::Frozen,
            Entry::FrozenWindow { segment, .. } => EntryKey::FrozenWindow(*segment),
            Entry::Reported(partition) => EntryKey::Reported(*partition),
        }
    }
}

pub(super) fn sequence_element(
    name: &str,
    sequence: Sequence,
    defined: Option<&Defined>,
) -> Element {
    match defined {
        None => <ElementBuilder>::new(Kind::Sequence)
            .text(name)
            .number(sequence.stored())
            .finish(),
        Some(defined) => defined_element(name, sequence, defined),
    }
}

/// Stands before the number of requests to remember. The chain before it is no shorter than three numbers, so that no
/// two sequences have the same element.
const REMEMBERS: i64 = -1;

/// Four texts of 255 bytes with their lengths, and 20 numbers.
const DEFINED_CAPACITY: usize = 1 + 4 * (8 + 255) + 20 * 8;

fn defined_element(name: &str, sequence: Sequence, defined: &Defined) -> Element {
    let Defined {
        definition,
        retired,
        note,
        chain,
    } = defined;
    let Definition {
        start,
        increment,
        min,
        max,
        at_end,
        max_count,
        audit,
        remember,
    } = *definition;
    let Note {
        op,
        requester,
        reason,
        offset,
        timestamp,
    } = note;
    let mut element = ElementBuilder::<DEFINED_CAPACITY>::new(Kind::Defined);
    element
        .text(name)
        .number(sequence.stored())
        .number(start)
        .number(increment)
        .number(min)
        .number(max)
        .number(match at_end {
            AtEnd::Error => 0,
            AtEnd::Cycle => 1,
        })
        .number(max_count.cast_signed())
        .number(i64::from(audit))
        .number(i64::from(*retired))
        .text(op)
        .text(requester)
        .text(reason)
        .number(offset.0)
        .number(timestamp.0);
    if let Some(chain) = chain {
        chain.add_to(&mut element);
    }
    // Without an own window the element is the one that releases without own windows compute.
    if remember > 0 {
        element.number(REMEMBERS).number(i64::from(remember));
    }
    element.finish()
}

pub(super) fn sent_element(home: u32, position: Position) -> Element {
    let Position {
        leader_epoch,
        offset,
    } = position;
    ElementBuilder::<32>::new(Kind::Sent)
        .number(i64::from(home))
        .number(i64::from(leader_epoch))
        .number(offset)
        .finish()
}

pub(super) fn accepted_element(source: u32, end: Accepted) -> Element {
    let Accepted {
        epoch,
        position,
        open,
    } = end;
    let Position {
        leader_epoch,
        offset,
    } = position;
    ElementBuilder::<48>::new(Kind::Accepted)
        .number(i64::from(source))
        .number(epoch.cast_signed())
        .number(i64::from(leader_epoch))
        .number(offset)
        .number(i64::from(open))
        .finish()
}

pub(super) fn reported_element(partition: u32) -> Element {
    ElementBuilder::<16>::new(Kind::Reported)
        .number(i64::from(partition))
        .finish()
}
