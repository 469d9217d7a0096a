//! Finds the record of an ID.
//!
//! Within a turn the IDs of a sequence only go on, so its records are in the order of (turn, ID). An offset is
//! compared by the first page of the name after it. A range without such a page is never read twice. So the
//! most that a sequence with few records in a busy ledger can cost is one read of the partition. For a sequence
//! with one of every n pages, each halving costs about n pages.

use std::cmp::Ordering;

use super::coverage::Coverage;
use super::source::{Ledger, Raw};
use crate::kafka::consumer::{Flow, search_backward};
use crate::kafka::error::Error;
use crate::wire::ledger::{Entry, decode};

/// A range of this size is read instead of halved.
const STRETCH_OFFSETS: i64 = 500;

/// Number of turns that are searched, from the last one back. Each may hold the ID once.
pub(crate) const TURNS_MAX: u32 = 64;

/// A record and its place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The offset of the record's page in the ledger.
    pub offset: i64,
    /// The record itself.
    pub entry: Entry,
}

/// The result of a search in one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// This record granted the ID.
    Granted(Box<Located>),
    /// No record granted the ID. It would lie between these.
    NotGranted {
        /// The last record before the ID.
        before: Option<Box<Located>>,
        /// The first record after the ID.
        after: Option<Box<Located>>,
    },
}

/// The records before and after an ID, if there are any.
pub(crate) type Neighbours = (Option<Box<Located>>, Option<Box<Located>>);

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traced {
    /// Every grant of the ID, the last first.
    pub grants: Vec<Located>,
    /// The neighbours of the ID in the last turn, when it was never granted.
    pub between: Option<Neighbours>,
    /// Number of earlier turns that were not searched.
    pub turns_left: u32,
}

/// Reads the records of one sequence, and counts the reads.
pub(crate) struct Search<'a> {
    ledger: &'a dyn Ledger,
    name: &'a str,
    /// The offsets and pages read so far.
    pub read: Coverage,
    /// Unreadable pages of the sequence in all reads.
    pub unreadable: u64,
    start: i64,
    end: i64,
}

impl<'a> Search<'a> {
    /// Searches the ledger as it is now.
    ///
    /// # Errors
    /// The ends of the ledger cannot be read.
    pub(crate) fn new(ledger: &'a dyn Ledger, name: &'a str) -> Result<Search<'a>, Error> {
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

    /// Start and end of the searched range.
    pub(crate) fn extent(&self) -> (i64, i64) {
        (self.start, self.end)
    }

    /// Every grant of an ID; `None` when the sequence has no record.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(crate) fn trace(&mut self, id: i64) -> Result<Option<Traced>, Error> {
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
    pub(crate) fn last(&mut self) -> Result<Option<Located>, Error> {
        let (start, end) = (self.start, self.end);
        search_backward(start, end, |from, to| {
            let mut last = None;
            self.each(from, to, &mut |page| {
                last = page.records().next_back();
                Flow::Continue
            })?;
            Ok(last)
        })
    }

    /// Finds the place of an ID in a turn.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(crate) fn in_turn(&mut self, turn: u32, id: i64) -> Result<Outcome, Error> {
        let (mut from, mut to) = (self.start, self.end);
        let (mut before, mut after): (Option<Box<Located>>, Option<Box<Located>>) = (None, None);
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

    /// Reads the first page of the sequence in a range.
    fn first(&mut self, from: i64, to: i64) -> Result<Option<Page>, Error> {
        let mut first = None;
        self.each(from, to, &mut |page| {
            first = Some(page);
            Flow::Stop
        })?;
        Ok(first)
    }

    /// Reads each readable page of the sequence in a range.
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

    /// Reads every page of a range, of all sequences, for a caller that judges them itself.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(crate) fn scan(
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

/// The records of a page, at least one.
struct Page {
    offset: i64,
    entries: Vec<Entry>,
}

impl Page {
    fn records(self) -> impl DoubleEndedIterator<Item = Located> {
        let offset = self.offset;
        let found = move |entry| Located { offset, entry };
        self.entries.into_iter().map(found)
    }

    /// The records of the page next to an ID of a turn.
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

/// The last record before an ID, and the first record that is not before it.
struct Around {
    less: Option<Box<Located>>,
    rest: Option<(Ordering, Box<Located>)>,
}

/// Compares a record with an ID of a turn: it is before the ID, after the ID, or its grant.
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
                // The ID lies between two steps, so it belongs to no grant.
                Ordering::Less
            }
        }
        (None, Some(next)) if order(next, id).is_le() => Ordering::Less,
        (None, _) => Ordering::Greater,
    }
}
