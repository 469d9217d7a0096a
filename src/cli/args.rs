//! The command line: what can be asked for, and the help for it. What is done is in the modules beside
//! this one.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::core::limits::COUNT_MAX;
use crate::service::settings::{Flags, LogFormat, ReplyMode};

/// Longest wait of `next` in milliseconds (10 minutes).
const TIMEOUT_MS_MAX: u64 = 600_000;

/// Most demo requests of `dev` in a second. It is for people to watch; load is the bench's.
const DEMO_RATE_MAX: u32 = 10_000;

/// Most rows that `inspect` prints; a partition holds no more sequences than that.
const INSPECT_ROWS_MAX: u64 = 1 << 24;

const ABOUT: &str = "Unique, gapless, monotonic IDs over Kafka";

const LONG_ABOUT: &str = "\
Unique, gapless, monotonic IDs over Kafka.

A request is a record keyed by a sequence's name; the answer is a record with the next ID of that \
sequence, or the next COUNT of them. The request log itself is the counter: a crash, a restart or a \
second instance can repeat an answer, never give another one.";

const EXAMPLES: &str = "\
Start here:
  sequencer dev                                      a Kafka, the service and a live demo
  sequencer serve --brokers kafka:9092               the service on your cluster
  sequencer next orders --brokers kafka:9092         the next ID of \"orders\"
  echo 'orders:5' | kcat -P -b kafka:9092 -t sequencer.requests -K:      five of them, by any client

Configuration, later wins: built-in defaults, --config FILE, environment SEQUENCER__SECTION__KEY, flags.
Exit codes: 0 done, 1 failed, 2 bad usage or configuration.";

const SERVE_EXAMPLES: &str = "\
Examples:
  sequencer serve --brokers kafka-1:9092,kafka-2:9092
  sequencer serve --config /etc/sequencer.toml --reply-mode exactly_once --set checkpoint.interval_ms=20
  SEQUENCER__KAFKA__SASL_PASSWORD=… sequencer serve --config /etc/sequencer.toml --http 0.0.0.0:8377

SIGTERM and SIGINT make the final checkpoint, leave the group and exit 0, within shutdown.deadline_ms.";

const DEV_EXAMPLES: &str = "\
Examples:
  sequencer dev                                      a few requests a second, answers as they come
  sequencer dev --no-demo --directory /tmp/ids       only Kafka and the service
  sequencer dev --reply-mode exactly_once --rate 50

It needs Java 17 and Maven; the lines to try from another terminal are printed at the start. Ctrl-C stops \
all of it, and the next start goes on from the same IDs. To begin anew, delete the directory.";

const NEXT_EXAMPLES: &str = "\
Examples:
  sequencer next orders --brokers kafka:9092                     prints 41
  sequencer next orders --count 3 --brokers kafka:9092           prints 42, 43, 44, a line each
  sequencer next orders --json --brokers kafka:9092              prints the reply as it is

With --request-id the same request can be sent again without taking other IDs.
A request that is rejected exits 1 with its error code and message.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  sequencer inspect --brokers kafka:9092                         every partition: offsets, checkpoint
  sequencer inspect --sequence orders --brokers kafka:9092       one sequence: its partition, its next ID
  sequencer inspect --partition 3 --json --brokers kafka:9092

It reads the state topic as of the last checkpoint and changes nothing.";

const TOPICS_EXAMPLES: &str = "\
Examples:
  sequencer topics create --brokers kafka:9092 --set topics.partitions=16
  sequencer topics check --brokers kafka:9092

`serve` creates missing topics by itself; this is for those who create topics with other rights.";

const RECOVER_EXAMPLES: &str = "\
Examples:
  sequencer recover --partition 3 --from 12000 --above 500000 --brokers kafka:9092
  sequencer recover --partition 3 --from 12000 --above 500000 --brokers kafka:9092 --yes

Choose --above at least as high as any ID that the partition has ever given, or IDs are given twice. \
Without --yes nothing is written.";

/// The whole command line.
#[derive(Parser)]
#[command(name = "sequencer", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Answer requests for IDs until stopped
    Serve(ServeArgs),
    /// Try it: a Kafka on this machine, the service, a live demo
    Dev(DevArgs),
    /// Ask for the next ID of a sequence and print it
    Next(NextArgs),
    /// Show counters, offsets and checkpoints as the state topic has them
    Inspect(InspectArgs),
    /// Create or check the topics
    Topics(TopicsArgs),
    /// Repair a halted partition: say where to read on and which IDs are used
    Recover(RecoverArgs),
}

/// Settings that every command takes.
#[derive(Args)]
pub struct CommonArgs {
    /// Configuration file in TOML, over the built-in defaults
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,

    /// Any key of the configuration, repeatable: --set checkpoint.interval_ms=50, --set
    /// kafka.security.protocol=ssl. Others can read a command line: give secrets by file or environment
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Configuration")]
    pub set: Vec<String>,

    /// Consumer group, to which the state in Kafka belongs [default: sequencer]
    #[arg(long, value_name = "NAME", help_heading = "Configuration")]
    pub group: Option<String>,

    /// Log lines for people or for machines [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        value_parser = PossibleValuesParser::new(LogFormat::ALL.map(LogFormat::as_str))
            .try_map(|word| word.parse::<LogFormat>()),
        help_heading = "Configuration"
    )]
    pub log_format: Option<LogFormat>,
}

/// Settings of the commands that connect to the operator's cluster.
#[derive(Args)]
pub struct ConnectionArgs {
    /// Kafka brokers to connect to first; the rest of the cluster is found through them
    #[arg(long, value_name = "HOST:PORT[,…]", help_heading = "Configuration")]
    pub brokers: Option<String>,

    /// The rest of the configuration.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Settings of the commands that serve.
#[derive(Args)]
pub struct ServiceArgs {
    /// How answers are sent: at once, or in the checkpoint's transaction [default: immediate]
    #[arg(
        long,
        value_name = "MODE",
        value_parser = PossibleValuesParser::new(ReplyMode::ALL.map(ReplyMode::as_str))
            .try_map(|word| word.parse::<ReplyMode>())
    )]
    pub reply_mode: Option<ReplyMode>,

    /// Where /metrics, /healthz and /readyz are; empty turns them off [default: 127.0.0.1:8377]
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
}

/// `sequencer serve`.
#[derive(Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// How to answer and where to be asked about it.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer dev`.
#[derive(Args)]
#[command(after_help = DEV_EXAMPLES)]
pub struct DevArgs {
    /// Where Kafka keeps its data and logs; delete it to begin anew
    #[arg(long, value_name = "DIRECTORY", default_value = ".sequencer/dev")]
    pub directory: PathBuf,

    /// Requests of the demo per second
    #[arg(
        long,
        value_name = "PER_SECOND",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(DEMO_RATE_MAX))
    )]
    pub rate: u32,

    /// Start Kafka and the service without the demo
    #[arg(long, conflicts_with = "rate")]
    pub no_demo: bool,

    /// How to answer and where to be asked about it.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// The rest of the configuration; the brokers are those that it starts.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `sequencer next`.
#[derive(Args)]
#[command(after_help = NEXT_EXAMPLES)]
pub struct NextArgs {
    /// Name of the sequence; its first ID is 1
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How many IDs, as one contiguous range
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX)
    )]
    pub count: u64,

    /// Your name for this request: asked again with it, the answer is the same
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,

    /// Print the reply as JSON instead of the IDs
    #[arg(long)]
    pub json: bool,

    /// How long to wait for the answer, in milliseconds
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MS_MAX)
    )]
    pub timeout_ms: u64,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer inspect`.
#[derive(Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// Only this partition
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,

    /// Only this sequence
    #[arg(long, value_name = "NAME")]
    pub sequence: Option<String>,

    /// Most sequences to list
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(0..=INSPECT_ROWS_MAX)
    )]
    pub limit: u64,

    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer topics`.
#[derive(Args)]
#[command(after_help = TOPICS_EXAMPLES, disable_help_subcommand = true)]
#[command(arg_required_else_help = true)]
pub struct TopicsArgs {
    /// What to do with the topics.
    #[command(subcommand)]
    pub command: TopicsCommand,
}

/// What to do with the topics.
#[derive(Subcommand)]
pub enum TopicsCommand {
    /// Create the topics that are missing, with the settings that the promise needs
    Create(ConnectionArgs),
    /// Say what is wrong with the topics that exist; exits 1 if something is
    Check(ConnectionArgs),
}

/// `sequencer recover`.
#[derive(Args)]
#[command(after_help = RECOVER_EXAMPLES)]
pub struct RecoverArgs {
    /// The halted partition
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: i32,

    /// Offset of the first request to answer; those before it are taken as answered
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    pub from: i64,

    /// Every sequence of the partition goes on above this ID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(0..))]
    pub above: i64,

    /// Do it; without this it only shows what it would do
    #[arg(long)]
    pub yes: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

impl CommonArgs {
    /// The settings among the flags.
    pub fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            set: self.set.clone(),
            group: self.group.clone(),
            log_format: self.log_format,
            ..Flags::default()
        }
    }
}

impl ConnectionArgs {
    /// The settings among the flags.
    pub fn flags(&self) -> Flags {
        Flags { brokers: self.brokers.clone(), ..self.common.flags() }
    }
}

impl ServiceArgs {
    fn over(&self, flags: Flags) -> Flags {
        Flags { reply_mode: self.reply_mode, http: self.http.clone(), ..flags }
    }
}

impl ServeArgs {
    /// The settings among the flags.
    pub fn flags(&self) -> Flags {
        self.service.over(self.connection.flags())
    }
}

impl DevArgs {
    /// The settings among the flags; the caller adds the brokers that it started.
    pub fn flags(&self) -> Flags {
        self.service.over(self.common.flags())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_takes_every_flag_of_the_contract() {
        let cli = parse(
            "sequencer serve --brokers a:1,b:2 --config f.toml --group g --reply-mode exactly_once \
             --http 0.0.0.0:1 --set a=b --set c=d=e --log-format json",
        )
        .unwrap();
        let Command::Serve(serve) = cli.command else { panic!("not serve") };
        let flags = serve.flags();
        assert_eq!(flags.brokers.as_deref(), Some("a:1,b:2"));
        assert_eq!(flags.config, Some(PathBuf::from("f.toml")));
        assert_eq!(flags.group.as_deref(), Some("g"));
        assert_eq!(flags.reply_mode, Some(ReplyMode::ExactlyOnce));
        assert_eq!(flags.http.as_deref(), Some("0.0.0.0:1"));
        assert_eq!(flags.set, ["a=b", "c=d=e"]);
        assert_eq!(flags.log_format, Some(LogFormat::Json));
    }

    #[test]
    fn bad_usage_exits_2() {
        for line in [
            "sequencer serve --reply-mode fast",
            "sequencer next",
            "sequencer next orders --count 0",
            "sequencer next orders --count 1000001",
            "sequencer recover --partition 0 --from 1",
            "sequencer recover --partition -1 --from 1 --above 1",
            "sequencer topics drop",
            "sequencer",
        ] {
            let error = parse(line).err().map(|error| error.exit_code());
            assert_eq!(error, Some(2), "{line}");
        }
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        for command in ["serve", "dev", "next", "inspect", "topics", "recover"] {
            let error = parse(&format!("sequencer {command} --help")).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::DisplayHelp);
            assert_eq!(error.exit_code(), 0);
            let help = error.to_string();
            assert!(help.contains("Examples:") && help.contains(&format!("sequencer {command}")));
        }
        assert_eq!(parse("sequencer --version").err().unwrap().kind(), ErrorKind::DisplayVersion);
    }
}
