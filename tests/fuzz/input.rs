//! An input: a short log, and its text in the corpus.
//!
//! ```text
//! # a comment
//! key "orders"
//! value "{\"count\":5}"
//! header "kafka_replyTopic" "a.reply"
//! header "x"                              a header with a null value
//!
//! key "k"*256                             the next record; a record without a value
//! ```

use std::fmt;

use sequencer::core::link::{Link, LinkKey};

/// Key of the tags in the harness.
pub const LINK_KEY: LinkKey = LinkKey([7; 32]);

/// The header of a stray's link.
pub const FORWARDED: &[u8] = b"sequencer-forwarded";

/// The partition that the log of an input is.
pub const HERE: u32 = 0;

/// Stands for a link's tag in a corpus, since no mutation could hit the right one.
const TAG: &str = "TAG";

/// One header.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

impl Record {
    /// The last header of a name; null counts as absent.
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.headers.iter().rev().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_deref())
    }

    /// Key, value and the headers' values, by number.
    fn field(&mut self, number: usize) -> &mut Option<Vec<u8>> {
        match number {
            0 => &mut self.key,
            1 => &mut self.value,
            _ => &mut self.headers[number - 2].1,
        }
    }

    /// With the tag that is right in this partition instead of [`TAG`].
    pub fn tagged(mut self, partition: u32) -> Record {
        for (name, value) in &mut self.headers {
            if name == FORWARDED
                && let Some(link) = value.as_deref().and_then(untagged)
            {
                let key = self.key.as_deref().unwrap_or_default();
                let header = link.header(&LINK_KEY, partition, key, self.value.as_deref());
                *value = Some(header.into_bytes());
            }
        }
        self
    }

    /// The link, when its tag is right in this partition.
    pub fn link(&self, partition: u32) -> Option<Link> {
        let (header, key) = (self.header(FORWARDED)?, self.key.as_deref()?);
        Link::verified(header, &LINK_KEY, partition, key, self.value.as_deref())
    }
}

fn halve(field: &mut Option<Vec<u8>>, front: bool) {
    if let Some(bytes) = field {
        let back = bytes.split_off(bytes.len().div_ceil(2));
        if !front {
            *bytes = back;
        }
    }
}

fn untagged(header: &[u8]) -> Option<Link> {
    let (link, tag) = Link::read(std::str::from_utf8(header).ok()?)?;
    (tag == TAG).then_some(link)
}

/// A log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    pub records: Vec<Record>,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, record) in self.records.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match &record.key {
                Some(key) => writeln!(f, "key {}", quoted(key))?,
                None => writeln!(f, "no key")?,
            }
            if let Some(value) = &record.value {
                writeln!(f, "value {}", quoted(value))?;
            }
            for (name, value) in &record.headers {
                write!(f, "header {}", quoted(name))?;
                if let Some(value) = value {
                    write!(f, " {}", quoted(value))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

impl Input {
    /// Each input that lacks one part of this one, or half of a part.
    pub fn smaller(&self) -> Vec<Input> {
        let mut all = Vec::new();
        let mut push = |change: &mut dyn FnMut(&mut Input)| {
            let mut smaller = self.clone();
            change(&mut smaller);
            if smaller != *self {
                all.push(smaller);
            }
        };
        for index in 0..self.records.len() {
            push(&mut |input| drop(input.records.remove(index)));
        }
        for (index, record) in self.records.iter().enumerate() {
            push(&mut |input| input.records[index].value = None);
            for header in 0..record.headers.len() {
                push(&mut |input| drop(input.records[index].headers.remove(header)));
            }
            for field in 0..2 + record.headers.len() {
                push(&mut |input| halve(input.records[index].field(field), true));
                push(&mut |input| halve(input.records[index].field(field), false));
            }
        }
        all
    }

    /// Bytes of all its fields.
    pub fn bytes(&self) -> usize {
        let length = |field: &Option<Vec<u8>>| field.as_ref().map_or(0, Vec::len);
        let header = |(name, value): &Header| name.len() + length(value);
        let record = |record: &Record| {
            let headers: usize = record.headers.iter().map(header).sum();
            length(&record.key) + length(&record.value) + headers
        };
        self.records.iter().map(record).sum()
    }
}

/// A longer run of one byte is written as that byte and a number.
const RUN_MIN: usize = 32;

fn quoted(bytes: &[u8]) -> String {
    match bytes.first() {
        Some(first) if bytes.len() >= RUN_MIN && bytes.iter().all(|byte| byte == first) => {
            format!("\"{}\"*{}", [*first].escape_ascii(), bytes.len())
        }
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

impl Input {
    /// Reads the text of a corpus file.
    pub fn parse(text: &str) -> Result<Input, String> {
        let mut input = Input::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let wrong = || format!("not understood: {line}");
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, input.records.last_mut()) {
                ("", _) => {}
                ("key", _) => input.records.push(Record {
                    key: Some(unquoted(rest).ok_or_else(wrong)?.0),
                    ..Record::default()
                }),
                ("no", _) if rest == "key" => input.records.push(Record::default()),
                ("value", Some(record)) => {
                    record.value = Some(unquoted(rest).ok_or_else(wrong)?.0);
                }
                ("header", Some(record)) => {
                    let (name, rest) = unquoted(rest).ok_or_else(wrong)?;
                    let value = match rest.trim() {
                        "" => None,
                        rest => Some(unquoted(rest).ok_or_else(wrong)?.0),
                    };
                    record.headers.push((name, value));
                }
                _ => return Err(wrong()),
            }
        }
        Ok(input)
    }
}

/// A quoted text at the beginning, and what follows it.
fn unquoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    loop {
        let mut chars = rest.chars();
        match chars.next()? {
            '"' => break,
            '\\' => match chars.next()? {
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                'x' => {
                    let digits = chars.as_str().get(..2)?;
                    bytes.push(u8::from_str_radix(digits, 16).ok()?);
                    chars = chars.as_str().get(2..)?.chars();
                }
                other => bytes.push(u8::try_from(other).ok()?),
            },
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = chars.as_str();
    }
    let rest = rest.strip_prefix('"')?;
    let Some(times) = rest.strip_prefix('*') else {
        return Some((bytes, rest));
    };
    let end = times.find(' ').unwrap_or(times.len());
    let (times, rest) = times.split_at(end);
    Some((bytes.repeat(times.parse().ok()?), rest))
}
