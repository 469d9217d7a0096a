//! What was found, what follows from it, and what was done.

use std::cmp::Ordering;
use std::io::{self, Write};

use super::evidence::{Evidence, Judged, Ownership};
use super::plan::{Ask, Plan, highest_seen};
use crate::cli::args::RecoverArgs;
use crate::cli::shell;
use crate::cli::table::counted;
use crate::core::NextOffset;
use crate::core::printable::printable;
use crate::service::settings::Settings;

/// The evidence.
pub fn found(
    partition: i32,
    evidence: &Evidence,
    settings: &Settings,
    out: &mut impl Write,
) -> io::Result<()> {
    let topics = &settings.topics;
    let Evidence {
        log,
        state,
        replies,
        ownership,
        ..
    } = evidence;
    writeln!(
        out,
        "partition {partition} of {}, group {}\n",
        topics.requests, settings.group
    )?;
    writeln!(out, "found")?;
    writeln!(out, "  requests   offsets {} to {}", log.start, log.end)?;
    let restored = &state.restored;
    let checkpoint = match &restored.footer {
        Some(footer) => format!(
            "the last checkpoint that adds up is at {}, by {}",
            footer.next,
            printable(&footer.instance)
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
    writeln!(out, "  owner      {}", printable(owner))?;
    match &evidence.judged {
        Judged::Starts => writeln!(out, "  an owner   starts\n"),
        Judged::Waits(reason) => writeln!(out, "  an owner   waits: {}\n", printable(reason)),
        Judged::Halts(halt) => writeln!(
            out,
            "  an owner   halts, {}: {}\n",
            halt.code(),
            printable(&halt.to_string())
        ),
    }
}

/// A partition that needs no repair.
pub fn nothing(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "Nothing is to be repaired: the state adds up, and the log goes on from it."
    )
}

/// A repair from the log.
pub fn rebuilt(
    since: NextOffset,
    evidence: &Evidence,
    plan: &Plan,
    out: &mut impl Write,
) -> io::Result<()> {
    let next = plan.footer.next;
    writeln!(out, "the repair")?;
    writeln!(
        out,
        "  folds the requests at {since} to {next} again: {}, no ID jumps",
        counted(plan.fold.sequences(), "sequence")
    )?;
    writeln!(
        out,
        "  goes on at offset {next}, {} before the end of the log; what was answered from there on \
         is answered again with the same bytes",
        evidence.log.end.0 - next.0
    )?;
    if plan.opens_a_chain() {
        writeln!(
            out,
            "  takes up the chain of forwarded requests where it goes on: those missing are not answered"
        )?;
    }
    writeln!(out)
}

/// A repair by a jump.
pub fn jump(
    ask: &Ask,
    why: &str,
    evidence: &Evidence,
    plan: &Plan,
    out: &mut impl Write,
) -> io::Result<()> {
    let (from, end) = (plan.footer.next, evidence.log.end);
    let floor = plan.footer.scalars.floor;
    writeln!(out, "the repair, by a jump: {why}")?;
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
    let seen = highest_seen(evidence);
    writeln!(
        out,
        "    ({} above {seen}, the highest that state and default replies know)",
        floor - seen
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
        "Written and read back: the partition goes on at offset {}{}.\nAn instance that reports it as \
         halted notices within 10 s; without one, start `sequencer serve`.",
        footer.next,
        match footer.scalars.floor {
            0 => String::new(),
            floor => format!(", above ID {floor}"),
        }
    )
}
