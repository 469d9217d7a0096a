//! Rescales: the operator's splits, and a plain fold of the orders that follow from them. It shares no code with the
//! product's.

use std::collections::BTreeMap;
use std::rc::Rc;

use sequencer::core::ledger::Hash;
use sequencer::core::link::{Link as ShippedLink, Origin, Position};
use sequencer::core::partitioner::partition_of;
use sequencer::core::rescale::OPERATOR;
use sequencer::core::{Homes, Offset};
use sequencer::processor::instance::Input;
use sequencer::processor::parent::Parent;
use sequencer::processor::partition::Output;
use sequencer::processor::restore::Restored;
use serde_json::Value;

use crate::forwards::Parcel;
use crate::log::{Record, Uid, What};
use crate::oracle::{Asked, Expected, Link, Meaning, Naive, Outcome, Sequence};
use crate::requests::Written;
use crate::world::World;

/// Most partitions that a rescale leads to.
const PARTITIONS_MAX: u32 = 6;

/// The operator of the service.
#[derive(Default)]
pub struct Operator {
    /// Number of splits that were written, apart from repeated and wrong ones.
    begun: usize,
    /// The list of the last one.
    last: Vec<u32>,
}

/// The state of a parent that a process asks for.
pub struct AskedParent {
    pub partition: i32,
    pub assignment: u32,
    pub parent: u32,
    pub homes: Homes,
}

/// True for an operator's split, and for what partitions order then. A copy by a client is neither.
pub fn is_order(record: &Record, asked: &Asked) -> bool {
    match record.what {
        What::Client(_) => matches!(asked.meaning, Meaning::Split(_)),
        What::Forward(_) => record.key.as_deref() == Some(b"__policy"),
        What::State { .. } => false,
    }
}

/// The operator.
impl World {
    /// Grows the topic, splits, repeats a split, or tries one that is refused. False when there is nothing to do.
    pub fn operator_step(&mut self) -> bool {
        if self.config.rescales == 0 || !self.random.one_in(12) {
            return false;
        }
        let Some(known) = self.partitions[0].folding.snapshots.last() else {
            return false;
        };
        let known = known.homes.clone();
        let Some(n) = known.last().copied() else {
            return false;
        };
        let more = self.requests.len() < self.config.requests_max;
        if more && !self.operator.last.is_empty() && self.random.one_in(3) {
            let list = self.operator.last.clone();
            self.split(list);
            return true;
        }
        if more && self.random.one_in(8) {
            let wrong = self.random.pick(&[n + 1, n]);
            let list = known.iter().copied().take(1).chain([n, wrong]).collect();
            self.split(list);
            return true;
        }
        if self.operator.begun == self.config.rescales {
            return false;
        }
        let is_begun = self.operator.last.len() > known.len();
        let is_done = known.len() == 1
            || (0..known[known.len() - 2]).all(|parent| {
                let naive = self.partitions[0].folding.snapshots.last();
                naive.is_some_and(|naive| naive.reported.contains(&parent))
            });
        if is_begun || !is_done {
            return false;
        }
        let target = n * self.random.pick(&[2, 2, 3]);
        if target > PARTITIONS_MAX {
            return false;
        }
        if self.partitions.len() < target as usize {
            self.coverage.fault("request topic grew for a rescale");
            while self.partitions.len() < target as usize {
                self.add_partition(false);
            }
            return true;
        }
        // As the command does: each partition has said by which N it begins.
        let all_begun = self.partitions.iter().all(|part| part.truth.is_some());
        // A hasty operator does not wait for this. Then a child begins by the N that was there before the split.
        if all_begun || self.config.disturb.is_none() && self.random.one_in(6) {
            let mut list = known;
            list.push(target);
            self.operator.begun += 1;
            self.operator.last = list.clone();
            self.split(list);
        }
        true
    }

    fn split(&mut self, list: Vec<u32>) {
        let Some(decided) = self.decided else { return };
        let value = format!("{{\"op\":\"split\",\"partitions\":{list:?}}}").replace(' ', "");
        let at = Position {
            leader_epoch: -1,
            offset: list.len() as i64,
        };
        let link = ShippedLink {
            partition: OPERATOR,
            epoch: 0,
            position: at,
            previous: Position::NONE,
            origin: Origin {
                partition: OPERATOR,
                offset: Offset(at.offset),
            },
            hops: 1,
        };
        let key = b"__policy";
        let header = link.header(&decided.link_key, 0, key, Some(value.as_bytes()));
        let is_list = list
            .windows(2)
            .all(|pair| pair[1] > pair[0] && pair[1] % pair[0] == 0);
        self.coverage.state("split written");
        let written = Written {
            asked: Asked {
                name: Some("__policy".to_owned()),
                meaning: match is_list {
                    true => Meaning::Split(list),
                    false => Meaning::Invalid("unknown_field"),
                },
                request_id: None,
                requester: None,
                reason: None,
            },
            key: Some(key.to_vec()),
            value: Some(value.into_bytes()),
            headers: vec![("sequencer-forwarded".to_owned(), header.into_bytes())],
        };
        self.write(0, written, None);
    }
}

/// A process.
impl World {
    /// Sends the messages of one record one by one. True when the process is gone.
    pub fn several(&mut self, node: usize, partition: i32, uid: Uid) -> bool {
        loop {
            if self.point(node) {
                return true;
            }
            let live = self.nodes[node].as_mut().expect("a live process");
            match live.instance.more(partition) {
                None => return false,
                Some(Output::Reply(reply)) => {
                    let (token, body) = (reply.token, reply.outgoing.body.to_vec());
                    live.unacknowledged.push((token, uid));
                    self.reply_seen(uid, &body);
                }
                Some(Output::Forward(forward)) => {
                    let parcel = Parcel::new(&forward, partition as usize, uid);
                    live.forwards.push(parcel);
                }
                Some(Output::Several) => panic!("several in several"),
            }
        }
    }

    /// Reads a parent's state, or fails to.
    pub fn parent_step(&mut self, node: usize) {
        let live = self.nodes[node].as_mut();
        let Some(asked) = live.and_then(|live| live.parents.pop()) else {
            return;
        };
        let index = asked.parent as usize;
        let stable = self.partitions[index]
            .state
            .as_ref()
            .map(|state| state.stable());
        let parent = match stable {
            Some(stable) if !(self.faulty() && self.random.one_in(10)) => {
                let restored = self.restored(index, 0, stable);
                Parent::of(&restored, asked.partition as u32, &asked.homes)
            }
            _ => Parent::NotYet("no leader".to_owned()),
        };
        self.coverage.state(match &parent {
            Parent::NotYet(_) => "child waits for its parent's split",
            Parent::Leaving(fold) if fold.sequences() == 0 => "child adopts no name",
            Parent::Leaving(_) => "child adopts names",
            Parent::Adopted => "child comes too late",
        });
        let AskedParent {
            partition,
            assignment,
            ..
        } = asked;
        self.input(
            node,
            Input::Parent {
                partition,
                assignment,
                parent,
            },
        );
    }
}

/// The oracle.
impl World {
    fn naive(&self, partition: usize) -> &Rc<Naive> {
        let snapshots = &self.partitions[partition].folding.snapshots;
        snapshots.last().expect("a beginning")
    }

    /// Number of rescales that the service has begun.
    pub fn epochs(&self) -> u8 {
        (self.naive(0).homes.len() as u8).saturating_sub(1)
    }

    /// The first footer of a partition says by which N it begins.
    pub fn begin_with(&mut self, partition: usize, found: Homes, floor: i64) {
        let list: Vec<u32> = found.counts().collect();
        if !self.naive(partition).homes.is_empty() {
            return;
        }
        if partition > 0 {
            let service = &self.naive(0).homes;
            let is_past = service.starts_with(&list) || list.starts_with(service);
            assert!(is_past, "I6: partition {partition} begins with {list:?}");
            let later = list[1..].iter().find(|n| **n > partition as u32);
            assert!(
                later.is_none(),
                "I1: partition {partition} begins with {list:?}, which it has not adopted"
            );
        }
        for snapshot in &mut self.partitions[partition].folding.snapshots {
            let naive = Rc::make_mut(snapshot);
            naive.homes = list.clone();
            naive.floor = i128::from(floor);
        }
    }

    /// Folds the next record if it is an order. True when it was one.
    pub fn fold_order(&mut self, partition: usize) -> bool {
        let part = &self.partitions[partition];
        let (log, folding) = (&part.requests, &part.folding);
        let offset = folding.outcomes.len() as i64;
        if folding.broken.is_some() || offset >= log.stable() {
            return false;
        }
        let Some(record) = log.committed_at(offset, &self.transactions) else {
            return false;
        };
        let uid = record.what.uid().expect("a request");
        if !is_order(record, &self.requests[uid].asked) {
            return false;
        }
        let record = record.clone();
        let mut state = self.naive(partition).as_ref().clone();
        state.told = None;
        state.applied += 1;
        state.highest_timestamp = state.highest_timestamp.max(record.timestamp);
        let position = (record.leader_epoch, offset);
        let outcome = match Link::of(&record) {
            None => self.operators(partition, position, uid, &mut state),
            Some(link) => self.ordered(partition, position, link, &record, &mut state),
        };
        let expected = match &outcome {
            Outcome::Reply(expected) | Outcome::Ordered(expected, _) => Some(expected.clone()),
            _ => None,
        };
        if let Some(expected) = expected {
            self.coverage.state(match &expected {
                Expected::Split(_) => "split carried out",
                _ => "split refused",
            });
            self.requests[uid].expected = Some(expected);
        }
        let folding = &mut self.partitions[partition].folding;
        folding.outcomes.push(Some((uid, outcome)));
        folding.snapshots.push(Rc::new(state));
        true
    }

    fn operators(&self, here: usize, at: (i32, i64), uid: Uid, state: &mut Naive) -> Outcome {
        let Meaning::Split(list) = &self.requests[uid].asked.meaning else {
            panic!("no split");
        };
        let refused = Outcome::Reply(Expected::Error("invalid_definition"));
        let known = state.homes.clone();
        if *list != known || known.len() == 1 {
            let (before, _) = list.split_at(list.len() - 1);
            let parents = known.iter().rev().nth(1).copied().unwrap_or(0);
            let is_done = (0..parents).all(|parent| state.reported.contains(&parent));
            if here != 0 || before != known || !is_done {
                return refused;
            }
            state.reported.clear();
            freeze(state, list);
        }
        let to = told_by_parent(state, 0, at);
        Outcome::Ordered(Expected::Split(list.clone()), to)
    }

    fn ordered(
        &mut self,
        here: usize,
        at: (i32, i64),
        link: Link,
        record: &Record,
        state: &mut Naive,
    ) -> Outcome {
        let end = state.accepted.get(&link.source).copied();
        match link.accepted(end, state.links_open) {
            None => return Outcome::Dropped,
            Some(Err(())) => panic!("I6: an order is missing before {link:?}"),
            Some(Ok(end)) => drop(state.accepted.insert(link.source, end)),
        }
        let json: Value =
            serde_json::from_slice(record.value.as_deref().unwrap_or_default()).expect("JSON");
        let list: Vec<u32> = json["partitions"].as_array().map_or(Vec::new(), |list| {
            list.iter()
                .map(|n| n.as_u64().expect("a number") as u32)
                .collect()
        });
        let (me, source) = (here as u32, link.source);
        let known = state.homes.clone();
        let before = known.iter().rev().nth(1).copied().unwrap_or(0);
        let is_current = json["epoch"].as_u64() == Some(known.len() as u64 - 1);
        match json["op"].as_str().expect("an op") {
            "split" if list == known && state.is_split => {}
            "split" if list == known => {
                state.sent.insert(0, at);
                return Outcome::Order(vec![0]);
            }
            "split" if known.starts_with(&list) => return Outcome::Order(Vec::new()),
            "split" => {
                assert!(source == 0 && list[..list.len() - 1] == known, "{list:?}");
                freeze(state, &list);
                self.coverage.state("parent split");
            }
            "adopt" if list == known => {
                state.sent.insert(source, at);
                return Outcome::Order(vec![source]);
            }
            "adopt" if known.starts_with(&list) => return Outcome::Order(Vec::new()),
            "adopt" => {
                let n = *list.last().expect("an N");
                let parent = self.naive(source as usize).frozen.clone();
                let parent = parent.expect("I6: an adopt without a split");
                assert!(list.starts_with(&known) && me < n && known.iter().all(|n| *n <= me));
                state.adopt(&parent, |name| partition_of(name.as_bytes(), n) == me);
                state.homes = list;
                state.sent.insert(source, at);
                self.coverage.state("child adopted");
                return Outcome::Order(vec![source]);
            }
            "adopted" if is_current && state.is_split && !state.reported.contains(&source) => {
                let n = *known.last().expect("an N");
                let moved = json["sequences"].as_u64().expect("a number");
                let all = state.sequences.len();
                state
                    .sequences
                    .retain(|name, _| partition_of(name.as_bytes(), n) != source);
                let gone = (all - state.sequences.len()) as u64;
                assert!(gone == moved, "I1: {moved} adopted, {gone} left");
                state.reported.insert(source);
                let mut children = (before + me..n).step_by(before as usize);
                if children.all(|child| state.reported.contains(&child)) {
                    state.is_split = false;
                    state.reported.retain(|partition| *partition < before);
                    self.coverage.state("parent done");
                    if me == 0 {
                        state.reported.insert(0);
                    } else {
                        state.sent.insert(0, at);
                        return Outcome::Order(vec![0]);
                    }
                }
                return Outcome::Order(Vec::new());
            }
            "done" if is_current => {
                state.reported.insert(source);
                if (0..before).all(|parent| state.reported.contains(&parent)) {
                    self.coverage.state("rescale done");
                }
                return Outcome::Order(Vec::new());
            }
            "adopted" | "done" => return Outcome::Order(Vec::new()),
            other => panic!("{other}"),
        }
        Outcome::Order(told_by_parent(state, me, at))
    }

    /// True when these orders were acknowledged.
    pub fn are_out(&self, partition: usize, offset: i64, to: &[u32]) -> bool {
        let mut to = to.iter();
        to.all(|to| self.orders.contains(&(partition, offset, *to as usize)))
    }

    /// The state at the split of the parent from which a partition adopts, or will.
    fn parent_of(&self, partition: usize) -> Option<(usize, u32)> {
        let list = &self.naive(0).homes;
        let at = list.iter().position(|n| *n > partition as u32)?;
        let before = list.get(at.checked_sub(1)?)?;
        Some((partition % *before as usize, list[at]))
    }

    /// The difference between a restored state and this one.
    pub fn difference(
        &self,
        partition: usize,
        naive: &Naive,
        restored: &Restored,
    ) -> Option<String> {
        let is_home = naive.homes.last().is_some_and(|n| (partition as u32) < *n);
        let parent = self.parent_of(partition).filter(|_| !is_home);
        let frozen = parent.and_then(|(parent, n)| {
            // When whoever adopts is lost before its checkpoint, the parent may split again before the next one.
            let snapshots = self.partitions[parent].folding.snapshots.iter().rev();
            let mut copies = snapshots.filter_map(|naive| naive.frozen.clone());
            let frozen = copies.find(|frozen| !frozen.homes.contains(&n))?;
            let now = &self.naive(parent).homes;
            now.contains(&n).then_some((frozen, n))
        });
        let Some((frozen, n)) = frozen else {
            return naive.difference(restored, None);
        };
        let leaving: BTreeMap<String, Sequence> = frozen
            .sequences
            .iter()
            .filter(|(name, _)| partition_of(name.as_bytes(), n) == partition as u32)
            .map(|(name, sequence)| (name.clone(), sequence.clone()))
            .collect();
        naive.difference(restored, Some((&leaving, &frozen)))
    }

    /// The hash of a sequence's last ledger record, here or where it was counted before.
    pub fn ledger_end(&self, partition: usize, name: &str) -> Option<Hash> {
        let own = self.partitions[partition].ledger.get(name).copied();
        own.or_else(|| {
            let (parent, _) = self.parent_of(partition)?;
            self.ledger_end(parent, name)
        })
    }

    /// At the end every rescale is complete.
    pub fn check_rescales(&self) {
        if (0..self.partitions.len()).any(|partition| self.must_stop(partition)) {
            return;
        }
        let service = self.naive(0);
        let n = service.homes.last().copied().unwrap_or(0);
        for partition in 0..n as usize {
            let naive = self.naive(partition);
            assert!(
                naive.homes == service.homes && !naive.is_split,
                "rescale: partition {partition} has {:?} of {:?}",
                naive.homes,
                service.homes
            );
        }
        let before = service.homes.iter().rev().nth(1).copied().unwrap_or(0);
        let is_done = (0..before).all(|parent| service.reported.contains(&parent));
        assert!(is_done, "rescale: not done: {:?}", service.reported);
    }
}

fn freeze(state: &mut Naive, list: &[u32]) {
    state.frozen = None;
    state.frozen = Some(Rc::new(state.clone()));
    state.is_split = true;
    state.homes = list.to_vec();
}

/// The partitions that a parent gives orders to.
fn told_by_parent(state: &mut Naive, me: u32, at: (i32, i64)) -> Vec<u32> {
    let n = *state.homes.last().expect("an N");
    let before = state.homes.iter().rev().nth(1).copied().unwrap_or(n);
    let mut to: Vec<u32> = Vec::new();
    if state.is_split {
        to.extend((before + me..n).step_by(before as usize));
    }
    if me == 0 {
        to.extend(1..before);
    }
    to.retain(|to| !state.reported.contains(to));
    for to in &to {
        state.sent.insert(*to, at);
    }
    to
}
