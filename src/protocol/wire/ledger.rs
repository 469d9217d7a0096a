//! The ledger topic: the key is the sequence's name, and the value is a *page*. A page holds a few consecutive
//! records of the sequence as compact JSON, with fields in a fixed order and absent fields left out.
//!
//! ```text
//! {"sequence":"orders","record":12,"previous":"5e3a…","records":[
//!  {"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,"timestamp":1700000000000,
//!   "requester":"billing","request_id":"6f1c"},…]}
//! ```
//!
//! | field of a page | holds |
//! |---|---|
//! | `record` | the number of its first record; the records of the sequence are counted from 1 |
//! | `previous` | the hash of the record before its first, in hexadecimal; zeros for record 1 |
//! | `records` | the records, in order |
//!
//! | field of a record | holds |
//! |---|---|
//! | `turn` | how often the sequence went back to lower IDs before; absent while it never went back |
//! | `kind` | `grant`, `define`, `set_next`, `retire` |
//! | `first`, `last`, `count` | of a grant, as in the reply |
//! | `definition`, `next` | of an operator's act: the rules, after a `define`; the ID that comes next, unless there is none |
//! | `increment` | the step, unless it is 1; after a `define` it is among the rules |
//! | `partition`, `offset` | the request as the client wrote it, as in the reply |
//! | `home_offset` | of a request that was forwarded: the offset at its home |
//! | `timestamp` | of the request at its home, in milliseconds |
//! | `requester`, `request_id`, `reason` | as in the request |
//! | `repaired` | `true` for the first record after a repair, which may have moved the sequence |
//!
//! The hash of a record is BLAKE3 of its text, braces included, keyed with the hash of the record before it
//! ([`Hash::of`]). So the hash is a function of the request log alone. How records are grouped into pages
//! depends on when checkpoints were made, and is not part of the hash.
//!
//! A reader ignores fields that it does not know: more fields may be added.

mod page;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::reply::{definition, number, text};
use crate::core::ledger::{Event, Hash, Ledger, Line};
pub use page::{Lines, PAGE_RECORDS_MAX};

/// Appends the text of a record to `out`. The page holds the sequence, the number and the previous hash.
pub fn encode(out: &mut Vec<u8>, line: &Line<'_>) {
    let Line {
        sequence: _,
        record: _,
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
        previous: _,
    } = line;
    out.push(b'{');
    if *turn > 0 {
        number(out, b"\"turn\":", *turn);
        out.push(b',');
    }
    out.extend_from_slice(b"\"kind\":\"");
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
    out.push(b'}');
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

/// Formats a hash as pages hold it, in hexadecimal.
pub fn hex(hash: &Hash) -> String {
    blake3::Hash::from_bytes(hash.0).to_hex().to_string()
}

fn from_hex(text: &str) -> Option<Hash> {
    let hash = blake3::Hash::from_hex(text).ok()?;
    Some(Hash(*hash.as_bytes()))
}

/// The kind of event that a record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// IDs were given.
    Grant,
    /// The sequence was defined, or its definition changed.
    Define,
    /// An operator moved the sequence.
    SetNext,
    /// The sequence was retired, so it gives no more IDs.
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

    /// The word in the field `kind`.
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
    /// True when grants after this record are in the ledger too.
    pub audit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum AtEnd {
    Error,
    Cycle,
}

impl Rules {
    /// True when the sequence begins again at its other bound.
    pub fn cycles(&self) -> bool {
        self.at_end == AtEnd::Cycle
    }
}

/// A record as a reader gets it, with the fields of its page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entry {
    /// The name of the sequence.
    #[serde(skip_deserializing)]
    pub sequence: String,
    /// The number of the record within its sequence, from 1.
    #[serde(skip_deserializing)]
    pub record: u64,
    /// How often the sequence went back to lower IDs before.
    #[serde(default)]
    pub turn: u32,
    /// The kind of event.
    pub kind: Kind,
    /// First ID of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
    /// Last ID of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// Number of IDs of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Step between the IDs, unless it is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increment: Option<i64>,
    /// The rules after a `define`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Rules>,
    /// The ID that comes next, after an operator's act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Partition of the request as the client wrote it.
    pub partition: i32,
    /// Offset of the request in that partition.
    pub offset: i64,
    /// Offset at the home partition, for a forwarded request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home_offset: Option<i64>,
    /// Timestamp of the request at its home, in milliseconds.
    pub timestamp: i64,
    /// The requester that the request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// The request's `request_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The reason in an operator's record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// True for the first record after a repair.
    #[serde(default)]
    pub repaired: bool,
    /// Hash of the record before it. For the first record of a page, the page states it.
    #[serde(skip_deserializing)]
    pub previous: String,
    /// Hash of this record.
    #[serde(skip)]
    pub hash: Hash,
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

#[derive(Deserialize)]
struct Page<'a> {
    sequence: String,
    record: u64,
    previous: String,
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// Highest number of a page's first record. No service reaches it, and above it there is room to count the
/// records of the page and the record that follows.
const RECORD_MAX: u64 = i64::MAX.cast_unsigned();

/// Reads a page and returns its records, at least one. `None` when the bytes are not a page of this service.
pub fn decode(value: &[u8]) -> Option<Vec<Entry>> {
    let page: Page<'_> = serde_json::from_slice(value).ok()?;
    let mut before = from_hex(&page.previous)?;
    if !(1..=RECORD_MAX).contains(&page.record) {
        return None;
    }
    let mut entries = Vec::with_capacity(page.records.len());
    for (record, text) in (page.record..).zip(&page.records) {
        let mut entry: Entry = serde_json::from_str(text.get()).ok()?;
        let grant = entry.first.is_some() && entry.last.is_some() && entry.count.is_some();
        if grant != (entry.kind == Kind::Grant) {
            return None;
        }
        entry.sequence.clone_from(&page.sequence);
        entry.record = record;
        entry.previous = hex(&before);
        entry.hash = Hash::of(&before, text.get().as_bytes());
        before = entry.hash;
        entries.push(entry);
    }
    (!entries.is_empty()).then_some(entries)
}

/// Hashes records and drops them: for a repair, which folds records again that were written before.
#[derive(Debug, Default)]
pub struct Hashes(Vec<u8>);

impl Ledger for Hashes {
    fn write(&mut self, line: &Line<'_>) -> Hash {
        self.0.clear();
        encode(&mut self.0, line);
        Hash::of(&line.previous, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::definition::Definition;
    use crate::core::{Grant, Offset, Timestamp};

    pub(super) fn line(event: Event) -> Line<'static> {
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
        let plain = written(&line(granted(1)));
        assert_eq!(
            plain,
            r#"{"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,"timestamp":1700000000000}"#
        );
        assert_eq!(
            hex(&Hash::of(&Hash([0x5e; 32]), plain.as_bytes())),
            "06afd18d75b1fe28c2556b33aa8cc21c8f9bb6aada526b0838e903d7e10cdcea"
        );
        let full = Line {
            turn: 2,
            home_offset: Some(Offset(77)),
            requester: Some("a \"b\""),
            request_id: Some("6f1c"),
            reason: Some("why"),
            repaired: true,
            ..line(granted(-3))
        };
        assert_eq!(
            written(&full),
            r#"{"turn":2,"kind":"grant","first":41,"last":14,"count":10,"increment":-3,"partition":3,"offset":1234,"home_offset":77,"timestamp":1700000000000,"requester":"a \"b\"","request_id":"6f1c","reason":"why","repaired":true}"#
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
            r#"{"kind":"define","definition":{"start":1,"increment":1,"min":1,"max":9007199254740991,"at_end":"error","max_count":1000000,"audit":true,"remember":0},"next":7,"partition":3,"offset":1234,"timestamp":1700000000000}"#
        );
        let tail = r#""partition":3,"offset":1234,"timestamp":1700000000000}"#;
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
            assert_eq!(written(&line(event)), format!(r#"{{"kind":{said}{tail}"#));
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
        let mut lines = Lines::default();
        let hash = lines.write(&full);
        let second = Line {
            record: 13,
            previous: hash,
            ..full
        };
        let last = lines.write(&second);
        let pages = pages(&lines);
        let (key, page) = &pages[0];
        assert_eq!((key.as_str(), pages.len()), ("orders", 1));
        let entries = decode(page.as_bytes()).unwrap();
        assert_eq!(entries.len(), 2);
        let entry = &entries[0];
        assert_eq!(entry.sequence, "orders");
        assert_eq!((entry.record, entry.turn, entry.kind), (12, 2, Kind::Grant));
        assert_eq!((entry.first, entry.last), (Some(41), Some(59)));
        assert_eq!((entry.partition, entry.offset), (3, 1234));
        assert_eq!(entry.requester.as_deref(), Some("billing"));
        assert_eq!(entry.previous, hex(&full.previous));
        assert_eq!((entries[1].record, entries[1].hash), (13, last));
        assert_eq!(entries[1].previous, hex(&hash));
        let newer = page.replacen("{\"sequence\"", "{\"colour\":\"red\",\"sequence\"", 1);
        assert_eq!(decode(newer.as_bytes()), Some(entries));
        let wrong = [
            page.replacen("\"first\":41,", "", 1),
            page.replacen("5e5e", "5e", 1),
            page.replacen("5e5e", "5eg0", 1),
            page.replacen("\"previous\"", "\"next\"", 1),
            r#"{"sequence":"a","record":1,"previous":"","records":[]}"#.to_owned(),
            page.replacen("\"record\":12", "\"record\":18446744073709551615", 1),
            page.replacen("\"record\":12", "\"record\":0", 1),
        ];
        for wrong in wrong.iter().map(String::as_str).chain(["", "{}", "null"]) {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    /// The keys and the values of the pages.
    fn pages(lines: &Lines) -> Vec<(String, String)> {
        let mut pages = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        lines.each_page(|key, page| pages.push((text(key), text(page))));
        pages
    }
}
