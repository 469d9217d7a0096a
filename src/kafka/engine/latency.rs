//! Measures the time from a request to its acknowledged reply.
//!
//! No clock is read for a single record. Requests of one poll that the broker appended together, as it does
//! with a producer's batch, are one *run*: the time of their arrival, and their number. Acknowledgements come
//! as numbers, and take runs from the front. They may overtake each other between reply partitions, so single
//! latencies may be swapped. Their sum, and so the mean, is exact all the same.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::core::NextOffset;
use crate::observe::metrics::Metrics;
use crate::observe::metrics::latency::{Since, Tally};

/// Most runs that are remembered, 4 MiB of them. Beyond that, requests join the last run. This happens only
/// with that many single requests in flight.
const RUNS_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug)]
struct Run {
    timestamp_ms: i64,
    received: Instant,
    /// Offset of the last request of the run.
    last: i64,
    count: u64,
}

/// Tracks requests until their replies are acknowledged or committed.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// When the records of the present poll came. The first record sets it.
    received: Option<Instant>,
    /// In `immediate` mode: replies that are sent and not acknowledged.
    sent: VecDeque<Run>,
    /// In `exactly_once` mode, by partition: replies that wait for their checkpoint.
    held: BTreeMap<i32, VecDeque<Run>>,
    append: Tally,
    receipt: Tally,
}

impl Latency {
    /// Begins a new poll: the next records came later than those before.
    pub(super) fn next_poll(&mut self) {
        self.received = None;
    }

    /// Notes that the reply to a record is sent.
    pub(super) fn sent(&mut self, timestamp_ms: i64) {
        let received = *self.received.get_or_insert_with(Instant::now);
        push(&mut self.sent, timestamp_ms, received, 0);
    }

    /// Notes that the reply to a record waits for the checkpoint that covers it.
    pub(super) fn held(&mut self, partition: i32, offset: i64, timestamp_ms: i64) {
        let received = *self.received.get_or_insert_with(Instant::now);
        let runs = self.held.entry(partition).or_default();
        push(runs, timestamp_ms, received, offset);
    }

    /// Counts acknowledged replies.
    pub(super) fn acknowledged(&mut self, replies: u64) {
        if replies == 0 || self.sent.is_empty() {
            return;
        }
        let now = Now::read();
        let mut left = replies;
        while left > 0
            && let Some(run) = self.sent.front_mut()
        {
            let count = run.count.min(left);
            now.count(run, count, &mut self.append, &mut self.receipt);
            left -= count;
            run.count -= count;
            if run.count == 0 {
                self.sent.pop_front();
            }
        }
    }

    /// Notes that the checkpoint up to `next` is committed, with the replies in it.
    pub(super) fn committed(&mut self, partition: i32, next: NextOffset) {
        let Some(runs) = self.held.get_mut(&partition) else {
            return;
        };
        let now = Now::read();
        while let Some(run) = runs.front()
            && run.last < next.0
        {
            now.count(run, run.count, &mut self.append, &mut self.receipt);
            runs.pop_front();
        }
    }

    /// Number of requests of a partition whose replies wait for their checkpoint.
    pub(super) fn waiting(&self, partition: i32) -> u64 {
        let runs = self.held.get(&partition);
        runs.map_or(0, |runs| runs.iter().map(|run| run.count).sum())
    }

    /// Forgets the waiting requests of a partition: it is restored, and will read them again.
    pub(super) fn forget(&mut self, partition: i32) {
        self.held.remove(&partition);
    }

    /// Forgets the waiting requests of partitions that are no longer owned.
    pub(super) fn keep(&mut self, owned: impl Fn(i32) -> bool) {
        self.held.retain(|partition, _| owned(*partition));
    }

    /// Adds the measured latencies to the metrics.
    pub(super) fn publish(&mut self, metrics: &Metrics) {
        metrics.latency.take(Since::Append, &mut self.append);
        metrics.latency.take(Since::Receipt, &mut self.receipt);
    }
}

fn push(runs: &mut VecDeque<Run>, timestamp_ms: i64, received: Instant, offset: i64) {
    let full = runs.len() >= RUNS_MAX;
    match runs.back_mut() {
        Some(run) if full || (run.timestamp_ms == timestamp_ms && run.received == received) => {
            run.count += 1;
            run.last = offset;
        }
        _ => runs.push_back(Run {
            timestamp_ms,
            received,
            last: offset,
            count: 1,
        }),
    }
}

struct Now {
    clock: Instant,
    unix_ms: i64,
}

impl Now {
    fn read() -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            clock: Instant::now(),
            unix_ms: since_1970
                .ok()
                .and_then(|since| i64::try_from(since.as_millis()).ok())
                .unwrap_or(0),
        }
    }

    fn count(&self, run: &Run, count: u64, append: &mut Tally, receipt: &mut Tally) {
        receipt.add(self.clock.saturating_duration_since(run.received), count);
        if run.timestamp_ms >= 0 {
            // The broker's clock may be ahead of this machine's.
            let took_ms = u64::try_from(self.unix_ms - run.timestamp_ms).unwrap_or(0);
            append.add(Duration::from_millis(took_ms), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_take_runs_from_the_front_and_no_more_than_there_are() {
        let mut latency = Latency::default();
        for _ in 0..3 {
            latency.sent(1_000);
        }
        latency.sent(1_001);
        assert_eq!(latency.sent.len(), 2);
        latency.acknowledged(2);
        assert_eq!(latency.receipt.count(), 2);
        assert_eq!(latency.sent.front().unwrap().count, 1);
        latency.acknowledged(9);
        assert_eq!((latency.receipt.count(), latency.append.count()), (4, 4));
        assert!(latency.sent.is_empty());
    }

    #[test]
    fn a_checkpoint_takes_what_it_covers_and_a_restore_forgets_the_rest() {
        let mut latency = Latency::default();
        latency.held(0, 10, 1_000);
        latency.next_poll();
        latency.held(0, 11, -1);
        latency.held(1, 5, 1_000);
        assert_eq!((latency.waiting(0), latency.waiting(1)), (2, 1));
        latency.committed(0, NextOffset(11));
        assert_eq!((latency.waiting(0), latency.waiting(2)), (1, 0));
        assert_eq!(latency.receipt.count(), 1);
        latency.committed(0, NextOffset(12));
        // A request without a timestamp counts from its receipt only.
        assert_eq!((latency.receipt.count(), latency.append.count()), (2, 1));
        latency.forget(1);
        latency.committed(1, NextOffset(6));
        assert_eq!(latency.receipt.count(), 2);
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let mut latency = Latency::default();
        for timestamp_ms in 0..120_000 {
            latency.sent(timestamp_ms);
        }
        assert_eq!(latency.sent.len(), RUNS_MAX);
        latency.acknowledged(u64::MAX);
        assert_eq!(latency.receipt.count(), 120_000);
    }
}
