//! One backlog, answered by one subject.
//!
//! The drain asks for the end of the reply topic every few milliseconds, in one request for all partitions. The
//! rate counts the replies between the first look that sees replies and the last look that sees more. So it
//! leaves out the start-up, and the replies that exist at the first look. In `exactly_once` mode only committed
//! replies are seen. Transaction markers take offsets as well. They lie evenly among the replies, so a share of
//! the final length stands for the same share of the replies.

use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::figure::{EQUAL_BYTES, FLOOR, Figure};
use super::process::{Process, cpu, resident_bytes};
use super::series::shown;
use super::server::{self, Echo, Mode, Server};
use super::stage::{Stage, Topics, per_second};
use crate::kafka::tools::measure::backlog;
use crate::kafka::tools::measure::ends::Ends;
use crate::kafka::tools::measure::shape::Shape;

/// The interval between two looks at the end of the reply topic.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// With fewer looks that see the topic grow, a rate is rough.
const LOOKS_MIN: usize = 20;
/// A drain is over when the topic holds enough and has not grown for this long.
const QUIET: Duration = Duration::from_millis(150);
/// A drain has failed when no reply comes for this long.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Requests in the log.
pub struct Backlog {
    /// The request topic.
    pub topic: String,
    /// The form of the requests.
    pub shape: Shape,
    /// Number of requests.
    pub requests: u64,
}

/// The subject that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An echo that writes the same bytes.
    Floor(Echo),
    /// An echo that writes records of the reply's size.
    EqualBytes(Echo),
    /// The service.
    Serve(Mode),
}

impl Subject {
    /// The name in the report.
    pub fn name(&self) -> String {
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

/// The result of a drain.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Requests a second.
    pub rate: f64,
    /// CPU time of the subject for each request, in microseconds.
    pub cpu_us: Option<f64>,
    /// CPU time of the broker for each request, in microseconds; none unless it runs on this machine.
    pub broker_cpu_us: Option<f64>,
    /// The share of all cores that subject, broker and this process use together.
    pub busy: Option<f64>,
    /// Memory of the subject, MiB.
    pub resident_mib: Option<f64>,
    /// Number of looks that saw the topic grow.
    pub looks: usize,
}

impl Backlog {
    /// Writes the backlog into a topic that has no requests yet.
    ///
    /// # Errors
    /// A broker refuses a request, or the user asks for a stop.
    pub fn write(
        stage: &Stage<'_>,
        topic: String,
        shape: Shape,
        requests: u64,
    ) -> Result<Backlog, Error> {
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

/// Lets the subject drain the backlog into a reply topic of its own.
pub fn run(stage: &mut Stage<'_>, backlog: &Backlog, subject: &Subject) -> Result<Drained, Error> {
    let partitions = backlog.shape.partitions;
    match subject {
        Subject::Floor(how) | Subject::EqualBytes(how) => {
            let replies = stage.reply_topic(partitions)?;
            let equal = matches!(subject, Subject::EqualBytes(_));
            let body = equal.then(|| backlog.shape.reply(backlog.requests));
            let watch = Watch::new(stage, &replies, partitions, backlog.requests, false)?;
            let route = (backlog.topic.as_str(), replies.as_str());
            let process = server::echo(stage, route, partitions, *how, body.as_deref())?;
            let drained = watch.drain(stage, vec![process])?;
            stage.delete(&replies)?;
            Ok(drained)
        }
        Subject::Serve(mode) => {
            let topics = stage.service_topics(&backlog.topic, partitions)?;
            let drained = serve(stage, backlog, &topics, *mode)?;
            stage.answered(&topics)?;
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

/// Like [`run`], for a service whose topics are kept.
pub fn serve(
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

/// Watches the growth of a reply topic.
pub struct Watch {
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
    /// Watches the topic from now on.
    ///
    /// # Errors
    /// The topic does not exist.
    pub fn new(
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

    /// Watches until all requests are answered, then stops the processes.
    ///
    /// # Errors
    /// No more replies come, or a process ends by itself.
    pub fn drain(
        &self,
        stage: &mut Stage<'_>,
        mut processes: Vec<Process>,
    ) -> Result<Drained, Error> {
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

impl Drained {
    /// Records the figures of the drain.
    pub fn record(
        &self,
        stage: &mut Stage<'_>,
        place: (&'static str, &str),
        subject: &str,
        round: usize,
    ) -> Result<(), Error> {
        stage.figure(place, subject, Figure::Rate, round, self.rate);
        for (figure, value) in [
            (Figure::Cpu, self.cpu_us),
            (Figure::BrokerCpu, self.broker_cpu_us),
            (Figure::Busy, self.busy),
            (Figure::Resident, self.resident_mib),
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
