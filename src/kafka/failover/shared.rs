//! The data that the threads of one engine's heartbeats share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::observe::status::Peer;
use crate::observe::told::Told;
use crate::processor::failover::observer::{Observer, Options, Victim};

/// The age in ms up to which the status of a peer is shown: five times as long as until it tells the next one.
const TOLD_AGE_MAX_MS: u64 = 5_000;

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
    /// The last status of each peer, and when it was heard. No more of them than the observer has peers.
    told: Mutex<BTreeMap<String, (u64, Arc<Told>)>>,
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
            told: Mutex::default(),
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

    /// Notes the status that a peer tells.
    pub(super) fn told(&self, peer: String, told: Told) {
        let now_ms = self.now_ms();
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(peer, (now_ms, Arc::new(told)));
    }

    /// The peers, with the age of their last heartbeats and the status that they told lately.
    pub(super) fn peers(&self) -> BTreeMap<String, Peer> {
        let ages: Vec<(String, u64)> = self.observe(|observer, now_ms| {
            let ages = observer.ages(now_ms);
            ages.map(|(name, age_ms)| (name.to_owned(), age_ms))
                .collect()
        });
        let now_ms = self.now_ms();
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, (heard_ms, _)| {
            let is_new = now_ms.saturating_sub(*heard_ms) <= TOLD_AGE_MAX_MS;
            is_new && ages.iter().any(|(peer, _)| peer == name)
        });
        let peer = |(name, age_ms): (String, u64)| {
            let told = all.get(&name).map(|(_, told)| Arc::clone(told));
            (name, Peer { age_ms, told })
        };
        ages.into_iter().map(peer).collect()
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
