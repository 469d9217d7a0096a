//! Why a measurement ended early.

use std::io;

use crate::embedded;
use crate::kafka;

/// Why a measurement ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody asked for it.
    #[error("stopped")]
    Stopped,
    /// The Kafka that was started for it.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] kafka::error::Error),
    /// The operating system.
    #[error("{what}: {error}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What came of it.
        error: io::Error,
    },
    /// A process that is measured did not do what it should.
    #[error("{0}")]
    Subject(String),
}

impl Error {
    /// For what the operating system refuses.
    pub fn system(what: &'static str) -> impl Fn(io::Error) -> Error {
        move |error| Error::System { what, error }
    }
}
