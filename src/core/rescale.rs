//! The records by which partitions carry out a rescale.
//!
//! One record begins a rescale: the operator's *split*, in partition 0. Everything else follows from it, as links on
//! the chains that carry strays, too. So each order arrives once, in order with the strays, and is not lost.
//!
//! | order | from | to |
//! |---|---|---|
//! | split | the operator | partition 0 |
//! | split | partition 0 | the other parents |
//! | adopt | a parent | each of its children |
//! | adopted | a child | its parent |
//! | done | a parent | partition 0 |
//!
//! A *parent* is a partition that was a home before the rescale. Some of its names move to its *children*, which are
//! new homes. At its split a parent freezes the names that move, and a copy of its window and its scalars. From then
//! on it forwards requests for these names, on the same chain as its adopt and behind it. A child carries the adopt
//! out when all that it adopts is committed in its own state. From then on it is the home of its names.

use super::homes::Homes;
use super::link::{Link, Origin, Position};
use super::position::Offset;

/// The partition in the link of an operator's split. No topic has it.
pub const OPERATOR: u32 = i32::MAX.unsigned_abs();

/// A record of a rescale. It counts only with a link that is valid where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// N changes: the list with the new one.
    Split(Homes),
    /// The parent has frozen the names of the partition that this is addressed to: the list with the new N.
    Adopt(Homes),
    /// The child has adopted its names.
    Adopted {
        /// The epoch of the rescale.
        epoch: u8,
        /// Number of sequences that the child adopted.
        sequences: u64,
    },
    /// All children of a parent have adopted their names.
    Done {
        /// The epoch of the rescale.
        epoch: u8,
    },
}

/// The link of an operator's split. It is on no chain, so it names no link before it.
pub fn operators_link(homes: &Homes) -> Link {
    let offset = Offset(i64::from(homes.epoch()));
    Link {
        partition: OPERATOR,
        epoch: 0,
        position: Position {
            leader_epoch: -1,
            offset: offset.0,
        },
        previous: Position::NONE,
        origin: Origin {
            partition: OPERATOR,
            offset,
        },
        hops: 1,
    }
}

/// An order that a partition gives, as a link of its chain to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// The partition that the order goes to.
    pub to: u32,
    /// The order's position in the chain to that partition.
    pub link: Link,
    /// The order.
    pub order: Order,
}

/// The result of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rescaled {
    /// The orders that follow from it.
    pub given: Vec<Given>,
    /// The list that the operator's split has led to. None in the answer to an order of a partition, which has no
    /// reply.
    pub reply: Option<Homes>,
}

/// The part that a partition has left to do in a rescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Nothing: the partition has done everything, or takes no part.
    Done,
    /// The partition has not learned of the rescale, as far as its checkpoints show.
    Waits,
    /// A parent has split, and not all of its children have adopted their names.
    Split,
    /// A child takes over the names of its parent, and is not their home yet.
    Adopts,
    /// A parent removes the names that its children have adopted.
    Buries,
}

impl Part {
    /// All parts.
    pub const ALL: [Part; 5] = [
        Part::Done,
        Part::Waits,
        Part::Split,
        Part::Adopts,
        Part::Buries,
    ];

    /// The part in a word, as the status and the metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Part::Done => "done",
            Part::Waits => "waits",
            Part::Split => "split",
            Part::Adopts => "adopts",
            Part::Buries => "buries",
        }
    }
}

/// The facts about a rescale in the state of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The list of N that the partition has learned.
    pub homes: Homes,
    /// True when names of a parent are here, and the partition is not their home yet.
    pub is_staged: bool,
    /// True when a copy for children is here.
    pub is_split: bool,
    /// True when names are here that children have adopted.
    pub has_unburied: bool,
}

impl Standing {
    /// The part that the partition has left to do. `service`: the longest list that any partition has learned.
    pub fn part(&self, partition: u32, service: &Homes) -> Part {
        match () {
            () if self.is_staged => Part::Adopts,
            () if self.homes.epoch() < service.epoch() && service.has(partition) => Part::Waits,
            () if self.is_split => Part::Split,
            () if self.has_unburied => Part::Buries,
            () => Part::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::link::LinkKey;

    #[test]
    fn an_operators_link_counts_where_it_is_addressed_to() {
        let homes = Homes::read([4, 8]).unwrap();
        let link = operators_link(&homes);
        let key = LinkKey([7; 32]);
        let header = link.header(&key, 0, b"k", Some(b"v"));
        let read = |partition| Link::verified(header.as_bytes(), &key, partition, b"k", Some(b"v"));
        assert_eq!(read(0), Some(link));
        assert_eq!(read(1), None);
    }

    #[test]
    fn a_part_follows_from_the_state_and_the_longest_list() {
        let (before, after) = (Homes::first(2), Homes::read([2, 4]).unwrap());
        let standing = |homes| Standing {
            homes,
            is_staged: false,
            is_split: false,
            has_unburied: false,
        };
        assert_eq!(standing(before).part(0, &before), Part::Done);
        assert_eq!(standing(before).part(0, &after), Part::Waits);
        assert_eq!(standing(before).part(3, &after), Part::Waits);
        assert_eq!(standing(before).part(4, &after), Part::Done, "no home");
        let split = Standing {
            is_split: true,
            ..standing(after)
        };
        assert_eq!(split.part(0, &after), Part::Split);
        let staged = Standing {
            is_staged: true,
            ..standing(before)
        };
        assert_eq!(staged.part(2, &after), Part::Adopts);
        let buries = Standing {
            has_unburied: true,
            ..standing(after)
        };
        assert_eq!(buries.part(0, &after), Part::Buries);
        assert_eq!(standing(after).part(2, &after), Part::Done);
    }
}
