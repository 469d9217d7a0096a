use std::collections::BTreeMap;

use super::*;
use crate::core::digest::fingerprint;
use crate::core::fold::{Entry, EntryKey};
use crate::core::link::LinkKey;
use crate::core::partitioner::partition_of;
use crate::core::planted::{Bug, Planted};
use crate::core::{Code, Homes, Scalars, Timestamp};
use crate::processor::checkpoint::Destination;
use crate::processor::restore::{Restore, Restored};
use crate::wire::headers::{Headers, Names};
use crate::wire::route::{AllowList, Routing};
use crate::wire::state::{self, Content};

/// The only partition, so every name has its home here.
const ID: i32 = 0;
const ASSIGNMENT: u32 = 8;
const REPLY_PARTITIONS: u32 = 5;
const STATE_END: i64 = 100;

/// A partition with its service, fed with records at ascending offsets.
struct Fed {
    partition: Partition,
    service: Service,
    batches: u64,
    /// Committed batches, as a restore would read them.
    state: Vec<(Vec<u8>, Option<Vec<u8>>, BatchId)>,
}

fn fresh() -> Start {
    Start {
        restored: Restored::default(),
        next: NextOffset::ZERO,
        answered: None,
        link_key: LinkKey([5; 32]),
        decides: false,
        topic_partitions: 1,
        topic_id: TopicId([7; 16]),
        last_applied: None,
        state_end: STATE_END,
        rewrite_from: None,
    }
}

impl Fed {
    fn new(mode: Mode) -> Fed {
        Fed::started(mode, fresh())
    }

    fn started(mode: Mode, start: Start) -> Fed {
        let service = Service {
            mode,
            group: "group".into(),
            instance: "instance".into(),
            reply_partitions: REPLY_PARTITIONS,
            routing: Routing {
                names: Names::default(),
                allow: AllowList::new(vec!["*.reply".to_owned()], Vec::new()),
                default_topic: "replies".to_owned(),
            },
            rewrite_floor_records: 1_000_000,
        };
        Fed {
            partition: Partition::new(ID, ASSIGNMENT, start, &service),
            service,
            batches: 0,
            state: Vec::new(),
        }
    }

    /// Folds a record; returns the reply's body when it goes out now.
    fn record(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<String> {
        let record = Record {
            partition: ID,
            leader_epoch: 0,
            offset: Offset(offset),
            timestamp: Timestamp(1_000 + offset),
            key,
            value,
            headers: Headers::NONE,
        };
        match self.partition.record(record, &self.service)? {
            Output::Reply(reply) => {
                assert_eq!(reply.token.assignment, ASSIGNMENT);
                assert_eq!(reply.outgoing.key, key);
                Some(String::from_utf8(reply.outgoing.body.to_vec()).unwrap())
            }
            output @ (Output::Forward(_) | Output::Several) => panic!("{output:?}"),
        }
    }

    /// Folds a request for one ID.
    fn next(&mut self, offset: i64, name: &str) -> Option<String> {
        self.record(offset, Some(name.as_bytes()), None)
    }

    /// Number of replies held for the next checkpoint, and their bytes.
    fn held(&self) -> (usize, usize) {
        let load = self.partition.load();
        (load.replies, load.bytes)
    }

    fn cut(&mut self) -> Section {
        self.batches += 1;
        let batch_id = BatchId {
            writer: 1,
            number: self.batches,
        };
        self.partition.cut(batch_id, &self.service)
    }

    /// Commits a section whose first record has the offset `first`.
    fn commit_at(&mut self, first: i64, section: &Section) -> Option<std::ops::Range<i64>> {
        let last = first + section.batch.len() as i64 - 1;
        let owned = |(key, value): (&[u8], Option<&[u8]>)| {
            (key.to_vec(), value.map(<[u8]>::to_vec), section.batch_id)
        };
        self.state.extend(section.batch.iter().map(owned));
        self.partition.committed(section, Written { first, last })
    }

    /// Commits a section at the end of the state log.
    fn commit(&mut self, section: &Section) {
        let foreign = self.commit_at(self.partition.pending.state_end, section);
        assert_eq!(foreign, None);
    }

    /// The result of a restore from the batches committed so far.
    fn restored(&self) -> Restored {
        let mut restore = Restore::default();
        for (key, value, batch_id) in &self.state {
            let header = value.is_none().then(|| batch_id.to_header());
            let header = header.as_ref().map(<[u8; 16]>::as_slice);
            restore.record(key, value.as_deref(), header).unwrap();
        }
        restore.finish()
    }
}

/// Last IDs in a batch by name; `None` for a tombstone.
fn entries(section: &Section) -> BTreeMap<String, Option<i64>> {
    let mut entries = BTreeMap::new();
    for (key, value) in section.batch.iter() {
        match state::decode(key, value, None).map(|record| record.content) {
            Ok(Content::Entry(Entry::Sequence { name, sequence, .. })) => {
                entries.insert(name.to_owned(), Some(sequence.highest()));
            }
            Ok(Content::Tombstone(EntryKey::Sequence(name))) => {
                entries.insert(name.to_owned(), None);
            }
            _ => {}
        }
    }
    entries
}

fn expected<const N: usize>(last_ids: [(&str, Option<i64>); N]) -> BTreeMap<String, Option<i64>> {
    last_ids.map(|(name, last)| (name.to_owned(), last)).into()
}

fn footer(section: &Section) -> Footer {
    let (key, value) = section.batch.iter().last().unwrap();
    let record = state::decode(key, value, None).unwrap();
    assert_eq!(record.batch, Some(section.batch_id));
    match record.content {
        Content::Footer(footer) => *footer,
        other => panic!("the last record is no footer: {other:?}"),
    }
}

fn bodies(section: &Section) -> Vec<String> {
    let bodies = section.replies.iter().map(|reply| reply.body.to_vec());
    bodies
        .map(|body| String::from_utf8(body).unwrap())
        .collect()
}

fn granted(name: &str, id: i64, offset: i64) -> String {
    format!(
        r#"{{"sequence":"{name}","first":{id},"last":{id},"count":1,"partition":{ID},"offset":{offset}}}"#
    )
}

#[test]
fn immediate_replies_go_out_at_once_with_their_body() {
    let mut fed = Fed::new(Mode::Immediate);
    assert_eq!(fed.next(0, "a"), Some(granted("a", 1, 0)));
    assert_eq!(fed.next(4, "a"), Some(granted("a", 2, 4)));
    assert_eq!(fed.next(5, "b"), Some(granted("b", 1, 5)));
    assert_eq!(fed.held(), (0, 0));
    assert_eq!(fed.partition.outstanding(), 3);
}

#[test]
fn exactly_once_replies_go_out_with_the_checkpoint() {
    let mut fed = Fed::new(Mode::ExactlyOnce);
    assert_eq!(fed.next(0, "a"), None);
    assert_eq!(fed.next(1, "a"), None);
    assert_eq!(fed.partition.outstanding(), 0);
    let section = fed.cut();
    assert_eq!(bodies(&section), [granted("a", 1, 0), granted("a", 2, 1)]);
    assert_eq!(fed.held(), (0, 0));
    assert!(fed.partition.covered(&section), "nothing to wait for");
}

/// An owner that has committed a footer at 1 and then, without one, the answers up to 4. And what a new owner begins
/// with.
fn answered_beyond_the_footer() -> (Fed, Start) {
    let mut fed = Fed::new(Mode::ExactlyOnce);
    fed.next(0, "a");
    let first = fed.cut();
    assert_eq!(
        fed.partition.footer_before_answers(0),
        None,
        "it is not committed"
    );
    fed.commit(&first);
    fed.partition.pending.footer_due_at(100);
    for (offset, name) in [(1, "a"), (2, "b"), (3, "a")] {
        fed.next(offset, name);
    }
    let footer = fed.partition.footer_before_answers(99);
    assert_eq!(footer, Some(first.batch_id));
    assert_eq!(fed.partition.footer_before_answers(100), None, "it is due");
    let section = fed.partition.cut_answers(NEXT_BATCH, first.batch_id);
    assert!(section.batch.is_empty() && section.ledger.is_empty());
    assert_eq!(section.next, NextOffset(4));
    assert_eq!(
        section.answered.map(|answered| answered.next),
        Some(section.next)
    );
    let expected = [granted("a", 2, 1), granted("b", 1, 2), granted("a", 3, 3)];
    assert_eq!(bodies(&section), expected);
    fed.partition.answers_committed();
    let restored = fed.restored();
    assert_eq!(restored.batch, Some(first.batch_id));
    let start = Start {
        restored,
        next: first.next,
        answered: section.answered,
        ..fresh()
    };
    (fed, start)
}

/// A batch number that no footer has.
const NEXT_BATCH: BatchId = BatchId {
    writer: 1,
    number: 99,
};

#[test]
fn answers_without_a_footer_leave_the_state_for_the_next_one() {
    let (mut fed, _) = answered_beyond_the_footer();
    assert!(fed.partition.wants_checkpoint());
    fed.next(4, "b");
    let section = fed.cut();
    assert_eq!(bodies(&section), [granted("b", 2, 4)]);
    let all = expected([("a", Some(3)), ("b", Some(2))]);
    assert_eq!(entries(&section), all);
    fed.commit(&section);
    let next = fed.restored().footer.map(|footer| footer.next);
    assert_eq!(next, Some(NextOffset(5)));
}

#[test]
fn after_an_aborted_footer_another_one_comes_before_answers_alone() {
    let (mut fed, _) = answered_beyond_the_footer();
    let aborted = fed.cut();
    fed.partition.pending.aborted(aborted);
    assert_eq!(fed.partition.footer_before_answers(0), None);
    let section = fed.cut();
    fed.commit(&section);
    let footer = fed.partition.footer_before_answers(0);
    assert_eq!(footer, Some(section.batch_id));
}

#[test]
fn a_new_owner_goes_on_behind_what_is_answered() {
    for immediate in [false, true] {
        let (_, start) = answered_beyond_the_footer();
        let mode = match immediate {
            true => Mode::Immediate,
            false => Mode::ExactlyOnce,
        };
        let mut fed = Fed::started(mode, start);
        for (offset, name) in [(1, "a"), (2, "b"), (3, "a")] {
            assert!(fed.partition.is_behind_answers() && !fed.partition.wants_checkpoint());
            assert_eq!(fed.next(offset, name), None);
        }
        let reply = fed.next(6, "a");
        assert_eq!(reply, immediate.then(|| granted("a", 4, 6)));
        assert!(!fed.partition.is_behind_answers());
        assert_eq!(fed.partition.take_counts().granted, 1);
        assert_eq!(
            fed.partition.footer_before_answers(0),
            None,
            "a footer comes first"
        );
        let section = fed.cut();
        assert_eq!(bodies(&section).len(), usize::from(!immediate));
    }
}

#[test]
fn the_end_of_the_log_also_ends_what_is_answered() {
    let (_, start) = answered_beyond_the_footer();
    let mut fed = Fed::started(Mode::ExactlyOnce, start);
    fed.next(1, "a");
    fed.next(2, "b");
    assert!(!fed.partition.reached(NextOffset(3)), "it ends too early");
    fed.next(3, "a");
    assert!(fed.partition.reached(NextOffset(4)));
    assert!(!fed.partition.is_behind_answers() && fed.partition.wants_checkpoint());
}

#[test]
fn i6_another_log_than_the_answered_one_halts_and_commits_nothing() {
    for names in [["a", "b", "b"], ["a", "a", "a"]] {
        let (_, start) = answered_beyond_the_footer();
        let mut fed = Fed::started(Mode::ExactlyOnce, start);
        for (offset, name) in (1..).zip(names) {
            fed.next(offset, name);
        }
        assert_eq!(fed.next(4, "a"), None);
        let halt = Halt::OtherRecord {
            offset: Offset(3),
            next: NextOffset(4),
        };
        assert_eq!(fed.partition.broken(), Some(&halt));
        assert!(fed.partition.is_drained(), "nothing is left to commit");
    }
}

#[test]
fn i4_what_is_no_valid_request_is_answered_and_stops_nothing() {
    let mut fed = Fed::new(Mode::Immediate);
    let no_key = fed.record(0, None, Some(b"1")).unwrap();
    assert!(no_key.starts_with(r#"{"error":{"code":"invalid_name""#));
    let no_count = fed.record(1, Some(b"a"), Some(b"0")).unwrap();
    assert!(no_count.contains(r#""code":"invalid_count""#));
    assert!(no_count.ends_with(r#","partition":0,"offset":1}"#));
    assert_eq!(fed.next(2, "a"), Some(granted("a", 1, 2)));

    let counts = fed.partition.take_counts();
    assert_eq!((counts.granted, counts.ids), (1, 1));
    let rejected = |code: Code| {
        let index = Code::ALL.iter().position(|known| *known == code);
        counts.rejected[index.unwrap()]
    };
    assert_eq!(rejected(Code::InvalidName), 1);
    assert_eq!(rejected(Code::InvalidCount), 1);
    assert_eq!(counts.rejected.iter().sum::<u64>(), 2);
    assert_eq!(fed.partition.take_counts(), Counts::default());
}

#[test]
fn a_reply_goes_where_the_java_client_would_send_its_key() {
    let mut fed = Fed::new(Mode::ExactlyOnce);
    let names = ["a", "orders", "foobar"];
    for (offset, name) in names.iter().enumerate() {
        fed.next(offset as i64, name);
    }
    let section = fed.cut();
    for (reply, name) in section.replies.iter().zip(names) {
        let partition = partition_of(name.as_bytes(), REPLY_PARTITIONS) as i32;
        assert_eq!(reply.destination, Destination::Default { partition });
        assert_eq!(reply.key, Some(name.as_bytes()));
    }
}

#[test]
fn a_reply_without_a_usable_key_follows_the_requests_partition() {
    let mut fed = Fed::new(Mode::ExactlyOnce);
    fed.record(0, None, None);
    fed.record(1, Some(&[b'x'; 256]), None);
    let partition = ID % REPLY_PARTITIONS as i32;
    for reply in fed.cut().replies.iter() {
        assert_eq!(reply.destination, Destination::Default { partition });
        assert_eq!(reply.key, None);
        assert!(
            reply
                .body
                .starts_with(br#"{"error":{"code":"invalid_name""#)
        );
    }
}

#[test]
fn a_record_that_was_read_before_is_passed_over() {
    let start = Start {
        next: NextOffset(10),
        ..fresh()
    };
    let mut fed = Fed::started(Mode::Immediate, start);
    assert_eq!(fed.next(9, "a"), None);
    assert_eq!(fed.next(10, "a"), Some(granted("a", 1, 10)));
    assert_eq!(fed.next(10, "a"), None);
    assert_eq!(fed.partition.next(), NextOffset(11));
    assert_eq!(fed.partition.outstanding(), 1);
    assert_eq!(fed.partition.take_counts().granted, 1);
}

#[test]
fn i4_a_checkpoint_is_covered_only_when_every_reply_up_to_it_is_acknowledged() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    fed.next(1, "b");
    let section = fed.cut();
    fed.next(2, "a");
    let later = fed.cut();
    fed.next(3, "a");
    assert!(!fed.partition.covered(&section));
    fed.partition.acknowledged(later.epoch, 1);
    assert!(!fed.partition.covered(&section), "only the later reply is");
    fed.partition.acknowledged(section.epoch, 1);
    assert!(!fed.partition.covered(&section), "one of two is");
    assert!(!fed.partition.covered(&later), "an earlier one is not");
    fed.partition.acknowledged(section.epoch, 1);
    assert!(
        fed.partition.covered(&section),
        "the last reply is not in it"
    );
    assert!(fed.partition.covered(&later));
    assert_eq!(fed.partition.outstanding(), 1);
}

#[test]
fn a_checkpoint_holds_what_changed_and_a_footer_that_a_restore_believes() {
    let mut fed = Fed::new(Mode::Immediate);
    for (offset, name) in ["a", "b", "a"].iter().enumerate() {
        fed.next(offset as i64, name);
    }
    let section = fed.cut();
    assert_eq!(
        entries(&section),
        expected([("a", Some(2)), ("b", Some(1))])
    );
    assert_eq!(section.partition, ID);
    assert_eq!(section.assignment, ASSIGNMENT);
    assert_eq!(section.next, NextOffset(3));
    let footer = footer(&section);
    assert_eq!(footer.next, NextOffset(3));
    assert_eq!(footer.batch_records, 2);
    assert_eq!(footer.scalars.homes, Homes::first(1));
    assert_eq!(footer.fold_version, FOLD_VERSION);
    assert_eq!((&*footer.group, &*footer.instance), ("group", "instance"));
    let last = footer.last_applied.unwrap();
    assert_eq!(last.offset, Offset(2));
    assert_eq!(last.hash, fingerprint(Some(b"a"), None, 1_002));
    fed.commit(&section);

    fed.next(3, "b");
    let section = fed.cut();
    assert_eq!(entries(&section), expected([("b", Some(2))]));
    fed.commit(&section);
    let restored = fed.restored();
    assert_eq!(
        restored.footer.map(|footer| footer.next),
        Some(NextOffset(4))
    );
    assert_eq!(restored.skipped_batches, 0);
}

#[test]
fn a_fresh_partition_checkpoints_its_empty_state_once() {
    let mut fed = Fed::new(Mode::Immediate);
    assert!(fed.partition.wants_checkpoint());
    let section = fed.cut();
    assert_eq!(section.batch.len(), 1);
    assert_eq!(footer(&section).scalars, Scalars::default());
    fed.commit(&section);
    assert!(!fed.partition.wants_checkpoint());
}

#[test]
fn a_partition_restored_at_its_footer_has_nothing_to_checkpoint() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    let section = fed.cut();
    fed.commit(&section);
    let start = Start {
        restored: fed.restored(),
        next: section.next,
        ..fresh()
    };
    let mut fed = Fed::started(Mode::Immediate, start);
    assert!(!fed.partition.wants_checkpoint());
    assert_eq!(fed.next(1, "a"), Some(granted("a", 2, 1)));
}

#[test]
fn the_end_past_markers_is_checkpointed_once_and_only_once() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    let section = fed.cut();
    fed.partition.acknowledged(section.epoch, 1);
    fed.commit(&section);
    assert!(!fed.partition.wants_checkpoint());

    fed.partition.reached(NextOffset(7));
    assert!(fed.partition.wants_checkpoint());
    let section = fed.cut();
    assert_eq!(section.next, NextOffset(7));
    assert_eq!(footer(&section).last_applied.unwrap().offset, Offset(0));
    assert_eq!(section.batch.len(), 1, "the footer alone");
    fed.commit(&section);
    for again in [7, 3] {
        fed.partition.reached(NextOffset(again));
        assert!(!fed.partition.wants_checkpoint(), "{again}");
    }
    assert_eq!(fed.partition.next(), NextOffset(7), "it never steps back");
}

#[test]
fn an_aborted_checkpoint_rewinds_nothing_and_goes_into_the_next_one() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    fed.next(1, "b");
    let aborted = fed.cut();
    assert_eq!(fed.next(2, "b"), Some(granted("b", 2, 2)));
    fed.next(3, "c");
    fed.partition.pending.aborted(aborted);
    assert!(fed.partition.wants_checkpoint());
    assert_eq!(fed.next(4, "a"), Some(granted("a", 2, 4)));
    let section = fed.cut();
    assert_eq!(
        entries(&section),
        expected([("a", Some(2)), ("b", Some(2)), ("c", Some(1))])
    );
    assert_eq!(section.batch.len(), 4, "each entry once");
    fed.commit(&section);
    let restored = fed.restored();
    assert_eq!(
        restored.footer.map(|footer| footer.next),
        Some(NextOffset(5))
    );
}

#[test]
fn an_aborted_checkpoint_without_anything_later_is_wanted_again() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    let aborted = fed.cut();
    fed.partition.pending.aborted(aborted);
    assert!(fed.partition.wants_checkpoint());
    let section = fed.cut();
    assert_eq!(entries(&section), expected([("a", Some(1))]));
    fed.commit(&section);
    assert!(!fed.partition.wants_checkpoint());
}

#[test]
fn replies_of_aborted_checkpoints_go_first_and_in_the_same_order() {
    let mut fed = Fed::new(Mode::ExactlyOnce);
    for offset in [0, 2, 4] {
        fed.next(offset, "a");
        let aborted = fed.cut();
        // The fold goes on while the transaction is in progress.
        fed.next(offset + 1, "a");
        fed.partition.pending.aborted(aborted);
    }
    let all: Vec<String> = (0..6)
        .map(|offset| granted("a", offset + 1, offset))
        .collect();
    assert_eq!(bodies(&fed.cut()), all);
}

#[test]
fn while_draining_records_and_the_logs_end_are_passed_over() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    fed.partition.intake.drain();
    assert!(fed.partition.intake.is_draining());
    assert_eq!(fed.next(1, "a"), None);
    fed.partition.reached(NextOffset(9));
    assert_eq!(fed.partition.next(), NextOffset(1));
    let section = fed.cut();
    assert_eq!(section.next, NextOffset(1));
    assert_eq!(entries(&section), expected([("a", Some(1))]));
}

#[test]
fn draining_ends_when_all_that_was_folded_is_committed() {
    let mut fed = Fed::new(Mode::ExactlyOnce);
    fed.next(0, "a");
    let first = fed.cut();
    fed.next(1, "a");
    assert!(!fed.partition.is_drained(), "it does not drain");
    fed.partition.intake.drain();
    assert!(!fed.partition.is_drained(), "a transaction is under way");
    fed.commit(&first);
    assert!(
        !fed.partition.is_drained(),
        "the second record is not in it"
    );
    let second = fed.cut();
    assert!(!fed.partition.is_drained());
    fed.partition.pending.aborted(second);
    assert!(!fed.partition.is_drained(), "it was aborted");
    let third = fed.cut();
    fed.commit(&third);
    assert!(fed.partition.is_drained());
}

#[test]
fn a_partition_without_news_is_drained_at_once() {
    let mut fed = Fed::new(Mode::Immediate);
    let section = fed.cut();
    fed.commit(&section);
    fed.partition.intake.drain();
    assert!(fed.partition.is_drained());
}

#[test]
fn what_others_wrote_since_our_last_batch_is_reported_as_a_range() {
    let mut fed = Fed::new(Mode::Immediate);
    let section = fed.cut();
    assert_eq!(
        fed.commit_at(STATE_END, &section),
        None,
        "where it should lie"
    );
    // The own footer and its marker.
    let end = STATE_END + 2;
    assert_eq!(fed.partition.pending.state_end, end);
    fed.next(0, "a");
    let section = fed.cut();
    assert_eq!(
        fed.commit_at(end + 5, &section),
        Some(end - 1..end + 5),
        "the marker may lie behind the records of others"
    );
    fed.next(1, "a");
    let section = fed.cut();
    assert_eq!(fed.commit_at(end + 5 + 3, &section), None, "reported once");
}

#[test]
fn what_others_wrote_between_our_footer_and_its_marker_is_reported() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    let section = fed.cut();
    fed.commit_at(STATE_END, &section);
    let footer = fed.partition.pending.state_end - 2;
    fed.next(1, "a");
    let section = fed.cut();
    // Another writer's record follows the footer, and the marker follows that.
    let foreign = fed.commit_at(footer + 3, &section);
    assert_eq!(foreign, Some(footer + 1..footer + 3));
}

#[test]
fn what_others_wrote_before_our_first_batch_is_reported_too() {
    let mut fed = Fed::new(Mode::Immediate);
    let section = fed.cut();
    let foreign = fed.commit_at(STATE_END + 1, &section);
    assert_eq!(foreign, Some(STATE_END..STATE_END + 1));
}

#[test]
fn what_others_wrote_into_our_batch_is_reported() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    let section = fed.cut();
    let first = STATE_END + 1;
    let last = first + section.batch.len() as i64;
    let foreign = fed.partition.committed(&section, Written { first, last });
    assert_eq!(foreign, Some(STATE_END..last + 1));
    assert_eq!(fed.partition.pending.state_end, last + 2);
}

#[test]
fn a_state_log_that_has_lost_records_gets_the_whole_state_again() {
    let all = [("a", Some(1)), ("b", Some(1)), ("c", Some(1))];
    let lost = || {
        let mut fed = Fed::new(Mode::Immediate);
        for (offset, name) in ["a", "b", "c"].iter().enumerate() {
            fed.next(offset as i64, name);
        }
        let section = fed.cut();
        fed.commit(&section);
        fed
    };
    // The loss is noticed by the offset of the next batch.
    let mut fed = lost();
    fed.state.clear();
    fed.next(3, "a");
    let section = fed.cut();
    assert_eq!(fed.commit_at(0, &section), None);
    assert!(fed.partition.wants_checkpoint());
    let section = fed.cut();
    assert_eq!(
        entries(&section),
        expected([("a", Some(2)), all[1], all[2]])
    );
    fed.commit(&section);
    assert_eq!(
        fed.restored().footer.map(|footer| footer.next),
        Some(NextOffset(4))
    );
    assert!(!fed.partition.wants_checkpoint());

    // The loss is noticed when idle, and repaired also during a hand-over.
    let mut fed = lost();
    let end = fed.partition.pending.state_end;
    let unseen = fed.partition.pending.unseen_from;
    assert_eq!(unseen, end - 1);
    fed.partition.pending.touched_by_others([], unseen..unseen);
    assert!(
        !fed.partition.wants_checkpoint(),
        "its marker is still to come"
    );
    fed.partition.pending.touched_by_others([], unseen..0);
    fed.partition.intake.drain();
    assert!(!fed.partition.is_drained());
    let section = fed.cut();
    assert_eq!(entries(&section), expected(all));
    fed.commit_at(0, &section);
    assert!(fed.partition.is_drained());
}

#[test]
fn what_has_been_looked_at_is_not_reported_again() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.partition
        .pending
        .touched_by_others([], STATE_END..STATE_END + 10);
    let section = fed.cut();
    assert_eq!(fed.commit_at(STATE_END + 10, &section), None);
    fed.partition.pending.touched_by_others([], 0..STATE_END);
    assert_eq!(
        fed.partition.pending.state_end,
        STATE_END + 12,
        "it never steps back"
    );
}

#[test]
fn touched_keys_are_written_again_or_buried() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    fed.next(1, "b");
    let section = fed.cut();
    fed.commit(&section);
    let keys = [&b"Sa"[..], b"Sunknown", b"F", b"R"].map(<[u8]>::to_vec);
    let end = fed.partition.pending.state_end;
    fed.partition.pending.touched_by_others(keys, end..end);
    assert!(fed.partition.wants_checkpoint());
    let section = fed.cut();
    assert_eq!(
        entries(&section),
        expected([("a", Some(1)), ("unknown", None)])
    );
    assert_eq!(section.batch.len(), 3, "footer and reset are not buried");
    fed.commit(&section);
    assert!(!fed.partition.wants_checkpoint());
    assert_eq!(fed.restored().skipped_batches, 0);
}

#[test]
fn a_touched_key_that_changes_anyway_is_written_once() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    fed.partition
        .pending
        .touched_by_others([b"Sa".to_vec()], 0..STATE_END);
    assert_eq!(fed.cut().batch.len(), 2);
}

#[test]
fn touched_keys_of_an_aborted_checkpoint_are_not_forgotten() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    let section = fed.cut();
    fed.commit(&section);
    let keys = [b"Sa".to_vec(), b"Sunknown".to_vec()];
    fed.partition.pending.touched_by_others(keys, 0..STATE_END);
    let aborted = fed.cut();
    fed.partition.pending.aborted(aborted);
    assert_eq!(
        entries(&fed.cut()),
        expected([("a", Some(1)), ("unknown", None)])
    );
}

#[test]
fn keys_that_the_restore_found_touched_go_into_the_first_checkpoint() {
    let mut start = fresh();
    start.restored.touched.insert(b"Sunknown".to_vec());
    let mut fed = Fed::started(Mode::Immediate, start);
    assert_eq!(entries(&fed.cut()), expected([("unknown", None)]));
}

/// A partition restored from `records` records with the entries a, b and c.
fn outgrown(records: u64) -> Fed {
    let mut earlier = Fed::new(Mode::Immediate);
    for (offset, name) in ["a", "b", "c"].iter().enumerate() {
        earlier.next(offset as i64, name);
    }
    let section = earlier.cut();
    earlier.commit(&section);
    let start = Start {
        restored: Restored {
            records,
            ..earlier.restored()
        },
        next: section.next,
        ..fresh()
    };
    let mut fed = Fed::new(Mode::Immediate);
    fed.service.rewrite_floor_records = 10;
    fed.partition = Partition::new(ID, ASSIGNMENT, start, &fed.service);
    fed
}

#[test]
fn a_state_that_has_outgrown_its_entries_is_written_again_and_says_where() {
    assert!(!outgrown(10).partition.wants_checkpoint());
    let mut fed = outgrown(11);
    assert!(fed.partition.wants_checkpoint());
    let section = fed.cut();
    let all = [("a", Some(1)), ("b", Some(1)), ("c", Some(1))];
    assert_eq!(entries(&section), expected(all));
    assert_eq!(section.rewrite_from, None, "it is not committed yet");
    fed.commit(&section);
    assert!(!fed.partition.wants_checkpoint());
    fed.next(3, "a");
    assert_eq!(fed.cut().rewrite_from, Some(STATE_END));
}

#[test]
fn while_draining_no_rewrite_is_begun() {
    let mut fed = outgrown(11);
    fed.partition.intake.drain();
    assert!(fed.partition.is_drained());
    fed.partition
        .pending
        .touched_by_others([b"Sa".to_vec()], 0..STATE_END);
    assert_eq!(entries(&fed.cut()), expected([("a", Some(1))]));
}

/// What was wrong, of a partition that must not commit it.
fn void(fed: &Fed) -> Invariant {
    let partition = &fed.partition;
    assert!(
        partition.intake.is_void() && !partition.intake.is_open() && !partition.wants_checkpoint()
    );
    match partition.broken() {
        Some(Halt::InvariantBroken { invariant, at }) => {
            assert_eq!(*at, partition.next());
            *invariant
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_that_break_a_promise_are_not_answered_and_never_committed() {
    for (bug, invariant) in [
        (Bug::CounterStays, Invariant::I1),
        (Bug::IdSkipped, Invariant::I2),
    ] {
        for mode in [Mode::Immediate, Mode::ExactlyOnce] {
            let mut fed = Fed::new(mode);
            fed.next(0, "known");
            let section = fed.cut();
            for (name, offset) in [("known", 1), ("new", 1)] {
                let mut fed = Fed::new(mode);
                fed.next(0, "known");
                let _planted = Planted::new(bug);
                assert_eq!(fed.next(offset, name), None);
                assert_eq!(void(&fed), invariant);
                assert_eq!(fed.partition.next(), NextOffset(1));
                assert!(fed.partition.is_drained());
            }
            // What was cut before is right, and may still be committed.
            let _planted = Planted::new(bug);
            fed.next(1, "known");
            assert!(!fed.partition.is_drained());
            fed.commit(&section);
            assert!(fed.partition.is_drained());
        }
    }
}

#[test]
fn a_digest_that_does_not_add_up_is_noticed_when_it_is_cut() {
    let mut fed = Fed::new(Mode::Immediate);
    fed.next(0, "a");
    let section = fed.cut();
    fed.commit(&section);
    fed.next(1, "a");
    let _planted = Planted::new(Bug::DigestDrifts);
    let section = fed.cut();
    assert_eq!(void(&fed), Invariant::I6);
    fed.partition.pending.aborted(section);
    assert!(fed.partition.is_drained());
}
