//! What a reply says, as far as the verbs look at it.

use std::io::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Error, output};
use crate::core::printable::printable;

/// A reply's body.
#[derive(Debug, Default, Deserialize)]
pub struct Reply {
    /// First ID.
    pub first: Option<i64>,
    /// Last ID.
    pub last: Option<i64>,
    /// Step from one to the next; 1 when it is not said.
    pub increment: Option<i64>,
    /// The rules of a sequence, field by field, as the service wrote them.
    pub definition: Option<Map<String, Value>>,
    /// The ID that comes next; absent when none is left.
    pub next: Option<i64>,
    /// No more IDs are given.
    #[serde(default)]
    pub retired: bool,
    /// What happens to undefined names.
    pub undefined: Option<String>,
    /// Whether those that are created are audited.
    #[serde(default)]
    pub audit: bool,
    /// In the place of all these.
    pub error: Option<ReplyError>,
}

/// Why a request was refused.
#[derive(Clone, Debug, Deserialize)]
pub struct ReplyError {
    /// Stable word.
    pub code: String,
    /// For people.
    pub message: String,
}

impl ReplyError {
    /// In a line.
    pub fn words(&self) -> String {
        format!("{}: {}", printable(&self.code), printable(&self.message))
    }
}

impl Reply {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Reply, Error> {
        serde_json::from_slice(body)
            .map_err(|error| Error::Failed(format!("the reply cannot be read: {error}")))
    }

    /// Reads a body and, with `json`, prints it as it is. An error in it is an error.
    pub fn take(body: &[u8], json: bool, out: &mut impl Write) -> Result<Reply, Error> {
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
