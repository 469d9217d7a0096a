//! Converts between bytes and core values: requests, replies, state and ledger records.
//!
//! Like the core, this module is pure. Stored formats carry a version, check their exact length, and have
//! golden bytes that a test compares. The bytes of a reply are part of I3.

pub mod headers;
pub mod heartbeat;
pub mod ledger;
pub mod reply;
pub mod request;
pub mod rescale;
pub mod route;
pub mod schema;
pub mod state;
pub mod time;
