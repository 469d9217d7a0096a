//! Entries of the state topic: what the fold remembers under a key of its own.
//!
//! | entry | value after the envelope |
//! |---|---|
//! | sequence | its counter, 8 bytes; for a defined one the definition follows, then the position of its
//! ledger, if it has one |
//! | window segment, also of an own window | its places, 36 bytes each, 44 with a count from 2^32-1 on |
//! | last stray sent | its leader epoch, 4 bytes, and its offset, 8 |
//! | scalars of a parent | its highest time, floor, rule for undefined names, capacity and next place of the window |
//! | partition that has done its part | nothing |
//! | last stray accepted | its source's epoch, 8 bytes, then as above, then whether one gap is accepted |

use std::borrow::Cow;

use super::bytes::{Reader, push_text};
use super::{
    BatchId, FORMAT_VERSION_FIRST, FORMAT_VERSION_OF_OWN_WINDOWS, FORMAT_VERSION_OF_RESCALES,
    encode_envelope,
};
use crate::core::command::Undefined;
use crate::core::definition::{AtEnd, Definition};
use crate::core::fold::{Defined, Entry, EntryKey, Frozen, Note, OWN_SEGMENT};
use crate::core::ledger::{Chain, Hash};
use crate::core::limits::{ID_FIRST, ID_LAST, NAME_BYTES_MAX, TEXT_FIELD_BYTES_MAX};
use crate::core::link::{Accepted, Position};
use crate::core::sequence::Sequence;
use crate::core::window::{Place, RequestKey, SEGMENT};
use crate::core::{Offset, Timestamp};

/// The version of an entry. Some are made by a rescale only, and some by a definition with `remember`.
pub(super) fn version(entry: &Entry<'_>) -> u8 {
    match entry {
        Entry::Own { .. } => FORMAT_VERSION_OF_OWN_WINDOWS,
        Entry::Sequence {
            defined: Some(defined),
            ..
        } if defined.definition.remember > 0 => FORMAT_VERSION_OF_OWN_WINDOWS,
        Entry::Frozen(_) | Entry::FrozenWindow { .. } | Entry::Reported(_) => {
            FORMAT_VERSION_OF_RESCALES
        }
        Entry::Sequence { .. }
        | Entry::Window { .. }
        | Entry::Sent { .. }
        | Entry::Accepted { .. } => FORMAT_VERSION_FIRST,
    }
}

/// Appends an entry's value to `out`.
pub fn encode(out: &mut Vec<u8>, batch: BatchId, entry: &Entry<'_>) {
    encode_envelope(out, batch, version(entry));
    match entry {
        Entry::Sequence {
            name: _,
            sequence,
            defined,
        } => {
            out.extend_from_slice(&sequence.stored().to_be_bytes());
            if let Some(defined) = defined {
                encode_defined(out, defined);
            }
        }
        Entry::Frozen(frozen) => encode_frozen(out, *frozen),
        Entry::Reported(_) => {}
        Entry::Window { segment: _, places }
        | Entry::FrozenWindow { segment: _, places }
        | Entry::Own {
            name: _,
            segment: _,
            places,
        } => {
            for place in places.iter() {
                let Place {
                    key,
                    first,
                    increment,
                    count,
                } = place;
                out.extend_from_slice(&key.0);
                out.extend_from_slice(&first.to_be_bytes());
                out.extend_from_slice(&increment.to_be_bytes());
                push_count(out, *count);
            }
        }
        Entry::Sent { home: _, position } => encode_position(out, *position),
        Entry::Accepted { source: _, end } => {
            let Accepted {
                epoch,
                position,
                open,
            } = end;
            out.extend_from_slice(&epoch.to_be_bytes());
            encode_position(out, *position);
            out.push(u8::from(*open));
        }
    }
}

fn encode_frozen(out: &mut Vec<u8>, frozen: Frozen) {
    let Frozen {
        highest_timestamp,
        floor,
        undefined,
        window_capacity,
        window_next,
    } = frozen;
    out.extend_from_slice(&highest_timestamp.0.to_be_bytes());
    out.extend_from_slice(&floor.to_be_bytes());
    out.push(undefined.number());
    out.extend_from_slice(&window_capacity.to_be_bytes());
    out.extend_from_slice(&window_next.to_be_bytes());
}

fn read_frozen(reader: &mut Reader<'_>) -> Option<Frozen> {
    Some(Frozen {
        highest_timestamp: Timestamp(reader.i64()?),
        floor: reader.i64()?,
        undefined: read_undefined(reader)?,
        window_capacity: reader.u32()?,
        window_next: reader.count()?,
    })
}

/// The rule for undefined names, as a footer and the copy of a parent hold it.
pub(super) fn read_undefined(reader: &mut Reader<'_>) -> Option<Undefined> {
    Some(match reader.u8()? {
        0 => Undefined::Create,
        1 => Undefined::Refuse,
        2 => Undefined::CreateAudited,
        _ => return None,
    })
}

fn encode_position(out: &mut Vec<u8>, position: Position) {
    let Position {
        leader_epoch,
        offset,
    } = position;
    out.extend_from_slice(&leader_epoch.to_be_bytes());
    out.extend_from_slice(&offset.to_be_bytes());
}

fn encode_defined(out: &mut Vec<u8>, defined: &Defined) {
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
    } = definition;
    let Note {
        op,
        requester,
        reason,
        offset,
        timestamp,
    } = note;
    for number in [start, increment, min, max] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.push(u8::from(*at_end == AtEnd::Cycle));
    out.extend_from_slice(&max_count.to_be_bytes());
    out.push(u8::from(*audit));
    if *remember > 0 {
        out.extend_from_slice(&remember.to_be_bytes());
    }
    out.push(u8::from(*retired));
    for text in [op, requester, reason] {
        push_text(out, text);
    }
    out.extend_from_slice(&offset.0.to_be_bytes());
    out.extend_from_slice(&timestamp.0.to_be_bytes());
    if let Some(chain) = chain {
        let Chain {
            records,
            turn,
            repaired,
            hash,
        } = &**chain;
        out.extend_from_slice(&records.to_be_bytes());
        out.extend_from_slice(&turn.to_be_bytes());
        out.push(u8::from(*repaired));
        out.extend_from_slice(&hash.0);
    }
}

/// Reads an entry's value. `None` when it is not a valid value of this format.
pub(super) fn read<'a>(
    key: EntryKey<'a>,
    reader: &mut Reader<'_>,
    version: u8,
) -> Option<Entry<'a>> {
    match key {
        EntryKey::Sequence(name) => read_sequence(name, reader, version),
        EntryKey::Own { name, segment } => Some(Entry::Own {
            name,
            segment,
            places: read_places(reader, OWN_SEGMENT)?.into(),
        }),
        EntryKey::Window(segment) => Some(Entry::Window {
            segment,
            places: read_places(reader, SEGMENT)?.into(),
        }),
        EntryKey::FrozenWindow(segment) => Some(Entry::FrozenWindow {
            segment,
            places: read_places(reader, SEGMENT)?.into(),
        }),
        EntryKey::Frozen => read_frozen(reader).map(Entry::Frozen),
        EntryKey::Reported(partition) => Some(Entry::Reported(partition)),
        EntryKey::Sent(home) => Some(Entry::Sent {
            home,
            position: read_position(reader)?,
        }),
        EntryKey::Accepted(source) => Some(Entry::Accepted {
            source,
            end: Accepted {
                epoch: reader.u64()?,
                position: read_position(reader)?,
                open: flag(reader)?,
            },
        }),
    }
}

/// Stands before a count that does not fit into four bytes. Almost all of them do.
const WIDE: u32 = u32::MAX;

fn push_count(out: &mut Vec<u8>, count: u64) {
    match u32::try_from(count) {
        Ok(narrow) if narrow != WIDE => out.extend_from_slice(&narrow.to_be_bytes()),
        _ => {
            out.extend_from_slice(&WIDE.to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
        }
    }
}

fn read_count(reader: &mut Reader<'_>) -> Option<u64> {
    match reader.u32()? {
        WIDE => reader.u64().filter(|count| *count >= u64::from(WIDE)),
        narrow => Some(u64::from(narrow)),
    }
}

fn read_places(reader: &mut Reader<'_>, max: usize) -> Option<Vec<Place>> {
    let mut places = Vec::new();
    while !reader.is_empty() && places.len() < max {
        places.push(Place {
            key: RequestKey(reader.array()?),
            first: reader.i64()?,
            increment: reader.i64()?,
            count: read_count(reader)?,
        });
    }
    Some(places)
}

fn read_position(reader: &mut Reader<'_>) -> Option<Position> {
    Position::read(i32::from_be_bytes(reader.array()?), reader.i64()?)
}

fn read_sequence<'a>(name: &'a str, reader: &mut Reader<'_>, version: u8) -> Option<Entry<'a>> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let next = reader.i64()?;
    let defined = if reader.is_empty() {
        // With the default definition, a counter is always in this range.
        if !(ID_FIRST..=ID_LAST + 1).contains(&next) {
            return None;
        }
        None
    } else {
        Some(Cow::Owned(read_defined(reader, version)?))
    };
    Some(Entry::Sequence {
        name,
        sequence: Sequence::restored(next),
        defined,
    })
}

fn read_defined(reader: &mut Reader<'_>, version: u8) -> Option<Defined> {
    let (start, increment) = (reader.i64()?, reader.i64()?);
    let (min, max) = (reader.i64()?, reader.i64()?);
    let definition = Definition {
        start,
        increment,
        min,
        max,
        at_end: if flag(reader)? {
            AtEnd::Cycle
        } else {
            AtEnd::Error
        },
        max_count: reader.u64()?,
        audit: flag(reader)?,
        remember: match version {
            FORMAT_VERSION_OF_OWN_WINDOWS => reader.u32()?,
            _ => 0,
        },
    };
    let retired = flag(reader)?;
    let mut text = || {
        let text = reader.text()?;
        (text.len() <= TEXT_FIELD_BYTES_MAX).then(|| text.into())
    };
    let (op, requester, reason) = (text()?, text()?, text()?);
    Some(Defined {
        definition: definition.checked().ok()?,
        retired,
        note: Note {
            op,
            requester,
            reason,
            offset: Offset(reader.offset()?),
            timestamp: Timestamp(reader.i64()?),
        },
        // Records of earlier releases end here, and so do records of sequences without a ledger.
        chain: if reader.is_empty() {
            None
        } else {
            Some(Box::new(read_chain(reader)?))
        },
    })
}

fn read_chain(reader: &mut Reader<'_>) -> Option<Chain> {
    Some(Chain {
        records: reader.count()?,
        turn: reader.u32()?,
        repaired: flag(reader)?,
        hash: Hash(reader.array()?),
    })
}

pub(super) fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
