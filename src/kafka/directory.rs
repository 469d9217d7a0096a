//! Which topics there are: the full list, asked for when a client names one that is not known yet.
//!
//! *Architecture invariant*: a topic that a client names is never asked for by its name alone, since
//! brokers may create what is asked for so. The list is read by a thread of its own, so that nobody
//! who answers requests waits for a broker.
//!
//! Whoever misses a topic takes a [`Ticket`]: the list is younger than the ticket once
//! [`Directory::has_answered`] says so, and then a topic that is not in it does not exist.
//!
//! The same thread looks now and then whether one topic is still the one that it was.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::debug;

use super::admin::{Admin, TopicAccess};
use super::clients::Connection;
use super::error::Error;

/// Shortest time between two questions: a list of ten thousand topics is a megabyte, and whoever
/// asks for a topic that does not exist may do so at any rate.
const QUESTION_PAUSE: Duration = Duration::from_millis(100);
/// Pause after a question that was not answered.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// A list older than this is asked for anew when it is used: topics grow, and replies without a
/// partition are spread over all of a topic's partitions.
const AGE_MAX: Duration = Duration::from_secs(30);

/// How often the identity of the watched topic is looked at. Between a topic's deletion and this look,
/// answers come from a log that nobody has compared, so it is short; it is one small question.
const IDENTITY_PAUSE: Duration = Duration::from_secs(5);

/// A question that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Default)]
struct State {
    partitions: BTreeMap<String, u32>,
    read_at: Option<Instant>,
    asked: u64,
    answered: u64,
    /// Looks at the identity that had an answer, and the last answer.
    identity: Option<(u64, [u8; 16])>,
    closed: bool,
}

/// The thread's next step.
enum Work {
    /// Read the list, for all questions up to this one.
    List(u64),
    Identity,
}

struct Inner {
    admin: Admin,
    watched: String,
    state: Mutex<State>,
    asked: Condvar,
    answered: Condvar,
}

/// The list.
pub struct Directory(Arc<Inner>);

impl Directory {
    /// Starts the thread, which asks for nothing yet but the identity of `watched`.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or no thread.
    pub fn start(connection: &Connection, watched: &str) -> Result<Directory, Error> {
        let inner = Arc::new(Inner {
            admin: Admin::new(&connection.admin())?,
            watched: watched.to_owned(),
            state: Mutex::default(),
            asked: Condvar::new(),
            answered: Condvar::new(),
        });
        let reader = Arc::clone(&inner);
        thread::Builder::new()
            .name("directory".to_owned())
            .spawn(move || reader.run())
            .map_err(|error| Error::thread(&error))?;
        Ok(Directory(inner))
    }

    /// Partitions of a topic, if the list has it. Asks for a new list when there is none or an old one.
    pub fn partitions(&self, topic: &str) -> Option<u32> {
        let mut state = self.0.lock();
        let partitions = state.partitions.get(topic).copied();
        let old = state.read_at.is_none_or(|at| at.elapsed() > AGE_MAX);
        if old && state.asked == state.answered {
            state.asked += 1;
            self.0.asked.notify_one();
        }
        partitions
    }

    /// Asks for a new list.
    pub fn ask(&self) -> Ticket {
        let mut state = self.0.lock();
        state.asked += 1;
        self.0.asked.notify_one();
        Ticket(state.asked)
    }

    /// True when the list was asked for after the ticket was drawn.
    pub fn has_answered(&self, ticket: Ticket) -> bool {
        self.0.lock().answered >= ticket.0
    }

    /// Asks for a new list and waits for it. False when there was none by the deadline.
    pub fn wait(&self, deadline: Instant) -> bool {
        let ticket = self.ask();
        let mut state = self.0.lock();
        while state.answered < ticket.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                return false;
            }
            let waited = self.0.answered.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The ID of the watched topic, and how many looks there were; none before the first that had an answer.
    pub fn identity(&self) -> Option<(u64, [u8; 16])> {
        self.0.lock().identity
    }

    /// Whether we may write to a topic; none when there is no such topic. Asks a broker.
    ///
    /// # Errors
    /// No answer.
    pub fn access(&self, topic: &str, deadline: Duration) -> Result<Option<TopicAccess>, Error> {
        self.0.admin.topic_access(topic, deadline)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.asked.notify_all();
        self.0.answered.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut look_at = Instant::now();
        while let Some(work) = self.next_work(look_at) {
            let Work::List(asked) = work else {
                self.look_at_identity();
                look_at = Instant::now() + IDENTITY_PAUSE;
                continue;
            };
            let list = self.admin.list_topics();
            let mut state = self.lock();
            match list {
                Ok(topics) => {
                    let shape =
                        |(name, topic): (String, super::admin::Topic)| (name, topic.partitions);
                    state.partitions = topics.into_iter().map(shape).collect();
                    state.read_at = Some(Instant::now());
                    state.answered = asked;
                    self.answered.notify_all();
                    drop(state);
                    thread::sleep(QUESTION_PAUSE);
                }
                Err(error) => {
                    drop(state);
                    debug!(%error, "topics cannot be listed");
                    thread::sleep(RETRY_PAUSE);
                }
            }
        }
    }

    /// One that is gone says nothing: it may be made again.
    fn look_at_identity(&self) {
        match self.admin.topic_id(&self.watched) {
            Ok(Some(id)) => {
                let mut state = self.lock();
                let looks = state.identity.map_or(0, |(looks, _)| looks);
                state.identity = Some((looks + 1, id));
            }
            Ok(None) => {}
            Err(error) => debug!(%error, topic = self.watched, "a topic cannot be looked at"),
        }
    }

    /// The identity when it is due, else everything asked so far; none when nobody will ask any more.
    fn next_work(&self, look_at: Instant) -> Option<Work> {
        let mut state = self.lock();
        loop {
            let left = look_at.saturating_duration_since(Instant::now());
            if state.closed {
                return None;
            }
            if left.is_zero() {
                return Some(Work::Identity);
            }
            if state.asked != state.answered {
                return Some(Work::List(state.asked));
            }
            let waited = self.asked.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
