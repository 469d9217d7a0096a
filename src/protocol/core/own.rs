//! Own windows: a sequence whose definition has `remember` keeps its last so many requests for IDs with a
//! `request_id` itself, however many requests other sequences get.
//!
//! The places of an own window have numbers, from 0 on. [`OWN_SEGMENT`] numbers are one entry in the state topic. It is
//! written again while it fills, and removed when none of its places is among the last so many. Until then all of them
//! are remembered, up to 15 more than the definition says. So a change of `remember` moves no place, and needs no
//! second copy of a million of them.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use compact_str::CompactString;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use indexmap::IndexMap;

use super::digest::{Element, Kind};
use super::limits::REMEMBER_COUNTED_MIN;
use super::planted::planted;
use super::window::{Place, Replaced, RequestKey};

/// Places of one segment: fewer than in the window of a partition, because each busy sequence writes one with each
/// checkpoint (600 bytes at most).
pub const OWN_SEGMENT: usize = 16;

/// The same, for numbers of places.
const SEGMENT: u64 = OWN_SEGMENT as u64;

/// A segment of an own window: the index of the window, and the segment's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnSlot {
    /// The index of the window, in the order in which windows came.
    pub window: u32,
    /// The number of the segment.
    pub segment: u64,
}

/// The own windows of one partition.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnWindows {
    /// By name. A window stays when its sequence remembers nothing any more, so that its index keeps its meaning.
    windows: IndexMap<CompactString, OwnWindow, RandomState>,
    /// Each segment in a place that it keeps, so that a rewrite of the state in many steps passes over none.
    directory: Vec<Option<OwnSlot>>,
    /// Places of the directory without a segment.
    free: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct OwnWindow {
    /// The number in the definition of the sequence, which is the one that counts.
    remember: u32,
    segments: BTreeMap<u64, Segment>,
    /// Numbers of places by key. None until the first lookup, because a restore fills segments in an order of its
    /// own.
    index: Option<HashTable<u64>>,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Segment {
    places: Vec<Place>,
    /// The place in the directory.
    listed: u32,
}

/// A change of an entry and of the digest.
pub(super) type Changed<'a> = &'a mut dyn FnMut(OwnSlot, Replaced);

impl OwnWindows {
    /// True when no sequence has ever had an own window.
    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Number of places in the directory, some of them without a segment.
    pub(super) fn listed(&self) -> usize {
        self.directory.len()
    }

    /// The segment at a place of the directory.
    pub(super) fn listed_at(&self, place: usize) -> Option<OwnSlot> {
        *self.directory.get(place)?
    }

    /// The name of a window, also of one without segments.
    pub(super) fn name(&self, window: u32) -> Option<&str> {
        let (name, _) = self.windows.get_index(usize::try_from(window).ok()?)?;
        Some(name)
    }

    /// The places of a segment.
    pub(super) fn segment(&self, slot: OwnSlot) -> Option<&[Place]> {
        let (_, window) = self.windows.get_index(usize::try_from(slot.window).ok()?)?;
        let segment = window.segments.get(&slot.segment)?;
        Some(&segment.places)
    }

    /// The slot of a segment that exists.
    pub(super) fn slot(&self, name: &str, segment: u64) -> Option<OwnSlot> {
        let (index, _, window) = self.windows.get_full(name)?;
        window.segments.get(&segment)?;
        let window = u32::try_from(index).ok()?;
        Some(OwnSlot { window, segment })
    }

    /// Number of requests that the sequences of these names may remember, as it counts for the limit of a partition.
    pub(super) fn counted(&self, mut counts: impl FnMut(&str) -> bool) -> u64 {
        let windows = self.windows.iter().filter(|(name, _)| counts(name));
        windows.map(|(_, window)| counted(window.remember)).sum()
    }

    /// Sets the number of requests that a sequence remembers, as its definition says it. Forgets none.
    pub(super) fn set(&mut self, name: &str, remember: u32) {
        match self.windows.get_mut(name) {
            Some(window) => window.remember = remember,
            None if remember > 0 => self.window_mut(name).1.remember = remember,
            None => {}
        }
    }

    /// Forgets what a sequence no longer remembers, at most so many segments of it. Returns their number.
    pub(super) fn forget(&mut self, name: &str, max: usize, on: Changed<'_>) -> usize {
        let Some((index, _, window)) = self.windows.get_full(name) else {
            return 0;
        };
        let oldest = window.next().saturating_sub(u64::from(window.remember));
        let all = window.remember == 0;
        let end = |segment: u64| segment.saturating_add(1).saturating_mul(SEGMENT);
        let is_forgotten = |segment: u64| all || end(segment) <= oldest;
        let gone: Vec<u64> = window
            .segments
            .keys()
            .copied()
            .take_while(|segment| is_forgotten(*segment))
            .take(max)
            .collect();
        let found = gone.len();
        let window = u32::try_from(index).unwrap_or(u32::MAX);
        for segment in gone {
            self.put(name, segment, &[], &mut |replaced| {
                on(OwnSlot { window, segment }, replaced);
            });
        }
        found
    }

    /// The grant of a request that its sequence remembers.
    pub(super) fn find(&mut self, name: &str, key: RequestKey) -> Option<Place> {
        self.windows.get_mut(name)?.find(key)
    }

    /// Remembers a grant, and forgets the oldest one. False when the sequence has no own window.
    pub(super) fn remember(&mut self, name: &str, place: Place, on: Changed<'_>) -> bool {
        let found = self.windows.get_full(name);
        let Some((index, _, known)) = found.filter(|(_, _, window)| window.remember > 0) else {
            return false;
        };
        let window = u32::try_from(index).unwrap_or(u32::MAX);
        let number = known.next();
        let segment = number / SEGMENT;
        if !known.segments.contains_key(&segment) {
            let listed = self.list(OwnSlot { window, segment });
            let places = Vec::with_capacity(OWN_SEGMENT);
            let segments = &mut self.windows[index].segments;
            segments.insert(segment, Segment { places, listed });
        }
        self.windows[index].push(number, place);
        let replaced = Replaced {
            before: None,
            after: Some(element(name, number, &place)),
        };
        on(OwnSlot { window, segment }, replaced);
        self.forget(name, usize::MAX, on);
        true
    }

    /// Sets a segment as stored. An empty one holds nothing.
    pub(super) fn put(
        &mut self,
        name: &str,
        segment: u64,
        places: &[Place],
        on: &mut dyn FnMut(Replaced),
    ) {
        let first = segment.saturating_mul(SEGMENT);
        let element = |(number, place): (u64, &Place)| Some(element(name, number, place));
        let (window, known) = self.window_mut(name);
        let before = match places {
            [] => known.segments.remove(&segment),
            _ => known.segments.get(&segment).cloned(),
        };
        if let Some(before) = &before {
            for (number, place) in (first..).zip(&before.places) {
                known.unindex(number, place.key);
                let before = element((number, place));
                on(Replaced {
                    before,
                    after: None,
                });
            }
        }
        if places.is_empty() {
            if let Some(before) = before {
                self.unlist(before.listed);
            }
            return;
        }
        // The order of a restore is not that of the numbers.
        known.index = None;
        let listed = match before {
            Some(before) => before.listed,
            None => self.list(OwnSlot { window, segment }),
        };
        let (_, known) = self.window_mut(name);
        let places = places.to_vec();
        for after in (first..).zip(&places) {
            let after = element(after);
            on(Replaced {
                before: None,
                after,
            });
        }
        known.segments.insert(segment, Segment { places, listed });
    }

    fn window_mut(&mut self, name: &str) -> (u32, &mut OwnWindow) {
        let index = match self.windows.get_index_of(name) {
            Some(index) => index,
            None => {
                let (index, _) = self.windows.insert_full(name.into(), OwnWindow::default());
                index
            }
        };
        let window = &mut self.windows[index];
        (u32::try_from(index).unwrap_or(u32::MAX), window)
    }

    fn list(&mut self, slot: OwnSlot) -> u32 {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.directory.push(None);
                u32::try_from(self.directory.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(listed) = usize::try_from(place)
            .ok()
            .and_then(|place| self.directory.get_mut(place))
        {
            *listed = Some(slot);
        }
        place
    }

    fn unlist(&mut self, place: u32) {
        let listed = usize::try_from(place)
            .ok()
            .and_then(|place| self.directory.get_mut(place));
        if let Some(listed) = listed {
            *listed = None;
            self.free.push(place);
        }
    }
}

/// The room that a sequence takes from the limit of its partition. The least bounds the number of own windows.
pub(super) fn counted(remember: u32) -> u64 {
    match remember {
        0 => 0,
        remember => u64::from(remember.max(REMEMBER_COUNTED_MIN)),
    }
}

impl OwnWindow {
    /// The number of the next place. It follows from the last one, which a window never forgets.
    fn next(&self) -> u64 {
        let last = self.segments.last_key_value();
        last.map_or(0, |(segment, Segment { places, .. })| {
            segment.saturating_mul(SEGMENT) + places.len() as u64
        })
    }

    fn find(&mut self, key: RequestKey) -> Option<Place> {
        let OwnWindow {
            segments,
            index,
            hasher,
            ..
        } = self;
        let index = index.get_or_insert_with(|| index_of(segments, hasher));
        let hash = hasher.hash_one(key.0);
        let is = |number: &u64| place(segments, *number).is_some_and(|place| place.key == key);
        let number = *index.find(hash, is)?;
        place(segments, number).copied()
    }

    fn push(&mut self, number: u64, new: Place) {
        if let Some(segment) = self.segments.get_mut(&(number / SEGMENT)) {
            segment.places.push(new);
        }
        let OwnWindow {
            segments,
            index,
            hasher,
            ..
        } = self;
        if let Some(index) = index {
            insert(index, segments, hasher, number, new.key);
        }
    }

    fn unindex(&mut self, number: u64, key: RequestKey) {
        let hash = self.hasher.hash_one(key.0);
        if let Some(index) = &mut self.index
            && let Ok(found) = index.find_entry(hash, |other| *other == number)
        {
            found.remove();
        }
    }
}

fn place(segments: &BTreeMap<u64, Segment>, number: u64) -> Option<&Place> {
    let within = usize::try_from(number % SEGMENT).ok()?;
    segments.get(&(number / SEGMENT))?.places.get(within)
}

fn index_of(segments: &BTreeMap<u64, Segment>, hasher: &RandomState) -> HashTable<u64> {
    let mut index = HashTable::with_capacity(segments.len() * OWN_SEGMENT);
    if planted!(OwnWindowNotRestored) {
        return index;
    }
    for (segment, Segment { places, .. }) in segments {
        for (number, place) in (segment.saturating_mul(SEGMENT)..).zip(places) {
            insert(&mut index, segments, hasher, number, place.key);
        }
    }
    index
}

fn insert(
    index: &mut HashTable<u64>,
    segments: &BTreeMap<u64, Segment>,
    hasher: &RandomState,
    number: u64,
    key: RequestKey,
) {
    let again = |number: &u64| {
        let key = place(segments, *number).map(|place| place.key.0);
        hasher.hash_one(key.unwrap_or_default())
    };
    index.insert_unique(hasher.hash_one(key.0), number, again);
}

fn element(name: &str, number: u64, place: &Place) -> Element {
    place.element_of(Kind::OwnPlace, name, number)
}

#[cfg(test)]
mod tests;
