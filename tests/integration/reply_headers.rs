//! Clients with header names other than the default ones: `reply.headers.*`.

use crate::support::admin::Admin;
use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::tail::{self, Headed};
use crate::support::wait_for;

#[test]
fn renamed_headers_are_read_and_written_and_the_usual_ones_mean_nothing() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let mut service = Service::new("renamed", mode);
        let renamed = [
            "reply.headers.kafka.correlation=x-id",
            "reply.headers.kafka.topic=x-to",
            "reply.headers.kafka.partition=x-partition",
            "reply.headers.nest.error=x-error",
            "reply.headers.nest.disposed=x-end",
        ];
        service.settings.extend(renamed.map(str::to_owned));
        let own = format!("{}.reply", service.group);
        Admin::new(&service.bootstrap).create(&own, 3, &[]);
        let instance = service.start("a");
        let mut writer = service.writer();
        let to = own.as_bytes();
        writer.send_with(
            None,
            Some(b"orders"),
            Some(b"0"),
            &[("x-id", b"\x00\xff7"), ("x-to", to), ("x-partition", b"2")],
        );
        writer.send_with(
            None,
            Some(b"orders"),
            None,
            &[("kafka_correlationId", b"7"), ("kafka_replyTopic", to)],
        );
        writer.finish();

        let named = only(&service, &own);
        assert_eq!(named.reply.partition, 2);
        let error = named
            .reply
            .body
            .windows(2)
            .position(|w| w == b":{")
            .unwrap();
        let headers: Vec<(&str, &[u8])> = named
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let [("x-id", b"\x00\xff7"), ("x-error", object), ("x-end", [0])] = headers[..] else {
            panic!("{named:?}");
        };
        assert!(named.reply.body[error + 1..].starts_with(object));

        let plain = only(&service, &service.replies);
        assert_eq!(plain.headers, []);
        assert!(
            plain
                .reply
                .body
                .starts_with(b"{\"sequence\":\"orders\",\"first\":1,")
        );
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

/// The only reply of a topic.
fn only(service: &Service, topic: &str) -> Headed {
    let mut all = wait_for(&format!("a reply on {topic}"), || {
        let all = tail::headed(&service.bootstrap, topic, service.isolation());
        (!all.is_empty()).then_some(all)
    });
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}
