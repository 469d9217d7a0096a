//! The place where a value was given, as messages name it.

use std::fmt;
use std::path::PathBuf;

/// The place of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `config/default.toml`, which is compiled in.
    Default,
    /// A line of the file given with `--config`.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A flag, by its name, such as `--http`.
    Flag(&'static str),
    /// The name of the host, which is the default of `instance_id`.
    Host,
}

/// The prefix of the words for an environment variable.
const ENVIRONMENT: &str = "environment variable ";

/// True if the words name an environment variable.
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
