//! Bytes to core and back: requests, replies, state and ledger records.
//!
//! Pure like the core. Stored formats carry a version, check their exact length, and have golden
//! bytes that a test compares; a reply's bytes are part of I3.

pub mod headers;
pub mod heartbeat;
pub mod ledger;
pub mod reply;
pub mod request;
pub mod route;
pub mod state;
