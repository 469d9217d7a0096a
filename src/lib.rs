//! Sequencer: unique, gapless, monotonic IDs over Kafka.
//!
//! The pure rooms decide, the others carry out: see `docs/architecture.md`.

#![deny(unreachable_pub, rustdoc::broken_intra_doc_links)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the documentation is for those who work on it"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

mod audit;
pub mod bench;
pub mod cli;
#[cfg(test)]
mod documentation;
pub mod embedded;
mod gateway;
pub mod kafka;
mod observe;
mod service;

/// The pure rooms, which are a crate of their own.
pub use sequencer_protocol::{core, processor, wire};
use sequencer_verify as verify;
