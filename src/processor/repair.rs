//! Repairs both ends of each chain of strays, so that no other partition needs a repair because of this one.
//!
//! The repaired partition is the source of some chains and the home of others:
//!
//! - As a source it gets a higher epoch. Its homes accept that a chain begins again with this epoch. From the
//!   positions of the records they know which of them they have accepted already.
//! - As a home it keeps the ends that it knows, so that no stray is granted twice. It accepts one gap in each
//!   chain, because it cannot know what was forwarded in between.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::core::fold::{Entry, EntryKey, Slot};
use crate::core::ledger::Chain;
use crate::core::link::{Accepted, Position};
use crate::core::planted::planted;
use crate::core::{Fold, Scalars};

/// The epoch of a repair. The clock makes it rise even if the previous epoch is lost with the state.
pub fn next_epoch(known: u64, now_ms: u64) -> u64 {
    if planted!(EpochNotRaised) {
        return known;
    }
    known.saturating_add(1).max(now_ms)
}

/// Prepares a partition that goes on although its log was not folded. `accepted` are the ends in its state log;
/// none for a topic that was created again. `scalars` are the highest of each that the state log has.
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
        // A different number than before, so that no old footer matches by chance.
        applied: scalars.applied + 1,
        // Partitions from which nothing was accepted yet may have forwarded strays that are lost.
        links_open: true,
        epoch: next_epoch(scalars.epoch, now_ms),
        ..scalars
    });
}

/// Prepares a partition whose whole log was folded again: all that it forwarded is known, so its chains go on.
pub fn refolded(fold: &mut Fold, known: u64, now_ms: u64) {
    let scalars = fold.scalars();
    fold.set_scalars(Scalars {
        epoch: next_epoch(known.max(scalars.epoch), now_ms),
        ..scalars
    });
}

/// Prepares a state whose log was folded on beyond its footer: each ledger goes on behind its last record in
/// `written`, the state at the footer. The records of what was folded since were never written.
pub fn keep_ledgers(fold: &mut Fold, written: &Fold) {
    let written = |name: &str| {
        let slot = written.slot(EntryKey::Sequence(name))?;
        match written.entry(slot)? {
            Entry::Sequence { defined, .. } => defined?.chain.as_deref().copied(),
            _ => None,
        }
    };
    let audited = |entry: Entry<'_>| match entry {
        Entry::Sequence {
            name,
            sequence,
            defined: Some(defined),
        } => {
            let mut defined = defined.into_owned();
            let turn = defined.chain.as_ref()?.turn;
            let known = written(name).unwrap_or(Chain::new(true));
            defined.chain = Some(Box::new(Chain { turn, ..known }));
            Some((name.to_owned(), sequence, defined))
        }
        _ => None,
    };
    let audited: Vec<_> = fold.iter().filter_map(audited).collect();
    for (name, sequence, defined) in audited {
        fold.put(Entry::Sequence {
            name: &name,
            sequence,
            defined: Some(Cow::Owned(defined)),
        });
    }
}

/// Prepares a home whose state is right: one gap in the chain from `source` is accepted.
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
