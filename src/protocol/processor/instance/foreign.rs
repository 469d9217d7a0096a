//! State records of other writers in a running partition's log.

use std::ops::Range;

use super::{Effect, Instance};
use crate::wire::state::RESET_KEY;

/// A range of the state log in which others have written, and which could not be read. It must be read before
/// compaction acts on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    pub(super) from: i64,
    /// One past the last offset. None for the end of the log.
    pub(super) to: Option<i64>,
    pub(super) again_ms: u64,
}

impl Unread {
    /// The smallest range that covers both.
    fn with(self, before: Option<Unread>) -> Unread {
        let before = before.unwrap_or(self);
        Unread {
            from: self.from.min(before.from),
            to: self.to.zip(before.to).map(|(new, before)| new.max(before)),
            ..self
        }
    }
}

impl Instance {
    /// Writes the keys again that other writers wrote. If somebody wrote a repair while this owner runs, every
    /// later owner goes on from the repair, so this owner does, too.
    pub(super) fn foreign(
        &mut self,
        partition: i32,
        assignment: u32,
        keys: Vec<Vec<u8>>,
        range: Range<i64>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(running) = self.running(partition) else {
            return;
        };
        if running.assignment() != assignment {
            return;
        }
        if keys.iter().any(|key| key == RESET_KEY) {
            self.start_again(partition, effects);
        } else {
            running.pending.touched_by_others(keys, range);
        }
    }

    pub(super) fn not_read(&mut self, partition: i32, assignment: u32, unread: Unread) {
        let owned = self.owned.get_mut(&partition);
        if let Some(owned) = owned.filter(|owned| owned.assignment == assignment) {
            owned.unread = Some(unread.with(owned.unread));
        }
    }

    /// Reads a range again that could not be read.
    pub(super) fn read_unread(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        for (partition, owned) in &mut self.owned {
            if let Some(unread) = owned.unread.take_if(|unread| now_ms >= unread.again_ms) {
                effects.push(Effect::ReadForeign {
                    partition: *partition,
                    assignment: owned.assignment,
                    from: unread.from,
                    to: unread.to,
                });
            }
        }
    }
}
