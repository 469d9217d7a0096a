//! The commands that define sequences and move them.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{AskArgs, help};
use crate::core::command::Undefined;
use crate::core::definition::AtEnd;
use crate::core::limits::{BOUND_MAX, BOUND_MIN, COUNT_MAX, REMEMBER_MAX};

/// The author and the reason of a change, for the record.
#[derive(Args)]
pub struct RecordArgs {
    /// Reason of the change, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Author of the change, for the record (default: your user name and this host, as USER@HOST)
    #[arg(long, value_name = "NAME")]
    pub requester: Option<String>,
}

/// The fields of a definition. A field that is left out stays as it is, or has its default.
#[derive(Args)]
pub struct FieldArgs {
    /// First ID of a new sequence [default: --min, or --max when it counts down]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(BOUND_MIN..))]
    pub start: Option<i64>,

    /// Step from one ID to the next; a negative one counts down [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(BOUND_MIN..))]
    pub increment: Option<i64>,

    /// Lowest ID [default: 1; when it counts down, -(2^53-1)]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(BOUND_MIN..))]
    pub min: Option<i64>,

    /// Highest ID, up to 2^63-1 [default: 2^53-1; when it counts down, -1]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(..=BOUND_MAX))]
    pub max: Option<i64>,

    /// When no ID is left: refuse requests, or begin again [default: error]
    #[arg(
        long,
        value_name = "error|cycle",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(AT_END)
    )]
    pub at_end: Option<String>,

    /// Most IDs that one request can take [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
    pub max_count: Option<u64>,

    /// Write each grant to the ledger, for trace and audit [default: false]
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    pub audit: Option<bool>,

    /// Requests with a request_id that the sequence remembers itself; with 0 its partition does [default: 0]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..=i64::from(REMEMBER_MAX))
    )]
    pub remember: Option<u32>,
}

/// The words of `at_end`.
pub const AT_END: [&str; 2] = [AtEnd::Error.as_str(), AtEnd::Cycle.as_str()];

/// The words of `undefined`.
pub const UNDEFINED: [&str; 2] = [Undefined::Create.as_str(), Undefined::Refuse.as_str()];

/// `sequencer define`.
#[derive(Args)]
#[command(after_help = help::DEFINE_EXAMPLES, allow_negative_numbers = true)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["name", "file"]))]
pub struct DefineArgs {
    /// Name of the sequence
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// The fields of the definition.
    #[command(flatten)]
    pub fields: FieldArgs,

    /// Apply a file of definitions: show what differs and change that
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["start", "increment", "min", "max", "at_end", "max_count", "audit", "remember"]
    )]
    pub file: Option<PathBuf>,

    /// Only show what the file would change
    #[arg(long, requires = "file", conflicts_with = "name")]
    pub dry_run: bool,

    /// The author and the reason of the change.
    #[command(flatten)]
    pub record: RecordArgs,

    /// The flags of commands that ask the service.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `sequencer describe`.
#[derive(Args)]
#[command(after_help = help::DESCRIBE_EXAMPLES)]
pub struct DescribeArgs {
    /// Name of the sequence
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The flags of commands that ask the service.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `sequencer set-next`.
#[derive(Args)]
#[command(after_help = help::SET_NEXT_EXAMPLES, allow_negative_numbers = true)]
pub struct SetNextArgs {
    /// Name of the sequence
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The ID that the next request gets
    #[arg(value_name = "NEXT", value_parser = clap::value_parser!(i64).range(BOUND_MIN..))]
    pub next: i64,

    /// Allow a lower one than now: IDs may then be given twice
    #[arg(long, requires = "reason")]
    pub force: bool,

    /// The author and the reason of the change.
    #[command(flatten)]
    pub record: RecordArgs,

    /// The flags of commands that ask the service.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `sequencer retire`.
#[derive(Args)]
#[command(after_help = help::RETIRE_EXAMPLES)]
pub struct RetireArgs {
    /// Name of the sequence
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The author and the reason of the change.
    #[command(flatten)]
    pub record: RecordArgs,

    /// The flags of commands that ask the service.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `sequencer policy`.
#[derive(Args)]
#[command(after_help = help::POLICY_EXAMPLES)]
pub struct PolicyArgs {
    /// Let the first request for an undefined sequence create it, or refuse the request; without this
    /// word, show the present policy
    #[arg(
        value_name = "create|refuse",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(UNDEFINED)
    )]
    pub undefined: Option<String>,

    /// Audit the sequences that are created so: each grant goes to the ledger
    #[arg(long, requires = "undefined")]
    pub audit: bool,

    /// The author and the reason of the change.
    #[command(flatten)]
    pub record: RecordArgs,

    /// The flags of commands that ask the service.
    #[command(flatten)]
    pub ask: AskArgs,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::args::{Cli, Command};

    fn parse(line: &str) -> Result<Command, i32> {
        Cli::try_parse_from(line.split(' '))
            .map(|cli| cli.command)
            .map_err(|error| error.exit_code())
    }

    #[test]
    fn numbers_may_begin_with_a_minus() {
        let Ok(Command::Define(define)) =
            parse("sequencer define down --start -1 --increment -5 --min -100 --max=-1")
        else {
            panic!("not define")
        };
        let fields = define.fields;
        assert_eq!((fields.start, fields.increment), (Some(-1), Some(-5)));
        assert_eq!((fields.min, fields.max), (Some(-100), Some(-1)));
        let Ok(Command::SetNext(set_next)) = parse("sequencer set-next down -50") else {
            panic!("not set-next")
        };
        assert_eq!(set_next.next, -50);
    }

    #[test]
    fn what_does_not_fit_together_exits_2() {
        for line in [
            "sequencer define",
            "sequencer define orders --file f.toml",
            "sequencer define orders --dry-run",
            "sequencer define --file f.toml --start 5",
            "sequencer define orders --at-end stop",
            "sequencer define orders --max-count 0",
            "sequencer define orders --max 9223372036854775808",
            "sequencer define orders --audit maybe",
            "sequencer policy --audit",
            "sequencer set-next orders",
            "sequencer set-next orders 5 --force",
            "sequencer retire",
            "sequencer describe",
            "sequencer policy maybe",
        ] {
            assert_eq!(parse(line).err(), Some(2), "{line}");
        }
    }
}
