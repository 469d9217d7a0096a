//! The fields of a reply that the commands use.

use std::io::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::changed::Changed;
use super::{Error, output};
use crate::core::printable::printable;

/// A reply's body.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reply {
    /// First ID.
    pub first: Option<i64>,
    /// Last ID.
    pub last: Option<i64>,
    /// Step from one ID to the next; 1 when absent.
    pub increment: Option<i64>,
    /// The rules of a sequence, field by field, as the service wrote them.
    pub definition: Option<Map<String, Value>>,
    /// The next ID. Absent when none is left.
    pub next: Option<i64>,
    /// True when the sequence gives no more IDs.
    #[serde(default)]
    pub retired: bool,
    /// The last change of a sequence. Only the reply to `describe` has it.
    pub changed: Option<Changed>,
    /// The rule for undefined names.
    pub undefined: Option<String>,
    /// True when created sequences are audited.
    #[serde(default)]
    pub audit: bool,
    /// The error of a refused request. It replaces all other fields.
    pub error: Option<ReplyError>,
}

/// The reason why a request was refused.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReplyError {
    /// The stable error code.
    pub code: String,
    /// The message for people.
    pub message: String,
}

impl ReplyError {
    /// Code and message in one line.
    pub(super) fn words(&self) -> String {
        format!("{}: {}", printable(&self.code), printable(&self.message))
    }
}

impl Reply {
    /// Parses a body.
    pub(super) fn read(body: &[u8]) -> Result<Reply, Error> {
        serde_json::from_slice(body)
            .map_err(|error| Error::Failed(format!("the reply cannot be read: {error}")))
    }

    /// Parses a body and, with `json`, prints it unchanged. An error in the body is returned as an error.
    pub(super) fn take(body: &[u8], json: bool, out: &mut impl Write) -> Result<Reply, Error> {
        let reply = Reply::read(body)?;
        if json {
            output::body(body, out)?;
        }
        match &reply.error {
            Some(_) if json => Err(Error::Said),
            Some(error) => Err(Error::Failed(error.words())),
            None => Ok(reply),
        }
    }
}
