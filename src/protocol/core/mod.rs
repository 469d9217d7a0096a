//! The pure core: what a request means and which ID it gets.
//!
//! The request log of a partition is the counter. [`Fold`] folds that log, record by record, into counters. The
//! answer to a record is a function of the records before it and of nothing else. Therefore nothing here reads
//! a clock, draws a random number, awaits, or knows that Kafka exists: offsets and timestamps come in as
//! arguments. `tests/repository.rs` checks this.
//!
//! | room | subject |
//! |---|---|
//! | [`limits`] | every limit that can change an answer |
//! | [`name`] | valid names of sequences |
//! | [`command`] | what a request can ask for |
//! | [`rejection`] | why a request got no ID: stable codes, readable messages |
//! | [`position`] | offsets, next offsets and record times as types |
//! | [`definition`] | the rules of one sequence, and which of them may change |
//! | [`grant`] | the IDs that a request gets |
//! | [`sequence`] | one counter |
//! | [`window`] | requests with an ID, and what they got (I5) |
//! | `own` | the same for one sequence, if its definition says so |
//! | [`link`] | the chain of requests that another partition forwarded |
//! | [`homes`] | the home partitions of names, and how they have changed |
//! | [`rescale`] | the records by which partitions carry out a rescale |
//! | [`fold`] | the counters of one partition and how a record changes them |
//! | [`ledger`] | records of each grant of an audited sequence, and their chain |
//! | [`digest`] | the 128-bit multiset hash over all that the fold remembers |
//! | [`invariants`] | I1 to I6 as predicates |
//! | [`partitioner`] | murmur2, the Java client's partitioner |
//! | [`printable`] | text from clients, made safe for a terminal |
//! | [`shell`] | quotes the words of command lines that are printed |
//! | [`planted`] | mistakes that tests plant, compiled out of every release |

pub mod command;
pub mod definition;
pub mod digest;
pub mod fold;
pub mod grant;
pub mod homes;
pub mod invariants;
pub mod ledger;
pub mod limits;
pub mod link;
pub mod name;
mod own;
pub mod partitioner;
pub mod planted;
pub mod position;
pub mod printable;
pub mod rejection;
pub mod rescale;
pub mod sequence;
pub mod shell;
pub mod window;

pub use command::{Command, Request};
pub use digest::Digest;
pub use fold::{Answer, At, Entry, Fold, Scalars};
pub use grant::Grant;
pub use homes::Homes;
pub use name::Name;
pub use position::{NextOffset, Offset, Timestamp};
pub use rejection::{Code, Rejection};
