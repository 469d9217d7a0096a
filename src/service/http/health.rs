//! What `/healthz` and `/readyz` say of a status.

use std::time::Duration;

use serde::Serialize;

use crate::service::status::{PartitionState, PartitionStatus, Status};

/// Longest silence of the engine in seconds before it counts as stuck: it publishes every second,
/// and its longest call to Kafka has a deadline below this.
const SILENCE_S_MAX: u64 = 30;

/// The body of `/healthz`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    status: &'static str,
    instance_id: String,
    /// Milliseconds since the engine last published its status.
    silence_ms: u64,
    halted: Vec<Halted>,
}

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    pub ready: bool,
    /// What is missing, one entry for the connection and for each partition.
    pub reasons: Vec<String>,
    halted: Vec<Halted>,
    status: Status,
}

/// A partition that needs its repair.
#[derive(Debug, Serialize)]
struct Halted {
    partition: i32,
    reason: Option<String>,
    repair: Option<String>,
}

pub(super) fn health(status: &Status, silence: Duration) -> Health {
    Health {
        status: "ok",
        instance_id: status.instance_id.clone(),
        silence_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
        halted: halted(status),
    }
}

pub(super) fn readiness(status: &Status, silence: Duration, lag_max_records: u64) -> Readiness {
    let mut reasons = Vec::new();
    if silence.as_secs() > SILENCE_S_MAX {
        reasons.push(format!(
            "the engine has not reported for {} s",
            silence.as_secs()
        ));
    }
    if !status.connected {
        let problem = status.problem.as_deref().unwrap_or("joining the group");
        reasons.push(format!("not connected to Kafka: {problem}"));
    }
    reasons.extend(status.partitions.iter().filter_map(|(partition, status)| {
        let reason = not_ready(status, lag_max_records)?;
        Some(format!("partition {partition}: {reason}"))
    }));
    Readiness {
        ready: reasons.is_empty(),
        reasons,
        halted: halted(status),
        status: status.clone(),
    }
}

/// Why this partition is not ready, or nothing if it is, or if a restart cannot help it.
fn not_ready(status: &PartitionStatus, lag_max_records: u64) -> Option<String> {
    match status.state {
        PartitionState::Halted => None,
        PartitionState::Running => match status.lag_records {
            None => Some("lag not yet known".to_owned()),
            // A negative lag is a reading taken between two others: none.
            Some(lag) if u64::try_from(lag).unwrap_or(0) > lag_max_records => Some(format!(
                "lag of {lag} records is above ready.lag_max_records {lag_max_records}"
            )),
            Some(_) => None,
        },
        state => Some(match &status.reason {
            Some(reason) => format!("{}: {reason}", state.as_str()),
            None => state.as_str().to_owned(),
        }),
    }
}

fn halted(status: &Status) -> Vec<Halted> {
    let halted = |(partition, status): (i32, &PartitionStatus)| Halted {
        partition,
        reason: status.reason.clone(),
        repair: status.repair.clone(),
    };
    status.halted().map(halted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn status(partitions: impl IntoIterator<Item = PartitionStatus>) -> Status {
        Status {
            connected: true,
            partitions: (0..).zip(partitions).collect(),
            ..Default::default()
        }
    }

    fn partition(state: PartitionState, lag_records: Option<i64>) -> PartitionStatus {
        PartitionStatus {
            state,
            lag_records,
            ..Default::default()
        }
    }

    #[test]
    fn an_instance_without_partitions_is_ready_once_connected() {
        assert!(readiness(&status([]), NOW, 10).ready);
        let apart = Status {
            connected: false,
            ..status([])
        };
        assert_eq!(
            readiness(&apart, NOW, 10).reasons,
            ["not connected to Kafka: joining the group"]
        );
    }

    #[test]
    fn each_partition_that_is_not_ready_gives_one_reason() {
        let waiting = PartitionStatus {
            reason: Some("sequencer.replies cannot be written".to_owned()),
            ..partition(PartitionState::Waiting, Some(0))
        };
        let status = status([
            partition(PartitionState::Running, Some(10)),
            partition(PartitionState::Running, Some(11)),
            partition(PartitionState::Running, None),
            partition(PartitionState::Restoring, None),
            partition(PartitionState::Draining, Some(0)),
            waiting,
        ]);
        assert_eq!(
            readiness(&status, NOW, 10).reasons,
            [
                "partition 1: lag of 11 records is above ready.lag_max_records 10",
                "partition 2: lag not yet known",
                "partition 3: restoring",
                "partition 4: draining",
                "partition 5: waiting: sequencer.replies cannot be written",
            ]
        );
    }

    #[test]
    fn a_halted_partition_fails_nothing_but_is_named() {
        let halted = PartitionStatus {
            reason: Some("the log begins at 500".to_owned()),
            repair: Some("sequencer recover --partition 0".to_owned()),
            ..partition(PartitionState::Halted, None)
        };
        let status = status([halted]);
        let readiness = readiness(&status, NOW, 10);
        assert!(readiness.ready);
        let body = serde_json::to_string(&health(&status, NOW)).unwrap();
        assert!(
            body.contains("\"reason\":\"the log begins at 500\""),
            "{body}"
        );
        assert!(
            body.contains("\"repair\":\"sequencer recover --partition 0\""),
            "{body}"
        );
        assert_eq!(readiness.halted.len(), 1);
    }

    #[test]
    fn a_silent_engine_is_not_ready() {
        let silent = readiness(&status([]), Duration::from_secs(31), 10);
        assert_eq!(silent.reasons, ["the engine has not reported for 31 s"]);
    }
}
