//! The only room that knows Kafka's client library.

pub mod error;
