//! Computes the answers of `/healthz` and `/readyz` from a status.

use std::time::Duration;

use serde::Serialize;

use crate::observe::status::{PartitionState, PartitionStatus, Status};

/// Longest silence of the engine in seconds before it counts as stuck. The engine publishes four times a
/// second. Its longest wait for Kafka in one turn is a fence at the deadline of a revocation: 5 s, or twice
/// that when the producer that it waits for was just being created (`kafka::transactor`). The rest is for an
/// overloaded machine. The limit is short enough that a liveness probe ends a stuck process before a person has
/// to act. Until then its partitions stand still, since librdkafka goes on sending heartbeats.
const SILENCE_S_MAX: u64 = 30;

/// Longest time in seconds that requests may wait for their answer. It is twice the timeout of a transaction,
/// and longer than a broker's restart or a change of leader delays them.
const UNANSWERED_S_MAX: u64 = 10;

/// Highest number of checkpoints that may fail in a row. A reply topic that cannot be written aborts at most one
/// checkpoint every 10 s, with committed ones in between. A state topic that cannot be written aborts every checkpoint.
const CHECKPOINT_FAILURES_MAX: u32 = 5;

/// The body of `/healthz`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// `ok`, or the reason why a restart helps.
    status: String,
    #[serde(skip)]
    pub healthy: bool,
    instance_id: String,
    /// Milliseconds since the engine last published its status.
    silence_ms: u64,
    halted: Vec<Halted>,
}

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    pub ready: bool,
    /// The reasons for not being ready, one for the connection and one for each partition.
    pub reasons: Vec<String>,
    halted: Vec<Halted>,
    status: Status,
}

/// A halted partition, with its repair.
#[derive(Debug, Serialize)]
struct Halted {
    partition: i32,
    reason: Option<String>,
    repair: Option<String>,
}

pub(super) fn health(status: &Status, silence: Duration) -> Health {
    let silent = silent(silence);
    Health {
        healthy: silent.is_none(),
        status: silent.unwrap_or_else(|| "ok".to_owned()),
        instance_id: status.instance_id.clone(),
        silence_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
        halted: halted(status),
    }
}

pub(super) fn readiness(status: &Status, silence: Duration, lag_max_records: u64) -> Readiness {
    let mut reasons = Vec::new();
    reasons.extend(silent(silence));
    if !status.connected {
        let problem = status.problem.as_deref().unwrap_or("joining it");
        reasons.push(format!("not a member of the group: {problem}"));
    }
    if status.checkpoint_failures >= CHECKPOINT_FAILURES_MAX {
        let problem = status.checkpoint_problem.as_deref();
        reasons.push(format!(
            "the last {} checkpoints failed: {}",
            status.checkpoint_failures,
            problem.unwrap_or("see the log")
        ));
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

/// The reason why this partition is not ready. None when it is ready, or when a restart cannot help it.
fn not_ready(status: &PartitionStatus, lag_max_records: u64) -> Option<String> {
    match status.state {
        PartitionState::Halted => None,
        PartitionState::Running => behind(status, lag_max_records),
        state => Some(match &status.reason {
            Some(reason) => format!("{}: {reason}", state.as_str()),
            None => state.as_str().to_owned(),
        }),
    }
}

/// The reason why a running partition counts as behind: requests of clients are not answered yet.
fn behind(status: &PartitionStatus, lag_max_records: u64) -> Option<String> {
    let unanswered = status.unanswered;
    let waited_s = status.unanswered_ms.unwrap_or(0) / 1_000;
    if waited_s >= UNANSWERED_S_MAX {
        return Some(format!(
            "{unanswered} requests that were read wait for their answer, or for a checkpoint, for \
             {waited_s} s"
        ));
    }
    let Some(lag) = status.lag_records else {
        return Some("lag not yet known".to_owned());
    };
    // A negative lag comes from a reading between two others, and means no lag.
    let lag = u64::try_from(lag).unwrap_or(0);
    (lag.saturating_add(unanswered) > lag_max_records).then(|| {
        format!(
            "lag of {lag} records and {unanswered} that were read and not answered is above \
             ready.lag_max_records {lag_max_records}"
        )
    })
}

/// The reason why the engine counts as stuck. None when it does not.
fn silent(silence: Duration) -> Option<String> {
    let silence_s = silence.as_secs();
    (silence_s > SILENCE_S_MAX).then(|| format!("the engine has not reported for {silence_s} s"))
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
            ["not a member of the group: joining it"]
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
                "partition 1: lag of 11 records and 0 that were read and not answered is above \
                 ready.lag_max_records 10",
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
    fn a_silent_engine_is_neither_ready_nor_healthy() {
        let silence = Duration::from_secs(31);
        let silent = readiness(&status([]), silence, 10);
        assert_eq!(silent.reasons, ["the engine has not reported for 31 s"]);
        let silent = health(&status([]), silence);
        assert!(!silent.healthy);
        assert_eq!(silent.status, "the engine has not reported for 31 s");
        assert!(health(&status([]), Duration::from_secs(30)).healthy);
    }

    #[test]
    fn requests_that_were_read_and_not_answered_count_as_lag() {
        let with = |unanswered, unanswered_ms| PartitionStatus {
            unanswered,
            unanswered_ms,
            ..partition(PartitionState::Running, Some(4))
        };
        assert!(readiness(&status([with(6, Some(9_999))]), NOW, 10).ready);
        let status = status([with(7, Some(0)), with(1, Some(10_000))]);
        assert_eq!(
            readiness(&status, NOW, 10).reasons,
            [
                "partition 0: lag of 4 records and 7 that were read and not answered is above \
                 ready.lag_max_records 10",
                "partition 1: 1 requests that were read wait for their answer, or for a checkpoint, \
                 for 10 s",
            ]
        );
    }

    #[test]
    fn checkpoints_that_fail_in_a_row_are_not_ready_and_say_why() {
        let failing = |checkpoint_failures| Status {
            checkpoint_failures,
            checkpoint_problem: Some("message size too large".to_owned()),
            ..status([])
        };
        assert!(readiness(&failing(4), NOW, 10).ready);
        assert_eq!(
            readiness(&failing(5), NOW, 10).reasons,
            ["the last 5 checkpoints failed: message size too large"]
        );
    }
}
