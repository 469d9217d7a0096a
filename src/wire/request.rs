//! A request record's key and value to [`Request`].
//!
//! Nothing that a client writes is an error of ours: what is no valid request becomes a
//! [`Rejection`] inside the request, and is folded and answered like any other record (I4). What a
//! record means depends on its bytes alone.

mod body;
mod scalar;

use std::borrow::Cow;

use crate::core::limits::{COUNT_MAX, TEXT_FIELD_BYTES_MAX, VALUE_BYTES_MAX};
use crate::core::rejection::{Code, Rejection, echo};
use crate::core::{Command, Name, Request};

use body::{Body, Fields};
use scalar::Scalar;

/// The fields of a request object.
pub(crate) const FIELDS: [&str; 4] = ["op", "count", "request_id", "requester"];
/// The operations.
const OPS: [&str; 1] = ["next"];

/// Decodes a request record.
pub fn decode<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Request<'a> {
    let (command, request_id) = decode_value(value.unwrap_or_default());
    Request {
        name: Name::from_key(key),
        command,
        request_id,
    }
}

type Decoded<'a> = (Result<Command, Rejection>, Option<Cow<'a, str>>);

fn decode_value(value: &[u8]) -> Decoded<'_> {
    if value.is_empty() {
        return (Ok(Command::Next { count: 1 }), None);
    }
    if value.len() > VALUE_BYTES_MAX {
        let message = format!(
            "the value must be at most {VALUE_BYTES_MAX} bytes, got {}",
            value.len()
        );
        return (Err(Rejection::new(Code::RequestTooLarge, message)), None);
    }
    match serde_json::from_slice::<Body<'_>>(value) {
        Ok(Body::Absent) => (Ok(Command::Next { count: 1 }), None),
        Ok(Body::Scalar(scalar)) => (bare(&scalar), None),
        Ok(Body::Fields(fields)) => object(*fields),
        Err(error) => (
            Err(malformed(format!("the value is not valid JSON: {error}"))),
            None,
        ),
    }
}

fn malformed(message: String) -> Rejection {
    Rejection::new(Code::MalformedRequest, message)
}

fn bare(scalar: &Scalar<'_>) -> Result<Command, Rejection> {
    match scalar {
        Scalar::Integer(_) | Scalar::Huge(_) => Ok(Command::Next {
            count: count(scalar)?,
        }),
        other => Err(malformed(format!(
            "the value must be empty, an integer or a JSON object, got {other}"
        ))),
    }
}

fn object(fields: Fields<'_>) -> Decoded<'_> {
    let Fields {
        op,
        count: count_field,
        request_id,
        requester,
        problem,
    } = fields;
    let request_id = match text("request_id", Code::InvalidRequestId, request_id) {
        Ok(request_id) => request_id,
        Err(rejection) => return (Err(problem.unwrap_or(rejection)), None),
    };
    let command = || {
        if let Some(problem) = problem {
            return Err(problem);
        }
        operation(op)?;
        text("requester", Code::MalformedRequest, requester)?;
        let count = match &count_field {
            Some(scalar) => count(scalar)?,
            None => 1,
        };
        Ok(Command::Next { count })
    };
    (command(), request_id)
}

fn operation(op: Option<Scalar<'_>>) -> Result<(), Rejection> {
    match op {
        None => Ok(()),
        Some(Scalar::Text(op)) if OPS.contains(&op.as_ref()) => Ok(()),
        Some(Scalar::Text(op)) => Err(Rejection::new(
            Code::UnknownOp,
            format!("op {} is not known; known: {}", echo(&op), OPS.join(", ")),
        )),
        Some(other) => Err(malformed(format!("op must be text, got {other}"))),
    }
}

fn count(scalar: &Scalar<'_>) -> Result<u64, Rejection> {
    match scalar {
        Scalar::Integer(count) => u64::try_from(*count)
            .ok()
            .filter(|count| (1..=COUNT_MAX).contains(count))
            .ok_or_else(|| {
                Rejection::new(
                    Code::InvalidCount,
                    format!("count must be 1 to {COUNT_MAX}, got {count}"),
                )
            }),
        Scalar::Huge(number) => Err(Rejection::new(
            Code::InvalidCount,
            format!("count must be 1 to {COUNT_MAX}, got {number:e}"),
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
