//! The configuration: merges four layers into one [`Settings`], or returns an [`Error`] that names the key, the value,
//! the limit and the place.
//!
//! ```text
//! config/default.toml   --config FILE   environment          flags
//!  (compiled in)          (TOML)         SEQUENCER__A__B      --set a.b=…, --group …
//!        |                   |                 |                  |
//!        +---------+---------+--------+--------+------------------+
//!                  |                           |
//!           our own keys                  kafka.PROPERTY
//!     typed, checked, later wins     flat map, some refused, later wins
//!                  |                           |
//!                  +----------- Settings ------+---- warnings
//! ```
//!
//! Every layer is checked whole, also the values that a later layer overrides. So a mistake in a file shows at once,
//! and not on the day when the overriding flag is removed. The environment is an argument, so that a test needs no
//! process of its own.
//!
//! | file | subject |
//! |---|---|
//! | `key` | the table of keys: types, limits, the nearest known key |
//! | `layer` | checks a layer against that table |
//! | `file`, `environment`, `flags` | the sources of assignments |
//! | `gateway` | the section of the gateway |
//! | `headers` | the names of the clients' headers |
//! | `properties` | `kafka.*`: refused properties, and warnings |
//! | `resolve` | merges the layers into [`Settings`] |
//! | `secret` | finds values that are never printed |
//! | `shell` | prints command lines that can be copied |

mod checks;
mod environment;
mod error;
pub(crate) mod file;
mod flags;
mod gateway;
mod headers;
mod key;
mod layer;
mod modes;
mod origin;
mod properties;
mod raw;
mod resolve;
mod secret;
pub(crate) use crate::core::shell;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use error::{EXIT_CODE, Error};
pub(crate) use flags::Flags;
pub(crate) use gateway::Gateway;
pub(crate) use key::nearest_of;
pub(crate) use modes::{CreateTopics, LogFormat};
pub(crate) use properties::is_of_connection;
pub(crate) use secret::{REDACTED, is_secret, redact};

use config::{Map, Value};
use origin::Origin;
use serde::Serialize;

use crate::processor::Mode;
use crate::wire::headers::Names;
use crate::wire::route::AllowList;

/// The settings of an instance. No setting changes which ID a request gets: everything that does is a record in the log
/// or the state.
///
/// `Debug` prints the output of [`Settings::describe`], which hides secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `kafka.bootstrap.servers` or `--brokers`. Commands that need brokers call [`Settings::brokers`].
    pub brokers: Option<String>,
    /// `group`: the consumer group, which owns the state in Kafka.
    pub group: String,
    /// `instance_id`, or the host's name. It is unique in the group, and part of the transactional ID.
    pub instance_id: String,
    /// `topics.*`.
    pub topics: Topics,
    /// `reply.mode`.
    pub reply_mode: Mode,
    /// `reply.allow`: patterns of the reply topics that a request may name.
    pub reply_allow: Vec<String>,
    /// `reply.headers.*`: the header names of the clients' conventions.
    pub reply_headers: Names,
    /// `checkpoint.interval_ms`: the time between two checkpoints.
    pub checkpoint_interval: Duration,
    /// `restore.rewrite_floor_records`: a partition's state is not rewritten before it has this many records since the
    /// last full rewrite.
    pub rewrite_floor_records: u64,
    /// `failover.silence_ms`: the silence after which a peer counts as gone. 0 turns failover off.
    pub failover_silence_ms: u64,
    /// `http.address` as HOST:PORT. `None` when HTTP is off.
    pub http_address: Option<String>,
    /// `http.token`: the token that a reader of the pages must send. It is a secret.
    pub http_token: Option<String>,
    /// `http.hosts`: further host names for requests to a loopback address.
    pub http_hosts: Vec<String>,
    /// `gateway.*`.
    pub gateway: Gateway,
    /// `ready.lag_max_records`: the greatest lag of a partition that is ready.
    pub ready_lag_max_records: u64,
    /// `shutdown.deadline_ms`: the time for the final checkpoint and for leaving the group.
    pub shutdown_deadline: Duration,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `log.level`: valid directives of `tracing`.
    pub log_level: String,
    /// `--config`, for the commands that messages print.
    pub config_file: Option<PathBuf>,
    /// `kafka.*` without the brokers: librdkafka's properties, without refused ones. They may contain secrets.
    pub kafka: BTreeMap<String, String>,
    /// The place of each property in `kafka`.
    kafka_origins: BTreeMap<String, String>,
    /// Warnings about settings that let others pose as the brokers, one line each. They concern every command that
    /// connects.
    pub unverified: Vec<String>,
}

/// The topics, `topics.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// The topic of requests, which clients write.
    pub requests: String,
    /// The default topic of replies.
    pub replies: String,
    /// The topic of the state, which holds the counters.
    pub state: String,
    /// The topic of the ledger, which records the grants of audited sequences.
    pub ledger: String,
    /// The topic of the instances' heartbeats.
    pub heartbeats: String,
    /// The topic of replies to gateways.
    pub gateway_replies: String,
    /// Decides which missing topics `serve` creates.
    pub create: CreateTopics,
    /// Number of partitions of a created topic.
    pub partitions: i32,
    /// Number of replicas of a created topic. `None` for one on each broker, up to 3.
    pub replication: Option<i32>,
}

impl Settings {
    /// Reads and merges all layers. Also returns the warnings, one line each, which are logged after the start of the
    /// log.
    ///
    /// # Errors
    /// The first mistake, layer by layer; see [`Error`].
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Settings, Vec<String>), Error> {
        resolve::load(flags, environment)
    }

    /// The flags with which a printed command finds this service: brokers, configuration file, group and topics, and
    /// the connection's properties from `--set`. No secret is among them.
    pub fn service_flags(&self) -> String {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(brokers) = &self.brokers {
            words.extend(["--brokers".into(), brokers.into()]);
        }
        if let Some(config) = &self.config_file {
            words.extend(["--config".into(), config.into()]);
        }
        let usual = resolve::load(&Flags::default(), []).ok();
        let usual = usual.map(|(settings, _)| settings.names());
        for (at, (key, value)) in self.names().into_iter().enumerate() {
            let is_usual = usual.as_ref().is_some_and(|usual| usual[at].1 == value);
            if !is_usual {
                words.extend(["--set".into(), format!("{key}={value}").into()]);
            }
        }
        for (property, value) in &self.kafka {
            let origin = self.kafka_origins.get(property).map(String::as_str);
            if origin == Some("--set") && is_of_connection(property) && !is_secret(property) {
                words.extend(["--set".into(), format!("kafka.{property}={value}").into()]);
            }
        }
        shell::line(words)
    }

    /// The group and three topics, by their keys.
    fn names(&self) -> [(&'static str, String); 4] {
        [
            ("group", self.group.clone()),
            ("topics.requests", self.topics.requests.clone()),
            ("topics.replies", self.topics.replies.clone()),
            ("topics.state", self.topics.state.clone()),
        ]
    }

    /// The reply topics that a request may name: the gateways' topic and those in `reply.allow`, without the topics
    /// that the service keeps for itself.
    pub fn reply_topics(&self) -> AllowList {
        let Topics {
            requests,
            state,
            ledger,
            heartbeats,
            gateway_replies,
            ..
        } = &self.topics;
        let own = [requests, state, ledger, heartbeats]
            .map(String::clone)
            .to_vec();
        let mut patterns = self.reply_allow.clone();
        patterns.push(gateway_replies.clone());
        AllowList::new(patterns, own)
    }

    /// Returns the brokers.
    ///
    /// # Errors
    /// [`Error::NoBrokers`]: no layer sets them.
    pub fn brokers(&self) -> Result<&str, Error> {
        self.brokers.as_deref().ok_or(Error::NoBrokers)
    }

    /// The error for a property of `kafka` that librdkafka refuses. It names the place of the property. librdkafka's
    /// `reason` may repeat the value, so it is left out for a secret.
    pub fn property_refused(&self, property: &str, reason: &str) -> Error {
        let place = self
            .kafka_origins
            .get(property)
            .map_or("Sequencer itself", String::as_str);
        Error::Refused {
            property: property.to_owned(),
            origin: place.to_owned(),
            reason: redact(property, reason).to_owned(),
        }
    }

    /// The pairs of [`Settings::describe`] that differ from the defaults, for the log line at the start. Group,
    /// instance, brokers, mode and address are fields of their own in that line.
    pub fn changed(&self) -> Vec<(String, String)> {
        const OWN: [&str; 5] = [
            "group",
            "instance_id",
            "reply.mode",
            "http.address",
            "kafka.bootstrap.servers",
        ];
        let usual = resolve::load(&Flags::default(), []).ok();
        let usual = usual.map(|(settings, _)| settings.describe());
        let is_usual = |pair: &_| usual.as_ref().is_some_and(|usual| usual.contains(pair));
        let mut changed = self.describe();
        changed.retain(|pair| !OWN.contains(&pair.0.as_str()) && !is_usual(pair));
        changed
    }

    /// The error for a property of `kafka` that librdkafka does not know. It suggests the nearest known name, as a
    /// variable if the property came from the environment.
    pub fn property_unknown(&self, property: &str) -> Error {
        let place = self.kafka_origins.get(property).cloned();
        let hint = properties::nearest(property).map_or_else(String::new, |known| {
            let known = format!("{}{known}", key::KAFKA_PREFIX);
            match place.as_deref().is_some_and(origin::is_environment) {
                true => format!("; did you mean {}?", environment::variable_of(&known)),
                false => format!("; did you mean {known:?}?"),
            }
        });
        Error::UnknownKey {
            key: format!("{}{property}", key::KAFKA_PREFIX),
            origin: place.unwrap_or_else(|| "Sequencer itself".to_owned()),
            hint,
        }
    }

    /// Every key with its effective value and the place of that value, and the warnings.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn in_force(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Vec<InForce>, Vec<String>), Error> {
        let resolve::Loaded {
            settings,
            warnings,
            values,
        } = resolve::with_places(flags, environment)?;
        let place = |key: &str| match key.strip_prefix(key::KAFKA_PREFIX) {
            Some(property) => {
                let given = settings.kafka_origins.get(property).cloned();
                given.unwrap_or_else(|| Origin::Default.to_string())
            }
            None if key == "instance_id" && is_empty(&values, key) => Origin::Host.to_string(),
            None => resolve::place(&values, key),
        };
        let all = settings.describe().into_iter();
        let all = all.map(|(key, value)| InForce {
            origin: place(&key),
            key,
            value,
        });
        Ok((all.collect(), warnings))
    }

    /// Every key with its effective value, in the order of `config/default.toml`. Secrets are redacted.
    pub fn describe(&self) -> Vec<(String, String)> {
        let before = [
            ("group", self.group.clone()),
            ("instance_id", self.instance_id.clone()),
            ("topics.requests", self.topics.requests.clone()),
            ("topics.replies", self.topics.replies.clone()),
            ("topics.state", self.topics.state.clone()),
            ("topics.ledger", self.topics.ledger.clone()),
            ("topics.heartbeats", self.topics.heartbeats.clone()),
            (
                "topics.gateway_replies",
                self.topics.gateway_replies.clone(),
            ),
            ("topics.create", self.topics.create.to_string()),
            ("topics.partitions", self.topics.partitions.to_string()),
            (
                "topics.replication",
                self.topics.replication.unwrap_or(0).to_string(),
            ),
            ("reply.mode", self.reply_mode.to_string()),
            ("reply.allow", self.reply_allow.join(",")),
        ];
        let headers = headers::pairs(&self.reply_headers);
        let headers = headers.map(|(key, name)| (key, name.to_owned()));
        let after = [
            (
                "checkpoint.interval_ms",
                self.checkpoint_interval.as_millis().to_string(),
            ),
            (
                "restore.rewrite_floor_records",
                self.rewrite_floor_records.to_string(),
            ),
            ("failover.silence_ms", self.failover_silence_ms.to_string()),
            (
                "http.address",
                self.http_address.clone().unwrap_or_default(),
            ),
            (
                "http.token",
                self.http_token.as_ref().map_or("", |_| REDACTED).to_owned(),
            ),
            ("http.hosts", self.http_hosts.join(",")),
        ];
        let at_the_end = [
            (
                "ready.lag_max_records",
                self.ready_lag_max_records.to_string(),
            ),
            (
                "shutdown.deadline_ms",
                self.shutdown_deadline.as_millis().to_string(),
            ),
            ("log.format", self.log_format.to_string()),
            ("log.level", self.log_level.clone()),
            (
                "kafka.bootstrap.servers",
                self.brokers.clone().unwrap_or_default(),
            ),
        ];
        let kafka = self.kafka.iter().map(|(property, value)| {
            (
                format!("kafka.{property}"),
                redact(property, value).to_owned(),
            )
        });
        before
            .into_iter()
            .chain(headers)
            .chain(after)
            .chain(self.gateway.pairs())
            .chain(at_the_end)
            .map(|(key, value)| (key.to_owned(), value))
            .chain(kafka)
            .collect()
    }
}

/// A key of the configuration with its effective value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// The full name of the key.
    pub key: String,
    /// The value, or a placeholder for a secret.
    pub value: String,
    /// The place of the value, in words.
    pub origin: String,
}

fn is_empty(values: &Map<String, Value>, key: &str) -> bool {
    let value = values.get(key).cloned();
    value.is_none_or(|value| value.into_string().is_ok_and(|text| text.is_empty()))
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.describe()).finish()
    }
}
