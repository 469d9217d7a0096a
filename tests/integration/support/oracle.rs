//! Computes the expected answer of each request, from a second and plain reading of the contract.
//!
//! It shares nothing with the product, so a mistake stays unseen only if it was made twice.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::records::{Repair, Request};

const COUNT_MAX: u64 = 1_000_000;
const ID_LAST: i64 = 9_007_199_254_740_991;
const VALUE_BYTES_MAX: usize = 65_536;
const TEXT_BYTES_MAX: usize = 255;

/// The expected content of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The name of the sequence. None when the key is not a valid name.
    pub name: Option<String>,
    pub request_id: Option<String>,
    pub outcome: Outcome,
}

/// IDs or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ids { first: i64, last: i64 },
    Error(&'static str),
}

impl Expected {
    /// The beginning and the end of a reply's body. Only an error has text between them: its message.
    pub fn body(&self, request: &Request) -> (String, String) {
        let mut begin = String::from("{");
        if let Some(name) = &self.name {
            begin += &format!("\"sequence\":{},", text(name));
        }
        let mut end = String::new();
        match &self.outcome {
            Outcome::Ids { first, last } => {
                begin += &format!(
                    "\"first\":{first},\"last\":{last},\"count\":{}",
                    last - first + 1
                );
            }
            Outcome::Error(code) => {
                begin += &format!("\"error\":{{\"code\":\"{code}\",\"message\":\"");
                end += "\"}";
            }
        }
        if let Some(request_id) = &self.request_id {
            end += &format!(",\"request_id\":{}", text(request_id));
        }
        end += &format!(
            ",\"partition\":{},\"offset\":{}}}",
            request.partition, request.offset
        );
        (begin, end)
    }
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// Answers a whole log, record by record.
pub struct Oracle<'a> {
    repairs: &'a [Repair],
    /// Last ID taken, by partition and name.
    last: HashMap<(i32, String), i64>,
}

impl<'a> Oracle<'a> {
    pub fn new(repairs: &'a [Repair]) -> Oracle<'a> {
        Oracle {
            repairs,
            last: HashMap::new(),
        }
    }

    /// The highest ID that an operator declared taken before this request.
    pub fn floor(&self, request: &Request) -> i64 {
        let reaches = |repair: &&Repair| {
            repair.partition == request.partition && repair.from <= request.offset
        };
        let taken = |repair: &Repair| {
            let name = std::str::from_utf8(request.key.as_deref()?).ok()?;
            repair.next.get(name).map(|next| next - 1)
        };
        self.repairs
            .iter()
            .filter(reaches)
            .map(|repair| taken(repair).unwrap_or(repair.above))
            .max()
            .unwrap_or(0)
    }

    /// The expected answer of the next request of the log.
    pub fn answer(&mut self, request: &Request) -> Expected {
        let name = name(request.key.as_deref());
        let (count, request_id) = parse(request.value.as_deref().unwrap_or_default());
        let outcome = match (&name, count) {
            (None, _) => Outcome::Error("invalid_name"),
            (_, Err(code)) => Outcome::Error(code),
            (Some(name), Ok(count)) => self.take(request, name, count as i64),
        };
        Expected {
            name,
            request_id,
            outcome,
        }
    }

    fn take(&mut self, request: &Request, name: &str, count: i64) -> Outcome {
        let floor = self.floor(request);
        let key = (request.partition, name.to_owned());
        let before = self.last.get(&key).copied().unwrap_or(0).max(floor);
        if before + count > ID_LAST {
            return Outcome::Error("exhausted");
        }
        self.last.insert(key, before + count);
        Outcome::Ids {
            first: before + 1,
            last: before + count,
        }
    }
}

fn name(key: Option<&[u8]>) -> Option<String> {
    let name = std::str::from_utf8(key?).ok()?;
    let fits = !name.is_empty() && name.len() <= TEXT_BYTES_MAX;
    (fits && !name.chars().any(char::is_control) && name != "__policy").then(|| name.to_owned())
}

type Parsed = (Result<u64, &'static str>, Option<String>);

fn parse(value: &[u8]) -> Parsed {
    if value.is_empty() {
        return (Ok(1), None);
    }
    if value.len() > VALUE_BYTES_MAX {
        return (Err("request_too_large"), None);
    }
    match serde_json::from_slice(value) {
        Ok(Value::Null) => (Ok(1), None),
        Ok(number @ Value::Number(_)) => (count(&number), None),
        Ok(Value::Object(_)) => match serde_json::from_slice(value) {
            Ok(Pairs(pairs)) => object(&pairs),
            Err(_) => (Err("malformed_request"), None),
        },
        _ => (Err("malformed_request"), None),
    }
}

fn object(pairs: &[(String, Value)]) -> Parsed {
    let fields = |name: &str| {
        pairs
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    let present = |name: &str| {
        fields(name)
            .first()
            .copied()
            .filter(|value| !value.is_null())
    };
    let mut problem = None;
    let mut request_id = None;
    for (field, value) in pairs {
        if !["op", "count", "request_id", "requester"].contains(&field.as_str()) {
            if !value.is_null() {
                problem = problem.or(Some("unknown_field"));
            }
        } else if fields(field).len() > 1 {
            problem = problem.or(Some("malformed_request"));
        }
    }
    match present("request_id") {
        None => {}
        Some(Value::String(id)) if id.is_empty() || id.len() > TEXT_BYTES_MAX => {
            problem = problem.or(Some("invalid_request_id"));
        }
        Some(Value::String(id)) => request_id = Some(id.clone()),
        Some(_) => problem = problem.or(Some("malformed_request")),
    }
    match present("op") {
        None => {}
        Some(Value::String(op)) if op == "next" => {}
        Some(Value::String(_)) => problem = problem.or(Some("unknown_op")),
        Some(_) => problem = problem.or(Some("malformed_request")),
    }
    match present("requester") {
        Some(Value::String(requester)) if (1..=TEXT_BYTES_MAX).contains(&requester.len()) => {}
        Some(_) => problem = problem.or(Some("malformed_request")),
        None => {}
    }
    let count = present("count").map_or(Ok(1), count);
    (problem.map_or(count, Err), request_id)
}

fn count(value: &Value) -> Result<u64, &'static str> {
    match value.as_u64() {
        Some(count) if (1..=COUNT_MAX).contains(&count) => Ok(count),
        Some(_) => Err("invalid_count"),
        None if value.is_i64() => Err("invalid_count"),
        // A whole number beyond 64 bits becomes a float. 2^63 is far above any fraction in the tests.
        None if value.as_f64().is_some_and(|float| float.abs() >= 9.3e18) => Err("invalid_count"),
        None => Err("malformed_request"),
    }
}

/// The fields of an object with duplicates. A [`Value`] would merge duplicates.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
