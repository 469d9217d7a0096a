use std::borrow::Cow;

use super::*;
use crate::core::command::{Action, Command, Operation, Request};
use crate::core::definition::Changes;
use crate::core::fold::{Answer, At, Entry, EntryKey, Fold, Slot};
use crate::core::homes::Homes;
use crate::core::ledger::{Hash, Ledger, Line};
use crate::core::limits::{REMEMBER_MAX, REMEMBERED_PER_PARTITION_MAX, WINDOW_REQUESTS};
use crate::core::name::Name;
use crate::core::planted::{Bug, Planted};
use crate::core::position::{Offset, Timestamp};
use crate::core::rejection::Code;

struct NoLedger;

impl Ledger for NoLedger {
    fn write(&mut self, _: &Line<'_>) -> Hash {
        Hash::default()
    }
}

/// A partition that gets one record after the other.
#[derive(Default)]
struct Log {
    fold: Fold,
    offset: i64,
}

impl Log {
    fn record(&mut self, name: &str, command: Command<'_>, request_id: Option<&str>) -> Answer {
        let at = At {
            partition: 0,
            leader_epoch: 1,
            offset: Offset(self.offset),
            timestamp: Timestamp(self.offset),
        };
        self.offset += 1;
        let request = Request {
            name: Name::from_key(Some(name.as_bytes())),
            command: Ok(command),
            request_id: request_id.map(Cow::Borrowed),
            requester: None,
        };
        self.fold.apply(at, None, &request, &mut NoLedger)
    }

    fn define(&mut self, name: &str, remember: u32, request_id: Option<&str>) -> Answer {
        let changes = Changes {
            remember: Some(remember),
            ..Changes::default()
        };
        let operation = Operation {
            action: Action::Define(changes),
            requester: None,
            reason: None,
        };
        self.record(name, Command::Operator(Box::new(operation)), request_id)
    }

    fn remembers(&mut self, name: &str, remember: u32) {
        let answer = self.define(name, remember, None);
        let Answer::Described { description, .. } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(description.definition.remember, remember);
    }

    /// The first ID of a request, and whether the request got it before.
    fn next(&mut self, name: &str, request_id: &str) -> (i64, bool) {
        match self.record(name, Command::Next { count: 1 }, Some(request_id)) {
            Answer::Granted(grant) => (grant.first, false),
            Answer::Again(grant) => (grant.first, true),
            other => panic!("{other:?}"),
        }
    }

    /// The same state, as a restore reads it, in the opposite order.
    fn restored(&self) -> Log {
        let mut fold = Fold::default();
        let entries: Vec<Entry<'_>> = self.fold.iter().collect();
        for entry in entries.into_iter().rev() {
            fold.put(entry);
        }
        fold.set_scalars(self.fold.scalars());
        Log {
            fold,
            offset: self.offset,
        }
    }

    fn segments(&self, name: &str) -> Vec<u64> {
        let of = |entry: Entry<'_>| match entry {
            Entry::Own {
                name: own, segment, ..
            } if own == name => Some(segment),
            _ => None,
        };
        let mut segments: Vec<u64> = self.fold.iter().filter_map(of).collect();
        segments.sort_unstable();
        segments
    }
}

#[test]
fn the_last_so_many_requests_of_the_sequence_are_remembered_and_no_others() {
    const REMEMBER: i64 = 37;
    let mut log = Log::default();
    log.remembers("orders", 37);
    for number in 1..=200 {
        assert_eq!(log.next("orders", &number.to_string()), (number, false));
        // The first request has place 0. Sixteen are forgotten together.
        let oldest = (number - REMEMBER).max(0) / 16 * 16 + 1;
        let asked = [1, 2, 36, 37, 45, 52, 53].map(|back| number - back);
        for asked in asked.into_iter().filter(|asked| *asked > 0) {
            let mut fork = Log {
                fold: log.fold.clone(),
                offset: log.offset,
            };
            let inside = asked >= oldest;
            assert!(inside || asked <= number - REMEMBER);
            let due = if inside { asked } else { number + 1 };
            let found = fork.next("orders", &asked.to_string());
            assert_eq!(found, (due, inside), "{asked} after {number}");
        }
    }
    // No more segments stay than those with a place that counts.
    assert_eq!(log.segments("orders"), [10, 11, 12]);
}

#[test]
fn requests_of_other_sequences_make_it_forget_nothing() {
    let mut log = Log::default();
    let scalars = log.fold.scalars();
    log.fold.set_scalars(crate::core::Scalars {
        window_capacity: 3,
        ..scalars
    });
    log.remembers("orders", 1);
    log.next("orders", "a");
    for number in 0..10 {
        log.next("others", &number.to_string());
    }
    assert_eq!(log.next("orders", "a"), (1, true));
    let _planted = Planted::new(Bug::OwnWindowShared);
    log.next("orders", "b");
    for number in 10..20 {
        log.next("others", &number.to_string());
    }
    assert_eq!(log.next("orders", "b"), (3, false));
}

#[test]
fn what_the_partition_remembered_before_the_definition_stays_known() {
    let mut log = Log::default();
    assert_eq!(log.next("orders", "a"), (1, false));
    log.remembers("orders", 5);
    assert_eq!(log.next("orders", "a"), (1, true));
    // Operators' records are remembered by the partition, also the one that defines it.
    log.define("orders", 7, Some("define"));
    let again = log.define("orders", 7, Some("define"));
    assert!(matches!(again, Answer::Described { .. }), "{again:?}");
    let other = log.define("orders", 8, Some("define"));
    assert!(matches!(other, Answer::Rejected(r) if r.code == Code::RequestIdReused));
}

#[test]
fn a_smaller_number_forgets_the_oldest_and_a_larger_one_nothing() {
    let mut log = Log::default();
    log.remembers("orders", 100);
    for number in 1..=64 {
        log.next("orders", &number.to_string());
    }
    log.remembers("orders", 20);
    assert_eq!(log.segments("orders"), [2, 3]);
    assert_eq!(log.next("orders", "33"), (33, true));
    log.remembers("orders", 1_000);
    assert_eq!(log.next("orders", "33"), (33, true));
    assert_eq!(log.next("orders", "1"), (65, false));
    log.remembers("orders", 0);
    assert_eq!(log.segments("orders"), [0; 0]);
    assert_eq!(log.next("orders", "64"), (66, false));
    // From here on the partition remembers.
    assert_eq!(log.next("orders", "64"), (66, true));
    log.remembers("orders", 2);
    assert_eq!(log.next("orders", "new"), (67, false));
    assert_eq!(log.segments("orders"), [0]);
}

#[test]
fn a_request_that_comes_again_after_it_was_forgotten_is_remembered_anew() {
    let mut log = Log::default();
    log.remembers("orders", 2);
    assert_eq!(log.next("orders", "a"), (1, false));
    for number in 0..20 {
        log.next("orders", &number.to_string());
    }
    assert_eq!(log.next("orders", "a"), (22, false));
    assert_eq!(log.next("orders", "a"), (22, true));
    assert_eq!(log.restored().next("orders", "a"), (22, true));
}

#[test]
fn the_same_entries_in_any_order_are_the_same_window() {
    let mut log = Log::default();
    log.remembers("orders", 100);
    log.remembers("bills", 3);
    for number in 1..=160 {
        log.next("orders", &number.to_string());
        log.next("bills", &number.to_string());
    }
    let digest = log.fold.cut(&mut Vec::new());
    let mut again = log.restored();
    assert_eq!(again.fold.cut(&mut Vec::new()), digest);
    assert_eq!(again.next("orders", "61"), (61, true));
    assert_eq!(again.next("bills", "160"), (160, true));
    assert_eq!(again.next("orders", "48"), (161, false));
    let mut forgetful = log.restored();
    let _planted = Planted::new(Bug::OwnWindowNotRestored);
    assert_eq!(forgetful.next("orders", "61"), (161, false));
}

#[test]
fn each_change_of_a_segment_is_among_those_of_the_next_cut() {
    let mut log = Log::default();
    log.remembers("orders", 1);
    let mut kept = Fold::default();
    let mut slots = Vec::new();
    for number in 0..40 {
        log.next("orders", &number.to_string());
        let digest = log.fold.cut(&mut slots);
        for slot in slots.drain(..) {
            match (log.fold.entry(slot), log.fold.key(slot)) {
                (Some(entry), _) => kept.put(entry),
                (None, Some(key)) => kept.remove(key),
                (None, None) => panic!("{slot:?} has no key"),
            }
        }
        assert_eq!(kept.digest_with(log.fold.scalars()), digest);
    }
    let all: Vec<Slot> = (0..log.fold.len())
        .filter_map(|place| log.fold.slot_at(place))
        .collect();
    assert_eq!(all.len(), log.fold.iter().count());
}

#[test]
fn the_sequences_of_a_partition_have_a_limit_together() {
    let mut log = Log::default();
    log.remembers("a", REMEMBER_MAX - 100);
    // Each counts for a hundred at least.
    log.remembers("b", 1);
    let refused = log.define("c", 1, None);
    assert!(matches!(&refused, Answer::Rejected(r) if r.code == Code::InvalidDefinition));
    assert!(log.fold.description("c").is_none());
    log.remembers("b", 100);
    let refused = log.define("b", 101, None);
    assert!(matches!(&refused, Answer::Rejected(r) if r.code == Code::InvalidDefinition));
    log.remembers("a", 7);
    log.remembers("c", REMEMBER_MAX - 200);
    assert_eq!(REMEMBERED_PER_PARTITION_MAX, u64::from(REMEMBER_MAX));
}

#[test]
fn names_that_have_moved_away_leave_their_room() {
    let mut log = Log::default();
    let homes = Homes::read([1, 2]).unwrap();
    let moves = |name: &&str| homes.of(name.as_bytes()) == 1;
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let away = names.into_iter().find(moves).unwrap();
    let stays = names.into_iter().find(|name| !moves(name)).unwrap();
    log.remembers(away, REMEMBER_MAX);
    let scalars = log.fold.scalars();
    log.fold
        .set_scalars(crate::core::Scalars { homes, ..scalars });
    log.remembers(stays, REMEMBER_MAX);
}

#[test]
fn a_sequence_that_a_child_has_adopted_goes_with_its_window() {
    let mut log = Log::default();
    let homes = Homes::read([1, 2]).unwrap();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let away = names
        .into_iter()
        .find(|name| homes.of(name.as_bytes()) == 1)
        .unwrap();
    log.remembers(away, 100);
    for number in 0..100 {
        log.next(away, &number.to_string());
    }
    let scalars = log.fold.scalars();
    log.fold.set_scalars(crate::core::Scalars {
        homes,
        unburied: 1,
        ..scalars
    });
    let mut slots = Vec::new();
    log.fold.cut(&mut slots);
    slots.clear();
    // A few segments with each step: the sequence goes last.
    let mut steps = 0;
    while log.fold.slot(EntryKey::Sequence(away)).is_some() {
        log.fold.bury(0, 0, 3, &mut slots);
        steps += 1;
    }
    assert_eq!((steps, log.segments(away).len()), (3, 0));
    let digest = log.fold.cut(&mut slots);
    assert_eq!(slots.len(), 1 + 7);
    assert_eq!(Fold::default().digest_with(log.fold.scalars()), digest);
}

#[test]
fn a_full_window_costs_what_the_documents_say() {
    let mut windows = OwnWindows::default();
    let remember = WINDOW_REQUESTS;
    windows.set("orders", remember);
    let mut on = |_: OwnSlot, _: Replaced| {};
    for number in 0..3 * u64::from(remember) {
        let key = RequestKey::new("orders", &number.to_string());
        assert_eq!(windows.find("orders", key), None);
        let place = Place {
            key,
            first: 1,
            increment: 1,
            count: 1,
        };
        windows.remember("orders", place, &mut on);
    }
    let window = &windows.windows["orders"];
    let places: usize = window
        .segments
        .values()
        .map(|segment| segment.places.capacity() * size_of::<Place>())
        .sum();
    // A node of the map has eleven entries, and is half full at least.
    let segments = window.segments.len() * 2 * (size_of::<Segment>() + size_of::<u64>());
    let index = window.index.as_ref().unwrap().allocation_size();
    let directory = windows.directory.capacity() * size_of::<Option<OwnSlot>>();
    let bytes = places + segments + index + directory;
    assert!((5_000_000..8_000_000).contains(&bytes), "{bytes}");
}
