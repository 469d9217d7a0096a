//! Around the engine: configuration, logs, metrics, HTTP, signals.
//!
//! | room | subject |
//! |---|---|
//! | [`serve`] | start, run, stop |
//! | [`settings`] | the configuration |
//! | [`status`] | the status that the engine publishes |
//! | [`http`] | the status page, `/metrics`, `/healthz`, `/readyz` |
//! | [`metrics`] | counters, gauges and histograms |
//! | [`logging`] | the log's format and output |

pub mod http;
pub mod logging;
pub mod metrics;
pub mod serve;
pub mod settings;
pub mod status;
