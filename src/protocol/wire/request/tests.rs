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
        ("1000001", 1_000_001),
        ("9007199254740991", 9_007_199_254_740_991),
        (r#"{"c\u006funt":3}"#, 3),
    ] {
        assert_eq!(outcome(value.as_bytes()), Ok(count), "{value}");
    }
}

#[test]
fn every_kind_of_bad_input_has_its_code() {
    let long = format!(r#"{{"request_id":"{}"}}"#, "x".repeat(256));
    let large = " ".repeat(VALUE_BYTES_MAX + 1);
    let (huge, negative) = ("7".repeat(400), format!(" -{}\n", "7".repeat(400)));
    for (value, code) in [
        ("0", Code::InvalidCount),
        ("-1", Code::InvalidCount),
        ("9007199254740992", Code::InvalidCount),
        ("18446744073709551616", Code::InvalidCount),
        ("-0", Code::InvalidCount),
        (&huge, Code::InvalidCount),
        (&negative, Code::InvalidCount),
        ("-0.0", Code::MalformedRequest),
        ("00", Code::MalformedRequest),
        ("-", Code::MalformedRequest),
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
    assert_eq!(
        message("0"),
        "count must be 1 to 1000000, or to the max_count of the sequence, got 0"
    );
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
fn a_field_that_is_a_letter_or_a_convention_away_gets_a_hint() {
    for (given, meant) in [
        ("cont", "count"),
        ("counts", "count"),
        ("coumt", "count"),
        ("Count", "count"),
        ("requestId", "request_id"),
        ("request-id", "request_id"),
        ("requestr", "requester"),
        ("MAXCOUNT", "max_count"),
    ] {
        let told = message(&format!(r#"{{"{given}":1}}"#));
        assert!(told.contains(&format!("did you mean {meant:?}?")), "{told}");
    }
    for given in [
        "",
        "x",
        "toString",
        "cou",
        "request_identifier",
        "__proto__",
    ] {
        let told = message(&format!(r#"{{"{given}":1}}"#));
        assert!(told.contains("known: op, count"), "{told}");
    }
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

/// Values near the common forms: valid ones, and values with one mistake.
fn near_plain() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just("\"r-1\"".to_owned()),
        Just("\"\"".to_owned()),
        Just("\"next\"".to_owned()),
        Just("\"a\\\"b\"".to_owned()),
        Just("\"a\\u0041\"".to_owned()),
        Just("\"n\u{e9}\"".to_owned()),
        Just("\"a\tb\"".to_owned()),
        Just("\"open".to_owned()),
        (250usize..260).prop_map(|length| format!("\"{}\"", "x".repeat(length))),
    ];
    let number = prop_oneof![
        (0u64..1_000_010).prop_map(|number| number.to_string()),
        Just("007".to_owned()),
        Just("-1".to_owned()),
        Just("1.0".to_owned()),
        Just("1e3".to_owned()),
        Just("99999999999999999999999".to_owned()),
        Just("null".to_owned()),
    ];
    let field = prop::sample::select(vec!["op", "count", "request_id", "requester", "next", "x"]);
    let blank = prop::sample::select(vec!["", "", " ", "  ", "\n"]);
    let member = (field, blank.clone(), prop_oneof![text, number.clone()])
        .prop_map(|(field, blank, value)| format!("\"{field}\":{blank}{value}"));
    let object = (prop::collection::vec(member, 0..5), blank.clone(), blank).prop_map(
        |(members, blank, end)| format!("{{{}}}{end}", members.join(&format!(",{blank}"))),
    );
    prop_oneof![object, number].prop_map(String::into_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn the_quick_reading_says_what_the_parser_says(value in near_plain()) {
        if let Some(plain) = plain::read(&value) {
            prop_assert_eq!(decode_plain(plain), decode_json(&value));
        }
    }
}

#[test]
fn the_forms_that_clients_write_are_read_without_a_parser() {
    for value in [
        "5",
        "{}",
        r#"{"count":1,"requester":"r-0000000001"}"#,
        r#"{"op":"next","count":10,"request_id":"6f1c","requester":"billing"}"#,
        r#"{"op": "next", "count": 10, "request_id": "6f1c"}"#,
    ] {
        assert!(plain::read(value.as_bytes()).is_some(), "{value}");
    }
    for value in [
        "05",
        r#"{"count":1,"count":1}"#,
        r#"{"request_id":"a\u0062"}"#,
        r#"{"op":"retire"}"#,
    ] {
        assert_eq!(plain::read(value.as_bytes()), None, "{value}");
    }
}
