//! Finds who got an ID: the content of `sequencer trace` and of the status page's trace.

use serde::Serialize;

use super::coverage::Coverage;
use super::search::{Located, Search, TURNS_MAX};
use super::source::{Ledger, Place, Raw};
use super::told::told;
use crate::kafka::consumer::Flow;
use crate::kafka::error::Error;
use crate::wire::ledger::{Entry, decode};

/// The result of a trace.
#[derive(Debug, Serialize)]
pub(crate) struct Trace {
    /// The name of the sequence.
    pub sequence: String,
    /// The partition of the ledger that has the last records of the sequence.
    pub partition: i32,
    /// All partitions that have been the home of the sequence, and were searched.
    #[serde(skip)]
    pub partitions: Vec<i32>,
    /// Every grant that was found. For an ID that was given more than once, the last grant comes first.
    pub grants: Vec<Grant>,
    /// The part of the partition that was read.
    #[serde(flatten)]
    pub read: Read,
    /// Remarks in words.
    pub notes: Vec<String>,
}

/// The part of a partition that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Read {
    /// Number of pages, of all sequences.
    pub pages_read: u64,
    /// Number of offsets in the ranges that were read. Transaction markers have offsets, too.
    pub offsets_read: i64,
    /// Number of offsets of the partition.
    pub offsets: i64,
}

impl Read {
    fn of(coverage: &Coverage, (start, end): (i64, i64)) -> Read {
        Read {
            pages_read: coverage.pages,
            offsets_read: coverage.offsets(),
            offsets: end - start,
        }
    }
}

/// A grant and its place in the ledger.
#[derive(Debug, Serialize)]
pub(crate) struct Grant {
    /// The partition of the ledger.
    pub ledger_partition: i32,
    /// The offset of the grant's page in the ledger.
    pub ledger_offset: i64,
    /// The record itself.
    pub record: Entry,
}

impl Grant {
    fn of(found: Located, ledger: &dyn Ledger) -> Grant {
        let Place { partition, offset } = ledger.place(found.offset);
        Grant {
            ledger_partition: partition,
            ledger_offset: offset,
            record: found.entry,
        }
    }
}

/// Finds the grants of an ID by bisection.
///
/// # Errors
/// The ledger cannot be read.
pub(crate) fn by_number(
    ledger: &dyn Ledger,
    partition: i32,
    name: &str,
    number: i64,
) -> Result<Trace, Error> {
    let mut search = Search::new(ledger, name)?;
    let traced = search.trace(number)?;
    let mut notes = Vec::new();
    let mut grants = Vec::new();
    match traced {
        None => notes.push(without_records(name)),
        Some(traced) => {
            let found = traced.grants.into_iter();
            grants.extend(found.map(|found| Grant::of(found, ledger)));
            if let Some((before, after)) = traced.between.filter(|_| grants.is_empty()) {
                notes.push(format!("{number} is in no grant of {name:?}"));
                let unaudited = before
                    .as_ref()
                    .and_then(|found| found.entry.definition)
                    .is_some_and(|rules| !rules.audit);
                if unaudited {
                    notes.push("the sequence was not audited there".to_owned());
                }
                notes.extend(gone(ledger));
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
    notes.extend(unreadable(name, search.unreadable));
    Ok(Trace {
        sequence: name.to_owned(),
        partition,
        partitions: ledger.partitions(),
        grants,
        read: Read::of(&search.read, search.extent()),
        notes,
    })
}

/// Finds the grants of a `request_id`. A `request_id` says nothing about the offset, so the ledger is read from
/// this time on (milliseconds since 1970) if there is one.
///
/// # Errors
/// The ledger cannot be read.
pub(crate) fn by_request(
    ledger: &dyn Ledger,
    partition: i32,
    name: &str,
    request_id: &str,
    from_time_ms: Option<i64>,
) -> Result<Trace, Error> {
    let mut search = Search::new(ledger, name)?;
    let (start, end) = search.extent();
    let from = match from_time_ms {
        Some(time_ms) => ledger.at_time(time_ms)?.max(start),
        None => start,
    };
    let (mut grants, mut own_pages, mut damaged) = (Vec::new(), 0_u64, 0);
    search.scan(from, end, &mut |Raw { offset, key, value }| {
        if key != name.as_bytes() {
            return Flow::Continue;
        }
        own_pages += 1;
        let Some(entries) = decode(value) else {
            damaged += 1;
            return Flow::Continue;
        };
        let asked = |entry: &Entry| entry.request_id.as_deref() == Some(request_id);
        let found = entries.into_iter().filter(asked);
        let found = found.map(|entry| Located { offset, entry });
        grants.extend(found.map(|found| Grant::of(found, ledger)));
        Flow::Continue
    })?;
    let mut notes = Vec::new();
    match (grants.is_empty(), own_pages) {
        (true, 0) if from_time_ms.is_none() => notes.push(without_records(name)),
        (true, 0) => notes.push(format!(
            "the ledger has no record of {name:?} since that time"
        )),
        (true, _) => notes.push(format!(
            "no record of {name:?} that was read has the request_id {request_id:?}"
        )),
        (false, _) => {}
    }
    if grants.is_empty() {
        notes.extend(gone(ledger));
    }
    notes.extend(unreadable(name, damaged));
    Ok(Trace {
        sequence: name.to_owned(),
        partition,
        partitions: ledger.partitions(),
        grants,
        read: Read::of(&search.read, (start, end)),
        notes,
    })
}

fn without_records(name: &str) -> String {
    format!(
        "the ledger has no record of {name:?}: is the name right, and is it defined with audit = true?"
    )
}

fn gone(ledger: &dyn Ledger) -> impl Iterator<Item = String> {
    ledger.gone().into_iter().map(|place| {
        let Place { partition, offset } = place;
        format!("records before offset {offset} of ledger partition {partition} are gone")
    })
}

/// A note that unreadable pages may have held the ID.
fn unreadable(name: &str, pages: u64) -> Option<String> {
    (pages > 0).then(|| {
        format!(
            "pages of {name:?} that cannot be read were passed over: `sequencer audit` names them"
        )
    })
}
