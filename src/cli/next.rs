//! `sequencer next`: one request, its answer.

use std::io::Write;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Error;
use super::args::NextArgs;
use super::session::Session;
use crate::core::Name;
use crate::core::limits::TEXT_FIELD_BYTES_MAX;
use crate::kafka;
use crate::kafka::error::Class;
use crate::kafka::tools::requester::{Request, Requester, Route};

/// Names that begin so are the service's own; it says itself which of them it refuses.
const RESERVED_PREFIX: &str = "__";

/// What a reply says, as far as people ask.
#[derive(Debug, Deserialize)]
pub struct Reply {
    /// First ID.
    pub first: Option<i64>,
    /// Last ID.
    pub last: Option<i64>,
    /// In the place of IDs.
    pub error: Option<ReplyError>,
}

/// Why there are no IDs.
#[derive(Debug, Deserialize)]
pub struct ReplyError {
    /// Stable word.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Asks and prints.
pub fn run(args: &NextArgs, out: &mut impl Write) -> Result<(), Error> {
    check(args)?;
    let session = Session::open(&args.connection.flags())?;
    let cluster = session.admin.cluster()?;
    let topics = &session.settings.topics;
    let route = Route {
        request_partitions: session.partitions(&cluster, &topics.requests)?,
        requests: topics.requests.clone(),
        reply_partitions: session.partitions(&cluster, &topics.replies)?,
        replies: topics.replies.clone(),
    };
    let mut requester = Requester::new(&session.connection, route, [args.name.as_str()])?;
    requester.send(&args.name, &value(args.count, args.request_id.as_deref()))?;
    let deadline = Instant::now() + Duration::from_millis(args.timeout_ms);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(outcome) = requester.next(left)? {
            return print(&outcome.reply.map_err(unsent)?, args.json, out);
        }
        if left.is_zero() {
            let request = requester.give_up(Duration::ZERO).pop();
            return Err(Error::Failed(unanswered(args, &session, request)));
        }
    }
}

/// What can be refused without asking: it could never be right.
fn check(args: &NextArgs) -> Result<(), Error> {
    if let Err(rejection) = Name::from_key(Some(args.name.as_bytes()))
        && !args.name.starts_with(RESERVED_PREFIX)
    {
        return Err(Error::Usage(rejection.message));
    }
    match &args.request_id {
        Some(id) if !(1..=TEXT_FIELD_BYTES_MAX).contains(&id.len()) => Err(Error::Usage(format!(
            "--request-id must be 1 to {TEXT_FIELD_BYTES_MAX} bytes, got {}",
            id.len()
        ))),
        _ => Ok(()),
    }
}

/// The request's value: nothing when nothing is to be said.
fn value(count: u64, request_id: Option<&str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        count: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    if count == 1 && request_id.is_none() {
        return Vec::new();
    }
    // A number and a text are written without fail.
    serde_json::to_vec(&Body { count, request_id }).unwrap_or_default()
}

fn print(body: &[u8], json: bool, out: &mut impl Write) -> Result<(), Error> {
    let reply: Reply = serde_json::from_slice(body)
        .map_err(|error| Error::Failed(format!("the reply cannot be read: {error}")))?;
    if json {
        out.write_all(body)?;
        writeln!(out)?;
    }
    match reply {
        Reply { error: Some(_), .. } if json => Err(Error::Said),
        Reply {
            error: Some(ReplyError { code, message }),
            ..
        } => Err(Error::Failed(format!("{code}: {message}"))),
        Reply {
            first: Some(first),
            last: Some(last),
            ..
        } => {
            if !json {
                for id in first..=last {
                    writeln!(out, "{id}")?;
                }
            }
            Ok(())
        }
        _ => Err(Error::Failed(
            "the reply has neither IDs nor an error; --json shows it".to_owned(),
        )),
    }
}

/// A request is tried once; a connection that breaks meanwhile leaves open whether it is written.
fn unsent(error: kafka::error::Error) -> Error {
    match error.class {
        Class::Indefinite | Class::Retriable => Error::Failed(format!(
            "{error}\nThe request may be in the log all the same; asking again takes further IDs."
        )),
        _ => error.into(),
    }
}

fn unanswered(args: &NextArgs, session: &Session, request: Option<Request>) -> String {
    let settings = &session.settings;
    let waited_ms = args.timeout_ms;
    let Some((partition, offset)) = request.and_then(|request| request.place) else {
        return format!(
            "the request could not be written to {} within {waited_ms} ms: has it a leader and \
             enough replicas in sync?",
            settings.topics.requests
        );
    };
    let (requests, group) = (&settings.topics.requests, &settings.group);
    format!(
        "no answer within {waited_ms} ms: is `sequencer serve` running with group {group}, and does \
         `sequencer inspect --partition {partition}` say that the partition halts?\nThe request \
         stays in {requests}, partition {partition}, at offset {offset}: when it is answered, it \
         takes its IDs."
    )
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
    fn the_value_says_no_more_than_is_asked_for() {
        assert_eq!(value(1, None), b"");
        assert_eq!(value(5, None), br#"{"count":5}"#);
        assert_eq!(
            value(1, Some("a\"b")),
            br#"{"count":1,"request_id":"a\"b"}"#
        );
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
