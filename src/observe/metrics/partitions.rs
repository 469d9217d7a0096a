//! The series that are set from the status: those of the connection and of each owned partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Error, Gauge, GaugeVec, IntGauge, IntGaugeVec, Registry};

use super::names::{
    CHECKPOINT_AGE, CONNECTED, ENGINE_SILENCE, HALTED, LAG, LEFT_RATIO_MIN, NEAR_EXHAUSTION,
    NEXT_OFFSET, OPEN_TRANSACTION_HOLD, PARTITION_HALTED, PARTITION_RESCALE, PARTITION_STATE,
    REQUEST_PARTITIONS, SEQUENCES, SERVICE_PARTITIONS, UNANSWERED,
};
use super::register::{float_gauge, float_gauges, gauge, gauges};
use crate::core::fold::Outlook;
use crate::core::rescale::Part;
use crate::observe::status::{PartitionState, PartitionStatus, Status};

/// The series that are set from the status.
#[derive(Clone)]
pub(super) struct Partitions {
    connected: IntGauge,
    halted: IntGauge,
    engine_silence_seconds: Gauge,
    service_partitions: IntGauge,
    request_partitions: IntGauge,
    state: IntGaugeVec,
    halted_because: IntGaugeVec,
    rescale: IntGaugeVec,
    lag_records: IntGaugeVec,
    unanswered: IntGaugeVec,
    next_offset: IntGaugeVec,
    checkpoint_age_seconds: GaugeVec,
    sequences: IntGaugeVec,
    near_exhaustion: IntGaugeVec,
    left_ratio_min: GaugeVec,
    open_transaction_hold_seconds: GaugeVec,
    /// The partitions that have series, with the reason of each halt. They show which partitions are no longer owned.
    shown: Arc<Mutex<BTreeMap<i32, Option<&'static str>>>>,
}

impl Partitions {
    pub(super) fn register(registry: &Registry) -> Result<Partitions, Error> {
        Ok(Partitions {
            connected: gauge(registry, CONNECTED)?,
            halted: gauge(registry, HALTED)?,
            engine_silence_seconds: float_gauge(registry, ENGINE_SILENCE)?,
            service_partitions: gauge(registry, SERVICE_PARTITIONS)?,
            request_partitions: gauge(registry, REQUEST_PARTITIONS)?,
            state: gauges(registry, PARTITION_STATE, &["partition", "state"])?,
            halted_because: gauges(registry, PARTITION_HALTED, &["partition", "reason"])?,
            rescale: gauges(registry, PARTITION_RESCALE, &["partition", "part"])?,
            lag_records: gauges(registry, LAG, &["partition"])?,
            unanswered: gauges(registry, UNANSWERED, &["partition"])?,
            next_offset: gauges(registry, NEXT_OFFSET, &["partition"])?,
            checkpoint_age_seconds: float_gauges(registry, CHECKPOINT_AGE)?,
            sequences: gauges(registry, SEQUENCES, &["partition"])?,
            near_exhaustion: gauges(registry, NEAR_EXHAUSTION, &["partition", "left_below"])?,
            left_ratio_min: float_gauges(registry, LEFT_RATIO_MIN)?,
            open_transaction_hold_seconds: float_gauges(registry, OPEN_TRANSACTION_HOLD)?,
            shown: Arc::default(),
        })
    }

    pub(super) fn publish(&self, status: &Status, silence: Duration) {
        self.connected.set(i64::from(status.connected));
        self.halted.set(integer(status.halted().count() as u64));
        self.engine_silence_seconds.set(silence.as_secs_f64());
        self.service_partitions
            .set(status.service_partitions.into());
        self.request_partitions
            .set(status.request_partitions.into());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, halt) in shown.iter() {
            match status.partitions.get(partition) {
                None => self.remove(*partition, *halt),
                Some(status) if status.halt != *halt => self.remove_halt(*partition, *halt),
                Some(_) => {}
            }
        }
        for (partition, status) in &status.partitions {
            self.set(*partition, status);
        }
        let halts = |(partition, status): (&i32, &PartitionStatus)| (*partition, status.halt);
        *shown = status.partitions.iter().map(halts).collect();
    }

    fn set(&self, partition: i32, status: &PartitionStatus) {
        let label = partition.to_string();
        let labels = [label.as_str()];
        for state in PartitionState::ALL {
            let is_in_it = i64::from(status.state == state);
            self.state
                .with_label_values(&[label.as_str(), state.as_str()])
                .set(is_in_it);
        }
        for part in parts() {
            let is_left = i64::from(status.rescale == Some(part));
            self.rescale
                .with_label_values(&[label.as_str(), part])
                .set(is_left);
        }
        if let Some(reason) = status.halt {
            self.halted_because
                .with_label_values(&[label.as_str(), reason])
                .set(1);
        }
        self.next_offset
            .with_label_values(&labels)
            .set(status.next_offset);
        self.sequences
            .with_label_values(&labels)
            .set(integer(status.sequences));
        self.unanswered
            .with_label_values(&labels)
            .set(integer(status.unanswered));
        let hold_ms = status.open_transaction_hold_ms.unwrap_or(0);
        self.open_transaction_hold_seconds
            .with_label_values(&labels)
            .set(seconds_of(hold_ms));
        self.set_outlook(&label, status.outlook);
        // An unknown value has no series: a 0 would look like the best value.
        match status.lag_records {
            Some(lag_records) => self.lag_records.with_label_values(&labels).set(lag_records),
            None => forget(self.lag_records.remove_label_values(&labels)),
        }
        match status.checkpoint_age_ms {
            Some(age_ms) => {
                self.checkpoint_age_seconds
                    .with_label_values(&labels)
                    .set(seconds_of(age_ms));
            }
            None => forget(self.checkpoint_age_seconds.remove_label_values(&labels)),
        }
    }

    fn set_outlook(&self, partition: &str, outlook: Option<Outlook>) {
        let counts = shares(outlook.unwrap_or_default());
        for (left_below, count) in counts {
            let labels = [partition, left_below];
            match outlook {
                Some(_) => self
                    .near_exhaustion
                    .with_label_values(&labels)
                    .set(integer(count)),
                None => forget(self.near_exhaustion.remove_label_values(&labels)),
            }
        }
        match outlook.and_then(|outlook| outlook.least_left_ppm) {
            Some(ppm) => self
                .left_ratio_min
                .with_label_values(&[partition])
                .set(f64::from(ppm) / 1e6),
            None => forget(self.left_ratio_min.remove_label_values(&[partition])),
        }
    }

    fn remove_halt(&self, partition: i32, halt: Option<&'static str>) {
        if let Some(reason) = halt {
            let label = partition.to_string();
            forget(
                self.halted_because
                    .remove_label_values(&[label.as_str(), reason]),
            );
        }
    }

    fn remove(&self, partition: i32, halt: Option<&'static str>) {
        self.remove_halt(partition, halt);
        let label = partition.to_string();
        let labels = [label.as_str()];
        for state in PartitionState::ALL {
            forget(
                self.state
                    .remove_label_values(&[label.as_str(), state.as_str()]),
            );
        }
        for part in parts() {
            forget(self.rescale.remove_label_values(&[label.as_str(), part]));
        }
        forget(self.lag_records.remove_label_values(&labels));
        forget(self.unanswered.remove_label_values(&labels));
        forget(self.next_offset.remove_label_values(&labels));
        forget(self.checkpoint_age_seconds.remove_label_values(&labels));
        forget(self.sequences.remove_label_values(&labels));
        self.set_outlook(&label, None);
        forget(
            self.open_transaction_hold_seconds
                .remove_label_values(&labels),
        );
    }
}

/// The parts of a rescale that have series.
fn parts() -> impl Iterator<Item = &'static str> {
    let left = Part::ALL.into_iter().filter(|part| *part != Part::Done);
    left.map(Part::as_str)
}

/// The values of `left_below`, with the number of sequences that have less left.
fn shares(outlook: Outlook) -> [(&'static str, u64); 3] {
    [
        ("0.1", outlook.below_tenth),
        ("0.01", outlook.below_hundredth),
        ("0", outlook.exhausted),
    ]
}

/// Ignores the error of a series that does not exist. The call has no other error.
fn forget(removed: Result<(), Error>) {
    drop(removed);
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds_of(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}
