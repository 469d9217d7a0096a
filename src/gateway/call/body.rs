//! The JSON object of a body. Its fields are known, occur once, and have plain values. Numbers stay digits until they
//! become 64-bit integers, and are never floats.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::malformed;
use super::problem::Problem;
use crate::core::Code;
use crate::core::rejection::echo;

/// Fields of a record that a body cannot have, with the alternative for each.
const NOT_IN_A_BODY: [(&str, &str); 4] = [
    ("op", "the path and the method are the operation"),
    ("request_id", "send it as the header Idempotency-Key"),
    ("requester", "the gateway names the requester itself"),
    (
        "force",
        "IDs are given twice after it: use sequencer set-next --force",
    ),
];

/// True for a field of a record that a body cannot have.
pub(super) fn is_refused(field: &str) -> bool {
    NOT_IN_A_BODY.iter().any(|(refused, _)| *refused == field)
}

/// The fields of a body, as JSON.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Reads an object that has no other fields than these.
    pub(super) fn read(body: &'a [u8], takes: &[&'static str]) -> Result<Fields<'a>, Problem> {
        let Object(pairs) = serde_json::from_slice(body)
            .map_err(|error| malformed(format!("the body must be a JSON object: {error}")))?;
        let mut fields = BTreeMap::new();
        for (name, value) in pairs {
            if let Some((_, instead)) = NOT_IN_A_BODY.iter().find(|(field, _)| *field == name) {
                return Err(malformed(format!(
                    "the body must not have the field {name}: {instead}"
                )));
            }
            if !takes.contains(&name.as_str()) {
                let known = match takes {
                    [] => "none".to_owned(),
                    takes => takes.join(", "),
                };
                return Err(Problem::refused(
                    Code::UnknownField,
                    format!(
                        "the field {} is not known to this call; known: {known}",
                        echo(&name)
                    ),
                ));
            }
            if fields.insert(name.clone(), value).is_some() {
                return Err(malformed(format!(
                    "the field {name} appears more than once"
                )));
            }
        }
        Ok(Fields(fields))
    }

    /// Takes a field as JSON. Null counts as absent, as in a record.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        self.0
            .remove(name)
            .map(RawValue::get)
            .filter(|json| *json != "null")
    }

    /// Takes a field that is an integer, or a text of one.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(json) = self.take(name) else {
            return Ok(None);
        };
        let text = match json.starts_with('"') {
            true => decoded(name, json)?,
            false => json.to_owned(),
        };
        if !is_integer(&text) {
            return Err(malformed(format!(
                "the field {name} must be an integer, got {}",
                echo(json)
            )));
        }
        let number = text.parse().map_err(|_| {
            malformed(format!(
                "the field {name} must be {} to {}, got {}",
                i64::MIN,
                i64::MAX,
                echo(&text)
            ))
        });
        number.map(Some)
    }

    /// Takes a field that is a text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(json) = self.take(name) else {
            return Ok(None);
        };
        match json.starts_with('"') {
            true => decoded(name, json).map(Some),
            false => Err(malformed(format!(
                "the field {name} must be text, got {}",
                echo(json)
            ))),
        }
    }

    /// Takes a field that is true or false.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(json) => Err(malformed(format!(
                "the field {name} must be true or false, got {}",
                echo(json)
            ))),
        }
    }
}

fn decoded(name: &str, json: &str) -> Result<String, Problem> {
    serde_json::from_str(json)
        .map_err(|error| malformed(format!("the field {name} is not valid text: {error}")))
}

/// True for a JSON integer: digits, with a sign or without it.
pub(super) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
}

/// The pairs of an object, in order. A map would lose a field that occurs twice.
pub(super) struct Object<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'de>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() == FIELDS_MAX {
                        return Err(A::Error::custom(format!("more than {FIELDS_MAX} fields")));
                    }
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Highest number of fields of an object. It is several times the number in any call or reply.
const FIELDS_MAX: usize = 64;
