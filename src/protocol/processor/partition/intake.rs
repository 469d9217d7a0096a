//! Whether a partition takes records.

use crate::core::Offset;
use crate::core::planted::planted;
use crate::processor::halt::Halt;

#[derive(Debug)]
enum Phase {
    /// The decision for the service is this partition's own and not committed. Another owner might decide
    /// otherwise, so nothing is folded by it.
    Deciding,
    Open,
    /// The next checkpoint is full. Records that arrive are skipped, and read again later.
    Full,
    /// The next checkpoint is full, and nothing is fetched.
    Stopped,
    /// The next record is an order to adopt names, and what it needs is not committed here yet.
    Adopting,
    /// No more records are folded. Once everything that was folded is committed, the partition is handed over,
    /// or halts for this reason.
    Draining(Option<Halt>),
}

/// The phase of a partition, from its start to its hand-over.
#[derive(Debug)]
pub(in crate::processor) struct Intake {
    phase: Phase,
    /// The first record that was skipped because the next checkpoint was full, and that was not folded since.
    passed_over: Option<Offset>,
}

impl Intake {
    pub(super) fn new(decides: bool) -> Intake {
        let phase = if decides {
            Phase::Deciding
        } else {
            Phase::Open
        };
        Intake {
            phase,
            passed_over: None,
        }
    }

    /// Notes that the decision for the service is committed.
    pub(super) fn decided(&mut self) {
        if matches!(self.phase, Phase::Deciding) {
            self.phase = Phase::Open;
        }
    }

    /// True while records are folded: the partition is not being handed over, and the decision for the whole
    /// service is committed.
    pub(in crate::processor) fn is_open(&self) -> bool {
        match self.phase {
            Phase::Open => true,
            Phase::Deciding => planted!(UndecidedFolds),
            Phase::Full | Phase::Stopped | Phase::Adopting | Phase::Draining(_) => false,
        }
    }

    /// True when the record at this offset is to be folded now. Behind a record that was skipped, all others
    /// are skipped as well.
    #[inline]
    pub(super) fn takes(&mut self, offset: Offset) -> bool {
        if self.is_kept_out() {
            self.passed_over.get_or_insert(offset);
        }
        if !self.is_open() || self.passed_over.is_some_and(|at| at < offset) {
            return false;
        }
        self.passed_over = None;
        true
    }

    /// True when all records so far were folded, so that the end of the log is the end for the fold, too.
    pub(super) fn follows(&self) -> bool {
        self.is_open() && self.passed_over.is_none()
    }

    /// Takes no more records until [`Intake::adopted`].
    pub(super) fn adopt(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Adopting;
        }
    }

    /// Takes records again, beginning with the order to adopt. False when something else keeps them out.
    pub(super) fn adopted(&mut self) -> bool {
        let adopts = matches!(self.phase, Phase::Adopting);
        if adopts {
            self.phase = Phase::Open;
        }
        adopts
    }

    /// Takes no more records until [`Intake::let_in`].
    pub(in crate::processor) fn keep_out(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Full;
        }
    }

    pub(in crate::processor) fn is_kept_out(&self) -> bool {
        matches!(self.phase, Phase::Full | Phase::Stopped)
    }

    /// Takes records again. Returns true when the partition is still fetched.
    pub(in crate::processor) fn let_in(&mut self) -> bool {
        self.leave_full_for(Phase::Open)
    }

    /// Notes that a partition that is kept out is no longer fetched. Returns true when it still was.
    pub(in crate::processor) fn stop_fetching(&mut self) -> bool {
        self.leave_full_for(Phase::Stopped)
    }

    fn leave_full_for(&mut self, phase: Phase) -> bool {
        let still_fetched = matches!(self.phase, Phase::Full);
        if self.is_kept_out() {
            self.phase = phase;
        }
        still_fetched
    }

    /// Begins a drain: no more records are folded.
    pub(in crate::processor) fn drain(&mut self) {
        if !self.is_draining() {
            self.phase = Phase::Draining(None);
        }
    }

    pub(in crate::processor) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining(_))
    }

    /// Halts the partition once it has drained. A broken invariant stays the reason, because the state must not
    /// be committed, whatever else happens.
    #[cold]
    pub(in crate::processor) fn halt(&mut self, halt: Halt) {
        if !self.is_void() {
            self.phase = Phase::Draining(Some(halt));
        }
    }

    pub(super) fn halts(&self) -> Option<&Halt> {
        match &self.phase {
            Phase::Draining(halt) => halt.as_ref(),
            _ => None,
        }
    }

    /// True when the folded state is wrong and must not be committed.
    pub(in crate::processor) fn is_void(&self) -> bool {
        matches!(self.halts(), Some(Halt::InvariantBroken { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NextOffset;
    use crate::core::invariants::Invariant;

    #[test]
    fn a_partition_that_drains_opens_no_more() {
        let mut intake = Intake::new(true);
        intake.keep_out();
        assert!(!intake.is_open() && !intake.is_kept_out(), "it decides");
        intake.drain();
        intake.decided();
        intake.let_in();
        assert!(intake.is_draining() && !intake.takes(Offset(0)));
    }

    #[test]
    fn a_broken_invariant_stays_the_reason_and_replaces_any_other() {
        let mut intake = Intake::new(false);
        let broken = Halt::InvariantBroken {
            invariant: Invariant::I1,
            at: NextOffset::ZERO,
        };
        for halt in [
            Halt::NoStatePartition,
            broken.clone(),
            Halt::NoStatePartition,
        ] {
            intake.halt(halt);
            intake.drain();
        }
        assert_eq!(intake.halts(), Some(&broken));
        assert!(intake.is_void());
    }
}
