//! Where a value was given, in the words of the messages.

use std::fmt;
use std::path::PathBuf;

/// The place of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `config/default.toml`, compiled in.
    Default,
    /// A line of the file given with `--config`.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A flag, by name, such as `--http`.
    Flag(&'static str),
    /// The host itself: its name is the default of `instance_id`.
    Host,
}

/// How the words for an environment variable begin.
const ENVIRONMENT: &str = "environment variable ";

/// True for the words for an environment variable.
pub(super) fn is_environment(words: &str) -> bool {
    words.starts_with(ENVIRONMENT)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("the built-in defaults"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "{ENVIRONMENT}{name}"),
            Origin::Flag(name) => f.write_str(name),
            Origin::Host => f.write_str("the host's name"),
        }
    }
}
