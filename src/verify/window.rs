//! The window: the last grants to requests with a `request_id`.

use std::collections::HashMap;

use super::grant::Grant;

/// Number of places in one record of the state topic.
pub(super) const SEGMENT: usize = 64;

/// Identifies a request: a hash of its sequence and its `request_id`, as in the state topic.
pub(super) type Key = [u8; 16];

/// The key of a request.
pub(super) fn key_of(name: &str, request_id: &str) -> Key {
    let mut input = (name.len() as u64).to_le_bytes().to_vec();
    input.extend(name.as_bytes());
    input.extend(request_id.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(&input).as_bytes()[..16]);
    key
}

/// A grant in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub key: Key,
    pub grant: Grant,
}

/// The window is a ring of places. The next place overwrites the oldest.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    places: Vec<Option<Place>>,
    known: HashMap<Key, usize>,
}

impl Window {
    /// The grant of a request, if it is in the window.
    pub(super) fn find(&self, key: &Key) -> Option<Grant> {
        let place = self.places.get(*self.known.get(key)?)?;
        place.map(|place| place.grant)
    }

    /// Writes a place; returns the number of its segment.
    pub(super) fn put(&mut self, at: usize, place: Place) -> usize {
        if self.places.len() <= at {
            self.places.resize(at + 1, None);
        }
        if let Some(old) = self.places[at].replace(place) {
            self.known.remove(&old.key);
        }
        self.known.insert(place.key, at);
        at / SEGMENT
    }

    /// The places of a segment. None when it has none.
    pub(super) fn segment(&self, segment: usize) -> Option<Vec<Place>> {
        let from = segment * SEGMENT;
        let to = self.places.len().min(from + SEGMENT);
        let places: Vec<Place> = self
            .places
            .get(from..to)?
            .iter()
            .flatten()
            .copied()
            .collect();
        (!places.is_empty()).then_some(places)
    }

    /// Number of segments, with those that have no place.
    pub(super) fn segments(&self) -> usize {
        self.places.len().div_ceil(SEGMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut window = Window::default();
        for number in 0..250_usize {
            let grant = Grant {
                first: number as i64,
                count: 1,
                increment: 1,
            };
            let key = key_of("orders", &number.to_string());
            window.put(number % 100, Place { key, grant });
            for asked in 0..=number {
                let found = window.find(&key_of("orders", &asked.to_string()));
                assert_eq!(found.is_some(), asked + 100 > number, "{asked} {number}");
            }
        }
        assert_eq!(window.segments(), 2);
        assert_eq!(window.segment(1).unwrap().len(), 36);
        assert_eq!(window.segment(2), None);
    }
}
