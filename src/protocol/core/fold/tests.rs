use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::core::command::{Action, Command, Operation, Request};
use crate::core::definition::{AtEnd, Changes};
use crate::core::invariants;
use crate::core::ledger::{Chain, Hash, Ledger, Line};
use crate::core::limits::{COUNT_DEFAULT_MAX, HOPS_MAX, ID_LAST};
use crate::core::link::{Accepted, Origin, Position};
use crate::core::name::{Name, POLICY};
use crate::core::partitioner::partition_of;
use crate::core::position::{Offset, Timestamp};
use crate::core::rejection::Code;
use crate::core::sequence::Sequence;
use crate::core::window::{Place, RequestKey};

fn request<'a>(name: &'a str, command: Command<'a>, request_id: Option<&'a str>) -> Request<'a> {
    Request {
        name: Name::from_key(Some(name.as_bytes())),
        command: Ok(command),
        request_id: request_id.map(Cow::Borrowed),
        requester: None,
    }
}

fn next(name: &str, count: u64) -> Request<'_> {
    request(name, Command::Next { count }, None)
}

fn action(name: &str, action: Action) -> Request<'_> {
    let operation = Operation {
        action,
        requester: Some("ops".into()),
        reason: Some("why".into()),
    };
    request(name, Command::Operator(Box::new(operation)), None)
}

fn audited() -> Changes {
    Changes {
        audit: Some(true),
        ..Changes::default()
    }
}

fn define(name: &str, changes: Changes) -> Request<'_> {
    action(name, Action::Define(changes))
}

const LEADER_EPOCH: i32 = 4;

fn place(offset: i64) -> Position {
    Position {
        leader_epoch: LEADER_EPOCH,
        offset,
    }
}

const END: Accepted = Accepted {
    epoch: 1,
    position: Position {
        leader_epoch: LEADER_EPOCH,
        offset: 30,
    },
    open: false,
};

/// The only partition, so that every name is at home.
fn at(offset: i64) -> At {
    At {
        partition: 0,
        leader_epoch: LEADER_EPOCH,
        offset: Offset(offset),
        timestamp: Timestamp(offset),
    }
}

/// A ledger for tests: it keeps each line in words, and its hash.
#[derive(Clone, Default)]
struct Lines(Vec<(String, Hash)>);

impl Ledger for Lines {
    fn write(&mut self, line: &Line<'_>) -> Hash {
        let text = format!("{line:?}");
        let hash = Hash::of(&line.previous, text.as_bytes());
        self.0.push((text, hash));
        hash
    }
}

/// A fold with the offset of its next record.
#[derive(Clone, Default)]
struct Log {
    fold: Fold,
    end: i64,
    ledger: Lines,
}

impl Log {
    fn apply(&mut self, request: &Request<'_>) -> Answer {
        self.end += 1;
        self.fold
            .apply(at(self.end - 1), None, request, &mut self.ledger)
    }

    fn granted(&mut self, request: &Request<'_>) -> Grant {
        match self.apply(request) {
            Answer::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    fn first(&mut self, name: &str) -> i64 {
        self.granted(&next(name, 1)).first
    }

    fn rejected(&mut self, request: &Request<'_>) -> Code {
        match self.apply(request) {
            Answer::Rejected(rejection) => rejection.code,
            other => panic!("{other:?}"),
        }
    }

    fn described(&mut self, request: &Request<'_>) -> Description {
        match self.apply(request) {
            Answer::Described { description, .. } => *description,
            other => panic!("{other:?}"),
        }
    }

    fn describe(&mut self, name: &str) -> Description {
        self.described(&action(name, Action::Describe))
    }
}

fn recomputed(fold: &Fold) -> Digest {
    let mut again = Fold::default();
    for entry in fold.iter() {
        again.put(entry);
    }
    again.digest_with(fold.scalars())
}

fn grant(first: i64, last: i64) -> Grant {
    Grant {
        first,
        last,
        count: last.abs_diff(first) + 1,
        increment: 1,
    }
}

#[test]
fn ids_start_at_one_and_follow_each_other() {
    let mut log = Log::default();
    assert_eq!(log.granted(&next("a", 1)), grant(1, 1));
    assert_eq!(log.granted(&next("b", 10)), grant(1, 10));
    let most = COUNT_DEFAULT_MAX.cast_signed();
    assert_eq!(
        log.granted(&next("a", COUNT_DEFAULT_MAX)),
        grant(2, 1 + most)
    );
}

#[test]
fn a_rejected_request_moves_no_counter_but_counts_as_folded() {
    let mut log = Log {
        end: 5,
        ..Log::default()
    };
    let mut request = next("a", 1);
    request.command = Err(Rejection::new(Code::UnknownOp, "no"));
    assert_eq!(log.rejected(&request), Code::UnknownOp);
    assert!(log.fold.is_empty());
    assert_eq!(log.fold.scalars().applied, 1);
    assert_eq!(log.fold.scalars().highest_timestamp, Timestamp(5));
}

#[test]
fn time_in_the_fold_never_steps_back() {
    let mut fold = Fold::default();
    fold.apply(at(9), None, &next("a", 1), &mut Lines::default());
    fold.apply(at(3), None, &next("a", 1), &mut Lines::default());
    assert_eq!(fold.scalars().highest_timestamp, Timestamp(9));
}

#[test]
fn an_operators_floor_holds_for_names_that_the_state_does_not_know() {
    let mut log = Log::default();
    log.fold.set_scalars(Scalars {
        floor: 1000,
        ..Scalars::default()
    });
    assert_eq!(log.first("new"), 1001);
    log.described(&define("defined", Changes::default()));
    assert_eq!(log.first("defined"), 1001);
}

#[test]
fn an_exhausted_sequence_refuses_and_stays() {
    let mut log = Log::default();
    log.fold.put(plain("a", ID_LAST - 1));
    assert_eq!(log.rejected(&next("a", 2)), Code::Exhausted);
    assert_eq!(log.granted(&next("a", 1)).last, ID_LAST);
    assert_eq!(log.rejected(&next("a", 1)), Code::Exhausted);
}

fn plain(name: &str, last: i64) -> Entry<'_> {
    Entry::Sequence {
        name,
        sequence: Sequence::above(last),
        defined: None,
    }
}

#[test]
fn i5_the_same_request_id_gets_the_same_ids_and_another_count_an_error() {
    let mut log = Log::default();
    let with_id = |name, id, count| request(name, Command::Next { count }, Some(id));
    assert_eq!(log.granted(&with_id("a", "x", 3)), grant(1, 3));
    assert_eq!(log.first("a"), 4);
    let again = log.apply(&with_id("a", "x", 3));
    assert_eq!(again, Answer::Again(grant(1, 3)));
    assert_eq!(log.rejected(&with_id("a", "x", 2)), Code::RequestIdReused);
    assert_eq!(
        log.granted(&with_id("b", "x", 2)),
        grant(1, 2),
        "its scope is the sequence"
    );
    assert_eq!(log.first("a"), 5);
}

#[test]
fn i5_an_error_does_not_occupy_a_request_id() {
    let mut log = Log::default();
    log.fold.put(plain("a", ID_LAST - 1));
    let with_count = |count| request("a", Command::Next { count }, Some("x"));
    assert_eq!(log.rejected(&with_count(2)), Code::Exhausted);
    assert_eq!(log.granted(&with_count(1)).first, ID_LAST);
    assert_eq!(
        log.apply(&with_count(1)),
        Answer::Again(grant(ID_LAST, ID_LAST))
    );
}

#[test]
fn i5_an_operators_record_that_comes_again_is_not_carried_out_again() {
    let with_id = |name, what: Action, id| {
        let mut request = action(name, what);
        request.request_id = Some(Cow::Borrowed(id));
        request
    };
    let back = |next| Action::SetNext { next, force: true };
    let mut log = Log::default();
    log.granted(&next("a", 149));
    let moved = log.described(&with_id("a", back(100), "x"));
    assert_eq!(moved.next, Some(100));
    assert_eq!(log.granted(&next("a", 50)), grant(100, 149));
    let again = log.described(&with_id("a", back(100), "x"));
    assert_eq!(again.next, Some(150), "where it stands by now");
    assert_eq!(log.first("a"), 150);
    for other in [back(99), Action::Retire, Action::Define(Changes::default())] {
        assert_eq!(
            log.rejected(&with_id("a", other, "x")),
            Code::RequestIdReused
        );
    }
    let asks = request("a", Command::Next { count: 1 }, Some("x"));
    assert_eq!(log.rejected(&asks), Code::RequestIdReused);
    let asks = request("a", Command::Next { count: 1 }, Some("y"));
    log.granted(&asks);
    assert_eq!(
        log.rejected(&with_id("a", back(1), "y")),
        Code::RequestIdReused
    );
    assert_eq!(
        log.described(&with_id("a", Action::Describe, "x")).next,
        Some(152)
    );

    // Neither an error nor a `describe` occupies it.
    assert_eq!(
        log.rejected(&with_id("b", back(1), "z")),
        Code::UnknownSequence
    );
    log.described(&define("b", Changes::default()));
    log.described(&with_id("b", Action::Describe, "z"));
    assert_eq!(log.described(&with_id("b", back(7), "z")).next, Some(7));

    let policy = |undefined, id| with_id(POLICY, Action::Policy(undefined), id);
    log.apply(&policy(Undefined::Refuse, "p"));
    log.apply(&policy(Undefined::Create, "q"));
    let again = log.apply(&policy(Undefined::Refuse, "p"));
    assert_eq!(again, Answer::Policy(Undefined::Create));
    assert_eq!(recomputed(&log.fold), log.fold.cut(&mut Vec::new()));
}

const GOLDEN_RETIRE: (i64, i64, u64) = (5828425616990184454, 6065095285997434691, 0);

#[test]
fn what_an_operators_record_asks_for_is_told_apart_field_by_field() {
    let key = RequestKey::new("a", "x");
    let changes = Changes::default();
    let defines = [
        changes,
        Changes {
            start: Some(0),
            ..changes
        },
        Changes {
            increment: Some(0),
            ..changes
        },
        Changes {
            min: Some(0),
            ..changes
        },
        Changes {
            max: Some(0),
            ..changes
        },
        Changes {
            max_count: Some(0),
            ..changes
        },
        Changes {
            at_end: Some(AtEnd::Error),
            ..changes
        },
        Changes {
            at_end: Some(AtEnd::Cycle),
            ..changes
        },
        Changes {
            audit: Some(false),
            ..changes
        },
        Changes {
            audit: Some(true),
            ..changes
        },
    ];
    let others = [
        Action::Retire,
        Action::SetNext {
            next: 0,
            force: false,
        },
        Action::SetNext {
            next: 0,
            force: true,
        },
        Action::SetNext {
            next: 1,
            force: false,
        },
        Action::Policy(Undefined::Create),
        Action::Policy(Undefined::Refuse),
        Action::Policy(Undefined::CreateAudited),
    ];
    let all: Vec<Action> = defines
        .map(Action::Define)
        .into_iter()
        .chain(others)
        .collect();
    let places: BTreeSet<(i64, i64)> = all
        .iter()
        .filter_map(|action| act::place(key, *action))
        .map(|place| (place.first, place.increment))
        .collect();
    assert_eq!(places.len(), all.len());
    // The hash is stored, so it does not change between releases.
    let place = act::place(key, Action::Retire).unwrap();
    assert_eq!((place.first, place.increment, place.count), GOLDEN_RETIRE);
    assert_eq!(act::place(key, Action::Describe), None);
}

#[test]
fn i5_expiry_is_decided_by_the_log_alone() {
    let mut log = Log::default();
    log.fold.set_scalars(Scalars {
        window_capacity: 3,
        ..Scalars::default()
    });
    let ids = ["a", "b", "c", "d"];
    for (index, id) in ids.iter().enumerate() {
        let first = log
            .granted(&request("s", Command::Next { count: 1 }, Some(id)))
            .first;
        assert_eq!(first, 1 + index as i64);
        // Requests without an ID take no place.
        log.first("other");
    }
    let again = |log: &mut Log, id| log.apply(&request("s", Command::Next { count: 1 }, Some(id)));
    assert_eq!(again(&mut log, "b"), Answer::Again(grant(2, 2)));
    assert_eq!(again(&mut log, "a"), Answer::Granted(grant(5, 5)));
    assert_eq!(
        again(&mut log, "b"),
        Answer::Granted(grant(6, 6)),
        "a took its place"
    );
}

#[test]
fn a_definition_decides_start_step_and_end() {
    let mut log = Log::default();
    let described = log.described(&define(
        "a",
        Changes {
            start: Some(100),
            increment: Some(-10),
            min: Some(70),
            max: Some(100),
            max_count: Some(3),
            ..Changes::default()
        },
    ));
    assert_eq!(described.next, Some(100));
    let granted = log.granted(&next("a", 3));
    assert_eq!(
        (granted.first, granted.last, granted.increment),
        (100, 80, -10)
    );
    assert_eq!(log.rejected(&next("a", 4)), Code::InvalidCount);
    assert_eq!(log.rejected(&next("a", 2)), Code::Exhausted);
    assert_eq!(log.first("a"), 70);
    assert_eq!(log.describe("a").next, None);
    assert_eq!(log.rejected(&next("a", 1)), Code::Exhausted);
}

#[test]
fn a_cycle_begins_again_and_no_batch_spans_its_end() {
    let mut log = Log::default();
    log.described(&define(
        "a",
        Changes {
            start: Some(2),
            max: Some(3),
            at_end: Some(AtEnd::Cycle),
            ..Changes::default()
        },
    ));
    assert_eq!(log.rejected(&next("a", 3)), Code::Exhausted);
    assert_eq!(log.granted(&next("a", 2)), grant(2, 3));
    assert_eq!(log.granted(&next("a", 3)), grant(1, 3));
}

#[test]
fn set_next_moves_on_only_unless_it_is_forced() {
    let mut log = Log::default();
    log.granted(&next("a", 10));
    let set = |next, force| action("a", Action::SetNext { next, force });
    assert_eq!(log.described(&set(50, false)).next, Some(50));
    assert_eq!(log.rejected(&set(49, false)), Code::InvalidDefinition);
    assert_eq!(log.first("a"), 50);
    assert_eq!(log.described(&set(1, true)).next, Some(1));
    assert_eq!(log.first("a"), 1);
    let unknown = action(
        "b",
        Action::SetNext {
            next: 5,
            force: false,
        },
    );
    assert_eq!(log.rejected(&unknown), Code::UnknownSequence);
}

#[test]
fn only_describe_says_who_changed_a_sequence_last_and_why() {
    let mut log = Log::default();
    let changed = |log: &mut Log, request: &Request<'_>| match log.apply(request) {
        Answer::Described { changed, .. } => changed.map(|note| *note),
        other => panic!("{other:?}"),
    };
    let describe = action("a", Action::Describe);
    log.first("a");
    assert_eq!(changed(&mut log, &describe), None, "nobody changed it");
    let set = Action::SetNext {
        next: 7,
        force: false,
    };
    let mut set = action("a", set);
    set.request_id = Some("same".into());
    assert_eq!(changed(&mut log, &set), None, "its author knows");
    assert_eq!(changed(&mut log, &set), None, "also of a repeated record");
    let note = Note {
        op: "set_next".into(),
        requester: "ops".into(),
        reason: "why".into(),
        offset: Offset(2),
        timestamp: Timestamp(2),
    };
    assert_eq!(changed(&mut log, &describe), Some(note.clone()));
    log.first("a");
    assert_eq!(
        changed(&mut log, &describe),
        Some(note),
        "IDs are no change"
    );
    let unused = action("b", Action::Describe);
    assert_eq!(log.rejected(&unused), Code::UnknownSequence);
}

#[test]
fn a_retired_name_gives_no_ids_until_it_is_defined_again_and_then_goes_on() {
    let mut log = Log::default();
    log.granted(&next("a", 5));
    assert!(log.described(&action("a", Action::Retire)).retired);
    assert_eq!(log.rejected(&next("a", 1)), Code::Retired);
    let set = action(
        "a",
        Action::SetNext {
            next: 9,
            force: false,
        },
    );
    assert_eq!(log.rejected(&set), Code::Retired);
    assert!(log.describe("a").retired);
    let again = define(
        "a",
        Changes {
            start: Some(3),
            ..Changes::default()
        },
    );
    assert!(!log.described(&again).retired);
    assert_eq!(log.first("a"), 6, "beyond its last ID");
}

#[test]
fn what_may_change_of_a_live_sequence_is_what_keeps_its_promise() {
    let mut log = Log::default();
    log.granted(&next("a", 10));
    let changes = Changes::default();
    for refused in [
        Changes {
            start: Some(5),
            ..changes
        },
        Changes {
            increment: Some(-1),
            ..changes
        },
        Changes {
            min: Some(12),
            ..changes
        },
        Changes {
            max: Some(10),
            ..changes
        },
    ] {
        assert_eq!(
            log.rejected(&define("a", refused)),
            Code::InvalidDefinition,
            "{refused:?}"
        );
    }
    for allowed in [
        Changes {
            increment: Some(5),
            ..changes
        },
        Changes {
            min: Some(11),
            ..changes
        },
        Changes {
            max: Some(i64::MAX),
            ..changes
        },
        Changes {
            max_count: Some(2),
            ..changes
        },
        Changes {
            at_end: Some(AtEnd::Cycle),
            ..changes
        },
    ] {
        assert_eq!(
            log.described(&define("a", allowed)).next,
            Some(11),
            "{allowed:?}"
        );
    }
    let granted = log.granted(&next("a", 2));
    assert_eq!((granted.first, granted.last), (11, 16));
}

#[test]
fn a_maximum_of_63_bits_is_reached_exactly() {
    let mut log = Log::default();
    let all = Changes {
        start: Some(i64::MAX - 1),
        max: Some(i64::MAX),
        ..Changes::default()
    };
    log.described(&define("a", all));
    assert_eq!(log.granted(&next("a", 2)), grant(i64::MAX - 1, i64::MAX));
    assert_eq!(log.rejected(&next("a", 1)), Code::Exhausted);
    assert_eq!(log.describe("a").next, None);
}

#[test]
fn undefined_names_are_created_or_refused_as_the_policy_says() {
    let mut log = Log::default();
    assert_eq!(log.first("a"), 1);
    let policy = |undefined| action(POLICY, Action::Policy(undefined));
    assert_eq!(
        log.apply(&policy(Undefined::Refuse)),
        Answer::Policy(Undefined::Refuse)
    );
    assert_eq!(log.rejected(&next("b", 1)), Code::UnknownSequence);
    assert_eq!(log.first("a"), 2, "it exists");
    log.described(&define("b", Changes::default()));
    assert_eq!(log.first("b"), 1);
    log.apply(&policy(Undefined::Create));
    assert_eq!(log.first("c"), 1);
}

#[test]
fn describing_a_name_takes_no_id_and_creates_nothing() {
    let mut log = Log::default();
    assert_eq!(
        log.rejected(&action("a", Action::Describe)),
        Code::UnknownSequence
    );
    assert!(log.fold.is_empty());
    log.first("a");
    assert_eq!(log.describe("a").next, Some(2));
    assert_eq!(log.describe("a").definition, Definition::DEFAULT);
    assert_eq!(log.first("a"), 2);
}

/// Two partitions, so that a name can belong to the other one.
const N: u32 = 2;

fn name_at(home: u32) -> String {
    let mut names = (0..).map(|number| format!("n{number}"));
    names
        .find(|name| partition_of(name.as_bytes(), N) == home)
        .unwrap()
}

/// The fold of one of N partitions.
fn one_of_n() -> Fold {
    Fold::new(Homes::first(N))
}

fn in_partition(partition: u32, offset: i64) -> At {
    At {
        partition,
        ..at(offset)
    }
}

#[test]
fn strays_form_a_chain_that_home_accepts_once_and_without_a_gap() {
    let (mut source, mut home) = (one_of_n(), one_of_n());
    let name = name_at(1);
    let mut links = Vec::new();
    for offset in [3, 4, 9] {
        let answer = source.apply(
            in_partition(0, offset),
            None,
            &next(&name, 1),
            &mut Lines::default(),
        );
        let Answer::Stray { home, link } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(home, 1);
        links.push(link);
    }
    assert_eq!(source.sequences(), 0, "it counts at home only");
    assert_eq!(links[0].previous, Position::NONE);
    assert_eq!((links[2].previous, links[2].position), (place(4), place(9)));

    let mut offset = 0;
    let mut come = |home: &mut Fold, link| {
        offset += 1;
        home.apply(
            in_partition(1, offset),
            Some(link),
            &next(&name, 1),
            &mut Lines::default(),
        )
    };
    assert_eq!(come(&mut home, links[0]), Answer::Granted(grant(1, 1)));
    assert_eq!(come(&mut home, links[0]), Answer::Repeated);
    let before = home.clone().cut(&mut Vec::new());
    let broken = come(&mut home, links[2]);
    assert_eq!(
        broken,
        Answer::Broken {
            link: links[2],
            accepted: place(3)
        }
    );
    assert_eq!(home.cut(&mut Vec::new()), before, "the fold has not moved");
    assert_eq!(come(&mut home, links[1]), Answer::Granted(grant(2, 2)));
    assert_eq!(come(&mut home, links[2]), Answer::Granted(grant(3, 3)));
    assert_eq!(come(&mut home, links[1]), Answer::Repeated);
}

/// The link of a client's record in another partition.
fn first_hop(partition: u32, offset: i64, previous: Position) -> Link {
    Link {
        partition,
        epoch: 0,
        position: place(offset),
        previous,
        origin: Origin {
            partition,
            offset: Offset(offset),
        },
        hops: 1,
    }
}

#[test]
fn a_link_counts_where_it_is_addressed_to_and_the_request_goes_on_with_its_origin() {
    let mut fold = one_of_n();
    let name = name_at(1);
    let mut offset = 10;
    let mut come = |link| {
        offset += 1;
        let at = in_partition(0, offset);
        fold.apply(at, Some(link), &next(&name, 1), &mut Lines::default())
    };
    let first = first_hop(2, 5, Position::NONE);
    let stray = Answer::Stray {
        home: 1,
        link: Link {
            partition: 0,
            position: place(11),
            hops: 2,
            ..first
        },
    };
    assert_eq!(come(first), stray);
    assert_eq!(come(first), Answer::Repeated);
    assert!(matches!(
        come(first_hop(2, 9, place(7))),
        Answer::Broken { .. }
    ));
    let Answer::Stray { link, .. } = come(first_hop(2, 7, place(5))) else {
        panic!("the next one of the chain");
    };
    assert_eq!((link.previous, link.position), (place(11), place(14)));
    assert_eq!(link.origin.offset, Offset(7));
}

#[test]
fn a_request_that_was_forwarded_too_often_stops_the_partition_before_it() {
    let mut fold = one_of_n();
    let (here, elsewhere) = (name_at(0), name_at(1));
    let link = |hops, offset, previous| Link {
        hops,
        ..first_hop(2, offset, previous)
    };
    let mut come = |link, name: &str| {
        let before = fold.clone().cut(&mut Vec::new());
        let answer = fold.apply(
            in_partition(0, 20),
            Some(link),
            &next(name, 1),
            &mut Lines::default(),
        );
        (answer, fold.cut(&mut Vec::new()) == before)
    };
    let (answer, _) = come(link(HOPS_MAX - 1, 5, Position::NONE), &elsewhere);
    assert!(matches!(answer, Answer::Stray { link, .. } if link.hops == HOPS_MAX));
    let last = link(HOPS_MAX, 6, place(5));
    let stopped = Answer::TooManyHops {
        home: 1,
        link: last,
    };
    assert_eq!(come(last, &elsewhere), (stopped, true));
    assert_eq!(come(last, &here).0, Answer::Granted(grant(1, 1)), "at home");
    assert_eq!(come(last, &elsewhere).0, Answer::Repeated);
}

#[test]
fn an_invalid_request_is_answered_where_it_lies() {
    let mut fold = one_of_n();
    let name = name_at(1);
    let mut request = next(&name, 1);
    request.command = Err(Rejection::new(Code::InvalidCount, ""));
    let answer = fold.apply(in_partition(0, 0), None, &request, &mut Lines::default());
    assert!(matches!(answer, Answer::Rejected(_)));
    assert!(fold.is_empty());
}

#[test]
fn after_a_repair_the_first_link_of_each_partition_is_believed_and_no_other() {
    let mut home = one_of_n();
    home.set_scalars(Scalars {
        links_open: true,
        ..home.scalars()
    });
    let name = name_at(1);
    let mut come = |offset, previous| {
        let link = first_hop(0, offset, place(previous));
        home.apply(
            in_partition(1, offset),
            Some(link),
            &next(&name, 1),
            &mut Lines::default(),
        )
    };
    assert_eq!(come(20, 17), Answer::Granted(grant(1, 1)));
    assert!(matches!(come(30, 25), Answer::Broken { .. }));
    assert_eq!(come(25, 20), Answer::Granted(grant(2, 2)));
}

#[test]
fn policy_records_belong_to_the_partition_in_which_they_lie() {
    for partition in 0..N {
        let mut fold = one_of_n();
        let request = action(POLICY, Action::Policy(Undefined::Refuse));
        let answer = fold.apply(
            in_partition(partition, 0),
            None,
            &request,
            &mut Lines::default(),
        );
        assert_eq!(answer, Answer::Policy(Undefined::Refuse));
    }
}

#[test]
fn describing_the_policy_says_what_it_is_and_changes_nothing() {
    let mut log = Log::default();
    let describe = action(POLICY, Action::Describe);
    assert_eq!(log.apply(&describe), Answer::Policy(Undefined::Create));
    log.apply(&action(POLICY, Action::Policy(Undefined::Refuse)));
    assert_eq!(log.apply(&describe), Answer::Policy(Undefined::Refuse));
    assert!(log.fold.is_empty());
}

/// A fold with one of each thing that it can remember.
fn full() -> Fold {
    let mut log = Log::default();
    log.first("plain");
    log.described(&define("defined", audited()));
    log.granted(&request("plain", Command::Next { count: 2 }, Some("x")));
    let remembers = Changes {
        remember: Some(50),
        ..Changes::default()
    };
    log.described(&define("remembers", remembers));
    for number in 0..20 {
        let request_id = number.to_string();
        let next = Command::Next { count: 1 };
        log.granted(&request("remembers", next, Some(&request_id)));
    }
    log.fold.put(Entry::Sent {
        home: 3,
        position: place(40),
    });
    log.fold.put(Entry::Accepted {
        source: 2,
        end: END,
    });
    log.fold.cut(&mut Vec::new());
    log.fold
}

/// Each thing that the fold remembers, changed alone, changes the digest.
#[test]
fn the_digest_covers_everything_that_is_remembered() {
    let fold = full();
    let scalars = fold.scalars();
    let mut digests = vec![("as it is", fold.digest_with(scalars))];
    let mut changed = |what, scalars| digests.push((what, fold.digest_with(scalars)));
    // Taken apart without `..`, so that a new field cannot be forgotten here.
    let Scalars {
        highest_timestamp: _,
        applied: _,
        floor: _,
        undefined: _,
        window_capacity: _,
        window_next: _,
        links_open: _,
        epoch: _,
        homes: _,
        policy_is_own: _,
        unburied: _,
    } = scalars;
    changed(
        "timestamp",
        Scalars {
            highest_timestamp: Timestamp(77),
            ..scalars
        },
    );
    changed(
        "homes",
        Scalars {
            homes: Homes::first(77),
            ..scalars
        },
    );
    changed(
        "homes of an epoch before",
        Scalars {
            homes: Homes::read([7, 77]).unwrap(),
            ..scalars
        },
    );
    changed(
        "applied",
        Scalars {
            applied: 77,
            ..scalars
        },
    );
    changed(
        "floor",
        Scalars {
            floor: 77,
            ..scalars
        },
    );
    changed(
        "undefined",
        Scalars {
            undefined: Undefined::Refuse,
            ..scalars
        },
    );
    changed(
        "audit of undefined names",
        Scalars {
            undefined: Undefined::CreateAudited,
            ..scalars
        },
    );
    changed(
        "capacity",
        Scalars {
            window_capacity: 77,
            ..scalars
        },
    );
    changed(
        "window next",
        Scalars {
            window_next: 77,
            ..scalars
        },
    );
    changed(
        "links open",
        Scalars {
            links_open: true,
            ..scalars
        },
    );
    changed(
        "epoch",
        Scalars {
            epoch: 77,
            ..scalars
        },
    );

    changed(
        "policy is its own",
        Scalars {
            policy_is_own: true,
            ..scalars
        },
    );
    changed(
        "unburied",
        Scalars {
            unburied: 77,
            ..scalars
        },
    );

    let mut put = |what, entry: Entry<'_>| {
        let mut other = fold.clone();
        other.put(entry);
        digests.push((what, other.digest_with(scalars)));
    };
    put("counter", plain("plain", 77));
    put("another name", plain("other", 1));
    put(
        "sent",
        Entry::Sent {
            home: 3,
            position: place(77),
        },
    );
    put(
        "sent home",
        Entry::Sent {
            home: 77,
            position: place(40),
        },
    );
    let later = Position {
        leader_epoch: 77,
        offset: 40,
    };
    put(
        "sent under another leader",
        Entry::Sent {
            home: 3,
            position: later,
        },
    );
    let accepted = |source, end| Entry::Accepted { source, end };
    let position = place(77);
    put("accepted", accepted(2, Accepted { position, ..END }));
    let position = later;
    put(
        "under another leader",
        accepted(2, Accepted { position, ..END }),
    );
    put("accepted epoch", accepted(2, Accepted { epoch: 77, ..END }));
    put("accepted open", accepted(2, Accepted { open: true, ..END }));
    put("accepted source", accepted(77, END));
    let place = Place {
        key: RequestKey::new("plain", "x"),
        first: 2,
        increment: 1,
        count: 2,
    };
    let Place {
        key: _,
        first: _,
        increment: _,
        count: _,
    } = place;
    let mut window = |what, places: &[Place]| {
        put(
            what,
            Entry::Window {
                segment: 0,
                places: places.into(),
            },
        );
    };
    window(
        "place's key",
        &[Place {
            key: RequestKey::new("plain", "y"),
            ..place
        }],
    );
    window("place's first", &[Place { first: 77, ..place }]);
    window(
        "place's increment",
        &[Place {
            increment: 77,
            ..place
        }],
    );
    window("place's count", &[Place { count: 77, ..place }]);
    window("place twice", &[place, place]);
    window("no place", &[]);
    let own = |name, segment, places: &[Place]| {
        let places = Cow::Owned(places.to_vec());
        Entry::Own {
            name,
            segment,
            places,
        }
    };
    put("own place", own("remembers", 0, &[place]));
    put("own place of another", own("defined", 0, &[place]));
    put(
        "own place of another segment",
        own("remembers", 1, &[place]),
    );
    put("own place twice", own("remembers", 2, &[place, place]));
    put("own place once", own("remembers", 2, &[place]));
    let first = Place { first: 77, ..place };
    put("own place's first", own("remembers", 0, &[first]));

    let slot = fold.slot(EntryKey::Sequence("defined")).unwrap();
    let Some(Entry::Sequence {
        sequence,
        defined: Some(defined),
        ..
    }) = fold.entry(slot)
    else {
        panic!("it is defined");
    };
    let mut variant = |what, change: &dyn Fn(&mut Defined)| {
        let mut defined = defined.clone().into_owned();
        change(&mut defined);
        put(
            what,
            Entry::Sequence {
                name: "defined",
                sequence,
                defined: Some(Cow::Owned(defined)),
            },
        );
    };
    let Defined {
        definition,
        retired: _,
        note,
        chain,
    } = &*defined;
    let Chain {
        records: _,
        turn: _,
        repaired: _,
        hash: _,
    } = **chain.as_ref().expect("it is audited");
    let Definition {
        start: _,
        increment: _,
        min: _,
        max: _,
        at_end: _,
        max_count: _,
        audit: _,
        remember: _,
    } = definition;
    let Note {
        op: _,
        requester: _,
        reason: _,
        offset: _,
        timestamp: _,
    } = note;
    variant("start", &|d| d.definition.start = 77);
    variant("increment", &|d| d.definition.increment = 77);
    variant("min", &|d| d.definition.min = 77);
    variant("max", &|d| d.definition.max = 77);
    variant("at end", &|d| d.definition.at_end = AtEnd::Cycle);
    variant("max count", &|d| d.definition.max_count = 77);
    variant("audit", &|d| d.definition.audit = false);
    variant("remember", &|d| d.definition.remember = 77);
    variant("retired", &|d| d.retired = true);
    let mut of_chain = |what, change: &dyn Fn(&mut Chain)| {
        variant(what, &|d| change(d.chain.as_mut().expect("audited")));
    };
    of_chain("records", &|chain| chain.records = 77);
    of_chain("turn", &|chain| chain.turn = 77);
    of_chain("repaired", &|chain| chain.repaired = true);
    of_chain("hash", &|chain| chain.hash.0[31] ^= 1);
    variant("no chain", &|d| d.chain = None);
    variant("op", &|d| d.note.op = "x".into());
    variant("requester", &|d| d.note.requester = "x".into());
    variant("reason", &|d| d.note.reason = "x".into());
    variant("offset", &|d| d.note.offset = Offset(77));
    variant("note's timestamp", &|d| d.note.timestamp = Timestamp(77));
    put(
        "not defined",
        Entry::Sequence {
            name: "defined",
            sequence,
            defined: None,
        },
    );

    for entry in fold.iter() {
        let mut other = fold.clone();
        other.remove(entry.key());
        digests.push(("one less", other.digest_with(scalars)));
    }
    let mut seen = BTreeMap::new();
    for (what, digest) in digests {
        if let Some(other) = seen.insert(digest.0, what) {
            // An empty segment holds nothing, so it equals an absent one.
            assert_eq!((other, what), ("no place", "one less"), "not in the digest");
        }
    }
}

#[test]
fn a_rewrite_that_goes_by_place_passes_over_no_entry_that_was_there() {
    let mut fold = full();
    let all: BTreeSet<Slot> = fold
        .iter()
        .map(|entry| fold.slot(entry.key()).unwrap())
        .collect();
    let mut seen = BTreeSet::new();
    let mut place = 0;
    while place < fold.len() {
        seen.extend(fold.slot_at(place));
        place += 1;
        // Entries are added during the iteration.
        let number = i64::try_from(place).unwrap();
        if place < 4 {
            fold.put(Entry::Sent {
                home: 100 - u32::try_from(place).unwrap(),
                position: self::place(number),
            });
        }
    }
    assert!(seen.is_superset(&all));
}

/// A request for the model below.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Next(u64),
    WithId(u8, u64),
    Invalid,
    SetNext(i64),
    Audit(bool),
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        6 => prop_oneof![1_u64..4, Just(COUNT_DEFAULT_MAX)].prop_map(Asked::Next),
        4 => (0_u8..5, 1_u64..3).prop_map(|(id, count)| Asked::WithId(id, count)),
        1 => Just(Asked::Invalid),
        1 => (0_i64..3_000_000).prop_map(Asked::SetNext),
        1 => any::<bool>().prop_map(Asked::Audit),
    ]
}

proptest! {
    /// Compares the fold with the plainest model: maps of last IDs and of requests with a `request_id`.
    #[test]
    fn the_fold_agrees_with_a_naive_model(
        requests in prop::collection::vec((0_u8..6, asked()), 1..200),
        cuts in prop::collection::vec(any::<bool>(), 200),
    ) {
        let mut log = Log::default();
        let mut last_ids: BTreeMap<String, i64> = BTreeMap::new();
        let mut by_id: BTreeMap<(String, u8), Grant> = BTreeMap::new();
        let mut grants: BTreeMap<String, Vec<Grant>> = BTreeMap::new();
        let mut slots = Vec::new();
        for (i, (name, asked)) in requests.iter().enumerate() {
            let name = format!("n{name}");
            let take = |last_ids: &mut BTreeMap<String, i64>, count: u64| {
                let last = last_ids.entry(name.clone()).or_default();
                *last += count.cast_signed();
                Grant { first: *last - count.cast_signed() + 1, last: *last, count, increment: 1 }
            };
            match *asked {
                Asked::Audit(audit) => {
                    let changes = Changes { audit: Some(audit), ..Changes::default() };
                    last_ids.entry(name.clone()).or_default();
                    log.described(&define(&name, changes));
                }
                Asked::Next(count) => {
                    let expected = take(&mut last_ids, count);
                    prop_assert_eq!(log.apply(&next(&name, count)), Answer::Granted(expected));
                    for earlier in grants.entry(name.clone()).or_default().iter() {
                        prop_assert!(invariants::i1_unique(*earlier, expected));
                    }
                    grants.entry(name.clone()).or_default().push(expected);
                }
                Asked::WithId(id, count) => {
                    let text = id.to_string();
                    let answer = log.apply(&request(&name, Command::Next { count }, Some(&text)));
                    match by_id.get(&(name.clone(), id)) {
                        Some(before) if before.count == count => {
                            prop_assert_eq!(answer, Answer::Again(*before));
                        }
                        Some(_) => {
                            let reused = matches!(answer, Answer::Rejected(r) if r.code == Code::RequestIdReused);
                            prop_assert!(reused);
                        }
                        None => {
                            let expected = take(&mut last_ids, count);
                            prop_assert_eq!(answer, Answer::Granted(expected));
                            by_id.insert((name.clone(), id), expected);
                        }
                    }
                }
                Asked::Invalid => {
                    let mut request = next(&name, 1);
                    request.command = Err(Rejection::new(Code::MalformedRequest, ""));
                    prop_assert!(matches!(log.apply(&request), Answer::Rejected(_)));
                }
                Asked::SetNext(to) => {
                    let answer = log.apply(&action(&name, Action::SetNext { next: to, force: false }));
                    match last_ids.get_mut(&name) {
                        Some(last) if to > *last => {
                            *last = to - 1;
                            let described = matches!(answer, Answer::Described { .. });
                            prop_assert!(described);
                        }
                        _ => prop_assert!(matches!(answer, Answer::Rejected(_))),
                    }
                }
            }
            if cuts[i] {
                slots.clear();
                let digest = log.fold.cut(&mut slots);
                prop_assert_eq!(digest, recomputed(&log.fold));
            }
        }
        prop_assert_eq!(log.fold.cut(&mut slots), recomputed(&log.fold));
    }
}

#[test]
fn a_full_partition_takes_no_new_name() {
    assert_eq!(Fold::default().sequences_max.0, 1 << 24);
    let mut log = Log::default();
    log.fold.sequences_max = SequencesMax(2);
    for name in ["a", "b"] {
        assert!(matches!(log.apply(&next(name, 1)), Answer::Granted(_)));
    }
    for refused in [next("c", 1), define("c", Changes::default())] {
        let Answer::Rejected(rejection) = log.apply(&refused) else {
            panic!("a third sequence");
        };
        assert_eq!(rejection.code, Code::TooManySequences);
        assert!(rejection.message.contains("holds 2 sequences"));
    }
    // Sequences that exist go on.
    assert!(matches!(log.apply(&next("a", 1)), Answer::Granted(_)));
}

impl Log {
    /// The lines of the ledger, each taken apart by the test that asks.
    fn lines(&self) -> Vec<&str> {
        self.ledger
            .0
            .iter()
            .map(|(text, _)| text.as_str())
            .collect()
    }

    fn chain(&self, name: &str) -> Chain {
        let slot = self.fold.slot(EntryKey::Sequence(name)).unwrap();
        let Some(Entry::Sequence {
            defined: Some(defined),
            ..
        }) = self.fold.entry(slot)
        else {
            panic!("{name} is not defined");
        };
        **defined.chain.as_ref().expect("a ledger")
    }
}

#[test]
fn each_grant_of_an_audited_sequence_is_one_line_with_the_hash_of_the_one_before() {
    let mut log = Log::default();
    log.first("plain");
    log.described(&define("a", audited()));
    let mut asked = request("a", Command::Next { count: 3 }, Some("x"));
    asked.requester = Some("billing".into());
    log.granted(&asked);
    // Neither of these is a grant.
    assert!(matches!(log.apply(&asked), Answer::Again(_)));
    log.described(&action("a", Action::Describe));
    log.first("a");
    let lines = log.lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains("record: 1") && lines[0].contains("Defined {"));
    let granted = lines[1];
    for part in [
        "sequence: \"a\"",
        "record: 2",
        "turn: 0",
        "first: 1, last: 3",
        "partition: 0, offset: Offset(2)",
        "home_offset: None",
        "timestamp: Timestamp(2)",
        "requester: Some(\"billing\")",
        "request_id: Some(\"x\")",
    ] {
        assert!(granted.contains(part), "{part} in {granted}");
    }
    for pair in log.ledger.0.windows(2) {
        let (_, before) = &pair[0];
        assert!(pair[1].0.contains(&format!("previous: {before:?}")));
    }
    assert!(lines[0].contains(&format!("previous: {:?}", Hash::NONE)));
    let (_, last) = log.ledger.0.last().unwrap();
    assert_eq!(log.chain("a").hash, *last);
}

#[test]
fn an_operators_acts_are_lines_as_long_as_the_sequence_is_audited() {
    let mut log = Log::default();
    log.granted(&next("a", 10));
    log.described(&define("a", audited()));
    let set = |next, force| action("a", Action::SetNext { next, force });
    log.described(&set(50, false));
    log.rejected(&set(49, false));
    log.described(&set(5, true));
    log.described(&action("a", Action::Retire));
    log.described(&action("a", Action::Retire));
    log.described(&define("a", Changes::default()));
    let off = Changes {
        audit: Some(false),
        ..Changes::default()
    };
    log.described(&define("a", off));
    log.first("a");
    log.described(&set(90, false));
    log.described(&define("a", audited()));
    let events: Vec<&str> = log
        .lines()
        .iter()
        .map(|line| {
            line.split("event: ")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(
        events,
        [
            "Defined", "Moved", "Moved", "Retired", "Defined", "Defined", "Defined"
        ]
    );
    let moved = log.lines()[2];
    assert!(
        moved.contains("next: Some(5)") && moved.contains("turn: 1"),
        "{moved}"
    );
    assert!(moved.contains("reason: Some(\"why\")") && moved.contains("requester: Some(\"ops\")"));
    // The ledger has no record of where the sequence went in between.
    assert!(log.lines()[6].contains("turn: 2") && log.lines()[6].contains("next: Some(90)"));
}

#[test]
fn the_end_of_a_cycle_is_the_end_of_a_turn() {
    for increment in [1, -1] {
        let mut log = Log::default();
        log.described(&define(
            "a",
            Changes {
                increment: Some(increment),
                min: Some(1),
                max: Some(2),
                at_end: Some(AtEnd::Cycle),
                ..audited()
            },
        ));
        for _ in 0..4 {
            log.first("a");
        }
        let turns: Vec<bool> = log.lines()[1..]
            .iter()
            .map(|l| l.contains("turn: 0"))
            .collect();
        assert_eq!(turns, [true, true, false, false]);
        assert_eq!(log.chain("a").turn, 2);
    }
}

#[test]
fn the_policy_can_ask_for_a_ledger_of_names_that_nobody_defined() {
    let mut log = Log::default();
    log.apply(&action(POLICY, Action::Policy(Undefined::CreateAudited)));
    log.first("a");
    assert_eq!(log.lines().len(), 1);
    assert!(log.describe("a").definition.audit);
    log.apply(&action(POLICY, Action::Policy(Undefined::Create)));
    log.first("b");
    log.first("a");
    assert_eq!(log.lines().len(), 2);
    assert!(!log.describe("b").definition.audit);
}

#[test]
fn a_line_names_the_record_that_the_client_wrote_and_where_it_was_folded() {
    let name = name_at(0);
    let mut home = one_of_n();
    let mut ledger = Lines::default();
    home.apply(
        in_partition(0, 4),
        None,
        &define(&name, audited()),
        &mut ledger,
    );
    let link = Link {
        origin: Origin {
            partition: 2,
            offset: Offset(3),
        },
        hops: 2,
        ..first_hop(1, 7, Position::NONE)
    };
    home.apply(in_partition(0, 9), Some(link), &next(&name, 1), &mut ledger);
    let (line, _) = &ledger.0[1];
    assert!(
        line.contains("partition: 2, offset: Offset(3), home_offset: Some(Offset(9))"),
        "{line}"
    );
}

#[test]
fn after_a_restore_the_same_log_gives_the_same_lines() {
    let mut log = Log::default();
    log.described(&define("a", audited()));
    for count in 1..5 {
        log.granted(&next("a", count));
    }
    let mut restored = Log {
        fold: Fold::default(),
        end: log.end,
        ledger: Lines::default(),
    };
    for entry in log.fold.iter() {
        restored.fold.put(entry);
    }
    restored.fold.set_scalars(log.fold.scalars());
    log.ledger.0.clear();
    for log in [&mut log, &mut restored] {
        log.first("a");
        log.granted(&next("a", 7));
    }
    assert_eq!(log.lines(), restored.lines());
    assert_eq!(log.chain("a"), restored.chain("a"));
}

#[test]
fn the_first_line_after_a_repair_says_so() {
    let mut log = Log::default();
    log.described(&define("a", audited()));
    let slot = log.fold.slot(EntryKey::Sequence("a")).unwrap();
    let Some(Entry::Sequence {
        sequence, defined, ..
    }) = log.fold.entry(slot)
    else {
        panic!("it is there");
    };
    let mut defined = defined.unwrap().into_owned();
    defined.chain.as_mut().unwrap().repaired = true;
    let mut repaired = Fold::default();
    repaired.put(Entry::Sequence {
        name: "a",
        sequence,
        defined: Some(Cow::Owned(defined)),
    });
    log.fold = repaired;
    log.fold.set_scalars(Scalars {
        links_open: true,
        ..Scalars::default()
    });
    log.first("a");
    log.first("a");
    // A sequence whose ledger was lost with the state.
    log.described(&define("b", audited()));
    let told: Vec<bool> = log
        .lines()
        .iter()
        .map(|l| l.contains("repaired: true"))
        .collect();
    assert_eq!(told, [false, true, false, true]);
}
