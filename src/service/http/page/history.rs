//! The last minutes of an instance: its rate and its latency, for the charts. The instance keeps them itself, so that
//! a chart is there at the first look and stays after a search.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::observe::clock::unix_ms;
use crate::observe::metrics::Metrics;
use crate::observe::metrics::latency::Since;
use crate::observe::status::{Shared, Status};

/// The time between two points: as often as an open page is brought up to date.
const STEP: Duration = Duration::from_secs(2);
/// The time that the charts show.
pub(super) const SHOWN_MS: u64 = 300_000;
/// Most points: those of [`SHOWN_MS`]. A point has 40 bytes.
const POINTS_MAX: usize = 150;

/// A point of the charts: the requests between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// The time of the later sample, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Answered requests a second.
    pub rate: f64,
    /// Half of the answers took at most so long, in milliseconds. None without answers.
    pub p50_ms: Option<f64>,
    /// 99 % of the answers took at most so long, in milliseconds. None without answers.
    pub p99_ms: Option<f64>,
}

/// The points and the rates of the partitions. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Recent>>);

#[derive(Default)]
struct Recent {
    points: VecDeque<Point>,
    last: Option<Sample>,
    offsets: BTreeMap<i32, Seen>,
}

/// Counters at a time.
struct Sample {
    unix_ms: u64,
    requests: u64,
    /// Upper bounds of the buckets of `latency`, in microseconds.
    bounds_us: &'static [u64],
    latency: Vec<u64>,
}

/// The next offset of a partition at a time of its owner's clock, and the records a second before that.
struct Seen {
    unix_ms: u64,
    next_offset: i64,
    rate: Option<f64>,
}

impl History {
    /// Samples until it is dropped.
    pub(crate) async fn follow(self, status: Shared, metrics: Metrics) {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut recent = self.lock();
            recent.sample(Sample::of(&metrics, unix_ms()));
            recent.offsets(&status.read(), unix_ms());
        }
    }

    /// The points, oldest first.
    pub(super) fn points(&self) -> Vec<Point> {
        self.lock().points.iter().copied().collect()
    }

    /// The records a second of each partition for which they are known.
    pub(super) fn rates(&self) -> BTreeMap<i32, f64> {
        let recent = self.lock();
        let offsets = recent.offsets.iter();
        offsets
            .filter_map(|(partition, seen)| Some((*partition, seen.rate?)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sample {
    fn of(metrics: &Metrics, unix_ms: u64) -> Sample {
        let (bounds_us, latency) = metrics.latency.counts(Since::Append);
        Sample {
            unix_ms,
            requests: metrics.requests_granted.get()
                + metrics.requests_repeated.get()
                + metrics.requests_operated.get()
                + metrics.requests_rejected.get(),
            bounds_us,
            latency,
        }
    }
}

impl Recent {
    fn sample(&mut self, sample: Sample) {
        if let Some(point) = self.last.as_ref().and_then(|last| point(last, &sample)) {
            if self.points.len() == POINTS_MAX {
                self.points.pop_front();
            }
            self.points.push_back(point);
        }
        self.last = Some(sample);
    }

    /// Notes the next offsets of the partitions here, as of `unix_ms`, and of those that peers told.
    fn offsets(&mut self, status: &Status, unix_ms: u64) {
        let told = status.peers.values().filter_map(|peer| peer.told.as_ref());
        let own = (unix_ms, &status.partitions);
        let all = told
            .map(|told| (told.unix_ms, &told.partitions))
            .chain([own]);
        let mut offsets = BTreeMap::new();
        for (unix_ms, partitions) in all {
            for (partition, status) in partitions {
                let before = self.offsets.get(partition);
                offsets.insert(*partition, Seen::after(before, unix_ms, status.next_offset));
            }
        }
        self.offsets = offsets;
    }
}

impl Seen {
    fn after(before: Option<&Seen>, unix_ms: u64, next_offset: i64) -> Seen {
        let rate = before.and_then(|before| match unix_ms.checked_sub(before.unix_ms)? {
            // The peer has told nothing since.
            0 => before.rate,
            took_ms => {
                let records = next_offset.checked_sub(before.next_offset)?;
                let is_known = before.next_offset >= 0 && records >= 0;
                is_known.then(|| per_second(records.unsigned_abs(), took_ms))
            }
        });
        Seen {
            unix_ms,
            next_offset,
            rate,
        }
    }
}

/// The point between two samples. None when a counter or the clock has stepped back.
fn point(before: &Sample, after: &Sample) -> Option<Point> {
    let took_ms = after.unix_ms.checked_sub(before.unix_ms)?;
    let requests = after.requests.checked_sub(before.requests)?;
    if took_ms == 0 {
        return None;
    }
    let buckets = after.latency.iter().zip(&before.latency);
    let counts: Vec<u64> = buckets
        .map(|(after, before)| after.saturating_sub(*before))
        .collect();
    Some(Point {
        unix_ms: after.unix_ms,
        rate: per_second(requests, took_ms),
        p50_ms: quantile_ms(0.5, after.bounds_us, &counts),
        p99_ms: quantile_ms(0.99, after.bounds_us, &counts),
    })
}

#[allow(clippy::cast_precision_loss, reason = "counts in a chart")]
fn per_second(count: u64, took_ms: u64) -> f64 {
    count as f64 * 1_000.0 / took_ms as f64
}

/// The latency that this share of the answers stays below, interpolated in its bucket.
#[allow(clippy::cast_precision_loss, reason = "counts in a chart")]
fn quantile_ms(share: f64, bounds_us: &[u64], counts: &[u64]) -> Option<f64> {
    let wanted = share * counts.iter().sum::<u64>() as f64;
    let mut below = 0.0;
    for (bucket, count) in counts.iter().map(|count| *count as f64).enumerate() {
        if count > 0.0 && below + count >= wanted {
            let bound = |bucket: usize| bounds_us.get(bucket).map(|bound| *bound as f64);
            let from = bucket.checked_sub(1).and_then(bound).unwrap_or(0.0);
            // The last bucket has no upper bound.
            let to = bound(bucket).unwrap_or(from);
            return Some((from + (to - from) * (wanted - below) / count) / 1_000.0);
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::status::{PartitionStatus, Peer};
    use crate::observe::told::Told;

    const BOUNDS_US: &[u64] = &[1_000, 2_000];

    fn sample(unix_ms: u64, requests: u64, latency: [u64; 3]) -> Sample {
        Sample {
            unix_ms,
            requests,
            bounds_us: BOUNDS_US,
            latency: latency.into(),
        }
    }

    #[test]
    fn a_point_is_what_happened_between_two_samples() {
        let mut recent = Recent::default();
        recent.sample(sample(10_000, 5, [5, 0, 0]));
        assert!(recent.points.is_empty(), "one sample is no rate");
        recent.sample(sample(12_000, 205, [105, 100, 0]));
        let point = Point {
            unix_ms: 12_000,
            rate: 100.0,
            p50_ms: Some(1.0),
            p99_ms: Some(1.98),
        };
        assert_eq!(recent.points, [point]);
        recent.sample(sample(14_000, 205, [105, 100, 0]));
        let idle = recent.points[1];
        assert_eq!((idle.rate, idle.p50_ms, idle.p99_ms), (0.0, None, None));
        recent.sample(sample(16_000, 210, [105, 100, 5]));
        assert_eq!(recent.points[2].p50_ms, Some(2.0), "above the last bound");
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_point_and_the_number_of_points_is_bounded() {
        let mut recent = Recent::default();
        for (unix_ms, requests) in [(10_000, 5), (9_000, 6), (9_000, 7), (9_500, 3)] {
            recent.sample(sample(unix_ms, requests, [0; 3]));
        }
        assert!(recent.points.is_empty());
        for step in 0..1_000 {
            recent.sample(sample(20_000 + 2_000 * step, step, [0; 3]));
        }
        assert_eq!(recent.points.len(), POINTS_MAX);
        assert_eq!(recent.points[POINTS_MAX - 1].unix_ms, 20_000 + 2_000 * 999);
    }

    #[test]
    fn a_partition_has_a_rate_by_the_clock_of_its_owner_whoever_owns_it() {
        let at = |next_offset| PartitionStatus {
            next_offset,
            ..PartitionStatus::default()
        };
        let status = |own, told_ms, other| {
            let told = Told {
                unix_ms: told_ms,
                partitions: [(1, at(other))].into(),
                ..Told::default()
            };
            let peer = Peer {
                age_ms: 0,
                told: Some(Arc::new(told)),
            };
            Status {
                partitions: [(0, at(own))].into(),
                peers: [("b".to_owned(), peer)].into(),
                ..Status::default()
            }
        };
        let history = History::default();
        history.lock().offsets(&status(-1, 70_000, 50), 1_000);
        assert!(history.rates().is_empty());
        history.lock().offsets(&status(10, 71_000, 60), 3_000);
        assert_eq!(
            history.rates(),
            [(1, 10.0)].into(),
            "0 was not known before"
        );
        history.lock().offsets(&status(40, 71_000, 60), 5_000);
        assert_eq!(history.rates(), [(0, 15.0), (1, 10.0)].into());
        history.lock().offsets(&status(30, 72_000, 60), 7_000);
        assert_eq!(history.rates(), [(1, 0.0)].into(), "0 went back");
        history.lock().offsets(&Status::default(), 9_000);
        assert!(history.rates().is_empty(), "no partition is known any more");
    }
}
