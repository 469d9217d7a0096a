//! Planted anomalies: each is found, with its place, under its own name.

use serde_json::Value;

use super::service::{Own, World, run};
use crate::report::{Invariant, Report};
use sequencer_protocol::core::link::Position;
use sequencer_protocol::core::{Fold, Homes, sequence::Sequence};
use sequencer_protocol::wire::state::{self, BatchId, Content, Entry};

/// One partition, one sequence, 20 requests; one of them twice with the same ID.
fn world() -> World {
    let mut world = World::new(11, 1);
    for number in 0..20 {
        let id = match number {
            4 | 9 => Some("same"),
            _ => None,
        };
        world.ask(0, "orders", b"", id);
    }
    world.serve();
    assert!(run(&world).clean);
    world
}

fn body(reply: &Own) -> Value {
    serde_json::from_slice(reply.value.as_deref().unwrap()).unwrap()
}

/// Indices of all replies to a request.
fn replies_to(world: &World, number: usize) -> Vec<usize> {
    let offset = world.requests[0][number].offset;
    let replies = world.replies.iter().enumerate();
    replies
        .filter(|(_, reply)| body(reply)["offset"] == offset)
        .map(|(at, _)| at)
        .collect()
}

/// Gives other IDs in every reply to a request.
fn give(world: &mut World, number: usize, id: i64) {
    for at in replies_to(world, number) {
        change(&mut world.replies[at], id);
    }
}

fn change(reply: &mut Own, id: i64) {
    let before = body(reply)["first"].as_i64().unwrap();
    let text = String::from_utf8(reply.value.take().unwrap()).unwrap();
    let ids = |id: i64| format!("\"first\":{id},\"last\":{id},");
    let text = text.replace(&ids(before), &ids(id));
    reply.value = Some(text.into_bytes());
}

fn example(report: &Report, invariant: Invariant) -> (u32, i64) {
    let finding = report.findings.iter();
    let mut finding = finding.filter(|finding| finding.invariant == invariant.name());
    let example = &finding.next().unwrap().examples[0];
    (example.partition, example.offset)
}

/// The broken invariants. Checks that the first one has an example at this request.
fn broken_at(world: &World, number: usize) -> Vec<Invariant> {
    let report = run(world);
    let broken = report.broken();
    let at = (0, world.requests[0][number].offset);
    assert_eq!(example(&report, broken[0]), at, "{report:#?}");
    broken
}

#[test]
fn a_missing_reply_breaks_i4() {
    let mut world = world();
    for at in replies_to(&world, 7).into_iter().rev() {
        world.replies.remove(at);
    }
    assert_eq!(broken_at(&world, 7), [Invariant::Answered]);
}

#[test]
fn a_reply_to_a_record_that_is_no_request_breaks_i4() {
    let mut world = world();
    let at = replies_to(&world, 7)[0];
    let offset = world.requests[0][7].offset;
    // A hole in the log, left by an aborted request.
    let hole = (0..offset + 9)
        .find(|hole| {
            !world.requests[0]
                .iter()
                .any(|record| record.offset == *hole)
        })
        .unwrap();
    let mut reply = world.replies[at].clone();
    let text = String::from_utf8(reply.value.take().unwrap()).unwrap();
    let text = text.replace(
        &format!("\"offset\":{offset}}}"),
        &format!("\"offset\":{hole}}}"),
    );
    reply.value = Some(text.into_bytes());
    reply.offset = world.replies.len() as i64;
    world.replies.push(reply);
    assert_eq!(run(&world).broken(), [Invariant::Answered]);
}

#[test]
fn a_duplicate_with_another_body_breaks_i3() {
    let mut world = world();
    let mut again = world.replies[replies_to(&world, 7)[0]].clone();
    again.offset = world.replies.len() as i64;
    change(&mut again, 99);
    world.replies.push(again);
    assert_eq!(
        broken_at(&world, 7),
        [Invariant::Stable, Invariant::Contract]
    );
}

#[test]
fn a_hole_breaks_i2() {
    let mut world = world();
    // The last request: the hole is before it.
    give(&mut world, 19, 100);
    assert_eq!(
        broken_at(&world, 19),
        [Invariant::Gapless, Invariant::Contract]
    );
}

#[test]
fn a_repeated_id_breaks_i1() {
    let mut world = world();
    give(&mut world, 19, 3);
    assert_eq!(
        broken_at(&world, 19),
        [Invariant::Unique, Invariant::Gapless, Invariant::Contract]
    );
}

#[test]
fn ids_out_of_order_break_i2_and_are_unique_all_the_same() {
    let mut world = world();
    // Requests 18 and 19 have the IDs 18 and 19, because one request came twice.
    give(&mut world, 18, 19);
    give(&mut world, 19, 18);
    assert_eq!(
        broken_at(&world, 18),
        [Invariant::Gapless, Invariant::Contract]
    );
}

#[test]
fn two_grants_for_one_request_id_break_i5() {
    let mut world = world();
    give(&mut world, 9, 20);
    assert_eq!(
        broken_at(&world, 9),
        [Invariant::OneGrant, Invariant::Contract]
    );
}

/// A sequence that remembers three requests itself, and forgets sixteen at a time. The last request is one of them
/// again, the one before was forgotten.
fn remembering() -> World {
    let mut world = World::new(5, 1);
    let define = b"{\"op\":\"define\",\"remember\":3}";
    world.ask(0, "orders", define, None);
    for number in 0..40 {
        world.ask(0, "orders", b"", Some(&format!("id-{number}")));
    }
    world.ask(0, "orders", b"", Some("id-31"));
    world.ask(0, "orders", b"", Some("id-39"));
    world.serve();
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.counts.again, 1, "{report:#?}");
    world
}

#[test]
fn an_own_window_that_forgets_too_soon_or_too_late_is_found() {
    let mut forgot = remembering();
    give(&mut forgot, 42, 42);
    assert_eq!(
        broken_at(&forgot, 42),
        [Invariant::OneGrant, Invariant::Contract]
    );
    let mut remembered = remembering();
    give(&mut remembered, 41, 32);
    assert!(!run(&remembered).clean);
}

#[test]
fn a_state_without_a_segment_of_an_own_window_is_found() {
    let mut world = remembering();
    let before = world.state[0].len();
    let is_own =
        |own: &Own| own.value.is_some() && own.key.as_ref().is_some_and(|key| key[0] == b'O');
    let last = world.state[0].iter().rposition(is_own).unwrap();
    world.state[0].remove(last);
    assert_eq!(world.state[0].len(), before - 1);
    assert!(!run(&world).clean);
}

#[test]
fn a_reply_under_another_key_breaks_the_contract() {
    let mut world = world();
    let at = replies_to(&world, 7)[0];
    world.replies[at].key = None;
    assert_eq!(broken_at(&world, 7), [Invariant::Contract]);
}

#[test]
fn a_description_with_another_author_time_or_reason_breaks_the_contract() {
    let mut world = World::new(11, 1);
    let retire = br#"{"op":"retire","requester":"maria@ops","reason":"merged"}"#;
    for value in [&b""[..], retire, br#"{"op":"describe"}"#] {
        world.ask(0, "orders", value, None);
    }
    world.serve();
    assert!(run(&world).clean);
    let at = replies_to(&world, 2)[0];
    let told = String::from_utf8(world.replies[at].value.clone().unwrap()).unwrap();
    for (from, to) in [
        ("maria@ops", "other@ops"),
        ("\"merged\"", "\"split\""),
        ("1970-", "1971-"),
        ("\"op\":\"retire\"", "\"op\":\"define\""),
    ] {
        let other = told.replace(from, to);
        assert_ne!(other, told);
        for at in replies_to(&world, 2) {
            world.replies[at].value = Some(other.clone().into_bytes());
        }
        assert_eq!(broken_at(&world, 2), [Invariant::Contract]);
    }
}

#[test]
fn an_error_may_change_its_message_and_not_its_code() {
    let mut world = World::new(11, 1);
    world.ask(0, "orders", b"0", None);
    world.serve();
    let mut again = world.replies[0].clone();
    again.offset = world.replies.len() as i64;
    let text = String::from_utf8(again.value.take().unwrap()).unwrap();
    let with = |from: &str, to: &str| Some(text.replace(from, to).into_bytes());
    again.value = with("must be", "should be");
    world.replies.push(again.clone());
    assert!(run(&world).clean);
    again.value = with("invalid_count", "retired");
    again.offset += 1;
    world.replies.push(again);
    assert_eq!(
        broken_at(&world, 0),
        [Invariant::Stable, Invariant::Contract]
    );
}

/// Rewrites the last batch of a state log. With `adds_up`, the batch has the digest of the state that it leads
/// to.
fn doctor(world: &mut World, adds_up: bool, edit: impl Fn(&mut state::Footer, &mut Fold)) {
    let footers = world.footers(0);
    let (before, last) = (footers[footers.len() - 2], footers[footers.len() - 1]);
    let owned = world.state[0].split_off(before + 1);
    let restored = world.restore(0);
    let mut fold = restored.fold;
    let mut footer = None;
    for record in &owned {
        let key = record.key.as_deref().unwrap();
        let decoded = state::decode(key, record.value.as_deref(), record.batch.as_deref());
        match decoded.unwrap().content {
            Content::Entry(entry) => fold.put(entry),
            Content::Footer(found) => footer = Some(*found),
            other => panic!("{other:?}"),
        }
    }
    let mut footer = footer.unwrap();
    edit(&mut footer, &mut fold);
    if adds_up {
        footer.digest = fold.digest_with(footer.scalars);
    }
    let id = BatchId {
        writer: 77,
        number: 1,
    };
    let mut batch = sequencer_protocol::processor::checkpoint::Batch::default();
    for entry in fold.iter() {
        batch.entry(id, &entry);
    }
    footer.batch_records = batch.len() as u32;
    batch.footer(id, &footer);
    let first = owned[0].offset;
    for (offset, (key, value)) in (first..).zip(batch.iter()) {
        world.state[0].push(Own {
            offset,
            key: Some(key.to_vec()),
            value: value.map(<[u8]>::to_vec),
            ..Own::default()
        });
    }
    assert!(last >= before);
}

#[test]
fn a_footer_that_is_rewritten_without_a_change_is_right() {
    let mut world = world();
    doctor(&mut world, true, |_, _| {});
    assert!(run(&world).clean);
}

#[test]
fn a_wrong_counter_under_a_footer_that_adds_up_is_found() {
    let mut world = world();
    doctor(&mut world, true, |_, fold| {
        fold.put(Entry::Sequence {
            name: "orders",
            sequence: Sequence::above(18),
            defined: None,
        });
    });
    let report = run(&world);
    assert_eq!(report.broken(), [Invariant::CheckpointAddsUp]);
    let last = world.state[0].last().unwrap().offset;
    assert_eq!(example(&report, Invariant::CheckpointAddsUp), (0, last));
}

#[test]
fn a_wrong_footer_is_found_whatever_is_wrong_with_it() {
    type Edit = fn(&mut state::Footer, &mut Fold);
    let edits: [(&str, Edit); 9] = [
        ("digest", |footer, _| footer.digest.0 ^= 1),
        ("next", |footer, _| footer.next.0 -= 1),
        ("applied", |footer, _| footer.scalars.applied += 1),
        ("floor", |footer, _| footer.scalars.floor = 5),
        ("window", |footer, _| footer.scalars.window_next += 1),
        ("epoch", |footer, _| footer.scalars.epoch += 1),
        ("N", |footer, _| footer.scalars.homes = Homes::first(2)),
        ("leader", |footer, _| {
            footer.last_applied.as_mut().unwrap().leader_epoch += 1;
        }),
        ("fingerprint", |footer, _| {
            footer.last_applied.as_mut().unwrap().hash ^= 1;
        }),
    ];
    for (what, edit) in edits {
        let mut world = world();
        doctor(&mut world, what != "digest", edit);
        let broken = run(&world).broken();
        assert!(
            broken.contains(&Invariant::CheckpointAddsUp),
            "{what}: {broken:?}"
        );
    }
}

#[test]
fn a_repair_whose_epoch_is_not_above_the_one_before_is_found() {
    for (epoch, is_right) in [(8, true), (7, false), (6, false)] {
        let mut world = world();
        for epoch in [7, epoch] {
            let right = world.restore(0);
            let next = right.footer.as_ref().unwrap().next.0;
            world.repair_unchanged(0, &right, next, epoch);
        }
        world.ask(0, "orders", b"", None);
        world.serve();
        let report = run(&world);
        let broken: &[Invariant] = if is_right {
            &[]
        } else {
            &[Invariant::CheckpointAddsUp]
        };
        assert_eq!(report.broken(), broken, "{epoch}: {report:#?}");
    }
}

#[test]
fn an_entry_too_many_is_found() {
    let mut world = world();
    doctor(&mut world, true, |_, fold| {
        fold.put(Entry::Sent {
            home: 3,
            position: Position {
                leader_epoch: 0,
                offset: 5,
            },
        });
    });
    assert_eq!(run(&world).broken(), [Invariant::CheckpointAddsUp]);
}

/// Two partitions and a stray in the wrong one.
fn with_stray() -> (World, usize, usize) {
    let mut world = World::new(12, 2);
    let home = sequencer_protocol::core::partitioner::partition_of(b"orders", 2) as usize;
    world.ask(home, "orders", b"", None);
    world.ask(1 - home, "orders", b"", None);
    world.ask(1 - home, "orders", b"", None);
    world.serve();
    assert!(run(&world).clean);
    (world, home, 1 - home)
}

#[test]
fn a_stray_that_was_lost_breaks_i4() {
    let (mut world, home, source) = with_stray();
    // The last forward, its reply, and the end of its chain in the home partition.
    let last = world.requests[source].last().unwrap().offset;
    let forwarded = world.requests[home].iter().rposition(|record| {
        let header = record.forwarded.as_deref().unwrap_or_default();
        header.starts_with(format!("{source}:0:0.{last}:").as_bytes())
    });
    world.requests[home].truncate(forwarded.unwrap());
    world
        .replies
        .retain(|reply| body(reply)["offset"] != last || body(reply)["partition"] != source);
    let report = run(&world);
    assert!(
        report.broken().contains(&Invariant::Answered),
        "{report:#?}"
    );
    assert_eq!(example(&report, Invariant::Answered), (source as u32, last));
}

#[test]
fn a_forward_that_somebody_copied_is_a_request_of_its_own() {
    let (mut world, home, source) = with_stray();
    let before = run(&world).counts;
    let mut forwards = world.requests[home].iter();
    let copy = forwards.find(|record| record.forwarded.is_some()).cloned();
    world.write(source, copy.unwrap());
    world.serve();
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.counts.grants, before.grants + 1);
    assert_eq!(report.counts.strays, before.strays + 1);
}

#[test]
fn a_gap_in_a_chain_of_strays_halts_home() {
    let (mut world, home, _) = with_stray();
    let first = world.requests[home]
        .iter()
        .position(|record| record.forwarded.is_some());
    world.requests[home].remove(first.unwrap());
    let broken = run(&world).broken();
    assert!(
        broken.contains(&Invariant::StopsRatherThanGuesses),
        "{broken:?}"
    );
}
