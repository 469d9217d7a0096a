//! The whole world: logs, coordinator, group, processes, and the order of events.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sequencer::core::ledger::Hash;
use sequencer::processor::Mode;
use sequencer::processor::takeover::{Committed, Decided};
use sequencer::wire::state::TopicId;

use crate::group::Group;
use crate::log::{Log, Uid};
use crate::node::Node;
use crate::oracle::{Asked, Expected, Naive, Outcome, Position};
use crate::outside::Outside;
use crate::random::Random;
use crate::rescale::Operator;
use crate::trace::{Coverage, Trace};
use crate::transactions::{Coordinator, DelayedCommit, Leftover, Transactions};

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Config {
    pub seed: u64,
    pub mode: Mode,
    pub partitions: usize,
    /// Number of processes with a transactional ID of their own.
    pub processes: usize,
    /// Number of steps with faults.
    pub steps: usize,
    /// Number of requests with a `request_id` that a partition remembers.
    pub window: u32,
    pub names: usize,
    pub rewrite_floor: u64,
    /// Shortest time between two footers of a partition in `exactly_once` mode.
    pub footer_interval_ms: u64,
    /// Percentage of rebalances in which a partition moves although everybody lives.
    pub moves_percent: usize,
    /// Percentage of steps in which a marker is written.
    pub marker_percent: usize,
    pub faults: bool,
    /// True when logs lose committed records.
    pub losses: bool,
    /// True when the request topic may grow.
    pub grows: bool,
    /// True when a partition outside of N forwards requests, and clients copy forwarded ones.
    pub outside: bool,
    /// Number of rescales that the operator begins.
    pub rescales: usize,
    /// IDs up to this one are taken, in the first partitions.
    pub floor: i64,
    /// Total number of requests.
    pub requests_max: usize,
    /// Most records that brokers take in the time of a transaction, from the first step to the last.
    pub taken_in_time_max: usize,
    /// The point of the run at which a process is disturbed.
    pub disturb: Option<Disturb>,
}

/// One fault at one point.
#[derive(Clone, Copy, Debug)]
pub struct Disturb {
    pub at: usize,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process ends.
    Crash,
    /// The process pauses until the group has given its partitions away, and then goes on.
    Pause,
}

impl Config {
    pub fn of_seed(seed: u64) -> Config {
        let mut random = Random::new(seed ^ 0x5eed);
        Config {
            seed,
            mode: if seed.is_multiple_of(2) {
                Mode::Immediate
            } else {
                Mode::ExactlyOnce
            },
            partitions: 1 + random.below(3),
            processes: 1 + random.below(3),
            steps: 5_000,
            window: random.pick(&[0, 1, 3, 70, 100_000]),
            names: 2 + random.below(6),
            rewrite_floor: random.pick(&[5, 15, 1_000_000]),
            footer_interval_ms: random.pick(&[0, 300, 3_000, 3_000]),
            moves_percent: 30,
            marker_percent: random.pick(&[3, 10, 40]),
            faults: true,
            losses: seed % 4 >= 2,
            grows: random.one_in(3),
            requests_max: usize::MAX,
            taken_in_time_max: usize::MAX,
            outside: random.one_in(3),
            rescales: 0,
            floor: 0,
            disturb: None,
        }
        .with_slow_brokers(&mut random)
        .with_rescales(&mut random)
        .with_owners_that_stay(&mut random)
    }
}

impl Config {
    /// Makes brokers slow in one history of five. It is shorter, since each late transaction takes a thousand
    /// steps.
    fn with_slow_brokers(self, random: &mut Random) -> Config {
        match random.below(5) {
            0 => Config {
                taken_in_time_max: random.pick(&[60, 100]),
                requests_max: 400,
                ..self
            },
            _ => self,
        }
    }

    /// Rescales half of the histories without losses. They are longer and have fewer faults, because a rescale takes
    /// the takeover and a checkpoint of every partition.
    fn with_rescales(self, random: &mut Random) -> Config {
        let floor = random.pick(&[0, 0, 20]);
        let rescales = random.pick(&[0, 1, 2, 2]);
        if self.losses || rescales == 0 {
            return Config { floor, ..self };
        }
        Config {
            rescales,
            floor,
            partitions: 1 + random.below(2),
            steps: 8_000,
            grows: false,
            ..self
        }
    }
}

impl Config {
    /// Leaves partitions where they are in half of the histories. Where an owner changes with every few records, hardly
    /// any answer is committed without a footer.
    fn with_owners_that_stay(self, random: &mut Random) -> Config {
        Config {
            moves_percent: random.pick(&[self.moves_percent, 2]),
            ..self
        }
    }
}

/// The folded log of a partition, by the oracle.
pub struct Folding {
    pub outcomes: Vec<Option<(Uid, Outcome)>>,
    /// The state before each offset.
    pub snapshots: Vec<Rc<Naive>>,
    /// The record at which no owner can go on.
    pub broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    pub at: i64,
    /// The word with which the owner halts.
    pub code: &'static str,
}

/// The committed state of a partition, whether a reader sees it yet or not.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    pub next: i64,
    pub last_applied: Option<i64>,
}

/// The process that fetches a partition as its owner.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub run: u64,
    pub assignment: u32,
    /// The bound of its takeover.
    pub bound: i64,
}

pub struct Part {
    pub requests: Log,
    pub folding: Folding,
    /// None while the state topic lacks the partition.
    pub state: Option<Log>,
    pub truth: Option<Truth>,
    /// The committed offset, whether a reader sees it yet or not: everything below it is answered. It may lie beyond
    /// the state.
    pub answered: i64,
    /// The hash of each sequence's last committed ledger record.
    pub ledger: BTreeMap<String, Hash>,
    /// The committed offset of the group.
    pub committed: Option<Committed>,
    /// True when an operator has moved that offset, and no commit has come since.
    pub is_moved: bool,
    pub owner: Option<usize>,
    pub started: Option<Started>,
    /// True when checkpointed records are gone from the log.
    pub cut_below: bool,
    /// The lowest offset of such a cut since the last repair.
    pub cut_at: Option<i64>,
    /// The state at the last checkpoint. None when the checkpoint covers records that a log has lost.
    pub checkpointed: Option<Rc<Naive>>,
    /// True when its owner has lost what it wrote, and has not yet written all of it again.
    pub state_lost: bool,
    /// Copies of strays that its log has lost, or that a repair skipped: their sources and their positions
    /// there.
    pub lost_copies: BTreeSet<(u32, Position)>,
    /// Number of repairs so far.
    pub repairs: u64,
    /// True when no restore has ended since the last repair.
    pub repair_unseen: bool,
    /// The end of the last repair in the state log.
    pub repaired_to: i64,
    /// Present while fetches of the partition fail.
    pub unread: Option<Unread>,
}

/// A request, its expected answer, and its actual answers.
pub struct Request {
    pub asked: Asked,
    pub key: Option<Vec<u8>>,
    /// The partition and offset that its reply names.
    pub partition: usize,
    pub offset: i64,
    /// The partition in whose log it came first.
    pub lies_in: usize,
    /// How many times it had been forwarded when it came there.
    pub hops: u8,
    pub transaction: Option<usize>,
    pub expected: Option<Expected>,
    /// The first reply that any reader saw.
    pub body: Option<Vec<u8>>,
    /// Number of acknowledged or committed replies.
    pub answers: u64,
    /// True when the request is gone from a log, so that nothing is promised.
    pub lost: bool,
    /// True when an operator has moved the group's offset, so that the answer may come again.
    pub may_repeat: bool,
}

pub struct World {
    pub config: Config,
    pub random: Random,
    pub trace: Trace,
    pub coverage: Coverage,
    pub now_ms: u64,
    /// True when no more faults come.
    pub calm: bool,
    pub partitions: Vec<Part>,
    pub requests: Vec<Request>,
    /// Requests by place, with those of a log that was cut.
    pub places: BTreeMap<(usize, i64), Vec<Uid>>,
    /// Strays whose copy was acknowledged, with the partition that forwarded it.
    pub forwarded: BTreeSet<(usize, Uid)>,
    pub decided: Option<Decided>,
    pub transactions: Transactions,
    pub clients: Vec<usize>,
    pub group: Group,
    pub nodes: Vec<Option<Node>>,
    /// Until when a process that has ended is not started again, by process.
    pub away_until_ms: Vec<u64>,
    pub runs: u64,
    pub leftovers: Vec<Leftover>,
    pub delayed_commits: Vec<DelayedCommit>,
    pub late_records: Vec<crate::transactions::LateRecords>,
    pub late_forwards: Vec<crate::forwards::Late>,
    pub outside: Outside,
    pub operator: Operator,
    /// Orders that were acknowledged: the partition that gave it, the offset of its cause there, and the partition
    /// that it went to.
    pub orders: BTreeSet<(usize, i64, usize)>,
    /// Partitions that were damaged on purpose, and the word with which they must halt.
    pub damaged: BTreeMap<usize, &'static str>,
    /// True when the state topic is gone.
    pub no_state_topic: bool,
    /// Folds of records that a log has lost since.
    pub voids: Vec<Void>,
    /// The request topic, until it is created again.
    pub topic: TopicId,
    pub points: usize,
}

/// Until when a partition's requests cannot be read, and whether the error blames the log.
#[derive(Clone, Copy)]
pub struct Unread {
    pub until_ms: u64,
    pub in_log: bool,
}

/// The owner with this assignment may have folded records above `at` that the log has lost.
pub struct Void {
    pub run: u64,
    pub partition: usize,
    pub assignment: u32,
    pub at: i64,
}

/// Most steps until the world is at rest. Where four processes share the turns and every transaction before was late,
/// the only owner begins with transactions of one record: 150,000 steps were seen.
const STEPS_TO_REST_MAX: usize = 200_000;
/// Steps that it must stay at rest.
const STEPS_AT_REST: usize = 150;

impl World {
    pub fn new(config: Config) -> World {
        let mut world = World {
            random: Random::new(config.seed),
            trace: Trace::default(),
            coverage: Coverage::default(),
            now_ms: 0,
            calm: false,
            partitions: Vec::new(),
            requests: Vec::new(),
            places: BTreeMap::new(),
            forwarded: BTreeSet::new(),
            decided: None,
            transactions: Transactions::default(),
            clients: Vec::new(),
            group: Group::default(),
            // The second half has the transactional IDs of the first.
            nodes: (0..2 * config.processes).map(|_| None).collect(),
            away_until_ms: vec![0; 2 * config.processes],
            runs: 0,
            leftovers: Vec::new(),
            delayed_commits: Vec::new(),
            late_records: Vec::new(),
            late_forwards: Vec::new(),
            outside: Outside::default(),
            operator: Operator::default(),
            orders: BTreeSet::new(),
            damaged: BTreeMap::new(),
            no_state_topic: false,
            voids: Vec::new(),
            topic: crate::takeover::TOPIC,
            points: 0,
            config,
        };
        world.transactions.coordinators = vec![Coordinator::default(); world.config.processes];
        for _ in 0..world.config.partitions {
            world.add_partition(true);
        }
        world
    }

    pub fn add_partition(&mut self, with_state: bool) {
        self.partitions.push(Part {
            requests: Log::default(),
            folding: Folding {
                outcomes: Vec::new(),
                snapshots: vec![Rc::new(Naive::new(self.config.window as usize))],
                broken: None,
            },
            state: with_state.then(Log::default),
            truth: None,
            answered: 0,
            ledger: BTreeMap::new(),
            committed: None,
            is_moved: false,
            owner: None,
            started: None,
            cut_below: false,
            cut_at: None,
            checkpointed: None,
            state_lost: false,
            lost_copies: BTreeSet::new(),
            repairs: 0,
            repair_unseen: false,
            repaired_to: 0,
            unread: None,
        });
    }

    pub fn faulty(&self) -> bool {
        self.config.faults && !self.calm
    }

    pub fn live(&mut self, node: usize) -> &mut Node {
        self.nodes[node].as_mut().expect("a live process")
    }

    /// Moves the time on, and lets one event happen.
    pub fn step(&mut self) {
        crate::STEP.set(crate::STEP.get() + 1);
        self.coverage.steps += 1;
        self.pass_time();
        self.brokers();
        match self.random.below(100) {
            0..16 if !self.calm => self.client_step(),
            16..22 => self.rebalance(),
            22..24 => self.compact_some(),
            24..26 if self.faulty() && self.is_time_for_a_fault() => self.fault(),
            26..30 => self.client_transaction_step(),
            _ => {
                let node = self.some_node();
                self.node_step(node);
            }
        }
    }

    fn is_time_for_a_fault(&mut self) -> bool {
        self.config.rescales == 0 || self.random.one_in(3)
    }

    /// A process that runs, or that may be started.
    fn some_node(&mut self) -> usize {
        let able: Vec<usize> = (0..self.nodes.len())
            .filter(|node| *node < self.config.processes || self.nodes[*node].is_some())
            .collect();
        self.random.pick(&able)
    }

    fn pass_time(&mut self) {
        let passed = if self.faulty() && self.random.one_in(1_000) {
            self.coverage.fault("everything stood still for minutes");
            self.random.below(20 * 60 * 1_000) as u64
        } else {
            self.random.below(4) as u64
        };
        self.now_ms += passed;
        self.coverage.simulated_ms += passed;
    }

    /// Runs replication, markers and timeouts. The oracle folds the records that became visible.
    fn brokers(&mut self) {
        self.time_out_transactions();
        self.land_late_records();
        if self.random.chance(self.config.marker_percent) {
            self.some_marker();
        }
        for partition in 0..self.partitions.len() {
            let part = &mut self.partitions[partition];
            for log in std::iter::once(&mut part.requests).chain(&mut part.state) {
                let behind = (log.end() - log.replicated) as usize;
                if behind > 0 && self.random.chance(50) {
                    log.replicated += 1 + self.random.below(behind) as i64;
                }
            }
            self.fold_visible(partition);
        }
        self.late_forward();
        self.forward_outside();
    }

    /// Runs without new requests and faults, until everything is answered and committed and stays so.
    pub fn come_to_rest(&mut self) {
        self.calm = true;
        for client in std::mem::take(&mut self.clients) {
            self.end_client(client);
        }
        let mut at_rest = 0;
        for _ in 0..STEPS_TO_REST_MAX {
            at_rest = if self.is_at_rest() { at_rest + 1 } else { 0 };
            if at_rest > STEPS_AT_REST {
                return;
            }
            self.step();
        }
        self.no_rest();
    }

    fn is_at_rest(&self) -> bool {
        let idle = |node: &Node| {
            node.carried.is_none()
                && node.foreign.is_empty()
                && node.parents.is_empty()
                && node.forwards.is_empty()
        };
        self.transactions.prepared.is_empty()
            && self.outside.forwards.is_empty()
            && self.nodes.iter().flatten().all(idle)
            && (0..self.partitions.len()).all(|partition| self.is_settled(partition))
    }

    /// True when the partition has caught up and committed, or has stopped for a good reason.
    fn is_settled(&self, partition: usize) -> bool {
        let part = &self.partitions[partition];
        if self.must_stop(partition) {
            return self.halted(partition).is_some();
        }
        let stable = part.requests.stable();
        let shown = part.committed.map(|committed| committed.next.0);
        // A repair, or an operator, leaves the group's offsets to the next commit, which does not come without
        // requests. Until then the group shows another offset, which says nothing about the log.
        self.halted(partition).is_none()
            && stable == part.requests.end()
            && part.truth.is_some_and(|truth| truth.next == stable)
            && (shown == Some(stable) || part.repairs > 0 || part.is_moved)
    }

    /// Lets all processes leave in order.
    pub fn stop(&mut self) {
        for node in 0..self.nodes.len() {
            self.stop_node(node);
        }
        for _ in 0..STEPS_TO_REST_MAX {
            if self.nodes.iter().all(Option::is_none) {
                return;
            }
            crate::STEP.set(crate::STEP.get() + 1);
            self.pass_time();
            self.brokers();
            let node = self.random.below(self.nodes.len());
            if self.nodes[node].is_some() {
                self.node_step(node);
            }
        }
        panic!("liveness: somebody does not leave");
    }

    /// A point at which a process can be disturbed. True when it was.
    pub fn point(&mut self, node: usize) -> bool {
        self.points += 1;
        let kind = match self.config.disturb {
            Some(disturb) => (disturb.at + 1 == self.points).then_some(disturb.kind),
            None if self.faulty() => self.random.one_in(1_500).then_some(Kind::Crash),
            None => None,
        };
        match kind {
            Some(Kind::Crash) => {
                self.coverage.fault("process killed between two effects");
                self.crash(node);
                true
            }
            Some(Kind::Pause) => {
                self.coverage.fault("process paused between two effects");
                self.pause(node);
                false
            }
            None => false,
        }
    }
}
