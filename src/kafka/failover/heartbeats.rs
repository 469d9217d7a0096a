//! How the engines of a process show that they are alive, and when they take others for gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::processor::failover::SILENT_INTERVALS;
use crate::processor::failover::heartbeat::INTERVAL_MS;
use crate::processor::failover::patience::Patience;

/// How an engine shows that it is alive, and when it takes others for gone.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeats {
    /// The topic of the heartbeats.
    pub topic: String,
    /// The silence that counts as a death, in ms; 0 to evict no peer.
    pub silence_ms: u64,
    /// The patience that this process asks for, one engine after another.
    pub patience: Arc<Mutex<Patience>>,
    /// The zero of this process's clock.
    pub began: Instant,
}

impl Heartbeats {
    /// The time in ms, by the clock of [`Heartbeats::patience`].
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes a sign that an engine of this process was evicted while it lived. From now on its heartbeats ask for
    /// more patience.
    pub(crate) fn evicted(&self, session_ms: u64) {
        let silence_ms = self
            .silence_ms
            .max(SILENT_INTERVALS * u64::from(INTERVAL_MS));
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        patience.evicted(self.now_ms(), silence_ms, session_ms);
    }

    /// The patience that heartbeats ask for now, in ms.
    pub(super) fn asked(&self) -> u64 {
        let patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        patience.asked(self.now_ms())
    }
}
