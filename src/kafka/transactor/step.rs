//! Detects that the call in progress has outlived its deadline, for the thread that waits for the call.
//!
//! Each call has a deadline of its own, which librdkafka keeps. A call that is not back some time after its
//! deadline never returns: librdkafka loses the answer of a coordinator that goes away at that moment, and
//! waits forever.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much longer than its deadline a call may take. librdkafka and a busy machine need this time to notice
/// the deadline.
pub(super) const STUCK_MARGIN: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct CallWatch(Mutex<Option<Call>>);

#[derive(Clone, Copy, Debug)]
struct Call {
    since: Instant,
    deadline: Duration,
}

/// A call in progress. Dropping this value ends it.
pub(super) struct UnderWay<'a>(&'a CallWatch);

impl CallWatch {
    /// Begins a call that must return within `deadline`.
    pub(super) fn begin(&self, deadline: Duration) -> UnderWay<'_> {
        *self.call() = Some(Call {
            since: Instant::now(),
            deadline,
        });
        UnderWay(self)
    }

    /// How long the call in progress has taken, if this is so long that the call will never return.
    pub(super) fn stuck_at(&self, now: Instant) -> Option<Duration> {
        let Call { since, deadline } = (*self.call())?;
        let taken = now.saturating_duration_since(since);
        (taken > deadline + STUCK_MARGIN).then_some(taken)
    }

    fn call(&self) -> MutexGuard<'_, Option<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.call() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_stuck_two_seconds_after_its_own_deadline() {
        let step = CallWatch::default();
        let far = Duration::from_secs(3_600);
        assert_eq!(step.stuck_at(Instant::now() + far), None, "there is none");
        for deadline_ms in [1_000, 5_000, 10_000] {
            let deadline = Duration::from_millis(deadline_ms);
            let before = Instant::now();
            let call = step.begin(deadline);
            assert_eq!(step.stuck_at(before + deadline + STUCK_MARGIN), None);
            let late = Instant::now() + deadline + STUCK_MARGIN + Duration::from_millis(1);
            assert!(step.stuck_at(late).is_some(), "{deadline_ms}");
            drop(call);
            assert_eq!(step.stuck_at(late + far), None, "it has come back");
        }
    }
}
