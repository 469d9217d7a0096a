//! Percent-encoded text. It is decoded once, and strictly: with lenient decoding, two callers could mean different
//! names with the same bytes.

use super::body::is_integer;
use super::problem::Problem;
use crate::core::rejection::echo;

/// Decodes a segment of a path.
///
/// # Errors
/// The reason, to follow the subject of a sentence.
pub(super) fn segment(text: &str) -> Result<String, String> {
    decode(text, |byte| byte)
}

/// Decodes a name or value of a query. A plus sign stands for a space.
fn of_query(text: &str) -> Result<String, String> {
    decode(text, |byte| if byte == b'+' { b' ' } else { byte })
}

fn decode(text: &str, plain: impl Fn(u8) -> u8) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        (rest, _) = match (first, after) {
            (b'%', [high, low, beyond @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (beyond, bytes.push(high << 4 | low)),
                _ => return Err(NOT_ENCODED.to_owned()),
            },
            (b'%', _) => return Err(NOT_ENCODED.to_owned()),
            _ => (after, bytes.push(plain(*first))),
        };
    }
    String::from_utf8(bytes).map_err(|_| "must be valid UTF-8".to_owned())
}

const NOT_ENCODED: &str = "has a percent sign without two hexadecimal digits; write %25 for it";

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16)?.try_into().ok()
}

/// Reads an integer in a path or a query. `what`: the subject of the message.
pub(super) fn integer(what: &str, text: &str) -> Result<i64, Problem> {
    let number = is_integer(text).then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| {
        super::malformed(format!(
            "{what} must be an integer of 64 bits, got {}",
            echo(text)
        ))
    })
}

/// The parameters of a query, each at most once.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query.
    pub(super) fn read(query: Option<&str>) -> Result<Query, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let parts = query.unwrap_or_default().split('&');
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = |text| {
                of_query(text).map_err(|reason| super::malformed(format!("the query {reason}")))
            };
            let (name, value) = (decoded(name)?, decoded(value)?);
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(super::malformed(format!(
                    "the query parameter {name:?} appears more than once"
                )));
            }
            pairs.push((name, value));
        }
        Ok(Query(pairs))
    }

    /// Removes a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// Checks that all parameters have been taken. The caller may rely on a parameter that would otherwise be ignored,
    /// such as `force`.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(super::malformed(format!(
                "the query parameter {name:?} is not known to this call"
            ))),
        }
    }
}
