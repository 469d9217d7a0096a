//! The entries in the state topic, and their digest, which is computed with independent code.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};
use xxhash_rust::xxh3::xxh3_128;

use super::grant::Grant;
use super::oracle::rescale::Copied;
use super::oracle::{Key, Oracle, Scalars};
use super::own::{self, Own};
use super::request::Unknown;
use super::rules::{Defined, Sequence};
use super::state::{EntryKey, Value};
use super::window::{Place, SEGMENT, Window};

/// The entries of one partition.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    entries: IndexMap<Key, Value>,
    /// The sum of the hashes of all entries.
    digest: u128,
}

impl Remembered {
    /// The value of a key.
    pub(super) fn get(&self, key: Key) -> Option<&Value> {
        self.entries.get(&key)
    }

    /// Sets or removes the value of a key; returns the old value.
    pub(super) fn put(
        &mut self,
        key: Key,
        value: Option<Value>,
        names: &IndexSet<Box<str>>,
    ) -> Option<Value> {
        if let Some(value) = &value {
            self.digest = self.digest.wrapping_add(hash(key, value, names));
        }
        let before = match value {
            Some(value) => self.entries.insert(key, value),
            None => self.entries.swap_remove(&key),
        };
        if let Some(before) = &before {
            self.digest = self.digest.wrapping_sub(hash(key, before, names));
        }
        before
    }

    /// Every key with a value.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.entries.keys().copied()
    }

    /// The last stray that was accepted from each partition.
    pub(super) fn accepted(&self) -> BTreeMap<u32, i64> {
        let chain = |(key, value): (&Key, &Value)| match (key, value) {
            (Key::Accepted(source), Value::Accepted(end)) => Some((*source, end.position.1)),
            _ => None,
        };
        self.entries.iter().filter_map(chain).collect()
    }

    /// The digest with these scalars.
    pub(super) fn digest(&self, scalars: &Scalars) -> u128 {
        self.digest.wrapping_add(hash_of_scalars(scalars))
    }

    /// Loads all entries into an oracle. They replace its own.
    pub(super) fn seed(&self, oracle: &mut Oracle, scalars: Scalars) {
        let (mut sent, mut accepted) = (BTreeMap::new(), BTreeMap::new());
        let mut window = Window::default();
        let (mut frozen, mut frozen_window) = (None, Window::default());
        let mut reported = BTreeSet::new();
        let mut own: BTreeMap<u32, Own> = BTreeMap::new();
        oracle.forget();
        for (key, value) in &self.entries {
            match (key, value) {
                (Key::Sequence(number), Value::Sequence { next, defined }) => {
                    let sequence = Sequence::stored(*next, defined.clone());
                    oracle.put_sequence(*number, Some(sequence));
                }
                (Key::Window(segment), Value::Window(places)) => {
                    fill(&mut window, *segment, places);
                }
                (Key::Own(number, segment), Value::Window(places)) => {
                    let own = own.entry(*number).or_default();
                    for (number, place) in (segment * own::SEGMENT..).zip(places) {
                        own.put(number, *place);
                    }
                }
                (Key::FrozenWindow(segment), Value::Window(places)) => {
                    fill(&mut frozen_window, *segment, places);
                }
                (Key::Frozen, Value::Frozen(scalars)) => frozen = Some(*scalars),
                (Key::Reported(partition), Value::Reported) => {
                    reported.insert(*partition);
                }
                (Key::Sent(home), Value::Sent(position)) => {
                    sent.insert(*home, *position);
                }
                (Key::Accepted(source), Value::Accepted(end)) => {
                    accepted.insert(*source, *end);
                }
                _ => {}
            }
        }
        for (number, own) in own {
            oracle.put_own(number, own);
        }
        oracle.put_chains(sent, accepted);
        oracle.put_window(window);
        oracle.scalars = scalars;
        let copied = frozen.map(|scalars| Copied {
            scalars,
            window: frozen_window,
        });
        // A copy in a partition that is no home belongs to what it has not adopted yet.
        let copied = copied.filter(|_| !oracle.is_outside());
        if oracle.is_outside() {
            oracle.forget();
        }
        oracle.put_rescale(copied, reported);
    }
}

fn fill(window: &mut Window, segment: u32, places: &[Place]) {
    let from = usize::try_from(segment).unwrap_or(0) * SEGMENT;
    for (within, place) in places.iter().enumerate() {
        window.put(from + within, *place);
    }
}

/// True when a key has the value that it should have. Two may differ: a parent removes what a child has adopted,
/// and a child writes what it will adopt, each at its own pace.
pub(super) fn agrees(oracle: &Oracle, key: Key, found: Option<&Value>) -> bool {
    let due = of_oracle(oracle, key);
    if due.as_ref() == found {
        return true;
    }
    match (key, found) {
        (Key::Sequence(number) | Key::Own(number, _), None) => oracle.is_gone(number),
        (Key::Sequence(_) | Key::Own(..) | Key::Frozen | Key::FrozenWindow(_), Some(found))
            if due.is_none() =>
        {
            oracle.is_outside()
                && oracle.next_cut().is_none_or(|cut| {
                    of_copy(oracle, key, &cut.copied, &cut.sequences) == Some(found.clone())
                })
        }
        _ => false,
    }
}

/// The value of a key in what a parent hands over.
fn of_copy(
    oracle: &Oracle,
    key: Key,
    copied: &Copied,
    sequences: &BTreeMap<Box<str>, Sequence>,
) -> Option<Value> {
    match key {
        Key::Sequence(number) => {
            let at = usize::try_from(number).ok()?;
            let name: &str = oracle.names.get_index(at)?;
            sequences.get(name).map(of_sequence)
        }
        Key::Own(number, segment) => {
            let at = usize::try_from(number).ok()?;
            let name: &str = oracle.names.get_index(at)?;
            let own = &sequences.get(name)?.own;
            own.segment(segment).map(Value::Window)
        }
        Key::Frozen => Some(Value::Frozen(copied.scalars)),
        Key::FrozenWindow(segment) => {
            let segment = usize::try_from(segment).ok()?;
            copied.window.segment(segment).map(Value::Window)
        }
        _ => None,
    }
}

fn of_sequence(sequence: &Sequence) -> Value {
    Value::Sequence {
        next: sequence.to_store(),
        defined: sequence.defined.clone(),
    }
}

/// The oracle's value of a key.
pub(super) fn of_oracle(oracle: &Oracle, key: Key) -> Option<Value> {
    Some(match key {
        Key::Sequence(number) => of_sequence(oracle.sequence(number)?),
        Key::Own(number, segment) => Value::Window(oracle.sequence(number)?.own.segment(segment)?),
        Key::Window(segment) => {
            Value::Window(oracle.window().segment(usize::try_from(segment).ok()?)?)
        }
        Key::Sent(home) => Value::Sent(oracle.sent(home)?),
        Key::Accepted(source) => Value::Accepted(oracle.accepted(source)?),
        Key::Frozen => Value::Frozen(oracle.copied()?.scalars),
        Key::FrozenWindow(segment) => {
            let window = &oracle.copied()?.window;
            Value::Window(window.segment(usize::try_from(segment).ok()?)?)
        }
        Key::Reported(partition) => oracle.has_reported(partition).then_some(Value::Reported)?,
    })
}

/// The key of a state record; `intern` gives a name its number.
pub(super) fn key_of(key: EntryKey<'_>, intern: &mut dyn FnMut(&str) -> u32) -> Key {
    match key {
        EntryKey::Sequence(name) => Key::Sequence(intern(name)),
        EntryKey::Window(segment) => Key::Window(segment),
        EntryKey::Own { name, segment } => Key::Own(intern(name), segment),
        EntryKey::Sent(home) => Key::Sent(home),
        EntryKey::Accepted(source) => Key::Accepted(source),
        EntryKey::Frozen => Key::Frozen,
        EntryKey::FrozenWindow(segment) => Key::FrozenWindow(segment),
        EntryKey::Reported(partition) => Key::Reported(partition),
    }
}

fn number_of(unknown: Unknown) -> i64 {
    match unknown {
        Unknown::Create => 0,
        Unknown::Refuse => 1,
        Unknown::Audit => 2,
    }
}

/// The hash of one element: its kind, then its fields. A text follows its length.
struct Hashed(Vec<u8>);

impl Hashed {
    fn of(kind: u8) -> Hashed {
        Hashed(vec![kind])
    }

    fn number(mut self, number: i64) -> Hashed {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn text(mut self, text: &str) -> Hashed {
        self.0.extend((text.len() as u64).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn end(self) -> u128 {
        xxh3_128(&self.0)
    }
}

fn hash(key: Key, value: &Value, names: &IndexSet<Box<str>>) -> u128 {
    match (key, value) {
        (Key::Sequence(number), Value::Sequence { next, defined }) => {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            let name = names.get_index(at).map_or("", |name| name);
            match defined {
                None => Hashed::of(1).text(name).number(*next).end(),
                Some(defined) => hash_of_defined(name, *next, defined),
            }
        }
        (Key::Window(segment), Value::Window(places)) => hash_of_places(3, segment, places),
        (Key::FrozenWindow(segment), Value::Window(places)) => hash_of_places(8, segment, places),
        (Key::Own(number, segment), Value::Window(places)) => {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            let name = names.get_index(at).map_or("", |name| name);
            let place = |(number, place): (u64, &Place)| {
                let hashed = Hashed::of(10).text(name).number(number.cast_signed());
                hash_of_place(hashed, place)
            };
            let hashes = (segment * own::SEGMENT..).zip(places).map(place);
            hashes.fold(0, u128::wrapping_add)
        }
        (Key::Frozen, Value::Frozen(frozen)) => Hashed::of(7)
            .number(frozen.highest_timestamp)
            .number(frozen.floor)
            .number(number_of(frozen.unknown))
            .number(frozen.window_capacity.into())
            .number(frozen.window_next.cast_signed())
            .end(),
        (Key::Reported(partition), Value::Reported) => Hashed::of(9).number(partition.into()).end(),
        (Key::Sent(partition), Value::Sent((leader_epoch, offset))) => Hashed::of(5)
            .number(partition.into())
            .number((*leader_epoch).into())
            .number(*offset)
            .end(),
        (Key::Accepted(partition), Value::Accepted(end)) => Hashed::of(6)
            .number(partition.into())
            .number(end.epoch.cast_signed())
            .number(end.position.0.into())
            .number(end.position.1)
            .number(end.open.into())
            .end(),
        _ => 0,
    }
}

fn hash_of_places(kind: u8, segment: u32, places: &[Place]) -> u128 {
    let from = i64::from(segment) * 64;
    let place = |(at, place): (i64, &Place)| hash_of_place(Hashed::of(kind).number(at), place);
    let hashes = (from..).zip(places).map(place);
    hashes.fold(0, u128::wrapping_add)
}

fn hash_of_place(mut hashed: Hashed, place: &Place) -> u128 {
    hashed.0.extend(place.key);
    let Grant {
        first,
        count,
        increment,
    } = place.grant;
    hashed
        .number(first)
        .number(increment)
        .number(count.cast_signed())
        .end()
}

fn hash_of_defined(name: &str, next: i64, defined: &Defined) -> u128 {
    let Defined {
        rules,
        retired,
        note,
        ledger,
    } = defined;
    let hashed = Hashed::of(4)
        .text(name)
        .number(next)
        .number(rules.start)
        .number(rules.increment)
        .number(rules.min)
        .number(rules.max)
        .number(rules.cycle.into())
        .number(rules.max_count.cast_signed())
        .number(rules.audit.into())
        .number((*retired).into())
        .text(&note.op)
        .text(&note.requester)
        .text(&note.reason)
        .number(note.offset)
        .number(note.timestamp_ms);
    let hashed = match ledger.0 {
        None => hashed,
        Some(end) => {
            let mut hashed = hashed
                .number(end.records.cast_signed())
                .number(end.turn.into())
                .number(end.repaired.into());
            hashed.0.extend(end.hash);
            hashed
        }
    };
    match rules.remember {
        0 => hashed.end(),
        remember => hashed.number(-1).number(remember.into()).end(),
    }
}

fn hash_of_scalars(scalars: &Scalars) -> u128 {
    let hashed = Hashed::of(2)
        .number(scalars.highest_timestamp)
        .number(scalars.applied.cast_signed())
        .number(scalars.floor)
        .number(number_of(scalars.unknown))
        .number(scalars.window_capacity.into())
        .number(scalars.window_next.cast_signed())
        .number(scalars.links_open.into())
        .number(scalars.epoch.cast_signed());
    let homes = scalars.homes.iter();
    let hashed = homes.fold(hashed, |hashed, n| hashed.number((*n).into()));
    // A service without a rescale has none of the values of one.
    if !scalars.policy_is_own && scalars.unburied == 0 {
        return hashed.end();
    }
    hashed
        .number(-1)
        .number(scalars.policy_is_own.into())
        .number(scalars.unburied.cast_signed())
        .end()
}
