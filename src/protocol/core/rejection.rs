//! Why a request got no ID: a stable code for programs, a message for people.

use super::limits::ECHO_BYTES_MAX;

/// Stable error codes of the wire contract. More codes may be added. No code changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The key is no valid sequence name.
    InvalidName,
    /// The value is not empty, an integer, or a JSON object with fields of the right types.
    MalformedRequest,
    /// The object has a field that the operation does not know.
    UnknownField,
    /// The object's `op` is not known.
    UnknownOp,
    /// The count is outside its limits.
    InvalidCount,
    /// The `request_id` is empty or too long.
    InvalidRequestId,
    /// The `request_id` in the value and the one in the header differ.
    RequestIdConflict,
    /// The `request_id` has been used for another count.
    RequestIdReused,
    /// The value is over its size limit.
    RequestTooLarge,
    /// The sequence has fewer IDs left than the request asks for.
    Exhausted,
    /// The sequence does not exist, and first use does not create it.
    UnknownSequence,
    /// The partition holds as many sequences as it may.
    TooManySequences,
    /// The sequence is retired.
    Retired,
    /// The definition contradicts itself, or the IDs that the sequence has given already.
    InvalidDefinition,
}

impl Code {
    /// Every code, for documentation, metrics and tests.
    pub const ALL: [Code; 14] = [
        Code::InvalidName,
        Code::MalformedRequest,
        Code::UnknownField,
        Code::UnknownOp,
        Code::InvalidCount,
        Code::InvalidRequestId,
        Code::RequestIdConflict,
        Code::RequestIdReused,
        Code::RequestTooLarge,
        Code::Exhausted,
        Code::UnknownSequence,
        Code::TooManySequences,
        Code::Retired,
        Code::InvalidDefinition,
    ];

    /// The code as it appears in replies and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::InvalidName => "invalid_name",
            Code::MalformedRequest => "malformed_request",
            Code::UnknownField => "unknown_field",
            Code::UnknownOp => "unknown_op",
            Code::InvalidCount => "invalid_count",
            Code::InvalidRequestId => "invalid_request_id",
            Code::RequestIdConflict => "request_id_conflict",
            Code::RequestIdReused => "request_id_reused",
            Code::RequestTooLarge => "request_too_large",
            Code::Exhausted => "exhausted",
            Code::UnknownSequence => "unknown_sequence",
            Code::TooManySequences => "too_many_sequences",
            Code::Retired => "retired",
            Code::InvalidDefinition => "invalid_definition",
        }
    }
}

/// A refusal: the code tells the client what to do, and the message tells its author why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The stable code, part of I3.
    pub code: Code,
    /// The message, whose wording may change with a release.
    pub message: String,
}

impl Rejection {
    /// Creates a refusal with a message that names the field and the limit.
    pub fn new(code: Code, message: impl Into<String>) -> Rejection {
        Rejection {
            code,
            message: message.into(),
        }
    }
}

/// Returns a client's own text for an error message: quoted, escaped, and cut to a bound.
pub fn echo(text: &str) -> String {
    if text.len() <= ECHO_BYTES_MAX {
        return format!("{text:?}");
    }
    let cut = text.floor_char_boundary(ECHO_BYTES_MAX);
    format!("{:?}…", &text[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character() {
        let text = "é".repeat(100);
        let echoed = echo(&text);
        assert!(echoed.ends_with('…') && echoed.chars().count() == 35);
        assert_eq!(echo("a\"b"), "\"a\\\"b\"");
    }
}
