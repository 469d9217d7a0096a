use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::core::command::Undefined;
use crate::core::definition::{AtEnd, Definition};
use crate::core::fold::{Defined, Frozen, Note};
use crate::core::ledger::{Chain, Hash};
use crate::core::link::{Accepted, LinkKey, Position};
use crate::core::sequence::Sequence;
use crate::core::window::{Place, RequestKey};
use crate::core::{Digest, Homes, NextOffset, Offset, Scalars, Timestamp};

const BATCH: BatchId = BatchId {
    writer: 0x0102_0304_0506_0708,
    number: 9,
};

fn footer() -> Footer {
    Footer {
        next: NextOffset(1235),
        digest: Digest(0x1122),
        scalars: Scalars {
            highest_timestamp: Timestamp(1_700_000_000_000),
            applied: 77,
            floor: 5,
            undefined: Undefined::Refuse,
            window_capacity: 100_000,
            window_next: 12,
            links_open: true,
            epoch: 0x55,
            homes: Homes::first(4),
            policy_is_own: false,
            unburied: 0,
        },
        link_key: LinkKey([0xab; 32]),
        fold_version: 1,
        topic_id: TopicId([7; 16]),
        last_applied: Some(Fingerprint {
            offset: Offset(1234),
            leader_epoch: 6,
            hash: 0x3344,
        }),
        answers_beyond: false,
        batch_records: 2,
        group: "sequencer".into(),
        instance: "host-1".into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_stored_bytes_do_not_change_between_releases() {
    let entry = Entry::Sequence {
        name: "orders",
        sequence: Sequence::above(41),
        defined: None,
    };
    let (mut key, mut value) = (Vec::new(), Vec::new());
    encode_key(&mut key, entry.key());
    entry::encode(&mut value, BATCH, &entry);
    assert_eq!(key, b"Sorders");
    assert_eq!(
        hex(&value),
        "0101020304050607080000000000000009000000000000002a"
    );
    assert_eq!(
        decode(&key, Some(&value), None).unwrap(),
        Record {
            batch: Some(BATCH),
            content: Content::Entry(entry)
        }
    );

    let mut value = Vec::new();
    footer().encode(&mut value, BATCH);
    assert_eq!(
        hex(&value),
        concat!(
            "0101020304050607080000000000000009", // envelope
            "00000000000004d3",                   // next
            "00000000000000000000000000001122",   // digest
            "0000018bcfe56800",                   // highest timestamp
            "000000000000004d",                   // applied
            "0000000000000005",                   // floor
            "01",                                 // undefined names are refused
            "000186a0",                           // capacity of the window
            "000000000000000c",                   // its next place
            "01",                                 // first links are believed
            "0000000000000055",                   // epoch
            "01",                                 // epochs of N
            "00000004",                           // the first N
            "abababababababababababababababab",   // key of the links
            "abababababababababababababababab",
            "0001",                             // fold version
            "07070707070707070707070707070707", // topic
            "00000000000004d2",                 // last applied
            "00000006",                         // its leader epoch
            "00000000000000000000000000003344", // its fingerprint
            "00000002",                         // records
            "000973657175656e636572",           // group
            "0006686f73742d31",                 // instance
        )
    );
    let read = decode(FOOTER_KEY, Some(&value), None).unwrap();
    assert_eq!(read.content, Content::Footer(Box::new(footer())));

    let mut value = Vec::new();
    Reset {
        answered: NextOffset(7),
        epoch: 12,
        reason: "why".into(),
    }
    .encode(&mut value, BATCH);
    assert_eq!(
        hex(&value),
        "01010203040506070800000000000000090000000000000007000000000000000c0003776879"
    );
}

#[test]
fn the_stored_bytes_of_every_other_entry_do_not_change_either() {
    let defined = Defined {
        definition: Definition {
            start: 5,
            increment: -1,
            min: -100,
            max: 9,
            at_end: AtEnd::Cycle,
            max_count: 7,
            audit: true,
            remember: 0,
        },
        retired: true,
        note: Note {
            op: "retire".into(),
            requester: "ops".into(),
            reason: "".into(),
            offset: Offset(3),
            timestamp: Timestamp(4),
        },
        chain: None,
    };
    let audited = Defined {
        chain: Some(Box::new(Chain {
            records: 12,
            turn: 2,
            repaired: true,
            hash: Hash([0x22; 32]),
        })),
        ..defined.clone()
    };
    let defined_hex = concat!(
        "fffffffffffffffa", // next
        "0000000000000005", // start
        "ffffffffffffffff", // increment
        "ffffffffffffff9c", // min
        "0000000000000009", // max
        "01",               // at end: cycle
        "0000000000000007", // max count
        "01",               // audit
        "01",               // retired
        "0006726574697265", // op
        "00036f7073",       // requester
        "0000",             // reason
        "0000000000000003", // offset
        "0000000000000004", // timestamp
    );
    let audited_hex = [
        defined_hex,
        "000000000000000c", // records
        "00000002",         // turn
        "01",               // repaired
        "2222222222222222222222222222222222222222222222222222222222222222",
    ]
    .concat();
    let places = [Place {
        key: RequestKey([0x11; 16]),
        first: 41,
        increment: 1,
        count: 10,
    }];
    let position = Position {
        leader_epoch: 2,
        offset: 7,
    };
    let entries = [
        (
            Entry::Sequence {
                name: "d",
                sequence: Sequence::restored(-6),
                defined: Some(std::borrow::Cow::Owned(defined)),
            },
            "5364",
            // Releases without a ledger wrote it like this, too.
            defined_hex,
        ),
        (
            Entry::Sequence {
                name: "d",
                sequence: Sequence::restored(-6),
                defined: Some(std::borrow::Cow::Owned(audited)),
            },
            "5364",
            &audited_hex,
        ),
        (
            Entry::Window {
                segment: 3,
                places: [u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40]
                    .map(|count| Place { count, ..places[0] })
                    .to_vec()
                    .into(),
            },
            "5700000003",
            concat!(
                "11111111111111111111111111111111",
                "00000000000000290000000000000001fffffffe",
                "11111111111111111111111111111111",
                "00000000000000290000000000000001ffffffff00000000ffffffff",
                "11111111111111111111111111111111",
                "00000000000000290000000000000001ffffffff0000010000000000",
            ),
        ),
        (
            Entry::Window {
                segment: 2,
                places: places.as_slice().into(),
            },
            "5700000002",
            "111111111111111111111111111111110000000000000029000000000000000100\
             00000a",
        ),
        (
            Entry::Sent { home: 3, position },
            "4300000003",
            "000000020000000000000007",
        ),
        (
            Entry::Accepted {
                source: 4,
                end: Accepted {
                    epoch: 6,
                    position,
                    open: true,
                },
            },
            "4100000004",
            "000000000000000600000002000000000000000701",
        ),
    ];
    for (entry, key_hex, value_hex) in entries {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        encode_key(&mut key, entry.key());
        entry::encode(&mut value, BATCH, &entry);
        assert_eq!(hex(&key), key_hex);
        assert_eq!(hex(&value[17..]), value_hex);
        let read = decode(&key, Some(&value), None).unwrap();
        assert_eq!(read.content, Content::Entry(entry));
    }
}

/// A service that is never rescaled writes what releases without rescales read. The others refuse it.
#[test]
fn what_a_rescale_adds_has_a_version_of_its_own() {
    let scalars = footer().scalars;
    for (scalars, added) in [
        (
            Scalars {
                homes: Homes::read([4, 12]).unwrap(),
                ..scalars
            },
            "02000000040000000c000000000000000000",
        ),
        (
            Scalars {
                policy_is_own: true,
                unburied: 7,
                ..scalars
            },
            "0100000004010000000000000007",
        ),
    ] {
        let footer = Footer {
            scalars,
            ..footer()
        };
        let mut value = Vec::new();
        footer.encode(&mut value, BATCH);
        assert_eq!(value[0], 2);
        assert!(hex(&value).contains(added), "{}", hex(&value));
        let read = decode(FOOTER_KEY, Some(&value), None).unwrap();
        assert_eq!(read.content, Content::Footer(Box::new(footer)));
    }
    let places = [Place {
        key: RequestKey([0x11; 16]),
        first: 41,
        increment: 1,
        count: 10,
    }];
    let frozen = Frozen {
        highest_timestamp: Timestamp(4),
        floor: 5,
        undefined: Undefined::Refuse,
        window_capacity: 6,
        window_next: 7,
    };
    let entries = [
        (
            Entry::Frozen(frozen),
            "50",
            "0000000000000004000000000000000501000000060000000000000007",
        ),
        (
            Entry::FrozenWindow {
                segment: 2,
                places: places.as_slice().into(),
            },
            "5600000002",
            "111111111111111111111111111111110000000000000029000000000000000100\
             00000a",
        ),
        (Entry::Reported(9), "4400000009", ""),
    ];
    for (entry, key_hex, value_hex) in entries {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        encode_key(&mut key, entry.key());
        entry::encode(&mut value, BATCH, &entry);
        assert_eq!(hex(&key), key_hex);
        assert_eq!((value[0], hex(&value[17..])), (2, value_hex.to_owned()));
        let read = decode(&key, Some(&value), None).unwrap();
        assert_eq!(read.content, Content::Entry(entry));
    }
}

#[test]
fn what_a_sequence_remembers_itself_has_a_version_of_its_own() {
    let places = [Place {
        key: RequestKey([0x11; 16]),
        first: 41,
        increment: 1,
        count: 10,
    }];
    let defined = |remember| Defined {
        definition: Definition {
            remember,
            ..Definition::DEFAULT
        },
        retired: false,
        note: Note {
            op: "define".into(),
            requester: "".into(),
            reason: "".into(),
            offset: Offset(3),
            timestamp: Timestamp(4),
        },
        chain: None,
    };
    let sequence = |remember| Entry::Sequence {
        name: "orders",
        sequence: Sequence::restored(7),
        defined: Some(Cow::Owned(defined(remember))),
    };
    let own = Entry::Own {
        name: "orders",
        segment: 2,
        places: places.as_slice().into(),
    };
    let entries = [
        (
            own,
            "4f00000000000000026f7264657273",
            "111111111111111111111111111111110000000000000029000000000000000100\
             00000a",
        ),
        (
            sequence(50_000),
            "536f7264657273",
            concat!(
                "0000000000000007", // next
                "0000000000000001", // start
                "0000000000000001", // increment
                "0000000000000001", // min
                "001fffffffffffff", // max
                "00",               // at end
                "00000000000f4240", // max count
                "00",               // audit
                "0000c350",         // remember
                "00",               // retired
                "0006646566696e65", // op
                "0000",             // requester
                "0000",             // reason
                "0000000000000003", // offset
                "0000000000000004", // time
            ),
        ),
    ];
    for (entry, key_hex, value_hex) in entries {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        encode_key(&mut key, entry.key());
        entry::encode(&mut value, BATCH, &entry);
        assert_eq!(hex(&key), key_hex);
        assert_eq!((value[0], hex(&value[17..])), (4, value_hex.to_owned()));
        let read = decode(&key, Some(&value), None).unwrap();
        assert_eq!(read.content, Content::Entry(entry));
    }
    // The next earlier release reads a sequence without it.
    let mut value = Vec::new();
    entry::encode(&mut value, BATCH, &sequence(0));
    assert_eq!(value[0], 1);
    for wrong in [
        &b"O\0\0\0\0\0\0\0\x02"[..],
        b"O\0\0\0\0\0\0\0",
        b"O\xff\0\0\0\0\0\0\0a",
    ] {
        assert_eq!(entry_key(wrong), None);
    }
}

#[test]
fn a_footer_with_answers_beyond_it_is_not_for_a_release_that_would_send_them_again() {
    for unburied in [0, 7] {
        let footer = Footer {
            answers_beyond: true,
            scalars: Scalars {
                unburied,
                ..footer().scalars
            },
            ..footer()
        };
        let mut value = Vec::new();
        footer.encode(&mut value, BATCH);
        assert_eq!(value[0], 3);
        let read = decode(FOOTER_KEY, Some(&value), None).unwrap();
        assert_eq!(read.content, Content::Footer(Box::new(footer)));
    }
}

#[test]
fn a_footer_before_the_first_request_has_no_last_applied_record() {
    let footer = Footer {
        last_applied: None,
        ..footer()
    };
    let mut value = Vec::new();
    footer.encode(&mut value, BATCH);
    let read = decode(FOOTER_KEY, Some(&value), None).unwrap();
    assert_eq!(read.content, Content::Footer(Box::new(footer)));
}

#[test]
fn a_tombstone_carries_its_batch_in_a_header() {
    let read = decode(b"Sorders", None, Some(&BATCH.to_header())).unwrap();
    assert_eq!(read.batch, Some(BATCH));
    assert_eq!(
        read.content,
        Content::Tombstone(EntryKey::Sequence("orders"))
    );
    assert_eq!(decode(b"Sorders", None, None).unwrap().batch, None);
}

#[test]
fn every_length_is_checked_and_a_newer_version_is_told_apart() {
    let mut value = Vec::new();
    footer().encode(&mut value, BATCH);
    for length in 0..value.len() {
        assert!(
            decode(FOOTER_KEY, Some(&value[..length]), None).is_err(),
            "{length}"
        );
    }
    value.push(0);
    assert!(matches!(
        decode(FOOTER_KEY, Some(&value), None),
        Err(Error::Malformed { .. })
    ));
    value[0] = FORMAT_VERSION + 1;
    assert_eq!(
        decode(FOOTER_KEY, Some(&value), None),
        Err(Error::Version(5))
    );
    assert!(decode(b"X", Some(&value[..1]), None).is_err());
    assert!(decode(b"", None, None).is_err());
}

#[test]
fn a_footer_from_which_nobody_could_count_on_is_none_of_ours() {
    let is_read = |footer: &Footer| {
        let mut value = Vec::new();
        footer.encode(&mut value, BATCH);
        decode(FOOTER_KEY, Some(&value), None).is_ok()
    };
    let with = |applied, window_next| Footer {
        scalars: Scalars {
            applied,
            window_next,
            ..footer().scalars
        },
        ..footer()
    };
    let most = i64::MAX.cast_unsigned();
    assert!(is_read(&with(most, most)));
    assert!(!is_read(&with(u64::MAX, 0)));
    assert!(!is_read(&with(0, most + 1)));
    let before = Footer {
        next: NextOffset(-1),
        ..footer()
    };
    assert!(!is_read(&before));
    for (offset, leader_epoch, read) in [(3, -1, true), (-2, 0, false), (3, -2, false)] {
        let last_applied = Some(Fingerprint {
            offset: Offset(offset),
            leader_epoch,
            hash: 1,
        });
        let footer = Footer {
            last_applied,
            ..footer()
        };
        assert_eq!(is_read(&footer), read, "{last_applied:?}");
    }
}

#[test]
fn an_end_of_a_chain_where_no_record_can_lie_is_none_of_ours() {
    let is_read = |leader_epoch, offset| {
        let position = Position {
            leader_epoch,
            offset,
        };
        let end = Accepted {
            epoch: 0,
            position,
            open: true,
        };
        let entries = [
            Entry::Sent { home: 3, position },
            Entry::Accepted { source: 3, end },
        ];
        entries.map(|entry| {
            let (mut key, mut value) = (Vec::new(), Vec::new());
            encode_key(&mut key, entry.key());
            entry::encode(&mut value, BATCH, &entry);
            decode(&key, Some(&value), None).is_ok()
        })
    };
    // A chain that a repair opens before its first link has the place before all others.
    assert_eq!(is_read(-1, -1), [true, true]);
    assert_eq!(is_read(-1, 7), [true, true]);
    assert_eq!(is_read(-13, 7), [false, false]);
    assert_eq!(is_read(2, -1), [false, false]);
}

proptest! {
    #[test]
    fn no_bytes_panic(key in prop::collection::vec(any::<u8>(), 0..9), value in prop::option::of(prop::collection::vec(any::<u8>(), 0..200))) {
        let _ = decode(&key, value.as_deref(), None);
    }
}
