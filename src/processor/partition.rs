//! A running partition: its log is folded, answered, and written down in checkpoints.
//!
//! The fold is a function of the log, so nothing here ever steps back. An aborted checkpoint leaves the
//! counters unchanged, and its content goes into the next one.
//!
//! | file | subject |
//! |---|---|
//! | `adoption` | a child's wait for its names, and a parent's removal of names that have moved |
//! | `outbox` | the messages of a record that causes several |
//! | `intake` | whether records are taken, from the start to the hand-over |
//! | `answering` | replies and strays as bytes, and where they go |
//! | `answered` | answers without a footer, and how a new owner goes on behind them |
//! | `pending` | the content of the next checkpoint |
//! | `messages` | the types of records and messages |
//! | `counts` | counts for metrics |

mod adoption;
mod answered;
mod answering;
mod counts;
mod intake;
mod messages;
mod outbox;
mod pending;

use std::ops::Range;

use super::Mode;
use super::answered::Answered;
use super::checkpoint::{Section, Written};
use super::folding::Folding;
use super::halt::Halt;
use super::instance::Load;
use super::replies::{Outstanding, Token};
use super::restore::highest_id;
use super::rewrite::Rewrite;
use super::takeover::Start;
use crate::core::fold::{Answer, Outlook, Survey};
use crate::core::invariants::{Invariant, i4_nothing_lost};
use crate::core::limits::FOLD_VERSION;
use crate::core::link::Link;
use crate::core::planted::planted;
use crate::core::rescale::{Given, OPERATOR};
use crate::core::{Code, Fold, NextOffset, Offset, Rejection, Request};
use crate::wire::headers::Headers;
use crate::wire::reply::Subject;
use crate::wire::rescale;
use crate::wire::state::{BatchId, Footer, NO_LEADER_EPOCH, TopicId};

use adoption::{Adoption, Burial};
use answering::Answering;
pub use counts::Counts;
use intake::Intake;
pub use messages::{Forward, Output, Record, Reply, Service};
use outbox::Outbox;
use pending::{Entries, Pending};

/// A partition after its restore, which folds new records.
#[derive(Debug)]
pub struct Partition {
    assignment: u32,
    topic_id: TopicId,
    /// The first record that this owner reads: the records before it were folded by an earlier owner.
    began: NextOffset,
    pub(super) intake: Intake,
    folding: Folding,
    answering: Answering,
    outstanding: Outstanding,
    pub(super) pending: Pending,
    /// The survey of how near the sequences are to their end.
    survey: Survey,
    outbox: Outbox,
    /// Present while requests are folded that an earlier owner has answered.
    answered: Option<Answered>,
    /// Present while a child waits for what it adopts.
    adoption: Option<Adoption>,
    burial: Burial,
}

/// Takes records and answers them.
impl Partition {
    /// Starts the partition from the result of its takeover.
    pub fn new(id: i32, assignment: u32, start: Start, service: &Service) -> Partition {
        let Start {
            restored,
            next,
            answered,
            link_key,
            decides,
            topic_partitions: _, // for people
            topic_id,
            last_applied,
            state_end,
            rewrite_from,
        } = start;
        Partition {
            assignment,
            topic_id,
            began: next,
            intake: Intake::new(decides),
            folding: Folding {
                partition: u32::try_from(id).unwrap_or(0),
                link_key,
                fold: restored.fold,
                next,
                last_applied,
                unknown_links: 0,
            },
            answering: Answering::default(),
            outstanding: Outstanding::default(),
            pending: Pending::new(
                restored.footer.map(|footer| footer.next),
                restored.touched,
                Rewrite::new(
                    service.rewrite_floor_records,
                    restored.records,
                    rewrite_from,
                ),
                state_end,
            ),
            survey: Survey::default(),
            outbox: Outbox::default(),
            answered,
            adoption: None,
            burial: Burial::default(),
        }
        .with_adopted()
    }

    /// Folds a record. In `immediate` mode the reply is returned, to be sent now. In `exactly_once` mode it is
    /// held for the next checkpoint. A record that was read before, or comes during a drain, is skipped. A record
    /// that an earlier owner has answered causes nothing.
    pub fn record<'a>(
        &'a mut self,
        record: Record<'a>,
        service: &'a Service,
    ) -> Option<Output<'a>> {
        if self.folding.next.covers(record.offset) || !self.intake.takes(record.offset) {
            return None;
        }
        let is_answered = self.is_behind_answers() && !self.is_unanswered(record.offset);
        if is_answered && self.intake.is_draining() {
            return None;
        }
        let mut request = record.request();
        if planted!(RoutingFolds) && service.routing.route(record.headers).undelivered.is_some() {
            request.command = Err(Rejection::new(Code::MalformedRequest, "unroutable"));
        }
        let folded = self
            .folding
            .record(&record, &request, &mut self.pending.ledger);
        let (answer, link) = match folded {
            Ok(folded) => folded,
            Err(halt) => {
                self.intake.halt(halt);
                return None;
            }
        };
        if is_answered && !planted!(AnsweredAgain) {
            if !planted!(AnswerForgotten) {
                self.arrive(self.folding.next);
            }
            return None;
        }
        self.answering.counts.count(&answer);
        match &answer {
            Answer::Repeated => None,
            Answer::Stray { .. } if planted!(StrayLost) => None,
            Answer::Stray { home, link }
                if planted!(AdoptBehindStray) && !self.outbox.is_empty() =>
            {
                let (key, value) = (record.key.unwrap_or_default(), record.value);
                let link = link.header(&self.folding.link_key, *home, key, value);
                let names = &service.routing.names;
                let headers = self.answering.forward(&link, record.headers, names);
                let epoch = self.outstanding.sent();
                self.outbox.forward(epoch, *home, key, value, headers);
                self.outbox.last_comes_first();
                Some(Output::Several)
            }
            Answer::Stray { home, link } => Some(self.forward(&record, *home, *link, service)),
            Answer::Adopts { parent, homes } => {
                self.waits_for(*parent, *homes, record.offset);
                None
            }
            Answer::Rescaled(rescaled) => {
                self.pending.footer_is_due = true;
                if rescaled.reply.is_some() {
                    self.reply_later(&record, &request, &answer, service);
                }
                self.give(&rescaled.given, service);
                let is_late = planted!(AdoptBehindStray) && rescaled.reply.is_none();
                (!is_late).then_some(Output::Several)
            }
            answer => self.reply(&record, &request, answer, link, service),
        }
    }

    /// The next message of a record with [`Output::Several`].
    pub fn more(&mut self) -> Option<Output<'_>> {
        self.outbox.next(self.assignment)
    }

    /// Holds the reply of a record that causes other messages, too.
    #[cold]
    fn reply_later(
        &mut self,
        record: &Record<'_>,
        request: &Request<'_>,
        answer: &Answer,
        service: &Service,
    ) {
        let here = self.folding.partition;
        let subject = Subject {
            name: request.name.as_ref().ok().copied(),
            request_id: None,
            partition: i32::try_from(here).unwrap_or(i32::MAX),
            offset: record.offset,
        };
        let outgoing = self.answering.reply(here, record, subject, answer, service);
        match service.mode {
            Mode::ExactlyOnce => self.pending.held.push(outgoing),
            Mode::Immediate => self.outbox.reply(self.outstanding.sent(), outgoing),
        }
    }

    /// Sends the orders of a rescale in the same way as strays. All count as sent from here on, so that no
    /// checkpoint covers the record before they are acknowledged.
    #[cold]
    fn give(&mut self, given: &[Given], service: &Service) {
        for Given { to, link, order } in given {
            let value = rescale::encode(order);
            let link = link.header(&self.folding.link_key, *to, rescale::KEY, Some(&value));
            let names = &service.routing.names;
            let headers = self.answering.forward(&link, Headers::NONE, names);
            let epoch = self.outstanding.sent();
            self.outbox
                .forward(epoch, *to, rescale::KEY, Some(&value), headers);
        }
    }

    fn reply<'a>(
        &'a mut self,
        record: &Record<'a>,
        request: &Request<'_>,
        answer: &Answer,
        link: Option<Link>,
        service: &'a Service,
    ) -> Option<Output<'a>> {
        let here = self.folding.partition;
        let (partition, offset) = match link {
            Some(link) if link.partition != OPERATOR => (link.origin.partition, link.origin.offset),
            _ => (here, record.offset),
        };
        let subject = Subject {
            name: request.name.as_ref().ok().copied(),
            request_id: request.request_id.as_deref(),
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            offset,
        };
        let outgoing = self.answering.reply(here, record, subject, answer, service);
        if service.mode == Mode::ExactlyOnce {
            self.pending.held.push(outgoing);
            return None;
        }
        Some(Output::Reply(Reply {
            token: Token {
                assignment: self.assignment,
                epoch: self.outstanding.sent(),
            },
            outgoing,
        }))
    }

    /// Forwards a stray at once in both modes, outside any transaction. The checkpoint that covers the stray
    /// waits for its acknowledgement.
    fn forward<'a>(
        &'a mut self,
        record: &Record<'a>,
        home: u32,
        link: Link,
        service: &Service,
    ) -> Output<'a> {
        let key = record.key.unwrap_or_default();
        let link_key = &self.folding.link_key;
        let link = link.header(link_key, home, key, record.value);
        let epoch = if planted!(ForwardNotAwaited) {
            self.outstanding.epoch()
        } else {
            self.outstanding.sent()
        };
        Output::Forward(Forward {
            token: Token {
                assignment: self.assignment,
                epoch,
            },
            home: i32::try_from(home).unwrap_or(0),
            key: record.key,
            value: record.value,
            headers: self
                .answering
                .forward(&link, record.headers, &service.routing.names),
        })
    }

    /// Notes the end of the partition's committed records. `next` is beyond markers and aborted records, while
    /// the last record's offset is not. Returns false when the log ends too early.
    pub fn reached(&mut self, next: NextOffset) -> bool {
        if !self.intake.follows() {
            return true;
        }
        self.arrive(next);
        if self.intake.follows() {
            self.folding.next = self.folding.next.max(next);
        }
        !self.ends_before_answers(next)
    }

    /// Counts acknowledged replies of this assignment.
    pub fn acknowledged(&mut self, epoch: u32, replies: u64) {
        self.outstanding.acknowledged(epoch, replies);
    }
}

/// Cuts checkpoints, and learns how they end.
impl Partition {
    /// True when the next checkpoint has something to write.
    pub fn wants_checkpoint(&self) -> bool {
        let Folding { next, fold, .. } = &self.folding;
        let stays = !self.intake.is_draining();
        !self.intake.is_void()
            && self.answered.is_none()
            && (self.pending.is_wanted(*next, fold, stays) || (stays && self.moves_names()))
    }

    /// Cuts a section: the current state as a batch.
    pub fn cut(&mut self, batch_id: BatchId, service: &Service) -> Section {
        self.cut_within(batch_id, service, usize::MAX)
    }

    /// Cuts a section with at most `spare` entries besides the changed ones. When an invariant does not hold
    /// (`Intake::is_void`), the section must not be written.
    pub fn cut_within(&mut self, batch_id: BatchId, service: &Service, spare: usize) -> Section {
        if !self.intake.is_draining() {
            self.stage(spare);
            self.bury(spare);
        }
        let digest = self.folding.fold.cut(&mut self.pending.unwritten);
        if let Err(halt) = self.folding.sound() {
            self.intake.halt(halt);
        }
        let stays = !self.intake.is_draining();
        let Folding { fold, link_key, .. } = &self.folding;
        let Entries {
            mut batch,
            slots,
            touched,
        } = self.pending.cut(fold, batch_id, spare, stays);
        let footer = Footer {
            next: self.folding.next,
            digest,
            scalars: fold.scalars(),
            link_key: *link_key,
            fold_version: FOLD_VERSION,
            topic_id: self.topic_id,
            last_applied: self.folding.last_applied,
            answers_beyond: service.mode == Mode::ExactlyOnce,
            batch_records: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            group: service.group.clone(),
            instance: service.instance.clone(),
        };
        if !planted!(FooterNotWritten) {
            batch.footer(batch_id, &footer);
        }
        Section {
            partition: i32::try_from(self.folding.partition).unwrap_or(i32::MAX),
            assignment: self.assignment,
            batch_id,
            batch,
            answered: None,
            slots,
            touched,
            next: self.folding.next,
            rewrite_from: self.pending.rewrite.from(),
            homes: fold.scalars().homes,
            epoch: self.outstanding.cut(),
            replies: std::mem::take(&mut self.pending.held),
            ledger: self.pending.ledger.take(),
        }
    }

    /// I4: true when this section may be committed now.
    pub fn covered(&self, section: &Section) -> bool {
        let settled = self.outstanding.settled(section.epoch)
            || planted!(RepliesNotAwaited)
            || (section.answered.is_some() && planted!(AnsweredStraysLost));
        let unanswered = (!settled).then_some(Offset(section.next.0 - 1));
        i4_nothing_lost(section.next, unanswered)
    }

    /// Notes that the section is committed. Returns the range of state offsets in which another writer has
    /// written since our last batch, or into this one, if there is such a range.
    pub fn committed(&mut self, section: &Section, written: Written) -> Option<Range<i64>> {
        self.intake.decided();
        let foreign = self.pending.committed(section, written, &self.folding.fold);
        self.stage_committed();
        foreign
    }

    /// The partition's share of the next checkpoint's load.
    pub(super) fn load(&self) -> Load {
        self.pending.load(&self.folding.fold)
    }
}

/// Opens and ends the intake of records.
impl Partition {
    /// Halts the partition. Nothing that it has folded since its last cut is committed: the next owner folds it
    /// again.
    pub fn invariant_broken(&mut self, invariant: Invariant) {
        let at = self.next();
        self.intake.halt(Halt::InvariantBroken { invariant, at });
    }

    /// Why the partition will halt once everything that was folded is committed.
    pub fn broken(&self) -> Option<&Halt> {
        self.intake.halts()
    }

    /// True when everything that was folded is committed, or must not be.
    pub fn is_drained(&self) -> bool {
        self.intake.is_draining() && !self.pending.in_checkpoint && !self.wants_checkpoint()
    }
}

/// Tells others about the partition.
impl Partition {
    /// The number of the assignment.
    pub fn assignment(&self) -> u32 {
        self.assignment
    }

    /// The ID of the request topic whose log the partition folds.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The leader epoch of the last record that was folded here; none before the first.
    pub fn read_under(&self) -> Option<i32> {
        let last = self.folding.last_applied.as_ref();
        let last = last.filter(|last| !self.began.covers(last.offset));
        last.map(|last| last.leader_epoch)
            .filter(|epoch| *epoch != NO_LEADER_EPOCH)
    }

    /// The next offset to read.
    pub fn next(&self) -> NextOffset {
        self.folding.next
    }

    /// Number of sequences that the partition knows.
    pub fn sequences(&self) -> usize {
        self.folding.fold.sequences()
    }

    /// The highest ID that the partition knows of, for a repair.
    pub fn highest_id(&self) -> i64 {
        highest_id(&self.folding.fold)
    }

    /// Replies that are sent and not yet acknowledged.
    pub fn outstanding(&self) -> u64 {
        self.outstanding.total()
    }

    /// Looks at up to `max` further sequences, for [`Partition::outlook`].
    pub fn survey(&mut self, max: usize) {
        let here = self.folding.partition;
        self.survey.go_on(&self.folding.fold, here, max);
    }

    /// How near to their end all sequences were when each was last looked at. None before all were looked at.
    pub fn outlook(&self) -> Option<Outlook> {
        self.survey.outlook()
    }

    /// The fold of the partition, for reading.
    pub fn fold(&self) -> &Fold {
        &self.folding.fold
    }

    /// Takes and resets the counts.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.answering.counts)
    }
}

#[cfg(test)]
mod tests;
