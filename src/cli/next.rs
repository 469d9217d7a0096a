//! `sequencer next`: sends one request and prints its answer.

use std::io::Write;

use serde::Serialize;

use super::Error;
use super::args::NextArgs;
use super::ask::{Client, TAKES, check_name, check_text};
use super::reply::Reply;

/// Random bytes of a generated `request_id`: enough that two are never the same.
const DRAWN_BYTES: usize = 16;

/// Asks for IDs and prints them.
///
/// Every request has a `request_id`. Without it, a request whose answer does not come in time could not be
/// repeated, and its IDs would be lost.
pub(super) fn run(args: &NextArgs, out: &mut impl Write) -> Result<(), Error> {
    check_name(&args.name)?;
    check_text("--request-id", args.request_id.as_deref())?;
    let request_id = match &args.request_id {
        Some(given) => given.clone(),
        None => drawn()?,
    };
    let mut client = Client::open(&args.ask, [args.name.as_str()])?;
    let mut flags = vec![("--request-id", request_id.clone())];
    if args.count != 1 {
        flags.push(("--count", args.count.to_string()));
    }
    let again = client.again().clone().with(flags);
    let repeat = again.command("next", &[args.name.as_str()]);
    let body = client.take(&args.name, value(args.count, &request_id), repeat.clone())?;
    let printed = print(&body, args.ask.output.json(), out).and_then(|()| Ok(out.flush()?));
    printed.map_err(|error| match error {
        Error::Output(_) => Error::Failed(format!(
            "{error}\nThe request was answered. {}\n  {repeat}",
            TAKES.remedy()
        )),
        other => other,
    })
}

fn drawn() -> Result<String, Error> {
    let mut bytes = [0; DRAWN_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Failed(format!("no randomness from the system: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The request's value as JSON.
fn value(count: u64, request_id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        count: u64,
        request_id: &'a str,
    }
    // A number and a text can always be serialised.
    serde_json::to_vec(&Body { count, request_id }).unwrap_or_default()
}

fn ids(first: i64, last: i64, increment: i64) -> impl Iterator<Item = i64> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let id = next?;
        next = (id != last).then(|| id.checked_add(increment)).flatten();
        Some(id)
    })
}

fn print(body: &[u8], json: bool, out: &mut impl Write) -> Result<(), Error> {
    let reply = Reply::take(body, json, out)?;
    let (Some(first), Some(last)) = (reply.first, reply.last) else {
        return Err(Error::Failed(
            "the reply has neither IDs nor an error; --json shows it".to_owned(),
        ));
    };
    if !json {
        for id in ids(first, last, reply.increment.unwrap_or(1)) {
            writeln!(out, "{id}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(body: &str, json: bool) -> (String, Result<(), String>) {
        let mut out = Vec::new();
        let result = print(body.as_bytes(), json, &mut out).map_err(|error| error.to_string());
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn the_value_always_has_a_request_id() {
        assert_eq!(value(1, "a\"b"), br#"{"count":1,"request_id":"a\"b"}"#);
        let (one, other) = (drawn().unwrap(), drawn().unwrap());
        assert_eq!(one.len(), 2 * DRAWN_BYTES);
        assert_ne!(one, other);
    }

    #[test]
    fn ids_come_one_to_a_line_and_json_comes_as_it_is() {
        let body =
            r#"{"sequence":"orders","first":41,"last":43,"count":3,"partition":0,"offset":9}"#;
        assert_eq!(printed(body, false), ("41\n42\n43\n".to_owned(), Ok(())));
        assert_eq!(printed(body, true), (format!("{body}\n"), Ok(())));
    }

    #[test]
    fn an_error_is_an_error_and_with_json_still_the_reply() {
        let body =
            r#"{"error":{"code":"exhausted","message":"none left"},"partition":0,"offset":9}"#;
        let (out, result) = printed(body, false);
        assert_eq!(
            (out.as_str(), result),
            ("", Err("exhausted: none left".to_owned()))
        );
        let (out, result) = printed(body, true);
        assert_eq!(out, format!("{body}\n"));
        assert!(result.is_err());
        assert!(printed("{}", false).1.is_err());
    }
}
