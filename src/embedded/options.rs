//! The options of an embedded Kafka.

use std::path::PathBuf;

/// The options of an embedded Kafka.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of data, configuration and broker logs. It is made if missing, and may be read, moved and
    /// deleted while no broker runs.
    pub directory: PathBuf,
    /// Number of brokers, 1 to 3. Each is a controller too. A directory's data fits only one number of brokers.
    pub brokers: u8,
    /// The virtual machine of each broker.
    pub jvm: Jvm,
    /// Further settings for each broker's `server.properties`; they replace ours.
    pub properties: Vec<(String, String)>,
    /// Further listeners, on ports that the caller chooses. `properties` sets their authentication.
    pub listeners: Vec<Listener>,
    /// Users with their passwords for SASL/SCRAM-SHA-512. They are made when a new directory is formatted.
    pub scram_users: Vec<(String, String)>,
}

/// The settings of a broker's virtual machine.
#[derive(Clone, Copy, Debug)]
pub struct Jvm {
    /// The heap, in MiB.
    pub heap_mb: u32,
    /// Compile quickly and optimise less. This is for brokers that live for minutes and share their cores: the
    /// optimising compiler would take a third of the cores.
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
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The port that clients are told to connect to: the same port, or that of a proxy.
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

    /// Three brokers with 400 MiB each and the quick compiler. Topics have three replicas, two of which must be
    /// in sync.
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
