//! The time for which the partitions of a peer that is gone had no owner.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::info;

use crate::observe::metrics::Metrics;

/// A rebalance that comes later has another reason: an eviction takes less than a second, and without one the
/// group notices after a session of 10 s at most.
const REBALANCE_WITHIN: Duration = Duration::from_secs(15);

/// Partitions that belonged to a peer that is gone, and are not restored yet.
#[derive(Debug, Default)]
pub(super) struct Failovers {
    /// The last heartbeat of the peer, by partition.
    gone: BTreeMap<i32, Instant>,
    /// The last heartbeat of the peer whose partitions were taken over last. The next rebalance has another
    /// reason.
    taken: Option<Instant>,
}

impl Failovers {
    /// `since_gone`: the time since the last heartbeat of the peer that fell silent last.
    pub(super) fn assigned(&mut self, partitions: &[i32], since_gone: Option<Duration>) {
        let now = Instant::now();
        let gone = since_gone
            .filter(|since| *since <= REBALANCE_WITHIN)
            .and_then(|since| now.checked_sub(since));
        let Some(gone) = gone.filter(|_| !partitions.is_empty()) else {
            return;
        };
        if self.taken.is_some_and(|taken| gone <= taken) {
            return;
        }
        // For the same peer, the time is the same to a millisecond.
        self.taken = Some(gone + Duration::from_millis(2));
        self.gone
            .extend(partitions.iter().map(|partition| (*partition, gone)));
    }

    pub(super) fn restored(&mut self, partition: i32, metrics: &Metrics) {
        let Some(gone) = self.gone.remove(&partition) else {
            return;
        };
        let took = gone.elapsed();
        metrics.failover.seconds.observe(took.as_secs_f64());
        let took_ms = took.as_millis();
        info!(
            partition,
            took_ms, "failover: a partition of a peer that is gone runs here"
        );
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn a_later_rebalance_has_another_reason() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let mut failovers = Failovers::default();
        let count = || metrics.failover.seconds.get_sample_count();
        let gone = Some(Duration::from_millis(400));
        failovers.assigned(&[0], None);
        failovers.assigned(&[], gone);
        failovers.restored(0, &metrics);
        assert_eq!(count(), 0);
        failovers.assigned(&[1, 2], gone);
        failovers.restored(1, &metrics);
        failovers.restored(2, &metrics);
        failovers.restored(2, &metrics);
        assert_eq!(count(), 2);
        failovers.assigned(&[3], gone);
        failovers.restored(3, &metrics);
        failovers.assigned(&[4], Some(REBALANCE_WITHIN + Duration::from_millis(1)));
        failovers.restored(4, &metrics);
        assert_eq!(count(), 2);
        failovers.assigned(&[5], Some(Duration::ZERO));
        failovers.restored(5, &metrics);
        assert_eq!(count(), 3);
    }
}
