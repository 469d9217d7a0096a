//! One process: the shipped instance, its clients, and what is under way.

use std::collections::{BTreeMap, BTreeSet};

use sequencer::core::link::LinkKey;
use sequencer::core::{NextOffset, Offset, Timestamp};
use sequencer::processor::instance::trouble::ReadFailure;
use sequencer::processor::instance::{Effect, Input, Instance, Options, Phase, Run};
use sequencer::processor::partition::{Output, Record, Service};
use sequencer::processor::reading::{OffsetReset, offset_reset, requests_view};
use sequencer::processor::replies::Token;
use sequencer::processor::takeover::Takeover;
use sequencer::processor::transaction::Transaction as Steps;
use sequencer::wire::headers::{Headers, Names};
use sequencer::wire::route::{AllowList, Routing};

use crate::forwards::Parcel;
use crate::group::{Known, Rebalances, SESSION_MS};
use crate::log::Uid;
use crate::rescale::AskedParent;
use crate::takeover::{Asked, TOPIC};
use crate::transactions::{Carried, TRANSACTION_TIMEOUT_MS};
use crate::world::{Started, Unread, World};

/// Where a consumer reads a partition.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub at: i64,
    /// Cuts of the log that it knows of.
    pub cuts: usize,
}

/// Most time until a process that has ended is started again: others have taken its partitions over by then.
const AWAY_MS_MAX: usize = 4 * SESSION_MS as usize;
/// How many of the processes that end are not started again at once, in a hundred.
const AWAY_PERCENT: usize = 30;
/// One in so many commits of answers without a footer is the last that its process sends.
const LOST_AT_COMMIT_ONE_IN: usize = 6;

/// State log to look at for records of others.
pub struct Foreign {
    pub partition: i32,
    pub assignment: u32,
    pub from: i64,
    pub to: Option<i64>,
}

pub struct Node {
    pub instance: Instance,
    pub run: u64,
    pub transactional_id: usize,
    pub producer_epoch: u32,
    pub reading: BTreeMap<i32, Reading>,
    pub asked: Vec<Asked>,
    pub foreign: Vec<Foreign>,
    pub parents: Vec<AskedParent>,
    pub carried: Option<Carried>,
    /// Replies on their way.
    pub unacknowledged: Vec<(Token, Uid)>,
    pub forwards: Vec<Parcel>,
    pub rebalances: Rebalances,
    /// A revocation waits for its answer; whether it was a loss.
    pub revoking: Option<bool>,
    /// What it believes to own.
    pub assigned: BTreeSet<i32>,
    /// None when it has heard that it is no member.
    pub known: Option<Known>,
    /// As of the last answer to a rebalance; none after a loss.
    pub answered: Option<Known>,
    /// Was thrown out, and joins again before it hears of it.
    pub joins_unaware: bool,
    pub fenced_ourselves: bool,
    /// Another process has made a producer of the same transactional ID.
    pub contested: bool,
    pub stopping: bool,
    pub paused_until_ms: u64,
    /// Bounds that its takeovers read, and the number of repairs when they began, by partition and assignment.
    pub bounds: BTreeMap<(i32, u32), (i64, u64)>,
}

pub fn names() -> Names {
    Names::default()
}

pub fn link_key(run: u64) -> LinkKey {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&run.to_be_bytes());
    LinkKey(key)
}

/// Life and death.
impl World {
    pub fn begin(&mut self, node: usize) {
        self.runs += 1;
        let run = self.runs;
        let transactional_id = node % self.config.processes;
        let producer_epoch = self.init_producer(transactional_id, run);
        let options = Options {
            service: Service {
                mode: self.config.mode,
                group: "group".into(),
                instance: format!("process {transactional_id}"),
                reply_partitions: 2,
                routing: Routing {
                    names: names(),
                    allow: AllowList::new(vec!["*.reply".into()], vec!["requests".into()]),
                    default_topic: "replies".into(),
                },
                rewrite_floor_records: self.config.rewrite_floor,
            },
            run: Run {
                writer: run,
                link_key: link_key(run),
            },
            checkpoint_interval_ms: 20,
            footer_interval_ms: self.config.footer_interval_ms,
            transaction_timeout_ms: TRANSACTION_TIMEOUT_MS,
            revoke_deadline_ms: 100,
            stop_deadline_ms: 1_000_000,
        };
        self.nodes[node] = Some(Node {
            instance: Instance::new(options),
            run,
            transactional_id,
            producer_epoch,
            reading: BTreeMap::new(),
            asked: Vec::new(),
            foreign: Vec::new(),
            parents: Vec::new(),
            carried: None,
            unacknowledged: Vec::new(),
            forwards: Vec::new(),
            rebalances: Rebalances::new(),
            revoking: None,
            assigned: BTreeSet::new(),
            known: None,
            answered: None,
            joins_unaware: false,
            fenced_ourselves: false,
            contested: false,
            stopping: false,
            paused_until_ms: 0,
            bounds: BTreeMap::new(),
        });
        self.join(node);
    }

    /// The process is gone; what it had sent may still arrive.
    pub fn crash(&mut self, node: usize) {
        let Some(live) = self.nodes[node].take() else {
            return;
        };
        self.forwards_on_their_way(&live);
        let open = live.carried.as_ref();
        if let Some(number) = open.and_then(|carried| carried.transaction)
            && self.faulty()
        {
            self.transactions.all[number].slow_offsets |= self.random.chance(50);
        }
        if self.faulty() && self.random.chance(AWAY_PERCENT) {
            self.stay_away(node);
        }
        if let Some(carried) = &live.carried
            && let (Some(sequencer::processor::transaction::Action::Commit), Some(number)) =
                (carried.calling, carried.transaction)
        {
            self.commit_on_its_way(live.transactional_id, carried.epoch, number);
        }
        if self.group.members.remove(&node).is_some() {
            self.group.generation += 1;
        }
        self.disown(node);
    }

    fn stay_away(&mut self, node: usize) {
        let length = self.random.below(AWAY_MS_MAX) as u64;
        self.away_until_ms[node] = self.now_ms + length;
    }

    /// The process stands still. Its commit may have reached the coordinator before.
    pub fn pause(&mut self, node: usize) {
        if self.faulty() && self.random.chance(50) {
            self.commit_unheard(node);
        }
        let length = SESSION_MS / 2 + self.random.below(3 * SESSION_MS as usize) as u64;
        let until_ms = self.now_ms + length;
        if let Some(live) = &mut self.nodes[node] {
            live.paused_until_ms = until_ms;
        }
        if length > SESSION_MS {
            self.throw_out(node);
        }
    }

    /// The process is lost while it waits for the end of a commit of answers without a footer, which is decided and
    /// which nothing but the group's offset shows. It is away for long enough that another takes its partitions over
    /// before the group has that offset. True when it was lost.
    pub fn is_lost_at_commit(&mut self, node: usize) -> bool {
        let carried = self.live(node).carried.iter();
        let mut sections = carried.flat_map(|carried| &carried.checkpoint.sections);
        let is_without_footer = sections.any(|section| section.answered.is_some());
        let is_due = is_without_footer && self.faulty();
        if !is_due || !self.random.one_in(LOST_AT_COMMIT_ONE_IN) || !self.commit_unheard(node) {
            return false;
        }
        self.coverage.fault("process lost behind its commit");
        if self.random.chance(50) {
            self.pause(node);
        } else {
            self.crash(node);
            self.stay_away(node);
        }
        true
    }

    /// The commit that the process waits for is decided, and the group is slow to take the offsets. False when it
    /// waits for none.
    fn commit_unheard(&mut self, node: usize) -> bool {
        let live = self.nodes[node].as_ref();
        let Some((live, carried)) = live.and_then(|live| Some((live, live.carried.as_ref()?)))
        else {
            return false;
        };
        let commit = Some(sequencer::processor::transaction::Action::Commit);
        let number = carried.transaction.filter(|_| carried.calling == commit);
        let is_current =
            self.transactions.coordinators[live.transactional_id].epoch == carried.epoch;
        let Some(number) = number.filter(|_| is_current) else {
            return false;
        };
        self.transactions.all[number].slow_offsets = true;
        self.decide(number, crate::transactions::Fate::Committed);
        self.transactions.all[number].fate == crate::transactions::Fate::Committed
    }

    pub fn stop_node(&mut self, node: usize) {
        if let Some(live) = &mut self.nodes[node]
            && !live.stopping
        {
            live.stopping = true;
            self.input(node, Input::Stop);
        }
    }

    /// Another one with the same transactional ID is there.
    pub fn twin(&self, node: usize) -> usize {
        (node + self.config.processes) % self.nodes.len()
    }

    pub fn node_step(&mut self, node: usize) {
        let Some(live) = &self.nodes[node] else {
            // Nobody starts a second process of an ID but by mistake.
            let is_away = self.faulty() && self.now_ms < self.away_until_ms[node];
            let is_alone = self.nodes[self.twin(node)].is_none();
            if is_alone && !is_away && node < self.config.processes {
                self.begin(node);
            }
            return;
        };
        if self.now_ms < live.paused_until_ms || self.point(node) {
            return;
        }
        match self.random.below(27) {
            0..5 => self.deliver(node),
            5..7 => self.end_of_partition(node),
            7..10 => self.acknowledge(node),
            10..16 => self.transaction_step(node),
            16..19 => self.takeover_step(node),
            19 => {
                self.foreign_step(node);
                self.parent_step(node);
            }
            20 => self.rebalance_step(node),
            21 => self.fenced_step(node),
            22 => self.heartbeat(node),
            23 => self.look_at_topic(node),
            _ => self.forward_step(node),
        }
        self.input(node, Input::Tick);
    }
}

/// Inputs and effects.
impl World {
    fn look_at_topic(&mut self, node: usize) {
        self.input(node, Input::RequestTopic(self.topic));
        let Some(live) = &self.nodes[node] else {
            return;
        };
        for report in live.instance.report() {
            let gone = self.is_in_another_topic(report.partition);
            let goes_on = matches!(report.phase, Phase::Running | Phase::Draining);
            assert!(
                !(gone && self.topic != TOPIC && goes_on),
                "I6: partition {} goes on in a topic that was made again",
                report.partition
            );
        }
    }

    pub fn input(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(live) = &mut self.nodes[node] else {
            return;
        };
        let run = live.run;
        let mut effects = Vec::new();
        live.instance.on(now_ms, input, &mut effects);
        for effect in effects {
            let alive = |live: &Node| live.run == run;
            if !self.nodes[node].as_ref().is_some_and(alive) || self.point(node) {
                return;
            }
            self.carry_out(node, effect);
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::AcceptAssignment => {
                let live = self.live(node);
                live.answered = live.known;
            }
            Effect::Restore {
                partition,
                assignment,
            } => {
                let run = self.live(node).run;
                let takeover = Takeover::new(partition, "group", link_key(run));
                let repairs = self.partitions[partition as usize].repairs;
                let asked = Asked::new(partition, assignment, takeover, repairs);
                self.live(node).asked.push(asked);
            }
            Effect::Fetch { partition, from } => self.fetch(node, partition, from.0),
            Effect::StopFetching { partition } => {
                self.live(node).reading.remove(&partition);
            }
            Effect::GiveUp { partitions } => self.give_up(node, &partitions),
            Effect::Transact(checkpoint) => {
                let now_ms = self.now_ms;
                let live = self.live(node);
                assert!(live.carried.is_none(), "one transaction at a time");
                let landed = vec![Vec::new(); checkpoint.sections.len()];
                live.carried = Some(Carried {
                    steps: Steps::default(),
                    checkpoint,
                    landed,
                    transaction: None,
                    calling: None,
                    begun: live.answered.map(Known::id),
                    member: None,
                    epoch: live.producer_epoch,
                    begun_ms: now_ms,
                    too_late: false,
                    unanswered: false,
                });
            }
            Effect::CancelTransaction => {
                if let Some(carried) = &mut self.live(node).carried {
                    carried.steps.cancel();
                }
            }
            Effect::Fence => self.fence(node),
            Effect::ReadForeign {
                partition,
                assignment,
                from,
                to,
            } => self.live(node).foreign.push(Foreign {
                partition,
                assignment,
                from,
                to,
            }),
            Effect::ReadParent {
                partition,
                assignment,
                parent,
                homes,
            } => self.live(node).parents.push(AskedParent {
                partition,
                assignment,
                parent,
                homes,
            }),
            Effect::Leave => {
                assert!(self.live(node).stopping);
                self.coverage.state("process left in order");
                self.crash(node);
            }
            Effect::StartOver => self.crash(node),
            Effect::ExitFenced => {
                assert!(self.live(node).contested, "T6: nobody else had this ID");
                self.coverage
                    .state("process ended: its ID is in use elsewhere");
                self.crash(node);
            }
        }
    }

    fn fence(&mut self, node: usize) {
        self.coverage
            .state("own transaction fenced at the deadline");
        let live = self.live(node);
        let (id, run) = (live.transactional_id, live.run);
        live.fenced_ourselves = true;
        // A commit under way may arrive before it.
        let committing = live.carried.as_ref().and_then(|carried| {
            let commit = Some(sequencer::processor::transaction::Action::Commit);
            let number = carried.transaction.filter(|_| carried.calling == commit)?;
            Some((carried.epoch, number))
        });
        if let Some((epoch, number)) = committing
            && self.random.chance(50)
            && self.transactions.coordinators[id].epoch == epoch
        {
            self.decide(number, crate::transactions::Fate::Committed);
        }
        let epoch = self.init_producer(id, run);
        self.live(node).producer_epoch = epoch;
    }

    fn fetch(&mut self, node: usize, partition: i32, from: i64) {
        let index = partition as usize;
        let live = self.nodes[node].as_ref().expect("a live process");
        let (run, assignment) = (live.run, self.assignment_of(node, partition));
        let bound = live.bounds.get(&(partition, assignment)).copied();
        let started = self.partitions[index].started;
        let goes_on =
            started.is_some_and(|begun| (begun.run, begun.assignment) == (run, assignment));
        if goes_on {
            self.coverage.state("fetched again by its owner");
        } else if self.owns(node, index) {
            self.partitions[index].started = Some(Started {
                run,
                assignment,
                bound: bound.map_or(0, |(end, _)| end),
            });
            // A takeover that began before a repair meets the reason for the halt again.
            if bound.is_none_or(|(_, repairs)| repairs == self.partitions[index].repairs) {
                self.check_start(index, from);
            }
        }
        // By the shipped code's own word, as the consumer has librdkafka compare the log.
        let leader_epoch = self.live(node).instance.leader_epoch(partition);
        let cuts = self.partitions[index].requests.cuts_known(leader_epoch);
        let reading = Reading { at: from, cuts };
        let fetched = self.live(node).reading.insert(partition, reading);
        assert!(
            fetched.is_none(),
            "partition {partition} is fetched already"
        );
    }

    /// The assignment under which a partition was taken over last.
    fn assignment_of(&self, node: usize, partition: i32) -> u32 {
        let live = self.nodes[node].as_ref().expect("a live process");
        let known = live.bounds.keys().filter(|(known, _)| *known == partition);
        known.map(|(_, assignment)| *assignment).max().unwrap_or(0)
    }

    fn fenced_step(&mut self, node: usize) {
        if std::mem::take(&mut self.live(node).fenced_ourselves) {
            self.input(node, Input::FencedOurselves);
        }
    }
}

/// Consuming and replying.
impl World {
    fn chosen_reading(&mut self, node: usize) -> Option<(i32, Reading)> {
        let count = self.live(node).reading.len();
        if count == 0 {
            return None;
        }
        let chosen = self.random.below(count);
        let (partition, reading) = self.live(node).reading.iter().nth(chosen)?;
        Some((*partition, *reading))
    }

    fn deliver(&mut self, node: usize) {
        let Some((partition, mut reading)) = self.chosen_reading(node) else {
            return;
        };
        let index = partition as usize;
        let log = &self.partitions[index].requests;
        let cut = log.cuts[reading.cuts.min(log.cuts.len())..]
            .iter()
            .any(|cut| reading.at > *cut);
        if cut || reading.at < log.start || reading.at > log.replicated {
            self.coverage.state("consumer's offset is not in the log");
            if offset_reset() == OffsetReset::Error {
                return self.input(node, Input::LogError { partition });
            }
            reading.at = log.start;
        }
        reading.cuts = log.cuts.len();
        self.read_fails(node, partition, &mut reading);
        self.live(node).reading.insert(partition, reading);
        for _ in 0..1 + self.random.below(4) {
            let log = &self.partitions[index].requests;
            let live = self.nodes[node].as_mut().expect("a live process");
            if reading.at >= log.end_for(requests_view()) || !live.instance.takes_records() {
                break;
            }
            let at = reading.at;
            reading.at += 1;
            live.reading.insert(partition, reading);
            let seen = match requests_view() {
                sequencer::processor::reading::View::Committed => {
                    log.committed_at(at, &self.transactions)
                }
                sequencer::processor::reading::View::Uncommitted => log.record(at),
            };
            if let Some(record) = seen {
                let record = record.clone();
                if self.one_record(node, partition, at, &record) {
                    return;
                }
            }
        }
    }

    /// The consumer is told, passes over what it could not read, and goes on behind it.
    fn read_fails(&mut self, node: usize, partition: i32, reading: &mut Reading) {
        let index = partition as usize;
        let failing = |unread: &Unread| self.now_ms < unread.until_ms;
        let Some(unread) = self.partitions[index].unread.filter(failing) else {
            return;
        };
        self.coverage.state("partition stopped by an error");
        let failure = ReadFailure {
            offset: Offset(reading.at),
            problem: "it failed".to_owned(),
            in_log: unread.in_log,
        };
        let left = self.partitions[index].requests.end_for(requests_view()) - reading.at;
        reading.at += self.random.below(3.min(left.max(0) as usize) + 1) as i64;
        self.live(node).instance.read_failed(partition, failure);
    }

    /// True when the process is gone.
    fn one_record(
        &mut self,
        node: usize,
        partition: i32,
        at: i64,
        record: &crate::log::Record,
    ) -> bool {
        let uid = record.what.uid().expect("a request");
        let names = names();
        let all = record.headers.iter();
        let all = all.map(|(name, value)| (name.as_bytes(), Some(value.as_slice())));
        let headers = Headers::collect(&names, all);
        let live = self.nodes[node].as_mut().expect("a live process");
        let output = live.instance.record(Record {
            partition,
            leader_epoch: record.leader_epoch,
            offset: Offset(at),
            timestamp: Timestamp(record.timestamp),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
        let reply = match output {
            None => return false,
            Some(Output::Reply(reply)) => Ok((reply.token, reply.outgoing.body.to_vec())),
            Some(Output::Forward(forward)) => Err(Parcel::new(&forward, partition as usize, uid)),
            Some(Output::Several) => return self.several(node, partition, uid),
        };
        // The process may end between the answer and its sending.
        if self.point(node) {
            return true;
        }
        match reply {
            Ok((token, body)) => {
                self.live(node).unacknowledged.push((token, uid));
                self.reply_seen(uid, &body);
            }
            Err(parcel) => self.live(node).forwards.push(parcel),
        }
        false
    }

    fn end_of_partition(&mut self, node: usize) {
        let Some((partition, reading)) = self.chosen_reading(node) else {
            return;
        };
        let log = &self.partitions[partition as usize].requests;
        if reading.cuts == log.cuts.len() && reading.at == log.end_for(requests_view()) {
            let next = NextOffset(reading.at);
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
            let (token, uid) = live.unacknowledged.swap_remove(chosen);
            live.instance.acknowledged(token, 1);
            self.requests[uid].answers += 1;
        }
    }
}
