//! Records of the ledger topic: the key is the sequence's name, the value compact JSON with its fields
//! in a fixed order, absent ones left out.
//!
//! ```text
//! {"sequence":"orders","record":12,"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,
//!  "timestamp":1700000000000,"requester":"billing","request_id":"6f1c","previous":"5e3a…"}
//! ```
//!
//! | field | holds |
//! |---|---|
//! | `record` | counts the records of the sequence, from 1 |
//! | `turn` | how often it went back to lower IDs before; absent while it never did |
//! | `kind` | `grant`, `define`, `set_next`, `retire` |
//! | `first`, `last`, `count` | of a grant, as in the reply |
//! | `definition`, `next` | of an operator's act: the rules, after a `define`; the ID that comes next, unless there is none |
//! | `increment` | the step, unless it is 1; after a `define` it is among the rules |
//! | `partition`, `offset` | the request as the client wrote it, as in the reply |
//! | `home_offset` | of a request that was forwarded: the offset at its home |
//! | `timestamp` | of the request at its home, in milliseconds |
//! | `requester`, `request_id`, `reason` | as the request says them |
//! | `repaired` | `true` for the first record after a repair, which may have moved the sequence |
//! | `previous` | BLAKE3 of the value of the record before it, in hexadecimal; zeros for the first |
//!
//! A reader passes over fields that it does not know: more may be added.

use std::fmt::Write as _;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::reply::{definition, number, text};
use crate::core::ledger::{Event, Hash, Ledger, Line};

/// Appends the value of a record to `out`.
pub fn encode(out: &mut Vec<u8>, line: &Line<'_>) {
    let Line {
        sequence,
        record,
        turn,
        event,
        partition,
        offset,
        home_offset,
        timestamp,
        requester,
        request_id,
        reason,
        repaired,
        previous,
    } = line;
    out.extend_from_slice(b"{\"sequence\":");
    text(out, sequence);
    number(out, b",\"record\":", *record);
    if *turn > 0 {
        number(out, b",\"turn\":", *turn);
    }
    out.extend_from_slice(b",\"kind\":\"");
    out.extend_from_slice(Kind::of(event).as_str().as_bytes());
    out.push(b'"');
    match event {
        Event::Granted(grant) => {
            number(out, b",\"first\":", grant.first);
            number(out, b",\"last\":", grant.last);
            number(out, b",\"count\":", grant.count);
            push_increment(out, grant.increment);
        }
        Event::Defined {
            definition: rules,
            next,
        } => {
            out.push(b',');
            definition(out, rules);
            push_next(out, *next);
        }
        Event::Moved { next, increment } | Event::Retired { next, increment } => {
            push_next(out, *next);
            push_increment(out, *increment);
        }
    }
    number(out, b",\"partition\":", *partition);
    number(out, b",\"offset\":", offset.0);
    if let Some(offset) = home_offset {
        number(out, b",\"home_offset\":", offset.0);
    }
    number(out, b",\"timestamp\":", timestamp.0);
    for (field, value) in [
        (b",\"requester\":".as_slice(), requester),
        (b",\"request_id\":", request_id),
        (b",\"reason\":", reason),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(field);
            text(out, value);
        }
    }
    if *repaired {
        out.extend_from_slice(b",\"repaired\":true");
    }
    out.extend_from_slice(b",\"previous\":\"");
    push_hex(out, previous);
    out.extend_from_slice(b"\"}");
}

fn push_next(out: &mut Vec<u8>, next: Option<i64>) {
    if let Some(next) = next {
        number(out, b",\"next\":", next);
    }
}

fn push_increment(out: &mut Vec<u8>, increment: i64) {
    if increment != 1 {
        number(out, b",\"increment\":", increment);
    }
}

fn push_hex(out: &mut Vec<u8>, hash: &Hash) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in hash.0 {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// A hash as records have it.
pub fn hex(hash: &Hash) -> String {
    hash.0.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a record tells, by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// IDs were given.
    Grant,
    /// The sequence was defined, or defined otherwise.
    Define,
    /// An operator moved it.
    SetNext,
    /// It gives no more IDs.
    Retire,
}

impl Kind {
    fn of(event: &Event) -> Kind {
        match event {
            Event::Granted(_) => Kind::Grant,
            Event::Defined { .. } => Kind::Define,
            Event::Moved { .. } => Kind::SetNext,
            Event::Retired { .. } => Kind::Retire,
        }
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Grant => "grant",
            Kind::Define => "define",
            Kind::SetNext => "set_next",
            Kind::Retire => "retire",
        }
    }
}

/// The rules in a `define` record, as far as a reader of the ledger needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Rules {
    /// Step from one ID to the next.
    pub increment: i64,
    /// Lowest ID.
    pub min: i64,
    /// Highest ID.
    pub max: i64,
    /// `error` or `cycle`.
    at_end: AtEnd,
    /// Whether the ledger goes on.
    pub audit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum AtEnd {
    Error,
    Cycle,
}

impl Rules {
    /// Begins again at its other bound.
    pub fn cycles(&self) -> bool {
        self.at_end == AtEnd::Cycle
    }
}

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entry {
    /// The sequence.
    pub sequence: String,
    /// Counts its records.
    pub record: u64,
    /// How often it went back.
    #[serde(default)]
    pub turn: u32,
    /// What it tells.
    pub kind: Kind,
    /// First ID of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
    /// Last ID of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// How many IDs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Step between them, unless it is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increment: Option<i64>,
    /// The rules after a `define`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Rules>,
    /// The ID that comes next, after an operator's act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Partition of the request.
    pub partition: i32,
    /// Offset of the request.
    pub offset: i64,
    /// Offset at its home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home_offset: Option<i64>,
    /// Its time.
    pub timestamp: i64,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// The request's own ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first after a repair.
    #[serde(default)]
    pub repaired: bool,
    /// Hash of the record before it.
    pub previous: String,
}

impl Entry {
    /// The step from one ID to the next.
    pub fn step(&self) -> i64 {
        let rules = self.definition.as_ref().map(|rules| rules.increment);
        self.increment.or(rules).unwrap_or(1)
    }

    /// First and last ID of a grant.
    pub fn ids(&self) -> Option<(i64, i64)> {
        self.first.zip(self.last)
    }
}

/// Reads a record; `None` when it is none of ours.
pub fn decode(value: &[u8]) -> Option<Entry> {
    let entry: Entry = serde_json::from_slice(value).ok()?;
    let grant = entry.first.is_some() && entry.last.is_some() && entry.count.is_some();
    (grant == (entry.kind == Kind::Grant)).then_some(entry)
}

/// Ledger records that wait for their transaction, in one buffer, in log order.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    lines: Vec<(Range<usize>, Range<usize>)>,
}

impl Ledger for Lines {
    fn write(&mut self, line: &Line<'_>) -> Hash {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.sequence.as_bytes());
        let key = start..self.bytes.len();
        encode(&mut self.bytes, line);
        let value = key.end..self.bytes.len();
        let hash = Hash::of(&self.bytes[value.clone()]);
        self.lines.push((key, value));
        hash
    }
}

/// Hashes records and forgets them: for a repair, which folds again what was written before.
#[derive(Debug, Default)]
pub struct Hashes(Vec<u8>);

impl Ledger for Hashes {
    fn write(&mut self, line: &Line<'_>) -> Hash {
        self.0.clear();
        encode(&mut self.0, line);
        Hash::of(&self.0)
    }
}

impl Lines {
    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let line = |(key, value): &(Range<usize>, Range<usize>)| {
            (&self.bytes[key.clone()], &self.bytes[value.clone()])
        };
        self.lines.iter().map(line)
    }

    /// Puts those of an aborted transaction back in front of the later ones.
    pub fn prepend(&mut self, mut earlier: Lines) {
        let by = earlier.bytes.len();
        let moved = |range: &Range<usize>| range.start + by..range.end + by;
        let later = self.lines.iter();
        let later = later.map(|(key, value)| (moved(key), moved(value)));
        earlier.lines.extend(later);
        earlier.bytes.extend_from_slice(&self.bytes);
        *self = earlier;
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::definition::Definition;
    use crate::core::{Grant, Offset, Timestamp};

    fn line(event: Event) -> Line<'static> {
        Line {
            sequence: "orders",
            record: 12,
            turn: 0,
            event,
            partition: 3,
            offset: Offset(1234),
            home_offset: None,
            timestamp: Timestamp(1_700_000_000_000),
            requester: None,
            request_id: None,
            reason: None,
            repaired: false,
            previous: Hash([0x5e; 32]),
        }
    }

    fn granted(increment: i64) -> Event {
        Event::Granted(Grant {
            first: 41,
            last: 41 + 9 * increment,
            count: 10,
            increment,
        })
    }

    fn written(line: &Line<'_>) -> String {
        let mut out = Vec::new();
        encode(&mut out, line);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_written_bytes_do_not_change_between_releases() {
        let hash = "5e".repeat(32);
        let plain = written(&line(granted(1)));
        assert_eq!(
            plain,
            format!(
                r#"{{"sequence":"orders","record":12,"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,"timestamp":1700000000000,"previous":"{hash}"}}"#
            )
        );
        assert_eq!(
            hex(&Hash::of(plain.as_bytes())),
            "37cef15d0310231072fb9f41500be6bc7b94134f01dfbb6866243112bcbb136f"
        );
        let full = Line {
            sequence: "a \"b\"",
            turn: 2,
            home_offset: Some(Offset(77)),
            requester: Some("billing"),
            request_id: Some("6f1c"),
            reason: Some("why"),
            repaired: true,
            ..line(granted(-3))
        };
        assert_eq!(
            written(&full),
            format!(
                r#"{{"sequence":"a \"b\"","record":12,"turn":2,"kind":"grant","first":41,"last":14,"count":10,"increment":-3,"partition":3,"offset":1234,"home_offset":77,"timestamp":1700000000000,"requester":"billing","request_id":"6f1c","reason":"why","repaired":true,"previous":"{hash}"}}"#
            )
        );
        let defined = Event::Defined {
            definition: Definition {
                audit: true,
                ..Definition::DEFAULT
            },
            next: Some(7),
        };
        assert_eq!(
            written(&line(defined)),
            format!(
                r#"{{"sequence":"orders","record":12,"kind":"define","definition":{{"start":1,"increment":1,"min":1,"max":9007199254740991,"at_end":"error","max_count":1000000,"audit":true}},"next":7,"partition":3,"offset":1234,"timestamp":1700000000000,"previous":"{hash}"}}"#
            )
        );
        let tail = format!(
            r#""partition":3,"offset":1234,"timestamp":1700000000000,"previous":"{hash}"}}"#
        );
        for (event, said) in [
            (
                Event::Moved {
                    next: Some(9),
                    increment: 1,
                },
                r#""set_next","next":9,"#,
            ),
            (
                Event::Retired {
                    next: None,
                    increment: -2,
                },
                r#""retire","increment":-2,"#,
            ),
        ] {
            assert_eq!(
                written(&line(event)),
                format!(r#"{{"sequence":"orders","record":12,"kind":{said}{tail}"#)
            );
        }
    }

    #[test]
    fn what_is_written_is_read_and_new_fields_are_passed_over() {
        let full = Line {
            turn: 2,
            requester: Some("billing"),
            home_offset: Some(Offset(77)),
            ..line(granted(2))
        };
        let text = written(&full);
        let entry = decode(text.as_bytes()).unwrap();
        assert_eq!((entry.record, entry.turn, entry.kind), (12, 2, Kind::Grant));
        assert_eq!((entry.first, entry.last), (Some(41), Some(59)));
        assert_eq!((entry.partition, entry.offset), (3, 1234));
        assert_eq!(entry.requester.as_deref(), Some("billing"));
        assert_eq!(entry.previous, hex(&full.previous));
        let newer = text.replace("\"kind\"", "\"colour\":\"red\",\"kind\"");
        assert_eq!(decode(newer.as_bytes()), Some(entry));
        for wrong in ["", "{}", "null", &text.replace("\"first\":41,", "")] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn lines_of_an_aborted_transaction_go_before_later_ones() {
        let (mut aborted, mut later) = (Lines::default(), Lines::default());
        let first = aborted.write(&line(granted(1)));
        later.write(&Line {
            sequence: "other",
            ..line(granted(2))
        });
        later.prepend(aborted);
        let keys: Vec<_> = later.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"orders".as_slice(), b"other"]);
        let (_, value) = later.iter().next().unwrap();
        assert_eq!(Hash::of(value), first);
        assert_eq!(later.len(), 2);
    }
}
