//! Before the first record: is there a cluster, are the topics there and as they must be?

use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Error;
use crate::kafka::admin::check::Severity;
use crate::kafka::admin::topics::{CreateOptions, TopicNames};
use crate::kafka::admin::{Access, Admin};
use crate::kafka::clients::Connection;
use crate::kafka::error::Class;
use crate::service::settings::Settings;

/// Brokers hear of a new topic one after the other, and any of them may be the one that is asked: for so
/// long what is wrong with topics that were just made is looked at again.
const HEARD_DEADLINE: Duration = Duration::from_secs(10);
/// How often to look.
const HEARD_POLL: Duration = Duration::from_millis(100);

/// Creates the topics that are missing and checks all of them. Returns the partition count of the
/// default reply topic.
///
/// # Errors
/// No cluster, a topic that is missing and cannot be made, or one with which the promise does not
/// hold.
pub(super) fn topics(connection: &Connection, settings: &Settings) -> Result<u32, Error> {
    let failed = |error: crate::kafka::error::Error| Error::Kafka(error.to_string());
    let admin = Admin::new(&connection.admin()).map_err(failed)?;
    let names = TopicNames {
        requests: settings.topics.requests.clone(),
        replies: settings.topics.replies.clone(),
        state: settings.topics.state.clone(),
        ledger: settings.topics.ledger.clone(),
    };
    let options = CreateOptions {
        partitions: positive(settings.topics.partitions),
        replication: settings.topics.replication.map(positive),
    };
    admin.cluster().map_err(failed)?;
    // Before they are made: one that may not be seen seems to be missing.
    admin
        .explained(permissions(&admin, &names))
        .map_err(failed)?;
    let topics = admin
        .explained(admin.create_topics(&names, options))
        .map_err(failed)?;
    for topic in &topics {
        if topic.new {
            info!(
                topic = topic.name,
                partitions = topic.partitions,
                replication = topic.replication,
                "created topic"
            );
        }
    }
    let made = topics.iter().any(|topic| topic.new);
    let begin = Instant::now();
    loop {
        let (wrong, warnings) = match check(&admin, &names) {
            // The controller is changing hands.
            Err(error) if error.class == Class::Retriable && begin.elapsed() < HEARD_DEADLINE => {
                thread::sleep(HEARD_POLL);
                continue;
            }
            checked => admin.explained(checked).map_err(failed)?,
        };
        if wrong.is_empty() {
            for line in warnings {
                warn!("{line}");
            }
            break;
        }
        if !made || begin.elapsed() >= HEARD_DEADLINE {
            return Err(Error::Kafka(wrong.join("\n")));
        }
        thread::sleep(HEARD_POLL);
    }
    if made {
        permissions(&admin, &names).map_err(failed)?;
    }
    // Not asked for once more, for the same reason.
    let count = topics.iter().find(|topic| topic.name == names.replies);
    count
        .map(|topic| topic.partitions)
        .ok_or_else(|| Error::Kafka(format!("topic {} does not exist", names.replies)))
}

/// Each would show later by itself, as a partition that waits; here it is one line, and the end.
/// Without writing to the request topic nothing is missing until the first stray, and without writing to
/// the ledger until the first grant of an audited sequence.
fn permissions(admin: &Admin, names: &TopicNames) -> Result<(), crate::kafka::error::Error> {
    admin.permits(&names.requests, Access::Read)?;
    admin.permits(&names.requests, Access::Write)?;
    admin.permits(&names.replies, Access::Write)?;
    admin.permits(&names.state, Access::Read)?;
    admin.permits(&names.state, Access::Write)?;
    admin.permits(&names.ledger, Access::Write)
}

/// What is wrong with the topics, and what is only noteworthy, in lines.
fn check(
    admin: &Admin,
    names: &TopicNames,
) -> Result<(Vec<String>, Vec<String>), crate::kafka::error::Error> {
    let (mut wrong, mut warnings) = (Vec::new(), Vec::new());
    match admin.check_topics(names) {
        Ok(findings) => {
            for finding in findings {
                let line = format!("{}; {}", finding.problem, finding.remedy);
                match finding.severity {
                    Severity::Warning => warnings.push(line),
                    Severity::Error => wrong.push(line),
                }
            }
        }
        // Describing settings needs a permission that serving does not.
        Err(error) if error.class == Class::Denied => {
            warnings.push(format!("cannot check the topics' settings: {error}"));
        }
        Err(error) => return Err(error),
    }
    Ok((wrong, warnings))
}

/// The settings have been checked to be positive.
fn positive(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(1).max(1)
}
