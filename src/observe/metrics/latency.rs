//! The latency histogram. The engine counts in an array of its own, which is added to the histogram at
//! intervals.
//!
//! The library's histogram takes one observation at a time, with several atomic operations each. Here, one step counts
//! all requests that are answered together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Error, Registry};

use super::names::{REPLY_LATENCY, REPLY_LATENCY_SINCE};

/// Upper bounds of latencies in microseconds. An echo over one broker takes about a millisecond; a pause or a
/// takeover takes seconds.
static BOUNDS_US: [u64; 17] = [
    250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Latencies since they were last added to the histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Counts by [`BOUNDS_US`], with one more for all latencies above.
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Tally {
    /// Counts `count` answers with this latency.
    pub(crate) fn add(&mut self, took: Duration, count: u64) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound_us| *bound_us < took_us);
        if let Some(sum) = self.counts.get_mut(bucket) {
            *sum += count;
        }
        self.sum_us = self.sum_us.saturating_add(took_us.saturating_mul(count));
    }

    /// Number of counted answers.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The start of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// The broker's timestamp of the request.
    Append,
    /// The time at which the engine received the request.
    Receipt,
}

#[derive(Debug, Default)]
struct Sums {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Sums {
    fn add(&self, tally: &Tally) {
        for (sum, count) in self.counts.iter().zip(tally.counts) {
            if count > 0 {
                sum.fetch_add(count, Ordering::Relaxed);
            }
        }
        self.sum_us.fetch_add(tally.sum_us, Ordering::Relaxed);
    }

    fn histogram(&self) -> Histogram {
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(BOUNDS_US.len());
        let mut counts = self.counts.iter().map(|sum| sum.load(Ordering::Relaxed));
        for (bound_us, count) in BOUNDS_US.iter().zip(counts.by_ref()) {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(Duration::from_micros(*bound_us).as_secs_f64());
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        cumulative += counts.sum::<u64>();
        let sum_us = self.sum_us.load(Ordering::Relaxed);
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(cumulative);
        histogram.set_sample_sum(Duration::from_micros(sum_us).as_secs_f64());
        histogram
    }
}

/// The histogram, one series for each [`Since`]. Clones share it.
#[derive(Clone)]
pub(crate) struct Latency {
    desc: Desc,
    append: Arc<Sums>,
    receipt: Arc<Sums>,
}

impl Latency {
    pub(super) fn register(registry: &Registry) -> Result<Latency, Error> {
        let (name, help) = REPLY_LATENCY;
        let latency = Latency {
            desc: Desc::new(
                name.to_owned(),
                help.to_owned(),
                vec![REPLY_LATENCY_SINCE.to_owned()],
                std::collections::HashMap::new(),
            )?,
            append: Arc::default(),
            receipt: Arc::default(),
        };
        registry.register(Box::new(latency.clone()))?;
        Ok(latency)
    }

    /// Adds the counts of `tally` and empties it.
    pub(crate) fn take(&self, since: Since, tally: &mut Tally) {
        self.sums(since).add(&std::mem::take(tally));
    }

    /// Upper bounds in microseconds, and the answers in each bucket since the start, with one more bucket for
    /// all latencies above.
    pub(crate) fn counts(&self, since: Since) -> (&'static [u64], Vec<u64>) {
        let sums = self.sums(since).counts.iter();
        let counts = sums.map(|sum| sum.load(Ordering::Relaxed)).collect();
        (&BOUNDS_US, counts)
    }

    fn sums(&self, since: Since) -> &Sums {
        match since {
            Since::Append => &self.append,
            Since::Receipt => &self.receipt,
        }
    }
}

impl Collector for Latency {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = [("append", Since::Append), ("receipt", Since::Receipt)];
        let metrics = series.map(|(word, since)| {
            let mut label = LabelPair::default();
            label.set_name(REPLY_LATENCY_SINCE.to_owned());
            label.set_value(word.to_owned());
            let mut metric = Metric::from_label(vec![label]);
            metric.set_histogram(self.sums(since).histogram());
            metric
        });
        let (name, help) = REPLY_LATENCY;
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.into());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_counts_in_the_buckets_at_and_above_it() {
        let registry = Registry::new();
        let latency = Latency::register(&registry).unwrap();
        let mut tally = Tally::default();
        tally.add(Duration::from_millis(1), 3);
        tally.add(Duration::from_millis(7), 2);
        tally.add(Duration::from_secs(100), 1);
        assert_eq!(tally.count(), 6);
        latency.take(Since::Append, &mut tally);
        assert_eq!(tally, Tally::default());
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for line in [
            "sequencer_reply_latency_seconds_bucket{since=\"append\",le=\"0.0005\"} 0",
            "sequencer_reply_latency_seconds_bucket{since=\"append\",le=\"0.001\"} 3",
            "sequencer_reply_latency_seconds_bucket{since=\"append\",le=\"0.01\"} 5",
            "sequencer_reply_latency_seconds_bucket{since=\"append\",le=\"+Inf\"} 6",
            "sequencer_reply_latency_seconds_sum{since=\"append\"} 100.017",
            "sequencer_reply_latency_seconds_count{since=\"append\"} 6",
            "sequencer_reply_latency_seconds_count{since=\"receipt\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
