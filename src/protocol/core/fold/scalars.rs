//! The values that the fold remembers once for each partition.

use crate::core::command::Undefined;
use crate::core::digest::{Element, ElementBuilder, Kind};
use crate::core::homes::Homes;
use crate::core::limits::{EPOCHS_MAX, WINDOW_REQUESTS};
use crate::core::position::Timestamp;

/// The values that the fold remembers once for each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalars {
    /// Highest record time seen. LogAppendTime can step back at a leader change. Time in the fold cannot.
    pub highest_timestamp: Timestamp,
    /// Request records folded since the partition's beginning, rejected ones too. This makes the digests of two
    /// different offsets differ.
    pub applied: u64,
    /// IDs up to this one count as taken for names that the state does not know. The operator gives this number
    /// at a repair. 0 without a repair.
    pub floor: i64,
    /// The rule for undefined names.
    pub undefined: Undefined,
    /// Number of requests with a `request_id` that the window holds.
    pub window_capacity: u32,
    /// Number of requests with a `request_id` that were ever granted: the next one's place in the window.
    pub window_next: u64,
    /// True after a repair has lost the ends of chains: the first link from a partition is accepted without a
    /// check.
    pub links_open: bool,
    /// Rises with each repair, also when the state with the epoch before is lost. It identifies an owner from
    /// before the repair, and the links of this owner. 0 without a repair.
    pub epoch: u64,
    /// The partitions that names are spread over, as far as this partition has learned.
    pub homes: Homes,
    /// True when a policy record came to a partition that was no home of names. It is newer than the rule of the
    /// parent, which the partition would take over with its names.
    pub policy_is_own: bool,
    /// Number of sequences that a child has adopted, and that are not removed from the state here yet.
    pub unburied: u64,
}

impl Default for Scalars {
    fn default() -> Scalars {
        Scalars {
            highest_timestamp: Timestamp::NONE,
            applied: 0,
            floor: 0,
            undefined: Undefined::Create,
            window_capacity: WINDOW_REQUESTS,
            window_next: 0,
            links_open: false,
            epoch: 0,
            homes: Homes::first(1),
            policy_is_own: false,
            unburied: 0,
        }
    }
}

/// Eight numbers, N of each epoch, and the three numbers of a rescale.
const CAPACITY: usize = 1 + (8 + EPOCHS_MAX + 3) * 8;

/// Stands between N of the epochs and the values of a rescale. It is no N.
const OF_RESCALE: i64 = -1;

impl Scalars {
    pub(super) fn element(self) -> Element {
        // Taken apart without `..`, so that a new field cannot be left out of the digest.
        let Scalars {
            highest_timestamp,
            applied,
            floor,
            undefined,
            window_capacity,
            window_next,
            links_open,
            epoch,
            homes,
            policy_is_own,
            unburied,
        } = self;
        let mut element = ElementBuilder::<CAPACITY>::new(Kind::Scalars);
        element
            .number(highest_timestamp.0)
            .number(applied.cast_signed())
            .number(floor)
            .number(undefined.number().into())
            .number(i64::from(window_capacity))
            .number(window_next.cast_signed())
            .number(i64::from(links_open))
            .number(epoch.cast_signed());
        for n in homes.counts() {
            element.number(i64::from(n));
        }
        // Without a rescale the digest is the one that releases without rescales compute.
        if policy_is_own || unburied > 0 {
            element
                .number(OF_RESCALE)
                .number(i64::from(policy_is_own))
                .number(unburied.cast_signed());
        }
        element.finish()
    }

    /// True when a release without rescales could not go on from these.
    pub fn are_of_rescale(&self) -> bool {
        self.homes.epoch() > 0 || self.policy_is_own || self.unburied > 0
    }
}
