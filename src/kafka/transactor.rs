//! Carries out transactions on its own thread, so that the fold never waits for a commit.
//!
//! [`Transaction`] decides the order of the steps; this file only makes the calls. There is one job at a
//! time:
//!
//! ```text
//!  engine ── Job ──▶ begin ▸ produce, all acknowledged ▸ send offsets ▸ commit ── Completed ──▶ engine
//!            cancel flag ──▲ looked at between any two steps
//! ```

mod delivery;
mod producer;
mod sizes;
mod slot;
mod step;

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
use slot::{Place, Refusal, Slot};
use step::CallWatch;

/// How long one attempt to get a transactional producer may take. An ordinary init takes 50 to 500 ms. An
/// init that waits for an earlier transaction of this instance takes up to the brokers' clean-up interval of
/// 10 s. An attempt that is not done by then is made again.
const INIT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a fence inside a revocation may take (T3).
const FENCE_DEADLINE: Duration = Duration::from_secs(5);
/// Lower limit for the time of an init whose deadline was spent on waiting for another init.
const INIT_DEADLINE_MIN: Duration = Duration::from_secs(1);
/// How long beginning a transaction may take. No broker is asked; the call waits for a thread of this
/// process.
const BEGIN_DEADLINE: Duration = Duration::from_secs(3);
/// Lower limit for the time of offsets and of commit when the records took all of it. Records, offsets and
/// commit share the time-out of the transaction, after which the coordinator may give it up.
const STEP_DEADLINE_MIN: Duration = Duration::from_secs(1);
/// The pause between attempts to get a producer.
const RENEW_PAUSE: Duration = Duration::from_millis(200);
/// How much longer than the call of a commit the brokers take to end its transaction: the answer comes when the
/// coordinator has written the decision, and the markers and the end of the transaction are two further writes.
/// A transaction that begins before is refused (`CONCURRENT_TRANSACTIONS`), and librdkafka tries again after 20 ms.
const SETTLING_PER_COMMIT: u32 = 2;
/// Upper limit for the pause after a commit: half of what the pause avoids.
const SETTLING_MAX: Duration = Duration::from_millis(10);
/// The interval at which an idle producer's events are passed on to the log.
const IDLE_SERVE: Duration = Duration::from_secs(1);

/// The topics that a transaction writes or commits.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    /// The request topic, whose offsets are committed.
    pub requests: String,
    /// The default reply topic.
    pub replies: String,
    /// The state topic, which takes the batches.
    pub state: String,
    /// The ledger, which takes the grants of audited sequences.
    pub ledger: String,
}

/// A transaction to carry out.
pub(crate) struct Job {
    /// The records and offsets to write and to commit.
    pub checkpoint: Box<Checkpoint>,
    /// The member whose offsets these are; `None` when the consumer is no member of its group (T4).
    pub member: Option<MemberId>,
    /// The source of the member's generation at the time when the offsets are sent.
    pub credentials: Credentials,
}

/// A transaction that has ended.
pub(crate) struct Completed {
    /// The content of the transaction.
    pub checkpoint: Box<Checkpoint>,
    /// The result of the transaction.
    pub outcome: Outcome,
    /// The positions of its sections in the state topic.
    pub written: Vec<Option<Written>>,
    /// The time from the begin to the end of the transaction.
    pub took: Duration,
    /// True when it did not fit into its time.
    pub late: bool,
    /// The last error.
    pub problem: Option<Error>,
    /// Replies in it that went to the default topic instead of the topic that was asked for.
    pub undelivered: Tally,
}

/// The place in which the engines of a process make their transactional producers.
pub(crate) type ProducerSlot = Slot<TransactionalProducer>;

struct SharedState {
    connection: Connection,
    topics: Topics,
    cancel: AtomicBool,
    place: Place<TransactionalProducer>,
    call: CallWatch,
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

    /// Calls with the sizes. No call under the lock can panic half-way.
    fn with_sizes<T>(&self, call: impl FnOnce(&mut Sizes) -> T) -> T {
        call(&mut self.sizes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a producer. `began` is when its thread began to wait for its turn.
    fn make(&self, began: Instant, deadline: Duration) -> Result<TransactionalProducer, Error> {
        let left = deadline.saturating_sub(began.elapsed());
        let left = left.max(INIT_DEADLINE_MIN);
        TransactionalProducer::new(&self.connection, &self.topics, self.sizes(), left)
    }
}

/// A handle to the thread.
pub(crate) struct Transactor {
    jobs: Option<SyncSender<Job>>,
    shared: Arc<SharedState>,
    thread: Option<JoinHandle<()>>,
}

impl Transactor {
    /// Starts the thread, which first fences earlier producers of this instance. `slot`: shared by all
    /// engines of this service in this process. `completed` returns false when its receiver is gone.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(
        connection: Connection,
        topics: Topics,
        slot: ProducerSlot,
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
            place: slot.of_engine(),
            call: CallWatch::default(),
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

    /// Hands over a job. The caller has one job in progress at a time. Returns the job when the thread is
    /// gone.
    ///
    /// # Errors
    /// The job, which was not carried out.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Job> {
        self.shared.cancel.store(false, Ordering::SeqCst);
        let Some(jobs) = &self.jobs else {
            return Err(job);
        };
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Cancels the job in progress, unless it is too late: it must no longer be committed.
    pub(crate) fn cancel(&self) {
        self.shared.cancel.store(true, Ordering::SeqCst);
    }

    /// Makes a new producer of the same transactional ID. Its init fences the current producer and settles
    /// its transaction (T3). Blocks for [`FENCE_DEADLINE`] at most, and a little longer when the thread is
    /// making a producer as well.
    ///
    /// # Errors
    /// The producer cannot be made. The job in progress is cancelled all the same.
    pub(crate) fn fence(&self) -> Result<(), Error> {
        self.cancel();
        let began = Instant::now();
        let make = || self.shared.make(began, FENCE_DEADLINE);
        let left = self.shared.place.leave(FENCE_DEADLINE, make);
        left.unwrap_or_else(|refusal| Err(refused(refusal)))
    }

    /// The time of the step in progress, once it is so long that the step will not end.
    pub(crate) fn stuck(&self) -> Option<Duration> {
        self.shared.call.stuck_at(Instant::now())
    }
}

impl Drop for Transactor {
    fn drop(&mut self) {
        self.cancel();
        self.shared.place.end();
        drop(self.jobs.take());
        // The caller does not wait for the call in progress. That call has a deadline, or it is the one that
        // never ends. Its transaction is aborted by its own time-out, as after a crash.
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
            let _call = shared.call.begin(INIT_DEADLINE);
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
        let mut settles = Duration::ZERO;
        self.deliveries.begin(&job.checkpoint);
        let outcome = loop {
            if self.shared.cancel.swap(false, Ordering::SeqCst) {
                transaction.cancel();
            }
            let action = transaction.action();
            let deadline = shared.deadline(action, began.elapsed());
            let call = shared.call.begin(deadline);
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
                Action::Commit => {
                    let asked = Instant::now();
                    let committed = self.with_producer(|producer| producer.commit(deadline));
                    if shared.connection.awaited_transactions {
                        settles = settling(asked.elapsed());
                    }
                    committed
                }
                Action::Abort => self.with_producer(|producer| producer.abort(deadline)),
            };
            drop(call);
            if action == Action::Produce && result.is_ok() {
                // The credentials are read before the flag is checked. The engine cancels the job that a loss
                // concerns before this consumer joins again. So a membership that is newer than a loss comes
                // with the flag (T3).
                metadata = job.credentials.now();
            }
            // Our own fence breaks the call in progress: that is a cancellation, and not another process.
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
        let completed = Completed {
            checkpoint: job.checkpoint,
            outcome,
            written,
            took: began.elapsed(),
            late: transaction.is_late(),
            problem,
            undelivered: self.deliveries.take_tally(),
        };
        // The engine cuts the next transaction when it hears of the end of this one. Until the next one can begin,
        // it may grow.
        std::thread::sleep(settles);
        completed
    }

    /// Looks at the size limits after a batch was refused as too large. If it were made again with the old
    /// limits, it would be refused again. A low limit may have been raised.
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
        let _call = shared.call.begin(INIT_DEADLINE);
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

    /// Takes the producer that a fence made, instead of the one that it fenced.
    fn take_replacement(&mut self) {
        if let Some(producer) = self.shared.place.take(FENCE_DEADLINE) {
            self.producer = Some(producer);
        }
    }

    /// Takes the producer that a fence made, or makes one.
    fn renew(&mut self) -> Result<(), Error> {
        // The old producer is dropped first, so that its threads do not go on beside those of the new one.
        self.producer = None;
        let began = Instant::now();
        let make = || self.shared.make(began, INIT_DEADLINE);
        let made = self.shared.place.take_or(INIT_DEADLINE, make);
        let made = made.unwrap_or_else(|refusal| Err(refused(refusal)));
        self.producer = Some(made.inspect_err(|_| std::thread::sleep(RENEW_PAUSE))?);
        Ok(())
    }
}

/// The pause after a commit whose call took this long.
fn settling(commit: Duration) -> Duration {
    (commit * SETTLING_PER_COMMIT).min(SETTLING_MAX)
}

/// The deadline of a step, `spent` after its transaction began. An abort has a full time-out of its own: the
/// earlier steps have failed by then, and a new transaction begins after the abort in any case.
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

fn refused(refusal: Refusal) -> Error {
    const OPERATION: &str = "create transactional producer";
    match refusal {
        Refusal::Ended => Error::own(OPERATION, Class::Fatal, "the engine has ended"),
        Refusal::Busy => Error::own(
            OPERATION,
            Class::Retriable,
            "the producer that another thread makes is not ready in time",
        ),
    }
}

/// The meaning of an error for its transaction.
fn failure(class: Class) -> Failure {
    match class {
        Class::Retriable => Failure::Retriable,
        // Any other trouble of the producer shows when it aborts, and then a new producer is made.
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

    /// A step that hangs is given up soon enough for an answer within 25 s. The sum includes the seconds of a
    /// start-over (a pause of 1 s, leaving 3 s, an ordinary init and join) and a transaction before it.
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
    fn the_pause_after_a_commit_costs_less_than_it_avoids() {
        let millisecond = Duration::from_millis(1);
        assert_eq!(settling(millisecond), 2 * millisecond);
        assert_eq!(settling(Duration::from_secs(5)), 10 * millisecond);
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
