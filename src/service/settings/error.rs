//! The errors of the configuration. Each message is one line with the key, the place and the fix. A program that gets
//! one exits with [`EXIT_CODE`].

use std::path::PathBuf;

/// Exit code for invalid usage or configuration. clap uses the same code for invalid usage.
pub(crate) const EXIT_CODE: u8 = 2;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file given with `--config` cannot be read.
    #[error("configuration: cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's message, or the limit that the file exceeds.
        reason: String,
    },

    /// The file is not TOML.
    #[error("configuration: {}:{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line of the mistake, counted from 1.
        line: usize,
        /// The expectation of the parser. It never contains the text of the line, which may be a secret.
        message: String,
    },

    /// A key that does not exist.
    #[error("configuration: unknown key {key:?} in {origin}{hint}")]
    UnknownKey {
        /// The key as it was given.
        key: String,
        /// The place of the key.
        origin: String,
        /// The nearest known key as `; did you mean …?`, or empty.
        hint: String,
    },

    /// A value of the wrong type or outside its limits.
    #[error("configuration: {key} in {origin}: got {value}, expected {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// The place of the value.
        origin: String,
        /// The value, redacted if it may be a secret.
        value: String,
        /// The valid values, with their limits.
        expected: String,
    },

    /// A librdkafka property that an operator must not change.
    #[error("configuration: kafka.{property} in {origin} cannot be set: {reason}")]
    Refused {
        /// The property.
        property: String,
        /// The place of the property.
        origin: String,
        /// The reason for the refusal, and the alternative if there is one.
        reason: String,
    },

    /// A `--set` without `=`.
    #[error("configuration: --set expects KEY=VALUE, got {argument}")]
    Assignment {
        /// The argument, redacted if it may hold a secret.
        argument: String,
    },

    /// A command needs brokers, and no layer sets them.
    #[error(
        "configuration: no brokers; use --brokers HOST:PORT, SEQUENCER__KAFKA__BOOTSTRAP_SERVERS, or \
         kafka.bootstrap.servers in a file"
    )]
    NoBrokers,

    /// The configuration library refused the layers. This cannot happen with keys from the table.
    #[error("configuration: {0}")]
    Layers(#[from] config::ConfigError),
}
