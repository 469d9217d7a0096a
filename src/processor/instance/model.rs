//! A simulation in miniature: instances over fake logs, with every fault that the rules T1 to T5
//! are about. One thread and one seeded source of choices, so that a seed that fails fails again.
//!
//! What stands in for Kafka is as plain as it can be: logs are vectors, an offset is an index, a
//! transaction is open, committed or aborted, the group is a table of owners. What is decided is
//! decided by the product's own [`Instance`], [`TransactionSteps`], [`Takeover`] and [`Restore`].
//!
//! Each commit and each reply is checked when it happens, against answers that were worked out when
//! the request was appended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::core::digest::fingerprint;
use crate::core::invariants::{i1_unique, i2_gapless_and_monotonic, i3_stable, i4_nothing_lost};
use crate::core::{Grant, Offset, Timestamp};
use crate::processor::restore::{Restore, Restored};
use crate::processor::takeover::{
    Action as Question, Committed, Event as Answer, RequestLog as LogExtent, StateLog as Extent,
    Step, Takeover,
};
use crate::processor::transaction::{Action, Failure, Transaction as TransactionSteps};
use crate::wire::state::{self, Content, TopicId};

const PARTITIONS: usize = 3;
const SEEDS: u64 = 300;
/// Steps with faults, and the most that it may take to come to rest without them.
const STEPS: usize = 3_000;
const STEPS_TO_REST_MAX: usize = 50_000;
const TRANSACTION_TIMEOUT_MS: u64 = 600;

/// A splitmix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    /// True in so many of a hundred cases.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A request, what it must get, and what it got.
struct Request {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    /// `None`: an error.
    expected: Option<Grant>,
    /// The first reply that anybody saw.
    body: Option<Vec<u8>>,
    /// Acknowledged or committed replies.
    answers: usize,
}

/// One partition's requests; `None` is a transaction marker.
#[derive(Default)]
struct RequestLog {
    records: Vec<Option<Request>>,
    start: usize,
    /// The plainest fold there is: last IDs by name.
    last_ids: BTreeMap<String, i64>,
}

struct StateRecord {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    header: Option<[u8; 16]>,
    transaction: usize,
}

/// One partition's state; `None` is a marker or was compacted away.
#[derive(Default)]
struct StateLog {
    records: Vec<Option<StateRecord>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

/// A transaction as its coordinator knows it.
struct KafkaTransaction {
    node: usize,
    opened_ms: u64,
    fate: Fate,
    /// See [`Carried::too_late`].
    too_late: bool,
    /// Replies in it, by partition and offset of their requests.
    replies: Vec<(usize, usize, Vec<u8>)>,
    /// Partition, committed offset and hint.
    offsets: Vec<(usize, Committed)>,
}

/// A transaction as the node that carries it out knows it.
struct Carried {
    steps: TransactionSteps,
    checkpoint: Box<Checkpoint>,
    written: Vec<Written>,
    id: Option<usize>,
    /// The call that has not returned yet.
    calling: Option<Action>,
    /// Membership under which it was begun.
    generation: u64,
    /// A new producer of the same ID was made meanwhile.
    fenced: bool,
    /// A partition in it was given up: it must not be committed any more.
    too_late: bool,
}

struct Asked {
    partition: i32,
    assignment: u32,
    takeover: Takeover,
    question: Question,
}

/// What the group tells a node; the next is told when the last is answered.
enum Rebalance {
    Assigned(i32),
    Revoked(i32),
    Lost,
}

/// One process.
struct Node {
    instance: Instance,
    writer: u64,
    /// Next offset by partition being fetched.
    reading: BTreeMap<i32, usize>,
    asked: Vec<Asked>,
    foreign: Vec<(i32, u32, i64, Option<i64>)>,
    carried: Option<Carried>,
    /// Token, partition and offset of replies on their way.
    unacknowledged: Vec<(Token, usize, usize)>,
    rebalances: VecDeque<Rebalance>,
    /// A revocation waits for its answer; whether it was a loss.
    revoking: Option<bool>,
    /// What the node believes to own.
    assigned: BTreeSet<i32>,
    /// Counts its memberships; `None` when the group has thrown it out.
    member: Option<u64>,
    fenced_ourselves: bool,
    stopped: bool,
}

/// A batch that was written and never committed.
struct Leftover {
    partition: usize,
    writer: u64,
    next: NextOffset,
    records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

struct World {
    random: Random,
    mode: Mode,
    faults: bool,
    now_ms: u64,
    requests: Vec<RequestLog>,
    states: Vec<StateLog>,
    transactions: Vec<KafkaTransaction>,
    committed: Vec<Option<Committed>>,
    owners: Vec<Option<usize>>,
    nodes: Vec<Option<Node>>,
    runs: u64,
    memberships: u64,
    leftovers: Vec<Leftover>,
    commits: usize,
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap()
}

fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap()
}

fn partition(index: usize) -> i32 {
    i32::try_from(index).unwrap()
}

/// Set up, choose, come to rest.
impl World {
    fn new(seed: u64) -> World {
        World {
            random: Random(seed),
            mode: if seed.is_multiple_of(2) {
                Mode::Immediate
            } else {
                Mode::ExactlyOnce
            },
            faults: true,
            now_ms: 0,
            requests: (0..PARTITIONS).map(|_| RequestLog::default()).collect(),
            states: (0..PARTITIONS).map(|_| StateLog::default()).collect(),
            transactions: Vec::new(),
            committed: vec![None; PARTITIONS],
            owners: vec![None; PARTITIONS],
            nodes: (0..1 + seed % 3).map(|_| None).collect(),
            runs: 0,
            memberships: 0,
            leftovers: Vec::new(),
            commits: 0,
        }
    }

    fn step(&mut self) {
        self.now_ms += self.random.below(8) as u64;
        self.time_out_transactions();
        let node = self.random.below(self.nodes.len());
        match self.random.below(100) {
            0..15 => self.append_request(),
            15..20 => self.group(),
            20..22 if self.faults => self.fault(node),
            22..24 => self.age(),
            _ => self.node_step(node),
        }
    }

    fn fault(&mut self, node: usize) {
        match self.random.below(12) {
            0 => self.crash(node),
            1..3 => self.throw_out(node),
            3..5 => self.land_late(),
            5 => {
                let partition = partition(self.random.below(PARTITIONS));
                if self.nodes[node].is_some() {
                    self.input(node, Input::LogError { partition });
                }
            }
            _ => {}
        }
    }

    fn node_step(&mut self, node: usize) {
        if self.nodes[node].is_none() {
            return self.begin(node);
        }
        match self.random.below(20) {
            0..4 => self.deliver(node),
            4..6 => self.end_of_partition(node),
            6..9 => self.acknowledge(node),
            9..14 => self.transaction_step(node),
            14..17 => self.takeover_step(node),
            17 => self.foreign_step(node),
            18 => self.rebalance_step(node),
            _ => self.fenced_step(node),
        }
        self.input(node, Input::Tick);
    }

    fn come_to_rest(&mut self) {
        self.faults = false;
        for _ in 0..STEPS_TO_REST_MAX {
            if self.is_at_rest() {
                return;
            }
            self.now_ms += self.random.below(8) as u64;
            self.time_out_transactions();
            let node = self.random.below(self.nodes.len());
            self.group();
            self.node_step(node);
        }
        let reports = self.nodes.iter().flatten().map(|n| n.instance.report());
        panic!("no rest: {:?}", reports.collect::<Vec<_>>());
    }

    fn is_at_rest(&self) -> bool {
        let reached = |index: usize| {
            let end = NextOffset(number(self.requests[index].records.len()));
            self.committed[index].is_some_and(|committed| committed.next == end)
        };
        (0..PARTITIONS).all(reached) && self.nodes.iter().flatten().all(|n| n.carried.is_none())
    }

    fn stop(&mut self) {
        for node in 0..self.nodes.len() {
            if let Some(live) = &mut self.nodes[node] {
                live.stopped = true;
                self.input(node, Input::Stop);
            }
        }
        for _ in 0..STEPS_TO_REST_MAX {
            let Some(node) = self.nodes.iter().position(Option::is_some) else {
                return;
            };
            self.now_ms += 1;
            self.node_step(node);
        }
        panic!("it does not leave");
    }
}

/// Requests and their replies.
impl World {
    fn append_request(&mut self) {
        let partition = self.random.below(PARTITIONS);
        let count = 1 + self.random.below(3) as u64;
        let name = format!("p{partition}-{}", self.random.below(4));
        let log = &mut self.requests[partition];
        let (key, value, valid) = match self.random.below(20) {
            0 => return log.records.push(None),
            1 => (None, Some(b"1".to_vec()), false),
            2 => (Some(name.clone()), Some(b"0".to_vec()), false),
            3 => (Some(name.clone()), Some(b"{\"op\":".to_vec()), false),
            _ => (
                Some(name.clone()),
                Some(count.to_string().into_bytes()),
                true,
            ),
        };
        let expected = valid.then(|| {
            let last_id = log.last_ids.entry(name).or_default();
            let first = *last_id + 1;
            *last_id += count.cast_signed();
            Grant {
                first,
                last: *last_id,
                count,
            }
        });
        log.records.push(Some(Request {
            key: key.map(String::into_bytes),
            value,
            expected,
            body: None,
            answers: 0,
        }));
    }

    /// Somebody reads a reply: I1 and I2 by what was expected, I3 by what was read before.
    fn reply_seen(&mut self, partition: usize, offset: usize, body: &[u8]) {
        let request = self.requests[partition].records[offset].as_mut().unwrap();
        if let Some(earlier) = &request.body {
            assert!(i3_stable(earlier, body), "I3");
            return;
        }
        assert_eq!(granted(body), request.expected, "I1, I2");
        request.body = Some(body.to_vec());
    }

    /// The requests of a partition below `next` and at or above `from`.
    fn between(
        &self,
        partition: usize,
        from: i64,
        next: i64,
    ) -> impl Iterator<Item = (i64, &Request)> {
        let records = self.requests[partition].records.iter().enumerate();
        records
            .filter_map(|(offset, record)| Some((number(offset), record.as_ref()?)))
            .filter(move |(offset, _)| (from..next).contains(offset))
    }

    fn check_all_answers(&self) {
        for (partition, log) in self.requests.iter().enumerate() {
            let mut grants: BTreeMap<&[u8], Grant> = BTreeMap::new();
            for (offset, request) in self.between(partition, 0, i64::MAX) {
                let body = request.body.as_deref();
                let body = body.unwrap_or_else(|| panic!("I4: {partition}:{offset}"));
                let Some(grant) = granted(body) else { continue };
                let key = request.key.as_deref().unwrap();
                let earlier = grants.insert(key, grant);
                let next = earlier.map_or(1, |earlier| earlier.last + 1);
                assert!(
                    earlier.is_none_or(|earlier| i1_unique(earlier, grant)),
                    "I1"
                );
                assert!(i2_gapless_and_monotonic(next, grant), "I2");
            }
            let last_ids = grants
                .into_iter()
                .map(|(key, grant)| (String::from_utf8(key.to_vec()).unwrap(), grant.last));
            assert_eq!(last_ids.collect::<BTreeMap<_, _>>(), log.last_ids);
        }
    }
}

/// The IDs in a reply; `None` when it is an error.
fn granted(body: &[u8]) -> Option<Grant> {
    let reply: serde_json::Value = serde_json::from_slice(body).unwrap();
    let field = |name: &str| reply.get(name).and_then(serde_json::Value::as_i64);
    assert!(reply.get("error").is_some() != reply.get("first").is_some());
    Some(Grant {
        first: field("first")?,
        last: field("last")?,
        count: field("count")?.cast_unsigned(),
    })
}

/// Transactions and what they make visible.
impl World {
    /// Ends a transaction: a marker comes into each log that it wrote to.
    fn end(&mut self, id: usize, fate: Fate) {
        if self.transactions[id].fate != Fate::Open {
            return;
        }
        self.transactions[id].fate = fate;
        for log in &mut self.states {
            let mut records = log.records.iter().flatten();
            if records.any(|record| record.transaction == id) {
                log.records.push(None);
            }
        }
        if fate == Fate::Committed {
            assert!(!self.transactions[id].too_late, "T3");
            self.commits += 1;
            let offsets = std::mem::take(&mut self.transactions[id].offsets);
            let replies = std::mem::take(&mut self.transactions[id].replies);
            for (partition, offset, body) in replies {
                self.reply_seen(partition, offset, &body);
                self.requests[partition].records[offset]
                    .as_mut()
                    .unwrap()
                    .answers += 1;
            }
            for (partition, committed) in offsets {
                self.check_commit(partition, committed);
                self.committed[partition] = Some(committed);
            }
        }
    }

    fn check_commit(&self, partition: usize, Committed { next, .. }: Committed) {
        let before = self.committed[partition].map_or(0, |before| before.next.0);
        assert!(
            before <= next.0,
            "T2, T3: {partition} steps back from {before} to {next}"
        );
        let unanswered = |(_, request): &(i64, &Request)| request.answers == 0;
        let oldest = self.between(partition, 0, next.0).find(unanswered);
        let oldest = oldest.map(|(offset, _)| Offset(offset));
        assert!(
            i4_nothing_lost(next, oldest),
            "I4: {partition}:{oldest:?} below {next}"
        );
        if self.mode == Mode::ExactlyOnce {
            for (offset, request) in self.between(partition, 0, next.0) {
                assert_eq!(request.answers, 1, "exactly once: {partition}:{offset}");
            }
            let early = self
                .between(partition, next.0, i64::MAX)
                .find(|(_, r)| r.answers > 0);
            assert!(early.is_none(), "a reply that no checkpoint covers");
        }
    }

    fn time_out_transactions(&mut self) {
        for id in 0..self.transactions.len() {
            if self.now_ms > self.transactions[id].opened_ms + TRANSACTION_TIMEOUT_MS {
                self.end(id, Fate::Aborted);
            }
        }
    }

    /// A new producer of a node's transactional ID settles what the old one left: a commit under
    /// way may have arrived before it.
    fn init_producer(&mut self, node: usize, committing: Option<usize>) {
        if let Some(id) = committing
            && self.random.chance(50)
        {
            self.end(id, Fate::Committed);
        }
        for id in 0..self.transactions.len() {
            if self.transactions[id].node == node {
                self.end(id, Fate::Aborted);
            }
        }
    }

    fn committing(&self, node: usize) -> Option<usize> {
        let carried = self.nodes[node].as_ref()?.carried.as_ref()?;
        carried
            .id
            .filter(|_| carried.calling == Some(Action::Commit))
    }

    fn transaction_step(&mut self, node: usize) {
        let Some(mut carried) = self.live(node).carried.take() else {
            return;
        };
        let Some(action) = carried.calling.take() else {
            match carried.steps.action() {
                Action::Done(outcome) => return self.settled(node, carried, outcome),
                action => carried.calling = Some(action),
            }
            self.live(node).carried = Some(carried);
            return;
        };
        match self.call(node, &mut carried, action) {
            Ok(()) => {
                let known_member = self.live(node).member == Some(carried.generation);
                carried
                    .steps
                    .succeeded(known_member || self.random.chance(50));
            }
            Err((failure, own_timeout)) => carried.steps.failed(failure, own_timeout),
        }
        self.live(node).carried = Some(carried);
    }

    fn call(
        &mut self,
        node: usize,
        carried: &mut Carried,
        action: Action,
    ) -> Result<(), (Failure, bool)> {
        let fails = self.faults && self.random.chance(6);
        let failures = [
            Failure::Retriable,
            Failure::Abort,
            Failure::Indefinite,
            Failure::Fatal,
        ];
        let failed = Err((failures[self.random.below(failures.len())], false));
        if action == Action::Renew {
            if fails {
                return Err((Failure::Retriable, false));
            }
            self.init_producer(node, None);
            carried.fenced = false;
            return Ok(());
        }
        if carried.fenced {
            return Err((Failure::Fenced, false));
        }
        let fate = carried.id.map(|id| self.transactions[id].fate);
        if fate == Some(Fate::Aborted) {
            return Err((Failure::Fenced, true));
        }
        match action {
            Action::Begin => {
                carried.id = Some(self.transactions.len());
                self.transactions.push(KafkaTransaction {
                    node,
                    opened_ms: self.now_ms,
                    fate: Fate::Open,
                    too_late: carried.too_late,
                    replies: Vec::new(),
                    offsets: Vec::new(),
                });
            }
            Action::Produce => self.produce(carried, fails),
            Action::SendOffsets => {
                if self.live(node).member != Some(carried.generation) {
                    return Err((Failure::Abort, false));
                }
                let offsets = carried.checkpoint.sections.iter().map(|section| {
                    let (next, rewrite_from) = (section.next, section.rewrite_from);
                    (index(section.partition), Committed { next, rewrite_from })
                });
                self.transactions[carried.id.unwrap()].offsets = offsets.collect();
            }
            Action::Commit if !fails => self.end(carried.id.unwrap(), Fate::Committed),
            Action::Commit => {
                let unknown = matches!(failed, Err((Failure::Indefinite | Failure::Fatal, _)));
                if unknown && self.random.chance(50) {
                    self.end(carried.id.unwrap(), Fate::Committed);
                }
            }
            Action::Abort if !fails => self.end(carried.id.unwrap(), Fate::Aborted),
            Action::Abort | Action::Renew | Action::Done(_) => {}
        }
        if fails { failed } else { Ok(()) }
    }

    /// Writes all records, or only some.
    fn produce(&mut self, carried: &mut Carried, fails: bool) {
        let transaction = carried.id.unwrap();
        for section in &carried.checkpoint.sections {
            let partition = index(section.partition);
            for (_, _, body) in section.replies.iter() {
                let reply: serde_json::Value = serde_json::from_slice(body).unwrap();
                assert_eq!(reply["partition"], section.partition);
                let offset = usize::try_from(reply["offset"].as_u64().unwrap()).unwrap();
                let reply = (partition, offset, body.to_vec());
                self.transactions[transaction].replies.push(reply);
            }
            let log = &mut self.states[partition];
            let first = number(log.records.len());
            let header = section.batch_id.to_header();
            for (key, value) in section.batch.iter() {
                log.records.push(Some(StateRecord {
                    key: key.to_vec(),
                    value: value.map(<[u8]>::to_vec),
                    header: value.is_none().then_some(header),
                    transaction,
                }));
                if fails && self.random.chance(30) {
                    return;
                }
            }
            let last = number(log.records.len()) - 1;
            carried.written.push(Written { first, last });
        }
    }

    fn settled(&mut self, node: usize, carried: Carried, outcome: Outcome) {
        let fate = carried.id.map(|id| self.transactions[id].fate);
        match outcome {
            Outcome::Committed => assert!(fate == Some(Fate::Committed), "T5"),
            Outcome::Aborted => assert!(fate != Some(Fate::Committed), "T5"),
            _ => {}
        }
        if fate != Some(Fate::Committed) {
            for section in &carried.checkpoint.sections {
                let records = section.batch.iter();
                self.leftovers.push(Leftover {
                    partition: index(section.partition),
                    writer: section.batch_id.writer,
                    next: section.next,
                    records: records
                        .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
                        .collect(),
                });
            }
        }
        self.input(
            node,
            Input::Settled {
                checkpoint: carried.checkpoint,
                outcome,
                written: carried.written,
            },
        );
    }

    /// A batch that was given up long ago comes into the log after all, or a part of it; its writer
    /// owns the partition no more.
    fn land_late(&mut self) {
        let is_late = |leftover: &Leftover| {
            let committed = self.committed[leftover.partition];
            let owner = self.owners[leftover.partition].and_then(|owner| self.nodes[owner].as_ref());
            committed.is_some_and(|committed| leftover.next < committed.next)
                && owner.is_some_and(|owner| owner.writer != leftover.writer)
        };
        let Some(chosen) = self.leftovers.iter().position(is_late) else {
            return;
        };
        let leftover = self.leftovers.swap_remove(chosen);
        let transaction = self.transactions.len();
        self.transactions.push(KafkaTransaction {
            node: usize::MAX,
            opened_ms: self.now_ms,
            fate: Fate::Open,
            too_late: false,
            replies: Vec::new(),
            offsets: Vec::new(),
        });
        for (key, value) in leftover.records {
            if self.random.chance(80) {
                self.states[leftover.partition].records.push(Some(StateRecord {
                    key,
                    value,
                    header: None,
                    transaction,
                }));
            }
        }
        self.end(transaction, Fate::Committed);
    }
}

/// State logs: reading, compaction; and retention of requests.
impl World {
    /// Committed records in a range; `None` while a transaction in it is open.
    fn visible(&self, partition: usize, from: i64, to: i64) -> Option<Vec<&StateRecord>> {
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        let records = self.states[partition].records[range].iter().flatten();
        let mut visible = Vec::new();
        for record in records {
            match self.transactions[record.transaction].fate {
                Fate::Open => return None,
                Fate::Committed => visible.push(record),
                Fate::Aborted => {}
            }
        }
        Some(visible)
    }

    fn restore(&self, partition: usize, from: i64, to: i64) -> Option<Restored> {
        let mut restore = Restore::default();
        for StateRecord {
            key, value, header, ..
        } in self.visible(partition, from, to)?
        {
            let header = header.as_ref().map(<[u8; 16]>::as_slice);
            restore.record(key, value.as_deref(), header).unwrap();
        }
        Some(restore.finish())
    }

    /// Compaction, or retention of requests; retention not between two questions of a takeover,
    /// which would take the record that it is about to compare for another one.
    fn age(&mut self) {
        let partition = self.random.below(PARTITIONS);
        if self.random.chance(50) {
            let Some(Committed { next, .. }) = self.committed[partition] else {
                return;
            };
            let compared = |asked: &Asked| {
                index(asked.partition) == partition
                    && matches!(asked.question, Question::ReadRecord(_))
            };
            let mut asked = self.nodes.iter().flatten().flat_map(|node| &node.asked);
            if asked.any(compared) {
                return;
            }
            let log = &mut self.requests[partition];
            let removable = usize::try_from(next.0).unwrap() - log.start;
            log.start += self.random.below(removable + 1);
        } else {
            let end = self.states[partition].records.len();
            let cut = self.random.below(end + 1);
            self.compact(partition, cut);
        }
    }

    /// Below `cut` keeps the last committed record of each key. Does not touch a log in which
    /// somebody else's records were not followed by enough of the owner's: compaction has its lag.
    fn compact(&mut self, partition: usize, cut: usize) {
        let alien = |record: &StateRecord| self.transactions[record.transaction].node == usize::MAX;
        let log = &self.states[partition].records;
        if log.iter().flatten().any(alien) || self.visible(partition, 0, number(cut)).is_none() {
            return;
        }
        let mut seen = BTreeSet::new();
        for offset in (0..cut).rev() {
            let Some(record) = &self.states[partition].records[offset] else {
                continue;
            };
            let committed = self.transactions[record.transaction].fate == Fate::Committed;
            if !committed || !seen.insert(record.key.clone()) {
                self.states[partition].records[offset] = None;
            }
        }
    }

    fn check_state(&mut self, partition: usize) {
        let end = number(self.states[partition].records.len());
        let restored = self.restore(partition, 0, end).unwrap();
        let next = restored.footer.map(|footer| footer.next);
        assert_eq!(
            next,
            self.committed[partition].map(|committed| committed.next)
        );
        for (name, last_id) in &self.requests[partition].last_ids {
            let sequence = restored.fold.sequence(name).unwrap();
            assert_eq!(sequence.next(), last_id + 1, "{name}");
        }
    }
}

/// The group: who owns what, by its own lights.
impl World {
    fn group(&mut self) {
        let chosen = self.random.below(PARTITIONS);
        let node = match self.owners[chosen] {
            None => self.random.below(self.nodes.len()),
            Some(owner) => owner,
        };
        let Some(live) = &mut self.nodes[node] else {
            return;
        };
        if live.member.is_none() {
            return;
        }
        if self.owners[chosen].is_none() {
            self.owners[chosen] = Some(node);
            live.rebalances
                .push_back(Rebalance::Assigned(partition(chosen)));
        } else if self.faults
            && live.rebalances.is_empty()
            && live.revoking.is_none()
            && self.random.chance(30)
        {
            live.rebalances
                .push_back(Rebalance::Revoked(partition(chosen)));
        }
    }

    /// The group throws a node out; it goes on without knowing.
    fn throw_out(&mut self, node: usize) {
        let Some(live) = &mut self.nodes[node] else {
            return;
        };
        if live.member.take().is_some() {
            live.rebalances.clear();
            live.rebalances.push_back(Rebalance::Lost);
            self.disown(node);
        }
    }

    fn disown(&mut self, node: usize) {
        for owner in &mut self.owners {
            if *owner == Some(node) {
                *owner = None;
            }
        }
    }

    fn rebalance_step(&mut self, node: usize) {
        let live = self.live(node);
        if live.revoking.is_some() {
            return;
        }
        match live.rebalances.pop_front() {
            Some(Rebalance::Assigned(partition)) => {
                live.assigned.insert(partition);
                self.input(node, Input::Assigned(vec![partition]));
            }
            Some(Rebalance::Revoked(partition)) => {
                live.revoking = Some(false);
                let partitions = vec![partition];
                let lost = false;
                self.input(node, Input::Revoked { partitions, lost });
            }
            Some(Rebalance::Lost) => {
                live.revoking = Some(true);
                let partitions = live.assigned.iter().copied().collect();
                let lost = true;
                self.input(node, Input::Revoked { partitions, lost });
                self.memberships += 1;
                let membership = self.memberships;
                self.live(node).member = Some(membership);
            }
            None => {}
        }
    }

    fn give_up(&mut self, node: usize, partitions: &[i32]) {
        let live = self.live(node);
        let lost = live.revoking.take().expect("a revocation to answer");
        for partition in partitions {
            live.assigned.remove(partition);
            live.reading.remove(partition);
        }
        // T3: what is given up in order is not committed from here on.
        if let Some(carried) = &mut live.carried
            && !lost
        {
            let mut sections = carried.checkpoint.sections.iter();
            carried.too_late |= sections.any(|section| partitions.contains(&section.partition));
            if let Some(id) = carried.id {
                self.transactions[id].too_late |= carried.too_late;
            }
        }
        for partition in partitions {
            let owner = &mut self.owners[index(*partition)];
            if *owner == Some(node) {
                *owner = None;
            }
        }
    }
}

/// One process: inputs and effects.
impl World {
    fn live(&mut self, node: usize) -> &mut Node {
        self.nodes[node].as_mut().expect("a live node")
    }

    fn begin(&mut self, node: usize) {
        self.runs += 1;
        self.memberships += 1;
        self.init_producer(node, None);
        let options = Options {
            service: Service {
                mode: self.mode,
                group: "group".into(),
                instance: format!("node {node}"),
                reply_partitions: 2,
                rewrite_floor_records: 20,
            },
            writer: self.runs,
            checkpoint_interval_ms: 20,
            revoke_deadline_ms: 60,
            stop_deadline_ms: 1_000_000,
        };
        self.nodes[node] = Some(Node {
            instance: Instance::new(options),
            writer: self.runs,
            reading: BTreeMap::new(),
            asked: Vec::new(),
            foreign: Vec::new(),
            carried: None,
            unacknowledged: Vec::new(),
            rebalances: VecDeque::new(),
            revoking: None,
            assigned: BTreeSet::new(),
            member: Some(self.memberships),
            fenced_ourselves: false,
            stopped: false,
        });
    }

    /// The process is gone; what it had asked the coordinator for may still arrive.
    fn crash(&mut self, node: usize) {
        if let Some(id) = self.committing(node)
            && self.random.chance(50)
        {
            self.end(id, Fate::Committed);
        }
        self.nodes[node] = None;
        self.disown(node);
    }

    fn input(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(live) = &mut self.nodes[node] else {
            return;
        };
        let mut effects = Vec::new();
        live.instance.on(now_ms, input, &mut effects);
        for effect in effects {
            if self.nodes[node].is_some() {
                self.carry_out(node, effect);
            }
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::AcceptAssignment => {}
            Effect::Restore {
                partition,
                assignment,
            } => {
                let takeover = Takeover::new(partition, "group");
                let Step::Do(question) = takeover.first() else {
                    panic!("no question");
                };
                self.live(node).asked.push(Asked {
                    partition,
                    assignment,
                    takeover,
                    question,
                });
            }
            Effect::Fetch { partition, from } => {
                if self.owners[index(partition)] == Some(node) {
                    let next = self.committed[index(partition)].map_or(NextOffset::ZERO, |c| c.next);
                    assert_eq!(from, next, "T1, T2 of partition {partition}");
                }
                let from = usize::try_from(from.0).unwrap();
                self.live(node).reading.insert(partition, from);
            }
            Effect::StopFetching { partition } => {
                self.live(node).reading.remove(&partition);
            }
            Effect::GiveUp { partitions } => self.give_up(node, &partitions),
            Effect::Transact(checkpoint) => {
                let live = self.live(node);
                assert!(live.carried.is_none(), "one transaction at a time");
                live.carried = Some(Carried {
                    steps: TransactionSteps::default(),
                    checkpoint,
                    written: Vec::new(),
                    id: None,
                    calling: None,
                    generation: live.member.unwrap_or(0),
                    fenced: false,
                    too_late: false,
                });
            }
            Effect::CancelTransaction => {
                if let Some(carried) = &mut self.live(node).carried {
                    carried.steps.cancel();
                }
            }
            Effect::Fence => {
                let committing = self.committing(node);
                self.init_producer(node, committing);
                let live = self.live(node);
                live.fenced_ourselves = true;
                if let Some(carried) = &mut live.carried {
                    carried.fenced = true;
                }
            }
            Effect::ReadForeign {
                partition,
                assignment,
                from,
                to,
            } => self
                .live(node)
                .foreign
                .push((partition, assignment, from, to)),
            Effect::Leave => {
                assert!(self.live(node).stopped);
                self.crash(node);
            }
            Effect::StartOver => self.crash(node),
            Effect::ExitFenced => panic!("nobody else has this node's ID"),
        }
    }

    fn fenced_step(&mut self, node: usize) {
        if std::mem::take(&mut self.live(node).fenced_ourselves) {
            self.input(node, Input::FencedOurselves);
        }
    }

    fn chosen_reading(&mut self, node: usize) -> Option<(i32, usize)> {
        let chosen = self.random.below(PARTITIONS);
        let live = self.nodes[node].as_ref()?;
        let (partition, offset) = live.reading.iter().nth(chosen)?;
        Some((*partition, *offset))
    }

    fn deliver(&mut self, node: usize) {
        let Some((partition, mut offset)) = self.chosen_reading(node) else {
            return;
        };
        if offset < self.requests[index(partition)].start {
            return self.input(node, Input::LogError { partition });
        }
        for _ in 0..1 + self.random.below(4) {
            let log = &self.requests[index(partition)];
            let live = self.nodes[node].as_mut().unwrap();
            let Some(record) = log.records.get(offset) else {
                break;
            };
            if !live.instance.takes_records() {
                break;
            }
            if let Some(request) = record {
                let reply = live.instance.record(Record {
                    partition,
                    offset: Offset(number(offset)),
                    timestamp: Timestamp(number(offset)),
                    key: request.key.as_deref(),
                    value: request.value.as_deref(),
                });
                if let Some(reply) = reply {
                    let body = reply.body.to_vec();
                    let sent = (reply.token, index(partition), offset);
                    live.unacknowledged.push(sent);
                    self.reply_seen(index(partition), offset, &body);
                }
            }
            offset += 1;
            self.live(node).reading.insert(partition, offset);
        }
    }

    fn end_of_partition(&mut self, node: usize) {
        let Some((partition, offset)) = self.chosen_reading(node) else {
            return;
        };
        if offset == self.requests[index(partition)].records.len() {
            let next = NextOffset(number(offset));
            self.input(node, Input::EndOfPartition { partition, next });
        }
    }

    fn acknowledge(&mut self, node: usize) {
        for _ in 0..self.random.below(12) {
            let count = self.live(node).unacknowledged.len();
            if count == 0 {
                return;
            }
            let chosen = self.random.below(count);
            let live = self.live(node);
            let (token, partition, offset) = live.unacknowledged.swap_remove(chosen);
            live.instance.acknowledged(token, 1);
            self.requests[partition].records[offset]
                .as_mut()
                .unwrap()
                .answers += 1;
        }
    }

    fn takeover_step(&mut self, node: usize) {
        let count = self.live(node).asked.len();
        if count == 0 {
            return;
        }
        let chosen = self.random.below(count);
        let Asked {
            partition,
            question,
            ..
        } = self.live(node).asked[chosen];
        let Some(answer) = self.answer(index(partition), question) else {
            return;
        };
        let asked = &mut self.live(node).asked[chosen];
        match asked.takeover.on(answer) {
            Step::Do(question) => asked.question = question,
            Step::Done(verdict) => {
                let Asked { assignment, .. } = self.live(node).asked.swap_remove(chosen);
                let verdict = Input::Restored {
                    partition,
                    assignment,
                    verdict,
                };
                self.input(node, verdict);
                self.check_not_halted(node);
            }
        }
    }

    /// Nobody halts who owns the partition.
    fn check_not_halted(&self, node: usize) {
        for report in self.nodes[node].iter().flat_map(|live| live.instance.report()) {
            if let Phase::Halted { reason, .. } = report.phase {
                let owner = self.owners[index(report.partition)];
                assert!(owner != Some(node), "I6: {} {reason}", report.partition);
            }
        }
    }

    fn answer(&mut self, partition: usize, question: Question) -> Option<Answer> {
        if self.faults && self.random.chance(3) {
            return Some(Answer::Unavailable("no leader".into()));
        }
        let state_end = |partition: usize| number(self.states[partition].records.len());
        let log = &self.requests[partition];
        Some(match question {
            Question::ReadBound => Answer::Bound(Some(Extent {
                start: 0,
                end: state_end(partition),
            })),
            Question::ReadCommitted => Answer::Committed(self.committed[partition]),
            Question::ReadState { from, to } => {
                Answer::State(Box::new(self.restore(partition, from, to)?))
            }
            Question::DescribeLog => Answer::Log(LogExtent {
                start: NextOffset(number(log.start)),
                end: NextOffset(number(log.records.len())),
                topic_id: TopicId([7; 16]),
                partitions: PARTITIONS as u32,
            }),
            Question::ReadRecord(Offset(offset)) => {
                let offset = usize::try_from(offset).unwrap();
                let record = log.records[offset].as_ref().filter(|_| offset >= log.start);
                Answer::Record(record.map(|request| {
                    fingerprint(
                        request.key.as_deref(),
                        request.value.as_deref(),
                        number(offset),
                    )
                }))
            }
            Question::ReadServiceSize => {
                let visible = self.visible(0, 0, state_end(0))?;
                Answer::ServiceSize(visible.iter().find_map(|record| {
                    let value = record.value.as_deref();
                    match state::decode(&record.key, value, None).ok()?.content {
                        Content::Footer(footer) => Some(footer.partitions),
                        _ => None,
                    }
                }))
            }
        })
    }

    fn foreign_step(&mut self, node: usize) {
        let live = self.live(node);
        let writer = live.writer;
        let Some((partition, assignment, from, to)) = live.foreign.pop() else {
            return;
        };
        let end = to.unwrap_or_else(|| number(self.states[index(partition)].records.len()));
        let Some(records) = self.visible(index(partition), from, end) else {
            return self
                .live(node)
                .foreign
                .push((partition, assignment, from, to));
        };
        let keys = records
            .into_iter()
            .filter(|record| {
                let header = record.header.as_ref().map(<[u8; 16]>::as_slice);
                let record = state::decode(&record.key, record.value.as_deref(), header);
                let batch = record.ok().and_then(|record| record.batch);
                batch.is_none_or(|batch| batch.writer != writer)
            })
            .map(|record| record.key.clone())
            .collect();
        self.input(
            node,
            Input::Foreign {
                partition,
                assignment,
                keys,
                end,
            },
        );
    }
}

/// One history, from nothing to everybody's leaving.
fn live_through(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.come_to_rest();
    for partition in 0..PARTITIONS {
        world.check_state(partition);
    }
    world.stop();
    world.check_all_answers();
    eprintln!("STAT {seed} commits {} runs {} memberships {} requests {} tx {} leftovers {} late {}", world.commits, world.runs, world.memberships, world.requests.iter().map(|r| r.records.len()).sum::<usize>(), world.transactions.len(), world.leftovers.len(), world.transactions.iter().filter(|t| t.node==usize::MAX).count());
}

#[test]
fn i1_to_i4_hold_whatever_fails_and_whoever_owns() {
    for seed in 0..SEEDS {
        let history = std::panic::catch_unwind(|| live_through(seed));
        assert!(history.is_ok(), "seed {seed}");
    }
}
