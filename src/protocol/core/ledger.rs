//! The ledger: who got which IDs of an audited sequence, as a chain of records.
//!
//! Each grant of a sequence whose definition says `audit` is one record. Each act of an operator that moves the
//! sequence is one record too, so that a reader can distinguish a jump from a hole. A record holds the hash of
//! the record before it of the same sequence. The fold remembers the hash of the last record, so it is in the
//! footer's digest. A record is a function of the request log: an owner that folds the same log writes the same
//! records, byte for byte.
//!
//! The hash is taken over the bytes of a record as they are written. This module does not know these bytes: the
//! fold hands each record to a [`Ledger`], which writes it and returns its hash.

use super::definition::Definition;
use super::digest::ElementBuilder;
use super::grant::Grant;
use super::position::{Offset, Timestamp};

/// BLAKE3 over the bytes of one ledger record, keyed with the hash of the record before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Stands for the hash of the record before the first one.
    pub const NONE: Hash = Hash([0; 32]);

    /// The hash of a record that follows another. The previous hash costs nothing as a key. As a part of the
    /// bytes it would cost as much again.
    pub fn of(previous: &Hash, bytes: &[u8]) -> Hash {
        Hash(*blake3::keyed_hash(&previous.0, bytes).as_bytes())
    }
}

/// Where the ledger of one sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of records so far, which is the number of the last one.
    pub records: u64,
    /// How often the sequence went back to IDs that it had given or skipped. Within a turn the IDs only go on,
    /// so a search can bisect.
    pub turn: u32,
    /// True when a repair has moved the sequence, or lost its state, since the last record.
    pub repaired: bool,
    /// The hash of the last record.
    pub hash: Hash,
}

impl Chain {
    /// A chain before its first record.
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

/// The event that a ledger record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// IDs were given.
    Granted(Grant),
    /// The sequence was defined, or its definition changed.
    Defined {
        /// The definition from now on.
        definition: Definition,
        /// The ID that comes next; none when no ID is left.
        next: Option<i64>,
    },
    /// An operator moved the sequence.
    Moved {
        /// The ID that comes next.
        next: Option<i64>,
        /// The step.
        increment: i64,
    },
    /// The sequence was retired, so it gives no more IDs.
    Retired {
        /// The ID that would have come next; none when no ID was left.
        next: Option<i64>,
        /// The step.
        increment: i64,
    },
}

/// One ledger record before it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The name of the sequence.
    pub sequence: &'a str,
    /// The number of the record within its sequence, from 1.
    pub record: u64,
    /// The [`Chain::turn`] of the event.
    pub turn: u32,
    /// The event.
    pub event: Event,
    /// The partition of the request as the client wrote it.
    pub partition: u32,
    /// The offset of the request in that partition.
    pub offset: Offset,
    /// The offset in the home partition at which the request was folded. Present for a forwarded request.
    pub home_offset: Option<Offset>,
    /// The time of the record that was folded.
    pub timestamp: Timestamp,
    /// The requester that the request names.
    pub requester: Option<&'a str>,
    /// The request's `request_id`.
    pub request_id: Option<&'a str>,
    /// The reason in an operator's record.
    pub reason: Option<&'a str>,
    /// [`Chain::repaired`] before the record.
    pub repaired: bool,
    /// The hash of the record before this one.
    pub previous: Hash,
}

/// Where the fold writes ledger records.
pub trait Ledger {
    /// Writes one record, and returns the hash of its bytes.
    fn write(&mut self, line: &Line<'_>) -> Hash;
}
