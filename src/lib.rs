//! Sequencer: unique, gapless, monotonic IDs over Kafka.
//!
//! The pure rooms decide, the others carry out: see `docs/architecture.md`.

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

pub mod audit;
pub mod bench;
pub mod cli;
pub mod core;
#[cfg(test)]
mod documentation;
pub mod embedded;
pub mod gateway;
pub mod kafka;
pub mod processor;
pub mod service;
pub mod verify;
pub mod wire;
