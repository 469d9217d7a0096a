//! The report of `verify` for people.

use std::io::{self, Write};

use crate::cli::table::{Side, Table};
use crate::core::printable::printable;
use crate::verify::report::{Counts, Report};

/// Prints the checks, the counts, and the anomalies.
pub(super) fn report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([
        ("CHECK", Side::Left),
        ("CHECKED", Side::Right),
        ("OF", Side::Left),
        ("ANOMALIES", Side::Right),
    ]);
    for finding in &report.findings {
        table.row([
            finding.invariant.to_owned(),
            finding.checked.to_string(),
            finding.of.to_owned(),
            finding.anomalies.to_string(),
        ]);
    }
    table.print(out)?;
    writeln!(out)?;
    let mut table = Table::new([("COUNTED", Side::Left), ("", Side::Right)]);
    for (what, count) in counted(&report.counts) {
        table.row([what.to_owned(), count.to_string()]);
    }
    table.print(out)?;
    for finding in report
        .findings
        .iter()
        .filter(|finding| finding.anomalies > 0)
    {
        writeln!(out)?;
        writeln!(out, "{}: {} wrong", finding.invariant, finding.anomalies)?;
        for example in &finding.examples {
            let (partition, offset) = (example.partition, example.offset);
            writeln!(
                out,
                "  partition {partition} offset {offset}: {}",
                printable(&example.what)
            )?;
        }
    }
    if !report.unchecked.is_empty() {
        writeln!(out)?;
        writeln!(out, "Not checked:")?;
        for what in &report.unchecked {
            writeln!(out, "  {}", printable(what))?;
        }
    }
    writeln!(out)?;
    match &report.problem {
        Some(problem) => writeln!(out, "nothing was checked: {problem}"),
        None if report.clean => writeln!(out, "clean: all that was checked is as promised"),
        None => writeln!(out, "not as promised"),
    }
}

/// Every count, in words. Counts that are 0 for most services are shown only when they are not 0.
fn counted(counts: &Counts) -> Vec<(&'static str, u64)> {
    let Counts {
        requests,
        grants,
        ids,
        again,
        operators,
        refused,
        strays,
        strays_outside,
        forwarded_again,
        orders,
        sequences,
        replies,
        replies_again,
        replies_outside,
        foreign,
        footers,
        footers_late,
        footers_unchecked,
        repairs,
        passed_over,
        replies_gone,
    } = *counts;
    let always = [
        ("requests", requests),
        ("that got IDs", grants),
        ("IDs", ids),
        ("sequences", sequences),
        ("replies", replies),
        ("footers", footers),
    ];
    let sometimes = [
        ("requests that got the IDs of an earlier one", again),
        ("operators' records", operators),
        ("requests that got an error", refused),
        ("requests outside their home partition", strays),
        ("of these, with a home that is not checked", strays_outside),
        ("forwarded requests that came once more", forwarded_again),
        ("orders of partitions in rescales", orders),
        ("replies that came again", replies_again),
        ("replies to requests that are not checked", replies_outside),
        ("records of reply topics that are no replies", foreign),
        (
            "footers of owners that had lost the partition",
            footers_late,
        ),
        ("footers that cannot be checked", footers_unchecked),
        ("repairs", repairs),
        ("requests that a repair passed over", passed_over),
        ("requests whose replies are gone", replies_gone),
    ];
    let sometimes = sometimes.into_iter().filter(|(_, count)| *count > 0);
    always.into_iter().chain(sometimes).collect()
}
