//! The scenarios that are made of drains.

use super::drain::{self, Backlog, Subject};
use super::server::{Echo, Mode};
use super::stage::{Stage, per_second};
use super::{EXACTLY_ONCE_INTERVAL_MS, Error, NAMES, PARTITIONS, Scenario};
use crate::kafka::tools::measure::shape::Shape;

/// Partitions of the scenario that varies them.
const PARTITION_COUNTS: [u32; 4] = [1, 4, 16, 64];
/// Names of the scenario that varies them.
const NAME_COUNTS: [u64; 3] = [1, 100, 1_000_000];
/// How often each way of a floor is tried before one is kept.
const TRIALS: usize = 2;

/// The scenarios that compare the service with itself, each with its setting.
pub(super) const REQUEST_ID: (&str, &str) = (Scenario::RequestId.as_str(), "request_id on each");
pub(super) const AUDIT: (&str, &str) = (Scenario::Audit.as_str(), "audit of each");
/// The setting of both without it.
pub(super) const NONE: &str = "none";

const SHAPE: Shape = Shape {
    names: NAMES,
    partitions: PARTITIONS,
    request_id: false,
    audited: false,
};

/// Ways of the echo: the service's two producers, its way to choose between them, and both ways of
/// taking records.
const WAYS: [Echo; 6] = [
    way("bulk", "batch"),
    way("adaptive", "each"),
    way("swift", "each"),
    way("swift", "batch"),
    way("bulk", "each"),
    way("adaptive", "batch"),
];
/// Those that are worth a try when there is no time.
const QUICK_WAYS: usize = 2;

const fn way(pace: &'static str, take: &'static str) -> Echo {
    Echo { pace, take }
}

/// Floors, modes, checkpoint intervals.
pub(super) fn modes(stage: &mut Stage<'_>) -> Result<(), Error> {
    const SCENARIO: &str = "drain";
    let mut backlogs = vec![("base".to_owned(), write(stage, SHAPE)?)];
    // The first large reads and writes of a broker that has just started are slow as well.
    let [way, ..] = &WAYS;
    for (_, backlog) in &backlogs {
        drain::run(stage, backlog, &Subject::EqualBytes(way.clone()))?;
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
    rounds(stage, SCENARIO, &mut backlogs, true, &serve)
}

/// 1, 100, 1,000,000 names.
pub(super) fn names(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut backlogs = Vec::new();
    for names in NAME_COUNTS {
        let backlog = write(stage, Shape { names, ..SHAPE })?;
        backlogs.push((format!("{names} names"), backlog));
    }
    rounds(stage, "names", &mut backlogs, false, &[Mode::IMMEDIATE])
}

/// 1, 4, 16, 64 partitions.
pub(super) fn partitions(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut backlogs = Vec::new();
    for partitions in PARTITION_COUNTS {
        let shape = Shape {
            partitions,
            // So that none of 64 partitions is left without.
            names: NAMES.max(u64::from(partitions) * 16),
            ..SHAPE
        };
        let backlog = write(stage, shape)?;
        backlogs.push((format!("{partitions} partitions"), backlog));
    }
    rounds(
        stage,
        "partitions",
        &mut backlogs,
        false,
        &[Mode::IMMEDIATE],
    )
}

/// With and without `request_id`.
pub(super) fn request_id(stage: &mut Stage<'_>) -> Result<(), Error> {
    let shape = Shape {
        request_id: true,
        ..SHAPE
    };
    with_and_without(stage, REQUEST_ID, shape)
}

/// With and without a record in the ledger for each grant.
pub(super) fn audit(stage: &mut Stage<'_>) -> Result<(), Error> {
    let shape = Shape {
        audited: true,
        ..SHAPE
    };
    with_and_without(stage, AUDIT, shape)
}

fn with_and_without(
    stage: &mut Stage<'_>,
    (scenario, setting): (&'static str, &str),
    shape: Shape,
) -> Result<(), Error> {
    let mut backlogs = Vec::new();
    for (setting, shape) in [(NONE, SHAPE), (setting, shape)] {
        backlogs.push((setting.to_owned(), write(stage, shape)?));
    }
    rounds(stage, scenario, &mut backlogs, false, &[Mode::IMMEDIATE])
}

/// 1 and 2 instances.
pub(super) fn instances(stage: &mut Stage<'_>) -> Result<(), Error> {
    const SCENARIO: &str = "instances";
    for round in 0..stage.options.rounds {
        for index in 0..2 {
            let instances = 1 + (index + round) % 2;
            let drained = drain::shared(stage, SHAPE, stage.options.requests, instances)?;
            let setting = format!("{instances} instances");
            drained.record(stage, (SCENARIO, &setting), "immediate", round)?;
        }
    }
    Ok(())
}

fn write(stage: &mut Stage<'_>, shape: Shape) -> Result<Backlog, Error> {
    let requests = stage.options.requests;
    stage.say(&format!(
        "writing {requests} requests for {} names into {} partitions",
        shape.names, shape.partitions
    ))?;
    Backlog::write(stage, shape, requests)
}

/// All subjects on all backlogs, in turn, each round beginning with another.
fn rounds(
    stage: &mut Stage<'_>,
    scenario: &'static str,
    backlogs: &mut [(String, Backlog)],
    same_bytes: bool,
    serve: &[Mode],
) -> Result<(), Error> {
    let mut runs = Vec::new();
    for (place, (setting, backlog)) in backlogs.iter().enumerate() {
        let way = fastest(stage, scenario, setting, backlog)?;
        let mut subjects = vec![Subject::EqualBytes(way.clone())];
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

/// The broker's compiler has been through what a floor asks for by now; what the service asks for beside
/// it (transactions, other topics) would be compiled during the first rounds, and took a third of a core.
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

/// A weak floor would be a false result: every way is tried on this backlog, and the fastest kept.
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
            let drained = drain::run(stage, backlog, &Subject::EqualBytes(way.clone()))?;
            stage.figure(
                (scenario, &format!("{setting}, ways of the floor")),
                &way.name(),
                drain::RATE,
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
    Ok(way.clone())
}
