//! A producer that is served by a thread of its own: what it is handed is produced there, and its delivery
//! reports are collected there.
//!
//! ```text
//!   engine ── batches ──▶ thread ── produce ──▶ librdkafka
//!      ▲                    │ ▲                     │
//!      └───── Reported ─────┘ └─── delivery reports ┘
//! ```
//!
//! In a backlog the engine's thread is what everything waits for, and producing was a third of its work. A
//! reply's memory also is allocated and freed by one thread that way, which glibc does without a lock.
//! For a single reply it would be a detour: that is what the other producer is for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use tracing::warn;

use super::lane::Lane;
use super::reported::{OwnedReply, Reported};
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Batch, Enqueued, Outgoing, Topic};

/// How long the thread waits for a batch while reports may come: such a report is noticed this late.
const REPORTS_WAIT: Duration = Duration::from_millis(1);
/// The same while none may: what the producer has to say for the log waits so long.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// Pause before a record that the producer did not take, for another reason than a full queue, is tried
/// again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The thread's handle. Dropping it ends the thread; what is under way then may be written or not.
pub(super) struct Threaded {
    shared: Arc<Shared>,
    /// Batches to the thread. There is no more in it than is under way, which who hands over limits.
    batches: Option<Sender<Batch>>,
    /// The same batches again, empty.
    emptied: Receiver<Batch>,
    thread: Option<JoinHandle<()>>,
    /// Records handed over of which [`Threaded::reported`] has not told yet.
    under_way: u64,
}

/// What the thread and its handle use both.
struct Shared {
    // This must go before the lane.
    topic: Topic,
    lane: Lane,
    reported: Mutex<Reported>,
    stop: AtomicBool,
}

impl Threaded {
    /// For one topic.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or a thread that cannot be started.
    pub(super) fn start(config: &ClientConfig, topic: &str) -> Result<Threaded, Error> {
        let lane = Lane::new(config)?;
        let shared = Arc::new(Shared {
            topic: lane.topic(topic)?,
            lane,
            reported: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let (batches, received) = channel();
        let (back, emptied) = channel();
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("replies".to_owned())
            .spawn(move || own.run(&received, &back))
            .map_err(|error| Error::own("start thread", Class::Fatal, error.to_string()))?;
        Ok(Threaded {
            shared,
            batches: Some(batches),
            emptied,
            thread: Some(thread),
            under_way: 0,
        })
    }

    /// Hands the records of a batch over in order and empties it.
    ///
    /// # Errors
    /// The thread has ended.
    pub(super) fn hand_over(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let empty = self.emptied.try_recv().unwrap_or_default();
        let full = std::mem::replace(batch, empty);
        self.under_way += full.len() as u64;
        let sent = self.batches.as_ref().map(|batches| batches.send(full));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(Error::own("produce", Class::Fatal, "the thread has ended")),
        }
    }

    /// Adds what has become known of records that were handed over.
    pub(super) fn reported(&mut self, to: &mut Reported) {
        let mut reported = self.shared.reported();
        self.under_way = self.under_way.saturating_sub(reported.replies());
        to.append(&mut reported);
    }

    /// Records of which nothing is known yet.
    pub(super) fn under_way(&self) -> i32 {
        i32::try_from(self.under_way).unwrap_or(i32::MAX)
    }

    /// As [`Lane::partitions`], of the topic.
    pub(super) fn partitions(&self, wait: Duration) -> Result<u32, Error> {
        let Shared { topic, lane, .. } = &*self.shared;
        lane.partitions(topic.name(), wait)
    }

    /// As [`Lane::fatal`].
    pub(super) fn fatal(&self, operation: &'static str) -> Option<Error> {
        self.shared.lane.fatal(operation)
    }
}

impl Drop for Threaded {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, batches: &Receiver<Batch>, emptied: &Sender<Batch>) {
        loop {
            let wait = match self.lane.in_flight() {
                0 => IDLE_WAIT,
                _ => REPORTS_WAIT,
            };
            match batches.recv_timeout(wait) {
                Ok(mut batch) => {
                    self.produce(&mut batch);
                    // Nobody is there any more to use it again.
                    let _ = emptied.send(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.reports(Duration::ZERO);
        }
    }

    /// Until the producer has taken them all, so that none overtakes another.
    fn produce(&self, batch: &mut Batch) {
        let mut refused = Vec::new();
        self.topic.produce_all(batch, |record, _| {
            refused.push(OwnedReply::of(record));
        });
        for record in refused {
            while !(self.stopping() || self.takes(record.borrowed())) {}
        }
    }

    /// False when it did not, some time later.
    fn takes(&self, record: Outgoing<'_>) -> bool {
        match self.topic.produce(record) {
            Ok(Enqueued::Yes) => return true,
            Ok(Enqueued::QueueFull) => {
                self.reports(REPORTS_WAIT);
            }
            Err(error) => {
                if error.class == Class::Fatal {
                    self.reported().problem = Some(error);
                } else {
                    warn!(%error, "reply not taken yet");
                }
                thread::sleep(RETRY_PAUSE);
            }
        }
        false
    }

    /// Waits for the first up to `wait`.
    fn reports(&self, wait: Duration) {
        let mut found = Reported::default();
        self.lane.serve_ready(wait, |report| found.add(report));
        if found.replies() > 0 {
            self.reported().append(&mut found);
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Nothing is done under the lock that could panic half-way.
    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
