//! Small histories, disturbed at every possible point: after each effect, each call and each record, and before
//! each reply, one point after the other without a gap.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use sequencer::processor::Mode;

use crate::seeds::said;
use crate::trace::Coverage;
use crate::world::{Config, Disturb, Kind, World};

/// Number of event orders that are disturbed.
const SCHEDULES: u64 = 2;

/// A history with a small rescale: from one partition to two, and from two to four.
fn split(seed: u64, mode: Mode, partitions: usize, disturb: Option<Disturb>) -> Config {
    Config {
        rescales: 1,
        steps: 1_800,
        requests_max: 14,
        names: 3,
        ..small(seed, mode, partitions, disturb)
    }
}

fn small(seed: u64, mode: Mode, partitions: usize, disturb: Option<Disturb>) -> Config {
    Config {
        seed,
        mode,
        partitions,
        processes: 2,
        steps: 260,
        window: 2,
        names: 2,
        rewrite_floor: 10,
        footer_interval_ms: 100,
        moves_percent: 30,
        marker_percent: 40,
        faults: false,
        losses: false,
        grows: false,
        outside: false,
        rescales: 0,
        floor: 0,
        requests_max: 8,
        taken_in_time_max: usize::MAX,
        disturb,
    }
}

/// Returns the number of points in the history.
fn live_through(config: Config) -> (usize, Coverage) {
    let mut world = World::new(config);
    for _ in 0..world.config.steps {
        world.step();
    }
    world.come_to_rest();
    world.check_all();
    world.stop();
    (world.points, world.coverage)
}

/// Steps of a rescale that the undisturbed histories come through.
const OF_RESCALE: [&str; 5] = [
    "split carried out",
    "parent split",
    "child adopts names",
    "child adopted",
    "rescale done",
];

type Small = fn(u64, Mode, usize, Option<Disturb>) -> Config;

/// A history with a small rescale in which a process is killed at one point.
#[cfg(feature = "planted-bugs")]
pub fn kill_in_a_rescale(seed: u64) {
    let at = seed as usize * 5;
    let kind = Kind::Crash;
    live_through(split(0, Mode::Immediate, 1, Some(Disturb { at, kind })));
}

fn enumerate(kind: Kind, small: Small, must_reach: &[&str]) {
    let (mut all, mut reached) = (Vec::new(), Coverage::default());
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        for partitions in [1, 2] {
            for seed in 0..SCHEDULES {
                let (points, coverage) = live_through(small(seed, mode, partitions, None));
                reached.add(&coverage);
                all.extend((0..points).map(|at| (seed, mode, partitions, Disturb { at, kind })));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            while let Some(case) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (seed, mode, partitions, disturb) = *case;
                let config = small(seed, mode, partitions, Some(disturb));
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| live_through(config))) {
                    failed.push(format!("{case:?}: {}", said(&*panic)));
                }
            }
            failed
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = handles
            .into_iter()
            .map(|handle| handle.join().expect("a thread"));
        joined.flatten().collect()
    });
    println!("{} histories, {kind:?} at every point of each", all.len());
    for state in must_reach {
        assert!(reached.states.contains_key(state), "not reached: {state}");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_process_may_be_killed_at_every_point() {
    enumerate(Kind::Crash, small, &[]);
}

#[test]
fn a_process_may_be_killed_at_every_point_of_a_rescale() {
    enumerate(Kind::Crash, split, &OF_RESCALE);
}

#[test]
fn a_process_may_stand_still_at_every_point_of_a_rescale() {
    enumerate(Kind::Pause, split, &OF_RESCALE);
}

#[test]
fn a_process_may_stand_still_at_every_point_and_go_on_later() {
    enumerate(Kind::Pause, small, &[]);
}
