//! The one place in which a process makes its transactional producers.
//!
//! Each new producer of the transactional ID fences the one before it. If two were made side by side, the fenced
//! one could be used next, and this instance would exit believing that a foreign process had fenced it. So a
//! process makes one producer at a time, and none for an engine that has ended. Three threads may want one:
//!
//! - the transactor's, whose producer is no longer usable
//! - the engine's, which fences a transaction in progress (T3), and leaves the new producer to the transactor
//! - the transactor's of an engine that was given up, which may be in the middle of a call that never returns

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shared by all engines of one service in this process, one engine after another.
#[derive(Debug)]
pub(crate) struct Slot<P>(Arc<Shared<P>>);

#[derive(Debug)]
struct Shared<P> {
    state: Mutex<State<P>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<P> {
    /// Number of engines that have begun.
    engines: u64,
    /// The engine that may make producers.
    engine: Option<u64>,
    making: Option<Making>,
    /// Number of producers that were made.
    made: u64,
    /// The producer that a fence made, until the transactor takes it.
    left: Option<P>,
}

/// A producer that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Making {
    engine: u64,
    since: Instant,
}

/// The right of one engine to make producers, until [`Place::end`].
#[derive(Debug)]
pub(super) struct Place<P> {
    slot: Slot<P>,
    engine: u64,
}

/// Why no producer was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The engine has ended.
    Ended,
    /// The other thread of this engine has not made its producer in time.
    Busy,
}

impl<P> Default for Slot<P> {
    fn default() -> Slot<P> {
        let state = State {
            engines: 0,
            engine: None,
            making: None,
            made: 0,
            left: None,
        };
        Slot(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }
}

impl<P> Clone for Slot<P> {
    fn clone(&self) -> Slot<P> {
        Slot(Arc::clone(&self.0))
    }
}

impl<P> Slot<P> {
    /// Begins the next engine. The one before it makes no more producers.
    pub(super) fn of_engine(self) -> Place<P> {
        let mut state = self.lock();
        state.engines += 1;
        let engine = state.engines;
        state.engine = Some(engine);
        let left = state.left.take();
        drop(state);
        drop(left);
        Place { slot: self, engine }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Place<P> {
    /// Takes the producer that a fence has left. Waits for a fence in progress, up to `patience`.
    pub(super) fn take(&self, patience: Duration) -> Option<P> {
        self.idle(patience).ok()?.left.take()
    }

    /// Takes the producer that a fence has left, or makes one when no other is being made.
    pub(super) fn take_or<E>(
        &self,
        patience: Duration,
        make: impl FnOnce() -> Result<P, E>,
    ) -> Result<Result<P, E>, Refusal> {
        let mut state = self.idle(patience)?;
        match state.left.take() {
            Some(producer) => Ok(Ok(producer)),
            None => Ok(self.make(state, make).1),
        }
    }

    /// Makes a producer and leaves it to be taken. It does nothing if the other thread has made one since this
    /// call began, because that one has fenced the same producers.
    pub(super) fn leave<E>(
        &self,
        patience: Duration,
        make: impl FnOnce() -> Result<P, E>,
    ) -> Result<Result<(), E>, Refusal> {
        let before = self.slot.lock().made;
        let state = self.idle(patience)?;
        if state.made != before {
            return Ok(Ok(()));
        }
        let (mut state, made) = self.make(state, make);
        let unused = match made {
            Ok(producer) if state.engine == Some(self.engine) => state.left.replace(producer),
            Ok(producer) => Some(producer),
            Err(error) => return Ok(Err(error)),
        };
        drop(state);
        drop(unused);
        Ok(Ok(()))
    }

    /// Ends the engine: no more producers are made for it. Does not wait for one that is being made.
    pub(super) fn end(&self) {
        let mut state = self.slot.lock();
        if state.engine != Some(self.engine) {
            return;
        }
        state.engine = None;
        let left = state.left.take();
        drop(state);
        self.slot.0.changed.notify_all();
        drop(left);
    }

    /// Waits until no producer is being made. One that an earlier engine has been making for `patience` is in a
    /// call that never returns, and is no longer waited for.
    fn idle(&self, patience: Duration) -> Result<MutexGuard<'_, State<P>>, Refusal> {
        let began = Instant::now();
        let mut state = self.slot.lock();
        loop {
            if state.engine != Some(self.engine) {
                return Err(Refusal::Ended);
            }
            let Some(making) = state.making else {
                return Ok(state);
            };
            let is_own = making.engine == self.engine;
            let waited = if is_own { began } else { making.since }.elapsed();
            match patience.checked_sub(waited) {
                Some(left) => {
                    let waited = self.slot.0.changed.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None if is_own => return Err(Refusal::Busy),
                None => return Ok(state),
            }
        }
    }

    /// Makes a producer without holding the lock.
    fn make<'a, E>(
        &'a self,
        mut state: MutexGuard<'a, State<P>>,
        make: impl FnOnce() -> Result<P, E>,
    ) -> (MutexGuard<'a, State<P>>, Result<P, E>) {
        let making = Some(Making {
            engine: self.engine,
            since: Instant::now(),
        });
        state.making = making;
        drop(state);
        let made = make();
        let mut state = self.slot.lock();
        // Another engine may be making one by now, because this call took too long.
        if state.making == making {
            state.making = None;
        }
        state.made += u64::from(made.is_ok());
        self.slot.0.changed.notify_all();
        (state, made)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const BRIEF: Duration = Duration::from_millis(5);

    /// Makes the next number. The highest number has fenced all others.
    fn next(numbers: &AtomicU64) -> Result<u64, String> {
        Ok(numbers.fetch_add(1, Ordering::SeqCst) + 1)
    }

    #[test]
    fn an_engine_that_has_ended_makes_no_producer() {
        let slot = Slot::default();
        let old = slot.clone().of_engine();
        assert_eq!(old.take_or(SOON, || Ok::<_, ()>(1)), Ok(Ok(1)));
        let new = slot.of_engine();
        assert_eq!(old.take_or(SOON, || Ok::<_, ()>(2)), Err(Refusal::Ended));
        assert_eq!(new.take_or(SOON, || Ok::<_, ()>(3)), Ok(Ok(3)));
        new.end();
        assert_eq!(new.leave(SOON, || Ok::<_, ()>(4)), Err(Refusal::Ended));
        assert_eq!(new.take(SOON), None);
    }

    /// The last producer belongs to the new engine, whatever the old engine was doing when it ended.
    #[test]
    fn a_producer_that_is_being_made_is_waited_for() {
        let slot = Slot::default();
        let old = slot.clone().of_engine();
        let (begun, begins) = channel();
        let (go, goes) = channel::<()>();
        let (told, made) = channel();
        thread::scope(|scope| {
            let (of_old, of_new) = (told.clone(), told);
            scope.spawn(move || {
                let made = old.leave(SOON, || {
                    begun.send(()).unwrap();
                    goes.recv().unwrap();
                    of_old.send("old").map_err(drop)
                });
                assert_eq!(made, Ok(Ok(())));
                assert_eq!(old.take(SOON), None, "its engine has ended meanwhile");
            });
            begins.recv().unwrap();
            let new = slot.of_engine();
            scope.spawn(move || new.take_or(SOON, || of_new.send("new").map_err(drop)));
            go.send(()).unwrap();
        });
        assert_eq!(made.iter().collect::<Vec<_>>(), ["old", "new"]);
    }

    #[test]
    fn one_of_an_earlier_engine_that_never_comes_to_an_end_is_not_waited_for_for_ever() {
        let slot = Slot::default();
        let stuck = slot.clone().of_engine();
        let made = stuck.take_or(SOON, || {
            let new = slot.of_engine().take_or(BRIEF, || Ok::<_, ()>(1));
            assert_eq!(new, Ok(Ok(1)));
            Ok::<_, ()>(0)
        });
        assert_eq!(made, Ok(Ok(0)));
    }

    #[test]
    fn a_producer_that_a_fence_left_is_taken_and_none_is_made() {
        let (place, numbers) = (Slot::default().of_engine(), AtomicU64::new(0));
        assert_eq!(place.leave(SOON, || next(&numbers)), Ok(Ok(())));
        assert_eq!(place.take_or(SOON, || next(&numbers)), Ok(Ok(1)));
        assert_eq!(place.take(SOON), None);
        assert_eq!(place.take_or(SOON, || next(&numbers)), Ok(Ok(2)));
    }

    #[test]
    fn a_fence_while_the_other_thread_makes_one_makes_none_of_its_own() {
        let (place, numbers) = (Slot::default().of_engine(), AtomicU64::new(0));
        let (begun, begins) = channel();
        let (go, goes) = channel();
        let (place, numbers) = (&place, &numbers);
        thread::scope(|scope| {
            let renewed = scope.spawn(move || {
                place.take_or(SOON, || {
                    begun.send(()).unwrap();
                    goes.recv().unwrap();
                    next(numbers)
                })
            });
            begins.recv().unwrap();
            let fenced = scope.spawn(move || place.leave(SOON, || next(numbers)));
            // The thread waits: nothing is made before the other thread goes on.
            assert_eq!(numbers.load(Ordering::SeqCst), 0);
            go.send(()).unwrap();
            let renewed = renewed.join().unwrap().unwrap();
            assert_eq!(fenced.join().unwrap(), Ok(Ok(())));
            // Whichever came first, the producer in use is the last one that was made.
            let used = place.take(SOON).map_or(renewed, Ok);
            assert_eq!(used, Ok(numbers.load(Ordering::SeqCst)));
        });
    }

    #[test]
    fn a_fence_does_not_wait_for_ever_and_a_failure_leaves_nothing() {
        let (place, numbers) = (Slot::default().of_engine(), AtomicU64::new(0));
        let failed = place.leave(SOON, || Err("no broker"));
        assert_eq!(failed, Ok(Err("no broker")));
        assert_eq!(place.take(SOON), None::<u64>);
        let in_time = place.take_or(SOON, || {
            let fence = place.leave(BRIEF, || next(&numbers));
            assert_eq!(fence, Err(Refusal::Busy));
            next(&numbers)
        });
        assert_eq!(in_time, Ok(Ok(1)));
    }
}
