//! The checker of `sequencer verify`: do the topics keep the promises?
//!
//! An independent checker over the request log, the replies and the state. An *oracle* of its own decides the
//! due answer of each request. It was written from the contract a second time, and so was the reading of requests
//! and of state records. So a mistake stays unseen only if it was made twice.
//!
//! This is a crate of its own that depends on no other crate of the project, so no rule of the service can be named
//! here. Only the tests depend on them, to have something to check. The command that reads the topics of a cluster
//! is `cli::verify` of the service; it implements [`source::Logs`].
//!
//! ```text
//! requests ──▶ oracle ──▶ what each record should get ──▶ ┐
//!                 ▲                                       ├─ matched range by range ──▶ I3 I4 I5
//! state ─────▶ replay: each footer and all entries        │          │
//!              against the oracle at the same offset      │          ▼ IDs as the replies give them
//! replies ──▶ what each one says ───────────────────────▶ ┘        in log order ──▶ I1 I2
//! ```
//!
//! | file | subject |
//! |---|---|
//! | [`source`] | the logs that are read |
//! | [`request`], [`link`], [`grant`], [`rules`], [`window`], [`own`], [`oracle`] | what a record should get |
//! | [`body`], [`code`] | the expected body of a reply, and the actual one |
//! | [`state`] | the records of the state topic |
//! | [`remembered`], [`state_log`], [`checkpoint`] | footers and entries against the oracle |
//! | [`facts`], [`spill`], [`matching`], [`order`] | requests and replies, on disk and in memory by ranges |
//! | [`bounds`] | the offsets up to which a growing log is checked |
//! | [`partition`] | one partition, from its begin to its end |
//! | [`report`], [`progress`] | the output |

#![deny(unreachable_pub, rustdoc::broken_intra_doc_links)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the documentation is for those who work on it"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

mod body;
mod bounds;
mod checkpoint;
mod code;
mod facts;
mod grant;
mod link;
mod matching;
mod murmur2;
mod oracle;
mod order;
mod own;
mod partition;
pub mod progress;
mod remembered;
pub mod report;
mod request;
mod rules;
pub mod source;
mod spill;
mod state;
mod state_log;
mod window;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bounds::Bounds;
use facts::{Due, Given, Layout};
use matching::Matching;
use oracle::Service;
use oracle::rescale::Cuts;
use partition::{Begin, Common, Sinks};
use progress::Progress;
use report::{Invariant, Report};
use source::{Extent, Flow, Logs, ReadError, Topic};
use spill::{Fact, Ranges, Spill};

/// The reason why the check was not possible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A temporary file.
    #[error("a temporary file cannot be written or read: {0}; --temp names another directory")]
    Spill(#[from] io::Error),
    /// The sequences of one partition are more than the budget holds.
    #[error(
        "partition {partition} has more than {sequences} sequences, which is more than --memory-mb holds: \
         allow more"
    )]
    Memory {
        /// The partition.
        partition: u32,
        /// Number of sequences so far.
        sequences: u64,
    },
    /// Replies are hidden by an open transaction.
    #[error(
        "an open transaction hides replies in partition {partition} of {topic}: try again when its \
         producer has ended it, or find it with kafka-transactions.sh find-hanging"
    )]
    OpenTransaction {
        /// The name of the topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// A partition adopts names of another one, whose split is not in what was read of its log.
    #[error(
        "partition {partition} adopts names of partition {parent}, and what was read of that partition's log does \
         not have the split: a rescale may be going on, try again when it is done"
    )]
    NoSplit {
        /// The partition that adopts.
        partition: u32,
        /// The partition that the names come from.
        parent: u32,
    },
    /// A newer release wrote the state topic.
    #[error("state partition {partition}: {problem}")]
    Format {
        /// The partition.
        partition: usize,
        /// The problem in words.
        problem: String,
    },
}

/// The extent and the limits of a check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the reply topics, by their number in [`Topic::Replies`].
    pub replies: Vec<String>,
    /// Number of topics that belong to this service alone, where every record must be a reply. They come first.
    pub own_replies: usize,
    /// The ID of the request topic, if it is known.
    pub topic_id: Option<[u8; 16]>,
    /// The memory limit in bytes.
    pub memory_bytes: u64,
    /// The directory for temporary files.
    pub directory: PathBuf,
    /// The longest wait until checkpoints cover the requests in the log at the start.
    pub wait: Duration,
}

/// The shares of the memory budget: a match holds one turn of the facts on each side. The rest is for the
/// oracle, the entries of the state, and the client's own buffers.
const FACTS_SHARE: u64 = 8;
const ORACLE_SHARE: u64 = 2;

/// Runs the whole check.
///
/// # Errors
/// The check was not possible. Anomalies in the topics are not errors; they are in the report.
pub fn run(logs: &dyn Logs, options: &Options, progress: &mut Progress) -> Result<Report, Error> {
    let mut report = Report::new();
    let mut bounds = Bounds::find(logs, options, progress)?;
    let service = bounds.service();
    let begins = begins(&mut bounds, service, &mut report)?;
    let spans = begins.iter().zip(&bounds.requests);
    let spans = spans.map(|(begin, requests)| Extent {
        start: match begin {
            Begin::Zero => 0,
            Begin::Footer { next, .. } => *next,
            Begin::Nowhere => requests.end,
        },
        end: requests.end,
    });
    let layout = Layout::new(spans.collect());
    let share = options.memory_bytes / FACTS_SHARE;
    let ranges = Ranges::of(layout.places(), Due::BYTES.max(Given::BYTES), share);
    let directory = &options.directory;
    let mut dues = Spill::new(directory, ranges, share)?;
    let mut given = Spill::new(directory, ranges, share)?;
    let cut_ms = replies_cut(logs, &bounds, options, &mut report)?;

    let common = Common {
        logs,
        layout: &layout,
        service,
        topic_id: options.topic_id,
        required: &bounds.required,
        covered: &bounds.covered(),
        cut_ms,
        memory_bytes: options.memory_bytes / ORACLE_SHARE,
    };
    let homes = bounds.homes();
    let mut cuts = Cuts::new();
    let mut sinks = Sinks {
        cuts: &mut cuts,
        dues: &mut dues,
        given: &mut given,
        report: &mut report,
        progress,
    };
    for (number, (begin, requests)) in (0..).zip(begins.iter().zip(&bounds.requests)) {
        let length = u64::try_from(requests.end - requests.start).unwrap_or(0);
        let stage = format!("requests of partition {number}");
        sinks.progress.stage(stage, length);
        let at = usize::try_from(number).unwrap_or(0);
        let begins_by = match homes.is_empty() {
            true => vec![service.partitions],
            false => bounds.begins_by(at, &homes),
        };
        let state = match bounds.states.get_mut(at) {
            Some(state) => state,
            None => &mut state_log::StateLog::new(directory, 0)?,
        };
        let end = requests.end;
        partition::check(number, begin, end, state, &common, &mut sinks, begins_by)?;
    }
    let mut replies = Spill::new(directory, ranges, share)?;
    read_replies(
        logs,
        &bounds,
        options,
        &layout,
        &mut replies,
        &mut report,
        progress,
    )?;
    let mut matching = Matching {
        layout: &layout,
        topics: &options.replies,
        begins: &begins,
        given: &mut given,
        report: &mut report,
    };
    matching.all(&mut dues, &mut replies, progress)?;
    order::check(&mut given, &layout, &mut report, progress)?;
    progress.end();
    if report.counts.requests == 0 {
        report.nothing(without_requests(&bounds.requests));
    }
    Ok(report)
}

/// The reason when no request was read: an empty topic may be the wrong one.
fn without_requests(requests: &[Extent]) -> String {
    if requests.iter().all(|extent| extent.end == 0) {
        return "the request topic is empty: is it the right one (topics.requests)?".to_owned();
    }
    "no request lies in the part of the request topic that can be checked".to_owned()
}

/// Finds the begin of each partition, and notes the part that this leaves unchecked.
fn begins(bounds: &mut Bounds, service: Service, report: &mut Report) -> Result<Vec<Begin>, Error> {
    let mut begins: Vec<Begin> = Vec::new();
    let homes = bounds.homes();
    for (at, requests) in bounds.requests.iter().enumerate() {
        let adopted = adopted_unseen(&begins, at, &homes);
        let begin = match bounds.states.get_mut(at) {
            Some(state) => {
                let number = u32::try_from(at).unwrap_or(u32::MAX);
                partition::begin(number, state, *requests, service, adopted)?
            }
            None if requests.start == 0 => Begin::Zero,
            None => Begin::Nowhere,
        };
        let (start, end) = (requests.start, requests.end);
        let partition = u32::try_from(at).unwrap_or(0);
        match &begin {
            Begin::Zero => {}
            Begin::Footer { next, .. } if adopted => report.unchecked.push(format!(
                "partition {at}: requests of offsets {start} to {next}, because the log of the partition that its \
                 names come from does not reach back to their move; the state at offset {next} is taken as it is"
            )),
            Begin::Footer { next, .. } => report.unchecked.push(format!(
                "partition {at}: requests of offsets {start} to {next} and all before them, because the \
                 log or a repair begins at {start}; the state at offset {next} is taken as it is"
            )),
            Begin::Nowhere => {
                report.unchecked.push(format!("partition {at}: all of its requests"));
                report.wrong(Invariant::CheckpointAddsUp, (partition, start), || {
                    format!(
                        "the request log begins at {start} and no footer adds up from there to {end}: \
                         there is nothing to begin with"
                    )
                });
            }
        }
        begins.push(begin);
    }
    Ok(begins)
}

/// True when a partition has adopted names by a split that lies before the begin of its parent here.
fn adopted_unseen(begins: &[Begin], partition: usize, homes: &[u32]) -> bool {
    let number = u32::try_from(partition).unwrap_or(u32::MAX);
    let epoch = homes.iter().position(|n| number < *n).filter(|at| *at > 0);
    let list = epoch.and_then(|epoch| homes.get(..=epoch));
    let Some([.., before, _]) = list else {
        return false;
    };
    let parent = usize::try_from(number % before).unwrap_or(0);
    let parent = begins.get(parent);
    parent.is_some_and(|parent| !parent.is_before_adoption(number, list.unwrap_or_default()))
}

/// If retention has cut the reply topics, the time up to which replies may be gone.
fn replies_cut(
    logs: &dyn Logs,
    bounds: &Bounds,
    options: &Options,
    report: &mut Report,
) -> Result<Option<i64>, Error> {
    let mut cut_ms = None;
    for (topic, partition, extent) in &bounds.replies {
        if extent.start == 0 {
            continue;
        }
        let mut first = i64::MAX;
        logs.read(*topic, *partition, *extent, &mut |record| {
            first = record.timestamp_ms;
            Flow::Stop
        })?;
        cut_ms = cut_ms.max(Some(first));
        let Topic::Replies(number) = topic else {
            continue;
        };
        let name = options.replies.get(usize::from(*number));
        report.unchecked.push(format!(
            "replies before offset {} of {}-{partition}, which are gone",
            extent.start,
            name.map_or("", |name| name)
        ));
    }
    Ok(cut_ms)
}

fn read_replies(
    logs: &dyn Logs,
    bounds: &Bounds,
    options: &Options,
    layout: &Layout,
    replies: &mut Spill<facts::Reply>,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), Error> {
    for (topic, partition, extent) in &bounds.replies {
        let Topic::Replies(number) = *topic else {
            continue;
        };
        let name = options.replies.get(usize::from(number));
        let name = name.map_or("", |name| name);
        let length = u64::try_from(extent.end - extent.start).unwrap_or(0);
        progress.stage(format!("replies of {name}-{partition}"), length);
        let mut failed = None;
        logs.read(*topic, *partition, *extent, &mut |record| {
            progress.reached(u64::try_from(record.offset - extent.start).unwrap_or(0));
            let Some(said) = body::read(record.value.unwrap_or_default()) else {
                report.counts.foreign += 1;
                if usize::from(number) < options.own_replies {
                    report.wrong(Invariant::Contract, (*partition, record.offset), || {
                        format!(
                            "the record of {name} is no reply: it names no partition and offset"
                        )
                    });
                }
                return Flow::Continue;
            };
            let Some(place) = layout.place(said.partition, said.offset) else {
                report.counts.replies_outside += 1;
                return Flow::Continue;
            };
            let reply = facts::Reply {
                place,
                topic: number,
                partition: *partition,
                offset: record.offset,
                hash: said.hash,
                key: body::hash_of_key(record.key),
                gives: said.gives,
            };
            match replies.push(&reply) {
                Ok(()) => Flow::Continue,
                Err(error) => {
                    failed = Some(error);
                    Flow::Stop
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(())
}
