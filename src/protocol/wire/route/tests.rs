use super::*;
use crate::wire::headers::Block;

fn routing() -> Routing {
    Routing {
        names: Names::default(),
        allow: AllowList::new(
            vec!["*.reply".to_owned()],
            vec!["requests".to_owned(), "state".to_owned()],
        ),
        default_topic: "replies".to_owned(),
    }
}

/// The result for a request with these headers: topic, partition, undelivered cause, reply headers.
fn routed(all: &[(&str, &[u8])]) -> (Option<String>, Option<i32>, Option<Cause>, Vec<String>) {
    with_error(all, None)
}

fn with_error(
    all: &[(&str, &[u8])],
    error: Option<&[u8]>,
) -> (Option<String>, Option<i32>, Option<Cause>, Vec<String>) {
    let routing = routing();
    let all = all
        .iter()
        .map(|(name, value)| (name.as_bytes(), Some(*value)));
    let headers = Headers::collect(&routing.names, all);
    let route = routing.route(&headers);
    let mut block = Vec::new();
    route.push_headers(&routing.names, error, &mut block);
    let text = |(name, value): (&str, &[u8])| format!("{name}={}", value.escape_ascii());
    (
        route.topic.map(str::to_owned),
        route.partition,
        route.undelivered.as_ref().map(|u| u.cause),
        Block(&block).iter().map(text).collect(),
    )
}

fn owned(headers: &[&str]) -> Vec<String> {
    headers.iter().map(|header| (*header).to_owned()).collect()
}

/// All headers that a stray carries to its home partition give the same result there, whatever their length.
#[test]
fn a_header_that_is_cut_on_the_way_home_means_the_same_at_both_ends() {
    use crate::wire::headers::PARTITION_BYTES_MAX;
    let routing = routing();
    let lengths = [
        1,
        PARTITION_BYTES_MAX,
        TOPIC_BYTES_MAX,
        CORRELATION_BYTES_MAX,
    ];
    let lengths = lengths
        .into_iter()
        .chain([CORRELATION_COPIED_BYTES_MAX, TRACE_BYTES_MAX]);
    for length in lengths.flat_map(|length| length..length + 4) {
        for last in [b'0', b'1'] {
            let mut value = vec![b'0'; length - 1];
            value.push(last);
            for topic in [&b"replies"[..], b"a.reply", &value] {
                let sent = Headers {
                    kafka: Family {
                        correlation: Some(&value),
                        topic: Some(topic),
                        partition: Some(&value),
                    },
                    traceparent: Some(&value),
                    tracestate: Some(&value),
                    ..Headers::default()
                };
                let mut block = Vec::new();
                sent.forward(&routing.names, &mut block);
                let carried = Block(&block).iter();
                let arrived = Headers::collect(
                    &routing.names,
                    carried.map(|(name, value)| (name.as_bytes(), Some(value))),
                );
                let reply = |headers: &Headers<'_>| {
                    let route = routing.route(headers);
                    let mut block = Vec::new();
                    route.push_headers(&routing.names, None, &mut block);
                    let cause = route.undelivered.as_ref().map(|u| u.cause);
                    let names = Block(&block).iter().map(|(name, _)| name.to_owned());
                    let names: Vec<String> = names.collect();
                    (
                        route.topic.map(str::to_owned),
                        route.partition,
                        cause,
                        names,
                    )
                };
                assert_eq!(reply(&sent), reply(&arrived), "{length} bytes");
            }
        }
    }
}

#[test]
fn each_convention_gets_its_own_headers_back() {
    assert_eq!(routed(&[]), (None, None, None, vec![]));
    let spring = [
        ("kafka_correlationId", &[0, 1, 255][..]),
        ("kafka_replyTopic", b"a.reply"),
        ("kafka_replyPartition", &[0, 0, 0, 2]),
    ];
    assert_eq!(
        routed(&spring),
        (
            Some("a.reply".to_owned()),
            Some(2),
            None,
            owned(&[
                r"kafka_correlationId=\x00\x01\xff",
                r"kafka_nest-is-disposed=\x00"
            ])
        )
    );
    let nest = [
        ("kafka_correlationId", &b"abc"[..]),
        ("kafka_replyTopic", b"a.reply"),
        ("kafka_replyPartition", b"11"),
    ];
    assert_eq!(
        with_error(&nest, Some(br#"{"code":"x"}"#)),
        (
            Some("a.reply".to_owned()),
            Some(11),
            None,
            owned(&[
                "kafka_correlationId=abc",
                r#"kafka_nest-err={\"code\":\"x\"}"#,
                r"kafka_nest-is-disposed=\x00"
            ])
        )
    );
    let smallrye = [
        ("REPLY_CORRELATION_ID", &b"1"[..]),
        ("REPLY_TOPIC", b"a.reply"),
        ("REPLY_PARTITION", &[0, 0, 1, 0]),
    ];
    assert_eq!(
        with_error(&smallrye, Some(b"{}")),
        (
            Some("a.reply".to_owned()),
            Some(256),
            None,
            owned(&["REPLY_CORRELATION_ID=1"])
        )
    );
    let faststream = [("correlation_id", &b"1"[..]), ("reply_to", b"a.reply")];
    assert_eq!(
        routed(&faststream),
        (
            Some("a.reply".to_owned()),
            None,
            None,
            owned(&["correlation_id=1"])
        )
    );
}

#[test]
fn the_first_convention_with_a_topic_counts_then_the_first_with_a_correlation() {
    let mixed = [
        ("kafka_correlationId", &b"k"[..]),
        ("correlation_id", b"f"),
        ("reply_to", b"a.reply"),
    ];
    assert_eq!(routed(&mixed).3, owned(&["correlation_id=f"]));
    let none_named = [
        ("correlation_id", &b"f"[..]),
        ("REPLY_CORRELATION_ID", b"s"),
    ];
    assert_eq!(
        routed(&none_named),
        (None, None, None, owned(&["REPLY_CORRELATION_ID=s"]))
    );
}

#[test]
fn the_trace_context_is_passed_on_and_nothing_else() {
    let trace = [
        ("traceparent", &b"00-a-b-01"[..]),
        ("tracestate", b"x=1"),
        ("baggage", b"y"),
    ];
    assert_eq!(
        routed(&trace).3,
        owned(&["traceparent=00-a-b-01", "tracestate=x=1"])
    );
}

#[test]
fn what_cannot_go_where_it_was_asked_for_says_why() {
    let long = vec![b'x'; CORRELATION_BYTES_MAX + 1];
    type Case<'a> = (&'a [(&'a str, &'a [u8])], Cause);
    let cases: [Case<'_>; 9] = [
        (&[("reply_to", b"other")], Cause::TopicRefused),
        (&[("reply_to", b"state")], Cause::TopicRefused),
        (&[("reply_to", b"__x.reply")], Cause::TopicRefused),
        (&[("reply_to", b"")], Cause::TopicIllegal),
        (&[("reply_to", b"a b.reply")], Cause::TopicIllegal),
        (&[("reply_to", b"\xff.reply")], Cause::TopicIllegal),
        (
            &[
                ("kafka_replyTopic", b"a.reply"),
                ("kafka_replyPartition", b"-1"),
            ],
            Cause::PartitionUnreadable,
        ),
        (
            &[("REPLY_TOPIC", b"a.reply"), ("REPLY_PARTITION", b"")],
            Cause::PartitionUnreadable,
        ),
        (
            &[("reply_to", b"a.reply"), ("correlation_id", &long)],
            Cause::CorrelationTooLong,
        ),
    ];
    for (headers, cause) in cases {
        let (topic, partition, found, block) = routed(headers);
        assert_eq!((topic, partition, found), (None, None, Some(cause)));
        let last = block.last().unwrap();
        assert!(
            last.starts_with(&format!("sequencer-undelivered={}: ", cause.as_str())),
            "{last}"
        );
    }
}

#[test]
fn the_default_topic_may_be_named() {
    let named = [
        ("kafka_replyTopic", &b"replies"[..]),
        ("kafka_replyPartition", b"1"),
    ];
    let (topic, partition, undelivered, _) = routed(&named);
    assert_eq!((topic, partition, undelivered), (None, Some(1), None));
}

#[test]
fn causes_have_words_of_their_own() {
    let words: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|c| c.as_str()).collect();
    assert_eq!(words.len(), Cause::ALL.len());
}
