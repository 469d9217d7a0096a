//! `sequencer policy`: sets or shows the rule for undefined names, in each partition.

use std::io::Write;

use serde_json::Value;

use super::args::PolicyArgs;
use super::ask::{Ask, CHANGES, Client, READS};
use super::operation::{self, Record};
use super::reply::Reply;
use super::{Error, output};
use crate::core::name::POLICY;
use crate::core::printable::printable;

/// A new policy: the word, whether created sequences are audited, and the author and reason.
pub(super) type Change<'a> = (&'a str, bool, &'a Record);

/// The answer of each partition.
type Bodies = Vec<(i32, Result<Vec<u8>, Error>)>;

/// Sets or shows the policy, and prints the answer of each partition.
pub(super) fn run(args: &PolicyArgs, out: &mut impl Write) -> Result<(), Error> {
    let record = Record::of(&args.record)?;
    let mut client = Client::open(&args.ask, [POLICY])?;
    let change = args.undefined.as_deref();
    let change = change.map(|word| (word, args.audit, &record));
    let bodies = ask_each(&mut client, change)?;
    let partitions = bodies.len();
    let mut failures = Vec::new();
    for (partition, body) in bodies {
        if let Err(why) = tell(partition, body, args.ask.output.json(), out)? {
            failures.push(format!("\n  partition {partition}: {why}"));
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{} of {partitions} partitions failed:{}",
        failures.len(),
        failures.concat()
    )))
}

/// Prints the answer of a partition, or returns the reason why there is none.
fn tell(
    partition: i32,
    body: Result<Vec<u8>, Error>,
    json: bool,
    out: &mut impl Write,
) -> Result<Result<(), String>, Error> {
    let body = match body {
        Ok(body) => body,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let reply = Reply::read(&body)?;
    if json {
        output::body(&body, out)?;
    }
    match (reply.undefined, reply.error) {
        (_, Some(error)) => return Ok(Err(error.words())),
        (Some(undefined), None) if !json => {
            let audited = if reply.audit { ", audited" } else { "" };
            writeln!(
                out,
                "partition {partition}: {}{audited}",
                printable(&undefined)
            )?;
        }
        (Some(_), None) => {}
        (None, None) => return Ok(Err("the reply does not say it".to_owned())),
    }
    Ok(Ok(()))
}

/// Asks every partition of the request topic, with those that the topic has grown by: each keeps its own
/// policy. `change` is the new policy. None to show it.
pub(super) fn ask_each(client: &mut Client, change: Option<Change<'_>>) -> Result<Bodies, Error> {
    let partitions: Vec<i32> = client.request_partitions().collect();
    let asks: Vec<Ask<'static>> = partitions
        .iter()
        .map(|partition| ask(*partition, change))
        .collect();
    let effect = if change.is_some() { CHANGES } else { READS };
    let bodies = client.ask_all(&asks, effect)?;
    Ok(partitions.into_iter().zip(bodies).collect())
}

/// The request to one partition.
pub(super) fn ask(partition: i32, change: Option<Change<'_>>) -> Ask<'static> {
    Ask {
        name: POLICY,
        partition: Some(partition),
        headers: Vec::new(),
        value: match change {
            Some((word, audit, record)) => {
                let audit = audit.then(|| ("audit", Value::from(true)));
                let undefined = ("undefined", Value::from(word));
                record.value("policy", std::iter::once(undefined).chain(audit))
            }
            None => operation::describe(),
        },
    }
}
