use super::*;

fn collect<'a>(all: &[(&'a str, Option<&'a [u8]>)]) -> Headers<'a> {
    let all = all.iter().map(|(name, value)| (name.as_bytes(), *value));
    Headers::collect(&Names::default(), all)
}

#[test]
fn of_several_of_one_name_the_last_counts_and_null_is_absent() {
    let headers = collect(&[
        ("correlation_id", Some(b"1")),
        ("unknown", Some(b"x")),
        ("correlation_id", Some(b"2")),
        ("reply_to", Some(b"a.reply")),
        ("reply_to", None),
    ]);
    assert_eq!(headers.faststream.correlation, Some(&b"2"[..]));
    assert_eq!(headers.faststream.topic, None);
}

#[test]
fn a_forward_carries_every_header_that_is_read_but_the_link_that_came() {
    let long = vec![b'7'; CORRELATION_COPIED_BYTES_MAX + 100];
    let all = [
        ("sequencer-request-id", Some(&b"r"[..])),
        ("sequencer-forwarded", Some(b"forged")),
        ("kafka_correlationId", Some(&long)),
        ("kafka_replyTopic", Some(b"a.reply")),
        ("kafka_replyPartition", Some(b"1")),
        ("REPLY_CORRELATION_ID", Some(b"2")),
        ("REPLY_TOPIC", Some(b"3")),
        ("REPLY_PARTITION", Some(b"4")),
        ("correlation_id", Some(b"5")),
        ("reply_to", Some(b"6")),
        ("traceparent", Some(b"7")),
        ("tracestate", Some(b"8")),
        ("mine", Some(b"9")),
    ];
    let sent = collect(&all);
    let mut block = Vec::new();
    sent.forward(&Names::default(), &mut block);
    let carried = Block(&block).iter();
    let arrived = Headers::collect(
        &Names::default(),
        carried.map(|(name, value)| (name.as_bytes(), Some(value))),
    );
    let mut expected = sent;
    expected.forwarded = None;
    expected.kafka.correlation = Some(&long[..=CORRELATION_COPIED_BYTES_MAX]);
    assert_eq!(arrived, expected);
    assert_eq!(Block(&block).iter().count(), 11);
    assert!(block.len() <= FORWARD_HEADERS_BYTES_MAX);
}
