//! How a verb can end badly: one or two lines for a person, and an exit code for a script.

use std::io::{self, Write};

use crate::core::printable::printable_lines;
use crate::service::{serve, settings};
use crate::{bench, embedded, kafka, verify};

/// Exit code of what failed.
const FAILED: u8 = 1;

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The service.
    #[error(transparent)]
    Serve(#[from] serve::Error),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] kafka::error::Error),
    /// The Kafka of `dev`.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    /// The topics cannot be checked.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// A measurement.
    #[error(transparent)]
    Bench(#[from] bench::Error),
    /// An argument that cannot be right whatever the cluster says.
    #[error("{0}")]
    Usage(String),
    /// What was asked for cannot be had.
    #[error("{0}")]
    Failed(String),
    /// The output cannot be written, for another reason than that its reader has gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// It failed, and standard output says how.
    #[error("failed")]
    Said,
}

impl Error {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Settings(_) | Error::Usage(_) => settings::EXIT_CODE,
            Error::Serve(error) => error.exit_code(),
            Error::Kafka(_)
            | Error::Embedded(_)
            | Error::Verify(_)
            | Error::Bench(_)
            | Error::Failed(_)
            | Error::Output(_)
            | Error::Said => FAILED,
        }
    }
}

/// Says it on standard error.
pub(super) fn tell(error: &Error) {
    if !matches!(error, Error::Said) {
        // Where standard error is closed, too, only the exit code is left.
        let _ = writeln!(
            io::stderr(),
            "sequencer: {}",
            printable_lines(&error.to_string())
        );
    }
}

/// Says on standard error what is probably not wanted.
pub(super) fn tell_warning(warning: &str) {
    let _ = writeln!(io::stderr(), "sequencer: warning: {warning}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_usage_and_bad_configuration_exit_2_and_all_else_1() {
        assert_eq!(Error::Usage(String::new()).exit_code(), 2);
        assert_eq!(Error::from(settings::Error::NoBrokers).exit_code(), 2);
        assert_eq!(Error::Failed(String::new()).exit_code(), 1);
        assert_eq!(Error::Said.exit_code(), 1);
        let settings = serve::Error::from(settings::Error::NoBrokers);
        assert_eq!(Error::from(settings).exit_code(), 2);
    }
}
