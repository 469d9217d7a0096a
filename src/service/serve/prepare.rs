//! Before the first record: is there a cluster, are the topics there and as they must be?

use tracing::{info, warn};

use super::Error;
use crate::kafka::admin::Admin;
use crate::kafka::admin::check::Severity;
use crate::kafka::admin::topics::{CreateOptions, TopicNames};
use crate::kafka::clients::Connection;
use crate::kafka::error::Class;
use crate::service::settings::Settings;

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
    };
    let options = CreateOptions {
        partitions: positive(settings.topics.partitions),
        replication: settings.topics.replication.map(positive),
    };
    admin.cluster().map_err(failed)?;
    for topic in admin.create_topics(&names, options).map_err(failed)? {
        if topic.new {
            info!(
                topic = topic.name,
                partitions = topic.partitions,
                replication = topic.replication,
                "created topic"
            );
        }
    }
    let mut wrong = Vec::new();
    match admin.check_topics(&names) {
        Ok(findings) => {
            for finding in findings {
                let line = format!("{}; {}", finding.problem, finding.remedy);
                match finding.severity {
                    Severity::Warning => warn!("{line}"),
                    Severity::Error => wrong.push(line),
                }
            }
        }
        // Describing settings needs a permission that serving does not.
        Err(error) if error.class == Class::Denied => {
            warn!(%error, "cannot check the topics' settings");
        }
        Err(error) => return Err(failed(error)),
    }
    if !wrong.is_empty() {
        return Err(Error::Kafka(wrong.join("\n")));
    }
    let count = admin.partition_count(&names.replies).map_err(failed)?;
    count.ok_or_else(|| Error::Kafka(format!("topic {} does not exist", names.replies)))
}

/// The settings have been checked to be positive.
fn positive(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(1).max(1)
}
