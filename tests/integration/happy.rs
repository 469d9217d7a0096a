//! The main purpose of the service: requests in, IDs out.

use crate::support::admin::Admin;
use crate::support::http;
use crate::support::load::Names;
use crate::support::murmur2::partition_of;
use crate::support::random::Random;
use crate::support::records::{Mode, Reply};
use crate::support::service::{PARTITIONS, Service};

#[test]
fn the_lines_that_a_person_types_into_kcat_get_ids_immediately() {
    typed_lines(&Service::new("typed-immediate", Mode::Immediate));
}

#[test]
fn the_lines_that_a_person_types_into_kcat_get_ids_exactly_once() {
    typed_lines(&Service::new("typed-exactly-once", Mode::ExactlyOnce));
}

fn typed_lines(service: &Service) {
    let instance = service.start("a");
    let orders = Some(b"orders".as_slice());
    let mut writer = service.writer();
    // The records have the forms that `kcat -K: -Z` and `kcat -K:` write, also with values.
    writer.send(orders, None);
    writer.send(orders, Some(b""));
    writer.send(orders, Some(b"5"));
    writer.send(orders, Some(b"null"));
    writer.send(
        orders,
        Some(br#"{"op":"next","count":10,"request_id":"6f1c","requester":"billing"}"#),
    );
    writer.send(Some("счёт".as_bytes()), None);
    writer.finish();

    let mut tail = service.tail();
    service.check_answered(&mut tail);
    let replies = replies_in_order(service, b"orders");
    let partition = partition_of(b"orders", PARTITIONS);
    let offsets: Vec<i64> = service
        .request_log()
        .iter()
        .filter(|request| request.key.as_deref() == orders)
        .map(|request| request.offset)
        .collect();
    let body = |ids: &str, at: usize| {
        format!(
            "{{\"sequence\":\"orders\",{ids},\"partition\":{partition},\"offset\":{}}}",
            offsets[at]
        )
    };
    let expected = [
        body(r#""first":1,"last":1,"count":1"#, 0),
        body(r#""first":2,"last":2,"count":1"#, 1),
        body(r#""first":3,"last":7,"count":5"#, 2),
        body(r#""first":8,"last":8,"count":1"#, 3),
        body(r#""first":9,"last":18,"count":10,"request_id":"6f1c""#, 4),
    ];
    assert_eq!(replies.iter().map(text).collect::<Vec<_>>(), expected);
    for reply in &replies {
        assert_eq!(reply.key.as_deref(), orders);
        assert_eq!(
            reply.partition, partition,
            "the reply's partition follows from the name"
        );
    }
    let other = &replies_in_order(service, "счёт".as_bytes())[0];
    assert!(
        text(other).starts_with(r#"{"sequence":"счёт","first":1,"last":1,"count":1,"#),
        "{}",
        text(other)
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}

fn replies_in_order(service: &Service, key: &[u8]) -> Vec<Reply> {
    service
        .all_replies()
        .into_iter()
        .filter(|reply| reply.key.as_deref() == Some(key))
        .collect()
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

#[test]
fn a_load_over_many_names_is_answered_in_both_modes() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let mut random = Random::from_environment();
        let service = Service::new("happy", mode);
        let instance = service.start("a");
        service.preload(&Names::new(50), 5_000, &mut random);
        let report = service.check();
        assert_eq!((report.requests, report.repeated), (5_000, 0));
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

#[test]
fn a_backlog_that_was_there_before_the_service_is_answered() {
    let mut random = Random::from_environment();
    let service = Service::new("backlog", Mode::Immediate);
    service.create_topics();
    service.preload(&Names::new(50), 5_000, &mut random);
    let instance = service.start("a");
    assert_eq!(service.check().requests, 5_000);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn the_topics_that_serve_creates_keep_requests_and_compact_state() {
    let service = Service::new("created", Mode::Immediate);
    let instance = service.start("a");
    let admin = Admin::new(&service.bootstrap);
    for topic in [&service.requests, &service.replies, &service.state] {
        assert_eq!(admin.partitions(topic), PARTITIONS, "{topic}");
    }
    let requests = admin.settings(&service.requests);
    assert_eq!(requests["message.timestamp.type"], "LogAppendTime");
    assert_eq!(requests["cleanup.policy"], "delete");
    let state = admin.settings(&service.state);
    assert_eq!(state["cleanup.policy"], "compact");
    assert_eq!(state["min.compaction.lag.ms"], "3600000");
    assert_eq!(
        state["min.insync.replicas"], "1",
        "one replica has no other to wait for"
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn topics_that_are_there_already_are_left_as_they_are() {
    let service = Service::new("existing", Mode::Immediate);
    let admin = Admin::new(&service.bootstrap);
    admin.create(
        &service.requests,
        PARTITIONS,
        &[
            ("message.timestamp.type", "LogAppendTime"),
            ("retention.ms", "123456789"),
        ],
    );
    let before = admin.settings(&service.requests);
    let instance = service.start("a");
    assert_eq!(admin.settings(&service.requests), before);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn the_status_page_names_the_owners_of_partitions_that_another_instance_has() {
    let service = Service::new("owners", Mode::Immediate);
    let mut instances = [service.start("a"), service.start("b")];
    service.wait_shared(&instances.each_ref());
    let [first, second] = &mut instances;
    // A read of the page asks for the owners. The next read shows the answer.
    let owners = first.wait("to show the other owner", |first| {
        let page = http::get(first.port(), "/").ok()?.body;
        let cells = page.matches("<td data-label=\"Owner\">b</td>").count();
        (cells > 0).then_some(cells)
    });
    assert_eq!(owners, second.running());
    for instance in instances {
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}
