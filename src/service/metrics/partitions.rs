//! The series that are set from the status: those of the connection and of each owned partition.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Error, GaugeVec, IntGauge, IntGaugeVec, Registry};

use super::names::{
    CHECKPOINT_AGE, CONNECTED, HALTED, LAG, NEXT_OFFSET, OPEN_TRANSACTION_HOLD, PARTITION_STATE,
    SEQUENCES,
};
use super::register::{gauge, gauges, seconds};
use crate::service::status::{PartitionState, PartitionStatus, Status};

/// The series that are set from the status.
#[derive(Clone)]
pub(super) struct Partitions {
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

impl Partitions {
    pub fn register(registry: &Registry) -> Result<Partitions, Error> {
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

    pub fn publish(&self, status: &Status) {
        self.connected.set(i64::from(status.connected));
        self.halted.set(integer(status.halted().count() as u64));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in shown
            .iter()
            .filter(|partition| !status.partitions.contains_key(partition))
        {
            self.remove(*partition);
        }
        for (partition, status) in &status.partitions {
            self.set(*partition, status);
        }
        *shown = status.partitions.keys().copied().collect();
    }

    /// Removes the series of one partition.
    pub fn drop_partition(&self, partition: i32) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.remove(&partition) {
            self.remove(partition);
        }
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
        self.next_offset
            .with_label_values(&labels)
            .set(status.next_offset);
        self.sequences
            .with_label_values(&labels)
            .set(integer(status.sequences));
        let hold_ms = status.open_transaction_hold_ms.unwrap_or(0);
        self.open_transaction_hold_seconds
            .with_label_values(&labels)
            .set(seconds_of(hold_ms));
        // What is not known has no series: a 0 would look like the best of values.
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

    fn remove(&self, partition: i32) {
        let label = partition.to_string();
        let labels = [label.as_str()];
        for state in PartitionState::ALL {
            forget(
                self.state
                    .remove_label_values(&[label.as_str(), state.as_str()]),
            );
        }
        forget(self.lag_records.remove_label_values(&labels));
        forget(self.next_offset.remove_label_values(&labels));
        forget(self.checkpoint_age_seconds.remove_label_values(&labels));
        forget(self.sequences.remove_label_values(&labels));
        forget(
            self.open_transaction_hold_seconds
                .remove_label_values(&labels),
        );
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
    Duration::from_millis(milliseconds).as_secs_f64()
}
