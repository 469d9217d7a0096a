//! The command line: its output, its refusals, and its exit codes.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use sequencer::embedded::{Kafka, Options};
use serde_json::Value;

use crate::support::admin::Admin;
use crate::support::cluster;
use crate::support::command::{Outcome, program, run};
use crate::support::http::free_port;
use crate::support::load::Names;
use crate::support::murmur2::partition_of;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{signal, unique, wait_for};

/// Runs a command of this service.
pub fn command(service: &Service, words: &[&str]) -> Outcome {
    let mut arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    arguments.extend(service.arguments());
    run(&arguments)
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let broker = format!("127.0.0.1:{}", free_port());
    let outcome = run(&["serve", "--brokers", &broker, "--http", ""]);
    assert_eq!(outcome.code, 1);
    outcome.line_with(&broker);
    let words = [
        "next",
        "orders",
        "--brokers",
        &broker,
        "--timeout-ms",
        "300",
    ];
    let outcome = run(&words);
    assert_eq!(outcome.code, 1);
    assert!(outcome.line_with(&broker).contains("within 300 ms"));
}

#[test]
fn a_name_that_a_broker_advertises_and_that_does_not_resolve_is_named() {
    let advertised = "PLAINTEXT://kafka-0.invalid:9092";
    let kafka = Kafka::start(Options {
        properties: vec![("advertised.listeners".to_owned(), advertised.to_owned())],
        ..Options::single(cluster::directory().join("advertised"))
    });
    let kafka = kafka.unwrap();
    let outcome = run(&["serve", "--brokers", kafka.bootstrap(), "--http", ""]);
    assert_eq!(outcome.code, 1);
    outcome.line_with("kafka-0.invalid:9092");
    let outcome = run(&["next", "orders", "--brokers", kafka.bootstrap()]);
    assert_eq!(outcome.code, 1);
    outcome.line_with("kafka-0.invalid:9092");
}

#[test]
fn a_mechanism_that_is_not_supported_is_refused_before_any_connection() {
    for mechanism in ["AWS_MSK_IAM", "GSSAPI"] {
        let mechanism = format!("kafka.sasl.mechanism={mechanism}");
        for verb in [&["serve"][..], &["next", "orders"], &["topics", "check"]] {
            let rest = ["--brokers", "127.0.0.1:1", "--set", &mechanism];
            let outcome = run(&[verb, &rest].concat());
            assert_eq!(outcome.code, 2);
            outcome.line_with("expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER");
        }
    }
}

#[test]
fn a_command_warns_of_certificates_that_are_not_verified() {
    let setting = "kafka.enable.ssl.certificate.verification=false";
    let broker = format!("127.0.0.1:{}", free_port());
    let words = ["next", "orders", "--brokers", &broker, "--set", setting];
    let outcome = run(&[&words[..], &["--timeout-ms", "100"]].concat());
    outcome.line_with("warning: kafka.enable.ssl.certificate.verification in --set is false");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let outcome = run(&[
        "serve",
        "--brokers",
        "127.0.0.1:1",
        "--set",
        "checkpoint.intervall_ms=50",
    ]);
    assert_eq!(outcome.code, 2);
    assert!(
        outcome
            .line_with("checkpoint.intervall_ms")
            .contains("\"checkpoint.interval_ms\""),
        "{outcome:?}"
    );
}

#[test]
fn a_topic_that_cannot_exist_is_refused_with_its_key() {
    let outcome = run(&[
        "serve",
        "--brokers",
        "127.0.0.1:1",
        "--set",
        "topics.requests=not a topic",
    ]);
    assert_eq!(outcome.code, 2);
    outcome.line_with("topics.requests");
}

#[test]
fn bad_usage_exits_2() {
    for words in [
        &["serve", "--no-such-flag"][..],
        &["nxt"],
        &["next", "orders", "--count", "0"],
    ] {
        assert_eq!(run(words).code, 2);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let service = Service::new("cli-port", Mode::Immediate);
    let port = free_port();
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let address = format!("127.0.0.1:{port}");
    let outcome = command(&service, &["serve", "--http", &address]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.line_with(&address).contains("in use"),
        "{outcome:?}"
    );
}

#[test]
fn a_state_topic_with_too_few_partitions_is_named_with_both_counts_and_grown_by_serve() {
    let service = Service::new("cli-fewer", Mode::Immediate);
    let admin = Admin::new(&service.bootstrap);
    service.create_topics();
    admin.create(
        &service.state,
        PARTITIONS - 1,
        &[("cleanup.policy", "compact")],
    );
    let outcome = command(&service, &["topics", "check"]);
    let said = outcome.said();
    let named = |line: &str| line.contains(&service.state) && line.contains("has 3 partitions");
    assert!(
        said.lines()
            .any(|line| named(line) && line.contains(&service.requests)),
        "{said}"
    );
    let instance = service.start("a");
    service.wait_shared(&[&instance]);
    assert_eq!(command(&service, &["topics", "check"]).code, 0);
    let mut random = Random::from_environment();
    service.preload(&Names::new(20), 200, &mut random);
    service.check();
}

#[test]
fn a_state_topic_with_too_many_partitions_is_named_with_both_counts() {
    let service = Service::new("cli-more", Mode::Immediate);
    service.create_topics();
    Admin::new(&service.bootstrap).create(
        &service.state,
        PARTITIONS + 1,
        &[("cleanup.policy", "compact")],
    );
    let outcome = command(&service, &["topics", "check"]);
    let line = outcome
        .stdout
        .lines()
        .find(|line| line.contains("5 partitions"));
    assert!(
        line.is_some_and(|line| line.contains(&service.state) && line.contains(&service.requests)),
        "{outcome:?}"
    );
}

#[test]
fn next_prints_ids_and_with_json_the_reply() {
    let service = Service::new("cli-next", Mode::ExactlyOnce);
    let instance = service.start("a");
    assert_eq!(command(&service, &["next", "orders"]).stdout, "1\n");
    assert_eq!(
        command(&service, &["next", "orders", "--count", "3"]).stdout,
        "2\n3\n4\n"
    );
    let outcome = command(
        &service,
        &["next", "orders", "--json", "--request-id", "6f1c"],
    );
    assert_eq!(outcome.code, 0);
    let partition = partition_of(b"orders", PARTITIONS);
    let begin =
        r#"{"sequence":"orders","first":5,"last":5,"count":1,"request_id":"6f1c","partition":"#;
    assert!(
        outcome
            .stdout
            .starts_with(&format!("{begin}{partition},\"offset\":")),
        "{outcome:?}"
    );
    // The service refuses this name.
    let outcome = command(&service, &["next", "__policy"]);
    assert_eq!(outcome.code, 1);
    outcome.line_with("invalid_name");
    service.check();
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn next_without_a_service_says_that_nobody_answers() {
    let service = Service::new("cli-silent", Mode::Immediate);
    service.create_topics();
    let outcome = command(&service, &["next", "orders", "--timeout-ms", "5000"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    outcome.line_with("no answer within 5000 ms");
    let changed = command(
        &service,
        &["define", "invoices", "--start", "7", "--timeout-ms", "5000"],
    );
    assert_eq!(changed.code, 1);
    changed.line_with("it may have been applied");

    // Both requests are in the log, and each printed command shows its result.
    let instance = service.start("a");
    assert_eq!(shell(printed(&outcome, " next ")).stdout, "1\n");
    assert_eq!(command(&service, &["next", "orders"]).stdout, "2\n");
    let described = shell(printed(&changed, " describe "));
    assert!(described.stdout.contains("next       7\n"), "{described:?}");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

/// The command line in the output of a command.
fn printed<'a>(outcome: &'a Outcome, verb: &str) -> &'a str {
    let mut lines = outcome.stderr.lines();
    let line = lines.find_map(|line| line.strip_prefix("  ").filter(|line| line.contains(verb)));
    line.unwrap_or_else(|| panic!("no command with {verb:?}: {outcome:?}"))
}

/// Runs a printed command unchanged.
fn shell(line: &str) -> Outcome {
    let output = std::process::Command::new("sh")
        .args(["-c", line])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// For every timeout of the command, either no ID was taken, or the printed command gets the ID that was taken.
#[test]
fn next_loses_no_id_whenever_it_gives_up() {
    let service = Service::new("cli-hurry", Mode::Immediate);
    let instance = service.start("a");
    let mut ids: Vec<i64> = Vec::new();
    for timeout_ms in [
        1, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1_000,
    ] {
        let timeout_ms = timeout_ms.to_string();
        let outcome = command(&service, &["next", "orders", "--timeout-ms", &timeout_ms]);
        let said = &outcome.stderr;
        if outcome.code == 0 {
            ids.push(outcome.stdout.trim().parse().unwrap());
        } else if said.contains("Ask again soon") {
            let again = shell(printed(&outcome, " next "));
            assert_eq!(again.code, 0, "{again:?}");
            ids.push(again.stdout.trim().parse().unwrap());
        } else {
            let spared = [
                "cannot reach",
                "ask for the end of the replies",
                "nothing was sent",
                "no ID was taken",
            ];
            assert!(spared.iter().any(|words| said.contains(words)), "{said}");
        }
    }
    ids.sort_unstable();
    let next = i64::try_from(ids.len()).unwrap() + 1;
    assert_eq!(ids, (1..next).collect::<Vec<_>>());
    assert_eq!(
        command(&service, &["next", "orders"]).stdout,
        format!("{next}\n")
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn next_that_is_interrupted_says_how_to_get_its_id() {
    let service = Service::new("cli-interrupted", Mode::Immediate);
    service.create_topics();
    let mut command = program();
    command.args(["next", "orders", "--timeout-ms", "100000"]);
    command.args(service.arguments());
    // These reads wait for the topics: right after their creation, a client may be told that they do not exist.
    assert!(service.all_replies().is_empty() && service.request_log().is_empty());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the request to be in the log", || {
        let ended = child.try_wait().unwrap();
        assert_eq!(ended, None, "next ended by itself");
        (!service.request_log().is_empty()).then_some(())
    });
    signal::send(&child, signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    let outcome = Outcome {
        code: output.status.code().unwrap(),
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert_eq!(outcome.code, 130);
    let instance = service.start("a");
    assert_eq!(shell(printed(&outcome, " next ")).stdout, "1\n");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_request_that_the_broker_refuses_has_taken_no_id_and_says_so() {
    let service = Service::new("cli-refused", Mode::Immediate);
    let admin = Admin::new(&service.bootstrap);
    let config = [
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "10"),
    ];
    admin.create(&service.requests, PARTITIONS, &config);
    admin.create(&service.replies, PARTITIONS, &[]);
    let outcome = command(&service, &["next", "orders"]);
    assert_eq!(outcome.code, 1);
    outcome.line_with("no ID was taken");
    assert!(service.request_log().is_empty());
}

#[test]
fn inspect_shows_the_counter_of_a_sequence() {
    let service = Service::new("cli-inspect", Mode::Immediate);
    let instance = service.start("a");
    assert_eq!(
        command(&service, &["next", "orders", "--count", "41"]).code,
        0
    );
    assert_eq!(instance.sigterm_and_wait(), 0);

    let outcome = command(&service, &["inspect", "--sequence", "orders", "--json"]);
    assert_eq!(outcome.code, 0);
    let body: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let text = body.to_string();
    assert!(
        text.contains("\"orders\"") && text.contains("42"),
        "{body:#}"
    );

    let table = command(&service, &["inspect"]);
    assert_eq!(table.code, 0);
    assert!(
        table.stdout.contains("orders") && table.stdout.contains("42"),
        "{table:?}"
    );
}

#[test]
fn topics_are_created_and_checked() {
    let service = Service::new("cli-topics", Mode::Immediate);
    let missing = command(&service, &["topics", "check"]);
    assert_eq!(missing.code, 1);
    assert!(missing.said().contains(&service.requests));
    assert_eq!(command(&service, &["topics", "create"]).code, 0);
    // With one broker there is one replica, and the check reports it.
    let checked = command(&service, &["topics", "check"]);
    assert_eq!(checked.code, 0);
    let said = checked.said();
    assert!(
        said.contains("has replication 1 on a cluster of 1"),
        "{said}"
    );
    assert!(!said.contains("ok: "), "{said}");
    assert_eq!(
        command(&service, &["topics", "create"]).code,
        0,
        "it can be said again"
    );
    let named = format!("{}.reply", unique("cli-named"));
    let words = ["topics", "create", "--reply", &named];
    for word in ["created", "exists"] {
        let outcome = command(&service, &words);
        assert_eq!(outcome.code, 0);
        let line = format!("{word}  {named} with {PARTITIONS} partitions, 1 replica");
        assert!(outcome.said().contains(&line), "{}", outcome.said());
    }
    let refused = command(&service, &["topics", "create", "--reply", "orders"]);
    assert_eq!(refused.code, 2);
    assert!(refused.said().contains("reply.allow"), "{}", refused.said());
}

#[test]
fn a_mistyped_request_topic_makes_no_topics_beside_a_live_group() {
    let service = Service::new("cli-mistyped", Mode::Immediate);
    let live = service.start("a");
    service.wait_shared(&[&live]);
    let mistyped = Service {
        requests: format!("{}.requets", service.group),
        replies: service.replies.clone(),
        state: service.state.clone(),
        ledger: service.ledger.clone(),
        heartbeats: service.heartbeats.clone(),
        gateway_replies: service.gateway_replies.clone(),
        bootstrap: service.bootstrap.clone(),
        group: service.group.clone(),
        mode: Mode::Immediate,
        settings: Vec::new(),
    };
    let mut instance = mistyped.spawn("b");
    assert_eq!(instance.wait_exit(), 1);
    let log = instance.log();
    let line = log.lines().find(|line| line.contains("may be wrong"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&mistyped.requests), "{line}");
    let admin = Admin::new(&service.bootstrap);
    assert_eq!(admin.partitions(&mistyped.requests), 0);
    assert_eq!(live.running(), PARTITIONS as usize);
    // A group that has a past but no members is not a new group either.
    assert_eq!(live.sigterm_and_wait(), 0);
    assert_eq!(mistyped.spawn("b").wait_exit(), 1);
    assert_eq!(admin.partitions(&mistyped.requests), 0);
}

#[test]
fn a_compacted_request_topic_fails_the_check() {
    let service = Service::new("cli-compacted", Mode::Immediate);
    let admin = Admin::new(&service.bootstrap);
    admin.create(
        &service.requests,
        PARTITIONS,
        &[("cleanup.policy", "compact")],
    );
    let outcome = command(&service, &["topics", "check"]);
    assert_eq!(outcome.code, 1);
    let said = outcome.said();
    assert!(
        said.contains(&service.requests) && said.contains("compact"),
        "{said}"
    );
}

#[test]
fn of_two_instances_with_one_name_the_older_ends_and_names_the_setting() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::new("cli-twins", mode);
        // With two partitions the topic is not usable, so the younger instance does not hear the older one.
        Admin::new(&service.bootstrap).create(&service.heartbeats, 2, &[]);
        let mut older = service.start("twin");
        let younger = service.start("twin");
        // The fenced instance notices it in its next transaction.
        let load = service.open_loop(&Names::new(40), 200, &mut Random::from_environment());
        assert_eq!(older.wait_exit(), 1);
        assert!(
            older.log().contains("instance_id"),
            "the log should name the setting"
        );
        load.stop();
        service.check();
        assert_eq!(younger.sigterm_and_wait(), 0);
    }
}

/// The log contains the messages of all clients. Those of producers show why a transaction was aborted.
#[test]
fn what_librdkafka_does_is_in_the_log_when_asked_for() {
    let mut service = Service::new("cli-debug", Mode::ExactlyOnce);
    service.settings = vec![
        "kafka.debug=eos,cgrp".to_owned(),
        "log.level=info,librdkafka=trace".to_owned(),
    ];
    let instance = service.start("a");
    // A producer's messages reach the log when the producer is used again.
    for _ in 0..2 {
        service.preload(&Names::new(5), 5, &mut Random::from_environment());
        service.check();
    }
    let log = instance.log();
    for words in ["Transaction successfully committed", "Heartbeat for group"] {
        assert!(log.contains(words), "{words}");
    }
    assert_eq!(instance.sigterm_and_wait(), 0);
}
