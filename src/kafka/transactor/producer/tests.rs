//! Aborts of the transactional producer, on librdkafka's mock cluster.

use std::collections::BTreeMap;

use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;

use super::*;
use crate::kafka::oauth::Tokens;

const PLENTY: Duration = Duration::from_secs(10);
/// The broker of the coordinator, and the leader of the reply topic.
const COORDINATOR: i32 = 1;
const LEADER: i32 = 2;

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn started() -> (Cluster, TransactionalProducer) {
    let cluster = MockCluster::new(2).expect("a mock cluster");
    let topics = Topics {
        requests: "requests".to_owned(),
        replies: "replies".to_owned(),
        state: "state".to_owned(),
        ledger: "ledger".to_owned(),
    };
    for topic in [&topics.replies, &topics.state, &topics.ledger] {
        cluster.create_topic(topic, 1, 1).expect("a topic");
        cluster
            .partition_leader(topic, 0, Some(LEADER))
            .expect("a leader");
    }
    let connection = Connection {
        brokers: cluster.bootstrap_servers(),
        properties: BTreeMap::new(),
        group: "g".to_owned(),
        instance_id: "a".to_owned(),
        awaited_transactions: false,
        tokens: Tokens::default(),
    };
    let id = connection.transactional_id();
    cluster
        .coordinator(MockCoordinator::Transaction(id), COORDINATOR)
        .expect("a coordinator");
    let sizes = Sizes::new(&connection, &topics);
    let producer = TransactionalProducer::new(&connection, &topics, sizes, PLENTY);
    (cluster, producer.expect("a producer"))
}

fn enqueue(producer: &TransactionalProducer) {
    let record = produce::Outgoing {
        partition: 0,
        key: None,
        value: Some(b"1"),
        headers: Block::default(),
        opaque: REPLY,
    };
    let deadline = Instant::now() + PLENTY;
    producer
        .enqueue(&producer.replies, record, deadline)
        .expect("room for a record");
}

/// Begins a transaction with nothing known of the one before it, as `produce` does.
fn begin(producer: &TransactionalProducer) {
    producer.progress.take();
    producer.begin().expect("a transaction");
}

fn serve_all(producer: &TransactionalProducer) {
    while producer.producer.in_flight() > 0 {
        producer.poll();
    }
}

#[test]
fn t9_an_abort_fails_when_a_broker_may_still_handle_a_record() {
    let (cluster, producer) = started();
    begin(&producer);
    enqueue(&producer);
    serve_all(&producer);
    cluster
        .broker_round_trip_time(LEADER, ANSWER_WAIT * 4)
        .expect("a slow broker");
    enqueue(&producer);
    // So that the record is on its way.
    std::thread::sleep(ANSWER_WAIT);
    let error = producer.abort(PLENTY).expect_err("an answer is missing");
    assert_eq!(error.class, Class::Indefinite, "{error}");
}

#[test]
fn an_abort_waits_for_the_answers_that_come() {
    let (_cluster, producer) = started();
    for _ in 0..3 {
        begin(&producer);
        for _ in 0..100 {
            enqueue(&producer);
        }
        producer.abort(PLENTY).expect("all are answered or dropped");
        begin(&producer);
        enqueue(&producer);
        serve_all(&producer);
        let failed = producer.progress.borrow().failed.clone();
        assert!(
            failed.is_none(),
            "no sequence number is skipped: {failed:?}"
        );
        producer.commit(PLENTY).expect("a commit");
    }
}
