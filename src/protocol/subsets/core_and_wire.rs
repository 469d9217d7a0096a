//! The core and the wire compile without the processor. An import of it in them fails here.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the other room uses it"
)]

#[path = "../core/mod.rs"]
pub mod core;
#[path = "../wire/mod.rs"]
pub mod wire;
