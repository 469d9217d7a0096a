//! The acceptance benchmark of the project: more scenarios than `sequencer bench` has, bars for the figures,
//! charts, and a check of every answer. `make bench` runs it.
//!
//! It measures with the parts of `sequencer bench`, so its figures are the same figures.
//!
//! | file | subject |
//! |---|---|
//! | `scenario` | the scenarios and their order |
//! | `drains` | backlogs with other names, partitions, requests and instances |
//! | `held` | a backlog that appears all at once |
//! | `restore`, `restored`, `raw` | takeover of many sequences; the service's data about it; a raw read |
//! | `pause` | the cost of a rebalance for a client |
//! | `figures` | the figures of these scenarios |
//! | `verified` | the check of the service's answers against the promise |
//! | `bars` | the values that figures must reach |
//! | `report`, `html` | the result of a run |

#![allow(
    clippy::result_large_err,
    reason = "the command line's error, made once in a process"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bars;
mod drains;
mod figures;
mod held;
mod html;
mod pause;
mod raw;
mod report;
mod restore;
mod restored;
mod scenario;
mod verified;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sequencer::bench::{self, Stage};
use sequencer::cli::bench::{RunArgs, one_of, write};
use sequencer::cli::{self, Error, table};

use report::Report;
use scenario::Scenario;
use verified::Verifier;

/// Sequences of a restore, by default and with `--quick`.
const SEQUENCES: [u64; 2] = [1_000_000, 50_000];
/// Sequences with `--large`.
const SEQUENCES_LARGE: u64 = 10_000_000;

/// Measures the service beside a raw echo, verifies its answers and judges the figures.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Only these: drain, names, partitions, request-id, audit, instances, latency, restore, pause
    #[arg(
        long,
        value_name = "SCENARIO[,…]",
        value_delimiter = ',',
        hide_possible_values = true,
        value_parser = one_of(Scenario::ALL, Scenario::as_str)
    )]
    only: Vec<Scenario>,

    /// The `sequencer` that is measured [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// Restore 10,000,000 sequences as well: takes about 4 GiB of disk and minutes
    #[arg(long)]
    large: bool,

    /// Do not check the answers of the service with verify after each measurement
    #[arg(long)]
    no_verify: bool,

    /// Write a report with charts into an HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// The options of a run.
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    fn program(&self) -> Result<PathBuf, Error> {
        match &self.program {
            Some(program) => Ok(program.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("sequencer")),
        }
    }

    fn only(&self) -> &[Scenario] {
        match (self.only.as_slice(), self.run.quick) {
            ([], true) => &Scenario::QUICK,
            ([], false) => &Scenario::ALL,
            (only, _) => only,
        }
    }

    fn sequences(&self) -> Vec<u64> {
        let mut sequences = vec![SEQUENCES[usize::from(self.run.quick)]];
        sequences.extend(self.large.then_some(SEQUENCES_LARGE));
        sequences
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::program(|mut out| run(&args, &mut out))
}

/// Measures and reports. Fails on a wrong answer, with any figures.
fn run(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    let (settings, stop) = args.run.prepare()?;
    // The user must know of a file that cannot be written before half an hour has passed.
    if let Some(file) = &args.html {
        write(file, "")?;
    }
    let options = args.run.options(&settings, args.program()?)?;
    let scenarios = scenario::Run {
        only: args.only(),
        sequences: args.sequences(),
    };
    let verifier = Verifier::default();
    let judge = |stage: &mut Stage<'_>, topics: &_| verifier.verify(stage, topics);
    let stopped = || stop.is_asked();
    let mut stage = Stage::open(&options, &stopped, out)?;
    if !args.no_verify {
        stage = stage.judged(&judge);
    }
    let measured = bench::measured(stage, |stage| scenarios.measure(stage))?;
    let report = Report::new(measured, verifier.found(), settings.rewrite_floor_records);
    if let Some(file) = &args.run.json {
        let json = serde_json::to_string_pretty(&report)
            .map_err(|error| Error::Failed(format!("report as JSON: {error}")))?;
        write(file, &json)?;
    }
    if let Some(file) = &args.html {
        write(file, &html::page(&report))?;
    }
    report.print(out, table::figures)?;
    match report.verified.is_clean() {
        true => Ok(()),
        false => Err(Error::Said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_is_short_and_all_else_is_everything() {
        let args = |line: &str| Args::parse_from(line.split(' '));
        let quick = args("bench --quick");
        assert_eq!(quick.only(), Scenario::QUICK);
        assert_eq!(quick.sequences(), [50_000]);
        let whole = args("bench --large");
        assert_eq!(whole.only(), Scenario::ALL);
        assert_eq!(whole.sequences(), [1_000_000, 10_000_000]);
        let some = args("bench --quick --only pause,drain");
        assert_eq!(some.only(), [Scenario::Pause, Scenario::Drain]);
    }
}
