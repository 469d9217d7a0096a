//! Why a partition stopped, in words, and the command that repairs it (I6).

use std::fmt;

use crate::core::invariants::Invariant;
use crate::core::limits::{FOLD_VERSION, HOPS_MAX};
use crate::core::link::Origin;
use crate::core::rescale::Order;
use crate::core::{Homes, NextOffset, Offset, shell};
use crate::wire::state::TopicId;

/// The beginning of a remedy that is a command.
pub const RECOVER: &str = "sequencer recover";

/// A reason to stop rather than guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The state topic has nothing about the partition, but the partition has a past.
    NoState {
        /// The start of the request log.
        start: NextOffset,
        /// The group's committed offset.
        committed: Option<NextOffset>,
    },
    /// No footer in the state log matches the records before it.
    NothingAddsUp {
        /// Number of records that were read.
        records: u64,
        /// The group's committed offset.
        committed: Option<NextOffset>,
        /// The start of the request log.
        start: NextOffset,
    },
    /// The request log ends below the checkpoint's next offset.
    Truncated {
        /// The checkpoint's next offset.
        next: NextOffset,
        /// The end of the request log.
        end: NextOffset,
    },
    /// The request log starts above the checkpoint's next offset: requests are missing.
    RequestsMissing {
        /// The checkpoint's next offset.
        next: NextOffset,
        /// The start of the request log.
        start: NextOffset,
    },
    /// Another record is at the offset of the last applied one.
    OtherRecord {
        /// The offset of the last applied record.
        offset: Offset,
        /// The checkpoint's next offset.
        next: NextOffset,
    },
    /// The request topic was deleted and created again, or `topics.requests` names another one.
    OtherTopic {
        /// The ID of the topic that the state belongs to.
        expected: TopicId,
        /// The ID of the current topic.
        found: TopicId,
        /// The start of the current topic's log.
        start: NextOffset,
    },
    /// The state belongs to another consumer group.
    OtherGroup {
        /// The group in the footer.
        expected: String,
        /// The group of this instance.
        found: String,
    },
    /// The state was written under rules that this release does not know.
    UnknownFoldVersion {
        /// The version in the footer.
        found: u16,
    },
    /// The state has records of a newer format.
    UnknownFormat {
        /// The decoder's message.
        problem: String,
    },
    /// A request that another partition forwarded is missing.
    LinkBroken {
        /// The partition that forwarded it.
        source: u32,
        /// The offset of the request that arrived, in the partition that forwarded it.
        offset: i64,
        /// The offset in that partition of the request that should have come before it.
        previous: i64,
        /// The offset in that partition of the request that did come before it.
        accepted: i64,
        /// The offset of the arrived request in this partition.
        at: NextOffset,
    },
    /// A request was forwarded as often as a request may be, and its home is still another partition.
    TooManyHops {
        /// The record that the client wrote.
        origin: Origin,
        /// The home of its name, as this partition knows it.
        home: u32,
        /// The offset of the request in this partition.
        at: NextOffset,
    },
    /// An order of a rescale does not fit the partitions that this one knows of.
    OrderUnfit {
        /// The partition that gave the order.
        source: u32,
        /// The order.
        order: Box<Order>,
        /// The partitions that names are spread over, as this one knows them.
        homes: Box<Homes>,
        /// The offset of the order in this partition.
        at: NextOffset,
    },
    /// The state lacks sequences that this partition should have adopted, or has others.
    AdoptionBroken {
        /// The partition that the sequences come from.
        parent: u32,
        /// The problem, in words.
        problem: String,
        /// The offset of the order to adopt.
        at: NextOffset,
    },
    /// A batch of the request log cannot be read.
    Unreadable {
        /// The first offset of the batch.
        at: NextOffset,
        /// The cause, and the reader that can read the batch.
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
    /// The stable word for metrics and programs.
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
            Halt::TooManyHops { .. } => "too_many_hops",
            Halt::OrderUnfit { .. } => "order_unfit",
            Halt::AdoptionBroken { .. } => "adoption_broken",
            Halt::Unreadable { .. } => "unreadable",
            Halt::NoStatePartition => "no_state_partition",
            Halt::InvariantBroken { .. } => "invariant_broken",
        }
    }

    /// The offset from which a repair that cannot refold the log goes on. `None` when no repair of the state
    /// helps.
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
            | Halt::TooManyHops { .. }
            | Halt::OrderUnfit { .. }
            | Halt::AdoptionBroken { .. }
            | Halt::NoStatePartition
            | Halt::InvariantBroken { .. } => None,
        }
    }

    /// The remedy: a command, to which the caller adds the connection to the cluster, or what to change.
    pub fn remedy(&self, partition: i32) -> String {
        match self {
            // The command does not name the end of the log: records appended since the cut hide where the log
            // was cut, and the command finds this offset.
            halt if halt.repair_from().is_some() => format!("{RECOVER} --partition {partition}"),
            Halt::OtherGroup { expected, .. } => {
                let expected = shell::word(expected.as_ref());
                format!("start with --group {expected}, or use topics of its own for this group")
            }
            Halt::NoStatePartition => "start again: serve makes the topic; every partition with a \
                                       past then names its own repair"
                .to_owned(),
            Halt::OrderUnfit { .. } | Halt::AdoptionBroken { .. } => "the rescale cannot go on here; no ID was given \
                                                                     wrongly; report this line"
                .to_owned(),
            Halt::TooManyHops { .. } => "the partitions do not agree where this name is counted; no ID was given \
                                         wrongly; run the newest release and report this line"
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
            Halt::TooManyHops { origin, home, at } => write!(
                f,
                "the request at offset {at} was written to partition {}, offset {}, and was forwarded {HOPS_MAX} \
                 times, but its home is partition {home}",
                origin.partition, origin.offset
            ),
            Halt::OrderUnfit {
                source,
                order,
                homes,
                at,
            } => write!(
                f,
                "the record at offset {at} is an order of a rescale from partition {source}, {order:?}, which does \
                 not follow from the partitions {homes:?}"
            ),
            Halt::AdoptionBroken {
                parent,
                problem,
                at,
            } => write!(
                f,
                "the sequences that move here from partition {parent} at offset {at} are not complete: {problem}"
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
