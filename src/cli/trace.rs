//! `sequencer trace`: who got an ID.

use std::io::Write;

use serde::Serialize;

use super::Error;
use super::args::TraceArgs;
use super::ask::check_text;
use super::ledger::{Place, share, told};
use super::session::Session;
use crate::audit::search::{Found, Search, TURNS_MAX};
use crate::audit::source::{Ledger, Raw};
use crate::kafka::consumer::Flow;
use crate::wire::ledger::{Entry, decode};

/// What was found.
#[derive(Debug, Serialize)]
struct View<'a> {
    sequence: &'a str,
    /// The partition of the ledger.
    partition: i32,
    /// Every grant; of an ID that was given more than once, the last first.
    grants: Vec<Grant>,
    /// Records read.
    records_read: u64,
    /// Offsets of the partition.
    records: i64,
    /// What else there is to say.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Grant {
    /// Its offset in the ledger.
    ledger_offset: i64,
    record: Entry,
}

impl From<Found> for Grant {
    fn from(found: Found) -> Grant {
        Grant {
            ledger_offset: found.offset,
            record: found.entry,
        }
    }
}

/// Searches and prints; fails when there is nothing.
pub fn run(args: &TraceArgs, out: &mut impl Write) -> Result<(), Error> {
    check_text("--request-id", args.request_id.as_deref())?;
    let session = Session::open(&args.connection.flags())?;
    let place = Place::of(&args.name, &session)?;
    let view = match (args.number, &args.request_id) {
        (Some(number), _) => by_number(args, number, &place)?,
        (None, Some(request_id)) => by_request(args, request_id, &place)?,
        (None, None) => return Err(Error::Usage("give a NUMBER or --request-id".to_owned())),
    };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &view).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        print(&view, out)?;
    }
    if view.grants.is_empty() {
        return Err(Error::Said);
    }
    Ok(())
}

fn by_number<'a>(args: &'a TraceArgs, number: i64, place: &Place) -> Result<View<'a>, Error> {
    let name = &args.name;
    let mut search = Search::new(&place.ledger, name)?;
    let traced = search.trace(number)?;
    let mut notes = Vec::new();
    let mut grants = Vec::new();
    match traced {
        None => notes.push(format!(
            "the ledger has no record of {name:?}: is it defined with audit = true?"
        )),
        Some(traced) => {
            grants.extend(traced.grants.into_iter().map(Grant::from));
            if let Some((before, after)) = traced.between.filter(|_| grants.is_empty()) {
                notes.push(format!("{number} is in no grant of {name:?}"));
                for (word, found) in [("before it", before), ("behind it", after)] {
                    notes.push(match found {
                        Some(found) => format!("{word}: {}", told(&found.entry)),
                        None => format!("{word}: nothing"),
                    });
                }
            }
            if traced.turns_left > 0 {
                notes.push(format!(
                    "the sequence went back to lower IDs more than {TURNS_MAX} times; earlier turns were \
                     not searched"
                ));
            }
        }
    }
    let (start, end) = search.extent();
    Ok(View {
        sequence: name,
        partition: place.partition,
        grants,
        records_read: search.read,
        records: end - start,
        notes,
    })
}

/// A request's ID says nothing about its place, so the ledger is read.
fn by_request<'a>(args: &'a TraceArgs, request_id: &str, place: &Place) -> Result<View<'a>, Error> {
    let name = &args.name;
    let (start, end) = place.ledger.extent()?;
    let from = match args.from_time {
        Some(time_ms) => place.ledger.at_time(time_ms)?,
        None => start,
    };
    let (mut grants, mut records_read) = (Vec::new(), 0);
    place
        .ledger
        .scan(from, end, &mut |Raw { offset, key, value }| {
            records_read += 1;
            let own = key == name.as_bytes();
            let entry = if own { decode(value) } else { None };
            if let Some(entry) =
                entry.filter(|entry| entry.request_id.as_deref() == Some(request_id))
            {
                grants.push(Grant {
                    ledger_offset: offset,
                    record: entry,
                });
            }
            Flow::Continue
        })?;
    let mut notes = Vec::new();
    if grants.is_empty() {
        notes.push(format!(
            "no record of {name:?} has the request_id {request_id:?}"
        ));
    }
    Ok(View {
        sequence: name,
        partition: place.partition,
        grants,
        records_read,
        records: end - start,
        notes,
    })
}

fn print(view: &View<'_>, out: &mut impl Write) -> Result<(), Error> {
    for grant in &view.grants {
        writeln!(out, "{}: {}", view.sequence, told(&grant.record))?;
        writeln!(
            out,
            "  ledger record {} at {}:{}",
            grant.record.record, view.partition, grant.ledger_offset
        )?;
    }
    for note in &view.notes {
        writeln!(out, "{note}")?;
    }
    writeln!(
        out,
        "{}",
        share(view.records_read, view.records, view.partition)
    )?;
    Ok(())
}
