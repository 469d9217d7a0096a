//! Decodes request records. This is the contract read a second time.
//!
//! Only the order in which two mistakes of one record are reported follows the service: the contract leaves it
//! open and I3 needs a fixed order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::code::Code;
use super::grant::Grant;
use super::own::REMEMBER_MAX;

const NAME_BYTES_MAX: usize = 255;
const TEXT_BYTES_MAX: usize = 255;
const VALUE_BYTES_MAX: usize = 65_536;
const COUNT_MAX: i128 = (1 << 53) - 1;
/// The key of policy records.
const POLICY: &str = "__policy";

/// The rule for names that nobody defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    Create,
    /// The first request creates a sequence with `audit`.
    Audit,
    Refuse,
}

/// A decoded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// The record's key after the check.
    pub name: Result<&'a str, Code>,
    /// The record's value after parsing.
    pub wish: Result<Wish, Code>,
    /// The client's `request_id`, when it is valid by its own rules.
    pub request_id: Option<String>,
}

/// The operation that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// This number of IDs.
    Next(u64),
    /// An operator's record.
    Operator {
        /// The action.
        deed: Deed,
        /// The requester; empty when the record names none.
        requester: String,
        /// The reason; empty when the record gives none.
        reason: String,
    },
}

/// The action of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Define a sequence or change its definition.
    Define(Change),
    /// Move the next ID of a sequence.
    SetNext { next: i64, force: bool },
    /// Show a sequence.
    Describe,
    /// Give no more IDs of a sequence.
    Retire,
    /// Set the rule for undefined names.
    Policy(Unknown),
}

impl Deed {
    /// The place in the window: the halves of a hash over the word and the fields instead of first ID and step,
    /// with a count of 0. None for an action that changes nothing.
    pub(super) fn remembered(self) -> Option<Grant> {
        let mut input = Vec::new();
        match self {
            Deed::Describe => return None,
            Deed::Retire => input.extend(b"retire"),
            Deed::SetNext { next, force } => {
                input.extend(b"set_next\x01");
                input.extend(next.to_be_bytes());
                input.push(force.into());
            }
            Deed::Policy(unknown) => {
                input.extend(b"policy\x01");
                input.push(match unknown {
                    Unknown::Create => 0,
                    Unknown::Refuse => 1,
                    Unknown::Audit => 2,
                });
            }
            Deed::Define(change) => {
                input.extend(b"define");
                let most = change.max_count.map(u64::cast_signed);
                let numbers = [change.start, change.increment, change.min, change.max, most];
                for number in numbers {
                    input.push(number.is_some().into());
                    input.extend(number.unwrap_or_default().to_be_bytes());
                }
                for flag in [change.cycle, change.audit] {
                    input.push(flag.is_some().into());
                    input.push(flag.unwrap_or_default().into());
                }
                // The newest field counts only where it is given.
                if let Some(requests) = change.remember {
                    input.push(1);
                    input.extend(requests.to_be_bytes());
                }
            }
        }
        let hash = blake3::hash(&input);
        let half = |at: usize| {
            hash.as_bytes()[at..at + 8]
                .try_into()
                .map(i64::from_be_bytes)
        };
        Some(Grant {
            first: half(0).unwrap_or_default(),
            increment: half(8).unwrap_or_default(),
            count: 0,
        })
    }
}

/// The fields that are present in a definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub start: Option<i64>,
    pub increment: Option<i64>,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub cycle: Option<bool>,
    pub max_count: Option<u64>,
    pub audit: Option<bool>,
    pub remember: Option<u32>,
}

/// Reads a record. `header` is the last `sequencer-request-id`.
pub(super) fn read<'a>(
    key: Option<&'a [u8]>,
    value: Option<&[u8]>,
    header: Option<&[u8]>,
) -> Asked<'a> {
    let (mut wish, mut request_id) = read_value(value.unwrap_or_default());
    if let Some(header) = header {
        let valid = std::str::from_utf8(header).ok().filter(|text| fits(text));
        let problem = match (valid, &request_id) {
            (None, _) => Some(Code::InvalidRequestId),
            (Some(header), Some(id)) if header != id => Some(Code::RequestIdConflict),
            (Some(header), _) => {
                request_id = Some(header.to_owned());
                None
            }
        };
        if let Some(code) = problem {
            request_id = None;
            wish = wish.and(Err(code));
        }
    }
    let deed = match &wish {
        Ok(Wish::Operator { deed, .. }) => Some(deed),
        _ => None,
    };
    let is_policy = matches!(deed, Some(Deed::Policy(_)));
    let asks = matches!(deed, Some(Deed::Describe));
    let name = match read_name(key) {
        Some(POLICY) if wish.is_ok() && !is_policy && !asks => Err(Code::InvalidName),
        Some(name) if name != POLICY && is_policy => Err(Code::InvalidName),
        name => name.ok_or(Code::InvalidName),
    };
    Asked {
        name,
        wish,
        request_id,
    }
}

fn read_name(key: Option<&[u8]>) -> Option<&str> {
    let key = key.filter(|key| !key.is_empty() && key.len() <= NAME_BYTES_MAX)?;
    let name = std::str::from_utf8(key).ok()?;
    (!name.chars().any(char::is_control)).then_some(name)
}

fn fits(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_BYTES_MAX
}

fn read_value(value: &[u8]) -> (Result<Wish, Code>, Option<String>) {
    if value.is_empty() {
        return (Ok(Wish::Next(1)), None);
    }
    if value.len() > VALUE_BYTES_MAX {
        return (Err(Code::RequestTooLarge), None);
    }
    let wish = match serde_json::from_slice(value) {
        Ok(Json::Object(fields)) => return read_object(fields),
        Ok(Json::Null) => Ok(Wish::Next(1)),
        Ok(number @ (Json::Whole(_) | Json::Huge)) => count(&number).map(Wish::Next),
        Ok(_) | Err(_) if is_whole(value) => Err(Code::InvalidCount),
        Ok(_) | Err(_) => Err(Code::MalformedRequest),
    };
    (wish, None)
}

/// True for an integer of any length, and for `-0`, which a JSON reader would change.
fn is_whole(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    match text.strip_prefix('-').unwrap_or(text).as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn count(json: &Json) -> Result<u64, Code> {
    match json {
        Json::Whole(count) if (1..=COUNT_MAX).contains(count) => {
            u64::try_from(*count).map_err(|_| Code::InvalidCount)
        }
        Json::Whole(_) | Json::Huge => Err(Code::InvalidCount),
        _ => Err(Code::MalformedRequest),
    }
}

/// Every field of a request. An unknown field is searched in this order.
const KNOWN: [&str; 16] = [
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

/// The fields of an operation, besides `op`, `request_id` and `requester`.
fn fields_of(op: &str) -> Option<&'static [&'static str]> {
    Some(match op {
        "next" => &["count"],
        "define" => &[
            "start",
            "increment",
            "min",
            "max",
            "at_end",
            "max_count",
            "audit",
            "remember",
            "reason",
        ],
        "set_next" => &["next", "force", "reason"],
        "describe" => &[],
        "retire" => &["reason"],
        "policy" => &["undefined", "audit", "reason"],
        _ => return None,
    })
}

fn read_object(fields: Vec<(String, Json)>) -> (Result<Wish, Code>, Option<String>) {
    let fields = Object(fields);
    let misshapen = fields.misshapen();
    let request_id = match fields.text("request_id", Code::InvalidRequestId) {
        Ok(request_id) => request_id,
        Err(code) => return (Err(misshapen.unwrap_or(code)), None),
    };
    let wish = misshapen.map_or_else(|| read_wish(&fields), Err);
    (wish, request_id)
}

fn read_wish(fields: &Object) -> Result<Wish, Code> {
    let op = match fields.get("op") {
        None => "next",
        Some(Json::Text(op)) => op,
        Some(_) => return Err(Code::MalformedRequest),
    };
    let own = fields_of(op).ok_or(Code::UnknownOp)?;
    let common = ["op", "request_id", "requester"];
    let stranger = |field: &&str| !own.contains(field) && !common.contains(field);
    let mut present = KNOWN.iter().filter(|field| fields.get(field).is_some());
    if present.any(stranger) {
        return Err(Code::UnknownField);
    }
    let requester = fields.text("requester", Code::MalformedRequest)?;
    if op == "next" {
        return fields.get("count").map_or(Ok(1), count).map(Wish::Next);
    }
    let reason = fields.text("reason", Code::InvalidDefinition)?;
    let deed = match op {
        "define" => Deed::Define(read_change(fields)?),
        "set_next" => {
            let next = fields.integer("next")?.ok_or(Code::InvalidDefinition)?;
            let force = fields.flag("force")?.unwrap_or(false);
            if force && reason.is_none() {
                return Err(Code::InvalidDefinition);
            }
            Deed::SetNext { next, force }
        }
        "retire" => Deed::Retire,
        "policy" => {
            let refuse = match fields.get("undefined") {
                Some(Json::Text(word)) if word == "create" => false,
                Some(Json::Text(word)) if word == "refuse" => true,
                _ => return Err(Code::InvalidDefinition),
            };
            match (refuse, fields.flag("audit")?.unwrap_or(false)) {
                (true, true) => return Err(Code::InvalidDefinition),
                (true, false) => Deed::Policy(Unknown::Refuse),
                (false, true) => Deed::Policy(Unknown::Audit),
                (false, false) => Deed::Policy(Unknown::Create),
            }
        }
        _ => Deed::Describe,
    };
    Ok(Wish::Operator {
        deed,
        requester: requester.unwrap_or_default(),
        reason: reason.unwrap_or_default(),
    })
}

fn read_change(fields: &Object) -> Result<Change, Code> {
    let cycle = match fields.get("at_end") {
        None => None,
        Some(Json::Text(word)) if word == "error" => Some(false),
        Some(Json::Text(word)) if word == "cycle" => Some(true),
        Some(_) => return Err(Code::InvalidDefinition),
    };
    let max_count = match fields.integer("max_count")? {
        Some(count) if (1..=COUNT_MAX).contains(&count.into()) => u64::try_from(count).ok(),
        Some(_) => return Err(Code::InvalidDefinition),
        None => None,
    };
    let audit = fields.flag("audit")?;
    let remember = match fields.integer("remember")? {
        Some(requests) => match u32::try_from(requests) {
            Ok(requests) if requests <= REMEMBER_MAX => Some(requests),
            _ => return Err(Code::InvalidDefinition),
        },
        None => None,
    };
    Ok(Change {
        start: fields.integer("start")?,
        increment: fields.integer("increment")?,
        min: fields.integer("min")?,
        max: fields.integer("max")?,
        cycle,
        max_count,
        audit,
        remember,
    })
}

/// The fields of an object in the order of the text.
struct Object(Vec<(String, Json)>);

impl Object {
    /// The first unknown or repeated field. An unknown one that is null counts as absent.
    fn misshapen(&self) -> Option<Code> {
        self.0.iter().enumerate().find_map(|(at, (field, value))| {
            let known = KNOWN.contains(&field.as_str());
            let again = self.0[..at].iter().any(|(before, _)| before == field);
            match (known, again) {
                (false, _) if *value == Json::Null => None,
                (false, _) => Some(Code::UnknownField),
                (true, true) => Some(Code::MalformedRequest),
                (true, false) => None,
            }
        })
    }

    /// The value of a field that is present and not null. Of two, the first.
    fn get(&self, name: &str) -> Option<&Json> {
        let found = self.0.iter().find(|(field, _)| field == name);
        found
            .map(|(_, json)| json)
            .filter(|json| **json != Json::Null)
    }

    fn text(&self, name: &str, too_long: Code) -> Result<Option<String>, Code> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) if fits(text) => Ok(Some(text.clone())),
            Some(Json::Text(_)) => Err(too_long),
            Some(_) => Err(Code::MalformedRequest),
        }
    }

    fn integer(&self, name: &str) -> Result<Option<i64>, Code> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Whole(number)) => match i64::try_from(*number) {
                // The lowest 64-bit integer is not a valid bound.
                Ok(number) if number != i64::MIN => Ok(Some(number)),
                _ => Err(Code::InvalidDefinition),
            },
            Some(Json::Huge) => Err(Code::InvalidDefinition),
            Some(_) => Err(Code::MalformedRequest),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Code> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(Code::MalformedRequest),
        }
    }
}

/// A JSON value, to the depth of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Json {
    Null,
    Flag(bool),
    Whole(i128),
    /// A whole number beyond 64 bits.
    Huge,
    Fraction,
    Text(String),
    /// An array, or an object inside an object.
    Nested,
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor { inner: false })
    }
}

/// A field's value. Objects in it are not read.
struct Inner(Json);

impl<'de> Deserialize<'de> for Inner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(JsonVisitor { inner: true })
            .map(Inner)
    }
}

struct JsonVisitor {
    inner: bool,
}

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
        Ok(if number.abs() < TWO_TO_63 {
            Json::Fraction
        } else {
            Json::Huge
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Json::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        if self.inner {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Json::Nested);
        }
        let mut fields = Vec::new();
        while let Some((name, Inner(value))) = map.next_entry::<String, Inner>()? {
            fields.push((name, value));
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(value: &str) -> Result<Wish, Code> {
        read(Some(b"orders"), Some(value.as_bytes()), None).wish
    }

    fn deed(value: &str) -> Result<Deed, Code> {
        match wish(value)? {
            Wish::Operator { deed, .. } => Ok(deed),
            Wish::Next(count) => panic!("{count} IDs"),
        }
    }

    #[test]
    fn the_forms_of_the_contract_ask_for_ids() {
        for (value, expected) in [
            ("", 1),
            ("null", 1),
            ("5", 5),
            ("{}", 1),
            (r#"{"op":"next","count":10,"requester":"billing"}"#, 10),
            (r#"{"op":null,"count":null,"other":null}"#, 1),
            ("9007199254740991", 9_007_199_254_740_991),
        ] {
            assert_eq!(wish(value), Ok(Wish::Next(expected)), "{value}");
        }
        assert_eq!(read(Some(b"a"), None, None).wish, Ok(Wish::Next(1)));
    }

    #[test]
    fn each_mistake_has_its_code() {
        let huge = "7".repeat(400);
        let long = format!(r#"{{"request_id":"{}"}}"#, "a".repeat(256));
        for (value, expected) in [
            ("0", Code::InvalidCount),
            ("9007199254740992", Code::InvalidCount),
            ("99999999999999999999", Code::InvalidCount),
            ("5.0", Code::MalformedRequest),
            ("\"5\"", Code::MalformedRequest),
            ("[1]", Code::MalformedRequest),
            ("{", Code::MalformedRequest),
            (r#"{"count":1,"count":1}"#, Code::MalformedRequest),
            (r#"{"count":"5"}"#, Code::MalformedRequest),
            (r#"{"cuont":5}"#, Code::UnknownField),
            (r#"{"next":5}"#, Code::UnknownField),
            ("-0", Code::InvalidCount),
            (&huge, Code::InvalidCount),
            ("-0.0", Code::MalformedRequest),
            ("-007", Code::MalformedRequest),
            (r#"{"op":"nxet"}"#, Code::UnknownOp),
            (r#"{"request_id":""}"#, Code::InvalidRequestId),
            (&long, Code::InvalidRequestId),
            (r#"{"op":"set_next"}"#, Code::InvalidDefinition),
            (
                r#"{"op":"set_next","next":5,"force":true}"#,
                Code::InvalidDefinition,
            ),
            (r#"{"op":"set_next","next":5.5}"#, Code::MalformedRequest),
            (
                r#"{"op":"policy","undefined":"refuse","audit":true}"#,
                Code::InvalidDefinition,
            ),
            (r#"{"op":"define","at_end":1}"#, Code::InvalidDefinition),
            (r#"{"op":"describe","reason":"x"}"#, Code::UnknownField),
        ] {
            assert_eq!(wish(value), Err(expected), "{value}");
        }
        assert_eq!(wish(&"1".repeat(65_537)), Err(Code::RequestTooLarge));
    }

    #[test]
    fn operators_words_are_read() {
        assert_eq!(
            deed(r#"{"op":"set_next","next":5000,"force":true,"reason":"why"}"#),
            Ok(Deed::SetNext {
                next: 5000,
                force: true
            })
        );
        let change = Change {
            start: Some(5),
            cycle: Some(true),
            ..Change::default()
        };
        assert_eq!(
            deed(r#"{"op":"define","start":5,"at_end":"cycle"}"#),
            Ok(Deed::Define(change))
        );
        let policy = br#"{"op":"policy","undefined":"refuse"}"#;
        let asked = read(Some(b"__policy"), Some(policy), None);
        assert_eq!(asked.name, Ok("__policy"));
        assert!(matches!(
            asked.wish,
            Ok(Wish::Operator {
                deed: Deed::Policy(Unknown::Refuse),
                ..
            })
        ));
        assert_eq!(
            read(Some(b"a"), Some(policy), None).name,
            Err(Code::InvalidName)
        );
        assert_eq!(
            read(Some(b"__policy"), None, None).name,
            Err(Code::InvalidName)
        );
    }

    #[test]
    fn the_request_id_may_lie_in_the_header() {
        let value = br#"{"request_id":"a"}"#;
        let id = |value: &'static [u8], header: &'static [u8]| {
            let asked = read(Some(b"n"), Some(value), Some(header));
            (asked.wish.err(), asked.request_id)
        };
        assert_eq!(id(b"", b"x"), (None, Some("x".to_owned())));
        assert_eq!(id(value, b"a"), (None, Some("a".to_owned())));
        assert_eq!(id(value, b"b"), (Some(Code::RequestIdConflict), None));
        assert_eq!(id(b"", b""), (Some(Code::InvalidRequestId), None));
        assert_eq!(id(b"0", b"\xff"), (Some(Code::InvalidCount), None));
        assert_eq!(
            id(b"0", b"x"),
            (Some(Code::InvalidCount), Some("x".to_owned()))
        );
    }
}
