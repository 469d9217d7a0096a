//! What the threads of one engine's heartbeats share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::processor::failover::observer::{Observer, Options};

/// One clock for all of them, in ms since it was made.
pub(super) struct Shared {
    began: Instant,
    /// When the engine had its last turn.
    turned_ms: AtomicU64,
    stop: AtomicBool,
    /// A member that an eviction made is in the group, or on its way there.
    evicting: AtomicBool,
    observer: Mutex<Observer>,
    /// When the peer that fell silent last was heard last; 0 for none so far.
    gone_ms: AtomicU64,
}

impl Shared {
    pub(super) fn new(options: Options) -> Shared {
        Shared {
            began: Instant::now(),
            turned_ms: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            evicting: AtomicBool::new(false),
            observer: Mutex::new(Observer::new(options, 0)),
            gone_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn turned(&self) {
        self.turned_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// How long the engine has had no turn.
    pub(super) fn engine_silence(&self) -> Duration {
        let turned_ms = self.turned_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(turned_ms))
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(super) fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Runs what must not be given up half-way, unless the engine ends: then none.
    pub(super) fn evicting<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        self.evicting.store(true, Ordering::SeqCst);
        // Whoever stops looks afterwards whether something is under way, so one of the two sees the other.
        let done = (!self.stops()).then(call);
        self.evicting.store(false, Ordering::SeqCst);
        done
    }

    pub(super) fn is_evicting(&self) -> bool {
        self.evicting.load(Ordering::SeqCst)
    }

    /// At the time of the call. Nothing is waited for under the lock.
    pub(super) fn observe<T>(&self, call: impl FnOnce(&mut Observer, u64) -> T) -> T {
        let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind the lock, so that time does not step back for the observer.
        let now_ms = self.now_ms();
        call(&mut observer, now_ms)
    }

    pub(super) fn fell_silent(&self, heard_ms: u64) {
        self.gone_ms.store(heard_ms.max(1), Ordering::Relaxed);
    }

    /// How long ago the peer that fell silent last was heard last.
    pub(super) fn since_gone(&self) -> Option<Duration> {
        match self.gone_ms.load(Ordering::Relaxed) {
            0 => None,
            heard_ms => Some(Duration::from_millis(
                self.now_ms().saturating_sub(heard_ms),
            )),
        }
    }
}
