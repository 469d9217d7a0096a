//! Reads the ledger: who got an ID (`sequencer trace`), and whether a sequence's chain is complete (`sequencer
//! audit`).
//!
//! The records of a sequence are all in one partition, its home, in the order of its grants. Records of other
//! sequences lie between them, and so do transaction markers. So a record is found by reading from an offset
//! on, to the first record of the name.
//!
//! | file | subject |
//! |---|---|
//! | [`source`] | one partition of a ledger: Kafka's, or a test's own records |
//! | [`search`], [`coverage`] | finds the record of an ID by bisection, and counts the pages that it reads |
//! | [`trace`] | who got an ID, or what a request got |
//! | [`chain`] | checks hashes, numbers and IDs, record by record |
//! | [`told`], [`time`] | records and times in words for people |

pub(crate) mod chain;
pub(crate) mod coverage;
pub(crate) mod lineage;
pub(crate) mod search;
pub(crate) mod source;
pub(crate) mod time;
pub(crate) mod told;
pub(crate) mod trace;

#[cfg(test)]
mod tests;
