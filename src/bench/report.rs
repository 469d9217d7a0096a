//! The result of a run, and its output.

use std::io::{self, Write};

use serde::Serialize;

use super::machine::Machine;
use super::options::{EXACTLY_ONCE_INTERVAL_MS, Options, SHAPE};
use super::series::{Key, Series, Spread, shown};

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The machine of the run.
    pub machine: Machine,
    /// Names and values of the settings.
    pub settings: Vec<(String, String)>,
    /// Duration of the run, in seconds.
    pub seconds: f64,
    /// All figures.
    pub series: Vec<Series>,
    /// Latencies over all rounds.
    pub curves: Vec<Curve>,
    /// Notes that a reader of the figures needs.
    pub notes: Vec<String>,
}

/// Latency by quantile.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// The rate.
    pub setting: String,
    /// The measured subject.
    pub subject: String,
    /// Number of requests.
    pub requests: u64,
    /// Nines of the quantile (1 is 90 %, 2 is 99 %) and milliseconds.
    pub points: Vec<(f64, f64)>,
}

impl Report {
    pub(super) fn new(machine: Machine, options: &Options) -> Report {
        let settings = [
            ("rounds", options.rounds.to_string()),
            ("requests of a backlog", options.requests.to_string()),
            ("seconds of each latency", options.seconds.to_string()),
            ("partitions, unless varied", SHAPE.partitions.to_string()),
            ("names, unless varied", SHAPE.names.to_string()),
            ("request, key and value", "45 bytes".to_owned()),
            (
                "interval of exactly_once, unless varied",
                format!("{EXACTLY_ONCE_INTERVAL_MS} ms"),
            ),
            (
                "serve",
                "a process of its own, config/default.toml, but for topics, group, instance_id, \
                 http.address, log.format and what a line names"
                    .to_owned(),
            ),
            ("flags passed on to it", options.passed.join(" ")),
        ];
        Report {
            machine,
            settings: settings
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec(),
            seconds: 0.0,
            series: Vec::new(),
            curves: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Returns the report as one JSON document.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Prints machine, settings, figures and notes; `table` prints rows under their heads.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print<W: Write>(
        &self,
        out: &mut W,
        table: impl Fn(&mut W, &[&str], Vec<Vec<String>>) -> io::Result<()>,
    ) -> io::Result<()> {
        writeln!(out)?;
        for (name, value) in self.machine.lines() {
            writeln!(out, "{name:<14}{value}")?;
        }
        for (name, value) in self.settings.iter().filter(|(_, value)| !value.is_empty()) {
            writeln!(out, "{name}: {value}")?;
        }
        let mut told: Vec<&str> = Vec::new();
        for series in &self.series {
            let scenario = series.key.scenario;
            if !told.contains(&scenario) {
                told.push(scenario);
                let rows = self.rows(scenario);
                writeln!(
                    out,
                    "\n{scenario}, over the rounds; the ratio is within each round"
                )?;
                table(out, &HEADS, rows)?;
            }
        }
        if !self.notes.is_empty() {
            writeln!(out)?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        Ok(())
    }

    fn rows(&self, scenario: &str) -> Vec<Vec<String>> {
        let mut series: Vec<&Series> = self
            .series
            .iter()
            .filter(|series| series.key.scenario == scenario)
            .collect();
        series.sort_by_key(|series| self.place(series));
        let rows = series.iter().map(|series| {
            let spread = |spread: Option<Spread>| {
                let of = |pick: fn(&Spread) -> f64| {
                    spread.as_ref().map_or_else(String::new, |s| shown(pick(s)))
                };
                [of(|s| s.min), of(|s| s.median), of(|s| s.max)]
            };
            let key = &series.key;
            let mut row = vec![
                key.setting.clone(),
                key.figure.as_str().to_owned(),
                key.subject.clone(),
            ];
            row.extend(spread(series.spread));
            row.extend(spread(series.ratio));
            row.push(series.against.clone().unwrap_or_default());
            row
        });
        rows.collect()
    }

    /// Sorts by setting and figure in the order of their first measurement, then by subject.
    fn place(&self, series: &Series) -> (usize, usize) {
        let first = |same: &dyn Fn(&Key) -> bool| {
            let mut keys = self.series.iter().map(|series| &series.key);
            keys.position(same).unwrap_or(0)
        };
        let key = &series.key;
        let setting =
            first(&|other| other.scenario == key.scenario && other.setting == key.setting);
        let figure = first(&|other| {
            other.scenario == key.scenario
                && other.setting == key.setting
                && other.figure == key.figure
        });
        (setting, figure)
    }
}

/// Column heads of figures. Columns from the fourth on hold numbers.
const HEADS: [&str; 10] = [
    "SETTING",
    "FIGURE",
    "SUBJECT",
    "MIN",
    "MEDIAN",
    "MAX",
    "RATIO MIN",
    "MEDIAN",
    "MAX",
    "AGAINST",
];
