//! Latencies in an open loop at several rates, through the echo and through the service.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::error::Error;
use super::figure::{ECHO, ECHO_ADAPTIVE, Figure, Quantile};
use super::options::{EXACTLY_ONCE_INTERVAL_MS, SHAPE, Scenario};
use super::process::Process;
use super::report::Curve;
use super::series::shown;
use super::server::{self, Echo, Mode, Server};
use super::stage::Stage;
use crate::kafka::tools::measure::client::{Answered, Client, Route};
use crate::kafka::tools::measure::echo::{Pace, Take};

/// Requests a second.
const RATES: [u64; 4] = [100, 1_000, 10_000, 50_000];
/// The only rate of a quick run.
pub const QUICK_RATE: u64 = 1_000;
/// Requests that are due in this first part of a measurement are not counted: caches and batches are cold.
const SETTLE: Duration = Duration::from_millis(500);
/// Requests a second that warm a broker up.
const WARM_RATE: u64 = 5_000;
/// Significant digits of a latency.
const DIGITS: u8 = 3;
/// The longest latency that is distinguished, in microseconds: two minutes.
const LATENCY_US_MAX: u64 = 120_000_000;
/// Points of a curve. A point is the share of requests that took longer, down to one in ten thousand.
const CURVE_STEPS: u32 = 40;

enum Subject {
    Echo(&'static str, Echo),
    Serve(Mode),
}

impl Subject {
    fn name(&self) -> String {
        match self {
            Subject::Echo(name, _) => (*name).to_owned(),
            Subject::Serve(mode) => mode.name(),
        }
    }
}

/// The name of a rate's setting in the report.
pub fn setting(rate: u64) -> String {
    format!("{}/s", shown(rate as f64))
}

const fn echo(pace: Pace) -> Echo {
    Echo {
        pace,
        take: Take::Each,
    }
}

/// Measures all subjects at all rates, in turn.
///
/// # Errors
/// The reason why nothing could be measured.
pub fn run(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut subjects = vec![
        Subject::Echo(ECHO, echo(Pace::Swift)),
        Subject::Serve(Mode::IMMEDIATE),
        Subject::Serve(Mode::exactly_once(EXACTLY_ONCE_INTERVAL_MS)),
    ];
    let mut rates = RATES.to_vec();
    if stage.options.quick {
        rates = vec![QUICK_RATE];
    } else {
        subjects.push(Subject::Echo(ECHO_ADAPTIVE, echo(Pace::Adaptive)));
        subjects.push(Subject::Serve(Mode::exactly_once(5)));
    }
    let mut merged: BTreeMap<(u64, String), Histogram<u64>> = BTreeMap::new();
    for round in 0..stage.options.rounds {
        for index in 0..subjects.len() {
            let Some(subject) = subjects.get((index + round) % subjects.len()) else {
                continue;
            };
            for (rate, histogram) in measure(stage, subject, &rates, round)? {
                let all = merged.entry((rate, subject.name()));
                all.and_modify(|all| *all += &histogram)
                    .or_insert(histogram);
            }
        }
    }
    for ((rate, subject), histogram) in merged {
        stage.curve(curve(rate, subject, &histogram));
    }
    Ok(())
}

/// Sends small requests through an echo before anything is measured. A broker that has just started runs its
/// code slowly, and the first subject would pay for that.
pub fn warm_broker(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.say("warming the broker up")?;
    let requests = stage.request_topic(SHAPE.partitions)?;
    let replies = stage.reply_topic(SHAPE.partitions)?;
    let route = (requests.as_str(), replies.as_str());
    let process = server::echo(stage, route, SHAPE.partitions, echo(Pace::Swift), None)?;
    let route = Route {
        requests: &requests,
        replies: &replies,
        committed: false,
    };
    let stop = stage.stopping();
    let length = Duration::from_secs(stage.options.seconds);
    Client::new(&stage.connection, route, SHAPE, 0)
        .and_then(|mut client| client.run(WARM_RATE, length, stop, |_| {}))
        .map_err(|error| stage.check().err().unwrap_or(error.into()))?;
    process.stop()?;
    stage.delete(&requests)?;
    stage.delete(&replies)
}

/// Measures all rates in turn, through one process.
fn measure(
    stage: &mut Stage<'_>,
    subject: &Subject,
    rates: &[u64],
    round: usize,
) -> Result<Vec<(u64, Histogram<u64>)>, Error> {
    let requests = stage.request_topic(SHAPE.partitions)?;
    let topics = stage.service_topics(&requests, SHAPE.partitions)?;
    let (mut process, committed): (Process, bool) = match subject {
        Subject::Echo(_, how) => {
            let route = (topics.requests.as_str(), topics.replies.as_str());
            (
                server::echo(stage, route, SHAPE.partitions, *how, None)?,
                false,
            )
        }
        Subject::Serve(mode) => {
            let server = Server::start(stage, &topics, "a", *mode)?;
            (server.process, mode.exactly_once)
        }
    };
    let route = Route {
        requests: &topics.requests,
        replies: &topics.replies,
        committed,
    };
    let stop = stage.stopping();
    let stopped = |error: crate::kafka::error::Error| {
        if stop() { Error::Stopped } else { error.into() }
    };
    let mut client = Client::new(&stage.connection, route, SHAPE, 0).map_err(stopped)?;
    client.warm(stop).map_err(stopped)?;
    let mut histograms = Vec::new();
    for &rate in rates {
        process.check()?;
        let mut histogram = histogram()?;
        let length = SETTLE + Duration::from_secs(stage.options.seconds);
        let run = client
            .run(rate, length, stop, |answered: Answered| {
                if answered.due >= SETTLE {
                    let us = u64::try_from(answered.latency.as_micros()).unwrap_or(u64::MAX);
                    histogram.saturating_record(us);
                }
            })
            .map_err(stopped)?;
        if run.unanswered > 0 {
            stage.note(format!(
                "{} at {}: {} of {} requests had no reply in time, and are in no quantile",
                subject.name(),
                setting(rate),
                run.unanswered,
                run.sent
            ))?;
        }
        record(stage, subject, rate, round, &histogram)?;
        histograms.push((rate, histogram));
    }
    process.stop()?;
    if matches!(subject, Subject::Serve(_)) {
        stage.answered(&topics)?;
    }
    stage.delete_of(&topics)?;
    Ok(histograms)
}

fn histogram() -> Result<Histogram<u64>, Error> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)
        .map_err(|error| Error::Subject(format!("histogram: {error}")))
}

fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

fn record(
    stage: &mut Stage<'_>,
    subject: &Subject,
    rate: u64,
    round: usize,
    histogram: &Histogram<u64>,
) -> Result<(), Error> {
    let setting = setting(rate);
    let mut line = format!(
        "latency, {setting}, round {}: {}",
        round + 1,
        subject.name()
    );
    let place = (Scenario::Latency.as_str(), setting.as_str());
    for quantile in Quantile::ALL {
        let value = milliseconds(histogram.value_at_quantile(quantile.share()));
        let figure = Figure::Latency(quantile);
        stage.figure(place, &subject.name(), figure, round, value);
        line.push_str(&format!(", {} {}", quantile.as_str(), shown(value)));
    }
    stage.say(&format!("{line} ms"))
}

/// The latency curve over all rounds. Its steps are even in the number of nines.
fn curve(rate: u64, subject: String, histogram: &Histogram<u64>) -> Curve {
    // A quantile beyond one request in all of them has no meaning.
    let nines_max = (histogram.len().max(1) as f64).log10();
    let steps = (0..=CURVE_STEPS).map(|step| f64::from(step) / 10.0);
    let points = steps.take_while(|nines| *nines <= nines_max).map(|nines| {
        let quantile = 1.0 - 10_f64.powf(-nines);
        (nines, milliseconds(histogram.value_at_quantile(quantile)))
    });
    Curve {
        setting: setting(rate),
        subject,
        requests: histogram.len(),
        points: points.collect(),
    }
}
