//! `sequencer verify`: checks the topics against the promises.

mod print;

use std::io::Write;
use std::time::Duration;

use super::args::VerifyArgs;
use super::session::Session;
use super::{Error, output};
use crate::kafka::admin::Access;
use crate::service::settings::Settings;
use crate::verify::live::{Live, Names};
use crate::verify::progress::Progress;
use crate::verify::{self, Options};
use crate::wire::route::AllowList;

/// Checks and prints. Fails when something is wrong.
pub(super) fn run(args: &VerifyArgs, out: &mut impl Write) -> Result<(), Error> {
    let session = Session::open(&args.connection.flags())?;
    let cluster = session.admin.cluster()?;
    let topics = &session.settings.topics;
    for topic in [&topics.requests, &topics.replies, &topics.state] {
        session.partitions(&cluster, topic, Access::Read)?;
    }
    let own = vec![
        topics.requests.clone(),
        topics.replies.clone(),
        topics.state.clone(),
        topics.ledger.clone(),
        topics.gateway_replies.clone(),
    ];
    let mut replies = vec![topics.replies.clone()];
    // Requests of gateways name it. A service from before the gateway does not have it.
    if cluster.topics.contains_key(&topics.gateway_replies) {
        replies.push(topics.gateway_replies.clone());
    }
    replies.extend(chosen(&args.replies, own, cluster.topics.keys())?);
    let options = Options {
        replies: replies.clone(),
        own_replies: 1,
        topic_id: session.admin.topic_id(&topics.requests)?,
        memory_bytes: args.memory_mb << 20,
        directory: args.temp.clone().unwrap_or_else(std::env::temp_dir),
        wait: Duration::from_millis(args.wait_ms),
    };
    let names = Names {
        requests: topics.requests.clone(),
        state: topics.state.clone(),
        replies,
        topic_headers: topic_headers(&session.settings),
    };
    let live = Live::new(&session.connection, cluster, names)?;
    let report = verify::run(&live, &options, &mut Progress::on_stderr())?;
    if args.output.json() {
        output::json(&report, out)?;
    } else {
        print::report(&report, out)?;
    }
    if report.clean {
        Ok(())
    } else {
        Err(Error::Said)
    }
}

/// The topics that the patterns match, besides the service's own. A pattern without a match is a mistake: its
/// topics would stay unchecked.
fn chosen<'a>(
    patterns: &[String],
    own: Vec<String>,
    topics: impl Iterator<Item = &'a String> + Clone,
) -> Result<Vec<String>, Error> {
    for pattern in patterns {
        let one = AllowList::new(vec![pattern.clone()], Vec::new());
        if !topics.clone().any(|topic| one.allows(topic)) {
            return Err(Error::Failed(format!(
                "--replies {pattern:?}: no topic that can be seen has such a name"
            )));
        }
    }
    let all = AllowList::new(patterns.to_vec(), own);
    Ok(topics.filter(|topic| all.allows(topic)).cloned().collect())
}

/// The headers that name a topic for the reply, according to the service's configuration.
fn topic_headers(settings: &Settings) -> Vec<String> {
    let headers = &settings.reply_headers;
    let families = [&headers.kafka, &headers.smallrye, &headers.faststream];
    families.map(|family| family.topic.clone()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings::Flags;

    #[test]
    fn the_headers_that_name_a_topic_are_the_configured_ones() {
        let flags = Flags {
            set: vec!["reply.headers.smallrye.topic=X-Answer-To".to_owned()],
            ..Flags::default()
        };
        let (settings, _) = Settings::load(&flags, []).unwrap();
        assert_eq!(
            topic_headers(&settings),
            ["kafka_replyTopic", "X-Answer-To", "reply_to"]
        );
    }

    #[test]
    fn a_pattern_that_chooses_no_topic_is_refused() {
        let topics = ["r", "a.reply", "b.reply"].map(str::to_owned);
        let chosen = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|one| (*one).to_owned()).collect();
            chosen(&patterns, vec!["r".to_owned()], topics.iter())
        };
        assert_eq!(chosen(&["*.reply", "r"]).unwrap(), ["a.reply", "b.reply"]);
        let refused = chosen(&["*.reply", "*.repyl"]).unwrap_err().to_string();
        assert!(refused.contains("--replies \"*.repyl\""), "{refused}");
    }
}
