//! The producer that replaces the one in use, created by the thread that needs it first.
//!
//! Two threads may want a new producer at the same time: the transactor's, whose producer is no longer usable,
//! and the engine's, which fences a transaction in progress (T3). Each new producer fences those before it. If
//! the two were created side by side, the fenced one could be used next, and this instance would exit believing
//! that a foreign process had fenced it. So producers are created one at a time, and a thread that had to wait
//! takes the one that was created in between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::patience::lock_within;

pub(super) struct Successor<P> {
    /// The new producer until it is taken. The lock is held during its creation.
    made: Mutex<Option<P>>,
    /// Number of producers that were created.
    count: AtomicU64,
}

impl<P> Default for Successor<P> {
    fn default() -> Successor<P> {
        Successor {
            made: Mutex::new(None),
            count: AtomicU64::new(0),
        }
    }
}

impl<P> Successor<P> {
    /// Takes the producer that a fence has left. Waits for a fence in progress.
    pub(super) fn take(&self) -> Option<P> {
        self.lock().take()
    }

    /// Takes the producer that a fence has left, or creates one.
    pub(super) fn take_or<E>(&self, make: impl FnOnce() -> Result<P, E>) -> Result<P, E> {
        let mut made = self.lock();
        match made.take() {
            Some(producer) => Ok(producer),
            None => make().inspect(|_| self.count()),
        }
    }

    /// Creates a producer and leaves it to be taken. It does nothing if the other thread has created one since
    /// this call began, because that one has fenced the same producers. `None` when the other thread is not
    /// done in time.
    pub(super) fn leave<E>(
        &self,
        deadline: Duration,
        make: impl FnOnce() -> Result<P, E>,
    ) -> Option<Result<(), E>> {
        let before = self.count.load(Ordering::SeqCst);
        let mut made = lock_within(&self.made, deadline)?;
        if self.count.load(Ordering::SeqCst) != before {
            return Some(Ok(()));
        }
        Some(make().map(|producer| {
            self.count();
            *made = Some(producer);
        }))
    }

    fn count(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Option<P>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Creates the next number. The highest number has fenced all others.
    fn next(numbers: &AtomicU64) -> Result<u64, String> {
        Ok(numbers.fetch_add(1, Ordering::SeqCst) + 1)
    }

    #[test]
    fn what_a_fence_left_is_taken_and_none_is_made() {
        let (successor, numbers) = (Successor::default(), AtomicU64::new(0));
        assert_eq!(successor.leave(SOON, || next(&numbers)), Some(Ok(())));
        assert_eq!(successor.take_or(|| next(&numbers)), Ok(1));
        assert_eq!(successor.take(), None);
        assert_eq!(successor.take_or(|| next(&numbers)), Ok(2));
    }

    #[test]
    fn a_fence_while_the_other_makes_one_makes_none_of_its_own() {
        let (successor, numbers) = (Successor::default(), AtomicU64::new(0));
        let (begun, begins) = channel();
        let (go, goes) = channel();
        let (successor, numbers) = (&successor, &numbers);
        std::thread::scope(|scope| {
            let renewed = scope.spawn(move || {
                successor.take_or(|| {
                    begun.send(()).unwrap();
                    goes.recv().unwrap();
                    next(numbers)
                })
            });
            begins.recv().unwrap();
            let fenced = scope.spawn(move || successor.leave(SOON, || next(numbers)));
            // The thread waits: nothing is created before the other thread goes on.
            assert_eq!(numbers.load(Ordering::SeqCst), 0);
            go.send(()).unwrap();
            let renewed = renewed.join().unwrap();
            assert_eq!(fenced.join().unwrap(), Some(Ok(())));
            // Whichever came first, the producer in use is the last one that was created.
            let used = successor.take().map_or(renewed, Ok);
            assert_eq!(used, Ok(numbers.load(Ordering::SeqCst)));
        });
    }

    #[test]
    fn a_fence_does_not_wait_for_ever_and_a_failure_leaves_nothing() {
        let (successor, numbers) = (Successor::default(), AtomicU64::new(0));
        let failed = successor.leave(SOON, || Err("no broker"));
        assert_eq!(failed, Some(Err("no broker")));
        assert_eq!(successor.take(), None::<u64>);
        let in_time = successor.take_or(|| {
            let fence = successor.leave(Duration::from_millis(5), || next(&numbers));
            assert_eq!(fence, None);
            next(&numbers)
        });
        assert_eq!(in_time, Ok(1));
    }
}
