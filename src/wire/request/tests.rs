use proptest::prelude::*;

use super::*;

fn outcome(value: &[u8]) -> Result<u64, Code> {
    let request = decode(Some(b"orders"), Some(value), None);
    request
        .command
        .map(|command| match command {
            Command::Next { count } => count,
            Command::Operator(operation) => panic!("{operation:?}"),
        })
        .map_err(|r| r.code)
}

fn message(value: &str) -> String {
    decode(Some(b"orders"), Some(value.as_bytes()), None)
        .command
        .unwrap_err()
        .message
}

#[test]
fn the_three_forms_of_a_request() {
    assert!(matches!(
        decode(Some(b"a"), None, None).command,
        Ok(Command::Next { count: 1 })
    ));
    for (value, count) in [
        ("", 1),
        ("null", 1),
        ("5", 5),
        (" 5\r\n", 5),
        ("{}", 1),
        (
            r#"{"op":"next","count":10,"request_id":"6f1c","requester":"billing"}"#,
            10,
        ),
        (
            r#"{"op":null,"count":null,"request_id":null,"requester":null}"#,
            1,
        ),
        (r#"{"min":null,"count":2}"#, 2),
        ("1000000", 1_000_000),
        (r#"{"c\u006funt":3}"#, 3),
    ] {
        assert_eq!(outcome(value.as_bytes()), Ok(count), "{value}");
    }
}

#[test]
fn every_kind_of_bad_input_has_its_code() {
    let long = format!(r#"{{"request_id":"{}"}}"#, "x".repeat(256));
    let large = " ".repeat(VALUE_BYTES_MAX + 1);
    for (value, code) in [
        ("0", Code::InvalidCount),
        ("-1", Code::InvalidCount),
        ("1000001", Code::InvalidCount),
        ("18446744073709551616", Code::InvalidCount),
        (r#"{"count":0}"#, Code::InvalidCount),
        (r#"{"count":99999999999999999999999}"#, Code::InvalidCount),
        ("5.0", Code::MalformedRequest),
        ("\"5\"", Code::MalformedRequest),
        ("true", Code::MalformedRequest),
        ("[1]", Code::MalformedRequest),
        ("{", Code::MalformedRequest),
        ("five", Code::MalformedRequest),
        ("5 5", Code::MalformedRequest),
        (" ", Code::MalformedRequest),
        (r#"{"count":5.5}"#, Code::MalformedRequest),
        (r#"{"count":"5"}"#, Code::MalformedRequest),
        (r#"{"count":[5]}"#, Code::MalformedRequest),
        (r#"{"count":1,"count":1}"#, Code::MalformedRequest),
        (r#"{"op":5}"#, Code::MalformedRequest),
        (r#"{"op":"nxt"}"#, Code::UnknownOp),
        (r#"{"cuont":5}"#, Code::UnknownField),
        (r#"{"request_id":""}"#, Code::InvalidRequestId),
        (r#"{"request_id":7}"#, Code::MalformedRequest),
        (r#"{"requester":""}"#, Code::MalformedRequest),
        (&long, Code::InvalidRequestId),
        (&large, Code::RequestTooLarge),
    ] {
        assert_eq!(outcome(value.as_bytes()), Err(code), "{value}");
    }
    assert_eq!(outcome(b"{\"count\":\xff}"), Err(Code::MalformedRequest));
    assert_eq!(outcome(b"{\"op\":\"\xff\"}"), Err(Code::MalformedRequest));
}

#[test]
fn messages_name_the_field_and_the_limit() {
    assert_eq!(message("0"), "count must be 1 to 1000000, got 0");
    assert_eq!(
        message(r#"{"cuont":5}"#),
        "field \"cuont\" is not known; did you mean \"count\"?"
    );
    assert_eq!(
        message(r#"{"count":5.0}"#),
        "count must be an integer, got 5.0"
    );
    assert_eq!(
        message(r#"{"count":"5"}"#),
        "count must be an integer, got text \"5\""
    );
    assert_eq!(
        message("\"5\""),
        "the value must be empty, an integer or a JSON object, got text \"5\""
    );
    assert!(message(r#"{"somethingelse":1}"#).contains("known: op, count, request_id, requester"));
    assert!(message(r#"{"op":"nxt"}"#).contains("known: next"));
}

#[test]
fn the_reserved_key_takes_policies_and_the_question_for_them_only() {
    let refused = |key: &str, value: &str| {
        let request = decode(Some(key.as_bytes()), Some(value.as_bytes()), None);
        request.name.err().map(|rejection| rejection.code)
    };
    for (value, policy, other) in [
        (r#"{"op":"policy","undefined":"refuse"}"#, true, false),
        (r#"{"op":"describe"}"#, true, true),
        (r#"{"op":"define"}"#, false, true),
        (r#"{"op":"retire"}"#, false, true),
        ("", false, true),
    ] {
        let code = |taken: bool| (!taken).then_some(Code::InvalidName);
        assert_eq!(refused(POLICY, value), code(policy), "{value}");
        assert_eq!(refused("orders", value), code(other), "{value}");
    }
}

#[test]
fn the_request_id_is_repeated_on_errors_wherever_it_stands() {
    let request = decode(None, Some(br#"{"count":0,"request_id":"abc"}"#), None);
    assert!(request.name.is_err());
    assert_eq!(request.request_id.as_deref(), Some("abc"));
    let request = decode(None, Some(br#"{"request_id":"abc","nope":1}"#), None);
    assert_eq!(request.request_id.as_deref(), Some("abc"));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_the_same_bytes_mean_the_same(
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
    ) {
        let (a, b) = (decode(key.as_deref(), value.as_deref(), None), decode(key.as_deref(), value.as_deref(), None));
        prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }

    #[test]
    fn json_like_text_never_panics(value in r#"[\{\}\[\]",:0-9a-z\\ .eE+-]{0,60}"#) {
        decode(Some(b"a"), Some(value.as_bytes()), None);
    }
}
