//! What goes wrong, besides calls that fail: processes, leaders, logs.

use std::collections::BTreeSet;
use std::ops::Range;

use sequencer::core::NextOffset;
use sequencer::processor::takeover::Committed;
use sequencer::wire::state::TopicId;

use crate::log::{Record, Slot, Uid, What};
use crate::oracle::{Link, Outcome};
use crate::takeover::TOPIC;
use crate::transactions::Fate;
use crate::world::{Unread, Void, World};

impl World {
    pub fn fault(&mut self) {
        let node = self.random.below(self.nodes.len());
        let partition = self.random.below(self.partitions.len());
        match self.random.below(40) {
            0 if self.nodes[node].is_some() => {
                self.coverage.fault("process killed");
                self.crash(node);
            }
            1..3 if self.group.members.contains_key(&node) => {
                self.coverage.fault("member thrown out without knowing");
                self.throw_out(node);
            }
            3..5 if self.nodes[node].is_some() => {
                self.coverage.fault("process paused");
                self.pause(node);
            }
            5 if self.nodes[node].is_some() => {
                self.coverage.fault("process told to stop");
                self.stop_node(node);
            }
            6 if self.nodes[node].is_none() && self.random.one_in(4) => {
                self.coverage.fault("second process with the same ID");
                self.begin(node);
            }
            7..12 => self.land_late(),
            12 if self.nodes[node].is_some() => {
                self.coverage.fault("consumer told that its offset is gone");
                let partition = partition as i32;
                let error = sequencer::processor::instance::Input::LogError { partition };
                self.input(node, error);
            }
            28 => {
                self.coverage.fault("partition could not be read");
                let until_ms = self.now_ms + self.random.below(4_000) as u64;
                let in_log = self.random.chance(50);
                self.partitions[partition].unread = Some(Unread { until_ms, in_log });
            }
            29 if self.config.losses => self.make_topic_again(),
            13..17 => self.leader_change(partition),
            17..20 => self.retention(partition, false),
            20 | 23..28 if self.config.losses => self.truncate(partition),
            21 if self.config.losses && self.random.one_in(2) => self.retention(partition, true),
            28..36 if self.config.losses => self.repair_something(),
            36..38 => self.move_offset(partition),
            22 if self.config.grows && self.partitions.len() < self.config.partitions + 2 => {
                self.coverage.fault("request topic grew");
                if self.decided.is_none() {
                    self.coverage
                        .state("request topic grew during the very first start");
                }
                self.add_partition(false);
            }
            _ => {}
        }
    }

    /// An operator moves the group's offset while nobody owns the partition. What is answered beyond the state may
    /// come again.
    fn move_offset(&mut self, partition: usize) {
        let part = &self.partitions[partition];
        let stable = part.requests.stable();
        let (Some(truth), Some(committed)) = (part.truth, part.committed) else {
            return;
        };
        if part.owner.is_some() || part.cut_below || self.is_unstable(partition) {
            return;
        }
        let next = self.random.below(stable.max(0) as usize + 1) as i64;
        let keeps_metadata = self.random.chance(50);
        if next == committed.next.0 {
            return;
        }
        self.coverage.fault("operator moved the group's offset");
        let part = &mut self.partitions[partition];
        if part.answered > truth.next {
            self.coverage
                .state("offset moved that was beyond the state");
        }
        let beyond = part.folding.outcomes.iter().skip(truth.next as usize);
        for (uid, _) in beyond.flatten() {
            self.requests[*uid].may_repeat = true;
        }
        part.answered = truth.next;
        part.is_moved = true;
        part.committed = Some(Committed {
            next: NextOffset(next),
            rewrite_from: None,
            answered: committed.answered.filter(|_| keeps_metadata),
        });
    }

    /// Another leader, which has all that was replicated and perhaps more.
    fn leader_change(&mut self, partition: usize) {
        self.coverage.fault("leader changed");
        let requests = &mut self.partitions[partition].requests;
        let spare = (requests.end() - requests.replicated) as usize;
        let at = requests.replicated + self.random.below(spare + 1) as i64;
        for offset in at..requests.end() {
            if let Some(uid) = requests.record(offset).and_then(|record| record.what.uid()) {
                // Never acknowledged to its client; a copy is sent again.
                let is_client =
                    matches!(requests.record(offset), Some(r) if matches!(r.what, What::Client(_)));
                self.requests[uid].lost |= is_client;
            }
        }
        requests.cut(at, false);
        self.parcels_cut(partition, at);
        let Some(state) = &mut self.partitions[partition].state else {
            return;
        };
        let spare = (state.end() - state.replicated) as usize;
        let at = state.replicated + self.random.below(spare + 1) as i64;
        state.cut(at, false);
        for live in self.nodes.iter_mut().flatten() {
            let Some(carried) = &mut live.carried else {
                continue;
            };
            for (section, landed) in carried.checkpoint.sections.iter().zip(&mut carried.landed) {
                if section.partition as usize == partition {
                    landed.retain(|offset| *offset < at);
                }
            }
        }
    }

    /// The request topic is deleted and made again, under everybody who runs. That it looks the same inside is
    /// the hardest case: nothing but its ID tells.
    ///
    /// Not while somebody compares, nor before each partition has a checkpoint that says which topic it was.
    fn make_topic_again(&mut self) {
        let whole = (0..self.partitions.len()).all(|partition| {
            self.partitions[partition].truth.is_some()
                && !self.must_stop(partition)
                && !self.is_taken_over(partition)
        });
        if whole && self.topic == TOPIC && self.random.one_in(8) {
            self.coverage.fault("request topic made again");
            self.coverage.state("request topic made again");
            self.topic = TopicId([9; 16]);
            let all = 0..self.partitions.len();
            self.damaged
                .extend(all.map(|partition| (partition, "other_topic")));
        }
    }

    fn parcels_cut(&mut self, home: usize, at: i64) {
        let parcels = self.nodes.iter_mut().flatten();
        let parcels = parcels.flat_map(|live| &mut live.forwards);
        for parcel in parcels.chain(&mut self.outside.forwards) {
            parcel.cut(home, at);
        }
    }

    fn is_taken_over(&self, partition: usize) -> bool {
        let mut asked = self.nodes.iter().flatten().flat_map(|live| &live.asked);
        asked.any(|asked| asked.partition as usize == partition)
    }

    /// Old requests go; `ahead`: also such as nobody has answered.
    ///
    /// Not while somebody compares: between two questions it would look like another log. And not
    /// after a truncation, which nobody can notice when the place is gone as well.
    fn retention(&mut self, partition: usize, ahead: bool) {
        let part = &self.partitions[partition];
        let Some(truth) = part.truth else { return };
        if self.is_taken_over(partition) || part.cut_below {
            return;
        }
        let to = if ahead {
            part.requests.stable()
        } else {
            truth.next
        };
        let removable = (to - part.requests.start).max(0) as usize;
        let by = self.random.below(removable + 1) as i64;
        self.partitions[partition].requests.start += by;
        self.coverage.fault(if ahead {
            "requests deleted ahead of the checkpoint"
        } else {
            "old requests deleted"
        });
    }

    /// An unclean election: the log is cut below its high watermark.
    ///
    /// What is promised: that this is noticed when it took a record that a checkpoint covers. What
    /// younger records got is void, also at the homes of strays among them.
    fn truncate(&mut self, partition: usize) {
        let part = &self.partitions[partition];
        let Some(truth) = part.truth else { return };
        let Some(last_applied) = truth.last_applied else {
            return;
        };
        if self.is_taken_over(partition) || last_applied < part.requests.start {
            return;
        }
        let start = part.requests.start;
        let deep = self.random.chance(15);
        let at = if deep {
            Some(start + self.random.below((last_applied + 1 - start) as usize) as i64)
        } else {
            self.young_record(partition, truth.next)
        };
        if let Some(at) = at {
            self.cut(partition, at, deep);
        }
    }

    /// A record above the checkpoint; mostly a copy of a stray when there is one. Not a marker: a log that
    /// lost markers only, and has grown again, looks the same.
    fn young_record(&mut self, partition: usize, next: i64) -> Option<i64> {
        let part = &self.partitions[partition];
        let outcomes = &part.folding.outcomes;
        // Half of the time, what the committed offset covers and the state does not.
        let end = match part.answered > next && self.random.chance(50) {
            true => part.answered.min(outcomes.len() as i64),
            false => outcomes.len() as i64,
        };
        let young = next..end;
        let records: Vec<i64> = young
            .filter(|at| outcomes[*at as usize].is_some())
            .collect();
        let is_copy = |at: &i64| {
            let record = part.requests.record(*at);
            record.is_some_and(|record| matches!(record.what, What::Forward(_)))
        };
        let copies: Vec<i64> = records.iter().copied().filter(is_copy).collect();
        match (copies.is_empty(), records.is_empty()) {
            (false, _) if self.random.chance(75) => Some(self.random.pick(&copies)),
            (_, false) => Some(self.random.pick(&records)),
            (_, true) => None,
        }
    }

    fn cut(&mut self, partition: usize, at: i64, deep: bool) {
        let end = self.partitions[partition].requests.end();
        self.coverage.fault(if deep {
            "log truncated below the checkpoint"
        } else {
            "log truncated above the checkpoint"
        });
        // Whatever comes next has another time.
        self.now_ms += 1_000;
        self.coverage.simulated_ms += 1_000;
        for live in self.nodes.iter().flatten() {
            // Who is not reading just now has folded something all the same, and goes on from there.
            let reading = live.reading.get(&(partition as i32));
            let mut reached: Vec<i64> = reading.map(|reading| reading.at).into_iter().collect();
            let reports = live.instance.report().into_iter();
            let reports = reports.filter(|report| report.partition as usize == partition);
            reached.extend(reports.filter_map(|report| Some(report.next?.0)));
            let carried = live.carried.iter();
            let sections = carried.flat_map(|carried| &carried.checkpoint.sections);
            let sections = sections.filter(|section| section.partition as usize == partition);
            reached.extend(sections.map(|section| section.next.0));
            if reached.iter().all(|reached| *reached <= at) {
                continue;
            }
            let known = live.bounds.keys();
            let known = known.filter(|(known, _)| *known as usize == partition);
            if let Some(assignment) = known.map(|(_, assignment)| *assignment).max() {
                self.voids.push(Void {
                    run: live.run,
                    partition,
                    assignment,
                    at,
                });
            }
        }
        self.leftovers
            .retain(|leftover| leftover.partition != partition || leftover.next <= at);
        let open = self.transactions.all.iter();
        let open = open.filter(|transaction| transaction.fate == Fate::Open);
        for piece in open.flat_map(|transaction| &transaction.pieces) {
            if piece.partition == partition && piece.next > at {
                self.voids.push(Void {
                    run: piece.run,
                    partition,
                    assignment: piece.assignment,
                    at,
                });
            }
        }
        self.lose(partition, at..end);
        let part = &mut self.partitions[partition];
        let stray = |outcome: &Option<(Uid, Outcome)>| {
            outcome
                .as_ref()
                .is_some_and(|known| known.1 == Outcome::Stray)
        };
        if part.folding.outcomes.iter().skip(at as usize).any(stray) {
            self.coverage.state("log truncated with strays in it");
        }
        part.requests.cut(at, true);
        // An owner finds it by the committed offset, also beyond the state.
        part.cut_below |= deep || at < part.answered;
        if !deep && at < part.answered {
            self.coverage
                .state("log truncated between state and committed offset");
        }
        if part.cut_below {
            part.cut_at = Some(part.cut_at.map_or(at, |before| before.min(at)));
        }
        part.folding.outcomes.truncate(at as usize);
        part.folding.snapshots.truncate(at as usize + 1);
        part.folding.broken = part.folding.broken.filter(|broken| broken.at < at);
        self.parcels_cut(partition, at);
    }

    /// Records here are not answered, or no longer.
    pub fn lose(&mut self, partition: usize, offsets: Range<i64>) {
        let part = &mut self.partitions[partition];
        for record in offsets.filter_map(|offset| part.requests.record(offset)) {
            if let Some(uid) = record.what.uid() {
                self.requests[uid].lost = true;
            }
            part.lost_copies
                .extend(Link::of(record).map(|link| (link.source, link.at)));
        }
    }

    pub fn compact_some(&mut self) {
        let partition = self.random.below(self.partitions.len());
        let Some(state) = &self.partitions[partition].state else {
            return;
        };
        let cut = self.random.below(state.stable() as usize + 1);
        if self.may_compact(partition, cut) {
            self.coverage.fault("state compacted");
            let mut log = self.partitions[partition]
                .state
                .take()
                .expect("a state log");
            compact(&mut log.slots[..cut], |record| self.is_committed(record));
            log.compacted = log.compacted.max(cut as i64);
            self.partitions[partition].state = Some(log);
        }
    }

    pub fn is_committed(&self, record: &Record) -> bool {
        let fate = record.transaction.map(|id| self.transactions.all[id].fate);
        fate.is_none_or(|fate| fate == Fate::Committed)
    }

    /// The lag of compaction leaves an owner the time to write again what others wrote: what came
    /// late below the cut is superseded below it.
    fn may_compact(&self, partition: usize, cut: usize) -> bool {
        let Some(state) = &self.partitions[partition].state else {
            return false;
        };
        let mut good: BTreeSet<&[u8]> = BTreeSet::new();
        for slot in state.slots[..cut].iter().rev() {
            let Slot::Record(record) = slot else { continue };
            if !self.is_committed(record) {
                continue;
            }
            let key = record.key.as_deref().unwrap_or_default();
            let late = matches!(record.what, What::State { late: true });
            if !late {
                good.insert(key);
            } else if !good.contains(key) {
                return false;
            }
        }
        true
    }
}

/// Only the last committed record of each key is kept.
pub fn compact(slots: &mut [Slot], is_committed: impl Fn(&Record) -> bool) {
    let mut seen = BTreeSet::new();
    for slot in slots.iter_mut().rev() {
        let Slot::Record(record) = slot else { continue };
        if !is_committed(record) || !seen.insert(record.key.clone()) {
            *slot = Slot::Gone;
        }
    }
}
