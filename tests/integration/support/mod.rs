//! Shared code of the scenarios.

pub mod acls;
pub mod admin;
pub mod asker;
pub mod broker;
pub mod certificates;
pub mod check;
pub mod cluster;
pub mod command;
pub mod http;
pub mod identity;
pub mod instance;
pub mod links;
pub mod load;
pub mod murmur2;
pub mod oracle;
pub mod partitioners;
pub mod quotas;
pub mod random;
pub mod records;
pub mod secure;
pub mod service;
pub mod signal;
pub mod tail;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest time for a condition before its test fails. This bounds a hang and is no promise of the product:
/// the slowest machine that runs these tests should stay far below it.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The interval between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Polls `condition` until it gives a value. At [`DEADLINE`] it fails with the name of the condition.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s for {what}",
            DEADLINE.as_secs()
        );
        thread::sleep(POLL_INTERVAL);
    }
}

/// A lock for scenarios that load the machine, so that two of them do not starve each other.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    // The previous scenario may have failed. The lock guards no data.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other call of this run returns.
pub fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", COUNTER.fetch_add(1, Ordering::Relaxed))
}
