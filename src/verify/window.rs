//! The last so many grants to requests with a `request_id`.

use std::collections::HashMap;

use super::rules::Grant;

/// Places in one record of the state topic.
pub const SEGMENT: usize = 64;

/// Which request: a hash of its sequence and its `request_id`, as the state topic has it.
pub type Key = [u8; 16];

/// The key of a request.
pub fn key_of(name: &str, request_id: &str) -> Key {
    let mut input = (name.len() as u64).to_le_bytes().to_vec();
    input.extend(name.as_bytes());
    input.extend(request_id.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(&input).as_bytes()[..16]);
    key
}

/// A grant that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub key: Key,
    pub grant: Grant,
}

/// The window: a ring of places, the oldest is overwritten.
#[derive(Clone, Debug, Default)]
pub struct Window {
    places: Vec<Option<Place>>,
    known: HashMap<Key, usize>,
}

impl Window {
    /// What a request got.
    pub fn find(&self, key: &Key) -> Option<Grant> {
        let place = self.places.get(*self.known.get(key)?)?;
        place.map(|place| place.grant)
    }

    /// Writes a place; returns the segment that it lies in.
    pub fn put(&mut self, at: usize, place: Place) -> usize {
        if self.places.len() <= at {
            self.places.resize(at + 1, None);
        }
        if let Some(old) = self.places[at].replace(place) {
            self.known.remove(&old.key);
        }
        self.known.insert(place.key, at);
        at / SEGMENT
    }

    /// The places of a segment; none when it has none.
    pub fn segment(&self, segment: usize) -> Option<Vec<Place>> {
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

    /// Segments, those without a place among them.
    pub fn segments(&self) -> usize {
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
