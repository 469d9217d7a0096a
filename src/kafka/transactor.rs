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
mod sizes;
mod step;
mod successor;
mod turn;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::clients::Connection;
use super::consumer::{Credentials, GroupMetadata};
use super::directory::Directory;
use super::error::{Class, Error};
use super::undelivered::Tally;
use crate::processor::checkpoint::{Checkpoint, Written};
use crate::processor::membership::{MemberId, may_send};
use crate::processor::transaction::{Action, Failure, Outcome, Transaction};
use delivery::Deliveries;
use producer::TransactionalProducer;
use sizes::Sizes;
use step::Step;
use successor::Successor;
use turn::Place;
pub use turn::Turn;

/// How long one attempt to get a transactional producer may take: an ordinary init takes 50 to 500 ms, one
/// that waits for a transaction of our own past up to the brokers' clean-up interval of 10 s. One that is not
/// done by then is tried again.
const INIT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a fence inside a revocation may take (T3).
const FENCE_DEADLINE: Duration = Duration::from_secs(5);
/// Shortest time for an init whose deadline was spent on waiting for another one.
const INIT_DEADLINE_MIN: Duration = Duration::from_secs(1);
/// How long beginning a transaction may take: nobody is asked, it waits for a thread of this process.
const BEGIN_DEADLINE: Duration = Duration::from_secs(3);
/// Records, offsets and commit share the time-out of the transaction, after which the coordinator may give it
/// up. This is the least for offsets and commit when the records took all of it.
const STEP_DEADLINE_MIN: Duration = Duration::from_secs(1);
/// Pause between attempts to get a producer.
const RENEW_PAUSE: Duration = Duration::from_millis(200);
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
    pub member: Option<MemberId>,
    /// Its generation when they are sent.
    pub credentials: Credentials,
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
    /// It did not fit into its time.
    pub late: bool,
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
    directory: Arc<Directory>,
    sizes: Mutex<Sizes>,
}

impl SharedState {
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.connection.transaction_timeout_ms())
    }

    /// How long a step may take `spent` after its transaction began.
    fn deadline(&self, action: Action, spent: Duration) -> Duration {
        step_deadline(action, self.timeout(), spent)
    }

    fn sizes(&self) -> Sizes {
        self.with_sizes(|sizes| sizes.clone())
    }

    /// Nothing is done under the lock that could panic half-way.
    fn with_sizes<T>(&self, call: impl FnOnce(&mut Sizes) -> T) -> T {
        call(&mut self.sizes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn make(&self, deadline: Duration) -> Result<TransactionalProducer, Error> {
        let began = Instant::now();
        let make = || {
            let left = deadline.saturating_sub(began.elapsed());
            let left = left.max(INIT_DEADLINE_MIN);
            TransactionalProducer::new(&self.connection, &self.topics, self.sizes(), left)
        };
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
        let deliveries = Deliveries::new(Arc::clone(&directory), connection.unwritable_deadline());
        let shared = Arc::new(SharedState {
            sizes: Mutex::new(Sizes::new(&connection, &topics)),
            directory,
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
    /// settles its transaction (T3). Blocks for [`FENCE_DEADLINE`] at most, and a little longer when the
    /// thread is making one as well.
    ///
    /// # Errors
    /// It could not be made; the job under way is cancelled all the same.
    pub fn fence(&self) -> Result<(), Error> {
        self.cancel();
        let began = Instant::now();
        let make = || {
            self.shared
                .make(FENCE_DEADLINE.saturating_sub(began.elapsed()))
        };
        let left = self.shared.successor.leave(FENCE_DEADLINE, make);
        left.unwrap_or_else(|| {
            Err(Error::own(
                "fence",
                Class::Retriable,
                "the producer that the transactor makes is not ready in time",
            ))
        })
    }

    /// How long the step in progress has taken, once that is so long that it will not end.
    pub fn stuck(&self) -> Option<Duration> {
        self.shared.step.stuck_at(Instant::now())
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
        {
            let shared = Arc::clone(&self.shared);
            let mut sizes = shared.sizes();
            sizes.ask(&shared.directory);
            shared.with_sizes(|known| *known = sizes);
            let _call = shared.step.begin(INIT_DEADLINE);
            if let Err(error) = self.renew() {
                warn!(%error, "no transactional producer yet");
            }
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
        let mut metadata: Option<GroupMetadata> = None;
        self.deliveries.begin(&job.checkpoint);
        let outcome = loop {
            if self.shared.cancel.swap(false, Ordering::SeqCst) {
                transaction.cancel();
            }
            let action = transaction.action();
            let deadline = shared.deadline(action, began.elapsed());
            let call = shared.step.begin(deadline);
            let result = match action {
                Action::Done(outcome) => break outcome,
                Action::Renew => self.renew(),
                Action::Begin => self.with_producer(TransactionalProducer::begin),
                Action::Produce => {
                    let cancelled = || shared.cancel.load(Ordering::SeqCst);
                    let deliveries = &mut self.deliveries;
                    with(self.producer.as_ref(), |producer| {
                        producer.produce(&job.checkpoint, deadline, deliveries, cancelled)
                    })
                    .map(|lies| written = lies)
                }
                Action::SendOffsets => match &metadata {
                    Some(metadata) => {
                        self.with_producer(|p| p.send_offsets(&job.checkpoint, metadata, deadline))
                    }
                    None => Ok(()),
                },
                Action::Commit => self.with_producer(|producer| producer.commit(deadline)),
                Action::Abort => self.with_producer(|producer| producer.abort(deadline)),
            };
            drop(call);
            if action == Action::Produce && result.is_ok() {
                // Before the flag is looked at: the engine cancels what a loss concerns before this consumer
                // joins again, so a membership that is newer than a loss comes with the flag (T3).
                metadata = job.credentials.now();
            }
            // Our own fence breaks the call that is under way: that is a cancellation, and no other
            // process.
            if self.shared.cancel.swap(false, Ordering::SeqCst) {
                transaction.cancel();
            }
            match result {
                Ok(()) => {
                    let now = metadata.as_ref().and_then(GroupMetadata::member);
                    transaction.succeeded(may_send(job.member.as_ref(), now.as_ref()));
                }
                Err(error) => {
                    let own_timeout = began.elapsed() >= timeout;
                    debug!(%error, ?action, own_timeout, "transaction step failed");
                    transaction.failed(failure(error.class), own_timeout);
                    problem = Some(error);
                }
            }
        };
        self.look_at_sizes();
        Completed {
            checkpoint: job.checkpoint,
            outcome,
            written,
            took: began.elapsed(),
            late: transaction.is_late(),
            problem,
            undelivered: self.deliveries.take_tally(),
        }
    }

    /// After a batch that was refused as too large: made again, it would be refused again. A limit that is low
    /// may have been raised.
    fn look_at_sizes(&mut self) {
        let refused = self.producer.as_ref();
        let refused = refused.and_then(TransactionalProducer::take_refused);
        let shared = Arc::clone(&self.shared);
        let mut sizes = shared.sizes();
        let changed = match refused {
            Some(role) => sizes.refused(role, &shared.directory),
            None => sizes.look_again(&shared.directory),
        };
        shared.with_sizes(|known| *known = sizes);
        if !changed {
            return;
        }
        let _call = shared.step.begin(INIT_DEADLINE);
        if let Err(error) = self.renew() {
            warn!(%error, "no transactional producer for batches of another size yet");
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

/// `spent`: since the transaction began. An abort has a whole time-out of its own: what came before has failed
/// by then, and whether it works or not, a new transaction begins after it.
fn step_deadline(action: Action, timeout: Duration, spent: Duration) -> Duration {
    match action {
        Action::Begin => BEGIN_DEADLINE,
        Action::Produce | Action::SendOffsets | Action::Commit => {
            timeout.saturating_sub(spent).max(STEP_DEADLINE_MIN)
        }
        Action::Abort => timeout,
        Action::Renew | Action::Done(_) => INIT_DEADLINE,
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
        // Anything else that is wrong with the producer shows when it aborts, and then there is a new one.
        Class::AbortTransaction | Class::Refused | Class::Denied | Class::Unexpected => {
            Failure::Abort
        }
        Class::Indefinite => Failure::Indefinite,
        Class::Fenced => Failure::Fenced,
        Class::Fatal | Class::OffsetLost | Class::EndOfLog => Failure::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::step::STUCK_MARGIN;
    use super::*;

    /// A step that hangs is given up soon enough for an answer within 25 s: with the seconds that a
    /// start-over takes (a pause of 1 s, leaving 3 s, an ordinary init and join) and a transaction before it.
    #[test]
    fn what_a_hanging_step_costs_is_bounded() {
        let timeout = Duration::from_secs(5);
        for action in [Action::Produce, Action::SendOffsets, Action::Commit] {
            for spent_ms in [0, 10, 4_000, 4_999, 5_000, 6_000] {
                let spent = Duration::from_millis(spent_ms);
                let given_up = spent + step_deadline(action, timeout, spent) + STUCK_MARGIN;
                assert!(given_up <= Duration::from_secs(9), "{action:?} {spent_ms}");
            }
        }
        for action in [Action::Begin, Action::Abort, Action::Renew] {
            let deadline = step_deadline(action, timeout, timeout);
            assert!(
                deadline + STUCK_MARGIN <= Duration::from_secs(12),
                "{action:?}"
            );
        }
    }

    #[test]
    fn records_offsets_and_commit_share_the_time_of_the_transaction() {
        let (timeout, spent) = (Duration::from_secs(5), Duration::from_secs(2));
        for action in [Action::Produce, Action::SendOffsets, Action::Commit] {
            assert_eq!(step_deadline(action, timeout, spent), timeout - spent);
            assert_eq!(step_deadline(action, timeout, timeout), STEP_DEADLINE_MIN);
        }
    }
}
