//! The two readings of state records, the checker's and the service's, say the same of every record.

use proptest::prelude::*;
use proptest::sample::Index;
use sequencer_protocol::core::Offset;
use sequencer_protocol::wire::state as wire;

use super::rescale::rescaled;
use super::service::World;
use crate::grant::Grant;
use crate::link::End;
use crate::oracle::Scalars;
use crate::oracle::rescale::Frozen;
use crate::request::Unknown;
use crate::rules::{Defined, Ledger, LedgerEnd, Note, Rules};
use crate::state::{self, Content, EntryKey, Value};
use crate::window::Place;

/// Key, value and header of a record.
type Raw = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The state logs of a service with definitions, a ledger, a repair and two rescales.
fn records() -> Vec<Raw> {
    let mut world = World::new(5, 2);
    world.ask(
        0,
        "orders",
        br#"{"op":"define","audit":true,"max_count":9007199254740991}"#,
        None,
    );
    world.ask(
        0,
        "orders",
        br#"{"count":5000000000,"request_id":"large"}"#,
        None,
    );
    let define = br#"{"op":"define","remember":20}"#;
    world.ask(1, "receipts", define, None);
    for number in 0..40 {
        world.ask(1, "receipts", b"", Some(&format!("own-{number}")));
    }
    world.load(300);
    world.serve();
    world.repair(1, 50);
    let worlds = [world, rescaled(5)];
    let logs = worlds.into_iter().flat_map(|world| world.state);
    logs.flatten()
        .map(|own| (own.key.unwrap_or_default(), own.value, own.batch))
        .collect()
}

/// The service's reading, in the form of the checker.
fn translated(content: &wire::Content<'_>) -> String {
    match content {
        wire::Content::Entry(entry) => shown(key(entry.key()), Some(value(entry))),
        wire::Content::Tombstone(entry) => shown(key(*entry), None),
        wire::Content::Reset(reset) => format!("reset {}", reset.answered.0),
        wire::Content::Footer(footer) => {
            let last = footer.last_applied;
            let last = last.map(|record| (record.offset.0, record.leader_epoch, record.hash));
            let scalars = scalars(footer);
            format!(
                "{} {} {scalars:?} {:?} {} {:?} {last:?} {} {}",
                footer.next.0,
                footer.digest.0,
                footer.link_key.0,
                footer.fold_version,
                footer.topic_id.0,
                footer.answers_beyond,
                footer.batch_records
            )
        }
    }
}

fn own(content: &Content<'_>) -> String {
    match content {
        Content::Entry(key, value) => shown(*key, Some(value.clone())),
        Content::Tombstone(key) => shown(*key, None),
        Content::Reset { answered } => format!("reset {answered}"),
        Content::Footer(footer) => format!(
            "{} {} {:?} {:?} {} {:?} {:?} {} {}",
            footer.next,
            footer.digest,
            footer.scalars,
            footer.secret,
            footer.fold_version,
            footer.topic_id,
            footer.last,
            footer.answers_beyond,
            footer.records
        ),
    }
}

fn shown(key: EntryKey<'_>, value: Option<Value>) -> String {
    format!("{key:?} {value:?}")
}

fn key(key: wire::EntryKey<'_>) -> EntryKey<'_> {
    match key {
        wire::EntryKey::Sequence(name) => EntryKey::Sequence(name),
        wire::EntryKey::Window(segment) => EntryKey::Window(segment),
        wire::EntryKey::Own { name, segment } => EntryKey::Own { name, segment },
        wire::EntryKey::Sent(home) => EntryKey::Sent(home),
        wire::EntryKey::Accepted(source) => EntryKey::Accepted(source),
        wire::EntryKey::Frozen => EntryKey::Frozen,
        wire::EntryKey::FrozenWindow(segment) => EntryKey::FrozenWindow(segment),
        wire::EntryKey::Reported(partition) => EntryKey::Reported(partition),
    }
}

fn value(entry: &wire::Entry<'_>) -> Value {
    match entry {
        wire::Entry::Sequence {
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
                        remember: rules.remember,
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
        wire::Entry::Window { places, .. }
        | wire::Entry::FrozenWindow { places, .. }
        | wire::Entry::Own { places, .. } => {
            let place = |place: &wire::Place| Place {
                key: place.key.0,
                grant: Grant {
                    first: place.first,
                    count: place.count,
                    increment: place.increment,
                },
            };
            Value::Window(places.iter().map(place).collect())
        }
        wire::Entry::Sent { position, .. } => Value::Sent((position.leader_epoch, position.offset)),
        wire::Entry::Accepted { end, .. } => Value::Accepted(End {
            epoch: end.epoch,
            position: (end.position.leader_epoch, end.position.offset),
            open: end.open,
        }),
        wire::Entry::Frozen(frozen) => Value::Frozen(Frozen {
            highest_timestamp: frozen.highest_timestamp.0,
            floor: frozen.floor,
            unknown: unknown(frozen.undefined.as_str(), frozen.undefined.audits()),
            window_capacity: frozen.window_capacity,
            window_next: frozen.window_next,
        }),
        wire::Entry::Reported(_) => Value::Reported,
    }
}

fn scalars(footer: &wire::Footer) -> Scalars {
    let scalars = &footer.scalars;
    Scalars {
        highest_timestamp: scalars.highest_timestamp.0,
        applied: scalars.applied,
        floor: scalars.floor,
        unknown: unknown(scalars.undefined.as_str(), scalars.undefined.audits()),
        window_capacity: scalars.window_capacity,
        window_next: scalars.window_next,
        links_open: scalars.links_open,
        epoch: scalars.epoch,
        homes: scalars.homes.counts().collect(),
        policy_is_own: scalars.policy_is_own,
        unburied: scalars.unburied,
    }
}

fn unknown(word: &str, audits: bool) -> Unknown {
    match word {
        "refuse" => Unknown::Refuse,
        _ if audits => Unknown::Audit,
        _ => Unknown::Create,
    }
}

/// True when both read the record alike, also when neither can.
fn agree((key, value, header): &Raw) -> Result<bool, String> {
    let (value, header) = (value.as_deref(), header.as_deref());
    let theirs = wire::decode(key, value, header);
    let ours = state::read(key, value, header);
    let readable = theirs.is_ok();
    let theirs = match theirs {
        Ok(record) => {
            let batch = record.batch.map(|batch| (batch.writer, batch.number));
            format!("{batch:?} {}", translated(&record.content))
        }
        Err(error @ wire::Error::Version(_)) => error.to_string(),
        Err(wire::Error::Malformed { .. }) => "malformed".to_owned(),
    };
    let ours = match ours {
        Ok(record) => format!("{:?} {}", record.batch, own(&record.content)),
        Err(error @ state::Error::Version(_)) => error.to_string(),
        Err(state::Error::Malformed) => "malformed".to_owned(),
    };
    if ours == theirs {
        Ok(readable)
    } else {
        Err(format!(
            "{key:?} {value:?}: {ours}, and the service: {theirs}"
        ))
    }
}

#[test]
fn what_the_service_wrote_is_read_alike() {
    let records = records();
    for record in &records {
        assert_eq!(agree(record), Ok(true));
    }
    // Each kind is among them, and each optional part.
    for kind in b"SWOCAPVDFR" {
        assert!(records.iter().any(|(key, ..)| key[0] == *kind), "{kind}");
    }
    let has = |part: &str| {
        let mut read = records.iter().map(|(key, value, header)| {
            let record = state::read(key, value.as_deref(), header.as_deref());
            own(&record.unwrap().content)
        });
        assert!(read.any(|read| read.contains(part)), "{part}");
    };
    has("defined: None");
    has("audit: true");
    has("remember: 20");
    has("LedgerEnd");
    has("retired: true");
    has("count: 5000000000");
    has("policy_is_own: true");
    has("unknown: Refuse");
    has(" None");
}

/// A value of an entry: version and batch, then these parts.
fn entry(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut value = vec![1];
    value.extend([3; 16]);
    value.extend(parts.concat());
    Some(value)
}

#[test]
fn records_at_the_limits_are_read_alike() {
    let mut records: Vec<Raw> = Vec::new();
    for segment in [0, (1 << 20) - 1, 1 << 20, u32::MAX] {
        for kind in [b"W", b"V"] {
            let key = [&kind[..], &segment.to_be_bytes()].concat();
            records.push((key.clone(), entry(&[]), None));
            records.push((key, None, None));
        }
    }
    for segment in [0, (1 << 59) - 1, 1 << 59, u64::MAX] {
        for length in [0, 1, 255, 256] {
            let name = "n".repeat(length);
            let key = [&b"O"[..], &segment.to_be_bytes(), name.as_bytes()].concat();
            for version in [1, 4, 5] {
                let mut value = entry(&[]);
                value.as_mut().unwrap()[0] = version;
                records.push((key.clone(), value, None));
            }
            records.push((key, None, None));
        }
    }
    for count in [0, u64::from(u32::MAX) - 1, u64::from(u32::MAX), u64::MAX] {
        let (hash, ids) = ([7; 16], [0; 16]);
        let place = [&hash[..], &ids, &[0xff; 4], &count.to_be_bytes()];
        records.push((b"W\0\0\0\0".to_vec(), entry(&place), None));
    }
    for next in [0, 1, 1 << 53, (1 << 53) + 1] {
        let next: i64 = next;
        records.push((b"Sorders".to_vec(), entry(&[&next.to_be_bytes()]), None));
    }
    for length in [0, 1, 255, 256] {
        let key = [&b"S"[..], "n".repeat(length).as_bytes()].concat();
        records.push((key, entry(&[&1_i64.to_be_bytes()]), None));
        let rules = [1, 1, 1, 9].map(i64::to_be_bytes).concat();
        let max_count = 1_u64.to_be_bytes();
        let text = "n".repeat(length);
        let size = u16::try_from(length).unwrap().to_be_bytes();
        let texts = [&size[..], text.as_bytes(), &[0; 4]].concat();
        let defined = [
            &[0; 8],
            &rules[..],
            &[0],
            &max_count,
            &[0, 0],
            &texts,
            &[0; 16],
        ];
        records.push((b"Sorders".to_vec(), entry(&defined), None));
    }
    let leader_epochs = [-2, -1, 0];
    let positions = leader_epochs.map(|epoch| [-2, -1, 0].map(|offset| (epoch, offset)));
    let written = self::records();
    let footer = written.iter().find(|(key, ..)| key == b"F").unwrap();
    let footer = wire::decode(&footer.0, footer.1.as_deref(), None).unwrap();
    let wire::Content::Footer(footer) = footer.content else {
        panic!("no footer");
    };
    for (leader_epoch, offset) in positions.concat() {
        let (epoch, at): (i32, i64) = (leader_epoch, offset);
        let position = [&epoch.to_be_bytes()[..], &at.to_be_bytes()].concat();
        records.push((b"C\0\0\0\0".to_vec(), entry(&[&position]), None));
        for hash in [0, 1] {
            let mut footer = footer.clone();
            footer.last_applied = Some(wire::Fingerprint {
                offset: Offset(at),
                leader_epoch,
                hash,
            });
            let mut value = Vec::new();
            let batch = wire::BatchId {
                writer: 1,
                number: 1,
            };
            footer.encode(&mut value, batch);
            records.push((b"F".to_vec(), Some(value), None));
        }
    }
    let agreed: Result<Vec<bool>, String> = records.iter().map(agree).collect();
    let agreed = agreed.unwrap();
    assert!(agreed.contains(&true) && agreed.contains(&false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn damaged_records_are_read_alike(
        record in any::<Index>(),
        other in any::<Index>(),
        at in any::<Index>(),
        byte in prop_oneof![Just(0), Just(1), Just(2), Just(3), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()],
        damage in 0..7,
    ) {
        thread_local! {
            static RECORDS: Vec<Raw> = records();
        }
        RECORDS.with(|records| {
            let mut damaged = record.get(records).clone();
            let (key, value, header) = &mut damaged;
            let length = value.as_ref().map_or(0, Vec::len);
            match (damage, value.as_mut()) {
                (0, Some(value)) if length > 0 => value[at.index(length)] = byte,
                (1, Some(value)) => value.truncate(at.index(length + 1)),
                (2, Some(value)) => value.insert(at.index(length + 1), byte),
                (3, _) => {
                    let place = at.index(key.len());
                    key[place] = byte;
                }
                (4, _) => key.truncate(at.index(key.len() + 1)),
                (5, _) => key.clone_from(&other.get(records).0),
                _ => {
                    *value = None;
                    *header = Some(vec![byte; 14 + at.index(4)]);
                }
            }
            prop_assert_eq!(agree(&damaged).map(|_| ()), Ok(()));
            Ok(())
        })?;
    }
}
