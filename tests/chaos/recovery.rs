//! Measures the time for which clients get no answer. For each fault it is the longest silence of any partition, from
//! the last answer before the fault to the first answer after it. The times are printed, and never asserted.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::support::service::{HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS};
use crate::support::tail::WHOLE_BYTES;

use super::faults::{Fault, MEASURED};

/// The transaction timeout of the instances.
const TRANSACTION_TIMEOUT_MS: u64 = 5_000;
/// The interval at which brokers look for transactions that have timed out: Kafka's default.
pub const CLEAN_UP_INTERVAL_MS: u64 = 10_000;
const CLEAN_UP_INTERVAL: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms";

/// The properties of the brokers for these times.
pub fn broker_properties() -> Vec<(String, String)> {
    let interval_ms = CLEAN_UP_INTERVAL_MS.to_string();
    [
        (CLEAN_UP_INTERVAL, interval_ms.as_str()),
        // docs/operations.md recommends this value. A broker that is back before its session has ended stays
        // leader, with records that only it has, and may half commit a transaction with them
        // (docs/verification.md).
        ("broker.session.timeout.ms", "3000"),
        ("broker.heartbeat.interval.ms", "500"),
        // The judge reads a whole partition at once.
        ("fetch.max.bytes", WHOLE_BYTES),
    ]
    .map(|(property, value)| (property.to_owned(), value.to_owned()))
    .into()
}

/// Sets `failover.silence_ms` of the instances. 0 turns failover off. The default is the one of the service.
const SILENCE_VARIABLE: &str = "SEQUENCER_CHAOS_SILENCE_MS";

/// The settings of the instances for these times, in addition to those of every test.
pub fn settings() -> Vec<String> {
    let mut settings = vec![format!(
        "kafka.transaction.timeout.ms={TRANSACTION_TIMEOUT_MS}"
    )];
    if let Ok(silence_ms) = std::env::var(SILENCE_VARIABLE) {
        settings.push(format!("failover.silence_ms={silence_ms}"));
    }
    settings
}

/// The longest silence that the project allows, on a dedicated machine. An instance that leaves hands over in a
/// tenth of a session. For an instance that is killed, the session and its transaction must end first.
fn bar_ms(kind: &str) -> Option<u64> {
    let [kill, terminate] = MEASURED.map(|instances| Fault::Instances(instances).kind());
    if kind == terminate {
        Some(SESSION_TIMEOUT_MS / 10)
    } else if kind == kill {
        let longer_ms = SESSION_TIMEOUT_MS.max(TRANSACTION_TIMEOUT_MS);
        Some((longer_ms + CLEAN_UP_INTERVAL_MS) * 13 / 10)
    } else {
        None
    }
}

/// The name for the time between two faults.
pub const CALM: &str = "calm";

/// A fault and its times, in ms since the start.
#[derive(Clone, Debug)]
pub struct Event {
    /// The name under which the fault is counted.
    pub kind: String,
    pub begin_ms: u64,
    /// The time at which the next fault began, or the load ended.
    pub end_ms: u64,
}

/// The longest time between two answers of one partition that overlaps an event.
struct Silence {
    partition: usize,
    from_ms: u64,
    lasted_ms: u64,
}

/// The times between two answers of a partition that overlap an event.
fn gaps<'a>(event: &Event, arrivals: &'a [u64]) -> impl Iterator<Item = &'a [u64]> {
    // The last answer before the event belongs to it.
    let from = arrivals
        .partition_point(|at| *at <= event.begin_ms)
        .saturating_sub(1);
    let end_ms = event.end_ms;
    let gaps = arrivals[from..].windows(2);
    gaps.take_while(move |gap| gap[0] < end_ms)
}

fn silence(event: &Event, arrivals: &[Vec<u64>]) -> Option<Silence> {
    let longest = |(partition, arrivals): (usize, &Vec<u64>)| {
        gaps(event, arrivals)
            .map(|gap| Silence {
                partition,
                from_ms: gap[0],
                lasted_ms: gap[1] - gap[0],
            })
            .max_by_key(|silence| silence.lasted_ms)
    };
    let each = arrivals.iter().enumerate();
    each.filter_map(longest)
        .max_by_key(|silence| silence.lasted_ms)
}

/// The longest silence of any partition between two faults. A silence that began earlier counts, but its part after the
/// next fault began does not. It shows the silence that the load, its clients and the machine cause without faults.
pub fn calm_ms(calm: &Event, arrivals: &[Vec<u64>]) -> u64 {
    let gaps = arrivals.iter().flat_map(|arrivals| gaps(calm, arrivals));
    gaps.map(|gap| gap[1].min(calm.end_ms) - gap[0])
        .max()
        .unwrap_or(0)
}

pub fn silence_ms(event: &Event, arrivals: &[Vec<u64>]) -> u64 {
    silence(event, arrivals).map_or(0, |silence| silence.lasted_ms)
}

/// The place of the silence for each event whose kind has a bar.
pub fn measured(events: &[Event], arrivals: &[Vec<u64>]) -> String {
    let mut lines = String::new();
    for event in events.iter().filter(|event| bar_ms(&event.kind).is_some()) {
        if let Some(silence) = silence(event, arrivals) {
            let after_ms = silence.from_ms as i64 - event.begin_ms as i64;
            let _ = writeln!(
                lines,
                "{:>7.1} s  {}: {} ms of silence on partition {}, from {after_ms} ms after it",
                event.begin_ms as f64 / 1e3,
                event.kind,
                silence.lasted_ms,
                silence.partition
            );
        }
    }
    lines
}

/// A table with kind, count, median and maximum, which says whether each median is within its bar. `calms` are the
/// times between recovery and the next fault.
pub fn table(events: &[Event], calms: &[Event], arrivals: &[Vec<u64>]) -> String {
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for calm in calms {
        let silence = calm_ms(calm, arrivals);
        kinds.entry(&calm.kind).or_default().push(silence);
    }
    for event in events {
        let silence = silence_ms(event, arrivals);
        kinds.entry(&event.kind).or_default().push(silence);
    }
    let mut table = format!(
        "heartbeat {HEARTBEAT_INTERVAL_MS} ms, session {SESSION_TIMEOUT_MS} ms, transaction \
         {TRANSACTION_TIMEOUT_MS} ms, brokers' {CLEAN_UP_INTERVAL} {CLEAN_UP_INTERVAL_MS}\n\
         {:<24} {:>5} {:>10} {:>10} {:>10}\n",
        "fault", "times", "median", "longest", "bar"
    );
    for (kind, mut silences) in kinds {
        silences.sort_unstable();
        let median = silences[silences.len() / 2];
        let longest = silences[silences.len() - 1];
        let _ = write!(
            table,
            "{kind:<24} {:>5} {median:>7} ms {longest:>7} ms",
            silences.len()
        );
        if let Some(bar) = bar_ms(kind) {
            let met = if median <= bar { "met" } else { "missed" };
            let _ = write!(table, " {bar:>7} ms {met}");
        }
        table.push('\n');
    }
    table
}

/// The times from the append of a request to its first reply.
pub fn waits(mut waits: Vec<(i64, (i32, i64))>) -> String {
    waits.sort_unstable();
    let Some((longest_ms, (partition, offset))) = waits.last() else {
        return "no answers".to_owned();
    };
    let median_ms = waits[waits.len() / 2].0;
    let late_ms = waits[waits.len() * 999 / 1_000].0;
    format!(
        "{} answers: median {median_ms} ms, 99.9 % within {late_ms} ms, longest {longest_ms} ms (request \
         {partition}:{offset})",
        waits.len()
    )
}

#[test]
fn the_longest_wait_names_its_request() {
    let text = waits(vec![(47_000, (2, 10)), (5, (0, 1)), (7, (1, 1))]);
    assert_eq!(
        text,
        "3 answers: median 7 ms, 99.9 % within 47000 ms, longest 47000 ms (request 2:10)"
    );
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
    // The gap from 990 to 5,000 overlaps the event. The gap from 1,001 to 9,000 is later.
    assert_eq!(silence_ms(&event, &arrivals), 4_010);
    assert_eq!(silence_ms(&event, &arrivals[1..]), 875);
}

#[test]
fn a_calm_ends_with_the_next_fault() {
    let calm = Event {
        kind: CALM.to_owned(),
        begin_ms: 100,
        end_ms: 1_000,
    };
    let arrivals = vec![vec![10, 90, 200, 900, 5_000], vec![20, 450, 990]];
    assert_eq!(calm_ms(&calm, &arrivals), 700);
    let arrivals = vec![vec![10, 450, 5_000], vec![20, 450, 990]];
    assert_eq!(calm_ms(&calm, &arrivals), 550, "the fault cuts it");
}

#[test]
fn the_bars_are_said_beside_the_medians() {
    let event = |kind: &str, begin_ms| Event {
        kind: kind.to_owned(),
        begin_ms,
        end_ms: begin_ms + 1_000,
    };
    let events = [
        event("instance SIGTERM", 1_000),
        event("instance SIGKILL", 5_000),
        event("link slow", 50_000),
    ];
    let arrivals = [vec![999, 1_700, 4_999, 25_700, 50_000, 50_100]];
    let table = table(&events, &[], &arrivals);
    assert!(table.contains(&format!("heartbeat {HEARTBEAT_INTERVAL_MS} ms")));
    let line = |start: &str| table.lines().find(|line| line.starts_with(start));
    assert!(line("instance SIGTERM").unwrap().ends_with("600 ms missed"));
    assert!(line("instance SIGKILL").unwrap().ends_with("20800 ms met"));
    assert!(line("link slow").unwrap().ends_with("100 ms"));
}
