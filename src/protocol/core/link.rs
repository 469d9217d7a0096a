//! The chain of strays from one partition to another: each link names the one before it.
//!
//! Clients with different partitioners write one name to different partitions. A request outside its name's
//! home partition is forwarded there, with a header ([`header`]) that says where it came from. The partition
//! that it is addressed to counts the link, whatever partition the name's home is now. If the home is another
//! one, the request goes on from there, as a link of that partition's own chain.
//!
//! - The position shows the destination that no record comes twice. It consists of the leader epoch that the
//!   broker gave the record, and its offset. An unclean election cuts a log, and other records get the same
//!   offsets, but under a higher leader epoch. So two records of a partition never share a position, and
//!   positions rise along its log.
//! - The position before shows the destination that nothing was lost between two links.
//! - The epoch counts the repairs of the source. Each repair begins the chain again. So the first link of a
//!   higher epoch need not follow the last one of the epoch before, and a link of a lower epoch comes from an
//!   owner that was replaced.
//! - The origin names the record that the client wrote, which the reply names, after any number of hops.

pub mod header;

use std::fmt;

use super::planted::planted;
use super::position::Offset;

/// The key of the tags. It is drawn at random once for the whole service, and kept in the state topic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkKey(pub [u8; 32]);

/// The bit of the last byte that marks a key drawn by a repair. Under such a key, a stray that was forwarded
/// under the lost key cannot be distinguished from a forgery. 255 random bits are left.
const OF_REPAIR: u8 = 1;

impl LinkKey {
    /// Returns the key of a new service.
    pub fn drawn(mut random: [u8; 32]) -> LinkKey {
        random[31] &= !OF_REPAIR;
        LinkKey(random)
    }

    /// Returns the key that replaces a lost one.
    pub fn drawn_by_repair(mut random: [u8; 32]) -> LinkKey {
        random[31] |= OF_REPAIR;
        LinkKey(random)
    }

    /// True when this key replaced a lost one.
    pub const fn is_of_repair(&self) -> bool {
        self.0[31] & OF_REPAIR != 0
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

/// The position of a record. A truncation of its log does not reuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The leader epoch under which the broker appended it; -1 when the broker did not say.
    pub leader_epoch: i32,
    /// The record's offset in its partition.
    pub offset: i64,
}

impl Position {
    /// Before the first record.
    pub const NONE: Position = Position {
        leader_epoch: -1,
        offset: -1,
    };

    /// From bytes that somebody wrote. `None` for numbers that no broker gives a record, except
    /// [`Position::NONE`]: such a place would be before all others, and what claims it would look repeated.
    pub fn read(leader_epoch: i32, offset: i64) -> Option<Position> {
        let position = Position {
            leader_epoch,
            offset,
        };
        position.is_sound().then_some(position)
    }

    fn is_sound(self) -> bool {
        let is_of_a_record = self.leader_epoch >= -1 && self.offset >= 0;
        is_of_a_record || self == Position::NONE
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.leader_epoch, self.offset)
    }
}

/// The record that a client wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The partition that the client wrote to.
    pub partition: u32,
    /// The offset of the client's record there.
    pub offset: Offset,
}

/// One forwarded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The partition that forwarded the record.
    pub partition: u32,
    /// Number of repairs of that partition.
    pub epoch: u64,
    /// The position of the record there.
    pub position: Position,
    /// The position of the record that the partition forwarded to the same destination before, since its last
    /// repair.
    pub previous: Position,
    /// The record that the client wrote. After one hop it is the record at `position`.
    pub origin: Origin,
    /// How many times the request was forwarded: 1 to [`HOPS_MAX`](super::limits::HOPS_MAX).
    pub hops: u8,
}

/// The end of a chain at its destination: the last link that was accepted from one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The highest epoch of an accepted link.
    pub epoch: u64,
    /// The highest position of an accepted link.
    pub position: Position,
    /// True when the destination was repaired: links may be missing before the next one.
    pub open: bool,
}

/// How the destination treats a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next link: from now on this is the end of the chain.
    Next(Accepted),
    /// A link that was accepted before, or a link of a replaced owner that the chain does not need.
    Repeated,
    /// A link before this one is missing.
    Broken,
}

impl Link {
    /// Judges a link by the end of its chain. `open`: an unknown end was lost by a repair.
    pub fn judged(&self, end: Option<Accepted>, open: bool) -> Verdict {
        let known = end.unwrap_or(Accepted {
            epoch: 0,
            position: Position::NONE,
            open,
        });
        if !planted!(LeaderEpochIgnored) && self.position <= known.position
            || planted!(LeaderEpochIgnored) && self.position.offset <= known.position.offset
        {
            if planted!(StrayTwice) {
                return self.next(known);
            }
            return Verdict::Repeated;
        }
        if self.previous == known.position || planted!(GapPassedOver) {
            return self.next(known);
        }
        if self.epoch < known.epoch {
            // The owner after the repair forwards the record itself, if its log still has it.
            return Verdict::Repeated;
        }
        let begins_again = self.epoch > known.epoch;
        // The record that was accepted last is no longer in the source's log.
        let cut = self.position.leader_epoch > known.position.leader_epoch;
        let missing = self.previous > known.position;
        if known.open || (!missing && (begins_again || cut)) {
            self.next(known)
        } else {
            Verdict::Broken
        }
    }

    fn next(&self, known: Accepted) -> Verdict {
        Verdict::Next(Accepted {
            epoch: self.epoch.max(known.epoch),
            position: self.position,
            open: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LinkKey = LinkKey([7; 32]);
    const fn at(leader_epoch: i32, offset: i64) -> Position {
        Position {
            leader_epoch,
            offset,
        }
    }

    #[test]
    fn a_key_says_whether_it_took_the_place_of_a_lost_one() {
        for random in [[0; 32], [255; 32]] {
            assert!(!LinkKey::drawn(random).is_of_repair());
            assert!(LinkKey::drawn_by_repair(random).is_of_repair());
        }
    }

    const fn link(epoch: u64, position: Position, previous: Position) -> Link {
        Link {
            partition: 3,
            epoch,
            position,
            previous,
            origin: Origin {
                partition: 3,
                offset: Offset(position.offset),
            },
            hops: 1,
        }
    }

    const fn end(epoch: u64, position: Position, open: bool) -> Accepted {
        Accepted {
            epoch,
            position,
            open,
        }
    }

    #[test]
    fn within_an_epoch_a_link_follows_or_home_halts() {
        let known = Some(end(0, at(1, 90), false));
        let judged = |position, previous| link(0, position, previous).judged(known, true);
        let next = Verdict::Next(end(0, at(1, 95), false));
        assert_eq!(judged(at(1, 95), at(1, 90)), next);
        assert_eq!(judged(at(1, 90), at(1, 80)), Verdict::Repeated);
        assert_eq!(
            judged(at(1, 95), at(1, 92)),
            Verdict::Broken,
            "92 is missing"
        );
        assert_eq!(
            judged(at(1, 95), at(1, 80)),
            Verdict::Broken,
            "90 is not known"
        );
        let first = |open, previous| link(0, at(1, 9), previous).judged(None, open);
        let begun = Verdict::Next(end(0, at(1, 9), false));
        assert_eq!(first(false, Position::NONE), begun);
        assert_eq!(first(false, at(1, 5)), Verdict::Broken);
        assert_eq!(first(true, at(1, 5)), begun);
    }

    #[test]
    fn what_lies_where_a_cut_has_been_is_another_record() {
        let known = Some(end(0, at(1, 1_990), false));
        let after = link(0, at(2, 1_960), at(1, 1_940)).judged(known, false);
        assert_eq!(after, Verdict::Next(end(0, at(2, 1_960), false)));
        let before = link(0, at(1, 1_940), at(1, 1_930)).judged(known, false);
        assert_eq!(before, Verdict::Repeated);
        let missing = link(0, at(2, 1_970), at(2, 1_960)).judged(known, false);
        assert_eq!(missing, Verdict::Broken);
    }

    #[test]
    fn a_repaired_source_begins_its_chain_again_and_loses_none() {
        let known = Some(end(0, at(1, 90), false));
        let jumped = link(5, at(1, 95), Position::NONE).judged(known, false);
        assert_eq!(jumped, Verdict::Next(end(5, at(1, 95), false)));
        let again = link(5, at(1, 88), Position::NONE).judged(known, false);
        assert_eq!(again, Verdict::Repeated, "accepted before the repair");
        let refolded = link(5, at(1, 95), at(1, 90)).judged(known, false);
        assert_eq!(refolded, jumped);
        let missing = link(5, at(1, 99), at(1, 95)).judged(known, false);
        assert_eq!(missing, Verdict::Broken, "95 is missing");
    }

    #[test]
    fn a_link_of_before_the_repair_is_neither_granted_twice_nor_a_reason_to_halt() {
        let known = Some(end(5, at(1, 219), false));
        let late = |position, previous| link(0, position, previous).judged(known, false);
        assert_eq!(late(at(1, 215), at(1, 150)), Verdict::Repeated);
        assert_eq!(late(at(1, 220), at(1, 215)), Verdict::Repeated);
        let next = Verdict::Next(end(5, at(1, 220), false));
        assert_eq!(late(at(1, 220), at(1, 219)), next, "its epoch stays");
    }

    #[test]
    fn a_repaired_home_believes_one_gap_and_still_knows_what_it_had() {
        let known = Some(end(0, at(1, 90), true));
        let judged = |position, previous| link(0, position, previous).judged(known, false);
        assert_eq!(judged(at(1, 90), at(1, 80)), Verdict::Repeated);
        let next = Verdict::Next(end(0, at(1, 99), false));
        assert_eq!(judged(at(1, 99), at(1, 95)), next);
        assert_eq!(judged(at(1, 99), at(1, 80)), next);
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{KEY:?}"), "LinkKey(..)");
    }
}
