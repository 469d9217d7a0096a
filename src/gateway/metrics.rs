//! The metrics of a gateway.

use prometheus::{Error, Histogram, IntCounterVec, IntGauge, Registry};

use super::spans::{DROPPED, FAILED, SENT};
use crate::observe::metrics::names::Named;
use crate::observe::metrics::register::{counters, gauge, histogram, program};

/// Answers, by HTTP `status`.
const ANSWERS: Named = (
    "sequencer_gateway_answers_total",
    "Answers of the gateway to calls, by HTTP status.",
);
/// Calls that wait for a reply.
const IN_FLIGHT: Named = (
    "sequencer_gateway_calls_in_flight",
    "Calls whose record is written or is about to be, and has no reply yet.",
);
/// Durations of calls, in seconds.
const DURATION: Named = (
    "sequencer_gateway_call_duration_seconds",
    "Time from the head of a request to its answer.",
);
/// 1 while the gateway takes calls.
const READY: Named = (
    "sequencer_gateway_ready",
    "1 if the gateway takes calls, 0 if it answers 503.",
);

/// Spans, by `result`.
const SPANS: Named = (
    "sequencer_gateway_spans_total",
    "Spans of calls: sent to the collector, failed to reach it, or dropped because too many waited.",
);

/// Upper bounds of times in seconds: a round trip takes milliseconds, a takeover seconds.
const SECONDS: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0,
];

/// Every metric. Clones share them.
#[derive(Clone)]
pub(super) struct Metrics {
    answers: IntCounterVec,
    pub in_flight: IntGauge,
    pub duration_seconds: Histogram,
    pub ready: IntGauge,
    pub spans: IntCounterVec,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Metrics, Error> {
        let answers = counters(registry, ANSWERS, "status")?;
        // These series begin at 0, so that a rate over their first event is right.
        for status in [200, 503, 504] {
            answers.get_metric_with_label_values(&[&status.to_string()])?;
        }
        let spans = counters(registry, SPANS, "result")?;
        for result in [SENT, FAILED, DROPPED] {
            spans.get_metric_with_label_values(&[result])?;
        }
        program(registry)?;
        Ok(Metrics {
            answers,
            in_flight: gauge(registry, IN_FLIGHT)?,
            duration_seconds: histogram(registry, DURATION, &SECONDS)?,
            ready: gauge(registry, READY)?,
            spans,
        })
    }

    /// Counts an answer. The statuses are few and fixed.
    pub(super) fn answered(&self, status: u16) {
        self.answers.with_label_values(&[&status.to_string()]).inc();
    }
}
