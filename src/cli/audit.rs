//! `sequencer audit`: checks whether the ledger of a sequence is complete.

mod csv;
mod print;

use std::io::Write;

use self::csv::Records;
use super::args::AuditArgs;
use super::ledger::LedgerPartition;
use super::session::Session;
use super::{Error, output};
use crate::audit::chain::{Checker, Remembered, Report};
use crate::audit::search::{Outcome, Search};
use crate::audit::source::{Ledger, Place, Raw};
use crate::core::fold::{Entry, EntryKey};
use crate::kafka::consumer::Flow;
use crate::kafka::takeovers::questions::Questions;
use crate::processor::takeover::{Action, Bound, Event};
use crate::wire::ledger::Entry as LedgerEntry;

/// Checks the ledger and prints the report. Fails on any finding.
pub(super) fn run(args: &AuditArgs, out: &mut impl Write) -> Result<(), Error> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return Err(Error::Usage(format!("--from {from} is above --to {to}")));
    }
    let session = Session::open(&args.connection.flags())?;
    let place = LedgerPartition::of(&args.name, &session)?;
    let report = check(args, &place)?;
    if args.output.json() {
        output::json(&report, out)?;
    } else {
        print::report(&report, out)?;
    }
    match report.clean {
        true => Ok(()),
        false => Err(Error::Said),
    }
}

fn check(args: &AuditArgs, place: &LedgerPartition) -> Result<Report, Error> {
    let name = args.name.as_str();
    // The state is read first: its records were acknowledged before it was committed.
    let state = remembered(name, place)?;
    let mut search = Search::new(&place.ledger, name)?;
    let (start, end) = search.extent();
    let window = Window::find(args, &mut search)?;
    let from = window.from.map_or(start, |(offset, _)| offset);
    let gone = start > 0 && from == start;
    let begins_inside = gone || window.from.is_some();
    let mut checker = Checker::new(name, place.ledger.home(), state, begins_inside);
    if gone || window.from.is_none() {
        for Place { partition, offset } in place.ledger.gone() {
            checker.unchecked(format!(
                "records before offset {offset} of ledger partition {partition}, which are gone"
            ));
        }
    }
    for note in &window.notes {
        checker.unchecked(note.clone());
    }
    let mut csv = args.csv.as_deref().map(Records::create).transpose()?;
    let (mut whole, mut failed) = (true, None);
    search.scan(from, end, &mut |Raw { offset, key, value }| {
        if key != name.as_bytes() {
            return Flow::Continue;
        }
        for entry in checker.page(offset, value) {
            if window.is_behind(offset, &entry) {
                continue;
            }
            checker.record(offset, &entry);
            if let Some(csv) = &mut csv
                && let Err(error) = csv.write(place.ledger.place(offset), &entry)
            {
                failed = Some(error);
                return Flow::Stop;
            }
            if window.is_reached_by(&entry) {
                whole = false;
                return Flow::Stop;
            }
        }
        Flow::Continue
    })?;
    if let Some(csv) = csv {
        csv.finish()?;
    }
    if let Some(to) = window.to.filter(|_| whole) {
        checker.unchecked(format!("up to --to {to}: the ledger ends before it"));
    }
    match failed {
        Some(error) => Err(error),
        None => {
            let mut report = checker.finish(whole, search.read.pages);
            report.locate(&place.ledger);
            Ok(report)
        }
    }
}

/// The part of the ledger to check.
#[derive(Default)]
struct Window {
    /// The first record to check: the offset of its page, and its number.
    from: Option<(i64, u64)>,
    /// The last ID to check.
    to: Option<i64>,
    notes: Vec<String>,
}

impl Window {
    /// Finds the part of the ledger. If a sequence went back to lower IDs, an ID is not enough to find the
    /// begin and the end.
    fn find(args: &AuditArgs, search: &mut Search<'_>) -> Result<Window, Error> {
        let mut window = Window::default();
        if args.from.is_none() && args.to.is_none() {
            return Ok(window);
        }
        let Some(last) = search.last()? else {
            return Ok(window);
        };
        if last.entry.turn > 0 {
            window.notes.push(format!(
                "nothing was left out: the sequence went back to lower IDs {} times, so --from and --to do \
                 not say where to begin and to end",
                last.entry.turn
            ));
            return Ok(window);
        }
        // For a sequence that counts down, the higher ID comes first.
        let (first, end) = if last.entry.step() < 0 {
            (args.to, args.from)
        } else {
            (args.from, args.to)
        };
        window.to = end;
        if let Some(first) = first {
            let found = match search.in_turn(0, first)? {
                Outcome::Granted(found) => Some(found),
                Outcome::NotGranted { before, after } => {
                    let note =
                        format!("{first} and what follows it: it is in no grant of the ledger");
                    window.notes.push(note);
                    before.or(after)
                }
            };
            window.from = found.map(|found| (found.offset, found.entry.record));
        }
        Ok(window)
    }

    /// True when a record is after the begin. The first page may hold earlier records too.
    fn is_behind(&self, offset: i64, entry: &LedgerEntry) -> bool {
        let begins = |(page, record)| page == offset && entry.record < record;
        self.from.is_some_and(begins)
    }

    fn is_reached_by(&self, entry: &LedgerEntry) -> bool {
        entry.ids().zip(self.to).is_some_and(|((_, last), to)| {
            if entry.step() < 0 {
                last <= to
            } else {
                last >= to
            }
        })
    }
}

/// Returns what the state knows about a sequence's ledger. A partition that is to adopt the sequence may not know it
/// yet; then the one that it moves from does.
fn remembered(name: &str, place: &LedgerPartition) -> Result<Remembered, Error> {
    for partition in place.ledger.partitions().into_iter().rev() {
        match remembered_in(partition, name, &place.questions)? {
            Remembered::NoSequence => {}
            found => return Ok(found),
        }
    }
    Ok(Remembered::NoSequence)
}

fn remembered_in(partition: i32, name: &str, questions: &Questions) -> Result<Remembered, Error> {
    let unknown = |why: &str| Ok(Remembered::Unknown(why.to_owned()));
    let Event::Bound(Bound::Log(log)) = questions.answer(partition, Action::ReadBound)? else {
        return unknown("there is no state");
    };
    let read = Action::ReadState {
        from: log.start,
        to: log.end,
    };
    let restored = match questions.answer(partition, read)? {
        Event::State(restored) => restored,
        Event::UnknownFormat(why) => return unknown(&why),
        _ => return unknown("the state cannot be read"),
    };
    if restored.footer.is_none() {
        return unknown("the state has no checkpoint that adds up");
    }
    let slot = restored.fold.slot(EntryKey::Sequence(name));
    let entry = slot.and_then(|slot| restored.fold.entry(slot));
    let Some(Entry::Sequence { defined, .. }) = entry else {
        return Ok(Remembered::NoSequence);
    };
    let chain = defined.and_then(|defined| defined.chain.as_deref().copied());
    Ok(chain.map_or(Remembered::NotAudited, Remembered::Chain))
}
