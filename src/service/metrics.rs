//! What is measured. One struct, registered on a registry that is passed in.
//!
//! Base units are in the names; no label grows with the data: partitions may be labels, sequence names
//! never. Counters are added to in batches from the engine thread. The series of single partitions are
//! set from the [`Status`] when someone asks, by [`Metrics::publish`], which also removes those of
//! partitions that went to another instance; so they never disagree with `/readyz`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    Error, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::status::{PartitionState, PartitionStatus, Status};
use crate::core::Code;

/// A metric's name and what it says.
pub type Named = (&'static str, &'static str);

/// Requests answered, by `outcome`: granted or rejected.
pub const REQUESTS: Named = ("sequencer_requests_total", "Requests answered, by outcome.");
/// Rejected requests, by `code`.
pub const REJECTIONS: Named = ("sequencer_rejections_total", "Rejected requests, by error code.");
/// IDs granted.
pub const IDS_GRANTED: Named = ("sequencer_ids_granted_total", "IDs granted.");
/// Replies handed to the producer.
pub const REPLIES_SENT: Named =
    ("sequencer_replies_sent_total", "Replies handed to the producer, repeats included.");
/// Replies acknowledged.
pub const REPLIES_ACKNOWLEDGED: Named =
    ("sequencer_replies_acknowledged_total", "Replies acknowledged by every in-sync replica.");
/// Replies whose delivery failed.
pub const REPLY_FAILURES: Named =
    ("sequencer_reply_failures_total", "Replies whose delivery failed; each is tried again.");
/// Checkpoints ended, by `result`: committed, aborted or unknown.
pub const CHECKPOINTS: Named = (
    "sequencer_checkpoints_total",
    "Checkpoint transactions ended, by result; unknown is settled by a new producer.",
);
/// Time of a checkpoint.
pub const CHECKPOINT_DURATION: Named = (
    "sequencer_checkpoint_duration_seconds",
    "Time from the first record of a checkpoint to the end of its commit.",
);
/// Records of checkpoints.
pub const CHECKPOINT_RECORDS: Named =
    ("sequencer_checkpoint_records_total", "State records written by checkpoints, footers included.");
/// Time of a restore.
pub const RESTORE_DURATION: Named =
    ("sequencer_restore_duration_seconds", "Time from the assignment of a partition to its first answer.");
/// Records of restores.
pub const RESTORE_RECORDS: Named =
    ("sequencer_restore_records_total", "State records read by restores.");
/// Batches that restores did not believe.
pub const STATE_BATCHES_SKIPPED: Named = (
    "sequencer_state_batches_skipped_total",
    "Checkpoints of the state topic that did not add up and were skipped by a restore.",
);
/// Rebalances, by `kind`: assign, revoke or lost.
pub const REBALANCES: Named =
    ("sequencer_rebalances_total", "Rebalance events of this consumer, by kind.");
/// Kafka errors, by `class`: retriable, abort or fatal.
pub const KAFKA_ERRORS: Named = (
    "sequencer_kafka_errors_total",
    "Kafka errors, by class: retriable, abort (of a transaction) or fatal (to a client).",
);
/// Messages in the producers' queues.
pub const PRODUCER_QUEUE: Named =
    ("sequencer_producer_queue_messages", "Messages waiting in the producers' queues.");
/// 1 if the group and the cluster answer.
pub const CONNECTED: Named =
    ("sequencer_connected", "1 if this instance is a member of its group, else 0.");
/// The state of a partition, one series per `partition` and `state`.
pub const PARTITION_STATE: Named =
    ("sequencer_partition_state", "1 for the state that an owned partition is in, 0 for the others.");
/// Halted partitions.
pub const HALTED: Named =
    ("sequencer_halted_partitions", "Owned partitions that halted and need their repair.");
/// Lag of a partition.
pub const LAG: Named =
    ("sequencer_partition_lag_records", "Visible request records that are not yet folded.");
/// Next offset of a partition.
pub const NEXT_OFFSET: Named =
    ("sequencer_partition_next_offset", "Offset of the next request record to read.");
/// Age of a partition's checkpoint.
pub const CHECKPOINT_AGE: Named = (
    "sequencer_partition_checkpoint_age_seconds",
    "Time since the last committed checkpoint of an owned partition.",
);
/// Sequences of a partition.
pub const SEQUENCES: Named = ("sequencer_sequences", "Sequences that an owned partition holds.");
/// How long a producer holds a partition back.
pub const OPEN_TRANSACTION_HOLD: Named = (
    "sequencer_open_transaction_hold_seconds",
    "How long a producer's open transaction has held an owned partition back; 0 if none does.",
);
/// The running release, as the label `version`.
pub const BUILD_INFO: Named = ("sequencer_build_info", "1, with the running version as a label.");

/// Upper bounds of checkpoint times in seconds: a few milliseconds are normal, Kafka's time-outs are
/// seconds.
const CHECKPOINT_SECONDS: [f64; 12] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0];

/// Upper bounds of restore times in seconds: from an empty partition to millions of sequences.
const RESTORE_SECONDS: [f64; 11] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// Every metric of the process; clones share them.
#[derive(Clone)]
pub struct Metrics {
    /// Requests that got IDs.
    pub requests_granted: IntCounter,
    /// Requests that got an error.
    pub requests_rejected: IntCounter,
    /// IDs granted.
    pub ids_granted: IntCounter,
    /// Replies handed to the producer.
    pub replies_sent: IntCounter,
    /// Replies acknowledged.
    pub replies_acknowledged: IntCounter,
    /// Replies whose delivery failed.
    pub reply_failures: IntCounter,
    /// Checkpoint transactions committed.
    pub checkpoints_committed: IntCounter,
    /// Checkpoint transactions aborted.
    pub checkpoints_aborted: IntCounter,
    /// Checkpoint transactions whose commit timed out.
    pub checkpoints_unknown: IntCounter,
    /// Time of each checkpoint in seconds.
    pub checkpoint_duration_seconds: Histogram,
    /// State records written by checkpoints.
    pub checkpoint_records: IntCounter,
    /// Time of each restore in seconds.
    pub restore_duration_seconds: Histogram,
    /// State records read by restores.
    pub restore_records: IntCounter,
    /// Batches that restores skipped.
    pub state_batches_skipped: IntCounter,
    /// Assignments.
    pub rebalances_assign: IntCounter,
    /// Revocations.
    pub rebalances_revoke: IntCounter,
    /// Partitions lost without a revocation.
    pub rebalances_lost: IntCounter,
    /// Errors after which the same call may work.
    pub kafka_errors_retriable: IntCounter,
    /// Errors that end the present transaction.
    pub kafka_errors_abort: IntCounter,
    /// Errors that end the client.
    pub kafka_errors_fatal: IntCounter,
    /// Messages waiting in the producers' queues.
    pub producer_queue_messages: IntGauge,
    rejections: IntCounterVec,
    partitions: Partitions,
}

/// The series that are set from the status.
#[derive(Clone)]
struct Partitions {
    connected: IntGauge,
    halted: IntGauge,
    state: IntGaugeVec,
    lag_records: IntGaugeVec,
    next_offset: IntGaugeVec,
    checkpoint_age_seconds: GaugeVec,
    sequences: IntGaugeVec,
    open_transaction_hold_seconds: GaugeVec,
    /// Partitions with series, to notice those that are no longer owned.
    shown: Arc<Mutex<BTreeSet<i32>>>,
}

impl Metrics {
    /// Registers every metric on this registry. Series with known labels begin at 0, so that a rate
    /// over the first event is right.
    ///
    /// # Errors
    /// One of the names is taken on this registry.
    pub fn register(registry: &Registry) -> Result<Metrics, Error> {
        let requests = counters(registry, REQUESTS, "outcome")?;
        let checkpoints = counters(registry, CHECKPOINTS, "result")?;
        let rebalances = counters(registry, REBALANCES, "kind")?;
        let kafka_errors = counters(registry, KAFKA_ERRORS, "class")?;
        let rejections = counters(registry, REJECTIONS, "code")?;
        for code in Code::ALL {
            rejections.get_metric_with_label_values(&[code.as_str()])?;
        }
        let build = gauges(registry, BUILD_INFO, &["version"])?;
        build.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
        Ok(Metrics {
            requests_granted: requests.get_metric_with_label_values(&["granted"])?,
            requests_rejected: requests.get_metric_with_label_values(&["rejected"])?,
            ids_granted: counter(registry, IDS_GRANTED)?,
            replies_sent: counter(registry, REPLIES_SENT)?,
            replies_acknowledged: counter(registry, REPLIES_ACKNOWLEDGED)?,
            reply_failures: counter(registry, REPLY_FAILURES)?,
            checkpoints_committed: checkpoints.get_metric_with_label_values(&["committed"])?,
            checkpoints_aborted: checkpoints.get_metric_with_label_values(&["aborted"])?,
            checkpoints_unknown: checkpoints.get_metric_with_label_values(&["unknown"])?,
            checkpoint_duration_seconds: histogram(registry, CHECKPOINT_DURATION, &CHECKPOINT_SECONDS)?,
            checkpoint_records: counter(registry, CHECKPOINT_RECORDS)?,
            restore_duration_seconds: histogram(registry, RESTORE_DURATION, &RESTORE_SECONDS)?,
            restore_records: counter(registry, RESTORE_RECORDS)?,
            state_batches_skipped: counter(registry, STATE_BATCHES_SKIPPED)?,
            rebalances_assign: rebalances.get_metric_with_label_values(&["assign"])?,
            rebalances_revoke: rebalances.get_metric_with_label_values(&["revoke"])?,
            rebalances_lost: rebalances.get_metric_with_label_values(&["lost"])?,
            kafka_errors_retriable: kafka_errors.get_metric_with_label_values(&["retriable"])?,
            kafka_errors_abort: kafka_errors.get_metric_with_label_values(&["abort"])?,
            kafka_errors_fatal: kafka_errors.get_metric_with_label_values(&["fatal"])?,
            producer_queue_messages: gauge(registry, PRODUCER_QUEUE)?,
            rejections,
            partitions: Partitions::register(registry)?,
        })
    }

    /// Counts rejections with this code; [`Metrics::requests_rejected`] is counted apart.
    pub fn rejected(&self, code: Code, count: u64) {
        self.rejections.with_label_values(&[code.as_str()]).inc_by(count);
    }

    /// Sets the series of partitions from the status and removes those of partitions that are not in it
    /// any more.
    pub fn publish(&self, status: &Status) {
        self.partitions.publish(status);
    }

    /// Removes the series of one partition at once, without waiting for the next [`Metrics::publish`].
    pub fn drop_partition(&self, partition: i32) {
        let mut shown = self.partitions.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.remove(&partition) {
            self.partitions.remove(partition);
        }
    }
}

impl Partitions {
    fn register(registry: &Registry) -> Result<Partitions, Error> {
        Ok(Partitions {
            connected: gauge(registry, CONNECTED)?,
            halted: gauge(registry, HALTED)?,
            state: gauges(registry, PARTITION_STATE, &["partition", "state"])?,
            lag_records: gauges(registry, LAG, &["partition"])?,
            next_offset: gauges(registry, NEXT_OFFSET, &["partition"])?,
            checkpoint_age_seconds: seconds(registry, CHECKPOINT_AGE)?,
            sequences: gauges(registry, SEQUENCES, &["partition"])?,
            open_transaction_hold_seconds: seconds(registry, OPEN_TRANSACTION_HOLD)?,
            shown: Arc::default(),
        })
    }

    fn publish(&self, status: &Status) {
        self.connected.set(i64::from(status.connected));
        self.halted.set(integer(status.halted().count() as u64));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in shown.iter().filter(|partition| !status.partitions.contains_key(partition)) {
            self.remove(*partition);
        }
        for (partition, status) in &status.partitions {
            self.set(*partition, status);
        }
        *shown = status.partitions.keys().copied().collect();
    }

    fn set(&self, partition: i32, status: &PartitionStatus) {
        let label = partition.to_string();
        let labels = [label.as_str()];
        for state in PartitionState::ALL {
            let is_in_it = i64::from(status.state == state);
            self.state.with_label_values(&[label.as_str(), state.as_str()]).set(is_in_it);
        }
        self.next_offset.with_label_values(&labels).set(status.next_offset);
        self.sequences.with_label_values(&labels).set(integer(status.sequences));
        let hold_ms = status.open_transaction_hold_ms.unwrap_or(0);
        self.open_transaction_hold_seconds.with_label_values(&labels).set(seconds_of(hold_ms));
        // What is not known has no series: a 0 would look like the best of values.
        match status.lag_records {
            Some(lag_records) => self.lag_records.with_label_values(&labels).set(lag_records),
            None => forget(self.lag_records.remove_label_values(&labels)),
        }
        match status.checkpoint_age_ms {
            Some(age_ms) => {
                self.checkpoint_age_seconds.with_label_values(&labels).set(seconds_of(age_ms));
            }
            None => forget(self.checkpoint_age_seconds.remove_label_values(&labels)),
        }
    }

    fn remove(&self, partition: i32) {
        let label = partition.to_string();
        let labels = [label.as_str()];
        for state in PartitionState::ALL {
            forget(self.state.remove_label_values(&[label.as_str(), state.as_str()]));
        }
        forget(self.lag_records.remove_label_values(&labels));
        forget(self.next_offset.remove_label_values(&labels));
        forget(self.checkpoint_age_seconds.remove_label_values(&labels));
        forget(self.sequences.remove_label_values(&labels));
        forget(self.open_transaction_hold_seconds.remove_label_values(&labels));
    }
}

/// A series that is not there need not be removed: the only error of the call.
fn forget(removed: Result<(), Error>) {
    drop(removed);
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds_of(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

fn counter(registry: &Registry, (name, help): Named) -> Result<IntCounter, Error> {
    let metric = IntCounter::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(registry: &Registry, (name, help): Named, label: &str) -> Result<IntCounterVec, Error> {
    let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, (name, help): Named) -> Result<IntGauge, Error> {
    let metric = IntGauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(registry: &Registry, (name, help): Named, labels: &[&str]) -> Result<IntGaugeVec, Error> {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn seconds(registry: &Registry, (name, help): Named) -> Result<GaugeVec, Error> {
    let metric = GaugeVec::new(Opts::new(name, help), &["partition"])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(registry: &Registry, (name, help): Named, buckets: &[f64]) -> Result<Histogram, Error> {
    let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    fn running() -> PartitionStatus {
        PartitionStatus {
            state: PartitionState::Running,
            next_offset: 42,
            lag_records: Some(7),
            sequences: 3,
            checkpoint_age_ms: Some(1_500),
            ..Default::default()
        }
    }

    #[test]
    fn known_series_begin_at_zero() {
        let registry = Registry::new();
        Metrics::register(&registry).unwrap();
        let text = text(&registry);
        for line in [
            "sequencer_requests_total{outcome=\"granted\"} 0",
            "sequencer_rejections_total{code=\"invalid_count\"} 0",
            "sequencer_checkpoints_total{result=\"unknown\"} 0",
            "sequencer_rebalances_total{kind=\"lost\"} 0",
            "sequencer_kafka_errors_total{class=\"fatal\"} 0",
            "sequencer_halted_partitions 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn every_metric_has_the_prefix_and_a_help_text() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        metrics.publish(&Status { partitions: [(0, running())].into(), ..Default::default() });
        for family in registry.gather() {
            assert!(family.name().starts_with("sequencer_"), "{}", family.name());
            assert!(family.help().ends_with('.'), "{}", family.name());
        }
    }

    #[test]
    fn a_partition_that_is_gone_leaves_no_series() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let halted = PartitionStatus { state: PartitionState::Halted, ..Default::default() };
        metrics.publish(&Status {
            partitions: [(0, running()), (1, halted)].into(),
            ..Default::default()
        });
        let before = text(&registry);
        for line in [
            "sequencer_partition_state{partition=\"0\",state=\"running\"} 1",
            "sequencer_partition_state{partition=\"0\",state=\"halted\"} 0",
            "sequencer_partition_state{partition=\"1\",state=\"halted\"} 1",
            "sequencer_partition_lag_records{partition=\"0\"} 7",
            "sequencer_partition_next_offset{partition=\"0\"} 42",
            "sequencer_partition_checkpoint_age_seconds{partition=\"0\"} 1.5",
            "sequencer_sequences{partition=\"0\"} 3",
            "sequencer_halted_partitions 1",
        ] {
            assert!(before.lines().any(|found| found == line), "{line} in\n{before}");
        }
        assert!(!before.contains("sequencer_partition_lag_records{partition=\"1\"}"));

        metrics.publish(&Status { partitions: [(0, running())].into(), ..Default::default() });
        assert!(!text(&registry).contains("partition=\"1\""));
        metrics.drop_partition(0);
        assert!(!text(&registry).contains("partition=\"0\""));
    }

    #[test]
    fn one_registry_takes_the_metrics_once() {
        let registry = Registry::new();
        Metrics::register(&registry).unwrap();
        assert!(Metrics::register(&registry).is_err());
    }
}
