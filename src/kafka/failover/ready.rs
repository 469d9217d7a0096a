//! Keeps consumers ready for the evictions that this instance would be the first to make. A new consumer takes a
//! tenth of a second to find the group's coordinator, in which the partitions of the victim stand still.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kafka::consumer::GroupConsumer;

/// Consumers that are kept ready. Each costs a few threads and connections, and an instance is the first for one
/// peer on average.
const READY_MAX: usize = 2;

/// The consumers by the `instance_id` of the peer that they would replace. None has joined.
#[derive(Default)]
pub(super) struct Ready(Mutex<BTreeMap<String, GroupConsumer>>);

impl Ready {
    /// Takes the consumer for an eviction of this peer, if there is one.
    pub(super) fn take(&self, instance: &str) -> Option<GroupConsumer> {
        self.lock().remove(instance)
    }

    /// Serves the consumers. True when they are not those that are wanted.
    pub(super) fn serve(&self, wanted: &[String]) -> bool {
        let mut ready = self.lock();
        for consumer in ready.values_mut() {
            consumer.poll(Duration::ZERO, |_| {});
        }
        !ready.keys().eq(wanted.iter().take(READY_MAX))
    }

    /// Makes the consumers that are wanted, and closes the others. Either may take long. `wanted`: sorted.
    pub(super) fn change(&self, wanted: &[String], make: impl Fn(&str) -> Option<GroupConsumer>) {
        let wanted = &wanted[..wanted.len().min(READY_MAX)];
        let unwanted: Vec<_> = self
            .lock()
            .extract_if(.., |name, _| !wanted.contains(name))
            .collect();
        drop(unwanted);
        for name in wanted {
            if !self.lock().contains_key(name)
                && let Some(consumer) = make(name)
            {
                self.lock().insert(name.clone(), consumer);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, GroupConsumer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
