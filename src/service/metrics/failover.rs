//! What an instance does about peers that are gone.

use prometheus::{Error, Histogram, IntCounter, IntGauge, Registry};

use super::names::{
    EVICTED_ALIVE, EVICTIONS, FAILOVER_ACTIVE, FAILOVER_DURATION, HEARTBEATS_LATE, SUSPICIONS,
};
use super::register::{counter, counters, gauge, histogram};

/// Upper bounds of failovers in seconds: half a second is aimed at, a session is what they take without.
const SECONDS: [f64; 11] = [0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0];

/// The metrics of failover; clones share them.
#[derive(Clone)]
pub struct Failover {
    /// Whether peers are watched.
    pub active: IntGauge,
    /// How often own heartbeats were late, so that nobody was suspected.
    pub late: IntCounter,
    /// Peers that fell silent.
    pub suspicions: IntCounter,
    /// Peers evicted.
    pub evicted: IntCounter,
    /// Evictions that failed.
    pub failed: IntCounter,
    /// How often this instance was evicted while it lived.
    pub evicted_alive: IntCounter,
    /// From a peer's last heartbeat until a partition is answered here.
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
            failed: evictions.get_metric_with_label_values(&["failed"])?,
            evicted_alive: counter(registry, EVICTED_ALIVE)?,
            seconds: histogram(registry, FAILOVER_DURATION, &SECONDS)?,
        })
    }
}
