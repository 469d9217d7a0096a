//! How long the call under way has taken, for the thread that waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Step(Mutex<Option<Instant>>);

/// A call under way, until it is dropped.
pub(super) struct UnderWay<'a>(&'a Step);

impl Step {
    pub(super) fn begin(&self) -> UnderWay<'_> {
        *self.since() = Some(Instant::now());
        UnderWay(self)
    }

    /// Since the call under way began.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.since() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_seen_from_its_begin_to_its_end() {
        let step = Step::default();
        assert_eq!(step.elapsed(), None);
        let call = step.begin();
        assert!(step.elapsed().is_some());
        drop(call);
        assert_eq!(step.elapsed(), None);
    }
}
