//! The shape of a request value: nothing, a bare scalar, or an object of known fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::scalar::{FieldValue, Scalar};
use crate::core::rejection::{Code, Rejection, echo};

/// The fields of a request object, of whichever operation.
pub(crate) const FIELDS: [&str; 15] = [
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
    "next",
    "force",
    "reason",
    "undefined",
];

/// A parsed value.
pub enum Body<'a> {
    /// JSON `null`.
    Absent,
    /// Anything but an object.
    Scalar(Scalar<'a>),
    Fields(Box<Fields<'a>>),
}

/// The fields of an object, unchecked but for their names.
#[derive(Default)]
pub struct Fields<'a> {
    /// In the order of [`FIELDS`].
    values: [Option<Scalar<'a>>; FIELDS.len()],
    /// The first field, in the order of the text, that should not be there.
    pub problem: Option<Rejection>,
}

impl<'a> Fields<'a> {
    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<Scalar<'a>> {
        let index = FIELDS.iter().position(|known| *known == name)?;
        self.values[index].take()
    }

    /// A field that is there and neither the requester's nor one of these.
    pub fn first_besides(&self, own: &[&str]) -> Option<&'static str> {
        let present = FIELDS.iter().zip(&self.values);
        present
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| *name)
            .find(|name| *name != "requester" && !own.contains(name))
    }
}

/// Names further from every known one than this many edits get no suggestion.
const SUGGESTION_DISTANCE_MAX: usize = 3;

fn unknown_field(name: &str) -> Rejection {
    let nearest = FIELDS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= SUGGESTION_DISTANCE_MAX && name.len() <= 64);
    let hint = match nearest {
        Some((_, known)) => format!("did you mean {known:?}?"),
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
                // A null field counts as absent: mappers write every field that they know of.
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
