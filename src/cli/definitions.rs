//! `sequencer define --file`: compares a file of definitions with the service, and applies the differences.
//!
//! | file | subject |
//! |---|---|
//! | `file` | the file's format |
//! | `diff` | the wanted definitions against the present ones |
//! | `forecast` | definitions that the service would refuse |
//! | `print` | the difference for people |

mod diff;
mod file;
mod forecast;
mod print;

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::Error;
use super::args::DefineArgs;
use super::ask::{Ask, CHANGES, Client, READS};
use super::operation::{self, Record};
use super::policy;
use super::reply::Reply;
use crate::core::name::POLICY;
use crate::core::printable::{printable, printable_json};
use diff::{Change, Kind};
use file::Definitions;

/// Highest number of failures that are printed. The others are counted, and `--json` has all of them.
const FAILURES_TOLD_MAX: usize = 20;

/// All changes of a file.
#[derive(Debug, Serialize)]
struct Plan {
    dry_run: bool,
    sequences: Vec<Step<Change>>,
    policy: Vec<Step<PolicyChange>>,
}

/// A change and its result.
#[derive(Debug, Serialize)]
struct Step<C> {
    #[serde(flatten)]
    change: C,
    /// The result. Absent when the change was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// The change of one partition's policy.
#[derive(Debug, Serialize)]
struct PolicyChange {
    partition: i32,
    old: String,
    new: String,
}

/// The reason why a change failed.
#[derive(Debug, Serialize)]
struct Failure {
    /// The service's error code. Absent when it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    message: String,
}

/// Shows the differences and applies them.
pub(super) fn run(path: &Path, args: &DefineArgs, out: &mut impl Write) -> Result<(), Error> {
    let wanted = file::read(path)?;
    let record = Record::of(&args.record)?;
    let names = wanted.sequences.iter().map(|wanted| wanted.name.as_str());
    let mut client = Client::open(&args.ask, names.chain([POLICY]))?;
    let mut plan = Plan::of(&wanted, &mut client, args.dry_run)?;
    let json = args.ask.output.json();
    if !json {
        print::plan(&plan, out)?;
        out.flush()?;
    }
    if !args.dry_run {
        plan.apply(&mut client, &record)?;
    }
    let (tried, failures) = plan.failures();
    let foreseen = if args.dry_run { plan.refusals() } else { 0 };
    if json {
        let text = serde_json::to_string(&plan)
            .map_err(|error| Error::Failed(format!("the result cannot be written: {error}")))?;
        writeln!(out, "{}", printable_json(&text))?;
    } else if failures.is_empty() {
        print::end(args.dry_run, tried, foreseen, out)?;
    }
    match failures.len() {
        0 if foreseen > 0 => Err(Error::Said),
        0 => Ok(()),
        _ if json => Err(Error::Said),
        failed => Err(Error::Failed(format!(
            "{failed} of {tried} changes were not applied:{}",
            told(&failures)
        ))),
    }
}

fn told(failures: &[String]) -> String {
    let lines = failures.iter().take(FAILURES_TOLD_MAX);
    let mut told: String = lines.map(|line| format!("\n  {line}")).collect();
    if let Some(more @ 1..) = failures.len().checked_sub(FAILURES_TOLD_MAX) {
        told += &format!("\n  and {more} more");
    }
    told
}

impl Plan {
    /// Asks for the present state, and compares.
    fn of(wanted: &Definitions, client: &mut Client, dry_run: bool) -> Result<Plan, Error> {
        let asks: Vec<Ask<'_>> = wanted
            .sequences
            .iter()
            .map(|wanted| Ask {
                name: &wanted.name,
                partition: None,
                value: operation::describe(),
                headers: Vec::new(),
            })
            .collect();
        let bodies = client.ask_all(&asks, READS)?;
        let mut sequences = Vec::with_capacity(asks.len());
        for (wanted, body) in wanted.sequences.iter().zip(bodies) {
            let name = &wanted.name;
            let body = body.map_err(|error| Error::Failed(format!("{name}: {error}")))?;
            let change = Change::between(wanted, &Reply::read(&body)?)
                .map_err(|error| Error::Failed(format!("{name}: {}", error.words())))?;
            sequences.push(Step::of(change));
        }
        let policy = match &wanted.undefined {
            Some(new) => policy_changes(new, client)?,
            None => Vec::new(),
        };
        Ok(Plan {
            dry_run,
            sequences,
            policy,
        })
    }

    /// Applies the differences. The definitions come first, so that the policy refuses no sequence of the file
    /// in between.
    fn apply(&mut self, client: &mut Client, record: &Record) -> Result<(), Error> {
        let mut steps: Vec<_> = self
            .sequences
            .iter_mut()
            .filter(|step| step.change.change != Kind::Unchanged)
            .collect();
        let asks: Vec<(String, Vec<u8>)> = steps
            .iter()
            .map(|step| {
                let value = record.value("define", step.change.to_send());
                (step.change.sequence.clone(), value)
            })
            .collect();
        let asks: Vec<Ask<'_>> = asks
            .iter()
            .map(|(name, value)| Ask {
                name,
                partition: None,
                value: value.clone(),
                headers: Vec::new(),
            })
            .collect();
        for (step, body) in steps.iter_mut().zip(client.ask_all(&asks, CHANGES)?) {
            step.done(body);
        }
        let mut steps: Vec<_> = self
            .policy
            .iter_mut()
            .filter(|step| step.change.old != step.change.new)
            .collect();
        let asks: Vec<Ask<'_>> = steps
            .iter()
            .map(|step| {
                policy::ask(
                    step.change.partition,
                    Some((&step.change.new, false, record)),
                )
            })
            .collect();
        for (step, body) in steps.iter_mut().zip(client.ask_all(&asks, CHANGES)?) {
            step.done(body);
        }
        Ok(())
    }

    /// Number of changes that the service would refuse, as far as this can be predicted.
    fn refusals(&self) -> usize {
        let refused = |step: &&Step<Change>| step.change.would_be_refused.is_some();
        self.sequences.iter().filter(refused).count()
    }

    /// Number of changes that were tried, and one line for each that failed.
    fn failures(&self) -> (usize, Vec<String>) {
        let sequences = self
            .sequences
            .iter()
            .map(|step| (step.change.sequence.clone(), step.applied, &step.error));
        let policy = self.policy.iter().map(|step| {
            let name = format!("policy of partition {}", step.change.partition);
            (name, step.applied, &step.error)
        });
        let mut tried = 0;
        let mut failures = Vec::new();
        for (name, applied, error) in sequences.chain(policy) {
            tried += usize::from(applied.is_some());
            if let Some(Failure { code, message }) = error {
                let code = code
                    .as_ref()
                    .map_or_else(String::new, |code| format!("{code}: "));
                failures.push(printable(&format!("{name}: {code}{message}")).into_owned());
            }
        }
        (tried, failures)
    }
}

fn policy_changes(new: &str, client: &mut Client) -> Result<Vec<Step<PolicyChange>>, Error> {
    let mut changes = Vec::new();
    for (partition, body) in policy::ask_each(client, None)? {
        let about = |why: String| Error::Failed(format!("policy of partition {partition}: {why}"));
        let reply = Reply::read(&body.map_err(|error| about(error.to_string()))?)?;
        let old = match (reply.undefined, reply.error) {
            (Some(old), _) => old,
            (None, Some(error)) => return Err(about(error.words())),
            (None, None) => return Err(about("the reply does not say it".to_owned())),
        };
        changes.push(Step::of(PolicyChange {
            partition,
            old,
            new: new.to_owned(),
        }));
    }
    Ok(changes)
}

impl<C> Step<C> {
    fn of(change: C) -> Step<C> {
        Step {
            change,
            applied: None,
            error: None,
        }
    }

    fn done(&mut self, body: Result<Vec<u8>, Error>) {
        let failure = |code, message| Some(Failure { code, message });
        self.error = match body.and_then(|body| Reply::read(&body)) {
            Err(error) => failure(None, error.to_string()),
            Ok(reply) => reply
                .error
                .and_then(|error| failure(Some(error.code), error.message)),
        };
        self.applied = Some(self.error.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_counted_beyond_the_first() {
        let all: Vec<String> = (0..23).map(|n| n.to_string()).collect();
        assert_eq!(told(&all[..2]), "\n  0\n  1");
        assert!(told(&all[..20]).ends_with("\n  19"));
        assert!(told(&all).ends_with("\n  19\n  and 3 more"));
    }
}
