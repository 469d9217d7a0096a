//! The takeover of many sequences: its duration, its memory, and the cost of a checkpoint beside them.

use std::thread;
use std::time::{Duration, Instant};

use sequencer::bench::drain::{self, Backlog};
use sequencer::bench::options::SHAPE;
use sequencer::bench::process::{cpu, resident_bytes};
use sequencer::bench::series::shown;
use sequencer::bench::server::{Mode, Server};
use sequencer::bench::stage::Topics;
use sequencer::bench::{Error, Stage};
use sequencer::kafka;
use sequencer::kafka::tools::measure::client::{Client, Route};
use sequencer::kafka::tools::measure::shape::Shape;

use crate::figures::{
    BYTES_PER_SEQUENCE, CHECKPOINT_CPU, CHECKPOINT_MS, CHECKPOINT_RECORDS, RAW_READ, RECORDS,
    RECORDS_RATE, SECONDS, SERVE,
};
use crate::raw;
use crate::restored::{metric, restores};
use crate::scenario::Scenario;

const SCENARIO: &str = Scenario::Restore.as_str();
/// Requests a second during the checkpoints.
const BUSY_RATE: u64 = 1_000;
/// The mode for many checkpoints. At 1 ms, the service makes them as often as it can.
const MANY: Mode = Mode {
    exactly_once: false,
    interval_ms: Some(1),
};
const MANY_RATE: u64 = 2_000;
/// Restores are similar. More rounds give little more information.
const ROUNDS_MAX: usize = 3;
/// With fewer sequences, buffers are most of the memory.
const MEMORY_SEQUENCES_MIN: u64 = 500_000;
/// The time after which a service is idle and the buffers of the restore are free again.
const REST: Duration = Duration::from_secs(1);

/// The name of the setting for a number of sequences.
pub fn setting(sequences: u64) -> String {
    format!("{} sequences", shown(sequences as f64))
}

/// After many checkpoints, the most records that a restore reads for this many live entries. `rewrite_floor` is
/// `restore.rewrite_floor_records`, which holds for each partition.
pub fn bound(sequences: u64, rewrite_floor: u64) -> f64 {
    (4 * sequences + u64::from(SHAPE.partitions) * rewrite_floor) as f64
}

/// Measures a restore of each of these numbers of sequences.
pub fn run(stage: &mut Stage<'_>, sequences: &[u64]) -> Result<(), Error> {
    let empty = empty(stage)?;
    for &sequences in sequences {
        let topics = prepare(stage, sequences)?;
        let rounds = stage.options.rounds.min(ROUNDS_MAX);
        for round in 0..rounds {
            take_over(stage, &topics, &setting(sequences), round, Some(empty))?;
        }
        if !stage.options.quick {
            // Every name has given one ID.
            let next = busy(stage, &topics, sequences, sequences)?;
            many_checkpoints(stage, &topics, sequences, next)?;
        }
        stage.answered(&topics)?;
        stage.delete_of(&topics)?;
    }
    Ok(())
}

/// The memory of a service without a sequence. Measures also the cost of its checkpoints with busy sequences
/// only.
fn empty(stage: &mut Stage<'_>) -> Result<u64, Error> {
    let requests = stage.request_topic(SHAPE.partitions)?;
    let topics = stage.service_topics(&requests, SHAPE.partitions)?;
    let server = Server::start(stage, &topics, "a", Mode::IMMEDIATE)?;
    thread::sleep(REST);
    let resident = resident_bytes(server.process.id()).unwrap_or(0);
    server.process.stop()?;
    if !stage.options.quick {
        busy(stage, &topics, 0, 0)?;
    }
    stage.delete_of(&topics)?;
    Ok(resident)
}

/// Makes a service that knows this many sequences, and stops it.
fn prepare(stage: &mut Stage<'_>, sequences: u64) -> Result<Topics, Error> {
    stage.say(&format!("making {sequences} sequences"))?;
    let shape = Shape {
        names: sequences,
        ..SHAPE
    };
    let topic = stage.request_topic(shape.partitions)?;
    let topics = stage.service_topics(&topic, shape.partitions)?;
    let backlog = Backlog::write(stage, topic, shape, sequences)?;
    drain::serve(stage, &backlog, &topics, Mode::IMMEDIATE)?;
    Ok(topics)
}

/// Reads the current state, then lets a service take it over.
fn take_over(
    stage: &mut Stage<'_>,
    topics: &Topics,
    setting: &str,
    round: usize,
    empty: Option<u64>,
) -> Result<(), Error> {
    let read = raw::read(&stage.connection, &topics.state, topics.partitions)?;
    let raw_rate = read.records as f64 / read.took.as_secs_f64();
    let server = Server::start(stage, topics, "a", Mode::IMMEDIATE)?;
    thread::sleep(REST);
    let resident = resident_bytes(server.process.id());
    let restores = restores(&server);
    server.process.stop()?;
    // Partitions are taken over in parallel, and each counts from its assignment.
    let took = restores.iter().map(|restored| restored.took).max();
    let seconds = took.unwrap_or_default().as_secs_f64().max(0.001);
    let records: u64 = restores.iter().map(|restored| restored.records).sum();
    let sequences: u64 = restores.iter().map(|restored| restored.sequences).sum();
    let rate = records as f64 / seconds;
    let place = (SCENARIO, setting);
    stage.figure(place, RAW_READ, RECORDS_RATE, round, raw_rate);
    stage.figure(place, RAW_READ, RECORDS, round, read.records as f64);
    stage.figure(place, SERVE, RECORDS_RATE, round, rate);
    stage.figure(place, SERVE, RECORDS, round, records as f64);
    stage.figure(place, SERVE, SECONDS, round, seconds);
    let empty = empty.filter(|_| sequences >= MEMORY_SEQUENCES_MIN);
    if let (Some(empty), Some(resident)) = (empty, resident) {
        let bytes = resident.saturating_sub(empty) as f64 / sequences.max(1) as f64;
        stage.figure(place, SERVE, BYTES_PER_SEQUENCE, round, bytes);
    }
    stage.say(&format!(
        "{SCENARIO}, {setting}, round {}: {} records in {} s, {}/s; raw read {}/s",
        round + 1,
        shown(records as f64),
        shown(seconds),
        shown(rate),
        shown(raw_rate)
    ))
}

/// Checkpoints of a few busy sequences beside idle ones. Returns the number of the next request.
fn busy(stage: &mut Stage<'_>, topics: &Topics, idle: u64, next: u64) -> Result<u64, Error> {
    let server = Server::start(stage, topics, "a", Mode::IMMEDIATE)?;
    let mut client = client(stage, topics, idle, next)?;
    let counts = |server: &Server| -> Result<[f64; 3], Error> {
        Ok([
            metric(server, "sequencer_checkpoint_duration_seconds_sum")?,
            metric(server, "sequencer_checkpoint_duration_seconds_count")?,
            metric(server, "sequencer_checkpoint_records_total")?,
        ])
    };
    let stop = stage.stopping();
    let failed = |error: kafka::error::Error| match stop() {
        true => Error::Stopped,
        false => error.into(),
    };
    client.warm(stop).map_err(failed)?;
    let length = Duration::from_secs(stage.options.seconds);
    let (before, cpu_before) = (counts(&server)?, cpu(server.process.id()));
    let began = Instant::now();
    client
        .run(BUSY_RATE, length, stop, |_| {})
        .map_err(failed)?;
    let (after, cpu_after) = (counts(&server)?, cpu(server.process.id()));
    let elapsed = began.elapsed().as_secs_f64();
    let next = client.next();
    drop(client);
    server.process.stop()?;
    let [seconds, count, records] = [0, 1, 2].map(|index: usize| {
        let at = |list: &[f64; 3]| list.get(index).copied().unwrap_or(0.0);
        at(&after) - at(&before)
    });
    let setting = format!("{} idle, {} busy", shown(idle as f64), SHAPE.names);
    let place = (CHECKPOINT, setting.as_str());
    let each = seconds * 1000.0 / count.max(1.0);
    stage.figure(place, SERVE, CHECKPOINT_MS, 0, each);
    stage.figure(
        place,
        SERVE,
        CHECKPOINT_RECORDS,
        0,
        records / count.max(1.0),
    );
    if let (Some(before), Some(after)) = (cpu_before, cpu_after) {
        let ms = after.saturating_sub(before).as_secs_f64() * 1000.0 / elapsed;
        stage.figure(place, SERVE, CHECKPOINT_CPU, 0, ms);
    }
    stage.say(&format!(
        "{CHECKPOINT}, {setting}: {} ms each, {} records each",
        shown(each),
        shown(records / count.max(1.0))
    ))?;
    Ok(next)
}

/// The scenario of checkpoints beside idle sequences.
pub const CHECKPOINT: &str = "checkpoint";

/// The setting after many checkpoints.
pub fn setting_after_many(sequences: u64) -> String {
    format!("{}, after many checkpoints", setting(sequences))
}

/// Makes as many checkpoints as time allows, then kills the service, so that no final checkpoint rewrites the
/// state.
fn many_checkpoints(
    stage: &mut Stage<'_>,
    topics: &Topics,
    sequences: u64,
    next: u64,
) -> Result<(), Error> {
    let mut server = Server::start(stage, topics, "a", MANY)?;
    let mut client = client(stage, topics, sequences, next)?;
    let stop = stage.stopping();
    let length = Duration::from_secs(3 * stage.options.seconds);
    let run = client.run(MANY_RATE, length, stop, |_| {});
    run.map_err(|error| match stop() {
        true => Error::Stopped,
        false => error.into(),
    })?;
    let checkpoints = metric(&server, "sequencer_checkpoints_total")?;
    let records = metric(&server, "sequencer_checkpoint_records_total")?;
    drop(client);
    server.process.kill();
    stage.say(&format!(
        "{} checkpoints with {} records were made of {} sequences",
        shown(checkpoints),
        shown(records),
        shown(sequences as f64)
    ))?;
    take_over(stage, topics, &setting_after_many(sequences), 0, None)
}

/// A client that asks for the first of the names.
fn client(stage: &Stage<'_>, topics: &Topics, idle: u64, next: u64) -> Result<Client, Error> {
    let shape = Shape {
        partitions: topics.partitions,
        ..SHAPE
    };
    let route = Route {
        requests: &topics.requests,
        replies: &topics.replies,
        committed: false,
    };
    // When all idle names have given one ID, each of these has, too. Later, the number of requests decides.
    let next = if idle > 0 && next == idle {
        SHAPE.names
    } else {
        next
    };
    Ok(Client::new(&stage.connection, route, shape, next)?)
}
