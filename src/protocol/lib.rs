//! The pure rooms: what a request means, how it is written, and the life of a partition.
//!
//! Each room may import only the rooms above it.
//!
//! | room | subject |
//! |---|---|
//! | [`core`] | what a request means and which ID it gets |
//! | [`wire`] | bytes <-> core |
//! | [`processor`] | the life of a partition and of an instance: input in, effects out |
//!
//! They are a crate of their own, so that the compiler keeps them apart from Kafka, from async code and from the rest of
//! the service: only the dependencies in `Cargo.toml` can be imported.
//!
//! ```compile_fail,E0432
//! use tokio as _;
//! ```
//!
//! They are one crate and not three, so that a record is decoded, folded and encoded without a call that cannot be
//! inlined, and so that the tests of one room can plant mistakes in another. `subsets/` compiles the lower rooms
//! without the upper ones.

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

pub mod core;
pub mod processor;
pub mod wire;
