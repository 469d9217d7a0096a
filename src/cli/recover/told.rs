//! The evidence, the plan and the result, for programs. Names of fields are those of `sequencer inspect` and `rescale`.

use serde::Serialize;

use super::evidence::{Evidence, Judged, Ownership};
use super::plan::{Moved, Plan};
use super::raise::Raised;
use crate::core::NextOffset;
use crate::service::settings::Settings;

/// One run of the command.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    partition: i32,
    /// The request topic.
    requests: String,
    group: String,
    log_start: i64,
    log_end: i64,
    service_partitions: u32,
    state_records: u64,
    skipped_batches: u64,
    /// The next offset of the last checkpoint that adds up. None when none does.
    next_offset: Option<i64>,
    /// The instance that wrote it.
    instance: Option<String>,
    sequences: usize,
    /// The owner, in words. None when there is none.
    owner: Option<String>,
    /// The verdict of an owner's takeover: `starts`, `waits` or `halts`.
    outlook: &'static str,
    /// The code of the halt.
    code: Option<&'static str>,
    reason: Option<String>,
    /// None when nothing is to be repaired.
    pub repair: Option<Repair>,
    /// The same command with `--yes`, if nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// True when the repair was written, and read back.
    pub written: bool,
}

/// A repair, planned or written.
#[derive(Debug, Serialize)]
pub(super) struct Repair {
    /// `fold`: the log is folded again. `skip`: records that cannot be read are passed over. `jump`: sequences move on
    /// beyond their own IDs.
    kind: &'static str,
    /// Why the log is not enough, of a jump.
    why: Option<String>,
    /// The first request to answer.
    next_offset: i64,
    /// Requests from this offset up to `next_offset` may never be answered.
    answered_offset: i64,
    /// New names go on above this ID; 0 without a jump.
    floor: i64,
    sequences: usize,
    /// The sequences that a jump moves.
    moved: Vec<Move>,
}

#[derive(Debug, Serialize)]
struct Move {
    sequence: String,
    /// The next ID before. None when none was left.
    next_before: Option<i64>,
    /// The next ID after. None when the sequence is not moved on.
    next: Option<i64>,
}

impl Told {
    pub(super) fn found(partition: i32, evidence: &Evidence, settings: &Settings) -> Told {
        let restored = &evidence.state.restored;
        let footer = restored.footer.as_ref();
        let (outlook, code, reason) = match &evidence.judged {
            Judged::Starts => ("starts", None, None),
            Judged::Waits(reason) => ("waits", None, Some(reason.clone())),
            Judged::Halts(halt) => ("halts", Some(halt.code()), Some(halt.to_string())),
        };
        let owner = match &evidence.ownership {
            Ownership::Nobody => None,
            Ownership::Member(member)
            | Ownership::OfOtherTopic { member, .. }
            | Ownership::Unknown { member, .. } => Some(member.clone()),
            Ownership::Unsettled => Some("not known, the group is rebalancing".to_owned()),
        };
        Told {
            partition,
            requests: settings.topics.requests.clone(),
            group: settings.group.clone(),
            log_start: evidence.log.start.0,
            log_end: evidence.log.end.0,
            service_partitions: evidence.decided.homes.partitions(),
            state_records: restored.records,
            skipped_batches: restored.skipped_batches,
            next_offset: footer.map(|footer| footer.next.0),
            instance: footer.map(|footer| footer.instance.clone()),
            sequences: evidence.state.counters.len(),
            owner,
            outlook,
            code,
            reason,
            repair: None,
            command: None,
            written: false,
        }
    }
}

impl Repair {
    pub(super) fn of(kind: &'static str, why: Option<String>, plan: &Plan) -> Repair {
        let NextOffset(next_offset) = plan.footer.next;
        let moved = plan.moved.iter().map(|moved| {
            let Moved { name, seen, to, .. } = moved;
            Move {
                sequence: name.clone(),
                next_before: *seen,
                next: match to {
                    Raised::On(to) | Raised::NextCycle(to) => Some(to.stored()),
                    Raised::RetiredAtEnd(_) | Raised::Exhausted(_) => None,
                },
            }
        });
        Repair {
            kind,
            why,
            next_offset,
            answered_offset: plan.answered.0,
            floor: plan.footer.scalars.floor,
            sequences: plan.fold.sequences(),
            moved: moved.collect(),
        }
    }
}
