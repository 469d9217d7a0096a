//! Mutations: some of bytes, most of what keys, values and headers are made of.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::input::{Input, Record};

/// Records of an input at most: enough for a repeated `request_id`, a chain and a definition.
const RECORDS_MAX: usize = 8;
/// Headers of a record at most.
const HEADERS_MAX: usize = 12;
/// Bytes of a field at most: above every limit of the contract.
const FIELD_BYTES_MAX: usize = 80 * 1024;

/// Lengths on both sides of every limit.
const LENGTHS: [usize; 16] = [
    0, 1, 4, 16, 17, 249, 250, 255, 256, 4_096, 4_097, 64, 65, 65_535, 65_536, 65_537,
];

const NAMES: [&str; 16] = [
    "sequencer-request-id",
    "sequencer-forwarded",
    "sequencer-undelivered",
    "kafka_correlationId",
    "kafka_replyTopic",
    "kafka_replyPartition",
    "kafka_nest-err",
    "kafka_nest-is-disposed",
    "REPLY_CORRELATION_ID",
    "REPLY_TOPIC",
    "REPLY_PARTITION",
    "correlation_id",
    "reply_to",
    "traceparent",
    "tracestate",
    "mine",
];

const WORDS: [&[u8]; 44] = [
    b"",
    b"null",
    b"0",
    b"-1",
    b"1",
    b"5",
    b"1000000",
    b"1000001",
    b"9007199254740991",
    b"9223372036854775807",
    b"-9223372036854775807",
    b"-9223372036854775808",
    b"99999999999999999999",
    b"1e400",
    b"5.0",
    b"true",
    b"false",
    b"[]",
    b"{}",
    b"\"\"",
    b"\"5\"",
    b"\"\\ud800\"",
    b"\"\\u0000\"",
    b"\"next\"",
    b"\"define\"",
    b"\"set_next\"",
    b"\"describe\"",
    b"\"retire\"",
    b"\"policy\"",
    b"\"error\"",
    b"\"cycle\"",
    b"\"create\"",
    b"\"refuse\"",
    b"orders",
    b"__policy",
    b"a.reply",
    b"replies",
    b"requests",
    b"__consumer_offsets",
    b"..",
    b"\x00\x00\x00\x01",
    b"\xff",
    b"1:0:2.5:-1.-1:1.5:1:TAG",
    b"1:0:2.9:2.5:3.7:2:TAG",
];

const FIELDS: [&str; 17] = [
    "op",
    "count",
    "request_id",
    "requester",
    "start",
    "increment",
    "min",
    "max",
    "at_end",
    "max_count",
    "audit",
    "remember",
    "next",
    "force",
    "reason",
    "undefined",
    "cuont",
];

/// One change. What each part means depends on the kind.
#[derive(Clone, Debug)]
pub struct Mutation {
    kind: u8,
    record: Index,
    part: Index,
    place: Index,
    word: Index,
    bytes: Vec<u8>,
}

const KINDS: u8 = 18;

/// Changes of one input.
pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let parts = (0..KINDS, any::<[Index; 4]>(), vec(any::<u8>(), 0..6));
    let mutation = parts.prop_map(|(kind, [record, part, place, word], bytes)| Mutation {
        kind,
        record,
        part,
        place,
        word,
        bytes,
    });
    vec(mutation, 0..7)
}

impl Mutation {
    /// Changes an input; `pool` are others to take from.
    pub fn apply(&self, input: &mut Input, pool: &[Input]) {
        match self.kind {
            0 => return self.take_record(input, pool),
            1 if input.records.len() < RECORDS_MAX && !input.records.is_empty() => {
                let again = self.record.get(&input.records).clone();
                return input.records.push(again);
            }
            2 if input.records.len() > 1 => {
                let at = self.record.index(input.records.len());
                input.records.remove(at);
                return;
            }
            _ => {}
        }
        if input.records.is_empty() {
            return input.records.push(Record::default());
        }
        let at = self.record.index(input.records.len());
        let record = &mut input.records[at];
        match self.kind {
            3 => record.key = None,
            4 => record.value = None,
            5 => self.add_header(record, self.word().to_vec()),
            6 => self.add_header(record, self.bytes.clone()),
            7 => self.header(record, |headers, at| drop(headers.remove(at))),
            8 => self.header(record, |headers, at| headers[at].1 = None),
            9 => self.header(record, |headers, at| {
                let again = headers[at].clone();
                if headers.len() < HEADERS_MAX {
                    headers.push(again);
                }
            }),
            10 | 11 => self.json_field(record),
            12 => self.part(record, |bytes| *bytes = self.word().to_vec()),
            13 => self.part(record, |bytes| {
                let byte = self.bytes.first().copied().unwrap_or(b'x');
                *bytes = vec![byte; *self.word.get(&LENGTHS)];
            }),
            14 => self.part(record, |bytes| {
                if !bytes.is_empty() {
                    let at = self.place.index(bytes.len());
                    bytes[at] ^= 1 << self.word.index(8);
                }
            }),
            15 => self.part(record, |bytes| {
                let at = self.place.index(bytes.len() + 1);
                let end = bytes.len().min(at + self.bytes.len());
                bytes.drain(at..end);
            }),
            16 => self.part(record, |bytes| self.insert(bytes, self.word())),
            _ => self.part(record, |bytes| self.insert(bytes, &self.bytes)),
        }
    }

    fn word(&self) -> &'static [u8] {
        WORDS[self.word.index(WORDS.len())]
    }

    fn insert(&self, into: &mut Vec<u8>, new: &[u8]) {
        if into.len() + new.len() <= FIELD_BYTES_MAX {
            let at = self.place.index(into.len() + 1);
            into.splice(at..at, new.iter().copied());
        }
    }

    fn take_record(&self, input: &mut Input, pool: &[Input]) {
        if pool.is_empty() || input.records.len() >= RECORDS_MAX {
            return;
        }
        let other = self.place.get(pool);
        if !other.records.is_empty() {
            let at = self.part.index(input.records.len() + 1);
            let taken = self.record.get(&other.records).clone();
            input.records.insert(at, taken);
        }
    }

    fn add_header(&self, record: &mut Record, value: Vec<u8>) {
        if record.headers.len() < HEADERS_MAX {
            let name = self.place.get(&NAMES).as_bytes().to_vec();
            record.headers.push((name, Some(value)));
        }
    }

    fn header(
        &self,
        record: &mut Record,
        change: impl FnOnce(&mut Vec<crate::input::Header>, usize),
    ) {
        if !record.headers.is_empty() {
            let at = self.part.index(record.headers.len());
            change(&mut record.headers, at);
        }
    }

    /// One of key, value, header names and header values.
    fn part(&self, record: &mut Record, change: impl FnOnce(&mut Vec<u8>)) {
        let at = self.part.index(2 + 2 * record.headers.len());
        change(match at {
            0 => record.key.get_or_insert_default(),
            1 => record.value.get_or_insert_default(),
            _ => {
                let (name, value) = &mut record.headers[(at - 2) / 2];
                if at.is_multiple_of(2) {
                    value.get_or_insert_default()
                } else {
                    name
                }
            }
        });
    }

    /// Puts a field into the value's object, or makes it one.
    fn json_field(&self, record: &mut Record) {
        let field = self.part.get(&FIELDS);
        let value = record.value.get_or_insert_default();
        let word = self.word();
        let word = if word.is_empty() { b"null" } else { word };
        let mut text = format!("\"{field}\":").into_bytes();
        text.extend_from_slice(word);
        match value.as_slice() {
            [b'{', b'}', ..] | [] => {}
            [b'{', ..] => text.push(b','),
            _ => value.clear(),
        }
        if value.is_empty() {
            value.extend_from_slice(b"{}");
        }
        if value.len() + text.len() <= FIELD_BYTES_MAX {
            value.splice(1..1, text);
        }
    }
}
