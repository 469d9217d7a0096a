//! The settings from the command line. They are separate from the parser that reads them.

use std::path::PathBuf;

use super::modes::LogFormat;
use crate::processor::Mode;

/// The flags that are settings. Absent flags set nothing. There is no `Debug`, since `set` may contain secrets.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// `--set KEY=VALUE`, in the order of the command line.
    pub set: Vec<String>,
    /// `--brokers HOST:PORT[,…]`.
    pub brokers: Option<String>,
    /// `--group NAME`.
    pub group: Option<String>,
    /// `--reply-mode MODE`.
    pub reply_mode: Option<Mode>,
    /// `--http HOST:PORT`. Empty to turn HTTP off.
    pub http: Option<String>,
    /// `--address HOST:PORT` of the gateway.
    pub gateway: Option<String>,
    /// `--log-format FORMAT`.
    pub log_format: Option<LogFormat>,
}
