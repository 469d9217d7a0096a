//! Reads the forms that nearly all requests have in one pass over the bytes: a bare integer, or an object of
//! `op`, `count`, `request_id` and `requester` with plain values. Every other value, above all every mistake,
//! is left to the JSON parser. For these forms the parser must give the same result: a test compares the two.

use crate::core::limits::{COUNT_MAX, TEXT_FIELD_BYTES_MAX};

/// A request for IDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    /// Number of IDs, when the value gives one.
    pub(super) count: Option<u64>,
    /// The client's identification: printable ASCII.
    pub(super) request_id: Option<&'a [u8]>,
    /// The requester: printable ASCII.
    pub(super) requester: Option<&'a [u8]>,
}

/// Reads a value of a common form; none for any other.
pub(super) fn read(value: &[u8]) -> Option<Plain<'_>> {
    let mut rest = Rest(value);
    if value.first()?.is_ascii_digit() {
        let count = Some(rest.count()?);
        return rest.0.is_empty().then_some(Plain {
            count,
            ..Plain::default()
        });
    }
    rest.expect(b'{')?;
    let (mut plain, mut op) = (Plain::default(), false);
    if !rest.take(b'}') {
        loop {
            rest.blank();
            // A field that occurs twice is a mistake.
            let first = if rest.field(b"\"count\":") {
                plain.count.replace(rest.count()?).is_none()
            } else if rest.field(b"\"request_id\":") {
                plain.request_id.replace(rest.text()?).is_none()
            } else if rest.field(b"\"requester\":") {
                plain.requester.replace(rest.text()?).is_none()
            } else if rest.field(b"\"op\":") {
                rest.text()? == b"next" && !std::mem::replace(&mut op, true)
            } else {
                false
            };
            if !first {
                return None;
            }
            if rest.take(b'}') {
                break;
            }
            rest.expect(b',')?;
        }
    }
    rest.0.is_empty().then_some(plain)
}

/// The bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn blank(&mut self) {
        while self.take(b' ') {}
    }

    /// Skips a field's name, and what stands between it and its value.
    fn field<const LENGTH: usize>(&mut self, field: &[u8; LENGTH]) -> bool {
        let rest = self.0.strip_prefix(field);
        if let Some(rest) = rest {
            self.0 = rest;
            self.blank();
        }
        rest.is_some()
    }

    /// An integer within the limits, as JSON writes it.
    fn count(&mut self) -> Option<u64> {
        let mut count = 0;
        let mut digits = 0;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.0 {
            count = count * 10 + u64::from(digit - b'0');
            // This also excludes a leading zero and an overflow.
            if count == 0 || count > COUNT_MAX {
                return None;
            }
            digits += 1;
            self.0 = rest;
        }
        // Otherwise a fraction or an exponent follows.
        let ends = !matches!(self.0, [b'.' | b'e' | b'E', ..]);
        (digits > 0 && ends).then_some(count)
    }

    /// A string of printable ASCII without an escape, within the limits of a text field.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let length = self.0.iter().position(|byte| !plain(byte))?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        self.expect(b'"')?;
        let fits = (1..=TEXT_FIELD_BYTES_MAX).contains(&length);
        fits.then_some(text)
    }
}
