//! The scenarios and their order.

use sequencer::bench::{self, Error, Stage, latency};

use crate::{drains, pause, restore};

/// One group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The drains of `sequencer bench`.
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
    /// The latencies of `sequencer bench`.
    Latency,
    /// The takeover of many sequences: time, memory, and the cost of a checkpoint beside them.
    Restore,
    /// The cost of a new member and of a clean stop for a client.
    Pause,
}

impl Scenario {
    /// All scenarios, in the order in which they run.
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

    /// The scenarios of `--quick`.
    pub const QUICK: [Scenario; 3] = [Scenario::Drain, Scenario::Latency, Scenario::Restore];

    /// The name on the command line and in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scenario::Drain => bench::Scenario::Drain.as_str(),
            Scenario::Names => "names",
            Scenario::Partitions => "partitions",
            Scenario::RequestId => "request-id",
            Scenario::Audit => "audit",
            Scenario::Instances => "instances",
            Scenario::Latency => bench::Scenario::Latency.as_str(),
            Scenario::Restore => "restore",
            Scenario::Pause => "pause",
        }
    }
}

/// The content of a run.
pub struct Run<'a> {
    /// The scenarios to measure.
    pub only: &'a [Scenario],
    /// Sequences of each restore.
    pub sequences: Vec<u64>,
}

impl Run<'_> {
    /// Measures all scenarios.
    pub fn measure(&self, stage: &mut Stage<'_>) -> Result<(), Error> {
        let names: Vec<&str> = self.only.iter().map(|scenario| scenario.as_str()).collect();
        stage.setting("scenarios", names.join(","));
        let sequences: Vec<String> = self.sequences.iter().map(u64::to_string).collect();
        stage.setting("sequences of a restore", sequences.join(","));
        for scenario in Scenario::ALL {
            if !self.only.contains(&scenario) {
                continue;
            }
            match scenario {
                Scenario::Drain => bench::drains::modes(stage)?,
                Scenario::Names => drains::names(stage)?,
                Scenario::Partitions => drains::partitions(stage)?,
                Scenario::RequestId => drains::request_id(stage)?,
                Scenario::Audit => drains::audit(stage)?,
                Scenario::Instances => drains::instances(stage)?,
                Scenario::Latency => latency::run(stage)?,
                Scenario::Restore => restore::run(stage, &self.sequences)?,
                Scenario::Pause => pause::run(stage)?,
            }
            // Only the figures of a scenario are kept.
            stage.delete_topics()?;
        }
        Ok(())
    }
}
