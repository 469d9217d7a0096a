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
use super::link::Link;

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
