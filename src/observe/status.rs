//! The status of the service, as a snapshot. The engine thread publishes it, and HTTP and the metrics read it.
//! Neither waits for the other longer than a copy of a few hundred bytes takes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, Serializer};

use super::clock::unix_ms;
use super::told::Told;
use crate::core::fold::Outlook;
use crate::processor::Mode;

/// The state of this instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    /// Name of this instance.
    pub instance_id: String,
    /// Name of the consumer group.
    pub group: String,
    /// `immediate` or `exactly_once`.
    pub reply_mode: Mode,
    /// The time of the process's start, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// True if the instance is a member of the group and has its assignment, which may be empty.
    pub connected: bool,
    /// The reason why the instance is not connected, or why the whole instance is slow, in one line.
    pub problem: Option<String>,
    /// Checkpoints that failed since the last one that was committed.
    pub checkpoint_failures: u32,
    /// The reason why the last checkpoint failed. None when it was committed.
    pub checkpoint_problem: Option<String>,
    /// N, the number of partitions that names are spread over; 0 before the first takeover.
    pub service_partitions: u32,
    /// N before the last rescale. None without one.
    #[serde(skip)]
    pub service_partitions_before: Option<u32>,
    /// Partitions of the request topic at the last takeover; 0 before the first.
    pub request_partitions: u32,
    /// The other instances that write heartbeats. Empty without `failover.silence_ms`.
    pub peers: BTreeMap<String, Peer>,
    /// The partitions that this instance owns.
    pub partitions: BTreeMap<i32, PartitionStatus>,
}

/// Another instance, as its heartbeats show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The age of its last heartbeat, in milliseconds.
    pub age_ms: u64,
    /// The status that it told last. None when it told none lately.
    pub told: Option<Arc<Told>>,
}

impl Serialize for Peer {
    /// As the age alone: each instance shows its own partitions.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.age_ms)
    }
}

/// The state of one partition that this instance owns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PartitionStatus {
    /// The stage of its life.
    pub state: PartitionState,
    /// The stable word for the reason of a halt. `docs/errors.md` explains each word.
    pub halt: Option<&'static str>,
    /// The reason why the partition halted, waits, or is slow, in one line.
    pub reason: Option<String>,
    /// The command that repairs the halted partition.
    pub repair: Option<String>,
    /// Offset of the next request record to read.
    pub next_offset: i64,
    /// Records that are visible and not yet folded. Absent while the number is unknown.
    pub lag_records: Option<i64>,
    /// Requests that were read and whose reply is not acknowledged or not committed.
    pub unanswered: u64,
    /// The time for which such requests have waited without a checkpoint, which would cover them all.
    pub unanswered_ms: Option<u64>,
    /// Sequences that the partition holds.
    pub sequences: u64,
    /// The policy for undefined names: `create`, `create, audited` or `refuse`. Absent unless the partition runs.
    pub undefined: Option<&'static str>,
    /// The part that the partition has left to do in a rescale, as `sequencer rescale --status` calls it. Absent
    /// when there is none.
    pub rescale: Option<&'static str>,
    /// The distance of the sequences from their end. Absent until all have been looked at.
    #[serde(skip)]
    pub outlook: Option<Outlook>,
    /// Age of the last committed checkpoint in milliseconds. Before the first one, the time since the partition
    /// runs.
    pub checkpoint_age_ms: Option<u64>,
    /// The time for which a producer's open transaction has held the partition back, in milliseconds.
    pub open_transaction_hold_ms: Option<u64>,
}

/// The stage of a partition's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartitionState {
    /// The partition's state is being read.
    #[default]
    Restoring,
    /// The partition waits for an external change, such as a reply topic that can be written again.
    Waiting,
    /// The partition answers requests.
    Running,
    /// The partition is being handed over or shut down: it makes its last checkpoint, and takes no new
    /// requests.
    Draining,
    /// The partition stopped rather than guess (I6), and needs a repair.
    Halted,
}

impl PartitionState {
    /// Every state, for metrics.
    pub(crate) const ALL: [PartitionState; 5] = [
        PartitionState::Restoring,
        PartitionState::Waiting,
        PartitionState::Running,
        PartitionState::Draining,
        PartitionState::Halted,
    ];

    /// The word in HTTP bodies and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            PartitionState::Restoring => "restoring",
            PartitionState::Waiting => "waiting",
            PartitionState::Running => "running",
            PartitionState::Draining => "draining",
            PartitionState::Halted => "halted",
        }
    }
}

impl Status {
    /// The status of an instance that starts now and owns nothing.
    pub(crate) fn starting(instance_id: &str, group: &str, reply_mode: Mode) -> Status {
        Status {
            instance_id: instance_id.to_owned(),
            group: group.to_owned(),
            reply_mode,
            started_unix_ms: unix_ms(),
            ..Status::default()
        }
    }

    /// The partitions that halted.
    pub(crate) fn halted(&self) -> impl Iterator<Item = (i32, &PartitionStatus)> {
        self.partitions
            .iter()
            .filter(|(_, status)| status.state == PartitionState::Halted)
            .map(|(partition, status)| (*partition, status))
    }
}

/// A handle on the status of the process. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    published: Arc<RwLock<Published>>,
}

#[derive(Debug)]
struct Published {
    status: Status,
    at: Instant,
}

impl Shared {
    /// Creates a handle on this status.
    pub(crate) fn new(status: Status) -> Shared {
        let published = Published {
            status,
            at: Instant::now(),
        };
        Shared {
            published: Arc::new(RwLock::new(published)),
        }
    }

    /// Changes the status, and shows that the engine is alive. Call it at least every second, even without a
    /// change: ages and lags become stale, and `/readyz` reports the silence.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        // A poisoned lock means that another `change` panicked half-way. Each field is still valid.
        let mut published = self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut published.status);
        published.at = Instant::now();
    }

    /// Returns a copy of the status.
    pub(crate) fn read(&self) -> Status {
        self.published
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .status
            .clone()
    }

    /// Makes the last publication look as if it were this long ago.
    #[cfg(test)]
    pub(crate) fn silent_for(&self, silence: Duration) {
        let mut published = self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        published.at = published.at.checked_sub(silence).unwrap_or(published.at);
    }

    /// The time since the last publication.
    pub(crate) fn silence(&self) -> Duration {
        self.published
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .at
            .elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_status() {
        let shared = Shared::new(Status::starting("a", "g", Mode::Immediate));
        let other = shared.clone();
        other.update(|status| {
            status.connected = true;
            status.partitions.insert(3, PartitionStatus::default());
        });
        assert!(shared.read().connected);
        assert_eq!(shared.read().partitions.len(), 1);
        assert!(shared.silence() < Duration::from_secs(60));
    }

    #[test]
    fn only_halted_partitions_are_halted() {
        let mut status = Status::default();
        for (partition, state) in (0..).zip(PartitionState::ALL) {
            status.partitions.insert(
                partition,
                PartitionStatus {
                    state,
                    ..Default::default()
                },
            );
        }
        assert_eq!(
            status
                .halted()
                .map(|(partition, _)| partition)
                .collect::<Vec<_>>(),
            [4]
        );
    }
}
