//! The metrics: one struct, registered on a registry that is passed in.
//!
//! Base units are in the names. No label grows with the data: partitions may be labels, sequence names never.
//! The engine thread adds to counters in batches. [`Metrics::publish`] sets the series of single partitions
//! from the [`Status`] at each scrape. It also removes the series of partitions that went to another instance.
//! So these series never disagree with `/readyz`.

pub(crate) mod failover;
pub(crate) mod latency;
pub(crate) mod names;
mod partitions;
pub(crate) mod register;
#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus::{Error, Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

use self::failover::Failover;
use self::latency::Latency;
use self::names::{
    CHECKPOINT_DURATION, CHECKPOINT_RECORDS, CHECKPOINTS, FORWARDS_REPEATED, IDS_GRANTED,
    KAFKA_ERROR_CLASSES, KAFKA_ERRORS, LOG_LINES_LOST, PRODUCER_QUEUE, REBALANCES, REJECTIONS,
    REPLIES_ACKNOWLEDGED, REPLIES_SENT, REPLIES_UNDELIVERED, REPLY_FAILURES, REQUESTS,
    RESTORE_DURATION, RESTORE_RECORDS, START_OVERS, STATE_BATCHES_SKIPPED, STRAYS_FORWARDED,
};
use self::partitions::Partitions;
use self::register::{counter, counters, gauge, histogram, program};
use super::status::Status;
use crate::core::Code;
use crate::wire::route::Cause;

/// Upper bounds of checkpoint times in seconds. A few milliseconds are normal, and Kafka's timeouts are a few seconds.
const CHECKPOINT_SECONDS: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0,
];

/// Upper bounds of restore times in seconds: from an empty partition to millions of sequences.
const RESTORE_SECONDS: [f64; 11] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// Every metric of the process. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Requests that got IDs.
    pub requests_granted: IntCounter,
    /// Requests that got an error.
    pub requests_rejected: IntCounter,
    /// Requests that got the IDs of an earlier request with the same `request_id`.
    pub requests_repeated: IntCounter,
    /// Operators' actions that were carried out.
    pub requests_operated: IntCounter,
    /// IDs granted.
    pub ids_granted: IntCounter,
    /// Strays forwarded to their home partition.
    pub strays_forwarded: IntCounter,
    /// Forwards that arrived again and were skipped.
    pub forwards_repeated: IntCounter,
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
    /// Assignments of partitions by the group.
    pub rebalances_assign: IntCounter,
    /// Revocations of partitions by the group.
    pub rebalances_revoke: IntCounter,
    /// Partitions lost without a revocation.
    pub rebalances_lost: IntCounter,
    /// Engines that ended, and that a new engine replaced.
    pub start_overs: IntCounter,
    /// Silent peers, and their evictions.
    pub failover: Failover,
    /// Latencies from request to reply.
    pub latency: Latency,
    /// Messages waiting in the producers' queues.
    pub producer_queue_messages: IntGauge,
    rejections: IntCounterVec,
    undelivered: IntCounterVec,
    kafka_errors: IntCounterVec,
    log_lines_lost: IntCounter,
    partitions: Partitions,
}

impl Metrics {
    /// Registers every metric on this registry. Series with known labels begin at 0, so that a rate over the
    /// first event is right.
    ///
    /// # Errors
    /// A name is already in use on this registry.
    pub(crate) fn register(registry: &Registry) -> Result<Metrics, Error> {
        let requests = counters(registry, REQUESTS, "outcome")?;
        let checkpoints = counters(registry, CHECKPOINTS, "result")?;
        let rebalances = counters(registry, REBALANCES, "kind")?;
        let kafka_errors = counters(registry, KAFKA_ERRORS, "class")?;
        let rejections = counters(registry, REJECTIONS, "code")?;
        for code in Code::ALL {
            rejections.get_metric_with_label_values(&[code.as_str()])?;
        }
        let undelivered = counters(registry, REPLIES_UNDELIVERED, "cause")?;
        for cause in Cause::ALL {
            undelivered.get_metric_with_label_values(&[cause.as_str()])?;
        }
        for class in KAFKA_ERROR_CLASSES {
            kafka_errors.get_metric_with_label_values(&[class])?;
        }
        program(registry)?;
        Ok(Metrics {
            requests_granted: requests.get_metric_with_label_values(&["granted"])?,
            requests_rejected: requests.get_metric_with_label_values(&["rejected"])?,
            requests_repeated: requests.get_metric_with_label_values(&["repeated"])?,
            requests_operated: requests.get_metric_with_label_values(&["operated"])?,
            ids_granted: counter(registry, IDS_GRANTED)?,
            strays_forwarded: counter(registry, STRAYS_FORWARDED)?,
            forwards_repeated: counter(registry, FORWARDS_REPEATED)?,
            replies_sent: counter(registry, REPLIES_SENT)?,
            replies_acknowledged: counter(registry, REPLIES_ACKNOWLEDGED)?,
            reply_failures: counter(registry, REPLY_FAILURES)?,
            checkpoints_committed: checkpoints.get_metric_with_label_values(&["committed"])?,
            checkpoints_aborted: checkpoints.get_metric_with_label_values(&["aborted"])?,
            checkpoints_unknown: checkpoints.get_metric_with_label_values(&["unknown"])?,
            checkpoint_duration_seconds: histogram(
                registry,
                CHECKPOINT_DURATION,
                &CHECKPOINT_SECONDS,
            )?,
            checkpoint_records: counter(registry, CHECKPOINT_RECORDS)?,
            restore_duration_seconds: histogram(registry, RESTORE_DURATION, &RESTORE_SECONDS)?,
            restore_records: counter(registry, RESTORE_RECORDS)?,
            state_batches_skipped: counter(registry, STATE_BATCHES_SKIPPED)?,
            rebalances_assign: rebalances.get_metric_with_label_values(&["assign"])?,
            rebalances_revoke: rebalances.get_metric_with_label_values(&["revoke"])?,
            rebalances_lost: rebalances.get_metric_with_label_values(&["lost"])?,
            start_overs: counter(registry, START_OVERS)?,
            failover: Failover::register(registry)?,
            latency: Latency::register(registry)?,
            producer_queue_messages: gauge(registry, PRODUCER_QUEUE)?,
            rejections,
            undelivered,
            kafka_errors,
            log_lines_lost: counter(registry, LOG_LINES_LOST)?,
            partitions: Partitions::register(registry)?,
        })
    }

    /// Counts rejections with this code. [`Metrics::requests_rejected`] is counted separately.
    pub(crate) fn rejected(&self, code: Code, count: u64) {
        self.rejections
            .with_label_values(&[code.as_str()])
            .inc_by(count);
    }

    /// Counts replies that went to the default topic for this reason.
    pub(crate) fn undelivered(&self, cause: Cause, count: u64) {
        if count > 0 {
            self.undelivered
                .with_label_values(&[cause.as_str()])
                .inc_by(count);
        }
    }

    /// Counts an error of this class, one of [`KAFKA_ERROR_CLASSES`].
    pub(crate) fn kafka_error(&self, class: &'static str) {
        self.kafka_errors.with_label_values(&[class]).inc();
    }

    /// Sets the series of partitions from the status, and removes the series of other partitions. `silence` is
    /// the time since the last publication, `lines_lost` the number of log lines that could not be written so far.
    pub(crate) fn publish(&self, status: &Status, silence: Duration, lines_lost: u64) {
        self.partitions.publish(status, silence);
        self.log_lines_lost
            .inc_by(lines_lost.saturating_sub(self.log_lines_lost.get()));
    }
}
