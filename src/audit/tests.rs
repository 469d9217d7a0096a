use std::cell::Cell;

use proptest::prelude::*;

use super::chain::{Checker, Remembered, Report, Wrong};
use super::lineage::Lineage;
use super::search::{Outcome, Search};
use super::source::{Ledger, Place, Raw};
use super::told::told;
use super::trace::{by_number, by_request};
use crate::core::command::{Action, Command, Operation, Request, Undefined};
use crate::core::definition::{AtEnd, Changes};
use crate::core::fold::{Entry, EntryKey, Fold};
use crate::core::ledger::Chain;
use crate::core::name::{Name, POLICY};
use crate::core::{At, Offset, Timestamp};
use crate::kafka::consumer::Flow;
use crate::kafka::error::Error;
use crate::wire::ledger::{Lines, PAGE_RECORDS_MAX, decode};

/// A ledger as the fold writes it. A marker follows every hundred pages.
#[derive(Default)]
struct Written {
    fold: Fold,
    lines: Lines,
    pages: Vec<Stored>,
    requests: i64,
    /// Most records between two checkpoints, less one.
    held_max: usize,
}

impl Written {
    fn with_checkpoints(held_max: usize) -> Written {
        Written {
            held_max,
            ..Written::default()
        }
    }

    fn checkpoint(&mut self) {
        let pages = &mut self.pages;
        let place = |index: usize| i64::try_from(index + index / 100).unwrap();
        std::mem::take(&mut self.lines)
            .each_page(|key, page| pages.push((place(pages.len()), key.to_vec(), page.to_vec())));
    }

    fn ask(&mut self, name: &str, command: Command<'_>) {
        let request = Request {
            name: Name::from_key(Some(name.as_bytes())),
            command: Ok(command),
            request_id: None,
            requester: Some("billing".into()),
        };
        let at = At {
            partition: 0,
            leader_epoch: 0,
            offset: Offset(self.requests),
            timestamp: Timestamp(self.requests),
        };
        self.requests += 1;
        self.fold.apply(at, None, &request, &mut self.lines);
        if self.lines.len() > self.held_max {
            self.checkpoint();
        }
    }

    fn next(&mut self, name: &str, count: u64) {
        self.ask(name, Command::Next { count });
    }

    fn operate(&mut self, name: &str, action: Action) {
        let operation = Operation {
            action,
            requester: Some("ops".into()),
            reason: None,
        };
        self.ask(name, Command::Operator(Box::new(operation)));
    }

    fn define(&mut self, name: &str, changes: Changes) {
        let audit = changes.audit.or(Some(true));
        self.operate(name, Action::Define(Changes { audit, ..changes }));
    }

    fn records(&mut self) -> Records {
        self.checkpoint();
        Records(self.pages.clone())
    }

    fn chain(&self, name: &str) -> Option<Chain> {
        let slot = self.fold.slot(EntryKey::Sequence(name))?;
        match self.fold.entry(slot)? {
            Entry::Sequence {
                defined: Some(defined),
                ..
            } => defined.chain.as_deref().copied(),
            _ => None,
        }
    }
}

#[derive(Clone)]
struct Records(Vec<Stored>);

/// Offset, key and value.
type Stored = (i64, Vec<u8>, Vec<u8>);

impl Ledger for Records {
    fn extent(&self) -> Result<(i64, i64), Error> {
        Ok((0, self.0.last().map_or(0, |(offset, ..)| offset + 2)))
    }

    fn read(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        let begin = self.0.partition_point(|(offset, ..)| *offset < from);
        for (offset, key, value) in &self.0[begin..] {
            let raw = Raw {
                offset: *offset,
                key,
                value,
            };
            if *offset >= to || on(raw) == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    fn at_time(&self, _: i64) -> Result<i64, Error> {
        Ok(0)
    }

    fn place(&self, offset: i64) -> Place {
        let partition = 0;
        Place { partition, offset }
    }

    fn partitions(&self) -> Vec<i32> {
        vec![0]
    }

    fn gone(&self) -> Vec<Place> {
        Vec::new()
    }
}

/// A ledger that counts the pages that are read, each time again.
struct Counted<'a>(&'a Records, Cell<u64>);

impl Ledger for Counted<'_> {
    fn extent(&self) -> Result<(i64, i64), Error> {
        self.0.extent()
    }

    fn read(&self, from: i64, to: i64, on: &mut dyn FnMut(Raw<'_>) -> Flow) -> Result<(), Error> {
        self.0.read(from, to, &mut |raw| {
            self.1.set(self.1.get() + 1);
            on(raw)
        })
    }

    fn at_time(&self, time_ms: i64) -> Result<i64, Error> {
        self.0.at_time(time_ms)
    }

    fn place(&self, offset: i64) -> Place {
        self.0.place(offset)
    }

    fn partitions(&self) -> Vec<i32> {
        self.0.partitions()
    }

    fn gone(&self) -> Vec<Place> {
        self.0.gone()
    }
}

impl Records {
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        (0..self.0.len()).filter(move |index| self.0[*index].1 == name.as_bytes())
    }

    fn audit(&self, name: &str, state: Option<Chain>) -> Report {
        self.audit_with(
            name,
            state.map_or(Remembered::NoSequence, Remembered::Chain),
        )
    }

    fn audit_with(&self, name: &str, remembered: Remembered) -> Report {
        let mut checker = Checker::new(name, 0, remembered, false);
        for (offset, _, value) in self.0.iter().filter(|(_, key, _)| key == name.as_bytes()) {
            for entry in checker.page(*offset, value) {
                checker.record(*offset, &entry);
            }
        }
        checker.finish(true, self.0.len() as u64)
    }
}

fn wrongs(report: &Report) -> Vec<Wrong> {
    report
        .findings
        .iter()
        .map(|finding| finding.wrong)
        .collect()
}

const ROUNDS: u64 = 4_000;

/// A hundred sequences by turns. One of them has few records.
fn busy() -> Written {
    let mut written = Written::with_checkpoints(1_000);
    written.operate(POLICY, Action::Policy(Undefined::CreateAudited));
    for round in 0..ROUNDS {
        for name in 0..100 {
            written.next(&format!("n{name}"), 1 + (round + name) % 3);
        }
        if round % 150 == 10 {
            written.next("rare", 2);
        }
    }
    written
}

#[test]
fn every_id_is_found_and_little_is_read_for_it() {
    let records = busy().records();
    let total = records.0.len() as u64;
    for index in records.of("n7").step_by(13) {
        let (offset, _, value) = &records.0[index];
        for entry in decode(value).unwrap() {
            for id in [entry.first.unwrap(), entry.last.unwrap()] {
                let mut search = Search::new(&records, "n7").unwrap();
                let traced = search.trace(id).unwrap().unwrap();
                assert_eq!(traced.grants.len(), 1);
                assert_eq!(traced.grants[0].offset, *offset);
                assert_eq!(traced.grants[0].entry, entry);
                assert!(
                    search.read.pages < total / 10,
                    "{} of {total}",
                    search.read.pages
                );
            }
        }
    }
    // A sequence without records, and an ID that was not given yet.
    let mut search = Search::new(&records, "nobody").unwrap();
    assert_eq!(search.trace(1).unwrap(), None);
    assert_eq!(search.read.pages, total);
    let traced = Search::new(&records, "n7")
        .unwrap()
        .trace(1_000_000)
        .unwrap()
        .unwrap();
    let (before, after) = traced.between.unwrap();
    assert!(traced.grants.is_empty() && before.is_some() && after.is_none());
}

/// The ledger of a name goes on in another partition, twice, among records of others.
#[test]
fn every_id_is_found_in_the_partition_that_gave_it() {
    let mut written = busy();
    let all = written.records().0;
    let cuts = [0, all.len() / 3, all.len() / 2, all.len()];
    let ledgers: Vec<(i32, Records)> = [4, 1, 9]
        .into_iter()
        .zip(cuts.windows(2))
        .map(|(partition, cut)| {
            // Each partition has offsets of its own. The second one has lost what others wrote before.
            let first = if partition == 1 { 1_000 } else { 0 };
            let part = &all[cut[0]..cut[1]];
            let begin = part[0].0;
            let part = part.iter().map(|(offset, key, value)| {
                let offset = offset - begin + first;
                (offset, key.clone(), value.clone())
            });
            (partition, Records(part.collect()))
        })
        .collect();
    let lineage = Lineage::of(ledgers.clone());
    for (partition, records) in &ledgers {
        for index in records.of("n7").step_by(29) {
            let (offset, _, value) = &records.0[index];
            let id = decode(value).unwrap()[0].first.unwrap();
            let found = by_number(&lineage, 9, "n7", id).unwrap();
            let places: Vec<_> = found
                .grants
                .iter()
                .map(|grant| (grant.ledger_partition, grant.ledger_offset))
                .collect();
            assert_eq!(places, [(*partition, *offset)]);
        }
    }
    let audit = |lineage: &Lineage<Records>| {
        let state = Remembered::Chain(written.chain("n7").unwrap());
        let mut checker = Checker::new("n7", 9, state, false);
        let mut search = Search::new(lineage, "n7").unwrap();
        let (start, end) = search.extent();
        let mut check = |raw: Raw<'_>| {
            if raw.key == b"n7" {
                for entry in checker.page(raw.offset, raw.value) {
                    checker.record(raw.offset, &entry);
                }
            }
            Flow::Continue
        };
        search.scan(start, end, &mut check).unwrap();
        let mut report = checker.finish(true, search.read.pages);
        report.locate(lineage);
        report
    };
    let report = audit(&lineage);
    assert!(report.clean && report.records > 1_000, "{report:?}");
    // A record that is removed on either side of a move is missed.
    for side in 0..ledgers.len() {
        let mut ledgers = ledgers.clone();
        let (partition, records) = &mut ledgers[side];
        let (partition, gone) = (*partition, records.of("n7").nth(3).unwrap());
        records.0.remove(gone);
        let report = audit(&Lineage::of(ledgers));
        assert_eq!(wrongs(&report), [Wrong::RecordMissing]);
        assert_eq!(report.findings[0].examples[0].partition, partition);
    }
}

#[test]
fn a_sequence_with_few_records_costs_at_most_two_readings() {
    let records = busy().records();
    let total = records.0.len() as u64;
    for id in 1..=6 {
        let counted = Counted(&records, Cell::new(0));
        let mut search = Search::new(&counted, "rare").unwrap();
        let traced = search.trace(id).unwrap().unwrap();
        let ids = traced.grants[0].entry.ids().unwrap();
        assert!(ids.0 <= id && id <= ids.1);
        // One read to find the last record, one for the search.
        let readings = counted.1.get();
        assert!(readings <= 2 * total, "{readings} of {total}");
        assert!(search.read.pages <= total, "{:?}", search.read);
    }
}

#[test]
fn an_id_that_was_given_in_several_turns_is_found_in_each() {
    for (increment, held_max) in [(1, 0), (-1, 0), (1, 9), (-1, 9)] {
        let mut written = Written::with_checkpoints(held_max);
        written.define(
            "a",
            Changes {
                increment: Some(increment),
                min: Some(1),
                max: Some(5),
                at_end: Some(AtEnd::Cycle),
                ..Changes::default()
            },
        );
        for _ in 0..13 {
            written.next("a", 1);
            written.define("other", Changes::default());
        }
        let records = written.records();
        let traced = Search::new(&records, "a")
            .unwrap()
            .trace(2)
            .unwrap()
            .unwrap();
        let turns: Vec<u32> = traced.grants.iter().map(|found| found.entry.turn).collect();
        let expected: &[u32] = if increment > 0 { &[2, 1, 0] } else { &[1, 0] };
        assert_eq!(turns, expected);
        assert!(records.audit("a", written.chain("a")).clean);
        // The search does not depend on all records being on one page.
        assert_eq!(records.of("a").count() > 5, held_max == 0);
    }
}

#[test]
fn an_id_that_was_jumped_over_is_between_two_records() {
    for held_max in [0, 9] {
        jumped_over(Written::with_checkpoints(held_max));
    }
}

fn jumped_over(mut written: Written) {
    written.define(
        "a",
        Changes {
            increment: Some(10),
            ..Changes::default()
        },
    );
    written.next("a", 3);
    let force = false;
    written.operate("a", Action::SetNext { next: 101, force });
    written.next("a", 3);
    let records = written.records();
    let find = |id| Search::new(&records, "a").unwrap().in_turn(0, id).unwrap();
    let Outcome::NotGranted { before, after } = find(50) else {
        panic!("it was jumped over");
    };
    assert_eq!(before.unwrap().entry.last, Some(21));
    assert_eq!(after.unwrap().entry.next, Some(101));
    assert!(
        matches!(find(12), Outcome::NotGranted { .. }),
        "between two steps"
    );
    assert!(matches!(find(111), Outcome::Granted(_)));
}

#[test]
fn what_operators_ordered_is_no_hole() {
    let mut written = Written::default();
    written.next("a", 5);
    written.define("a", Changes::default());
    written.next("a", 5);
    for (next, force) in [(50, false), (20, true)] {
        written.operate("a", Action::SetNext { next, force });
        written.next("a", 2);
    }
    written.operate("a", Action::Retire);
    written.define("a", Changes::default());
    written.next("a", 1);
    let off = Changes {
        audit: Some(false),
        ..Changes::default()
    };
    written.define("a", off);
    written.next("a", 7);
    written.define("a", Changes::default());
    written.next("a", 1);
    let chain = written.chain("a");
    let report = written.records().audit("a", chain);
    assert!(report.clean, "{report:#?}");
    let kinds: Vec<&str> = report.acts.iter().map(|act| act.kind).collect();
    assert_eq!(
        kinds,
        [
            "define", "set_next", "set_next", "retire", "define", "define", "define"
        ]
    );
    assert_eq!(
        (report.grants, report.ids, report.first_id),
        (5, 11, Some(6))
    );
    assert!(
        report.unchecked[0].contains("between 23 and 30"),
        "{report:?}"
    );
}

#[test]
fn a_record_that_was_removed_altered_or_repeated_is_found() {
    let mut written = busy();
    let (records, chain) = (written.records(), written.chain("n3"));
    let report = records.audit("n3", chain);
    assert!(report.clean, "{report:#?}");
    assert_eq!((report.records, report.grants), (ROUNDS, ROUNDS));
    let own: Vec<usize> = records.of("n3").collect();
    assert!(own.len() > ROUNDS as usize / PAGE_RECORDS_MAX);
    let last = own.len() - 1;
    let audit = |change: &dyn Fn(&mut Vec<Stored>)| {
        let mut copy = records.clone();
        change(&mut copy.0);
        copy.audit("n3", chain)
    };
    let removed = |index: usize| wrongs(&audit(&|copy| drop(copy.remove(own[index]))));
    for index in [0, 100, last] {
        assert_eq!(removed(index), [Wrong::RecordMissing], "page {index}");
    }
    let altered = |index: usize, from: &str, to: &str| {
        let report = audit(&|copy| {
            let value = &mut copy[own[index]].2;
            let text = String::from_utf8(value.clone()).unwrap().replace(from, to);
            assert_ne!(text.as_bytes(), value.as_slice());
            *value = text.into_bytes();
        });
        wrongs(&report)
    };
    for index in [0, 100, last] {
        assert_eq!(
            altered(index, "billing", "selling"),
            [Wrong::Altered],
            "page {index}"
        );
    }
    assert_eq!(
        altered(5, "{\"sequence", "[\"sequence")[0],
        Wrong::Unreadable
    );
    let repeated = audit(&|copy| {
        let again = copy[own[50]].clone();
        copy.insert(own[50] + 1, again);
    });
    assert_eq!(wrongs(&repeated), [Wrong::RecordTwice]);
    let example = &repeated.findings[0].examples[0];
    assert_eq!(example.offset, records.0[own[50]].0);
}

#[test]
fn a_hole_or_an_id_given_twice_is_found_although_the_chain_holds() {
    // The chains of two logs, joined by a fold that goes wrong in between.
    for (last, wrong) in [(9, Wrong::IdMissing), (2, Wrong::IdTwice)] {
        let mut written = Written::default();
        written.define("a", Changes::default());
        written.next("a", 5);
        let slot = written.fold.slot(EntryKey::Sequence("a")).unwrap();
        let Some(Entry::Sequence { defined, .. }) = written.fold.entry(slot) else {
            panic!("it is there");
        };
        let defined = defined.map(|defined| std::borrow::Cow::Owned(defined.into_owned()));
        written.fold.put(Entry::Sequence {
            name: "a",
            sequence: crate::core::sequence::Sequence::above(last),
            defined,
        });
        written.next("a", 1);
        let chain = written.chain("a");
        let report = written.records().audit("a", chain);
        assert_eq!(wrongs(&report), [wrong]);
    }
}

#[test]
fn an_audit_without_a_record_is_not_clean_and_says_why() {
    let records = busy().records();
    let chain = Chain::new(false);
    for (remembered, word) in [
        (Remembered::NoSequence, "is the name right?"),
        (Remembered::NotAudited, "is not audited"),
        (Remembered::Unknown("it is gone".to_owned()), "it is gone"),
        (Remembered::Chain(chain), "no record of \"reciepts\""),
    ] {
        let report = records.audit_with("reciepts", remembered);
        assert!(!report.clean, "{report:?}");
        assert!(report.findings.is_empty(), "{report:?}");
        assert!(report.problem.unwrap().contains(word), "{word}");
    }
    // An existing ledger can be checked without the state, except for its end.
    let report = records.audit_with("n3", Remembered::NoSequence);
    assert!(report.clean && report.problem.is_none(), "{report:?}");
    assert_eq!(report.unchecked.len(), 1);
}

#[test]
fn a_search_for_a_request_says_when_there_was_nothing_to_search() {
    let records = busy().records();
    let notes = |name: &str, since: Option<i64>| {
        by_request(&records, 0, name, "r1", since)
            .unwrap()
            .notes
            .join(", ")
    };
    assert!(notes("reciepts", None).contains("is the name right"));
    assert!(notes("reciepts", Some(0)).contains("since that time"));
    assert!(notes("n3", None).contains("has the request_id"));
}

#[test]
fn a_search_that_passes_over_what_it_cannot_read_says_so() {
    let mut records = busy().records();
    let own: Vec<usize> = records.of("n3").collect();
    let page = std::mem::replace(&mut records.0[own[50]].2, b"{".to_vec());
    let id = decode(&page).unwrap()[1].first.unwrap();
    let gone = by_number(&records, 0, "n3", id).unwrap();
    let request = by_request(&records, 0, "n3", "r1", None).unwrap();
    for trace in [gone, request] {
        assert!(trace.grants.is_empty());
        let told = trace
            .notes
            .iter()
            .any(|note| note.contains("cannot be read"));
        assert!(told, "{:?}", trace.notes);
    }
}

#[test]
fn markers_of_transactions_are_no_pages() {
    let mut written = Written::with_checkpoints(0);
    written.define("a", Changes::default());
    written.next("a", 3);
    written.next("a", 3);
    let records = written.records();
    let trace = by_number(&records, 0, "a", 5).unwrap();
    assert_eq!(trace.grants.len(), 1);
    // The range ends after a marker.
    assert_eq!((trace.read.pages_read, trace.read.offsets), (3, 4));
}

/// Records of which an attacker with write access to the ledger topic has changed a few pages.
fn damaged(changes: &[(prop::sample::Index, Damage)]) -> Records {
    let mut written = Written::with_checkpoints(3);
    let cycle = Changes {
        max: Some(9),
        at_end: Some(AtEnd::Cycle),
        ..Changes::default()
    };
    written.define("a", cycle);
    for round in 0..12 {
        written.next("a", 1 + round % 3);
        written.next("other", 1);
    }
    written.operate(
        "a",
        Action::SetNext {
            next: 5,
            force: true,
        },
    );
    written.operate("a", Action::Retire);
    let mut records = written.records();
    for (index, damage) in changes {
        let value = &mut index.get_mut(&mut records.0).2;
        match damage {
            Damage::Number(place, number) => {
                let text = String::from_utf8_lossy(value).into_owned();
                let digit = |at: &usize| text.as_bytes()[*at].is_ascii_digit();
                let starts = |at: &usize| {
                    let before = at.checked_sub(1).map(|before| text.as_bytes()[before]);
                    digit(at) && matches!(before, Some(b':' | b',' | b'[' | b'-'))
                };
                let numbers: Vec<usize> = (0..text.len()).filter(starts).collect();
                if numbers.is_empty() {
                    continue;
                }
                let begin = *place.get(&numbers);
                let end = (begin..text.len())
                    .find(|at| !digit(at))
                    .unwrap_or(text.len());
                *value = format!("{}{number}{}", &text[..begin], &text[end..]).into_bytes();
            }
            Damage::Byte(place, byte) if !value.is_empty() => {
                let at = place.index(value.len());
                value[at] = *byte;
            }
            Damage::Cut(place) => value.truncate(place.index(value.len() + 1)),
            Damage::Again(place) => {
                let from = place.index(value.len() + 1);
                value.extend_from_within(from..);
            }
            Damage::Byte(..) => {}
        }
    }
    records
}

#[derive(Clone, Debug)]
enum Damage {
    Number(prop::sample::Index, &'static str),
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Again(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    let numbers = [
        "0",
        "1",
        "18446744073709551615",
        "9223372036854775807",
        "9223372036854775808",
        "4294967295",
        "2147483647",
        "1e400",
    ];
    prop_oneof![
        6 => (place(), prop::sample::select(numbers.to_vec()))
            .prop_map(|(place, number)| Damage::Number(place, number)),
        1 => (place(), any::<u8>()).prop_map(|(place, byte)| Damage::Byte(place, byte)),
        1 => place().prop_map(Damage::Cut),
        1 => place().prop_map(Damage::Again),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_page_whatever_it_holds_ends_the_reader(
        changes in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..8),
        id in any::<i64>(),
    ) {
        let records = damaged(&changes);
        let report = records.audit("a", Some(Chain::new(false)));
        prop_assert!(serde_json::to_string(&report).is_ok());
        for id in [1, 5, id] {
            let trace = by_number(&records, 0, "a", id).unwrap();
            for grant in &trace.grants {
                let told = told(&grant.record);
                prop_assert!(!told.contains(char::is_control), "{told:?}");
            }
        }
        by_request(&records, 0, "a", "r", None).unwrap();
    }
}

#[test]
fn a_page_with_the_highest_numbers_is_told_and_ends_nothing() {
    for (from, to) in [
        ("\"record\":2", "\"record\":18446744073709551615"),
        ("\"record\":2", "\"record\":9223372036854775807"),
        ("{\"kind\"", "{\"turn\":4294967295,\"kind\""),
        ("\"count\":1", "\"count\":18446744073709551615"),
    ] {
        let mut written = Written::with_checkpoints(0);
        written.define("a", Changes::default());
        for _ in 0..4 {
            written.next("a", 1);
        }
        let mut records = written.records();
        for (_, _, value) in &mut records.0[1..] {
            let text = String::from_utf8(value.clone()).unwrap();
            *value = text.replace(from, to).into_bytes();
        }
        let report = records.audit("a", None);
        assert!(!report.clean, "{to}: {report:?}");
        by_number(&records, 0, "a", 3).unwrap();
    }
}
