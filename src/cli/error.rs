//! The errors of commands: one or two lines for a person, and an exit code for a script.

use std::io::{self, Write};

use crate::core::printable::printable_lines;
use crate::service::{serve, settings};
use crate::{bench, embedded, gateway, kafka, verify};

/// Exit code of a failure.
const FAILED: u8 = 1;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake in the configuration.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// An error of the service.
    #[error(transparent)]
    Serve(#[from] serve::Error),
    /// An error of the gateway.
    #[error(transparent)]
    Gateway(#[from] gateway::serve::Error),
    /// An error of a Kafka client.
    #[error(transparent)]
    Kafka(#[from] kafka::error::Error),
    /// An error of the Kafka that `dev` runs.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    /// The topics cannot be checked.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// An error of a measurement.
    #[error(transparent)]
    Bench(#[from] bench::Error),
    /// An argument that is wrong for every cluster.
    #[error("{0}")]
    Usage(String),
    /// The request cannot be met.
    #[error("{0}")]
    Failed(String),
    /// The output cannot be written, for another reason than a closed pipe.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// The command failed, and standard output has the reason.
    #[error("failed")]
    Said,
}

impl Error {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Settings(_) | Error::Usage(_) => settings::EXIT_CODE,
            Error::Serve(error) => error.exit_code(),
            Error::Gateway(error) => error.exit_code(),
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

/// Prints the error on standard error.
pub(super) fn tell(error: &Error) {
    if !matches!(error, Error::Said) {
        // If standard error is closed too, only the exit code is left.
        let _ = writeln!(
            io::stderr(),
            "sequencer: {}",
            printable_lines(&error.to_string())
        );
    }
}

/// Prints a warning on standard error.
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
