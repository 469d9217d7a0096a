//! The reasons why a measurement ends early.

use std::io;

use crate::embedded;
use crate::kafka;

/// The reason why a measurement ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user asked for a stop.
    #[error("stopped")]
    Stopped,
    /// An error of the Kafka that was started for the measurement.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    /// An error of a Kafka client.
    #[error(transparent)]
    Kafka(#[from] kafka::error::Error),
    /// An error of the operating system.
    #[error("{what}: {error}")]
    System {
        /// The operation that failed.
        what: &'static str,
        /// The error that the operation returned.
        error: io::Error,
    },
    /// A measured process did not do what it should.
    #[error("{0}")]
    Subject(String),
}

impl Error {
    /// Makes a function for `map_err` that names the refused operation.
    pub fn system(what: &'static str) -> impl Fn(io::Error) -> Error {
        move |error| Error::System { what, error }
    }
}
