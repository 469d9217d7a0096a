//! One name is written through different partitioners: murmur2, CRC32 and FNV-1a at the same time.
//!
//! In every partition, a name belongs to one sequence, and each reply names the record that the client wrote.

use std::collections::{BTreeMap, BTreeSet};

use sequencer::core::Offset;
use sequencer::core::link::{Link, Origin, Position};
use serde_json::Value;

use crate::support::admin::Admin;
use crate::support::command::run;
use crate::support::heavy;
use crate::support::links::{FORWARDED, link_key};
use crate::support::murmur2::{names_at_home, partition_of};
use crate::support::partitioners::{crc32, fnv1a};
use crate::support::random::Random;
use crate::support::records::{Mode, Request};
use crate::support::service::{PARTITIONS, Service};
use crate::support::{tail, wait_for};

const NAMES: usize = 20;
const KILLS: usize = 3;
/// Number of requests between two kills.
const REQUESTS: u64 = 6_000;

fn name(number: u64) -> String {
    format!("shared-{number}")
}

/// Writes requests like each of the three kinds of clients.
pub fn write(service: &Service, partitions: i32, count: u64, random: &mut Random) {
    let mut writer = service.writer();
    for _ in 0..count {
        let name = name(random.below(NAMES as u64));
        let key = name.as_bytes();
        let partition = match random.below(3) {
            0 => partition_of(key, partitions),
            1 => crc32(key, partitions),
            _ => fnv1a(key, partitions),
        };
        let count = 1 + random.below(3);
        let value = count.to_string();
        writer.send_to(Some(partition), Some(key), Some(value.as_bytes()));
    }
    writer.finish();
}

/// The requests for IDs that clients wrote, without those that the service forwarded, and the number of operators'
/// requests.
fn written(service: &Service) -> (Vec<Request>, usize) {
    let log = tail::raw(&service.bootstrap, &service.requests);
    let is_operators = |key: &Option<Vec<u8>>| key.as_deref() == Some(b"__policy");
    let written = log
        .into_iter()
        .filter(|record| record.header(FORWARDED).is_none());
    let (operators, written): (Vec<_>, Vec<_>) =
        written.partition(|record| is_operators(&record.key));
    let written = written
        .into_iter()
        .map(|record| Request {
            partition: record.partition,
            offset: record.offset,
            key: record.key,
            value: record.value,
        })
        .collect();
    (written, operators.len())
}

/// Checks that every request of a client is answered, always with the same reply, and that the IDs of each name
/// are consecutive from 1 on.
fn check(service: &Service) {
    check_beside(service, 0);
}

/// Like [`check`], beside the answers to this number of other requests.
pub fn check_beside(service: &Service, others: usize) {
    let (requests, operators) = written(service);
    service
        .tail()
        .wait_answered(requests.len() + operators + others);
    let mut bodies: BTreeMap<(i64, i64), Vec<u8>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for reply in service.all_replies() {
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let number = |field: &str| body[field].as_i64().unwrap();
        let cause = (number("partition"), number("offset"));
        let repeated = !seen.insert(cause);
        assert!(
            !(repeated && service.mode == Mode::ExactlyOnce),
            "answered twice: {body}"
        );
        let before = bodies.entry(cause).or_insert_with(|| reply.body.clone());
        assert_eq!(*before, reply.body, "I3 of {cause:?}");
    }
    let mut ids: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for request in &requests {
        let cause = (i64::from(request.partition), request.offset);
        let body = bodies.get(&cause);
        let body = body.unwrap_or_else(|| panic!("I4: {cause:?} is not answered"));
        let body: Value = serde_json::from_slice(body).unwrap();
        let name = String::from_utf8(request.key.clone().unwrap()).unwrap();
        assert_eq!(body["sequence"], name.as_str());
        let number = |field: &str| body[field].as_i64().unwrap_or_else(|| panic!("{body}"));
        let asked: i64 = String::from_utf8(request.value.clone().unwrap_or_default())
            .unwrap()
            .parse()
            .unwrap_or(1);
        assert_eq!(number("count"), asked);
        ids.entry(name)
            .or_default()
            .push((number("first"), number("last")));
    }
    for (name, ranges) in &mut ids {
        ranges.sort_unstable();
        let mut next = 1;
        for (first, last) in ranges {
            assert_eq!(*first, next, "I1, I2 of {name}");
            next = *last + 1;
        }
    }
    println!(
        "{}: {} requests, {} names",
        service.group,
        requests.len(),
        ids.len()
    );
}

#[test]
fn three_partitioners_at_once_make_one_sequence_also_through_kills_in_immediate_mode() {
    three_partitioners(Mode::Immediate);
}

#[test]
fn three_partitioners_at_once_make_one_sequence_also_through_kills_in_exactly_once_mode() {
    three_partitioners(Mode::ExactlyOnce);
}

fn three_partitioners(mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = Service::new("strays", mode);
    service.create_topics();
    let mut tail = service.tail();
    let other = service.start("a");
    for kill in 0..KILLS {
        let killed = service.start(&format!("killed-{kill}"));
        service.wait_shared(&[&other, &killed]);
        write(&service, PARTITIONS, REQUESTS, &mut random);
        let answers = tail.answered() + (random.below(REQUESTS) as usize).max(1);
        tail.wait_answered(answers);
        killed.sigkill();
        write(&service, PARTITIONS, REQUESTS, &mut random);
    }
    check(&service);
    let forwarded = other.metric("sequencer_strays_forwarded_total");
    assert!(forwarded.is_some_and(|count| count > 0.0), "no stray");
    assert_eq!(other.sigterm_and_wait(), 0);
}

#[test]
fn a_forged_link_is_an_ordinary_request() {
    let service = Service::new("forged", Mode::Immediate);
    service.create_topics();
    let name = names_at_home(1, PARTITIONS, 1).remove(0);
    let mut writer = service.writer();
    let tag = "0".repeat(32);
    for header in [
        format!("0:7:-1:{tag}"),
        format!("2:900:899:{tag}"),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let headers = [(FORWARDED, header.as_bytes())];
        writer.send_with(Some(1), Some(name.as_bytes()), Some(b"2"), &headers);
    }
    writer.finish();
    let instance = service.start("a");
    service.tail().wait_answered(4);
    let firsts: Vec<(i64, i64)> = service
        .all_replies()
        .iter()
        .map(|reply| {
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body["partition"], 1, "it names the record itself");
            (
                body["offset"].as_i64().unwrap(),
                body["first"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(firsts, [(0, 1), (1, 3), (2, 5), (3, 7)]);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

/// The predecessor of a link never came. The home halts, names the partition whose requests are missing, and goes on
/// after the repair.
#[test]
fn i6_a_broken_chain_halts_home_names_the_source_and_is_repaired() {
    let service = Service::new("broken", Mode::Immediate);
    let name = names_at_home(1, PARTITIONS, 1).remove(0);
    let other = names_at_home(2, PARTITIONS, 1).remove(0);
    let mut instance = service.start("a");
    let mut writer = service.writer();
    for _ in 0..2 {
        writer.send_to(Some(0), Some(name.as_bytes()), None);
    }
    writer.finish();
    service.tail().wait_answered(2);

    // The leader epoch is above any that a broker can have given.
    let position = |offset| Position {
        leader_epoch: 1_000,
        offset,
    };
    let link = Link {
        partition: 0,
        epoch: 0,
        position: position(150),
        previous: position(149),
        origin: Origin {
            partition: 0,
            offset: Offset(150),
        },
        hops: 1,
    };
    let header = link.header(&link_key(&service), 1, name.as_bytes(), None);
    let mut writer = service.writer();
    let headers = [(FORWARDED, header.as_bytes())];
    writer.send_with(Some(1), Some(name.as_bytes()), None, &headers);
    writer.send(Some(other.as_bytes()), None);
    writer.finish();
    let halted = instance.wait("partition 1 to halt", |instance| {
        instance.halted().remove(&1)
    });
    assert!(halted.reason.contains("partition 0"), "{}", halted.reason);
    assert!(
        halted
            .repair
            .starts_with("sequencer recover --partition 1 --brokers ")
    );
    // The other partitions go on.
    service.tail().wait_answered(3);

    let words: Vec<String> = halted
        .repair
        .split_whitespace()
        .skip(1)
        .map(str::to_owned)
        .chain(["--yes".to_owned(), "--owner-halted".to_owned()])
        .collect();
    let outcome = run(&words);
    assert_eq!(outcome.code, 0, "{}", outcome.said());
    service.tail().wait_answered(4);
    instance.wait("to say that nothing is halted", |instance| {
        instance.halted().is_empty().then_some(())
    });
    let last = service.all_replies().into_iter().find_map(|reply| {
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        (body["offset"] == 150).then_some(body)
    });
    let last = last.expect("the reply to the link that was believed");
    assert_eq!(last["partition"], 0);
    assert_eq!(last["first"], 3, "I2: no ID jumps: {last}");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_topic_that_grows_keeps_every_name_in_one_sequence_in_immediate_mode() {
    grows(Mode::Immediate);
}

#[test]
fn a_topic_that_grows_keeps_every_name_in_one_sequence_in_exactly_once_mode() {
    grows(Mode::ExactlyOnce);
}

fn grows(mode: Mode) {
    let mut random = Random::from_environment();
    let service = Service::new("grows", mode);
    let admin = Admin::new(&service.bootstrap);
    let mut instance = service.start("a");
    write(&service, PARTITIONS, 1_000, &mut random);
    const GROWN: i32 = 7;
    admin.grow(&service.requests, GROWN);
    // Clients learn the new partitions at different times.
    write(&service, PARTITIONS, 1_000, &mut random);
    write(&service, GROWN, 3_000, &mut random);
    instance.wait("to own every partition", |instance| {
        (instance.running() == GROWN as usize).then_some(())
    });
    write(&service, GROWN, 1_000, &mut random);
    check(&service);
    assert_eq!(admin.partitions(&service.state), GROWN);
    assert!(instance.log().contains("the request topic has grown"));
    assert_eq!(instance.sigterm_and_wait(), 0);
    // Another owner computes the same homes.
    let instance = service.start("b");
    write(&service, GROWN, 1_000, &mut random);
    check(&service);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_topic_that_grows_during_the_very_first_start_is_of_one_size_for_all() {
    let mut random = Random::from_environment();
    let service = Service::new("grows-first", Mode::Immediate);
    service.create_topics();
    let admin = Admin::new(&service.bootstrap);
    const GROWN: i32 = 6;
    write(&service, PARTITIONS, 500, &mut random);
    let first = service.spawn("a");
    admin.grow(&service.requests, GROWN);
    let second = service.spawn("b");
    write(&service, GROWN, 2_000, &mut random);
    let mut instances = [first, second];
    wait_for("both to own every partition", || {
        let running: usize = instances
            .iter_mut()
            .map(|instance| instance.running())
            .sum();
        (running == GROWN as usize).then_some(())
    });
    check(&service);
    for instance in instances {
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}
