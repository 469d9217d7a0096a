//! The commands that read the ledger.

use std::path::PathBuf;

use clap::Args;

use super::{ConnectionArgs, OutputArgs, help};
use crate::audit::time;

/// `sequencer trace`.
#[derive(Args)]
#[command(after_help = help::TRACE_EXAMPLES, allow_negative_numbers = true)]
// For a group of which one is required, clap would put the group before the name.
#[command(override_usage = "sequencer trace <NAME> <NUMBER|--request-id <ID>> [OPTIONS]")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["number", "request_id"]))]
pub struct TraceArgs {
    /// Name of the sequence
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The ID that was granted
    #[arg(value_name = "NUMBER")]
    pub number: Option<i64>,

    /// The request_id of the client's request
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,

    /// Only records written at this time or later, such as 2026-03-01T08:00:00Z, or a date
    #[arg(long, value_name = "TIME", value_parser = time::to_millis, conflicts_with = "number")]
    pub from_time: Option<i64>,

    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// `sequencer audit`.
#[derive(Args)]
#[command(after_help = help::AUDIT_EXAMPLES, allow_negative_numbers = true)]
pub struct AuditArgs {
    /// Name of the sequence
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Begin with the record of this ID
    #[arg(long, value_name = "ID")]
    pub from: Option<i64>,

    /// End with the record of this ID
    #[arg(long, value_name = "ID")]
    pub to: Option<i64>,

    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Write each record as a line of this file, too
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// The connection to the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}
