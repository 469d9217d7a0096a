//! A reply's body: compact JSON, fields in a fixed order, absent ones left out (I3).
//!
//! This is written by hand instead of with a serialiser: the order of the fields is the contract, and this code
//! runs for every request.

use std::ops::Range;

use crate::core::command::Undefined;
use crate::core::definition::Definition;
use crate::core::fold::{Description, Note};
use crate::core::{Answer, Code, Homes, Name, Offset, Rejection};
use crate::wire::time;

/// The fields of a reply besides the answer.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of the sequence. An invalid name is not repeated.
    pub name: Option<Name<'a>>,
    /// The client's `request_id`, if the request has a valid one.
    pub request_id: Option<&'a str>,
    /// Partition of the record that the client wrote.
    pub partition: i32,
    /// Offset of the record that the client wrote.
    pub offset: Offset,
}

/// Most bytes of a reply's body. The answer to `describe` is the largest: `request_id`, requester and reason have
/// up to 255 bytes, and JSON writes a control character as six. The name has no control characters, so JSON at
/// most doubles it. Numbers and field names take the rest. The check of the reply topics counts on this limit.
pub const BODY_BYTES_MAX: usize = 6 * 1024;

/// Appends a reply's body to `out`. Returns the range of the error object, if the reply has one.
pub fn encode(out: &mut Vec<u8>, subject: Subject<'_>, answer: &Answer) -> Option<Range<usize>> {
    let mut at = None;
    out.push(b'{');
    if let Some(name) = subject.name {
        out.extend_from_slice(b"\"sequence\":");
        text(out, name.as_str());
        out.push(b',');
    }
    match answer {
        Answer::Granted(grant) | Answer::Again(grant) => {
            number(out, b"\"first\":", grant.first);
            number(out, b",\"last\":", grant.last);
            number(out, b",\"count\":", grant.count);
            if grant.increment != 1 {
                number(out, b",\"increment\":", grant.increment);
            }
        }
        Answer::Described {
            description,
            changed,
        } => {
            describe(out, description);
            if let Some(note) = changed {
                self::changed(out, note);
            }
        }
        Answer::Policy(undefined) => {
            out.extend_from_slice(b"\"undefined\":");
            text(out, undefined.as_str());
            if *undefined == Undefined::CreateAudited {
                out.extend_from_slice(b",\"audit\":true");
            }
        }
        Answer::Rescaled(rescaled) => {
            let homes = rescaled.reply.unwrap_or(Homes::first(1));
            out.extend_from_slice(b"\"partitions\":[");
            for (epoch, n) in homes.counts().enumerate() {
                number(out, if epoch > 0 { b"," } else { b"" }, n);
            }
            out.push(b']');
        }
        // These have no reply: the first is forwarded, the second has been answered, the others halt.
        Answer::Stray { .. }
        | Answer::Repeated
        | Answer::TooManyHops { .. }
        | Answer::Adopts { .. }
        | Answer::Unfit { .. }
        | Answer::Broken { .. } => {}
        Answer::Rejected(rejection) => at = Some(error(out, rejection)),
    }
    if let Some(request_id) = subject.request_id {
        out.extend_from_slice(b",\"request_id\":");
        text(out, request_id);
    }
    number(out, b",\"partition\":", subject.partition);
    number(out, b",\"offset\":", subject.offset.0);
    out.push(b'}');
    at
}

fn describe(out: &mut Vec<u8>, description: &Description) {
    let Description {
        definition,
        next,
        retired,
    } = description;
    self::definition(out, definition);
    if let Some(next) = next {
        number(out, b",\"next\":", *next);
    }
    if *retired {
        out.extend_from_slice(b",\"retired\":true");
    }
}

/// Appends the last change as a JSON field, with the names that `sequencer inspect --json` has for it.
fn changed(out: &mut Vec<u8>, note: &Note) {
    let Note {
        op,
        requester,
        reason,
        offset,
        timestamp,
    } = note;
    out.extend_from_slice(b",\"changed\":{\"op\":");
    text(out, op);
    out.extend_from_slice(b",\"at\":");
    text(out, &time::of_millis(timestamp.0));
    for (field, said) in [
        (&b",\"requester\":"[..], requester),
        (b",\"reason\":", reason),
    ] {
        // An empty text stands for a record without the field.
        if !said.is_empty() {
            out.extend_from_slice(field);
            text(out, said);
        }
    }
    number(out, b",\"offset\":", offset.0);
    out.push(b'}');
}

/// Appends a definition as a JSON field.
pub(super) fn definition(out: &mut Vec<u8>, definition: &Definition) {
    let Definition {
        start,
        increment,
        min,
        max,
        at_end,
        max_count,
        audit,
        remember,
    } = definition;
    number(out, b"\"definition\":{\"start\":", *start);
    number(out, b",\"increment\":", *increment);
    number(out, b",\"min\":", *min);
    number(out, b",\"max\":", *max);
    out.extend_from_slice(b",\"at_end\":");
    text(out, at_end.as_str());
    number(out, b",\"max_count\":", *max_count);
    let audit: &[u8] = if *audit { b"true" } else { b"false" };
    out.extend_from_slice(b",\"audit\":");
    out.extend_from_slice(audit);
    number(out, b",\"remember\":", *remember);
    out.push(b'}');
}

fn error(out: &mut Vec<u8>, rejection: &Rejection) -> Range<usize> {
    let Rejection { code, message } = rejection;
    out.extend_from_slice(b"\"error\":");
    let start = out.len();
    out.extend_from_slice(b"{\"code\":\"");
    out.extend_from_slice(Code::as_str(*code).as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    text(out, message);
    out.push(b'}');
    start..out.len()
}

pub(super) fn number(out: &mut Vec<u8>, field: &[u8], value: impl itoa::Integer) {
    out.extend_from_slice(field);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a JSON string in UTF-8. Only what JSON requires is escaped.
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = value.as_bytes();
    let plain = |byte: &u8| !matches!(byte, 0..=0x1f | b'"' | b'\\');
    if bytes.iter().all(plain) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut copied = 0;
    for (i, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..i]);
        copied = i + 1;
        if short == 0 {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::limits::{NAME_BYTES_MAX, TEXT_FIELD_BYTES_MAX};
    use crate::core::{Grant, Timestamp};

    fn body(name: Option<&str>, request_id: Option<&str>, answer: &Answer) -> String {
        let mut out = Vec::new();
        let name = name.map(|n| Name::from_key(Some(n.as_bytes())).unwrap());
        let subject = Subject {
            name,
            request_id,
            partition: 3,
            offset: Offset(1234),
        };
        encode(&mut out, subject, answer);
        String::from_utf8(out).unwrap()
    }

    fn granted() -> Answer {
        Answer::Granted(Grant {
            first: 41,
            last: 50,
            count: 10,
            increment: 1,
        })
    }

    #[test]
    fn the_bytes_are_those_of_the_contract() {
        assert_eq!(
            body(Some("orders"), Some("6f1c"), &granted()),
            r#"{"sequence":"orders","first":41,"last":50,"count":10,"request_id":"6f1c","partition":3,"offset":1234}"#
        );
        assert_eq!(
            body(Some("orders"), None, &granted()),
            r#"{"sequence":"orders","first":41,"last":50,"count":10,"partition":3,"offset":1234}"#
        );
        let rejected = Answer::Rejected(Rejection::new(
            Code::InvalidCount,
            "count must be 1 to 1000000, got 0",
        ));
        assert_eq!(
            body(Some("orders"), Some("6f1c"), &rejected),
            r#"{"sequence":"orders","error":{"code":"invalid_count","message":"count must be 1 to 1000000, got 0"},"request_id":"6f1c","partition":3,"offset":1234}"#
        );
        assert!(body(None, None, &rejected).starts_with(r#"{"error":{"code""#));
        assert!(body(Some("счёт\"\\"), None, &granted()).starts_with(r#"{"sequence":"счёт\"\\","#));
    }

    fn described(note: Option<Note>) -> Answer {
        Answer::Described {
            description: Box::new(Description {
                definition: Definition::DEFAULT,
                next: Some(5000),
                retired: false,
            }),
            changed: note.map(Box::new),
        }
    }

    #[test]
    fn a_description_says_who_changed_the_sequence_when_and_why() {
        let rules = r#""definition":{"start":1,"increment":1,"min":1,"max":9007199254740991,"at_end":"error","max_count":1000000,"audit":false,"remember":0},"next":5000"#;
        let shown = |changed: &str| {
            format!(r#"{{"sequence":"orders",{rules}{changed},"partition":3,"offset":1234}}"#)
        };
        assert_eq!(body(Some("orders"), None, &described(None)), shown(""));
        let mut note = Note {
            op: "set_next".into(),
            requester: "maria@ops".into(),
            reason: "a \"new\" year".into(),
            offset: Offset(7),
            timestamp: Timestamp(1_700_000_000_123),
        };
        assert_eq!(
            body(Some("orders"), None, &described(Some(note.clone()))),
            shown(
                r#","changed":{"op":"set_next","at":"2023-11-14T22:13:20.123Z","requester":"maria@ops","reason":"a \"new\" year","offset":7}"#
            )
        );
        (note.requester, note.reason) = ("".into(), "".into());
        assert_eq!(
            body(Some("orders"), None, &described(Some(note))),
            shown(r#","changed":{"op":"set_next","at":"2023-11-14T22:13:20.123Z","offset":7}"#)
        );
    }

    #[test]
    fn the_largest_body_is_below_its_limit() {
        let text = "\u{1}".repeat(TEXT_FIELD_BYTES_MAX);
        let name = "\"".repeat(NAME_BYTES_MAX);
        let definition = Definition {
            start: -i64::MAX,
            increment: -i64::MAX,
            min: -i64::MAX,
            max: -i64::MAX,
            ..Definition::DEFAULT
        };
        let answer = Answer::Described {
            description: Box::new(Description {
                definition,
                next: Some(-i64::MAX),
                retired: true,
            }),
            changed: Some(Box::new(Note {
                op: "set_next".into(),
                requester: text.as_str().into(),
                reason: text.as_str().into(),
                offset: Offset(i64::MAX),
                timestamp: Timestamp(1_700_000_000_123),
            })),
        };
        let bytes = body(Some(&name), Some(&text), &answer).len();
        assert!(
            (BODY_BYTES_MAX / 2..BODY_BYTES_MAX).contains(&bytes),
            "{bytes}"
        );
    }

    proptest! {
        #[test]
        fn strings_are_written_as_the_json_library_writes_them(value in any::<String>()) {
            let mut out = Vec::new();
            text(&mut out, &value);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
        }
    }
}
