use super::*;
use crate::core::fold::Entry;
use crate::core::invariants::Invariant;
use crate::core::sequence::Sequence;
use crate::core::{Digest, Fold, Scalars};
use crate::wire::state::BatchId;

const GROUP: &str = "sequencer";
const TOPIC: TopicId = TopicId([7; 16]);
/// The key of the links, as decided.
const KEY: LinkKey = LinkKey([5; 32]);
/// The key of the links, if it is decided now.
const FRESH_KEY: LinkKey = LinkKey([6; 32]);
/// The last applied record of [`footer`].
const LAST: Fingerprint = Fingerprint {
    offset: Offset(41),
    leader_epoch: 3,
    hash: 0xf00d,
};

/// The batch of the footer.
const BATCH: BatchId = BatchId {
    writer: 2,
    number: 8,
};
/// The answers beyond it.
const ANSWERED: Answered = Answered {
    next: NextOffset(50),
    batch: BATCH,
    digest: Digest(7),
    last_applied: None,
};

/// A checkpoint at 45: record 41, then markers.
fn footer() -> Footer {
    Footer {
        next: NextOffset(45),
        digest: Digest::default(),
        scalars: Scalars {
            homes: Homes::first(4),
            ..Scalars::default()
        },
        link_key: KEY,
        fold_version: FOLD_VERSION,
        topic_id: TOPIC,
        last_applied: Some(LAST),
        answers_beyond: true,
        batch_records: 1,
        group: GROUP.into(),
        instance: "host".into(),
    }
}

/// A state whose highest ID is 9.
fn restored(footer: Option<Footer>) -> Event {
    let mut fold = Fold::new(Homes::first(4));
    fold.put(Entry::Sequence {
        name: "a",
        sequence: Sequence::above(9),
        defined: None,
    });
    Event::State(Box::new(Restored {
        fold,
        footer,
        records: 2,
        ..Restored::default()
    }))
}

fn nothing_restored() -> Event {
    Event::State(Box::default())
}

fn log(start: i64, end: i64) -> RequestLog {
    RequestLog {
        start: NextOffset(start),
        end: NextOffset(end),
        topic_id: TOPIC,
        partitions: 4,
    }
}

fn service<const EPOCHS: usize>(counts: [u32; EPOCHS]) -> Event {
    Event::Service(Some(Decided {
        homes: Homes::read(counts).unwrap(),
        link_key: KEY,
    }))
}

/// N of each epoch that the partition knows of.
fn known(start: &Start) -> Vec<u32> {
    start.restored.fold.scalars().homes.counts().collect()
}

fn bound(start: i64, end: i64) -> Event {
    Event::Bound(Bound::Log(StateLog { start, end }))
}

fn committed(next: i64, rewrite_from: Option<i64>) -> Event {
    let next = NextOffset(next);
    Event::Committed(Some(Committed {
        next,
        rewrite_from,
        answered: None,
    }))
}

fn action(step: Step) -> Action {
    match step {
        Step::Do(action) => action,
        Step::Done(verdict) => panic!("done: {verdict:?}"),
    }
}

fn start(step: Step) -> Box<Start> {
    match step {
        Step::Done(Verdict::Start(start)) => start,
        other => panic!("no start: {other:?}"),
    }
}

/// The halt, and the highest ID in it.
fn halt(step: Step) -> (Halt, i64) {
    match step {
        Step::Done(Verdict::Halt(halt, highest)) => (halt, highest),
        other => panic!("no halt: {other:?}"),
    }
}

fn wait(step: Step) -> String {
    match step {
        Step::Done(Verdict::Wait(reason)) => reason,
        other => panic!("no wait: {other:?}"),
    }
}

/// A takeover that knows the end of its state log, the committed offset and the state, and asks about the
/// request log.
fn up_to_log(partition: i32, committed: Event, state: Event) -> Takeover {
    let mut takeover = Takeover::new(partition, GROUP, FRESH_KEY);
    takeover.on(bound(0, 100));
    takeover.on(committed);
    assert_eq!(action(takeover.on(state)), Action::DescribeLog);
    takeover
}

/// The next step of a takeover with this footer and this log.
fn with_footer(footer: Footer, log: RequestLog) -> Step {
    up_to_log(1, committed(45, None), restored(Some(footer))).on(Event::Log(log))
}

#[test]
fn t2_the_bound_is_asked_for_first_and_the_questions_follow_in_order() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    assert_eq!(action(takeover.first()), Action::ReadBound);
    assert_eq!(action(takeover.on(bound(10, 100))), Action::ReadCommitted);
    assert_eq!(
        action(takeover.on(committed(45, None))),
        Action::ReadState { from: 10, to: 100 }
    );
    assert_eq!(
        action(takeover.on(restored(Some(footer())))),
        Action::DescribeLog
    );
    assert_eq!(
        action(takeover.on(Event::Log(log(0, 60)))),
        Action::ReadRecord(LAST.offset)
    );
    let start = start(takeover.on(Event::Record(Some(LAST.hash))));
    assert_eq!(start.next, NextOffset(45));
    assert_eq!(known(&start), [4]);
    assert_eq!(start.topic_id, TOPIC);
    assert_eq!(start.last_applied, Some(LAST));
    assert_eq!(start.state_end, 100);
    assert_eq!(start.rewrite_from, None);
    assert_eq!(start.restored.footer, Some(footer()));
    assert_eq!(start.restored.fold.len(), 1);
}

#[test]
fn t2_nothing_is_read_before_the_bound_is_known() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    assert_eq!(action(takeover.on(committed(45, None))), Action::ReadBound);
}

#[test]
fn the_footer_is_believed_whatever_the_group_has_committed() {
    for committed in [
        Event::Committed(None),
        committed(3, None),
        committed(99, None),
    ] {
        let mut takeover = up_to_log(1, committed, restored(Some(footer())));
        takeover.on(Event::Log(log(0, 60)));
        let start = start(takeover.on(Event::Record(Some(LAST.hash))));
        assert_eq!(start.next, NextOffset(45));
    }
}

/// A takeover of a state whose footer is of [`BATCH`], with an offset committed beyond it, and a log up to `end`.
fn beyond_footer(answered: Answered, committed: i64, end: i64) -> Step {
    let Event::State(mut state) = restored(Some(footer())) else {
        panic!("no state");
    };
    state.batch = Some(BATCH);
    let committed = Event::Committed(Some(Committed {
        next: NextOffset(committed),
        rewrite_from: None,
        answered: Some(answered),
    }));
    let mut takeover = up_to_log(1, committed, Event::State(state));
    match takeover.on(Event::Log(log(0, end))) {
        Step::Do(Action::ReadRecord(_)) => takeover.on(Event::Record(Some(LAST.hash))),
        step => step,
    }
}

#[test]
fn what_is_answered_beyond_the_footer_is_believed_if_it_is_of_this_state() {
    let begun = start(beyond_footer(ANSWERED, 50, 60));
    assert_eq!(
        (begun.next, begun.answered),
        (NextOffset(45), Some(ANSWERED))
    );
    let of_repair = Answered {
        batch: BatchId {
            writer: 9,
            number: 1,
        },
        ..ANSWERED
    };
    for (answered, committed) in [(ANSWERED, 49), (ANSWERED, 51), (of_repair, 50)] {
        let begun = start(beyond_footer(answered, committed, 60));
        assert_eq!((begun.next, begun.answered), (NextOffset(45), None));
    }
}

#[test]
fn i6_a_log_that_ends_before_what_is_answered_halts() {
    assert_eq!(
        start(beyond_footer(ANSWERED, 50, 50)).answered,
        Some(ANSWERED)
    );
    let (next, end) = (NextOffset(50), NextOffset(49));
    assert_eq!(
        halt(beyond_footer(ANSWERED, 50, 49)).0,
        Halt::Truncated { next, end }
    );
}

#[test]
fn the_state_is_read_from_the_last_rewrite_first() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    takeover.on(bound(10, 100));
    assert_eq!(
        action(takeover.on(committed(45, Some(70)))),
        Action::ReadState { from: 70, to: 100 }
    );
    takeover.on(restored(Some(footer())));
    takeover.on(Event::Log(log(0, 60)));
    let start = start(takeover.on(Event::Record(Some(LAST.hash))));
    assert_eq!(start.rewrite_from, Some(70));
}

#[test]
fn a_rewrite_that_does_not_add_up_falls_back_to_the_beginning() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    takeover.on(bound(10, 100));
    takeover.on(committed(45, Some(70)));
    assert_eq!(
        action(takeover.on(restored(None))),
        Action::ReadState { from: 10, to: 100 }
    );
    assert_eq!(
        action(takeover.on(restored(Some(footer())))),
        Action::DescribeLog
    );
    takeover.on(Event::Log(log(0, 60)));
    let start = start(takeover.on(Event::Record(Some(LAST.hash))));
    assert_eq!(start.rewrite_from, None, "it is not to be tried again");
}

#[test]
fn a_rewrite_that_adds_up_in_part_falls_back_to_the_beginning() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    takeover.on(bound(10, 100));
    takeover.on(committed(45, Some(70)));
    // A zombie's old footer adds up, and the owner's does not.
    let doubtful = Restored {
        footer: Some(footer()),
        skipped_batches: 1,
        ..Restored::default()
    };
    assert_eq!(
        action(takeover.on(Event::State(Box::new(doubtful)))),
        Action::ReadState { from: 10, to: 100 }
    );
}

#[test]
fn what_does_not_add_up_from_the_beginning_either_is_not_read_a_third_time() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    takeover.on(bound(10, 100));
    takeover.on(committed(45, Some(70)));
    takeover.on(restored(None));
    assert_eq!(action(takeover.on(restored(None))), Action::DescribeLog);
    let (halt, _) = halt(takeover.on(Event::Log(log(0, 60))));
    assert_eq!(halt.code(), "nothing_adds_up");
}

#[test]
fn a_rewrite_outside_the_state_log_is_not_tried() {
    for rewrite_from in [9, 100, -1] {
        let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
        takeover.on(bound(10, 100));
        assert_eq!(
            action(takeover.on(committed(45, Some(rewrite_from)))),
            Action::ReadState { from: 10, to: 100 }
        );
    }
}

#[test]
fn a_record_that_retention_has_removed_is_not_compared() {
    // The last applied record is gone, but the next one to read is still there.
    for start_of_log in [42, 45] {
        let start = start(with_footer(footer(), log(start_of_log, 60)));
        assert_eq!(start.next, NextOffset(45));
    }
    let compared = action(with_footer(footer(), log(41, 60)));
    assert_eq!(compared, Action::ReadRecord(LAST.offset));
}

#[test]
fn before_the_first_record_there_is_nothing_to_compare() {
    let footer = Footer {
        last_applied: None,
        ..footer()
    };
    assert_eq!(start(with_footer(footer, log(0, 60))).last_applied, None);
}

#[test]
fn a_checkpoint_at_the_end_of_the_log_starts_there() {
    let compared = action(with_footer(footer(), log(0, 45)));
    assert_eq!(compared, Action::ReadRecord(LAST.offset));
}

#[test]
fn i6_a_log_that_starts_after_the_checkpoint_halts() {
    let (next, start) = (NextOffset(45), NextOffset(46));
    assert_eq!(
        halt(with_footer(footer(), log(46, 60))),
        (Halt::RequestsMissing { next, start }, 9)
    );
}

#[test]
fn i6_a_log_that_ends_before_the_checkpoint_halts() {
    let (next, end) = (NextOffset(45), NextOffset(44));
    assert_eq!(
        halt(with_footer(footer(), log(0, 44))),
        (Halt::Truncated { next, end }, 9)
    );
}

#[test]
fn i6_another_record_in_the_place_of_the_last_one_halts() {
    for found in [Some(0xbad), None] {
        let mut takeover = up_to_log(1, committed(45, None), restored(Some(footer())));
        takeover.on(Event::Log(log(0, 60)));
        let (offset, next) = (LAST.offset, NextOffset(45));
        let mut step = takeover.on(Event::Record(found));
        if found.is_none() {
            // Retention may just have removed the record; here it has not.
            assert!(matches!(step, Step::Do(Action::DescribeLog)));
            step = takeover.on(Event::Log(log(0, 60)));
            assert!(matches!(step, Step::Do(Action::ReadRecord(_))));
            step = takeover.on(Event::Record(None));
        }
        assert_eq!(halt(step), (Halt::OtherRecord { offset, next }, 9));
    }
}

#[test]
fn a_last_record_that_retention_removes_meanwhile_is_no_reason_to_halt() {
    let mut takeover = up_to_log(1, committed(45, None), restored(Some(footer())));
    takeover.on(Event::Log(log(0, 60)));
    takeover.on(Event::Record(None));
    let step = takeover.on(Event::Log(log(45, 60)));
    assert!(matches!(step, Step::Done(Verdict::Start(_))));
}

#[test]
fn i6_a_topic_that_was_made_again_halts() {
    let found = TopicId([8; 16]);
    let log = RequestLog {
        topic_id: found,
        ..log(0, 60)
    };
    let (expected, start) = (TOPIC, NextOffset(0));
    assert_eq!(
        halt(with_footer(footer(), log)).0,
        Halt::OtherTopic {
            expected,
            found,
            start
        }
    );
}

#[test]
fn i6_another_groups_state_halts() {
    let other = Footer {
        group: "other".into(),
        ..footer()
    };
    let (expected, found) = ("other".to_owned(), GROUP.to_owned());
    assert_eq!(
        halt(with_footer(other, log(0, 60))).0,
        Halt::OtherGroup { expected, found }
    );
}

#[test]
fn i6_a_state_of_unknown_rules_halts_whatever_else_is_wrong_with_it() {
    let found = FOLD_VERSION + 1;
    let newer = Footer {
        fold_version: found,
        group: "other".into(),
        ..footer()
    };
    assert_eq!(
        halt(with_footer(newer, log(99, 100))).0,
        Halt::UnknownFoldVersion { found }
    );
}

#[test]
fn i6_a_record_of_a_newer_format_halts() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    takeover.on(bound(0, 100));
    takeover.on(Event::Committed(None));
    let problem = "version 2".to_owned();
    assert_eq!(
        halt(takeover.on(Event::UnknownFormat(problem.clone()))).0,
        Halt::UnknownFormat { problem }
    );
}

#[test]
fn i6_records_without_a_footer_that_matches_halt() {
    let mut takeover = up_to_log(1, committed(45, None), restored(None));
    let (committed, start) = (Some(NextOffset(45)), NextOffset(3));
    assert_eq!(
        halt(takeover.on(Event::Log(log(3, 60)))),
        (
            Halt::NothingAddsUp {
                records: 2,
                committed,
                start
            },
            9
        )
    );
}

#[test]
fn i6_committed_offsets_without_state_halt() {
    let mut takeover = up_to_log(1, committed(45, None), nothing_restored());
    let (committed, start) = (Some(NextOffset(45)), NextOffset(0));
    assert_eq!(
        halt(takeover.on(Event::Log(log(0, 60)))),
        (Halt::NoState { start, committed }, 0)
    );
}

#[test]
fn i6_a_log_that_does_not_start_at_its_beginning_halts_without_state() {
    for partition in [0, 1] {
        let mut takeover = up_to_log(partition, Event::Committed(None), nothing_restored());
        let (committed, start) = (None, NextOffset(1));
        assert_eq!(
            halt(takeover.on(Event::Log(log(1, 60)))).0,
            Halt::NoState { start, committed }
        );
    }
}

#[test]
fn i6_a_state_topic_without_the_partition_halts() {
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    assert_eq!(
        halt(takeover.on(Event::Bound(Bound::NoTopic))),
        (Halt::NoStatePartition, 0)
    );
}

#[test]
fn a_fresh_partition_0_decides_n_by_the_topic() {
    let mut takeover = up_to_log(0, Event::Committed(None), nothing_restored());
    let start = start(takeover.on(Event::Log(log(0, 60))));
    assert_eq!(start.next, NextOffset::ZERO);
    assert_eq!(known(&start), [4]);
    assert_eq!(start.topic_id, TOPIC);
    assert_eq!(start.last_applied, None);
    assert!(start.restored.fold.is_empty() && start.restored.footer.is_none());
}

#[test]
fn another_fresh_partition_takes_n_from_partition_0_and_not_from_the_topic() {
    let mut takeover = up_to_log(1, Event::Committed(None), nothing_restored());
    let grown = RequestLog {
        partitions: 9,
        ..log(0, 60)
    };
    assert_eq!(action(takeover.on(Event::Log(grown))), Action::ReadService);
    let start = start(takeover.on(service([2])));
    assert_eq!(known(&start), [2]);
    assert_eq!(start.next, NextOffset::ZERO);
}

#[test]
fn a_fresh_partition_takes_no_n_that_began_after_it_was_added() {
    for (partition, begins_with) in [(1, &[2][..]), (3, &[2]), (5, &[2, 4]), (8, &[2, 4, 8])] {
        let mut takeover = up_to_log(partition, Event::Committed(None), nothing_restored());
        takeover.on(Event::Log(log(0, 60)));
        let start = start(takeover.on(service([2, 4, 8])));
        assert_eq!(known(&start), begins_with, "{partition}");
    }
}

#[test]
fn another_fresh_partition_waits_until_partition_0_has_decided() {
    let mut takeover = up_to_log(1, Event::Committed(None), nothing_restored());
    takeover.on(Event::Log(log(0, 60)));
    assert!(wait(takeover.on(Event::Service(None))).contains("partition 0"));
}

#[test]
fn a_fresh_partition_commits_first_and_only_partition_0_takes_a_key_of_its_own() {
    for partition in [0, 1, 7] {
        let mut takeover = up_to_log(partition, Event::Committed(None), nothing_restored());
        let step = takeover.on(Event::Log(log(0, 60)));
        let start = match partition {
            0 => start(step),
            _ => start(takeover.on(service([2]))),
        };
        assert!(start.decides);
        let key = if partition == 0 { FRESH_KEY } else { KEY };
        assert_eq!(start.link_key, key);
        assert_eq!(start.topic_partitions, 4);
    }
    let state = restored(Some(footer()));
    let mut takeover = up_to_log(0, committed(45, None), state);
    takeover.on(Event::Log(log(0, 60)));
    let start = start(takeover.on(Event::Record(Some(LAST.hash))));
    assert!(!start.decides);
    assert_eq!(start.link_key, KEY);
}

#[test]
fn a_partition_that_the_state_topic_lacks_makes_it_grow_and_waits() {
    let mut takeover = Takeover::new(5, GROUP, FRESH_KEY);
    assert_eq!(
        action(takeover.on(Event::Bound(Bound::NoPartition))),
        Action::GrowState
    );
    assert!(wait(takeover.on(Event::Growing)).contains("state topic"));
}

#[test]
fn a_question_that_cannot_be_answered_now_waits_with_its_reason() {
    let answers = [
        bound(0, 100),
        committed(45, None),
        restored(Some(footer())),
        Event::Log(log(0, 60)),
    ];
    let mut takeover = Takeover::new(1, GROUP, FRESH_KEY);
    for answer in answers {
        let reason = "no leader".to_owned();
        assert_eq!(
            wait(takeover.on(Event::Unavailable(reason.clone()))),
            reason
        );
        takeover.on(answer);
    }
}

#[test]
fn every_halt_has_a_code_a_reason_and_a_remedy() {
    let repair = halt(with_footer(footer(), log(46, 60)));
    assert_eq!(repair.0.remedy(1), "sequencer recover --partition 1");
    assert_eq!(repair.1, 9, "the highest ID goes into the log");
    let (next, end, start) = (NextOffset(45), NextOffset(40), NextOffset(50));
    let committed = Some(NextOffset(60));
    for (halt, from) in [
        (Halt::NoState { start, committed }, Some(60)),
        (
            Halt::NoState {
                start,
                committed: None,
            },
            Some(50),
        ),
        (
            Halt::NothingAddsUp {
                records: 1,
                committed: Some(next),
                start,
            },
            Some(50),
        ),
        (Halt::Truncated { next, end }, Some(40)),
        (Halt::RequestsMissing { next, start }, Some(50)),
        (
            Halt::OtherRecord {
                offset: LAST.offset,
                next,
            },
            Some(45),
        ),
        (
            Halt::OtherTopic {
                expected: TOPIC,
                found: TOPIC,
                start,
            },
            Some(50),
        ),
        (
            Halt::OtherGroup {
                expected: "a".into(),
                found: "b".into(),
            },
            None,
        ),
        (Halt::UnknownFoldVersion { found: 2 }, None),
        (
            Halt::UnknownFormat {
                problem: "version 2".into(),
            },
            None,
        ),
        (
            Halt::LinkBroken {
                source: 1,
                offset: 9,
                previous: 8,
                accepted: 7,
                at: NextOffset(30),
            },
            Some(30),
        ),
        (Halt::NoStatePartition, None),
        (
            Halt::InvariantBroken {
                invariant: Invariant::I1,
                at: NextOffset(30),
            },
            None,
        ),
    ] {
        assert!(!halt.code().is_empty() && !halt.to_string().is_empty());
        assert!(!halt.remedy(1).is_empty(), "{halt:?}");
        assert_eq!(halt.repair_from(), from.map(NextOffset), "{halt:?}");
    }
}
