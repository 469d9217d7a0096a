//! Tests from a request to its record, and from a reply to its answer.

use proptest::prelude::*;
use serde_json::Value;

use super::answer::{Looked, looked, of_reply, without_reply};
use super::key::RANDOM_BYTES;
use super::*;
use crate::core::Command;
use crate::kafka::calls::Fate;
use crate::wire::request::decode;

const JSON: &[u8] = b"application/json";

fn read_as(
    method: &str,
    target: &str,
    content_types: &[&[u8]],
    body: &[u8],
) -> Result<Call, Problem> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Call::read(&Incoming {
        method,
        path,
        query,
        content_types,
        body,
    })
}

fn read(method: &str, target: &str, body: &str) -> Result<Call, Problem> {
    read_as(method, target, &[JSON], body.as_bytes())
}

fn key(text: &str) -> Key {
    Key::read(&[text.as_bytes()], None).unwrap().unwrap()
}

/// The name and the record of a call with the key `k`.
fn record(method: &str, target: &str, body: &str) -> (String, String) {
    let call = read(method, target, body).unwrap();
    let value = String::from_utf8(call.value(&key("k"), None)).unwrap();
    (call.name, value)
}

/// The code and the detail of a refusal.
fn refusal(method: &str, target: &str, body: &str) -> (String, String) {
    let problem = read(method, target, body).unwrap_err();
    let json: Value = serde_json::from_slice(&problem.to_json()).unwrap();
    let text = |field: &str| json[field].as_str().unwrap().to_owned();
    assert_eq!(json["status"], problem.status);
    assert_eq!(json["type"], format!("/v1/errors/{}", problem.code));
    (text("code"), text("detail"))
}

#[test]
fn each_call_writes_the_record_of_its_operation() {
    for (method, target, body, value) in [
        ("POST", "/v1/sequences/a/next", "", r#"{"request_id":"k"}"#),
        (
            "POST",
            "/v1/sequences/a/next",
            r#"{"count":10}"#,
            r#"{"count":10,"request_id":"k"}"#,
        ),
        (
            "POST",
            "/v1/sequences/a/next",
            r#"{"count":null}"#,
            r#"{"request_id":"k"}"#,
        ),
        ("GET", "/v1/sequences/a", "", r#"{"op":"describe"}"#),
        (
            "PATCH",
            "/v1/sequences/a",
            r#"{"max":"9223372036854775807","at_end":"cycle","audit":false,"reason":"r"}"#,
            r#"{"op":"define","max":9223372036854775807,"at_end":"cycle","audit":false,"reason":"r","request_id":"k"}"#,
        ),
        (
            "POST",
            "/v1/sequences/a/set-next",
            r#"{"next":5000}"#,
            r#"{"op":"set_next","next":5000,"request_id":"k"}"#,
        ),
        (
            "DELETE",
            "/v1/sequences/a?reason=merged+into%20b",
            "",
            r#"{"op":"retire","reason":"merged into b","request_id":"k"}"#,
        ),
        (
            "POST",
            "/v1/next",
            r#"{"sequence":"a","count":"2"}"#,
            r#"{"count":2,"request_id":"k"}"#,
        ),
        (
            "POST",
            "/v1/describe",
            r#"{"sequence":"a"}"#,
            r#"{"op":"describe"}"#,
        ),
        (
            "POST",
            "/v1/define",
            r#"{"sequence":"a","increment":-1}"#,
            r#"{"op":"define","increment":-1,"request_id":"k"}"#,
        ),
        (
            "POST",
            "/v1/set-next",
            r#"{"sequence":"a","next":7,"reason":"x"}"#,
            r#"{"op":"set_next","next":7,"reason":"x","request_id":"k"}"#,
        ),
        (
            "POST",
            "/v1/retire",
            r#"{"sequence":"a"}"#,
            r#"{"op":"retire","request_id":"k"}"#,
        ),
    ] {
        let written = record(method, target, body);
        assert_eq!(
            written,
            ("a".to_owned(), value.to_owned()),
            "{method} {target}"
        );
    }
}

#[test]
fn the_requester_is_the_gateways_word() {
    let call = read("POST", "/v1/sequences/a/next", "").unwrap();
    let value = call.value(&key("k"), Some("billing"));
    assert_eq!(value, br#"{"requester":"billing","request_id":"k"}"#);
}

#[test]
fn a_name_is_decoded_once_and_is_never_normalised() {
    for (segment, name) in [
        ("invoices", "invoices"),
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("a+b", "a+b"),
        ("..", ".."),
        ("%D1%81", "с"),
        ("e%CC%81", "e\u{301}"),
        ("%C3%A9", "\u{e9}"),
        ("A", "A"),
        ("next", "next"),
    ] {
        let written = record("POST", &format!("/v1/sequences/{segment}/next"), "");
        assert_eq!(written.0, name);
    }
    let body = r#"{"sequence":"a\u002fb%2F"}"#;
    assert_eq!(record("POST", "/v1/next", body).0, "a/b%2F");
}

#[test]
fn a_name_that_is_none_is_refused() {
    for (segment, code) in [
        ("", "invalid_name"),
        ("__policy", "invalid_name"),
        ("%5F_policy", "invalid_name"),
        ("a%0Ab", "invalid_name"),
        (&"a".repeat(256), "invalid_name"),
        ("%ff", "malformed_request"),
        ("%C3", "malformed_request"),
        ("%", "malformed_request"),
        ("%4", "malformed_request"),
        ("%zz", "malformed_request"),
        ("%+1", "malformed_request"),
    ] {
        let refused = refusal("POST", &format!("/v1/sequences/{segment}/next"), "");
        assert_eq!(refused.0, code, "{segment}");
    }
    let reserved = refusal("POST", "/v1/next", r#"{"sequence":"__policy"}"#);
    assert_eq!(reserved.0, "invalid_name");
    let missing = refusal("POST", "/v1/next", r#"{"count":1}"#);
    assert!(
        missing.1.contains("needs the field sequence"),
        "{missing:?}"
    );
}

#[test]
fn what_a_caller_must_not_decide_is_refused_by_name() {
    for (body, word) in [
        (r#"{"op":"retire"}"#, "op"),
        (r#"{"request_id":"x"}"#, "Idempotency-Key"),
        (r#"{"requester":"x"}"#, "requester"),
        (r#"{"force":true}"#, "--force"),
        (r#"{"requester":null}"#, "requester"),
        (r#"{"count":1,"count":2}"#, "more than once"),
        (r#"{"count":1,"c\u006funt":2}"#, "more than once"),
        (r#"{"cuont":1}"#, "known: count"),
        (r#"{"max":1}"#, "known: count"),
        (r#"{"count":5.0}"#, "an integer"),
        (r#"{"count":1e2}"#, "an integer"),
        (r#"{"count":"05"}"#, "an integer"),
        (r#"{"count":" 5"}"#, "an integer"),
        (r#"{"count":"+5"}"#, "an integer"),
        (r#"{"count":[1]}"#, "an integer"),
        (r#"{"count":9223372036854775808}"#, "9223372036854775807"),
        ("5", "an object"),
        ("null", "an object"),
        ("[]", "an object"),
        ("{", "a JSON object"),
        ("{} x", "a JSON object"),
    ] {
        let (code, detail) = refusal("POST", "/v1/sequences/a/next", body);
        assert!(detail.contains(word), "{body}: {detail}");
        let expected = match word {
            "known: count" => "unknown_field",
            _ => "malformed_request",
        };
        assert_eq!(code, expected, "{body}");
    }
    let flag = refusal("PATCH", "/v1/sequences/a", r#"{"audit":"true"}"#);
    assert!(flag.1.contains("true or false"), "{flag:?}");
    let text = refusal("PATCH", "/v1/sequences/a", r#"{"at_end":1}"#);
    assert!(text.1.contains("must be text"), "{text:?}");
    let next = refusal("POST", "/v1/sequences/a/set-next", "");
    assert!(next.1.contains("needs the field next"), "{next:?}");
}

#[test]
fn a_query_has_only_what_its_call_knows() {
    for (method, target) in [
        ("POST", "/v1/sequences/a/next?count=5"),
        ("DELETE", "/v1/sequences/a?force=true"),
        ("DELETE", "/v1/sequences/a?reason=x&reason=y"),
        ("DELETE", "/v1/sequences/a?reason=%ff"),
        ("PATCH", "/v1/sequences/a?reason=x"),
        ("GET", "/v1/sequences/a?ids=number"),
        ("GET", "/v1/sequences/a?ids"),
        ("GET", "/v1/sequences/a?ids=string&ids=string"),
    ] {
        assert_eq!(
            refusal(method, target, "").0,
            "malformed_request",
            "{target}"
        );
    }
    assert!(
        read("GET", "/v1/sequences/a?ids=string", "")
            .unwrap()
            .ids_as_text
    );
    assert!(!read("GET", "/v1/sequences/a?", "").unwrap().ids_as_text);
}

#[test]
fn other_paths_and_methods_are_named() {
    for (method, path, status, allow) in [
        ("GET", "/", 404, None),
        ("GET", "/v1", 404, None),
        ("GET", "/v2/sequences/a", 404, None),
        ("POST", "/v1/sequences/a/next/", 404, None),
        ("POST", "/v1/sequences/a/ne%78t", 404, None),
        ("POST", "/v1/policy", 404, None),
        ("POST", "/v1/set_next", 404, None),
        ("GET", "/v1/sequences/a/next", 405, Some("POST")),
        ("HEAD", "/v1/sequences/a", 405, Some("GET, PATCH, DELETE")),
        ("PUT", "/v1/sequences/a", 405, Some("GET, PATCH, DELETE")),
        ("GET", "/v1/next", 405, Some("POST")),
    ] {
        let problem = read(method, path, "").unwrap_err();
        assert_eq!(problem.status, status, "{method} {path}");
        assert_eq!(problem.allow.as_deref(), allow, "{method} {path}");
    }
}

#[test]
fn a_body_is_declared_as_json() {
    let path = "/v1/sequences/a/next";
    for good in [
        JSON,
        b"application/json; charset=utf-8",
        b"Application/JSON ;x",
    ] {
        assert!(read_as("POST", path, &[good], b"{}").is_ok());
    }
    let form: &[u8] = b"application/x-www-form-urlencoded";
    for bad in [&[][..], &[form], &[b"application/jsonp"], &[JSON, form]] {
        let problem = read_as("POST", path, bad, b"{}").unwrap_err();
        assert_eq!(problem.status, 415);
    }
    assert!(read_as("POST", path, &[], b"").is_ok());
    let read = read_as("GET", "/v1/sequences/a", &[JSON], b"{}");
    assert_eq!(read.unwrap_err().status, 400);
}

#[test]
fn quoted_and_bare_are_the_same_key() {
    for (header, text) in [
        ("abc", "abc"),
        (r#""abc""#, "abc"),
        (r#" "a\"b\\c" "#, r#"a"b\c"#),
        (r#"a"b\c"#, r#"a"b\c"#),
        ("\"\u{e9}\"", "\u{e9}"),
    ] {
        assert_eq!(key(header).request_id(), text);
        assert_eq!(key(header).as_str(), text);
    }
    let longest = "x".repeat(255);
    assert_eq!(key(&longest).request_id(), longest);
    assert_eq!(key(&format!("\"{longest}\"")).request_id(), longest);
    assert_eq!(Key::read(&[], None), Ok(None));
}

#[test]
fn a_key_is_refused_and_never_cut() {
    let long = "x".repeat(256);
    let one: [&[u8]; 10] = [
        b"",
        b"\"\"",
        b"\"abc",
        b"\"abc\"d",
        b"\"abc\"; a=1",
        b"\"a\\b\"",
        b"\"a\\",
        b"\"a\"b\"",
        b"\xff",
        long.as_bytes(),
    ];
    let two: [&[u8]; 2] = [b"a", b"a"];
    for value in one.chunks(1).chain([&two[..]]) {
        let problem = Key::read(value, None).unwrap_err();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (400, "invalid_request_id"),
            "{value:?}"
        );
    }
}

#[test]
fn tenants_do_not_share_keys() {
    let key = Key::read(&[b"k"], Some("billing")).unwrap().unwrap();
    assert_eq!((key.request_id(), key.as_str()), ("billing:k", "k"));
    // The key and the name of its caller together fit into a `request_id`.
    let longest = "x".repeat(255 - "billing:".len());
    assert!(Key::read(&[longest.as_bytes()], Some("billing")).is_ok());
    let long = format!("{longest}x");
    assert!(Key::read(&[long.as_bytes()], Some("billing")).is_err());
}

#[test]
fn a_drawn_key_tells_its_age() {
    const DRAWN_MS: u64 = 1_764_500_000_000;
    let key = Key::draw(DRAWN_MS, [7; RANDOM_BYTES], Some("billing"));
    let text = key.as_str();
    assert!(text.starts_with("gw-") && text.len() == 39, "{text}");
    assert_eq!(text.as_bytes()["gw-".len() + 14], b'7', "{text}");
    assert!(key.check_age(DRAWN_MS + 60_999, 60).is_ok());
    let problem = key.check_age(DRAWN_MS + 61_000, 60).unwrap_err();
    assert_eq!(
        (problem.status, problem.code.as_str()),
        (409, "key_expired")
    );
    // A gateway whose clock is behind accepts it.
    assert!(key.check_age(DRAWN_MS - 1_000, 60).is_ok());
    for own in ["gw-1", "gw-6b1f0d4e-3f0a-4c39-9d0e-111111111111", "abc"] {
        let key = Key::read(&[own.as_bytes()], None).unwrap().unwrap();
        assert!(key.check_age(u64::MAX, 1).is_ok(), "{own}");
    }
}

fn call(target: &str) -> Call {
    read("POST", target, "").unwrap()
}

fn answer(target: &str, body: &str) -> Result<String, Problem> {
    of_reply(&call(target), body.as_bytes()).map(|body| String::from_utf8(body).unwrap())
}

const GRANTED: &str = r#"{"sequence":"a","first":9007199254740993,"last":9007199254740994,"count":2,"increment":1,"request_id":"k","partition":3,"offset":1234}"#;

#[test]
fn a_reply_goes_out_as_it_is() {
    let body = answer("/v1/sequences/a/next", GRANTED).unwrap();
    assert_eq!(body, format!("{GRANTED}\n"));
}

#[test]
fn ids_as_text_keep_every_digit_and_everything_else() {
    let text = answer("/v1/sequences/a/next?ids=string", GRANTED).unwrap();
    let expected = GRANTED
        .replace("9007199254740993", "\"9007199254740993\"")
        .replace("9007199254740994", "\"9007199254740994\"");
    assert_eq!(text, format!("{expected}\n"));
    let described = r#"{"sequence":"a\"\u0001","definition":{"start":-1,"increment":1,"min":-9223372036854775807,"max":9223372036854775807,"at_end":"error","max_count":5,"audit":false},"next":12,"changed":{"op":"define","at":"t","offset":7},"partition":0,"offset":9}"#;
    let text = answer("/v1/sequences/a/next?ids=string", described).unwrap();
    let expected = described
        .replace(r#""start":-1"#, r#""start":"-1""#)
        .replace("-9223372036854775807", "\"-9223372036854775807\"")
        .replace(
            r#""max":9223372036854775807"#,
            r#""max":"9223372036854775807""#,
        )
        .replace(r#""next":12"#, r#""next":"12""#);
    assert_eq!(text, format!("{expected}\n"));
}

#[test]
fn an_error_in_a_reply_has_its_status_and_its_place() {
    for (code, status) in [
        ("invalid_count", 400),
        ("unknown_sequence", 404),
        ("exhausted", 409),
        ("too_many_sequences", 409),
        ("retired", 410),
        ("request_too_large", 413),
        ("request_id_reused", 422),
        ("invalid_definition", 422),
        ("of_a_later_release", 422),
    ] {
        let body = format!(
            r#"{{"sequence":"a","error":{{"code":"{code}","message":"why"}},"partition":3,"offset":9}}"#
        );
        let problem = answer("/v1/sequences/a/next", &body).unwrap_err();
        assert_eq!(problem.status, status, "{code}");
        assert_eq!((problem.partition, problem.offset), (Some(3), Some(9)));
        let json: Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(json["code"], code);
        assert_eq!(json["detail"], "why");
        assert_eq!(json["sequence"], "a");
        assert_eq!(json["type"], format!("/v1/errors/{code}"));
    }
    // IDs may be taken, because the reply is not readable.
    assert_eq!(answer("/v1/sequences/a/next", "?").unwrap_err().status, 504);
}

#[test]
fn every_code_of_a_reply_has_an_error_status() {
    for code in Code::ALL {
        let status = problem::status_of(code);
        assert!((400..500).contains(&status), "{}", code.as_str());
    }
}

#[test]
fn only_a_record_that_is_certainly_not_written_is_a_503() {
    let call = call("/v1/sequences/a/next");
    let unwritten = Fate::Unwritten("the topic has no leader".to_owned());
    let problem = without_reply(&call, &unwritten, "x");
    assert_eq!((problem.status, problem.retry_after_s), (503, Some(1)));
    for fate in [
        Fate::Unreported,
        Fate::Doubtful("timed out".to_owned()),
        Fate::Written {
            latency: Default::default(),
            partition: 3,
            offset: 9,
        },
    ] {
        let problem = without_reply(&call, &fate, "no reply came within 10 ms");
        assert_eq!(
            (problem.status, problem.retry_after_s),
            (504, None),
            "{fate:?}"
        );
        let json: Value = serde_json::from_slice(&problem.to_json()).unwrap();
        let detail = json["detail"].as_str().unwrap();
        assert!(detail.contains("may have taken its IDs"), "{detail}");
        let placed = matches!(fate, Fate::Written { .. });
        assert_eq!(json.get("offset").is_some(), placed);
    }
}

#[test]
fn a_retired_sequence_is_not_defined_by_accident() {
    let call = read("PATCH", "/v1/sequences/a", "{}").unwrap();
    let described = |rest: &str| format!(r#"{{"sequence":"a"{rest},"partition":0,"offset":9}}"#);
    assert_eq!(
        looked(&call, described(r#","next":1"#).as_bytes()),
        Ok(Looked::GoOn)
    );
    let unknown = described(r#","error":{"code":"unknown_sequence","message":"x"}"#);
    assert_eq!(looked(&call, unknown.as_bytes()), Ok(Looked::GoOn));
    let retired = looked(&call, described(r#","retired":true"#).as_bytes()).unwrap_err();
    assert_eq!((retired.status, retired.code.as_str()), (410, "retired"));
    assert!(looked(&call, b"?").is_err());
}

/// A description with this step, with audit or without it.
fn rules(increment: i64, audit: bool, rest: &str) -> String {
    format!(
        r#"{{"sequence":"a","definition":{{"start":1,"increment":{increment},"audit":{audit}}}{rest},"partition":0,"offset":9}}"#
    )
}

#[test]
fn a_trace_is_of_an_audited_sequence() {
    for call in [
        read("GET", "/v1/sequences/a/ids/-7", "").unwrap(),
        read("POST", "/v1/trace", r#"{"sequence":"a","id":"-7"}"#).unwrap(),
    ] {
        assert_eq!(
            (call.op, call.id, call.name.as_str()),
            (Op::Trace, Some(-7), "a")
        );
        assert!(call.looks_first());
        assert_eq!(
            looked(&call, rules(1, true, "").as_bytes()),
            Ok(Looked::GoOn)
        );
        let refused = looked(&call, rules(1, false, "").as_bytes()).unwrap_err();
        assert_eq!(
            (refused.status, refused.code.as_str()),
            (409, "not_audited")
        );
        let unknown =
            r#"{"error":{"code":"unknown_sequence","message":"x"},"partition":0,"offset":9}"#;
        assert_eq!(looked(&call, unknown.as_bytes()).unwrap_err().status, 404);
    }
    for (method, path, body, status) in [
        ("GET", "/v1/sequences/a/ids/7.0", "", 400),
        ("GET", "/v1/sequences/a/ids/9223372036854775808", "", 400),
        ("GET", "/v1/sequences/a/ids", "", 404),
        ("POST", "/v1/sequences/a/ids/7", "", 405),
        ("POST", "/v1/trace", r#"{"sequence":"a"}"#, 400),
        (
            "POST",
            "/v1/trace",
            r#"{"sequence":"a","id":1,"next":1}"#,
            400,
        ),
    ] {
        assert_eq!(
            read(method, path, body).unwrap_err().status,
            status,
            "{path}"
        );
    }
}

#[test]
fn a_distributor_of_cosid_is_a_sequence_that_begins_behind_the_offset() {
    let key = Key::read(&[b"k"], None).unwrap().unwrap();
    let read = |path: &str| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Call::read(&Incoming {
            method: if path.contains("distributor") {
                "POST"
            } else {
                "PATCH"
            },
            path,
            query: Some(query),
            content_types: &[],
            body: b"",
        })
    };
    for (offset, start, min) in [(0, 1, 1), (100, 101, 1), (-5, -4, -4)] {
        let path = format!("/segments/distributor/shop/a%20b?offset={offset}&step=100");
        let call = read(&path).unwrap();
        assert_eq!((call.op, call.name.as_str()), (Op::Define, "shop/a b"));
        let record = format!(
            r#"{{"op":"define","start":{start},"min":{min},"max_count":9007199254740991,"request_id":"k"}}"#
        );
        assert_eq!(String::from_utf8(call.value(&key, None)).unwrap(), record);
        // An existing sequence does not change, and a retired sequence stays retired.
        assert_eq!(
            looked(&call, rules(1, false, "").as_bytes()),
            Ok(Looked::Done(Vec::new()))
        );
        let retired = rules(1, false, r#","retired":true"#);
        assert_eq!(looked(&call, retired.as_bytes()).unwrap_err().status, 410);
        let unknown =
            r#"{"error":{"code":"unknown_sequence","message":"x"},"partition":0,"offset":9}"#;
        assert_eq!(looked(&call, unknown.as_bytes()), Ok(Looked::GoOn));
        assert_eq!(
            of_reply(&call, rules(1, false, "").as_bytes()),
            Ok(Vec::new())
        );
    }
    let call = read("/segments/shop/a?step=214748364700").unwrap();
    assert_eq!(
        String::from_utf8(call.value(&key, None)).unwrap(),
        r#"{"count":214748364700,"request_id":"k"}"#
    );
    assert_eq!(
        looked(&call, rules(1, false, "").as_bytes()),
        Ok(Looked::GoOn)
    );
    assert_eq!(
        looked(&call, rules(2, false, "").as_bytes())
            .unwrap_err()
            .status,
        409
    );
    let unknown = r#"{"error":{"code":"unknown_sequence","message":"x"},"partition":0,"offset":9}"#;
    assert_eq!(looked(&call, unknown.as_bytes()).unwrap_err().status, 404);
    let granted = r#"{"sequence":"a","first":1,"last":214748364700,"count":214748364700,"partition":0,"offset":9}"#;
    assert_eq!(
        of_reply(&call, granted.as_bytes()),
        Ok(b"214748364700".to_vec())
    );
    for path in [
        "/segments/distributor/shop/a?offset=0",
        "/segments/distributor/shop/a?step=1&offset=9223372036854775807",
        "/segments/distributor/shop%2Fb/a?step=1&offset=0",
        "/segments/shop/a%2Fb?step=1",
        "/segments/shop/a",
        "/segments/shop/a?step=x",
        "/segments/shop/a?step=1&ids=string",
    ] {
        assert_eq!(read(path).unwrap_err().status, 400, "{path}");
    }
}

/// Any text that a client can put into JSON, including characters with a meaning in JSON and in paths.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c\"\\\\{}:,_%/ +]{0,12}", "\\PC{0,12}", any::<String>()]
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn a_record_is_what_the_service_reads_in_it(
        name in any_text(),
        count in 1..=1_000_000_i64,
        id in any_text(),
        in_path in any::<bool>(),
    ) {
        let (target, body) = match in_path {
            true => (
                format!("/v1/sequences/{}/next", percent_encoded(&name)),
                format!(r#"{{"count":{count}}}"#),
            ),
            false => (
                "/v1/next".to_owned(),
                serde_json::json!({"sequence": name, "count": count}).to_string(),
            ),
        };
        let call = read("POST", &target, &body);
        let valid = Name::from_key(Some(name.as_bytes())).is_ok() && !name.starts_with("__");
        prop_assert_eq!(call.is_ok(), valid);
        let quoted = format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\""));
        let key = Key::read(&[quoted.as_bytes()], None);
        prop_assert_eq!(key.is_ok(), (1..=255).contains(&id.len()));
        if let Ok(Some(key)) = &key {
            let again = Key::read(&[key.to_header().as_bytes()], None).unwrap().unwrap();
            prop_assert_eq!(again.request_id(), key.request_id());
        }
        if let (Ok(call), Ok(Some(key))) = (call, key) {
            let value = call.value(&key, None);
            let request = decode(Some(call.name.as_bytes()), Some(&value), None);
            prop_assert_eq!(request.name.unwrap().as_str(), name);
            prop_assert_eq!(
                request.command.unwrap(),
                Command::Next { count: count.unsigned_abs() }
            );
            prop_assert_eq!(request.request_id.as_deref(), Some(id.as_str()));
        }
    }

    #[test]
    fn no_input_panics_and_no_record_is_of_another_operation(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PATCH"), Just("DELETE")],
        path in "/v1/(sequences/)?[a-z%0-9_/-]{0,12}(/next|/set-next)?",
        query in proptest::option::of("[a-z=&%+]{0,12}"),
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            r#"\{"(op|count|max|next|sequence|audit)":("?[0-9a-z]{0,3}"?|null|true)\}"#
                .prop_map(String::into_bytes),
        ],
    ) {
        let incoming = Incoming {
            method,
            path: &path,
            query: query.as_deref(),
            content_types: &[JSON],
            body: &body,
        };
        if let Ok(call) = Call::read(&incoming) {
            let value = call.value(&key("k"), None);
            let json: Value = serde_json::from_slice(&value).unwrap();
            let op = json.get("op").map_or("next", |op| op.as_str().unwrap());
            prop_assert_eq!(op, call.op.as_str());
            let reads = call.op == Op::Describe;
            prop_assert_eq!(json.get("request_id").is_none(), reads);
            prop_assert!(json.get("force").is_none() && !call.name.starts_with("__"));
        }
    }

    #[test]
    fn ids_as_text_change_no_other_byte(
        first in any::<i64>(),
        name in any_text(),
        other in any::<i64>(),
    ) {
        let body = format!(
            r#"{{"sequence":{},"first":{first},"count":{other},"partition":0,"offset":1}}"#,
            serde_json::to_string(&name).unwrap(),
        );
        let text = answer("/v1/sequences/a/next?ids=string", &body).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let first = first.to_string();
        prop_assert_eq!(value["first"].as_str(), Some(first.as_str()));
        prop_assert_eq!(value["count"].as_i64(), Some(other));
        prop_assert_eq!(value["sequence"].as_str(), Some(name.as_str()));
    }
}
