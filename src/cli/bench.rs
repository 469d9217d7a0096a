//! `sequencer bench`, and the echo that it starts as a process of its own.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::args::ConnectionArgs;
use super::args::help::BENCH_EXAMPLES;
use super::signals::Stop;
use super::table::{Side, Table};
use super::{Error, session};
use crate::bench::{self, Options, Scenario};
use crate::kafka::tools::measure::echo::{self, Pace, Take};
use crate::service::serve;

/// Most rounds, requests and seconds: a run ends within a day.
const ROUNDS_MAX: u64 = 100;
const REQUESTS_MAX: u64 = 100_000_000;
const SECONDS_MAX: u64 = 600;
/// Unless given, and with `--quick`.
const ROUNDS: [u64; 2] = [5, 1];
const REQUESTS: [u64; 2] = [1_000_000, 200_000];
const SECONDS: [u64; 2] = [10, 2];
const SEQUENCES: [u64; 2] = [1_000_000, 50_000];
/// With `--large`.
const SEQUENCES_LARGE: u64 = 10_000_000;

/// `sequencer bench`.
#[derive(Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct BenchArgs {
    /// Only these: drain, names, partitions, request-id, audit, instances, latency, restore, pause
    #[arg(
        long,
        value_name = "SCENARIO[,…]",
        value_delimiter = ',',
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Scenario::ALL.map(Scenario::as_str))
            .try_map(|word| Scenario::named(&word).ok_or("not a scenario"))
    )]
    pub only: Vec<Scenario>,

    /// One short round of drain, latency and restore, in under a minute
    #[arg(long)]
    pub quick: bool,

    /// How often each is measured [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=ROUNDS_MAX))]
    pub rounds: Option<u64>,

    /// Requests of each backlog [default: 1000000]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1_000..=REQUESTS_MAX)
    )]
    pub requests: Option<u64>,

    /// Length of each measurement of latency in seconds [default: 10]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    pub seconds: Option<u64>,

    /// Restore 10,000,000 sequences as well: takes about 4 GiB of disk and minutes
    #[arg(long)]
    pub large: bool,

    /// Do not check with verify, after each measurement of the service, what it answered
    #[arg(long)]
    pub no_verify: bool,

    /// Write everything into a JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write a report with charts into an HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Where logs and the data of a Kafka of its own are kept during the run [default: the system's]
    #[arg(long, value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,

    /// How to connect; without brokers a Kafka is started for the run.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer bench-echo`.
#[derive(Args)]
pub struct EchoArgs {
    /// Topic to read
    #[arg(long)]
    pub from: String,
    /// Topic to write
    #[arg(long)]
    pub to: String,
    /// Partitions of both
    #[arg(long)]
    pub partitions: u32,
    /// Which of the service's producers
    #[arg(long, value_parser = ["swift", "bulk", "adaptive"])]
    pub pace: String,
    /// How records are taken
    #[arg(long, value_parser = ["each", "batch"])]
    pub take: String,
    /// Written in the place of each value
    #[arg(long)]
    pub body: Option<String>,
    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

impl BenchArgs {
    fn options(&self, settings: &crate::service::settings::Settings) -> Result<Options, Error> {
        let quick = usize::from(self.quick);
        let pick = |given: Option<u64>, usual: [u64; 2]| {
            given.unwrap_or(if quick == 1 { usual[1] } else { usual[0] })
        };
        let mut sequences = vec![pick(None, SEQUENCES)];
        sequences.extend(self.large.then_some(SEQUENCES_LARGE));
        let only = match (self.only.is_empty(), self.quick) {
            (false, _) => self.only.clone(),
            (true, true) => Scenario::QUICK.to_vec(),
            (true, false) => Scenario::ALL.to_vec(),
        };
        let mut passed = Vec::new();
        if let Some(file) = &self.connection.common.config {
            let file = std::path::absolute(file)?;
            passed.extend(["--config".to_owned(), file.display().to_string()]);
        }
        for setting in &self.connection.common.set {
            passed.extend(["--set".to_owned(), setting.clone()]);
        }
        Ok(Options {
            brokers: settings.brokers.clone(),
            properties: settings.kafka.clone(),
            passed,
            program: std::env::current_exe()?,
            directory: self.directory.clone().unwrap_or_else(std::env::temp_dir),
            only,
            rounds: usize::try_from(pick(self.rounds, ROUNDS)).unwrap_or(1),
            requests: pick(self.requests, REQUESTS),
            seconds: pick(self.seconds, SECONDS),
            sequences,
            quick: self.quick,
            verify: !self.no_verify,
        })
    }
}

/// Measures and reports; fails when an answer was wrong, whatever the figures.
pub fn run(args: &BenchArgs, out: &mut impl Write) -> Result<(), Error> {
    let (settings, _) = session::load(&args.connection.flags())?;
    session::start_log(&settings, "off")?;
    let options = args.options(&settings)?;
    // A file that cannot be written should be known before half an hour has passed.
    for file in [&args.json, &args.html].into_iter().flatten() {
        write(file, "")?;
    }
    let stop = Stop::listen()?;
    let report = bench::run(&options, &|| stop.is_asked(), out)?;
    if let Some(file) = &args.json {
        let json = report
            .json()
            .map_err(|error| Error::Failed(format!("report as JSON: {error}")))?;
        write(file, &json)?;
    }
    if let Some(file) = &args.html {
        write(file, &report.html())?;
    }
    report.print(out, table)?;
    match report.verified.is_clean() {
        true => Ok(()),
        false => Err(Error::Said),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text)
        .map_err(|error| Error::Failed(format!("cannot write {}: {error}", file.display())))
}

fn table<W: Write>(out: &mut W, heads: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
    // A column is one of numbers when most of its cells begin like one.
    let sides = (0..heads.len()).map(|column| {
        let cells = || rows.iter().filter_map(|row| row.get(column));
        let numbers = cells().filter(|cell| cell.starts_with(|c: char| c.is_ascii_digit()));
        let filled = cells().filter(|cell| !cell.is_empty()).count();
        match numbers.filter(|cell| !cell.contains(' ')).count() * 2 > filled {
            true => Side::Right,
            false => Side::Left,
        }
    });
    let mut table = Table::of(heads.iter().copied().zip(sides).collect());
    for row in rows {
        table.row(row);
    }
    table.print(out)
}

/// Echoes until SIGTERM.
pub fn echo(args: &EchoArgs) -> Result<(), Error> {
    let (settings, _) = session::load(&args.connection.flags())?;
    session::start_log(&settings, "warn")?;
    let connection = serve::connection(&settings)?;
    let stop = Stop::listen()?;
    let options = echo::Options {
        from: args.from.clone(),
        to: args.to.clone(),
        partitions: args.partitions,
        body: args.body.clone().map(String::into_bytes),
        pace: match args.pace.as_str() {
            "swift" => Pace::Swift,
            "bulk" => Pace::Bulk,
            _ => Pace::Adaptive,
        },
        take: match args.take.as_str() {
            "batch" => Take::Batch,
            _ => Take::Each,
        },
    };
    Ok(echo::run(&connection, &options, &|| stop.is_asked())?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn options(line: &str) -> Options {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Bench(args) = cli.command else {
            panic!("not bench")
        };
        let (settings, _) =
            crate::service::settings::Settings::load(&args.connection.flags(), []).unwrap();
        args.options(&settings).unwrap()
    }

    #[test]
    fn quick_is_short_and_all_else_is_everything() {
        let quick = options("sequencer bench --quick --requests 5000");
        assert_eq!((quick.rounds, quick.requests, quick.seconds), (1, 5_000, 2));
        assert_eq!(quick.only, Scenario::QUICK);
        let whole = options("sequencer bench --large");
        assert_eq!((whole.rounds, whole.brokers), (5, None));
        assert_eq!(whole.only, Scenario::ALL);
        assert_eq!(whole.sequences, [1_000_000, 10_000_000]);
    }

    #[test]
    fn what_the_service_needs_to_connect_is_passed_on() {
        let options = options(
            "sequencer bench --only pause,drain --brokers a:1 --set kafka.session.timeout.ms=7000",
        );
        assert_eq!(options.only, [Scenario::Pause, Scenario::Drain]);
        assert_eq!(options.brokers.as_deref(), Some("a:1"));
        assert_eq!(options.passed, ["--set", "kafka.session.timeout.ms=7000"]);
        assert_eq!(options.properties["session.timeout.ms"], "7000");
    }
}
