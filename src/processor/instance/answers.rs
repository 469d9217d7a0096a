//! In `exactly_once` mode, a transaction of replies and offsets alone touches half as many partitions as one with
//! state, and an answer takes as long as its transaction. So the state comes less often than the replies.

use super::load::Load;
use super::messages::{Effect, Options};
use super::{Instance, Owned, Stage, WAIT_AGAIN_MS};
use crate::processor::Mode;
use crate::processor::partition::Partition;
use crate::wire::state::BatchId;

/// Shortest time between two footers of a partition, in ms, unless the checkpoint interval is longer. Nine of ten
/// transactions of a busy partition then have no state. A new owner folds the requests of this time again.
pub const FOOTER_INTERVAL_MS: u64 = 100;

impl Instance {
    /// When a footer that is cut now must be followed by another one.
    pub(super) fn footer_due_ms(&self, now_ms: u64) -> u64 {
        let Options {
            checkpoint_interval_ms,
            footer_interval_ms,
            ..
        } = self.options;
        now_ms + checkpoint_interval_ms.max(footer_interval_ms)
    }

    /// The partitions that want a section, each with the batch of its last footer when the section is to be one of
    /// replies and offset alone.
    ///
    /// Where transactions do not fit into their time, and where much state is not written, each section has its
    /// state, so that what a partition holds becomes less with each transaction.
    pub(super) fn wanting(
        &self,
        now_ms: u64,
    ) -> impl Iterator<Item = (i32, &Partition, Option<BatchId>)> {
        let load = self.load();
        let much_state = Load {
            replies: 0,
            bytes: 0,
            ..load
        };
        let may_leave_state = self.options.service.mode == Mode::ExactlyOnce
            && !self.allowance.is_limited()
            && !much_state.reaches(1);
        self.owned.iter().filter_map(move |(id, owned)| {
            let Stage::Running(partition) = &owned.stage else {
                return None;
            };
            let footer = partition.footer_before_answers(now_ms);
            let footer = footer.filter(|_| may_leave_state);
            let wants =
                partition.wants_checkpoint() && (footer.is_none() || partition.has_replies());
            wants.then_some((*id, &**partition, footer))
        })
    }

    /// Takes a partition over again whose log ends before the end of the requests that are answered. Its takeover
    /// found them there, so the log has been cut since.
    #[cold]
    pub(super) fn ends_before_answers(
        &mut self,
        partition: i32,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(owned) = self.owned.get_mut(&partition) else {
            return;
        };
        effects.push(Effect::StopFetching { partition });
        owned.stage = match owned.halted.take() {
            Some((halt, highest)) => Stage::Halted {
                halt,
                highest,
                again_ms: now_ms + WAIT_AGAIN_MS,
            },
            None => Stage::Waiting {
                reason: "the request log ends before requests that are answered".to_owned(),
                again_ms: now_ms + WAIT_AGAIN_MS,
            },
        };
    }
}

impl Owned {
    /// True while the partition folds requests that are answered already.
    pub(super) fn is_behind_answers(&self) -> bool {
        matches!(&self.stage, Stage::Running(running) if running.is_behind_answers())
    }
}
