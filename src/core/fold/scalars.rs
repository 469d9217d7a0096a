//! What the fold remembers once for each partition.

use crate::core::command::Undefined;
use crate::core::digest::{Element, ElementBuilder, Kind};
use crate::core::limits::WINDOW_REQUESTS;
use crate::core::position::Timestamp;

/// What the fold remembers once for each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalars {
    /// Highest record time seen. LogAppendTime can step back at a leader change, time in the fold
    /// cannot.
    pub highest_timestamp: Timestamp,
    /// Request records folded since the partition's beginning, rejected ones too. It makes the
    /// digest of two different places in the log differ.
    pub applied: u64,
    /// IDs up to this one count as taken for names that the state does not know: what an operator
    /// said at a repair. 0 without one.
    pub floor: i64,
    /// What happens to undefined names.
    pub undefined: Undefined,
    /// Requests with an ID that are remembered.
    pub window_capacity: u32,
    /// Requests with an ID that were ever granted: the next one's place in the window.
    pub window_next: u64,
    /// A repair has lost the ends of chains: the first link that comes from a partition is believed.
    pub links_open: bool,
    /// Rises with each repair, also where the one before is lost with the state: an owner of before
    /// the repair is known by it, and so are its links. 0 without one.
    pub epoch: u64,
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
        }
    }
}

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
        } = self;
        ElementBuilder::<80>::new(Kind::Scalars)
            .number(highest_timestamp.0)
            .number(applied.cast_signed())
            .number(floor)
            .number(match undefined {
                Undefined::Create => 0,
                Undefined::Refuse => 1,
                Undefined::CreateAudited => 2,
            })
            .number(i64::from(window_capacity))
            .number(window_next.cast_signed())
            .number(i64::from(links_open))
            .number(epoch.cast_signed())
            .finish()
    }
}
