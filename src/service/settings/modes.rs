//! Settings that are one of a few words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether `serve` creates topics that are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreateTopics {
    /// All of them for a new group; for one with a past, only beside a request topic that is there.
    #[default]
    Auto,
    /// Every missing topic.
    Always,
    /// No topic: the operator creates them.
    Never,
}

impl CreateTopics {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            CreateTopics::Auto => "auto",
            CreateTopics::Always => "always",
            CreateTopics::Never => "never",
        }
    }
}

impl fmt::Display for CreateTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object to a line.
    Json,
}

impl LogFormat {
    /// Every format, for the command line.
    pub const ALL: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// A word that is none of the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?}")]
pub struct UnknownWord(String);

impl FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<LogFormat, UnknownWord> {
        let found = LogFormat::ALL
            .into_iter()
            .find(|format| format.as_str() == word);
        found.ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
