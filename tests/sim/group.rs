//! The consumer group: who owns what by its own lights, and who it believes is a member.
//!
//! Assignment is cooperative: what a member loses is taken back and answered before another gets
//! it. Whoever is thrown out goes on without knowing until it hears of it.

use std::collections::{BTreeMap, VecDeque};

use sequencer::processor::instance::Input;
use sequencer::processor::membership::MemberId;

use crate::world::World;

pub const SESSION_MS: u64 = 500;

#[derive(Debug, Default)]
pub struct Group {
    pub generation: u64,
    /// By process, the name that it was given.
    pub members: BTreeMap<usize, u64>,
    pub names: u64,
}

/// What a process knows of its membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub name: u64,
    pub generation: u64,
}

impl Known {
    pub fn id(self) -> MemberId {
        MemberId::of(&self.name.to_string(), self.generation as i32).expect("a member")
    }
}

impl Group {
    pub fn is_member(&self, node: usize, known: Known) -> bool {
        self.members.get(&node) == Some(&known.name) && self.generation == known.generation
    }
}

/// What the group tells a process; the next is told when the last is answered.
#[derive(Debug)]
pub enum Rebalance {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
    Lost,
    /// A static member that was thrown out during a rebalance has joined again, and was told of no loss.
    AnotherMember,
}

pub type Rebalances = VecDeque<Rebalance>;

impl World {
    pub fn join(&mut self, node: usize) {
        self.group.names += 1;
        self.group.generation += 1;
        let known = Known {
            name: self.group.names,
            generation: self.group.generation,
        };
        self.group.members.insert(node, known.name);
        self.live(node).known = Some(known);
    }

    /// Whether it owns the partition and has heard so: a process that was taken in again as another member goes on as
    /// what it was, until it hears of that.
    pub fn owns(&self, node: usize, partition: usize) -> bool {
        let unaware = |rebalance: &Rebalance| matches!(rebalance, Rebalance::AnotherMember);
        let live = self.nodes[node].as_ref();
        self.partitions[partition].owner == Some(node)
            && live.is_some_and(|live| !live.rebalances.iter().any(unaware))
    }

    /// Assigns what nobody owns, or takes something back to give it to another.
    pub fn rebalance(&mut self) {
        let able: Vec<usize> = self.group.members.keys().copied().collect();
        let able: Vec<usize> = able
            .into_iter()
            .filter(|node| {
                self.nodes[*node]
                    .as_ref()
                    .is_some_and(|live| !live.stopping)
            })
            .collect();
        if able.is_empty() {
            return;
        }
        let free: Vec<usize> = (0..self.partitions.len())
            .filter(|partition| self.partitions[*partition].owner.is_none())
            .collect();
        if !free.is_empty() {
            let node = self.random.pick(&able);
            let count = 1 + self.random.below(free.len());
            let given: Vec<i32> = free[..count].iter().map(|p| *p as i32).collect();
            for partition in &given {
                self.partitions[*partition as usize].owner = Some(node);
            }
            self.group.generation += 1;
            self.live(node)
                .rebalances
                .push_back(Rebalance::Assigned(given));
            return;
        }
        if !self.faulty() || !self.random.chance(self.config.moves_percent) {
            return;
        }
        let chosen = self.random.below(self.partitions.len());
        let Some(owner) = self.partitions[chosen].owner else {
            return;
        };
        let also = self.random.chance(30);
        let taken: Vec<i32> = (0..self.partitions.len())
            .filter(|p| self.partitions[*p].owner == Some(owner) && (*p == chosen || also))
            .map(|p| p as i32)
            .collect();
        if let Some(live) = &mut self.nodes[owner]
            && live.rebalances.is_empty()
            && live.revoking.is_none()
        {
            live.rebalances.push_back(Rebalance::Revoked(taken));
            self.group.generation += 1;
            self.coverage.fault("partition moved to another member");
        }
    }

    /// A heartbeat's answer: the generation, or that there is no membership any more.
    pub fn heartbeat(&mut self, node: usize) {
        let name = self.group.members.get(&node).copied();
        let generation = self.group.generation;
        let known = name.map(|name| Known { name, generation });
        let live = self.live(node);
        if live.joins_unaware && live.revoking.is_none() {
            live.joins_unaware = false;
            live.rebalances.push_back(Rebalance::AnotherMember);
            return self.join(node);
        }
        live.known = known;
    }

    /// The group throws a process out; it goes on without knowing.
    pub fn throw_out(&mut self, node: usize) {
        if self.group.members.remove(&node).is_none() {
            return;
        }
        self.group.generation += 1;
        self.disown(node);
        if let Some(live) = &mut self.nodes[node] {
            live.rebalances.clear();
            live.joins_unaware = self.random.one_in(3);
            if !live.joins_unaware {
                live.rebalances.push_back(Rebalance::Lost);
            }
        }
    }

    pub fn disown(&mut self, node: usize) {
        for part in &mut self.partitions {
            if part.owner == Some(node) {
                part.owner = None;
            }
        }
    }

    pub fn rebalance_step(&mut self, node: usize) {
        let live = self.live(node);
        if live.revoking.is_some() {
            return;
        }
        match live.rebalances.pop_front() {
            Some(Rebalance::Assigned(partitions)) => {
                live.assigned.extend(&partitions);
                self.input(node, Input::Assigned(partitions));
            }
            Some(Rebalance::Revoked(partitions)) => {
                live.revoking = Some(false);
                let lost = false;
                self.input(node, Input::Revoked { partitions, lost });
            }
            Some(Rebalance::Lost) => {
                live.revoking = Some(true);
                live.known = None;
                let partitions = live.assigned.iter().copied().collect();
                let lost = true;
                self.input(node, Input::Revoked { partitions, lost });
                if self.nodes[node].is_some() {
                    self.join(node);
                }
            }
            Some(Rebalance::AnotherMember) => {
                self.coverage.state("taken in again as another member");
                self.crash(node);
            }
            None => {}
        }
    }

    /// A revocation is answered.
    pub fn give_up(&mut self, node: usize, partitions: &[i32]) {
        let live = self.live(node);
        let lost = live.revoking.take().expect("a revocation to answer");
        live.answered = live.known.filter(|_| !lost);
        for partition in partitions {
            live.assigned.remove(partition);
            live.reading.remove(partition);
        }
        let mut late = None;
        if let Some(carried) = &mut live.carried
            && !lost
        {
            let mut sections = carried.checkpoint.sections.iter();
            carried.too_late |= sections.any(|section| partitions.contains(&section.partition));
            late = carried.transaction.filter(|_| carried.too_late);
        }
        if let Some(number) = late {
            self.transactions.all[number].too_late = true;
        }
        for partition in partitions {
            let owner = &mut self.partitions[*partition as usize].owner;
            if *owner == Some(node) && !lost {
                *owner = None;
            }
        }
    }
}
