//! Questions about the cluster, its topics and groups, and the creation of topics. Calls block, each with a
//! deadline. They are for start-up, restores and the command line, never for the record path.
//!
//! *Architecture invariant*: no call here creates a topic by asking for it. Brokers may create a topic that a
//! client asks for by name, so existence is read from the full list only.

mod assignment;
pub(crate) mod check;
mod groups;
mod native;
pub(crate) mod topics;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaType;

use super::client::{Authenticated, Config};
use super::context::Context;
use super::error::{Class, Error, UNREACHABLE};
pub(crate) use groups::{Committed, Listed, Member};

/// The longest time for the first contact. Brokers answer in milliseconds. A name server, or a connection that
/// drops packets silently, takes seconds. A user waits at a terminal meanwhile.
const FIRST_CONTACT_DEADLINE: Duration = Duration::from_secs(10);
/// The length of each attempt at the first contact. After it, the reported errors are looked at, so that a
/// wrong password is reported at once.
const FIRST_CONTACT_ATTEMPT: Duration = Duration::from_millis(500);
/// Shortest time-out of a call: librdkafka counts in milliseconds.
const CALL_MIN: Duration = Duration::from_millis(1);
/// The longest time for a question: as long as a change of the controller takes.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// The name of an operation in errors.
const LIST: &str = "list topics";

/// A cluster as its metadata shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// Brokers that are up.
    pub brokers: usize,
    /// Every topic that this client may see.
    pub topics: BTreeMap<String, Topic>,
}

/// The shape of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    /// Number of partitions.
    pub partitions: u32,
    /// Replicas of the partition that has the fewest.
    pub replication: u32,
    /// True when every partition has a leader.
    pub led: bool,
}

/// The permitted uses of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicAccess {
    /// True when this client may write records to it.
    pub may_write: bool,
    /// True when a transaction that wrote to it can be ended: the topic takes the broker's own markers.
    pub takes_markers: bool,
    /// Its `max.message.bytes`, which bounds a whole batch; none when this client may not read it.
    pub batch_bytes_max: Option<usize>,
}

/// The use of a topic's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read them.
    Read,
    /// Write them.
    Write,
}

/// A transaction marker is a batch of 78 bytes. A topic that does not take it keeps every transaction that
/// wrote to it open forever, and with it the producer.
const MARKER_BYTES_MAX: i64 = 128;
/// A marker has its coordinator's time, which the topic's leader compares with its own. The difference of their
/// clocks and the marker's travel time together stay below this.
const MARKER_SKEW_MS_MAX: i64 = 600_000;

fn takes_markers(config: &TopicConfig) -> bool {
    let at_least = |key: &str, least: i64| {
        let number = config.get(key).and_then(|value| value.parse::<i64>().ok());
        number.is_none_or(|number| number >= least)
    };
    at_least("max.message.bytes", MARKER_BYTES_MAX)
        && at_least("message.timestamp.before.max.ms", MARKER_SKEW_MS_MAX)
        && at_least("message.timestamp.after.max.ms", MARKER_SKEW_MS_MAX)
}

/// The settings of a topic, defaults included.
pub(crate) type TopicConfig = BTreeMap<String, String>;

/// A client for questions.
pub(crate) struct Admin {
    client: Authenticated<Client<Context>>,
    /// For the group questions, which need a client of that group.
    config: Config,
    brokers: String,
    /// The last reported reason why a broker could not be reached. It is kept for later questions: librdkafka
    /// does not repeat the same report for half a minute.
    reason: Mutex<Option<String>>,
}

impl Admin {
    /// Makes a client. `config` needs only the settings to reach the cluster.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub(crate) fn new(config: &Config) -> Result<Admin, Error> {
        Ok(Admin {
            client: client(config, RDKafkaType::RD_KAFKA_PRODUCER)?,
            config: config.clone(),
            brokers: config.get("bootstrap.servers").unwrap_or("").to_owned(),
            reason: Mutex::default(),
        })
    }

    /// The brokers that were configured.
    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Makes the first contact. Returns the cluster, or the reason why it cannot be reached.
    ///
    /// # Errors
    /// No broker answered within [`FIRST_CONTACT_DEADLINE`], or one refused this client.
    pub(crate) fn cluster(&self) -> Result<Cluster, Error> {
        self.cluster_within(FIRST_CONTACT_DEADLINE)
    }

    /// Like [`Admin::cluster`], within `within` if that is shorter than the usual deadline.
    ///
    /// # Errors
    /// As [`Admin::cluster`].
    pub(crate) fn cluster_within(&self, within: Duration) -> Result<Cluster, Error> {
        const OPERATION: &str = "connect";
        let within = within.min(FIRST_CONTACT_DEADLINE);
        let begin = Instant::now();
        loop {
            let left = within.saturating_sub(begin.elapsed());
            let attempt = left.clamp(CALL_MIN, FIRST_CONTACT_ATTEMPT);
            match self.client.fetch_metadata(None, attempt) {
                Ok(metadata) => return cluster_of(LIST, &metadata),
                Err(error) => {
                    let error = Error::from_kafka(OPERATION, &error);
                    if error.class != Class::Retriable {
                        return Err(error);
                    }
                }
            }
            let reason = self.trouble(OPERATION)?;
            if begin.elapsed() >= within {
                return Err(unreachable(&self.brokers, within, reason.as_deref()));
            }
        }
    }

    /// The latest reason that the client's connections have reported, if any.
    ///
    /// # Errors
    /// A broker refused this client. Waiting does not change that.
    fn trouble(&self, operation: &'static str) -> Result<Option<String>, Error> {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        for error in native::errors(&self.client, operation) {
            match error.class {
                Class::Denied => return Err(error),
                // The caller reports itself that no broker can be reached.
                _ if error.is_general() => {}
                _ => *reason = Some(error.message.trim_start_matches(UNREACHABLE).to_owned()),
            }
        }
        Ok(reason.clone())
    }

    /// Adds to a question without an answer in time which broker could not be reached, and why. A broker that
    /// answers may name one that does not, such as the controller.
    ///
    /// # Errors
    /// The error of the question, explained.
    pub(crate) fn explained<T>(&self, asked: Result<T, Error>) -> Result<T, Error> {
        asked.map_err(|error| {
            if error.class != Class::Retriable {
                return error;
            }
            match self.trouble(error.operation) {
                Err(refused) => refused,
                Ok(reason) => with_reason(error, reason.as_deref()),
            }
        })
    }

    /// See [`topic_id`].
    ///
    /// # Errors
    /// No answer, or no permission.
    pub(crate) fn topic_id(&self, topic: &str) -> Result<Option<[u8; 16]>, Error> {
        topic_id(&self.client, topic)
    }

    /// The error when this client may not see a topic. The list of topics leaves such a topic out.
    fn denied(&self, topic: &str) -> Option<Error> {
        self.topic_id(topic)
            .err()
            .filter(|error| error.class == Class::Denied)
    }

    /// Every topic that this client may see.
    ///
    /// # Errors
    /// No answer in time.
    pub(crate) fn list_topics(&self) -> Result<BTreeMap<String, Topic>, Error> {
        Ok(cluster(&self.client)?.topics)
    }

    /// The permitted uses of a topic; none when the topic does not exist.
    ///
    /// # Errors
    /// No answer within the deadline.
    pub(crate) fn topic_access(
        &self,
        topic: &str,
        deadline: Duration,
    ) -> Result<Option<TopicAccess>, Error> {
        let may_write = match native::describe_topic(&self.client, topic, deadline) {
            Err(error) if error.class == Class::Denied => false,
            found => match found? {
                None => return Ok(None),
                Some(found) => found.may_write,
            },
        };
        let config = match native::topic_config(&self.client, topic, deadline) {
            // Reading settings needs a permission that writing does not.
            Err(error) if error.class == Class::Denied => None,
            config => config?,
        };
        let config = config.unwrap_or_default();
        let batch_bytes_max = config.get("max.message.bytes");
        Ok(Some(TopicAccess {
            may_write,
            takes_markers: takes_markers(&config),
            batch_bytes_max: batch_bytes_max.and_then(|bytes| bytes.parse().ok()),
        }))
    }

    /// Checks the permission to read from a topic or write to it, as far as its broker reports permissions.
    ///
    /// # Errors
    /// No answer in time, or no permission: then the error names the permission and the topic.
    pub(crate) fn permits(&self, topic: &str, access: Access) -> Result<(), Error> {
        let described = match native::describe_topic(&self.client, topic, CALL_DEADLINE) {
            // Even describing it may be denied.
            Err(error) if error.class == Class::Denied => None,
            // The next question reports that the topic does not exist.
            described => match described? {
                None => return Ok(()),
                found => found,
            },
        };
        let (operation, permitted) = match access {
            Access::Read => ("Read", described.is_some_and(|topic| topic.may_read)),
            Access::Write => ("Write", described.is_some_and(|topic| topic.may_write)),
        };
        if permitted {
            return Ok(());
        }
        let message = format!("topic {topic}: missing ACL: {operation} on the topic");
        Err(Error::own("authorize", Class::Denied, message))
    }

    /// Checks the permission to describe a group. A question for committed offsets that is denied goes on until
    /// its deadline and does not report the denial. A question for the members does.
    ///
    /// # Errors
    /// No permission: then the error names the permission and the group.
    pub(crate) fn permits_group(&self, group: &str) -> Result<(), Error> {
        match self.group_members(group) {
            Err(error) if error.class == Class::Denied => Err(error),
            // The next question reports any other error.
            _ => Ok(()),
        }
    }

    /// The settings of a topic; none when the topic does not exist.
    ///
    /// # Errors
    /// No answer, or no permission.
    pub(crate) fn topic_config(&self, topic: &str) -> Result<Option<TopicConfig>, Error> {
        native::topic_config(&self.client, topic, CALL_DEADLINE)
    }

    /// The settings of a broker; none when the broker does not report them.
    ///
    /// # Errors
    /// No answer, or no permission.
    pub(crate) fn broker_config(&self) -> Result<Option<TopicConfig>, Error> {
        let metadata = self.client.fetch_metadata(None, CALL_DEADLINE);
        let metadata = metadata.map_err(|error| Error::from_kafka("list brokers", &error))?;
        let Some(broker) = metadata.brokers().first() else {
            return Ok(None);
        };
        native::broker_config(&self.client, broker.id(), CALL_DEADLINE)
    }

    /// True when the group has no members, and has committed nothing for any topic.
    ///
    /// # Errors
    /// No answer, or no permission.
    pub(crate) fn is_new_group(&self, group: &str) -> Result<bool, Error> {
        if !self.group_members(group)?.is_empty() {
            return Ok(false);
        }
        let committed = native::has_committed(&self.client, group, CALL_DEADLINE);
        Ok(!committed.map_err(|error| error.about_group_or(group, "committed offsets"))?)
    }

    /// The group's committed offsets for the first `partitions` partitions of a topic. Offsets in a transaction
    /// that has not ended are not included.
    ///
    /// # Errors
    /// No answer, or no permission.
    pub(crate) fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: u32,
    ) -> Result<Vec<Option<Committed>>, Error> {
        let mut config = self.config.clone();
        config.set("group.id", group);
        // Under read_committed the call waits for every open transaction.
        config.set("isolation.level", "read_uncommitted");
        let client = client(&config, RDKafkaType::RD_KAFKA_CONSUMER)?;
        groups::committed(&client, topic, partitions, CALL_DEADLINE)
            .map_err(|error| error.about_group_or(group, topic))
    }

    /// The members of a group and their assignments; none when the group does not exist. For the start of a
    /// process and for commands: the call reports a missing permission, which the quick listing does not, and
    /// it asks the coordinator only. It may end the process when the coordinator is away for its whole deadline
    /// (<https://github.com/confluentinc/librdkafka/issues/4605>), so a running service uses
    /// [`Admin::listed_members`].
    ///
    /// # Errors
    /// No answer, or no permission.
    pub(crate) fn group_members(&self, group: &str) -> Result<Vec<Member>, Error> {
        groups::members(&self.client, group, CALL_DEADLINE)
            .map_err(|error| error.about_group_or(group, "members"))
    }

    /// Like [`Admin::group_members`], for a running service, with a deadline of its own. It does not wait for a
    /// broker that is away. A group that this client may not describe has no members here.
    ///
    /// # Errors
    /// No answer in time, or no permission.
    pub(crate) fn listed_members(
        &self,
        group: &str,
        deadline: Duration,
    ) -> Result<Vec<Listed>, Error> {
        groups::listed(&self.client, group, deadline)
            .map_err(|error| error.about_group_or(group, "members"))
    }
}

/// A client without rust-rdkafka's consumer or producer around it: it joins and produces nothing, and closes
/// without waiting.
fn client(config: &Config, kind: RDKafkaType) -> Result<Authenticated<Client<Context>>, Error> {
    config.create_plain("create client", kind, Context, native::enable_errors)
}

fn with_reason(mut error: Error, reason: Option<&str>) -> Error {
    if let Some(reason) = reason {
        error.message = format!(
            "{}: a broker cannot be reached: {reason}: check the addresses that the brokers advertise \
             (advertised.listeners)",
            error.message
        );
    }
    error
}

fn unreachable(brokers: &str, within: Duration, reason: Option<&str>) -> Error {
    let because = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    let waited = match within.as_millis() {
        whole if whole % 1_000 == 0 => format!("{} s", whole / 1_000),
        millis => format!("{millis} ms"),
    };
    Error::own(
        "connect",
        Class::Retriable,
        format!(
            "cannot reach a Kafka broker at {brokers} within {waited}: check --brokers, and that the port \
             speaks the protocol of security.protocol{because}"
        ),
    )
}

/// The cluster and all its topics, read by an existing client.
///
/// # Errors
/// No answer in time.
pub(crate) fn cluster<C: ClientContext>(client: &Client<C>) -> Result<Cluster, Error> {
    let metadata = client
        .fetch_metadata(None, CALL_DEADLINE)
        .map_err(|error| Error::from_kafka(LIST, &error))?;
    cluster_of(LIST, &metadata)
}

/// The number of partitions of a topic; none when the topic does not exist. Never creates it. Asks for this topic
/// alone: a cluster may have thousands, and one of them may be in trouble.
///
/// # Errors
/// No answer in time, or no permission.
pub(crate) fn partition_count<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Result<Option<u32>, Error> {
    const OPERATION: &str = "look for a topic";
    let metadata = client
        .fetch_metadata(Some(topic), CALL_DEADLINE)
        .map_err(|error| Error::from_kafka(OPERATION, &error).about(topic))?;
    Ok(cluster_of(OPERATION, &metadata)?
        .topics
        .get(topic)
        .map(|t| t.partitions))
}

/// The number of partitions of a topic and its ID; none when the topic does not exist. A topic that is deleted and
/// created again gets another ID.
///
/// # Errors
/// No answer in time, or no permission.
pub(crate) fn partitions_and_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Result<Option<(u32, [u8; 16])>, Error> {
    let found = native::describe_topic(client, topic, CALL_DEADLINE)?;
    Ok(found.map(|found| (found.partitions, found.id)))
}

/// The ID alone.
///
/// # Errors
/// No answer in time, or no permission.
pub(crate) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Result<Option<[u8; 16]>, Error> {
    Ok(native::describe_topic(client, topic, CALL_DEADLINE)?.map(|found| found.id))
}

/// Adds partitions to a topic until it has this number, if it has fewer.
///
/// # Errors
/// No answer in time, or no permission.
pub(crate) fn grow<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    total: u32,
) -> Result<(), Error> {
    if partition_count(client, topic)?.is_some_and(|count| count >= total) {
        return Ok(());
    }
    match native::add_partitions(client, topic, total, CALL_DEADLINE) {
        // Another instance was faster.
        Err(_) if partition_count(client, topic)?.is_some_and(|count| count >= total) => Ok(()),
        result => result,
    }
}

fn cluster_of(
    operation: &'static str,
    metadata: &rdkafka::metadata::Metadata,
) -> Result<Cluster, Error> {
    let mut topics = BTreeMap::new();
    for topic in metadata.topics() {
        if let Some(code) = topic.error() {
            let error = Error::new(operation, code.into(), "");
            // In a list, the topic was deleted while the list was made.
            if error.is_absent() {
                continue;
            }
            return Err(error.about(topic.name()));
        }
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let partitions = topic.partitions();
        let shape = Topic {
            partitions: count(partitions.len()),
            replication: partitions
                .iter()
                .map(|partition| count(partition.replicas().len()))
                .min()
                .unwrap_or(0),
            led: partitions.iter().all(|partition| partition.leader() >= 0),
        };
        topics.insert(topic.name().to_owned(), shape);
    }
    Ok(Cluster {
        brokers: metadata.brokers().len(),
        topics,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_cluster_is_named_with_what_to_check() {
        let error = unreachable(
            "kafka:9092",
            FIRST_CONTACT_DEADLINE,
            Some("Connection refused"),
        );
        assert_eq!(
            error.to_string(),
            "connect: cannot reach a Kafka broker at kafka:9092 within 10 s: check --brokers, and that \
             the port speaks the protocol of security.protocol (Connection refused)"
        );
    }

    #[test]
    fn a_cluster_that_is_not_there_is_given_up_within_the_time_of_the_caller() {
        let mut config = Config::default();
        config.set("bootstrap.servers", "127.0.0.1:1");
        let admin = Admin::new(&config).expect("a client");
        let error = admin
            .cluster_within(Duration::from_millis(20))
            .expect_err("unreachable");
        assert!(error.message.contains("within 20 ms"), "{error}");
    }

    #[test]
    fn a_question_without_an_answer_names_the_broker_that_is_out_of_reach() {
        let error = Error::own("describe topic", Class::Retriable, "timed out");
        let told = with_reason(
            error.clone(),
            Some("Failed to resolve 'kafka-0.invalid:9092'"),
        );
        assert!(told.message.contains("kafka-0.invalid:9092"), "{told}");
        assert_eq!(with_reason(error, None).message, "timed out");
    }

    #[test]
    fn a_topic_that_could_not_take_a_marker_is_told_apart() {
        let config = |key: &str, value: &str| {
            takes_markers(&TopicConfig::from([(key.to_owned(), value.to_owned())]))
        };
        assert!(config("max.message.bytes", "400"));
        assert!(!config("max.message.bytes", "1"));
        assert!(config(
            "message.timestamp.before.max.ms",
            "9223372036854775807"
        ));
        assert!(!config("message.timestamp.before.max.ms", "1"));
        assert!(!config("message.timestamp.after.max.ms", "0"));
        assert!(takes_markers(&TopicConfig::new()));
    }

    #[test]
    fn a_topic_name_with_a_zero_byte_is_refused() {
        let admin = Admin::new(&Config::default()).expect("a client");
        let error = admin.topic_id("a\0b").expect_err("refused");
        assert_eq!(error.class, Class::Refused);
    }
}
