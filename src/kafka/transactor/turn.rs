//! Decides which engine may create a producer.
//!
//! Each new producer of the transactional ID fences the one before it. An engine that was given up leaves a
//! thread behind, which may be in the middle of a call. If it created a producer after its successor had, it
//! would fence the live engine, which would then exit believing that a foreign process had fenced it. So a
//! process creates one producer at a time, and none for an engine that has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::patience::lock_within;

/// State that all engines of one service in this process share, one engine after another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn(Arc<Making>);

#[derive(Debug, Default)]
struct Making {
    turn: Mutex<()>,
    /// When the creation in progress began.
    since: Mutex<Option<Instant>>,
}

impl Making {
    fn since(&self) -> Option<Instant> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_since(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// The place of one engine in the order.
#[derive(Debug)]
pub(super) struct EngineTurn {
    turn: Turn,
    ended: AtomicBool,
}

impl Turn {
    pub(super) fn of_engine(self) -> EngineTurn {
        EngineTurn {
            turn: self,
            ended: AtomicBool::new(false),
        }
    }
}

impl EngineTurn {
    /// Creates a producer when no other is being created. `None` when the engine has ended by then. A creation
    /// that takes longer than `patience` is in a call that never returns, and is no longer waited for.
    pub(super) fn make<P>(&self, patience: Duration, make: impl FnOnce() -> P) -> Option<P> {
        let making = &self.turn.0;
        let before = making.since().map_or(Duration::ZERO, |at| at.elapsed());
        let turn = lock_within(&making.turn, patience.saturating_sub(before));
        if self.ended.load(Ordering::SeqCst) {
            return None;
        }
        making.set_since(Some(Instant::now()));
        let made = make();
        if turn.is_some() {
            making.set_since(None);
        }
        Some(made)
    }

    /// Ends the place: nothing more is created for it. Does not wait for a creation in progress.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const BRIEF: Duration = Duration::from_millis(5);

    #[test]
    fn an_engine_that_has_ended_makes_no_producer() {
        let turn = Turn::default();
        let (old, new) = (turn.clone().of_engine(), turn.of_engine());
        assert_eq!(old.make(SOON, || 1), Some(1));
        old.end();
        assert_eq!(old.make(SOON, || 2), None);
        assert_eq!(new.make(SOON, || 3), Some(3));
    }

    /// The last producer belongs to the new engine, whatever the old engine was doing when it ended.
    #[test]
    fn a_producer_that_is_being_made_is_waited_for() {
        let turn = Turn::default();
        let (old, new) = (turn.clone().of_engine(), turn.of_engine());
        let (begun, begins) = channel();
        let (go, goes) = channel::<()>();
        let (told, made) = channel();
        thread::scope(|scope| {
            let (of_old, of_new) = (told.clone(), told);
            let (old, new) = (&old, &new);
            scope.spawn(move || {
                old.make(SOON, || {
                    begun.send(()).unwrap();
                    goes.recv().unwrap();
                    of_old.send("old").unwrap();
                });
                assert_eq!(old.make(SOON, || ()), None);
            });
            begins.recv().unwrap();
            old.end();
            scope.spawn(move || new.make(SOON, || of_new.send("new").unwrap()));
            go.send(()).unwrap();
        });
        assert_eq!(made.iter().collect::<Vec<_>>(), ["old", "new"]);
    }

    #[test]
    fn one_that_never_comes_to_an_end_is_not_waited_for_for_ever() {
        let turn = Turn::default();
        let stuck = turn.clone().of_engine();
        let new = turn.of_engine();
        assert_eq!(stuck.make(SOON, || new.make(BRIEF, || 1)), Some(Some(1)));
    }
}
