//! Answers without a footer: how they are committed, and how a new owner goes on behind them.
//!
//! A new owner folds the requests that an earlier one has answered, and sends nothing: replies were committed with the
//! offset, and strays were acknowledged before. Their ledger records go out with the next footer. At the end of them
//! the fold must be what the committed offset says (I6).

use super::Partition;
use crate::core::planted::planted;
use crate::core::{NextOffset, Offset};
use crate::processor::answered::Answered;
use crate::processor::checkpoint::{Batch, HeldReplies, Section};
use crate::wire::ledger::Lines;
use crate::wire::state::BatchId;

/// Goes on behind the answers of an earlier owner.
impl Partition {
    /// True while requests are folded that are answered already.
    pub(in crate::processor) fn is_behind_answers(&self) -> bool {
        self.answered.is_some()
    }

    /// True when the record at this offset is not answered yet. Halts the partition when the record is the first
    /// one of these, and the fold is not the one that was answered from.
    #[cold]
    pub(super) fn is_unanswered(&mut self, offset: Offset) -> bool {
        self.arrive(NextOffset(offset.0));
        self.answered.is_none() && !planted!(AnswerForgotten)
    }

    /// True when the log ends before the end of the requests that are answered already.
    pub(super) fn ends_before_answers(&self, end: NextOffset) -> bool {
        self.answered.is_some_and(|answered| end < answered.next)
    }

    /// Notes that every record below `next` is folded.
    pub(in crate::processor) fn arrive(&mut self, next: NextOffset) {
        let Some(answered) = self.answered.filter(|answered| answered.next <= next) else {
            return;
        };
        let digest = self.folding.fold.cut(&mut self.pending.unwritten);
        if let Err(halt) = self.folding.sound() {
            return self.intake.halt(halt);
        }
        let last = self.folding.last_applied;
        if answered.is(digest, last) {
            self.answered = None;
            self.folding.next = self.folding.next.max(answered.next);
        } else {
            self.intake.halt(answered.other_record(last));
        }
    }
}

/// Commits answers without a footer.
impl Partition {
    /// The batch of the last footer, when replies and offset alone can follow it now.
    pub(in crate::processor) fn footer_before_answers(&self, now_ms: u64) -> Option<BatchId> {
        let stays = !self.intake.is_draining();
        let footer = self.pending.footer_before_answers(now_ms)?;
        (stays && self.answered.is_none() && !self.moves_names()).then_some(footer)
    }

    /// True when replies wait for a transaction.
    pub(in crate::processor) fn has_replies(&self) -> bool {
        !self.pending.held.is_empty()
    }

    /// Cuts a section of replies and offset alone. Its changes to the state stay unwritten.
    pub(in crate::processor) fn cut_answers(
        &mut self,
        batch_id: BatchId,
        footer: BatchId,
    ) -> Section {
        let digest = self.folding.fold.cut(&mut self.pending.unwritten);
        if let Err(halt) = self.folding.sound() {
            self.intake.halt(halt);
        }
        self.pending.in_checkpoint = true;
        let next = self.folding.next;
        Section {
            partition: i32::try_from(self.folding.partition).unwrap_or(i32::MAX),
            assignment: self.assignment,
            batch_id,
            batch: Batch::default(),
            answered: Some(Answered {
                next,
                batch: footer,
                digest,
                last_applied: self.folding.last_applied,
            }),
            slots: Vec::new(),
            touched: Vec::new(),
            next,
            rewrite_from: self.pending.rewrite.from(),
            homes: self.folding.fold.scalars().homes,
            epoch: self.outstanding.cut(),
            replies: std::mem::take::<HeldReplies>(&mut self.pending.held),
            ledger: Lines::default(),
        }
    }

    /// Notes that a section of replies and offset alone is committed.
    pub(in crate::processor) fn answers_committed(&mut self) {
        self.pending.in_checkpoint = false;
    }
}
