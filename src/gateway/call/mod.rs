//! The pure part of the gateway. It makes a request record from an HTTP request, and an HTTP answer from a reply. It
//! has no sockets, no clock and no randomness: time and random bytes are arguments.
//!
//! *Architecture invariant*: no part of a body is copied as it is. Each record is written from the fields of its route.
//! So a caller cannot write a record that its route does not name.

pub(crate) mod answer;
mod body;
mod cosid;
mod ids;
pub(crate) mod key;
pub(crate) mod openapi;
pub(crate) mod problem;
pub(crate) mod route;
#[cfg(test)]
mod tests;
mod text;

use serde::Serialize;

use body::Fields;
use key::Key;
use problem::{Own, Problem};

use crate::core::{Code, Name};
use crate::wire::request::fields_of;

/// An operation on a sequence that is available over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    /// Take IDs.
    Next,
    /// Show a sequence.
    Describe,
    /// Define a sequence, or change its definition.
    Define,
    /// Move a sequence on.
    SetNext,
    /// End a sequence.
    Retire,
    /// Find the request that got an ID.
    Trace,
}

impl Op {
    /// Every operation.
    pub(crate) const ALL: [Op; 6] = [
        Op::Next,
        Op::Describe,
        Op::Define,
        Op::SetNext,
        Op::Retire,
        Op::Trace,
    ];

    /// True if the operation takes and changes nothing, so that a repeat needs no key.
    pub(crate) const fn only_reads(self) -> bool {
        matches!(self, Op::Describe | Op::Trace)
    }

    /// The word in the record's field `op`. A trace has no record.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Op::Next => "next",
            Op::Describe => "describe",
            Op::Define => "define",
            Op::SetNext => "set_next",
            Op::Retire => "retire",
            Op::Trace => "trace",
        }
    }

    /// The word in a path.
    pub(crate) const fn as_path(self) -> &'static str {
        match self {
            Op::SetNext => "set-next",
            other => other.as_str(),
        }
    }

    /// The fields of a body, without `sequence`, which a body has if the path does not name the sequence.
    fn fields(self) -> impl Iterator<Item = &'static str> {
        let all = match self {
            Op::Trace => &["id"],
            _ => fields_of(self.as_str()),
        };
        let all = all.iter().copied();
        all.filter(|field| !body::is_refused(field))
    }
}

/// The parts of an HTTP request that its record depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path as it was sent, percent-encoded.
    pub path: &'a str,
    /// The query as it was sent, percent-encoded.
    pub query: Option<&'a str>,
    /// The values of `Content-Type`.
    pub content_types: &'a [&'a [u8]],
    pub body: &'a [u8],
}

/// A call that has passed the gateway's checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub op: Op,
    /// The name of the sequence, which is the key of the record.
    pub name: String,
    /// True if IDs in the answer are texts (`?ids=string`).
    pub ids_as_text: bool,
    /// The ID in a trace.
    pub id: Option<i64>,
    /// True for a call of CosId's protocol.
    cosid: bool,
    fields: Record,
}

/// The fields of a request record, in the order of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Record {
    /// Absent for a request for IDs, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    increment: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remember: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requester: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// The error of a request that cannot become a record.
    pub(crate) fn read(incoming: &Incoming<'_>) -> Result<Call, Problem> {
        let route = route::of(incoming.method, incoming.path)?;
        let mut query = text::Query::read(incoming.query)?;
        if route.cosid {
            return cosid::read(&route, query, incoming);
        }
        // The answer to a trace is not a reply, so it takes no `ids`.
        let ids = (route.op != Op::Trace).then(|| query.take("ids")).flatten();
        let ids_as_text = match ids.as_deref() {
            None => false,
            Some("string") => true,
            Some(_) => return Err(malformed("the query parameter ids can only be string")),
        };
        let reason = match route.reason_in_query {
            true => query.take("reason"),
            false => None,
        };
        query.end()?;
        let takes: Vec<&str> = match (route.takes_body, route.name.is_none()) {
            (false, _) => Vec::new(),
            (true, false) => route.op.fields().collect(),
            (true, true) => ["sequence"].into_iter().chain(route.op.fields()).collect(),
        };
        let mut fields = body(&route, &takes, incoming)?;
        let name = match route.name {
            Some(name) => name,
            None => fields
                .text("sequence")?
                .ok_or_else(|| malformed("the body needs the field sequence"))?,
        };
        let name = checked(name)?;
        let id = match (route.op, &route.id) {
            (Op::Trace, Some(id)) => Some(text::integer("the ID in the path", id)?),
            (Op::Trace, None) => fields.integer("id")?,
            _ => None,
        };
        if route.op == Op::Trace && id.is_none() {
            return Err(malformed("the body needs the field id").about(&name));
        }
        let read = record(route.op, &mut fields, reason);
        let fields = read.map_err(|problem| problem.about(&name))?;
        Ok(Call {
            op: route.op,
            name,
            ids_as_text,
            id,
            cosid: false,
            fields,
        })
    }

    /// True if the effect of the call depends on the state of the sequence.
    pub(crate) fn looks_first(&self) -> bool {
        self.cosid || matches!(self.op, Op::Define | Op::Trace)
    }

    /// True if the call leaves an existing definition unchanged.
    pub(crate) fn defines_if_unknown(&self) -> bool {
        self.cosid && self.op == Op::Define
    }

    /// The value of the record. It has a `request_id` only if the call may take or change something.
    pub(crate) fn value(&self, key: &Key, requester: Option<&str>) -> Vec<u8> {
        let record = Record {
            request_id: (!self.op.only_reads()).then(|| key.request_id().to_owned()),
            requester: requester.map(str::to_owned),
            ..self.fields.clone()
        };
        // Texts and numbers can always be serialised.
        serde_json::to_vec(&record).unwrap_or_default()
    }
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::refused(Code::MalformedRequest, detail)
}

/// The fields of the body. None if there is no body.
fn body<'a>(
    route: &route::Route,
    takes: &[&'static str],
    incoming: &Incoming<'a>,
) -> Result<Fields<'a>, Problem> {
    if incoming.body.is_empty() {
        return Ok(Fields::default());
    }
    if !route.takes_body {
        return Err(malformed("this call takes no body"));
    }
    match incoming.content_types {
        [one] if is_json(one) => {}
        _ => {
            return Err(Problem::own(
                Own::UnsupportedMediaType,
                "a body needs the header Content-Type: application/json",
            ));
        }
    }
    Fields::read(incoming.body, takes)
}

/// The media type without its parameters.
fn is_json(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| *byte == b';');
    let media_type = value[..end.unwrap_or(value.len())].trim_ascii();
    media_type.eq_ignore_ascii_case(b"application/json")
}

/// Checks that a name is valid as the key of a record, and is not reserved for the service.
fn checked(name: String) -> Result<String, Problem> {
    /// Names with this prefix are for operators at the command line.
    const RESERVED: &str = "__";
    let refused = |message: String| Err(Problem::refused(Code::InvalidName, message));
    if let Err(rejection) = Name::from_key(Some(name.as_bytes())) {
        return refused(rejection.message);
    }
    if name.starts_with(RESERVED) {
        return refused(format!(
            "names that begin with {RESERVED} belong to the service itself"
        ));
    }
    Ok(name)
}

fn record(op: Op, fields: &mut Fields<'_>, reason: Option<String>) -> Result<Record, Problem> {
    let record = Record {
        op: (op != Op::Next).then_some(op.as_str()),
        count: fields.integer("count")?,
        start: fields.integer("start")?,
        increment: fields.integer("increment")?,
        min: fields.integer("min")?,
        max: fields.integer("max")?,
        at_end: fields.text("at_end")?,
        max_count: fields.integer("max_count")?,
        audit: fields.flag("audit")?,
        remember: fields.integer("remember")?,
        next: fields.integer("next")?,
        reason: reason.or(fields.text("reason")?),
        requester: None,
        request_id: None,
    };
    match op {
        Op::SetNext if record.next.is_none() => Err(malformed("the body needs the field next")),
        _ => Ok(record),
    }
}
