//! The output of `sequencer rescale`.

use std::io::{self, Write};

use serde::Serialize;

use super::plan::{Growth, Plan};
use super::view::View;
use crate::cli::output;
use crate::cli::table::Side::{Left, Right};
use crate::cli::table::{Table, counted, or_dash};
use crate::core::Homes;

/// The status for programs.
#[derive(Serialize)]
struct Status<'a> {
    /// The numbers of partitions that the service has had, the present one last.
    homes: Vec<u32>,
    /// True when nothing is left to do.
    done: bool,
    partitions: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    partition: i32,
    /// The number of partitions that this one spreads its names over.
    service_partitions: Option<u32>,
    /// The part that it has left to do.
    part: Option<&'static str>,
    sequences: Option<usize>,
    /// The verdict of an owner's takeover.
    outlook: &'static str,
    reason: Option<&'a str>,
}

/// The plan for programs.
#[derive(Serialize)]
struct Planned<'a> {
    homes: Vec<u32>,
    homes_after: Vec<u32>,
    begun: bool,
    topics: Vec<Topic<'a>>,
    done: bool,
}

#[derive(Serialize)]
struct Topic<'a> {
    name: &'a str,
    partitions: u32,
    partitions_after: u32,
}

fn list(homes: &Homes) -> Vec<u32> {
    homes.counts().collect()
}

fn in_words(homes: &Homes) -> String {
    let counts: Vec<String> = homes.counts().map(|n| n.to_string()).collect();
    counts.join(", then ")
}

/// Prints the part of each partition.
pub(super) fn status(view: &View, json: bool, out: &mut impl Write) -> io::Result<()> {
    let rows = view.partitions.iter().map(|facts| Row {
        partition: facts.partition,
        service_partitions: facts.service_partitions,
        part: view.part(facts).map(|part| part.as_str()),
        sequences: facts.sequences,
        outlook: facts.outlook.as_str(),
        reason: facts.reason.as_deref(),
    });
    let rows: Vec<Row<'_>> = rows.collect();
    let done = view.unknown().is_none() && !view.is_unfinished();
    if json {
        let status = Status {
            homes: view.homes.as_ref().map(list).unwrap_or_default(),
            done,
            partitions: rows,
        };
        return output::json(&status, out);
    }
    let mut table = Table::new([
        ("PARTITION", Right),
        ("N", Right),
        ("SEQUENCES", Right),
        ("PART", Left),
        ("OUTLOOK", Left),
    ]);
    for row in rows {
        table.row([
            row.partition.to_string(),
            or_dash(row.service_partitions),
            or_dash(row.sequences),
            or_dash(row.part),
            row.outlook.to_owned(),
        ]);
    }
    table.print(out)?;
    match &view.homes {
        Some(homes) if homes.epoch() == 0 => writeln!(
            out,
            "\nnames are spread over {}, and were never spread again",
            counted(homes.partitions(), "partition")
        ),
        Some(homes) if done => writeln!(
            out,
            "\nthe rescale to {} is done (partitions: {})",
            counted(homes.partitions(), "partition"),
            in_words(homes)
        ),
        Some(homes) => writeln!(
            out,
            "\nthe rescale to {} is not done (partitions: {})",
            counted(homes.partitions(), "partition"),
            in_words(homes)
        ),
        None => Ok(()),
    }
}

/// Says that nothing is to be done.
pub(super) fn nothing(view: &View, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        return status(view, json, out);
    }
    let n = view.homes.map_or(0, |homes| homes.partitions());
    let partitions = counted(n, "partition");
    writeln!(
        out,
        "names are spread over {partitions} already: nothing is to be done"
    )
}

/// Prints a plan that is not carried out.
pub(super) fn planned(plan: &Plan, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        let topics = plan.growths().iter().map(|growth| Topic {
            name: &growth.topic,
            partitions: growth.before,
            partitions_after: growth.after,
        });
        let planned = Planned {
            homes: list(&plan.known),
            homes_after: list(&plan.homes),
            begun: plan.is_begun,
            topics: topics.collect(),
            done: false,
        };
        return output::json(&planned, out);
    }
    begins(plan, out)?;
    for Growth {
        topic,
        before,
        after,
    } in plan.growths()
    {
        writeln!(out, "  {topic}: {before} to {after} partitions")?;
    }
    let answers = match plan.is_begun {
        true => "",
        false => "every partition answers, ",
    };
    writeln!(
        out,
        "checked: {answers}every instance knows rescales, the topics are as they should be\n\
         Nothing was changed. With --yes it is done, and there is no way back to fewer partitions."
    )
}

/// Says what is about to be done.
pub(super) fn begins(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let (before, after) = (plan.known.partitions(), plan.homes.partitions());
    match plan.is_begun {
        true => writeln!(
            out,
            "the rescale from {before} to {after} partitions has begun, and goes on"
        ),
        false => writeln!(
            out,
            "names are spread over {before} partitions, and will be over {after}: {} of them in {after} move to a \
             new partition, on average",
            after - before
        ),
    }
}

/// Says that a topic has its partitions.
pub(super) fn grown(growth: &Growth, out: &mut impl Write) -> io::Result<()> {
    let Growth { topic, after, .. } = growth;
    writeln!(out, "topic {topic} has {after} partitions")
}

/// Says that the rescale has begun.
pub(super) fn split(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let n = plan.homes.partitions();
    writeln!(
        out,
        "every partition runs; the rescale to {n} partitions has begun, and the instances carry it out"
    )
}
