//! Around the engine: configuration, logs, metrics, HTTP, signals.
//!
//! | room | subject |
//! |---|---|
//! | [`serve`] | start, run, stop |
//! | [`settings`] | the configuration |
//! | [`status`] | the status that the engine publishes |
//! | [`http`] | the status page, `/metrics`, `/healthz`, `/readyz` |
//! | [`metrics`] | counters, gauges and histograms |
//! | [`clock`] | the time of day |
//! | [`logging`] | the log's format and output |

pub(crate) mod clock;
pub(crate) mod http;
pub(crate) mod logging;
pub(crate) mod metrics;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod status;
