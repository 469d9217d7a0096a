//! The requests that a sequence remembers itself, if its definition says so.

use std::collections::{BTreeMap, HashMap};

use super::window::{Key, Place};

/// Number of requests in one record of the state topic.
pub(super) const SEGMENT: u64 = 16;
/// Most requests that a sequence remembers itself.
pub(super) const REMEMBER_MAX: u32 = 1_000_000;
/// Most requests that the sequences of a partition remember together.
pub(super) const ALL_MAX: u64 = 1_000_000;

/// The room that a sequence takes of [`ALL_MAX`].
pub(super) fn room(remember: u32) -> u64 {
    if remember == 0 {
        0
    } else {
        u64::from(remember).max(100)
    }
}

/// Requests by number. The first one ever has the number 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    places: BTreeMap<u64, Place>,
    numbers: HashMap<Key, u64>,
}

impl Own {
    /// A request among the last ones, or in the segment of one of them.
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        self.places.get(self.numbers.get(key)?).copied()
    }

    /// Adds a request, and forgets the oldest one. Returns the segments that change.
    pub(super) fn add(&mut self, place: Place, remember: u32) -> Vec<u64> {
        let number = self.next();
        self.put(number, place);
        let mut changed = vec![number / SEGMENT];
        changed.extend(self.forget(remember));
        changed
    }

    /// Puts a request in its place.
    pub(super) fn put(&mut self, number: u64, place: Place) {
        self.places.insert(number, place);
        self.numbers.insert(place.key, number);
    }

    /// Forgets segments without a request among the last ones, and returns them.
    pub(super) fn forget(&mut self, remember: u32) -> Vec<u64> {
        let oldest = self.next().saturating_sub(remember.into());
        let first_kept = match remember {
            0 => u64::MAX,
            _ => oldest / SEGMENT * SEGMENT,
        };
        let kept = self.places.split_off(&first_kept);
        let gone = std::mem::replace(&mut self.places, kept);
        let mut segments: Vec<u64> = Vec::new();
        for (number, place) in gone {
            self.numbers.remove(&place.key);
            if segments.last() != Some(&(number / SEGMENT)) {
                segments.push(number / SEGMENT);
            }
        }
        segments
    }

    /// The requests of a segment. None when it has none.
    pub(super) fn segment(&self, segment: u64) -> Option<Vec<Place>> {
        let first = segment * SEGMENT;
        let places = self.places.range(first..first + SEGMENT);
        let places: Vec<Place> = places.map(|(_, place)| *place).collect();
        (!places.is_empty()).then_some(places)
    }

    /// The segments that have requests.
    pub(super) fn segments(&self) -> Vec<u64> {
        let mut segments: Vec<u64> = self.places.keys().map(|number| number / SEGMENT).collect();
        segments.dedup();
        segments
    }

    fn next(&self) -> u64 {
        self.places
            .last_key_value()
            .map_or(0, |(number, _)| number + 1)
    }
}
