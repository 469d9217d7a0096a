//! The hand-over of partitions, and the end of membership.

use super::messages::Effect;
use super::{Instance, Revocation, Stage, Transaction};
use crate::core::planted::planted;

impl Instance {
    pub(super) fn revoked(
        &mut self,
        partitions: Vec<i32>,
        lost: bool,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        if lost {
            if self.transacts_any(&partitions) {
                effects.push(Effect::CancelTransaction);
            }
            self.give_up(partitions, effects);
            return;
        }
        for partition in &partitions {
            if let Some(running) = self.running(*partition) {
                running.intake.drain();
            }
        }
        self.revocation = Some(Revocation {
            partitions,
            deadline_ms: now_ms + self.options.revoke_deadline_ms,
            fencing: false,
        });
    }

    /// T3: a transaction with a revoked partition ends before the revocation is answered, or is never
    /// committed.
    pub(super) fn hand_over(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(revocation) = &self.revocation else {
            return;
        };
        if revocation.fencing {
            // `Input::FencedOurselves` ends the transaction. Until then the producer is about to be replaced.
            return;
        }
        let transacts = self.transacts_any(&revocation.partitions);
        let drained = !transacts && revocation.partitions.iter().all(|id| self.is_drained(*id));
        let late = now_ms >= revocation.deadline_ms;
        if late && transacts && planted!(NotFenced) {
            effects.push(Effect::CancelTransaction);
        } else if late && transacts && !planted!(RevokedCommittedLate) {
            if let Some(revocation) = &mut self.revocation {
                revocation.fencing = true;
                effects.extend([Effect::CancelTransaction, Effect::Fence]);
            }
            return;
        }
        if (drained || late)
            && let Some(revocation) = self.revocation.take()
        {
            self.give_up(revocation.partitions, effects);
        }
    }

    pub(super) fn give_up(&mut self, partitions: Vec<i32>, effects: &mut Vec<Effect>) {
        self.drop_from_cut(&partitions);
        for partition in &partitions {
            self.owned.remove(partition);
        }
        effects.push(Effect::GiveUp { partitions });
    }

    pub(super) fn leave_when_drained(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(deadline_ms) = self.stop_deadline_ms else {
            return;
        };
        let drained = self.owned.keys().all(|id| self.is_drained(*id));
        if !self.left && (drained || now_ms >= deadline_ms) {
            self.left = true;
            effects.push(Effect::Leave);
        }
    }

    fn is_drained(&self, partition: i32) -> bool {
        match self.owned.get(&partition).map(|owned| &owned.stage) {
            Some(Stage::Running(running)) => running.is_drained(),
            _ => true,
        }
    }

    pub(super) fn transacts_any(&self, partitions: &[i32]) -> bool {
        match &self.transaction {
            Transaction::Running { sections, .. } => {
                sections.iter().any(|(id, _)| partitions.contains(id))
            }
            _ => false,
        }
    }

    /// Removes the sections of partitions that are no longer owned from a checkpoint that is cut and not begun.
    pub(super) fn drop_from_cut(&mut self, partitions: &[i32]) {
        if let Transaction::Cut(checkpoint) = &mut self.transaction {
            checkpoint
                .sections
                .retain(|section| !partitions.contains(&section.partition));
            if checkpoint.sections.is_empty() {
                self.transaction = Transaction::Idle;
            }
        }
    }
}
