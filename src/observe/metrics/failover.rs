//! The metrics of failover: silent peers and evictions.

use prometheus::{Error, Histogram, IntCounter, IntGauge, Registry};

use super::names::{
    EVICTED_ALIVE, EVICTIONS, FAILOVER_ACTIVE, FAILOVER_DURATION, HEARTBEATS_LATE, SUSPICIONS,
};
use super::register::{counter, counters, gauge, histogram};

/// Upper bounds of the time of a failover, in seconds. The goal is half a second; without evictions it takes
/// a session.
const SECONDS: [f64; 11] = [0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0];

/// The metrics of failover. Clones share them.
#[derive(Clone)]
pub(crate) struct Failover {
    /// 1 while the instance watches its peers.
    pub active: IntGauge,
    /// Number of times that own heartbeats were late, so that no peer was suspected.
    pub late: IntCounter,
    /// Number of peers that fell silent.
    pub suspicions: IntCounter,
    /// Number of peers that this instance evicted.
    pub evicted: IntCounter,
    /// Number of evicted peers that were heard again, so that they were alive.
    pub alive: IntCounter,
    /// Number of evictions that failed.
    pub failed: IntCounter,
    /// Number of times that this instance was evicted while it lived.
    pub evicted_alive: IntCounter,
    /// The time from a peer's last heartbeat until one of its partitions runs here, in seconds.
    pub seconds: Histogram,
}

impl Failover {
    pub(super) fn register(registry: &Registry) -> Result<Failover, Error> {
        let evictions = counters(registry, EVICTIONS, "result")?;
        Ok(Failover {
            active: gauge(registry, FAILOVER_ACTIVE)?,
            late: counter(registry, HEARTBEATS_LATE)?,
            suspicions: counter(registry, SUSPICIONS)?,
            evicted: evictions.get_metric_with_label_values(&["done"])?,
            alive: evictions.get_metric_with_label_values(&["alive"])?,
            failed: evictions.get_metric_with_label_values(&["failed"])?,
            evicted_alive: counter(registry, EVICTED_ALIVE)?,
            seconds: histogram(registry, FAILOVER_DURATION, &SECONDS)?,
        })
    }
}
