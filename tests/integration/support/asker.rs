//! A careful client: every request has its own `request_id`, an unanswered request is sent again with the same
//! `request_id`, and every reply is compared with the earlier ones.
//!
//! It asks at a steady rate, whether the service answers or not (open loop). So the longest wait for an answer
//! is the silence that clients see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use serde_json::Value;

use super::load::Writer;
use super::service::Service;
use super::{tail, wait_for};

/// After this time without an answer, a request is sent again. It is longer than an ordinary answer takes, and
/// shorter than most silences.
const RETRY_AFTER: Duration = Duration::from_millis(700);
/// The interval at which due requests are written.
const TICK: Duration = Duration::from_millis(2);
/// Number of sequences, which are asked for in turn.
const NAMES: u64 = 60;

/// The results of the requests of one step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    pub asked: usize,
    /// Number of times that requests were sent again.
    pub retried: usize,
    /// The longest time from the first sending of a request to its first answer.
    pub longest: Duration,
}

/// The client, which asks on its own thread until it is stopped.
pub struct Asker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: BTreeMap<String, Asked>,
    /// Unanswered requests, by the time when they were last sent.
    waiting: BTreeSet<(Instant, String)>,
    steps: Vec<Step>,
    /// All mistakes, in words.
    wrong: Vec<String>,
}

/// One request, under its `request_id`.
struct Asked {
    name: String,
    first: Instant,
    last: Instant,
    step: usize,
    granted: Option<(i64, i64)>,
}

impl Asker {
    /// Starts a client that asks `service` this many times a second.
    pub fn start(service: &Service, rate: u64) -> Asker {
        let shared = Arc::new(Shared::default());
        shared.state().steps.push(Step::default());
        let (replies, _) =
            tail::assigned(&service.bootstrap, &service.replies, service.isolation());
        let mut loop_ = Loop {
            shared: Arc::clone(&shared),
            writer: service.writer(),
            replies,
            number: 0,
        };
        let thread = thread::spawn(move || loop_.run(rate));
        Asker {
            shared,
            thread: Some(thread),
        }
    }

    /// Ends a step: waits until all of its requests are answered, and returns the results.
    pub fn end_step(&self) -> Step {
        let step = {
            let mut state = self.shared.state();
            state.steps.push(Step::default());
            state.steps.len() - 2
        };
        wait_for("all requests of a step to be answered", || {
            let state = self.shared.state();
            let open = state
                .waiting
                .iter()
                .any(|(_, id)| state.asked[id].step == step);
            (!open).then(|| state.steps[step])
        })
    }

    /// Stops asking, waits for the last answers, and fails after any mistake: an error, a `request_id` with two
    /// answers, an ID given twice, or a hole between IDs. Returns the number of IDs that were granted.
    pub fn finish(mut self) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let state = self.shared.state();
        let mut wrong = state.wrong.clone();
        let mut sequences: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
        for asked in state.asked.values() {
            sequences
                .entry(&asked.name)
                .or_default()
                .extend(asked.granted);
        }
        for (name, mut ranges) in sequences {
            ranges.sort_unstable();
            let mut next = 1;
            for (first, last) in ranges {
                if first != next {
                    wrong.push(format!("{name}: {first} follows {}", next - 1));
                }
                next = last + 1;
            }
        }
        assert!(wrong.is_empty(), "{} are wrong: {wrong:#?}", wrong.len());
        state.asked.len()
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The test that failed while it held the lock has reported the failure.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Loop {
    shared: Arc<Shared>,
    writer: Writer,
    replies: BaseConsumer,
    number: u64,
}

impl Loop {
    fn run(&mut self, rate: u64) {
        let began = Instant::now();
        while !self.shared.stop.load(Ordering::Relaxed) {
            let due = began.elapsed().as_millis() as u64 * rate / 1000;
            while self.number < due {
                self.ask();
            }
            self.turn();
        }
        wait_for("the last requests to be answered", || {
            self.turn();
            self.shared.state().waiting.is_empty().then_some(())
        });
    }

    fn ask(&mut self) {
        let (id, name) = (
            format!("r-{}", self.number),
            format!("orders-{}", self.number % NAMES),
        );
        self.number += 1;
        let now = Instant::now();
        let mut state = self.shared.state();
        let step = state.steps.len() - 1;
        state.steps[step].asked += 1;
        state.waiting.insert((now, id.clone()));
        let asked = Asked {
            name: name.clone(),
            first: now,
            last: now,
            step,
            granted: None,
        };
        state.asked.insert(id.clone(), asked);
        drop(state);
        self.send(&name, &id);
    }

    fn send(&mut self, name: &str, id: &str) {
        let value = format!("{{\"request_id\":\"{id}\"}}");
        self.writer
            .send(Some(name.as_bytes()), Some(value.as_bytes()));
    }

    fn turn(&mut self) {
        self.writer.poll();
        let mut wait = TICK;
        while let Some(polled) = self.replies.poll(wait) {
            wait = Duration::ZERO;
            // An error means that the partition has no further record now.
            if let Ok(message) = polled {
                let body = serde_json::from_slice(message.payload().unwrap_or_default());
                self.shared.state().answered(&body.unwrap());
            }
        }
        let overdue = self.shared.state().overdue();
        for (name, id) in overdue {
            self.send(&name, &id);
        }
    }
}

impl State {
    fn answered(&mut self, body: &Value) {
        let granted = body["first"].as_i64().zip(body["last"].as_i64());
        let asked = body["request_id"]
            .as_str()
            .and_then(|id| self.asked.get_mut(id));
        let (Some(granted), Some(asked)) = (granted, asked) else {
            return self.wrong.push(body.to_string());
        };
        if body["sequence"] != asked.name.as_str() {
            return self.wrong.push(format!("for {}: {body}", asked.name));
        }
        match asked.granted {
            None => {
                asked.granted = Some(granted);
                let step = &mut self.steps[asked.step];
                step.longest = step.longest.max(asked.first.elapsed());
                let id = body["request_id"].as_str().unwrap_or_default().to_owned();
                self.waiting.remove(&(asked.last, id));
            }
            Some(before) if before != granted => {
                self.wrong.push(format!("before it was {before:?}: {body}"));
            }
            Some(_) => {}
        }
    }

    /// The requests that have waited too long and must be sent again.
    fn overdue(&mut self) -> Vec<(String, String)> {
        let now = Instant::now();
        let mut again = Vec::new();
        while let Some((sent, _)) = self.waiting.first()
            && now.duration_since(*sent) >= RETRY_AFTER
            && let Some((_, id)) = self.waiting.pop_first()
        {
            if let Some(asked) = self.asked.get_mut(&id) {
                asked.last = now;
                self.steps[asked.step].retried += 1;
                again.push((asked.name.clone(), id.clone()));
            }
            self.waiting.insert((now, id));
        }
        again
    }
}
