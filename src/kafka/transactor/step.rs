//! How long the call under way has taken, for the thread that waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Step(Mutex<Option<Instant>>);

impl Step {
    /// Makes the call.
    pub(super) fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        *self.since() = Some(Instant::now());
        let result = call();
        *self.since() = None;
        result
    }

    /// Since the call under way began.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_seen_from_its_begin_to_its_end() {
        let step = Step::default();
        assert_eq!(step.elapsed(), None);
        let during = step.run(|| step.elapsed());
        assert!(during.is_some());
        assert_eq!(step.elapsed(), None);
    }
}
