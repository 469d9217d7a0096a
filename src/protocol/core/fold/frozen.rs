//! The copy of its window and its scalars that a parent keeps for its children: as they stood at its split. Later
//! ones would have moved on.

use crate::core::command::Undefined;
use crate::core::digest::{Element, ElementBuilder, Kind, Tally};
use crate::core::position::Timestamp;
use crate::core::window::{Place, SEGMENT};

/// The scalars of a parent that its children take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The highest record time that the parent had seen.
    pub highest_timestamp: Timestamp,
    /// IDs up to this one counted as taken for names that the parent's state did not know.
    pub floor: i64,
    /// The parent's rule for undefined names.
    pub undefined: Undefined,
    /// Number of requests with a `request_id` that the parent's window held.
    pub window_capacity: u32,
    /// The next place in the parent's window.
    pub window_next: u64,
}

impl Frozen {
    pub(super) fn element(self) -> Element {
        let Frozen {
            highest_timestamp,
            floor,
            undefined,
            window_capacity,
            window_next,
        } = self;
        ElementBuilder::<48>::new(Kind::Frozen)
            .number(highest_timestamp.0)
            .number(floor)
            .number(undefined.number().into())
            .number(i64::from(window_capacity))
            .number(window_next.cast_signed())
            .finish()
    }
}

/// The whole copy: in a parent until all its children have adopted, in a child until it adopts.
#[derive(Clone, Debug, Default)]
pub(super) struct Copied {
    pub(super) scalars: Option<Frozen>,
    pub(super) window: Vec<Vec<Place>>,
}

impl Copied {
    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        usize::from(self.scalars.is_some()) + self.window.len()
    }

    /// The places of a segment. None for a segment without places, which is no entry.
    pub(super) fn segment(&self, segment: u32) -> Option<&[Place]> {
        let index = usize::try_from(segment).ok()?;
        let places = self.window.get(index).map(Vec::as_slice)?;
        (!places.is_empty()).then_some(places)
    }

    pub(super) fn put_scalars(&mut self, scalars: Option<Frozen>, digest: &mut Tally) {
        let before = std::mem::replace(&mut self.scalars, scalars);
        digest.replace(before.map(Frozen::element), scalars.map(Frozen::element));
    }

    /// Sets a segment. An empty one holds nothing.
    pub(super) fn put_segment(&mut self, segment: u32, places: &[Place], digest: &mut Tally) {
        let Ok(index) = usize::try_from(segment) else {
            return;
        };
        if self.window.len() <= index {
            self.window.resize_with(index + 1, Vec::new);
        }
        let first = u64::from(segment) * SEGMENT as u64;
        let element = |(within, place): (usize, &Place)| {
            Some(place.element(Kind::FrozenPlace, first + within as u64))
        };
        let before = std::mem::replace(&mut self.window[index], places.to_vec());
        for before in before.iter().enumerate() {
            digest.replace(element(before), None);
        }
        for after in places.iter().enumerate() {
            digest.replace(None, element(after));
        }
    }
}
