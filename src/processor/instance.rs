//! All partitions of one process, and the one transaction that is in progress at a time.
//!
//! An instance takes inputs and the time, and appends effects. The caller carries out all effects before the
//! next input. Records come in by a method of their own, [`Instance::record`], because a reply is borrowed from
//! the fold's buffer and not copied into an effect.

mod adoption;
mod allowance;
mod answers;
mod foreign;
mod hand_over;
mod load;
pub mod messages;
pub mod trouble;

use std::collections::BTreeMap;

use allowance::{Allowance, Took};
pub use answers::FOOTER_INTERVAL_MS;
use foreign::Unread;
pub(super) use load::Load;
pub use load::{
    CHANGES_MAX, HELD_BYTES_MAX, HELD_REPLIES_MAX, LEDGER_BYTES_MAX, LEDGER_RECORDS_MAX,
};
pub use messages::{Effect, Input, Options, PartitionReport, Phase, Run};
use trouble::Trouble;

use super::checkpoint::{Checkpoint, Written};
use super::halt::Halt;
use super::partition::{Counts, Output, Partition, Record};
use super::replies::Token;
use super::takeover::Verdict;
use super::transaction::Outcome;
use crate::core::invariants::Invariant;
use crate::core::planted::planted;
use crate::core::{Fold, NextOffset};
use crate::wire::state::BatchId;

/// After a transaction with at most this many replies, the next one does not wait for the interval. So in
/// `exactly_once` mode an answer takes as long as a transaction. With more replies, the cost of transactions
/// counts, and the replies of a full interval go into one.
pub const EAGER_REPLIES_MAX: usize = 100;

/// How long a checkpoint waits for the replies of some partitions after those of the others are there, in ms:
/// several times what an acknowledgement takes. After that the other partitions go on without them.
const UNCOVERED_WAIT_MS: u64 = 500;

/// Pause before a partition that waits for something is tried again, in ms.
const WAIT_AGAIN_MS: u64 = 100;

/// Pause before a halted partition is looked at again, in ms. A repair is noticed within this time. Each look
/// costs a read of the partition's state.
const HALT_AGAIN_MS: u64 = 10_000;

/// How often an idle partition looks for state records of other writers, in ms: a quarter of the hour that
/// `min.compaction.lag.ms` leaves before compaction may act on them.
const FOREIGN_CHECK_MS: u64 = 15 * 60 * 1000;

/// Sequences of each partition that one survey looks at, to find how near they are to their end. This is a
/// tenth of a millisecond's work. With four surveys a second, a million sequences are looked at in two minutes.
const SURVEY_MAX: usize = 2_000;

/// The stage of a partition between assignment and hand-over.
#[derive(Debug)]
enum Stage {
    Restoring,
    /// The takeover begins again at this time.
    Waiting {
        reason: String,
        again_ms: u64,
    },
    Halted {
        halt: Halt,
        highest: i64,
        again_ms: u64,
    },
    Running(Box<Partition>),
}

#[derive(Debug)]
struct Owned {
    assignment: u32,
    stage: Stage,
    /// The halt before the current takeover. The partition is reported as halted until the takeover ends.
    halted: Option<(Halt, i64)>,
    trouble: Option<Trouble>,
    foreign_check_ms: u64,
    unread: Option<Unread>,
}

#[derive(Debug)]
enum Transaction {
    Idle,
    /// The checkpoint is cut, and waits until the replies that it covers are acknowledged.
    Cut(Box<Checkpoint>),
    /// The transaction is in progress, with these partitions and assignments.
    Running {
        sections: Vec<(i32, u32)>,
        load: Load,
        begun_ms: u64,
    },
}

#[derive(Debug)]
struct Revocation {
    partitions: Vec<i32>,
    deadline_ms: u64,
    fencing: bool,
}

/// The partitions of one process.
#[derive(Debug)]
pub struct Instance {
    options: Options,
    owned: BTreeMap<i32, Owned>,
    assignments: u32,
    batches: u64,
    transaction: Transaction,
    last_cut_ms: Option<u64>,
    /// True when the last transaction was committed and held few replies.
    eager: bool,
    allowance: Allowance,
    revocation: Option<Revocation>,
    stop_deadline_ms: Option<u64>,
    left: bool,
}

impl Instance {
    /// An instance that owns no partition yet.
    pub fn new(options: Options) -> Instance {
        Instance {
            options,
            owned: BTreeMap::new(),
            assignments: 0,
            batches: 0,
            transaction: Transaction::Idle,
            last_cut_ms: None,
            eager: true,
            allowance: Allowance::default(),
            revocation: None,
            stop_deadline_ms: None,
            left: false,
        }
    }

    /// Folds a record of a running partition. Any other record is skipped, since it will be read again from the
    /// restored offset. Returns what is to be sent now, if there is anything.
    pub fn record<'a>(&'a mut self, record: Record<'a>) -> Option<Output<'a>> {
        let owned = self.owned.get_mut(&record.partition)?;
        if !owned.follows() {
            return None;
        }
        match &mut owned.stage {
            Stage::Running(partition) => {
                // What is answered already must be folded before anything can be committed.
                if self.allowance.is_limited()
                    && !partition.is_behind_answers()
                    && self.allowance.is_full(partition.load())
                {
                    self.allowance.keep_out();
                    partition.intake.keep_out();
                }
                partition.record(record, &self.options.service)
            }
            _ => None,
        }
    }

    /// The next message of the last record of a partition, after [`Output::Several`].
    pub fn more(&mut self, partition: i32) -> Option<Output<'_>> {
        match &mut self.owned.get_mut(&partition)?.stage {
            Stage::Running(running) => running.more(),
            _ => None,
        }
    }

    /// Counts acknowledged replies. Like records, acknowledgements come by the hundred thousand, so they cause
    /// no effects themselves. The next input does.
    pub fn acknowledged(&mut self, token: Token, replies: u64) {
        for owned in self.owned.values_mut() {
            if let Stage::Running(partition) = &mut owned.stage
                && partition.assignment() == token.assignment
            {
                partition.acknowledged(token.epoch, replies);
            }
        }
    }

    /// The next offset of every running partition that takes records.
    pub fn positions(&self) -> Vec<(i32, NextOffset)> {
        let position = |(id, owned): (&i32, &Owned)| match &owned.stage {
            Stage::Running(partition) if partition.intake.is_open() && owned.may_fetch() => {
                Some((*id, partition.next()))
            }
            _ => None,
        };
        self.owned.iter().filter_map(position).collect()
    }

    /// The leader epoch of the last record that was folded of a partition since its restore. A consumer that
    /// fetches the partition again from [`Instance::positions`] has the log compared by this epoch: while a
    /// partition is not fetched, nobody sees that its log is cut and grows again (I6).
    ///
    /// None directly after a restore, which has compared the last record itself.
    pub fn leader_epoch(&self, partition: i32) -> Option<i32> {
        match self.owned.get(&partition).map(|owned| &owned.stage) {
            Some(Stage::Running(running)) => running.read_under(),
            _ => None,
        }
    }

    /// Number of partitions that this instance owns.
    pub fn owned(&self) -> usize {
        self.owned.len()
    }

    /// Replies that are sent and not yet acknowledged.
    pub fn outstanding(&self) -> u64 {
        let outstanding = |owned: &Owned| match &owned.stage {
            Stage::Running(partition) => partition.outstanding(),
            _ => 0,
        };
        self.owned.values().map(outstanding).sum()
    }

    /// True while records may be taken: the limits on what one checkpoint holds are not reached.
    pub fn takes_records(&self) -> bool {
        if matches!(self.transaction, Transaction::Idle) {
            return true;
        }
        let load = self.load();
        // A transaction in progress comes back when it is aborted, so its load counts as well.
        !load.reaches(1) && !load.plus(self.under_way()).reaches(2)
    }

    /// Takes an input and appends the effects that follow from it.
    pub fn on(&mut self, now_ms: u64, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Assigned(partitions) => self.assigned(&partitions, now_ms, effects),
            Input::Revoked { partitions, lost } => self.revoked(partitions, lost, now_ms, effects),
            Input::Restored {
                partition,
                assignment,
                verdict,
            } => self.restored(partition, assignment, verdict, now_ms, effects),
            Input::EndOfPartition { partition, next } => {
                if self.owned.get_mut(&partition).is_some_and(Owned::follows)
                    && let Some(running) = self.running(partition)
                    && !running.reached(next)
                {
                    self.ends_before_answers(partition, now_ms, effects);
                }
            }
            Input::LogError { partition } => self.log_error(partition, effects),
            Input::RequestTopic(topic_id) => self.topic_seen(topic_id, effects),
            Input::Settled {
                checkpoint,
                outcome,
                written,
                late,
            } => {
                let took = self.took(now_ms, late);
                self.settled(*checkpoint, outcome, &written, took, effects);
            }
            Input::FencedOurselves => {
                if let Some(revocation) = self.revocation.take() {
                    self.give_up(revocation.partitions, effects);
                }
            }
            Input::Foreign {
                partition,
                assignment,
                from,
                keys,
                end,
            } => self.foreign(partition, assignment, keys, from..end, effects),
            Input::ForeignUnread {
                partition,
                assignment,
                from,
                to,
            } => {
                let again_ms = now_ms + WAIT_AGAIN_MS;
                self.not_read(partition, assignment, Unread { from, to, again_ms });
            }
            Input::Parent {
                partition,
                assignment,
                parent,
            } => self.parent_read(partition, assignment, parent, now_ms, effects),
            Input::ReplyPartitions(count) => self.options.service.reply_partitions = count,
            Input::Tick => {}
            Input::Stop => {
                self.stop_deadline_ms
                    .get_or_insert(now_ms + self.options.stop_deadline_ms);
            }
        }
        self.advance(now_ms, effects);
    }

    /// Every partition, for status and metrics.
    pub fn report(&self) -> Vec<PartitionReport> {
        let report = |(id, owned): (&i32, &Owned)| {
            let running = match &owned.stage {
                Stage::Running(partition) => Some(partition),
                _ => None,
            };
            PartitionReport {
                partition: *id,
                phase: owned.phase(*id),
                next: running.map(|partition| partition.next()),
                outstanding: running.map_or(0, |partition| partition.outstanding()),
                sequences: running.map_or(0, |partition| partition.sequences()),
                standing: running.map(|partition| partition.standing()),
                outlook: running.and_then(|partition| partition.outlook()),
            }
        };
        self.owned.iter().map(report).collect()
    }

    /// The fold of a running partition, for reading.
    pub fn fold(&self, partition: i32) -> Option<&Fold> {
        match &self.owned.get(&partition)?.stage {
            Stage::Running(running) => Some(running.fold()),
            _ => None,
        }
    }

    /// Looks at some more sequences of each partition, to find how near they are to their end.
    pub fn survey(&mut self) {
        for owned in self.owned.values_mut() {
            if let Stage::Running(partition) = &mut owned.stage {
                partition.survey(SURVEY_MAX);
            }
        }
    }

    /// Takes and resets the counts of all partitions.
    pub fn take_counts(&mut self) -> Counts {
        let mut sum = Counts::default();
        for owned in self.owned.values_mut() {
            if let Stage::Running(partition) = &mut owned.stage {
                sum.add(partition.take_counts());
            }
        }
        sum
    }

    /// True when something is in progress whose end will soon come as an input.
    pub fn is_busy(&self) -> bool {
        !matches!(self.transaction, Transaction::Idle)
            || self.revocation.is_some()
            || self.stop_deadline_ms.is_some()
    }
}

/// Handles assignments and takeovers.
impl Instance {
    fn assigned(&mut self, partitions: &[i32], now_ms: u64, effects: &mut Vec<Effect>) {
        effects.push(Effect::AcceptAssignment);
        if self.stop_deadline_ms.is_some() {
            return;
        }
        for partition in partitions {
            self.owned.insert(
                *partition,
                Owned {
                    assignment: 0,
                    stage: Stage::Restoring,
                    halted: None,
                    trouble: None,
                    foreign_check_ms: now_ms + FOREIGN_CHECK_MS,
                    unread: None,
                },
            );
            self.restore(*partition, effects);
        }
    }

    fn restore(&mut self, partition: i32, effects: &mut Vec<Effect>) {
        self.assignments += 1;
        let assignment = self.assignments;
        if let Some(owned) = self.owned.get_mut(&partition) {
            owned.assignment = assignment;
            // A restore reads all of it.
            owned.unread = None;
            owned.taken_over_anew();
            let stage = std::mem::replace(&mut owned.stage, Stage::Restoring);
            owned.halted = match stage {
                Stage::Halted { halt, highest, .. } => Some((halt, highest)),
                _ => None,
            };
            effects.push(Effect::Restore {
                partition,
                assignment,
            });
        }
    }

    /// The state in memory can no longer be trusted: drops it and begins a takeover again.
    fn restore_again(&mut self, partition: i32, effects: &mut Vec<Effect>) {
        effects.push(Effect::StopFetching { partition });
        self.drop_from_cut(&[partition]);
        self.restore(partition, effects);
    }

    fn restored(
        &mut self,
        partition: i32,
        assignment: u32,
        verdict: Verdict,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(owned) = self.owned.get_mut(&partition) else {
            return;
        };
        let revoked = |revocation: &Revocation| revocation.partitions.contains(&partition);
        let leaving =
            self.stop_deadline_ms.is_some() || self.revocation.as_ref().is_some_and(revoked);
        let outdated = owned.assignment != assignment && !planted!(BoundBeforeAssignment);
        if outdated || leaving {
            return;
        }
        owned.stage = match verdict {
            Verdict::Start(start) => {
                let service = &self.options.service;
                let running = Partition::new(partition, assignment, *start, service);
                if running.intake.is_open() {
                    let from = running.next();
                    effects.push(Effect::Fetch { partition, from });
                }
                Stage::Running(Box::new(running))
            }
            Verdict::Wait(reason) => match owned.halted.take() {
                Some((halt, highest)) => Stage::Halted {
                    halt,
                    highest,
                    again_ms: now_ms + HALT_AGAIN_MS,
                },
                None => Stage::Waiting {
                    reason,
                    again_ms: now_ms + WAIT_AGAIN_MS,
                },
            },
            Verdict::Halt(halt, highest) => Stage::Halted {
                halt,
                highest,
                again_ms: now_ms + HALT_AGAIN_MS,
            },
        };
        // A failed read shows only when the partition is read again. A verdict ends any other halt, also after
        // a failed read, unless the requests that are answered already must show it.
        let of_reading = matches!(&owned.halted, Some((Halt::Unreadable { .. }, _)));
        if (owned.trouble.is_none() || !of_reading) && !owned.is_behind_answers() {
            owned.halted = None;
        }
    }
}

/// Cuts checkpoints, and begins and ends their transactions.
impl Instance {
    /// Moves on everything that can move on now. The hand-over of partitions comes first: at the deadline of a
    /// revocation nothing more is begun with them (T3).
    fn advance(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        self.look_again(now_ms, effects);
        self.hand_over(now_ms, effects);
        self.drain_to_stop();
        self.read_again(now_ms, effects);
        self.adopt(now_ms, effects);
        self.halt_broken(now_ms, effects);
        self.cut_when_due(now_ms);
        self.leave_uncovered_behind(now_ms);
        self.transact_when_covered(now_ms, effects);
        self.fetch_by_allowance(effects);
        self.leave_when_drained(now_ms, effects);
    }

    /// While a transaction is under way, a stopping instance goes on: its partitions then stand still for the one
    /// transaction that covers everything, and not for two.
    fn drain_to_stop(&mut self) {
        if self.stop_deadline_ms.is_none() || !matches!(self.transaction, Transaction::Idle) {
            return;
        }
        for owned in self.owned.values_mut() {
            if let Stage::Running(partition) = &mut owned.stage {
                partition.intake.drain();
            }
        }
    }

    fn look_again(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let due: Vec<i32> = self
            .owned
            .iter()
            .filter(|(_, owned)| owned.again_ms().is_some_and(|again_ms| now_ms >= again_ms))
            .map(|(id, _)| *id)
            .collect();
        for partition in due {
            self.restore(partition, effects);
        }
        for (partition, owned) in &mut self.owned {
            if let Stage::Running(running) = &owned.stage
                && now_ms >= owned.foreign_check_ms
            {
                owned.foreign_check_ms = now_ms + FOREIGN_CHECK_MS;
                effects.push(Effect::ReadForeign {
                    partition: *partition,
                    assignment: owned.assignment,
                    from: running.pending.unseen_from,
                    to: None,
                });
            }
        }
        self.read_unread(now_ms, effects);
    }

    fn start_again(&mut self, partition: i32, effects: &mut Vec<Effect>) {
        // T2: all that this instance may still commit lies below the bound of the new owner's takeover.
        if self.transacts_any(&[partition]) {
            effects.push(Effect::CancelTransaction);
        }
        self.restore_again(partition, effects);
    }

    /// I6: halts a partition whose chain is broken once it has drained, so that nothing is folded twice while
    /// it is halted.
    fn halt_broken(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        for (partition, owned) in &mut self.owned {
            let Stage::Running(running) = &owned.stage else {
                continue;
            };
            let Some(halt) = running.broken().filter(|_| running.is_drained()) else {
                continue;
            };
            let (halt, highest) = (halt.clone(), running.highest_id());
            effects.push(Effect::StopFetching {
                partition: *partition,
            });
            owned.stage = Stage::Halted {
                halt,
                highest,
                again_ms: now_ms + HALT_AGAIN_MS,
            };
        }
    }

    /// Cuts one transaction for all partitions that have something to commit. Transactions begin at least one
    /// interval apart, so one is cut at once when the last one began an interval ago.
    fn cut_when_due(&mut self, now_ms: u64) {
        let fencing = self
            .revocation
            .as_ref()
            .is_some_and(|revocation| revocation.fencing);
        if fencing || !matches!(self.transaction, Transaction::Idle) {
            return;
        }
        let interval_ms = self.options.checkpoint_interval_ms;
        let waited = self
            .last_cut_ms
            .is_none_or(|last_ms| now_ms >= last_ms + interval_ms);
        let urgent = self.revocation.is_some() || self.stop_deadline_ms.is_some();
        if !(waited || urgent || self.cannot_wait()) {
            return;
        }
        let mut sections = Vec::new();
        let spare = self.allowance.spare_entries();
        let footer_due_ms = self.footer_due_ms(now_ms);
        for (id, footer) in self.due(now_ms) {
            self.batches += 1;
            let batch_id = BatchId {
                writer: self.options.run.writer,
                number: self.batches,
            };
            if let Some(Owned {
                stage: Stage::Running(partition),
                ..
            }) = self.owned.get_mut(&id)
            {
                let section = match footer {
                    Some(footer) => partition.cut_answers(batch_id, footer),
                    None => {
                        partition.pending.footer_due_at(footer_due_ms);
                        partition.cut_within(batch_id, &self.options.service, spare)
                    }
                };
                if partition.intake.is_void() {
                    partition.pending.aborted(section);
                } else {
                    sections.push(section);
                }
            }
        }
        if !sections.is_empty() {
            self.last_cut_ms = Some(now_ms);
            self.transaction = Transaction::Cut(Box::new(Checkpoint { sections }));
        }
    }

    /// A partition whose replies cannot be written, or whose strays cannot be forwarded, must not keep the
    /// others from their checkpoints. Its section goes into a later checkpoint.
    fn leave_uncovered_behind(&mut self, now_ms: u64) {
        let waited = self
            .last_cut_ms
            .is_some_and(|cut_ms| now_ms >= cut_ms + UNCOVERED_WAIT_MS);
        let Transaction::Cut(checkpoint) = &mut self.transaction else {
            return;
        };
        if !waited || checkpoint.sections.len() < 2 {
            return;
        }
        let (covered, uncovered): (Vec<_>, Vec<_>) = std::mem::take(&mut checkpoint.sections)
            .into_iter()
            .partition(|section| {
                match self.owned.get(&section.partition).map(|owned| &owned.stage) {
                    Some(Stage::Running(partition)) => partition.covered(section),
                    _ => false,
                }
            });
        if covered.is_empty() {
            checkpoint.sections = uncovered;
            return;
        }
        checkpoint.sections = covered;
        for section in uncovered {
            if let Some(running) = self.running(section.partition) {
                running.pending.aborted(section);
            }
        }
    }

    /// I4: in `immediate` mode the fold goes on while replies are unacknowledged.
    fn transact_when_covered(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Transaction::Cut(checkpoint) = &self.transaction else {
            return;
        };
        let covered = checkpoint.sections.iter().all(|section| {
            match self.owned.get(&section.partition).map(|owned| &owned.stage) {
                Some(Stage::Running(partition)) => partition.covered(section),
                _ => false,
            }
        });
        if !covered {
            return;
        }
        let sections = checkpoint
            .sections
            .iter()
            .map(|section| (section.partition, section.assignment))
            .collect();
        let load = Load::of(checkpoint);
        let running = Transaction::Running {
            sections,
            load,
            begun_ms: now_ms,
        };
        if let Transaction::Cut(checkpoint) = std::mem::replace(&mut self.transaction, running) {
            effects.push(Effect::Transact(checkpoint));
        }
    }

    fn settled(
        &mut self,
        checkpoint: Checkpoint,
        outcome: Outcome,
        written: &[Option<Written>],
        took: Took,
        effects: &mut Vec<Effect>,
    ) {
        self.transaction = Transaction::Idle;
        let load = Load::of(&checkpoint);
        self.allowance.settled(outcome, load, took);
        let replies = load.replies;
        self.eager = outcome == Outcome::Committed && replies <= EAGER_REPLIES_MAX;
        match outcome {
            Outcome::Fenced => effects.push(Effect::ExitFenced),
            Outcome::Failed => effects.push(Effect::StartOver),
            Outcome::Committed | Outcome::Aborted | Outcome::Unsettled | Outcome::OutOfOrder => {}
        }
        for (index, section) in checkpoint.sections.into_iter().enumerate() {
            let (partition, assignment) = (section.partition, section.assignment);
            let Some(running) = self.running(partition) else {
                continue;
            };
            if running.assignment() != assignment {
                continue;
            }
            match (outcome, written.get(index)) {
                (Outcome::Committed, _) if section.answered.is_some() => {
                    running.answers_committed();
                }
                (Outcome::Committed, Some(Some(written))) => {
                    let took_records = running.intake.is_open();
                    if let Some(range) = running.committed(&section, *written) {
                        effects.push(Effect::ReadForeign {
                            partition,
                            assignment,
                            from: range.start,
                            to: Some(range.end),
                        });
                    }
                    if let Some(running) = self.running(partition)
                        && running.intake.is_open()
                        && !took_records
                    {
                        let from = running.next();
                        effects.push(Effect::Fetch { partition, from });
                    }
                }
                (Outcome::Aborted, _) => {
                    running.pending.aborted(section);
                    let load = running.load();
                    if self.allowance.is_far_exceeded(load) {
                        self.restore_again(partition, effects);
                    }
                }
                (Outcome::OutOfOrder, _) => {
                    running.pending.aborted(section);
                    running.invariant_broken(Invariant::T1);
                }
                // The log shows whether it was committed (T5).
                _ => self.restore_again(partition, effects),
            }
        }
    }

    /// True when the next checkpoint will soon hold too much, or holds so little that it need not wait for
    /// more.
    fn cannot_wait(&self) -> bool {
        let load = self.load();
        load.reaches(1) || self.allowance.is_waited_for() || self.eager && load.replies > 0
    }

    /// The load of the checkpoint in progress.
    fn under_way(&self) -> Load {
        match &self.transaction {
            Transaction::Idle => Load::default(),
            Transaction::Cut(checkpoint) => Load::of(checkpoint),
            Transaction::Running { load, .. } => *load,
        }
    }
}

impl Instance {
    fn running(&mut self, partition: i32) -> Option<&mut Partition> {
        match self.owned.get_mut(&partition).map(|owned| &mut owned.stage) {
            Some(Stage::Running(running)) => Some(running),
            _ => None,
        }
    }
}

impl Owned {
    fn again_ms(&self) -> Option<u64> {
        match &self.stage {
            Stage::Waiting { again_ms, .. } | Stage::Halted { again_ms, .. } => Some(*again_ms),
            _ => None,
        }
    }

    fn phase(&self, partition: i32) -> Phase {
        let halted = |halt: &Halt, highest: i64| Phase::Halted {
            code: halt.code(),
            reason: halt.to_string(),
            remedy: halt.remedy(partition),
            highest,
        };
        match (&self.stage, &self.halted) {
            (Stage::Restoring, Some((halt, highest))) => halted(halt, *highest),
            (Stage::Halted { halt, highest, .. }, _) => halted(halt, *highest),
            (Stage::Waiting { reason, .. }, _) => Phase::Waiting(reason.clone()),
            (Stage::Running(running), Some((halt, highest)))
                if running.is_behind_answers() || matches!(halt, Halt::Unreadable { .. }) =>
            {
                halted(halt, *highest)
            }
            (Stage::Running(running), _) if running.intake.is_draining() => Phase::Draining,
            (stage, _) => match (self.trouble_in_words(), stage) {
                (Some(reason), _) => Phase::Waiting(reason),
                (None, Stage::Running(running)) => match running.adoption_in_words() {
                    Some(reason) => Phase::Waiting(reason),
                    None => Phase::Running,
                },
                (None, _) => Phase::Restoring,
            },
        }
    }
}

#[cfg(test)]
mod tests;
