//! Which call a method and a path name. Static segments are compared as they were sent; a name is decoded once.

use super::Op;
use super::problem::{Own, Problem};
use super::text;

/// A call by its method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub op: Op,
    /// The name of the sequence; none when the body has it.
    pub name: Option<String>,
    /// Whether the call may have a body.
    pub takes_body: bool,
    /// Whether the query may have a `reason`.
    pub reason_in_query: bool,
}

/// The first segment of every path.
const VERSION: &str = "v1";

/// A route of the table: method, operation, and what follows the name.
pub(super) struct Row {
    pub method: &'static str,
    pub op: Op,
    /// The segment after the name, if there is one.
    pub last: Option<&'static str>,
}

/// The calls whose path names the sequence: `/v1/sequences/{name}` and `/v1/sequences/{name}/LAST`.
pub(super) const NAMED: [Row; 5] = [
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
];

/// Finds the route.
///
/// # Errors
/// There is no such path, or not with this method, or the name is not percent-encoded UTF-8.
pub(crate) fn of(method: &str, path: &str) -> Result<Route, Problem> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let rest = match segments.as_slice() {
        [VERSION, rest @ ..] => rest,
        _ => return Err(not_found()),
    };
    match rest {
        ["sequences", name] => named(method, name, None),
        ["sequences", name, last] => named(method, name, Some(last)),
        [verb] => unnamed(method, verb),
        _ => Err(not_found()),
    }
}

fn named(method: &str, name: &str, last: Option<&str>) -> Result<Route, Problem> {
    let rows = || NAMED.iter().filter(|row| row.last == last);
    let Some(row) = rows().find(|row| row.method == method) else {
        let methods: Vec<&str> = rows().map(|row| row.method).collect();
        return Err(match methods.as_slice() {
            [] => not_found(),
            _ => wrong_method(&methods),
        });
    };
    let name = text::segment(name)
        .map_err(|reason| super::malformed(format!("the name in the path {reason}")))?;
    Ok(Route {
        op: row.op,
        name: Some(name),
        takes_body: matches!(row.method, "POST" | "PATCH"),
        reason_in_query: row.op == Op::Retire,
    })
}

/// The calls whose body names the sequence, for names that proxies change.
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
    })
}

fn not_found() -> Problem {
    Problem::own(
        Own::NotFound,
        "there is no such path; the calls are under /v1/sequences/NAME, where NAME is percent-encoded, and \
         /v1/next, /v1/describe, /v1/define, /v1/set-next and /v1/retire",
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
