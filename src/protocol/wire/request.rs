//! Decodes a request record's key, value and `request_id` header to a [`Request`].
//!
//! A client's mistake is never an error of the service. An invalid request becomes a [`Rejection`] inside the
//! request, and is folded and answered like any other record (I4). The meaning of a record depends on its bytes
//! alone.

mod body;
mod operation;
mod plain;
mod scalar;

use std::borrow::Cow;

use crate::core::command::Action;
use crate::core::limits::{COUNT_DEFAULT_MAX, COUNT_MAX, TEXT_FIELD_BYTES_MAX, VALUE_BYTES_MAX};
use crate::core::name::POLICY;
use crate::core::rejection::{Code, Rejection, echo};
use crate::core::{Command, Name, Request};

use body::{Body, Fields};
use plain::Plain;
use scalar::Scalar;

pub use operation::fields_of;

/// The value of a request that only asks for the state of a sequence.
pub const DESCRIBE: &[u8] = br#"{"op":"describe"}"#;

/// Decodes a request record. `header`: the value of [`super::headers::REQUEST_ID`].
pub fn decode<'a>(
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header: Option<&'a [u8]>,
) -> Request<'a> {
    let Decoded {
        mut command,
        mut request_id,
        requester,
    } = decode_value(value.unwrap_or_default());
    if let Some(header) = header {
        match merge(request_id.as_deref(), header) {
            Ok(Some(id)) => request_id = Some(Cow::Borrowed(id)),
            Ok(None) => {}
            Err(rejection) => {
                request_id = None;
                command = command.and(Err(rejection));
            }
        }
    }
    let action = match &command {
        Ok(Command::Operator(operation)) => Some(operation.action),
        _ => None,
    };
    let name = Name::from_key(key).and_then(|name| match (name.is_policy(), action) {
        (true, Some(Action::Policy(_) | Action::Describe)) => Ok(name),
        (true, _) if command.is_ok() => Err(Rejection::new(
            Code::InvalidName,
            format!("the name {POLICY:?} is reserved for policy records"),
        )),
        (false, Some(Action::Policy(_))) => Err(Rejection::new(
            Code::InvalidName,
            format!("a policy record has the key {POLICY:?}"),
        )),
        _ => Ok(name),
    });
    Request {
        name,
        command,
        request_id,
        requester,
    }
}

/// The `request_id` from the header, when the value has none.
fn merge<'a>(value: Option<&str>, header: &'a [u8]) -> Result<Option<&'a str>, Rejection> {
    let name = super::headers::REQUEST_ID;
    if !(1..=TEXT_FIELD_BYTES_MAX).contains(&header.len()) {
        return Err(Rejection::new(
            Code::InvalidRequestId,
            format!(
                "header {name} must be 1 to {TEXT_FIELD_BYTES_MAX} bytes, got {}",
                header.len()
            ),
        ));
    }
    let Ok(header) = std::str::from_utf8(header) else {
        let message = format!("header {name} must be valid UTF-8");
        return Err(Rejection::new(Code::InvalidRequestId, message));
    };
    match value {
        None => Ok(Some(header)),
        Some(value) if value == header => Ok(None),
        Some(value) => Err(Rejection::new(
            Code::RequestIdConflict,
            format!(
                "request_id is {} in the value and {} in header {name}",
                echo(value),
                echo(header)
            ),
        )),
    }
}

/// The parsed content of a value.
#[derive(Debug, PartialEq)]
struct Decoded<'a> {
    command: Result<Command<'a>, Rejection>,
    request_id: Option<Cow<'a, str>>,
    /// The requester of a request for IDs.
    requester: Option<Cow<'a, str>>,
}

impl<'a> From<Result<Command<'a>, Rejection>> for Decoded<'a> {
    fn from(command: Result<Command<'a>, Rejection>) -> Decoded<'a> {
        Decoded {
            command,
            request_id: None,
            requester: None,
        }
    }
}

fn decode_value(value: &[u8]) -> Decoded<'_> {
    if value.is_empty() {
        return Ok(Command::Next { count: 1 }).into();
    }
    if value.len() > VALUE_BYTES_MAX {
        let message = format!(
            "the value must be at most {VALUE_BYTES_MAX} bytes, got {}",
            value.len()
        );
        return Err(Rejection::new(Code::RequestTooLarge, message)).into();
    }
    plain::read(value).map_or_else(|| decode_json(value), decode_plain)
}

fn decode_plain(plain: Plain<'_>) -> Decoded<'_> {
    // The bytes are printable ASCII.
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
    Decoded {
        command: Ok(Command::Next {
            count: plain.count.unwrap_or(1),
        }),
        request_id: plain.request_id.and_then(text),
        requester: plain.requester.and_then(text),
    }
}

fn decode_json(value: &[u8]) -> Decoded<'_> {
    // The JSON reader takes `-0` for a fraction, and refuses numbers that a float cannot hold.
    if let Some(digits) = integer_digits(value)
        && (digits == b"0" || digits.len() > INTEGER_DIGITS_MAX)
    {
        let got = match digits {
            b"0" => "0".to_owned(),
            long => format!("an integer of {} digits", long.len()),
        };
        let message = out_of_range(&got);
        return Err(Rejection::new(Code::InvalidCount, message)).into();
    }
    match serde_json::from_slice::<Body<'_>>(value) {
        Ok(Body::Absent) => Ok(Command::Next { count: 1 }).into(),
        Ok(Body::Scalar(scalar)) => bare(&scalar).into(),
        Ok(Body::Fields(fields)) => object(*fields),
        Err(error) => Err(malformed(format!("the value is not valid JSON: {error}"))).into(),
    }
}

/// Most digits of a bare integer that the JSON reader can report: a float holds up to 308.
const INTEGER_DIGITS_MAX: usize = 308;

/// The digits of a value that consists of a JSON integer only.
fn integer_digits(value: &[u8]) -> Option<&[u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let begin = value.iter().position(|byte| !blank(byte))?;
    let end = value.iter().rposition(|byte| !blank(byte))?;
    let text = value.get(begin..=end)?;
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits.iter().all(u8::is_ascii_digit) && !digits.is_empty();
    (whole && (digits[0] != b'0' || digits.len() == 1)).then_some(digits)
}

fn malformed(message: String) -> Rejection {
    Rejection::new(Code::MalformedRequest, message)
}

fn bare(scalar: &Scalar<'_>) -> Result<Command<'static>, Rejection> {
    match scalar {
        Scalar::Integer(_) | Scalar::Huge(_) => Ok(Command::Next {
            count: count(scalar)?,
        }),
        other => Err(malformed(format!(
            "the value must be empty, an integer or a JSON object, got {other}"
        ))),
    }
}

fn object(mut fields: Fields<'_>) -> Decoded<'_> {
    let request_id = fields.take("request_id");
    let request_id = match text("request_id", Code::InvalidRequestId, request_id) {
        Ok(request_id) => request_id,
        Err(rejection) => return Err(fields.problem.unwrap_or(rejection)).into(),
    };
    let mut requester = None;
    let command = match fields.problem.take() {
        Some(problem) => Err(problem),
        None => operation::command(fields, &mut requester),
    };
    Decoded {
        command,
        request_id,
        requester,
    }
}

/// Which definition counts is not known here. Most sequences have none.
fn out_of_range(got: &dyn std::fmt::Display) -> String {
    format!(
        "count must be 1 to {COUNT_DEFAULT_MAX}, or to the max_count of the sequence, got {got}"
    )
}

fn count(scalar: &Scalar<'_>) -> Result<u64, Rejection> {
    match scalar {
        Scalar::Integer(count) => u64::try_from(*count)
            .ok()
            .filter(|count| (1..=COUNT_MAX).contains(count))
            .ok_or_else(|| Rejection::new(Code::InvalidCount, out_of_range(count))),
        Scalar::Huge(number) => Err(Rejection::new(
            Code::InvalidCount,
            out_of_range(&format_args!("{number:e}")),
        )),
        other => Err(malformed(format!("count must be an integer, got {other}"))),
    }
}

fn text<'a>(
    field: &str,
    limit: Code,
    scalar: Option<Scalar<'a>>,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    match scalar {
        None => Ok(None),
        Some(Scalar::Text(text)) if (1..=TEXT_FIELD_BYTES_MAX).contains(&text.len()) => {
            Ok(Some(text))
        }
        Some(Scalar::Text(text)) => Err(Rejection::new(
            limit,
            format!(
                "{field} must be 1 to {TEXT_FIELD_BYTES_MAX} bytes, got {}",
                text.len()
            ),
        )),
        Some(other) => Err(malformed(format!("{field} must be text, got {other}"))),
    }
}

#[cfg(test)]
mod tests;
