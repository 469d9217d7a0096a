//! Bodies of replies: the expected body, and the body of an actual reply.
//!
//! An error's message may change with a release, so bodies are compared without it.

use std::borrow::Cow;

use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use super::code;
use super::grant::Grant;
use super::oracle::{Answer, Due};
use super::request::Unknown;
use super::rules::Note;

/// Appends the expected body of an answer, without an error's message. Appends nothing for an answer without a
/// reply.
pub(super) fn write(out: &mut Vec<u8>, answer: &Answer<'_>, partition: u32, offset: i64) {
    out.push(b'{');
    if let Some(name) = answer.name {
        field(out, "sequence", |out| text(out, name));
    }
    match &answer.due {
        Due::Granted(grant) | Due::Again(grant) => ids(out, *grant),
        Due::Described {
            rules,
            next,
            retired,
            changed,
        } => {
            let at_end = if rules.cycle { "cycle" } else { "error" };
            out.extend(
                format!(
                    "\"definition\":{{\"start\":{},\"increment\":{},\"min\":{},\"max\":{},\
                     \"at_end\":\"{at_end}\",\"max_count\":{},\"audit\":{},\"remember\":{}}},",
                    rules.start,
                    rules.increment,
                    rules.min,
                    rules.max,
                    rules.max_count,
                    rules.audit,
                    rules.remember
                )
                .bytes(),
            );
            if let Some(next) = next {
                number(out, "next", *next);
            }
            if *retired {
                out.extend(b"\"retired\":true,");
            }
            if let Some(note) = changed {
                last_change(out, note);
            }
        }
        Due::Policy(unknown) => {
            let refuse = *unknown == Unknown::Refuse;
            let word = if refuse { "refuse" } else { "create" };
            field(out, "undefined", |out| text(out, word));
            if *unknown == Unknown::Audit {
                out.extend(b"\"audit\":true,");
            }
        }
        Due::Refused(code) => {
            out.extend(b"\"error\":{\"code\":\"");
            out.extend(code.word().bytes());
            out.extend(b"\",\"message\":},");
        }
        Due::Split(list) => {
            let list = format!("{list:?}").replace(' ', "");
            out.extend(format!("\"partitions\":{list},").bytes());
        }
        Due::Stray { .. }
        | Due::Repeated
        | Due::Ordered
        | Due::Lost { .. }
        | Due::Unfit
        | Due::NoCut { .. }
        | Due::TooManyHops { .. }
        | Due::Broken { .. } => {}
    }
    if let Some(request_id) = &answer.request_id {
        field(out, "request_id", |out| text(out, request_id));
    }
    number(out, "partition", partition.into());
    number(out, "offset", offset);
    out.pop();
    out.push(b'}');
}

fn last_change(out: &mut Vec<u8>, note: &Note) {
    out.extend(b"\"changed\":{");
    let at = time(note.timestamp_ms);
    field(out, "op", |out| text(out, &note.op));
    field(out, "at", |out| text(out, &at));
    for (name, said) in [("requester", &note.requester), ("reason", &note.reason)] {
        if !said.is_empty() {
            field(out, name, |out| text(out, said));
        }
    }
    number(out, "offset", note.offset);
    out.pop();
    out.extend(b"},");
}

/// A time in UTC, to the millisecond. A negative one is none, and the calendar ends with the year 9999.
fn time(millis: i64) -> String {
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(time) if millis >= 0 => time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        _ => "unknown".to_owned(),
    }
}

fn ids(out: &mut Vec<u8>, grant: Grant) {
    number(out, "first", grant.first);
    number(out, "last", grant.last());
    number(out, "count", grant.count.cast_signed());
    if grant.increment != 1 {
        number(out, "increment", grant.increment);
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    out.extend(name.bytes());
    out.extend(b"\":");
    value(out);
    out.push(b',');
}

fn number(out: &mut Vec<u8>, name: &str, value: i64) {
    field(out, name, |out| {
        out.extend(itoa::Buffer::new().format(value).bytes());
    });
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail, and text is always JSON.
    let _ = serde_json::to_writer(out, text);
}

/// The hash by which bodies are compared. It has 64 bits, so two different bodies of one request count as equal
/// once in 10^19 times.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.digest()
}

/// The hash of a record's key. No key differs from an empty key.
pub(super) fn hash_of_key(key: Option<&[u8]>) -> u32 {
    let hash = key.map_or(0, |key| hash(&[key]).max(1));
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The content of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The partition of the record that the reply answers.
    pub partition: u32,
    pub offset: i64,
    /// The result in the reply.
    pub gives: Gives,
    /// Hash over the body without an error's message.
    pub hash: u64,
}

/// The result in a reply, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// IDs from the first to the last.
    Ids {
        first: i64,
        last: i64,
        increment: i64,
    },
    /// An error, by its index in the list of codes.
    Error(u8),
    /// Any other reply.
    Other,
}

#[derive(Deserialize)]
struct Reply<'a> {
    first: Option<i64>,
    last: Option<i64>,
    increment: Option<i64>,
    #[serde(borrow)]
    error: Option<Problem<'a>>,
    partition: u32,
    offset: i64,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

/// Reads a reply. None when the bytes are not a reply.
pub(super) fn read(body: &[u8]) -> Option<Said> {
    let Reply {
        first,
        last,
        increment,
        error,
        partition,
        offset,
    } = serde_json::from_slice(body).ok()?;
    let hash = match without_message(body).filter(|_| error.is_some()) {
        Some((before, after)) => hash(&[before, after]),
        None => hash(&[body]),
    };
    let gives = match (first.zip(last), error) {
        (Some((first, last)), None) => Gives::Ids {
            first,
            last,
            increment: increment.unwrap_or(1),
        },
        (None, Some(error)) => Gives::Error(code::number_of(&error.code)),
        _ => Gives::Other,
    };
    Some(Said {
        partition,
        offset,
        gives,
        hash,
    })
}

/// The parts before and after an error's message and its quotes. The words that are searched hold quotes, so
/// they cannot occur inside a text.
fn without_message(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let error = find(body, b"\"error\":{\"code\":\"")?;
    let begin = error + find(&body[error..], MESSAGE)? + MESSAGE.len();
    let mut escaped = false;
    let length = body[begin + 1..].iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    (body.get(begin) == Some(&b'"')).then(|| (&body[..begin], &body[begin + length + 2..]))
}

const MESSAGE: &[u8] = b",\"message\":";

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::super::code::Code;
    use super::super::rules::Rules;
    use super::*;

    fn body(due: Due, request_id: Option<&str>) -> String {
        let answer = Answer {
            name: Some("orders"),
            request_id: request_id.map(str::to_owned),
            link: None,
            due,
        };
        let mut out = Vec::new();
        write(&mut out, &answer, 3, 1234);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bodies_are_those_of_the_contract() {
        let grant = Grant {
            first: 41,
            count: 10,
            increment: 1,
        };
        let ids = r#"{"sequence":"orders","first":41,"last":50,"count":10,"request_id":"6f1c","partition":3,"offset":1234}"#;
        assert_eq!(body(Due::Granted(grant), Some("6f1c")), ids);
        let expected = hash(&[ids.as_bytes()]);
        let said = read(ids.as_bytes()).unwrap();
        assert_eq!(
            (said.partition, said.offset, said.hash),
            (3, 1234, expected)
        );
        let gives = Gives::Ids {
            first: 41,
            last: 50,
            increment: 1,
        };
        assert_eq!(said.gives, gives);
    }

    #[test]
    fn a_description_has_the_last_change_with_its_time() {
        let described = |changed| {
            let rules = Rules::UNDEFINED;
            let (next, retired) = (Some(7), true);
            let due = Due::Described {
                rules,
                next,
                retired,
                changed,
            };
            body(due, None)
        };
        let rules = r#""definition":{"start":1,"increment":1,"min":1,"max":9007199254740991,"at_end":"error","max_count":1000000,"audit":false,"remember":0},"next":7,"retired":true"#;
        let shown = |changed: &str| {
            format!(r#"{{"sequence":"orders",{rules}{changed},"partition":3,"offset":1234}}"#)
        };
        assert_eq!(described(None), shown(""));
        let mut note = Note {
            op: "retire".into(),
            requester: "ops".into(),
            reason: "".into(),
            offset: 8,
            timestamp_ms: 951_782_400_007,
        };
        let changed = |at: &str| {
            shown(&format!(
                r#","changed":{{"op":"retire","at":"{at}","requester":"ops","offset":8}}"#
            ))
        };
        assert_eq!(
            described(Some(Box::new(note.clone()))),
            changed("2000-02-29T00:00:00.007Z")
        );
        for none in [-1, i64::MAX] {
            note.timestamp_ms = none;
            assert_eq!(described(Some(Box::new(note.clone()))), changed("unknown"));
        }
    }

    #[test]
    fn of_an_error_only_the_message_may_differ() {
        let expected = body(Due::Refused(Code::InvalidCount), Some("\"message\":\""));
        let reply = |code: &str, message: &str| {
            let error = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
            let rest = r#""request_id":"\"message\":\"","partition":3,"offset":1234}"#;
            read(format!(r#"{{"sequence":"orders","error":{error},{rest}"#).as_bytes()).unwrap()
        };
        let hash = hash(&[expected.as_bytes()]);
        assert_eq!(reply("invalid_count", "got 0").hash, hash);
        assert_eq!(reply("invalid_count", r#"got \"\\"#).hash, hash);
        assert_ne!(reply("retired", "got 0").hash, hash);
        assert_eq!(
            reply("retired", "").gives,
            Gives::Error(Code::Retired.number())
        );
    }

    #[test]
    fn what_names_no_record_is_no_reply() {
        assert_eq!(read(b"{\"first\":1,\"last\":1}"), None);
        assert_eq!(read(b"hello"), None);
    }
}
