//! The share of each source partition in the strays that wait to be forwarded, and the sources that must wait.
//!
//! When a home partition cannot be written, its strays are kept, forever by design. So each source partition
//! has a share of the room. A source that fills its share waits. The others still have theirs.

use std::collections::{BTreeMap, BTreeSet};

/// Most strays that are held until they are acknowledged; a second's worth at a high rate.
pub(super) const FORWARDS_MAX: usize = 50_000;
/// Most bytes of these strays (64 MiB).
pub(super) const BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    strays: usize,
    bytes: usize,
}

impl Held {
    /// True when the load is at least one `part`th of the whole room.
    fn reaches(self, part: usize) -> bool {
        self.strays * part >= FORWARDS_MAX || self.bytes * part >= BYTES_MAX
    }
}

/// The strays and bytes held for each source partition.
#[derive(Debug, Default)]
pub(super) struct Shares {
    held: BTreeMap<i32, Held>,
    waiting: BTreeSet<i32>,
}

/// The sources to stop, and the sources to fetch again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Sources whose share is full.
    pub stop: Vec<i32>,
    /// Sources that have room again.
    pub resume: Vec<i32>,
}

impl Shares {
    pub(super) fn add(&mut self, source: i32, bytes: usize) {
        let held = self.held.entry(source).or_default();
        held.strays += 1;
        held.bytes += bytes;
    }

    pub(super) fn remove(&mut self, source: i32, bytes: usize) {
        if let Some(held) = self.held.get_mut(&source) {
            held.strays = held.strays.saturating_sub(1);
            held.bytes = held.bytes.saturating_sub(bytes);
            if held.strays == 0 {
                self.held.remove(&source);
            }
        }
    }

    /// Computes the changes among this number of possible source partitions. A waiting source goes on at half
    /// its share, so that it does not stop and start with each stray.
    pub(super) fn changes(&mut self, partitions: usize) -> Changes {
        let part = partitions.max(1);
        let mut changes = Changes::default();
        if self.held.is_empty() && self.waiting.is_empty() {
            return changes;
        }
        for (source, held) in &self.held {
            if held.reaches(part) && self.waiting.insert(*source) {
                changes.stop.push(*source);
            }
        }
        let held = &self.held;
        self.waiting.retain(|source| {
            let half = held.get(source).is_some_and(|held| held.reaches(2 * part));
            if !half {
                changes.resume.push(*source);
            }
            half
        });
        changes
    }

    pub(super) fn is_waiting(&self, source: i32) -> bool {
        !self.waiting.is_empty() && self.waiting.contains(&source)
    }

    /// Notes that these sources are no longer owned.
    pub(super) fn forget(&mut self, partitions: &[i32]) {
        self.waiting.retain(|source| !partitions.contains(source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(shares: &mut Shares, source: i32, strays: usize, bytes: usize) {
        (0..strays).for_each(|_| shares.add(source, bytes));
    }

    #[test]
    fn only_the_source_that_fills_its_share_waits() {
        for (strays, bytes) in [(FORWARDS_MAX / 4, 1), (16, BYTES_MAX / 64)] {
            let mut shares = Shares::default();
            filled(&mut shares, 2, strays - 1, bytes);
            filled(&mut shares, 3, 1, bytes);
            assert_eq!(shares.changes(4), Changes::default());
            shares.add(2, bytes);
            assert_eq!(shares.changes(4).stop, [2]);
            assert!(shares.is_waiting(2) && !shares.is_waiting(3));
            assert_eq!(shares.changes(4), Changes::default(), "once");
            for _ in 0..strays / 2 {
                assert_eq!(shares.changes(4), Changes::default());
                shares.remove(2, bytes);
            }
            shares.remove(2, bytes);
            assert_eq!(shares.changes(4).resume, [2]);
            assert!(!shares.is_waiting(2));
        }
    }

    #[test]
    fn all_shares_together_are_no_more_than_all_the_room() {
        let mut shares = Shares::default();
        for source in 0..100 {
            let mut strays = 0;
            while !shares.is_waiting(source) {
                filled(&mut shares, source, 1, 10);
                strays += 1;
                shares.changes(100);
            }
            assert_eq!(strays, FORWARDS_MAX / 100);
        }
    }

    #[test]
    fn one_that_is_given_up_waits_for_nothing() {
        let mut shares = Shares::default();
        filled(&mut shares, 0, FORWARDS_MAX, 1);
        shares.changes(1);
        shares.forget(&[0]);
        assert!(!shares.is_waiting(0));
    }
}
