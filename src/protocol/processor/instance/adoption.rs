//! The reading of a parent's state, for partitions that adopt names in a rescale.

use super::messages::Effect;
use super::{Instance, Owned, Stage};
use crate::processor::parent::Parent;

impl Instance {
    /// Stops the fetch of partitions that adopt, and asks for the state of their parents.
    pub(super) fn adopt(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        for (partition, owned) in &mut self.owned {
            let Owned {
                assignment,
                stage: Stage::Running(running),
                ..
            } = owned
            else {
                continue;
            };
            let partition = *partition;
            if running.stops_for_adoption() {
                effects.push(Effect::StopFetching { partition });
            }
            if let Some((parent, homes)) = running.asks_parent(now_ms) {
                effects.push(Effect::ReadParent {
                    partition,
                    assignment: *assignment,
                    parent,
                    homes,
                });
            }
        }
    }

    pub(super) fn parent_read(
        &mut self,
        partition: i32,
        assignment: u32,
        parent: Parent,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(running) = self.running(partition) else {
            return;
        };
        if running.assignment() == assignment && running.parent_read(parent, now_ms) {
            let from = running.next();
            effects.push(Effect::Fetch { partition, from });
        }
    }
}
