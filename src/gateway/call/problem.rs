//! Errors in the format of RFC 9457: `application/problem+json`, with a stable `code` for programs.

use std::ops::{Deref, DerefMut};

use serde::Serialize;

use crate::core::Code;

/// The media type of an error's body.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The pause before a caller calls again, in seconds, if waiting helps.
const RETRY_AFTER_S: u32 = 1;

/// The gateway's own codes, besides those of a reply ([`Code`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Own {
    /// The path does not exist.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The call has no token that the gateway knows.
    Unauthorized,
    /// The caller may not do this to this sequence.
    OutOfScope,
    /// The gateway answers only callers on this machine, and the call does not look like one from there.
    NotLocal,
    /// A gateway drew the key too long ago.
    KeyExpired,
    /// The sequence of the trace is not audited.
    NotAudited,
    /// The sequence does not count by one, as a client of CosId does.
    NotByOne,
    /// The gateway has as many calls in progress as its limit allows.
    TooManyCalls,
    /// The gateway takes no calls: it is not connected to the service, or it is stopping.
    NotReady,
    /// The ledger cannot be searched now.
    TraceFailed,
    /// The record was certainly not written.
    NotWritten,
    /// The record may have been written, and no reply came.
    NoReply,
}

impl Own {
    /// Every code.
    pub(crate) const ALL: [Own; 15] = [
        Own::NotFound,
        Own::MethodNotAllowed,
        Own::UnsupportedMediaType,
        Own::BodyTimeout,
        Own::Unauthorized,
        Own::OutOfScope,
        Own::NotLocal,
        Own::KeyExpired,
        Own::NotAudited,
        Own::NotByOne,
        Own::TooManyCalls,
        Own::NotReady,
        Own::TraceFailed,
        Own::NotWritten,
        Own::NoReply,
    ];

    /// The code as it appears in answers and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Own::NotFound => "not_found",
            Own::MethodNotAllowed => "method_not_allowed",
            Own::UnsupportedMediaType => "unsupported_media_type",
            Own::BodyTimeout => "body_timeout",
            Own::Unauthorized => "unauthorized",
            Own::OutOfScope => "out_of_scope",
            Own::NotLocal => "not_local",
            Own::KeyExpired => "key_expired",
            Own::NotAudited => "not_audited",
            Own::NotByOne => "not_by_one",
            Own::TooManyCalls => "too_many_calls",
            Own::NotReady => "not_ready",
            Own::TraceFailed => "trace_failed",
            Own::NotWritten => "not_written",
            Own::NoReply => "no_reply",
        }
    }

    pub(crate) const fn status(self) -> u16 {
        match self {
            Own::NotFound => 404,
            Own::MethodNotAllowed => 405,
            Own::UnsupportedMediaType => 415,
            Own::BodyTimeout => 408,
            Own::Unauthorized => 401,
            Own::OutOfScope | Own::NotLocal => 403,
            Own::KeyExpired | Own::NotAudited | Own::NotByOne => 409,
            Own::TooManyCalls => 429,
            Own::NotReady | Own::TraceFailed | Own::NotWritten => 503,
            Own::NoReply => 504,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Own::NotFound => "No such path",
            Own::MethodNotAllowed => "The path does not take this method",
            Own::UnsupportedMediaType => "The body is not declared as JSON",
            Own::BodyTimeout => "The body did not arrive in time",
            Own::Unauthorized => "The token is missing or not known",
            Own::OutOfScope => "The caller may not do this",
            Own::NotLocal => "Only callers on this machine are answered",
            Own::KeyExpired => "The idempotency key is too old",
            Own::NotAudited => "The sequence is not audited",
            Own::NotByOne => "The sequence does not count by one",
            Own::TooManyCalls => "Too many calls in progress",
            Own::NotReady => "The gateway is not ready",
            Own::TraceFailed => "The ledger cannot be searched now",
            Own::NotWritten => "The request was not written",
            Own::NoReply => "No reply in time",
        }
    }

    /// True if the same call may succeed soon, and has had no effect so far.
    const fn may_retry(self) -> bool {
        matches!(
            self,
            Own::TooManyCalls | Own::NotReady | Own::TraceFailed | Own::NotWritten
        )
    }
}

/// The HTTP status of a code in a reply.
pub(crate) const fn status_of(code: Code) -> u16 {
    match code {
        Code::InvalidName
        | Code::MalformedRequest
        | Code::UnknownField
        | Code::UnknownOp
        | Code::InvalidCount
        | Code::InvalidRequestId
        | Code::RequestIdConflict => 400,
        Code::UnknownSequence => 404,
        Code::Exhausted | Code::TooManySequences => 409,
        Code::Retired => 410,
        Code::RequestTooLarge => 413,
        Code::RequestIdReused | Code::InvalidDefinition => 422,
    }
}

const fn title_of(code: Code) -> &'static str {
    match code {
        Code::InvalidName => "The name of the sequence is not valid",
        Code::MalformedRequest => "The request is malformed",
        Code::UnknownField => "The request has an unknown field",
        Code::UnknownOp => "The operation is not known",
        Code::InvalidCount => "The count is not valid",
        Code::InvalidRequestId => "The idempotency key is not valid",
        Code::RequestIdConflict => "The request has two idempotency keys",
        Code::RequestIdReused => "The idempotency key was used for another request",
        Code::RequestTooLarge => "The request is too large",
        Code::Exhausted => "The sequence has not enough IDs left",
        Code::UnknownSequence => "The sequence is not defined",
        Code::TooManySequences => "The partition holds as many sequences as it may",
        Code::Retired => "The sequence is retired",
        Code::InvalidDefinition => "The definition is not valid",
    }
}

/// An error in an answer. It is boxed because it is large, and most calls have no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem(Box<Details>);

/// The members of a [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Details {
    /// The path that explains the error.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    pub status: u16,
    detail: String,
    /// The stable code.
    pub code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<String>,
    /// The partition of the request's record, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// The offset of the request's record, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The key for a repeat of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The header `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after_s: Option<u32>,
    /// The header `Allow`.
    #[serde(skip)]
    pub allow: Option<String>,
}

impl Deref for Problem {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Problem {
    /// Creates an error of the gateway itself.
    pub(crate) fn own(code: Own, detail: impl Into<String>) -> Problem {
        let mut problem = Problem::new(code.as_str(), code.status(), code.title(), detail.into());
        problem.retry_after_s = code.may_retry().then_some(RETRY_AFTER_S);
        problem
    }

    /// Creates an error with a code that replies have.
    pub(crate) fn refused(code: Code, detail: impl Into<String>) -> Problem {
        Problem::new(
            code.as_str(),
            status_of(code),
            title_of(code),
            detail.into(),
        )
    }

    /// Creates an error from the code in a reply. A newer service may have codes that this release does not know.
    pub(super) fn replied(code: &str, detail: String) -> Problem {
        /// The status for a request that was understood and refused.
        const UNKNOWN_STATUS: u16 = 422;
        match Code::ALL.into_iter().find(|known| known.as_str() == code) {
            Some(known) => Problem::refused(known, detail),
            None => Problem::new(code, UNKNOWN_STATUS, "The request was refused", detail),
        }
    }

    fn new(code: &str, status: u16, title: &'static str, detail: String) -> Problem {
        Problem(Box::new(Details {
            kind: format!("/v1/errors/{code}"),
            title,
            status,
            detail,
            code: code.to_owned(),
            sequence: None,
            partition: None,
            offset: None,
            idempotency_key: None,
            retry_after_s: None,
            allow: None,
        }))
    }

    /// Adds the sequence that the call was about.
    #[must_use]
    pub(crate) fn about(mut self, name: &str) -> Problem {
        self.sequence = Some(name.to_owned());
        self
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Serialisation of texts and numbers cannot fail.
        let mut json = serde_json::to_vec_pretty(&self.0).unwrap_or_default();
        json.push(b'\n');
        json
    }
}
