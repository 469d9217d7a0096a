//! Each kind of bad input gets its code, and the partition goes on.

use serde_json::Value;

use crate::support::murmur2::{names_at_home, partition_of};
use crate::support::records::{Mode, Reply, Request, show};
use crate::support::service::{PARTITIONS, Service};

/// The home partition of `orders`, so that no valid request of this test is a stray.
const PARTITION: i32 = 0;

/// An invalid request record, and the expected content of its reply.
struct Bad {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    code: &'static str,
    /// A word that the message must contain.
    word: &'static str,
}

fn bad(
    key: impl AsRef<[u8]>,
    value: impl AsRef<[u8]>,
    code: &'static str,
    word: &'static str,
) -> Bad {
    Bad {
        key: Some(key.as_ref().to_vec()),
        value: Some(value.as_ref().to_vec()),
        code,
        word,
    }
}

fn names() -> Vec<Bad> {
    let no_key = Bad {
        key: None,
        value: Some(b"1".to_vec()),
        code: "invalid_name",
        word: "key",
    };
    vec![
        no_key,
        bad("", "2", "invalid_name", "1 to 255 bytes"),
        bad("a".repeat(256), "3", "invalid_name", "256"),
        bad(b"\xff\xfe", "4", "invalid_name", "UTF-8"),
        bad("line\nbreak", "5", "invalid_name", "control"),
        bad("c1\u{85}control", "6", "invalid_name", "control"),
    ]
}

fn values() -> Vec<Bad> {
    let long_id = format!("{{\"request_id\":\"{}\"}}", "x".repeat(256));
    let oversized = format!("{{\"requester\":\"{}\"}}", "x".repeat(64 * 1024));
    let cases: [(&[u8], &str, &str); 24] = [
        (b"{", "malformed_request", "JSON"),
        (b"five", "malformed_request", "JSON"),
        (b"5 5", "malformed_request", "JSON"),
        (b"{\"count\":\xff}", "malformed_request", "JSON"),
        (b"5.0", "malformed_request", "integer"),
        (b"\"5\"", "malformed_request", "integer"),
        (b"true", "malformed_request", "integer"),
        (b"[1]", "malformed_request", "integer"),
        (br#"{"count":5.5}"#, "malformed_request", "count"),
        (br#"{"count":"5"}"#, "malformed_request", "count"),
        (br#"{"count":1,"count":1}"#, "malformed_request", "count"),
        (br#"{"op":5}"#, "malformed_request", "op"),
        (br#"{"requester":7}"#, "malformed_request", "requester"),
        (br#"{"request_id":7}"#, "malformed_request", "request_id"),
        (br#"{"cuont":5}"#, "unknown_field", "\"count\""),
        (br#"{"count":5,"colour":"red"}"#, "unknown_field", "colour"),
        (br#"{"op":"nxt"}"#, "unknown_op", "nxt"),
        (b"0", "invalid_count", "1 to 1000000"),
        (b"-1", "invalid_count", "1 to 1000000"),
        (b"1000001", "invalid_count", "1000001"),
        (
            br#"{"count":99999999999999999999}"#,
            "invalid_count",
            "1 to 1000000",
        ),
        (br#"{"request_id":""}"#, "invalid_request_id", "request_id"),
        (long_id.as_bytes(), "invalid_request_id", "255"),
        (oversized.as_bytes(), "request_too_large", "65536"),
    ];
    cases
        .into_iter()
        .map(|(value, code, word)| bad("orders", value, code, word))
        .collect()
}

#[test]
fn each_kind_of_bad_input_is_answered_with_its_code_and_the_partition_goes_on() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("bad-input", mode);
        let instance = service.start("a");
        assert_eq!(partition_of(b"orders", PARTITIONS), PARTITION);
        let valid = names_at_home(PARTITION, PARTITIONS, 1).remove(0);
        let cases: Vec<Bad> = names().into_iter().chain(values()).collect();
        let mut writer = service.writer();
        for case in &cases {
            // All records go to one partition, each followed by a request that must still be answered.
            writer.send_to(Some(PARTITION), case.key.as_deref(), case.value.as_deref());
            writer.send_to(Some(PARTITION), Some(valid.as_bytes()), None);
        }
        writer.finish();

        let report = service.check();
        assert_eq!(
            (report.requests, report.errors),
            (2 * cases.len(), cases.len())
        );
        assert_eq!(report.ids, cases.len() as i64);
        let (log, replies) = (service.request_log(), service.all_replies());
        for case in &cases {
            let request = find(&log, case);
            answered_rightly(case, request, reply_to(&replies, request));
        }
        assert_eq!(instance.running(), PARTITIONS as usize);
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

fn find<'a>(log: &'a [Request], case: &Bad) -> &'a Request {
    log.iter()
        .find(|request| request.key == case.key && request.value == case.value)
        .unwrap()
}

fn reply_to<'a>(replies: &'a [Reply], request: &Request) -> &'a Reply {
    let end = format!(
        "\"partition\":{},\"offset\":{}}}",
        request.partition, request.offset
    );
    replies
        .iter()
        .find(|reply| reply.body.ends_with(end.as_bytes()))
        .unwrap()
}

fn answered_rightly(case: &Bad, request: &Request, reply: &Reply) {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let what = format!(
        "{} for key {} value {}",
        body,
        show(case.key.as_deref()),
        show(case.value.as_deref())
    );
    assert_eq!(body["error"]["code"], case.code, "{what}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(case.word),
        "the message should say {:?}: {what}",
        case.word
    );
    // People read the message, and log lines contain it. So it must not repeat a long value in full.
    assert!(message.len() < 300 && !message.contains('\n'), "{what}");
    if case.code == "invalid_name" {
        assert_eq!(
            body.get("sequence"),
            None,
            "an invalid name is not repeated: {what}"
        );
        let repeated = request.key.clone().filter(|key| key.len() <= 255);
        assert_eq!(reply.key, repeated, "{what}");
    } else {
        assert_eq!(body["sequence"], "orders", "{what}");
        assert_eq!(reply.key.as_deref(), Some(b"orders".as_slice()), "{what}");
    }
}

#[test]
fn a_request_id_comes_back_on_an_error_too() {
    let service = Service::new("bad-input-id", Mode::Immediate);
    let instance = service.start("a");
    let mut writer = service.writer();
    writer.send(Some(b"orders"), Some(br#"{"count":0,"request_id":"6f1c"}"#));
    writer.finish();
    service.check();
    let body: Value = serde_json::from_slice(&service.all_replies()[0].body).unwrap();
    assert_eq!(
        (&body["request_id"], &body["error"]["code"]),
        (&Value::from("6f1c"), &Value::from("invalid_count"))
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}
