//! The inputs of an instance, and its effects.

use crate::core::fold::Outlook;
use crate::core::link::LinkKey;
use crate::core::rescale::Standing;
use crate::core::{Homes, NextOffset};
use crate::processor::checkpoint::{Checkpoint, Written};
use crate::processor::parent::Parent;
use crate::processor::partition::Service;
use crate::processor::takeover::Verdict;
use crate::processor::transaction::Outcome;
use crate::wire::state::TopicId;

/// The random numbers of one run of a process.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Identifies this run's batches.
    pub writer: u64,
    /// The key of the tags of forwarded requests, used if this run makes the decision.
    pub link_key: LinkKey,
}

/// The operator's settings for an instance.
#[derive(Clone, Debug)]
pub struct Options {
    /// The settings that all partitions share.
    pub service: Service,
    /// The random numbers of this run.
    pub run: Run,
    /// Shortest time between the beginnings of two checkpoints, in ms.
    pub checkpoint_interval_ms: u64,
    /// Shortest time between two footers of a partition in `exactly_once` mode, in ms. A checkpoint interval that is
    /// longer counts instead.
    pub footer_interval_ms: u64,
    /// How long a transaction may be open, in ms.
    pub transaction_timeout_ms: u64,
    /// A revoked partition is handed over within this time, in ms, with a last checkpoint or without it.
    pub revoke_deadline_ms: u64,
    /// After a stop, the last checkpoint is made within this time, in ms, or given up.
    pub stop_deadline_ms: u64,
}

/// An input: something that has happened.
#[derive(Debug)]
pub enum Input {
    /// The group has assigned these partitions in addition to the present ones.
    Assigned(Vec<i32>),
    /// The group revokes these partitions.
    Revoked {
        /// The revoked partitions.
        partitions: Vec<i32>,
        /// True when this instance is no longer a member: the group has assigned the partitions to others
        /// already.
        lost: bool,
    },
    /// A takeover has ended.
    Restored {
        /// The partition that was taken over.
        partition: i32,
        /// The assignment under which the takeover began.
        assignment: u32,
        /// The result of the takeover.
        verdict: Verdict,
    },
    /// The end of a partition's committed records.
    EndOfPartition {
        /// The partition whose end is reached.
        partition: i32,
        /// The next offset, beyond transaction markers.
        next: NextOffset,
    },
    /// The log has no record at the offset of the read (out of range, another leader epoch).
    LogError {
        /// The partition of the log.
        partition: i32,
    },
    /// The current ID of the request topic.
    RequestTopic(TopicId),
    /// A transaction has ended.
    Settled {
        /// The checkpoint of the transaction.
        checkpoint: Box<Checkpoint>,
        /// The outcome of the transaction.
        outcome: Outcome,
        /// The state offsets of each section, when the transaction was committed. None for a section without state
        /// records.
        written: Vec<Option<Written>>,
        /// True when the transaction did not fit into its time.
        late: bool,
    },
    /// This process created a new transactional producer of the same ID, which fenced the one in use.
    FencedOurselves,
    /// Records that other writers wrote to a range of a partition's state log.
    Foreign {
        /// The partition of the state log.
        partition: i32,
        /// The assignment under which the read was asked for.
        assignment: u32,
        /// The start of the range that was asked for; above `end` when the log has lost records.
        from: i64,
        /// Keys of committed records of other writers.
        keys: Vec<Vec<u8>>,
        /// The end of the range that was read.
        end: i64,
    },
    /// The records of other writers could not be read.
    ForeignUnread {
        /// The partition of the state log.
        partition: i32,
        /// The assignment under which the read was asked for.
        assignment: u32,
        /// The start of the range that was asked for.
        from: i64,
        /// The end of the range that was asked for.
        to: Option<i64>,
    },
    /// The state of a parent was read, for a partition that adopts names.
    Parent {
        /// The partition that adopts.
        partition: i32,
        /// The assignment under which the read was asked for.
        assignment: u32,
        /// The part of the state that the partition adopts.
        parent: Parent,
    },
    /// Number of partitions of the default reply topic.
    ReplyPartitions(u32),
    /// Time has passed. This input carries nothing else.
    Tick,
    /// Finish the work and leave the group.
    Stop,
}

/// An effect: something that the caller must do.
#[derive(Debug)]
pub enum Effect {
    /// Answer the assignment. Nothing is fetched yet.
    AcceptAssignment,
    /// Begin a takeover.
    Restore {
        /// The partition to take over.
        partition: i32,
        /// The assignment, which comes back with the verdict.
        assignment: u32,
    },
    /// Fetch a partition's records from this offset on.
    Fetch {
        /// The partition to fetch.
        partition: i32,
        /// The first offset to fetch.
        from: NextOffset,
    },
    /// Stop fetching a partition.
    StopFetching {
        /// The partition to stop.
        partition: i32,
    },
    /// Answer the revocation: this instance no longer owns these partitions.
    GiveUp {
        /// The partitions that are given up.
        partitions: Vec<i32>,
    },
    /// Carry out a transaction.
    Transact(Box<Checkpoint>),
    /// Do not commit the transaction in progress, if this can still be prevented.
    CancelTransaction,
    /// Create a new transactional producer of the same ID at once, which fences the one in use (T3).
    Fence,
    /// Read the records of other writers in a partition's state log.
    ReadForeign {
        /// The partition of the state log.
        partition: i32,
        /// The assignment, which comes back with the answer.
        assignment: u32,
        /// The first state offset.
        from: i64,
        /// One past the last offset. None for the end of the log.
        to: Option<i64>,
    },
    /// Read the committed state of another partition, for a partition that adopts names of it.
    ReadParent {
        /// The partition that adopts.
        partition: i32,
        /// The assignment, which comes back with the answer.
        assignment: u32,
        /// The partition whose state is to be read.
        parent: u32,
        /// The list with which the partition adopts.
        homes: Homes,
    },
    /// Everything is finished: leave the group.
    Leave,
    /// Another live process uses this instance's ID.
    ExitFenced,
    /// No transactional producer could be created: begin again with the joining of the group.
    StartOver,
}

/// State of a partition, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The state is being read.
    Restoring,
    /// Waits for the reason given.
    Waiting(String),
    /// Answers requests.
    Running,
    /// The partition is being handed over.
    Draining,
    /// Halted for the reason given.
    Halted {
        /// The stable word for the reason.
        code: &'static str,
        /// The reason in words.
        reason: String,
        /// The remedy: a command, or what to change.
        remedy: String,
        /// The highest ID that the state knows of.
        highest: i64,
    },
}

/// One partition for status and metrics.
#[derive(Clone, Debug)]
pub struct PartitionReport {
    /// The number of the partition.
    pub partition: i32,
    /// The state of the partition.
    pub phase: Phase,
    /// The next offset to read, while the partition runs.
    pub next: Option<NextOffset>,
    /// Replies and strays that are sent and not yet acknowledged.
    pub outstanding: u64,
    /// Number of sequences that the partition knows.
    pub sequences: usize,
    /// The facts about a rescale, while the partition runs.
    pub standing: Option<Standing>,
    /// How near the sequences are to their end. Present while the partition runs and all of them were looked
    /// at.
    pub outlook: Option<Outlook>,
}
