//! Prints the evidence, the plan, and the result.

use std::cmp::Ordering;
use std::io::{self, Write};

use super::evidence::{Evidence, Judged, Ownership};
use super::plan::{Ask, Moved, Plan, is_home};
use super::raise::{Beyond, Raised};
use crate::cli::args::{Above, MARGIN_IDS, RecoverArgs};
use crate::cli::shell;
use crate::cli::table::counted;
use crate::core::NextOffset;
use crate::core::printable::printable;
use crate::processor::halt::Halt;
use crate::service::settings::Settings;

/// Highest number of moved sequences that are listed. The others are only counted.
const MOVES_PRINTED_MAX: usize = 20;

/// Prints the evidence.
pub(super) fn found(
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
        decided,
        origin,
        ..
    } = evidence;
    writeln!(
        out,
        "partition {partition} of {}, group {}\n",
        topics.requests, settings.group
    )?;
    writeln!(out, "found")?;
    writeln!(out, "  requests   offsets {} to {}", log.start, log.end)?;
    writeln!(
        out,
        "  service    names have their homes in {}, {origin}",
        counted(decided.homes.partitions(), "partition")
    )?;
    let restored = &state.restored;
    let checkpoint = match &restored.footer {
        Some(footer) => format!(
            "the last checkpoint that adds up is at {}, by {}",
            footer.next,
            printable(&footer.instance)
        ),
        None => "no checkpoint adds up".to_owned(),
    };
    let checkpoint = match evidence.answered {
        Some(answered) => format!(
            "{checkpoint}; everything up to offset {} is answered",
            answered.next
        ),
        None => checkpoint,
    };
    writeln!(
        out,
        "  state      {}, {} skipped; {checkpoint}",
        counted(restored.records, "record"),
        counted(restored.skipped_batches, "batch")
    )?;
    let plain = state.counters.values();
    let plain = plain.filter(|known| known.defined.is_none()).count();
    writeln!(
        out,
        "  sequences  {}, {plain} of them without a definition",
        state.counters.len()
    )?;
    writeln!(
        out,
        "  replies    {} in {}, {} of them to names of this partition",
        replies.read, topics.replies, replies.of_partition,
    )?;
    let owner = match ownership {
        Ownership::Nobody => "nobody".to_owned(),
        Ownership::Member(member) => member.clone(),
        Ownership::Unsettled => "not known, the group is rebalancing".to_owned(),
        Ownership::OfOtherTopic { member, topic } => format!("{member}, which reads {topic}"),
        Ownership::Unknown { member, topic } => {
            format!("not known, {member} reads {topic}")
        }
    };
    writeln!(out, "  owner      {}", printable(&owner))?;
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

/// Prints that a partition needs no repair.
pub(super) fn nothing(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "Nothing is to be repaired: the state adds up, and the log goes on from it."
    )
}

/// Prints the plan of a repair from the log.
pub(super) fn rebuilt(
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

/// Prints the plan of a jump.
pub(super) fn jump(
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
    answers(from, evidence, out)?;
    if is_home(ask.partition, evidence) {
        moves(&plan.moved, out)?;
        writeln!(out, "  lets every new name go on above ID {floor}")?;
    } else {
        writeln!(
            out,
            "  moves no sequence: every name has its home in another partition"
        )?;
    }
    writeln!(out)
}

/// Prints the requests that get no answer by this repair, and those that get a second one.
fn answers(from: NextOffset, evidence: &Evidence, out: &mut impl Write) -> io::Result<()> {
    let Some(footer) = &evidence.state.restored.footer else {
        return Ok(());
    };
    let (next, log) = (footer.next.max(evidence.covered()), evidence.log);
    if footer.topic_id != log.topic_id {
        return writeln!(
            out,
            "  never answers what the topic before this one had from offset {next} on"
        );
    }
    if let Judged::Halts(Halt::Truncated { .. } | Halt::OtherRecord { .. }) = &evidence.judged {
        return match (evidence.cut, from < next) {
            (Some(cut), true) if from == cut => writeln!(
                out,
                "  answers what was written since the log was cut at {cut}; what was answered at {cut} to \
                 {} is lost with the log, and its IDs stay given",
                next.0 - 1
            ),
            (_, true) => writeln!(
                out,
                "  what was answered at {from} to {} is lost with the log, and its IDs stay given",
                next.0 - 1
            ),
            (_, false) => writeln!(
                out,
                "  never answers what was written below {from} since the log was cut, and where that was \
                 is not known: look for requests without a reply"
            ),
        };
    }
    match next.cmp(&from) {
        Ordering::Less => writeln!(
            out,
            "  never answers what lies, or lay, at {next} to {}",
            from.0 - 1
        ),
        Ordering::Greater if from < log.end => writeln!(
            out,
            "  answers what lies at {from} to {}, a second time where it was answered, with other IDs",
            next.min(log.end).0 - 1
        ),
        Ordering::Greater | Ordering::Equal => Ok(()),
    }
}

/// Prints the moves of the sequences. Each one that is not simply moved on is named.
fn moves(moved: &[Moved], out: &mut impl Write) -> io::Result<()> {
    let is_on = |moved: &&Moved| matches!(moved.to, Raised::On(_));
    let (on, others): (Vec<&Moved>, Vec<&Moved>) = moved.iter().partition(is_on);
    writeln!(
        out,
        "  moves {} on, each in its own direction beyond its own IDs",
        counted(on.len() as u64, "sequence")
    )?;
    for Moved {
        name,
        seen,
        beyond,
        to,
    } in on.iter().take(MOVES_PRINTED_MAX)
    {
        let seen = seen.map_or_else(|| "-".to_owned(), |seen| seen.to_string());
        let by = match beyond {
            Beyond::Margin(margin) => format!("{margin} IDs on"),
            Beyond::Id(id) => format!("beyond --above {id}"),
        };
        let to = to.sequence().stored();
        writeln!(out, "    {name:?}: next ID {to} instead of {seen}, {by}")?;
    }
    if on.len() > MOVES_PRINTED_MAX {
        writeln!(out, "    … and {} more", on.len() - MOVES_PRINTED_MAX)?;
    }
    for Moved { name, to, .. } in others {
        let how = match to {
            Raised::NextCycle(sequence) => format!(
                "begins its next cycle, at ID {}, since fewer IDs are left of this one",
                sequence.stored()
            ),
            Raised::RetiredAtEnd(_) => {
                "is retired and not moved on: no ID is left within its bounds, so defining it again \
                 needs wider ones"
                    .to_owned()
            }
            Raised::Exhausted(_) => "is not moved on: it has no ID left".to_owned(),
            Raised::On(_) => continue,
        };
        writeln!(out, "  {name:?} {how}")?;
    }
    Ok(())
}

/// Prints the end of a run that wrote nothing.
pub(super) fn not_written(
    args: &RecoverArgs,
    evidence: &Evidence,
    out: &mut impl Write,
) -> io::Result<()> {
    let command = command(args, &shell::program());
    if matches!(evidence.ownership, Ownership::Member(_)) && !args.owner_halted {
        writeln!(
            out,
            "The partition has an owner: stop it, or add --owner-halted if its /healthz reports the \
             partition as halted."
        )?;
    }
    writeln!(out, "Nothing was written. To do it:\n  {command}")?;
    let secrets = shell::secrets(&args.connection.common);
    if !secrets.is_empty() {
        writeln!(
            out,
            "and {} as before, which are not printed: they may be secrets",
            secrets.join(", ")
        )?;
    }
    Ok(())
}

/// The command of this run, with `--yes`.
pub(super) fn command(args: &RecoverArgs, program: &str) -> String {
    let RecoverArgs {
        partition,
        from,
        above,
        partitions,
        margin,
        yes: _, // the printed command adds this flag
        output,
        owner_halted,
        connection,
    } = args;
    let mut words = vec!["recover".to_owned()];
    let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    add("--partition", partition.to_string());
    if let Some(from) = from {
        add("--from", from.to_string());
    }
    for Above { name, id } in above {
        let value = match name {
            Some(name) => format!("{name}={id}"),
            None => id.to_string(),
        };
        add("--above", value);
    }
    if let Some(n) = partitions {
        add("--partitions", n.to_string());
    }
    if *margin != MARGIN_IDS {
        add("--margin", margin.to_string());
    }
    if output.json() {
        words.push("--json".to_owned());
    }
    if *owner_halted {
        words.push("--owner-halted".to_owned());
    }
    let flags = shell::service_flags(connection.brokers.as_deref(), &connection.common);
    let space = if flags.is_empty() { "" } else { " " };
    format!("{program} {}{space}{flags} --yes", shell::line(words))
}

/// Prints the end of a repair, after a restore has found it.
pub(super) fn written(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let footer = &plan.footer;
    writeln!(
        out,
        "Written and read back: the partition goes on at offset {}{}.\nAn instance that reports it as \
         halted notices within 10 s; without one, start `sequencer serve`.",
        footer.next,
        match footer.scalars.floor {
            0 => String::new(),
            floor => format!(", new names above ID {floor}"),
        }
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn printed(words: &[&str]) -> String {
        let Command::Recover(args) = Cli::parse_from(words).command else {
            panic!("not recover")
        };
        command(&args, "sequencer")
    }

    #[test]
    fn the_printed_command_is_the_same_one_without_its_secrets() {
        let line = printed(&[
            "sequencer",
            "recover",
            "--partition",
            "3",
            "--above",
            "my orders=5",
            "--above",
            "9",
            "--set",
            "kafka.sasl.password=hunter2",
            "--set=topics.requests=r",
            "--group",
            "it's",
            "--from",
            "7",
            "--owner-halted",
        ]);
        assert_eq!(
            line,
            "sequencer recover --partition 3 --from 7 --above 'my orders=5' --above 9 --owner-halted \
             --group 'it'\\''s' --set topics.requests=r --yes"
        );
        let short = printed(&["sequencer", "recover", "--partition", "3"]);
        assert_eq!(short, "sequencer recover --partition 3 --yes");
        let all = ["--margin", "5", "--partitions", "4", "--brokers", "a:1"];
        let long = printed(&[&["sequencer", "recover", "--partition", "0"], &all[..]].concat());
        assert_eq!(
            long,
            "sequencer recover --partition 0 --partitions 4 --margin 5 --brokers a:1 --yes"
        );
    }
}
