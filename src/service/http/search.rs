//! Searches sequences by their whole name or by a prefix, in the engine's memory, in bounded steps between its
//! polls. Only one search runs at a time, so that many readers cost no more than one.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use crate::core::fold::{Description, Matches};
use crate::core::partitioner::partition_id_of;
use crate::kafka::engine::inquiry::{FOUND_MAX, Inquiries, Inquiry, Question};
use crate::observe::status::{PartitionState, Status};

/// Longest prefix in bytes: the limit of a name.
pub(super) const PREFIX_BYTES_MAX: usize = crate::core::limits::NAME_BYTES_MAX;
/// Longest search. People do not wait longer, and a search looks at millions of sequences in this time.
const SEARCH_MAX: Duration = Duration::from_secs(3);
/// Longest wait for the engine, which may be folding a backlog.
const ANSWER_MAX: Duration = Duration::from_secs(2);

static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// A sequence in the result.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// The name of the sequence.
    pub name: String,
    /// The partition that holds it.
    pub partition: i32,
    /// The ID that the next grant begins with; none when no ID is left.
    pub next: Option<i64>,
    /// Step from one ID to the next.
    pub increment: i64,
    /// The bound at which the sequence ends.
    pub end: i64,
    /// True when the sequence gives no more IDs.
    pub retired: bool,
}

/// The result of a search.
#[derive(Debug, Default, Serialize)]
pub(super) struct SearchResult {
    /// The sequences. The sequence with exactly that name comes first.
    pub sequences: Vec<Row>,
    /// Number of sequences that the search looked at.
    pub looked_at: usize,
    /// True when there are or may be more: too many to list, or too many to look at in time.
    pub more: bool,
    /// The home partition of exactly that name, once N is known.
    pub home: Option<i32>,
    /// The reason why the result is not complete, in words.
    pub problem: Option<&'static str>,
}

/// Searches the partitions that run in this instance.
pub(super) async fn search(inquiries: &Inquiries, status: &Status, prefix: &str) -> SearchResult {
    let mut found = SearchResult::default();
    let Ok(_turn) = ONE_AT_A_TIME.acquire().await else {
        return found;
    };
    let began = Instant::now();
    let homes = status.service_partitions;
    if homes > 0 && !prefix.is_empty() {
        let home = partition_id_of(prefix.as_bytes(), homes);
        found.home = Some(home);
        let exact = ask(inquiries, home, Question::Name(prefix.to_owned())).await;
        found.add(home, exact.unwrap_or_default(), prefix);
    }
    let running = status
        .partitions
        .iter()
        .filter(|(_, status)| status.state == PartitionState::Running);
    for (partition, _) in running {
        let mut from = Some(0);
        while let Some(place) = from {
            if found.sequences.len() >= FOUND_MAX || began.elapsed() >= SEARCH_MAX {
                found.more = true;
                return found;
            }
            let question = Question::Prefix {
                prefix: prefix.to_owned(),
                from: place,
            };
            let Some(matches) = ask(inquiries, *partition, question).await else {
                found.problem = Some("a partition did not answer; it may be moving");
                break;
            };
            from = matches.next;
            found.add(*partition, matches, prefix);
        }
    }
    found
}

async fn ask(inquiries: &Inquiries, partition: i32, question: Question) -> Option<Matches> {
    let (answer, answered) = oneshot::channel();
    inquiries.ask(Inquiry::new(partition, question, move |matches| {
        // After the timeout, nobody waits for this answer.
        let _ = answer.send(matches);
    }));
    let answered = tokio::time::timeout(ANSWER_MAX, answered).await;
    answered.ok()?.ok()?
}

impl SearchResult {
    fn add(&mut self, partition: i32, matches: Matches, prefix: &str) {
        self.looked_at += matches.looked_at;
        for (name, description) in matches.sequences {
            let again = name == prefix && !self.sequences.is_empty();
            if again && self.sequences.iter().any(|row| row.name == name) {
                continue;
            }
            let Description {
                definition,
                next,
                retired,
            } = description;
            self.sequences.push(Row {
                name,
                partition,
                next,
                increment: definition.increment,
                end: definition.end(),
                retired,
            });
        }
    }
}
