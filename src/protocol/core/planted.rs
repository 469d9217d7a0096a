//! Mistakes that can be planted in the shipped code, each at the very line, so that the simulation is
//! seen to catch them: a check that has never failed has shown nothing.
//!
//! Without the feature `planted-bugs`, which no release has, every `planted!` is the constant `false`
//! and is compiled out. With it, and in unit tests, a test chooses one mistake for its thread.

/// A mistake, named for what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A batch without its footer.
    FooterNotWritten,
    /// The state in a transaction, the offset in none.
    StateAndOffsetApart,
    /// T1: offsets sent before the batch is acknowledged.
    OffsetsBeforeAcknowledgement,
    /// T2: a takeover goes by a bound that was read before the assignment.
    BoundBeforeAssignment,
    /// T2: the last stable offset as the bound of a takeover.
    StableOffsetAsBound,
    /// T2: a takeover goes by a committed offset that a prepared transaction is about to replace.
    UnstableOffset,
    /// I6: a committed offset beyond the footer is believed, although the fold is another one there.
    OffsetUndigested,
    /// A committed offset is believed although a repair has replaced the state that it follows.
    OldOffsetBelieved,
    /// The answers of an earlier owner beyond its last footer are sent again.
    AnsweredAgain,
    /// I4: the first request behind those that are answered already gets no answer.
    AnswerForgotten,
    /// I4: answers without a footer do not wait for the strays among their requests.
    AnsweredStraysLost,
    /// T3: a revoked partition is given up, its transaction goes on.
    RevokedCommittedLate,
    /// T3: at the deadline the transaction is cancelled and its producer not fenced.
    NotFenced,
    /// T4: a checkpoint by a consumer that is no member.
    CheckpointWithoutMembership,
    /// T3, T4: offsets sent as a member that has joined since the transaction began.
    OffsetsAsAnotherMember,
    /// T5: an indefinite commit taken for an abort.
    IndefiniteIsAborted,
    /// T9: a transaction begins while a request of the one before it may be on its way.
    LateRequestLeft,
    /// T8: requests of open and aborted transactions are folded.
    UncommittedRequests,
    /// I4: a checkpoint before the replies that it covers are acknowledged.
    RepliesNotAwaited,
    /// I4: the replies of an aborted transaction are not sent again.
    AbortedRepliesForgotten,
    /// The ledger records of an aborted transaction are not written again.
    AbortedLedgerForgotten,
    /// I4: a checkpoint does not wait for strays.
    ForwardNotAwaited,
    /// I4: a stray is counted as forwarded and never sent.
    StrayLost,
    /// A stray that was accepted before is granted once more.
    StrayTwice,
    /// I6: home passes over a gap in the chain.
    GapPassedOver,
    /// A stray that lies where a cut has been is taken for the one that lay there before.
    LeaderEpochIgnored,
    /// A link counts in the home partition of its name only.
    LinkAtHomeOnly,
    /// A request that is forwarded a second time names the first forward as the client's record.
    OriginLost,
    /// The tag of a link holds in any partition.
    TagWithoutDestination,
    /// I1: a parent counts the names that move, after the split.
    LeavingCounted,
    /// A parent sends its adopt behind the first strays for the child.
    AdoptBehindStray,
    /// I1: a child without a state takes the N of the service, which its parent still counts by.
    FreshChildReadsNewN,
    /// I1: a child adopts once more when its parent repeats the adopt.
    AdoptedTwice,
    /// I1: a child reports before what it adopted is committed.
    AdoptionNotAwaited,
    /// A parent drops the names of a child before the child has adopted them.
    BuriedEarly,
    /// A parent drops the names of all children when the first one has adopted its own.
    BuriedForAll,
    /// I5: a child begins with the window that its parent has after the split.
    WindowCopiedLate,
    /// I1: a child does not take over the ID above which its parent begins new names.
    FloorNotCopied,
    /// A repair does not begin the chains of its partition again.
    EpochNotRaised,
    /// A repaired home forgets which strays it has accepted.
    AcceptedForgotten,
    /// I5: after a restore nothing is found in the window.
    WindowNotRestored,
    /// I5: after a restore nothing is found in the own window of a sequence.
    OwnWindowNotRestored,
    /// I5: a child adopts a sequence without its own window.
    OwnWindowLeft,
    /// I5: a sequence with an own window forgets its requests with those of its partition.
    OwnWindowShared,
    /// I5: an operator's record that comes again is carried out again.
    ActTwice,
    /// A request whose reply cannot be routed gets no IDs.
    RoutingFolds,
    /// A clock in the fold.
    ClockInFold,
    /// The window forgets in the order of a hash.
    HashOrderInFold,
    /// A new service folds before its number of partitions is committed.
    UndecidedFolds,
    /// I6: a batch is believed although it does not add up.
    AnyBatchBelieved,
    /// I6: keys that others wrote are not written again.
    ForeignKeysLeft,
    /// I6: an owner whose state log lost what it had written goes on as if it were there.
    StateLossIgnored,
    /// I6: another record instead of the last applied one is not noticed.
    OtherRecordIgnored,
    /// I6: a consumer whose offset is gone begins at the start of the log.
    ResetToEarliest,
    /// A transaction that did not fit into its time is made again as large.
    LoadNotLowered,
    /// I4: what comes behind a read error is folded, although something was passed over.
    ReadOnBehindError,
    /// A partition that could not be read is never fetched again.
    UnreadIsLeft,
    /// I6: a request topic that was made again under running partitions is not noticed.
    OtherTopicIgnored,
    /// Failover: a peer's silence counts while this process slept or reached no broker.
    SilenceWhileAsleep,
    /// Failover: a transaction of a member is ended by others.
    LiveMemberFenced,
    /// Failover: an eviction is not checked again right before the join.
    EvictionUnchecked,
    /// Failover: an eviction that another peer has begun is not known.
    NoticeIgnored,
    /// Failover: an engine that was fenced ends the process without having heard another of its name.
    FencedExitsUnheard,
    /// I1: a sequence stays where it was after a grant. Noticed by the shipped code itself.
    CounterStays,
    /// I2: a grant passes over an ID. Noticed by the shipped code itself.
    IdSkipped,
    /// I6: the digest is not what was added to it. Noticed by the shipped code itself.
    DigestDrifts,
}

impl Bug {
    /// Every mistake that the simulation has to catch.
    pub const ALL: [Bug; 63] = [
        Bug::FooterNotWritten,
        Bug::StateAndOffsetApart,
        Bug::OffsetsBeforeAcknowledgement,
        Bug::BoundBeforeAssignment,
        Bug::StableOffsetAsBound,
        Bug::UnstableOffset,
        Bug::OffsetUndigested,
        Bug::OldOffsetBelieved,
        Bug::AnsweredAgain,
        Bug::AnswerForgotten,
        Bug::AnsweredStraysLost,
        Bug::RevokedCommittedLate,
        Bug::NotFenced,
        Bug::CheckpointWithoutMembership,
        Bug::OffsetsAsAnotherMember,
        Bug::IndefiniteIsAborted,
        Bug::LateRequestLeft,
        Bug::UncommittedRequests,
        Bug::RepliesNotAwaited,
        Bug::AbortedRepliesForgotten,
        Bug::AbortedLedgerForgotten,
        Bug::ForwardNotAwaited,
        Bug::StrayLost,
        Bug::StrayTwice,
        Bug::GapPassedOver,
        Bug::LeaderEpochIgnored,
        Bug::LinkAtHomeOnly,
        Bug::OriginLost,
        Bug::TagWithoutDestination,
        Bug::LeavingCounted,
        Bug::AdoptBehindStray,
        Bug::FreshChildReadsNewN,
        Bug::AdoptedTwice,
        Bug::AdoptionNotAwaited,
        Bug::BuriedEarly,
        Bug::BuriedForAll,
        Bug::WindowCopiedLate,
        Bug::FloorNotCopied,
        Bug::EpochNotRaised,
        Bug::AcceptedForgotten,
        Bug::WindowNotRestored,
        Bug::OwnWindowNotRestored,
        Bug::OwnWindowLeft,
        Bug::OwnWindowShared,
        Bug::ActTwice,
        Bug::RoutingFolds,
        Bug::ClockInFold,
        Bug::HashOrderInFold,
        Bug::UndecidedFolds,
        Bug::AnyBatchBelieved,
        Bug::ForeignKeysLeft,
        Bug::StateLossIgnored,
        Bug::OtherRecordIgnored,
        Bug::ResetToEarliest,
        Bug::LoadNotLowered,
        Bug::ReadOnBehindError,
        Bug::UnreadIsLeft,
        Bug::OtherTopicIgnored,
        Bug::SilenceWhileAsleep,
        Bug::LiveMemberFenced,
        Bug::EvictionUnchecked,
        Bug::NoticeIgnored,
        Bug::FencedExitsUnheard,
    ];

    /// Whether it is one of failover, which the simulation of the logs does not run.
    pub const fn is_of_failover(self) -> bool {
        matches!(
            self,
            Bug::SilenceWhileAsleep
                | Bug::LiveMemberFenced
                | Bug::EvictionUnchecked
                | Bug::NoticeIgnored
                | Bug::FencedExitsUnheard
        )
    }
}

/// True where this mistake is planted.
macro_rules! planted {
    ($bug:ident) => {
        cfg!(any(test, feature = "planted-bugs"))
            && $crate::core::planted::is_planted($crate::core::planted::Bug::$bug)
    };
}
pub(crate) use planted;

#[cfg(any(test, feature = "planted-bugs"))]
mod selected {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static SELECTED: Cell<Option<Bug>> = const { Cell::new(None) };
        static CLOCK: Cell<i64> = const { Cell::new(0) };
    }

    /// Plants a mistake in this thread, or none.
    pub fn plant(bug: Option<Bug>) {
        SELECTED.set(bug);
    }

    /// True when it is planted in this thread.
    pub fn is_planted(bug: Bug) -> bool {
        SELECTED.get() == Some(bug)
    }

    /// What [`Bug::ClockInFold`] reads.
    pub fn clock() -> i64 {
        CLOCK.set(CLOCK.get() + 1);
        CLOCK.get()
    }
}
#[cfg(any(test, feature = "planted-bugs"))]
pub use selected::{clock, is_planted, plant};

/// Nothing is planted in a release.
#[cfg(not(any(test, feature = "planted-bugs")))]
pub const fn is_planted(_: Bug) -> bool {
    false
}

/// There is no clock in a release.
#[cfg(not(any(test, feature = "planted-bugs")))]
pub const fn clock() -> i64 {
    0
}

/// A mistake in this thread, as long as the value lives.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Planted;

#[cfg(test)]
impl Planted {
    pub(crate) fn new(bug: Bug) -> Planted {
        plant(Some(bug));
        Planted
    }
}

#[cfg(test)]
impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
    }
}
