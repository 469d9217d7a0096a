//! How long clients heard nothing: for each fault the longest silence of any partition, from the last
//! answer before to the first after. Printed, never asserted.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A fault and when it was, in ms since the start.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it counts as.
    pub kind: String,
    pub begin_ms: u64,
    /// When the next one began, or the load ended.
    pub end_ms: u64,
}

/// The longest time between two answers of one partition that touches an event.
fn silence_ms(event: &Event, arrivals: &[Vec<u64>]) -> u64 {
    let longest = |arrivals: &Vec<u64>| {
        // The last answer before it belongs to it.
        let from = arrivals
            .partition_point(|at| *at <= event.begin_ms)
            .saturating_sub(1);
        let gaps = arrivals[from..].windows(2);
        gaps.take_while(|gap| gap[0] < event.end_ms)
            .map(|gap| gap[1] - gap[0])
            .max()
            .unwrap_or(0)
    };
    arrivals.iter().map(longest).max().unwrap_or(0)
}

/// A table: kind, how often, median and maximum.
pub fn table(events: &[Event], arrivals: &[Vec<u64>]) -> String {
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in events {
        let silence = silence_ms(event, arrivals);
        kinds.entry(&event.kind).or_default().push(silence);
    }
    let mut table = format!(
        "{:<24} {:>5} {:>10} {:>10}\n",
        "fault", "times", "median", "longest"
    );
    for (kind, mut silences) in kinds {
        silences.sort_unstable();
        let median = silences[silences.len() / 2];
        let longest = silences[silences.len() - 1];
        let _ = writeln!(
            table,
            "{kind:<24} {:>5} {median:>7} ms {longest:>7} ms",
            silences.len()
        );
    }
    table
}

#[test]
fn the_silence_of_the_slowest_partition_counts_from_the_last_answer_before_the_fault() {
    let event = Event {
        kind: "any".to_owned(),
        begin_ms: 100,
        end_ms: 1_000,
    };
    let arrivals = vec![
        vec![10, 20, 90, 500, 990, 5_000],
        vec![95, 110, 120, 995, 1_001, 9_000],
    ];
    // 990 to 5,000 touches it, 1,001 to 9,000 is later.
    assert_eq!(silence_ms(&event, &arrivals), 4_010);
    assert_eq!(silence_ms(&event, &arrivals[1..]), 875);
}
