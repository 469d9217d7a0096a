//! The group: who owns what, by its own lights.

use super::*;

impl World {
    pub(super) fn group(&mut self) {
        let chosen = self.random.below(PARTITIONS);
        let node = match self.owners[chosen] {
            None => self.random.below(self.nodes.len()),
            Some(owner) => owner,
        };
        let Some(live) = &mut self.nodes[node] else {
            return;
        };
        if live.member.is_none() {
            return;
        }
        if self.owners[chosen].is_none() {
            self.owners[chosen] = Some(node);
            live.rebalances
                .push_back(Rebalance::Assigned(partition(chosen)));
        } else if self.faults
            && live.rebalances.is_empty()
            && live.revoking.is_none()
            && self.random.chance(30)
        {
            live.rebalances
                .push_back(Rebalance::Revoked(partition(chosen)));
        }
    }

    /// The group throws a node out; it goes on without knowing.
    pub(super) fn throw_out(&mut self, node: usize) {
        let Some(live) = &mut self.nodes[node] else {
            return;
        };
        if live.member.take().is_some() {
            live.rebalances.clear();
            live.rebalances.push_back(Rebalance::Lost);
            self.disown(node);
        }
    }

    pub(super) fn disown(&mut self, node: usize) {
        for owner in &mut self.owners {
            if *owner == Some(node) {
                *owner = None;
            }
        }
    }

    pub(super) fn rebalance_step(&mut self, node: usize) {
        let live = self.live(node);
        if live.revoking.is_some() {
            return;
        }
        match live.rebalances.pop_front() {
            Some(Rebalance::Assigned(partition)) => {
                live.assigned.insert(partition);
                self.input(node, Input::Assigned(vec![partition]));
            }
            Some(Rebalance::Revoked(partition)) => {
                live.revoking = Some(false);
                let partitions = vec![partition];
                let lost = false;
                self.input(node, Input::Revoked { partitions, lost });
            }
            Some(Rebalance::Lost) => {
                live.revoking = Some(true);
                let partitions = live.assigned.iter().copied().collect();
                let lost = true;
                self.input(node, Input::Revoked { partitions, lost });
                self.memberships += 1;
                let membership = self.memberships;
                self.live(node).member = Some(membership);
            }
            None => {}
        }
    }

    pub(super) fn give_up(&mut self, node: usize, partitions: &[i32]) {
        let live = self.live(node);
        let lost = live.revoking.take().expect("a revocation to answer");
        for partition in partitions {
            live.assigned.remove(partition);
            live.reading.remove(partition);
        }
        // T3: what is given up in order is not committed from here on.
        if let Some(carried) = &mut live.carried
            && !lost
        {
            let mut sections = carried.checkpoint.sections.iter();
            carried.too_late |= sections.any(|section| partitions.contains(&section.partition));
            if let Some(id) = carried.id {
                self.transactions[id].too_late |= carried.too_late;
            }
        }
        for partition in partitions {
            let owner = &mut self.owners[index(*partition)];
            if *owner == Some(node) {
                *owner = None;
            }
        }
    }
}
