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
    /// The virtual machine of each broker.
    pub jvm: Jvm,
    /// Further settings for each broker's `server.properties`; they replace ours.
    pub properties: Vec<(String, String)>,
    /// Further listeners, on ports that the caller chooses; how they authenticate is said by
    /// `properties`.
    pub listeners: Vec<Listener>,
    /// Users with their passwords for SASL/SCRAM-SHA-512, made when a new directory is formatted.
    pub scram_users: Vec<(String, String)>,
}

/// How the virtual machine of a broker is set up.
#[derive(Clone, Copy, Debug)]
pub struct Jvm {
    /// Its heap, in MiB.
    pub heap_mb: u32,
    /// Compile as fast as can be and optimise less: for brokers that live for minutes and share their
    /// cores, which would spend a third of them on the optimising compiler.
    pub quick_compiler: bool,
}

/// A listener beside the plain one that the brokers themselves use.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The index of its broker, from 0.
    pub broker: usize,
    /// Its name, in capitals.
    pub name: String,
    /// Kafka's name of the protocol, such as `SASL_SSL`.
    pub protocol: String,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Where clients are told to connect: the same port, or that of a proxy.
    pub advertised_port: u16,
}

impl Options {
    /// One broker with a heap of 512 MiB.
    pub fn single(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            brokers: 1,
            jvm: Jvm {
                heap_mb: 512,
                quick_compiler: false,
            },
            properties: Vec::new(),
            listeners: Vec::new(),
            scram_users: Vec::new(),
        }
    }

    /// Three brokers with 400 MiB each and the quick compiler; topics have three replicas, two of which must
    /// be in sync.
    pub fn cluster_of_three(directory: impl Into<PathBuf>) -> Options {
        Options {
            brokers: 3,
            jvm: Jvm {
                heap_mb: 400,
                quick_compiler: true,
            },
            ..Options::single(directory)
        }
    }
}
