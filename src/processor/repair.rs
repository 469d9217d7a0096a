//! A repair treats the two ends of each chain of strays, so that nobody else needs one because of it.
//!
//! The repaired partition is the source of some chains and the home of others:
//!
//! - As a source it gets a higher epoch. Its homes believe that a chain begins again with it, and know by
//!   the positions of the records which of them they have accepted already.
//! - As a home it keeps what it knows to have accepted, so that no stray is granted twice, and believes one
//!   gap in each chain, because it cannot know what was forwarded meanwhile.

use std::collections::BTreeMap;

use crate::core::fold::{Entry, EntryKey, Slot};
use crate::core::link::{Accepted, Position};
use crate::core::planted::planted;
use crate::core::{Fold, Scalars};

/// The epoch of a repair. The clock makes it rise also where the epoch before is lost with the state.
pub fn next_epoch(known: u64, now_ms: u64) -> u64 {
    if planted!(EpochNotRaised) {
        return known;
    }
    known.saturating_add(1).max(now_ms)
}

/// For a partition that goes on without its log having been folded: `accepted` are the ends that its state
/// log has, none for a topic that was made again, and `scalars` the highest of each that it has.
pub fn jump(fold: &mut Fold, scalars: Scalars, accepted: &BTreeMap<u32, Accepted>, now_ms: u64) {
    for (source, end) in accepted {
        if planted!(AcceptedForgotten) {
            continue;
        }
        fold.put(Entry::Accepted {
            source: *source,
            end: Accepted { open: true, ..*end },
        });
    }
    fold.set_scalars(Scalars {
        // Another number than before, so that no footer of the past matches by chance.
        applied: scalars.applied + 1,
        // Nobody knows what was forwarded by partitions from which nothing was accepted yet.
        links_open: true,
        epoch: next_epoch(scalars.epoch, now_ms),
        ..scalars
    });
}

/// For a partition whose whole log was folded again: all that it forwarded is known, so its chains go on.
pub fn refolded(fold: &mut Fold, known: u64, now_ms: u64) {
    let scalars = fold.scalars();
    fold.set_scalars(Scalars {
        epoch: next_epoch(known.max(scalars.epoch), now_ms),
        ..scalars
    });
}

/// For a home whose state is right: one gap in the chain from `source` is believed.
pub fn open(fold: &mut Fold, source: u32) {
    let slot = fold.slot(EntryKey::Accepted(source));
    let known = match slot.and_then(|slot: Slot| fold.entry(slot)) {
        Some(Entry::Accepted { end, .. }) => Some(end),
        _ => None,
    };
    let end = known.unwrap_or(Accepted {
        epoch: 0,
        position: Position::NONE,
        open: true,
    });
    fold.put(Entry::Accepted {
        source,
        end: Accepted { open: true, ..end },
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Accepted = Accepted {
        epoch: 3,
        position: Position {
            leader_epoch: 1,
            offset: 90,
        },
        open: false,
    };

    fn end(fold: &Fold, source: u32) -> Option<Accepted> {
        let slot = fold.slot(EntryKey::Accepted(source))?;
        match fold.entry(slot)? {
            Entry::Accepted { end, .. } => Some(end),
            _ => None,
        }
    }

    #[test]
    fn the_epoch_rises_also_where_it_is_lost_or_the_clock_stands() {
        assert_eq!(next_epoch(0, 1_700), 1_700);
        assert_eq!(next_epoch(1_700, 1_700), 1_701);
        assert_eq!(next_epoch(1_700, 5), 1_701);
    }

    #[test]
    fn a_jump_keeps_what_was_accepted_and_believes_a_gap() {
        let mut fold = Fold::default();
        let known = Scalars {
            epoch: 9,
            ..Scalars::default()
        };
        jump(&mut fold, known, &BTreeMap::from([(2, END)]), 5);
        assert_eq!(end(&fold, 2), Some(Accepted { open: true, ..END }));
        assert_eq!(
            (fold.scalars().epoch, fold.scalars().links_open),
            (10, true)
        );
    }

    #[test]
    fn a_home_opens_the_one_chain_that_broke() {
        let mut fold = Fold::default();
        for source in [2, 4] {
            fold.put(Entry::Accepted { source, end: END });
        }
        open(&mut fold, 2);
        open(&mut fold, 7);
        assert_eq!(end(&fold, 2), Some(Accepted { open: true, ..END }));
        assert_eq!(end(&fold, 4), Some(END));
        assert_eq!(
            end(&fold, 7).map(|end| (end.open, end.position)),
            Some((true, Position::NONE))
        );
        assert!(!fold.scalars().links_open);
    }
}
