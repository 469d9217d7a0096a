//! Replies go to the topics that clients name, with the headers that they expect. If this is not possible, they
//! go to the default topic, with the reason.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::admin::Admin;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail::{self, Raw};
use crate::support::{murmur2, unique, wait_for};

const UNDELIVERED: &str = "sequencer-undelivered";

/// A header's name and value.
type Header<'a> = (&'a str, &'a [u8]);

/// A reply topic of one client.
fn topic(service: &Service, partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = format!("{}.reply", unique("client"));
    Admin::new(&service.bootstrap).create(&name, partitions, settings);
    name
}

/// The replies on a topic, once there are `count` of them.
fn replies(service: &Service, topic: &str, count: usize) -> Vec<Raw> {
    wait_for(&format!("{count} replies on {topic}"), || {
        let replies = tail::raw(&service.bootstrap, topic);
        (replies.len() >= count).then_some(replies)
    })
}

fn send(service: &Service, name: &str, value: Option<&[u8]>, headers: &[(&str, &[u8])]) {
    let mut writer = service.writer();
    writer.send_with(None, Some(name.as_bytes()), value, headers);
    writer.finish();
}

#[test]
fn each_convention_is_answered_as_it_asks_in_immediate_mode() {
    each_convention(Mode::Immediate);
}

#[test]
fn each_convention_is_answered_as_it_asks_in_exactly_once_mode() {
    each_convention(Mode::ExactlyOnce);
}

fn each_convention(mode: Mode) {
    let service = Service::new("conventions", mode);
    service.create_topics();
    let own = topic(&service, 5, &[]);
    let own_bytes = own.as_bytes();
    let instance = service.start("a");
    let spring = [0, 1, 2, 255, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    // Each case has a name of its own, which identifies its reply. An unknown header is ignored.
    type Case<'a> = (&'a str, &'a str, &'a [Header<'a>]);
    let cases: [Case<'_>; 6] = [
        (
            "spring",
            "1",
            &[
                ("kafka_correlationId", &spring),
                ("kafka_replyTopic", own_bytes),
                ("kafka_replyPartition", &[0, 0, 0, 4]),
                ("traceparent", trace.as_bytes()),
                ("something-else", b"x"),
            ],
        ),
        (
            "nest",
            "0",
            &[
                ("kafka_correlationId", b"ignored"),
                ("kafka_correlationId", b"abc"),
                ("kafka_replyTopic", own_bytes),
                ("kafka_replyPartition", b"3"),
            ],
        ),
        (
            "smallrye",
            "1",
            &[
                ("REPLY_CORRELATION_ID", b"def"),
                ("REPLY_TOPIC", own_bytes),
                ("REPLY_PARTITION", &[0, 0, 0, 2]),
            ],
        ),
        (
            "faststream",
            "1",
            &[("correlation_id", b"ghi"), ("reply_to", own_bytes)],
        ),
        ("correlated", "1", &[("correlation_id", b"jkl")]),
        ("plain", "1", &[]),
    ];
    for (name, value, headers) in cases {
        send(&service, name, Some(value.as_bytes()), headers);
    }
    let named = replies(&service, &own, 4);
    let default = replies(&service, &service.replies, 2);
    let all: BTreeMap<String, &Raw> = named
        .iter()
        .chain(&default)
        .map(|reply| {
            (
                String::from_utf8(reply.key.clone().unwrap()).unwrap(),
                reply,
            )
        })
        .collect();
    assert_eq!(all.len(), cases.len(), "each once");
    let headers = |name: &str| -> Vec<(&str, &[u8])> {
        let all = all[name].headers.iter();
        all.map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect()
    };
    let disposed: (&str, &[u8]) = ("kafka_nest-is-disposed", &[0]);
    assert_eq!(all["spring"].partition, 4);
    assert_eq!(
        headers("spring"),
        [
            ("kafka_correlationId", &spring[..]),
            disposed,
            ("traceparent", trace.as_bytes())
        ]
    );
    assert_eq!(all["nest"].partition, 3);
    let body = all["nest"].value.clone().unwrap();
    let error = all["nest"].header("kafka_nest-err").unwrap();
    let body = String::from_utf8(body).unwrap();
    let error = std::str::from_utf8(error).unwrap();
    assert!(error.starts_with(r#"{"code":"invalid_count""#), "{error}");
    assert!(body.contains(&format!(r#""error":{error}"#)), "{body}");
    assert_eq!(
        headers("nest"),
        [
            ("kafka_correlationId", &b"abc"[..]),
            ("kafka_nest-err", error.as_bytes()),
            disposed
        ]
    );
    assert_eq!(all["smallrye"].partition, 2);
    assert_eq!(headers("smallrye"), [("REPLY_CORRELATION_ID", &b"def"[..])]);
    assert_eq!(
        all["faststream"].partition,
        murmur2::partition_of(b"faststream", 5)
    );
    assert_eq!(headers("faststream"), [("correlation_id", &b"ghi"[..])]);
    assert_eq!(headers("correlated"), [("correlation_id", &b"jkl"[..])]);
    assert_eq!(
        all["plain"].partition,
        murmur2::partition_of(b"plain", PARTITIONS)
    );
    assert_eq!(headers("plain"), []);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn what_cannot_be_delivered_goes_to_the_default_topic_with_its_reason_in_immediate_mode() {
    undeliverable(Mode::Immediate);
}

#[test]
fn what_cannot_be_delivered_goes_to_the_default_topic_with_its_reason_in_exactly_once_mode() {
    undeliverable(Mode::ExactlyOnce);
}

fn undeliverable(mode: Mode) {
    let mut random = Random::from_environment();
    let service = Service::new("undeliverable", mode);
    service.create_topics();
    let good = topic(&service, 2, &[]);
    let small = topic(&service, 1, &[("max.message.bytes", "400")]);
    let compacted = topic(&service, 1, &[("cleanup.policy", "compact")]);
    let picky = topic(
        &service,
        1,
        &[
            ("message.timestamp.before.max.ms", "1"),
            ("message.timestamp.after.max.ms", "0"),
        ],
    );
    let deleted = topic(&service, 1, &[]);
    let instance = service.start("a");
    let admin = Admin::new(&service.bootstrap);

    // A topic is used, and then deleted.
    send(
        &service,
        "before",
        None,
        &[("reply_to", deleted.as_bytes())],
    );
    replies(&service, &deleted, 1);
    admin.delete(&deleted);

    let long = vec![b'c'; 5_000];
    let wide = vec![b'c'; 600];
    let missing = format!("{}.reply", unique("missing"));
    let mut cases: Vec<(&str, &str, Vec<Header<'_>>)> = vec![
        (
            "topic_refused",
            "c-refused",
            vec![("reply_to", b"orders"), ("correlation_id", b"1")],
        ),
        (
            "topic_refused",
            "c-own",
            vec![("reply_to", service.state.as_bytes())],
        ),
        (
            "topic_refused",
            "c-kafka",
            vec![("reply_to", b"__consumer_offsets")],
        ),
        (
            "topic_illegal",
            "c-illegal",
            vec![("reply_to", b"no topic.reply")],
        ),
        (
            "topic_unknown",
            "c-unknown",
            vec![("reply_to", missing.as_bytes())],
        ),
        (
            "topic_unknown",
            "c-deleted",
            vec![("reply_to", deleted.as_bytes())],
        ),
        (
            "partition_unknown",
            "c-partition",
            vec![("REPLY_TOPIC", good.as_bytes()), ("REPLY_PARTITION", b"2")],
        ),
        (
            "partition_unknown",
            "c-default",
            vec![
                ("REPLY_TOPIC", service.replies.as_bytes()),
                ("REPLY_PARTITION", b"99"),
            ],
        ),
        (
            "partition_unreadable",
            "c-unreadable",
            vec![("REPLY_TOPIC", good.as_bytes()), ("REPLY_PARTITION", b"-1")],
        ),
        (
            "correlation_too_long",
            "c-correlation",
            vec![("reply_to", good.as_bytes()), ("correlation_id", &long)],
        ),
        (
            "reply_too_large",
            "c-large",
            vec![("reply_to", small.as_bytes()), ("correlation_id", &wide)],
        ),
    ];
    // No transaction can write to a topic that would refuse the marker at its end. Outside of a transaction, a
    // quick reply is accepted.
    if mode == Mode::ExactlyOnce {
        let headers = vec![("reply_to", picky.as_bytes())];
        cases.push(("record_refused", "c-picky", headers));
    }
    let mut writer = service.writer();
    for (_, name, headers) in &cases {
        writer.send_with(None, Some(name.as_bytes()), None, headers);
        // Neighbours in the same batches that can be written.
        let neighbour = format!("ok-{name}");
        writer.send_with(
            None,
            Some(neighbour.as_bytes()),
            None,
            &[("reply_to", small.as_bytes())],
        );
        writer.send(Some(names_next(&mut random).as_bytes()), None);
    }
    // A compacted topic accepts no reply without a key.
    let headers = [("reply_to", compacted.as_bytes())];
    writer.send_with(Some(0), None, None, &headers);
    writer.send_with(None, Some(b"keyed"), None, &headers);
    writer.finish();

    let plain = cases.len();
    let expected = cases.len() + 1 + plain;
    let default = replies(&service, &service.replies, expected);
    for (cause, name, headers) in &cases {
        let mine: Vec<&Raw> = default
            .iter()
            .filter(|reply| reply.key.as_deref() == Some(name.as_bytes()))
            .collect();
        assert_eq!(mine.len(), 1, "{name}");
        let why = String::from_utf8_lossy(mine[0].header(UNDELIVERED).unwrap()).into_owned();
        assert!(why.starts_with(&format!("{cause}: ")), "{name}: {why}");
        assert_eq!(mine[0].json()["first"], 1, "the same body: {name}");
        for (header, value) in headers {
            if matches!(*header, "correlation_id") {
                assert_eq!(mine[0].header(header), Some(*value), "{name}");
            }
        }
    }
    let keyless = default.iter().find(|reply| reply.key.is_none());
    let why = keyless.and_then(|reply| reply.header(UNDELIVERED)).unwrap();
    assert!(
        why.starts_with(b"record_refused: "),
        "{}",
        String::from_utf8_lossy(why)
    );
    let neighbours = replies(&service, &small, cases.len());
    let names: Vec<_> = neighbours
        .iter()
        .map(|reply| reply.key.clone().unwrap())
        .collect();
    for (_, name, _) in &cases {
        let neighbour = format!("ok-{name}").into_bytes();
        assert!(names.contains(&neighbour), "{name}'s neighbour");
    }
    assert_eq!(
        replies(&service, &compacted, 1)[0].key.as_deref(),
        Some(&b"keyed"[..])
    );
    assert_eq!(admin.partitions(&missing), 0, "asking creates no topic");
    let counted = instance.metric("sequencer_replies_undelivered_total");
    assert!(
        counted.is_some_and(|count| count >= (cases.len() + 1) as f64),
        "{counted:?}"
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}

/// More replies than can go in one transaction to a topic that takes one or two in a round trip.
const BACKLOG: usize = 4_000;

#[test]
fn a_topic_that_takes_replies_one_by_one_aborts_no_transaction_for_ever() {
    let mut service = Service::new("one-by-one", Mode::ExactlyOnce);
    // Such a topic may take only a quarter of this time.
    service.settings = vec!["kafka.transaction.timeout.ms=2000".to_owned()];
    service.create_topics();
    let small = topic(&service, 1, &[("max.message.bytes", "400")]);
    let mut writer = service.writer();
    for number in 0..BACKLOG {
        let name = format!("name-{}", number % 40);
        let headers = [("reply_to", small.as_bytes())];
        writer.send_with(None, Some(name.as_bytes()), None, &headers);
    }
    writer.finish();
    let instance = service.start("a");
    let read = |topic: &str| tail::headed(&service.bootstrap, topic, service.isolation());
    let (delivered, elsewhere) = wait_for("every request to be answered", || {
        let (delivered, elsewhere) = (read(&small), read(&service.replies));
        (delivered.len() + elsewhere.len() >= BACKLOG).then_some((delivered, elsewhere))
    });
    println!(
        "{} replies went one by one, {} elsewhere",
        delivered.len(),
        elsewhere.len()
    );
    assert_eq!(delivered.len() + elsewhere.len(), BACKLOG);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

fn names_next(random: &mut Random) -> String {
    String::from_utf8(Names::new(10).pick(random).to_vec()).unwrap()
}

#[test]
fn routing_headers_change_no_id() {
    let service = Service::new("unchanged", Mode::Immediate);
    service.create_topics();
    let instance = service.start("a");
    let mut writer = service.writer();
    for header in [
        ("reply_to", &b"orders"[..]),
        ("kafka_replyTopic", &[0xff, 0xfe]),
        ("REPLY_PARTITION", b"x"),
        ("kafka_replyPartition", b""),
        ("traceparent", &[0; 5_000]),
    ] {
        writer.send_with(None, Some(b"a"), None, &[header]);
    }
    writer.finish();
    let firsts: Vec<Value> = replies(&service, &service.replies, 5)
        .iter()
        .map(|reply| reply.json()["first"].clone())
        .collect();
    assert_eq!(firsts, [1, 2, 3, 4, 5]);
    assert_eq!(instance.sigterm_and_wait(), 0);
}
