//! Carries out the orders of a rescale.

use super::entry::reported_element;
use super::frozen::Frozen;
use super::{Answer, At, Fold, Slot};
use crate::core::homes::Homes;
use crate::core::limits::RESCALED_PARTITIONS_MAX;
use crate::core::link::{Link, Position, Verdict};
use crate::core::partitioner::partition_of;
use crate::core::planted::planted;
use crate::core::rejection::{Code, Rejection};
use crate::core::rescale::{Given, OPERATOR, Order, Rescaled, Standing};

/// The meaning of an order here.
enum Step {
    /// It was carried out before, or belongs to an earlier rescale.
    Known,
    /// A partition asks again for what this one may have told already.
    Again,
    Splits(Homes),
    Adopts(Homes),
    /// A partition has done its part: the partition, and the sequences that it adopted.
    Reports(u32, u64),
    Unfit,
}

impl Fold {
    /// Folds a record of a rescale. `link` is its verified link.
    pub fn rescale(&mut self, at: At, link: Link, order: Order) -> Answer {
        if link.partition == OPERATOR {
            self.count(at.timestamp);
            return match self.ordered(at, order) {
                Ok(rescaled) => Answer::Rescaled(Box::new(rescaled)),
                Err(rejection) => Answer::Rejected(rejection),
            };
        }
        let end = self.accepted.get(&link.partition).copied();
        let next = match link.judged(end, self.scalars.links_open) {
            Verdict::Next(next) => next,
            Verdict::Repeated => {
                self.count(at.timestamp);
                return Answer::Repeated;
            }
            Verdict::Broken => {
                let accepted = end.map_or(Position::NONE, |end| end.position);
                return Answer::Broken { link, accepted };
            }
        };
        let step = self.step(at.partition, link.partition, order);
        match step {
            Step::Unfit => {
                return Answer::Unfit {
                    source: link.partition,
                    order: Box::new(order),
                };
            }
            Step::Adopts(homes) if !self.is_staged => {
                let parent = link.partition;
                return Answer::Adopts { parent, homes };
            }
            _ => {}
        }
        self.accept(link.partition, next);
        self.count(at.timestamp);
        let given = match step {
            Step::Known | Step::Unfit => Vec::new(),
            Step::Again => self.tell(at),
            Step::Splits(homes) => {
                self.split(homes);
                self.tell(at)
            }
            Step::Adopts(homes) => {
                self.adopt(homes);
                self.tell(at)
            }
            Step::Reports(partition, sequences) => {
                self.touch_report(partition);
                self.scalars.unburied += sequences;
                self.finish(at)
            }
        };
        Answer::Rescaled(Box::new(Rescaled { given, reply: None }))
    }

    /// An operator's split: one record decides for the whole service.
    fn ordered(&mut self, at: At, order: Order) -> Result<Rescaled, Rejection> {
        let refused = |message: String| Err(Rejection::new(Code::InvalidDefinition, message));
        let known = self.scalars.homes;
        let Order::Split(homes) = order else {
            return refused("an operator's order is a split".to_owned());
        };
        if at.partition != 0 {
            return refused("a split goes to partition 0".to_owned());
        }
        let reply = Some(homes);
        if homes == known && known.epoch() > 0 {
            let given = self.tell(at);
            return Ok(Rescaled { given, reply });
        }
        if !homes.extends(&known) || homes.epoch() != known.epoch() + 1 {
            return refused(format!(
                "the service has had the partitions {known:?}, and a split adds one number to this list, got {homes:?}"
            ));
        }
        if homes.partitions() > RESCALED_PARTITIONS_MAX {
            return refused(format!(
                "a split leads to {RESCALED_PARTITIONS_MAX} partitions at most, got {}",
                homes.partitions()
            ));
        }
        let parents = known.before().unwrap_or(0);
        if (0..parents).any(|parent| !self.reported.contains(&parent)) {
            return refused(format!(
                "the rescale to {} partitions is not finished",
                known.partitions()
            ));
        }
        for parent in 0..parents {
            self.forget_report(parent);
        }
        self.split(homes);
        let given = self.tell(at);
        Ok(Rescaled { given, reply })
    }

    fn step(&self, here: u32, source: u32, order: Order) -> Step {
        let known = self.scalars.homes;
        let is_next = |homes: Homes| homes.extends(&known) && homes != known;
        match order {
            Order::Split(homes) if source == 0 && here > 0 => match () {
                () if homes == known && known.before().is_some_and(|n| here < n) => Step::Again,
                () if known.extends(&homes) => Step::Known,
                () if is_next(homes) && homes.before() == Some(known.partitions()) => {
                    Step::Splits(homes)
                }
                () => Step::Unfit,
            },
            Order::Adopt(homes) if homes.parent_of(here) == Some(source) => match () {
                () if homes == known && planted!(AdoptedTwice) => Step::Adopts(homes),
                () if homes == known => Step::Again,
                () if known.extends(&homes) => Step::Known,
                () if is_next(homes) && !known.has(here) => Step::Adopts(homes),
                () => Step::Unfit,
            },
            Order::Adopted { epoch, sequences } => match () {
                () if epoch < known.epoch() => Step::Known,
                () if epoch > known.epoch() || known.parent_of(source) != Some(here) => Step::Unfit,
                () if self.copied.scalars.is_none() || self.reported.contains(&source) => {
                    Step::Known
                }
                () => Step::Reports(source, sequences),
            },
            Order::Done { epoch } if here == 0 => match () {
                () if epoch < known.epoch() => Step::Known,
                () if epoch > known.epoch() || known.before().is_none_or(|n| source >= n) => {
                    Step::Unfit
                }
                () if self.reported.contains(&source) => Step::Known,
                () => Step::Reports(source, 0),
            },
            Order::Split(_) | Order::Adopt(_) | Order::Done { .. } => Step::Unfit,
        }
    }

    /// From here on the names whose home is a child are strays. What the children need besides them is copied.
    fn split(&mut self, homes: Homes) {
        let Fold {
            copied,
            window,
            entries,
            touched,
            scalars,
            ..
        } = self;
        scalars.homes = homes;
        let frozen = Frozen {
            highest_timestamp: scalars.highest_timestamp,
            floor: scalars.floor,
            undefined: scalars.undefined,
            window_capacity: scalars.window_capacity,
            window_next: scalars.window_next,
        };
        copied.put_scalars(Some(frozen), entries);
        touched.push(Slot::Frozen);
        for (segment, places) in (0..).zip(window.all()) {
            copied.put_segment(segment, places, entries);
            touched.push(Slot::FrozenWindow(segment));
        }
    }

    /// The partition becomes the home of its names: those that are staged here, and new ones.
    fn adopt(&mut self, homes: Homes) {
        let own = {
            let scalars = &self.scalars;
            let (next, capacity) = (scalars.window_next, scalars.window_capacity);
            self.window.in_order(next, capacity)
        };
        self.scalars.homes = homes;
        self.is_staged = false;
        let Some(frozen) = self.copied.scalars else {
            return;
        };
        let scalars = &mut self.scalars;
        scalars.highest_timestamp = scalars.highest_timestamp.max(frozen.highest_timestamp);
        if !planted!(FloorNotCopied) {
            scalars.floor = scalars.floor.max(frozen.floor);
        }
        if !scalars.policy_is_own {
            scalars.undefined = frozen.undefined;
        }
        scalars.window_capacity = frozen.window_capacity;
        scalars.window_next = frozen.window_next;
        // A repeated policy record must find its place, so the own ones come behind the copy.
        for segment in 0..self.window.all().len() {
            self.set_segment(segment, &[]);
        }
        let copy = std::mem::take(&mut self.copied.window);
        for (segment, places) in copy.iter().enumerate() {
            self.set_segment(segment, places);
        }
        self.copied.window = copy;
        for place in own {
            self.remember_place(place);
        }
        self.thaw();
    }

    fn set_segment(&mut self, segment: usize, places: &[crate::core::window::Place]) {
        let segment = u32::try_from(segment).unwrap_or(u32::MAX);
        self.put_segment(segment, places);
        self.touch(Slot::Window(segment));
    }

    /// Forgets the copy that nobody needs any more.
    fn thaw(&mut self) {
        let Fold {
            copied,
            entries,
            touched,
            ..
        } = self;
        copied.put_scalars(None, entries);
        touched.push(Slot::Frozen);
        for segment in 0..u32::try_from(copied.window.len()).unwrap_or(u32::MAX) {
            copied.put_segment(segment, &[], entries);
            touched.push(Slot::FrozenWindow(segment));
        }
        copied.window = Vec::new();
    }

    /// Notes a report, and ends a parent's part of the rescale with the last one of its children.
    fn finish(&mut self, at: At) -> Vec<Given> {
        let homes = self.scalars.homes;
        let mut children = homes.children_of(at.partition);
        let is_open = self.copied.scalars.is_some();
        if !is_open || children.any(|child| !self.reported.contains(&child)) {
            return Vec::new();
        }
        self.thaw();
        for child in homes.children_of(at.partition) {
            self.forget_report(child);
        }
        if at.partition == 0 {
            // The other parents have their split already.
            self.touch_report(0);
            return Vec::new();
        }
        self.tell(at)
    }

    /// Tells other partitions what they have to do or to know, as far as it is not known to be done.
    fn tell(&mut self, at: At) -> Vec<Given> {
        let homes = self.scalars.homes;
        let (here, epoch) = (at.partition, homes.epoch());
        let mut orders: Vec<(u32, Order)> = Vec::new();
        if let Some(parent) = homes.parent_of(here) {
            let sequences = self.sequences() as u64;
            orders.push((parent, Order::Adopted { epoch, sequences }));
        } else if self.copied.scalars.is_some() {
            let children = homes.children_of(here);
            orders.extend(children.map(|child| (child, Order::Adopt(homes))));
        } else if here > 0 {
            orders.push((0, Order::Done { epoch }));
        }
        if here == 0 {
            let parents = 1..homes.before().unwrap_or(1);
            orders.extend(parents.map(|parent| (parent, Order::Split(homes))));
        }
        orders.retain(|(to, order)| {
            matches!(order, Order::Adopted { .. } | Order::Done { .. })
                || !self.reported.contains(to)
        });
        let given = orders.into_iter().map(|(to, order)| {
            let link = self.link_to(at, to);
            Given { to, link, order }
        });
        given.collect()
    }

    pub(super) fn report(&mut self, partition: u32) {
        if self.reported.insert(partition) {
            self.entries
                .replace(None, Some(reported_element(partition)));
        }
    }

    fn touch_report(&mut self, partition: u32) {
        self.report(partition);
        self.touch(Slot::Reported(partition));
    }

    fn forget_report(&mut self, partition: u32) {
        if self.reported.remove(&partition) {
            self.entries
                .replace(Some(reported_element(partition)), None);
            self.touch(Slot::Reported(partition));
        }
    }
}

/// Questions of the owner and of a child.
impl Fold {
    /// N before the split, in a parent whose children have not all adopted.
    pub(super) fn n_before_split(&self) -> Option<u32> {
        self.copied.scalars.and(self.scalars.homes.before())
    }

    /// Number of sequences that count for the limit: all but those that a child has adopted.
    pub(super) fn counted(&self) -> usize {
        let unburied = usize::try_from(self.scalars.unburied).unwrap_or(usize::MAX);
        self.sequences().saturating_sub(unburied)
    }

    /// The slot of the entry of a rescale at this place.
    pub(super) fn of_rescale(&self, place: usize) -> Option<Slot> {
        let mut left = place;
        if self.copied.scalars.is_some() {
            match left.checked_sub(1) {
                None => return Some(Slot::Frozen),
                Some(behind) => left = behind,
            }
        }
        if left < self.copied.window.len() {
            return u32::try_from(left).ok().map(Slot::FrozenWindow);
        }
        left -= self.copied.window.len();
        self.reported.iter().nth(left).copied().map(Slot::Reported)
    }

    /// True when this partition gives IDs of a name, and not the partition that it has moved to, or comes from.
    pub fn is_home_of(&self, partition: u32, name: &str) -> bool {
        let homes = self.scalars.homes;
        homes.epoch() == 0 && homes.has(partition) || homes.of(name.as_bytes()) == partition
    }

    /// The facts about a rescale, for those who watch it.
    pub fn standing(&self, partition: u32) -> Standing {
        let homes = self.scalars.homes;
        let (is_copied, is_home) = (self.copied.scalars.is_some(), homes.has(partition));
        Standing {
            homes,
            is_staged: !is_home && (is_copied || self.sequences() > 0),
            is_split: is_home && is_copied,
            has_unburied: self.scalars.unburied > 0,
        }
    }

    /// The partitions that have reported here that they have done their part of the current rescale.
    pub fn reports(&self) -> impl Iterator<Item = u32> {
        self.reported.iter().copied()
    }

    /// Notes that everything that an order to adopt needs is committed in this partition's state.
    pub fn set_staged(&mut self) {
        self.is_staged = true;
    }

    /// True when the copy of a parent is complete here: its scalars are written last.
    pub fn has_frozen(&self) -> bool {
        self.copied.scalars.is_some()
    }

    /// True when a child has reported to this parent, or all of them have.
    pub fn is_adopted(&self, child: u32) -> bool {
        self.copied.scalars.is_none() || self.reported.contains(&child)
    }

    /// True while sequences are here that a child has adopted.
    pub fn has_unburied(&self) -> bool {
        self.scalars.unburied > 0 || planted!(BuriedEarly) && self.copied.scalars.is_some()
    }

    /// Removes sequences that children have adopted, from index `from` on: looks at up to `max` of them, and of the
    /// segments of their own windows. Returns where to go on, or none at the end. Appends the slots whose tombstones the
    /// next checkpoint writes, except those of segments, which are among the changes of the next cut.
    pub fn bury(
        &mut self,
        partition: u32,
        from: usize,
        max: usize,
        slots: &mut Vec<Slot>,
    ) -> Option<usize> {
        let end = from.saturating_add(max).min(self.sequences.len());
        let mut segments_max = max;
        for index in from..end {
            let Some((name, state)) = self.sequences.get_index(index) else {
                break;
            };
            if state.buried || state.changed || !self.is_dead(partition, name) {
                continue;
            }
            let element = state.element(name);
            if !self.own.is_empty() {
                let name = name.clone();
                segments_max -= self.set_remember(&name, 0, segments_max);
                if segments_max == 0 {
                    // There may be more of them. The sequence goes with the last one.
                    return Some(index);
                }
            }
            if let Some((_, state)) = self.sequences.get_index_mut(index) {
                state.buried = true;
                state.defined = None;
            }
            self.entries.replace(Some(element), None);
            self.buried += 1;
            self.scalars.unburied = self.scalars.unburied.saturating_sub(1);
            slots.push(Slot::Sequence(index));
        }
        (end < self.sequences.len()).then_some(end)
    }

    /// Notes that no adopted sequence is left, whatever number of them a child reported.
    pub fn all_buried(&mut self) {
        self.scalars.unburied = 0;
    }

    /// True when a child has adopted a sequence of this partition.
    fn is_dead(&self, partition: u32, name: &str) -> bool {
        let homes = self.scalars.homes;
        let home = homes.of(name.as_bytes());
        if home == partition || !homes.has(partition) {
            return false;
        }
        let Some(before) = self.n_before_split() else {
            return true;
        };
        let is_of_earlier = partition_of(name.as_bytes(), before) != partition;
        let first_of_all = planted!(BuriedForAll) && self.reported.range(before..).next().is_some();
        is_of_earlier || first_of_all || planted!(BuriedEarly) || self.reported.contains(&home)
    }
}

#[cfg(test)]
mod tests;
