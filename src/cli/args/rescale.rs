//! `sequencer rescale`.

use clap::Args;

use super::{AskArgs, help};
use crate::core::limits::RESCALED_PARTITIONS_MAX;

/// `sequencer rescale`.
#[derive(Args)]
#[command(after_help = help::RESCALE_EXAMPLES)]
#[command(
    override_usage = "sequencer rescale <--partitions <M> [--dry-run|--yes]|--status> [OPTIONS]"
)]
pub struct RescaleArgs {
    /// Number of partitions after it: a multiple of the present number
    #[arg(
        long,
        value_name = "M",
        required_unless_present = "status",
        value_parser = clap::value_parser!(u32).range(2..=i64::from(RESCALED_PARTITIONS_MAX))
    )]
    pub partitions: Option<u32>,

    /// Only check, and show what it would do; this is the default
    #[arg(long)]
    pub dry_run: bool,

    /// Do it; there is no way back
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,

    /// Show the part of each partition in the last rescale, and change nothing
    #[arg(long, conflicts_with_all = ["partitions", "dry_run", "yes"])]
    pub status: bool,

    /// The flags of commands that ask the service.
    #[command(flatten)]
    pub ask: AskArgs,
}
