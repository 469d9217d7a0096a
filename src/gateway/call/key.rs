//! The header `Idempotency-Key`, which is the `request_id` of the record. The gateway draws a key for a call without.

use uuid::{Builder, Uuid};

use super::problem::{Own, Problem};
use crate::core::Code;
use crate::core::limits::{TEXT_FIELD_BYTES_MAX, WINDOW_REQUESTS};

/// The prefix of a key that a gateway drew.
const DRAWN: &str = "gw-";

/// Number of random bytes of a drawn key.
pub(crate) const RANDOM_BYTES: usize = 10;

/// The key of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The `request_id`: the caller's text, after the name of its token if there are tokens.
    request_id: String,
    /// The position at which the caller's text begins.
    begin: usize,
}

impl Key {
    /// Reads the values of the header. None when there is no such header. `tenant`: the name of the caller's token.
    ///
    /// A quoted key, as in draft-ietf-httpapi-idempotency-key-header, is equal to the same key without quotes.
    ///
    /// # Errors
    /// More than one header, or a key that is not 1 to 255 bytes of UTF-8.
    pub(crate) fn read(values: &[&[u8]], tenant: Option<&str>) -> Result<Option<Key>, Problem> {
        let value = match values {
            [] => return Ok(None),
            [one] => one.trim_ascii(),
            _ => return Err(refused("the header Idempotency-Key must appear once")),
        };
        let text = std::str::from_utf8(value)
            .map_err(|_| refused("the header Idempotency-Key must be valid UTF-8"))?;
        let text = match text.strip_prefix('"') {
            Some(rest) => unquoted(rest)?,
            None => text.to_owned(),
        };
        if text.is_empty() {
            return Err(refused("the header Idempotency-Key must not be empty"));
        }
        let key = Key::of(tenant, &text);
        let length = key.request_id.len();
        if length > TEXT_FIELD_BYTES_MAX {
            return Err(refused(&format!(
                "the header Idempotency-Key must be at most {} bytes, got {}",
                TEXT_FIELD_BYTES_MAX - key.begin,
                length - key.begin
            )));
        }
        Ok(Some(key))
    }

    /// Creates a key at this time in milliseconds since 1970.
    pub(crate) fn draw(now_ms: u64, random: [u8; RANDOM_BYTES], tenant: Option<&str>) -> Key {
        let uuid = Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid();
        Key::of(tenant, &format!("{DRAWN}{uuid}"))
    }

    fn of(tenant: Option<&str>, text: &str) -> Key {
        let prefix = tenant.map_or_else(String::new, |tenant| format!("{tenant}:"));
        Key {
            begin: prefix.len(),
            request_id: prefix + text,
        }
    }

    /// The `request_id` of the record.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The key as the caller knows it.
    pub(crate) fn as_str(&self) -> &str {
        &self.request_id[self.begin..]
    }

    /// The key as a header that is read as this key again. It has quotes if it would otherwise be read as another key.
    pub(crate) fn to_header(&self) -> String {
        let key = self.as_str();
        let bare = key.trim_ascii() == key && !key.starts_with('"');
        match bare {
            true => key.to_owned(),
            false => format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }

    /// Refuses a drawn key that is older than this. The partition may no longer remember the key, so a repeat could
    /// take further IDs.
    ///
    /// # Errors
    /// [`Own::KeyExpired`].
    pub(crate) fn check_age(&self, now_ms: u64, age_max_s: u64) -> Result<(), Problem> {
        let Some(drawn_ms) = drawn_ms(self.as_str()) else {
            return Ok(());
        };
        let age_s = now_ms.saturating_sub(drawn_ms) / 1_000;
        if age_s <= age_max_s {
            return Ok(());
        }
        Err(Problem::own(
            Own::KeyExpired,
            format!(
                "the key was drawn {age_s} s ago, and gateway.key_age_max_s is {age_max_s}: a partition \
                 remembers its last {WINDOW_REQUESTS} requests with a key, unless the sequence has an own window, so a \
                 repeat could take further IDs. Nothing was written. Find out whether the first call was answered, then call again \
                 without a key"
            ),
        ))
    }
}

/// The time at which a gateway drew the key, in milliseconds since 1970. None for a key that the caller chose.
fn drawn_ms(key: &str) -> Option<u64> {
    let uuid = Uuid::try_parse(key.strip_prefix(DRAWN)?).ok()?;
    if uuid.get_version_num() != 7 {
        return None;
    }
    let bytes = uuid.as_bytes();
    let time = bytes.get(..6)?;
    Some(
        time.iter()
            .fold(0, |time, byte| time << 8 | u64::from(*byte)),
    )
}

/// The rest of a quoted key, after its first quotation mark. A backslash precedes each quotation mark and each
/// backslash of the key itself.
fn unquoted(rest: &str) -> Result<String, Problem> {
    const NOT_QUOTED: &str =
        "the header Idempotency-Key begins with a quotation mark, and must be one quoted text";
    let mut text = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next() {
            Some('"') if characters.as_str().is_empty() => return Ok(text),
            Some('\\') => match characters.next() {
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                _ => return Err(refused(NOT_QUOTED)),
            },
            None | Some('"') => return Err(refused(NOT_QUOTED)),
            Some(other) => text.push(other),
        }
    }
}

fn refused(detail: &str) -> Problem {
    Problem::refused(Code::InvalidRequestId, detail)
}
