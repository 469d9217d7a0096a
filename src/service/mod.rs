//! Around the engine: configuration, logs, metrics, HTTP, signals.
//!
//! | room | subject |
//! |---|---|
//! | [`serve`] | start, run, stop |
//! | [`settings`] | the configuration |
//! | [`status`] | what the engine publishes about itself |
//! | [`http`] | the status page, `/metrics`, `/healthz`, `/readyz` |
//! | [`metrics`] | what is counted |
//! | [`logging`] | where log lines go |

pub mod http;
pub mod logging;
pub mod metrics;
pub mod serve;
pub mod settings;
pub mod status;
