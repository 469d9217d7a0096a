//! Merges the layers into [`Settings`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use config::{Config, Map, Source, Value, ValueKind};
use serde::Deserialize;

use super::checks;
use super::environment;
use super::error::Error;
use super::flags::Flags;
use super::gateway;
use super::headers;
use super::layer::{self, Layer};
use super::modes::{CreateTopics, LogFormat};
use super::origin::Origin;
use super::properties::Properties;
use super::{Settings, Topics};
use crate::processor::Mode;
use crate::wire::headers::Names;

/// A longer interval gets a warning in `exactly_once` mode: every answer waits for a checkpoint, and Kafka aborts a
/// transaction that is open for longer than a few seconds.
const EXACTLY_ONCE_INTERVAL_MS_ADVISED: u64 = 1_000;

/// The keys as the `config` crate deserialises them; [`super::key::KEYS`] has their limits.
#[derive(Deserialize)]
struct Shape {
    group: String,
    instance_id: String,
    topics: TopicsShape,
    reply: ReplyShape,
    checkpoint: CheckpointShape,
    restore: RestoreShape,
    failover: FailoverShape,
    membership: Option<MembershipShape>,
    http: HttpShape,
    gateway: gateway::Shape,
    ready: ReadyShape,
    shutdown: ShutdownShape,
    log: LogShape,
}

#[derive(Deserialize)]
struct TopicsShape {
    requests: String,
    replies: String,
    state: String,
    ledger: String,
    heartbeats: String,
    gateway_replies: String,
    create: CreateTopics,
    partitions: i32,
    replication: i32,
}

#[derive(Deserialize)]
struct ReplyShape {
    mode: Mode,
    allow: Vec<String>,
    headers: headers::Shape,
}

#[derive(Deserialize)]
struct CheckpointShape {
    interval_ms: u64,
}

#[derive(Deserialize)]
struct RestoreShape {
    rewrite_floor_records: u64,
}

#[derive(Deserialize)]
struct FailoverShape {
    silence_ms: u64,
}

#[derive(Deserialize)]
struct MembershipShape {
    r#static: bool,
}

#[derive(Deserialize)]
struct HttpShape {
    address: String,
    token: String,
    hosts: Vec<String>,
}

#[derive(Deserialize)]
struct ReadyShape {
    lag_max_records: u64,
}

#[derive(Deserialize)]
struct ShutdownShape {
    deadline_ms: u64,
}

#[derive(Deserialize)]
struct LogShape {
    format: LogFormat,
    level: String,
}

/// See [`Settings::load`].
pub(super) fn load(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Settings, Vec<String>), Error> {
    let loaded = with_places(flags, environment)?;
    Ok((loaded.settings, loaded.warnings))
}

/// The result of a load.
pub(super) struct Loaded {
    pub settings: Settings,
    pub warnings: Vec<String>,
    /// The merged layers, with the [`place`] of each value.
    pub values: Map<String, Value>,
}

/// Like [`load`], with the place of each value.
pub(super) fn with_places(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Error> {
    let mut properties = Properties::default();
    let mut layers = Config::builder();
    let mut assignments = vec![layer::defaults()?];
    if let Some(path) = &flags.config {
        assignments.push(layer::file(path)?);
    }
    assignments.push(environment::assignments(environment)?);
    assignments.push(layer::flags(flags)?);
    for assignments in assignments {
        layers = layers.add_source(Layer::new(assignments, &mut properties)?);
    }
    let merged = layers.build()?;
    let values = merged.collect()?;
    let shape: Shape = merged.try_deserialize()?;
    distinct_topics(&shape.topics, &values)?;
    shape.gateway.check(&values)?;
    properties.check()?;
    let mut warnings = properties.warnings();
    warnings.extend(slow_answers(&shape));
    warnings.extend(always_static(&shape, &values));
    let settings = settings(shape, properties, flags.config.clone())?;
    distinct_headers(&settings.reply_headers, &values)?;
    Ok(Loaded {
        settings,
        warnings,
        values,
    })
}

fn settings(
    shape: Shape,
    properties: Properties,
    config_file: Option<PathBuf>,
) -> Result<Settings, Error> {
    let unverified = properties.unverified();
    let (brokers, kafka, kafka_origins) = properties.into_parts();
    Ok(Settings {
        brokers,
        group: shape.group,
        instance_id: instance_id(shape.instance_id)?,
        topics: Topics {
            requests: shape.topics.requests,
            replies: shape.topics.replies,
            state: shape.topics.state,
            ledger: shape.topics.ledger,
            heartbeats: shape.topics.heartbeats,
            gateway_replies: shape.topics.gateway_replies,
            create: shape.topics.create,
            partitions: shape.topics.partitions,
            replication: Some(shape.topics.replication).filter(|replicas| *replicas > 0),
        },
        reply_mode: shape.reply.mode,
        reply_allow: shape.reply.allow,
        reply_headers: Names::from(shape.reply.headers),
        checkpoint_interval: Duration::from_millis(shape.checkpoint.interval_ms),
        rewrite_floor_records: shape.restore.rewrite_floor_records,
        failover_silence_ms: shape.failover.silence_ms,
        http_address: Some(shape.http.address).filter(|address| !address.is_empty()),
        http_token: Some(shape.http.token).filter(|token| !token.is_empty()),
        http_hosts: shape.http.hosts,
        gateway: shape.gateway.into(),
        ready_lag_max_records: shape.ready.lag_max_records,
        shutdown_deadline: Duration::from_millis(shape.shutdown.deadline_ms),
        log_format: shape.log.format,
        log_level: shape.log.level,
        config_file,
        kafka,
        kafka_origins,
        unverified,
    })
}

/// The instance's name, by default the host's.
fn instance_id(configured: String) -> Result<String, Error> {
    if !configured.is_empty() {
        return Ok(configured);
    }
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    if !host.is_empty() && (checks::INSTANCE.accepts)(&host) {
        return Ok(host);
    }
    Err(Error::Invalid {
        key: "instance_id".to_owned(),
        origin: Origin::Host.to_string(),
        value: format!("{host:?}"),
        expected: "1 to 200 letters, digits, '.', '_' or '-'; set instance_id".to_owned(),
    })
}

/// Refuses a topic in two roles: answers would come back as requests, or be compacted away.
fn distinct_topics(topics: &TopicsShape, values: &Map<String, Value>) -> Result<(), Error> {
    let named = [
        ("topics.requests", topics.requests.as_str()),
        ("topics.replies", topics.replies.as_str()),
        ("topics.state", topics.state.as_str()),
        ("topics.ledger", topics.ledger.as_str()),
        ("topics.heartbeats", topics.heartbeats.as_str()),
        ("topics.gateway_replies", topics.gateway_replies.as_str()),
    ];
    distinct("topic", &named, values)
}

/// Refuses a header in two roles: it would be written twice, and read in one role only.
fn distinct_headers(names: &Names, values: &Map<String, Value>) -> Result<(), Error> {
    let named: Vec<_> = headers::pairs(names).collect();
    distinct("header", &named, values)
}

/// Refuses equal values of these keys.
fn distinct(what: &str, named: &[(&str, &str)], values: &Map<String, Value>) -> Result<(), Error> {
    for (index, (key, name)) in named.iter().enumerate() {
        let Some((other, _)) = named
            .iter()
            .take(index)
            .find(|(_, earlier)| earlier == name)
        else {
            continue;
        };
        // The error names the key that the operator changed, since the other may be a default.
        let changed = if place(values, key) == Origin::Default.to_string() {
            other
        } else {
            key
        };
        let kept = if changed == key { other } else { key };
        return Err(Error::Invalid {
            key: (*changed).to_owned(),
            origin: place(values, changed),
            value: format!("{name:?}"),
            expected: format!("a {what} other than {kept}"),
        });
    }
    Ok(())
}

/// The place where the effective value of a key was given.
pub(super) fn place(values: &Map<String, Value>, key: &str) -> String {
    let mut parts = key.split('.');
    let mut value = parts.next().and_then(|first| values.get(first));
    for part in parts {
        value = value.and_then(|value| match &value.kind {
            ValueKind::Table(table) => table.get(part),
            _ => None,
        });
    }
    value.and_then(Value::origin).unwrap_or_default().to_owned()
}

/// The warning about a key of earlier releases.
fn always_static(shape: &Shape, values: &Map<String, Value>) -> Option<String> {
    let given = shape.membership.as_ref()?.r#static;
    let place = place(values, "membership.static");
    Some(format!(
        "membership.static={given} in {place} has no effect: an instance is always a static member of the \
         group, and leaves it when it stops"
    ))
}

fn slow_answers(shape: &Shape) -> Option<String> {
    let interval_ms = shape.checkpoint.interval_ms;
    let slow =
        shape.reply.mode == Mode::ExactlyOnce && interval_ms > EXACTLY_ONCE_INTERVAL_MS_ADVISED;
    slow.then(|| {
        format!(
            "checkpoint.interval_ms is {interval_ms} with reply.mode exactly_once: every answer waits \
             up to that long; {EXACTLY_ONCE_INTERVAL_MS_ADVISED} or less is advised"
        )
    })
}
