//! Tests that the checker finds each kind of mistake under its own name, and no mistake in right replies.

use std::collections::BTreeMap;

use crate::support::check::{Evidence, Invariant, Report, check};
use crate::support::load::{Names, forms};
use crate::support::murmur2::partition_of;
use crate::support::oracle::{Oracle, Outcome};
use crate::support::random::Random;
use crate::support::records::{Mode, Repair, Reply, Request};

const PARTITIONS: i32 = 4;

/// A log and its replies, which are right until a test plants a mistake.
struct Planted {
    requests: Vec<Request>,
    replies: Vec<Reply>,
    mode: Mode,
    repairs: Vec<Repair>,
}

impl Planted {
    fn new(mode: Mode) -> Planted {
        Planted::of(400, mode, Vec::new())
    }

    fn of(count: usize, mode: Mode, repairs: Vec<Repair>) -> Planted {
        let mut random = Random::from_environment();
        let names = Names::new(7);
        let requests: Vec<Request> = (0..count)
            .map(|i| {
                let key = names.pick(&mut random).to_vec();
                let (partition, value) = (partition_of(&key, PARTITIONS), forms(&mut random));
                // Offsets have holes, as in a log with transactions.
                Request {
                    partition,
                    offset: 3 * i as i64,
                    key: Some(key),
                    value,
                }
            })
            .collect();
        let mut oracle = Oracle::new(&repairs);
        let replies = requests
            .iter()
            .enumerate()
            .map(|(i, request)| right(&mut oracle, request, i))
            .collect();
        Planted {
            requests,
            replies,
            mode,
            repairs,
        }
    }

    fn report(&self) -> Report {
        check(&Evidence {
            requests: &self.requests,
            replies: &self.replies,
            mode: self.mode,
            reply_partitions: PARTITIONS,
            repairs: &self.repairs,
        })
    }

    fn broken(&self) -> Vec<Invariant> {
        self.report().broken()
    }

    /// The indices, in log order, of the grants of one sequence.
    fn grants(&self) -> Vec<usize> {
        let key = &self.requests[0].key;
        let granted =
            |i: &usize| self.requests[*i].key == *key && !self.body(*i).contains("\"error\"");
        (0..self.requests.len()).filter(granted).collect()
    }

    fn body(&self, at: usize) -> String {
        String::from_utf8(self.replies[at].body.clone()).unwrap()
    }

    /// Rewrites the IDs of a reply by `change`.
    fn ids(&mut self, at: usize, change: impl Fn(i64) -> i64) {
        let body: serde_json::Value = serde_json::from_slice(&self.replies[at].body).unwrap();
        let mut text = self.body(at);
        for field in ["last", "first"] {
            let id = body[field].as_i64().unwrap();
            text = text.replace(
                &format!("\"{field}\":{id},"),
                &format!("\"{field}\":{},", change(id)),
            );
        }
        self.replies[at].body = text.into_bytes();
    }
}

/// The reply that the contract requires.
fn right(oracle: &mut Oracle<'_>, request: &Request, at: usize) -> Reply {
    let expected = oracle.answer(request);
    let (begin, end) = expected.body(request);
    let message = match expected.outcome {
        Outcome::Ids { .. } => "",
        Outcome::Error(_) => "it is \\\"wrong\\\"",
    };
    let partition = partition_of(request.key.as_deref().unwrap_or_default(), PARTITIONS);
    let body = format!("{begin}{message}{end}").into_bytes();
    Reply {
        partition,
        offset: at as i64,
        key: request.key.clone(),
        body,
    }
}

#[test]
fn a_clean_log_passes() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let planted = Planted::new(mode);
        let report = planted.report();
        report.assert_clean();
        assert_eq!(report.requests, 400);
        assert!(
            report.errors > 0 && report.ids > 400 && report.sequences == 7,
            "{report}"
        );
    }
}

#[test]
fn a_reply_repeated_byte_for_byte_passes_in_immediate_mode() {
    let mut planted = Planted::new(Mode::Immediate);
    planted.replies.extend(planted.replies.clone());
    assert_eq!(planted.report().repeated, 400);
    planted.report().assert_clean();
}

#[test]
fn a_duplicate_id_breaks_i1() {
    let mut planted = Planted::new(Mode::Immediate);
    let at = *planted.grants().last().unwrap();
    planted.ids(at, |id| id - 1);
    assert_eq!(
        planted.broken(),
        [Invariant::I1, Invariant::I2, Invariant::Contract]
    );
}

#[test]
fn a_hole_breaks_i2_alone_of_the_numbered() {
    let mut planted = Planted::new(Mode::Immediate);
    let at = *planted.grants().last().unwrap();
    planted.ids(at, |id| id + 1);
    assert_eq!(planted.broken(), [Invariant::I2, Invariant::Contract]);
}

#[test]
fn ids_out_of_log_order_break_i2_and_are_still_unique() {
    let mut planted = Planted::new(Mode::Immediate);
    // Two requests for one ID each, of a sequence that has no other requests.
    for offset in [5000, 5001] {
        let key = Some(b"swapped".to_vec());
        let request = Request {
            partition: partition_of(b"swapped", PARTITIONS),
            offset,
            key,
            value: None,
        };
        planted
            .replies
            .push(right(&mut Oracle::new(&[]), &request, 0));
        planted.requests.push(request);
    }
    let first = planted.replies.len() - 2;
    planted.ids(first, |id| id + 1);
    assert_eq!(planted.broken(), [Invariant::I2, Invariant::Contract]);
}

#[test]
fn a_sequence_that_does_not_begin_with_1_breaks_i2() {
    let mut planted = Planted::new(Mode::Immediate);
    let shift: Vec<usize> = planted.grants();
    for at in shift {
        planted.ids(at, |id| id + 1);
    }
    assert_eq!(planted.broken(), [Invariant::I2, Invariant::Contract]);
}

#[test]
fn a_changed_byte_in_a_repeated_reply_breaks_i3() {
    let mut planted = Planted::new(Mode::Immediate);
    let mut again = planted.replies[planted.grants()[0]].clone();
    *again.body.iter_mut().find(|byte| **byte == b':').unwrap() = b';';
    // The body is no longer JSON. It names no record, which breaks the contract.
    planted.replies.push(again);
    assert_eq!(planted.broken(), [Invariant::Contract]);

    let mut planted = Planted::new(Mode::Immediate);
    let again = planted.replies[planted.grants()[0]].clone();
    planted.replies.push(again);
    let at = planted.replies.len() - 1;
    planted.ids(at, |id| id + 1);
    assert_eq!(planted.broken(), [Invariant::I3]);
}

#[test]
fn only_the_wording_of_a_repeated_error_may_change() {
    let mut planted = Planted::new(Mode::Immediate);
    let at = (0..planted.replies.len())
        .find(|at| planted.body(*at).contains("invalid_count"))
        .unwrap();
    let mut again = planted.replies[at].clone();
    again.body = planted.body(at).replace("wrong", "different").into_bytes();
    planted.replies.push(again.clone());
    planted.report().assert_clean();

    again.body = planted
        .body(at)
        .replace("invalid_count", "malformed_request")
        .into_bytes();
    planted.replies.push(again);
    assert_eq!(planted.broken(), [Invariant::I3]);
}

#[test]
fn a_missing_reply_breaks_i4() {
    let mut planted = Planted::new(Mode::Immediate);
    planted.replies.remove(*planted.grants().last().unwrap());
    assert_eq!(planted.broken(), [Invariant::I4]);
}

#[test]
fn a_reply_to_no_request_breaks_i4() {
    let mut planted = Planted::new(Mode::Immediate);
    let at = *planted.grants().last().unwrap();
    planted.requests.remove(at);
    assert_eq!(planted.broken(), [Invariant::I4]);
}

#[test]
fn a_second_reply_in_exactly_once_mode_is_seen() {
    let mut planted = Planted::new(Mode::ExactlyOnce);
    planted.replies.push(planted.replies[3].clone());
    assert_eq!(planted.broken(), [Invariant::Once]);
}

#[test]
fn a_wrong_error_code_breaks_the_contract() {
    let mut planted = Planted::new(Mode::Immediate);
    let at = (0..planted.replies.len())
        .find(|at| planted.body(*at).contains("invalid_count"))
        .unwrap();
    planted.replies[at].body = planted
        .body(at)
        .replace("invalid_count", "malformed_request")
        .into_bytes();
    assert_eq!(planted.broken(), [Invariant::Contract]);
}

#[test]
fn a_request_that_got_more_ids_than_it_asked_for_breaks_the_contract_alone() {
    let mut planted = Planted::new(Mode::Immediate);
    let at = *planted.grants().last().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&planted.replies[at].body).unwrap();
    let (last, count) = (
        body["last"].as_i64().unwrap(),
        body["count"].as_i64().unwrap(),
    );
    let from = format!("\"last\":{last},\"count\":{count}");
    let to = format!("\"last\":{},\"count\":{}", last + 1, count + 1);
    planted.replies[at].body = planted.body(at).replace(&from, &to).into_bytes();
    assert_eq!(planted.broken(), [Invariant::Contract]);
}

#[test]
fn a_reply_under_another_key_or_on_another_partition_breaks_the_contract() {
    let mut planted = Planted::new(Mode::Immediate);
    planted.replies[0].key = None;
    assert_eq!(planted.broken(), [Invariant::Contract]);

    let mut planted = Planted::new(Mode::Immediate);
    planted.replies[0].partition = (planted.replies[0].partition + 1) % PARTITIONS;
    assert_eq!(planted.broken(), [Invariant::Contract]);
}

#[test]
fn after_a_repair_ids_go_on_above_what_the_operator_said() {
    let repairs = |above| {
        (0..PARTITIONS)
            .map(|partition| Repair {
                partition,
                from: 600,
                above,
                next: BTreeMap::new(),
            })
            .collect::<Vec<_>>()
    };
    let mut planted = Planted::of(400, Mode::Immediate, repairs(1_000_000_000));
    planted.report().assert_clean();
    planted.repairs = repairs(1_000_000_001);
    assert_eq!(planted.broken(), [Invariant::I2, Invariant::Contract]);
}
