//! The configuration of each Kafka client: our defaults, then the operator's `kafka.*`, then the settings
//! that the promise needs, which cannot be overridden.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::client::Config;
use super::error::Error;
use super::oauth::{self, Tokens};
use crate::core::limits::{NAME_BYTES_MAX, VALUE_BYTES_MAX};
use crate::processor::reading::{View, bound_view, committed_view, offset_reset, requests_view};
use crate::wire::headers::FORWARD_HEADERS_BYTES_MAX;

/// How to reach a cluster, and the name of this instance there.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The value of `bootstrap.servers`.
    pub brokers: String,
    /// The operator's librdkafka properties.
    pub properties: BTreeMap<String, String>,
    /// The consumer group of the service.
    pub group: String,
    /// The `instance_id`, unique in the group.
    pub instance_id: String,
    /// True when clients wait for the end of a transaction, as in `exactly_once` mode.
    pub awaited_transactions: bool,
    /// The tokens of the properties ([`Tokens::of`]).
    pub tokens: Tokens,
}

/// `transaction.timeout.ms` unless the operator sets it. A dead owner's open transaction hides the records
/// that others wrote behind it for this long, and up to the brokers' clean-up interval more.
const TRANSACTION_TIMEOUT_MS: u64 = 5_000;
/// librdkafka requires the socket's time-out to be this far below the transaction's.
const SOCKET_BELOW_TRANSACTION_MS: u64 = 100;
/// The session time-out: after this time the group notices that an instance is gone (T7). Kafka's default of
/// 45 s would be an outage.
const SESSION_TIMEOUT_MS: u64 = 6_000;
/// How soon a member hears of a rebalance (T7): partitions that a leaving member gave up stand still until
/// the last of the others has heard. Twenty small requests a second cost little compared with that.
const HEARTBEAT_INTERVAL_MS: u64 = 50;
/// A broker that is back is found at most this late, and half as much again by chance. librdkafka's default
/// of 10 s would be most of the cost of a restart. The connections of a few clients are no load for a broker.
const RECONNECT_BACKOFF_MAX_MS: &str = "500";
/// The interval at which the shape of the request topic is read; librdkafka's default is 5 minutes.
const TOPIC_REFRESH_INTERVAL_MS: &str = "10000";
/// How long a client waits for an answer before it gives up the connection. A connection may be lost without a sign: its
/// host is gone, or a firewall has forgotten it. librdkafka's default is 60 s, and a partition would stand still that
/// long. Longer than the 9 s after which another broker leads the partitions of one that is gone.
const SOCKET_TIMEOUT_MS: &str = "10000";
/// The same in a takeover, whose partition stands still meanwhile. Its clients have been idle for up to minutes, so
/// they are the ones whose connections are lost unnoticed. A fetch of [`READER_PARTITION_BYTES`] must end in this time.
const TAKEOVER_SOCKET_TIMEOUT_MS: &str = "5000";
/// How long a record of a checkpoint waits for others when no client waits for the checkpoint.
const BULK_LINGER_MS: &str = "5";
/// How long a reply in a backlog waits for others: a fraction of its wait in the backlog, and long enough for
/// large batches.
const BULK_REPLY_LINGER_MS: &str = "20";
/// One produce request to a broker at a time; the next is built meanwhile. A broker handles a connection's
/// requests one after another anyway, so more requests in flight save only the time on the network. With
/// more, librdkafka sends smaller batches, and spins where a partition has both a batch in flight and records
/// that wait (docs/performance.md).
const IN_FLIGHT: (&str, &str) = ("max.in.flight.requests.per.connection", "1");
/// Requests fetched ahead: those that are handled while the next fetch is in progress. More requests would
/// only leave the CPU caches, as with librdkafka's default of 100,000.
const FETCHED_AHEAD_RECORDS: &str = "10000";
/// The same limit in KiB (2 MiB), for all partitions together, since they share a queue. A turn takes all
/// that is there: this limit and the records of the fetch beyond it. A rebalance waits for the turn. Without
/// the limit, 10,000 requests of 64 KiB would be 640 MB, and librdkafka's default stops at 64. Ten thousand
/// of the smallest requests are less than 1 MiB, so they do not reach the limit, and one more fetch of
/// [`FETCH_BYTES`] is always in progress.
const FETCHED_AHEAD_KBYTES: &str = "2048";
/// Bytes of each partition in one fetch.
const FETCH_PARTITION_BYTES: &str = "524288";
/// Bytes of all partitions in one fetch. A turn of the engine takes the records of a fetch. So this limits
/// the time until the engine looks at other input, for any number of partitions: a few ten thousand of the
/// smallest requests.
const FETCH_BYTES: u64 = 2 << 20;
/// Bytes of a partition in one fetch of a reader. Most state logs are read in a few fetches. Each fetch is a
/// place where a broker that was a replica may show records of an aborted transaction (docs/verification.md).
const READER_PARTITION_BYTES: &str = "8388608";
/// Upper limit for the bytes of a forwarded stray's record, which the request topic must take.
pub const FORWARD_BYTES_MAX: usize = FORWARD_HEADERS_BYTES_MAX + VALUE_BYTES_MAX + NAME_BYTES_MAX;
/// librdkafka's own default of `batch.size` and `message.max.bytes`. Each record of the service fits, so the
/// limit of a producer never falls below a record's size, whatever the operator sets.
const MESSAGE_BYTES_MAX: usize = 1_000_000;
const _: () = assert!(FORWARD_BYTES_MAX < MESSAGE_BYTES_MAX / 2);
/// The expiry of a heartbeat, in ms. After this time it would arrive when its instance already counts as
/// gone.
const HEARTBEAT_EXPIRY_MS: &str = "200";
/// How long a fetch of replies waits at the broker for one, in ms.
const REPLY_WAIT_MS: &str = "250";
/// The interval of statistics, in ms. They give the lag and the last stable offset.
const STATISTICS_INTERVAL_MS: u64 = 1_000;

impl Connection {
    /// `transaction.timeout.ms`, in ms.
    pub fn transaction_timeout_ms(&self) -> u64 {
        let configured = self.properties.get("transaction.timeout.ms");
        configured
            .and_then(|value| value.parse().ok())
            .unwrap_or(TRANSACTION_TIMEOUT_MS)
    }

    /// `session.timeout.ms`, in ms.
    pub fn session_timeout_ms(&self) -> u64 {
        let configured = self.properties.get("session.timeout.ms");
        configured
            .and_then(|value| value.parse().ok())
            .unwrap_or(SESSION_TIMEOUT_MS)
    }

    /// The size up to which a producer fills its batches, unless a topic takes less.
    pub fn batch_bytes(&self) -> usize {
        let configured = |property: &str| self.properties.get(property)?.parse().ok();
        let batch: Option<usize> = configured("batch.size");
        batch
            .unwrap_or(MESSAGE_BYTES_MAX)
            .min(self.message_bytes_max())
    }

    /// `message.max.bytes`: the upper limit for a producer's record.
    fn message_bytes_max(&self) -> usize {
        let configured = self.properties.get("message.max.bytes");
        let configured: Option<usize> = configured.and_then(|value| value.parse().ok());
        configured.unwrap_or_default().max(MESSAGE_BYTES_MAX)
    }

    /// The transactional ID. A restart fences its own past at once (T6). An instance's name has no slash, so
    /// the last slash ends the group's part of the ID. So no two services and no repair have the same ID.
    pub fn transactional_id(&self) -> String {
        format!("{}-instance/{}", self.group, self.instance_id)
    }

    /// The transactional ID of a repair. It fences an earlier repair of the partition, and no instance.
    pub fn repair_id(&self, partition: i32) -> String {
        format!("{}-recover/{partition}", self.group)
    }

    /// The connection of the clients that answer a takeover's questions.
    pub fn for_takeovers(&self) -> Connection {
        let mut connection = self.clone();
        let timeout = connection.properties.entry("socket.timeout.ms".to_owned());
        timeout.or_insert_with(|| TAKEOVER_SOCKET_TIMEOUT_MS.to_owned());
        connection
    }

    /// The configuration of the group member that reads requests.
    pub fn group_consumer(&self) -> Config {
        let mut config = self.config(&[
            // The default of a second would stall a fetcher for that whole second after its queue was full.
            ("fetch.queue.backoff.ms", "2"),
            ("queued.min.messages", FETCHED_AHEAD_RECORDS),
            ("queued.max.messages.kbytes", FETCHED_AHEAD_KBYTES),
            ("fetch.message.max.bytes", FETCH_PARTITION_BYTES),
            ("fetch.max.bytes", &self.fetch_bytes().to_string()),
            // The request topic may grow; its new partitions are noticed this late.
            (
                "topic.metadata.refresh.interval.ms",
                TOPIC_REFRESH_INTERVAL_MS,
            ),
            // A partition that is added waits for the fetch that is in progress.
            ("fetch.wait.max.ms", "50"),
            ("session.timeout.ms", &SESSION_TIMEOUT_MS.to_string()),
            ("heartbeat.interval.ms", &HEARTBEAT_INTERVAL_MS.to_string()),
            (
                "statistics.interval.ms",
                &STATISTICS_INTERVAL_MS.to_string(),
            ),
        ]);
        fix_consumer(&mut config, requests_view(), &self.group);
        config.set("partition.assignment.strategy", "cooperative-sticky");
        // A process that is back after a crash takes its old place (T7). A process that ends leaves on
        // purpose.
        config.set("group.instance.id", &self.instance_id);
        config
    }

    /// librdkafka refuses a fetch that is smaller than `message.max.bytes`, which an operator may raise.
    fn fetch_bytes(&self) -> u64 {
        let message = self.properties.get("message.max.bytes");
        let message: Option<u64> = message.and_then(|value| value.parse().ok());
        message.unwrap_or_default().max(FETCH_BYTES)
    }

    /// The configuration of a reader of log ranges, which joins no group.
    pub fn reader(&self) -> Config {
        let mut config = self.config(&[
            ("fetch.queue.backoff.ms", "2"),
            ("queued.min.messages", "100000"),
            ("fetch.message.max.bytes", READER_PARTITION_BYTES),
            // The end of a log is known when a fetch at its end returns.
            ("fetch.wait.max.ms", "10"),
            // A committed offset that a transaction is about to replace is asked for again after this time.
            ("retry.backoff.ms", "10"),
        ]);
        fix_consumer(&mut config, committed_view(), &self.group);
        config
    }

    /// The configuration for questions about the ends of logs. Under `read_committed` the answer would be the
    /// last stable offset (T2).
    pub fn uncommitted(&self) -> Config {
        let mut config = self.config(&[]);
        fix_consumer(&mut config, bound_view(), &self.group);
        config
    }

    /// Sends replies of `immediate` mode one by one. Nothing expires: a reply that cannot be written waits.
    pub fn reply_producer(&self) -> Config {
        self.reply_config("0")
    }

    /// Sends replies of `immediate` mode when there is a backlog: batches fill before they are sent.
    pub fn bulk_reply_producer(&self) -> Config {
        self.reply_config(BULK_REPLY_LINGER_MS)
    }

    /// Sends replies to topics that clients name. A reply that cannot be written expires.
    pub fn named_reply_producer(&self) -> Config {
        let mut config = self.reply_config("0");
        let deadline_ms = self.unwritable_deadline().as_millis();
        config.set("message.timeout.ms", deadline_ms.to_string());
        config
    }

    /// Like [`Connection::named_reply_producer`], with one record in a batch.
    pub fn single_reply_producer(&self) -> Config {
        let mut config = self.named_reply_producer();
        config.set("batch.num.messages", "1");
        config
    }

    /// A topic that a client named is undeliverable after this time without an acknowledgement: half a
    /// transaction's time-out. So in `exactly_once` mode the transaction is aborted and made again without
    /// the topic long before the coordinator gives it up.
    pub fn unwritable_deadline(&self) -> Duration {
        Duration::from_millis(self.transaction_timeout_ms() / 2)
    }

    /// Sends strays home in order and without a gap, and never gives one up.
    pub fn forward_producer(&self) -> Config {
        let mut config = self.reply_config("0");
        config
            .set("max.in.flight.requests.per.connection", "1")
            .set("enable.gapless.guarantee", "true");
        config
    }

    fn reply_config(&self, linger_ms: &str) -> Config {
        let mut config = self.config(&[
            ("linger.ms", linger_ms),
            ("batch.num.messages", "10000"),
            ("queue.buffering.max.messages", "200000"),
            ("queue.buffering.max.kbytes", "262144"),
            IN_FLIGHT,
        ]);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", self.message_bytes_max().to_string())
            .set("message.timeout.ms", "0");
        config
    }

    /// The configuration of the producer that commits checkpoints (T6).
    pub fn transactional_producer(&self) -> Config {
        let timeout_ms = self.transaction_timeout_ms();
        let socket_ms = timeout_ms
            .saturating_sub(SOCKET_BELOW_TRANSACTION_MS)
            .max(10);
        // Offsets are sent when the last record is acknowledged (T1). A linger delays that.
        let linger_ms = if self.awaited_transactions {
            "0"
        } else {
            BULK_LINGER_MS
        };
        let mut config = self.config(&[
            ("linger.ms", linger_ms),
            ("batch.num.messages", "10000"),
            ("queue.buffering.max.messages", "400000"),
            ("queue.buffering.max.kbytes", "262144"),
            IN_FLIGHT,
            ("socket.timeout.ms", &socket_ms.to_string()),
        ]);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", self.message_bytes_max().to_string())
            .set("transactional.id", self.transactional_id())
            .set("transaction.timeout.ms", timeout_ms.to_string())
            .set("message.timeout.ms", timeout_ms.to_string());
        config
    }

    /// Writes requests as a client does. The first one goes at once. Those that come while it is in flight go together.
    /// An idempotent producer would make its first record wait for half a second, by a timer of librdkafka.
    pub fn request_producer(&self) -> Config {
        let mut config = self.config(&[IN_FLIGHT]);
        config
            .set("acks", "all")
            .set("enable.idempotence", "false")
            .set("linger.ms", "0");
        config
    }

    /// Writes requests of calls that wait for `timeout`. A record that is not written in half of that time is
    /// given up, so that the end of a call finds a report, and the other half is left for the reply. Until then
    /// librdkafka tries again: a record that is written twice is recognised by its `request_id`.
    pub fn call_producer(&self, timeout: Duration) -> Config {
        let mut config = self.request_producer();
        let expiry_ms = (timeout / 2).as_millis().max(1);
        config.set("message.timeout.ms", expiry_ms.to_string());
        config
    }

    /// Reads replies as they come, and joins no group. A fetch that finds nothing waits at the broker until a
    /// reply ends it.
    pub fn reply_reader(&self) -> Config {
        let mut config = self.reader();
        config.set("fetch.wait.max.ms", REPLY_WAIT_MS);
        config
    }

    /// The same for the replies of calls: those of open and aborted transactions, too.
    pub fn call_reader(&self) -> Config {
        let mut config = self.reply_reader();
        config.set("isolation.level", View::Uncommitted.isolation_level());
        config
    }

    /// Writes heartbeats. A heartbeat that cannot be written soon expires, because it would say something
    /// that is no longer true.
    pub fn heartbeat_producer(&self) -> Config {
        let mut config = self.config(&[("linger.ms", "0")]);
        config
            .set("acks", "1")
            .set("message.timeout.ms", HEARTBEAT_EXPIRY_MS);
        config
    }

    /// Reads heartbeats, and joins no group. Heartbeats that were deleted meanwhile are not missed.
    pub fn heartbeat_consumer(&self) -> Config {
        let mut config = self.config(&[]);
        fix_consumer(&mut config, View::Uncommitted, &self.group);
        config.set("auto.offset.reset", "latest");
        config
    }

    /// The configuration of the client for topics and groups.
    pub fn admin(&self) -> Config {
        self.config(&[])
    }

    fn config(&self, defaults: &[(&str, &str)]) -> Config {
        let mut config = Config::new(&self.tokens);
        // `kafka.debug` asks for librdkafka's debug lines; without it the log level ends at notices.
        let debug = self.properties.contains_key("debug");
        config.set_log_level(if debug {
            RDKafkaLogLevel::Debug
        } else {
            RDKafkaLogLevel::Info
        });
        config.set("client.id", &self.instance_id);
        // librdkafka warns of settings that a producer or a consumer ignores. Such a warning is not news.
        config.set("log.connection.close", "false");
        config.set("reconnect.backoff.max.ms", RECONNECT_BACKOFF_MAX_MS);
        config.set("socket.timeout.ms", SOCKET_TIMEOUT_MS);
        for (property, value) in defaults {
            config.set(*property, *value);
        }
        let theirs = self.properties.iter();
        for (property, value) in theirs.filter(|(property, _)| !oauth::is_own(property)) {
            config.set(property, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        // Otherwise a producer would create a topic that a client only names.
        config.set("allow.auto.create.topics", "false");
        config
    }

    /// Checks one of the operator's properties by making a configuration of it. Properties that librdkafka does not
    /// get are checked with the settings.
    ///
    /// # Errors
    /// The error of librdkafka, with the name of the property and without its value.
    pub fn check_property(property: &str, value: &str) -> Result<(), PropertyError> {
        if oauth::is_own(property) {
            return Ok(());
        }
        let mut config = ClientConfig::new();
        config.set(property, value);
        match config.create_native_config() {
            Ok(_) => Ok(()),
            Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
                Err(PropertyError::Unknown)
            }
            Err(error) => Err(PropertyError::Refused(Error::from_kafka(
                "configuration",
                &error,
            ))),
        }
    }
}

/// The reason why librdkafka refuses a property.
#[derive(Clone, Debug)]
pub enum PropertyError {
    /// librdkafka has no property of this name.
    Unknown,
    /// The value is invalid, or this build does not support the property.
    Refused(Error),
}

/// Limits the batches of a producer to `batch_bytes`.
pub fn with_batches(mut config: Config, batch_bytes: usize) -> Config {
    config.set("batch.size", batch_bytes.to_string());
    config
}

fn fix_consumer(config: &mut Config, view: View, group: &str) {
    config
        .set("group.id", group)
        .set("isolation.level", view.isolation_level())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", offset_reset().as_str())
        .set("enable.partition.eof", "true");
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kafka::consumer::GroupConsumer;

    pub(in crate::kafka) fn connection(group: &str, instance_id: &str) -> Connection {
        Connection {
            brokers: "localhost:1".to_owned(),
            properties: BTreeMap::new(),
            group: group.to_owned(),
            instance_id: instance_id.to_owned(),
            awaited_transactions: false,
            tokens: Tokens::default(),
        }
    }

    #[test]
    fn no_two_services_and_no_repair_have_one_transactional_id() {
        let parts = ["a", "b", "recover", "instance"];
        let joined = parts
            .iter()
            .flat_map(|one| parts.map(|two| format!("{one}-{two}")));
        let names: Vec<String> = joined.chain(parts.map(str::to_owned)).collect();
        // A group's name may contain any character.
        let slashed = names
            .iter()
            .flat_map(|one| parts.map(|two| format!("{one}/{two}")));
        let groups: Vec<String> = names.iter().cloned().chain(slashed).collect();
        let mut ids = std::collections::BTreeSet::new();
        let mut count = 0;
        for group in &groups {
            for instance in names.iter().map(String::as_str).chain(["3", "recover-3"]) {
                let connection = connection(group, instance);
                let id = connection.transactional_id();
                assert!(id.starts_with(&format!("{group}-")), "{id}");
                assert!(ids.insert(id.clone()), "{id} is given twice");
                count += 1;
            }
            let repair = connection(group, "a").repair_id(3);
            assert!(ids.insert(repair.clone()), "{repair} is given twice");
            count += 1;
        }
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn a_turn_takes_a_bounded_number_of_bytes() {
        /// The sum of the bytes fetched ahead and the fetch beyond them.
        const TURN_BYTES_MAX: u64 = 4 << 20;
        let config = connection("g", "i").group_consumer();
        let number = |property| config.get(property).unwrap().parse::<u64>().unwrap();
        let ahead = number("queued.max.messages.kbytes") * 1024;
        assert!(ahead + number("fetch.max.bytes") <= TURN_BYTES_MAX);
    }

    #[test]
    fn a_consumer_is_made_whatever_size_of_record_the_operator_allows() {
        for bytes in ["1000000", "2097153", "50000000"] {
            let connection = Connection {
                properties: BTreeMap::from([("message.max.bytes".to_owned(), bytes.to_owned())]),
                ..connection("g", "i")
            };
            let consumer = GroupConsumer::new(&connection.group_consumer(), "requests");
            consumer.unwrap().close(Duration::ZERO);
        }
    }
}
