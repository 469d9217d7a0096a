//! The measurements to make, and their load.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::kafka::tools::measure::shape::Shape;

/// The load, unless a scenario varies it: requests for 100 names in 4 partitions.
pub const SHAPE: Shape = Shape {
    names: 100,
    partitions: 4,
    request_id: false,
};
/// The checkpoint interval of `exactly_once`, unless a scenario varies it.
pub const EXACTLY_ONCE_INTERVAL_MS: u64 = 20;

/// One group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A backlog: floors, modes and checkpoint intervals.
    Drain,
    /// An open loop at several rates.
    Latency,
}

impl Scenario {
    /// All scenarios, in the order in which they run.
    pub const ALL: [Scenario; 2] = [Scenario::Drain, Scenario::Latency];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scenario::Drain => "drain",
            Scenario::Latency => "latency",
        }
    }
}

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster. Without one, the run starts a Kafka and deletes it at the end.
    pub brokers: Option<String>,
    /// The operator's librdkafka properties.
    pub properties: BTreeMap<String, String>,
    /// Flags for every measured process: `--config`, `--set`.
    pub passed: Vec<String>,
    /// The program whose `serve` is measured.
    pub program: PathBuf,
    /// The parent directory for logs and for the data of a cluster that the run starts. The run makes a
    /// directory of its own there, and removes it.
    pub directory: PathBuf,
    /// Number of rounds.
    pub rounds: usize,
    /// Requests of a backlog.
    pub requests: u64,
    /// Length of each latency measurement, in seconds.
    pub seconds: u64,
    /// Measure only what fits into a minute.
    pub quick: bool,
}
