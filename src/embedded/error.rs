//! The errors of an embedded Kafka. Each message is one line with the remedy.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// The reason why the embedded Kafka did not start, stop or obey.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no Java at `JAVA_HOME` or on the path.
    #[error(
        "no java found: install Java 17 or later \
         (Debian: apt-get install default-jre-headless maven), \
         or use a Kafka that is there: `sequencer serve --brokers HOST:PORT`"
    )]
    JavaMissing,
    /// A Java exists, but Kafka does not run on it.
    #[error(
        "java is {found}, Kafka needs 17 or later: install it \
         (Debian: apt-get install default-jre-headless) or set JAVA_HOME, \
         or use a Kafka that is there: `sequencer serve --brokers HOST:PORT`"
    )]
    JavaTooOld {
        /// The version, or Java's output if it has none.
        found: String,
    },
    /// Maven is needed once, to fetch Kafka's jars.
    #[error(
        "no mvn found, which fetches Kafka once: install it (Debian: apt-get install maven), \
         or use a Kafka that is there: `sequencer serve --brokers HOST:PORT`"
    )]
    MavenMissing,
    /// Maven ran and did not bring the jars.
    #[error("kafka's jars could not be fetched: {reason}")]
    Fetch {
        /// The last meaningful lines of Maven's output.
        reason: String,
    },
    /// Another process runs brokers on this directory, or fetches into this cache.
    #[error(
        "{} is in use by process {holder}: stop it, or choose another directory",
        directory.display()
    )]
    InUse {
        /// The directory that both processes need.
        directory: PathBuf,
        /// The process that uses it.
        holder: String,
    },
    /// [`super::Options::brokers`] is out of range.
    #[error("brokers must be 1 to 3, got {brokers}")]
    Brokers {
        /// The requested number.
        brokers: u8,
    },
    /// The data in the directory is that of a cluster of another size.
    #[error(
        "{} holds a cluster of {found} brokers, not {wanted}: \
         delete it, or choose another directory",
        directory.display()
    )]
    OtherCluster {
        /// The directory of the cluster.
        directory: PathBuf,
        /// Its number of brokers.
        found: u8,
        /// The requested number of brokers.
        wanted: u8,
    },
    /// A broker's data directory could not be made.
    #[error("broker {broker} could not be formatted: {log}")]
    Format {
        /// The broker's index.
        broker: usize,
        /// The last lines of its output.
        log: String,
    },
    /// A broker ended before it answered.
    #[error("broker {broker} did not start ({status}): {log}")]
    Exited {
        /// The broker's index.
        broker: usize,
        /// The exit status of its process.
        status: ExitStatus,
        /// The last lines of its output.
        log: String,
    },
    /// A broker runs but does not serve.
    #[error(
        "broker {broker} did not answer within {waited_s} s, see {}: {log}",
        directory.display()
    )]
    NotReady {
        /// The broker's index.
        broker: usize,
        /// The time waited for it, in seconds.
        waited_s: u64,
        /// The directory of its logs.
        directory: PathBuf,
        /// The last lines of its log.
        log: String,
    },
    /// No port of the range is free.
    #[error("no free ports on 127.0.0.1")]
    NoPorts,
    /// The broker must be started first.
    #[error("broker {broker} is not running")]
    NotRunning {
        /// The broker's index.
        broker: usize,
    },
    /// An operation on a file or a process failed.
    #[error("{}: {source}", subject.display())]
    Io {
        /// The file or the program.
        subject: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// An adapter for `map_err` that names the file or program.
    pub(super) fn at(subject: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let subject = subject.as_ref().to_path_buf();
        move |source| Error::Io { subject, source }
    }
}
