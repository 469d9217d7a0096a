//! Finds the record of an ID.
//!
//! Within a turn the IDs of a sequence only go on, so its records are in the order of (turn, ID), and a
//! place in the partition is compared by the first page of the name behind it. A stretch in which there is
//! none is never read twice, so the worst that a sequence with few records in a busy ledger can cost is one
//! reading of the partition; a sequence with a share of one in so many pages costs about that many for each
//! halving.

use std::cmp::Ordering;

use super::coverage::Coverage;
use super::source::{Ledger, Raw};
use crate::kafka::consumer::Flow;
use crate::kafka::error::Error;
use crate::wire::ledger::{Entry, decode};

/// A stretch that is not worth halving.
const STRETCH_OFFSETS: i64 = 500;

/// The first stretch, from the end back, in which the last record of a sequence is looked for; each
/// further one is twice as long.
const TAIL_OFFSETS: i64 = 1_000;

/// Turns that are searched, the last ones: each may hold the ID once.
pub const TURNS_MAX: u32 = 64;

/// A record and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its page's offset in the ledger.
    pub offset: i64,
    /// What it says.
    pub entry: Entry,
}

/// What came of a search in one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By this record.
    Granted(Box<Found>),
    /// By none: it would lie between these.
    NotGranted {
        /// The last record before it.
        before: Option<Box<Found>>,
        /// The first one behind it.
        after: Option<Box<Found>>,
    },
}

/// The records before and after a place, where there are any.
pub type Neighbours = (Option<Box<Found>>, Option<Box<Found>>);

/// What came of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Every grant of the ID, the last first.
    pub grants: Vec<Found>,
    /// Where it would lie in the last turn, when it was never granted.
    pub between: Option<Neighbours>,
    /// Turns before those that were searched.
    pub turns_left: u32,
}

/// Reads of one sequence's records, counted.
pub struct Search<'a> {
    ledger: &'a dyn Ledger,
    name: &'a str,
    /// The offsets and pages read so far.
    pub read: Coverage,
    /// Pages of the sequence among that which are none of the ledger's, at any reading.
    pub unreadable: u64,
    start: i64,
    end: i64,
}

impl<'a> Search<'a> {
    /// In the ledger as it is now.
    ///
    /// # Errors
    /// Its ends cannot be asked for.
    pub fn new(ledger: &'a dyn Ledger, name: &'a str) -> Result<Search<'a>, Error> {
        let (start, end) = ledger.extent()?;
        Ok(Search {
            ledger,
            name,
            read: Coverage::default(),
            unreadable: 0,
            start,
            end,
        })
    }

    /// Start and end of what is searched.
    pub fn extent(&self) -> (i64, i64) {
        (self.start, self.end)
    }

    /// Every grant of an ID; `None` when the sequence has no record.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn trace(&mut self, id: i64) -> Result<Option<Traced>, Error> {
        let Some(last) = self.last()? else {
            return Ok(None);
        };
        let latest = last.entry.turn;
        let first = latest.saturating_sub(TURNS_MAX - 1);
        let mut traced = Traced {
            turns_left: first,
            ..Traced::default()
        };
        for turn in (first..=latest).rev() {
            match self.in_turn(turn, id)? {
                Outcome::Granted(found) => traced.grants.push(*found),
                Outcome::NotGranted { before, after } => {
                    traced.between.get_or_insert((before, after));
                }
            }
        }
        Ok(Some(traced))
    }

    /// The last record of the sequence.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn last(&mut self) -> Result<Option<Found>, Error> {
        let (mut to, mut length) = (self.end, TAIL_OFFSETS);
        while to > self.start {
            let from = self.start.max(to - length);
            let mut last = None;
            self.each(from, to, &mut |page| {
                last = page.records().next_back();
                Flow::Continue
            })?;
            if last.is_some() {
                return Ok(last);
            }
            (to, length) = (from, length * 2);
        }
        Ok(None)
    }

    /// Where an ID lies in a turn.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn in_turn(&mut self, turn: u32, id: i64) -> Result<Outcome, Error> {
        let (mut from, mut to) = (self.start, self.end);
        let (mut before, mut after): (Option<Box<Found>>, Option<Box<Found>>) = (None, None);
        while to - from > STRETCH_OFFSETS {
            if let (Some(one), Some(next)) = (&before, &after)
                && one.entry.record + 1 == next.entry.record
            {
                return Ok(Outcome::NotGranted { before, after });
            }
            let middle = from + (to - from) / 2;
            let Some(page) = self.first(middle, to)? else {
                to = middle;
                continue;
            };
            let next = page.offset + 1;
            let Around { less, rest } = page.around(turn, id);
            match (less, rest) {
                (_, Some((Ordering::Equal, found))) => return Ok(Outcome::Granted(found)),
                (Some(less), Some((_, greater))) => {
                    let (before, after) = (Some(less), Some(greater));
                    return Ok(Outcome::NotGranted { before, after });
                }
                (None, Some((_, greater))) => {
                    to = middle;
                    after = Some(greater);
                }
                (less, None) => {
                    from = next;
                    before = less;
                }
            }
        }
        let mut granted = None;
        self.each(from, to, &mut |page| {
            let Around { less, rest } = page.around(turn, id);
            before = less.or(before.take());
            match rest {
                Some((Ordering::Equal, found)) => granted = Some(found),
                Some((_, found)) => after = Some(found),
                None => return Flow::Continue,
            }
            Flow::Stop
        })?;
        Ok(match granted {
            Some(found) => Outcome::Granted(found),
            None => Outcome::NotGranted { before, after },
        })
    }

    /// The first page of the sequence in a range.
    fn first(&mut self, from: i64, to: i64) -> Result<Option<Page>, Error> {
        let mut first = None;
        self.each(from, to, &mut |page| {
            first = Some(page);
            Flow::Stop
        })?;
        Ok(first)
    }

    /// Each readable page of the sequence in a range.
    fn each(&mut self, from: i64, to: i64, on: &mut dyn FnMut(Page) -> Flow) -> Result<(), Error> {
        let (name, read) = (self.name.as_bytes(), &mut self.read);
        let (mut reached, mut unreadable) = (to, 0);
        self.ledger
            .read(from, to, &mut |Raw { offset, key, value }| {
                read.page(offset);
                if key != name {
                    return Flow::Continue;
                }
                let Some(entries) = decode(value) else {
                    unreadable += 1;
                    return Flow::Continue;
                };
                let flow = on(Page { offset, entries });
                if flow == Flow::Stop {
                    reached = offset.saturating_add(1);
                }
                flow
            })?;
        self.read.read(from, reached);
        self.unreadable += unreadable;
        Ok(())
    }

    /// Every page of a range, of whatever sequence, for a reader that judges them itself.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn scan(
        &mut self,
        from: i64,
        to: i64,
        on: &mut dyn FnMut(Raw<'_>) -> Flow,
    ) -> Result<(), Error> {
        let read = &mut self.read;
        let mut reached = to;
        self.ledger.scan(from, to, &mut |raw| {
            read.page(raw.offset);
            let offset = raw.offset;
            let flow = on(raw);
            if flow == Flow::Stop {
                reached = offset.saturating_add(1);
            }
            flow
        })?;
        self.read.read(from, reached);
        Ok(())
    }
}

/// The records of a page, one at least.
struct Page {
    offset: i64,
    entries: Vec<Entry>,
}

impl Page {
    fn records(self) -> impl DoubleEndedIterator<Item = Found> {
        let offset = self.offset;
        let found = move |entry| Found { offset, entry };
        self.entries.into_iter().map(found)
    }

    /// What of it lies around an ID of a turn.
    fn around(self, turn: u32, id: i64) -> Around {
        let mut around = Around {
            less: None,
            rest: None,
        };
        for found in self.records() {
            let found = Box::new(found);
            match position(&found.entry, turn, id) {
                Ordering::Less => around.less = Some(found),
                other => {
                    around.rest = Some((other, found));
                    break;
                }
            }
        }
        around
    }
}

/// The last record before an ID, and the first one that is not before it.
struct Around {
    less: Option<Box<Found>>,
    rest: Option<(Ordering, Box<Found>)>,
}

/// Where a record stands to an ID of a turn: before it, behind it, or its grant.
fn position(entry: &Entry, turn: u32, id: i64) -> Ordering {
    if entry.turn != turn {
        return entry.turn.cmp(&turn);
    }
    let step = entry.step();
    let order = |a: i64, b: i64| if step < 0 { b.cmp(&a) } else { a.cmp(&b) };
    match (entry.ids(), entry.next) {
        (Some((first, last)), _) => {
            let inside = order(first, id).is_le() && order(last, id).is_ge();
            let distance = i128::from(id) - i128::from(first);
            if !inside {
                order(last, id)
            } else if distance % i128::from(step).abs().max(1) == 0 {
                Ordering::Equal
            } else {
                // Between two steps, so of no grant.
                Ordering::Less
            }
        }
        (None, Some(next)) if order(next, id).is_le() => Ordering::Less,
        (None, _) => Ordering::Greater,
    }
}
