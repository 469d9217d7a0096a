//! The service gets more partitions while requests come in, and instances are killed.

use std::collections::BTreeMap;
use std::thread;

use sequencer::wire::state::{self, Content, Footer};
use serde_json::Value;

use crate::strays::{check_beside, write};
use crate::support::admin::Admin;
use crate::support::command::{Outcome, run};
use crate::support::links::{FORWARDED, split};
use crate::support::murmur2::{names_at_home, partition_of};
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{heavy, tail, wait_for};

/// Number of partitions after the rescale.
const GROWN: i32 = 2 * PARTITIONS;
/// Number of requests before, during and after a rescale.
const REQUESTS: u64 = 3_000;

/// Runs `sequencer rescale` with these arguments.
fn rescale(service: &Service, arguments: &[&str]) -> Outcome {
    command(service, "rescale", arguments)
}

/// Runs a command of `sequencer` with these arguments.
fn command(service: &Service, verb: &str, arguments: &[&str]) -> Outcome {
    let mut words = vec![verb.to_owned()];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    words.extend(service.arguments());
    run(&words)
}

/// Rescales, and waits until it is done.
fn rescale_to(service: &Service, partitions: i32) {
    let partitions = partitions.to_string();
    let outcome = rescale(service, &["--partitions", &partitions, "--yes"]);
    assert_eq!(outcome.code, 0, "{}", outcome.said());
}

/// The last footer of each state partition, and whether the partition still has something to do.
fn footers(service: &Service) -> BTreeMap<i32, (Footer, bool)> {
    let mut last: BTreeMap<i32, BTreeMap<Vec<u8>, Option<Vec<u8>>>> = BTreeMap::new();
    for record in tail::raw(&service.bootstrap, &service.state) {
        let partition = last.entry(record.partition).or_default();
        partition.insert(record.key.unwrap_or_default(), record.value);
    }
    let found = last.into_iter().filter_map(|(partition, records)| {
        let value = records.get(state::FOOTER_KEY)?.as_deref();
        let footer = match state::decode(state::FOOTER_KEY, value, None).ok()?.content {
            Content::Footer(footer) => *footer,
            _ => return None,
        };
        let copy = records.get(&b"P"[..]).is_some_and(Option::is_some);
        let busy = copy || footer.scalars.unburied > 0;
        Some((partition, (footer, busy)))
    });
    found.collect()
}

/// Checks that all of these partitions have the list, and have nothing to do any more.
fn check_done(service: &Service, list: &[i32]) {
    let footers = footers(service);
    for partition in 0..*list.last().unwrap() {
        let (footer, busy) = &footers[&partition];
        let counts: Vec<i32> = footer.scalars.homes.counts().map(|n| n as i32).collect();
        assert_eq!(counts, list, "partition {partition}");
        assert!(!busy, "partition {partition} has something to do");
    }
}

/// Waits until the rescale has begun: partition 0 has split.
fn wait_begun(service: &Service, epoch: u8) {
    wait_for("partition 0 to split", || {
        let footers = footers(service);
        let (footer, _) = footers.get(&0)?;
        (footer.scalars.homes.epoch() == epoch).then_some(())
    });
}

/// Number of requests that partitions have forwarded to each other.
fn forwarded(service: &Service) -> usize {
    let log = tail::raw(&service.bootstrap, &service.requests);
    let forwarded = log
        .iter()
        .filter(|record| record.header(FORWARDED).is_some());
    forwarded.count()
}

#[test]
fn every_name_goes_on_through_a_rescale_in_immediate_mode() {
    rescales("rescale", Mode::Immediate, false);
}

#[test]
fn every_name_goes_on_through_a_rescale_in_exactly_once_mode() {
    rescales("rescale-once", Mode::ExactlyOnce, false);
}

#[test]
fn every_name_goes_on_when_an_owner_is_killed_in_a_rescale_in_immediate_mode() {
    rescales("rescale-killed", Mode::Immediate, true);
}

#[test]
fn every_name_goes_on_when_an_owner_is_killed_in_a_rescale_in_exactly_once_mode() {
    rescales("rescale-killed-once", Mode::ExactlyOnce, true);
}

fn rescales(scenario: &str, mode: Mode, kills: bool) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = Service::new(scenario, mode);
    let admin = Admin::new(&service.bootstrap);
    let one = service.start("a");
    let mut other = kills.then(|| service.start("b"));
    write(&service, PARTITIONS, REQUESTS, &mut random);
    let mut list = vec![PARTITIONS];
    for grown in [GROWN, 2 * GROWN] {
        let before = *list.last().unwrap();
        list.push(grown);
        let epoch = list.len() as u8 - 1;
        let mut behind = random.fork();
        thread::scope(|scope| {
            let rescale = scope.spawn(|| rescale_to(&service, grown));
            // Clients learn of the new partitions at different times.
            scope.spawn(|| write(&service, before, REQUESTS, &mut behind));
            let requests = &service.requests;
            wait_for("the request topic to grow", || {
                (admin.partitions(requests) == grown).then_some(())
            });
            write(&service, grown, REQUESTS, &mut random);
            if let Some(killed) = other.take() {
                wait_begun(&service, epoch);
                killed.sigkill();
            }
            write(&service, grown, REQUESTS, &mut random);
            rescale.join().unwrap();
        });
        check_done(&service, &list);
        if kills {
            other = Some(service.start("b"));
        }
    }
    check_beside(&service, 2);
    no_stray_is_left(&service, *list.last().unwrap());
    let verified = command(&service, "verify", &["--wait-ms", "20000"]);
    assert_eq!(verified.code, 0, "{}", verified.said());
    if let Some(other) = other {
        assert_eq!(other.sigterm_and_wait(), 0);
    }
    assert_eq!(one.sigterm_and_wait(), 0);
}

/// Requests of clients that use murmur2 come to the partitions that answer them.
fn no_stray_is_left(service: &Service, partitions: i32) {
    let before = forwarded(service);
    let mut writer = service.writer();
    for number in 0..REQUESTS {
        let name = format!("shared-{}", number % 20);
        writer.send(Some(name.as_bytes()), Some(b"1"));
    }
    writer.finish();
    let log = tail::raw(&service.bootstrap, &service.requests);
    let used = log.iter().map(|record| record.partition).max();
    assert!(used.is_some_and(|used| used < partitions));
    check_beside(service, 2);
    assert_eq!(forwarded(service), before);
}

/// A split is refused while the one before is not done, or when it leaves the list.
#[test]
fn a_split_that_does_not_follow_is_refused() {
    let service = Service::new("rescale-refused", Mode::Immediate);
    let instance = service.start("a");
    split(&service, &[PARTITIONS, PARTITIONS + 1]);
    split(&service, &[GROWN, 2 * GROWN]);
    service.tail().wait_answered(2);
    for reply in service.all_replies() {
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(body.get("error").is_some(), "{body}");
    }
    assert_eq!(instance.sigterm_and_wait(), 0);
}

/// The command refuses what cannot be carried out, changes nothing without --yes, and can be run again.
#[test]
fn the_command_checks_before_it_changes_anything() {
    let service = Service::new("rescale-command", Mode::Immediate);
    let admin = Admin::new(&service.bootstrap);
    let instance = service.start("a");
    let grown = GROWN.to_string();
    for (partitions, why) in [("6", "multiple"), ("2", "no way back")] {
        let refused = rescale(&service, &["--partitions", partitions, "--yes"]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(why), "{}", refused.said());
    }
    let planned = rescale(&service, &["--partitions", &grown]);
    assert_eq!(planned.code, 0, "{}", planned.said());
    assert!(planned.stdout.contains("Nothing was changed"));
    for topic in [&service.requests, &service.state, &service.ledger] {
        assert_eq!(admin.partitions(topic), PARTITIONS);
    }
    let status = rescale(&service, &["--status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["homes"], Value::from(vec![PARTITIONS]));
    assert_eq!(status["done"], true);

    assert_eq!(instance.sigterm_and_wait(), 0);
    let alone = rescale(&service, &["--partitions", &grown, "--yes"]);
    assert_eq!(alone.code, 1);
    assert!(alone.stderr.contains("no instance"), "{}", alone.said());
    assert_eq!(admin.partitions(&service.requests), PARTITIONS);

    let instance = service.start("b");
    rescale_to(&service, GROWN);
    let again = rescale(&service, &["--partitions", &grown, "--yes"]);
    assert_eq!(again.code, 0, "{}", again.said());
    assert!(again.stdout.contains("nothing is to be done"));
    let status = rescale(&service, &["--status", "--json"]);
    assert_eq!(status.code, 0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["homes"], Value::from(vec![PARTITIONS, GROWN]));
    assert_eq!(status["partitions"][5]["part"], "done");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

/// Everything that belongs to a name goes with it, and the commands find it: its definition, its last change, its
/// remembered requests and its ledger.
#[test]
fn a_name_takes_its_definition_its_requests_and_its_ledger_along() {
    let service = Service::new("rescale-ledger", Mode::ExactlyOnce);
    let instance = service.start("a");
    let names = names_at_home(1, PARTITIONS, 40);
    let moves = |name: &&String| partition_of(name.as_bytes(), GROWN) != 1;
    let name = names.iter().find(moves).unwrap().as_str();
    let done = |verb: &str, arguments: &[&str]| {
        let outcome = command(&service, verb, arguments);
        assert_eq!(outcome.code, 0, "{}", outcome.said());
        outcome.stdout
    };
    done("define", &[name, "--start", "1000", "--audit", "true"]);
    let first = done("next", &[name, "--count", "3", "--request-id", "before"]);
    assert_eq!(first, "1000\n1001\n1002\n");
    rescale_to(&service, GROWN);
    let again = done("next", &[name, "--count", "3", "--request-id", "before"]);
    assert_eq!(
        again, first,
        "I5: the request is remembered in the new partition"
    );
    assert_eq!(done("next", &[name]), "1003\n");
    rescale_to(&service, 2 * GROWN);
    assert_eq!(done("next", &[name]), "1004\n");

    for id in ["1001", "1003", "1004"] {
        done("trace", &[name, id]);
    }
    let partitions = |id: &str| {
        let trace = done("trace", &[name, id, "--json"]);
        let trace: Value = serde_json::from_str(&trace).unwrap();
        trace["grants"][0]["ledger_partition"].as_i64().unwrap() as i32
    };
    assert_eq!(partitions("1001"), 1);
    assert_eq!(partitions("1003"), partition_of(name.as_bytes(), GROWN));
    assert_eq!(partitions("1004"), partition_of(name.as_bytes(), 2 * GROWN));
    let absent = command(&service, "trace", &[name, "1005"]);
    assert_eq!(absent.code, 1);
    let report: Value = serde_json::from_str(&done("audit", &[name, "--json"])).unwrap();
    assert_eq!(report["ids"], 5);
    assert_eq!(report["unchecked"], Value::from(Vec::<String>::new()));
    assert_eq!(report["last_id"], 1004);

    let found = done("inspect", &["--sequence", name, "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let row = &found["sequences"][0];
    assert_eq!(row["partition"], partition_of(name.as_bytes(), 2 * GROWN));
    assert_eq!(row["next_id"], 1005);
    assert_eq!(found["sequences_total"], 1);
    done("verify", &["--wait-ms", "20000"]);
    assert_eq!(instance.sigterm_and_wait(), 0);
}
