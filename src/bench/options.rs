//! What to measure, and with what load.

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
    /// In the order in which they run.
    pub const ALL: [Scenario; 2] = [Scenario::Drain, Scenario::Latency];

    /// As the command line has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scenario::Drain => "drain",
            Scenario::Latency => "latency",
        }
    }
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster. Without one, a Kafka is started, and deleted at the end.
    pub brokers: Option<String>,
    /// The operator's librdkafka properties.
    pub properties: BTreeMap<String, String>,
    /// Flags that every process that is measured gets as well: `--config`, `--set`.
    pub passed: Vec<String>,
    /// The program whose `serve` is measured.
    pub program: PathBuf,
    /// Where logs and the data of a cluster that is started go. The run makes a directory of its own
    /// there, and removes it.
    pub directory: PathBuf,
    /// How often.
    pub rounds: usize,
    /// Requests of a backlog.
    pub requests: u64,
    /// Length of each measurement of latency.
    pub seconds: u64,
    /// Only what fits into a minute.
    pub quick: bool,
}
