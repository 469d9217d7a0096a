//! Prints the differences for people: `+` is new, `~` changes, everything else stays.

use std::io::{self, Write};

use super::diff::{Change, Kind};
use super::{Plan, PolicyChange, Step};
use crate::cli::define::plain;
use crate::cli::table::counted;
use crate::core::printable::printable;

/// Prints the changes of a file.
pub(super) fn plan(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    for step in &plan.sequences {
        sequence(&step.change, out)?;
        if let Some(why) = step
            .change
            .would_be_refused
            .as_ref()
            .filter(|_| plan.dry_run)
        {
            writeln!(out, "    would be refused: {}", printable(why))?;
        }
        if plan.dry_run && step.change.unforeseen {
            writeln!(
                out,
                "    may be refused: the sequence is exhausted, and only the service knows where it stands"
            )?;
        }
    }
    policy(&plan.policy, out)?;
    let count = |kind| {
        let all = plan.sequences.iter();
        all.filter(|step| step.change.change == kind).count()
    };
    let (new, changed) = (count(Kind::New), count(Kind::Changed));
    let unchanged = count(Kind::Unchanged);
    writeln!(
        out,
        "{}: {new} new, {changed} changed, {unchanged} unchanged",
        counted(plan.sequences.len(), "sequence")
    )
}

/// Prints the result, when all changes succeeded.
pub(super) fn end(
    dry_run: bool,
    applied: usize,
    foreseen: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    match applied {
        _ if dry_run && foreseen > 0 => writeln!(
            out,
            "dry run: nothing was written, and {} would be refused",
            counted(foreseen, "change")
        ),
        _ if dry_run => writeln!(out, "dry run: nothing was written"),
        0 => writeln!(out, "nothing to change"),
        _ => writeln!(out, "applied {}", counted(applied, "change")),
    }
}

fn sequence(change: &Change, out: &mut impl Write) -> io::Result<()> {
    let name = printable(&change.sequence);
    match change.change {
        Kind::New => writeln!(out, "+ {name}: new")?,
        Kind::Changed => writeln!(out, "~ {name}: changed")?,
        Kind::Unchanged => writeln!(out, "  {name}: unchanged")?,
    }
    for difference in &change.fields {
        let (field, new) = (difference.field, plain(&difference.new));
        match &difference.old {
            Some(old) => writeln!(out, "    {field}: {} -> {new}", plain(old))?,
            None => writeln!(out, "    {field}: {new}")?,
        }
    }
    Ok(())
}

/// Prints the policies. Partitions that change in the same way are named together.
fn policy(steps: &[Step<PolicyChange>], out: &mut impl Write) -> io::Result<()> {
    let mut changes: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for PolicyChange {
        partition,
        old,
        new,
    } in steps.iter().map(|step| &step.change)
    {
        if old == new {
            continue;
        }
        match changes.iter_mut().find(|(before, ..)| before == old) {
            Some((.., partitions)) => partitions.push(partition.to_string()),
            None => changes.push((old, new, vec![partition.to_string()])),
        }
    }
    if changes.is_empty() && !steps.is_empty() {
        return writeln!(out, "  policy: unchanged");
    }
    for (old, new, partitions) in changes {
        let partitions = partitions.join(", ");
        writeln!(out, "~ policy: changed, in partitions {partitions}")?;
        writeln!(out, "    undefined: {} -> {new}", printable(old))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::diff::Difference;
    use super::*;

    #[test]
    fn each_change_is_told_with_old_and_new() {
        let change = |sequence: &str, change, fields| {
            Step::of(Change {
                sequence: sequence.to_owned(),
                change,
                fields,
                would_be_refused: (sequence == "b").then(|| "because".to_owned()),
                unforeseen: false,
            })
        };
        let difference = |field, old, new| Difference { field, old, new };
        let policy = |partition, old: &str| {
            Step::of(PolicyChange {
                partition,
                old: old.to_owned(),
                new: "refuse".to_owned(),
            })
        };
        let all = Plan {
            dry_run: true,
            sequences: vec![
                change("a", Kind::New, vec![difference("min", None, 5.into())]),
                change(
                    "b",
                    Kind::Changed,
                    vec![difference("at_end", Some("error".into()), "cycle".into())],
                ),
                change("c", Kind::Unchanged, vec![]),
            ],
            policy: vec![
                policy(0, "create"),
                policy(1, "refuse"),
                policy(2, "create"),
            ],
        };
        let mut out = Vec::new();
        plan(&all, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
+ a: new
    min: 5
~ b: changed
    at_end: error -> cycle
    would be refused: because
  c: unchanged
~ policy: changed, in partitions 0, 2
    undefined: create -> refuse
3 sequences: 1 new, 1 changed, 1 unchanged
"
        );
    }

    #[test]
    fn a_dry_run_that_would_fail_does_not_end_as_if_all_were_well() {
        let ends = |foreseen| {
            let mut out = Vec::new();
            end(true, 0, foreseen, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(ends(0), "dry run: nothing was written\n");
        assert_eq!(
            ends(2),
            "dry run: nothing was written, and 2 changes would be refused\n"
        );
    }

    #[test]
    fn a_policy_that_is_there_already_is_unchanged_and_one_that_nobody_wants_is_not_told() {
        let told = |policy| {
            let plan = Plan {
                dry_run: false,
                sequences: Vec::new(),
                policy,
            };
            let mut out = Vec::new();
            super::plan(&plan, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let same = Step::of(PolicyChange {
            partition: 0,
            old: "create".to_owned(),
            new: "create".to_owned(),
        });
        assert!(told(vec![same]).starts_with("  policy: unchanged\n"));
        assert!(told(Vec::new()).starts_with("0 sequences"));
    }
}
