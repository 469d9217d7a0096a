//! Keeps consumers ready for the evictions that this instance would be the first to make. A new consumer takes a
//! tenth of a second to find the group's coordinator, in which the partitions of the victim stand still.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::kafka::consumer::GroupConsumer;

/// Consumers that are kept ready. Each costs a few threads and connections, and an instance is the first for one
/// peer on average.
const READY_MAX: usize = 2;

/// The age at which a consumer is made anew. It is idle, so it does not notice when a firewall forgets its connection,
/// and its join would have no answer.
const AGE_MAX: Duration = Duration::from_secs(60);

/// A consumer that is younger is not made anew after an interruption: a busy machine interrupts often, and new consumers
/// would make it busier.
const DOUBT_AGE_MIN: Duration = Duration::from_secs(10);

/// The consumers by the `instance_id` of the peer that they would replace. None has joined.
#[derive(Default)]
pub(super) struct Ready(Mutex<BTreeMap<String, Idle>>);

struct Idle {
    consumer: GroupConsumer,
    made: Instant,
    /// True when its connections may be lost.
    doubtful: bool,
}

impl Idle {
    fn is_old(&self) -> bool {
        self.doubtful || self.made.elapsed() > AGE_MAX
    }
}

impl Ready {
    /// Takes the consumer for an eviction of this peer, if there is one.
    pub(super) fn take(&self, instance: &str) -> Option<GroupConsumer> {
        let mut ready = self.lock();
        match ready.get(instance)?.is_old() {
            true => None,
            false => ready.remove(instance).map(|idle| idle.consumer),
        }
    }

    /// This instance was interrupted, perhaps because its connections were lost: the consumers are made anew.
    pub(super) fn doubt(&self) {
        for idle in self.lock().values_mut() {
            idle.doubtful |= idle.made.elapsed() > DOUBT_AGE_MIN;
        }
    }

    /// Serves the consumers. True when they are not those that are wanted, or too old.
    pub(super) fn serve(&self, wanted: &[String]) -> bool {
        let mut ready = self.lock();
        for idle in ready.values_mut() {
            idle.consumer.poll(Duration::ZERO, |_| {});
        }
        !ready.keys().eq(wanted.iter().take(READY_MAX)) || ready.values().any(Idle::is_old)
    }

    /// Makes the consumers that are wanted, and closes the others. Either may take long. `wanted`: sorted.
    pub(super) fn change(&self, wanted: &[String], make: impl Fn(&str) -> Option<GroupConsumer>) {
        let wanted = &wanted[..wanted.len().min(READY_MAX)];
        let unwanted: Vec<_> = self
            .lock()
            .extract_if(.., |name, idle| !wanted.contains(name) || idle.is_old())
            .collect();
        drop(unwanted);
        for name in wanted {
            if !self.lock().contains_key(name)
                && let Some(consumer) = make(name)
            {
                let idle = Idle {
                    consumer,
                    made: Instant::now(),
                    doubtful: false,
                };
                self.lock().insert(name.clone(), idle);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
