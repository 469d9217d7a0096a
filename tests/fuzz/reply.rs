//! A reply's body as the contract has it: read into this and written again, it must be the same bytes.
//! That is all of it at once: valid JSON, compact, unescaped, known fields only, and their order.

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Definition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub at_end: String,
    pub max_count: u64,
    pub audit: bool,
    pub remember: u32,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    pub op: String,
    pub at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub offset: i64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    pub code: String,
    pub message: String,
}

impl Body {
    /// Reads a body that is written as the contract has it.
    pub fn read(bytes: &[u8]) -> Result<Body, String> {
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let body: Body = serde_json::from_slice(bytes).map_err(|error| {
            format!("the reply is not one of the contract: {error}: {}", shown())
        })?;
        let again = serde_json::to_vec(&body).unwrap();
        if again != bytes {
            let again = String::from_utf8_lossy(&again);
            return Err(format!("the reply should be {again}, is {}", shown()));
        }
        Ok(body)
    }

    /// What kind of answer it is, in a word.
    pub fn kind(&self) -> Result<&str, String> {
        let kinds = [
            (self.first.is_some(), "granted"),
            (self.definition.is_some(), "described"),
            (self.undefined.is_some(), "policy"),
            (self.error.is_some(), "error"),
        ];
        let mut kinds = kinds.iter().filter(|(is, _)| *is);
        match (kinds.next(), kinds.next()) {
            (Some((_, kind)), None) => Ok(kind),
            _ => Err(format!("the reply is no answer, or two: {self:?}")),
        }
    }
}
