//! Ends the wait of a thread that polls a consumer, when another thread has something for it.

use std::sync::{Arc, Mutex, PoisonError};

use super::native::Queue;

/// May be used from any thread. Without a consumer, or with one that is closed, it does nothing.
#[derive(Clone, Default)]
pub(crate) struct Waker(Arc<Mutex<Option<Queue>>>);

impl Waker {
    /// The poll that waits now returns, or else the next one returns at once.
    pub(crate) fn wake(&self) {
        if let Some(queue) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            queue.end_wait();
        }
    }

    /// Sets the queue, which must be taken away before its client is dropped.
    pub(super) fn set(&self, queue: Option<Queue>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = queue;
    }
}
