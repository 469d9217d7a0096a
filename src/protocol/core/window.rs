//! The window of requests with a `request_id`: one request, one grant (I5), and one operator's record, one act.
//!
//! The window holds the last requests that had a `request_id` and were not refused, in the order of the log.
//! The next one replaces the oldest. So the log alone decides which requests expire, and an expiry needs no
//! record of its own in the state topic. A *segment* of [`SEGMENT`] places is one entry there, written again
//! when a place in it changes.
//!
//! The first 128 bits of the BLAKE3 hash of its sequence and its `request_id` identify a request. This has a
//! fixed size in memory and in the state, and nobody can find two requests that collide. A place costs about 55
//! bytes in memory, 5.5 MB for the default window of 100,000. A full rewrite of the state encodes the window
//! once more, 3.6 MB, and the allocator keeps this memory: 10 MB of resident memory in all.

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::digest::{Element, ElementBuilder, Kind};
use super::grant::Grant;
use super::limits::{NAME_BYTES_MAX, TEXT_FIELD_BYTES_MAX};
use super::planted::planted;

/// Places of one segment: few enough that writing a segment again for a single grant is cheap (2.3 kB), and
/// many enough that a busy window is a few records.
pub const SEGMENT: usize = 64;

/// Bytes of the longest name and `request_id`, and of the name's length.
const HASHED_BYTES_MAX: usize = 8 + NAME_BYTES_MAX + TEXT_FIELD_BYTES_MAX;

/// Identifies a request: a hash of sequence and `request_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKey(pub [u8; 16]);

impl RequestKey {
    /// The key of one request. Name and `request_id` are within their limits, which decoding has checked.
    pub fn new(name: &str, request_id: &str) -> RequestKey {
        let length = (name.len() as u64).to_le_bytes();
        let parts = [&length[..], name.as_bytes(), request_id.as_bytes()];
        // In one piece: with a hasher that takes pieces, hashing costs twice as much.
        let mut bytes = [0; HASHED_BYTES_MAX];
        let mut used = 0;
        for part in parts {
            bytes[used..used + part.len()].copy_from_slice(part);
            used += part.len();
        }
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(&bytes[..used]).as_bytes()[..16]);
        RequestKey(key)
    }
}

/// A hash of an operator's action and its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act(pub [u8; 16]);

/// One grant, or one act of an operator, that the window remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The request that the place belongs to.
    pub key: RequestKey,
    /// First ID. For an act, one half of its hash.
    pub first: i64,
    /// Step between the IDs. For an act, the other half of its hash.
    pub increment: i64,
    /// Number of IDs, at most [`super::limits::COUNT_MAX`]. For an act this is 0.
    pub count: u64,
}

impl Place {
    /// The place of an act, which holds the halves of the act's hash.
    pub fn of_act(key: RequestKey, act: Act) -> Place {
        let (high, low) = act.0.split_at(8);
        let half = |bytes: &[u8]| i64::from_be_bytes(bytes.try_into().unwrap_or_default());
        Place {
            key,
            first: half(high),
            increment: half(low),
            count: 0,
        }
    }

    /// True when the place is that of an act.
    pub fn is_act(&self) -> bool {
        self.count == 0
    }

    /// The IDs that the request got.
    pub fn grant(&self) -> Grant {
        let count = self.count;
        Grant {
            first: self.first,
            last: self.first.wrapping_add(
                (count.saturating_sub(1))
                    .cast_signed()
                    .wrapping_mul(self.increment),
            ),
            count,
            increment: self.increment,
        }
    }

    pub(super) fn element(&self, kind: Kind, at: u64) -> Element {
        let Place {
            key,
            first,
            increment,
            count,
        } = self;
        let (high, low) = key.0.split_at(8);
        let half = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap_or_default());
        ElementBuilder::<64>::new(kind)
            .number(at.cast_signed())
            .number(half(high))
            .number(half(low))
            .number(*first)
            .number(*increment)
            .number(count.cast_signed())
            .finish()
    }

    /// The element of a place in the own window of a sequence.
    pub(super) fn element_of(&self, kind: Kind, name: &str, number: u64) -> Element {
        let Place {
            key,
            first,
            increment,
            count,
        } = self;
        let (high, low) = key.0.split_at(8);
        let half = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap_or_default());
        <ElementBuilder>::new(kind)
            .text(name)
            .number(number.cast_signed())
            .number(half(high))
            .number(half(low))
            .number(*first)
            .number(*increment)
            .number(count.cast_signed())
            .finish()
    }
}

/// A change of the digest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replaced {
    /// The element that leaves the digest.
    pub before: Option<Element>,
    /// The element that enters the digest.
    pub after: Option<Element>,
}

/// The window of one partition.
#[derive(Clone, Debug, Default)]
pub struct Window {
    segments: Vec<Vec<Place>>,
    /// Places by key. None until the first lookup, because a restore fills segments in an order of its own.
    index: Option<Index>,
}

/// Places by key. It can also hold places that have another key by now.
#[derive(Clone, Debug)]
struct Index {
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Window {
    /// Returns the grant or act of the request, if it is in the window.
    pub fn find(&mut self, key: RequestKey) -> Option<&Place> {
        self.build_index();
        let Window { segments, index } = self;
        let index = index.as_ref()?;
        let hash = index.hasher.hash_one(key.0);
        let is = |at: &u32| place(segments, *at).is_some_and(|place| place.key == key);
        let at = index.table.find(hash, is)?;
        place(segments, *at)
    }

    /// Remembers a grant at the place `number` modulo `capacity`. Returns the segment and the change of the
    /// digest.
    pub fn remember(&mut self, number: u64, capacity: u32, new: Place) -> (u32, Replaced) {
        self.build_index();
        let mut at = u32::try_from(number % u64::from(capacity.max(1))).unwrap_or(0);
        if planted!(HashOrderInFold) && number >= u64::from(capacity) {
            let hash = RandomState::default().hash_one(new.key.0);
            at = u32::try_from(hash % u64::from(capacity.max(1))).unwrap_or(0);
        }
        let (segment, within) = split(at);
        let Window { segments, index } = self;
        if segments.len() <= segment {
            segments.resize_with(segment + 1, Vec::new);
        }
        let old = segments[segment].get(within).copied();
        match segments[segment].get_mut(within) {
            Some(place) => *place = new,
            None => {
                // Reserves the full size at once: growth in steps would leave holes of every size in the heap.
                segments[segment].reserve_exact(SEGMENT.saturating_sub(within));
                segments[segment].push(new);
            }
        }
        if let Some(index) = index {
            index.insert(at, new.key, segments);
        }
        let replaced = Replaced {
            before: old.map(|old| old.element(Kind::Place, u64::from(at))),
            after: Some(new.element(Kind::Place, u64::from(at))),
        };
        (u32::try_from(segment).unwrap_or(u32::MAX), replaced)
    }

    /// Segments in use.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The places of a segment.
    pub fn segment(&self, segment: u32) -> Option<&[Place]> {
        let index = usize::try_from(segment).ok()?;
        self.segments.get(index).map(Vec::as_slice)
    }

    /// The places in use, the oldest one first. `next` is the number of the next one.
    pub(super) fn in_order(&self, next: u64, capacity: u32) -> Vec<Place> {
        let used: usize = self.segments.iter().map(Vec::len).sum();
        let first = next.saturating_sub(used as u64);
        let at = |number: u64| u32::try_from(number % u64::from(capacity.max(1))).ok();
        (first..next)
            .filter_map(|number| place(&self.segments, at(number)?).copied())
            .collect()
    }

    /// Every segment.
    pub(super) fn all(&self) -> &[Vec<Place>] {
        &self.segments
    }

    /// Sets a segment as stored. An empty segment holds nothing. Each change of the digest goes to `on`.
    pub fn put(&mut self, segment: u32, places: &[Place], mut on: impl FnMut(Replaced)) {
        self.index = None;
        let Ok(index) = usize::try_from(segment) else {
            return;
        };
        if self.segments.len() <= index {
            self.segments.resize_with(index + 1, Vec::new);
        }
        let before = std::mem::replace(&mut self.segments[index], places.to_vec());
        let first = u64::from(segment) * SEGMENT as u64;
        let element =
            |(within, place): (usize, &Place)| place.element(Kind::Place, first + within as u64);
        for (within, place) in before.iter().enumerate() {
            on(Replaced {
                before: Some(element((within, place))),
                after: None,
            });
        }
        for (within, place) in places.iter().enumerate() {
            on(Replaced {
                before: None,
                after: Some(element((within, place))),
            });
        }
    }

    fn build_index(&mut self) {
        if self.index.is_some() {
            return;
        }
        let forgotten = planted!(WindowNotRestored);
        self.index = Some(Index::of(if forgotten { &[] } else { &self.segments[..] }));
    }
}

impl Index {
    /// An index of all places, with room for as many again.
    fn of(segments: &[Vec<Place>]) -> Index {
        let places: usize = segments.iter().map(Vec::len).sum();
        let mut index = Index {
            table: HashTable::with_capacity(2 * places + SEGMENT),
            hasher: RandomState::default(),
        };
        index.fill(segments);
        index
    }

    fn fill(&mut self, segments: &[Vec<Place>]) {
        for (segment, places) in segments.iter().enumerate() {
            for (within, place) in places.iter().enumerate() {
                let at = u32::try_from(segment * SEGMENT + within).unwrap_or(u32::MAX);
                self.insert(at, place.key, segments);
            }
        }
    }

    /// Adds a place that has been filled. The index keeps the entry of the grant that was in this place before.
    /// This entry misleads nobody, since a lookup compares the key in the place itself. Removing it would cost
    /// two accesses to memory that no cache holds. A full index is filled again, with each place once. The same
    /// table is used when it has room for as many again, since a second table beside it would leave a hole of
    /// its size in the heap.
    /// many again, since a second one beside it would leave a hole of its size in the heap.
    fn insert(&mut self, at: u32, key: RequestKey, segments: &[Vec<Place>]) {
        if self.table.len() == self.table.capacity() {
            let places: usize = segments.iter().map(Vec::len).sum();
            if self.table.capacity() < 2 * places {
                *self = Index::of(segments);
            } else {
                self.table.clear();
                self.fill(segments);
            }
            return;
        }
        let Index { table, hasher } = self;
        let hash = |at: &u32| {
            let key = place(segments, *at).map(|place| place.key.0);
            hasher.hash_one(key.unwrap_or_default())
        };
        table.insert_unique(hasher.hash_one(key.0), at, hash);
    }
}

fn split(at: u32) -> (usize, usize) {
    let at = usize::try_from(at).unwrap_or(0);
    (at / SEGMENT, at % SEGMENT)
}

fn place(segments: &[Vec<Place>], at: u32) -> Option<&Place> {
    let (segment, within) = split(at);
    segments.get(segment)?.get(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::WINDOW_REQUESTS;

    fn new(number: u64) -> Place {
        Place {
            key: RequestKey::new("orders", &number.to_string()),
            first: number.cast_signed(),
            increment: 1,
            count: 1,
        }
    }

    #[test]
    fn the_last_so_many_are_remembered_and_no_others() {
        let mut window = Window::default();
        const CAPACITY: u32 = 100;
        for number in 0..1_000 {
            window.remember(number, CAPACITY, new(number));
            for asked in number.saturating_sub(150)..=number {
                let found = window.find(new(asked).key).copied();
                let inside = asked + u64::from(CAPACITY) > number;
                assert_eq!(found, inside.then(|| new(asked)), "{asked} after {number}");
            }
        }
    }

    #[test]
    fn a_window_that_is_put_segment_by_segment_is_the_same() {
        let mut window = Window::default();
        for number in 0..150 {
            window.remember(number, 100, new(number));
        }
        let mut again = Window::default();
        for segment in (0..2).rev() {
            again.put(segment, window.segment(segment).unwrap(), |_| {});
        }
        for number in 0..150 {
            let key = new(number).key;
            assert_eq!(again.find(key).copied(), window.find(key).copied());
        }
    }

    #[test]
    fn a_full_window_costs_what_the_documents_say() {
        let mut window = Window::default();
        for number in 0..5 * u64::from(WINDOW_REQUESTS) {
            window.remember(number, WINDOW_REQUESTS, new(number));
        }
        let places: usize = window.segments.iter().map(Vec::capacity).sum();
        let index = window.index.unwrap().table.allocation_size();
        let vectors = window.segments.capacity() * size_of::<Vec<Place>>();
        let bytes = places * size_of::<Place>() + vectors + index;
        assert!((5_000_000..6_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn name_and_id_do_not_run_into_each_other() {
        assert_ne!(RequestKey::new("ab", "c"), RequestKey::new("a", "bc"));
    }
}
