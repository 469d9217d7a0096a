//! Why a partition stopped, in words, and the command that repairs it (I6).

use std::fmt;

use crate::core::invariants::Invariant;
use crate::core::limits::FOLD_VERSION;
use crate::core::{NextOffset, Offset, shell};
use crate::wire::state::TopicId;

/// What a remedy begins with that is a command.
pub const RECOVER: &str = "sequencer recover";

/// A reason to stop rather than guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The state topic says nothing of the partition, yet it has a past.
    NoState {
        /// Where the request log starts.
        start: NextOffset,
        /// What the group committed.
        committed: Option<NextOffset>,
    },
    /// No footer in the state log matches the records before it.
    NothingAddsUp {
        /// Records read.
        records: u64,
        /// What the group committed.
        committed: Option<NextOffset>,
        /// Where the request log starts.
        start: NextOffset,
    },
    /// The request log ends before the checkpoint.
    Truncated {
        /// The checkpoint.
        next: NextOffset,
        /// The end of the log.
        end: NextOffset,
    },
    /// The request log starts after the checkpoint: requests are missing.
    RequestsMissing {
        /// The checkpoint.
        next: NextOffset,
        /// The start of the log.
        start: NextOffset,
    },
    /// Another record lies where the last applied one was.
    OtherRecord {
        /// Where.
        offset: Offset,
        /// The checkpoint.
        next: NextOffset,
    },
    /// The request topic was deleted and made again, or `topics.requests` names another one.
    OtherTopic {
        /// The topic that the state is of.
        expected: TopicId,
        /// The topic that there is.
        found: TopicId,
        /// Where its log starts.
        start: NextOffset,
    },
    /// Another consumer group counts here.
    OtherGroup {
        /// The group in the footer.
        expected: String,
        /// Our own.
        found: String,
    },
    /// The state was written under rules that this release does not know.
    UnknownFoldVersion {
        /// The version in the footer.
        found: u16,
    },
    /// The state has records of a newer format.
    UnknownFormat {
        /// What the decoder said.
        problem: String,
    },
    /// A request that another partition forwarded is missing.
    LinkBroken {
        /// The partition that forwarded it.
        source: u32,
        /// The offset there of the request that came.
        offset: i64,
        /// The offset there that should have come before it.
        previous: i64,
        /// The offset there that did.
        accepted: i64,
        /// Where the request that came lies here.
        at: NextOffset,
    },
    /// A batch of the request log cannot be read.
    Unreadable {
        /// The first offset of the batch.
        at: NextOffset,
        /// Why, and what reads it.
        problem: String,
    },
    /// The state topic lacks the partition.
    NoStatePartition,
    /// The service itself is wrong, or its memory.
    InvariantBroken {
        /// What does not hold.
        invariant: Invariant,
        /// The next offset to read when it was noticed.
        at: NextOffset,
    },
}

impl Halt {
    /// A stable word for metrics and programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Halt::NoState { .. } => "no_state",
            Halt::NothingAddsUp { .. } => "nothing_adds_up",
            Halt::Truncated { .. } => "truncated",
            Halt::RequestsMissing { .. } => "requests_missing",
            Halt::OtherRecord { .. } => "other_record",
            Halt::OtherTopic { .. } => "other_topic",
            Halt::OtherGroup { .. } => "other_group",
            Halt::UnknownFoldVersion { .. } => "unknown_fold_version",
            Halt::UnknownFormat { .. } => "unknown_format",
            Halt::LinkBroken { .. } => "link_broken",
            Halt::Unreadable { .. } => "unreadable",
            Halt::NoStatePartition => "no_state_partition",
            Halt::InvariantBroken { .. } => "invariant_broken",
        }
    }

    /// Where a repair that cannot refold the log goes on; `None` when no repair of the state helps.
    pub fn repair_from(&self) -> Option<NextOffset> {
        match self {
            Halt::NoState { start, committed }
            | Halt::NothingAddsUp {
                start, committed, ..
            } => Some(committed.map_or(*start, |committed| committed.max(*start))),
            Halt::Truncated { end, .. } => Some(*end),
            Halt::RequestsMissing { start, .. } | Halt::OtherTopic { start, .. } => Some(*start),
            Halt::OtherRecord { next, .. } => Some(*next),
            Halt::LinkBroken { at, .. } | Halt::Unreadable { at, .. } => Some(*at),
            Halt::OtherGroup { .. }
            | Halt::UnknownFoldVersion { .. }
            | Halt::UnknownFormat { .. }
            | Halt::NoStatePartition
            | Halt::InvariantBroken { .. } => None,
        }
    }

    /// What to do about it: a command, to which whoever prints it adds the way to the cluster, or what
    /// to change.
    pub fn remedy(&self, partition: i32) -> String {
        match self {
            // No end of the log is named: what has been appended since the cut hides where it was, and the
            // command finds that place.
            halt if halt.repair_from().is_some() => format!("{RECOVER} --partition {partition}"),
            Halt::OtherGroup { expected, .. } => {
                let expected = shell::word(expected.as_ref());
                format!("start with --group {expected}, or use topics of its own for this group")
            }
            Halt::NoStatePartition => "start again: serve makes the topic; every partition with a \
                                       past then names its own repair"
                .to_owned(),
            Halt::InvariantBroken { .. } => "nothing wrong was committed, and the requests are folded again \
                                             every 10 s; if it halts each time, run another release and \
                                             report this line"
                .to_owned(),
            _ => "run the release that wrote the state, or a newer one".to_owned(),
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::NoState { start, committed } => match committed {
                Some(next) => write!(
                    f,
                    "the group has committed offset {next}, but the state topic knows nothing of \
                     the partition"
                ),
                None => write!(
                    f,
                    "the request log starts at {start}, so requests are gone, and the state topic \
                     knows nothing of the partition"
                ),
            },
            Halt::NothingAddsUp { records, .. } => write!(
                f,
                "no footer among {records} state records matches the records before it"
            ),
            Halt::Truncated { next, end } => write!(
                f,
                "the request log ends at {end}, before the checkpoint at {next}: it was truncated"
            ),
            Halt::RequestsMissing { next, start } => write!(
                f,
                "the request log starts at {start}, after the checkpoint at {next}: requests \
                 between them were deleted unanswered"
            ),
            Halt::OtherRecord { offset, .. } => write!(
                f,
                "the record at offset {offset} is not the one that was answered: the log was \
                 truncated and has grown again"
            ),
            Halt::OtherTopic {
                expected, found, ..
            } => write!(
                f,
                "the request topic was recreated, or topics.requests names another one than before: \
                 the state is of the topic with ID {expected}, this one has {found}"
            ),
            Halt::OtherGroup { expected, found } => write!(
                f,
                "group {expected:?} counts in this state topic, this instance is of {found:?}"
            ),
            Halt::UnknownFoldVersion { found } => write!(
                f,
                "the state is of fold version {found}, this release knows {FOLD_VERSION}"
            ),
            Halt::UnknownFormat { problem } => f.write_str(problem),
            Halt::LinkBroken {
                source,
                offset,
                previous,
                accepted,
                at,
            } => write!(
                f,
                "the request at offset {at} was forwarded from partition {source}, offset {offset}, \
                 and follows offset {previous} there, but the last one accepted is {accepted}: \
                 requests of partition {source} are missing"
            ),
            Halt::Unreadable { at, problem } => {
                write!(f, "the batch at offset {at} cannot be read: {problem}")
            }
            Halt::NoStatePartition => f.write_str("there is no state topic"),
            Halt::InvariantBroken { invariant, at } => {
                write!(f, "at offset {at}, {}", invariant.as_str())
            }
        }
    }
}
