//! The home partitions of names, and how they have changed.
//!
//! A name's home is its hash modulo N, the number of partitions that names are spread over. N is decided once and
//! changes by rescales only. Each one begins an *epoch* with a multiple of the N before. So a name stays where it
//! is, or moves to one of the new partitions.

use super::limits::EPOCHS_MAX;
use super::partitioner::partition_of;
use super::planted::planted;

/// The number of partitions that names are spread over in each epoch, as one partition knows it.
///
/// Partitions learn of an epoch one after the other, each at its own place in the order of records. So the list
/// belongs to the state of a partition, and may be longer in another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Homes {
    /// N of the current epoch.
    now: u32,
    /// The current epoch.
    epoch: u8,
    /// N of each epoch before, and zeros.
    before: [u32; EPOCHS_MAX - 1],
}

impl Homes {
    /// The first epoch of a service. A topic has at least one partition.
    pub const fn first(partitions: u32) -> Homes {
        Homes {
            now: if partitions == 0 { 1 } else { partitions },
            epoch: 0,
            before: [0; EPOCHS_MAX - 1],
        }
    }

    /// From N of each epoch, the first one first. None for a list that no service has had.
    pub fn read(counts: impl IntoIterator<Item = u32>) -> Option<Homes> {
        let mut counts = counts.into_iter();
        let first = counts.next().filter(|first| *first > 0)?;
        counts.try_fold(Homes::first(first), Homes::grown)
    }

    /// With one more epoch. None when its N is no multiple above the current one, or there were too many epochs.
    #[must_use]
    pub fn grown(self, partitions: u32) -> Option<Homes> {
        let Homes {
            now,
            epoch,
            mut before,
        } = self;
        *before.get_mut(usize::from(epoch))? = now;
        let fits = partitions > now && partitions.is_multiple_of(now);
        fits.then_some(Homes {
            now: partitions,
            epoch: epoch + 1,
            before,
        })
    }

    /// N of the current epoch.
    pub const fn partitions(&self) -> u32 {
        self.now
    }

    /// N of each epoch, the first one first.
    pub fn counts(&self) -> impl Iterator<Item = u32> {
        let before = self.before.iter().take(usize::from(self.epoch));
        before.copied().chain([self.now])
    }

    /// The number of the current epoch. The first one has the number 0.
    pub const fn epoch(&self) -> u8 {
        self.epoch
    }

    /// N of the epoch before the current one. None in the first epoch.
    pub fn before(&self) -> Option<u32> {
        let last = self.epoch.checked_sub(1)?;
        self.before.get(usize::from(last)).copied()
    }

    /// True when a partition is the home of names.
    pub const fn has(&self, partition: u32) -> bool {
        partition < self.now
    }

    /// The partition that was the home of a partition's names before the current epoch. None for a partition that
    /// was a home itself, or is none now.
    pub fn parent_of(&self, partition: u32) -> Option<u32> {
        let before = self.before()?;
        let is_child = partition >= before && self.has(partition);
        is_child.then(|| partition % before)
    }

    /// The partitions to which names of a partition have moved with the current epoch.
    pub fn children_of(&self, partition: u32) -> impl Iterator<Item = u32> + use<> {
        let before = self.before().filter(|before| partition < *before);
        let step = before.unwrap_or(1);
        let children = before.map_or(0..0, |before| 1..self.now / before);
        children.map(move |number| partition + number * step)
    }

    /// The home of a name.
    pub fn of(&self, name: &[u8]) -> u32 {
        partition_of(name, self.now)
    }

    /// The partitions that have been a name's home, one after the other, its home last.
    pub fn lineage(&self, name: &[u8]) -> Vec<u32> {
        let mut homes: Vec<u32> = self.counts().map(|n| partition_of(name, n)).collect();
        homes.dedup();
        homes
    }

    /// The list with which a partition without a state begins, in a service with this list: the epochs up to the
    /// one that was current when the partition was added. It learns of later ones from the records that begin
    /// them.
    ///
    /// With a later N, it would believe itself the home of names that another partition still counts.
    #[must_use]
    pub fn at_birth(&self, partition: u32) -> Homes {
        if planted!(FreshChildReadsNewN) {
            return *self;
        }
        let mut counts = self.counts();
        let first = Homes::first(counts.next().unwrap_or(1));
        let mut earlier = counts.take_while(|n| *n <= partition);
        let grown = earlier.try_fold(first, Homes::grown);
        grown.unwrap_or(first)
    }

    /// True when this list is the other one, or begins with it.
    pub fn extends(&self, earlier: &Homes) -> bool {
        let mut counts = self.counts();
        earlier.counts().all(|n| counts.next() == Some(n))
    }
}

impl std::fmt::Debug for Homes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.counts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes(counts: &[u32]) -> Homes {
        Homes::read(counts.iter().copied()).unwrap()
    }

    fn listed(homes: Homes) -> Vec<u32> {
        homes.counts().collect()
    }

    #[test]
    fn a_list_is_of_multiples_that_rise() {
        assert_eq!(listed(homes(&[3])), [3]);
        assert_eq!(listed(homes(&[3, 6, 24])), [3, 6, 24]);
        assert_eq!(homes(&[3, 6, 24]).partitions(), 24);
        for wrong in [&[][..], &[0], &[3, 3], &[3, 7], &[6, 3], &[2, 4, 6]] {
            assert_eq!(Homes::read(wrong.iter().copied()), None, "{wrong:?}");
        }
        let doubled = |epochs: usize| Homes::read((0..epochs).map(|epoch| 1 << epoch));
        assert!(doubled(EPOCHS_MAX).is_some());
        assert_eq!(doubled(EPOCHS_MAX + 1), None);
    }

    #[test]
    fn a_name_stays_at_home_or_moves_to_a_new_partition() {
        let (before, after) = (homes(&[3]), homes(&[3, 6]));
        let mut moved = 0;
        for number in 0..100 {
            let name = format!("n{number}");
            let (was, is) = (before.of(name.as_bytes()), after.of(name.as_bytes()));
            assert!(is == was || is == was + 3);
            moved += u32::from(is != was);
        }
        assert!((30..70).contains(&moved), "{moved}");
    }

    #[test]
    fn the_homes_of_a_name_come_in_order_and_end_with_its_home() {
        let service = homes(&[2, 4, 12]);
        for number in 0..100 {
            let name = format!("n{number}");
            let lineage = service.lineage(name.as_bytes());
            assert_eq!(lineage[0], homes(&[2]).of(name.as_bytes()));
            assert_eq!(lineage.last(), Some(&service.of(name.as_bytes())));
            assert!(lineage.is_sorted_by(|a, b| a < b), "{lineage:?}");
        }
        assert_eq!(homes(&[1, 2]).lineage(b"a").first(), Some(&0));
    }

    #[test]
    fn a_partition_begins_with_the_epochs_up_to_its_own() {
        let service = homes(&[2, 4, 8]);
        let at_birth = |partition| listed(service.at_birth(partition));
        for partition in 0..4 {
            assert_eq!(at_birth(partition), [2]);
        }
        for partition in 4..8 {
            assert_eq!(at_birth(partition), [2, 4]);
        }
        // The topic has grown further, and no split came yet.
        assert_eq!(at_birth(8), [2, 4, 8]);
    }

    #[test]
    fn children_and_parents_are_those_of_the_last_rescale() {
        let homes = homes(&[2, 4, 12]);
        assert_eq!((homes.epoch(), homes.before()), (2, Some(4)));
        let children = |partition| homes.children_of(partition).collect::<Vec<_>>();
        assert_eq!(children(0), [4, 8]);
        assert_eq!(children(3), [7, 11]);
        assert_eq!(children(4), [0; 0]);
        assert_eq!(homes.parent_of(11), Some(3));
        assert_eq!((homes.parent_of(3), homes.parent_of(12)), (None, None));
        let first = Homes::first(4);
        assert_eq!((first.before(), first.parent_of(2)), (None, None));
        assert_eq!(first.children_of(0).count(), 0);
    }

    #[test]
    fn a_list_extends_its_own_beginnings_and_no_other() {
        let list = homes(&[2, 4, 8]);
        for beginning in [&[2][..], &[2, 4], &[2, 4, 8]] {
            assert!(list.extends(&homes(beginning)), "{beginning:?}");
        }
        for other in [&[4][..], &[2, 8], &[2, 4, 8, 16]] {
            assert!(!list.extends(&homes(other)), "{other:?}");
        }
    }
}
