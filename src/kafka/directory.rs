//! The topics of the cluster: the full list, which is read when a client names an unknown topic.
//!
//! *Architecture invariant*: the service never asks for a topic that a client names by its name alone, since
//! brokers may create a topic that is asked for in this way. A thread of its own reads the list, so no code
//! that answers requests waits for a broker.
//!
//! A caller that misses a topic takes a [`Ticket`]. Once [`Directory::has_answered`] is true, the list is
//! younger than the ticket, and a topic that is not in the list does not exist.
//!
//! The same thread checks regularly whether one topic still has the same ID.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::debug;

use super::admin::{Admin, TopicAccess};
use super::clients::Connection;
use super::error::Error;

/// Shortest time between two questions. A list of ten thousand topics is a megabyte, and a client may name
/// unknown topics at any rate.
const QUESTION_PAUSE: Duration = Duration::from_millis(100);
/// Pause after a question without an answer.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// When a list that is older than this is used, a new one is read. Topics grow, and replies without a partition
/// are spread over all of a topic's partitions.
const AGE_MAX: Duration = Duration::from_secs(30);

/// How often the ID of the watched topic is checked. Between a topic's deletion and this check, answers come
/// from a log that nobody has compared, so the time is short. The check is one small question.
const IDENTITY_PAUSE: Duration = Duration::from_secs(5);

/// The number of a question that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Default)]
struct State {
    partitions: BTreeMap<String, u32>,
    read_at: Option<Instant>,
    asked: u64,
    answered: u64,
    /// The number of identity checks with an answer, and the last answer.
    identity: Option<(u64, [u8; 16])>,
    closed: bool,
}

/// The next work of the thread.
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

/// The handle on the list and its thread.
pub struct Directory(Arc<Inner>);

impl Directory {
    /// Starts the thread. Until a list is wanted, it asks only for the ID of `watched`.
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

    /// The number of partitions of a topic, if the list has it. Asks for a new list when there is none or an
    /// old one.
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

    /// Asks for a new list, and returns the ticket for it.
    pub fn ask(&self) -> Ticket {
        let mut state = self.0.lock();
        state.asked += 1;
        self.0.asked.notify_one();
        Ticket(state.asked)
    }

    /// True when the list was asked for after the ticket was taken.
    pub fn has_answered(&self, ticket: Ticket) -> bool {
        self.0.lock().answered >= ticket.0
    }

    /// Asks for a new list and waits for it. False when there was no answer by the deadline.
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

    /// The ID of the watched topic, and the number of answered checks. None before the first answer.
    pub fn identity(&self) -> Option<(u64, [u8; 16])> {
        self.0.lock().identity
    }

    /// Whether the service may write to a topic. None when the topic does not exist. Asks a broker.
    ///
    /// # Errors
    /// A broker did not answer.
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

    /// Checks the ID of the watched topic. A missing topic changes nothing: it may be created again.
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

    /// Returns the identity check when it is due, else the list for all questions so far. None when nobody can
    /// ask any more.
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
