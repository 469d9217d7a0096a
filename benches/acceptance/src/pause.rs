//! The cost of a rebalance for a client. It sends requests at a steady rate while a second instance joins, and
//! while the first one stops cleanly and hands its partitions over.
//!
//! The figure is the longest wait of a request that was due in the time after the event. The longest wait
//! before any event is the value without a rebalance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sequencer::bench::options::{EXACTLY_ONCE_INTERVAL_MS, SHAPE};
use sequencer::bench::series::shown;
use sequencer::bench::server::{self, Mode, Server};
use sequencer::bench::stage::Topics;
use sequencer::bench::{Error, Stage};
use sequencer::kafka;
use sequencer::kafka::tools::measure::client::{Answered, Client, Route};

use crate::figures::LONGEST_MS;
use crate::scenario::Scenario;

const SCENARIO: &str = Scenario::Pause.as_str();
const RATE: u64 = 1_000;
/// The start of the second instance, from the beginning.
const JOIN: Duration = Duration::from_secs(4);
/// The stop of the first instance, from the beginning.
const LEAVE: Duration = Duration::from_secs(12);
const END: Duration = Duration::from_secs(20);
/// The first part of a measurement, which is cold and is not counted.
const SETTLE: Duration = Duration::from_secs(1);
/// The interval of checks for a stop.
const STEP: Duration = Duration::from_millis(20);
/// Rounds are long, and their results are similar.
const ROUNDS_MAX: usize = 3;

/// Longest waits, by the time when the request was due.
#[derive(Clone, Copy, Debug, Default)]
struct Longest {
    steady: Duration,
    join: Duration,
    leave: Duration,
}

impl Longest {
    fn add(&mut self, answered: Answered) {
        let longest = match answered.due {
            due if due < SETTLE => return,
            due if due < JOIN => &mut self.steady,
            due if due < LEAVE => &mut self.join,
            _ => &mut self.leave,
        };
        *longest = answered.latency.max(*longest);
    }
}

/// Measures both modes in turn.
pub fn run(stage: &mut Stage<'_>) -> Result<(), Error> {
    let modes = [
        Mode::IMMEDIATE,
        Mode::exactly_once(EXACTLY_ONCE_INTERVAL_MS),
    ];
    for round in 0..stage.options.rounds.min(ROUNDS_MAX) {
        for index in 0..modes.len() {
            if let Some(mode) = modes.get((index + round) % modes.len()) {
                measure(stage, *mode, round)?;
            }
        }
    }
    Ok(())
}

fn measure(stage: &mut Stage<'_>, mode: Mode, round: usize) -> Result<(), Error> {
    let requests = stage.request_topic(SHAPE.partitions)?;
    let topics = stage.service_topics(&requests, SHAPE.partitions)?;
    let mut first = Server::start(stage, &topics, "a", mode)?;
    let route = Route {
        requests: &topics.requests,
        replies: &topics.replies,
        committed: mode.exactly_once,
    };
    let mut client = Client::new(&stage.connection, route, SHAPE, 0)?;
    let stop = stage.stopping();
    let failed = |error: kafka::error::Error| match stop() {
        true => Error::Stopped,
        false => error.into(),
    };
    client.warm(stop).map_err(failed)?;
    let mut longest = Longest::default();
    let halt = AtomicBool::new(false);
    let (run, second) = thread::scope(|scope| {
        let began = Instant::now();
        // The client runs on the other thread: the thread that starts a child must live on.
        let load = scope.spawn(|| {
            let halted = || halt.load(Ordering::Relaxed);
            client.run(RATE, END, &halted, |answered| longest.add(answered))
        });
        let mut second = events(stage, &mut first, &topics, mode, began);
        while second.is_ok() && !load.is_finished() {
            thread::sleep(STEP);
            if let Err(error) = stage.check() {
                second = Err(error);
            }
        }
        halt.store(second.is_err(), Ordering::Relaxed);
        (load.join(), second)
    });
    let second = second?;
    let run = match run {
        Ok(run) => run.map_err(failed)?,
        Err(_) => return Err(Error::Subject("the client's thread has died".to_owned())),
    };
    first.process.stop()?;
    second.process.stop()?;
    if run.unanswered > 0 {
        stage.note(format!(
            "{}: {} of {} requests had no reply around a rebalance",
            mode.name(),
            run.unanswered,
            run.sent
        ))?;
    }
    let waits = [
        ("no event", longest.steady),
        ("second instance joins", longest.join),
        ("first instance stops", longest.leave),
    ];
    let mut line = format!("{SCENARIO}, round {}: {}", round + 1, mode.name());
    for (setting, wait) in waits {
        let ms = wait.as_secs_f64() * 1000.0;
        stage.figure((SCENARIO, setting), &mode.name(), LONGEST_MS, round, ms);
        line.push_str(&format!(", {setting} {} ms", shown(ms)));
    }
    stage.say(&line)?;
    stage.answered(&topics)?;
    stage.delete_of(&topics)?;
    Ok(())
}

fn events(
    stage: &mut Stage<'_>,
    first: &mut Server,
    topics: &Topics,
    mode: Mode,
    began: Instant,
) -> Result<Server, Error> {
    sleep_until(stage, began + JOIN)?;
    let mut second = Server::spawn(stage, topics, "b", mode)?;
    server::wait(stage, &mut [first, &mut second], |running| {
        running.iter().all(|count| *count > 0)
    })?;
    sleep_until(stage, began + LEAVE)?;
    first.process.terminate()?;
    Ok(second)
}

fn sleep_until(stage: &Stage<'_>, at: Instant) -> Result<(), Error> {
    while Instant::now() < at {
        stage.check()?;
        thread::sleep(STEP.min(at.saturating_duration_since(Instant::now())));
    }
    Ok(())
}
