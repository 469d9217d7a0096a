//! Layers and each class of mistake, with the exact message.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;

use tempfile::NamedTempFile;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn set(assignments: &[&str]) -> Flags {
    Flags { set: assignments.iter().map(|text| (*text).to_owned()).collect(), ..Flags::default() }
}

fn file(text: &str) -> (NamedTempFile, Flags) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
    (file, flags)
}

fn loaded(flags: &Flags) -> Settings {
    Settings::load(flags, environment(&[])).unwrap().0
}

fn error(flags: &Flags, variables: &[(&str, &str)]) -> String {
    Settings::load(flags, environment(variables)).unwrap_err().to_string()
}

/// The message for a file, in which `FILE` stands for its path.
fn file_error(text: &str) -> String {
    let (file, flags) = file(text);
    error(&flags, &[]).replace(&file.path().display().to_string(), "FILE")
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let (settings, warnings) = Settings::load(&Flags::default(), environment(&[])).unwrap();
    assert_eq!(settings.group, "sequencer");
    assert!(!settings.instance_id.is_empty());
    assert_eq!(settings.topics.requests, "sequencer.requests");
    assert_eq!(settings.topics.partitions, 4);
    assert_eq!(settings.topics.replication, None);
    assert_eq!(settings.reply_mode, ReplyMode::Immediate);
    let allow = ["sequencer.replies", "*.reply", "*.replies", "*-replies", "*-reply"];
    assert_eq!(settings.reply_allow, allow);
    assert_eq!(settings.checkpoint_interval, Duration::from_millis(100));
    assert_eq!(settings.rewrite_floor_records, 10_000);
    assert_eq!(settings.http_address.as_deref(), Some("127.0.0.1:8377"));
    assert_eq!(settings.shutdown_deadline, Duration::from_secs(10));
    assert!(settings.kafka.is_empty());
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn every_key_has_a_default_and_is_described() {
    let defaults = layer::defaults().unwrap();
    let documented: BTreeSet<&str> = defaults.iter().map(|(name, ..)| name.as_str()).collect();
    let known: BTreeSet<&str> = key::KEYS.iter().map(|key| key.name).collect();
    assert_eq!(documented, known);
    let settings = loaded(&Flags::default());
    let described: Vec<String> = settings.describe().into_iter().map(|(key, _)| key).collect();
    let mut expected: Vec<&str> = key::KEYS.iter().map(|key| key.name).collect();
    expected.push("kafka.bootstrap.servers");
    assert_eq!(described, expected);
}

#[test]
fn later_layers_win() {
    let (_file, mut flags) = file("group = \"file\"\n[checkpoint]\ninterval_ms = 1\n[topics]\npartitions = 8\n");
    let variables =
        environment(&[("SEQUENCER__GROUP", "environment"), ("SEQUENCER__TOPICS__PARTITIONS", "16")]);
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
        reply_mode: Some(ReplyMode::ExactlyOnce),
        http: Some(String::new()),
        log_format: Some(LogFormat::Json),
        ..Flags::default()
    };
    let settings = loaded(&flags);
    assert_eq!(settings.brokers().unwrap(), "a:1,b:2");
    assert_eq!(settings.reply_mode, ReplyMode::ExactlyOnce);
    assert_eq!(settings.http_address, None);
    assert_eq!(settings.log_format, LogFormat::Json);
}

#[test]
fn lists_and_booleans_can_be_set_without_toml() {
    let settings = loaded(&set(&["reply.allow=a.reply, b-*", "membership.static=true"]));
    assert_eq!(settings.reply_allow, ["a.reply", "b-*"]);
    assert!(settings.membership_static);
    assert!(loaded(&set(&["reply.allow="])).reply_allow.is_empty());
}

#[test]
fn kafka_properties_come_from_every_layer_as_text() {
    let (_file, mut flags) = file(concat!(
        "[kafka]\n",
        "bootstrap.servers = \"file:9092\"\n",
        "session.timeout.ms = 6000\n",
        "\"ssl.key.location\" = \"/key\"\n",
        "enable.ssl.certificate.verification = true\n",
        "compression.codec = \"zstd\"\n",
    ));
    flags.set = vec!["kafka.compression.codec=lz4".to_owned(), "kafka.ssl.key=short".to_owned()];
    let variables = environment(&[("SEQUENCER__KAFKA__SESSION_TIMEOUT_MS", "7000")]);
    let (settings, _) = Settings::load(&flags, variables).unwrap();
    assert_eq!(settings.brokers.as_deref(), Some("file:9092"));
    let kafka: Vec<(&str, &str)> =
        settings.kafka.iter().map(|(property, value)| (property.as_str(), value.as_str())).collect();
    assert_eq!(
        kafka,
        [
            ("compression.codec", "lz4"),
            ("enable.ssl.certificate.verification", "true"),
            ("session.timeout.ms", "7000"),
            // One property may be the prefix of another.
            ("ssl.key", "short"),
            ("ssl.key.location", "/key"),
        ]
    );
}

#[test]
fn variables_of_others_are_passed_over() {
    let variables = environment(&[("SEQUENCER_CACHE", "/x"), ("PATH", "/bin"), ("SEQUENCER", "")]);
    assert!(Settings::load(&Flags::default(), variables).is_ok());
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
    assert_eq!(
        file_error("group = \"a\"\n[checkpoint]\nintervall_ms = 5\n"),
        "configuration: unknown key \"checkpoint.intervall_ms\" in FILE:3; did you mean \
         \"checkpoint.interval_ms\"?"
    );
    assert_eq!(
        error(&Flags::default(), &[("SEQUENCER__CHECKPOINT__INTERVALL_MS", "5")]),
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
    assert_eq!(file_error("[colours]\n"), "configuration: unknown key \"colours\" in FILE:1");
}

#[test]
fn a_section_is_no_key() {
    assert_eq!(
        file_error("topics = 5\n"),
        "configuration: unknown key \"topics\" in FILE:1; it is a section, of topics.requests, \
         topics.replies, topics.state, topics.partitions, topics.replication"
    );
    assert_eq!(
        error(&set(&["kafka=5"]), &[]),
        "configuration: unknown key \"kafka\" in --set; it is a section, of kafka.PROPERTY"
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
        error(&Flags::default(), &[("SEQUENCER__CHECKPOINT__INTERVAL_MS", "60001")]),
        "configuration: checkpoint.interval_ms in environment variable \
         SEQUENCER__CHECKPOINT__INTERVAL_MS: got \"60001\", expected a whole number from 1 to 60000"
    );
    assert_eq!(
        error(&set(&["ready.lag_max_records=-1"]), &[]),
        "configuration: ready.lag_max_records in --set: got \"-1\", expected a whole number, 0 or more"
    );
    let http = Flags { http: Some("8377".to_owned()), ..Flags::default() };
    assert_eq!(
        error(&http, &[]),
        "configuration: http.address in --http: got \"8377\", expected HOST:PORT, or nothing to turn it \
         off"
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
fn a_malformed_file_is_named_with_the_line() {
    assert_eq!(
        file_error("group = \"a\"\n\ngroup = \"b\"\n"),
        "configuration: FILE:3: duplicate key"
    );
    let message = file_error("[kafka]\nsasl.password = hunter2\n");
    assert!(message.starts_with("configuration: FILE:2: "), "{message}");
    assert!(!message.contains("hunter2") && !message.contains('\n'), "{message}");
}

#[test]
fn an_unreadable_file_is_named() {
    let flags = Flags { config: Some("/nowhere/sequencer.toml".into()), ..Flags::default() };
    assert_eq!(
        error(&flags, &[]),
        "configuration: cannot read /nowhere/sequencer.toml: No such file or directory (os error 2)"
    );
    let flags = Flags { config: Some("/dev/zero".into()), ..Flags::default() };
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

#[test]
fn properties_that_the_promise_rests_on_are_refused_with_the_reason() {
    assert_eq!(
        file_error("[kafka]\nenable.idempotence = false\n"),
        "configuration: kafka.enable.idempotence in FILE:2 cannot be set: a retry without it can write \
         an answer or a checkpoint twice"
    );
    assert_eq!(
        error(&Flags::default(), &[("SEQUENCER__KAFKA__GROUP_ID", "x")]),
        "configuration: kafka.group.id in environment variable SEQUENCER__KAFKA__GROUP_ID cannot be \
         set: use the key \"group\""
    );
    for property in [
        "transactional.id",
        "group.instance.id",
        "isolation.level",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "partition.assignment.strategy",
        "group.protocol",
        "acks",
        "request.required.acks",
        "enable.partition.eof",
        "enable.gapless.guarantee",
        "allow.auto.create.topics",
    ] {
        let message = error(&set(&[&format!("kafka.{property}=x")]), &[]);
        let start = format!("configuration: kafka.{property} in --set cannot be set: ");
        assert!(message.starts_with(&start) && message.len() > start.len(), "{message}");
    }
}

#[test]
fn a_kafka_value_that_makes_no_sense_is_refused_without_showing_a_secret() {
    assert_eq!(
        error(&set(&["kafka.session.timeout.ms=soon"]), &[]),
        "configuration: kafka.session.timeout.ms in --set: got soon, expected a whole number from 1 to \
         3600000"
    );
    assert_eq!(
        file_error("[kafka]\nsasl.password = [\"hunter2\"]\n"),
        "configuration: kafka.sasl.password in FILE:2: got [redacted], expected text, a number, true or \
         false"
    );
    let brokers = Flags { brokers: Some("localhost:port".to_owned()), ..Flags::default() };
    assert_eq!(
        error(&brokers, &[]),
        "configuration: kafka.bootstrap.servers in --brokers: got \"localhost:port\", expected \
         HOST:PORT[,HOST:PORT…]"
    );
}

#[test]
fn no_brokers_says_how_to_give_them() {
    assert_eq!(
        loaded(&Flags::default()).brokers().unwrap_err().to_string(),
        "configuration: no brokers; use --brokers HOST:PORT, SEQUENCER__KAFKA__BOOTSTRAP_SERVERS, or \
         kafka.bootstrap.servers in a file"
    );
}

#[test]
fn doubtful_values_are_warned_of() {
    let flags = set(&[
        "kafka.session.timeout.ms=45000",
        "kafka.enable.ssl.certificate.verification=false",
        "reply.mode=exactly_once",
        "checkpoint.interval_ms=5000",
    ]);
    let (_, warnings) = Settings::load(&flags, environment(&[])).unwrap();
    assert_eq!(
        warnings,
        [
            "kafka.session.timeout.ms in --set is 45000: the partitions of a crashed instance stand \
             still that long; 10000 or less is advised",
            "kafka.enable.ssl.certificate.verification in --set is false: anyone on the way can pose as \
             the brokers",
            "checkpoint.interval_ms is 5000 with reply.mode exactly_once: every answer waits up to that \
             long; 1000 or less is advised",
        ]
    );
}

#[test]
fn secrets_are_in_no_output() {
    let settings =
        loaded(&set(&["kafka.sasl.password=hunter2", "kafka.ssl.key.pem=hunter2", "kafka.debug=all"]));
    let described = settings.describe();
    assert!(described.contains(&("kafka.sasl.password".to_owned(), REDACTED.to_owned())));
    assert!(described.contains(&("kafka.debug".to_owned(), "all".to_owned())));
    assert!(!format!("{settings:?} {described:?}").contains("hunter2"));
    assert_eq!(settings.kafka.get("sasl.password").map(String::as_str), Some("hunter2"));
    let refused = settings.property_refused("sasl.password", "invalid value hunter2").to_string();
    assert_eq!(refused, "configuration: kafka.sasl.password in --set cannot be set: [redacted]");
}
