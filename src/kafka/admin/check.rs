//! Checks that the topics of the service fulfil the conditions of the promise.

use std::collections::BTreeMap;

use serde::Serialize;

use super::topics::{
    BATCH_BYTES, COMPACTION_LAG_MS, HEARTBEATS_KEPT_MS, REPLICATION_MAX, TopicNames,
    min_insync_replicas,
};
use super::{Admin, Cluster, Topic, TopicConfig};
use crate::core::shell;
use crate::kafka::clients::FORWARD_BYTES_MAX;
use crate::kafka::error::{Class, Error};

/// Requests should outlast an outage over a night.
const RETENTION_MS_MIN: i64 = 24 * 3_600_000;

/// The consequence of missing heartbeats.
const NAMESAKE: &str = "a second process of one instance_id does not refuse to start";

/// Largest record of the state, in bytes: a segment of the window is the largest, with 2,900.
const STATE_RECORD_BYTES_MAX: i64 = 8 * 1024;
/// Largest page of the ledger, in bytes: eight records with a few texts of 255 bytes, escaped.
const LEDGER_PAGE_BYTES_MAX: i64 = 64 * 1024;
/// Largest reply, in bytes. With a smaller limit, a reply with a long correlation loses it.
const REPLY_BYTES_MAX: i64 = 80 * 1024;

/// The settings for existing topics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    /// `topics.partitions`.
    pub partitions: Option<u32>,
    /// Replicas that the settings ask for. A topic with this number is not reported, also if it has fewer than
    /// three.
    pub replication: Option<u32>,
    /// `kafka.session.timeout.ms`.
    pub session_timeout_ms: Option<i64>,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// The promise does not hold, or the service cannot work.
    Error,
    /// The promise holds, with a smaller margin than possible.
    Warning,
}

/// One deviation from the conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The topic.
    pub topic: String,
    /// The problem, in one line.
    pub problem: String,
    /// The remedy, in one line; a command where one exists.
    pub remedy: String,
}

/// A topic as it was found.
struct ExistingTopic<'a> {
    name: &'a str,
    shape: Topic,
    config: &'a TopicConfig,
    brokers: usize,
    bootstrap: &'a str,
    expected: Expected,
}

impl Admin {
    /// Checks the topics of the service. Without findings, all is well.
    ///
    /// # Errors
    /// The cluster cannot be reached, or does not permit the check.
    pub(crate) fn check_topics(
        &self,
        names: &TopicNames,
        expected: Expected,
    ) -> Result<Vec<Finding>, Error> {
        let cluster = self.cluster()?;
        let mut configs = BTreeMap::new();
        let mut hidden = Vec::new();
        for name in names.all() {
            if !cluster.topics.contains_key(name) {
                hidden.extend(self.hidden(name));
            } else if let Some(config) = self.topic_config(name)? {
                configs.insert(name.clone(), config);
            }
        }
        let mut findings = findings(names, &cluster, &configs, self.brokers(), expected);
        if let Some(session_ms) = expected.session_timeout_ms {
            let broker = match self.broker_config() {
                // Reading a broker's settings needs a permission that no other question needs.
                Err(error) if error.class == Class::Denied => None,
                config => config?,
            };
            let range = broker
                .as_ref()
                .and_then(|config| session(config, session_ms));
            findings.splice(0..0, range);
        }
        // A topic that this client may not see looks like one that does not exist.
        for hidden in hidden {
            findings.retain(|finding| finding.topic != hidden.topic);
            findings.insert(0, hidden);
        }
        Ok(findings)
    }

    /// Checks the topic of the heartbeats. No answer depends on it, so each finding is only a warning.
    ///
    /// # Errors
    /// The cluster cannot be reached.
    pub(crate) fn check_heartbeats(&self, name: &str) -> Result<Vec<Finding>, Error> {
        let cluster = self.cluster()?;
        let hidden = match cluster.topics.contains_key(name) {
            true => None,
            false => self.hidden(name),
        };
        if let Some(hidden) = hidden {
            return Ok(vec![Finding {
                severity: Severity::Warning,
                ..hidden
            }]);
        }
        let config = match self.topic_config(name) {
            Err(error) if error.class == Class::Denied => None,
            config => config?,
        };
        let config = config.unwrap_or_default();
        Ok(heartbeats(name, &cluster, &config, self.brokers()))
    }

    /// A finding if a topic is not in the list because of a missing ACL.
    fn hidden(&self, name: &str) -> Option<Finding> {
        let error = self.denied(name)?;
        Some(Finding {
            severity: Severity::Error,
            topic: name.to_owned(),
            problem: format!("topic {name:?} cannot be seen: {}", error.message),
            remedy: "grant it to the principal that kafka.sasl.username or the certificate names"
                .to_owned(),
        })
    }
}

/// The findings about the topics of a cluster; worst first.
pub(crate) fn findings(
    names: &TopicNames,
    cluster: &Cluster,
    configs: &BTreeMap<String, TopicConfig>,
    bootstrap: &str,
    expected: Expected,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let none = TopicConfig::new();
    let mut found = |name| match cluster.topics.get(name) {
        Some(&shape) => Some(ExistingTopic {
            name,
            shape,
            config: configs.get(name).unwrap_or(&none),
            brokers: cluster.brokers,
            bootstrap,
            expected,
        }),
        None => {
            findings.push(Finding {
                severity: Severity::Error,
                topic: name.to_owned(),
                problem: format!("topic {name:?} does not exist"),
                remedy: format!(
                    "create it with: sequencer topics create --brokers {}",
                    shell::word(bootstrap.as_ref())
                ),
            });
            None
        }
    };
    let requests = found(names.requests.as_str());
    let replies = found(names.replies.as_str());
    let state = found(names.state.as_str());
    let ledger = found(names.ledger.as_str());
    for topic in [&requests, &replies, &state, &ledger].into_iter().flatten() {
        durability(topic, &mut findings);
    }
    for topic in [&requests, &replies].into_iter().flatten() {
        check_partitions(topic, &mut findings);
    }
    for (topic, need) in [
        (
            &requests,
            need(i64::try_from(FORWARD_BYTES_MAX).unwrap_or(i64::MAX), STRAY),
        ),
        (&state, need(STATE_RECORD_BYTES_MAX, ENTRY)),
        (&ledger, need(LEDGER_PAGE_BYTES_MAX, PAGE)),
        (
            &replies,
            Need {
                fatal: false,
                ..need(REPLY_BYTES_MAX, REPLY)
            },
        ),
    ] {
        if let Some(topic) = topic {
            check_batch_size(topic, need, &mut findings);
        }
    }
    if let Some(requests) = &requests {
        check_requests(requests, &mut findings);
    }
    if let Some(replies) = &replies {
        check_replies(replies, &mut findings);
    }
    if let Some(state) = &state {
        check_state(state, &mut findings);
    }
    if let Some(ledger) = &ledger {
        check_ledger(ledger, &mut findings);
    }
    for other in [&state, &ledger].into_iter().flatten() {
        if let Some(requests) = &requests {
            check_pair(requests, other, &mut findings);
        }
    }
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// The findings about the topic of the heartbeats.
fn heartbeats(
    name: &str,
    cluster: &Cluster,
    config: &TopicConfig,
    bootstrap: &str,
) -> Vec<Finding> {
    let warning = |problem: String, remedy: String| Finding {
        severity: Severity::Warning,
        topic: name.to_owned(),
        problem: format!("topic {name:?} {problem}"),
        remedy,
    };
    let Some(&shape) = cluster.topics.get(name) else {
        return vec![warning(
            format!("does not exist: {NAMESAKE}"),
            format!(
                "create it with: sequencer topics create --brokers {}",
                shell::word(bootstrap.as_ref())
            ),
        )];
    };
    let topic = ExistingTopic {
        name,
        shape,
        config,
        brokers: cluster.brokers,
        bootstrap,
        expected: Expected::default(),
    };
    let mut findings = Vec::new();
    if shape.partitions != 1 {
        findings.push(warning(
            format!(
                "has {} partitions, and heartbeats need one, to be in order: {NAMESAKE}",
                shape.partitions
            ),
            "set topics.heartbeats to another name".to_owned(),
        ));
    }
    if topic.cleans_by("compact") {
        findings.push(warning(
            "is compacted: heartbeats are kept for no use".to_owned(),
            topic.set("cleanup.policy", "delete"),
        ));
    }
    let key = "retention.ms";
    if let Some(kept) = topic.number(key).filter(|kept| *kept < 0) {
        findings.push(warning(
            format!("has {key}={kept}: it grows forever"),
            topic.set(key, HEARTBEATS_KEPT_MS),
        ));
    }
    findings
}

impl ExistingTopic<'_> {
    fn setting(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.setting(key)?.parse().ok()
    }

    /// Looks for `policy` in `cleanup.policy`, which is a list.
    fn cleans_by(&self, policy: &str) -> bool {
        self.setting("cleanup.policy")
            .is_some_and(|list| list.split(',').any(|one| one.trim() == policy))
    }

    fn set(&self, key: &str, value: impl std::fmt::Display) -> String {
        format!(
            "set it with: kafka-configs.sh --bootstrap-server {} --alter --topic {} --add-config {key}={value}",
            self.bootstrap, self.name
        )
    }

    fn finding(&self, severity: Severity, problem: String, remedy: String) -> Finding {
        Finding {
            severity,
            topic: self.name.to_owned(),
            problem: format!("topic {:?} {problem}", self.name),
            remedy,
        }
    }
}

fn durability(topic: &ExistingTopic<'_>, findings: &mut Vec<Finding>) {
    let replication = topic.shape.replication;
    let wanted = REPLICATION_MAX;
    let as_wanted = topic.expected.replication == Some(replication);
    if replication < wanted && !as_wanted {
        let few = match topic.brokers < wanted as usize {
            true => format!("run {wanted} brokers, and "),
            false => String::new(),
        };
        findings.push(topic.finding(
            Severity::Warning,
            format!(
                "has replication {replication} on a cluster of {}: it stops, or is lost, with {replication} of them",
                topic.brokers
            ),
            format!("{few}raise it to {wanted} with: kafka-reassign-partitions.sh"),
        ));
    }
    if let Some(in_sync) = topic.number("min.insync.replicas") {
        let replicas = i64::from(replication);
        let key = "min.insync.replicas";
        let remedy = topic.set(key, min_insync_replicas(replication));
        if in_sync > replicas {
            let problem = format!(
                "has {key} {in_sync} above its replication {replicas}: nothing can be written"
            );
            findings.push(topic.finding(Severity::Error, problem, remedy));
        } else if in_sync == replicas && replicas > 1 {
            let problem =
                format!("has {key} {in_sync} equal to its replication: it stops with one broker");
            findings.push(topic.finding(Severity::Warning, problem, remedy));
        } else if in_sync < i64::from(min_insync_replicas(replication)) {
            let problem = format!(
                "has {key} {in_sync} with replication {replicas}: acknowledged records may be lost with one broker"
            );
            findings.push(topic.finding(Severity::Warning, problem, remedy));
        }
    }
    let key = "unclean.leader.election.enable";
    if topic.setting(key) == Some("true") {
        findings.push(topic.finding(
            Severity::Warning,
            format!(
                "has {key}=true: acknowledged records are lost when a stale replica takes over"
            ),
            topic.set(key, "false"),
        ));
    }
}

fn check_requests(topic: &ExistingTopic<'_>, findings: &mut Vec<Finding>) {
    if topic.cleans_by("compact") {
        findings.push(topic.finding(
            Severity::Error,
            "is compacted: requests, and with them IDs, are removed from the log".to_owned(),
            topic.set("cleanup.policy", "delete"),
        ));
    }
    let key = "message.timestamp.type";
    if topic
        .setting(key)
        .is_some_and(|kind| kind != "LogAppendTime")
    {
        findings.push(topic.finding(
            Severity::Warning,
            format!("has {key}=CreateTime: clients' clocks decide what is recent"),
            topic.set(key, "LogAppendTime"),
        ));
    }
    let key = "retention.ms";
    match topic.number(key) {
        Some(kept) if (0..RETENTION_MS_MIN).contains(&kept) => {
            findings.push(topic.finding(
                Severity::Warning,
                format!(
                    "has {key}={kept}: requests that wait longer, in an outage, are removed unanswered"
                ),
                topic.set(key, super::topics::RETENTION_MS),
            ));
        }
        _ => {}
    }
}

fn check_replies(topic: &ExistingTopic<'_>, findings: &mut Vec<Finding>) {
    if topic.cleans_by("compact") {
        findings.push(topic.finding(
            Severity::Warning,
            "is compacted: a reply is removed when a later one has the same key".to_owned(),
            topic.set("cleanup.policy", "delete"),
        ));
    }
}

fn check_state(topic: &ExistingTopic<'_>, findings: &mut Vec<Finding>) {
    if topic.cleans_by("delete") {
        findings.push(topic.finding(
            Severity::Error,
            "is cleaned by age: counters of names that were not used lately are removed".to_owned(),
            topic.set("cleanup.policy", "compact"),
        ));
    } else if !topic.cleans_by("compact") && topic.setting("cleanup.policy").is_some() {
        findings.push(topic.finding(
            Severity::Error,
            "is not compacted: it grows without bound, and restores with it".to_owned(),
            topic.set("cleanup.policy", "compact"),
        ));
    }
    let key = "min.compaction.lag.ms";
    let wanted = i64::try_from(COMPACTION_LAG_MS).unwrap_or(i64::MAX);
    if let Some(lag) = topic.number(key).filter(|lag| *lag < wanted) {
        findings.push(topic.finding(
            Severity::Warning,
            format!(
                "has {key}={lag}: records of two owners may be compacted before they are told apart"
            ),
            topic.set(key, wanted),
        ));
    }
}

fn check_ledger(topic: &ExistingTopic<'_>, findings: &mut Vec<Finding>) {
    if topic.cleans_by("compact") {
        findings.push(topic.finding(
            Severity::Error,
            "is compacted: of each audited sequence only the last record is kept".to_owned(),
            topic.set("cleanup.policy", "delete"),
        ));
    }
    for key in ["retention.ms", "retention.bytes"] {
        if let Some(kept) = topic.number(key).filter(|kept| *kept >= 0) {
            findings.push(topic.finding(
                Severity::Warning,
                format!("has {key}={kept}: who got the IDs before that cannot be told"),
                topic.set(key, -1),
            ));
        }
    }
}

/// The size of a topic's largest record in bytes, and the consequence when the topic's limit is lower.
#[derive(Clone, Copy)]
struct Need {
    bytes: i64,
    otherwise: &'static str,
    /// True when the consequence breaks the promise.
    fatal: bool,
}

const STRAY: &str = "a request that is forwarded to another partition may be larger, and its partition stands still";
const ENTRY: &str = "a record of a checkpoint may be larger, and none is committed";
const PAGE: &str = "a page of the ledger may be larger, and no checkpoint is committed";
const REPLY: &str = "a reply with a long correlation goes without it";

const fn need(bytes: i64, otherwise: &'static str) -> Need {
    Need {
        bytes,
        otherwise,
        fatal: true,
    }
}

fn check_batch_size(topic: &ExistingTopic<'_>, need: Need, findings: &mut Vec<Finding>) {
    let key = "max.message.bytes";
    let wanted = i64::try_from(BATCH_BYTES).unwrap_or(i64::MAX);
    let Some(limit) = topic.number(key).filter(|limit| *limit < wanted) else {
        return;
    };
    let too_small = limit < need.bytes;
    let severity = match too_small && need.fatal {
        true => Severity::Error,
        false => Severity::Warning,
    };
    let otherwise = match too_small {
        true => need.otherwise,
        false => "batches are kept below it, which costs throughput",
    };
    findings.push(topic.finding(
        severity,
        format!("has {key}={limit}: {otherwise}"),
        topic.set(key, wanted),
    ));
}

fn check_partitions(topic: &ExistingTopic<'_>, findings: &mut Vec<Finding>) {
    let found = topic.shape.partitions;
    let Some(wanted) = topic.expected.partitions.filter(|wanted| *wanted != found) else {
        return;
    };
    findings.push(topic.finding(
        Severity::Warning,
        format!("has {found} partitions, and topics.partitions is {wanted}: a topic keeps those that it has"),
        format!("set topics.partitions={found}, unless the topic is another one than you mean"),
    ));
}

/// A session timeout outside the brokers' range: no member can join.
fn session(broker: &TopicConfig, session_ms: i64) -> Option<Finding> {
    let number = |key: &str| broker.get(key)?.parse::<i64>().ok();
    let (least_key, most_key) = (
        "group.min.session.timeout.ms",
        "group.max.session.timeout.ms",
    );
    let below = number(least_key).filter(|least| session_ms < *least);
    let above = number(most_key).filter(|most| session_ms > *most);
    let (side, key, limit) = match (below, above) {
        (Some(least), _) => ("below", least_key, least),
        (_, Some(most)) => ("above", most_key, most),
        _ => return None,
    };
    Some(Finding {
        severity: Severity::Error,
        topic: String::new(),
        problem: format!(
            "kafka.session.timeout.ms={session_ms} is {side} the brokers' {key}={limit}: no instance can join the group"
        ),
        remedy: format!("set kafka.session.timeout.ms={limit}, or change {key} of the brokers"),
    })
}

fn check_pair(
    requests: &ExistingTopic<'_>,
    state: &ExistingTopic<'_>,
    findings: &mut Vec<Finding>,
) {
    let (wanted, found) = (requests.shape.partitions, state.shape.partitions);
    if found < wanted {
        findings.push(state.finding(
            Severity::Warning,
            format!("has {found} partitions, {:?} has {wanted}", requests.name),
            "serve adds them, if it may; names keep the partitions that they have".to_owned(),
        ));
    } else if found > wanted {
        findings.push(state.finding(
            Severity::Warning,
            format!(
                "has {found} partitions, {:?} has {wanted}: was that one made anew with fewer?",
                requests.name
            ),
            format!("give {:?} {found} partitions", requests.name),
        ));
    }
}

#[cfg(test)]
mod tests;
