//! What the fold remembers under a key of its own; a state record holds one.

use std::borrow::Cow;

use crate::core::definition::{AtEnd, Definition};
use crate::core::digest::{Element, ElementBuilder, Kind};
use crate::core::ledger::Chain;
use crate::core::link::{Accepted, Position};
use crate::core::position::{Offset, Timestamp};
use crate::core::sequence::Sequence;
use crate::core::window::Place;

/// Who changed a sequence last, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The operation's word.
    pub op: Box<str>,
    /// Who.
    pub requester: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// The record that said so.
    pub offset: Offset,
    /// Its time.
    pub timestamp: Timestamp,
}

/// What an operator said about a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// Its rules.
    pub definition: Definition,
    /// No more IDs are given.
    pub retired: bool,
    /// The last change.
    pub note: Note,
    /// Its ledger, if it ever had a record there.
    pub chain: Option<Box<Chain>>,
}

/// One remembered thing with a key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A sequence.
    Sequence {
        /// Its name.
        name: &'a str,
        /// Its counter.
        sequence: Sequence,
        /// Its definition, when somebody defined it.
        defined: Option<Cow<'a, Defined>>,
    },
    /// A segment of the window.
    Window {
        /// Which.
        segment: u32,
        /// Its places in order.
        places: Cow<'a, [Place]>,
    },
    /// One end of a chain of strays.
    Sent {
        /// The partition that they go to.
        home: u32,
        /// The place of the last one in this log.
        position: Position,
    },
    /// The other end.
    Accepted {
        /// The partition that they come from.
        source: u32,
        /// The last stray that was accepted.
        end: Accepted,
    },
}

/// Key of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKey<'a> {
    /// A sequence's name.
    Sequence(&'a str),
    /// A segment's number.
    Window(u32),
    /// A home partition.
    Sent(u32),
    /// A source partition.
    Accepted(u32),
}

/// Where the fold keeps an [`Entry`]; it stays there while the fold runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// In the order in which sequences came to be.
    Sequence(usize),
    /// A segment's number.
    Window(u32),
    /// A home partition.
    Sent(u32),
    /// A source partition.
    Accepted(u32),
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

    /// Its key.
    pub fn key(&self) -> EntryKey<'a> {
        match self {
            Entry::Sequence { name, .. } => EntryKey::Sequence(name),
            Entry::Window { segment, .. } => EntryKey::Window(*segment),
            Entry::Sent { home, .. } => EntryKey::Sent(*home),
            Entry::Accepted { source, .. } => EntryKey::Accepted(*source),
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

/// Four texts of 255 bytes with their lengths, and 18 numbers.
const DEFINED_CAPACITY: usize = 1 + 4 * (8 + 255) + 18 * 8;

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
