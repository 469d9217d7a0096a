use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::core::fold::{At, EntryKey, Slot};
use crate::core::link::LinkKey;
use crate::core::{Command, Digest, Homes, Name, NextOffset, Offset, Request, Scalars, Timestamp};
use crate::processor::checkpoint::Batch;
use crate::wire::ledger::Lines;
use crate::wire::state::{Reset, TopicId};

/// A record of the state log.
#[derive(Clone, PartialEq, Eq)]
struct Record {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    header: Option<[u8; 16]>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let header = self.header.as_ref().map(<[u8; 16]>::as_slice);
        let Ok(record) = state::decode(&self.key, self.value.as_deref(), header) else {
            return f.write_str("malformed");
        };
        if let Some(BatchId { writer, number }) = record.batch {
            write!(f, "{writer}.{number} ")?;
        }
        match record.content {
            Content::Footer(footer) => write!(f, "footer at {}", footer.next),
            Content::Entry(Entry::Sequence { name, sequence, .. }) => {
                write!(f, "{name} at {}", sequence.highest())
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// The records of a batch. Its tombstones have its ID in their header.
fn records(batch_id: BatchId, batch: &Batch) -> Vec<Record> {
    batch
        .iter()
        .map(|(key, value)| Record {
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
            header: value.is_none().then(|| batch_id.to_header()),
        })
        .collect()
}

/// Restores in all readings. If nothing is in doubt, the first reading alone must give the same result.
fn restore(log: &[Record]) -> Restored {
    let mut restore = Restore::default();
    for Record { key, value, header } in log {
        let header = header.as_ref().map(<[u8; 16]>::as_slice);
        restore.record(key, value.as_deref(), header).unwrap();
    }
    let restored = restore.finish();
    if let Some(in_order) = in_order(log) {
        assert_eq!(seen(&in_order), seen(&restored));
    }
    restored
}

/// Restores by the first reading alone. None in doubt.
fn in_order(log: &[Record]) -> Option<Restored> {
    let mut restore = InOrder::default();
    for Record { key, value, header } in log {
        let header = header.as_ref().map(<[u8; 16]>::as_slice);
        restore.record(key, value.as_deref(), header).unwrap();
    }
    restore.finish()
}

/// The result of a restore for comparison. The digest stands for the fold.
fn seen(restored: &Restored) -> impl PartialEq + std::fmt::Debug + use<> {
    let Restored {
        fold,
        footer,
        batch,
        records,
        skipped_batches,
        reset,
        epoch,
        touched,
    } = restored;
    let digest = fold.digest_with(fold.scalars());
    let footer = (footer.clone(), *batch);
    let rest = (footer, reset.clone(), *epoch, touched.clone());
    (digest, fold.len(), *records, *skipped_batches, rest)
}

/// A request log: names and counts. The index is the offset.
type Requests = [(String, u64)];

/// An owner, which folds the request log and writes checkpoints.
#[derive(Clone)]
struct Owner {
    writer: u64,
    number: u64,
    fold: Fold,
    next: usize,
    unwritten: Vec<Slot>,
}

impl Owner {
    fn new(writer: u64) -> Owner {
        Owner {
            writer,
            number: 0,
            fold: Fold::default(),
            next: 0,
            unwritten: Vec::new(),
        }
    }

    /// Folds one request outside any log.
    fn take(&mut self, name: &str, count: u64) -> &mut Owner {
        let request = Request {
            name: Name::from_key(Some(name.as_bytes())),
            command: Ok(Command::Next { count }),
            request_id: None,
            requester: None,
        };
        let at = At {
            partition: 0,
            leader_epoch: 0,
            offset: Offset(self.next as i64),
            timestamp: timestamp(self.next),
        };
        self.fold.apply(at, None, &request, &mut Lines::default());
        self.next += 1;
        self
    }

    /// Folds at most `count` more requests of a log.
    fn fold(&mut self, requests: &Requests, count: usize) {
        let end = requests.len().min(self.next + count);
        for (name, count) in &requests[self.next.min(end)..end] {
            self.take(name, *count);
        }
    }

    fn batch_id(&mut self) -> BatchId {
        self.number += 1;
        BatchId {
            writer: self.writer,
            number: self.number,
        }
    }

    fn footer(&self, digest: Digest) -> Footer {
        Footer {
            next: NextOffset(self.next as i64),
            digest,
            scalars: self.fold.scalars(),
            link_key: LinkKey([5; 32]),
            fold_version: 1,
            topic_id: TopicId([1; 16]),
            last_applied: None,
            answers_beyond: false,
            batch_records: 0,
            group: "group".into(),
            instance: "instance".into(),
        }
    }

    /// The batch of a checkpoint: the changed entries, then the footer.
    fn checkpoint(&mut self) -> Vec<Record> {
        let mut slots = std::mem::take(&mut self.unwritten);
        let digest = self.fold.cut(&mut slots);
        slots.sort_unstable();
        slots.dedup();
        let batch_id = self.batch_id();
        let mut batch = Batch::default();
        for slot in slots {
            batch.entry(batch_id, &self.fold.entry(slot).unwrap());
        }
        batch.footer(batch_id, &self.footer(digest));
        records(batch_id, &batch)
    }

    /// A checkpoint that is not appended to the log. Its entries go into the next one.
    fn aborted_checkpoint(&mut self) {
        let mut slots = std::mem::take(&mut self.unwritten);
        self.fold.cut(&mut slots);
        self.batch_id();
        self.unwritten = slots;
    }

    /// A repair: a reset, a tombstone for a key that is not wanted, all entries, the footer.
    fn repair(&mut self, unwanted: &str) -> Vec<Record> {
        let digest = self.fold.cut(&mut Vec::new());
        let batch_id = self.batch_id();
        let mut batch = Batch::default();
        let reason = "repair".to_owned();
        batch.reset(
            batch_id,
            &Reset {
                answered: NextOffset::ZERO,
                epoch: self.fold.scalars().epoch,
                reason,
            },
        );
        batch.tombstone(&key(unwanted));
        for entry in self.fold.iter() {
            batch.entry(batch_id, &entry);
        }
        batch.footer(batch_id, &self.footer(digest));
        records(batch_id, &batch)
    }
}

fn timestamp(offset: usize) -> Timestamp {
    // Steps back now and then, as LogAppendTime does at a leader change.
    Timestamp(1_000 + offset as i64 - 7 * (offset as i64 % 3))
}

fn key(name: &str) -> Vec<u8> {
    let mut key = Vec::new();
    state::encode_key(&mut key, EntryKey::Sequence(name));
    key
}

fn keys<const N: usize>(names: [&str; N]) -> BTreeSet<Vec<u8>> {
    names.map(key).into()
}

/// Last IDs by name.
fn counters(fold: &Fold) -> BTreeMap<String, i64> {
    fold.iter()
        .map(|entry| match entry {
            Entry::Sequence { name, sequence, .. } => (name.to_owned(), sequence.highest()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn expected<const N: usize>(last_ids: [(&str, i64); N]) -> BTreeMap<String, i64> {
    last_ids.map(|(name, last)| (name.to_owned(), last)).into()
}

fn next_of(restored: &Restored) -> Option<i64> {
    restored.footer.as_ref().map(|footer| footer.next.0)
}

/// Records of both in turn, as transactions of two producers lie in a log.
fn interleaved(one: &[Record], other: &[Record]) -> Vec<Record> {
    let mut log = Vec::new();
    for index in 0..one.len().max(other.len()) {
        log.extend(one.get(index).cloned());
        log.extend(other.get(index).cloned());
    }
    log
}

/// The records that compaction leaves when it has cleaned everything below `cut`: the last record of each key.
fn compacted(log: &[Record], cut: usize) -> Vec<Record> {
    let (cleaned, rest) = log.split_at(cut);
    let superseded = |index: usize| {
        let key = &cleaned[index].key;
        cleaned[index + 1..].iter().any(|later| later.key == *key)
    };
    let kept = (0..cleaned.len()).filter(|index| !superseded(*index));
    kept.map(|index| cleaned[index].clone())
        .chain(rest.iter().cloned())
        .collect()
}

/// Changes the digest in a footer.
fn doctor(record: &mut Record) {
    // After the envelope and the next offset.
    let digest = 17 + 8;
    record.value.as_mut().unwrap()[digest] ^= 1;
}

#[test]
fn an_empty_log_restores_nothing() {
    let restored = restore(&[]);
    assert!(restored.footer.is_none() && restored.fold.is_empty());
    assert_eq!((restored.records, restored.skipped_batches), (0, 0));
}

#[test]
fn a_fresh_log_begins_with_a_footer_of_the_empty_state() {
    let mut owner = Owner::new(1);
    let restored = restore(&owner.checkpoint());
    assert_eq!(next_of(&restored), Some(0));
    assert!(restored.fold.is_empty());
    assert_eq!(restored.fold.scalars(), Scalars::default());
}

#[test]
fn batches_in_order_are_all_believed() {
    let mut owner = Owner::new(1);
    let mut log = owner.checkpoint();
    log.extend(owner.take("a", 2).take("b", 1).checkpoint());
    log.extend(owner.take("a", 3).checkpoint());
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 5), ("b", 1)]));
    assert_eq!(restored.fold.scalars(), owner.fold.scalars());
    assert_eq!(next_of(&restored), Some(3));
    assert_eq!(restored.records, log.len() as u64);
    assert_eq!(restored.skipped_batches, 0);
    assert!(restored.touched.is_empty());
}

#[test]
fn a_torn_batch_is_skipped_and_its_keys_are_touched() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).checkpoint();
    let mut torn = owner.take("b", 1).take("c", 1).checkpoint();
    torn.remove(0);
    log.extend(torn);
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 1)]));
    assert_eq!(next_of(&restored), Some(1));
    assert_eq!(restored.skipped_batches, 1);
    assert_eq!(restored.touched, keys(["c"]));
}

#[test]
fn after_a_torn_batch_one_that_brings_what_was_missing_is_believed() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).checkpoint();
    let mut torn = owner.take("b", 1).take("c", 1).checkpoint();
    torn.remove(0);
    log.extend(torn);
    let all = (0..owner.fold.len()).filter_map(|place| owner.fold.slot_at(place));
    owner.unwritten.extend(all);
    log.extend(owner.take("a", 1).checkpoint());
    let restored = restore(&log);
    assert_eq!(
        counters(&restored.fold),
        expected([("a", 2), ("b", 1), ("c", 1)])
    );
    assert_eq!(next_of(&restored), Some(4));
}

#[test]
fn a_zombies_batch_among_the_owners_records_is_skipped_and_the_owners_is_believed() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).take("b", 1).checkpoint();
    let mut zombie = owner.clone();
    zombie.writer = 2;
    let late = zombie.take("a", 1).checkpoint();
    let owners = owner.take("a", 1).take("b", 5).checkpoint();
    log.extend(interleaved(&owners, &late));
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 2), ("b", 6)]));
    assert_eq!(next_of(&restored), Some(4));
    // Its footer cannot be distinguished from the owner's until the owner's offset is ahead of it.
    assert!(restored.skipped_batches <= 1);

    let mut log = log[..3].to_vec();
    log.extend(owners);
    log.extend(late);
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 2), ("b", 6)]));
    assert_eq!(restored.skipped_batches, 1);
    assert_eq!(restored.touched, keys(["a"]));
}

#[test]
fn a_compacted_head_is_anchored_at_the_first_footer_that_matches() {
    let mut owner = Owner::new(1);
    let mut log = Vec::new();
    for round in 0..6 {
        owner.take("a", 1).take(["b", "c"][round % 2], 1);
        log.extend(owner.checkpoint());
    }
    for cut in 0..=log.len() {
        let head = compacted(&log, cut);
        let restored = restore(&head);
        assert_eq!(
            counters(&restored.fold),
            expected([("a", 6), ("b", 3), ("c", 3)]),
            "{cut}"
        );
        assert_eq!(next_of(&restored), Some(12), "{cut}");
        assert_eq!(restored.skipped_batches, 0, "{cut}");
        assert!(restored.touched.is_empty(), "{cut}");
    }
}

#[test]
fn a_log_whose_every_footer_is_doctored_has_no_footer() {
    let mut owner = Owner::new(1);
    let mut log = Vec::new();
    for _ in 0..3 {
        let mut batch = owner.take("a", 1).checkpoint();
        doctor(batch.last_mut().unwrap());
        log.extend(batch);
    }
    let restored = restore(&log);
    assert!(restored.footer.is_none());
    assert_eq!(restored.records, 6);
    assert_eq!(restored.highest_id(), 3, "for the repair");
}

#[test]
fn a_footer_with_an_older_next_and_an_equal_digest_is_not_believed() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).checkpoint();
    let mut zombie = owner.clone();
    zombie.writer = 2;
    // The log's end moved past markers, the counters did not.
    owner.next = 9;
    log.extend(owner.checkpoint());
    log.extend(zombie.checkpoint());
    let restored = restore(&log);
    assert_eq!(next_of(&restored), Some(9));
    assert_eq!(restored.skipped_batches, 1);
}

#[test]
fn a_list_of_homes_is_extended_and_never_cut_back() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).checkpoint();
    let mut zombie = owner.clone();
    zombie.writer = 2;
    let rescaled = Homes::read([1, 2]).unwrap();
    owner.fold.set_scalars(Scalars {
        homes: rescaled,
        ..owner.fold.scalars()
    });
    owner.next = 5;
    log.extend(owner.checkpoint());
    // The same entries, so that the digest matches, and a later offset.
    zombie.next = 9;
    log.extend(zombie.checkpoint());
    let restored = restore(&log);
    assert_eq!(next_of(&restored), Some(5));
    assert_eq!(restored.skipped_batches, 1);
    assert_eq!(restored.fold.scalars().homes, rescaled);
}

#[test]
fn a_zombies_decision_that_outlived_the_first_one_in_compaction_gives_way_to_what_was_built() {
    let (mut owner, mut zombie) = (Owner::new(1), Owner::new(2));
    let id = zombie.batch_id();
    let digest = zombie.fold.cut(&mut Vec::new());
    let footer = Footer {
        link_key: LinkKey([6; 32]),
        ..zombie.footer(digest)
    };
    let mut batch = Batch::default();
    batch.footer(id, &footer);
    let late = records(id, &batch);
    let first = owner.checkpoint();
    let built = owner.take("a", 1).checkpoint();
    let whole = [first, late.clone(), built.clone()].concat();
    for (log, skipped) in [(whole, 1), ([late, built].concat(), 0)] {
        let restored = restore(&log);
        assert_eq!(next_of(&restored), Some(1));
        assert_eq!(restored.skipped_batches, skipped);
        let decided = restored.footer.unwrap().decided();
        assert_eq!(decided.link_key, LinkKey([5; 32]));
    }
}

#[test]
fn a_whole_reset_replaces_everything() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).take("gone", 1).checkpoint();
    let mut operator = Owner::new(9);
    operator.fold.set_scalars(Scalars {
        floor: 100,
        ..Scalars::default()
    });
    operator.next = 1;
    log.extend(operator.take("a", 1).repair("gone"));
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 101)]));
    assert_eq!(restored.fold.scalars().floor, 100);
    assert_eq!(next_of(&restored), Some(2));
    assert_eq!(restored.skipped_batches, 0);
}

#[test]
fn a_reset_may_go_back_in_the_log() {
    let mut owner = Owner::new(1);
    owner.next = 50;
    let mut log = owner.take("a", 1).checkpoint();
    let mut operator = Owner::new(9);
    log.extend(operator.take("a", 7).repair("gone"));
    assert_eq!(next_of(&restore(&log)), Some(1));
}

#[test]
fn a_whole_reset_repairs_a_log_in_which_nothing_adds_up() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).take("gone", 1).checkpoint();
    doctor(log.last_mut().unwrap());
    log.extend(Owner::new(9).take("a", 8).repair("gone"));
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 8)]));
    assert_eq!(next_of(&restored), Some(1));
}

#[test]
fn a_torn_reset_changes_nothing() {
    let mut owner = Owner::new(1);
    let log = owner.take("a", 1).take("b", 2).checkpoint();
    let mut operator = Owner::new(9);
    let repair = operator.take("a", 5).take("c", 5).repair("b");
    // Without an entry the footer does not match; without the footer the batch never ends.
    for missing in [2, 3, repair.len() - 1] {
        let mut log = log.clone();
        log.extend(repair.clone());
        log.remove(3 + missing);
        let restored = restore(&log);
        assert_eq!(counters(&restored.fold), expected([("a", 1), ("b", 2)]));
        assert_eq!(next_of(&restored), Some(2));
        assert_eq!(restored.skipped_batches, 1);
        assert!(restored.touched.contains(state::RESET_KEY), "{missing}");
        assert!(restored.touched.is_superset(&keys(["b"])), "{missing}");
    }
}

/// Compaction has removed the footer of the repair, so the zombie's footer is the first one after the reset.
#[test]
fn a_footer_of_an_epoch_before_the_repair_is_not_believed_behind_its_reset() {
    let mut zombie = Owner::new(3);
    zombie.take("a", 5);
    let mut owner = zombie.clone();
    owner.writer = 9;
    owner.fold.set_scalars(Scalars {
        epoch: 7,
        ..owner.fold.scalars()
    });
    let mut log = owner.repair("gone");
    log.pop();
    log.extend(zombie.take("a", 1).checkpoint());
    assert_eq!(next_of(&restore(&log)), None);
    // The new owner's next checkpoint adds up without the zombie's records.
    log.extend(owner.take("b", 1).checkpoint());
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 5), ("b", 1)]));
    assert_eq!(restored.fold.scalars().epoch, 7);
    assert!(restored.touched.is_superset(&keys(["a"])));
}

#[test]
fn a_tombstone_forgets_its_key() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).take("b", 1).checkpoint();
    owner.fold.remove(EntryKey::Sequence("b"));
    let batch_id = owner.batch_id();
    let mut batch = Batch::default();
    batch.tombstone(&key("b"));
    let digest = owner.fold.cut(&mut Vec::new());
    batch.footer(batch_id, &owner.footer(digest));
    log.extend(records(batch_id, &batch));
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 1)]));
    assert_eq!(restored.skipped_batches, 0);
}

#[test]
fn a_record_of_a_newer_format_is_an_error() {
    let mut owner = Owner::new(1);
    for anchored in [false, true] {
        let mut restore = Restore::default();
        if anchored {
            let footer = owner.checkpoint().remove(0);
            restore
                .record(&footer.key, footer.value.as_deref(), None)
                .unwrap();
        }
        let version = state::FORMAT_VERSION + 1;
        let newer = restore.record(b"Zsomething new", Some(&[version, 0]), None);
        assert_eq!(newer, Err(state::Error::Version(version)));
    }
}

#[test]
fn malformed_records_are_touched_keys() {
    let mut owner = Owner::new(1);
    let garbage = |key: &[u8], value: Option<&[u8]>| Record {
        key: key.to_vec(),
        value: value.map(<[u8]>::to_vec),
        header: None,
    };
    let mut log = vec![garbage(b"before", Some(b"\x01"))];
    log.extend(owner.take("a", 1).checkpoint());
    log.push(garbage(b"Sa", Some(b"\x01too short")));
    log.push(garbage(b"", None));
    // A tombstone that names no batch belongs to none.
    log.push(garbage(b"Sa tombstone", None));
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 1)]));
    assert_eq!(next_of(&restored), Some(1));
    let touched = [&b"before"[..], b"Sa", b"", b"Sa tombstone"].map(<[u8]>::to_vec);
    assert_eq!(restored.touched, touched.into());
    assert_eq!(restored.skipped_batches, 0);
}

#[test]
fn a_batch_without_its_footer_at_the_end_is_skipped() {
    let mut owner = Owner::new(1);
    let mut log = owner.take("a", 1).checkpoint();
    let mut torn = owner.take("a", 1).take("b", 1).checkpoint();
    torn.pop();
    log.extend(torn);
    let restored = restore(&log);
    assert_eq!(counters(&restored.fold), expected([("a", 1)]));
    assert_eq!(restored.skipped_batches, 1);
    assert_eq!(restored.touched, keys(["a", "b"]));
}

#[test]
fn the_highest_id_counts_the_operators_floor() {
    let mut owner = Owner::new(1);
    owner.take("a", 7);
    let mut restored = restore(&owner.checkpoint());
    assert_eq!(restored.highest_id(), 7);
    restored.fold.set_scalars(Scalars {
        floor: 99,
        ..Scalars::default()
    });
    assert_eq!(restored.highest_id(), 99);
}

/// The plainest fold of the requests below `next`.
fn naive(requests: &Requests, next: i64) -> (BTreeMap<String, i64>, Scalars) {
    let below = &requests[..next as usize];
    let mut last_ids = BTreeMap::new();
    for (name, count) in below {
        *last_ids.entry(name.clone()).or_default() += count.cast_signed();
    }
    let times = (0..below.len()).map(timestamp);
    let scalars = Scalars {
        highest_timestamp: times.max().unwrap_or(Timestamp::NONE),
        applied: below.len() as u64,
        ..Scalars::default()
    };
    (last_ids, scalars)
}

/// I6: every accepted state is the fold of the requests below the footer's next offset.
fn believes_only_the_fold(restored: &Restored, requests: &Requests) -> Result<(), TestCaseError> {
    if let Some(next) = next_of(restored) {
        let (last_ids, scalars) = naive(requests, next);
        prop_assert_eq!(counters(&restored.fold), last_ids);
        prop_assert_eq!(restored.fold.scalars(), scalars);
    }
    Ok(())
}

/// An event in the life of a partition.
#[derive(Clone, Debug)]
enum Event {
    /// The owner folds this many requests.
    Fold(usize),
    /// The owner writes a batch.
    Checkpoint,
    /// The owner's batch is aborted.
    Aborted,
    /// A new owner takes over, and the old one goes on as a zombie.
    Takeover,
    /// The zombie folds this many requests.
    ZombieFolds(usize),
    /// The zombie's batch enters the log, at these places among the records that follow.
    ZombieCheckpoint(Vec<bool>),
}

fn honest_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_usize..6).prop_map(Event::Fold),
        4 => Just(Event::Checkpoint),
        1 => Just(Event::Aborted),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        9 => honest_event(),
        1 => Just(Event::Takeover),
        1 => (1_usize..9).prop_map(Event::ZombieFolds),
        1 => prop::collection::vec(any::<bool>(), 8).prop_map(Event::ZombieCheckpoint),
    ]
}

/// A state log, and the state that its owner may rely on.
#[derive(Debug)]
struct History {
    requests: Vec<(String, u64)>,
    log: Vec<Record>,
    /// The next offset of the last batch of an owner.
    next: i64,
}

/// Merges the records of `late` into the last ones of `log`, in order, where `places` says so, but not before
/// its first record.
fn merge(log: &mut Vec<Record>, late: Vec<Record>, places: &[bool]) {
    let tail = log.len().saturating_sub(places.len()).max(1);
    let mut tail = log.split_off(tail).into_iter();
    let mut late = late.into_iter();
    for place in places {
        log.extend(if *place { late.next() } else { tail.next() });
    }
    log.extend(tail.chain(late));
}

fn written(requests: Vec<(String, u64)>, events: Vec<Event>) -> History {
    let mut owner = Owner::new(1);
    // An owner's first batch, before any request: the anchor of a restore.
    let mut log = owner.checkpoint();
    let mut committed = owner.clone();
    let mut zombie: Option<Owner> = None;
    let mut next = 0;
    for event in events {
        match event {
            Event::Fold(count) => owner.fold(&requests, count),
            Event::Checkpoint => {
                log.extend(owner.checkpoint());
                committed = owner.clone();
                next = owner.next as i64;
            }
            Event::Aborted => owner.aborted_checkpoint(),
            Event::Takeover => {
                let mut successor = committed.clone();
                successor.writer = owner.writer + 1;
                zombie = Some(std::mem::replace(&mut owner, successor));
            }
            Event::ZombieFolds(count) => {
                if let Some(zombie) = &mut zombie {
                    zombie.fold(&requests, count);
                }
            }
            Event::ZombieCheckpoint(places) => {
                if let Some(zombie) = &mut zombie {
                    merge(&mut log, zombie.checkpoint(), &places);
                }
            }
        }
    }
    History {
        requests,
        log,
        next,
    }
}

fn history(event: impl Strategy<Value = Event>) -> impl Strategy<Value = History> {
    let request = ((0_u8..5).prop_map(|name| format!("n{name}")), 1_u64..4);
    let requests = prop::collection::vec(request, 0..120);
    (requests, prop::collection::vec(event, 0..60))
        .prop_map(|(requests, events)| written(requests, events))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A zombie's batches anywhere in the log cost an owner nothing that it committed.
    #[test]
    fn i6_with_zombies_the_owners_last_batch_is_reached(history in history(event())) {
        let restored = restore(&history.log);
        believes_only_the_fold(&restored, &history.requests)?;
        prop_assert!(next_of(&restored) >= Some(history.next));
    }

    #[test]
    fn i6_a_compacted_log_of_an_honest_owner_ends_where_the_whole_one_does(
        history in history(honest_event()),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(history.log.len() + 1);
        let log = compacted(&history.log, cut);
        let restored = restore(&log);
        believes_only_the_fold(&restored, &history.requests)?;
        prop_assert_eq!(next_of(&restored), Some(history.next));
        prop_assert_eq!(restored.skipped_batches, 0);
        prop_assert!(in_order(&log).is_some(), "read twice without need");
    }

    #[test]
    fn i6_whatever_compaction_zombies_and_lost_records_leave_only_the_fold_is_believed(
        history in history(event()),
        cut in any::<prop::sample::Index>(),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        from in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut log = compacted(&history.log, cut.index(history.log.len() + 1));
        for lost in lost {
            if !log.is_empty() {
                log.remove(lost.index(log.len()));
            }
        }
        // The offset at which a rewrite begins according to the committed offset's metadata, rightly or not.
        let from = from.map_or(0, |from| from.index(log.len() + 1));
        believes_only_the_fold(&restore(&log[from..]), &history.requests)?;
    }
}
