//! What to measure.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A backlog: floors, modes and checkpoint intervals.
    Drain,
    /// 1, 100 and 1,000,000 names.
    Names,
    /// 1, 4, 16 and 64 partitions.
    Partitions,
    /// With and without `request_id`.
    RequestId,
    /// With and without `audit` of every sequence.
    Audit,
    /// 1 and 2 instances.
    Instances,
    /// An open loop at several rates.
    Latency,
    /// Taking over many sequences: time, memory, and what a checkpoint costs beside them.
    Restore,
    /// What a new member and a clean stop cost a client.
    Pause,
}

impl Scenario {
    /// In the order in which they run.
    pub const ALL: [Scenario; 9] = [
        Scenario::Drain,
        Scenario::Names,
        Scenario::Partitions,
        Scenario::RequestId,
        Scenario::Audit,
        Scenario::Instances,
        Scenario::Latency,
        Scenario::Restore,
        Scenario::Pause,
    ];

    /// Those of `--quick`.
    pub const QUICK: [Scenario; 3] = [Scenario::Drain, Scenario::Latency, Scenario::Restore];

    /// As the command line has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scenario::Drain => "drain",
            Scenario::Names => "names",
            Scenario::Partitions => "partitions",
            Scenario::RequestId => "request-id",
            Scenario::Audit => "audit",
            Scenario::Instances => "instances",
            Scenario::Latency => "latency",
            Scenario::Restore => "restore",
            Scenario::Pause => "pause",
        }
    }

    /// By its name.
    pub fn named(word: &str) -> Option<Scenario> {
        Scenario::ALL
            .into_iter()
            .find(|scenario| scenario.as_str() == word)
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster; none: one is started, and thrown away at the end.
    pub brokers: Option<String>,
    /// The operator's librdkafka properties.
    pub properties: BTreeMap<String, String>,
    /// Flags that every process that is measured gets as well: `--config`, `--set`.
    pub passed: Vec<String>,
    /// The program whose `serve` is measured.
    pub program: PathBuf,
    /// Where logs go, and the data of a cluster that is started; made anew and removed.
    pub directory: PathBuf,
    /// What to measure.
    pub only: Vec<Scenario>,
    /// How often.
    pub rounds: usize,
    /// Requests of a backlog.
    pub requests: u64,
    /// Length of each measurement of latency.
    pub seconds: u64,
    /// Sequences of a restore.
    pub sequences: Vec<u64>,
    /// Only what fits into a minute.
    pub quick: bool,
    /// Whether what the service answers is verified before its topics are deleted.
    pub verify: bool,
}
