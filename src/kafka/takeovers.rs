//! Answers a takeover's questions on threads of their own, so that running partitions go on.
//!
//! [`Takeover`] decides the order of the questions and the meaning of the answers.

mod cluster;
mod memory;
pub(crate) mod questions;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::clients::Connection;
use super::error::Error;
use super::transactor::Topics;
use crate::core::Homes;
use crate::core::link::LinkKey;
use crate::processor::instance::Run;
use crate::processor::parent::Parent;
use crate::processor::takeover::{Action, Event, Step, Takeover, Verdict};
use questions::Questions;

/// Takeovers at a time. Most of a takeover is waiting for brokers, and each thread has two clients.
const THREADS: usize = 3;
/// How often a thread without a task connects again where a connection was closed. Brokers close one that has
/// been idle for ten minutes, and the threads take turns in waiting.
const WARM_EVERY: Duration = Duration::from_secs(60);

/// A task for the threads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Find out everything that a partition needs to run.
    Takeover {
        /// The partition to take over.
        partition: i32,
        /// The assignment, which comes back with the finding.
        assignment: u32,
    },
    /// Find the keys that other writers wrote in a range of a partition's state log.
    Foreign {
        /// The partition of the state log.
        partition: i32,
        /// The assignment, which comes back with the finding.
        assignment: u32,
        /// The first state offset.
        from: i64,
        /// One past the last offset. `None` for the end of the log.
        to: Option<i64>,
    },
    /// Find what the state of a parent has for a partition that adopts names in a rescale.
    Parent {
        /// The partition that adopts.
        partition: i32,
        /// The assignment, which comes back with the finding.
        assignment: u32,
        /// The partition whose state is read.
        parent: u32,
        /// The list with which the partition adopts.
        homes: Homes,
    },
}

/// The result of a task.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The end of a takeover.
    Verdict {
        /// The partition that was taken over.
        partition: i32,
        /// The assignment from the task.
        assignment: u32,
        /// The result of the takeover.
        verdict: Verdict,
        /// How long the takeover took.
        took: Duration,
        /// Number of state records that were read.
        records: u64,
    },
    /// The records of other writers.
    Foreign {
        /// The partition of the state log.
        partition: i32,
        /// The assignment from the task.
        assignment: u32,
        /// The first offset from the task.
        from: i64,
        /// The keys that other writers wrote.
        keys: Vec<Vec<u8>>,
        /// The end of the range that was read.
        end: i64,
    },
    /// The part of a parent's state that a partition adopts.
    Parent {
        /// The partition that adopts.
        partition: i32,
        /// The assignment from the task.
        assignment: u32,
        /// That part of the state.
        parent: Parent,
    },
    /// The records of other writers could not be read.
    ForeignUnread {
        /// The partition of the state log.
        partition: i32,
        /// The assignment from the task.
        assignment: u32,
        /// The start of the range from the task.
        from: i64,
        /// The end of the range from the task.
        to: Option<i64>,
    },
}

/// The number of times that connections were found to be lost. Clients that are older than the last time are not used:
/// one lost connection is seldom alone, and each thread would wait for a time-out of its own.
#[derive(Clone, Debug, Default)]
struct Losses(Arc<AtomicU64>);

impl Losses {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Handle on the threads. They end when it is dropped and their work is done.
pub(crate) struct Takeovers {
    tasks: Sender<Task>,
    losses: Losses,
}

impl Takeovers {
    /// Starts the threads.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn start<F>(
        connection: &Connection,
        topics: &Topics,
        run: Run,
        found: F,
    ) -> std::io::Result<Takeovers>
    where
        F: Fn(Finding) + Clone + Send + 'static,
    {
        let (tasks, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let losses = Losses::default();
        for index in 0..THREADS {
            let worker = Worker {
                connection: connection.for_takeovers(),
                topics: topics.clone(),
                writer: run.writer,
                fresh_key: run.link_key,
                questions: None,
                losses: losses.clone(),
            };
            let (receiver, found) = (Arc::clone(&receiver), found.clone());
            std::thread::Builder::new()
                .name(format!("takeover-{index}"))
                .spawn(move || worker.run(&receiver, found))?;
        }
        Ok(Takeovers { tasks, losses })
    }

    /// This instance has lost its group, so its connections may be lost, too: the next tasks make new ones. Without
    /// this, each thread would find out by a time-out, while the partition that it takes over stands still.
    pub(crate) fn connections_lost(&self) {
        self.losses.add();
    }

    /// Hands in a task. There are at most a few tasks for each partition, so this bounds the queue.
    pub(crate) fn submit(&self, task: Task) {
        if self.tasks.send(task).is_err() {
            warn!(?task, "no takeover thread is left");
        }
    }
}

struct Worker {
    connection: Connection,
    topics: Topics,
    writer: u64,
    fresh_key: LinkKey,
    /// The clients, and the number of losses when they were made.
    questions: Option<(Questions, u64)>,
    losses: Losses,
}

impl Worker {
    fn run(mut self, tasks: &Mutex<Receiver<Task>>, found: impl Fn(Finding)) {
        self.warm();
        loop {
            let next = tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv_timeout(WARM_EVERY);
            let task = match next {
                Ok(task) => task,
                Err(RecvTimeoutError::Timeout) => {
                    self.warm();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match task {
                Task::Takeover {
                    partition,
                    assignment,
                } => {
                    let (finding, records) = self.take_over(partition, assignment);
                    found(finding);
                    memory::give_back(records);
                }
                Task::Parent {
                    partition,
                    assignment,
                    parent,
                    homes,
                } => {
                    let (parent, records) = self.parent(partition, parent, &homes);
                    found(Finding::Parent {
                        partition,
                        assignment,
                        parent,
                    });
                    memory::give_back(records);
                }
                Task::Foreign {
                    partition,
                    assignment,
                    from,
                    to,
                } => match self.foreign(partition, from, to) {
                    Ok((keys, end)) => found(Finding::Foreign {
                        partition,
                        assignment,
                        from,
                        keys,
                        end,
                    }),
                    Err(error) => {
                        warn!(partition, %error, "cannot look for foreign state records, trying again");
                        found(Finding::ForeignUnread {
                            partition,
                            assignment,
                            from,
                            to,
                        });
                    }
                },
            }
        }
    }

    /// Connects to the brokers that a takeover will ask: a new connection costs up to a fifth of a second, in
    /// which the partition would stand still.
    fn warm(&mut self) {
        if let Err(error) = self.questions().and_then(Questions::warm) {
            debug!(%error, "cannot connect for a takeover in advance");
            // An old client would not look for another connection before its time-out. The clients of other threads may
            // have their connections.
            self.questions = None;
        }
    }

    fn questions(&mut self) -> Result<&Questions, Error> {
        let losses = self.losses.count();
        let questions = match self.questions.take() {
            Some((questions, made)) if made == losses => questions,
            _ => Questions::new(&self.connection, &self.topics)?,
        };
        let (questions, _) = self.questions.insert((questions, losses));
        Ok(questions)
    }

    /// A client that has failed once is not used for the next question, and neither are those of other threads that
    /// are as old.
    fn give_up_clients(&mut self) {
        if let Some((_, made)) = self.questions.take()
            && made == self.losses.count()
        {
            self.losses.add();
        }
    }

    /// Returns the finding, and the number of state records that were read for it.
    fn take_over(&mut self, partition: i32, assignment: u32) -> (Finding, u64) {
        let began = Instant::now();
        let mut takeover = Takeover::new(partition, &self.connection.group, self.fresh_key);
        let mut records = 0;
        let mut step = takeover.first();
        let mut ahead: Option<(Action, Event)> = None;
        let verdict = loop {
            let action = match step {
                Step::Done(verdict) => break verdict,
                Step::Do(action) => action,
            };
            if let Some((_, event)) = ahead.take_if(|(asked, _)| *asked == action) {
                step = takeover.on(event);
                continue;
            }
            let asked = Instant::now();
            let answer = self
                .questions()
                .and_then(|ask| ask.answer_both(partition, action));
            debug!(
                partition,
                ?action,
                took_ms = asked.elapsed().as_millis(),
                "asked"
            );
            let event = match answer {
                Ok((event, beside)) => {
                    ahead = beside.or(ahead);
                    event
                }
                Err(error) => {
                    debug!(partition, ?action, %error, "a takeover's question has no answer yet");
                    self.give_up_clients();
                    Event::Unavailable(error.to_string())
                }
            };
            if let Event::State(restored) = &event {
                records += restored.records;
            }
            step = takeover.on(event);
        };
        let finding = Finding::Verdict {
            partition,
            assignment,
            verdict,
            took: began.elapsed(),
            records,
        };
        (finding, records)
    }

    /// Returns what a parent's state has for a child, and the number of state records that were read for it.
    fn parent(&mut self, child: i32, parent: u32, homes: &Homes) -> (Parent, u64) {
        let read = i32::try_from(parent).unwrap_or(0);
        let restored = self
            .questions()
            .and_then(|questions| questions.restored(read));
        match restored {
            Ok(restored) => {
                let child = u32::try_from(child).unwrap_or(0);
                (Parent::of(&restored, child, homes), restored.records)
            }
            Err(error) => {
                debug!(child, parent, %error, "the state of a parent cannot be read now");
                self.give_up_clients();
                (Parent::NotYet(error.to_string()), 0)
            }
        }
    }

    fn foreign(
        &mut self,
        partition: i32,
        from: i64,
        to: Option<i64>,
    ) -> Result<(Vec<Vec<u8>>, i64), Error> {
        let writer = self.writer;
        let found = self
            .questions()
            .and_then(|questions| questions.foreign(partition, from, to, writer));
        if found.is_err() {
            self.give_up_clients();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::clients::tests::connection;

    fn worker(losses: &Losses) -> Worker {
        let name = "topic".to_owned();
        Worker {
            connection: connection("g", "i").for_takeovers(),
            topics: Topics {
                requests: name.clone(),
                replies: name.clone(),
                state: name.clone(),
                ledger: name,
            },
            writer: 1,
            fresh_key: LinkKey([0; 32]),
            questions: None,
            losses: losses.clone(),
        }
    }

    fn age(worker: &Worker) -> Option<u64> {
        worker.questions.as_ref().map(|(_, made)| *made)
    }

    #[test]
    fn a_lost_connection_makes_every_thread_connect_again_once() {
        let losses = Losses::default();
        let (mut one, mut other) = (worker(&losses), worker(&losses));
        one.questions().unwrap();
        other.questions().unwrap();
        one.give_up_clients();
        one.questions().unwrap();
        assert_eq!((age(&one), age(&other)), (Some(1), Some(0)));
        // These clients are older than the loss, so they say nothing new.
        other.give_up_clients();
        other.questions().unwrap();
        assert_eq!((age(&one), age(&other)), (Some(1), Some(1)));
        losses.add();
        one.questions().unwrap();
        assert_eq!(age(&one), Some(2));
    }
}
