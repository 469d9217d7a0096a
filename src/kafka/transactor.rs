//! Carries out transactions on a thread of its own, so that the fold never waits for a commit.
//!
//! The order of the steps is [`Transaction`]'s; here are only the calls. One job at a time:
//!
//! ```text
//!  engine ── Job ──▶ begin ▸ produce, all acknowledged ▸ send offsets ▸ commit ── Completed ──▶ engine
//!            cancel flag ──▲ looked at between any two steps
//! ```

mod delivery;
mod patience;
mod producer;
mod step;
mod successor;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use tracing::{debug, warn};

use super::clients::Connection;
use super::directory::Directory;
use super::error::{Class, Error};
use super::undelivered::Tally;
use crate::processor::checkpoint::{Checkpoint, Written};
use crate::processor::transaction::{Action, Failure, Outcome, Transaction};
use delivery::Deliveries;
use producer::TransactionalProducer;
use step::Step;
use successor::Successor;
use turn::Place;
pub use turn::Turn;

/// How long one attempt to get a transactional producer may take: `init_transactions` waits for a
/// transaction of our own past to be settled, which takes up to the brokers' clean-up interval.
const INIT_DEADLINE: Duration = Duration::from_secs(15);
/// How long a fence inside a revocation may take (T3); an ordinary init takes 50 to 500 ms.
const FENCE_DEADLINE: Duration = Duration::from_secs(5);
/// Pause between attempts to get a producer.
const RENEW_PAUSE: Duration = Duration::from_millis(200);
/// A step that takes so many times its deadline will not end: the longest, an abort, has two calls.
/// librdkafka loses the answer of a group's coordinator that goes away at that moment, and waits for ever.
const STUCK_AFTER_DEADLINES: u32 = 3;
/// How often an idle producer's words are passed on to the log.
const IDLE_SERVE: Duration = Duration::from_secs(1);

/// The topics that a transaction writes or commits.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Whose offsets are committed.
    pub requests: String,
    /// Where replies go by default.
    pub replies: String,
    /// Where batches go.
    pub state: String,
    /// Where the grants of audited sequences are written down.
    pub ledger: String,
}

/// A transaction to carry out.
pub struct Job {
    /// What to write and to commit.
    pub checkpoint: Box<Checkpoint>,
    /// The member whose offsets these are; `None` when it is no member of its group (T4).
    pub member: Option<ConsumerGroupMetadata>,
}

/// A transaction that has ended.
pub struct Completed {
    /// What was in it.
    pub checkpoint: Box<Checkpoint>,
    /// What came of it.
    pub outcome: Outcome,
    /// Where its sections lie.
    pub written: Vec<Written>,
    /// How long it took.
    pub took: Duration,
    /// The last thing that went wrong.
    pub problem: Option<Error>,
    /// Replies in it that went to the default topic in the place of the one that was asked for.
    pub undelivered: Tally,
}

struct SharedState {
    connection: Connection,
    topics: Topics,
    cancel: AtomicBool,
    successor: Successor<TransactionalProducer>,
    place: Place,
    step: Step,
}

impl SharedState {
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.connection.transaction_timeout_ms())
    }

    fn make(&self, deadline: Duration) -> Result<TransactionalProducer, Error> {
        let make = || TransactionalProducer::new(&self.connection, &self.topics, deadline);
        self.place.make(deadline, make).unwrap_or_else(|| {
            const OPERATION: &str = "create transactional producer";
            Err(Error::own(OPERATION, Class::Fatal, "the engine has ended"))
        })
    }
}

/// Handle on the thread.
pub struct Transactor {
    jobs: Option<SyncSender<Job>>,
    shared: Arc<SharedState>,
    thread: Option<JoinHandle<()>>,
}

impl Transactor {
    /// Starts the thread, which first fences this instance's past. `turn`: that of all engines of this
    /// service here. `completed` says false when nobody listens any more.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        connection: Connection,
        topics: Topics,
        turn: Turn,
        directory: Arc<Directory>,
        completed: impl Fn(Completed) -> bool + Send + 'static,
    ) -> std::io::Result<Transactor> {
        let (jobs, receiver) = sync_channel(1);
        let deliveries = Deliveries::new(directory, connection.unwritable_deadline());
        let shared = Arc::new(SharedState {
            connection,
            topics,
            cancel: AtomicBool::new(false),
            successor: Successor::default(),
            place: turn.place(),
            step: Step::default(),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            producer: None,
            deliveries,
        };
        let thread = std::thread::Builder::new()
            .name("transactor".to_owned())
            .spawn(move || worker.run(&receiver, &completed))?;
        Ok(Transactor {
            jobs: Some(jobs),
            shared,
            thread: Some(thread),
        })
    }

    /// Hands over a job; the caller has one under way at a time. Gives it back when the thread is
    /// gone.
    ///
    /// # Errors
    /// The job, not carried out.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        self.shared.cancel.store(false, Ordering::SeqCst);
        let Some(jobs) = &self.jobs else {
            return Err(job);
        };
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// The job under way must not be committed any more, if that can still be helped.
    pub fn cancel(&self) {
        self.shared.cancel.store(true, Ordering::SeqCst);
    }

    /// Makes a new producer of the same transactional ID, whose init fences the one in use and
    /// settles its transaction (T3). Blocks for twice [`FENCE_DEADLINE`] at most, when the thread is
    /// making one as well.
    ///
    /// # Errors
    /// It could not be made; the job under way is cancelled all the same.
    pub fn fence(&self) -> Result<(), Error> {
        self.cancel();
        let make = || self.shared.make(FENCE_DEADLINE);
        let left = self.shared.successor.leave(FENCE_DEADLINE, make);
        left.unwrap_or_else(|| {
            Err(Error::own(
                "fence",
                Class::Retriable,
                "the producer that the transactor makes is not ready in time",
            ))
        })
    }

    /// How long the step under way has taken, once that is so long that it will not end.
    pub fn stuck(&self) -> Option<Duration> {
        let longest = self.shared.timeout().max(INIT_DEADLINE) * STUCK_AFTER_DEADLINES;
        let elapsed = self.shared.step.elapsed();
        elapsed.filter(|elapsed| *elapsed > longest)
    }
}

impl Drop for Transactor {
    fn drop(&mut self) {
        self.cancel();
        self.shared.place.end();
        drop(self.jobs.take());
        // The caller does not wait for the call under way, which has a deadline or is the one that never
        // ends: what it leaves is aborted by its own time-out, as after a crash.
        drop(self.thread.take());
    }
}

struct Worker {
    shared: Arc<SharedState>,
    producer: Option<TransactionalProducer>,
    deliveries: Deliveries,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>, completed: &impl Fn(Completed) -> bool) {
        if let Err(error) = self.renew() {
            warn!(%error, "no transactional producer yet");
        }
        loop {
            match jobs.recv_timeout(IDLE_SERVE) {
                Ok(job) => {
                    let done = self.carry_out(job);
                    if !completed(done) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.producer.iter().for_each(TransactionalProducer::idle);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&mut self, job: Job) -> Completed {
        self.take_replacement();
        let began = Instant::now();
        let shared = Arc::clone(&self.shared);
        let timeout = shared.timeout();
        let mut transaction = Transaction::default();
        let mut problem = None;
        let mut written = Vec::new();
        self.deliveries.begin(&job.checkpoint);
        let outcome = loop {
            if self.shared.cancel.swap(false, Ordering::SeqCst) {
                transaction.cancel();
            }
            let action = transaction.action();
            let call = shared.step.begin();
            let result = match action {
                Action::Done(outcome) => break outcome,
                Action::Renew => self.renew(),
                Action::Begin => self.with_producer(TransactionalProducer::begin),
                Action::Produce => {
                    let cancelled = || shared.cancel.load(Ordering::SeqCst);
                    let deliveries = &mut self.deliveries;
                    with(self.producer.as_ref(), |producer| {
                        producer.produce(&job.checkpoint, timeout, deliveries, cancelled)
                    })
                    .map(|lies| written = lies)
                }
                Action::SendOffsets => match &job.member {
                    Some(member) => {
                        self.with_producer(|p| p.send_offsets(&job.checkpoint, member, timeout))
                    }
                    None => Ok(()),
                },
                Action::Commit => self.with_producer(|producer| producer.commit(timeout)),
                Action::Abort => self.with_producer(|producer| producer.abort(timeout)),
            };
            drop(call);
            // Our own fence breaks the call that is under way: that is a cancellation, and no other
            // process.
            if self.shared.cancel.swap(false, Ordering::SeqCst) {
                transaction.cancel();
            }
            match result {
                Ok(()) => transaction.succeeded(job.member.is_some()),
                Err(error) => {
                    let own_timeout = began.elapsed() >= timeout;
                    debug!(%error, ?action, own_timeout, "transaction step failed");
                    transaction.failed(failure(error.class), own_timeout);
                    problem = Some(error);
                }
            }
        };
        Completed {
            checkpoint: job.checkpoint,
            outcome,
            written,
            took: began.elapsed(),
            problem,
            undelivered: self.deliveries.take_tally(),
        }
    }

    fn with_producer<T>(
        &self,
        call: impl FnOnce(&TransactionalProducer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        with(self.producer.as_ref(), call)
    }

    /// Takes the producer that a fence made, in the place of the one that it fenced.
    fn take_replacement(&mut self) {
        if let Some(producer) = self.shared.successor.take() {
            self.producer = Some(producer);
        }
    }

    /// Takes the producer that a fence made, or makes one.
    fn renew(&mut self) -> Result<(), Error> {
        // The old one goes first, so that its threads do not go on beside the new one's.
        self.producer = None;
        let make = || self.shared.make(INIT_DEADLINE);
        let made = self.shared.successor.take_or(make);
        self.producer = Some(made.inspect_err(|_| std::thread::sleep(RENEW_PAUSE))?);
        Ok(())
    }
}

fn with<T>(
    producer: Option<&TransactionalProducer>,
    call: impl FnOnce(&TransactionalProducer) -> Result<T, Error>,
) -> Result<T, Error> {
    match producer {
        Some(producer) => call(producer),
        None => Err(Error::own(
            "begin transaction",
            Class::Fatal,
            "there is no transactional producer yet",
        )),
    }
}

/// What an error means for the transaction it happened in.
fn failure(class: Class) -> Failure {
    match class {
        Class::Retriable => Failure::Retriable,
        // Whatever else is wrong with the producer shows when it aborts, and then there is a new one.
        Class::AbortTransaction | Class::Refused | Class::Denied | Class::Unexpected => {
            Failure::Abort
        }
        Class::Indefinite => Failure::Indefinite,
        Class::Fenced => Failure::Fenced,
        Class::Fatal | Class::OffsetLost | Class::EndOfLog => Failure::Fatal,
    }
}
