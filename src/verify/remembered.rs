//! The entries in the state topic, and their digest, which is computed with independent code.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};
use xxhash_rust::xxh3::xxh3_128;

use super::link::{End, Position};
use super::oracle::{Key, Oracle, Scalars, Unknown};
use super::rules::{Defined, Grant, Ledger, LedgerEnd, Note, Rules, Sequence};
use super::window::{Place, SEGMENT, Window};
use crate::wire::state::{self, Entry, EntryKey};

/// The value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Sequence {
        next: i64,
        defined: Option<Box<Defined>>,
    },
    Window(Vec<Place>),
    Sent(Position),
    Accepted(End),
    /// An entry of a rescale, which is not checked.
    OfRescale,
}

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
        oracle.forget();
        for (key, value) in &self.entries {
            match (key, value) {
                (Key::Sequence(number), Value::Sequence { next, defined }) => {
                    let sequence = Sequence::stored(*next, defined.clone());
                    oracle.put_sequence(*number, Some(sequence));
                }
                (Key::Window(segment), Value::Window(places)) => {
                    let from = usize::try_from(*segment).unwrap_or(0) * SEGMENT;
                    for (within, place) in places.iter().enumerate() {
                        window.put(from + within, *place);
                    }
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
        oracle.put_chains(sent, accepted);
        oracle.put_window(window);
        oracle.scalars = scalars;
    }
}

/// The oracle's value of a key.
pub(super) fn of_oracle(oracle: &Oracle, key: Key) -> Option<Value> {
    Some(match key {
        Key::Sequence(number) => {
            let sequence = oracle.sequence(number)?;
            Value::Sequence {
                next: sequence.to_store(),
                defined: sequence.defined.clone(),
            }
        }
        Key::Window(segment) => {
            Value::Window(oracle.window().segment(usize::try_from(segment).ok()?)?)
        }
        Key::Sent(home) => Value::Sent(oracle.sent(home)?),
        Key::Accepted(source) => Value::Accepted(oracle.accepted(source)?),
        Key::OfRescale(..) => return None,
    })
}

/// The key of a state record; `intern` gives a name its number.
pub(super) fn key_of(key: EntryKey<'_>, intern: &mut dyn FnMut(&str) -> u32) -> Key {
    match key {
        EntryKey::Sequence(name) => Key::Sequence(intern(name)),
        EntryKey::Window(segment) => Key::Window(segment),
        EntryKey::Sent(home) => Key::Sent(home),
        EntryKey::Accepted(source) => Key::Accepted(source),
        EntryKey::Frozen => Key::OfRescale(0, 0),
        EntryKey::FrozenWindow(segment) => Key::OfRescale(1, segment),
        EntryKey::Reported(partition) => Key::OfRescale(2, partition),
    }
}

/// The value of a state record.
pub(super) fn value_of(entry: &Entry<'_>) -> Value {
    match entry {
        Entry::Sequence {
            sequence, defined, ..
        } => Value::Sequence {
            next: sequence.stored(),
            defined: defined.as_ref().map(|defined| {
                let (rules, note) = (&defined.definition, &defined.note);
                Box::new(Defined {
                    rules: Rules {
                        start: rules.start,
                        increment: rules.increment,
                        min: rules.min,
                        max: rules.max,
                        cycle: rules.at_end.as_str() == "cycle",
                        max_count: rules.max_count,
                        audit: rules.audit,
                    },
                    retired: defined.retired,
                    note: Note {
                        op: note.op.clone(),
                        requester: note.requester.clone(),
                        reason: note.reason.clone(),
                        offset: note.offset.0,
                        timestamp_ms: note.timestamp.0,
                    },
                    ledger: Ledger(defined.chain.as_ref().map(|chain| LedgerEnd {
                        records: chain.records,
                        turn: chain.turn,
                        repaired: chain.repaired,
                        hash: chain.hash.0,
                    })),
                })
            }),
        },
        Entry::Window { places, .. } => {
            let place = |place: &state::Place| Place {
                key: place.key.0,
                grant: Grant {
                    first: place.first,
                    count: place.count,
                    increment: place.increment,
                },
            };
            Value::Window(places.iter().map(place).collect())
        }
        Entry::Sent { position, .. } => Value::Sent((position.leader_epoch, position.offset)),
        Entry::Accepted { end, .. } => Value::Accepted(End {
            epoch: end.epoch,
            position: (end.position.leader_epoch, end.position.offset),
            open: end.open,
        }),
        Entry::Frozen(_) | Entry::FrozenWindow { .. } | Entry::Reported(_) => Value::OfRescale,
    }
}

/// The scalars in a footer.
pub(super) fn scalars_of(footer: &state::Footer) -> Scalars {
    let scalars = &footer.scalars;
    Scalars {
        highest_timestamp: scalars.highest_timestamp.0,
        applied: scalars.applied,
        floor: scalars.floor,
        unknown: match scalars.undefined.as_str() {
            "refuse" => Unknown::Refuse,
            _ if scalars.undefined.audits() => Unknown::Audit,
            _ => Unknown::Create,
        },
        window_capacity: scalars.window_capacity,
        window_next: scalars.window_next,
        links_open: scalars.links_open,
        epoch: scalars.epoch,
        homes: scalars.homes.counts().collect(),
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
        (Key::Window(segment), Value::Window(places)) => {
            let from = i64::from(segment) * 64;
            let place = |(at, place): (i64, &Place)| {
                let mut hashed = Hashed::of(3).number(at);
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
            };
            let hashes = (from..).zip(places).map(place);
            hashes.fold(0, u128::wrapping_add)
        }
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
    let Some(end) = ledger.0 else {
        return hashed.end();
    };
    let mut hashed = hashed
        .number(end.records.cast_signed())
        .number(end.turn.into())
        .number(end.repaired.into());
    hashed.0.extend(end.hash);
    hashed.end()
}

fn hash_of_scalars(scalars: &Scalars) -> u128 {
    let hashed = Hashed::of(2)
        .number(scalars.highest_timestamp)
        .number(scalars.applied.cast_signed())
        .number(scalars.floor)
        .number(match scalars.unknown {
            Unknown::Create => 0,
            Unknown::Refuse => 1,
            Unknown::Audit => 2,
        })
        .number(scalars.window_capacity.into())
        .number(scalars.window_next.cast_signed())
        .number(scalars.links_open.into())
        .number(scalars.epoch.cast_signed());
    let homes = scalars.homes.iter();
    homes
        .fold(hashed, |hashed, n| hashed.number((*n).into()))
        .end()
}
