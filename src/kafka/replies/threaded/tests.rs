//! Tests against librdkafka's mock cluster, or without a cluster.

use std::time::Instant;

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::*;
use crate::wire::headers::Block;

const TOPIC: &str = "replies";
const PATIENCE: Duration = Duration::from_secs(20);
const BATCHES: u64 = 20;
const BATCH_RECORDS: u64 = 50;

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn config(brokers: &str, queue_records: &str) -> Config {
    let mut config = Config::default();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", queue_records)
        .set("linger.ms", "1");
    config
}

/// Hands over numbered values. The batch's number is the token.
fn hand_over(sender: &mut Threaded, batches: std::ops::Range<u64>) {
    let mut batch = Batch::default();
    for number in batches {
        for record in 0..BATCH_RECORDS {
            batch.push(Outgoing {
                partition: 0,
                key: None,
                value: Some((number * BATCH_RECORDS + record).to_string().as_bytes()),
                headers: Block::EMPTY,
                opaque: usize::try_from(number).expect("small"),
            });
        }
        sender.hand_over(&mut batch).expect("taken");
        assert!(batch.is_empty());
    }
}

fn written(cluster: &Cluster, records: u64) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(TOPIC, 0, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&all).expect("assigned");
    let begin = Instant::now();
    let mut found = Vec::new();
    while (found.len() as u64) < records && begin.elapsed() < PATIENCE {
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            let value = record.payload().unwrap_or_default();
            found.push(String::from_utf8_lossy(value).into_owned());
        }
    }
    found
}

/// Runs with room for all, and with room for a fifth of a batch.
#[test]
fn all_are_written_in_order_and_reported_also_through_a_full_queue() {
    for queue_records in ["100000", "10"] {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic in it");
        let config = config(&cluster.bootstrap_servers(), queue_records);
        let mut sender = Threaded::start(&config, TOPIC).expect("started");
        hand_over(&mut sender, 0..BATCHES);
        let mut reported = Reported::default();
        let begin = Instant::now();
        while sender.under_way() > 0 && begin.elapsed() < PATIENCE {
            sender.reported(&mut reported);
            thread::sleep(REPORTS_WAIT);
        }
        assert_eq!(sender.under_way(), 0);
        let each: Vec<_> = (0..BATCHES).map(|number| (number, BATCH_RECORDS)).collect();
        assert_eq!(reported.runs, each);
        assert!(reported.returned.is_empty());
        let all = BATCHES * BATCH_RECORDS;
        let numbers: Vec<_> = (0..all).map(|number| number.to_string()).collect();
        assert_eq!(written(&cluster, all), numbers);
    }
}

#[test]
fn it_ends_although_nobody_takes_what_it_holds() {
    let config = config("127.0.0.1:1", "10");
    let mut sender = Threaded::start(&config, TOPIC).expect("started");
    hand_over(&mut sender, 0..2);
    assert_eq!(u64::try_from(sender.under_way()), Ok(2 * BATCH_RECORDS));
    drop(sender);
}

#[test]
fn what_comes_back_is_reported_with_the_reason() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic(TOPIC, 1, 1).expect("a topic in it");
    let mut config = config(&cluster.bootstrap_servers(), "1000");
    config.set("message.timeout.ms", "300");
    let mut sender = Threaded::start(&config, TOPIC).expect("started");
    cluster.broker_down(1).expect("down");
    hand_over(&mut sender, 0..1);
    let mut reported = Reported::default();
    let begin = Instant::now();
    while sender.under_way() > 0 && begin.elapsed() < PATIENCE {
        sender.reported(&mut reported);
        thread::sleep(REPORTS_WAIT);
    }
    assert_eq!(reported.returned.len() as u64, BATCH_RECORDS);
    let first = reported.returned.first().map(OwnedReply::borrowed);
    let first = first.expect("one");
    assert_eq!((first.value, first.opaque), (Some(&b"0"[..]), 0));
    assert!(reported.problem.is_some());
}
