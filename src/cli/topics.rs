//! `sequencer topics create` and `sequencer topics check`.

use std::io::Write;

use serde::Serialize;

use super::args::{CreateArgs, TopicsArgs, TopicsCommand};
use super::session::Session;
use super::table::counted;
use super::{Error, output};
use crate::kafka::admin::check::{Expected, Finding, Severity};
use crate::kafka::admin::topics::{CreateOptions, Created};
use crate::service::serve::prepare::expected;
use crate::service::settings::Topics;

/// Creates or checks.
pub(super) fn run(args: &TopicsArgs, out: &mut impl Write) -> Result<(), Error> {
    match &args.command {
        TopicsCommand::Create(args) => create(args, out),
        TopicsCommand::Check(args) => {
            let session = Session::open(&args.connection.flags())?;
            check(&session, args.output.json(), out)
        }
    }
}

/// The output of `create` for programs.
#[derive(Serialize)]
struct AllCreated {
    topics: Vec<Created>,
}

/// The output of `check` for programs.
#[derive(Serialize)]
struct Findings<'a> {
    findings: &'a [Finding],
}

fn create(args: &CreateArgs, out: &mut impl Write) -> Result<(), Error> {
    let session = Session::open(&args.connection.flags())?;
    let settings = &session.settings;
    let replies: Vec<&str> = args.reply.iter().map(String::as_str).collect();
    let allowed = settings.reply_topics();
    if let Some(refused) = replies.iter().find(|name| !allowed.allows(name)) {
        return Err(Error::Usage(format!(
            "--reply {refused}: reply.allow does not have it, or it is a topic of the service itself, \
             so no reply would go there: name it otherwise, such as {refused}.reply, or allow it in the configuration of the service"
        )));
    }
    let options = create_options(&settings.topics);
    let names = session.topic_names();
    let mut topics = session
        .admin
        .explained(session.admin.create_topics(&names, options))?;
    let heartbeats = &settings.topics.heartbeats;
    topics.extend(
        session
            .admin
            .explained(session.admin.create_heartbeats(heartbeats, options))?,
    );
    let gateway_replies = &settings.topics.gateway_replies;
    topics.extend(
        session.admin.explained(
            session
                .admin
                .create_gateway_replies(gateway_replies, options),
        )?,
    );
    if !replies.is_empty() {
        let admin = &session.admin;
        topics.extend(admin.create_reply_topics(&names.replies, &replies, options)?);
    }
    match args.output.json() {
        true => Ok(output::json(&AllCreated { topics }, out)?),
        false => print_created(&topics, out),
    }
}

/// The options for new topics in the settings. Their limits are above zero and small.
fn create_options(topics: &Topics) -> CreateOptions {
    CreateOptions {
        partitions: u32::try_from(topics.partitions).unwrap_or(1),
        replication: topics
            .replication
            .and_then(|count| u32::try_from(count).ok()),
    }
}

fn print_created(topics: &[Created], out: &mut impl Write) -> Result<(), Error> {
    for topic in topics {
        let word = if topic.new { "created" } else { "exists" };
        writeln!(
            out,
            "{word}  {} with {}, {}",
            topic.name,
            counted(topic.partitions, "partition"),
            counted(topic.replication, "replica")
        )?;
    }
    Ok(())
}

fn check(session: &Session, json: bool, out: &mut impl Write) -> Result<(), Error> {
    let expected = Expected {
        // Few replicas are reported even if the settings ask for them.
        replication: None,
        ..expected(&session.connection, &session.settings)
    };
    let admin = &session.admin;
    let mut findings = admin.check_topics(&session.topic_names(), expected)?;
    findings.extend(admin.check_heartbeats(&session.settings.topics.heartbeats)?);
    match json {
        true => output::json(
            &Findings {
                findings: &findings,
            },
            out,
        )?,
        false => print_findings(&findings, out)?,
    }
    match findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
    {
        true => Err(Error::Said),
        false => Ok(()),
    }
}

fn print_findings(findings: &[Finding], out: &mut impl Write) -> Result<(), Error> {
    if findings.is_empty() {
        writeln!(out, "ok: the topics are as they should be")?;
    }
    for finding in findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "{word}: {}; {}", finding.problem, finding.remedy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(print: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_topic_has_a_line() {
        let topic = |name: &str, new, partitions| Created {
            name: name.to_owned(),
            partitions,
            replication: 1,
            new,
        };
        let printed = text(|out| print_created(&[topic("a", true, 4), topic("b", false, 1)], out));
        assert_eq!(
            printed,
            "created  a with 4 partitions, 1 replica\nexists  b with 1 partition, 1 replica\n"
        );
    }

    #[test]
    fn a_finding_says_how_bad_it_is_and_what_to_do() {
        let finding = Finding {
            severity: Severity::Warning,
            topic: "a".to_owned(),
            problem: "topic \"a\" is odd".to_owned(),
            remedy: "make it even".to_owned(),
        };
        let printed = text(|out| print_findings(&[finding], out));
        assert_eq!(printed, "warning: topic \"a\" is odd; make it even\n");
        assert!(text(|out| print_findings(&[], out)).starts_with("ok"));
    }
}
