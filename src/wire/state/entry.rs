//! Entries: what is remembered under a key of its own.

use super::bytes::Reader;
use super::{BatchId, encode_envelope};
use crate::core::fold::{Entry, EntryKey};
use crate::core::limits::NAME_BYTES_MAX;
use crate::core::sequence::Sequence;

/// Appends an entry's value to `out`.
pub fn encode(out: &mut Vec<u8>, batch: BatchId, entry: &Entry<'_>) {
    let Entry::Sequence { name: _, sequence } = entry;
    encode_envelope(out, batch);
    out.extend_from_slice(&sequence.next().to_be_bytes());
}

/// The key of an entry.
pub fn key<'a>(entry: &Entry<'a>) -> EntryKey<'a> {
    let Entry::Sequence { name, .. } = entry;
    EntryKey::Sequence(name)
}

pub(super) fn read<'a>(key: EntryKey<'a>, reader: &mut Reader<'_>) -> Option<Entry<'a>> {
    let EntryKey::Sequence(name) = key;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let sequence = Sequence::restored(reader.i64()?)?;
    Some(Entry::Sequence { name, sequence })
}
