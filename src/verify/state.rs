//! The records of the state topic, read a second time from their description.
//!
//! Every value begins with a version, and the writer and the number of its batch. Numbers are big-endian, and a
//! text follows its length in two bytes. A value that is too short, too long or out of range cannot be read.
//!
//! | key | value after the version and the batch |
//! |---|---|
//! | `S` + name | the next ID; for a defined sequence the definition, the last change, and the end of its ledger |
//! | `W` + segment | places of the window: hash, first ID, increment, count |
//! | `O` + segment + name | places of the own window of a sequence |
//! | `C` + partition | leader epoch and offset of the last stray sent there |
//! | `A` + partition | epoch, leader epoch and offset of the last stray accepted from there, and whether it is open |
//! | `P` | the scalars of a parent at its split |
//! | `V` + segment | places of the window of a parent at its split |
//! | `D` + partition | nothing: the partition has done its part of a rescale |
//! | `F` | the footer |
//! | `R` | the reset: an operator's repair |
//!
//! A tombstone has no value. Its batch is in a header.

use super::grant::Grant;
use super::link::{BEGINNING, End, Position};
use super::oracle::Scalars;
use super::oracle::rescale::Frozen;
use super::own::SEGMENT as OWN_SEGMENT;
use super::request::Unknown;
use super::rules::{Defined, Ledger, LedgerEnd, Note, Rules};
use super::window::{Place, SEGMENT};

/// The version of records that every release can read.
const VERSION_FIRST: u8 = 1;
/// The version of records that only a rescale writes.
const VERSION_OF_RESCALES: u8 = 2;
/// The version of footers with answers beyond them.
const VERSION_OF_ANSWERS: u8 = 3;
/// The version of a sequence that remembers requests itself, and of its own window. It is the newest one.
const VERSION_OF_OWN_WINDOWS: u8 = 4;
/// A name has at most this many bytes. So has each text of a note.
const TEXT_BYTES_MAX: usize = 255;
/// The next ID of a sequence without a definition: 1, up to one past 2^53-1.
const UNDEFINED_NEXT: std::ops::RangeInclusive<i64> = 1..=1 << 53;
/// A window has fewer segments than this.
const SEGMENTS_MAX: u32 = 1 << 20;
/// The places of an own window have numbers of 63 bits.
const OWN_SEGMENTS_MAX: u64 = 1 << 59;
/// A service has had at most this many numbers of partitions.
const HOMES_MAX: u8 = 16;
/// Stands before a count that needs eight bytes.
const WIDE: u32 = u32::MAX;
/// Offset, leader epoch and fingerprint in a footer of a partition without a record.
const NO_RECORD: (i64, i32, u128) = (-1, -1, 0);

/// The writer and the number of a batch.
pub(super) type BatchId = (u64, u64);

/// The key of an entry as its record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKey<'a> {
    Sequence(&'a str),
    Window(u32),
    Own { name: &'a str, segment: u64 },
    Sent(u32),
    Accepted(u32),
    Frozen,
    FrozenWindow(u32),
    Reported(u32),
}

/// The value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Sequence {
        next: i64,
        defined: Option<Box<Defined>>,
    },
    Window(Vec<Place>),
    Sent(Position),
    Accepted(End),
    Frozen(Frozen),
    Reported,
}

/// The end of a batch. It has no `Debug`, because it holds a secret.
pub(super) struct Footer {
    /// The next request offset to read.
    pub next: i64,
    pub digest: u128,
    pub scalars: Scalars,
    /// The key of the links.
    pub secret: [u8; 32],
    pub fold_version: u16,
    /// The ID of the request topic.
    pub topic_id: [u8; 16],
    /// Offset, leader epoch and fingerprint of the last record that was read.
    pub last: Option<(i64, i32, u128)>,
    /// True when requests beyond the footer may be answered.
    pub answers_beyond: bool,
    /// Number of records of the batch before the footer.
    pub records: u32,
}

/// The content of a record.
pub(super) enum Content<'a> {
    Entry(EntryKey<'a>, Value),
    /// The key of an entry that exists no longer.
    Tombstone(EntryKey<'a>),
    Footer(Box<Footer>),
    /// A repair. Requests from this offset on may never be answered.
    Reset {
        answered: i64,
    },
}

impl Content<'_> {
    /// The version of a record with this content.
    fn version(&self) -> u8 {
        let of_rescale = match self {
            Content::Entry(EntryKey::Own { .. }, _) => return VERSION_OF_OWN_WINDOWS,
            Content::Entry(
                _,
                Value::Sequence {
                    defined: Some(defined),
                    ..
                },
            ) if defined.rules.remember > 0 => return VERSION_OF_OWN_WINDOWS,
            Content::Entry(key, _) => matches!(
                key,
                EntryKey::Frozen | EntryKey::FrozenWindow(_) | EntryKey::Reported(_)
            ),
            Content::Footer(footer) if footer.answers_beyond => return VERSION_OF_ANSWERS,
            Content::Footer(footer) => {
                let scalars = &footer.scalars;
                scalars.homes.len() > 1 || scalars.policy_is_own || scalars.unburied > 0
            }
            Content::Tombstone(_) | Content::Reset { .. } => false,
        };
        match of_rescale {
            true => VERSION_OF_RESCALES,
            false => VERSION_FIRST,
        }
    }
}

/// A record and its batch. A tombstone may have none.
pub(super) struct Record<'a> {
    pub batch: Option<BatchId>,
    pub content: Content<'a>,
}

/// The reason why a record cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("state record has format version {0}, this release knows {VERSION_OF_OWN_WINDOWS}")]
    Version(u8),
    #[error("state record is malformed")]
    Malformed,
}

/// Reads a record. `header` names the batch of a tombstone.
pub(super) fn read<'a>(
    key: &'a [u8],
    value: Option<&[u8]>,
    header: Option<&[u8]>,
) -> Result<Record<'a>, Error> {
    let Some(value) = value else {
        let content = entry_key(key).map(Content::Tombstone);
        return Ok(Record {
            batch: header.and_then(|header| Bytes(header).whole(Bytes::batch)),
            content: content.ok_or(Error::Malformed)?,
        });
    };
    let (&version, rest) = value.split_first().ok_or(Error::Malformed)?;
    if !(VERSION_FIRST..=VERSION_OF_OWN_WINDOWS).contains(&version) {
        return Err(Error::Version(version));
    }
    let record = Bytes(rest).whole(|bytes| {
        Some(Record {
            batch: Some(bytes.batch()?),
            content: content(key, bytes, version)?,
        })
    });
    // The content decides the version.
    record
        .filter(|record| record.content.version() == version)
        .ok_or(Error::Malformed)
}

fn content<'a>(key: &'a [u8], bytes: &mut Bytes<'_>, version: u8) -> Option<Content<'a>> {
    Some(match key {
        b"F" => Content::Footer(Box::new(footer(bytes, version)?)),
        b"R" => {
            let answered = bytes.offset()?;
            // The epoch is in the footer as well, and the reason is for people.
            bytes.u64()?;
            bytes.text()?;
            Content::Reset { answered }
        }
        _ => {
            let key = entry_key(key)?;
            Content::Entry(key, entry(key, bytes, version)?)
        }
    })
}

fn entry_key(key: &[u8]) -> Option<EntryKey<'_>> {
    let (kind, rest) = key.split_first()?;
    let number = || rest.try_into().ok().map(u32::from_be_bytes);
    let segment = || number().filter(|segment| *segment < SEGMENTS_MAX);
    Some(match kind {
        b'S' => EntryKey::Sequence(std::str::from_utf8(rest).ok()?),
        b'W' => EntryKey::Window(segment()?),
        b'O' => {
            let (segment, name) = rest.split_first_chunk()?;
            let segment = u64::from_be_bytes(*segment);
            let name = std::str::from_utf8(name).ok()?;
            let is_known = segment < OWN_SEGMENTS_MAX && (1..=TEXT_BYTES_MAX).contains(&name.len());
            is_known.then_some(EntryKey::Own { name, segment })?
        }
        b'C' => EntryKey::Sent(number()?),
        b'A' => EntryKey::Accepted(number()?),
        b'P' if rest.is_empty() => EntryKey::Frozen,
        b'V' => EntryKey::FrozenWindow(segment()?),
        b'D' => EntryKey::Reported(number()?),
        _ => return None,
    })
}

fn entry(key: EntryKey<'_>, bytes: &mut Bytes<'_>, version: u8) -> Option<Value> {
    Some(match key {
        EntryKey::Sequence(name) => {
            if !(1..=TEXT_BYTES_MAX).contains(&name.len()) {
                return None;
            }
            let next = bytes.i64()?;
            let defined = match bytes.is_empty() {
                true if UNDEFINED_NEXT.contains(&next) => None,
                true => return None,
                false => Some(Box::new(defined(bytes, version)?)),
            };
            Value::Sequence { next, defined }
        }
        EntryKey::Window(_) | EntryKey::FrozenWindow(_) => {
            Value::Window(places(bytes, SEGMENT as u64)?)
        }
        EntryKey::Own { .. } => Value::Window(places(bytes, OWN_SEGMENT)?),
        EntryKey::Sent(_) => Value::Sent(position(bytes)?),
        EntryKey::Accepted(_) => Value::Accepted(End {
            epoch: bytes.u64()?,
            position: position(bytes)?,
            open: bytes.flag()?,
        }),
        EntryKey::Frozen => Value::Frozen(Frozen {
            highest_timestamp: bytes.i64()?,
            floor: bytes.i64()?,
            unknown: unknown(bytes)?,
            window_capacity: bytes.u32()?,
            window_next: bytes.count()?,
        }),
        EntryKey::Reported(_) => Value::Reported,
    })
}

fn defined(bytes: &mut Bytes<'_>, version: u8) -> Option<Defined> {
    let rules = Rules {
        start: bytes.i64()?,
        increment: bytes.i64()?,
        min: bytes.i64()?,
        max: bytes.i64()?,
        cycle: bytes.flag()?,
        max_count: bytes.u64()?,
        audit: bytes.flag()?,
        remember: match version {
            VERSION_OF_OWN_WINDOWS => bytes.u32()?,
            _ => 0,
        },
    };
    let retired = bytes.flag()?;
    let mut short = || {
        let text = bytes.text()?;
        (text.len() <= TEXT_BYTES_MAX).then(|| text.into())
    };
    let (op, requester, reason) = (short()?, short()?, short()?);
    Some(Defined {
        rules: rules.is_sound().then_some(rules)?,
        retired,
        note: Note {
            op,
            requester,
            reason,
            offset: bytes.offset()?,
            timestamp_ms: bytes.i64()?,
        },
        ledger: Ledger(match bytes.is_empty() {
            true => None,
            false => Some(LedgerEnd {
                records: bytes.count()?,
                turn: bytes.u32()?,
                repaired: bytes.flag()?,
                hash: bytes.array()?,
            }),
        }),
    })
}

fn places(bytes: &mut Bytes<'_>, max: u64) -> Option<Vec<Place>> {
    let mut places = Vec::new();
    while !bytes.is_empty() && (places.len() as u64) < max {
        places.push(place(bytes)?);
    }
    Some(places)
}

fn place(bytes: &mut Bytes<'_>) -> Option<Place> {
    let key = bytes.array()?;
    let (first, increment) = (bytes.i64()?, bytes.i64()?);
    let count = match bytes.u32()? {
        // A count that fits into four bytes has four.
        WIDE => bytes.u64().filter(|count| *count >= WIDE.into())?,
        narrow => narrow.into(),
    };
    let grant = Grant {
        first,
        count,
        increment,
    };
    Some(Place { key, grant })
}

fn position(bytes: &mut Bytes<'_>) -> Option<Position> {
    let position = (bytes.i32()?, bytes.i64()?);
    let is_of_a_record = position.0 >= BEGINNING.0 && position.1 >= 0;
    (is_of_a_record || position == BEGINNING).then_some(position)
}

fn unknown(bytes: &mut Bytes<'_>) -> Option<Unknown> {
    match bytes.u8()? {
        0 => Some(Unknown::Create),
        1 => Some(Unknown::Refuse),
        2 => Some(Unknown::Audit),
        _ => None,
    }
}

fn footer(bytes: &mut Bytes<'_>, version: u8) -> Option<Footer> {
    let of_rescale = version > VERSION_FIRST;
    let footer = Footer {
        next: bytes.offset()?,
        digest: bytes.u128()?,
        scalars: Scalars {
            highest_timestamp: bytes.i64()?,
            applied: bytes.count()?,
            floor: bytes.i64()?,
            unknown: unknown(bytes)?,
            window_capacity: bytes.u32()?,
            window_next: bytes.count()?,
            links_open: bytes.flag()?,
            epoch: bytes.u64()?,
            homes: homes(bytes)?,
            policy_is_own: of_rescale && bytes.flag()?,
            unburied: if of_rescale { bytes.count()? } else { 0 },
        },
        secret: bytes.array()?,
        fold_version: bytes.u16()?,
        topic_id: bytes.array()?,
        last: last(bytes)?,
        answers_beyond: version == VERSION_OF_ANSWERS,
        records: bytes.u32()?,
    };
    // The group and the instance.
    bytes.text()?;
    bytes.text()?;
    Some(footer)
}

/// The numbers of partitions: each is a multiple of the one before, and larger.
fn homes(bytes: &mut Bytes<'_>) -> Option<Vec<u32>> {
    let length = bytes.u8().filter(|length| *length <= HOMES_MAX)?;
    let homes = (0..length).map(|_| bytes.u32());
    let homes = homes.collect::<Option<Vec<u32>>>()?;
    let grows = |pair: &[u32]| pair[1] > pair[0] && pair[1].is_multiple_of(pair[0]);
    let starts = homes.first().is_some_and(|first| *first > 0);
    (starts && homes.windows(2).all(grows)).then_some(homes)
}

/// The last record that was read; the inner value is none when there was none.
fn last(bytes: &mut Bytes<'_>) -> Option<Option<(i64, i32, u128)>> {
    match (bytes.i64()?, bytes.i32()?, bytes.u128()?) {
        NO_RECORD => Some(None),
        (offset, leader_epoch, _) if offset < 0 || leader_epoch < -1 => None,
        record => Some(Some(record)),
    }
}

/// The bytes that are left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// The result of a reader that leaves nothing over.
    fn whole<T>(mut self, read: impl FnOnce(&mut Bytes<'a>) -> Option<T>) -> Option<T> {
        let read = read(&mut self)?;
        self.is_empty().then_some(read)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_be_bytes)
    }

    /// A number that counts something. It fits into a signed integer.
    fn count(&mut self) -> Option<u64> {
        self.u64().filter(|count| i64::try_from(*count).is_ok())
    }

    fn offset(&mut self) -> Option<i64> {
        self.i64().filter(|offset| *offset >= 0)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn batch(&mut self) -> Option<BatchId> {
        Some((self.u64()?, self.u64()?))
    }
}
