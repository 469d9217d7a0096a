//! What an instance is told, and what it says is to be done.

use crate::core::NextOffset;
use crate::core::fold::Outlook;
use crate::core::link::LinkKey;
use crate::processor::checkpoint::{Checkpoint, Written};
use crate::processor::partition::Service;
use crate::processor::takeover::Verdict;
use crate::processor::transaction::Outcome;
use crate::wire::state::TopicId;

/// What is drawn at random once for each run of a process.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Names this run's batches.
    pub writer: u64,
    /// Of the tags of forwarded requests, if this run is the one that decides.
    pub link_key: LinkKey,
}

/// What an instance is told to do by its operator.
#[derive(Clone, Debug)]
pub struct Options {
    /// What partitions need to know.
    pub service: Service,
    /// Drawn at random once for each run.
    pub run: Run,
    /// Shortest time between the beginnings of two checkpoints.
    pub checkpoint_interval_ms: u64,
    /// How long a transaction may be open.
    pub transaction_timeout_ms: u64,
    /// A revoked partition is handed over within this time, with a last checkpoint or without it.
    pub revoke_deadline_ms: u64,
    /// After a stop, the last checkpoint is made within this time or given up.
    pub stop_deadline_ms: u64,
}

/// What has happened.
#[derive(Debug)]
pub enum Input {
    /// The group gave us these partitions besides those that we have.
    Assigned(Vec<i32>),
    /// The group wants these back; `lost`: it has given them to others already.
    Revoked {
        /// Which.
        partitions: Vec<i32>,
        /// Whether we are no member any more.
        lost: bool,
    },
    /// A takeover has ended.
    Restored {
        /// Which partition.
        partition: i32,
        /// The assignment under which it began.
        assignment: u32,
        /// Its end.
        verdict: Verdict,
    },
    /// The end of a partition's committed records.
    EndOfPartition {
        /// Which partition.
        partition: i32,
        /// The next offset, past markers.
        next: NextOffset,
    },
    /// The log has no record where we read (out of range, another leader epoch).
    LogError {
        /// Which partition.
        partition: i32,
    },
    /// The request topic is this one now.
    RequestTopic(TopicId),
    /// A transaction has ended.
    Settled {
        /// What was in it.
        checkpoint: Box<Checkpoint>,
        /// What came of it.
        outcome: Outcome,
        /// Where each section lies, when it was committed.
        written: Vec<Written>,
        /// It did not fit into its time.
        late: bool,
    },
    /// A transactional producer of the same ID was made in the place of the one in use.
    FencedOurselves,
    /// Records that others wrote to a range of a partition's state log.
    Foreign {
        /// Which partition.
        partition: i32,
        /// Under which assignment this was asked.
        assignment: u32,
        /// As it was asked for; beyond `end` when the log has lost records.
        from: i64,
        /// Keys of committed records that are not ours.
        keys: Vec<Vec<u8>>,
        /// End of what was read.
        end: i64,
    },
    /// The records of others could not be read.
    ForeignUnread {
        /// The partition of the state log.
        partition: i32,
        /// Under which assignment this was asked.
        assignment: u32,
        /// Start of the range, as it was asked for.
        from: i64,
        /// End of the range, as it was asked for.
        to: Option<i64>,
    },
    /// Partitions of the default reply topic.
    ReplyPartitions(u32),
    /// Time has passed.
    Tick,
    /// Finish and leave.
    Stop,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Answer the assignment; nothing is fetched yet.
    AcceptAssignment,
    /// Begin a takeover.
    Restore {
        /// Of this partition.
        partition: i32,
        /// To be handed back with the verdict.
        assignment: u32,
    },
    /// Fetch a partition's records from here.
    Fetch {
        /// Which.
        partition: i32,
        /// First offset.
        from: NextOffset,
    },
    /// Fetch no more of a partition.
    StopFetching {
        /// Which.
        partition: i32,
    },
    /// Answer the revocation: these are no longer ours.
    GiveUp {
        /// Which.
        partitions: Vec<i32>,
    },
    /// Carry out a transaction.
    Transact(Box<Checkpoint>),
    /// The transaction under way must not be committed any more, if it can still be helped.
    CancelTransaction,
    /// Make a new transactional producer of the same ID at once, which fences the one in use (T3).
    Fence,
    /// Read what others wrote to a partition's state log.
    ReadForeign {
        /// Which partition.
        partition: i32,
        /// To be handed back.
        assignment: u32,
        /// First state offset.
        from: i64,
        /// One past the last, or the end of the log.
        to: Option<i64>,
    },
    /// Everything is finished: leave the group.
    Leave,
    /// Another live process uses this instance's ID.
    ExitFenced,
    /// No transactional producer could be had: begin again from the group on.
    StartOver,
}

/// State of a partition, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The state is being read.
    Restoring,
    /// For the reason given.
    Waiting(String),
    /// Answers requests.
    Running,
    /// Is being handed over.
    Draining,
    /// For the reason given, with the remedy.
    Halted {
        /// Stable word.
        code: &'static str,
        /// In words.
        reason: String,
        /// A command, or what to change.
        remedy: String,
        /// The highest ID that the state knows of.
        highest: i64,
    },
}

/// One partition for status and metrics.
#[derive(Clone, Debug)]
pub struct PartitionReport {
    /// Which.
    pub partition: i32,
    /// Where it is.
    pub phase: Phase,
    /// The next offset to read, when running.
    pub next: Option<NextOffset>,
    /// Replies and strays that are sent and not acknowledged.
    pub outstanding: u64,
    /// Sequences known.
    pub sequences: usize,
    /// How near they are to their end, when running and all of them were looked at.
    pub outlook: Option<Outlook>,
}
