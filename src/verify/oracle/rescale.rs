//! The orders of a rescale: a partition splits its names, and another one adopts them.
//!
//! A *parent* hands names over to its *children*. The orders are links of the chains that strays use.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;

use super::{Answer, Due, Key, Oracle, POLICY, Scalars, Sequence, Unknown, answer, asked_of};
use crate::code::Code;
use crate::link::{BEGINNING, End, Link, Step};
use crate::murmur2::home_of;
use crate::source::Record;
use crate::window::{SEGMENT, Window};

/// The partition in the link of an operator's split.
pub(crate) const OPERATOR: u32 = 2_147_483_647;
/// Most numbers of partitions that a service can have had.
const NUMBERS_MAX: usize = 16;
/// Most partitions that a split leads to.
const PARTITIONS_MAX: u32 = 10_000;

/// An order as its record says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Split(Vec<u32>),
    Adopt(Vec<u32>),
    Adopted { epoch: u64, sequences: u64 },
    Done { epoch: u64 },
}

/// The scalars of a parent at its split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frozen {
    pub highest_timestamp: i64,
    pub floor: i64,
    pub unknown: Unknown,
    pub window_capacity: u32,
    pub window_next: u64,
}

/// The scalars and the window of a parent at its split.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub scalars: Frozen,
    pub window: Window,
}

/// Everything that one child adopts.
#[derive(Debug)]
pub(crate) struct Cut {
    pub copied: Rc<Copied>,
    pub sequences: BTreeMap<Box<str>, Sequence>,
}

/// The parents' hand-overs: by child, and by the number of epochs with this one.
pub(crate) type Cuts = BTreeMap<(u32, usize), Rc<Cut>>;

/// The meaning of an order here.
enum Meaning {
    Nothing,
    /// The orders may have been lost, so they are given again.
    Again,
    Splits(Vec<u32>),
    Adopts(Vec<u32>),
    /// A partition has done its part. A child says how many sequences it adopted.
    Reports(u32, Option<u64>),
    Unfit,
}

/// Reads an order. Only its one spelling counts.
pub(crate) fn read(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Order> {
    let value = value.filter(|_| key == Some(POLICY.as_bytes()))?;
    let json: Value = serde_json::from_slice(value).ok()?;
    let number = |field: &str| json.get(field)?.as_u64();
    let list = || {
        let list = json.get("partitions")?.as_array()?;
        let list = list.iter().map(|n| u32::try_from(n.as_u64()?).ok());
        let list: Vec<u32> = list.collect::<Option<_>>()?;
        is_list(&list).then_some(list)
    };
    let order = match json.get("op")?.as_str()? {
        "split" => Order::Split(list()?),
        "adopt" => Order::Adopt(list()?),
        "adopted" => Order::Adopted {
            epoch: number("epoch")?,
            sequences: number("sequences")?,
        },
        "done" => Order::Done {
            epoch: number("epoch")?,
        },
        _ => return None,
    };
    let epoch = match &order {
        Order::Adopted { epoch, .. } | Order::Done { epoch } => *epoch,
        _ => 0,
    };
    (epoch <= u64::from(u8::MAX) && spelled(&order).as_bytes() == value).then_some(order)
}

fn spelled(order: &Order) -> String {
    let listed = |op: &str, list: &[u32]| {
        let list = format!("{list:?}").replace(' ', "");
        format!("{{\"op\":\"{op}\",\"partitions\":{list}}}")
    };
    match order {
        Order::Split(list) => listed("split", list),
        Order::Adopt(list) => listed("adopt", list),
        Order::Adopted { epoch, sequences } => {
            format!("{{\"op\":\"adopted\",\"epoch\":{epoch},\"sequences\":{sequences}}}")
        }
        Order::Done { epoch } => format!("{{\"op\":\"done\",\"epoch\":{epoch}}}"),
    }
}

/// True for numbers of partitions that a service can have had: multiples that rise.
fn is_list(list: &[u32]) -> bool {
    let rises = |pair: &[u32]| pair[1] > pair[0] && pair[1].is_multiple_of(pair[0]);
    (1..=NUMBERS_MAX).contains(&list.len()) && list[0] > 0 && list.windows(2).all(rises)
}

/// N before the last rescale.
fn before(list: &[u32]) -> Option<u32> {
    list.iter().rev().nth(1).copied()
}

/// The partition that has handed names over to this one with the last rescale.
fn parent(list: &[u32], partition: u32) -> Option<u32> {
    let before = before(list)?;
    let is_child = partition >= before && list.last().is_some_and(|n| partition < *n);
    is_child.then(|| partition % before)
}

/// The partitions to which this one has handed names over with the last rescale.
fn children(list: &[u32], partition: u32) -> Vec<u32> {
    let (Some(before), Some(n)) = (before(list), list.last()) else {
        return Vec::new();
    };
    match partition < before {
        true => (before + partition..*n).step_by(before as usize).collect(),
        false => Vec::new(),
    }
}

impl Oracle {
    /// Answers an order.
    pub(super) fn ordered<'a>(
        &mut self,
        record: &Record<'a>,
        link: Link,
        order: Order,
    ) -> Answer<'a> {
        let asked = asked_of(record);
        if link.partition == OPERATOR {
            self.count(record);
            let due = match self.operators(record, order) {
                Ok(list) => Due::Split(list),
                Err(code) => Due::Refused(code),
            };
            return answer(asked, None, due);
        }
        let nothing = End {
            epoch: 0,
            position: BEGINNING,
            open: self.scalars.links_open,
        };
        let end = self.accepted(link.partition).unwrap_or(nothing);
        let end = match link.step(end) {
            Step::Gap => {
                let accepted = end.position;
                return answer(asked, Some(link), Due::Broken { link, accepted });
            }
            Step::Known => {
                self.count(record);
                return answer(asked, Some(link), Due::Repeated);
            }
            Step::On(end) => end,
        };
        let meaning = self.meaning(link.partition, &order);
        match &meaning {
            Meaning::Unfit => return answer(asked, Some(link), Due::Unfit),
            Meaning::Adopts(list) if self.incoming(list).is_none() => {
                let parent = link.partition;
                return answer(asked, Some(link), Due::NoCut { parent });
            }
            _ => {}
        }
        self.accepted.insert(link.partition, end);
        self.touched.insert(Key::Accepted(link.partition));
        self.count(record);
        let mut due = Due::Ordered;
        match meaning {
            Meaning::Nothing | Meaning::Unfit => {}
            Meaning::Again => self.tell(record),
            Meaning::Splits(list) => {
                self.split(list);
                self.tell(record);
            }
            Meaning::Adopts(list) => {
                self.adopt(list);
                self.tell(record);
            }
            Meaning::Reports(partition, sequences) => {
                let handed_over = self.handed_over(partition);
                if let Some(adopted) = sequences.filter(|adopted| *adopted < handed_over) {
                    due = Due::Lost {
                        child: partition,
                        adopted,
                        handed_over,
                    };
                }
                self.report(partition);
                self.finish(record);
            }
        }
        answer(asked, Some(link), due)
    }

    /// An operator's split: the list that it has led to, or why not.
    fn operators(&mut self, record: &Record<'_>, order: Order) -> Result<Vec<u32>, Code> {
        let known = self.scalars.homes.clone();
        let refused = Err(Code::InvalidDefinition);
        let Order::Split(list) = order else {
            return refused;
        };
        if self.partition != 0 {
            return refused;
        }
        if list == known && known.len() > 1 {
            self.tell(record);
            return Ok(list);
        }
        let follows = list.len() == known.len() + 1 && list.starts_with(&known);
        let fits = list.last().is_some_and(|n| *n <= PARTITIONS_MAX);
        let parents = before(&known).unwrap_or(0);
        let done = (0..parents).all(|parent| self.reported.contains(&parent));
        if !follows || !fits || !done {
            return refused;
        }
        for parent in 0..parents {
            self.forget_report(parent);
        }
        self.split(list.clone());
        self.tell(record);
        Ok(list)
    }

    fn meaning(&self, source: u32, order: &Order) -> Meaning {
        let (here, known) = (self.partition, &self.scalars.homes);
        let epoch = known.len() as u64 - 1;
        let n = known.last().copied().unwrap_or(0);
        match order {
            Order::Split(list) if source == 0 && here > 0 => {
                let is_parent = before(known).is_some_and(|before| here < before);
                if list == known && is_parent {
                    Meaning::Again
                } else if known.starts_with(list) {
                    Meaning::Nothing
                } else if list.starts_with(known) && list.len() == known.len() + 1 {
                    Meaning::Splits(list.clone())
                } else {
                    Meaning::Unfit
                }
            }
            Order::Adopt(list) if parent(list, here) == Some(source) => {
                if list == known {
                    Meaning::Again
                } else if known.starts_with(list) {
                    Meaning::Nothing
                } else if list.starts_with(known) && here >= n {
                    Meaning::Adopts(list.clone())
                } else {
                    Meaning::Unfit
                }
            }
            Order::Adopted {
                epoch: of,
                sequences,
            } => {
                if *of < epoch {
                    Meaning::Nothing
                } else if *of > epoch || parent(known, source) != Some(here) {
                    Meaning::Unfit
                } else if self.copied.is_none() || self.reported.contains(&source) {
                    Meaning::Nothing
                } else {
                    Meaning::Reports(source, Some(*sequences))
                }
            }
            Order::Done { epoch: of } if here == 0 => {
                let is_parent = before(known).is_some_and(|before| source < before);
                if *of < epoch || *of == epoch && self.reported.contains(&source) {
                    Meaning::Nothing
                } else if *of > epoch || !is_parent {
                    Meaning::Unfit
                } else {
                    Meaning::Reports(source, None)
                }
            }
            Order::Split(_) | Order::Adopt(_) | Order::Done { .. } => Meaning::Unfit,
        }
    }

    fn split(&mut self, list: Vec<u32>) {
        self.scalars.homes = list;
        let Scalars {
            highest_timestamp,
            floor,
            unknown,
            window_capacity,
            window_next,
            ..
        } = self.scalars;
        let scalars = Frozen {
            highest_timestamp,
            floor,
            unknown,
            window_capacity,
            window_next,
        };
        let window = self.window.clone();
        self.touch_copy(&window);
        self.copied = Some(Rc::new(Copied { scalars, window }));
    }

    fn adopt(&mut self, list: Vec<u32>) {
        let Some(cut) = self.incoming(&list) else {
            return;
        };
        let own = self
            .window
            .in_order(self.scalars.window_next, self.scalars.window_capacity);
        self.touch_windows();
        let Copied { scalars, window } = &*cut.copied;
        self.touch_copy(window);
        self.window = window.clone();
        let mine = &mut self.scalars;
        mine.homes = list;
        mine.highest_timestamp = mine.highest_timestamp.max(scalars.highest_timestamp);
        mine.floor = mine.floor.max(scalars.floor);
        if !mine.policy_is_own {
            mine.unknown = scalars.unknown;
        }
        mine.window_capacity = scalars.window_capacity;
        mine.window_next = scalars.window_next;
        self.touch_windows();
        for place in own {
            self.remember(place);
        }
        for (name, sequence) in &cut.sequences {
            let number = self.intern(name);
            self.put_sequence(number, Some(sequence.clone()));
            self.touched.insert(Key::Sequence(number));
            let segments = sequence.own.segments().into_iter();
            self.touched
                .extend(segments.map(|segment| Key::Own(number, segment)));
        }
    }

    fn report(&mut self, partition: u32) {
        self.reported.insert(partition);
        self.touched.insert(Key::Reported(partition));
        for number in 0..u32::try_from(self.names.len()).unwrap_or(0) {
            if self.is_gone(number) {
                self.touched.insert(Key::Sequence(number));
                let sequence = self.sequence(number);
                let segments = sequence.map(|sequence| sequence.own.segments());
                let segments = segments.unwrap_or_default().into_iter();
                self.touched
                    .extend(segments.map(|segment| Key::Own(number, segment)));
            }
        }
    }

    fn forget_report(&mut self, partition: u32) {
        self.reported.remove(&partition);
        self.touched.insert(Key::Reported(partition));
    }

    /// Ends this parent's part when all of its children have reported.
    fn finish(&mut self, record: &Record<'_>) {
        let children = children(&self.scalars.homes, self.partition);
        let all = children.iter().all(|child| self.reported.contains(child));
        let Some(copied) = self.copied.take_if(|_| all) else {
            return;
        };
        self.touch_copy(&copied.window);
        for child in children {
            self.forget_report(child);
        }
        match self.partition {
            0 => self.report(0),
            _ => self.tell(record),
        }
    }

    /// Notes the ends of the chains that orders go out on.
    fn tell(&mut self, record: &Record<'_>) {
        let (here, homes) = (self.partition, self.scalars.homes.clone());
        let mut to: BTreeSet<u32> = BTreeSet::new();
        match parent(&homes, here) {
            Some(parent) => drop(to.insert(parent)),
            None if self.copied.is_some() => to.extend(children(&homes, here)),
            None if here > 0 => drop(to.insert(0)),
            None => {}
        }
        let is_report = self.copied.is_none() && here > 0;
        if here == 0 {
            to.extend(1..before(&homes).unwrap_or(1));
        }
        to.retain(|to| is_report || !self.reported.contains(to));
        for to in to {
            self.sent.insert(to, (record.leader_epoch, record.offset));
            self.touched.insert(Key::Sent(to));
        }
    }

    fn touch_windows(&mut self) {
        for segment in 0..self.window.segments() {
            let segment = u32::try_from(segment).unwrap_or(u32::MAX);
            self.touched.insert(Key::Window(segment));
        }
    }

    fn touch_copy(&mut self, window: &Window) {
        self.touched.insert(Key::Frozen);
        for segment in 0..window.segments() {
            let segment = u32::try_from(segment).unwrap_or(u32::MAX);
            self.touched.insert(Key::FrozenWindow(segment));
        }
    }
}

/// The hand-over.
impl Oracle {
    /// The copy for children.
    pub(crate) fn copied(&self) -> Option<&Copied> {
        self.copied.as_deref()
    }

    /// True when a partition has reported here.
    pub(crate) fn has_reported(&self, partition: u32) -> bool {
        self.reported.contains(&partition)
    }

    /// Sets the copy and the reports, as a state has them.
    pub(crate) fn put_rescale(&mut self, copied: Option<Copied>, reported: BTreeSet<u32>) {
        self.copied = copied.map(Rc::new);
        self.reported = reported;
    }

    /// The children of this partition that have not reported, and what each of them adopts.
    pub(crate) fn cuts(&self) -> Cuts {
        let homes = &self.scalars.homes;
        let (Some(copied), Some(n)) = (&self.copied, homes.last()) else {
            return Cuts::new();
        };
        let waits = |child: &u32| !self.reported.contains(child);
        let waiting = children(homes, self.partition).into_iter().filter(waits);
        let mut leaving: BTreeMap<u32, BTreeMap<Box<str>, Sequence>> = BTreeMap::new();
        for (name, sequence) in self.names.iter().zip(&self.sequences) {
            if let Some(sequence) = sequence {
                let home = leaving.entry(home_of(name, *n)).or_default();
                home.insert(name.clone(), sequence.clone());
            }
        }
        let cut = |child| {
            let sequences = leaving.remove(&child).unwrap_or_default();
            let copied = Rc::clone(copied);
            ((child, homes.len()), Rc::new(Cut { copied, sequences }))
        };
        waiting.map(cut).collect()
    }

    /// Sets the names and copies that parents hand over.
    pub(crate) fn put_cuts(&mut self, cuts: Cuts) {
        self.incoming = cuts;
    }

    /// The names and copies that this partition adopts with a list.
    fn incoming(&self, list: &[u32]) -> Option<Rc<Cut>> {
        self.incoming.get(&(self.partition, list.len())).cloned()
    }

    /// The names and copies that this partition will adopt, as far as they are known. None for a home.
    pub(crate) fn next_cut(&self) -> Option<&Cut> {
        let known = self.scalars.homes.len();
        let later = |((partition, epochs), _): &(&(u32, usize), &Rc<Cut>)| {
            *partition == self.partition && *epochs > known
        };
        self.incoming.iter().find(later).map(|(_, cut)| &**cut)
    }

    /// True for a partition that is no home of names.
    pub(crate) fn is_outside(&self) -> bool {
        self.scalars
            .homes
            .last()
            .is_some_and(|n| self.partition >= *n)
    }

    /// True for a sequence that a child has adopted: its owner removes it from the state at any time.
    pub(crate) fn is_gone(&self, number: u32) -> bool {
        if self.scalars.homes.len() < 2 || self.is_outside() {
            return false;
        }
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let home = self.names.get_index(at).map(|name| self.home(name));
        home.is_some_and(|home| {
            let waits = self.copied.is_some()
                && children(&self.scalars.homes, self.partition).contains(&home)
                && !self.reported.contains(&home);
            home != self.partition && !waits
        })
    }

    /// Number of sequences that a child adopts.
    fn handed_over(&self, child: u32) -> u64 {
        let there = self.names.iter().zip(&self.sequences);
        let there = there.filter(|(name, sequence)| sequence.is_some() && self.home(name) == child);
        there.count() as u64
    }

    /// Number of sequences whose home this partition is, or was with nobody after it.
    pub(crate) fn at_home(&self) -> u64 {
        let numbers = 0..u32::try_from(self.names.len()).unwrap_or(0);
        numbers.filter(|number| !self.is_gone(*number)).count() as u64
    }
}

/// The places of a window in the order in which they were written.
impl Window {
    fn in_order(&self, next: u64, capacity: u32) -> Vec<super::Place> {
        let used: usize = (0..self.segments())
            .filter_map(|segment| self.segment(segment))
            .map(|places| places.len())
            .sum();
        let at = |number: u64| {
            let at = usize::try_from(number % u64::from(capacity.max(1))).ok()?;
            self.segment(at / SEGMENT)?.get(at % SEGMENT).copied()
        };
        let first = next.saturating_sub(used as u64);
        (first..next).filter_map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_one_spelling() {
        let policy = Some(POLICY.as_bytes());
        for order in [
            Order::Split(vec![2, 4]),
            Order::Adopt(vec![2, 4, 12]),
            Order::Adopted {
                epoch: 1,
                sequences: 7,
            },
            Order::Done { epoch: 1 },
        ] {
            let text = spelled(&order);
            assert_eq!(read(policy, Some(text.as_bytes())), Some(order));
            assert_eq!(read(Some(b"orders"), Some(text.as_bytes())), None);
            assert_eq!(read(policy, Some(format!("{text} ").as_bytes())), None);
            assert_eq!(read(policy, Some(text.replace(":", ": ").as_bytes())), None);
        }
        for wrong in ["[2,5]", "[4,2]", "[0,2]", "[]"] {
            let text = format!("{{\"op\":\"split\",\"partitions\":{wrong}}}");
            assert_eq!(read(policy, Some(text.as_bytes())), None, "{wrong}");
        }
    }

    #[test]
    fn children_follow_their_parents() {
        assert_eq!(children(&[2, 4, 12], 1), [5, 9]);
        assert_eq!(children(&[2, 4, 12], 4), [0; 0]);
        assert_eq!(children(&[2], 0), [0; 0]);
        assert_eq!(parent(&[2, 4, 12], 9), Some(1));
        assert_eq!((parent(&[2, 4, 12], 3), parent(&[2, 4], 4)), (None, None));
    }
}
