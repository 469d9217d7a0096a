//! I5, one request, one grant. Each request is sent three times with the same `request_id`, across a kill and a
//! rebalance, like a client that gets no answer in time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cli::command;
use crate::support::heavy;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;

const NAMES: usize = 10;
/// Number of requests in each part of the test. Each is sent three times.
const REQUESTS: usize = 1_500;
/// The client's header that replaces the field.
const HEADER: &str = "sequencer-request-id";

#[test]
fn i5_requests_sent_three_times_get_one_grant_each_in_immediate_mode() {
    three_times(Mode::Immediate);
}

#[test]
fn i5_requests_sent_three_times_get_one_grant_each_in_exactly_once_mode() {
    three_times(Mode::ExactlyOnce);
}

struct Sent {
    name: Vec<u8>,
    id: String,
    count: u64,
}

/// Sends one copy of each request, in random order, with the `request_id` in the value or in the header.
fn send(service: &Service, requests: &[Sent], random: &mut Random) {
    let mut writer = service.writer();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    for index in (1..order.len()).rev() {
        order.swap(index, random.below(index as u64 + 1) as usize);
    }
    for index in order {
        let Sent { name, id, count } = &requests[index];
        if random.below(2) == 0 {
            let value = format!(r#"{{"count":{count},"request_id":"{id}"}}"#);
            writer.send(Some(name), Some(value.as_bytes()));
        } else {
            let headers = [(HEADER, id.as_bytes())];
            writer.send_with(
                None,
                Some(name),
                Some(count.to_string().as_bytes()),
                &headers,
            );
        }
    }
    writer.finish();
}

fn three_times(mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = Service::new("once", mode);
    service.create_topics();
    let names = Names::new(NAMES);
    let mut requests = |part: usize| -> Vec<Sent> {
        (0..REQUESTS)
            .map(|number| Sent {
                name: names.pick(&mut random).to_vec(),
                id: format!("{part}-{number}"),
                count: 1 + random.below(5),
            })
            .collect()
    };
    let (first, second) = (requests(0), requests(1));
    let mut tail = service.tail();

    let stays = service.start("stays");
    let killed = service.start("killed");
    service.wait_shared(&[&stays, &killed]);
    send(&service, &first, &mut random);
    tail.wait_answered(REQUESTS / 2);
    killed.sigkill();
    send(&service, &first, &mut random);
    tail.wait_answered(2 * REQUESTS);
    send(&service, &second, &mut random);
    let joins = service.start("joins");
    service.wait_shared(&[&stays, &joins]);
    send(&service, &first, &mut random);
    send(&service, &second, &mut random);
    assert_eq!(stays.sigterm_and_wait(), 0);
    send(&service, &second, &mut random);
    tail.wait_answered(6 * REQUESTS);
    assert_eq!(joins.sigterm_and_wait(), 0);

    let all: Vec<Sent> = first.into_iter().chain(second).collect();
    check(&service, &all);
}

fn check(service: &Service, requests: &[Sent]) {
    /// The IDs of each name's request, by the record that asked.
    type Got = BTreeMap<(String, String), BTreeMap<(i64, i64), (i64, i64, i64)>>;
    let mut got = Got::new();
    for reply in service.all_replies() {
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("{body}"));
        let number = |field: &str| body[field].as_i64().unwrap_or_else(|| panic!("{body}"));
        let asked = (text("sequence").to_owned(), text("request_id").to_owned());
        let cause = (number("partition"), number("offset"));
        let ids = (number("first"), number("last"), number("count"));
        let before = got.entry(asked).or_default().insert(cause, ids);
        assert!(before.is_none_or(|before| before == ids), "I3: {body}");
    }
    let mut given: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for Sent { name, id, count } in requests {
        let name = String::from_utf8(name.clone()).unwrap();
        let records = &got[&(name.clone(), id.clone())];
        assert_eq!(records.len(), 3, "I4: {name} {id}");
        let distinct: BTreeSet<_> = records.values().collect();
        assert_eq!(distinct.len(), 1, "I5: {name} {id}: {records:?}");
        let (first, last, granted) = *distinct.into_iter().next().unwrap();
        assert_eq!(granted as u64, *count);
        given.entry(name).or_default().push((first, last));
    }
    for (name, ranges) in &mut given {
        ranges.sort_unstable();
        let mut next = 1;
        for (first, last) in ranges {
            assert_eq!(*first, next, "I1, I2 of {name}");
            next = *last + 1;
        }
    }
}

#[test]
fn i5_another_count_is_refused_and_takes_nothing() {
    let service = Service::new("reused", Mode::Immediate);
    service.create_topics();
    let mut writer = service.writer();
    for value in [
        r#"{"count":3,"request_id":"a"}"#,
        r#"{"count":4,"request_id":"a"}"#,
        r#"{"count":3,"request_id":"a"}"#,
        "1",
    ] {
        writer.send(Some(b"orders"), Some(value.as_bytes()));
    }
    writer.finish();
    let instance = service.start("a");
    service.tail().wait_answered(4);
    let replies: Vec<Value> = service
        .all_replies()
        .iter()
        .map(|reply| serde_json::from_slice(&reply.body).unwrap())
        .collect();
    assert_eq!(
        (&replies[0]["first"], &replies[0]["last"]),
        (&1.into(), &3.into())
    );
    assert_eq!(replies[1]["error"]["code"], "request_id_reused");
    assert_eq!(
        (&replies[2]["first"], &replies[2]["last"]),
        (&1.into(), &3.into())
    );
    assert_eq!(replies[3]["first"], 4);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn i5_a_sequence_that_remembers_its_requests_itself_does_so_in_the_hands_of_the_next_owner() {
    const REMEMBER: usize = 40;
    const OTHERS: usize = 100;
    let service = Service::new("remember", Mode::Immediate);
    service.create_topics();
    let first = service.start("first");
    let define = [
        "define",
        "invoices",
        "--remember",
        &REMEMBER.to_string(),
        "--json",
    ];
    let defined = command(&service, &define);
    let defined: Value = serde_json::from_str(&defined.stdout).unwrap();
    assert_eq!(defined["definition"]["remember"], REMEMBER, "{defined}");
    let mut tail = service.tail();
    let ask = |ids: std::ops::Range<usize>| {
        let mut writer = service.writer();
        for id in ids {
            let value = format!(r#"{{"request_id":"{id}"}}"#);
            writer.send(Some(b"invoices"), Some(value.as_bytes()));
        }
        writer.finish();
    };
    ask(0..OTHERS);
    tail.wait_answered(OTHERS);
    first.sigkill();
    let next = service.start("next");
    ask(OTHERS - REMEMBER..OTHERS);
    tail.wait_answered(OTHERS + REMEMBER);
    // The first one is forgotten.
    ask(0..1);
    tail.wait_answered(OTHERS + REMEMBER + 1);
    assert_eq!(next.sigterm_and_wait(), 0);
    let mut ids: BTreeMap<i64, (String, i64)> = BTreeMap::new();
    for reply in service.all_replies() {
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        if let (Some(id), Some(first)) = (body["request_id"].as_str(), body["first"].as_i64()) {
            let offset = body["offset"].as_i64().unwrap();
            ids.insert(offset, (id.to_owned(), first));
        }
    }
    let got: Vec<(String, i64)> = ids.into_values().collect();
    assert_eq!(got.len(), OTHERS + REMEMBER + 1);
    for (repeat, before) in got[OTHERS..].iter().zip(&got[OTHERS - REMEMBER..OTHERS]) {
        assert_eq!(repeat, before);
    }
    assert_eq!(got.last(), Some(&("0".to_owned(), OTHERS as i64 + 1)));
    let outcome = command(&service, &["verify"]);
    assert_eq!(outcome.code, 0, "{}", outcome.said());
}
