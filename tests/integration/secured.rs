//! Reads the ACLs from `docs/security.md`, and tries them on a broker that enforces ACLs: each command works
//! with the rows of its list, and reports a missing row in one line.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use crate::support::acls::Acl;
use crate::support::admin::Admin;
use crate::support::command::Outcome;
use crate::support::heavy;
use crate::support::instance::Instance;
use crate::support::records::Mode;
use crate::support::secure::{Client, PASSWORD, Secured, secured, user};
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail::{self, Isolation};
use crate::support::wait_for;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md");

/// Number of cases that run side by side. Each case mostly waits.
const SIDE_BY_SIDE: usize = 4;

/// Every command in the list.
const COMMANDS: [&str; 9] = [
    "serve",
    "next",
    "inspect",
    "verify",
    "recover",
    "topics create",
    "topics check",
    "trace",
    "audit",
];

/// A sequence whose grants go to the ledger.
const AUDITED: &str = "receipts";

/// The rows of the document's list for a command, with the names of a service.
fn listed(command: &str, service: &Service) -> Vec<Acl> {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let mut acls = Vec::new();
    for line in document.lines() {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim()).collect();
        let [_, row, resource, name, operation, _, _] = cells[..] else {
            continue;
        };
        let Some(row) = row.strip_prefix('`').and_then(|row| row.strip_suffix('`')) else {
            continue;
        };
        assert!(COMMANDS.contains(&row), "an unknown command in {line}");
        if row != command {
            continue;
        }
        let name = name.trim_matches('`');
        let (name, prefix) = match name.strip_suffix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        acls.push(Acl {
            resource: resource.to_owned(),
            // The topics, the group and the transactional IDs of a service all begin with the group's name.
            name: name.replacen("sequencer", &service.group, 1),
            prefix,
            operation: operation.to_owned(),
        });
    }
    assert!(!acls.is_empty(), "{DOCUMENT} lists nothing for {command}");
    acls
}

/// Returns an unused user, so that no case has the permissions of another.
fn next_user() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    user(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new user with exactly these permissions.
fn permitted(broker: &Secured, acls: &[Acl]) -> Client {
    let user = next_user();
    broker.grant(&user, acls);
    broker.client(&user)
}

/// A service on the secured broker, with its topics.
fn service(broker: &Secured, mode: Mode) -> Service {
    let service = Service::on(broker.plain(), "secured", mode);
    let admin = Admin::new(broker.plain());
    let settings = [("message.timestamp.type", "LogAppendTime")];
    admin.create(&service.requests, PARTITIONS, &settings);
    admin.create(&service.replies, PARTITIONS, &[]);
    admin.create(&service.state, PARTITIONS, &[("cleanup.policy", "compact")]);
    admin.create(&service.ledger, PARTITIONS, &[]);
    admin.create(&service.heartbeats, 1, &[]);
    service
}

/// Starts a service with the permissions of the document's list.
fn started(broker: &Secured, service: &Service) -> Instance {
    let mut instance = permitted(broker, &listed("serve", service)).serve(service, "a");
    instance.wait_ready();
    let running = |instance: &Instance| (instance.running() == PARTITIONS as usize).then_some(());
    instance.wait("to run every partition", running);
    instance
}

#[test]
fn every_command_works_with_the_acls_that_are_listed_and_no_more() {
    let _machine = heavy();
    let broker = secured();
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = service(broker, mode);
        let instance = started(broker, &service);
        let asks: [&[&str]; 9] = [
            &["define", AUDITED, "--audit", "true"],
            &["next", AUDITED, "--count", "3"],
            &["next", "orders", "--count", "3"],
            &["define", "invoices", "--start", "100"],
            &["describe", "invoices"],
            &["set-next", "invoices", "200"],
            &["retire", "invoices", "--reason", "merged"],
            &["policy", "refuse"],
            &["policy"],
        ];
        let client = permitted(broker, &listed("next", &service));
        let mut said = String::new();
        for words in asks {
            said += &worked(client.run(&service, words));
        }
        for (command, words) in [
            ("inspect", &["inspect"][..]),
            ("topics check", &["topics", "check"]),
            ("verify", &["verify", "--wait-ms", "5000"]),
            ("trace", &TRACE),
            ("audit", &AUDIT),
        ] {
            let client = permitted(broker, &listed(command, &service));
            said += &worked(client.run(&service, words));
        }
        said += &instance.pages();
        said += &instance.log();
        assert_eq!(instance.sigterm_and_wait(), 0);
        let client = permitted(broker, &listed("recover", &service));
        said += &worked(client.run(&service, &RECOVER));
        let missing = Service::on(broker.plain(), "secured", mode);
        let client = permitted(broker, &listed("topics create", &missing));
        said += &worked(client.run(&missing, &["topics", "create"]));
        assert!(!said.contains(PASSWORD), "the password was told");
    }
}

/// The ACLs are those of the list, and the optional permissions for heartbeats.
#[test]
fn a_peer_that_is_gone_is_evicted_with_the_acls_that_are_listed() {
    let _machine = heavy();
    let broker = secured();
    let mut service = service(broker, Mode::ExactlyOnce);
    // No step waits for the end of a session.
    let settings = ["kafka.session.timeout.ms=300000", "failover.silence_ms=200"];
    service.settings.extend(settings.map(str::to_owned));
    let mut acls = listed("serve", &service);
    acls.extend(["Read", "Write"].map(|operation| Acl {
        resource: "topic".to_owned(),
        name: service.heartbeats.clone(),
        prefix: false,
        operation: operation.to_owned(),
    }));
    let client = permitted(broker, &acls);
    let [mut first, mut second] = ["a", "b"].map(|name| client.serve(&service, name));
    for instance in [&mut first, &mut second] {
        instance.wait_ready();
        instance.wait("to watch its peers", |instance| {
            (instance.metric("sequencer_failover_active") == Some(1.0)).then_some(())
        });
    }
    service.wait_shared(&[&first, &second]);
    second.sigkill();
    service.wait_shared(&[&first]);
    first.wait("to end the transaction of the other", |first| {
        let ended = "the transaction of a silent peer is ended";
        first.log().contains(ended).then_some(())
    });
    assert_eq!(first.sigterm_and_wait(), 0);
}

const TRACE: [&str; 3] = ["trace", AUDITED, "2"];
const AUDIT: [&str; 2] = ["audit", AUDITED];

/// The command for a repair that leaves a gap.
const RECOVER: [&str; 9] = [
    "recover",
    "--partition",
    "0",
    "--from",
    "0",
    "--above",
    "5000",
    "--owner-halted",
    "--yes",
];

fn worked(outcome: Outcome) -> String {
    assert_eq!(outcome.code, 0, "{outcome:?}");
    outcome.said()
}

#[test]
fn each_acl_that_is_listed_is_missed_in_one_line() {
    let _machine = heavy();
    let broker = secured();
    let asked = service(broker, Mode::Immediate);
    let instance = started(broker, &asked);
    let client = permitted(broker, &listed("next", &asked));
    worked(client.run(&asked, &["define", AUDITED, "--audit", "true"]));
    worked(client.run(&asked, &["next", AUDITED, "--count", "3"]));
    // The answer may come before the broker refuses a permission that the answer does not need.
    assert_eq!(instance.sigterm_and_wait(), 0);
    let mut cases = Vec::new();
    for command in COMMANDS {
        for without in 0..listed(command, &asked).len() {
            cases.push((command, without));
        }
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(&(command, without)) =
                    cases.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(why) = missed(broker, &asked, command, without) {
                        wrong.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Runs a command without one of its ACLs, and checks that the output names it.
fn missed(broker: &Secured, asked: &Service, command: &str, without: usize) -> Result<(), String> {
    let own = match command {
        "serve" => Some(service(broker, Mode::Immediate)),
        "topics create" => Some(Service::on(broker.plain(), "secured", Mode::Immediate)),
        _ => None,
    };
    let service = own.as_ref().unwrap_or(asked);
    let mut acls = listed(command, service);
    let missing = acls.remove(without);
    let client = permitted(broker, &acls);
    let name = format!(
        "{command} without {} on {}",
        missing.operation, missing.name
    );
    let (code, said) = match command {
        "serve" => {
            let mut instance = client.serve(service, "a");
            let code = instance.wait_exit();
            (code, instance.log())
        }
        "next" => outcome(client.run(service, &["next", "orders"])),
        "recover" => outcome(client.run(service, &RECOVER)),
        "trace" => outcome(client.run(service, &TRACE)),
        "audit" => outcome(client.run(service, &AUDIT)),
        _ => outcome(client.run(service, &command.split(' ').collect::<Vec<_>>())),
    };
    let subject = missing.name.trim_end_matches('-');
    let lines: Vec<&str> = said
        .lines()
        // `topics check` reports it among its findings, and goes on to the other topics.
        .filter(|line| line.starts_with("sequencer: ") || line.starts_with("error: "))
        .collect();
    match lines[..] {
        [line] if code == 1 && line.contains(subject) && line.contains(&missing.operation) => {
            println!("{name}: {line}");
            Ok(())
        }
        _ => Err(format!("{name}: exit code {code}, {lines:?}")),
    }
}

fn outcome(outcome: Outcome) -> (i32, String) {
    (outcome.code, outcome.said())
}

#[test]
fn a_reply_topic_that_the_service_may_not_write_takes_nothing_from_others() {
    let _machine = heavy();
    let broker = secured();
    let admin = Admin::new(broker.plain());
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = service(broker, mode);
        let open = format!("{}.open.reply", service.group);
        let closed = format!("{}.closed.reply", service.group);
        // A client may see that the topic exists, but the service may not write to it.
        let seen = format!("{}.seen.reply", service.group);
        for topic in [&open, &closed, &seen] {
            admin.create(topic, 1, &[]);
        }
        let acl = |name: &str, operation: &str| Acl {
            resource: "topic".to_owned(),
            name: name.to_owned(),
            prefix: false,
            operation: operation.to_owned(),
        };
        let mut acls = listed("serve", &service);
        acls.extend([acl(&open, "Write"), acl(&seen, "Describe")]);
        let mut instance = permitted(broker, &acls).serve(&service, "a");
        instance.wait_ready();
        const EACH: usize = 20;
        let mut writer = service.writer();
        for number in 0..3 * EACH {
            let to = [&open, &closed, &seen][number % 3];
            let id = number.to_string();
            let headers = [
                ("kafka_correlationId", id.as_bytes()),
                ("kafka_replyTopic", to.as_bytes()),
            ];
            writer.send_with(None, Some(b"orders"), None, &headers);
        }
        writer.finish();
        let read = |topic: &str| tail::raw(broker.plain(), topic);
        let default = wait_for("the replies that cannot be delivered", || {
            let found = read(&service.replies);
            (found.len() >= 2 * EACH).then_some(found)
        });
        assert_eq!(default.len(), 2 * EACH);
        for record in &default {
            let reason = record.header("sequencer-undelivered").unwrap();
            let reason = String::from_utf8_lossy(reason);
            let unseen = reason.starts_with("topic_unknown") && reason.contains(&closed);
            assert!(unseen || reason.starts_with("not_permitted"), "{reason}");
        }
        let delivered = tail::replies(broker.plain(), &open, Isolation::Committed);
        assert_eq!(delivered.len(), EACH);
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}
