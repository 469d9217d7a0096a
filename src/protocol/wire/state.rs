//! Records of the state topic: a checkpoint of one partition is a batch of entries, then a footer.
//!
//! Every value begins with the format's version and the batch that wrote it, so that a reader can separate the
//! records of two writers that lie interleaved in the log. A tombstone has no value and carries its batch in
//! the header [`BATCH_HEADER`].
//!
//! | key | value after the envelope |
//! |---|---|
//! | `S` + name | the sequence's counter, and its definition if it has one ([`entry`]) |
//! | `W` + segment | a segment of the window of requests with a `request_id` |
//! | `O` + segment + name | a segment of the own window of a sequence |
//! | `C` + partition | the last stray forwarded to that home partition |
//! | `A` + partition | the last stray accepted from that partition |
//! | `P` | the scalars of a parent at its split, for its children |
//! | `V` + segment | a segment of the window of a parent at its split |
//! | `D` + partition | a partition that has done its part of the current rescale |
//! | `F` | the footer ([`footer`]) |
//! | `R` | the reset ([`reset`]) |

pub mod bytes;
pub mod entry;
pub mod footer;
pub mod reset;

use bytes::Reader;

use crate::core::limits::NAME_BYTES_MAX;

pub use crate::core::fold::{Entry, EntryKey};
pub use crate::core::window::Place;
pub use footer::{Decided, Fingerprint, Footer, NO_LEADER_EPOCH, TopicId};
pub use reset::Reset;

/// The newest version of the envelope and of every record kind.
pub const FORMAT_VERSION: u8 = FORMAT_VERSION_OF_OWN_WINDOWS;
/// The version of a sequence that remembers requests itself, and of its own window.
const FORMAT_VERSION_OF_OWN_WINDOWS: u8 = 4;
/// The version of footers beyond which requests may be answered. A service in `immediate` mode has none.
const FORMAT_VERSION_OF_ANSWERS: u8 = 3;
/// The version of records that a release reads as well which would answer again what is answered beyond a footer.
pub const FORMAT_VERSION_OF_RESCALES: u8 = 2;
/// The version of records that a release without rescales reads as well. A service that is never rescaled has no
/// others.
const FORMAT_VERSION_FIRST: u8 = 1;
/// Header of a tombstone: writer and number of its batch, 16 bytes.
pub const BATCH_HEADER: &str = "b";
/// Key of the footer; compaction keeps the last one.
pub const FOOTER_KEY: &[u8] = b"F";
/// Key of the reset.
pub const RESET_KEY: &[u8] = b"R";
const SEQUENCE_KIND: u8 = b'S';
const WINDOW_KIND: u8 = b'W';
const OWN_KIND: u8 = b'O';
const SENT_KIND: u8 = b'C';
const ACCEPTED_KIND: u8 = b'A';
const FROZEN_KEY: &[u8] = b"P";
const FROZEN_WINDOW_KIND: u8 = b'V';
const REPORTED_KIND: u8 = b'D';

/// The writer and the batch that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// A random number, drawn once for each run of a writer.
    pub writer: u64,
    /// The number of the batch within that run.
    pub number: u64,
}

impl BatchId {
    /// The bytes of a tombstone's header.
    pub fn to_header(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.writer.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Reads a tombstone's header. None when it has another length.
    pub fn from_header(header: &[u8]) -> Option<BatchId> {
        let mut reader = Reader::new(header);
        let batch = BatchId::read(&mut reader)?;
        reader.is_empty().then_some(batch)
    }

    fn read(reader: &mut Reader<'_>) -> Option<BatchId> {
        Some(BatchId {
            writer: reader.u64()?,
            number: reader.u64()?,
        })
    }
}

/// The content of a record of the state topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// An entry that the fold remembers.
    Entry(Entry<'a>),
    /// The key of an entry that the fold no longer remembers.
    Tombstone(EntryKey<'a>),
    /// The end of the batch, with the digest of the state.
    Footer(Box<Footer>),
    /// An operator's repair: everything before it is void.
    Reset(Reset),
}

impl Content<'_> {
    /// The version of the oldest release that may read it.
    fn version(&self) -> u8 {
        match self {
            Content::Entry(entry) => entry::version(entry),
            Content::Footer(footer) => footer.version(),
            Content::Tombstone(_) | Content::Reset(_) => FORMAT_VERSION_FIRST,
        }
    }
}

/// A record of the state topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's batch. A tombstone without the header has none.
    pub batch: Option<BatchId>,
    /// The content of the record.
    pub content: Content<'a>,
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A newer release wrote the record.
    #[error("state record has format version {0}, this release knows {FORMAT_VERSION}")]
    Version(u8),
    /// The record has no kind that this release writes, or the wrong length.
    #[error("state record of {key_bytes} key bytes and {value_bytes} value bytes is malformed")]
    Malformed {
        /// Length of the record's key.
        key_bytes: usize,
        /// Length of the record's value.
        value_bytes: usize,
    },
}

/// Reads a record of the state topic. `header` is the value of [`BATCH_HEADER`].
///
/// # Errors
/// [`Error::Version`] for a newer format, [`Error::Malformed`] for anything else.
pub fn decode<'a>(
    key: &'a [u8],
    value: Option<&'a [u8]>,
    header: Option<&[u8]>,
) -> Result<Record<'a>, Error> {
    let malformed = || Error::Malformed {
        key_bytes: key.len(),
        value_bytes: value.map_or(0, <[u8]>::len),
    };
    let Some(value) = value else {
        return Ok(Record {
            batch: header.and_then(BatchId::from_header),
            content: Content::Tombstone(entry_key(key).ok_or_else(malformed)?),
        });
    };
    let mut reader = Reader::new(value);
    let version = match reader.u8().ok_or_else(malformed)? {
        known @ FORMAT_VERSION_FIRST..=FORMAT_VERSION => known,
        newer => return Err(Error::Version(newer)),
    };
    let batch = BatchId::read(&mut reader).ok_or_else(malformed)?;
    let content = match key {
        FOOTER_KEY => Footer::read(&mut reader, version).map(|f| Content::Footer(Box::new(f))),
        RESET_KEY => Reset::read(&mut reader).map(Content::Reset),
        _ => entry_key(key)
            .and_then(|key| entry::read(key, &mut reader, version).map(Content::Entry)),
    };
    // Each record has one form, so the version follows from the content.
    let content = content
        .filter(|content| reader.is_empty() && content.version() == version)
        .ok_or_else(malformed)?;
    Ok(Record {
        batch: Some(batch),
        content,
    })
}

/// The key of an entry, from a record's key.
pub fn entry_key(key: &[u8]) -> Option<EntryKey<'_>> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_be_bytes);
    match key.split_first()? {
        _ if key == FROZEN_KEY => Some(EntryKey::Frozen),
        (&SEQUENCE_KIND, name) => std::str::from_utf8(name).ok().map(EntryKey::Sequence),
        (&WINDOW_KIND, segment) => number(segment)
            .filter(|segment| *segment < SEGMENTS_MAX)
            .map(EntryKey::Window),
        (&OWN_KIND, rest) => {
            let (segment, name) = rest.split_first_chunk()?;
            let name = std::str::from_utf8(name).ok()?;
            let segment = u64::from_be_bytes(*segment);
            (segment < OWN_SEGMENTS_MAX && !name.is_empty() && name.len() <= NAME_BYTES_MAX)
                .then_some(EntryKey::Own { name, segment })
        }
        (&FROZEN_WINDOW_KIND, segment) => number(segment)
            .filter(|segment| *segment < SEGMENTS_MAX)
            .map(EntryKey::FrozenWindow),
        (&REPORTED_KIND, partition) => number(partition).map(EntryKey::Reported),
        (&SENT_KIND, home) => number(home).map(EntryKey::Sent),
        (&ACCEPTED_KIND, source) => number(source).map(EntryKey::Accepted),
        _ => None,
    }
}

/// No window has more segments. This bounds the memory that a stray record can make a restore allocate.
const SEGMENTS_MAX: u32 = 1 << 20;

/// No own window gets as far: its places have numbers of 63 bits.
const OWN_SEGMENTS_MAX: u64 = 1 << 59;

/// Appends an entry's record key to `out`.
pub fn encode_key(out: &mut Vec<u8>, key: EntryKey<'_>) {
    let mut numbered = |kind: u8, number: u32| {
        out.push(kind);
        out.extend_from_slice(&number.to_be_bytes());
    };
    match key {
        EntryKey::Sequence(name) => {
            out.push(SEQUENCE_KIND);
            out.extend_from_slice(name.as_bytes());
        }
        EntryKey::Window(segment) => numbered(WINDOW_KIND, segment),
        EntryKey::Own { name, segment } => {
            out.push(OWN_KIND);
            out.extend_from_slice(&segment.to_be_bytes());
            out.extend_from_slice(name.as_bytes());
        }
        EntryKey::Sent(home) => numbered(SENT_KIND, home),
        EntryKey::Accepted(source) => numbered(ACCEPTED_KIND, source),
        EntryKey::Frozen => out.extend_from_slice(FROZEN_KEY),
        EntryKey::FrozenWindow(segment) => numbered(FROZEN_WINDOW_KIND, segment),
        EntryKey::Reported(partition) => numbered(REPORTED_KIND, partition),
    }
}

/// Appends the envelope to `out`. Every value begins with it. `version`: that of the record's content.
fn encode_envelope(out: &mut Vec<u8>, batch: BatchId, version: u8) {
    out.push(version);
    out.extend_from_slice(&batch.writer.to_be_bytes());
    out.extend_from_slice(&batch.number.to_be_bytes());
}

#[cfg(test)]
mod tests;
