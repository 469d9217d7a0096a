//! What lies in the topics after a client's calls: each request's headers, as that client writes them,
//! against the headers and the place of its reply.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::stage::{REQUESTS, Stage};
use crate::support::murmur2::partition_of;
use crate::support::service::PARTITIONS;
use crate::support::wait_for;
/// The header names of a family of clients, as its sources have them.
struct Convention {
    correlation: &'static str,
    topic: &'static str,
    partition: &'static str,
}

const CONVENTIONS: [Convention; 3] = [
    Convention {
        correlation: "kafka_correlationId",
        topic: "kafka_replyTopic",
        partition: "kafka_replyPartition",
    },
    Convention {
        correlation: "REPLY_CORRELATION_ID",
        topic: "REPLY_TOPIC",
        partition: "REPLY_PARTITION",
    },
    Convention {
        correlation: "correlation_id",
        topic: "reply_to",
        // None of its own.
        partition: "",
    },
];
/// NestJS reads both; they go on every reply to a request of its family.
const NEST_ERROR: &str = "kafka_nest-err";
const NEST_DISPOSED: &str = "kafka_nest-is-disposed";
/// What the service puts on a request that came to another partition than its name's home.
const FORWARDED: &str = "sequencer-forwarded";

/// How long a look at the consumer may take.
const POLL: Duration = Duration::from_millis(50);

struct Record {
    partition: i32,
    key: Vec<u8>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    value: Vec<u8>,
}

impl Record {
    /// The values of a header that is there once or more.
    fn all(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(header, _)| header == name);
        named
            .map(|(_, value)| value.as_deref().unwrap_or_default())
            .collect()
    }
}

/// Checks the replies to all requests for this client's sequences, and returns how many of these asked
/// for a partition.
pub fn check(stage: &Stage, client: &str, reply_topic: Option<&str>) -> usize {
    let begin = format!("{client}-");
    let mut requests = read(stage, REQUESTS);
    // What the service forwards to a name's home is no record of the client's.
    requests.retain(|record| {
        record.key.starts_with(begin.as_bytes()) && record.all(FORWARDED).is_empty()
    });
    let Some(reply_topic) = reply_topic else {
        let plain = requests.iter().all(|request| request.headers.is_empty());
        assert!(plain, "a client without a convention sends no headers");
        return 0;
    };
    let convention = CONVENTIONS
        .iter()
        .find(|convention| {
            requests
                .iter()
                .any(|request| !request.all(convention.topic).is_empty())
        })
        .expect("a client with a reply topic names it in a header");
    let replies = read(stage, reply_topic);
    for reply in &replies {
        let complete = reply.headers.iter().all(|(_, value)| value.is_some());
        assert!(complete, "no reply header has a null value");
    }
    requests
        .iter()
        .filter(|request| answered(convention, request, reply_topic, &replies))
        .count()
}

/// Checks the replies to one request, and returns whether it asked for a partition.
fn answered(
    convention: &Convention,
    request: &Record,
    reply_topic: &str,
    replies: &[Record],
) -> bool {
    assert_eq!(request.all(convention.topic), [reply_topic.as_bytes()]);
    let correlation = request.all(convention.correlation);
    assert_eq!(correlation.len(), 1, "a request has one correlation");
    let asked = request.all(convention.partition).pop().map(number);
    let partition = asked.unwrap_or_else(|| partition_of(&request.key, PARTITIONS));
    let mut answers = replies
        .iter()
        .filter(|reply| reply.all(convention.correlation).contains(&correlation[0]))
        .peekable();
    assert!(
        answers.peek().is_some(),
        "a request has a reply on the topic that it names"
    );
    for reply in answers {
        assert_eq!(
            reply.all(convention.correlation),
            correlation,
            "byte for byte, once"
        );
        assert_eq!(reply.key, request.key);
        assert_eq!(reply.partition, partition);
        assert!(
            reply.all(convention.topic).is_empty(),
            "a reply is no request"
        );
        let error = String::from_utf8_lossy(&reply.value).contains("\"error\":{");
        let kafka = convention.correlation == CONVENTIONS[0].correlation;
        assert_eq!(reply.all(NEST_ERROR).len(), usize::from(kafka && error));
        let disposed: &[&[u8]] = if kafka { &[&[0]] } else { &[] };
        assert_eq!(reply.all(NEST_DISPOSED), disposed);
    }
    asked.is_some()
}

/// Four bytes that start with a zero byte are big-endian, anything else is decimal text.
fn number(bytes: &[u8]) -> i32 {
    match bytes {
        [0, a, b, c] => i32::from_be_bytes([0, *a, *b, *c]),
        text => String::from_utf8_lossy(text).parse().unwrap(),
    }
}

/// All of a topic, as a reader with default settings sees it.
fn read(stage: &Stage, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", stage.bootstrap())
        // No group is joined; librdkafka wants a name all the same.
        .set("group.id", "tests-read-without-a-group")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&all).unwrap();
    let mut records = Vec::new();
    // More than once each, while other clients write.
    let mut ended = HashSet::new();
    wait_for(&format!("the end of {topic}"), || {
        // All that is there in each look.
        while let Some(event) = consumer.poll(POLL) {
            match event {
                Ok(message) => records.push(record(&message)),
                Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
                Err(error) => panic!("{topic}: {error}"),
            }
        }
        (0..PARTITIONS)
            .all(|partition| ended.contains(&partition))
            .then_some(())
    });
    records
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let header = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
    };
    Record {
        partition: message.partition(),
        key: message.key().unwrap_or_default().to_vec(),
        headers: message
            .headers()
            .map(|headers| headers.iter().map(header).collect())
            .unwrap_or_default(),
        value: message.payload().unwrap_or_default().to_vec(),
    }
}
