//! Reads a topic up to its present end, or follows it as it grows.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use serde_json::Value;

use super::check::cause;
use super::records::{Reply, Request};
use super::{DEADLINE, wait_for};

/// The records of transactions that a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Records of committed transactions, up to the first open one, according to their markers. The reader gets
    /// a whole partition in one answer of its broker, because [`Isolation::CommittedInSteps`] is not exact.
    Committed,
    /// Records of committed transactions, read in the usual way of clients. A broker that was a replica and
    /// fell behind may show records of an aborted transaction at the end of an answer (docs/verification.md,
    /// "What Kafka does not promise").
    CommittedInSteps,
    /// All records.
    Uncommitted,
}

/// A number above the bytes of any topic of a test.
pub const WHOLE_BYTES: &str = "1000000000";
/// The settings of a client that reads a whole partition at once.
pub const WHOLE: [(&str, &str); 3] = [
    ("fetch.message.max.bytes", WHOLE_BYTES),
    ("fetch.max.bytes", WHOLE_BYTES),
    ("receive.message.max.bytes", "1000001000"),
];

/// The longest time for one poll of the consumer.
const POLL: Duration = Duration::from_millis(50);

/// A consumer that is not a member of a group. It reads only its assigned partitions.
pub fn consumer(bootstrap: &str, isolation: Isolation) -> BaseConsumer {
    let level = match isolation {
        Isolation::Committed | Isolation::CommittedInSteps => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    let mut config = ClientConfig::new();
    if isolation == Isolation::Committed {
        for (property, value) in WHOLE {
            config.set(property, value);
        }
    }
    config
        .set("bootstrap.servers", bootstrap)
        // The consumer joins no group, but librdkafka requires a name.
        .set("group.id", "tests-read-without-a-group")
        .set("isolation.level", level)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "2")
        .set("reconnect.backoff.max.ms", "500")
        .create()
        .unwrap()
}

/// A consumer of a whole topic from its beginning, and the number of the topic's partitions.
pub fn assigned(bootstrap: &str, topic: &str, isolation: Isolation) -> (BaseConsumer, i32) {
    assigned_from(Offset::Beginning, bootstrap, topic, isolation)
}

/// Like [`assigned`], from another place in each partition.
pub fn assigned_from(
    from: Offset,
    bootstrap: &str,
    topic: &str,
    isolation: Isolation,
) -> (BaseConsumer, i32) {
    let consumer = consumer(bootstrap, isolation);
    let partitions = wait_for(&format!("topic {topic}"), || {
        let metadata = consumer.fetch_metadata(Some(topic), DEADLINE).ok()?;
        let partitions = metadata.topics()[0].partitions().len() as i32;
        (partitions > 0).then_some(partitions)
    });
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, from).unwrap();
    }
    consumer.assign(&list).unwrap();
    (consumer, partitions)
}

/// The end of a partition's log, transaction markers included.
pub fn high_watermark(bootstrap: &str, topic: &str, partition: i32) -> i64 {
    watermark(
        &consumer(bootstrap, Isolation::Uncommitted),
        topic,
        partition,
    )
}

/// The end for this consumer. A broker that has just started becomes the leader of its partitions a moment
/// later.
fn watermark(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    wait_for(&format!("the end of {topic}:{partition}"), || {
        let found = consumer.fetch_watermarks(topic, partition, DEADLINE);
        found.ok().map(|(_, end)| end)
    })
}

/// Reads a whole topic. With `Committed` it first waits until no transaction is open, so that it misses no record from
/// before the call.
fn read<T>(
    bootstrap: &str,
    topic: &str,
    isolation: Isolation,
    take: impl Fn(&BorrowedMessage<'_>) -> T,
) -> Vec<T> {
    let (reader, partitions) = assigned(bootstrap, topic, isolation);
    if isolation != Isolation::Uncommitted {
        let all = consumer(bootstrap, Isolation::Uncommitted);
        for partition in 0..partitions {
            let end = watermark(&all, topic, partition);
            wait_for(
                &format!("the transactions on {topic}:{partition} to end"),
                || {
                    // For this reader, the high watermark is the beginning of the first open transaction.
                    let stable = watermark(&reader, topic, partition);
                    (stable >= end).then_some(())
                },
            );
        }
    }
    let mut records = Vec::new();
    let mut ended = HashSet::new();
    let mut deadline = Instant::now() + DEADLINE;
    while ended.len() < partitions as usize {
        assert!(
            Instant::now() < deadline,
            "waited for the end of topic {topic}, ended: {ended:?}"
        );
        match reader.poll(POLL) {
            Some(Ok(message)) => {
                records.push(take(&message));
                deadline = Instant::now() + DEADLINE;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            // The broker is away for a moment. The deadline ends the wait.
            Some(Err(_)) | None => {}
        }
    }
    records
}

/// A record of a topic.
#[derive(Clone, Debug)]
pub struct Raw {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970. For a request, the time of the broker's clock.
    #[allow(dead_code, reason = "chaos looks at it")]
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Raw {
    /// The last header of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().rfind(|(found, _)| found == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// The value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.value.as_deref().unwrap_or_default()).unwrap()
    }
}

/// All committed records of a topic, in log order within each partition.
pub fn raw(bootstrap: &str, topic: &str) -> Vec<Raw> {
    read(bootstrap, topic, Isolation::Committed, |message| Raw {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map_or_else(Vec::new, |headers| {
            let owned = headers.iter().map(|header| {
                let value = header.value.unwrap_or_default().to_vec();
                (header.key.to_owned(), value)
            });
            owned.collect()
        }),
    })
}

/// The whole request log, in log order within each partition.
pub fn requests(bootstrap: &str, topic: &str) -> Vec<Request> {
    read(bootstrap, topic, Isolation::Committed, |message| Request {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
    })
}

/// All replies.
pub fn replies(bootstrap: &str, topic: &str, isolation: Isolation) -> Vec<Reply> {
    read(bootstrap, topic, isolation, reply)
}

/// A reply with its headers.
#[derive(Clone, Debug)]
pub struct Headed {
    pub reply: Reply,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// All replies of a topic, with their headers.
pub fn headed(bootstrap: &str, topic: &str, isolation: Isolation) -> Vec<Headed> {
    read(bootstrap, topic, isolation, |message| {
        let headers = message.headers().into_iter().flat_map(|all| all.iter());
        let header = |header: Header<'_, &[u8]>| {
            let value = header.value.expect("no reply header has a null value");
            (header.key.to_owned(), value.to_vec())
        };
        Headed {
            reply: reply(message),
            headers: headers.map(header).collect(),
        }
    })
}

fn reply(message: &BorrowedMessage<'_>) -> Reply {
    Reply {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        body: message.payload().unwrap_or_default().to_vec(),
    }
}

/// Follows a reply topic from its beginning.
pub struct Tail {
    topic: String,
    consumer: BaseConsumer,
    answered: HashSet<(i32, i64)>,
    seen: usize,
}

impl Tail {
    pub fn new(bootstrap: &str, topic: &str, isolation: Isolation) -> Tail {
        let isolation = match isolation {
            // A topic that is followed is read in steps.
            Isolation::Committed => Isolation::CommittedInSteps,
            other => other,
        };
        let (consumer, _) = assigned(bootstrap, topic, isolation);
        Tail {
            topic: topic.to_owned(),
            consumer,
            answered: HashSet::new(),
            seen: 0,
        }
    }

    /// Requests that have a reply so far.
    pub fn answered(&self) -> usize {
        self.answered.len()
    }

    /// Waits until `count` requests are answered.
    pub fn wait_answered(&mut self, count: usize) {
        self.try_answered(count)
            .unwrap_or_else(|waited| panic!("{waited}"));
    }

    /// Waits until `count` requests are answered. If no further answer comes within the time of a deadline, it
    /// gives up and returns the missing condition.
    pub fn try_answered(&mut self, count: usize) -> Result<(), String> {
        let mut deadline = Instant::now() + DEADLINE;
        while self.answered.len() < count {
            let before = self.answered.len();
            // An error means the end for now, or a broker that is away for a moment.
            if let Some(Ok(message)) = self.consumer.poll(POLL) {
                self.seen += 1;
                let body = serde_json::from_slice(message.payload().unwrap_or_default());
                self.answered
                    .extend(body.ok().and_then(|body| cause(&body)));
            }
            let now = self.answered.len();
            if now > before {
                deadline = Instant::now() + DEADLINE;
            }
            if Instant::now() > deadline {
                let (topic, seen, waited_s) = (&self.topic, self.seen, DEADLINE.as_secs());
                return Err(format!(
                    "waited for {count} requests to be answered on {topic}: {now} are, by {seen} \
                     replies, and none more for {waited_s} s"
                ));
            }
        }
        Ok(())
    }
}
