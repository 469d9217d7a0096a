//! The order of the steps of one transaction, and what a failure of each means.
//!
//! ```text
//!  Begin ─▶ Produce ─▶ SendOffsets ─▶ Commit ─▶ Committed
//!    │         │            │           │
//!    └─────────┴────────────┴─▶ Abort   └─ indefinite ─▶ Renew ─▶ Unsettled
//!                                 │ ─▶ Aborted
//!                                 └─ failed ─▶ Renew ─▶ Aborted
//! ```
//!
//! - T1: `Produce` is done when every record is **acknowledged**; only then are offsets sent, and
//!   only then is committed. Whatever the new owner's bound is, an unacknowledged footer cannot
//!   land above it and become valid later. What was done is counted apart from what is next, and a
//!   commit out of this order is an abort, also in releases.
//! - T3: once cancelled (a partition in it was revoked) it is never committed.
//! - T4: without membership (generation -1) no offsets are sent.
//! - T5: an indefinite commit is neither committed nor aborted. A new producer's init settles it,
//!   and the partitions in it are restored: the state log says what came of it.

use crate::core::planted::planted;

/// How a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing happened; the same call may be made again.
    Retriable,
    /// The transaction can only be aborted.
    Abort,
    /// It is not known whether it happened.
    Indefinite,
    /// Another producer has this transactional ID now, or the coordinator gave this one up.
    Fenced,
    /// The producer is of no more use.
    Fatal,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin the transaction.
    Begin,
    /// Produce all records and wait until each is acknowledged.
    Produce,
    /// Send the offsets to the transaction.
    SendOffsets,
    /// Commit.
    Commit,
    /// Abort.
    Abort,
    /// Replace the producer by a new one of the same transactional ID, whose init settles whatever
    /// the old one left.
    Renew,
    /// Nothing: this came of it.
    Done(Outcome),
}

/// What came of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is in the log.
    Committed,
    /// None of it is.
    Aborted,
    /// It is settled, but which way only the log knows: restore the partitions in it.
    Unsettled,
    /// Another live process uses the same transactional ID.
    Fenced,
    /// No producer could be had.
    Failed,
    /// T1 did not hold before the commit: none of it is in the log.
    OutOfOrder,
}

/// How often a step that may be repeated is repeated before the transaction is given up.
const ATTEMPTS_MAX: u32 = 5;

/// One transaction on its way.
#[derive(Debug)]
pub struct Transaction {
    action: Action,
    /// The action was handed out, and has neither succeeded nor failed yet.
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
    /// What to do now. From here on it is under way, until it has succeeded or failed.
    pub fn action(&mut self) -> Action {
        self.under_way = true;
        self.action
    }

    /// A partition in it was revoked or lost: it must not be committed any more (T3). May be said
    /// while a call is under way, before its end is: a commit under way is what its end says (T5).
    pub fn cancel(&mut self) {
        self.cancelled = true;
        if self.under_way {
            return;
        }
        match self.action {
            Action::Begin => self.go(Action::Done(Outcome::Aborted)),
            Action::Produce | Action::SendOffsets | Action::Commit => self.go(Action::Abort),
            Action::Abort | Action::Renew | Action::Done(_) => {}
        }
    }

    /// The current action succeeded. `member`: whether the offsets' consumer is a member of its
    /// group (T4).
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
            // A cancellation that comes while the commit is under way changes nothing: its records
            // were acknowledged before (T1), so they lie below the bound of whoever comes next.
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

    /// The current action failed. `own_timeout`: the transaction was open for longer than its
    /// time-out, so that the coordinator, and not another process, has fenced it.
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
            (Action::Begin | Action::Abort, _) => Action::Renew,
            (_, Failure::Fenced | Failure::Fatal) => Action::Renew,
            (Action::Commit, Failure::Retriable | Failure::Indefinite) => Action::Renew,
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

    /// True when it has failed because its time was up.
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
