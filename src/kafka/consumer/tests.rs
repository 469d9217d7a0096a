//! Tests against librdkafka's mock cluster. It has groups but proves nothing about transactions, which the
//! integration tests cover.

use std::time::Instant;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::kafka::error::{Scope, scope};

/// librdkafka's generation of a consumer that is not a member of the group.
const NO_GENERATION: i32 = -1;
const TOPIC: &str = "requests";
/// The mock cluster takes 3 s to form a group.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to see that a record does not come.
const SILENCE: Duration = Duration::from_millis(300);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster
        .create_topic(TOPIC, partitions, 1)
        .expect("a topic in it");
    cluster
}

fn member(cluster: &Cluster) -> GroupConsumer {
    GroupConsumer::new(&configured(cluster), TOPIC).expect("a consumer")
}

fn configured(cluster: &Cluster) -> Config {
    let mut config = Config::default();
    config
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "group")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        // The mock cluster waits for this time less one second in each rebalance.
        .set("session.timeout.ms", "4000")
        .set("heartbeat.interval.ms", "100")
        .set("fetch.wait.max.ms", "10");
    config
}

fn produce(cluster: &Cluster, records: Vec<BaseRecord<'_, [u8], [u8]>>) {
    produce_compressed(cluster, "none", records);
}

fn produce_compressed(cluster: &Cluster, codec: &str, records: Vec<BaseRecord<'_, [u8], [u8]>>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("compression.type", codec)
        // So that all records are in one batch.
        .set("linger.ms", "100")
        .create()
        .expect("a producer");
    for record in records {
        producer.send(record).map_err(|(e, _)| e).expect("queued");
    }
    producer.flush(PATIENCE).expect("written");
}

fn numbered(partition: i32, count: u8) -> Vec<BaseRecord<'static, [u8], [u8]>> {
    const VALUES: [[u8; 1]; 4] = [[0], [1], [2], [3]];
    VALUES[..usize::from(count)]
        .iter()
        .map(|value| {
            BaseRecord::to(TOPIC)
                .partition(partition)
                .payload(&value[..])
        })
        .collect()
}

/// An event without borrowed data.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Record(i32, i64),
    End(i32, i64),
    Assigned(Vec<i32>),
    Revoked(Vec<i32>, bool),
    OffsetLost(i32),
    Failed(i32, Scope),
    Other,
}

fn seen(event: &Event<'_>) -> Seen {
    match event {
        Event::Record(record) => Seen::Record(record.partition, record.offset),
        Event::EndOfPartition { partition, next } => Seen::End(*partition, *next),
        Event::Assigned(partitions) => Seen::Assigned(partitions.clone()),
        Event::Revoked { partitions, lost } => Seen::Revoked(partitions.clone(), *lost),
        Event::Error {
            at: Some((partition, _)),
            error,
        } if error.class == Class::OffsetLost => Seen::OffsetLost(*partition),
        Event::Error {
            at: Some((partition, _)),
            error,
        } => Seen::Failed(*partition, scope(error, Some(*partition))),
        _ => Seen::Other,
    }
}

/// Polls until an event satisfies `is`. Returns it and all events before it.
fn until(member: &mut GroupConsumer, is: impl Fn(&Seen) -> bool) -> Vec<Seen> {
    let begin = Instant::now();
    let mut all = Vec::new();
    while !all.last().is_some_and(&is) {
        assert!(begin.elapsed() < PATIENCE, "it did not come: {all:?}");
        member.poll(Duration::from_millis(10), |event| all.push(seen(&event)));
    }
    all
}

fn join(member: &mut GroupConsumer) {
    until(
        member,
        |seen| matches!(seen, Seen::Assigned(p) if !p.is_empty()),
    );
    member.accept_assignment().expect("accepted");
}

#[test]
fn a_record_is_as_it_was_written() {
    let cluster = cluster(1);
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "a",
            value: Some("1"),
        })
        .insert(Header::<&str> {
            key: "b",
            value: None,
        })
        .insert(Header {
            key: "a",
            value: Some("2"),
        })
        .insert(Header {
            key: "c",
            value: Some(""),
        });
    produce(
        &cluster,
        vec![
            BaseRecord::to(TOPIC).partition(0).payload(&b"v"[..]),
            BaseRecord::to(TOPIC)
                .partition(0)
                .key(&b""[..])
                .payload(&b""[..]),
            BaseRecord::to(TOPIC)
                .partition(0)
                .key(&b"k"[..])
                .headers(headers),
        ],
    );
    let mut member = member(&cluster);
    join(&mut member);
    member.start(0, 0, None).expect("started");
    let mut count = 0;
    let begin = Instant::now();
    while count < 3 && begin.elapsed() < PATIENCE {
        member.poll(Duration::from_millis(10), |event| {
            let Event::Record(record) = event else { return };
            match record.offset {
                0 => assert_eq!((record.key, record.value), (None, Some(&b"v"[..]))),
                1 => assert_eq!((record.key, record.value), (Some(&b""[..]), Some(&b""[..]))),
                _ => {
                    assert_eq!((record.key, record.value), (Some(&b"k"[..]), None));
                    assert_eq!(record.headers.iter().count(), 4);
                    assert_eq!(record.header("a"), Some(&b"2"[..]), "the last one wins");
                    assert_eq!(record.header("b"), None);
                    assert_eq!(record.header("c"), Some(&b""[..]));
                    assert_eq!(record.header("d"), None);
                }
            }
            count += 1;
        });
    }
    assert_eq!(count, 3);
}

/// The bytes after a value show whether the record has headers.
#[test]
fn headers_are_found_behind_any_value() {
    const VALUES: [Option<&[u8]>; 4] = [Some(b"v"), Some(b""), None, Some(&[0; 300])];
    let cluster = cluster(1);
    for codec in ["none", "gzip"] {
        let record = |value: &Option<&'static [u8]>, headers: usize| {
            let header = |all: OwnedHeaders, _| {
                all.insert(Header {
                    key: "name",
                    value: Some("value"),
                })
            };
            let headers = (0..headers).fold(OwnedHeaders::new(), header);
            let record = BaseRecord::<[u8], [u8]>::to(TOPIC)
                .partition(0)
                .key(&b"k"[..]);
            let record = record.headers(headers);
            match value {
                Some(value) => record.payload(value),
                None => record,
            }
        };
        let all = VALUES
            .iter()
            .flat_map(|value| [0, 1, 2].map(|headers| record(value, headers)));
        produce_compressed(&cluster, codec, all.collect());
    }
    let mut member = member(&cluster);
    join(&mut member);
    member.start(0, 0, None).expect("started");
    let mut found = Vec::new();
    let begin = Instant::now();
    while found.len() < 24 && begin.elapsed() < PATIENCE {
        member.poll(Duration::from_millis(10), |event| {
            if let Event::Record(record) = event {
                found.push((
                    record.value.map(<[u8]>::to_vec),
                    record.headers.iter().count(),
                ));
            }
        });
    }
    let written = VALUES
        .iter()
        .flat_map(|value| [0, 1, 2].map(|headers| (value.map(<[u8]>::to_vec), headers)));
    let written: Vec<_> = written.collect();
    assert_eq!(found, [written.clone(), written].concat());
}

#[test]
fn fetching_begins_where_it_is_told_to_and_stops_at_once() {
    let cluster = cluster(1);
    produce(&cluster, numbered(0, 4));
    let mut member = member(&cluster);
    join(&mut member);
    member.start(0, 2, None).expect("started");
    let all = until(&mut member, |seen| matches!(seen, Seen::End(..)));
    assert_eq!(
        all,
        [Seen::Record(0, 2), Seen::Record(0, 3), Seen::End(0, 4)]
    );

    member.start(0, 0, None).expect_err("it is being fetched");
    member.stop(0).expect("stopped");
    member.wake_all();
    produce(&cluster, numbered(0, 1));
    let mut after = 0;
    member.poll(SILENCE, |_| after += 1);
    assert_eq!(after, 0);

    member.start(0, 3, None).expect("started anew");
    let all = until(&mut member, |seen| matches!(seen, Seen::End(..)));
    assert_eq!(
        all,
        [Seen::Record(0, 3), Seen::Record(0, 4), Seen::End(0, 5)]
    );
}

#[test]
fn i6_the_log_of_a_stopped_partition_is_compared_by_its_leader_epoch() {
    let cluster = cluster(1);
    produce(&cluster, numbered(0, 4));
    let mut member = member(&cluster);
    join(&mut member);
    member.start(0, 0, None).expect("started");
    until(&mut member, |seen| matches!(seen, Seen::End(0, 4)));
    member.stop(0).expect("stopped");
    // Of no leader that this log has had: what was read under it is gone.
    member.start(0, 4, Some(1_000)).expect("started anew");
    until(&mut member, |seen| *seen == Seen::OffsetLost(0));
}

#[test]
fn a_partition_whose_offset_was_lost_can_be_started_anew() {
    let cluster = cluster(1);
    produce(&cluster, numbered(0, 2));
    let mut member = member(&cluster);
    join(&mut member);
    member.start(0, 1_000, None).expect("started");
    until(&mut member, |seen| *seen == Seen::OffsetLost(0));
    member.start(0, 1, None).expect("started anew");
    let all = until(&mut member, |seen| matches!(seen, Seen::End(..)));
    assert_eq!(all, [Seen::Record(0, 1), Seen::End(0, 2)]);
}

#[test]
fn a_second_member_gets_what_the_first_has_given_up() {
    let cluster = cluster(4);
    produce(&cluster, numbered(0, 1));
    let mut first = member(&cluster);
    join(&mut first);
    for partition in [0, 1] {
        // The other partitions are never started.
        first.start(partition, 0, None).expect("started");
    }
    first.give_up(&[0]).expect_err("nobody asked");

    let mut second = member(&cluster);
    let begin = Instant::now();
    let mut revoked = Vec::new();
    while revoked.is_empty() {
        assert!(begin.elapsed() < PATIENCE);
        first.poll(Duration::from_millis(10), |event| match seen(&event) {
            Seen::Revoked(partitions, lost) => {
                assert!(!lost);
                revoked = partitions;
            }
            Seen::Assigned(partitions) => assert!(partitions.is_empty()),
            _ => {}
        });
        second.poll(Duration::ZERO, |event| {
            if let Seen::Assigned(partitions) = seen(&event) {
                assert!(partitions.is_empty(), "too early");
            }
        });
        second.accept_assignment().expect("accepted");
    }
    assert_eq!(revoked.len(), 2);
    // No event is handed on before the answer.
    let mut early = Vec::new();
    second.poll(SILENCE, |event| early.push(seen(&event)));
    assert!(
        !early
            .iter()
            .any(|seen| matches!(seen, Seen::Assigned(p) if !p.is_empty()))
    );

    first.give_up(&revoked).expect("given up");
    let mut given = Vec::new();
    while given.is_empty() {
        assert!(begin.elapsed() < PATIENCE);
        first.poll(Duration::from_millis(10), |_| {});
        first.accept_assignment().expect("accepted");
        second.poll(Duration::from_millis(10), |event| {
            if let Seen::Assigned(partitions) = seen(&event) {
                given = partitions;
            }
        });
        second.accept_assignment().expect("accepted");
    }
    given.sort_unstable();
    revoked.sort_unstable();
    assert_eq!(given, revoked);
    assert!(second.generation() > Some(NO_GENERATION));
}

#[test]
fn a_damaged_batch_is_an_error_of_its_partition_with_its_offset() {
    let cluster = cluster(2);
    let large = vec![b' '; 2_000_000];
    let record = |partition: i32, value| BaseRecord::to(TOPIC).partition(partition).payload(value);
    produce(&cluster, vec![record(0, &b"a"[..]), record(1, &b"b"[..])]);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("compression.type", "zstd")
        .set("message.max.bytes", "3000000")
        .create()
        .expect("a producer");
    let sent = producer.send(record(0, &large[..]));
    sent.map_err(|(error, _)| error).expect("queued");
    producer.flush(PATIENCE).expect("written");
    let mut config = configured(&cluster);
    // Less than the batch holds after decompression, as 100 MB is less than a small batch can hold.
    config
        .set("receive.message.max.bytes", "1100000")
        .set("fetch.max.bytes", "1000000")
        .set("message.max.bytes", "1000000");
    let mut member = GroupConsumer::new(&config, TOPIC).expect("a consumer");
    join(&mut member);
    member.start(0, 0, None).expect("started");
    let mut failed = None;
    let begin = Instant::now();
    while failed.is_none() {
        assert!(begin.elapsed() < PATIENCE, "no error came");
        member.poll(Duration::from_millis(10), |event| {
            if let Event::Error { at, error } = event {
                failed = Some((at, error));
            }
        });
    }
    let (at, error) = failed.expect("an error");
    assert_eq!(at, Some((0, 1)));
    assert!(error.is_unreadable(), "{error}");
    assert_eq!(scope(&error, Some(0)), Scope::Partition(0));
    member.stop(0).expect("stopped");
    member.start(1, 0, None).expect("started");
    until(&mut member, |seen| *seen == Seen::Record(1, 0));
}

#[test]
fn a_broker_that_fails_for_unknown_reasons_is_an_error_of_the_partition() {
    let cluster = cluster(1);
    produce(&cluster, numbered(0, 1));
    let mut member = member(&cluster);
    join(&mut member);
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[unknown; 3]);
    member.start(0, 0, None).expect("started");
    let seen = until(&mut member, |seen| *seen == Seen::Record(0, 0));
    let failed = |seen: &&Seen| matches!(seen, Seen::Failed(0, Scope::Partition(0)));
    assert!(seen.iter().any(|seen| failed(&seen)), "{seen:?}");
}

#[test]
fn closing_does_not_wait_for_an_answer_that_nobody_gives() {
    let cluster = cluster(1);
    let mut member = member(&cluster);
    until(&mut member, |seen| matches!(seen, Seen::Assigned(_)));
    let begin = Instant::now();
    member.close(PATIENCE);
    assert!(begin.elapsed() < PATIENCE / 2);
}

#[test]
fn a_consumer_needs_a_group_and_a_possible_topic() {
    let error = GroupConsumer::new(&Config::default(), TOPIC).err();
    assert_eq!(error.map(|error| error.class), Some(Class::Fatal));
    let mut config = Config::default();
    config.set("group.id", "group");
    let error = GroupConsumer::new(&config, "a\0b").err();
    assert_eq!(error.map(|error| error.class), Some(Class::Refused));
}
