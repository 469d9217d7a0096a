//! Tests of the checker against the shipped service, over logs in memory: the result is clean when nothing was
//! planted, and each planted anomaly is found under its own name.

mod planted;
mod rescale;
mod service;

use super::report::Invariant;
use super::*;
use service::{World, run};

const SEEDS: u64 = 40;

#[test]
fn what_the_service_wrote_is_clean() {
    let mut counts = report::Counts::default();
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 3);
        world.load(400);
        world.serve();
        let report = run(&world);
        assert!(report.clean, "seed {seed}: {report:#?}");
        let found = report.counts;
        counts.requests += found.requests;
        counts.again += found.again;
        counts.operators += found.operators;
        counts.refused += found.refused;
        counts.strays += found.strays;
        counts.forwarded_again += found.forwarded_again;
        counts.replies_again += found.replies_again;
        counts.footers += found.footers;
    }
    // The load covers the cases that it is made for.
    assert!(counts.again > 100, "{counts:?}");
    assert!(counts.operators > 100, "{counts:?}");
    assert!(counts.refused > 100, "{counts:?}");
    assert!(counts.strays > 100, "{counts:?}");
    assert!(counts.forwarded_again > 10, "{counts:?}");
    assert!(counts.replies_again > 100, "{counts:?}");
    assert!(counts.footers > 100, "{counts:?}");
}

#[test]
fn a_topic_without_requests_is_not_clean() {
    let mut world = World::new(1, 3);
    world.serve();
    let report = run(&world);
    assert!(!report.clean, "{report:#?}");
    let problem = report.problem.unwrap();
    assert!(problem.contains("the request topic is empty"), "{problem}");
    assert_eq!(report.unchecked, Vec::<String>::new());
}

#[test]
fn so_it_is_in_ranges_that_do_not_fit_into_memory_at_once() {
    let mut world = World::new(1, 3);
    world.load(3_000);
    world.serve();
    world.memory_bytes = 200_000;
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.counts.requests, world.requests());
}

#[test]
fn more_sequences_than_the_budget_holds_are_an_error_that_says_so() {
    let mut world = World::new(1, 1);
    for number in 0..1_000 {
        world.ask(0, &format!("name-{number}"), b"", None);
    }
    world.serve();
    world.memory_bytes = 200_000;
    let error = service::try_run(&world).unwrap_err();
    assert!(error.to_string().contains("--memory-mb"), "{error}");
}

#[test]
fn a_log_that_retention_has_cut_begins_at_a_footer_that_adds_up() {
    let mut world = World::new(3, 3);
    world.load(600);
    world.serve();
    for partition in 0..3 {
        world.cut_requests(partition, 60);
    }
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.unchecked.len(), 3, "{report:#?}");
    assert!(report.counts.replies_outside > 0);
    assert!(report.counts.grants > 0);

    // Without a footer there is no place to begin.
    world.state[1].clear();
    assert_eq!(run(&world).broken(), [Invariant::CheckpointAddsUp]);
}

#[test]
fn a_compacted_state_is_compared_from_the_first_footer_that_adds_up() {
    let mut world = World::new(4, 2);
    world.load(600);
    world.serve();
    let footers = run(&world).counts.footers;
    for partition in 0..2 {
        world.compact(partition, 200);
    }
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    assert!(report.counts.footers < footers);
    assert!(report.counts.footers_unchecked < report.counts.footers);
}

#[test]
fn what_nobody_has_served_yet_is_not_answered() {
    let mut world = World::new(5, 2);
    world.load(50);
    world.serve();
    world.ask(0, "later", b"", None);
    assert_eq!(run(&world).broken(), [Invariant::Answered]);
}

#[test]
fn replies_that_retention_has_taken_are_not_missed() {
    let mut world = World::new(6, 2);
    world.load(300);
    world.serve();
    world.cut_replies(100);
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    assert!(report.counts.replies_gone > 0);
    assert!(!report.unchecked.is_empty());
}

#[test]
fn after_a_repair_the_log_goes_on_from_what_it_says() {
    for back in [false, true] {
        let mut world = World::new(7, 1);
        world.load(200);
        world.ask(0, "plain", b"5", None);
        world.serve();
        // Two requests that the repair skips.
        world.ask(0, "orders-1", b"", None);
        world.ask(0, "orders-2", b"", None);
        world.repair(0, if back { -1 } else { 1_000_000 });
        world.load(100);
        world.serve();
        let report = run(&world);
        assert_eq!((report.counts.repairs, report.counts.passed_over), (1, 2));
        if back {
            assert!(report.broken().contains(&Invariant::Unique), "{report:#?}");
        } else {
            assert!(report.clean, "{report:#?}");
        }
    }
}

/// The state does not add up, or is gone, and a repair folds the whole log again.
#[test]
fn after_a_repair_that_folds_the_log_again_every_request_must_still_be_answered() {
    for (gone, lost) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = World::new(9, 1);
        world.load(200);
        world.serve();
        let right = world.restore(0);
        if gone {
            world.state[0].clear();
        } else {
            world.damage_state(0);
        }
        let next = right.footer.as_ref().unwrap().next.0;
        world.repair_unchanged(0, &right, next, 1_700);
        world.load(100);
        world.serve();
        if lost {
            let of_one = |reply: &service::Own| {
                let body = reply.value.as_deref().unwrap();
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                body["offset"] == next - 1
            };
            world.replies.retain(|reply| !of_one(reply));
        }
        let report = run(&world);
        assert_eq!((report.counts.repairs, report.counts.passed_over), (1, 0));
        let broken: &[Invariant] = if lost { &[Invariant::Answered] } else { &[] };
        assert_eq!(report.broken(), broken, "{report:#?}");
    }
}

/// Two requests cannot be read, and the state goes on unchanged after them.
#[test]
fn only_what_a_repair_names_is_passed_over() {
    for named in [2, 1] {
        let mut world = World::new(10, 1);
        world.load(200);
        world.serve();
        let unread = [
            world.ask(0, "orders-1", b"", None),
            world.ask(0, "x", b"", None),
        ];
        let right = world.restore(0);
        world.repair_unchanged(0, &right, unread[2 - named], 1_700);
        world.load(100);
        world.serve();
        let report = run(&world);
        let passed_over = named as u64;
        let found = (report.counts.repairs, report.counts.passed_over);
        assert_eq!(found, (1, passed_over));
        let broken: &[Invariant] = if named == 2 {
            &[]
        } else {
            // The state lacks the IDs that were answered according to the repair.
            &[Invariant::Unique, Invariant::Answered]
        };
        assert_eq!(report.broken(), broken, "{report:#?}");
    }
}

#[test]
fn a_late_batch_of_an_owner_that_lost_the_partition_is_counted_and_is_no_anomaly() {
    let mut world = World::new(8, 1);
    world.load(300);
    world.serve();
    world.late_batch(0);
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.counts.footers_late, 1);
}
