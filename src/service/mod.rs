//! The service.
pub mod http;
pub mod logging;
pub mod metrics;
pub mod settings;
pub mod status;
