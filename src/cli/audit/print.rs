//! The report of `audit` for people.

use std::io::{self, Write};

use crate::audit::chain::{Act, Report};
use crate::audit::time;
use crate::cli::changed::push_said;
use crate::cli::table::counted;
use crate::core::printable::printable;

/// Highest number of acts that are printed. `--json` has all of them.
const ACTS_MAX: usize = 20;

/// Prints the pages that were read, the operators' acts, and the findings.
pub(super) fn report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let range = |first: Option<String>, last: Option<String>| match (first, last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    };
    let text = |number: Option<i64>| number.map(|number| number.to_string());
    let record = |number: Option<u64>| number.map(|number| number.to_string());
    let mut row = |what: &str, value: String| writeln!(out, "{what:<13}  {value}");
    row("sequence", printable(&report.sequence).into_owned())?;
    row("ledger", format!("partition {}", report.partition))?;
    row("read", counted(report.pages_read, "page"))?;
    row(
        "records",
        range(record(report.first_record), record(report.last_record)),
    )?;
    row(
        "grants",
        format!("{} with {} IDs", report.grants, report.ids),
    )?;
    row("IDs", range(text(report.first_id), text(report.last_id)))?;
    if let Some(hash) = &report.last_hash {
        row("last hash", hash.clone())?;
    }
    if !report.acts.is_empty() {
        writeln!(out, "\nOrdered by operators:")?;
        for act in report.acts.iter().take(ACTS_MAX) {
            writeln!(out, "  {}", ordered(act))?;
        }
        if let Some(more) = report
            .acts
            .len()
            .checked_sub(ACTS_MAX)
            .filter(|more| *more > 0)
        {
            writeln!(out, "  and {more} more")?;
        }
    }
    for finding in &report.findings {
        writeln!(out, "\n{}: {}", finding.wrong.as_str(), finding.count)?;
        for example in &finding.examples {
            writeln!(
                out,
                "  partition {} offset {}: {}",
                example.partition, example.offset, example.problem
            )?;
        }
    }
    if !report.unchecked.is_empty() {
        writeln!(out, "\nNot checked:")?;
        for what in &report.unchecked {
            writeln!(out, "  {what}")?;
        }
    }
    let verdict = match &report.problem {
        _ if !report.findings.is_empty() => "not as it should be",
        Some(problem) => return writeln!(out, "\nnothing was checked: {problem}"),
        None if report.unchecked.is_empty() => {
            "clean: the chain is whole, and no number is missing or double"
        }
        None => "clean as far as it was checked: no number is missing or double in what was read",
    };
    writeln!(out, "\n{verdict}")
}

fn ordered(act: &Act) -> String {
    let mut line = format!("{} at {}", act.kind, time::of_millis(act.timestamp));
    if let Some(next) = act.next {
        line.push_str(&format!(", next {next}"));
    }
    push_said(&mut line, [(" by ", &act.requester), (": ", &act.reason)]);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_say_that_the_chain_is_whole() {
        let act = Act {
            kind: "define",
            partition: 0,
            offset: 0,
            next: Some(1),
            timestamp: 0,
            requester: None,
            reason: Some("\u{1b}[2J\u{1b}]0;x\u{7}\nclean: the chain is whole".to_owned()),
        };
        let all = Report {
            sequence: "esc".to_owned(),
            acts: vec![act],
            problem: Some("of nothing".to_owned()),
            ..Report::default()
        };
        let mut out = Vec::new();
        report(&all, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            !text.lines().any(|line| line.starts_with("clean")),
            "{text}"
        );
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
        assert!(
            text.ends_with("\nnothing was checked: of nothing\n"),
            "{text}"
        );
    }
}
