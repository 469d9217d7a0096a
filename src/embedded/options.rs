//! What to run and where.

use std::path::PathBuf;

/// What to run and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where data, configuration and broker logs live; made if missing, and free to be read, moved
    /// and deleted while nothing runs.
    pub directory: PathBuf,
    /// 1 to 3 brokers, each a controller too. The data of a directory belongs to one number of
    /// brokers.
    pub brokers: u8,
    /// The heap of each broker, in MiB.
    pub heap_mb: u32,
    /// Further settings for each broker's `server.properties`; they replace ours.
    pub properties: Vec<(String, String)>,
}

impl Options {
    /// One broker with a heap of 512 MiB.
    pub fn single(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            brokers: 1,
            heap_mb: 512,
            properties: Vec::new(),
        }
    }

    /// Three brokers with 400 MiB each; topics have three replicas, two of which must be in sync.
    pub fn cluster_of_three(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            brokers: 3,
            heap_mb: 400,
            properties: Vec::new(),
        }
    }
}
