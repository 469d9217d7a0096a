//! `sequencer verify`: the topics against the promise.

mod print;

use std::io::Write;
use std::time::Duration;

use super::Error;
use super::args::VerifyArgs;
use super::session::Session;
use crate::kafka::admin::Access;
use crate::verify::live::{Live, Names};
use crate::verify::progress::Progress;
use crate::verify::{self, Options};
use crate::wire::headers;
use crate::wire::route::AllowList;

/// Checks and prints; fails when something is wrong.
pub fn run(args: &VerifyArgs, out: &mut impl Write) -> Result<(), Error> {
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
    ];
    let chosen = AllowList::new(args.replies.clone(), own);
    let mut replies = vec![topics.replies.clone()];
    replies.extend(
        cluster
            .topics
            .keys()
            .filter(|topic| chosen.allows(topic))
            .cloned(),
    );
    let options = Options {
        replies: replies.clone(),
        own_replies: 1,
        topic_id: session.admin.topic_id(&topics.requests)?,
        memory_bytes: args.memory_mb << 20,
        directory: args.temp.clone().unwrap_or_else(std::env::temp_dir),
        wait: Duration::from_millis(args.wait_ms),
    };
    let conventions = headers::Names::default();
    let topic_headers = [
        conventions.kafka.topic,
        conventions.smallrye.topic,
        conventions.faststream.topic,
    ];
    let names = Names {
        requests: topics.requests.clone(),
        state: topics.state.clone(),
        replies,
        topic_headers: topic_headers.to_vec(),
    };
    let live = Live::new(&session.connection, cluster, names)?;
    let report = verify::run(&live, &options, &mut Progress::on_stderr())?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        print::report(&report, out)?;
    }
    if report.clean {
        Ok(())
    } else {
        Err(Error::Said)
    }
}
