//! Unique, gapless, monotonic IDs from Sequencer, over Kafka.
//!
//! ```no_run
//! # async fn example() -> Result<(), sequencer_client::Error> {
//! let sequencer = sequencer_client::Client::connect("localhost:9092").await?;
//! let number = sequencer.next("invoices").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Requests that are made at once share a producer and a consumer, so one client is enough for a program.

mod client;
mod error;
mod options;
mod replies;
mod reply;

pub use client::{Client, Request};
pub use error::Error;
pub use options::Options;
pub use reply::Ids;
