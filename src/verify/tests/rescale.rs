//! Rescales: the checker follows names to the partitions that they move to, and finds what is planted there.

use super::service::{Own, World, run, try_run};
use crate::core::partitioner::partition_of;
use crate::verify::report::{Invariant, Report};

const SEEDS: u64 = 40;

/// A service with 2 partitions that has been given 4, then 8, among crashes.
fn rescaled(seed: u64) -> World {
    let mut world = World::new(seed, 2);
    world.load(200);
    world.serve();
    for list in [&[2, 4][..], &[2, 4, 8]] {
        world.grow(*list.last().unwrap() as usize);
        // Strays for every partition, before and after the split.
        world.load(60);
        world.serve();
        world.load(20);
        world.split(list);
        world.load(100);
        world.serve();
        for partition in 0..*list.last().unwrap() as usize {
            assert_eq!(world.homes(partition), *list, "seed {seed}");
        }
    }
    world.load(100);
    world.serve();
    world
}

#[test]
fn a_log_with_rescales_is_followed_through_crashes() {
    let (mut orders, mut strays) = (0, 0);
    for seed in 0..SEEDS {
        let world = rescaled(seed);
        let report = run(&world);
        assert!(report.clean, "seed {seed}: {report:#?}");
        assert_eq!(report.unchecked, Vec::<String>::new());
        orders += report.counts.orders;
        strays += report.counts.strays;
    }
    // For 2 to 4: a split, two adopts, two reports, one done; for 4 to 8: three, four, four, three.
    assert!(orders >= SEEDS * 20, "{orders}");
    assert!(strays > 1_000, "{strays}");
}

/// A name that moves from partition 0 to partition 2.
fn moving() -> String {
    let moves = |name: &String| partition_of(name.as_bytes(), 4) == 2;
    (0..)
        .map(|number| format!("n{number}"))
        .find(moves)
        .unwrap()
}

/// A service with one name that has moved.
fn moved() -> (World, String) {
    let mut world = World::new(11, 2);
    let name = moving();
    for _ in 0..5 {
        world.ask(0, &name, b"", None);
    }
    world.serve();
    world.grow(4);
    world.serve();
    world.split(&[2, 4]);
    for _ in 0..5 {
        world.ask(0, &name, b"", None);
        world.ask(2, &name, b"", None);
    }
    world.serve();
    world.ask(2, &name, b"", None);
    world.serve();
    let report = run(&world);
    assert!(report.clean, "{report:#?}");
    (world, name)
}

fn replace(record: &mut Own, from: &str, to: &str) -> bool {
    let text = String::from_utf8(record.value.clone().unwrap()).unwrap();
    let changed = text.replace(from, to);
    let is_changed = changed != text;
    record.value = Some(changed.into_bytes());
    is_changed
}

fn broken(world: &World) -> Vec<Invariant> {
    let report: Report = run(world);
    report.broken()
}

#[test]
fn a_moved_name_that_begins_again_is_found() {
    let (mut world, ..) = moved();
    let last = r#""first":16,"last":16,"#;
    let again = r#""first":1,"last":1,"#;
    let changed: Vec<bool> = world
        .replies
        .iter_mut()
        .map(|reply| replace(reply, last, again))
        .collect();
    assert!(changed.contains(&true));
    assert!(broken(&world).contains(&Invariant::Gapless));
}

#[test]
fn another_answer_to_the_split_is_found() {
    let (mut world, ..) = moved();
    let mut replies = world.replies.iter_mut();
    assert!(replies.any(|reply| replace(reply, "[2,4]", "[2,6]")));
    assert!(!broken(&world).is_empty());
}

/// Without its order, a partition is no home, and its later links follow nothing.
#[test]
fn a_lost_order_is_found() {
    let (mut world, ..) = moved();
    let is_adopt = |own: &Own| {
        let value = own.value.as_deref().unwrap_or_default();
        value.starts_with(b"{\"op\":\"adopt\"")
    };
    world.requests[2].retain(|own| !is_adopt(own));
    let broken = broken(&world);
    assert!(
        broken.contains(&Invariant::StopsRatherThanGuesses),
        "{broken:?}"
    );
}

/// A child whose state has lost the moved name, and counts it from 1 again.
#[test]
fn a_state_without_the_moved_name_is_found() {
    let (mut world, name) = moved();
    let key = format!("S{name}").into_bytes();
    let before = world.state[2].len();
    world.state[2].retain(|own| own.key.as_ref() != Some(&key));
    assert!(world.state[2].len() < before);
    assert!(broken(&world).contains(&Invariant::CheckpointAddsUp));
}

#[test]
fn a_split_that_is_not_read_is_an_error_or_is_passed_over_in_words() {
    let mut world = rescaled(3);
    // All that partition 0 had before its last split is gone.
    let records = world.requests[0].len() - 20;
    world.cut_requests(0, records);
    match try_run(&world) {
        Ok(report) => {
            assert!(report.clean, "{report:#?}");
            let told = report.unchecked.iter();
            let told = told.filter(|told| told.contains("does not reach back to their move"));
            assert!(told.count() > 0, "{:?}", report.unchecked);
        }
        Err(error) => panic!("{error}"),
    }
}
