//! What was found, what follows from it, and what was done.

use std::cmp::Ordering;
use std::io::{self, Write};

use super::evidence::{Evidence, Ownership};
use super::plan::{Ask, Plan};
use crate::cli::args::RecoverArgs;
use crate::cli::shell;
use crate::cli::table::counted;
use crate::service::settings::Topics;

/// The evidence.
pub fn found(
    ask: &Ask,
    evidence: &Evidence,
    topics: &Topics,
    out: &mut impl Write,
) -> io::Result<()> {
    let Evidence {
        log,
        state,
        replies,
        ownership,
        ..
    } = evidence;
    writeln!(
        out,
        "partition {} of {}, group {}\n",
        ask.partition, topics.requests, ask.group
    )?;
    writeln!(out, "found")?;
    writeln!(out, "  requests   offsets {} to {}", log.start, log.end)?;
    let restored = &state.restored;
    let checkpoint = match &restored.footer {
        Some(footer) => format!(
            "the last checkpoint that adds up is at {}, by {}",
            footer.next, footer.instance
        ),
        None => "no checkpoint adds up".to_owned(),
    };
    writeln!(
        out,
        "  state      {}, {} skipped; {checkpoint}",
        counted(restored.records, "record"),
        counted(restored.skipped_batches, "batch")
    )?;
    writeln!(
        out,
        "  sequences  {}, highest ID {}",
        state.counters.len(),
        state.highest_id()
    )?;
    writeln!(
        out,
        "  replies    {} in {}, {} of them to names of this partition, highest ID {}",
        replies.read,
        topics.replies,
        replies.of_partition,
        replies
            .given
            .values()
            .map(|(_, highest)| *highest)
            .max()
            .unwrap_or(0)
    )?;
    let owner = match ownership {
        Ownership::Nobody => "nobody",
        Ownership::Member(member) => member,
        Ownership::Unsettled => "not known, the group is rebalancing",
    };
    writeln!(out, "  owner      {owner}\n")
}

/// What the repair means.
pub fn planned(
    ask: &Ask,
    evidence: &Evidence,
    plan: &Plan,
    out: &mut impl Write,
) -> io::Result<()> {
    let (from, end) = (plan.footer.next, evidence.log.end);
    let floor = plan.footer.scalars.floor;
    writeln!(out, "the repair")?;
    writeln!(
        out,
        "  goes on at offset {from}, {} before the end of the log",
        end.0 - from.0
    )?;
    let checkpoint = evidence.state.restored.footer.as_ref();
    match checkpoint.map(|footer| (footer.next.0, footer.next.cmp(&from))) {
        Some((next, Ordering::Greater)) => writeln!(
            out,
            "  answers what lies at {from} to {} a second time, with other IDs",
            next - 1
        )?,
        Some((next, Ordering::Less)) => {
            writeln!(out, "  never answers what lies at {next} to {}", from.0 - 1)?;
        }
        _ => {}
    }
    let sequences = counted(plan.fold.sequences(), "sequence");
    writeln!(
        out,
        "  lets {sequences}, and every new name, go on above ID {floor}"
    )?;
    if floor > ask.above {
        writeln!(
            out,
            "    (more than --above {}: an ID up to {floor} was given already)",
            ask.above
        )?;
    }
    writeln!(out)
}

/// The end of a look.
pub fn not_written(
    args: &RecoverArgs,
    evidence: &Evidence,
    out: &mut impl Write,
) -> io::Result<()> {
    let command = shell::line(std::env::args_os().chain(["--yes".into()]));
    if matches!(evidence.ownership, Ownership::Member(_)) && !args.owner_halted {
        writeln!(
            out,
            "The partition has an owner: stop it, or add --owner-halted if its /healthz reports the \
             partition as halted."
        )?;
    }
    writeln!(out, "Nothing was written. To do it:\n  {command}")
}

/// The end of a repair, which a restore has found.
pub fn written(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let footer = &plan.footer;
    writeln!(
        out,
        "Written and read back: the partition goes on at offset {}, above ID {}.\nAn instance that \
         reports it as halted notices within 10 s; without one, start `sequencer serve`.",
        footer.next, footer.scalars.floor
    )
}
