//! The order of the steps of one transaction, and the meaning of a failure of each.
//!
//! ```text
//!  Begin ─▶ Produce ─▶ SendOffsets ─▶ Commit ─▶ Committed
//!    │         │            │           │
//!    └─────────┴────────────┴─▶ Abort   └─ indefinite ─▶ Renew ─▶ Unsettled
//!                                 │ ─▶ Aborted
//!                                 └─ failed ─▶ Renew ─▶ Aborted
//! ```
//!
//! - T1: `Produce` is done when every record is **acknowledged**. Only then are offsets sent, and only then is
//!   the transaction committed. Whatever the new owner's bound is, an unacknowledged footer cannot land above
//!   it and become valid later. Completed steps are counted apart from the next step, and a commit out of
//!   this order is an abort, also in releases.
//! - T3: a cancelled transaction (a partition in it was revoked) is never committed.
//! - T4: without membership (generation -1) no offsets are sent.
//! - T5: an indefinite commit is neither committed nor aborted. A new producer's init settles it, and the
//!   partitions in it are restored: the state log shows the outcome.
//! - T9: an abort is complete when no request of the transaction can arrive any more. A broker takes a late
//!   produce request into the next transaction of the same epoch, with replies that the next transaction holds
//!   as well. So an abort that cannot tell fails, and a new producer's init raises the epoch.

use crate::core::planted::planted;

/// How a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing happened. The same call may be made again.
    Retriable,
    /// The transaction can only be aborted.
    Abort,
    /// It is unknown whether the call took effect.
    Indefinite,
    /// Another producer has this transactional ID now, or the coordinator gave this one up.
    Fenced,
    /// The producer is no longer usable.
    Fatal,
}

/// The next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin the transaction.
    Begin,
    /// Produce all records and wait until each is acknowledged.
    Produce,
    /// Send the offsets to the transaction.
    SendOffsets,
    /// Commit the transaction.
    Commit,
    /// Abort the transaction. This fails when a request of it may still arrive at a broker (T9).
    Abort,
    /// Replace the producer with a new one of the same transactional ID. Its init settles what the old one
    /// left.
    Renew,
    /// Nothing more to do: this is the outcome.
    Done(Outcome),
}

/// The outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of its records are in the log.
    Committed,
    /// None of its records is visible.
    Aborted,
    /// The transaction is settled, but only the log shows which way. Restore the partitions in it.
    Unsettled,
    /// Another live process uses the same transactional ID.
    Fenced,
    /// No producer could be created.
    Failed,
    /// T1 did not hold before the commit: none of it is in the log.
    OutOfOrder,
}

/// Number of repetitions of a step that may be repeated. Then the transaction is given up.
const ATTEMPTS_MAX: u32 = 5;

/// The progress of one transaction.
#[derive(Debug)]
pub struct Transaction {
    action: Action,
    /// True when the action was handed out, and has neither succeeded nor failed yet.
    under_way: bool,
    attempts: u32,
    cancelled: bool,
    late: bool,
    /// What has succeeded, in this order: 1 when every record is acknowledged, 2 when the offsets are sent
    /// after that.
    in_order: u8,
    after_abort: Outcome,
    after_renewal: Outcome,
}

impl Default for Transaction {
    fn default() -> Transaction {
        Transaction {
            action: Action::Begin,
            under_way: false,
            attempts: 0,
            cancelled: false,
            late: false,
            in_order: 0,
            after_abort: Outcome::Aborted,
            after_renewal: Outcome::Aborted,
        }
    }
}

impl Transaction {
    /// Hands out the current action. It is in progress until it has succeeded or failed.
    pub fn action(&mut self) -> Action {
        self.under_way = true;
        self.action
    }

    /// A partition in the transaction was revoked or lost: it must no longer be committed (T3). This may be
    /// called during an action, before its result is known. For a commit in progress, the result decides (T5).
    pub fn cancel(&mut self) {
        self.cancelled = true;
        if self.under_way {
            return;
        }
        match self.action {
            Action::Begin => self.go(Action::Done(Outcome::Aborted)),
            // An earlier try has had no answer, and may have arrived (T5).
            Action::Commit if self.attempts > 0 => {
                self.after_renewal = Outcome::Unsettled;
                self.go(Action::Renew);
            }
            Action::Produce | Action::SendOffsets | Action::Commit => self.go(Action::Abort),
            Action::Abort | Action::Renew | Action::Done(_) => {}
        }
    }

    /// The current action succeeded. `member` says whether the consumer of the offsets is a member of its group
    /// (T4).
    pub fn succeeded(&mut self, member: bool) {
        self.in_order = match (self.action, self.in_order) {
            (Action::Produce, 0) => 1,
            (Action::SendOffsets, 1) => 2,
            (_, in_order) => in_order,
        };
        let next = match self.action {
            Action::Begin | Action::Produce | Action::SendOffsets if self.cancelled => {
                Action::Abort
            }
            Action::Begin | Action::SendOffsets if planted!(OffsetsBeforeAcknowledgement) => {
                match self.action {
                    Action::Begin => Action::SendOffsets,
                    _ => Action::Produce,
                }
            }
            Action::Produce if planted!(OffsetsBeforeAcknowledgement) => Action::Commit,
            Action::Produce if planted!(StateAndOffsetApart) => Action::Commit,
            Action::Begin => Action::Produce,
            Action::Produce if member || planted!(CheckpointWithoutMembership) => {
                Action::SendOffsets
            }
            Action::Produce => Action::Abort,
            Action::SendOffsets => Action::Commit,
            // A cancellation during the commit changes nothing: the records were acknowledged before (T1), so
            // they lie below the bound of the next owner.
            Action::Commit => Action::Done(Outcome::Committed),
            Action::Abort => Action::Done(self.after_abort),
            Action::Renew => Action::Done(self.after_renewal),
            done @ Action::Done(_) => done,
        };
        let planted = planted!(OffsetsBeforeAcknowledgement) || planted!(StateAndOffsetApart);
        if next == Action::Commit && self.in_order != 2 && !planted {
            self.after_abort = Outcome::OutOfOrder;
            self.after_renewal = Outcome::OutOfOrder;
            return self.go(Action::Abort);
        }
        self.go(next);
    }

    /// The current action failed. `own_timeout`: the transaction was open for longer than its timeout, so the
    /// coordinator, and not another process, has fenced it.
    pub fn failed(&mut self, failure: Failure, own_timeout: bool) {
        let committing = self.action == Action::Commit;
        self.late |= own_timeout
            && !self.cancelled
            && matches!(
                self.action,
                Action::Produce | Action::SendOffsets | Action::Commit
            );
        let next = match (self.action, failure) {
            (Action::Done(_), _) => return,
            (Action::Renew, Failure::Retriable | Failure::Indefinite) => {
                self.again(Outcome::Failed)
            }
            (Action::Renew, _) => Action::Done(Outcome::Failed),
            (_, Failure::Fenced) if !own_timeout && !self.cancelled => {
                Action::Done(Outcome::Fenced)
            }
            (Action::Commit, Failure::Retriable)
                if self.attempts < ATTEMPTS_MAX && !self.cancelled =>
            {
                self.attempts += 1;
                Action::Commit
            }
            (Action::Abort, Failure::Indefinite) if planted!(LateRequestLeft) => {
                Action::Done(self.after_abort)
            }
            (Action::Begin | Action::Abort, _) => Action::Renew,
            (_, Failure::Fenced | Failure::Fatal) => Action::Renew,
            // A request that is not answered may still be handled, after an abort in the next transaction (T9).
            (Action::SendOffsets | Action::Commit, Failure::Retriable | Failure::Indefinite) => {
                Action::Renew
            }
            (_, Failure::Retriable | Failure::Abort | Failure::Indefinite) => Action::Abort,
        };
        if committing && next == Action::Renew && !planted!(IndefiniteIsAborted) {
            self.after_renewal = Outcome::Unsettled;
        }
        if next == self.action {
            self.under_way = false;
            return;
        }
        self.go(next);
    }

    /// True when the transaction has failed because its time was over.
    pub fn is_late(&self) -> bool {
        self.late
    }

    fn again(&mut self, otherwise: Outcome) -> Action {
        self.attempts += 1;
        if self.attempts < ATTEMPTS_MAX {
            self.action
        } else {
            Action::Done(otherwise)
        }
    }

    fn go(&mut self, action: Action) {
        self.action = action;
        self.under_way = false;
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests;
