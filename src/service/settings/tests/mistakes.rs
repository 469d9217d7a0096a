//! Tests of each class of mistake outside `kafka.*`, with the exact message.

use super::*;

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
    assert_eq!(
        file_error("group = \"a\"\n[checkpoint]\nintervall_ms = 5\n"),
        "configuration: unknown key \"checkpoint.intervall_ms\" in FILE:3; did you mean \
         \"checkpoint.interval_ms\"?"
    );
    assert_eq!(
        error(
            &Flags::default(),
            &[("SEQUENCER__CHECKPOINT__INTERVALL_MS", "5")]
        ),
        "configuration: unknown key \"checkpoint.intervall_ms\" in environment variable \
         SEQUENCER__CHECKPOINT__INTERVALL_MS; did you mean SEQUENCER__CHECKPOINT__INTERVAL_MS?"
    );
    assert_eq!(
        error(&set(&["brokers=a:1"]), &[]),
        "configuration: unknown key \"brokers\" in --set; did you mean \"kafka.bootstrap.servers\"?"
    );
    assert_eq!(
        error(&Flags::default(), &[("SEQUENCER__BROKERS", "a:1")]),
        "configuration: unknown key \"brokers\" in environment variable SEQUENCER__BROKERS; did you \
         mean SEQUENCER__KAFKA__BOOTSTRAP_SERVERS?"
    );
}

#[test]
fn a_key_near_nothing_gets_no_suggestion() {
    assert_eq!(
        error(&set(&["colour=red"]), &[]),
        "configuration: unknown key \"colour\" in --set"
    );
    assert_eq!(
        file_error("[colours]\n"),
        "configuration: unknown key \"colours\" in FILE:1"
    );
}

#[test]
fn a_section_is_no_key() {
    assert_eq!(
        file_error("topics = 5\n"),
        "configuration: unknown key \"topics\" in FILE:1; it is a section, of topics.requests, \
         topics.replies, topics.state, topics.ledger, topics.heartbeats, \
         topics.gateway_replies, topics.create, topics.partitions, \
         topics.replication"
    );
    assert_eq!(
        error(&set(&["kafka=5"]), &[]),
        "configuration: unknown key \"kafka\" in --set; it is a section, of kafka.PROPERTY"
    );
}

#[test]
fn the_limits_of_the_gateway_leave_connections_for_probes() {
    assert_eq!(
        file_error("[gateway]\nin_flight_max = 800\nconnections_max = 815\n"),
        "configuration: gateway.connections_max in FILE:3: got 815, expected at least 816: \
         gateway.in_flight_max, and 16 for probes"
    );
    let fitting = set(&["gateway.in_flight_max=800", "gateway.connections_max=816"]);
    assert_eq!(loaded(&fitting).gateway.connections_max, 816);
    assert_eq!(
        error(&set(&["topics.gateway_replies=sequencer.replies"]), &[]),
        "configuration: topics.gateway_replies in --set: got \"sequencer.replies\", expected a topic \
         other than topics.replies"
    );
}

#[test]
fn a_wrong_type_is_named_with_value_limit_and_place() {
    assert_eq!(
        file_error("[checkpoint]\ninterval_ms = \"soon\"\n"),
        "configuration: checkpoint.interval_ms in FILE:2: got \"soon\", expected a whole number from \
         1 to 60000"
    );
    assert_eq!(
        file_error("[checkpoint]\n\ninterval_ms = 2.5\n"),
        "configuration: checkpoint.interval_ms in FILE:3: got 2.5, expected a whole number from 1 to \
         60000"
    );
    assert_eq!(
        error(&set(&["membership.static=yes"]), &[]),
        "configuration: membership.static in --set: got \"yes\", expected true or false"
    );
    assert_eq!(
        file_error("reply.allow = [\"a\", 5]\n"),
        "configuration: reply.allow in FILE:1: got [\"a\", 5], expected a list of topic name patterns \
         of letters, digits, '.', '_', '-' and '*'"
    );
    assert_eq!(
        error(&set(&["reply.mode=fast"]), &[]),
        "configuration: reply.mode in --set: got \"fast\", expected immediate or exactly_once"
    );
}

#[test]
fn a_value_out_of_its_limits_is_named_with_them() {
    assert_eq!(
        error(
            &Flags::default(),
            &[("SEQUENCER__CHECKPOINT__INTERVAL_MS", "60001")]
        ),
        "configuration: checkpoint.interval_ms in environment variable \
         SEQUENCER__CHECKPOINT__INTERVAL_MS: got \"60001\", expected a whole number from 1 to 60000"
    );
    assert_eq!(
        error(&set(&["ready.lag_max_records=-1"]), &[]),
        "configuration: ready.lag_max_records in --set: got \"-1\", expected a whole number, 0 or more"
    );
    let http = Flags {
        http: Some("8377".to_owned()),
        ..Flags::default()
    };
    assert_eq!(
        error(&http, &[]),
        "configuration: http.address in --http: got \"8377\", expected HOST:PORT, or nothing to turn it \
         off"
    );
    // An invalid secret is hidden, too.
    assert_eq!(
        error(&set(&["http.token=hunter2"]), &[]),
        "configuration: http.token in --set: got [redacted], expected 16 to 200 letters, digits, '.', \
         '_', '~', '+', '/', '=' or '-', or nothing for none"
    );
    assert_eq!(
        error(&set(&["log.level=inof"]), &[]),
        "configuration: log.level in --set: got \"inof\", expected off, error, warn, info, debug or \
         trace, also by module: \"info,sequencer::kafka=debug\""
    );
}

#[test]
fn a_mistake_shows_also_where_a_later_layer_overrides_it() {
    let (_file, mut flags) = file("group = 5\n");
    flags.group = Some("right".to_owned());
    assert!(error(&flags, &[]).contains("group in "));
}

#[test]
fn topics_have_one_role_each() {
    assert_eq!(
        error(&set(&["topics.state=sequencer.requests"]), &[]),
        "configuration: topics.state in --set: got \"sequencer.requests\", expected a topic other than \
         topics.requests"
    );
    assert_eq!(
        error(&set(&["topics.requests=sequencer.state"]), &[]),
        "configuration: topics.requests in --set: got \"sequencer.state\", expected a topic other than \
         topics.state"
    );
}

#[test]
fn header_names_have_one_role_each_and_none_is_a_fixed_one() {
    assert_eq!(
        error(
            &set(&["reply.headers.kafka.correlation=correlation_id"]),
            &[]
        ),
        "configuration: reply.headers.kafka.correlation in --set: got \"correlation_id\", expected a \
         header other than reply.headers.faststream.correlation"
    );
    assert_eq!(
        error(
            &set(&[
                "reply.headers.nest.error=x",
                "reply.headers.nest.disposed=x"
            ]),
            &[]
        ),
        "configuration: reply.headers.nest.disposed in --set: got \"x\", expected a header other than \
         reply.headers.nest.error"
    );
    for fixed in ["traceparent", "tracestate", "sequencer-request-id", ""] {
        assert_eq!(
            file_error(&format!("[reply.headers.smallrye]\ntopic = {fixed:?}\n")),
            format!(
                "configuration: reply.headers.smallrye.topic in FILE:2: got {fixed:?}, expected a \
                 header name: 1 to 249 bytes without control characters, not beginning with \
                 \"sequencer-\", and neither traceparent nor tracestate"
            )
        );
    }
    // Two exchanged names are still two different names.
    let swapped = set(&[
        "reply.headers.smallrye.topic=REPLY_CORRELATION_ID",
        "reply.headers.smallrye.correlation=REPLY_TOPIC",
    ]);
    assert_eq!(
        loaded(&swapped).reply_headers.smallrye.topic,
        "REPLY_CORRELATION_ID"
    );
}

#[test]
fn a_malformed_file_is_named_with_the_line() {
    assert_eq!(
        file_error("group = \"a\"\n\ngroup = \"b\"\n"),
        "configuration: FILE:3: duplicate key"
    );
    let message = file_error("[kafka]\nsasl.password = hunter2\n");
    assert!(message.starts_with("configuration: FILE:2: "), "{message}");
    assert!(
        !message.contains("hunter2") && !message.contains('\n'),
        "{message}"
    );
}

#[test]
fn an_unreadable_file_is_named() {
    let flags = Flags {
        config: Some("/nowhere/sequencer.toml".into()),
        ..Flags::default()
    };
    assert_eq!(
        error(&flags, &[]),
        "configuration: cannot read /nowhere/sequencer.toml: No such file or directory (os error 2)"
    );
    let flags = Flags {
        config: Some("/dev/zero".into()),
        ..Flags::default()
    };
    assert_eq!(
        error(&flags, &[]),
        "configuration: cannot read /dev/zero: it has more than 1048576 bytes"
    );
}

#[test]
fn a_set_without_a_value_is_refused_and_shows_no_secret() {
    assert_eq!(
        error(&set(&["group"]), &[]),
        "configuration: --set expects KEY=VALUE, got \"group\""
    );
    assert_eq!(
        error(&set(&["kafka.sasl.password:hunter2"]), &[]),
        "configuration: --set expects KEY=VALUE, got [redacted]"
    );
}
