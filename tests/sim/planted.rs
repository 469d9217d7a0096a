//! The test of the tests: each mistake of `sequencer::core::planted`, planted in the shipped code at its exact
//! line, must be caught. The result is the table in `docs/verification.md`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use sequencer::core::planted::{Bug, plant};

use crate::seeds::{live_through, said};
use crate::world::Config;

/// A mistake that this many seeds do not show counts as not caught.
const SEEDS_MAX: u64 = 1_000;

struct Caught {
    seeds: u64,
    steps: u64,
    said: String,
}

fn look_for(bug: Bug) -> Option<Caught> {
    plant(Some(bug));
    let mut caught = None;
    let mut before = 0;
    for seed in 0..SEEDS_MAX {
        crate::STEP.set(0);
        if let Some(said) = wrong(bug, seed) {
            caught = Some(Caught {
                seeds: seed + 1,
                steps: before + crate::STEP.get(),
                said,
            });
            break;
        }
        before += crate::STEP.get();
    }
    plant(None);
    caught
}

fn wrong(bug: Bug, seed: u64) -> Option<String> {
    if bug.is_of_failover() {
        return crate::failover::wrong(seed);
    }
    let run = catch_unwind(AssertUnwindSafe(|| match bug {
        Bug::StateLossIgnored => crate::halts::lose_state(seed),
        Bug::AdoptionNotAwaited => crate::crash_points::kill_in_a_rescale(seed),
        _ => drop(live_through(Config::of_seed(seed))),
    }));
    run.err().map(|panic| said(&*panic))
}

/// The check that failed: the first words of its message.
fn check(said: &str) -> &str {
    let words = said.find(": ").map_or(said, |end| &said[..end]);
    words.lines().next().unwrap_or_default()
}

#[test]
fn every_planted_mistake_is_caught() {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows: Vec<(Bug, Option<Caught>)> = std::thread::scope(|scope| {
        let work = || {
            let mut rows = Vec::new();
            while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                rows.push((*bug, look_for(*bug)));
            }
            rows
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = handles
            .into_iter()
            .map(|handle| handle.join().expect("a thread"));
        joined.flatten().collect()
    });
    rows.sort_by_key(|(bug, _)| *bug);
    println!("| mistake | caught by | seeds | steps |");
    println!("|---|---|---|---|");
    for (bug, caught) in &rows {
        match caught {
            Some(Caught { seeds, steps, said }) => {
                println!("| {bug:?} | {} | {seeds} | {steps} |", check(said));
            }
            None => println!("| {bug:?} | NOT CAUGHT | {SEEDS_MAX} | |"),
        }
    }
    for (bug, caught) in &rows {
        if let Some(Caught { said, .. }) = caught {
            println!("{bug:?}: {}", said.lines().next().unwrap_or_default());
        }
    }
    let missed: Vec<_> = rows.iter().filter(|(_, caught)| caught.is_none()).collect();
    let missed: Vec<_> = missed.iter().map(|(bug, _)| bug).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
