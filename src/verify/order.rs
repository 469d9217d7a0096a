//! Checks I1 and I2 by the content of the replies alone, without the counts of requests. The oracle only gives
//! the moves of sequences by operators.

use std::io;

use super::facts::{Given, Layout};
use super::progress::Progress;
use super::report::{Invariant, Report};
use super::spill::Spill;

/// The IDs of one sequence in replies since its last move back.
#[derive(Debug, Default)]
struct Seen {
    known: bool,
    run: u32,
    life: u32,
    /// The first ID of the next grant.
    next: i128,
    /// Lowest and highest ID of each range without a hole. There is more than one only after an anomaly.
    stretches: Vec<(i64, i64)>,
}

/// Highest number of ranges that are kept of one sequence. With more anomalies the oldest are forgotten.
const STRETCHES_MAX: usize = 256;

/// Checks all grants in the order of the log.
pub(super) fn check(
    given: &mut Spill<Given>,
    layout: &Layout,
    report: &mut Report,
    progress: &mut Progress,
) -> io::Result<()> {
    let mut partition = None;
    let mut seen: Vec<Seen> = Vec::new();
    let mut done = 0;
    progress.stage("I1 and I2", given.len());
    for range in 0..given.ranges() {
        let turns = given.turns(range);
        for turn in 0..turns {
            let mut facts = given.load(range, turn, turns)?;
            facts.sort_unstable_by_key(|fact| fact.home);
            for fact in facts {
                let (home, _) = layout.at(fact.home);
                if partition != Some(home) {
                    partition = Some(home);
                    seen.clear();
                }
                let at = usize::try_from(fact.sequence).unwrap_or(usize::MAX);
                if seen.len() <= at {
                    seen.resize_with(at + 1, Seen::default);
                }
                done += 1;
                progress.reached(done);
                if let Some(seen) = seen.get_mut(at) {
                    look(&fact, seen, layout, report);
                }
            }
        }
    }
    Ok(())
}

fn look(fact: &Given, seen: &mut Seen, layout: &Layout, report: &mut Report) {
    let place = layout.at(fact.place);
    if seen.life != fact.life {
        seen.stretches.clear();
    }
    let due = if seen.known && seen.run == fact.run {
        seen.next
    } else {
        fact.first_due.into()
    };
    seen.known = true;
    (seen.run, seen.life) = (fact.run, fact.life);
    seen.next = i128::from(fact.last) + i128::from(fact.increment);
    let (low, high) = (fact.first.min(fact.last), fact.first.max(fact.last));
    if !fact.unseen {
        report.checked(Invariant::Unique);
        report.checked(Invariant::Gapless);
        if i128::from(fact.first) != due {
            report.wrong(Invariant::Gapless, place, || {
                format!(
                    "its reply begins with {}, the one before asks for {due}",
                    fact.first
                )
            });
        }
        let shared = seen.stretches.iter();
        let mut shared = shared.filter(|(from, to)| *from <= high && low <= *to);
        if let Some((from, to)) = shared.next() {
            report.wrong(Invariant::Unique, place, || {
                format!(
                    "its reply gives {} to {}, and IDs {from} to {to} were given before",
                    fact.first, fact.last
                )
            });
        }
    }
    remember(seen, low, high, fact.increment);
}

/// Adds a range. It is merged with a range that it continues.
fn remember(seen: &mut Seen, low: i64, high: i64, increment: i64) {
    let gap = i128::from(increment.unsigned_abs());
    let touches = |(from, to): &(i64, i64)| {
        i128::from(*from) - gap <= i128::from(high) && i128::from(low) <= i128::from(*to) + gap
    };
    match seen.stretches.iter_mut().find(|stretch| touches(stretch)) {
        Some(stretch) => *stretch = (stretch.0.min(low), stretch.1.max(high)),
        None => {
            if seen.stretches.len() == STRETCHES_MAX {
                seen.stretches.remove(0);
            }
            seen.stretches.push((low, high));
        }
    }
}
