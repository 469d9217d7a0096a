//! The command line: its commands and flags, and their help. The modules beside this one carry the commands
//! out.

mod definitions;
pub(super) mod help;
mod ledger;
mod rescale;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::bench::{BenchArgs, EchoArgs};
use super::schema::DOCUMENTS;
use crate::core::limits::{COUNT_MAX, ID_LAST, NAME_BYTES_MAX};
use crate::processor::Mode;
use crate::service::settings::{Flags, LogFormat};

pub use ledger::{AuditArgs, TraceArgs};
pub use rescale::RescaleArgs;

pub use definitions::{
    AT_END, DefineArgs, DescribeArgs, FieldArgs, PolicyArgs, RecordArgs, RetireArgs, SetNextArgs,
    UNDEFINED,
};

/// Longest wait for an answer in milliseconds (10 minutes).
const TIMEOUT_MS_MAX: u64 = 600_000;
/// IDs that a repair leaves out above the highest that it saw. Only requests since the last checkpoint can have
/// been answered without a trace. This margin is the most IDs that the largest of them can have taken without a
/// definition of its own.
pub(super) const MARGIN_IDS: i64 = 1_000_000;

/// Highest rate of the demo of `dev`, in requests a second. The demo is for people to watch; `bench` makes
/// load.
const DEMO_RATE_MAX: u32 = 10_000;

/// Highest number of rows that `inspect` prints. A partition holds no more sequences than this.
const INSPECT_ROWS_MAX: u64 = 1 << 24;

/// Lowest memory of `verify` in MB: the bytes that the client fetches ahead, and as much again.
const MEMORY_MB_MIN: u64 = 100;
/// Highest memory of `verify` in MB (1 TB).
const MEMORY_MB_MAX: u64 = 1_000_000;

/// The whole command line.
#[derive(Parser)]
#[command(name = "sequencer", bin_name = "sequencer", version, after_help = help::EXAMPLES)]
#[command(about = help::ABOUT, long_about = help::LONG_ABOUT)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(max_term_width = 110)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Answer requests for IDs until stopped
    Serve(ServeArgs),
    /// Try it: a Kafka on this machine, the service, a live demo
    Dev(DevArgs),
    /// Answer HTTP calls for programs that do not speak Kafka, until stopped
    Gateway(GatewayArgs),
    /// Ask for the next ID of a sequence and print it
    Next(NextArgs),
    /// Define a sequence or change its definition; or apply a file of definitions
    Define(DefineArgs),
    /// Show the definition, the next ID and the last change of a sequence, without taking an ID
    Describe(DescribeArgs),
    /// Set the next ID of a sequence; lower than now only with --force
    SetNext(SetNextArgs),
    /// End a sequence: it gives no more IDs until it is defined again
    Retire(RetireArgs),
    /// Show or set the policy for undefined sequences: create them, or refuse their requests
    Policy(PolicyArgs),
    /// Show counters, offsets and checkpoints as the state topic has them
    Inspect(InspectArgs),
    /// Create or check the topics
    Topics(TopicsArgs),
    /// Repair a halted partition: say where to read on and which IDs are used
    Recover(RecoverArgs),
    /// Spread the names over more partitions while the service runs
    Rescale(RescaleArgs),
    /// Tell who got an ID of an audited sequence, when, and by which request
    Trace(TraceArgs),
    /// Check the ledger of an audited sequence: its chain, and that no number is missing or double
    Audit(AuditArgs),
    /// Check the topics: every ID, every reply, every checkpoint against the promise
    Verify(VerifyArgs),
    /// Print what records and calls look like, for machines: JSON Schema, AsyncAPI, OpenAPI
    Schema(SchemaArgs),
    /// Check the configuration
    Config(ConfigArgs),
    /// Print a file that completes command lines in a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// Measure throughput and latency beside a raw echo
    Bench(BenchArgs),
    /// The raw echo of `bench`, in a process of its own like the service
    #[command(hide = true)]
    BenchEcho(EchoArgs),
}

/// Settings that every command takes.
#[derive(Args)]
pub struct CommonArgs {
    /// Configuration file in TOML, over the built-in defaults
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,

    /// Any key of the configuration, such as checkpoint.interval_ms=50; repeatable
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Configuration")]
    pub set: Vec<String>,

    /// Consumer group, the owner of the state in Kafka [default: sequencer]
    #[arg(long, value_name = "NAME", help_heading = "Configuration")]
    pub group: Option<String>,

    /// Log lines for people or for machines [default: text]
    #[arg(
        long,
        value_name = "text|json",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(LogFormat::ALL.map(LogFormat::as_str))
            .try_map(|word| word.parse::<LogFormat>()),
        help_heading = "Configuration"
    )]
    pub log_format: Option<LogFormat>,
}

/// Settings of the commands that connect to the operator's cluster.
#[derive(Args)]
pub struct ConnectionArgs {
    /// Brokers of the cluster; one that answers is enough
    #[arg(
        short,
        long,
        value_name = "HOST:PORT[,…]",
        help_heading = "Configuration"
    )]
    pub brokers: Option<String>,

    /// The other configuration flags.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// How a command prints.
#[derive(Args, Clone, Copy)]
pub struct OutputArgs {
    /// Print for people, or as JSON [default: table]
    #[arg(
        short,
        long,
        value_name = "table|json",
        hide_possible_values = true,
        conflicts_with = "json"
    )]
    pub output: Option<Format>,

    /// The same as --output json
    #[arg(long)]
    json: bool,
}

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text and tables, for people. Their form may change.
    Table,
    /// JSON, for programs.
    Json,
}

impl OutputArgs {
    /// Whether to print JSON.
    pub const fn json(self) -> bool {
        self.json || matches!(self.output, Some(Format::Json))
    }
}

/// Settings of the commands that ask the service.
#[derive(Args)]
pub struct AskArgs {
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Longest time for connecting and waiting for the answer together, in milliseconds
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MS_MAX)
    )]
    pub timeout_ms: u64,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Settings of the commands that serve.
#[derive(Args)]
pub struct ServiceArgs {
    /// Answer at once, or in the checkpoint's transaction [default: immediate]
    #[arg(
        long,
        value_name = "immediate|exactly_once",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Mode::ALL.map(Mode::as_str))
            .try_map(|word| word.parse::<Mode>())
    )]
    pub reply_mode: Option<Mode>,

    /// Address of the status page, /metrics, /healthz and /readyz, empty for none [default: 127.0.0.1:8377]
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
}

/// `sequencer serve`.
#[derive(Args)]
#[command(after_help = help::SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// The flags of the serving commands.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer gateway`.
#[derive(Args)]
#[command(after_help = help::GATEWAY_EXAMPLES)]
pub struct GatewayArgs {
    /// Address of the HTTP server [default: 127.0.0.1:8378]
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer dev`.
#[derive(Args)]
#[command(after_help = help::DEV_EXAMPLES)]
pub struct DevArgs {
    /// Directory of Kafka's data and logs
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

    /// The flags of the serving commands.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// The other configuration flags. `dev` starts its own brokers.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `sequencer next`.
#[derive(Args)]
#[command(after_help = help::NEXT_EXAMPLES)]
pub struct NextArgs {
    /// Name of the sequence; its first ID is 1
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Number of IDs, as one contiguous range
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX)
    )]
    pub count: u64,

    /// Identifies this request: the same one again gets the same IDs again [default: a random one]
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,

    /// The flags of commands that ask the service.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `sequencer inspect`.
#[derive(Args)]
#[command(after_help = help::INSPECT_EXAMPLES)]
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

    /// The form of the output.
    #[command(flatten)]
    pub output: OutputArgs,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer topics`.
#[derive(Args)]
#[command(after_help = help::TOPICS_EXAMPLES)]
#[command(arg_required_else_help = true)]
pub struct TopicsArgs {
    /// The command for the topics.
    #[command(subcommand)]
    pub command: TopicsCommand,
}

/// The commands for topics.
#[derive(Subcommand)]
pub enum TopicsCommand {
    /// Create the topics that are missing, with the settings that the promise needs
    Create(CreateArgs),
    /// Report problems of the topics that exist; exits 1 if there are any
    Check(CheckArgs),
}

/// `sequencer topics check`.
#[derive(Args)]
pub struct CheckArgs {
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputArgs,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer config`.
#[derive(Args)]
#[command(after_help = help::CONFIG_EXAMPLES)]
#[command(arg_required_else_help = true)]
pub struct ConfigArgs {
    /// The command for the configuration.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands for the configuration.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Show what is in force and where each value was given, without secrets; exits 2 if it is not valid
    Check(CheckArgs),
}

/// `sequencer completions`.
#[derive(Args)]
#[command(after_help = help::COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(
        value_name = "bash|zsh|fish|elvish|powershell",
        hide_possible_values = true
    )]
    pub shell: Shell,
}

/// `sequencer man`.
#[derive(Args)]
#[command(after_help = help::MAN_EXAMPLES)]
pub struct ManArgs {
    /// Where to write them; it must exist
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
}

/// `sequencer topics create`.
#[derive(Args)]
pub struct CreateArgs {
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputArgs,

    /// A reply topic that your clients name, as well; repeatable. The service never creates one by itself
    #[arg(long, value_name = "NAME")]
    pub reply: Vec<String>,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `--above` of [`RecoverArgs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Above {
    /// The sequence that it is for; none for all.
    pub name: Option<String>,
    /// The last ID that may have been given.
    pub id: i64,
}

fn above(text: &str) -> Result<Above, String> {
    // A name may contain the equals sign, but a number may not.
    let (name, id) = match text.rsplit_once('=') {
        Some((name, id)) => (Some(name.to_owned()), id),
        None => (None, text),
    };
    let id = id
        .parse()
        .map_err(|error| format!("{id:?} is no ID: {error}"))?;
    match &name {
        Some(name) if !(1..=NAME_BYTES_MAX).contains(&name.len()) => Err(format!(
            "a name must be 1 to {NAME_BYTES_MAX} bytes, got {}",
            name.len()
        )),
        None if !(0..=ID_LAST).contains(&id) => Err(format!(
            "an ID for all sequences must be 0 to {ID_LAST}, got {id}"
        )),
        _ => Ok(Above { name, id }),
    }
}

/// `sequencer recover`.
#[derive(Args)]
#[command(after_help = help::RECOVER_EXAMPLES)]
pub struct RecoverArgs {
    /// The halted partition
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: i32,

    /// Offset of the first request to answer; those before it are taken as answered
    #[arg(
        long,
        value_name = "OFFSET",
        value_parser = clap::value_parser!(i64).range(0..),
        help_heading = "Instead of what it finds"
    )]
    pub from: Option<i64>,

    /// The last ID that may have been given, instead of the margin: ID for new names and for every
    /// sequence that counts up to it, NAME=ID for one sequence in its own direction; repeatable
    #[arg(
        long,
        value_name = "[NAME=]ID",
        value_parser = above,
        help_heading = "Instead of what it finds"
    )]
    pub above: Vec<Above>,

    /// Number of partitions that the request topic had when the service began; only where neither state nor
    /// committed offsets have it
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Instead of what it finds"
    )]
    pub partitions: Option<u32>,

    /// IDs that each sequence leaves out beyond the last that was seen of it, where the log does not
    /// reach back. A request takes as many at most
    #[arg(
        long,
        value_name = "IDS",
        default_value_t = MARGIN_IDS,
        value_parser = clap::value_parser!(i64).range(0..=ID_LAST)
    )]
    pub margin: i64,

    /// Do it; without this it only shows what it would do
    #[arg(long)]
    pub yes: bool,

    /// The owner reports the partition as halted (see /healthz); without an owner it is not needed
    #[arg(long)]
    pub owner_halted: bool,

    /// The form of the output.
    #[command(flatten)]
    pub output: OutputArgs,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer schema`.
#[derive(Args)]
#[command(after_help = help::SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// The document
    #[arg(
        value_name = "request|reply|ledger|asyncapi|openapi",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(DOCUMENTS)
    )]
    pub document: String,
}

/// `sequencer verify`.
#[derive(Args)]
#[command(after_help = help::VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// Other topics with replies, besides the default one; `*` for any characters; repeatable
    #[arg(long, value_name = "PATTERN")]
    pub replies: Vec<String>,

    /// The form of the output.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Memory that it may take, in MB; the rest goes to temporary files
    #[arg(
        long,
        value_name = "MB",
        default_value_t = 500,
        value_parser = clap::value_parser!(u64).range(MEMORY_MB_MIN..=MEMORY_MB_MAX)
    )]
    pub memory_mb: u64,

    /// Directory for temporary files, about 200 bytes a request [default: the system's directory for them]
    #[arg(long, value_name = "DIRECTORY")]
    pub temp: Option<PathBuf>,

    /// Longest wait for the answers to the requests in the log at the start, in milliseconds
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(0..=TIMEOUT_MS_MAX)
    )]
    pub wait_ms: u64,

    /// The connection to the cluster.
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
        Flags {
            brokers: self.brokers.clone(),
            ..self.common.flags()
        }
    }
}

impl ServiceArgs {
    fn over(&self, flags: Flags) -> Flags {
        Flags {
            reply_mode: self.reply_mode,
            http: self.http.clone(),
            ..flags
        }
    }
}

impl ServeArgs {
    /// The settings among the flags.
    pub fn flags(&self) -> Flags {
        self.service.over(self.connection.flags())
    }
}

impl GatewayArgs {
    /// The settings among the flags.
    pub fn flags(&self) -> Flags {
        Flags {
            gateway: self.address.clone(),
            ..self.connection.flags()
        }
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
        let Command::Serve(serve) = cli.command else {
            panic!("not serve")
        };
        let flags = serve.flags();
        assert_eq!(flags.brokers.as_deref(), Some("a:1,b:2"));
        assert_eq!(flags.config, Some(PathBuf::from("f.toml")));
        assert_eq!(flags.group.as_deref(), Some("g"));
        assert_eq!(flags.reply_mode, Some(Mode::ExactlyOnce));
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
            "sequencer next orders --count 9007199254740992",
            "sequencer recover --from 1",
            "sequencer recover --partition -1 --from 1 --above 1",
            "sequencer topics drop",
            "sequencer rescale",
            "sequencer rescale --partitions 1",
            "sequencer rescale --partitions 8 --dry-run --yes",
            "sequencer rescale --partitions 8 --status",
            "sequencer rescale --status --yes",
            "sequencer verify --memory-mb 1",
            "sequencer trace orders",
            "sequencer trace orders 5 --request-id x",
            "sequencer trace orders 5 --from-time 2026-01-01",
            "sequencer trace orders --request-id x --from-time yesterday",
            "sequencer audit",
            "sequencer bench --only drain,nothing",
            "sequencer",
        ] {
            let error = parse(line).err().map(|error| error.exit_code());
            assert_eq!(error, Some(2), "{line}");
        }
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        for command in [
            "serve", "dev", "gateway", "next", "define", "describe", "set-next", "retire",
            "policy", "inspect", "topics", "recover", "rescale", "trace", "audit", "verify",
            "bench",
        ] {
            let error = parse(&format!("sequencer {command} --help")).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::DisplayHelp);
            assert_eq!(error.exit_code(), 0);
            let help = error.to_string();
            assert!(help.contains("Examples:") && help.contains(&format!("sequencer {command}")));
        }
        for line in [
            "sequencer help",
            "sequencer help next",
            "sequencer help topics create",
        ] {
            let help = parse(line).err().unwrap();
            assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{line}");
            assert_eq!(help.exit_code(), 0, "{line}");
        }
        assert_eq!(
            parse("sequencer --version").err().unwrap().kind(),
            ErrorKind::DisplayVersion
        );
    }
}
