//! One backlog, answered by one subject.
//!
//! The reply topic is watched: how far it has grown is asked for every few milliseconds, in one
//! request for all partitions. The rate is that of the replies between the first look that saw some
//! and the last look that saw more: starting up is not in it, and neither are the replies that were
//! there at the first look. In `exactly_once` mode only committed replies are seen. Transaction
//! markers take offsets as well; since they lie evenly among the replies, shares of the final
//! length stand for shares of the replies.

use std::thread;
use std::time::{Duration, Instant};

use super::Error;
use super::process::{Process, cpu, resident_bytes};
use super::series::shown;
use super::server::{self, Echo, Mode, Server};
use super::stage::{Stage, Topics, per_second};
use super::verified::verify;
use crate::kafka::tools::measure::backlog::{self, Held};
use crate::kafka::tools::measure::ends::Ends;
use crate::kafka::tools::measure::shape::Shape;

/// How often the end of the reply topic is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// With fewer looks that saw it grow, a rate is rough.
const LOOKS_MIN: usize = 20;
/// How long a topic that holds enough must not grow before the drain counts as over.
const QUIET: Duration = Duration::from_millis(150);
/// How long nothing may come before it counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Requests in the log.
pub(super) struct Backlog {
    pub(super) topic: String,
    pub(super) shape: Shape,
    pub(super) requests: u64,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Writes the same bytes.
    Floor(Echo),
    /// Writes records of the reply's size.
    EqualBytes(Echo),
    /// The service.
    Serve(Mode),
}

/// The name of the equal-bytes floor, against which everything is held.
pub(super) const EQUAL_BYTES: &str = "equal-bytes floor";
/// The name of the floor that writes the same bytes.
pub(super) const FLOOR: &str = "floor";

impl Subject {
    pub(super) fn name(&self) -> String {
        match self {
            Subject::Floor(_) => FLOOR.to_owned(),
            Subject::EqualBytes(_) => EQUAL_BYTES.to_owned(),
            Subject::Serve(mode) => mode.name(),
        }
    }

    fn committed(&self) -> bool {
        matches!(self, Subject::Serve(mode) if mode.exactly_once)
    }
}

/// What a drain came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drained {
    /// Requests a second.
    pub(super) rate: f64,
    /// CPU of the subject, microseconds a request.
    pub(super) cpu_us: Option<f64>,
    /// CPU of the broker that runs on this machine.
    pub(super) broker_cpu_us: Option<f64>,
    /// Which share of all cores subject, broker and this process used together.
    pub(super) busy: Option<f64>,
    /// Memory of the subject, MiB.
    pub(super) resident_mib: Option<f64>,
    /// Looks that saw the topic grow.
    pub(super) looks: usize,
}

impl Backlog {
    /// Writes it.
    pub(super) fn write(
        stage: &mut Stage<'_>,
        shape: Shape,
        requests: u64,
    ) -> Result<Backlog, Error> {
        let topic = stage.request_topic(shape.partitions)?;
        let stop = stage.stopping();
        backlog::write(&stage.connection, &topic, shape, 0..requests, stop)
            .map_err(|error| stage.check().err().unwrap_or(error.into()))?;
        Ok(Backlog {
            topic,
            shape,
            requests,
        })
    }
}

/// Lets the subject drain the backlog, on a reply topic of its own.
pub(super) fn run(
    stage: &mut Stage<'_>,
    backlog: &Backlog,
    subject: &Subject,
) -> Result<Drained, Error> {
    let partitions = backlog.shape.partitions;
    match subject {
        Subject::Floor(how) | Subject::EqualBytes(how) => {
            let replies = stage.reply_topic(partitions)?;
            let equal = matches!(subject, Subject::EqualBytes(_));
            let body = equal.then(|| backlog.shape.reply(backlog.requests));
            let watch = Watch::new(stage, &replies, partitions, backlog.requests, false)?;
            let route = (backlog.topic.as_str(), replies.as_str());
            let process = server::echo(stage, route, partitions, how, body.as_deref())?;
            let drained = watch.drain(stage, vec![process])?;
            stage.delete(&replies)?;
            Ok(drained)
        }
        Subject::Serve(mode) => {
            let topics = stage.service_topics(&backlog.topic, partitions)?;
            let drained = serve(stage, backlog, &topics, *mode)?;
            verify(stage, &topics)?;
            stage.delete(&topics.replies)?;
            stage.delete(&topics.state)?;
            stage.delete(&topics.ledger)?;
            Ok(drained)
        }
    }
    .and_then(|drained| {
        if drained.looks < LOOKS_MIN {
            stage.note(format!(
                "a drain of {} requests is over after fewer than {LOOKS_MIN} looks at its replies, so \
                 its rate is rough: take more --requests",
                backlog.requests
            ))?;
        }
        Ok(drained)
    })
}

/// The same for a service whose topics are to be kept.
pub(super) fn serve(
    stage: &mut Stage<'_>,
    backlog: &Backlog,
    topics: &Topics,
    mode: Mode,
) -> Result<Drained, Error> {
    let committed = Subject::Serve(mode).committed();
    let watch = Watch::new(
        stage,
        &topics.replies,
        topics.partitions,
        backlog.requests,
        committed,
    )?;
    let server = Server::spawn(stage, topics, "a", mode)?;
    watch.drain(stage, vec![server.process])
}

/// Several instances that share the partitions before the backlog, all of it at once, is there.
pub(super) fn shared(
    stage: &mut Stage<'_>,
    shape: Shape,
    requests: u64,
    instances: usize,
) -> Result<Drained, Error> {
    let topic = stage.request_topic(shape.partitions)?;
    let topics = stage.service_topics(&topic, shape.partitions)?;
    let stop = stage.stopping();
    let held = Held::write(&stage.connection, &topic, shape, 0..requests, stop)
        .map_err(|error| stage.check().err().unwrap_or(error.into()))?;
    let mut servers = Vec::new();
    for instance in 0..instances {
        let name = format!("instance-{instance}");
        servers.push(Server::spawn(stage, &topics, &name, Mode::IMMEDIATE)?);
    }
    let all = usize::try_from(shape.partitions).unwrap_or(usize::MAX);
    let mut borrowed: Vec<&mut Server> = servers.iter_mut().collect();
    server::wait(stage, &mut borrowed, |running| {
        running.iter().sum::<usize>() == all && running.iter().all(|count| *count > 0)
    })?;
    let watch = Watch::new(stage, &topics.replies, shape.partitions, requests, false)?;
    held.release()?;
    let processes = servers.into_iter().map(|server| server.process).collect();
    let drained = watch.drain(stage, processes)?;
    verify(stage, &topics)?;
    stage.delete_of(&topics)?;
    Ok(drained)
}

struct Watch {
    ends: Ends,
    requests: u64,
}

/// CPU times at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    subject: Option<Duration>,
    broker: Option<Duration>,
    own: Option<Duration>,
}

impl Times {
    fn now(processes: &[Process], broker: Option<u32>) -> Times {
        Times {
            subject: processes.iter().map(|process| cpu(process.id())).sum(),
            broker: broker.and_then(cpu),
            own: cpu(std::process::id()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    seen: u64,
    times: Times,
}

impl Watch {
    fn new(
        stage: &Stage<'_>,
        replies: &str,
        partitions: u32,
        requests: u64,
        committed: bool,
    ) -> Result<Watch, Error> {
        Ok(Watch {
            ends: Ends::new(&stage.connection, replies, partitions, committed)?,
            requests,
        })
    }

    /// Watches until all is answered, then stops the processes.
    fn drain(&self, stage: &mut Stage<'_>, mut processes: Vec<Process>) -> Result<Drained, Error> {
        let mut before = None;
        let (mut first, mut last): (Option<(Look, Look)>, Option<Look>) = (None, None);
        let mut looks = 0;
        let began = Instant::now();
        loop {
            stage.check()?;
            for process in &mut processes {
                process.check()?;
            }
            let look = Look {
                seen: self.ends.total()?,
                at: Instant::now(),
                times: Times::now(&processes, stage.broker()),
            };
            let grown = look.seen > last.map_or(0, |last| last.seen);
            if grown {
                looks += 1;
                last = Some(look);
                first = first.or(Some((before.unwrap_or(look), look)));
            }
            before = Some(look);
            let quiet = last.map_or(began, |last| last.at).elapsed();
            let enough = last.is_some_and(|last| last.seen >= self.requests);
            if enough && quiet > QUIET {
                break;
            }
            if quiet > SILENCE_MAX {
                let seen = last.map_or(0, |last| last.seen);
                let what = format!(
                    "has answered {seen} of {} requests and nothing for {} s",
                    self.requests,
                    SILENCE_MAX.as_secs()
                );
                return Err(processes
                    .first()
                    .map_or(Error::Stopped, |process| process.failed(&what)));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        let resident: Option<u64> = processes
            .iter()
            .map(|process| resident_bytes(process.id()))
            .sum();
        for process in processes {
            stage.describe_service(&process.log());
            process.stop()?;
        }
        let (Some((before, first)), Some(last)) = (first, last) else {
            return Err(Error::Subject("nothing was answered".to_owned()));
        };
        if self.ends.total()? != last.seen {
            return Err(Error::Subject(
                "replies came after the drain had counted as over".to_owned(),
            ));
        }
        Ok(self.drained(before, first, last, resident, looks))
    }

    fn drained(
        &self,
        before: Look,
        first: Look,
        last: Look,
        resident: Option<u64>,
        looks: usize,
    ) -> Drained {
        let requests = self.requests as f64;
        let took = (last.at - first.at).as_secs_f64();
        let share = 1.0 - first.seen as f64 / last.seen.max(1) as f64;
        let used = |of: fn(&Times) -> Option<Duration>| {
            let (before, after) = (of(&before.times)?, of(&last.times)?);
            Some(after.saturating_sub(before).as_secs_f64())
        };
        let (subject, broker, own) = (
            used(|times| times.subject),
            used(|times| times.broker),
            used(|times| times.own),
        );
        let cores = thread::available_parallelism().map_or(1, Into::into) as f64;
        let span = (last.at - before.at).as_secs_f64();
        Drained {
            rate: requests * share / took.max(f64::MIN_POSITIVE),
            cpu_us: subject.map(|seconds| seconds * 1e6 / requests),
            broker_cpu_us: broker.map(|seconds| seconds * 1e6 / requests),
            busy: subject
                .zip(broker)
                .zip(own)
                .map(|((a, b), c)| (a + b + c) / (span * cores)),
            resident_mib: resident.map(|bytes| bytes as f64 / f64::from(1 << 20)),
            looks,
        }
    }
}

/// Figures of a drain.
pub(super) const RATE: &str = "requests/s";
pub(super) const CPU: &str = "CPU, µs/request";
pub(super) const BROKER_CPU: &str = "broker's CPU, µs/request";
pub(super) const BUSY: &str = "share of all cores";
pub(super) const RESIDENT: &str = "memory, MiB";

impl Drained {
    /// Takes its figures down.
    pub(super) fn record(
        &self,
        stage: &mut Stage<'_>,
        place: (&'static str, &str),
        subject: &str,
        round: usize,
    ) -> Result<(), Error> {
        stage.figure(place, subject, RATE, round, self.rate);
        for (figure, value) in [
            (CPU, self.cpu_us),
            (BROKER_CPU, self.broker_cpu_us),
            (BUSY, self.busy),
            (RESIDENT, self.resident_mib),
        ] {
            if let Some(value) = value {
                stage.figure(place, subject, figure, round, value);
            }
        }
        let cpu = self.cpu_us.map_or_else(String::new, |cpu| {
            format!(", {} CPU µs a request", shown(cpu))
        });
        let (scenario, setting) = place;
        stage.say(&format!(
            "{scenario}, {setting}, round {}: {subject} {}{cpu}",
            round + 1,
            per_second(self.rate)
        ))
    }
}
