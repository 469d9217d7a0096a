//! Searches sequences by their whole name or by a prefix, in the engine's memory, in bounded steps between its
//! polls. Only one search runs at a time, so that many readers cost no more than one.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use crate::audit::time;
use crate::core::fold::{Description, Note};
use crate::core::partitioner::partition_id_of;
use crate::kafka::engine::inquiry::{FOUND_MAX, Found, Inquiries, Inquiry, Question};
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
    /// The first ID.
    pub start: i64,
    /// Step from one ID to the next.
    pub increment: i64,
    /// The lowest ID.
    pub min: i64,
    /// The highest ID.
    pub max: i64,
    /// The bound at which the sequence ends.
    pub end: i64,
    /// `error` or `cycle`.
    pub at_end: &'static str,
    /// Most IDs that one request can take.
    pub max_count: u64,
    /// True when each grant is in the ledger.
    pub audit: bool,
    /// True when the sequence gives no more IDs.
    pub retired: bool,
    /// The operator's record that changed the sequence last. None when no record has defined it.
    pub changed: Option<Change>,
}

/// An operator's record that changed a sequence.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// The word in `op`.
    pub op: String,
    /// The requester that the record names; empty when it names none.
    pub requester: String,
    /// The reason that the record gives; empty when it gives none.
    pub reason: String,
    /// The time of the record, in RFC 3339.
    pub at: String,
    /// The offset of the record in its partition.
    pub offset: i64,
}

impl Change {
    fn of(note: Note) -> Change {
        Change {
            op: note.op.into(),
            requester: note.requester.into(),
            reason: note.reason.into(),
            at: time::of_millis(note.timestamp.0),
            offset: note.offset.0,
        }
    }
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

async fn ask(inquiries: &Inquiries, partition: i32, question: Question) -> Option<Found> {
    let (answer, answered) = oneshot::channel();
    inquiries.ask(Inquiry::new(partition, question, move |matches| {
        // After the timeout, nobody waits for this answer.
        let _ = answer.send(matches);
    }));
    let answered = tokio::time::timeout(ANSWER_MAX, answered).await;
    answered.ok()?.ok()?
}

#[cfg(test)]
impl Row {
    /// A sequence that nobody has defined, without a name.
    pub(super) fn example() -> Row {
        let definition = crate::core::definition::Definition::DEFAULT;
        Row {
            name: String::new(),
            partition: 0,
            next: Some(1),
            start: definition.start,
            increment: definition.increment,
            min: definition.min,
            max: definition.max,
            end: definition.end(),
            at_end: definition.at_end.as_str(),
            max_count: definition.max_count,
            audit: definition.audit,
            retired: false,
            changed: None,
        }
    }
}

impl SearchResult {
    fn add(&mut self, partition: i32, found: Found, prefix: &str) {
        self.looked_at += found.looked_at;
        for (name, description, note) in found.sequences {
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
                start: definition.start,
                increment: definition.increment,
                min: definition.min,
                max: definition.max,
                end: definition.end(),
                at_end: definition.at_end.as_str(),
                max_count: definition.max_count,
                audit: definition.audit,
                retired,
                changed: note.map(Change::of),
            });
        }
    }
}
