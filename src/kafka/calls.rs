//! Calls: request records that each wait for their own reply. The gateway's way to Kafka.
//!
//! A record names its reply topic, a partition there and a correlation of 16 random bytes. The partition follows
//! from the instance's name and is read without a group, from the end that it had before the first write. So two
//! instances may share a partition, and one that starts again never takes a reply to its past for a new one:
//! replies with another correlation are passed over.
//!
//! Replies are read uncommitted in both reply modes. A reply of an aborted transaction is right, too (I3), and
//! the open transaction of an instance that is gone would otherwise hide the replies of all others.
//!
//! One thread does all of it, in *sessions*: a producer and a consumer from their creation to an error that does
//! not pass by itself. A session takes calls once a `describe` has come back.

mod pending;
mod session;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{info, warn};

use super::clients::Connection;
use super::error::Error;
use crate::wire::headers::FamilyNames;
use pending::{Pending, Waiting};
use session::{Outlet, Session};

/// Pause before a session that failed is followed by the next.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a pause looks whether it should end, and for calls that have waited too long.
const STEP: Duration = Duration::from_millis(20);

/// Random bytes by which a reply is recognised.
const CORRELATION_BYTES: usize = 16;

/// The way of a request record into the log, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The producer never had it, or reports each attempt as not persisted. It is certainly not in the log.
    Unwritten(String),
    /// The producer has it and has not reported.
    Unreported,
    /// The producer gave it up, after an attempt that may have been written.
    Doubtful(String),
    /// It is in the log.
    Written {
        partition: i32,
        offset: i64,
        /// From the call to the broker's acknowledgement.
        latency: Duration,
    },
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its reply has come.
    Reply {
        body: Vec<u8>,
        /// The fate of its record, as far as it was known then.
        fate: Fate,
    },
    /// Nobody waits for its reply any longer.
    NoReply {
        /// The fate of its record.
        fate: Fate,
        /// Why, as a sentence without its full stop.
        reason: String,
    },
}

/// Where calls go, and how long they wait.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The request topic.
    pub requests: String,
    /// The topic of the replies.
    pub replies: String,
    /// The names of the headers that ask for a reply there.
    pub names: FamilyNames,
    /// How long a call waits for its reply.
    pub timeout: Duration,
}

/// The places that a call takes until it ends: among all, and among those of its caller.
pub(crate) type Places = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// One request record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// The name of the sequence.
    pub name: &'a str,
    pub value: &'a [u8],
    /// The W3C trace context, passed on.
    pub traceparent: Option<&'a [u8]>,
    /// The same.
    pub tracestate: Option<&'a [u8]>,
}

/// The calls of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Shared>);

struct Shared {
    timeout: Duration,
    began: Instant,
    /// Milliseconds from `began` to the thread's last turn.
    turned_ms: AtomicU64,
    stop: AtomicBool,
    pending: Mutex<Pending>,
    /// The producer of the present session.
    outlet: Mutex<Option<Arc<Outlet>>>,
    /// Why no call is taken at present. None when calls are taken.
    obstacle: Mutex<Option<String>>,
}

impl Calls {
    /// Starts the thread. It connects by itself, and again after each failure.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        connection: Connection,
        options: Options,
    ) -> Result<(Calls, JoinHandle<()>), Error> {
        let calls = Calls(Arc::new(Shared {
            timeout: options.timeout,
            began: Instant::now(),
            turned_ms: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            pending: Mutex::default(),
            outlet: Mutex::default(),
            obstacle: Mutex::new(Some("it is connecting to the brokers".to_owned())),
        }));
        let shared = Arc::clone(&calls.0);
        let thread = std::thread::Builder::new()
            .name("calls".to_owned())
            .spawn(move || run(&shared, &connection, &options))
            .map_err(|error| Error::thread(&error))?;
        Ok((calls, thread))
    }

    /// Why no call is taken at present. None when calls are taken.
    pub(crate) fn obstacle(&self) -> Option<String> {
        lock(&self.0.obstacle).clone()
    }

    /// Time since the thread's last turn.
    pub(crate) fn silence(&self) -> Duration {
        let turned_ms = self.0.turned_ms.load(Ordering::Relaxed);
        self.0
            .began
            .elapsed()
            .saturating_sub(Duration::from_millis(turned_ms))
    }

    /// Writes a record. The receiver gets the end of the call, at the latest when its time is up. `places` are held
    /// until then, also when the receiver is dropped: the record is in progress all the same.
    pub(crate) fn call(&self, request: Request<'_>, places: Places) -> oneshot::Receiver<End> {
        let (sender, receiver) = oneshot::channel();
        let mut correlation = [0; CORRELATION_BYTES];
        let drawn = getrandom::fill(&mut correlation);
        let number = lock(&self.0.pending).add(Waiting {
            correlation,
            deadline: Instant::now() + self.0.timeout,
            fate: Fate::Unreported,
            end: sender,
            _places: places,
        });
        let outlet = lock(&self.0.outlet).clone();
        let produced = match (drawn, outlet) {
            (Err(error), _) => Err(format!("no randomness from the system: {error}")),
            (Ok(()), None) => Err("there is no connection to the brokers".to_owned()),
            (Ok(()), Some(outlet)) => outlet.produce(request, &correlation, number),
        };
        if let Err(reason) = produced {
            lock(&self.0.pending).reported(number, Fate::Unwritten(reason));
        }
        receiver
    }

    /// Ends all calls that wait, and the thread.
    pub(crate) fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
        lock(&self.0.pending).end_all("the gateway stopped before the reply came");
    }
}

impl Shared {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Notes a turn of the thread, and ends the calls whose time is up.
    fn turn(&self) {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turned_ms.store(elapsed_ms, Ordering::Relaxed);
        let reason = || format!("no reply came within {} ms", self.timeout.as_millis());
        lock(&self.pending).expire(Instant::now(), reason);
    }

    fn set_obstacle(&self, obstacle: Option<String>) {
        *lock(&self.obstacle) = obstacle;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs sessions until it is stopped.
fn run(shared: &Shared, connection: &Connection, options: &Options) {
    let mut told = None;
    while !shared.stops() {
        let ended = Session::open(connection, options).and_then(|mut session| {
            *lock(&shared.outlet) = Some(session.outlet());
            told = None;
            session.run(shared)
        });
        lock(&shared.outlet).take();
        if let Err(error) = ended {
            let reason = error.to_string();
            // The same reason twice a second would be no news.
            if told.as_ref() != Some(&reason) {
                warn!(reason, "no way to the service");
            }
            lock(&shared.pending).end_all(&format!("the way to the service was lost: {reason}"));
            shared.set_obstacle(Some(reason.clone()));
            told = Some(reason);
        }
        let until = Instant::now() + PAUSE;
        while !shared.stops() && Instant::now() < until {
            shared.turn();
            std::thread::sleep(STEP);
        }
    }
    lock(&shared.pending).end_all("the gateway stopped before the reply came");
    info!("calls end");
}
