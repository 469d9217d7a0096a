//! Finds the call for a method and a path. Static segments are compared without decoding. A name is decoded once.

use super::Op;
use super::problem::{Own, Problem};
use super::text;

/// A call, as its method and path define it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub op: Op,
    /// The name of the sequence. None when the body has it.
    pub name: Option<String>,
    /// True if the call may have a body.
    pub takes_body: bool,
    /// True if the query may have a `reason`.
    pub reason_in_query: bool,
    /// The decoded ID in the path of a trace.
    pub id: Option<String>,
    /// True for a call of CosId's protocol.
    pub cosid: bool,
}

/// The first segment of every path, except those of CosId.
const VERSION: &str = "v1";

/// A route of the table: the method, the operation, and the segment after the name.
pub(super) struct Row {
    pub method: &'static str,
    pub op: Op,
    /// The segment after the name. None if the path ends with the name.
    pub last: Option<&'static str>,
}

/// The calls whose path names the sequence: `/v1/sequences/{name}` and `/v1/sequences/{name}/LAST`. After [`IDS`] comes
/// an ID.
pub(super) const NAMED: [Row; 6] = [
    Row {
        method: "POST",
        op: Op::Next,
        last: Some("next"),
    },
    Row {
        method: "GET",
        op: Op::Describe,
        last: None,
    },
    Row {
        method: "PATCH",
        op: Op::Define,
        last: None,
    },
    Row {
        method: "POST",
        op: Op::SetNext,
        last: Some("set-next"),
    },
    Row {
        method: "DELETE",
        op: Op::Retire,
        last: None,
    },
    Row {
        method: "GET",
        op: Op::Trace,
        last: Some(IDS),
    },
];

/// The segment before an ID in a path.
pub(super) const IDS: &str = "ids";

/// The first segment of CosId's paths.
const COSID: &str = "segments";

/// Finds the route.
///
/// # Errors
/// The path does not exist, or not with this method, or the name is not percent-encoded UTF-8.
pub(crate) fn of(method: &str, path: &str) -> Result<Route, Problem> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let rest = match segments.as_slice() {
        [VERSION, rest @ ..] => rest,
        [COSID, "distributor", namespace, name] => return cosid(method, "POST", [namespace, name]),
        [COSID, namespace, name] => return cosid(method, "PATCH", [namespace, name]),
        _ => return Err(not_found()),
    };
    match rest {
        ["sequences", name] => named(method, name, None, None),
        ["sequences", name, IDS, id] => named(method, name, Some(IDS), Some(id)),
        ["sequences", name, last] if *last != IDS => named(method, name, Some(last), None),
        [verb] => unnamed(method, verb),
        _ => Err(not_found()),
    }
}

/// The path with the names of its parameters instead of their values. None for a path that does not exist.
pub(crate) fn template(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let last = |last: &str| NAMED.iter().any(|row| row.last == Some(last));
    match segments.as_slice() {
        [VERSION, "sequences", _] => Some("/v1/sequences/{name}".to_owned()),
        [VERSION, "sequences", _, IDS, _] => Some("/v1/sequences/{name}/ids/{id}".to_owned()),
        [VERSION, "sequences", _, end] if *end != IDS && last(end) => {
            Some(format!("/v1/sequences/{{name}}/{end}"))
        }
        [VERSION, verb] if Op::ALL.iter().any(|op| op.as_path() == *verb) => {
            Some(format!("/v1/{verb}"))
        }
        [COSID, "distributor", _, _] => Some("/segments/distributor/{namespace}/{name}".to_owned()),
        [COSID, _, _] => Some("/segments/{namespace}/{name}".to_owned()),
        _ => None,
    }
}

fn named(method: &str, name: &str, last: Option<&str>, id: Option<&str>) -> Result<Route, Problem> {
    let rows = || NAMED.iter().filter(|row| row.last == last);
    let Some(row) = rows().find(|row| row.method == method) else {
        let methods: Vec<&str> = rows().map(|row| row.method).collect();
        return Err(match methods.as_slice() {
            [] => not_found(),
            _ => wrong_method(&methods),
        });
    };
    let decoded = |what: &str, segment| {
        text::segment(segment)
            .map_err(|reason| super::malformed(format!("the {what} in the path {reason}")))
    };
    let name = decoded("name", name)?;
    let id = id.map(|id| decoded("ID", id)).transpose()?;
    Ok(Route {
        op: row.op,
        name: Some(name),
        takes_body: matches!(row.method, "POST" | "PATCH"),
        reason_in_query: row.op == Op::Retire,
        id,
        cosid: false,
    })
}

/// The calls of CosId's protocol. A slash joins the two parts of the name.
fn cosid(method: &str, allowed: &str, parts: [&str; 2]) -> Result<Route, Problem> {
    if method != allowed {
        return Err(wrong_method(&[allowed]));
    }
    let [namespace, name] = parts.map(text::segment);
    let parts = namespace.and_then(|namespace| Ok((namespace, name?)));
    let (namespace, name) = parts
        .map_err(|reason| super::malformed(format!("a part of the name in the path {reason}")))?;
    // A slash would give two pairs of parts the same name.
    if namespace.contains('/') || name.contains('/') {
        return Err(super::malformed(
            "neither part of the name in the path can have a slash",
        ));
    }
    Ok(Route {
        op: match allowed {
            "POST" => Op::Define,
            _ => Op::Next,
        },
        name: Some(format!("{namespace}/{name}")),
        takes_body: false,
        reason_in_query: false,
        id: None,
        cosid: true,
    })
}

/// The calls whose body names the sequence. They are for names that proxies would change in a path.
fn unnamed(method: &str, verb: &str) -> Result<Route, Problem> {
    let op = Op::ALL.into_iter().find(|op| op.as_path() == verb);
    let op = op.ok_or_else(not_found)?;
    if method != "POST" {
        return Err(wrong_method(&["POST"]));
    }
    Ok(Route {
        op,
        name: None,
        takes_body: true,
        reason_in_query: false,
        id: None,
        cosid: false,
    })
}

fn not_found() -> Problem {
    Problem::own(
        Own::NotFound,
        "there is no such path; the calls are under /v1/sequences/NAME, where NAME is percent-encoded, and \
         /v1/next, /v1/describe, /v1/define, /v1/set-next, /v1/retire and /v1/trace",
    )
}

fn wrong_method(methods: &[&str]) -> Problem {
    let methods = methods.join(", ");
    let mut problem = Problem::own(
        Own::MethodNotAllowed,
        format!("this path takes the methods {methods}"),
    );
    problem.allow = Some(methods);
    problem
}
