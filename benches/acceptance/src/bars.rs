//! The bars: the values that figures must reach.

use sequencer::bench::drains::BASE;
use sequencer::bench::figure::{ECHO, ECHO_ADAPTIVE, EQUAL_BYTES, FLOOR, Figure, Quantile};
use sequencer::bench::latency;
use sequencer::bench::options::{EXACTLY_ONCE_INTERVAL_MS, SHAPE};
use sequencer::bench::series::{Series, Spread, ratio, shown};
use sequencer::bench::server::Mode;
use serde::Serialize;

use crate::drains::{AUDIT, NONE, REQUEST_ID, names_setting, partitions_setting};
use crate::figures::{BYTES_PER_SEQUENCE, CHECKPOINT_MS, RECORDS, RECORDS_RATE, SERVE};
use crate::restore;
use crate::scenario::Scenario;
use crate::verified::Verified;

const DRAIN: &str = Scenario::Drain.as_str();
const LATENCY: &str = Scenario::Latency.as_str();
/// The rate at which latencies are judged, in requests a second.
const RATE: u64 = 1_000;
/// The judged numbers of names and partitions.
const MANY_NAMES: u64 = 1_000_000;
const MANY_PARTITIONS: u32 = 64;

/// From this share of all cores on, subject and broker together use every core.
const EVERY_CORE: f64 = 0.9;
/// The factor that reduces the inverse of the ratio of CPU.
const CPU_MARGIN: f64 = 0.95;
/// Two figures of one kind differ by noise within this factor.
const NOISE: f64 = 1.3;

/// A bar and the measured value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// The judged figure.
    pub what: String,
    /// The required value, such as `0.95 or more`.
    pub bar: String,
    /// The median, or the reason why there is none.
    pub measured: String,
    /// True when the bar is reached; none when it was not measured.
    pub met: Option<bool>,
}

#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn met(self, value: f64) -> bool {
        match self {
            Limit::AtLeast(limit) => value >= limit,
            Limit::AtMost(limit) => value <= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Limit::AtLeast(limit) => format!("{} or more", shown(limit)),
            Limit::AtMost(limit) => format!("{} or less", shown(limit)),
        }
    }
}

struct Lookup<'a>(&'a [Series]);

impl<'a> Lookup<'a> {
    fn series(
        &self,
        scenario: &str,
        setting: &str,
        subject: &str,
        figure: Figure,
    ) -> Option<&'a Series> {
        self.0.iter().find(|series| {
            let key = &series.key;
            key.scenario == scenario
                && key.setting == setting
                && key.subject == subject
                && key.figure == figure
        })
    }

    /// The spread of the ratios of two series of one scenario, each identified by setting and subject.
    fn ratio(
        &self,
        scenario: &str,
        figure: Figure,
        this: (&str, &str),
        that: (&str, &str),
    ) -> Option<Spread> {
        let this = self.series(scenario, this.0, this.1, figure)?;
        let that = self.series(scenario, that.0, that.1, figure)?;
        ratio(&this.rounds, &that.rounds)
    }

    fn median(&self, scenario: &str, setting: &str, subject: &str, figure: Figure) -> Option<f64> {
        let series = self.series(scenario, setting, subject, figure)?;
        series.spread.map(|spread| spread.median)
    }

    /// The ratio of a drain to the equal-bytes floor.
    fn drain(&self, subject: &str) -> Option<Spread> {
        self.ratio(DRAIN, Figure::Rate, (BASE, subject), (BASE, EQUAL_BYTES))
    }

    /// The bar of a drain. If subject and broker use every core, their CPU sets the bar.
    fn drain_limit(&self, subject: &str, usual: f64) -> (Limit, String) {
        let usual_bar = (Limit::AtLeast(usual), String::new());
        let median = |subject: &str, figure| self.median(DRAIN, BASE, subject, figure);
        let total =
            |subject| Some(median(subject, Figure::Cpu)? + median(subject, Figure::BrokerCpu)?);
        let (Some(busy), Some(serve), Some(floor)) = (
            median(subject, Figure::Busy),
            total(subject),
            total(EQUAL_BYTES),
        ) else {
            return usual_bar;
        };
        let allowed = CPU_MARGIN * floor / serve;
        if busy < EVERY_CORE || allowed >= usual {
            return usual_bar;
        }
        let why = format!(
            " (every core is used, and server and broker take {} times the CPU; else {} or more)",
            shown(serve / floor),
            shown(usual)
        );
        (Limit::AtLeast(allowed), why)
    }

    /// The echo with the lower latency.
    fn echo(&self, figure: Figure) -> Option<&'static str> {
        let setting = latency::setting(RATE);
        let median = |subject| self.median(LATENCY, &setting, subject, figure);
        match (median(ECHO), median(ECHO_ADAPTIVE)) {
            (Some(swift), Some(adaptive)) if adaptive < swift => Some(ECHO_ADAPTIVE),
            (Some(_), _) => Some(ECHO),
            _ => None,
        }
    }

    fn latency(&self, subject: &str, figure: Figure) -> Option<Spread> {
        let setting = latency::setting(RATE);
        let echo = self.echo(figure)?;
        self.ratio(LATENCY, figure, (&setting, subject), (&setting, echo))
    }
}

fn judge_one(what: &str, limit: Limit, why: &str, value: Option<f64>) -> Bar {
    Bar {
        what: what.to_owned(),
        bar: format!("{}{why}", limit.text()),
        measured: value.map_or_else(|| "not measured".to_owned(), shown),
        met: value.map(|value| limit.met(value)),
    }
}

/// Judges every bar by the medians of the series.
pub fn judge(series: &[Series], cores: usize, rewrite_floor: u64) -> Vec<Bar> {
    let lookup = Lookup(series);
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let immediate = Mode::IMMEDIATE.name();
    let exactly_once = Mode::exactly_once(EXACTLY_ONCE_INTERVAL_MS).name();
    let mut bars = Vec::new();
    let mut add = |what: String, limit, why: &str, value| {
        bars.push(judge_one(&what, limit, why, value));
    };

    for (subject, usual) in [(&immediate, 0.95), (&exactly_once, 0.9)] {
        let (limit, why) = lookup.drain_limit(subject, usual);
        let value = median(lookup.drain(subject));
        add(
            format!("{subject}: drain against the {EQUAL_BYTES}"),
            limit,
            &why,
            value,
        );
    }
    let cpu = lookup.ratio(DRAIN, Figure::Cpu, (BASE, &immediate), (BASE, EQUAL_BYTES));
    add(
        format!("{immediate}: CPU a request against the {EQUAL_BYTES}"),
        Limit::AtMost(1.25),
        "",
        median(cpu),
    );
    let at = latency::setting(RATE);
    for (subject, quantile, limit) in [
        (&immediate, Quantile::P50, 1.15),
        (&immediate, Quantile::P99, 1.5),
        (&exactly_once, Quantile::P50, 5.0),
    ] {
        let (name, figure) = (quantile.as_str(), Figure::Latency(quantile));
        add(
            format!("{subject}: {name} at {at} against the echo"),
            Limit::AtMost(limit),
            "",
            median(lookup.latency(subject, figure)),
        );
    }
    let (many, few) = (names_setting(MANY_NAMES), names_setting(SHAPE.names));
    let (many, few) = (
        (many.as_str(), immediate.as_str()),
        (few.as_str(), immediate.as_str()),
    );
    add(
        format!(
            "{immediate}: drain with {} names against {}",
            shown(MANY_NAMES as f64),
            SHAPE.names
        ),
        Limit::AtLeast(0.8),
        "",
        median(lookup.ratio(Scenario::Names.as_str(), Figure::Rate, many, few)),
    );
    let wide = partitions_setting(MANY_PARTITIONS);
    add(
        format!("{immediate}: drain with {wide} against the {EQUAL_BYTES} there"),
        Limit::AtLeast(0.9),
        "",
        median(lookup.ratio(
            Scenario::Partitions.as_str(),
            Figure::Rate,
            (&wide, &immediate),
            (&wide, EQUAL_BYTES),
        )),
    );
    let beside = [
        (REQUEST_ID, "a request_id on each request", 0.8),
        (AUDIT, "audit of each sequence", 0.6),
    ];
    for ((scenario, setting), what, least) in beside {
        let with = (setting, immediate.as_str());
        add(
            format!("{immediate}: drain with {what} against none"),
            Limit::AtLeast(least),
            "",
            median(lookup.ratio(scenario, Figure::Rate, with, (NONE, &immediate))),
        );
    }
    restores(series, rewrite_floor, &mut add);
    // A floor that is slower than a measured subject proves nothing.
    if let Some(floors) = lookup.ratio(DRAIN, Figure::Rate, (BASE, FLOOR), (BASE, EQUAL_BYTES)) {
        bars.push(Bar {
            what: format!(
                "{FLOOR} (same bytes) against the {EQUAL_BYTES}, {cores} cores, {} partitions",
                SHAPE.partitions
            ),
            bar: "no bar; less to write is faster".to_owned(),
            measured: shown(floors.median),
            met: None,
        });
    }
    bars
}

/// The bar of the findings of `verify` in the logs of the run; none when nothing was verified.
pub fn promise(verified: Verified) -> Option<Bar> {
    let Verified {
        logs,
        requests,
        anomalies,
        failed,
    } = verified;
    (logs > 0).then(|| Bar {
        what: format!(
            "anomalies that verify found in {logs} logs of the service, {requests} requests"
        ),
        bar: "0".to_owned(),
        measured: match failed {
            0 => anomalies.to_string(),
            failed => format!("{anomalies}, and {failed} logs not verified"),
        },
        met: Some(verified.is_clean()),
    })
}

fn restores(
    series: &[Series],
    rewrite_floor: u64,
    add: &mut impl FnMut(String, Limit, &str, Option<f64>),
) {
    // Settings contain the number of sequences.
    let of = |figure: Figure| {
        series
            .iter()
            .filter(|series| {
                series.key.scenario == Scenario::Restore.as_str() && series.key.figure == figure
            })
            .filter(|series| series.key.subject == SERVE)
            .map(|series| (series.key.setting.clone(), series))
            .collect::<Vec<_>>()
    };
    let medians = |series: &Series| series.spread.map(|spread| spread.median);
    for (setting, series) in of(BYTES_PER_SEQUENCE) {
        let what = format!("memory of each idle sequence, bytes, {setting}");
        add(what, Limit::AtMost(150.0), "", medians(series));
    }
    for (setting, series) in of(RECORDS_RATE) {
        let ratio = series.ratio.map(|ratio| ratio.median);
        let what = format!("restore against a raw read, {setting}");
        add(what, Limit::AtLeast(0.8), "", ratio);
    }
    for (setting, series) in of(RECORDS) {
        let Some(live) = setting.split_once(" sequences, after") else {
            continue;
        };
        let Ok(live) = live.0.replace(',', "").parse() else {
            continue;
        };
        let what = format!("records read by a restore, {setting}");
        add(
            what,
            Limit::AtMost(restore::bound(live, rewrite_floor)),
            "",
            medians(series),
        );
    }
    let checkpoints: Vec<&Series> = series
        .iter()
        .filter(|series| series.key.scenario == restore::CHECKPOINT)
        .filter(|series| series.key.figure == CHECKPOINT_MS)
        .collect();
    let Some((alone, beside)) = checkpoints.split_first() else {
        return;
    };
    for series in beside {
        let against = ratio(&series.rounds, &alone.rounds);
        let what = format!(
            "checkpoint with {} against {}",
            series.key.setting, alone.key.setting
        );
        add(
            what,
            Limit::AtMost(NOISE),
            " (noise)",
            against.map(|ratio| ratio.median),
        );
    }
}

#[cfg(test)]
mod tests {
    use sequencer::bench::series::{Figures, Key};

    use super::*;

    fn drains(busy: f64, rate: f64) -> Vec<Series> {
        let mut figures = Figures::default();
        for (subject, figure, value) in [
            (EQUAL_BYTES, Figure::Rate, 1_000.0),
            (EQUAL_BYTES, Figure::Cpu, 1.0),
            (EQUAL_BYTES, Figure::BrokerCpu, 1.0),
            ("immediate", Figure::Rate, rate),
            ("immediate", Figure::Cpu, 1.5),
            ("immediate", Figure::BrokerCpu, 1.0),
            ("immediate", Figure::Busy, busy),
        ] {
            let key = Key {
                scenario: DRAIN,
                setting: BASE.to_owned(),
                subject: subject.to_owned(),
                figure,
            };
            figures.add(key, 0, value);
        }
        figures.finish()
    }

    #[test]
    fn a_bar_is_reached_by_the_ratio_or_where_every_core_is_used_by_the_cpu() {
        let met = |busy, rate| judge(&drains(busy, rate), 2, 0)[0].met;
        assert_eq!(met(0.5, 960.0), Some(true));
        assert_eq!(met(0.5, 940.0), Some(false));
        // 0.95 * 2.0 / 2.5 = 0.76
        assert_eq!(met(0.95, 770.0), Some(true));
        assert_eq!(met(0.95, 750.0), Some(false));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let bars = judge(&[], 2, 0);
        assert!(bars.len() >= 9 && bars.iter().all(|bar| bar.met.is_none()));
    }

    #[test]
    fn one_anomaly_breaks_the_promise() {
        let of = |logs, anomalies, failed| {
            promise(Verified {
                logs,
                requests: 10,
                anomalies,
                failed,
            })
        };
        assert_eq!(of(0, 0, 0), None);
        assert_eq!(of(2, 0, 0).and_then(|bar| bar.met), Some(true));
        assert_eq!(of(2, 1, 0).and_then(|bar| bar.met), Some(false));
        assert_eq!(of(2, 0, 1).and_then(|bar| bar.met), Some(false));
    }

    #[test]
    fn more_cpu_than_the_bar_allows_is_not_met() {
        let bars = judge(&drains(0.5, 960.0), 2, 0);
        let cpu = bars.iter().find(|bar| bar.what.contains("CPU")).unwrap();
        assert_eq!((cpu.measured.as_str(), cpu.met), ("1.50", Some(false)));
    }
}
