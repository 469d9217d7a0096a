//! Transactions as their coordinator knows them, and the calls by which a process carries one out.
//!
//! The coordinator's decision (prepare) is one moment, at which everything is checked; its markers
//! come into the logs later, one by one, and only then do readers see what was decided.

use std::collections::BTreeSet;

use sequencer::processor::checkpoint::{Checkpoint, Written};
use sequencer::processor::instance::Input;
use sequencer::processor::membership::{MemberId, may_send};
use sequencer::processor::takeover::Committed;
use sequencer::processor::transaction::{Action, Failure, Outcome, Transaction as Steps};
use sequencer::wire::ledger::Lines;

use crate::group::Known;
use crate::log::{Record, What};
use crate::world::{Void, World};

pub const TRANSACTION_TIMEOUT_MS: u64 = 1_500;
/// Attempts that it takes on average until a slow coordinator hears of the end of a transaction.
const SLOW_ONE_IN: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogId {
    Requests(usize),
    State(usize),
    /// The group's offsets.
    Offsets,
}

/// One section of a checkpoint, as the checks see it.
#[derive(Clone, Debug)]
pub struct Piece {
    pub partition: usize,
    pub run: u64,
    pub assignment: u32,
    pub next: i64,
    /// False for a section of replies and offset alone.
    pub has_footer: bool,
    /// Where its first record lies.
    pub first: Option<i64>,
    pub replies: Vec<Vec<u8>>,
    /// Its pages of the ledger.
    pub ledger: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub struct Transaction {
    pub opened_ms: u64,
    pub fate: Fate,
    /// Logs that it wrote to and that have no marker yet.
    pub pending: BTreeSet<LogId>,
    pub offsets: Vec<(usize, Committed)>,
    pub pieces: Vec<Piece>,
    /// Records of an earlier transaction that landed in this one.
    pub late: Vec<Piece>,
    /// A partition in it was given up in order: it must not be committed from here on (T3).
    pub too_late: bool,
    /// True when its process has ended, and the group's coordinator is slow to hear of its end.
    pub slow_offsets: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Coordinator {
    pub epoch: u32,
    pub current: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Transactions {
    pub all: Vec<Transaction>,
    /// Decided, with markers to come.
    pub prepared: BTreeSet<usize>,
    /// By transactional ID.
    pub coordinators: Vec<Coordinator>,
}

/// A transaction as the process that carries it out knows it.
pub struct Carried {
    pub steps: Steps,
    pub checkpoint: Box<Checkpoint>,
    /// By section, where its records lie so far.
    pub landed: Vec<Vec<i64>>,
    pub transaction: Option<usize>,
    /// The call that has not returned yet.
    pub calling: Option<Action>,
    /// The member that it was begun as; none, as librdkafka says generation -1.
    pub begun: Option<MemberId>,
    /// The member that its offsets are sent as, and the generation.
    pub member: Option<Known>,
    pub epoch: u32,
    pub begun_ms: u64,
    pub too_late: bool,
    /// True while a broker has not answered all of its produce requests.
    pub unanswered: bool,
}

/// How a call ends.
enum Called {
    Waits,
    Succeeded,
    Failed(Failure),
}

/// A batch that was written and never committed.
pub struct Leftover {
    pub partition: usize,
    pub run: u64,
    pub next: i64,
    pub records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// An end of a transaction on its way to the coordinator.
pub struct DelayedCommit {
    pub due_ms: u64,
    pub id: usize,
    pub epoch: u32,
    pub transaction: usize,
}

/// Produce requests of an aborted transaction, which a broker handles later.
pub struct LateRecords {
    pub due_ms: u64,
    pub id: usize,
    pub epoch: u32,
    pub pieces: Vec<Piece>,
}

/// The coordinator.
impl World {
    pub fn open_transaction(&mut self, id: Option<usize>) -> usize {
        let number = self.transactions.all.len();
        self.transactions.all.push(Transaction {
            opened_ms: self.now_ms,
            fate: Fate::Open,
            pending: BTreeSet::new(),
            offsets: Vec::new(),
            pieces: Vec::new(),
            late: Vec::new(),
            too_late: false,
            slow_offsets: false,
        });
        if let Some(id) = id {
            self.transactions.coordinators[id].current = Some(number);
        }
        number
    }

    /// The decision.
    pub fn decide(&mut self, number: usize, fate: Fate) {
        let transaction = &mut self.transactions.all[number];
        if transaction.fate != Fate::Open {
            return;
        }
        transaction.fate = fate;
        self.trace.number(number as i64);
        self.transactions.prepared.insert(number);
        if fate == Fate::Committed {
            self.check_commit(number);
        }
        if self.transactions.all[number].pending.is_empty() {
            self.transactions.prepared.remove(&number);
        }
    }

    /// One marker comes into one log.
    pub fn marker(&mut self, number: usize, log: LogId) {
        let transaction = &mut self.transactions.all[number];
        if !transaction.pending.remove(&log) {
            return;
        }
        match log {
            LogId::Requests(partition) => self.partitions[partition].requests.marker(number),
            LogId::State(partition) => {
                if let Some(state) = &mut self.partitions[partition].state {
                    state.marker(number);
                }
            }
            LogId::Offsets if transaction.fate == Fate::Committed => {
                for (partition, committed) in std::mem::take(&mut transaction.offsets) {
                    self.partitions[partition].committed = Some(committed);
                    self.partitions[partition].is_moved = false;
                }
            }
            LogId::Offsets => {}
        }
        if self.transactions.all[number].pending.is_empty() {
            self.transactions.prepared.remove(&number);
        }
    }

    /// True while a transaction that is open or prepared may commit another offset for a partition.
    pub fn is_unstable(&self, partition: usize) -> bool {
        let open = self.transactions.coordinators.iter();
        let open = open.filter_map(|coordinator| coordinator.current);
        let mut numbers = open.chain(self.transactions.prepared.iter().copied());
        numbers.any(|number| {
            let transaction = &self.transactions.all[number];
            let mut offsets = transaction.offsets.iter();
            transaction.pending.contains(&LogId::Offsets)
                && offsets.any(|(sent, _)| *sent == partition)
        })
    }

    /// True when a transaction is decided whose offset the group does not show yet, and that offset lies beyond the
    /// state: whoever goes by the offset before it answers again.
    pub fn hides_answers(&self, partition: usize) -> bool {
        let part = &self.partitions[partition];
        let state = part.truth.map_or(0, |truth| truth.next);
        let mut prepared = self.transactions.prepared.iter();
        prepared.any(|number| {
            let transaction = &self.transactions.all[*number];
            let mut offsets = transaction.offsets.iter();
            transaction.fate == Fate::Committed
                && transaction.pending.contains(&LogId::Offsets)
                && offsets.any(|(sent, to)| *sent == partition && to.next.0 > state)
        })
    }

    pub fn some_marker(&mut self) {
        let count = self.transactions.prepared.len();
        if count == 0 {
            return;
        }
        let chosen = self.random.below(count);
        let number = *self.transactions.prepared.iter().nth(chosen).unwrap();
        let pending = &self.transactions.all[number].pending;
        let chosen = self.random.below(pending.len());
        let log = *pending.iter().nth(chosen).unwrap();
        let is_slow = self.transactions.all[number].slow_offsets && self.faulty();
        if log == LogId::Offsets && is_slow && !self.random.one_in(SLOW_ONE_IN) {
            return;
        }
        self.marker(number, log);
    }

    pub fn complete(&mut self, number: usize) {
        while let Some(log) = self.transactions.all[number].pending.first().copied() {
            self.marker(number, log);
        }
    }

    pub fn time_out_transactions(&mut self) {
        for id in 0..self.transactions.coordinators.len() {
            let Some(current) = self.transactions.coordinators[id].current else {
                continue;
            };
            let transaction = &self.transactions.all[current];
            let late = self.now_ms > transaction.opened_ms + TRANSACTION_TIMEOUT_MS;
            if transaction.fate == Fate::Open && late {
                self.transactions.coordinators[id].epoch += 1;
                self.coverage
                    .state("transaction timed out at its coordinator");
                self.decide(current, Fate::Aborted);
            }
        }
        let due = |delayed: &DelayedCommit| delayed.due_ms <= self.now_ms;
        if let Some(at) = self.delayed_commits.iter().position(due) {
            let delayed = self.delayed_commits.swap_remove(at);
            let coordinator = self.transactions.coordinators[delayed.id];
            if coordinator.epoch == delayed.epoch
                && coordinator.current == Some(delayed.transaction)
            {
                self.coverage.state("commit arrived late");
                self.decide(delayed.transaction, Fate::Committed);
            }
        }
    }

    /// Brokers take records of the current epoch into the transaction that is open, whichever it is.
    pub fn land_late_records(&mut self) {
        let due = |late: &LateRecords| late.due_ms <= self.now_ms;
        let Some(at) = self.late_records.iter().position(due) else {
            return;
        };
        let coordinator = self.transactions.coordinators[self.late_records[at].id];
        if coordinator.epoch != self.late_records[at].epoch {
            self.coverage
                .state("late records refused: the epoch was raised");
            self.late_records.swap_remove(at);
            return;
        }
        let Some(current) = coordinator.current else {
            return;
        };
        let transaction = &mut self.transactions.all[current];
        if transaction.fate == Fate::Open {
            let late = self.late_records.swap_remove(at);
            let holds = |piece: &Piece| {
                let partition = piece.partition;
                transaction.pieces.iter().any(|p| p.partition == partition)
            };
            let taken: Vec<_> = late.pieces.into_iter().filter(holds).collect();
            transaction.late.extend(taken);
        }
    }

    /// A new producer of a transactional ID: settles what the old one left, and fences it.
    pub fn init_producer(&mut self, id: usize, run: u64) -> u32 {
        if let Some(current) = self.transactions.coordinators[id].current.take() {
            self.decide(current, Fate::Aborted);
            self.complete(current);
        }
        for live in self.nodes.iter_mut().flatten() {
            live.contested |= live.transactional_id == id && live.run != run;
        }
        let coordinator = &mut self.transactions.coordinators[id];
        coordinator.epoch += 1;
        coordinator.epoch
    }

    /// A commit that was sent and whose answer nobody waits for any more arrives now, later, or
    /// never.
    pub fn commit_on_its_way(&mut self, id: usize, epoch: u32, transaction: usize) {
        match self.random.below(3) {
            0 if self.transactions.coordinators[id].epoch == epoch => {
                self.decide(transaction, Fate::Committed);
            }
            1 => self.delayed_commits.push(DelayedCommit {
                due_ms: self.now_ms + self.random.below(800) as u64,
                id,
                epoch,
                transaction,
            }),
            _ => {}
        }
    }
}

/// The process.
impl World {
    pub fn transaction_step(&mut self, node: usize) {
        if self.is_lost_at_commit(node) {
            return;
        }
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
        let called = self.call(node, &mut carried, action);
        match called {
            Called::Waits => carried.calling = Some(action),
            Called::Succeeded => {
                if action == Action::Produce {
                    carried.member = self.nodes[node].as_ref().and_then(|live| live.known);
                }
                let now = carried.member.map(|known| known.id());
                let may = may_send(carried.begun.as_ref(), now.as_ref());
                carried.steps.succeeded(may);
            }
            Called::Failed(failure) => {
                self.coverage.fault("call of a transaction failed");
                let own_timeout = self.now_ms >= carried.begun_ms + TRANSACTION_TIMEOUT_MS;
                carried.steps.failed(failure, own_timeout);
            }
        }
        if let Some(live) = &mut self.nodes[node] {
            live.carried = Some(carried);
        }
    }

    fn call(&mut self, node: usize, carried: &mut Carried, action: Action) -> Called {
        let id = self.live(node).transactional_id;
        let fails = self.faulty() && self.random.one_in(16);
        if action == Action::Renew {
            if fails {
                return Called::Failed(Failure::Retriable);
            }
            let run = self.live(node).run;
            let epoch = self.init_producer(id, run);
            self.live(node).producer_epoch = epoch;
            carried.epoch = epoch;
            return Called::Succeeded;
        }
        if carried.epoch != self.transactions.coordinators[id].epoch {
            return Called::Failed(Failure::Fenced);
        }
        let failure = self.random.pick(&[
            Failure::Retriable,
            Failure::Abort,
            Failure::Indefinite,
            Failure::Fatal,
        ]);
        match action {
            Action::Begin => {
                let current = self.transactions.coordinators[id].current;
                if let Some(current) = current
                    && !self.transactions.all[current].pending.is_empty()
                {
                    return Called::Waits;
                }
                if !fails {
                    let number = self.open_transaction(Some(id));
                    self.begin_pieces(node, carried, number);
                    carried.transaction = Some(number);
                }
            }
            Action::Produce if self.is_too_much(carried) => {
                carried.unanswered = true;
                self.coverage.state("transaction too large for its time");
                if self.now_ms < carried.begun_ms + TRANSACTION_TIMEOUT_MS {
                    return Called::Waits;
                }
                return Called::Failed(Failure::Abort);
            }
            Action::Produce => {
                let done = self.produce(carried);
                carried.unanswered = !done;
                if !done && !fails {
                    return Called::Waits;
                }
            }
            Action::SendOffsets => {
                let known = match carried.member {
                    Some(known) => self.group.is_member(node, known),
                    // Kafka asks nothing of a consumer that says it is no member.
                    None => true,
                };
                if !known {
                    self.coverage.state("offsets refused: no member any more");
                    return Called::Failed(Failure::Abort);
                }
                if !fails || self.random.chance(50) {
                    let number = carried.transaction.expect("begun");
                    let offsets = carried.checkpoint.sections.iter().map(|section| {
                        let committed = Committed::read(section.next, &section.metadata());
                        (section.partition as usize, committed)
                    });
                    let transaction = &mut self.transactions.all[number];
                    transaction.offsets = offsets.collect();
                    transaction.pending.insert(LogId::Offsets);
                }
            }
            Action::Commit => {
                let number = carried.transaction.expect("begun");
                // The coordinator does not refuse what it has decided.
                let is_decided = self.transactions.all[number].fate == Fate::Committed;
                if is_decided && failure == Failure::Abort {
                    return Called::Succeeded;
                }
                if !fails {
                    self.decide(number, Fate::Committed);
                } else if matches!(failure, Failure::Indefinite | Failure::Fatal) {
                    self.commit_on_its_way(id, carried.epoch, number);
                }
            }
            Action::Abort => {
                let number = carried.transaction.filter(|_| !fails);
                if let Some(number) = number {
                    self.decide(number, Fate::Aborted);
                }
                if let Some(number) = number
                    && carried.unanswered
                    && self.faulty()
                    && self.random.chance(50)
                {
                    self.coverage.fault("produce request handled late");
                    let late = LateRecords {
                        due_ms: self.now_ms + self.random.below(800) as u64,
                        id,
                        epoch: carried.epoch,
                        pieces: self.transactions.all[number].pieces.clone(),
                    };
                    self.late_records.push(late);
                    return Called::Failed(Failure::Indefinite);
                }
            }
            Action::Renew | Action::Done(_) => {}
        }
        if fails {
            Called::Failed(failure)
        } else {
            Called::Succeeded
        }
    }

    fn begin_pieces(&mut self, node: usize, carried: &Carried, number: usize) {
        let run = self.live(node).run;
        let transaction = &mut self.transactions.all[number];
        transaction.too_late = carried.too_late;
        let sections = carried.checkpoint.sections.iter();
        transaction.pieces = sections
            .map(|section| Piece {
                partition: section.partition as usize,
                run,
                assignment: section.assignment,
                next: section.next.0,
                has_footer: section.answered.is_none(),
                first: None,
                replies: section.replies.iter().map(|r| r.body.to_vec()).collect(),
                ledger: pages(&section.ledger),
            })
            .collect();
        for piece in &self.transactions.all[number].pieces.clone() {
            for body in &piece.replies {
                self.reply_written(body, piece);
            }
        }
    }

    fn is_too_much(&self, carried: &Carried) -> bool {
        let records = carried.checkpoint.sections.iter().map(|section| {
            let pages = pages(&section.ledger).len();
            section.batch.len() + section.replies.len() + pages
        });
        records.sum::<usize>() > self.config.taken_in_time_max
    }

    /// Writes some more records; true when all are there and replicated.
    fn produce(&mut self, carried: &mut Carried) -> bool {
        let number = carried.transaction.expect("begun");
        let mut budget = 1 + self.random.below(12);
        let mut done = true;
        for (index, section) in carried.checkpoint.sections.iter().enumerate() {
            let partition = section.partition as usize;
            let Some(state) = &mut self.partitions[partition].state else {
                return false;
            };
            let header = section.batch_id.to_header();
            for (key, value) in section.batch.iter().skip(carried.landed[index].len()) {
                if budget == 0 {
                    return false;
                }
                budget -= 1;
                let offset = state.append(Record {
                    key: Some(key.to_vec()),
                    value: value.map(<[u8]>::to_vec),
                    headers: match value {
                        None => vec![("b".to_owned(), header.to_vec())],
                        Some(_) => Vec::new(),
                    },
                    timestamp: self.now_ms as i64,
                    leader_epoch: 0,
                    transaction: Some(number),
                    what: What::State { late: false },
                });
                self.trace.bytes(key);
                self.trace.bytes(value.unwrap_or_default());
                carried.landed[index].push(offset);
                let transaction = &mut self.transactions.all[number];
                transaction.pending.insert(LogId::State(partition));
                transaction.pieces[index].first = carried.landed[index].first().copied();
            }
            let last = carried.landed[index].last().copied().unwrap_or(-1);
            done &= last < state.replicated;
        }
        done
    }

    fn settled(&mut self, node: usize, carried: Carried, outcome: Outcome) {
        let fate = carried.transaction.map(|id| self.transactions.all[id].fate);
        match outcome {
            Outcome::Committed => {
                self.coverage.state("transaction committed");
                assert!(fate == Some(Fate::Committed), "T5: it was not committed");
            }
            Outcome::Aborted => {
                self.coverage.state("transaction aborted");
                assert!(fate != Some(Fate::Committed), "T5: it was not aborted");
            }
            Outcome::Unsettled => self.coverage.state("transaction unsettled"),
            Outcome::Fenced => self.coverage.state("transaction fenced by another process"),
            Outcome::Failed => self.coverage.state("no producer could be had"),
            Outcome::OutOfOrder => panic!("T1: a commit out of order"),
        }
        if fate != Some(Fate::Committed) {
            let sections = carried.checkpoint.sections.iter();
            for section in sections.filter(|section| section.answered.is_none()) {
                let records = section.batch.iter();
                self.leftovers.push(Leftover {
                    partition: section.partition as usize,
                    run: section.batch_id.writer,
                    next: section.next.0,
                    records: records
                        .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
                        .collect(),
                });
            }
        }
        let written = carried.landed.iter().map(|landed| {
            let (first, last) = (*landed.first()?, *landed.last()?);
            Some(Written { first, last })
        });
        let written = written.collect();
        let late = carried.steps.is_late();
        self.input(
            node,
            Input::Settled {
                checkpoint: carried.checkpoint,
                outcome,
                written,
                late,
            },
        );
    }

    /// A batch that was given up long ago comes into the log after all, or a part of it; its writer
    /// owns the partition no more.
    pub fn land_late(&mut self) {
        let is_late = |leftover: &Leftover| {
            // What was folded from records that the log has lost is no state of this log.
            let void = |void: &Void| {
                (void.run, void.partition) == (leftover.run, leftover.partition)
                    && leftover.next > void.at
            };
            if self.voids.iter().any(void) {
                return false;
            }
            let part = &self.partitions[leftover.partition];
            let truth = part
                .truth
                .as_ref()
                .is_some_and(|truth| leftover.next < truth.next);
            let owner = part.owner.and_then(|owner| self.nodes[owner].as_ref());
            truth && part.state.is_some() && owner.is_some_and(|owner| owner.run != leftover.run)
        };
        let Some(chosen) = self.leftovers.iter().position(is_late) else {
            return;
        };
        self.coverage.fault("batch of a zombie lands late");
        let leftover = self.leftovers.swap_remove(chosen);
        let number = self.open_transaction(None);
        let whole = self.random.chance(50);
        for (key, value) in leftover.records {
            if !whole && self.random.chance(20) {
                continue;
            }
            if let Some(state) = &mut self.partitions[leftover.partition].state {
                state.append(Record {
                    key: Some(key),
                    value,
                    headers: Vec::new(),
                    timestamp: self.now_ms as i64,
                    leader_epoch: 0,
                    transaction: Some(number),
                    what: What::State { late: true },
                });
            }
            let log = LogId::State(leftover.partition);
            self.transactions.all[number].pending.insert(log);
        }
        self.decide(number, Fate::Committed);
    }
}

fn pages(ledger: &Lines) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    ledger.each_page(|_, page| pages.push(page.to_vec()));
    pages
}
