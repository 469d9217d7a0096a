//! `sequencer bench`, and the echo that it starts as a process of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::args::ConnectionArgs;
use super::args::help::BENCH_EXAMPLES;
use super::signals::Stop;
use super::table;
use super::{Error, session};
use crate::bench::{self, Options, Scenario};
use crate::kafka::tools::measure::echo::{self, Pace, Take};
use crate::service::serve;
use crate::service::settings::Settings;

/// Highest numbers of rounds, requests and seconds. With them, a run ends within a day.
const ROUNDS_MAX: u64 = 100;
const REQUESTS_MAX: u64 = 100_000_000;
const SECONDS_MAX: u64 = 600;
/// The default values, without and with `--quick`.
const ROUNDS: [u64; 2] = [5, 1];
const REQUESTS: [u64; 2] = [1_000_000, 200_000];
const SECONDS: [u64; 2] = [10, 2];

/// Parses one of these by its name.
pub fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [T; N],
    as_str: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let named = move |word: String| all.into_iter().find(|one| as_str(*one) == word);
    // The names are the possible values, so none is missing.
    PossibleValuesParser::new(all.map(as_str))
        .try_map(move |word| named(word).ok_or("no such name"))
}

/// `sequencer bench`.
#[derive(Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct BenchArgs {
    /// Only these: drain, latency
    #[arg(
        long,
        value_name = "SCENARIO[,…]",
        value_delimiter = ',',
        hide_possible_values = true,
        value_parser = one_of(Scenario::ALL, Scenario::as_str)
    )]
    pub only: Vec<Scenario>,

    /// The options of the measurement.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The options of any measurement.
#[derive(Args)]
pub struct RunArgs {
    /// One short round of each, for a first look in under a minute
    #[arg(long)]
    pub quick: bool,

    /// Number of rounds [default: 5]
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

    /// Write everything into a JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Directory of logs, and of the data of a Kafka of its own, during the run [default: the system's]
    #[arg(long, value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,

    /// The connection to the cluster. Without brokers, the run starts a Kafka.
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
    /// Producer of the service to use
    #[arg(
        long,
        value_parser = one_of(Pace::ALL, Pace::as_str)
    )]
    pub pace: Pace,
    /// Way to take records
    #[arg(
        long,
        value_parser = one_of(Take::ALL, Take::as_str)
    )]
    pub take: Take,
    /// Body that is written instead of each value
    #[arg(long)]
    pub body: Option<String>,
    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

impl RunArgs {
    /// Loads the settings, starts the log, and listens for a stop. From here on, signals do not end the process
    /// by themselves.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn prepare(&self) -> Result<(Settings, Stop), Error> {
        let (settings, _) = session::load(&self.connection.flags())?;
        session::start_log(&settings, "off")?;
        // The user must know of a file that cannot be written before half an hour has passed.
        if let Some(file) = &self.json {
            write(file, "")?;
        }
        Ok((settings, Stop::listen()?))
    }

    /// The options to measure the `serve` of this program.
    ///
    /// # Errors
    /// There is no current directory.
    pub fn options(&self, settings: &Settings, program: PathBuf) -> Result<Options, Error> {
        let pick =
            |given: Option<u64>, usual: [u64; 2]| given.unwrap_or(usual[usize::from(self.quick)]);
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
            program,
            directory: self.directory.clone().unwrap_or_else(std::env::temp_dir),
            rounds: usize::try_from(pick(self.rounds, ROUNDS)).unwrap_or(1),
            requests: pick(self.requests, REQUESTS),
            seconds: pick(self.seconds, SECONDS),
            quick: self.quick,
        })
    }
}

/// Measures and reports.
pub fn run(args: &BenchArgs, out: &mut impl Write) -> Result<(), Error> {
    let (settings, stop) = args.run.prepare()?;
    let options = args.run.options(&settings, std::env::current_exe()?)?;
    let only = match args.only.as_slice() {
        [] => &Scenario::ALL,
        only => only,
    };
    let report = bench::run(&options, only, &|| stop.is_asked(), out)?;
    if let Some(file) = &args.run.json {
        let json = report
            .json()
            .map_err(|error| Error::Failed(format!("report as JSON: {error}")))?;
        write(file, &json)?;
    }
    Ok(report.print(out, table::figures)?)
}

/// Writes a report.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text)
        .map_err(|error| Error::Failed(format!("cannot write {}: {error}", file.display())))
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
        pace: args.pace,
        take: args.take,
    };
    Ok(echo::run(&connection, &options, &|| stop.is_asked())?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn args(line: &str) -> (Vec<Scenario>, Options) {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Bench(args) = cli.command else {
            panic!("not bench")
        };
        let (settings, _) = Settings::load(&args.run.connection.flags(), []).unwrap();
        let options = args.run.options(&settings, PathBuf::new()).unwrap();
        (args.only, options)
    }

    #[test]
    fn quick_is_short_and_all_else_is_everything() {
        let (only, quick) = args("sequencer bench --quick --requests 5000");
        assert_eq!((quick.rounds, quick.requests, quick.seconds), (1, 5_000, 2));
        assert_eq!(only, []);
        let (_, whole) = args("sequencer bench");
        assert_eq!((whole.rounds, whole.brokers), (5, None));
        assert_eq!((whole.requests, whole.seconds), (1_000_000, 10));
    }

    #[test]
    fn what_the_service_needs_to_connect_is_passed_on() {
        let (only, options) = args(
            "sequencer bench --only latency,drain --brokers a:1 --set kafka.session.timeout.ms=7000",
        );
        assert_eq!(only, [Scenario::Latency, Scenario::Drain]);
        assert_eq!(options.brokers.as_deref(), Some("a:1"));
        assert_eq!(options.passed, ["--set", "kafka.session.timeout.ms=7000"]);
        assert_eq!(options.properties["session.timeout.ms"], "7000");
    }
}
