//! A simulation in miniature: instances over fake logs, with every fault that the rules T1 to T5
//! are about. One thread and one seeded source of choices, so that a seed that fails fails again.
//!
//! What stands in for Kafka is as plain as it can be: logs are vectors, an offset is an index, a
//! transaction is open, committed or aborted, the group is a table of owners. What is decided is
//! decided by the product's own [`Instance`], [`TransactionSteps`], [`Takeover`] and [`Restore`].
//!
//! Each commit and each reply is checked when it happens, against answers that were worked out when
//! the request was appended.

mod group;
mod logs;
mod node;
mod requests;
mod transactions;

use crate::processor::Mode;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::core::digest::fingerprint;
use crate::core::invariants::{i1_unique, i2_gapless_and_monotonic, i3_stable, i4_nothing_lost};
use crate::core::{Grant, Offset, Timestamp};
use crate::processor::partition::Service;
use crate::processor::restore::{Restore, Restored};
use crate::processor::takeover::{
    Action as Question, Committed, Event as Answer, RequestLog as LogExtent, StateLog as Extent,
    Step, Takeover,
};
use crate::processor::transaction::{Action, Failure, Transaction as TransactionSteps};
use crate::wire::state::{self, Content, TopicId};

const PARTITIONS: usize = 3;
const SEEDS: u64 = 300;
/// Steps with faults.
const STEPS: usize = 3_000;
/// The most that it may take to come to rest without them.
const STEPS_TO_REST_MAX: usize = 50_000;
/// How long it must stay there.
const STEPS_AT_REST: usize = 200;
const TRANSACTION_TIMEOUT_MS: u64 = 600;
/// In the place of a node: whoever's batch lands late.
const NOBODY: usize = usize::MAX;

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

    /// No more faults, until everything is answered and committed and stays so for a while.
    fn come_to_rest(&mut self) {
        self.faults = false;
        let mut at_rest = 0;
        for _ in 0..STEPS_TO_REST_MAX {
            at_rest = if self.is_at_rest() { at_rest + 1 } else { 0 };
            if at_rest > STEPS_AT_REST {
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

/// One history, from nothing to everybody's leaving.
fn live_through(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.come_to_rest();
    // Late batches, then one more checkpoint of each partition, by which its owner notices them.
    for _ in 0..10 {
        world.land_late();
    }
    for log in &mut world.requests {
        log.records.push(None);
    }
    world.come_to_rest();
    for partition in 0..PARTITIONS {
        world.check_state(partition);
    }
    world.stop();
    world.check_all_answers();
}

#[test]
fn i1_to_i4_hold_whatever_fails_and_whoever_owns() {
    for seed in 0..SEEDS {
        let history = std::panic::catch_unwind(|| live_through(seed));
        assert!(history.is_ok(), "seed {seed}");
    }
}
