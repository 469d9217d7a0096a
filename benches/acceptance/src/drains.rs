//! Backlogs with other names, partitions, requests and instances.

use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer as _};
use sequencer::bench::drain::{Backlog, Drained, Watch};
use sequencer::bench::options::SHAPE;
use sequencer::bench::server::{self, Mode, Server};
use sequencer::bench::{Error, Stage, drains};
use sequencer::core::name::POLICY;
use sequencer::kafka::clients::Connection;
use sequencer::kafka::error as kafka;
use sequencer::kafka::produce::Producer;
use sequencer::kafka::tools::measure::backlog;
use sequencer::kafka::tools::measure::shape::Shape;

use crate::held::Held;
use crate::scenario::Scenario;

/// Partitions of the scenario that varies them.
const PARTITION_COUNTS: [u32; 4] = [1, 4, 16, 64];
/// Names of the scenario that varies them.
const NAME_COUNTS: [u64; 3] = [1, 100, 1_000_000];
/// The policy that audits the sequences that requests for undefined names create.
const AUDITED: &[u8] = br#"{"op":"policy","undefined":"create","audit":true}"#;
/// The longest time for writing the policy.
const POLICY_WAIT: Duration = Duration::from_secs(30);

/// The scenarios that compare the service with itself, each with its setting.
pub const REQUEST_ID: (&str, &str) = (Scenario::RequestId.as_str(), "request_id on each");
pub const AUDIT: (&str, &str) = (Scenario::Audit.as_str(), "audit of each");
/// The setting of both scenarios without the option.
pub const NONE: &str = "none";

/// The name of the setting for a number of names.
pub fn names_setting(names: u64) -> String {
    format!("{names} names")
}

/// The name of the setting for a number of partitions.
pub fn partitions_setting(partitions: u32) -> String {
    format!("{partitions} partitions")
}

/// Drains with 1, 100 and 1,000,000 names.
pub fn names(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut backlogs = Vec::new();
    for names in NAME_COUNTS {
        let backlog = drains::write(stage, Shape { names, ..SHAPE })?;
        backlogs.push((names_setting(names), backlog));
    }
    drains::rounds(
        stage,
        Scenario::Names.as_str(),
        &backlogs,
        false,
        &[Mode::IMMEDIATE],
    )
}

/// Drains with 1, 4, 16 and 64 partitions.
pub fn partitions(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut backlogs = Vec::new();
    for partitions in PARTITION_COUNTS {
        let shape = Shape {
            partitions,
            // Enough names that each of 64 partitions has some.
            names: SHAPE.names.max(u64::from(partitions) * 16),
            ..SHAPE
        };
        let backlog = drains::write(stage, shape)?;
        backlogs.push((partitions_setting(partitions), backlog));
    }
    drains::rounds(
        stage,
        Scenario::Partitions.as_str(),
        &backlogs,
        false,
        &[Mode::IMMEDIATE],
    )
}

/// Drains with and without `request_id`.
pub fn request_id(stage: &mut Stage<'_>) -> Result<(), Error> {
    let shape = Shape {
        request_id: true,
        ..SHAPE
    };
    let without = drains::write(stage, SHAPE)?;
    let with = drains::write(stage, shape)?;
    with_and_without(stage, REQUEST_ID, with, without)
}

/// Drains with and without a record in the ledger for each grant.
pub fn audit(stage: &mut Stage<'_>) -> Result<(), Error> {
    let without = drains::write(stage, SHAPE)?;
    let topic = stage.request_topic(SHAPE.partitions)?;
    audit_all(&stage.connection, &topic, SHAPE.partitions)?;
    let with = drains::write_into(stage, topic, SHAPE)?;
    with_and_without(stage, AUDIT, with, without)
}

fn with_and_without(
    stage: &mut Stage<'_>,
    (scenario, setting): (&'static str, &str),
    with: Backlog,
    without: Backlog,
) -> Result<(), Error> {
    let backlogs = [(NONE.to_owned(), without), (setting.to_owned(), with)];
    drains::rounds(stage, scenario, &backlogs, false, &[Mode::IMMEDIATE])
}

/// Sets the policy of each partition so that every sequence is audited.
fn audit_all(connection: &Connection, topic: &str, partitions: u32) -> Result<(), kafka::Error> {
    let failed = |error| kafka::Error::from_kafka("write the policy", &error).about(topic);
    let producer = Producer::new(&backlog::config(connection))?;
    let producer = producer.base();
    for partition in 0..partitions {
        let record = BaseRecord::to(topic)
            .partition(i32::try_from(partition).unwrap_or(i32::MAX))
            .key(POLICY.as_bytes())
            .payload(AUDITED);
        producer.send(record).map_err(|(error, _)| failed(error))?;
    }
    producer.flush(POLICY_WAIT).map_err(failed)
}

/// Drains with 1 and 2 instances.
pub fn instances(stage: &mut Stage<'_>) -> Result<(), Error> {
    const SCENARIO: &str = Scenario::Instances.as_str();
    for round in 0..stage.options.rounds {
        for index in 0..2 {
            let instances = 1 + (index + round) % 2;
            let drained = shared(stage, SHAPE, stage.options.requests, instances)?;
            let setting = format!("{instances} instances");
            let subject = Mode::IMMEDIATE.name();
            drained.record(stage, (SCENARIO, &setting), &subject, round)?;
        }
    }
    Ok(())
}

/// Several instances that share the partitions before the backlog appears, all of it at once.
fn shared(
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
    stage.answered(&topics)?;
    stage.delete_of(&topics)?;
    Ok(drained)
}
