//! The ledger of audited sequences. It matches the replies through kills, shows which request got an ID, and reveals
//! records that were removed or altered.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::support::admin::Admin;
use crate::support::command::{Outcome, run};
use crate::support::heavy;
use crate::support::load::{Names, Writer};
use crate::support::random::Random;
use crate::support::records::{Mode, Reply};
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail::{self, Isolation};

/// Sets the number of requests for the search of the ledger. The figures in `docs/ledger.md` are with ten million.
const RECORDS_VARIABLE: &str = "SEQUENCER_LEDGER_RECORDS";
const RECORDS_DEFAULT: u64 = 100_000;
/// From this number of records on, a trace must read less than one in a hundred.
const LARGE: u64 = 1_000_000;

/// A service that audits every sequence from the beginning of the log.
fn audited(scenario: &str, mode: Mode) -> Service {
    let service = Service::new(scenario, mode);
    service.create_topics();
    let policy = br#"{"op":"policy","undefined":"create","audit":true}"#;
    let mut writer = service.writer();
    for partition in 0..PARTITIONS {
        writer.send_to(Some(partition), Some(b"__policy"), Some(policy));
    }
    writer.finish();
    service
}

fn command(service: &Service, words: &[&str]) -> Outcome {
    let mut arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    arguments.extend(service.arguments());
    run(&arguments)
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// Number of offsets of the whole ledger, transaction markers included.
fn ledger_offsets(service: &Service) -> u64 {
    let end = |partition| tail::high_watermark(&service.bootstrap, &service.ledger, partition);
    (0..PARTITIONS).map(|partition| end(partition) as u64).sum()
}

fn ledger(service: &Service) -> Vec<Reply> {
    tail::replies(&service.bootstrap, &service.ledger, Isolation::Committed)
}

/// The records on all pages, each with its sequence.
fn entries(pages: &[Reply]) -> Vec<Value> {
    let mut entries = Vec::new();
    for page in pages {
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        for record in page["records"].as_array().expect("records") {
            let mut record = record.clone();
            record["sequence"] = page["sequence"].clone();
            entries.push(record);
        }
    }
    entries
}

fn bodies(replies: &[Reply]) -> Vec<Value> {
    let body = |reply: &Reply| serde_json::from_slice(&reply.body).unwrap();
    replies.iter().map(body).collect()
}

/// The IDs of each request: according to the replies, and according to the ledger, where each request may occur
/// only once.
fn given(bodies: &[Value], once: bool) -> BTreeMap<(i64, i64), (String, i64, i64)> {
    let mut given = BTreeMap::new();
    for body in bodies {
        let (Some(first), Some(last)) = (body["first"].as_i64(), body["last"].as_i64()) else {
            continue;
        };
        let request = (
            body["partition"].as_i64().unwrap(),
            body["offset"].as_i64().unwrap(),
        );
        let name = body["sequence"].as_str().unwrap().to_owned();
        let before = given.insert(request, (name, first, last));
        assert!(before.is_none() || !once, "{request:?} is there twice");
    }
    given
}

fn kills_under_load(mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let names = Names::new(20);
    let service = audited("ledger-kill", mode);
    let requests = 40_000;
    service.preload(&names, requests, &mut random);
    // This also writes strays.
    let mut writer = service.writer();
    for number in 0..2_000 {
        let key = names.pick(&mut random).to_vec();
        let value =
            format!("{{\"count\":2,\"requester\":\"r{number}\",\"request_id\":\"{number}\"}}");
        let partition = Some(random.below(PARTITIONS as u64) as i32);
        writer.send_to(partition, Some(&key), Some(value.as_bytes()));
    }
    writer.finish();
    let load = service.open_loop(&names, 1_000, &mut random);
    let mut tail = service.tail();
    for answers in [3_000, 12_000, 25_000] {
        let instance = service.spawn("a");
        tail.wait_answered(answers);
        instance.sigkill();
    }
    let instance = service.start("a");
    tail.wait_answered(requests as usize);
    load.stop();
    let log = service.request_log();
    // Strays are in the log twice, but are answered once.
    let clients = log.len() - forwards(&service);
    tail.wait_answered(clients);
    assert_eq!(instance.sigterm_and_wait(), 0);

    let replies = given(&bodies(&service.all_replies()), false);
    let ledger = ledger(&service);
    let written = given(&entries(&ledger), true);
    assert!(replies.len() > requests as usize);
    assert!(replies == written, "the ledger is not what the replies say");

    // Each record is in the partition of its sequence's requests, and the chains hold.
    for name in ["orders-0", "счёт № 7"] {
        let report = json(&command(&service, &["audit", name, "--json"]));
        assert_eq!(report["clean"], true, "{report:#}");
        assert_eq!(report["unchecked"], Value::Array(Vec::new()));
        let own = replies.values().filter(|(sequence, ..)| sequence == name);
        assert_eq!(report["grants"], own.count());
    }
    for ((partition, offset), (name, first, last)) in replies.iter().step_by(replies.len() / 5) {
        let number = last.to_string();
        let found = json(&command(&service, &["trace", name, &number, "--json"]));
        let record = &found["grants"][0]["record"];
        assert_eq!(record["first"], *first, "{found:#}");
        assert_eq!(
            (&record["partition"], &record["offset"]),
            (&Value::from(*partition), &Value::from(*offset))
        );
    }
}

/// Number of request records that this service wrote.
fn forwards(service: &Service) -> usize {
    let log = tail::raw(&service.bootstrap, &service.requests);
    log.iter()
        .filter(|record| record.header("sequencer-forwarded").is_some())
        .count()
}

#[test]
fn kills_under_load_leave_a_ledger_that_matches_the_replies_in_immediate_mode() {
    kills_under_load(Mode::Immediate);
}

#[test]
fn kills_under_load_leave_a_ledger_that_matches_the_replies_in_exactly_once_mode() {
    kills_under_load(Mode::ExactlyOnce);
}

#[test]
fn an_id_is_traced_to_who_asked_for_it_and_a_request_to_what_it_got() {
    let service = Service::new("trace", Mode::Immediate);
    let instance = service.start("a");
    let said = command(
        &service,
        &["define", "orders", "--start", "100", "--audit", "true"],
    );
    assert_eq!(said.code, 0);
    let mut writer = service.writer();
    for number in 0..20 {
        let value =
            format!("{{\"count\":5,\"requester\":\"billing\",\"request_id\":\"r{number}\"}}");
        writer.send(Some(b"orders"), Some(value.as_bytes()));
        writer.send(Some(b"plain"), None);
    }
    writer.finish();
    // There are three answers to commands and forty to requests. The next checkpoint writes the ledger.
    let moved = command(
        &service,
        &["set-next", "orders", "500", "--reason", "a new year"],
    );
    assert_eq!(moved.code, 0);
    assert_eq!(instance.sigterm_and_wait(), 0);

    let found = command(&service, &["trace", "orders", "152"]);
    assert_eq!(found.code, 0);
    for part in [
        "150 to 154 granted at 20",
        " of billing, request_id r10",
        "ledger record 12, on the page at ",
        "read ",
    ] {
        assert!(found.stdout.contains(part), "{part}: {found:?}");
    }
    let by_request = json(&command(
        &service,
        &[
            "trace",
            "orders",
            "--request-id",
            "r3",
            "--from-time",
            "2020-01-01",
            "--json",
        ],
    ));
    assert_eq!(by_request["grants"][0]["record"]["first"], 115);
    let pages = by_request["pages_read"].as_u64().unwrap();
    // The ledger has two acts and twenty grants, at most eight on a page. Checkpoints may have made smaller pages.
    assert!((3..=22).contains(&pages), "{pages}");
    let jumped = command(&service, &["trace", "orders", "300"]);
    assert_eq!(jumped.code, 1);
    for part in [
        "300 is in no grant",
        "before it: 195 to 199 granted",
        "moved by set_next, next 500",
        "reason a new year",
    ] {
        assert!(jumped.stdout.contains(part), "{part}: {jumped:?}");
    }
    let unknown = command(&service, &["trace", "plain", "5"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stdout.contains("no record of \"plain\""));
    for (name, word) in [
        ("plain", "is not audited"),
        ("reciepts", "is the name right?"),
    ] {
        let nothing = command(&service, &["audit", name]);
        assert_eq!(nothing.code, 1, "{nothing:?}");
        assert!(!nothing.stdout.contains("clean"), "{nothing:?}");
        assert!(nothing.stdout.contains("nothing was checked: "));
        assert!(nothing.stdout.contains(word), "{nothing:?}");
        let report = json(&command(&service, &["audit", name, "--json"]));
        assert_eq!(report["clean"], false, "{report:#}");
        assert!(
            report["problem"].as_str().unwrap().contains(word),
            "{report:#}"
        );
    }

    let csv = std::env::temp_dir().join(format!("{}.csv", service.group));
    let table = command(
        &service,
        &["audit", "orders", "--csv", csv.to_str().unwrap()],
    );
    assert_eq!(table.code, 0);
    assert!(table.stdout.contains("20 with 100 IDs") && table.stdout.contains("\nclean: "));
    assert!(table.stdout.contains("set_next at "));
    let lines = std::fs::read_to_string(&csv).unwrap();
    std::fs::remove_file(&csv).unwrap();
    assert_eq!(lines.lines().count(), 1 + 22);
    let part = json(&command(
        &service,
        &["audit", "orders", "--from", "120", "--to", "139", "--json"],
    ));
    assert_eq!(
        (&part["grants"], &part["first_id"], &part["last_id"]),
        (&Value::from(4), &Value::from(120), &Value::from(139))
    );
}

#[test]
fn a_record_removed_from_a_copy_or_altered_there_is_found() {
    let mut random = Random::from_environment();
    let service = audited("ledger-copy", Mode::ExactlyOnce);
    service.preload(&Names::new(5), 500, &mut random);
    let instance = service.start("a");
    service.tail().wait_answered(500 + PARTITIONS as usize);
    assert_eq!(instance.sigterm_and_wait(), 0);
    let records = ledger(&service);
    let name = records[0].key.clone().unwrap();
    let own: Vec<usize> = (0..records.len())
        .filter(|index| records[*index].key.as_ref() == Some(&name))
        .collect();
    let name = String::from_utf8(name).unwrap();
    let admin = Admin::new(&service.bootstrap);
    let audit_copy = |what: &str, change: &dyn Fn(usize, &Reply) -> Option<Vec<u8>>| {
        let mut copy = Service::new(what, service.mode);
        admin.create(&copy.ledger, PARTITIONS, &[]);
        let mut writer = Writer::new(&copy.bootstrap, &copy.ledger);
        for (index, record) in records.iter().enumerate() {
            if let Some(value) = change(index, record) {
                writer.send_to(Some(record.partition), record.key.as_deref(), Some(&value));
            }
        }
        writer.finish();
        // All topics except the ledger belong to the original.
        let ledger = std::mem::replace(&mut copy.ledger, service.ledger.clone());
        let setting = format!("topics.ledger={ledger}");
        let outcome = command(&service, &["audit", &name, "--json"]);
        assert_eq!(outcome.code, 0, "the original");
        let mut arguments = vec!["audit".to_owned(), name.clone(), "--json".to_owned()];
        arguments.extend(service.arguments());
        arguments.extend(["--set".to_owned(), setting]);
        let outcome = run(&arguments);
        (outcome.code, json(&outcome))
    };
    let (code, report) = audit_copy("same", &|_, record| Some(record.body.clone()));
    assert_eq!(
        (code, &report["clean"]),
        (0, &Value::Bool(true)),
        "{report:#}"
    );
    let middle = own[own.len() / 2];
    for (place, index) in [
        ("first", own[0]),
        ("middle", middle),
        ("last", own[own.len() - 1]),
    ] {
        let (code, report) = audit_copy(place, &|at, record| {
            (at != index).then(|| record.body.clone())
        });
        assert_eq!(code, 1);
        assert_eq!(
            report["findings"][0]["wrong"], "record_missing",
            "{place}: {report:#}"
        );
        let (code, report) = audit_copy(place, &|at, record| {
            let text = String::from_utf8(record.body.clone()).unwrap();
            let other = text.replace("\"timestamp\":1", "\"timestamp\":2");
            Some(if at == index { other } else { text }.into_bytes())
        });
        assert_eq!(code, 1);
        assert_eq!(
            report["findings"][0]["wrong"], "altered",
            "{place}: {report:#}"
        );
        assert!(report["findings"][0]["examples"][0]["offset"].is_i64());
    }
}

#[test]
fn a_trace_in_a_large_ledger_reads_little_of_it() {
    let _machine = heavy();
    let asked = std::env::var(RECORDS_VARIABLE).ok();
    let records = asked.map_or(RECORDS_DEFAULT, |text| text.parse().expect("a number"));
    let mut random = Random::from_environment();
    let names = Names::new(if records < LARGE { 100 } else { 1_000 });
    let service = audited("ledger-large", Mode::Immediate);
    service.preload(&names, records, &mut random);
    let began = Instant::now();
    let instance = service.start("a");
    service.tail().wait_answered(records as usize);
    println!("{records} requests answered in {:?}", began.elapsed());
    assert_eq!(instance.sigterm_and_wait(), 0);
    let mut worst = 0;
    for _ in 0..20 {
        let name = String::from_utf8(names.pick(&mut random).to_vec()).unwrap();
        let began = Instant::now();
        let number = (1 + random.below(records / 1_000)).to_string();
        let found = json(&command(&service, &["trace", &name, &number, "--json"]));
        let (first, last) = (
            &found["grants"][0]["record"]["first"],
            &found["grants"][0]["record"]["last"],
        );
        let number: i64 = number.parse().unwrap();
        assert!(first.as_i64().unwrap() <= number && number <= last.as_i64().unwrap());
        let read = found["pages_read"].as_u64().unwrap();
        println!(
            "{name} {number}: {read} pages read, in {} of {} offsets, in {:?}",
            found["offsets_read"],
            found["offsets"],
            began.elapsed()
        );
        worst = worst.max(read);
    }
    // The pages that are read for an ID are compared with the ledger of all partitions.
    let offsets = ledger_offsets(&service);
    println!("at most {worst} pages in {offsets} offsets read for an ID, of {records} records");
    if records >= LARGE {
        assert!(worst < offsets / 100, "{worst} of {offsets}");
    } else {
        assert!(worst < offsets / 4, "{worst} of {offsets}");
    }
    let name = String::from_utf8(names.pick(&mut random).to_vec()).unwrap();
    let began = Instant::now();
    let report = json(&command(&service, &["audit", &name, "--json"]));
    println!(
        "audit of {name}: {} pages read in {:?}",
        report["pages_read"],
        began.elapsed()
    );
    assert_eq!(report["clean"], true, "{report:#}");
}
