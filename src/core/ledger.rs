//! The ledger: who got which IDs of an audited sequence, as a chain of records.
//!
//! Each grant of a sequence whose definition says `audit` is one record, and so is each act of an
//! operator that moves the sequence, so that a jump can be told from a hole. A record holds the hash
//! of the record before it of the same sequence; the fold remembers the hash of the last one, so it is
//! in the footer's digest as everything else. A record is a function of the request log: an owner who
//! folds the same log writes the same records, byte for byte.
//!
//! The hash is taken over the bytes of a record as they are written, and those are not this room's
//! business: the fold hands each record to a [`Ledger`], which writes it down and says what it hashes to.

use super::definition::Definition;
use super::digest::ElementBuilder;
use super::fold::Grant;
use super::position::{Offset, Timestamp};

/// BLAKE3 over the bytes of one ledger record, keyed with the hash of the record before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// In the place of the hash of a record before the first.
    pub const NONE: Hash = Hash([0; 32]);

    /// Of one record behind another. As a key the hash before it costs nothing, as a part of the bytes it
    /// would cost as much again.
    pub fn of(previous: &Hash, bytes: &[u8]) -> Hash {
        Hash(*blake3::keyed_hash(&previous.0, bytes).as_bytes())
    }
}

/// Where the ledger of one sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Records so far: the number of the last one.
    pub records: u64,
    /// How often the sequence went back to IDs that it had given or passed over. Within a turn the IDs
    /// only go on, so a search can bisect.
    pub turn: u32,
    /// A repair has moved the sequence, or lost what came before, since the last record.
    pub repaired: bool,
    /// Of the last record.
    pub hash: Hash,
}

impl Chain {
    /// Before the first record.
    pub const fn new(repaired: bool) -> Chain {
        Chain {
            records: 0,
            turn: 0,
            repaired,
            hash: Hash::NONE,
        }
    }

    pub(super) fn add_to<const BYTES: usize>(&self, element: &mut ElementBuilder<BYTES>) {
        let Chain {
            records,
            turn,
            repaired,
            hash,
        } = self;
        element
            .number(records.cast_signed())
            .number(i64::from(*turn))
            .number(i64::from(*repaired));
        for bytes in hash.0.chunks_exact(8) {
            element.number(i64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        }
    }
}

/// What a ledger record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// IDs were given.
    Granted(Grant),
    /// The sequence was defined, or defined otherwise.
    Defined {
        /// As it is now.
        definition: Definition,
        /// The ID that comes next; none when no ID is left.
        next: Option<i64>,
    },
    /// An operator moved it.
    Moved {
        /// The ID that comes next.
        next: Option<i64>,
        /// The step.
        increment: i64,
    },
    /// It gives no more IDs.
    Retired {
        /// The ID that would come next.
        next: Option<i64>,
        /// The step.
        increment: i64,
    },
}

/// One record, before it is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The sequence.
    pub sequence: &'a str,
    /// Counts the records of the sequence, from 1.
    pub record: u64,
    /// [`Chain::turn`] of what it tells.
    pub turn: u32,
    /// What it tells.
    pub event: Event,
    /// The partition of the request as the client wrote it.
    pub partition: u32,
    /// Its offset there.
    pub offset: Offset,
    /// The offset in the home partition at which it was folded, of a request that was forwarded.
    pub home_offset: Option<Offset>,
    /// The time of the record that was folded.
    pub timestamp: Timestamp,
    /// Who asked, as the request says.
    pub requester: Option<&'a str>,
    /// The request's own ID.
    pub request_id: Option<&'a str>,
    /// Why, as an operator's request says.
    pub reason: Option<&'a str>,
    /// [`Chain::repaired`] before it.
    pub repaired: bool,
    /// Of the record before it.
    pub previous: Hash,
}

/// Where the fold writes ledger records.
pub trait Ledger {
    /// Writes one, and returns the hash of its bytes.
    fn write(&mut self, line: &Line<'_>) -> Hash;
}
