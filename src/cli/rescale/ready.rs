//! The checks before a rescale begins, and the record that begins it.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use super::follow;
use super::plan::Plan;
use super::view::{View, sizes};
use crate::cli::Error;
use crate::cli::ask::{Ask, CHANGES, Client};
use crate::cli::inspect::partition::{Facts, Outlook};
use crate::cli::policy;
use crate::cli::reply::Reply;
use crate::cli::session::Session;
use crate::core::Homes;
use crate::core::limits::FOLD_VERSION;
use crate::core::link::LinkKey;
use crate::core::name::POLICY;
use crate::core::rescale::{Order, operators_link};
use crate::kafka::admin::check::{Expected, Severity};
use crate::kafka::failover::releases;
use crate::kafka::takeovers::questions::Questions;
use crate::processor::takeover::{Action, Event};
use crate::wire::headers::{FORWARDED, block};
use crate::wire::rescale;
use crate::wire::state::FORMAT_VERSION_OF_RESCALES;

/// The longest wait until the new partitions run: several times what a group takes to notice them.
const BEGIN_MAX: Duration = Duration::from_secs(120);
/// The pause between two readings of their state.
const BEGIN_POLL: Duration = Duration::from_millis(500);
/// Partitions that an error names. Another run names the next ones.
const NAMED_MAX: usize = 5;

/// Proof that a split can be carried out. Only [`Ready::check`] makes it.
pub(super) struct Ready {
    homes: Homes,
    link_key: LinkKey,
}

/// Checks the settings of the topics.
pub(super) fn topics(session: &Session) -> Result<(), Error> {
    let findings = session
        .admin
        .check_topics(&session.topic_names(), Expected::default())?;
    let wrong = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let wrong: Vec<String> = wrong
        .map(|finding| format!("{}; {}", finding.problem, finding.remedy))
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Error::Failed(wrong.join("\n"))),
    }
}

/// Checks that instances run, and that the release of each knows rescales. An older one would refuse the
/// partitions that it is given.
pub(super) fn instances(session: &Session) -> Result<(), Error> {
    let settings = &session.settings;
    let members = session.admin.group_members(&settings.group)?;
    // Members without a partition may get one at any time.
    let reads = |member: &crate::kafka::admin::Member| {
        member.assigned.is_empty() || member.assigned.contains_key(&settings.topics.requests)
    };
    let names: BTreeSet<String> = members
        .into_iter()
        .filter(reads)
        .map(|member| member.instance_id.unwrap_or(member.client_id))
        .collect();
    if names.is_empty() {
        return Err(Error::Failed(format!(
            "no instance of group {:?} reads {:?}, and the instances carry a rescale out: start one",
            settings.group, settings.topics.requests
        )));
    }
    let topic = &settings.topics.heartbeats;
    let formats = releases::state_formats(&session.connection, topic, &names)?;
    for name in names {
        match formats.get(&name) {
            Some(Some(format)) if *format >= FORMAT_VERSION_OF_RESCALES => {}
            Some(_) => {
                return Err(Error::Failed(format!(
                    "the release of instance {name:?} does not know rescales: upgrade it first"
                )));
            }
            None => {
                return Err(Error::Failed(format!(
                    "instance {name:?} writes no heartbeats to {topic:?}, so its release is not known: is it gone, \
                     or has it no permission to write there?"
                )));
            }
        }
    }
    Ok(())
}

/// Checks that each partition answers: one that halts for a request, and not for its state, does not.
pub(super) fn partitions(client: &mut Client) -> Result<(), Error> {
    let asked = policy::ask_each(client, None)?;
    let count = asked.len();
    let silent: Vec<String> = asked
        .into_iter()
        .filter_map(|(partition, body)| Some(format!("partition {partition}: {}", body.err()?)))
        .collect();
    if silent.is_empty() {
        return Ok(());
    }
    let named = silent.iter().take(NAMED_MAX).map(String::as_str);
    Err(Error::Failed(format!(
        "{} of {count} partitions did not answer, and a rescale needs all of them:\n  {}",
        silent.len(),
        named.collect::<Vec<_>>().join("\n  ")
    )))
}

impl Ready {
    /// Checks everything that a split needs: the topics have grown, each partition runs and has said by which N
    /// it begins, and every instance knows rescales.
    pub(super) fn check(
        session: &Session,
        client: &mut Client,
        plan: &Plan,
    ) -> Result<Ready, Error> {
        let n = plan.homes.partitions();
        for topic in sizes(session, &session.admin.cluster()?)? {
            if topic.partitions < n {
                return Err(Error::Failed(format!(
                    "topic {:?} has {} partitions, and the rescale needs {n}: run the command again",
                    topic.topic, topic.partitions
                )));
            }
        }
        begun(session, plan)?;
        // A partition that adopts names answers nothing meanwhile.
        if !plan.is_begun {
            partitions(client)?;
        }
        instances(session)?;
        Ok(Ready {
            homes: plan.homes,
            link_key: link_key(session)?,
        })
    }

    /// Writes the record that begins the rescale, and waits for its answer. The same record again tells those
    /// partitions that have not reported.
    pub(super) fn split(self, client: &mut Client) -> Result<(), Error> {
        let value = rescale::encode(&Order::Split(self.homes));
        let link = operators_link(&self.homes);
        let header = link.header(&self.link_key, 0, rescale::KEY, Some(&value));
        let mut headers = Vec::new();
        block::push(&mut headers, FORWARDED, header.as_bytes());
        let ask = Ask {
            name: POLICY,
            partition: Some(0),
            value,
            headers,
        };
        let mut bodies = client.ask_all(&[ask], CHANGES)?;
        let body = match bodies.pop() {
            Some(Ok(body)) => body,
            other => {
                let why = other.and_then(Result::err).map(|error| error.to_string());
                return Err(Error::Failed(format!(
                    "the record that begins the rescale has no answer, and it may have begun: run the same command \
                     again, which is safe. {}",
                    why.unwrap_or_default()
                )));
            }
        };
        match Reply::read(&body)?.error {
            Some(error) => Err(Error::Failed(format!(
                "partition 0 refuses the rescale: {}",
                error.words()
            ))),
            None => Ok(()),
        }
    }
}

/// Waits until each partition has committed by which N it begins.
fn begun(session: &Session, plan: &Plan) -> Result<(), Error> {
    let begin = Instant::now();
    loop {
        let (view, pause) = follow::look(session, BEGIN_POLL)?;
        let Some(why) = not_begun(&view, plan) else {
            return Ok(());
        };
        if begin.elapsed() >= BEGIN_MAX {
            return Err(Error::Failed(format!(
                "{why}, after {} s. The topics have their partitions, and names are where they were: run the \
                 command again",
                BEGIN_MAX.as_secs()
            )));
        }
        thread::sleep(pause);
    }
}

/// Why a split would find a partition that cannot take part. None when all can.
fn not_begun(view: &View, plan: &Plan) -> Option<String> {
    (0..plan.homes.partitions()).find_map(|number| {
        let Some(facts) = view.partition(number) else {
            return Some(format!("partition {number} is not there yet"));
        };
        let reason = facts
            .reason
            .as_deref()
            .unwrap_or("it has no checkpoint yet");
        match facts.standing {
            Some(standing) if facts.outlook == Outlook::Starts => {
                let list = standing.homes;
                let fits = list == plan.known || plan.is_begun && plan.homes.extends(&list);
                if !fits {
                    return Some(format!(
                        "partition {number} begins by the list {list:?}, and the service has {:?}",
                        plan.known
                    ));
                }
                not_of_this_fold(facts)
            }
            _ => Some(format!(
                "partition {number} {}: {reason}",
                facts.outlook.as_str()
            )),
        }
    })
}

fn not_of_this_fold(facts: &Facts) -> Option<String> {
    let found = facts.fold_version;
    (found != Some(FOLD_VERSION)).then(|| {
        format!(
            "the state of partition {} is folded by version {found:?}, and this release knows {FOLD_VERSION}",
            facts.partition
        )
    })
}

fn link_key(session: &Session) -> Result<LinkKey, Error> {
    let questions = Questions::new(&session.connection, &session.topics())?;
    match questions.answer(0, Action::ReadService)? {
        Event::Service(Some(decided)) => Ok(decided.link_key),
        other => Err(Error::Failed(format!(
            "the state of partition 0 does not have the key of forwarded requests: {other:?}"
        ))),
    }
}
