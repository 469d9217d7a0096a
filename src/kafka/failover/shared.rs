//! The data that the threads of one engine's heartbeats share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::processor::failover::observer::{Observer, Options, Victim};

/// All threads use one clock, in ms since this value was made.
pub(super) struct Shared {
    began: Instant,
    /// The time of the engine's last turn.
    turned_ms: AtomicU64,
    stop: AtomicBool,
    /// True while a member that an eviction made is in the group, or on its way into it.
    evicting: AtomicBool,
    observer: Mutex<Observer>,
    /// Peers that this engine evicts, until the others are told. There is one eviction at a time.
    notices: Mutex<Vec<Victim>>,
    /// The time of the last heartbeat of the peer that fell silent last; 0 for none so far.
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
            notices: Mutex::default(),
            gone_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn turned(&self) {
        self.turned_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The time since the engine's last turn.
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

    /// Runs a call that must not be given up half-way. Returns none without running it when the engine ends.
    pub(super) fn evicting<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        self.evicting.store(true, Ordering::SeqCst);
        // A thread that stops the engine sets `stop` first and reads `evicting` afterwards. So one of the two
        // threads sees the other.
        let done = (!self.stops()).then(call);
        self.evicting.store(false, Ordering::SeqCst);
        done
    }

    pub(super) fn is_evicting(&self) -> bool {
        self.evicting.load(Ordering::SeqCst)
    }

    /// Calls with the observer and the current time. No call waits under the lock.
    pub(super) fn observe<T>(&self, call: impl FnOnce(&mut Observer, u64) -> T) -> T {
        let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        // The time is read under the lock, so that it does not step back for the observer.
        let now_ms = self.now_ms();
        call(&mut observer, now_ms)
    }

    /// Has the others told that this engine evicts a peer.
    pub(super) fn announce(&self, victim: &Victim) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.push(victim.clone());
    }

    pub(super) fn take_notices(&self) -> Vec<Victim> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn fell_silent(&self, heard_ms: u64) {
        self.gone_ms.store(heard_ms.max(1), Ordering::Relaxed);
    }

    /// The time since the last heartbeat of the peer that fell silent last.
    pub(super) fn since_gone(&self) -> Option<Duration> {
        match self.gone_ms.load(Ordering::Relaxed) {
            0 => None,
            heard_ms => Some(Duration::from_millis(
                self.now_ms().saturating_sub(heard_ms),
            )),
        }
    }
}
