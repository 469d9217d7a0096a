//! Who got an ID: what `sequencer trace` and the status page tell.

use serde::Serialize;

use super::search::{Found, Search, TURNS_MAX};
use super::source::{Ledger, Raw};
use super::told::told;
use crate::kafka::consumer::Flow;
use crate::kafka::error::Error;
use crate::wire::ledger::{Entry, decode};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Trace {
    /// Whose IDs.
    pub sequence: String,
    /// The partition of the ledger.
    pub partition: i32,
    /// Every grant; of an ID that was given more than once, the last first.
    pub grants: Vec<Grant>,
    /// Pages read.
    pub pages_read: u64,
    /// Offsets of the partition.
    pub pages: i64,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// A grant and where its record lies.
#[derive(Debug, Serialize)]
pub struct Grant {
    /// Its page's offset in the ledger.
    pub ledger_offset: i64,
    /// What it says.
    pub record: Entry,
}

impl From<Found> for Grant {
    fn from(found: Found) -> Grant {
        Grant {
            ledger_offset: found.offset,
            record: found.entry,
        }
    }
}

/// By the ID itself: bisection.
///
/// # Errors
/// The ledger cannot be read.
pub fn by_number(
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
    Ok(Trace {
        sequence: name.to_owned(),
        partition,
        grants,
        pages_read: search.read,
        pages: end - start,
        notes,
    })
}

/// A request's ID says nothing about its place, so the ledger is read, from this time on (milliseconds
/// since 1970) if there is one.
///
/// # Errors
/// The ledger cannot be read.
pub fn by_request(
    ledger: &dyn Ledger,
    partition: i32,
    name: &str,
    request_id: &str,
    from_time_ms: Option<i64>,
) -> Result<Trace, Error> {
    let (start, end) = ledger.extent()?;
    let from = match from_time_ms {
        Some(time_ms) => ledger.at_time(time_ms)?,
        None => start,
    };
    let (mut grants, mut pages_read) = (Vec::new(), 0);
    ledger.scan(from, end, &mut |Raw { offset, key, value }| {
        pages_read += 1;
        let own = key == name.as_bytes();
        let entries = if own { decode(value) } else { None };
        let asked = |entry: &Entry| entry.request_id.as_deref() == Some(request_id);
        let found = entries.unwrap_or_default().into_iter().filter(asked);
        grants.extend(found.map(|record| Grant {
            ledger_offset: offset,
            record,
        }));
        Flow::Continue
    })?;
    let mut notes = Vec::new();
    if grants.is_empty() {
        notes.push(format!(
            "no record of {name:?} has the request_id {request_id:?}"
        ));
    }
    Ok(Trace {
        sequence: name.to_owned(),
        partition,
        grants,
        pages_read,
        pages: end - start,
        notes,
    })
}
