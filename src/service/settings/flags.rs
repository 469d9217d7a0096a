//! What the command line sets, apart from the parser that reads it.

use std::path::PathBuf;

use super::modes::LogFormat;
use crate::processor::Mode;

/// The flags that are settings; absent ones set nothing. There is no `Debug`: `set` may hold
/// secrets.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// `--set KEY=VALUE`, in order.
    pub set: Vec<String>,
    /// `--brokers HOST:PORT[,…]`.
    pub brokers: Option<String>,
    /// `--group NAME`.
    pub group: Option<String>,
    /// `--reply-mode MODE`.
    pub reply_mode: Option<Mode>,
    /// `--http HOST:PORT`, empty for none.
    pub http: Option<String>,
    /// `--address HOST:PORT`, of the gateway.
    pub gateway: Option<String>,
    /// `--log-format FORMAT`.
    pub log_format: Option<LogFormat>,
}
