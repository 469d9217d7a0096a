//! A 128-bit multiset hash: the sum, modulo 2^128, of one XXH3-128 hash for each thing remembered.
//!
//! A change costs two additions, whatever the size of the state, and the order in which entries arrive does not
//! matter. So a footer can state in 16 bytes which state a restore must arrive at (I6). The digest guards
//! against torn, lost and foreign batches. It is no defence against an attacker who may write to the state
//! topic and wants a collision.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use super::planted::planted;

/// Hash of a multiset of elements.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// Adds one element.
    #[must_use]
    pub const fn with(self, element: Element) -> Digest {
        Digest(self.0.wrapping_add(element.0))
    }

    /// Removes one element.
    #[must_use]
    pub const fn without(self, element: Element) -> Digest {
        Digest(self.0.wrapping_sub(element.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A digest that is kept twice, as a sum and as what has changed since the last cut. The two are compared
/// at each cut, so that a mistake in memory or in the code does not become a footer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    sum: Digest,
    at_cut: Digest,
    since: Digest,
}

impl Tally {
    /// One element takes the place of another.
    #[inline]
    pub fn replace(&mut self, before: Option<Element>, after: Option<Element>) {
        let mut change = Digest::default();
        if let Some(before) = before {
            change = change.without(before);
        }
        if let Some(after) = after {
            change = change.with(after);
        }
        self.move_by(change);
    }

    /// Many elements take the place of others: the sum of those that come, less those that go.
    #[inline]
    pub fn move_by(&mut self, change: Digest) {
        self.sum.0 = self.sum.0.wrapping_add(change.0);
        self.since.0 = self.since.0.wrapping_add(change.0);
    }

    /// The sum.
    pub const fn sum(&self) -> Digest {
        self.sum
    }

    /// Begins the next interval. False when the sum is not that of the last cut and of what has changed
    /// since.
    #[must_use]
    pub fn cut(&mut self) -> bool {
        if planted!(DigestDrifts) {
            self.sum.0 ^= 1;
        }
        let adds_up = self.sum.0 == self.at_cut.0.wrapping_add(self.since.0);
        self.at_cut = self.sum;
        self.since = Digest::default();
        adds_up
    }
}

/// Hash of one element of the multiset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(u128);

/// Kinds of elements, so that two kinds never hash alike. Numbers are part of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The counter of one sequence.
    Sequence = 1,
    /// The scalars of a partition.
    Scalars = 2,
    /// A grant in the window.
    Place = 3,
    /// The definition of one sequence.
    Defined = 4,
    /// The last stray forwarded to one home.
    Sent = 5,
    /// The last stray accepted from one partition.
    Accepted = 6,
    /// The scalars of a parent at its split.
    Frozen = 7,
    /// A grant in the window of a parent at its split.
    FrozenPlace = 8,
    /// A partition that has reported its part of a rescale.
    Reported = 9,
    /// A grant in the own window of one sequence.
    OwnPlace = 10,
}

/// A name of 255 bytes with its length, and 16 numbers: more than most elements have.
const CAPACITY: usize = 1 + 8 + 255 + 16 * 8;

/// Builds the canonical bytes of one element: kind, then fields, texts with their length in front.
pub struct ElementBuilder<const BYTES: usize = CAPACITY> {
    bytes: [u8; BYTES],
    used: usize,
}

impl<const BYTES: usize> ElementBuilder<BYTES> {
    /// Starts an element.
    pub fn new(kind: Kind) -> ElementBuilder<BYTES> {
        let mut builder = ElementBuilder {
            bytes: [0; BYTES],
            used: 0,
        };
        builder.push(&[kind as u8]);
        builder
    }

    /// Adds a number.
    // By reference: handing the bytes on by value copied all of them for each field.
    pub fn number(&mut self, value: i64) -> &mut ElementBuilder<BYTES> {
        self.push(&value.to_le_bytes());
        self
    }

    /// Adds a text of at most 255 bytes.
    pub fn text(&mut self, value: &str) -> &mut ElementBuilder<BYTES> {
        self.push(&(value.len() as u64).to_le_bytes());
        self.push(value.as_bytes());
        self
    }

    /// The element's hash.
    pub fn finish(&self) -> Element {
        Element(xxh3_128(&self.bytes[..self.used]))
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
}

/// Hash of a request record as the footer remembers it: key, value and time. With it a restore detects that the
/// log was replaced by another one.
pub fn fingerprint(key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64) -> u128 {
    let part = |bytes: Option<&[u8]>| bytes.map_or(1, |b| xxh3_128(b).rotate_left(1));
    part(key)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .wrapping_add(part(value))
        ^ u128::from(timestamp.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(text: &str, number: i64) -> Element {
        <ElementBuilder>::new(Kind::Sequence)
            .text(text)
            .number(number)
            .finish()
    }

    #[test]
    fn order_does_not_matter_and_removal_undoes() {
        let (a, b) = (element("a", 1), element("b", 2));
        let digest = Digest::default().with(a).with(b);
        assert_eq!(digest, Digest::default().with(b).with(a));
        assert_eq!(digest.without(a), Digest::default().with(b));
    }

    #[test]
    fn a_sum_that_is_not_what_was_added_is_noticed_at_the_cut() {
        let (a, b) = (element("a", 1), element("b", 2));
        let mut tally = Tally::default();
        tally.replace(None, Some(a));
        assert!(tally.cut());
        tally.replace(Some(a), Some(b));
        assert!(tally.cut());
        assert_eq!(tally.sum(), Digest::default().with(b));
        tally.sum = tally.sum.with(a);
        assert!(!tally.cut());
    }

    #[test]
    fn kinds_names_and_numbers_all_count() {
        let scalars = <ElementBuilder>::new(Kind::Scalars)
            .text("a")
            .number(1)
            .finish();
        assert_ne!(element("a", 1), scalars);
        assert_ne!(element("a", 1), element("a", 2));
        assert_ne!(element("a", 1), element("b", 1));
    }

    #[test]
    fn the_stored_hashes_do_not_change_between_releases() {
        assert_eq!(
            format!("{}", Digest::default().with(element("orders", 42))),
            GOLDEN_ELEMENT
        );
        assert_eq!(
            format!("{:032x}", fingerprint(Some(b"orders"), Some(b"5"), 7)),
            GOLDEN_FINGERPRINT
        );
    }

    const GOLDEN_ELEMENT: &str = "e013b0bfb6abd1564eab6c12817e9f47";
    const GOLDEN_FINGERPRINT: &str = "216f88c233a288bcd1248db67446841c";

    #[test]
    fn a_null_and_an_empty_value_have_different_fingerprints() {
        assert_ne!(
            fingerprint(Some(b"a"), None, 0),
            fingerprint(Some(b"a"), Some(b""), 0)
        );
    }
}
