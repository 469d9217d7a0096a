//! The home partitions of names, and how they have changed.
//!
//! A name's home is its hash modulo N, the number of partitions that names are spread over. N is decided once and
//! changes by rescales only. Each one begins an *epoch* with a multiple of the N before. So a name stays where it
//! is, or moves to one of the new partitions.

use super::limits::EPOCHS_MAX;
use super::partitioner::partition_of;

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

    /// The home of a name.
    pub fn of(&self, name: &[u8]) -> u32 {
        partition_of(name, self.now)
    }

    /// The list with which a partition without a state begins, in a service with this list: the epochs up to the
    /// one that was current when the partition was added. It learns of later ones from the records that begin
    /// them.
    ///
    /// With a later N, it would believe itself the home of names that another partition still counts.
    #[must_use]
    pub fn at_birth(&self, partition: u32) -> Homes {
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
