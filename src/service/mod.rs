//! The parts around the engine: configuration, logs, HTTP, signals.
//!
//! | room | subject |
//! |---|---|
//! | [`serve`] | start, run, stop |
//! | [`settings`] | the configuration |
//! | [`http`] | the status page, `/metrics`, `/healthz`, `/readyz` |
//! | [`logging`] | the log's format and output |

pub(crate) mod http;
pub(crate) mod logging;
pub(crate) mod serve;
pub(crate) mod settings;
