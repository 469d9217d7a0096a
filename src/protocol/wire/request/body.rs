//! The shape of a request value: nothing, a bare scalar, or an object of known fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::scalar::{FieldValue, Scalar};
use crate::core::rejection::{Code, Rejection, echo};

/// All fields of request objects, of every operation.
pub(crate) const FIELDS: [&str; 16] = [
    "op",
    "count",
    "request_id",
    "requester",
    "start",
    "increment",
    "min",
    "max",
    "at_end",
    "max_count",
    "audit",
    "remember",
    "next",
    "force",
    "reason",
    "undefined",
];

/// A parsed value.
pub(super) enum Body<'a> {
    /// JSON `null`.
    Absent,
    /// Any JSON value except an object and `null`.
    Scalar(Scalar<'a>),
    Fields(Box<Fields<'a>>),
}

/// The fields of an object. Only their names have been checked.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// The values, in the order of [`FIELDS`].
    values: [Option<Scalar<'a>>; FIELDS.len()],
    /// The first invalid field, in the order of the text.
    pub problem: Option<Rejection>,
}

impl<'a> Fields<'a> {
    /// Removes a field and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<Scalar<'a>> {
        let index = FIELDS.iter().position(|known| *known == name)?;
        self.values[index].take()
    }

    /// A field that is present and belongs neither to the requester nor to `own`.
    pub(super) fn first_besides(&self, own: &[&str]) -> Option<&'static str> {
        let present = FIELDS.iter().zip(&self.values);
        present
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| *name)
            .find(|name| *name != "requester" && !own.contains(name))
    }
}

/// Longest name for which a similar known one is searched, in bytes: the longest known one, one letter more,
/// and some marks between words. It keeps a record from costing more than its parse: names are compared with
/// every known one, and a client may write 64 KiB of them.
const HINT_NAME_BYTES_MAX: usize = 16;

/// The letters of a name without the marks and capitals in which mappers and people differ: `requestId` and
/// `request-id` are `request_id`.
struct Letters {
    bytes: [u8; HINT_NAME_BYTES_MAX],
    length: usize,
}

impl Letters {
    /// None for a name that is too long to be a mistyped known one.
    fn of(name: &str) -> Option<Letters> {
        if name.len() > HINT_NAME_BYTES_MAX {
            return None;
        }
        let mut letters = Letters {
            bytes: [0; HINT_NAME_BYTES_MAX],
            length: 0,
        };
        for byte in name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')) {
            letters.bytes[letters.length] = byte.to_ascii_lowercase();
            letters.length += 1;
        }
        Some(letters)
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The known name that was probably meant, if one is near.
fn nearest(name: &str) -> Option<&'static str> {
    let name = Letters::of(name)?;
    FIELDS.into_iter().find(|known| {
        Letters::of(known).is_some_and(|known| one_edit_apart(name.as_slice(), known.as_slice()))
    })
}

/// True when both are equal, or differ in one letter: replaced, added, removed, or two letters swapped. This
/// takes one pass, while an edit distance takes the product of both lengths.
fn one_edit_apart<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (&a[same..], &b[same..]) {
        ([], [] | [_]) | ([_], []) => true,
        ([a, b, rest @ ..], [c, d, other @ ..]) if (a, b) == (d, c) && rest == other => true,
        ([_, rest @ ..], [_, other @ ..]) if rest == other => true,
        ([_, rest @ ..], other) if rest == other => true,
        (rest, [_, other @ ..]) => rest == other,
        _ => false,
    }
}

fn unknown_field(name: &str) -> Rejection {
    let hint = match nearest(name) {
        Some(known) => format!("did you mean {known:?}?"),
        None => format!("known: {}", FIELDS.join(", ")),
    };
    Rejection::new(
        Code::UnknownField,
        format!("field {} is not known; {hint}", echo(name)),
    )
}

struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(value)))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Box::<Fields<'de>>::default();
        let mut seen = [false; FIELDS.len()];
        while let Some(Text(name)) = map.next_key()? {
            let FieldValue(value) = map.next_value()?;
            let Some(index) = FIELDS.iter().position(|known| *known == name) else {
                // A null field counts as absent: mappers write every field that they know.
                if value.is_some() {
                    fields.problem.get_or_insert_with(|| unknown_field(&name));
                }
                continue;
            };
            if std::mem::replace(&mut seen[index], true) {
                fields.problem.get_or_insert_with(|| {
                    let message = format!("field {name:?} appears more than once");
                    Rejection::new(Code::MalformedRequest, message)
                });
                continue;
            }
            fields.values[index] = value;
        }
        Ok(Body::Fields(fields))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Body::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Body::Scalar(Scalar::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Body::Scalar(Scalar::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Body::Scalar(Scalar::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Body::Scalar(super::scalar::float(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Body::Scalar(Scalar::Text(Cow::Borrowed(value))))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Body::Scalar(Scalar::Text(Cow::Owned(value.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Body::Scalar(Scalar::Array))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    /// A letter that counts its comparisons.
    struct Counted<'a>(u8, &'a Cell<usize>);

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.1.set(self.1.get() + 1);
            self.0 == other.0
        }
    }

    fn compared(name: &str) -> usize {
        let Some(name) = Letters::of(name) else {
            return 0;
        };
        let count = Cell::new(0);
        let counted = |bytes: &[u8]| -> Vec<_> {
            let bytes = bytes.iter();
            bytes.map(|byte| Counted(*byte, &count)).collect()
        };
        for known in FIELDS {
            let known = Letters::of(known).unwrap();
            one_edit_apart(&counted(name.as_slice()), &counted(known.as_slice()));
        }
        count.get()
    }

    #[test]
    fn a_long_name_is_compared_with_no_known_one() {
        for length in [HINT_NAME_BYTES_MAX + 1, 1_000, 65_000] {
            assert_eq!(compared(&"a".repeat(length)), 0, "{length}");
            assert_eq!(compared(&"_".repeat(length)), 0, "{length}");
            assert_eq!(nearest(&"count".repeat(length)), None);
        }
    }

    proptest! {
        #[test]
        fn no_name_takes_more_than_a_few_passes_over_the_known_ones(name in "[a-z_-]{0,40}") {
            prop_assert!(compared(&name) <= 4 * HINT_NAME_BYTES_MAX * FIELDS.len());
        }

        #[test]
        fn one_edit_is_the_distance_of_one(a in "[ab]{0,6}", b in "[ab]{0,6}") {
            let near = strsim::osa_distance(&a, &b) <= 1;
            prop_assert_eq!(one_edit_apart(a.as_bytes(), b.as_bytes()), near);
        }
    }
}
