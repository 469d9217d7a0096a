//! What can be wrong with the configuration. Every message is one line that names the key, the
//! place and the way out; a program ends with [`EXIT_CODE`] for each of them.

use std::path::PathBuf;

/// Exit code for bad usage or configuration, the one that clap uses for bad usage.
pub(crate) const EXIT_CODE: u8 = 2;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file given with `--config` cannot be read.
    #[error("configuration: cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words, or which limit it exceeds.
        reason: String,
    },

    /// The file is no TOML.
    #[error("configuration: {}:{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// What the parser expected; never the text of the line, which may hold a secret.
        message: String,
    },

    /// A key that does not exist.
    #[error("configuration: unknown key {key:?} in {origin}{hint}")]
    UnknownKey {
        /// The key as it was given.
        key: String,
        /// Where it was given.
        origin: String,
        /// The nearest known key as `; did you mean …?`, or empty.
        hint: String,
    },

    /// A value of the wrong type or out of its limits.
    #[error("configuration: {key} in {origin}: got {value}, expected {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// Where the value was given.
        origin: String,
        /// The value, redacted if it may be a secret.
        value: String,
        /// What would have been right, with its limits.
        expected: String,
    },

    /// A librdkafka property that an operator must not change.
    #[error("configuration: kafka.{property} in {origin} cannot be set: {reason}")]
    Refused {
        /// The property.
        property: String,
        /// Where it was given.
        origin: String,
        /// Why not, and what to use instead if there is something.
        reason: String,
    },

    /// A `--set` without `=`.
    #[error("configuration: --set expects KEY=VALUE, got {argument}")]
    Assignment {
        /// The argument, redacted if it may hold a secret.
        argument: String,
    },

    /// A command that connects was given no brokers.
    #[error(
        "configuration: no brokers; use --brokers HOST:PORT, SEQUENCER__KAFKA__BOOTSTRAP_SERVERS, or \
         kafka.bootstrap.servers in a file"
    )]
    NoBrokers,

    /// The configuration library refused the layers. It cannot happen with keys of the schema.
    #[error("configuration: {0}")]
    Layers(#[from] config::ConfigError),
}
