//! A producer that a thread of its own serves: the thread produces the batches that it is handed, and collects
//! their delivery reports.
//!
//! ```text
//!   engine ── batches ──▶ thread ── produce ──▶ librdkafka
//!      ▲                    │ ▲                     │
//!      └───── Reported ─────┘ └─── delivery reports ┘
//! ```
//!
//! In a backlog the engine's thread is the bottleneck, and producing was a third of its work. With a thread
//! here, one thread also allocates and frees a reply's memory, which glibc does without a lock. A single reply
//! would take a detour this way; the other producer sends those.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::warn;

use super::reported::{OwnedReply, Reported};
use crate::kafka::client::Config;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Batch, Enqueued, Outgoing, Producer, Topic};

/// How long the thread waits for a batch while reports may come. A report is noticed at most this much later.
const REPORTS_WAIT: Duration = Duration::from_millis(1);
/// How long the thread waits for a batch while no report can come. Log lines of the producer wait as long.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// Pause before a record is tried again that the producer refused for another reason than a full queue.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The thread's handle. Dropping it ends the thread. Replies that are in progress then may be written or not.
pub(super) struct Threaded {
    shared: Arc<Shared>,
    /// Batches to the thread. The caller of [`Threaded::hand_over`] limits the replies in progress, and so the
    /// content of this channel.
    batches: Option<Sender<Batch>>,
    /// The same batches back, empty.
    emptied: Receiver<Batch>,
    thread: Option<JoinHandle<()>>,
    /// Records handed over that [`Threaded::reported`] has not returned yet.
    under_way: u64,
}

/// State that the thread and its handle share.
struct Shared {
    topic: Topic,
    reported: Mutex<Reported>,
    stop: AtomicBool,
}

impl Threaded {
    /// Starts a producer and its thread for one topic.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or a thread that cannot be started.
    pub(super) fn start(config: &Config, topic: &str) -> Result<Threaded, Error> {
        let shared = Arc::new(Shared {
            topic: Producer::new(config)?.topic(topic)?,
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

    /// Adds the reports that have arrived to `to`.
    pub(super) fn reported(&mut self, to: &mut Reported) {
        let mut reported = self.shared.reported();
        self.under_way = self.under_way.saturating_sub(reported.replies());
        to.append(&mut reported);
    }

    /// Number of records without a report.
    pub(super) fn under_way(&self) -> i32 {
        i32::try_from(self.under_way).unwrap_or(i32::MAX)
    }

    /// The same as [`Producer::partitions`], for the topic.
    pub(super) fn partitions(&self, wait: Duration) -> Result<u32, Error> {
        let topic = &self.shared.topic;
        topic.producer().partitions(topic.name(), wait)
    }

    /// The same as [`Producer::fatal`].
    pub(super) fn fatal(&self, operation: &'static str) -> Option<Error> {
        self.shared.topic.producer().fatal(operation)
    }
}

impl Drop for Threaded {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed its message.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, batches: &Receiver<Batch>, emptied: &Sender<Batch>) {
        loop {
            let wait = match self.topic.producer().in_flight() {
                0 => IDLE_WAIT,
                _ => REPORTS_WAIT,
            };
            match batches.recv_timeout(wait) {
                Ok(mut batch) => {
                    self.produce(&mut batch);
                    // At shutdown nobody takes the empty batch.
                    let _ = emptied.send(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.reports(Duration::ZERO);
        }
    }

    /// Produces a batch. Returns when the producer has taken all records, so that none overtakes another.
    fn produce(&self, batch: &mut Batch) {
        let mut refused = Vec::new();
        self.topic.produce_all(batch, |record, _| {
            refused.push(OwnedReply::of(record));
        });
        for record in refused {
            while !(self.stopping() || self.takes(record.borrowed())) {}
        }
    }

    /// Offers a record to the producer. False when it was refused, after a pause.
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

    /// Collects reports. Waits for the first one up to `wait`.
    fn reports(&self, wait: Duration) {
        let mut found = Reported::default();
        let producer = self.topic.producer();
        producer.serve_ready(wait, |report| found.add(report));
        if found.replies() > 0 {
            self.reported().append(&mut found);
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Locks the reports, also after a panic: no code under the lock can panic half-way.
    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
