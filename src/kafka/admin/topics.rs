//! The topics of the service: their required form, and their creation.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use tracing::info;

use super::{Admin, CALL_DEADLINE, Cluster, native};
use crate::kafka::error::{Class, Error};

/// An hour, in the unit of topic settings.
const HOUR_MS: u64 = 3_600_000;
/// The retention of requests and replies. It is Kafka's own default, and written down because a broker's may be
/// hours. Requests must outlast an outage of the whole service: retention removes unanswered requests as
/// readily as answered ones. Replies must outlast an outage of their reader over a long weekend.
pub(crate) const RETENTION_MS: u64 = 7 * 24 * HOUR_MS;
/// The time for which records of the state topic are safe from compaction. Within that time, an owner that lost
/// its partition without noticing finds the records of other writers (`docs/`: checkpoint and restore).
pub(crate) const COMPACTION_LAG_MS: u64 = HOUR_MS;
/// Compaction leaves the active segment alone, which by default grows to a gigabyte or a week. A restore would
/// read all of it.
pub(crate) const STATE_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Largest batch of records, in bytes. It is Kafka's own default, and written down because a broker's may be
/// less than producers fill their batches up to.
pub(crate) const BATCH_BYTES: u64 = 1_048_588;
/// The same limit in time, for a service with little to write.
pub(crate) const STATE_SEGMENT_MS: u64 = HOUR_MS;
/// More replicas make writes slower and prevent no more loss: Kafka's own recommendation.
pub(crate) const REPLICATION_MAX: u32 = 3;

/// The retention of heartbeats. No process reads one that is older than a session, and an hour helps a person.
/// The active segment is never deleted, so it is closed as often.
pub(crate) const HEARTBEATS_KEPT_MS: u64 = HOUR_MS;

/// The retention of replies to gateways. No gateway reads one after its call has ended, and an hour helps a
/// person.
const GATEWAY_REPLIES_KEPT_MS: u64 = HOUR_MS;

/// The longest time until every broker knows new topics and their leaders.
const CREATION_DEADLINE: Duration = Duration::from_secs(10);
/// The interval between two looks at new topics.
const CREATION_POLL: Duration = Duration::from_millis(50);

/// The names of the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicNames {
    /// Requests; their offsets are the counter.
    pub requests: String,
    /// Replies to clients that name no topic of their own.
    pub replies: String,
    /// Checkpoints.
    pub state: String,
    /// The records of each grant of audited sequences.
    pub ledger: String,
}

impl TopicNames {
    /// All names.
    pub(crate) fn all(&self) -> [&String; 4] {
        [&self.requests, &self.replies, &self.state, &self.ledger]
    }
}

/// Options for new topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CreateOptions {
    /// Partitions of topics that have no counterpart yet.
    pub partitions: u32,
    /// Replicas. By default, as many as brokers, up to [`REPLICATION_MAX`].
    pub replication: Option<u32>,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTopic {
    /// Its name.
    pub name: String,
    /// Its number of partitions.
    pub partitions: u32,
    /// Its number of replicas.
    pub replication: u32,
    /// Its settings.
    pub config: BTreeMap<&'static str, String>,
}

/// The result of creating a topic.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Created {
    /// Its name.
    pub name: String,
    /// Its number of partitions.
    pub partitions: u32,
    /// Its number of replicas.
    pub replication: u32,
    /// False when it existed before; then it is left as it was.
    pub new: bool,
}

/// `min.insync.replicas` for this number of replicas: one may be away.
pub(crate) fn min_insync_replicas(replication: u32) -> u32 {
    replication.saturating_sub(1).max(1)
}

/// The number of replicas on a cluster with this number of brokers.
pub(crate) fn default_replication(brokers: usize) -> u32 {
    u32::try_from(brokers)
        .unwrap_or(REPLICATION_MAX)
        .clamp(1, REPLICATION_MAX)
}

impl CreateOptions {
    fn replication_on(self, cluster: &Cluster) -> u32 {
        self.replication
            .unwrap_or_else(|| default_replication(cluster.brokers))
    }
}

/// The missing topics of a cluster. State and ledger have as many partitions as requests, so existing topics
/// decide about the others.
pub(crate) fn missing(
    names: &TopicNames,
    options: CreateOptions,
    cluster: &Cluster,
) -> Vec<NewTopic> {
    let replication = options.replication_on(cluster);
    let count = |topic: &str| cluster.topics.get(topic).map(|found| found.partitions);
    let partitions = count(&names.requests)
        .or_else(|| count(&names.state))
        .unwrap_or(options.partitions);
    [
        requests(&names.requests, partitions, replication),
        replies(&names.replies, options.partitions, replication),
        state(&names.state, partitions, replication),
        ledger(&names.ledger, partitions, replication),
    ]
    .into_iter()
    .filter(|topic| !cluster.topics.contains_key(&topic.name))
    .collect()
}

/// The request topic as `serve` makes it.
pub(crate) fn requests(name: &str, partitions: u32, replication: u32) -> NewTopic {
    let mut topic = durable(name, partitions, replication);
    topic.config.extend([
        ("cleanup.policy", "delete".to_owned()),
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("retention.ms", RETENTION_MS.to_string()),
        ("retention.bytes", "-1".to_owned()),
    ]);
    topic
}

/// The default reply topic as `serve` makes it.
pub(crate) fn replies(name: &str, partitions: u32, replication: u32) -> NewTopic {
    let mut topic = durable(name, partitions, replication);
    topic.config.extend([
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", RETENTION_MS.to_string()),
    ]);
    topic
}

/// The state topic as `serve` makes it.
pub(crate) fn state(name: &str, partitions: u32, replication: u32) -> NewTopic {
    let mut topic = durable(name, partitions, replication);
    topic.config.extend([
        ("cleanup.policy", "compact".to_owned()),
        ("min.compaction.lag.ms", COMPACTION_LAG_MS.to_string()),
        ("segment.bytes", STATE_SEGMENT_BYTES.to_string()),
        ("segment.ms", STATE_SEGMENT_MS.to_string()),
    ]);
    topic
}

/// The ledger topic as `serve` makes it.
pub(crate) fn ledger(name: &str, partitions: u32, replication: u32) -> NewTopic {
    let mut topic = durable(name, partitions, replication);
    topic.config.extend([
        ("cleanup.policy", "delete".to_owned()),
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("retention.ms", "-1".to_owned()),
        ("retention.bytes", "-1".to_owned()),
    ]);
    topic
}

/// The topic of the heartbeats as `serve` makes it. It has one partition, so its records are in order. Its
/// records are read when they are new, and need not be kept.
pub(crate) fn heartbeats(name: &str, replication: u32) -> NewTopic {
    let mut topic = durable(name, 1, replication);
    topic.config.extend([
        ("cleanup.policy", "delete".to_owned()),
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("retention.ms", HEARTBEATS_KEPT_MS.to_string()),
        ("segment.ms", HEARTBEATS_KEPT_MS.to_string()),
        ("min.insync.replicas", "1".to_owned()),
    ]);
    topic
}

/// The topic of the replies to gateways as `serve` makes it.
pub(crate) fn gateway_replies(name: &str, partitions: u32, replication: u32) -> NewTopic {
    let mut topic = replies(name, partitions, replication);
    topic.config.extend([
        ("retention.ms", GATEWAY_REPLIES_KEPT_MS.to_string()),
        ("segment.ms", GATEWAY_REPLIES_KEPT_MS.to_string()),
    ]);
    topic
}

/// The settings that keep an acknowledged record. They are written down, because a cluster's defaults may be
/// weaker.
fn durable(name: &str, partitions: u32, replication: u32) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions,
        replication,
        config: BTreeMap::from([
            (
                "min.insync.replicas",
                min_insync_replicas(replication).to_string(),
            ),
            ("unclean.leader.election.enable", "false".to_owned()),
            ("max.message.bytes", BATCH_BYTES.to_string()),
        ]),
    }
}

impl Admin {
    /// Creates the missing topics and waits until they can be used. Existing topics are left as they are, see
    /// [`Admin::check_topics`].
    ///
    /// # Errors
    /// The cluster cannot be reached, refuses a topic, or takes too long.
    pub(crate) fn create_topics(
        &self,
        names: &TopicNames,
        options: CreateOptions,
    ) -> Result<Vec<Created>, Error> {
        let before = self.cluster()?;
        let topics = missing(names, options, &before);
        self.create_missing(&names.all().map(String::as_str), &topics, &before)
    }

    /// Creates the missing ones of the reply topics that clients name. They have as many partitions as the
    /// default one.
    ///
    /// # Errors
    /// As [`Admin::create_topics`].
    pub(crate) fn create_reply_topics(
        &self,
        default: &str,
        names: &[&str],
        options: CreateOptions,
    ) -> Result<Vec<Created>, Error> {
        let before = self.cluster()?;
        let default = before.topics.get(default);
        let partitions = default.map_or(options.partitions, |topic| topic.partitions);
        let replication = options.replication_on(&before);
        let absent = names
            .iter()
            .filter(|name| !before.topics.contains_key(**name));
        let topics: Vec<_> = absent
            .map(|name| replies(name, partitions, replication))
            .collect();
        self.create_missing(names, &topics, &before)
    }

    /// Creates the topic of the heartbeats if it is missing.
    ///
    /// # Errors
    /// As [`Admin::create_topics`].
    pub(crate) fn create_heartbeats(
        &self,
        name: &str,
        options: CreateOptions,
    ) -> Result<Vec<Created>, Error> {
        let before = self.cluster()?;
        let topics = match before.topics.contains_key(name) {
            true => Vec::new(),
            false => vec![heartbeats(name, options.replication_on(&before))],
        };
        self.create_missing(&[name], &topics, &before)
    }

    /// Creates the topic of the replies to gateways if it is missing.
    ///
    /// # Errors
    /// As [`Admin::create_topics`].
    pub(crate) fn create_gateway_replies(
        &self,
        name: &str,
        options: CreateOptions,
    ) -> Result<Vec<Created>, Error> {
        let before = self.cluster()?;
        let replication = options.replication_on(&before);
        let topics = match before.topics.contains_key(name) {
            true => Vec::new(),
            false => vec![gateway_replies(name, options.partitions, replication)],
        };
        self.create_missing(&[name], &topics, &before)
    }

    fn create_missing(
        &self,
        names: &[&str],
        topics: &[NewTopic],
        before: &Cluster,
    ) -> Result<Vec<Created>, Error> {
        for topic in topics {
            match native::create_topic(&self.client, topic, CALL_DEADLINE) {
                Ok(()) => info!(
                    topic = topic.name,
                    partitions = topic.partitions,
                    replication = topic.replication,
                    "topic created"
                ),
                // Another instance was faster.
                Err(error) if error.is_present() => {}
                Err(error) => return Err(error),
            }
        }
        let after = self.settled(names)?;
        let created = names.iter().filter_map(|name| {
            let topic = after.topics.get(*name)?;
            Some(Created {
                name: (*name).to_owned(),
                partitions: topic.partitions,
                replication: topic.replication,
                new: !before.topics.contains_key(*name),
            })
        });
        Ok(created.collect())
    }

    /// Creates these topics, which must not exist, and waits until they can be used.
    ///
    /// # Errors
    /// The cluster cannot be reached, refuses a topic, or takes too long.
    pub(crate) fn create_new(&self, topics: &[NewTopic]) -> Result<(), Error> {
        for topic in topics {
            native::create_topic(&self.client, topic, CALL_DEADLINE)?;
        }
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        self.settled(&names).map(drop)
    }

    /// Adds partitions to a topic until it has this number, if it has fewer, and waits until they have leaders.
    ///
    /// # Errors
    /// No answer in time, or no permission.
    pub(crate) fn grow(&self, topic: &str, total: u32) -> Result<(), Error> {
        super::grow(&self.client, topic, total)?;
        let begin = Instant::now();
        loop {
            let cluster = self.settled(&[topic])?;
            let found = cluster.topics.get(topic);
            if found.is_some_and(|topic| topic.partitions >= total) {
                return Ok(());
            }
            if begin.elapsed() >= CREATION_DEADLINE {
                return Err(Error::own(
                    "add partitions",
                    Class::Retriable,
                    format!("topic {topic:?} does not show {total} partitions yet"),
                ));
            }
            thread::sleep(CREATION_POLL);
        }
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// No answer, no permission, or the topic does not exist.
    pub(crate) fn delete_topic(&self, topic: &str) -> Result<(), Error> {
        native::delete_topic(&self.client, topic, CALL_DEADLINE)
    }

    /// The cluster, once all topics exist and have leaders.
    fn settled(&self, names: &[&str]) -> Result<Cluster, Error> {
        let begin = Instant::now();
        loop {
            let cluster = super::cluster(&self.client)?;
            let unsettled = names
                .iter()
                .find(|name| !cluster.topics.get(**name).is_some_and(|topic| topic.led));
            let Some(unsettled) = unsettled else {
                return Ok(cluster);
            };
            if let Some(error) = self.denied(unsettled) {
                return Err(error);
            }
            if begin.elapsed() >= CREATION_DEADLINE {
                return Err(Error::own(
                    "create topic",
                    Class::Retriable,
                    format!(
                        "topic {unsettled:?} has partitions without a leader after {} s: check the brokers",
                        CREATION_DEADLINE.as_secs()
                    ),
                ));
            }
            thread::sleep(CREATION_POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Topic;
    use super::*;

    fn names() -> TopicNames {
        TopicNames {
            requests: "requests".to_owned(),
            replies: "replies".to_owned(),
            state: "state".to_owned(),
            ledger: "ledger".to_owned(),
        }
    }

    const OPTIONS: CreateOptions = CreateOptions {
        partitions: 12,
        replication: None,
    };

    #[test]
    fn replication_follows_the_cluster_up_to_three() {
        for (brokers, replication, in_sync) in
            [(0, 1, 1), (1, 1, 1), (2, 2, 1), (3, 3, 2), (9, 3, 2)]
        {
            assert_eq!(default_replication(brokers), replication);
            assert_eq!(min_insync_replicas(replication), in_sync);
        }
    }

    #[test]
    fn an_empty_cluster_gets_all_four() {
        let cluster = Cluster {
            brokers: 3,
            ..Cluster::default()
        };
        let topics = missing(&names(), OPTIONS, &cluster);
        let of = |topic: usize, key: &str| topics[topic].config.get(key).map(String::as_str);
        assert_eq!(topics.len(), 4);
        assert!(
            topics
                .iter()
                .all(|t| (t.partitions, t.replication) == (12, 3))
        );
        assert!(topics.iter().all(|t| t.config["min.insync.replicas"] == "2"
            && t.config["max.message.bytes"] == "1048588"));
        assert_eq!(of(0, "message.timestamp.type"), Some("LogAppendTime"));
        assert_eq!(of(0, "cleanup.policy"), Some("delete"));
        assert_eq!(of(1, "cleanup.policy"), Some("delete"));
        assert_eq!(of(2, "cleanup.policy"), Some("compact"));
        assert_eq!(of(2, "min.compaction.lag.ms"), Some("3600000"));
        assert_eq!(of(3, "cleanup.policy"), Some("delete"));
        assert_eq!(of(3, "retention.ms"), Some("-1"));
    }

    #[test]
    fn heartbeats_are_in_one_partition_and_deleted_by_age() {
        let topic = heartbeats("heartbeats", 3);
        assert_eq!((topic.partitions, topic.replication), (1, 3));
        assert_eq!(topic.config["cleanup.policy"], "delete");
        assert_eq!(topic.config["message.timestamp.type"], "LogAppendTime");
        assert_eq!(topic.config["segment.ms"], topic.config["retention.ms"]);
        assert_eq!(topic.config["min.insync.replicas"], "1");
    }

    #[test]
    fn state_and_ledger_get_the_partitions_that_requests_have() {
        let mut cluster = Cluster {
            brokers: 1,
            ..Cluster::default()
        };
        cluster.topics.insert(
            "requests".to_owned(),
            Topic {
                partitions: 5,
                replication: 1,
                led: true,
            },
        );
        let topics = missing(&names(), OPTIONS, &cluster);
        let shapes: Vec<_> = topics
            .iter()
            .map(|t| (t.name.as_str(), t.partitions, t.replication))
            .collect();
        assert_eq!(
            shapes,
            [("replies", 12, 1), ("state", 5, 1), ("ledger", 5, 1)]
        );
    }
}
