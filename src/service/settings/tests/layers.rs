//! Tests of the defaults, and of the order of the layers.

use crate::processor::Mode;
use std::collections::BTreeSet;

use super::*;

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let (settings, warnings) = Settings::load(&Flags::default(), environment(&[])).unwrap();
    assert_eq!(settings.group, "sequencer");
    assert!(!settings.instance_id.is_empty());
    assert_eq!(settings.topics.requests, "sequencer.requests");
    assert_eq!(settings.topics.partitions, 4);
    assert_eq!(settings.topics.replication, None);
    assert_eq!(settings.reply_mode, Mode::Immediate);
    let allow = [
        "sequencer.replies",
        "*.reply",
        "*.replies",
        "*-replies",
        "*-reply",
    ];
    assert_eq!(settings.reply_allow, allow);
    assert_eq!(settings.reply_headers, Names::default());
    assert_eq!(settings.checkpoint_interval, Duration::from_millis(100));
    assert_eq!(settings.rewrite_floor_records, 10_000);
    assert_eq!(settings.http_address.as_deref(), Some("127.0.0.1:8377"));
    assert_eq!(settings.http_token, None);
    assert_eq!(settings.shutdown_deadline, Duration::from_secs(10));
    assert!(settings.kafka.is_empty());
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn every_key_has_a_default_and_is_described() {
    let defaults = layer::defaults().unwrap();
    let documented: BTreeSet<&str> = defaults.iter().map(|(name, ..)| name.as_str()).collect();
    // The key is accepted, with a warning.
    let retired = BTreeSet::from(["membership.static"]);
    let known: BTreeSet<&str> = key::KEYS.iter().map(|key| key.name).collect();
    let known: BTreeSet<&str> = known.difference(&retired).copied().collect();
    assert_eq!(documented, known);
    let settings = loaded(&Flags::default());
    let described: Vec<String> = settings
        .describe()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let mut expected: Vec<&str> = key::KEYS.iter().map(|key| key.name).collect();
    expected.retain(|key| !retired.contains(key));
    expected.push("kafka.bootstrap.servers");
    assert_eq!(described, expected);
}

#[test]
fn the_start_line_has_what_is_not_the_default_and_no_more() {
    assert_eq!(loaded(&Flags::default()).changed(), []);
    let settings = loaded(&set(&[
        "group=g",
        "topics.partitions=16",
        "log.level=info",
        "kafka.socket.timeout.ms=9000",
    ]));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        settings.changed(),
        [
            pair("topics.partitions", "16"),
            pair("kafka.socket.timeout.ms", "9000"),
        ]
    );
}

#[test]
fn later_layers_win() {
    let (_file, mut flags) =
        file("group = \"file\"\n[checkpoint]\ninterval_ms = 1\n[topics]\npartitions = 8\n");
    let variables = environment(&[
        ("SEQUENCER__GROUP", "environment"),
        ("SEQUENCER__TOPICS__PARTITIONS", "16"),
    ]);
    flags.set = vec!["group=set".to_owned()];
    let (settings, _) = Settings::load(&flags, variables.clone()).unwrap();
    assert_eq!(settings.checkpoint_interval, Duration::from_millis(1));
    assert_eq!(settings.topics.partitions, 16);
    assert_eq!(settings.group, "set");
    flags.group = Some("flag".to_owned());
    assert_eq!(Settings::load(&flags, variables).unwrap().0.group, "flag");
}

#[test]
fn named_flags_set_their_keys() {
    let flags = Flags {
        brokers: Some("a:1,b:2".to_owned()),
        reply_mode: Some(Mode::ExactlyOnce),
        http: Some(String::new()),
        log_format: Some(LogFormat::Json),
        ..Flags::default()
    };
    let settings = loaded(&flags);
    assert_eq!(settings.brokers().unwrap(), "a:1,b:2");
    assert_eq!(settings.reply_mode, Mode::ExactlyOnce);
    assert_eq!(settings.http_address, None);
    assert_eq!(settings.log_format, LogFormat::Json);
}

#[test]
fn lists_and_booleans_can_be_set_without_toml() {
    let settings = loaded(&set(&["reply.allow=a.reply, b-*"]));
    assert_eq!(settings.reply_allow, ["a.reply", "b-*"]);
    assert!(loaded(&set(&["reply.allow="])).reply_allow.is_empty());
}

#[test]
fn replies_to_gateways_are_allowed_whatever_the_list_says() {
    let settings = loaded(&set(&["reply.allow=", "topics.gateway_replies=g"]));
    let allowed = settings.reply_topics();
    assert!(allowed.allows("g"));
    assert!(!allowed.allows("sequencer.gateway.replies") && !allowed.allows("g.reply"));
    assert!(!allowed.allows(&settings.topics.requests));
}

#[test]
fn static_membership_is_no_choice_any_more() {
    let (_, silent) = Settings::load(&Flags::default(), environment(&[])).unwrap();
    assert!(silent.is_empty(), "{silent:?}");
    for given in ["true", "false"] {
        let variables = environment(&[("SEQUENCER__MEMBERSHIP__STATIC", given)]);
        let (_, warnings) = Settings::load(&Flags::default(), variables).unwrap();
        assert_eq!(
            warnings,
            [format!(
                "membership.static={given} in environment variable SEQUENCER__MEMBERSHIP__STATIC has no \
                 effect: an instance is always a static member of the group, and leaves it when it stops"
            )]
        );
    }
}

#[test]
fn header_names_can_be_set_in_every_layer() {
    let (_file, mut flags) = file("[reply.headers.kafka]\ncorrelation = \"x-correlation\"\n");
    flags.set = vec!["reply.headers.nest.error=x-error".to_owned()];
    let variables = environment(&[("SEQUENCER__REPLY__HEADERS__FASTSTREAM__TOPIC", "x-reply-to")]);
    let (settings, _) = Settings::load(&flags, variables).unwrap();
    let mut expected = Names::default();
    expected.kafka.correlation = "x-correlation".to_owned();
    expected.nest_error = "x-error".to_owned();
    expected.faststream.topic = "x-reply-to".to_owned();
    assert_eq!(settings.reply_headers, expected);
}

#[test]
fn variables_of_others_are_passed_over() {
    let variables = environment(&[
        ("SEQUENCER_CACHE", "/x"),
        ("PATH", "/bin"),
        ("SEQUENCER", ""),
    ]);
    assert!(Settings::load(&Flags::default(), variables).is_ok());
}
