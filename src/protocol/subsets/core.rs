//! The core compiles without the other rooms. An import of one of them in it fails here.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the other rooms use it"
)]

#[path = "../core/mod.rs"]
pub mod core;
