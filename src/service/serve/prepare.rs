//! Before the first record: is there a cluster, are the topics there and as they must be?

use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Error;
use crate::kafka::admin::check::{Expected, Severity};
use crate::kafka::admin::topics::{CreateOptions, TopicNames};
use crate::kafka::admin::{Access, Admin, Cluster};
use crate::kafka::clients::Connection;
use crate::kafka::engine::Exit;
use crate::kafka::error::Class;
use crate::kafka::failover::{listen, topic};
use crate::service::settings::{CreateTopics, Settings};

/// Brokers hear of a new topic one after the other, and any of them may be the one that is asked: for so
/// long what is wrong with topics that were just made is looked at again.
const HEARD_DEADLINE: Duration = Duration::from_secs(10);
/// How often to look.
const HEARD_POLL: Duration = Duration::from_millis(100);

/// What an engine needs to know of the topics.
pub(super) struct Prepared {
    /// Partitions of the default reply topic.
    pub reply_partitions: u32,
    /// The topic of the heartbeats, where it can be used.
    pub heartbeats: Option<String>,
}

/// Creates the topics that are missing and checks all of them, then listens whether another process has this
/// `instance_id`.
///
/// # Errors
/// No cluster, a topic that is missing and cannot be made, or one with which the promise does not
/// hold.
pub(super) fn topics(connection: &Connection, settings: &Settings) -> Result<Prepared, Error> {
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
    let cluster = admin.cluster().map_err(failed)?;
    // Before they are made: one that may not be seen seems to be missing.
    admin
        .explained(permissions(&admin, &names))
        .map_err(failed)?;
    let is_new = || is_new_group(&admin, &settings.group);
    match missing(&names, &cluster, settings, is_new).map_err(failed)? {
        Missing::Create => {}
        Missing::CreateAndTell(lines) => lines.iter().for_each(|line| warn!("{line}")),
        Missing::Refuse(reason) => return Err(Error::Kafka(reason)),
    }
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
        let (wrong, warnings) = match check(&admin, &names, expected(connection, settings)) {
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
    let reply_partitions = count
        .map(|topic| topic.partitions)
        .ok_or_else(|| Error::Kafka(format!("topic {} does not exist", names.replies)))?;
    gateway_replies(&admin, settings, options);
    Ok(Prepared {
        reply_partitions,
        heartbeats: heartbeats(&admin, connection, settings, options)?,
    })
}

/// Without the topic everything but gateways works, and a gateway says what it lacks.
fn gateway_replies(admin: &Admin, settings: &Settings, options: CreateOptions) {
    let topic = &settings.topics.gateway_replies;
    // Also beside a group with a past, as the heartbeats.
    if settings.topics.create == CreateTopics::Never {
        return;
    }
    match admin.create_gateway_replies(topic, options) {
        Ok(_) => {}
        // Where nobody wants a gateway, nobody has to permit its topic.
        Err(error) if error.class == Class::Denied => {
            info!(topic, %error, "no topic for the replies to gateways");
        }
        Err(error) => warn!(topic, %error, "no topic for the replies to gateways"),
    }
}

/// Without heartbeats everything is as before there were any; only another process of the same name is found
/// when both have thrown each other out.
fn heartbeats(
    admin: &Admin,
    connection: &Connection,
    settings: &Settings,
    options: CreateOptions,
) -> Result<Option<String>, Error> {
    let topic = &settings.topics.heartbeats;
    // Also beside a group with a past: it had none before the release that has it, and a wrong name harms nobody.
    let may_create = settings.topics.create != CreateTopics::Never;
    let heard = topic::prepare(admin, topic, options, may_create).and_then(|()| {
        listen::is_in_use(connection, topic, Vec::new()).map_err(|error| error.to_string())
    });
    match heard {
        Ok(false) => Ok(Some(topic.clone())),
        Ok(true) => {
            let fenced = Exit::Fenced(connection.instance_id.clone());
            Err(Error::Fenced(format!("{fenced}; that one goes on")))
        }
        Err(reason) => {
            warn!(topic, reason, "no heartbeats");
            Ok(None)
        }
    }
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

/// Whether a group has no past. The first question about any group makes the topic of groups, which then is not
/// ready yet, and a group may move to another coordinator at that moment.
fn is_new_group(admin: &Admin, group: &str) -> Result<bool, crate::kafka::error::Error> {
    let begin = Instant::now();
    loop {
        match admin.is_new_group(group) {
            Err(error) if error.class != Class::Denied && begin.elapsed() < HEARD_DEADLINE => {
                thread::sleep(HEARD_POLL);
            }
            answer => return answer,
        }
    }
}

/// The way to deal with missing topics.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Create,
    /// After a line for each.
    CreateAndTell(Vec<String>),
    Refuse(String),
}

/// A name that is mistyped must not make topics beside those of a service that is there, and join its group with
/// them. `is_new`: whether the group has no past.
fn missing<E>(
    names: &TopicNames,
    cluster: &Cluster,
    settings: &Settings,
    is_new: impl FnOnce() -> Result<bool, E>,
) -> Result<Missing, E> {
    let keyed = [
        ("topics.requests", &names.requests),
        ("topics.replies", &names.replies),
        ("topics.state", &names.state),
        ("topics.ledger", &names.ledger),
    ];
    let absent: Vec<_> = keyed
        .into_iter()
        .filter(|(_, name)| !cluster.topics.contains_key(*name))
        .collect();
    let group = &settings.group;
    let Some((key, name)) = absent.first() else {
        return Ok(Missing::Create);
    };
    Ok(match settings.topics.create {
        CreateTopics::Always => Missing::Create,
        CreateTopics::Never => Missing::Refuse(format!(
            "topic {name:?} does not exist, and topics.create is never: is {key} right? If it is, create it with: \
             sequencer topics create"
        )),
        CreateTopics::Auto if is_new()? => Missing::Create,
        CreateTopics::Auto if *key == "topics.requests" => Missing::Refuse(format!(
            "topic {name:?} does not exist, and group {group:?} has members or committed offsets of other topics: \
             {key} or the group may be wrong. If both are right, create it with: sequencer topics create, or start \
             once with --set topics.create=always"
        )),
        CreateTopics::Auto => {
            let line = |(key, name): &(&str, &String)| {
                format!(
                    "topic {name:?} does not exist, though group {group:?} has a past: it is created. If {key} is \
                     wrong, stop this instance, correct it, and delete the topic"
                )
            };
            Missing::CreateAndTell(absent.iter().map(line).collect())
        }
    })
}

/// The wanted properties of topics that are there already.
pub(crate) fn expected(connection: &Connection, settings: &Settings) -> Expected {
    Expected {
        partitions: Some(positive(settings.topics.partitions)),
        replication: settings.topics.replication.map(positive),
        session_timeout_ms: i64::try_from(connection.session_timeout_ms()).ok(),
    }
}

/// What is wrong with the topics, and what is only noteworthy, in lines.
fn check(
    admin: &Admin,
    names: &TopicNames,
    expected: Expected,
) -> Result<(Vec<String>, Vec<String>), crate::kafka::error::Error> {
    let (mut wrong, mut warnings) = (Vec::new(), Vec::new());
    match admin.check_topics(names, expected) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::admin::Topic;
    use crate::service::settings::Flags;

    fn decided(create: &str, present: &[&str], is_new: bool) -> Missing {
        let flags = Flags {
            set: vec![format!("topics.create={create}")],
            ..Flags::default()
        };
        let (settings, _) = Settings::load(&flags, []).expect("settings");
        let names = TopicNames {
            requests: "requests".to_owned(),
            replies: "replies".to_owned(),
            state: "state".to_owned(),
            ledger: "ledger".to_owned(),
        };
        let shape = Topic {
            partitions: 4,
            replication: 1,
            led: true,
        };
        let topics = present.iter().map(|name| ((*name).to_owned(), shape));
        let cluster = Cluster {
            brokers: 1,
            topics: topics.collect(),
        };
        let decided = missing(&names, &cluster, &settings, || Ok::<_, ()>(is_new));
        decided.expect("an answer")
    }

    #[test]
    fn a_name_that_may_be_wrong_makes_no_topics_beside_a_group_with_a_past() {
        let Missing::Refuse(reason) = decided("auto", &["replies", "state", "ledger"], false)
        else {
            panic!("it is created");
        };
        assert!(
            reason.contains("\"requests\"") && reason.contains("may be wrong"),
            "{reason}"
        );
        assert!(!reason.contains('\n'), "{reason}");
        assert_eq!(decided("auto", &[], true), Missing::Create);
        assert_eq!(decided("always", &[], false), Missing::Create);
        assert!(matches!(decided("never", &[], true), Missing::Refuse(_)));
        let all = ["requests", "replies", "state", "ledger"];
        assert_eq!(decided("never", &all, false), Missing::Create);
    }

    #[test]
    fn a_state_topic_that_was_lost_is_made_again_and_named() {
        let Missing::CreateAndTell(lines) = decided("auto", &["requests", "replies"], false) else {
            panic!("it is not created");
        };
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("\"state\"") && lines[1].contains("\"ledger\""));
    }
}
