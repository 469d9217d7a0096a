//! Rounds of drains: all subjects in turn, compared with a floor that is the fastest of several ways.

use super::drain::{self, Backlog, Subject};
use super::error::Error;
use super::figure::Figure;
use super::options::{EXACTLY_ONCE_INTERVAL_MS, SHAPE, Scenario};
use super::server::{Echo, Mode};
use super::stage::{Stage, per_second};
use crate::kafka::tools::measure::echo::{Pace, Take};
use crate::kafka::tools::measure::shape::Shape;

/// The name of the setting for the drains of [`SHAPE`].
pub const BASE: &str = "base";
/// Number of trials of each way of a floor before one is chosen.
const TRIALS: usize = 2;

/// Ways of the echo: the service's two producers, its way to choose between them, and both ways to take
/// records.
const WAYS: [Echo; 6] = [
    way(Pace::Bulk, Take::Batch),
    way(Pace::Adaptive, Take::Each),
    way(Pace::Swift, Take::Each),
    way(Pace::Swift, Take::Batch),
    way(Pace::Bulk, Take::Each),
    way(Pace::Adaptive, Take::Batch),
];
/// Number of ways that a quick run tries.
const QUICK_WAYS: usize = 2;

const fn way(pace: Pace, take: Take) -> Echo {
    Echo { pace, take }
}

/// Measures floors, modes and checkpoint intervals.
///
/// # Errors
/// The reason why nothing could be measured.
pub fn modes(stage: &mut Stage<'_>) -> Result<(), Error> {
    const SCENARIO: &str = Scenario::Drain.as_str();
    let backlogs = vec![(BASE.to_owned(), write(stage, SHAPE)?)];
    // The first large reads and writes of a broker that has just started are slow as well.
    let [way, ..] = &WAYS;
    for (_, backlog) in &backlogs {
        drain::run(stage, backlog, &Subject::EqualBytes(*way))?;
    }
    let serve: Vec<Mode> = if stage.options.quick {
        vec![
            Mode::IMMEDIATE,
            Mode::exactly_once(EXACTLY_ONCE_INTERVAL_MS),
        ]
    } else {
        vec![
            Mode::IMMEDIATE,
            Mode {
                exactly_once: false,
                interval_ms: Some(20),
            },
            Mode::exactly_once(5),
            Mode::exactly_once(EXACTLY_ONCE_INTERVAL_MS),
            Mode::exactly_once(100),
        ]
    };
    rounds(stage, SCENARIO, &backlogs, true, &serve)
}

/// Writes a backlog with as many requests as the run's options say.
///
/// # Errors
/// As [`Backlog::write`].
pub fn write(stage: &mut Stage<'_>, shape: Shape) -> Result<Backlog, Error> {
    let topic = stage.request_topic(shape.partitions)?;
    write_into(stage, topic, shape)
}

/// Like [`write()`], into a topic that exists and has no requests yet.
///
/// # Errors
/// As [`Backlog::write`].
pub fn write_into(stage: &mut Stage<'_>, topic: String, shape: Shape) -> Result<Backlog, Error> {
    let requests = stage.options.requests;
    stage.say(&format!(
        "writing {requests} requests for {} names into {} partitions",
        shape.names, shape.partitions
    ))?;
    Backlog::write(stage, topic, shape, requests)
}

/// Measures all subjects on all backlogs, in turn. Each round begins with another subject. `same_bytes` adds
/// the floor that writes the same bytes.
///
/// # Errors
/// The reason why nothing could be measured.
pub fn rounds(
    stage: &mut Stage<'_>,
    scenario: &'static str,
    backlogs: &[(String, Backlog)],
    same_bytes: bool,
    serve: &[Mode],
) -> Result<(), Error> {
    let mut runs = Vec::new();
    for (place, (setting, backlog)) in backlogs.iter().enumerate() {
        let way = fastest(stage, scenario, setting, backlog)?;
        let mut subjects = vec![Subject::EqualBytes(way)];
        subjects.extend(same_bytes.then_some(Subject::Floor(way)));
        subjects.extend(serve.iter().copied().map(Subject::Serve));
        runs.extend(subjects.into_iter().map(|subject| (place, subject)));
    }
    warm_up(stage, scenario, backlogs, &runs)?;
    for round in 0..stage.options.rounds {
        for index in 0..runs.len() {
            let run = runs.get((index + round) % runs.len());
            let Some((place, subject)) = run else {
                continue;
            };
            let Some((setting, backlog)) = backlogs.get(*place) else {
                continue;
            };
            let drained = drain::run(stage, backlog, subject)?;
            drained.record(stage, (scenario, setting), &subject.name(), round)?;
        }
    }
    Ok(())
}

/// By now, the broker's just-in-time compiler has compiled the code that a floor uses. It would compile the
/// other code that the service uses (transactions, other topics) during the first rounds. That took a third of
/// a core.
fn warm_up(
    stage: &mut Stage<'_>,
    scenario: &'static str,
    backlogs: &[(String, Backlog)],
    runs: &[(usize, Subject)],
) -> Result<(), Error> {
    let trials = if stage.options.quick { 1 } else { TRIALS };
    for (place, subject) in runs {
        let served = matches!(subject, Subject::Serve(_));
        let Some((setting, backlog)) = backlogs.get(*place).filter(|_| served) else {
            continue;
        };
        for _ in 0..trials {
            let drained = drain::run(stage, backlog, subject)?;
            stage.say(&format!(
                "{scenario}, {setting}, before the rounds: {} {}",
                subject.name(),
                per_second(drained.rate)
            ))?;
        }
    }
    Ok(())
}

/// Tries every way on this backlog and returns the fastest: a weak floor would be a false result.
fn fastest(
    stage: &mut Stage<'_>,
    scenario: &'static str,
    setting: &str,
    backlog: &Backlog,
) -> Result<Echo, Error> {
    let (ways, trials) = if stage.options.quick {
        (QUICK_WAYS, 1)
    } else {
        (WAYS.len(), TRIALS)
    };
    let mut sums = [0.0; WAYS.len()];
    for trial in 0..trials {
        for (way, sum) in WAYS.iter().zip(&mut sums).take(ways) {
            let drained = drain::run(stage, backlog, &Subject::EqualBytes(*way))?;
            stage.figure(
                (scenario, &format!("{setting}, ways of the floor")),
                &way.name(),
                Figure::Rate,
                trial,
                drained.rate,
            );
            *sum += drained.rate;
        }
    }
    // The mean and not the best: a lucky measurement of a slow way would make a weak floor.
    let means = sums.iter().map(|sum| sum / trials as f64);
    let best = WAYS
        .iter()
        .zip(means)
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    let [first, ..] = &WAYS;
    let (way, rate) = best.unwrap_or((first, 0.0));
    stage.say(&format!(
        "{scenario}, {setting}: the floor's fastest way is {} with {}",
        way.name(),
        per_second(rate)
    ))?;
    Ok(*way)
}
