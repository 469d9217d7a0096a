//! A takeover, from an assignment to the first record: its questions, their order, and what the answers mean.
//!
//! 1. [`Action::ReadBound`]: the end of the state log, read after the assignment and with a read-uncommitted
//!    view (T2). The previous owner's last transaction may be prepared and not yet visible. It lies below this
//!    bound.
//! 2. [`Action::ReadCommitted`]: the committed offset, read after the assignment as well, once no transaction is
//!    about to commit another one. Its metadata names where the last full rewrite begins, and up to where
//!    everything is answered ([`super::answered`]).
//! 3. [`Action::ReadState`]: committed state records up to the bound, from the rewrite first, and from the
//!    beginning if that does not add up.
//! 4. [`Action::DescribeLog`] and [`Action::ReadRecord`]: checks that the state belongs to this log.
//! 5. [`Action::ReadService`]: a partition without a past learns N, as it was when the partition was added, and
//!    the key of the links from state partition 0.
//!
//! Some questions may be asked at the same time ([`Action::beside`]).

use super::answered::Answered;
use super::checkpoint::{answered, rewrite_from};
use super::halt::Halt;
use super::restore::Restored;
use crate::core::invariants::i6_log_reaches;
use crate::core::limits::FOLD_VERSION;
use crate::core::link::LinkKey;
use crate::core::planted::planted;
use crate::core::{Fold, Homes, NextOffset, Offset};
pub use crate::wire::state::Decided;
use crate::wire::state::{Fingerprint, Footer, TopicId};

/// The next question of a takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start and end of the partition's state log, read uncommitted.
    ReadBound,
    /// The group's committed offset for the partition, and its metadata, in the view
    /// [`super::reading::committed_view`].
    ReadCommitted,
    /// Committed state records in `from..to`.
    ReadState {
        /// First state offset.
        from: i64,
        /// The bound, exclusive.
        to: i64,
    },
    /// Start, end, topic ID and partition count of the request log.
    DescribeLog,
    /// The fingerprint of one request record.
    ReadRecord(Offset),
    /// The decisions for the whole service, after a restore of state partition 0.
    ReadService,
    /// Give the state topic as many partitions as the request topic.
    GrowState,
}

impl Action {
    /// A question that may be asked at the same time, because it does not depend on the answer to this one. It saves
    /// round trips, in which the partition stands still. The request log is described after the bound, so a footer
    /// below the bound never covers more than the log has.
    pub fn beside(self) -> Option<Action> {
        match self {
            Action::ReadBound => Some(Action::ReadCommitted),
            Action::ReadState { .. } => Some(Action::DescribeLog),
            _ => None,
        }
    }
}

/// The state log of a partition, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The extent of the existing log.
    Log(StateLog),
    /// The state topic exists and lacks the partition: the request topic has grown.
    NoPartition,
    /// There is no state topic.
    NoTopic,
}

/// The answer to a question.
#[derive(Debug)]
pub enum Event {
    /// The answer to [`Action::ReadBound`].
    Bound(Bound),
    /// The answer to [`Action::ReadCommitted`].
    Committed(Option<Committed>),
    /// The answer to [`Action::ReadState`]: the result of the restore.
    State(Box<Restored>),
    /// The answer to [`Action::ReadState`] when a newer release wrote a record.
    UnknownFormat(String),
    /// The answer to [`Action::DescribeLog`].
    Log(RequestLog),
    /// The answer to [`Action::ReadRecord`]. `None` when no committed record is at the offset.
    Record(Option<u128>),
    /// The answer to [`Action::ReadService`]. `None` when there is no footer yet.
    Service(Option<Decided>),
    /// The answer to [`Action::GrowState`]: the state topic is getting more partitions.
    Growing,
    /// The question could not be answered now.
    Unavailable(String),
}

/// The extent of a partition's state log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLog {
    /// The first offset.
    pub start: i64,
    /// The high watermark.
    pub end: i64,
}

/// A committed offset of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset that Kafka's tools show.
    pub next: NextOffset,
    /// State offset at which the last full rewrite begins, from the metadata.
    pub rewrite_from: Option<i64>,
    /// The end of the answered requests, from the metadata.
    pub answered: Option<Answered>,
}

impl Committed {
    /// Reads a committed offset and its metadata. Unreadable metadata counts as absent.
    pub fn read(next: NextOffset, metadata: &str) -> Committed {
        Committed {
            next,
            rewrite_from: rewrite_from(metadata),
            answered: answered(metadata),
        }
    }

    /// The end of the answered requests beyond the footer of this state, if it is to be believed.
    pub fn answered_beyond(&self, restored: &Restored) -> Option<Answered> {
        let (footer, batch) = restored.footer.as_ref().zip(restored.batch)?;
        let follows = |answered: &Answered| {
            let has_answers = footer.answers_beyond || planted!(OldOffsetBelieved);
            has_answers && answered.follows(self.next, footer.next, batch)
        };
        self.answered.filter(follows)
    }
}

/// The description of the request log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLog {
    /// The first offset.
    pub start: NextOffset,
    /// The high watermark.
    pub end: NextOffset,
    /// Kafka's ID of the topic.
    pub topic_id: TopicId,
    /// Number of partitions that the topic has now.
    pub partitions: u32,
}

/// The result of a takeover.
#[derive(Debug)]
pub enum Verdict {
    /// Fold from here on.
    Start(Box<Start>),
    /// Nothing is wrong, but something is not there yet. Ask again later.
    Wait(String),
    /// Stop (I6). The number is the highest ID in the state.
    Halt(Halt, i64),
}

/// Everything that a partition needs to run.
#[derive(Debug)]
pub struct Start {
    /// The restored state, and what the restore noticed. A partition without a past has the homes of the service
    /// in it, and nothing else.
    pub restored: Restored,
    /// The first offset to read.
    pub next: NextOffset,
    /// Requests below this are answered already, and are folded without replies.
    pub answered: Option<Answered>,
    /// The key of the links.
    pub link_key: LinkKey,
    /// True when this start decides for partition 0 or for the partition alone by which N it begins: that must be
    /// committed before a record is folded by it. After a rescale, another owner may begin by another N.
    pub decides: bool,
    /// Number of partitions that the request topic has now.
    pub topic_partitions: u32,
    /// The ID of the request topic.
    pub topic_id: TopicId,
    /// The last applied record. None before the first one.
    pub last_applied: Option<Fingerprint>,
    /// The end of the state log according to the bound.
    pub state_end: i64,
    /// State offset at which the last full rewrite begins.
    pub rewrite_from: Option<i64>,
}

/// The next step of a takeover.
#[derive(Debug)]
pub enum Step {
    /// Find out the answer to this.
    Do(Action),
    /// The takeover has ended.
    Done(Verdict),
}

/// The progress of one partition from assignment to verdict.
#[derive(Debug)]
pub struct Takeover {
    partition: i32,
    group: String,
    /// The key of the links, if this takeover makes the decision.
    fresh_key: LinkKey,
    bound: Option<StateLog>,
    committed: Option<Committed>,
    /// The state offset at which the current read began.
    read_from: i64,
    restored: Restored,
    log: Option<RequestLog>,
    /// True when the log was described again because its last applied record was not there.
    looked_again: bool,
}

impl Takeover {
    /// A takeover of a partition that was just assigned. `fresh_key` is drawn at random, for the case that
    /// nothing is decided yet.
    pub fn new(partition: i32, group: impl Into<String>, fresh_key: LinkKey) -> Takeover {
        Takeover {
            partition,
            group: group.into(),
            fresh_key,
            bound: None,
            committed: None,
            read_from: 0,
            restored: Restored::default(),
            log: None,
            looked_again: false,
        }
    }

    /// Returns the first question.
    pub fn first(&self) -> Step {
        Step::Do(Action::ReadBound)
    }

    /// Takes an answer and returns the next step.
    pub fn on(&mut self, event: Event) -> Step {
        match event {
            Event::Bound(Bound::NoTopic) => self.halt(Halt::NoStatePartition),
            Event::Bound(Bound::NoPartition) => Step::Do(Action::GrowState),
            Event::Growing => Step::Done(Verdict::Wait(
                "the state topic is being given as many partitions as the request topic".to_owned(),
            )),
            Event::Bound(Bound::Log(bound)) => {
                self.bound = Some(bound);
                Step::Do(Action::ReadCommitted)
            }
            Event::Committed(committed) => {
                self.committed = committed;
                let Some(StateLog { start, end }) = self.bound else {
                    return Step::Do(Action::ReadBound);
                };
                let rewrite = committed.and_then(|committed| committed.rewrite_from);
                self.read_from = rewrite
                    .filter(|at| (start..end).contains(at))
                    .unwrap_or(start);
                self.read_state()
            }
            Event::UnknownFormat(problem) => self.halt(Halt::UnknownFormat { problem }),
            Event::State(restored) => self.on_state(*restored),
            Event::Log(log) => self.on_log(log),
            Event::Record(hash) => self.on_record(hash),
            Event::Service(None) => Step::Done(Verdict::Wait(
                "partition 0 has not yet decided how many partitions the service has".to_owned(),
            )),
            Event::Service(Some(decided)) => self.start_fresh(decided),
            Event::Unavailable(problem) => Step::Done(Verdict::Wait(problem)),
        }
    }

    fn read_state(&self) -> Step {
        let to = self.bound.map_or(self.read_from, |bound| bound.end);
        Step::Do(Action::ReadState {
            from: self.read_from,
            to,
        })
    }

    fn on_state(&mut self, restored: Restored) -> Step {
        let start = self.bound.map_or(0, |bound| bound.start);
        // A record of a zombie among those of a rewrite may make an old footer add up there, and not the owner's. So
        // a reading from a rewrite is believed only where everything in it adds up.
        let is_doubtful = restored.footer.is_none() || restored.skipped_batches > 0;
        if is_doubtful && self.read_from > start {
            self.read_from = start;
            return self.read_state();
        }
        self.restored = restored;
        Step::Do(Action::DescribeLog)
    }

    fn on_log(&mut self, log: RequestLog) -> Step {
        self.log = Some(log);
        let Some(footer) = &self.restored.footer else {
            return self.without_footer(log);
        };
        if let Err(halt) = self.check(footer, log) {
            return self.halt(halt);
        }
        match footer.last_applied {
            // If retention has removed the record, there is nothing to compare. Nothing is missing as long as
            // the log reaches back to the checkpoint.
            Some(last) if last.offset.0 >= log.start.0 => Step::Do(Action::ReadRecord(last.offset)),
            _ => self.start(),
        }
    }

    /// I6: checks that the state is this service's, and that the log still reaches from it onwards.
    fn check(&self, footer: &Footer, log: RequestLog) -> Result<(), Halt> {
        if footer.fold_version != FOLD_VERSION {
            return Err(Halt::UnknownFoldVersion {
                found: footer.fold_version,
            });
        }
        if footer.group != self.group {
            return Err(Halt::OtherGroup {
                expected: footer.group.clone(),
                found: self.group.clone(),
            });
        }
        if footer.topic_id != log.topic_id {
            return Err(Halt::OtherTopic {
                expected: footer.topic_id,
                found: log.topic_id,
                start: log.start,
            });
        }
        let next = footer.next;
        if i6_log_reaches(log.start, next, log.end) {
            let lost = self.answered().filter(|answered| answered.next > log.end);
            return match lost {
                Some(Answered { next, .. }) => Err(Halt::Truncated { next, end: log.end }),
                None => Ok(()),
            };
        }
        Err(if next < log.start {
            let start = log.start;
            Halt::RequestsMissing { next, start }
        } else {
            let end = log.end;
            Halt::Truncated { next, end }
        })
    }

    fn answered(&self) -> Option<Answered> {
        self.committed?.answered_beyond(&self.restored)
    }

    fn on_record(&mut self, hash: Option<u128>) -> Step {
        let Some(footer) = &self.restored.footer else {
            return Step::Do(Action::DescribeLog);
        };
        match footer.last_applied {
            // Retention may have removed the record between two questions, so the log is described once more.
            Some(_) if hash.is_none() && !self.looked_again => {
                self.looked_again = true;
                Step::Do(Action::DescribeLog)
            }
            Some(last) if hash != Some(last.hash) && !planted!(OtherRecordIgnored) => {
                let halt = Halt::OtherRecord {
                    offset: last.offset,
                    next: footer.next,
                };
                self.halt(halt)
            }
            _ => self.start(),
        }
    }

    fn without_footer(&mut self, log: RequestLog) -> Step {
        let committed = self.committed.map(|committed| committed.next);
        if self.restored.records > 0 {
            return self.halt(Halt::NothingAddsUp {
                records: self.restored.records,
                committed,
                start: log.start,
            });
        }
        if committed.is_some() || log.start != NextOffset::ZERO {
            return self.halt(Halt::NoState {
                start: log.start,
                committed,
            });
        }
        if self.partition == 0 {
            return self.start_fresh(Decided {
                homes: Homes::first(log.partitions),
                link_key: self.fresh_key,
            });
        }
        Step::Do(Action::ReadService)
    }

    fn start_fresh(&mut self, decided: Decided) -> Step {
        let Some(log) = self.log else {
            return Step::Do(Action::DescribeLog);
        };
        let homes = match u32::try_from(self.partition) {
            Ok(partition) => decided.homes.at_birth(partition),
            Err(_) => decided.homes,
        };
        self.restored.fold = Fold::new(homes);
        self.done(NextOffset::ZERO, decided.link_key, log.topic_id, None)
    }

    fn start(&mut self) -> Step {
        match &self.restored.footer {
            Some(footer) => {
                let link_key = footer.link_key;
                let (next, topic_id) = (footer.next, footer.topic_id);
                let last_applied = footer.last_applied;
                self.done(next, link_key, topic_id, last_applied)
            }
            None => Step::Do(Action::DescribeLog),
        }
    }

    fn done(
        &mut self,
        next: NextOffset,
        link_key: LinkKey,
        topic_id: TopicId,
        last_applied: Option<Fingerprint>,
    ) -> Step {
        let rewrite = self.committed.and_then(|committed| committed.rewrite_from);
        let answered = self.answered();
        let decides = self.restored.footer.is_none();
        let homes = self.restored.fold.scalars().homes;
        let topic_partitions = self.log.map_or(homes.partitions(), |log| log.partitions);
        Step::Done(Verdict::Start(Box::new(Start {
            decides,
            topic_partitions,
            restored: std::mem::take(&mut self.restored),
            next,
            answered,
            link_key,
            topic_id,
            last_applied,
            state_end: self.bound.map_or(0, |bound| bound.end),
            rewrite_from: rewrite.filter(|at| *at == self.read_from),
        })))
    }

    fn halt(&self, halt: Halt) -> Step {
        Step::Done(Verdict::Halt(halt, self.restored.highest_id()))
    }
}

#[cfg(test)]
mod tests;
