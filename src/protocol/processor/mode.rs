//! When replies are sent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When replies are sent. The IDs are the same either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Replies are sent at once, and a checkpoint follows when they are acknowledged. A crash repeats a few
    /// replies, byte for byte.
    #[default]
    Immediate,
    /// Replies are sent in the checkpoint's own transaction. A reader of committed records sees each reply
    /// once.
    ExactlyOnce,
}

/// A word that names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?}")]
pub struct UnknownMode(String);

impl Mode {
    /// Every mode, for the command line.
    pub const ALL: [Mode; 2] = [Mode::Immediate, Mode::ExactlyOnce];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Immediate => "immediate",
            Mode::ExactlyOnce => "exactly_once",
        }
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Mode, UnknownMode> {
        let found = Mode::ALL.into_iter().find(|mode| mode.as_str() == word);
        found.ok_or_else(|| UnknownMode(word.to_owned()))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
