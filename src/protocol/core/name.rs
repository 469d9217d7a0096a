//! Sequence names: a record's key, checked.

use super::limits::NAME_BYTES_MAX;
use super::rejection::{Code, Rejection};

/// The key of policy records; no sequence can have it.
pub const POLICY: &str = "__policy";

/// A valid record key: UTF-8, 1 to 255 bytes, no control characters (Unicode Cc).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// Checks a record's key.
    ///
    /// # Errors
    /// [`Code::InvalidName`] with a message that says which rule the key breaks.
    pub fn from_key(key: Option<&'a [u8]>) -> Result<Name<'a>, Rejection> {
        let refuse = |message: String| Err(Rejection::new(Code::InvalidName, message));
        let Some(key) = key else {
            return refuse("the record has no key; the key is the name of the sequence".into());
        };
        if key.is_empty() || key.len() > NAME_BYTES_MAX {
            return refuse(format!(
                "the name must be 1 to {NAME_BYTES_MAX} bytes, got {}",
                key.len()
            ));
        }
        let Ok(text) = std::str::from_utf8(key) else {
            return refuse("the name must be valid UTF-8".into());
        };
        // Printable ASCII, which most names are, has no control characters.
        let plain = key.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if !plain && let Some(control) = text.chars().find(|c| c.is_control()) {
            return refuse(format!(
                "the name must not contain control characters, got U+{:04X}",
                u32::from(control)
            ));
        }
        Ok(Name(text))
    }

    /// True for the key of policy records.
    pub fn is_policy(self) -> bool {
        self.0 == POLICY
    }

    /// The name as text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: Option<&[u8]>) -> String {
        Name::from_key(key).map_or_else(|r| r.message, |n| format!("valid: {}", n.as_str()))
    }

    #[test]
    fn each_rule_has_its_own_message() {
        assert!(message(None).contains("no key"));
        assert!(message(Some(b"")).contains("1 to 255 bytes, got 0"));
        assert!(message(Some(&[b'a'; 256])).contains("got 256"));
        assert!(message(Some(b"\xff\xfe")).contains("UTF-8"));
        assert!(message(Some(b"a\nb")).contains("U+000A"));
        assert!(message(Some("a\u{85}b".as_bytes())).contains("U+0085"));
    }

    #[test]
    fn the_longest_name_and_any_script_are_valid() {
        assert!(Name::from_key(Some(&[b'a'; 255])).is_ok());
        assert!(Name::from_key(Some("счёт-№ 7".as_bytes())).is_ok());
    }
}
