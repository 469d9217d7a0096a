//! The view for people.

use std::io::{self, Write};

use super::View;
use super::partition::{Facts, Outlook};
use super::sequences::Row;
use crate::cli::table::Side::{Left, Right};
use crate::cli::table::{Table, or_dash};
use crate::core::printable::printable;

/// A repair that begins so is a command. Any other repair is advice.
const COMMAND: &str = "sequencer ";

/// Prints partitions, checkpoints, problems, and sequences. `flags` are added to repair commands, so that they
/// find this service.
pub(super) fn everything(view: &View, flags: &str, out: &mut impl Write) -> io::Result<()> {
    let View {
        group,
        requests,
        request_partitions,
        state,
        ..
    } = view;
    writeln!(
        out,
        "group {group}, requests in {requests} ({request_partitions} partitions), state in {state}\n"
    )?;
    offsets(&view.partitions, out)?;
    writeln!(out)?;
    checkpoints(&view.partitions, out)?;
    problems(&view.partitions, flags, out)?;
    let shown = view.sequences.len();
    if shown > 0 {
        writeln!(out)?;
        sequences(&view.sequences, out)?;
    }
    let total = view.sequences_total;
    match u64::try_from(shown) {
        Ok(shown) if shown < total => {
            writeln!(
                out,
                "\n{shown} of {total} sequences; --limit {total} shows all"
            )
        }
        _ => Ok(()),
    }
}

/// Prints one sequence, and the problems of its partitions.
pub(super) fn sequence(
    name: &str,
    view: &View,
    flags: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    sequences(&view.sequences, out)?;
    if let Some(row) = view.sequences.iter().find(|row| row.name == name) {
        let partitions = view.service_partitions.unwrap_or(view.request_partitions);
        writeln!(out, "\nhome: partition {} of {partitions}", row.home)?;
    }
    for row in &view.sequences {
        if let Some(changed) = &row.changed {
            writeln!(
                out,
                "last change, in partition {}: {}",
                row.partition,
                changed.words()
            )?;
        }
    }
    problems(&view.partitions, flags, out)
}

fn offsets(partitions: &[Facts], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([
        ("PARTITION", Right),
        ("NEXT", Right),
        ("COMMITTED", Right),
        ("LOG START", Right),
        ("LOG END", Right),
        ("LAG", Right),
        ("LAST APPLIED", Right),
        ("SEQUENCES", Right),
        ("OUTLOOK", Left),
        ("RESCALE", Left),
    ]);
    for facts in partitions {
        table.row([
            facts.partition.to_string(),
            or_dash(facts.next_offset),
            or_dash(facts.committed_offset),
            or_dash(facts.log_start),
            or_dash(facts.log_end),
            or_dash(facts.lag),
            or_dash(facts.last_applied_offset),
            or_dash(facts.sequences),
            facts.outlook.as_str().to_owned(),
            or_dash(facts.rescale),
        ]);
    }
    table.print(out)
}

fn checkpoints(partitions: &[Facts], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([
        ("PARTITION", Right),
        ("RECORDS READ", Right),
        ("SKIPPED BATCHES", Right),
        ("N", Right),
        ("FOLD", Right),
        ("FLOOR", Right),
        ("WRITTEN BY", Left),
        ("DIGEST", Left),
        ("TOPIC ID", Left),
    ]);
    for facts in partitions {
        table.row([
            facts.partition.to_string(),
            or_dash(facts.state_records),
            or_dash(facts.skipped_batches),
            or_dash(facts.service_partitions),
            or_dash(facts.fold_version),
            or_dash(facts.floor),
            or_dash(facts.instance.as_deref()),
            or_dash(facts.digest.as_deref()),
            or_dash(facts.topic_id.as_deref()),
        ]);
    }
    table.print(out)
}

fn problems(partitions: &[Facts], flags: &str, out: &mut impl Write) -> io::Result<()> {
    for facts in partitions {
        let partition = facts.partition;
        if let Some(repaired) = &facts.repaired {
            writeln!(
                out,
                "\npartition {partition} was repaired: {}",
                printable(repaired)
            )?;
        }
        let Some(reason) = &facts.reason else {
            continue;
        };
        let verb = match facts.outlook {
            Outlook::Halts => "halts",
            Outlook::Waits | Outlook::Starts => "waits",
        };
        writeln!(out, "\npartition {partition} {verb}: {}", printable(reason))?;
        match &facts.repair {
            Some(repair) if repair.starts_with(COMMAND) => {
                writeln!(out, "  repair: {} {flags}", printable(repair))?;
            }
            Some(repair) => writeln!(out, "  repair: {}", printable(repair))?,
            None => {}
        }
    }
    Ok(())
}

fn sequences(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([
        ("SEQUENCE", Left),
        ("PARTITION", Right),
        ("NEXT ID", Right),
        ("", Left),
    ]);
    for row in rows {
        let remark = match row {
            Row {
                used: None, home, ..
            } => format!("not known: partition {home} was not read"),
            Row {
                used: Some(false),
                next_id: None,
                ..
            } => "not used yet, and undefined names get no ID".to_owned(),
            Row {
                used: Some(false), ..
            } => "not used yet".to_owned(),
            Row { retired: true, .. } => "retired".to_owned(),
            Row { next_id: None, .. } => "exhausted".to_owned(),
            Row {
                partition, home, ..
            } if partition != home => {
                format!("not at home, which is partition {home}")
            }
            _ => String::new(),
        };
        table.row([
            row.name.clone(),
            row.partition.to_string(),
            or_dash(row.next_id),
            remark,
        ]);
    }
    table.print(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let row = |name: &str, partition, home| Row {
            name: name.to_owned(),
            partition,
            home,
            next_id: Some(42),
            used: Some(true),
            retired: false,
            changed: None,
        };
        View {
            group: "g".to_owned(),
            requests: "r".to_owned(),
            request_partitions: 2,
            state: "s".to_owned(),
            service_partitions: Some(2),
            partitions: vec![
                Facts {
                    next_offset: Some(12),
                    outlook: Outlook::Starts,
                    ..Facts::default()
                },
                Facts {
                    partition: 1,
                    outlook: Outlook::Halts,
                    reason: Some("why".to_owned()),
                    repair: Some("sequencer recover".to_owned()),
                    ..Facts::default()
                },
            ],
            sequences: vec![row("invoices", 1, 1), row("orders", 0, 1)],
            sequences_total: 3,
        }
    }

    #[test]
    fn a_halt_is_shown_with_its_repair_and_a_stray_with_its_home() {
        let mut out = Vec::new();
        everything(&view(), "--brokers a:1", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in [
            "partition 1 halts: why",
            "  repair: sequencer recover --brokers a:1",
            "invoices          1       42",
            "orders            0       42  not at home, which is partition 1",
            "2 of 3 sequences; --limit 3 shows all",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
