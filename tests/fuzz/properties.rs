//! What must hold of any log that anybody can write.
//!
//! | property | how it is seen |
//! |---|---|
//! | no panic | the run goes on |
//! | I4: every record is answered or forwarded | [`Outcome::Nothing`] comes of a right link only |
//! | the reply is the contract's | [`Body::read`] |
//! | it names the record that the client wrote | also of one that was forwarded |
//! | the correlation comes back byte for byte, once | against a search of its own through the headers |
//! | routing is no part of the fold | the same log without routing headers: same bodies, same digest |
//! | a link with a wrong tag is as if it were absent | the same log without it: all is the same |
//! | both modes say the same | the same log in `exactly_once` mode |
//! | I1, I2, I5 | of the names that no operator's record touches |
//! | a checkpoint adds up | it is restored, and each of its records is written the same way again |

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use sequencer::core::Digest;
use sequencer::core::link::Link;
use sequencer::core::partitioner::partition_of;
use sequencer::processor::Mode;
use sequencer::processor::checkpoint::Section;
use sequencer::processor::restore::Restore;
use sequencer::wire::route::Cause;

use crate::engine::Seen;
use crate::input::{FORWARDED, HERE, Input, Record};
use crate::node::{self, Make, Node, Outcome, PARTITIONS, Reply};
use crate::reply::Body;

/// The headers that are part of the fold.
const OF_THE_FOLD: [&[u8]; 2] = [b"sequencer-request-id", FORWARDED];

/// Correlation and topic of each convention, in the order in which they are looked for.
const FAMILIES: [(&[u8], &[u8]); 3] = [
    (b"kafka_correlationId", b"kafka_replyTopic"),
    (b"REPLY_CORRELATION_ID", b"REPLY_TOPIC"),
    (b"correlation_id", b"reply_to"),
];

/// A longer correlation is not repeated.
const CORRELATION_BYTES_MAX: usize = 64 * 1024;
/// A longer trace header is not passed on.
const TRACE_BYTES_MAX: usize = 4 * 1024;

/// All that comes of a log.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    /// What partition 0 made of each record.
    outcomes: Vec<Outcome>,
    /// What home made of each that was forwarded.
    forwarded: Vec<Outcome>,
    /// Replies of both partitions in log order, at once or with the checkpoint.
    replies: [Vec<Reply>; 2],
    digests: [Digest; 2],
    broken: bool,
}

/// Checks a log.
///
/// # Errors
/// The property that does not hold, in words.
pub fn check(input: &Input, make: &mut Make<'_>) -> Result<Seen, String> {
    let records = input.records.iter().cloned();
    let records: Vec<Record> = records.map(|record| record.tagged(HERE)).collect();
    let plain = run(&records, Mode::Immediate, make)?;
    let seen = answered(&records, &plain)?;

    let unrouted: Vec<Record> = records.iter().map(without_routing).collect();
    same_answers(
        "routing headers",
        &plain,
        &run(&unrouted, Mode::Immediate, make)?,
    )?;

    let held = run(&records, Mode::ExactlyOnce, make)?;
    if held.replies != plain.replies || held.digests != plain.digests {
        return Err(format!("the modes differ: {plain:?} and {held:?}"));
    }

    if records
        .iter()
        .any(|record| record.header(FORWARDED).is_some())
    {
        let forged: Vec<Record> = records.iter().map(with_wrong_tag).collect();
        let without: Vec<Record> = records.iter().map(without_link).collect();
        let forged = run(&forged, Mode::Immediate, make)?;
        let without = run(&without, Mode::Immediate, make)?;
        if forged != without {
            return Err(format!(
                "a wrong tag is not as if absent: {forged:?} and {without:?}"
            ));
        }
    }
    Ok(seen)
}

fn run(records: &[Record], mode: Mode, make: &mut Make<'_>) -> Result<Run, String> {
    let (outcomes, near, digest, broken) = fold(make(0, mode), records, mode)?;
    let forwards: Vec<Record> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Forward(record) => Some(record.clone()),
            Outcome::Reply(_) | Outcome::Nothing => None,
        })
        .collect();
    let (forwarded, far, home, _) = fold(make(1, mode), &forwards, mode)?;
    Ok(Run {
        outcomes,
        forwarded,
        replies: [near, far],
        digests: [digest, home],
        broken,
    })
}

type Folded = (Vec<Outcome>, Vec<Reply>, Digest, bool);

fn fold(mut node: Box<dyn Node>, records: &[Record], mode: Mode) -> Result<Folded, String> {
    let each = (0..).zip(records);
    let outcomes: Vec<Outcome> = each
        .map(|(offset, record)| node.record(offset, record))
        .collect();
    let section = node.cut();
    let replies = match mode {
        Mode::ExactlyOnce => node::held(&section),
        Mode::Immediate => outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Reply(reply) => Some(reply.clone()),
                Outcome::Forward(_) | Outcome::Nothing => None,
            })
            .collect(),
    };
    Ok((outcomes, replies, adds_up(&section)?, node.is_broken()))
}

/// A restore believes the section, and each of its records has one form only.
fn adds_up(section: &Section) -> Result<Digest, String> {
    let mut restore = Restore::default();
    for (key, value) in section.batch.iter() {
        crate::state::has_one_form(key, value, None)?;
        restore
            .record(key, value, None)
            .map_err(|error| error.to_string())?;
    }
    let footer = restore.finish().footer;
    let footer = footer.ok_or_else(|| format!("the checkpoint does not add up: {section:?}"))?;
    Ok(footer.digest)
}

fn without_routing(record: &Record) -> Record {
    let mut record = record.clone();
    record
        .headers
        .retain(|(name, _)| OF_THE_FOLD.contains(&name.as_slice()));
    record
}

fn without_link(record: &Record) -> Record {
    let mut record = record.clone();
    record.headers.retain(|(name, _)| name != FORWARDED);
    record
}

fn with_wrong_tag(record: &Record) -> Record {
    let mut record = record.clone();
    for (name, value) in &mut record.headers {
        if name == FORWARDED
            && let Some(last) = value.as_mut().and_then(|value| value.last_mut())
        {
            *last = if *last == b'0' { b'1' } else { b'0' };
        }
    }
    record
}

/// Bodies, keys and digests are the same; where they go may differ.
fn same_answers(what: &str, run: &Run, other: &Run) -> Result<(), String> {
    let bodies = |run: &Run| -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
        let replies = run.replies.iter().flatten();
        replies.map(|r| (r.key.clone(), r.body.clone())).collect()
    };
    if bodies(run) == bodies(other) && run.digests == other.digests {
        return Ok(());
    }
    Err(format!("{what} change the fold: {run:?} and {other:?}"))
}

/// Every record has its answer, and the answer is right as far as it can be told without a fold.
fn answered(records: &[Record], run: &Run) -> Result<Seen, String> {
    let mut seen = Seen::new();
    let mut ids = Ids::default();
    let mut forwarded = run.forwarded.iter();
    // By source, the last link that was answered.
    let mut accepted: BTreeMap<u32, Link> = BTreeMap::new();
    let mut stopped = false;
    for (offset, (record, outcome)) in (0..).zip(records.iter().zip(&run.outcomes)) {
        let home = record.key.as_ref().map(|key| partition_of(key, PARTITIONS));
        let link = record.link(HERE);
        if let Some(link) = link.filter(|_| !matches!(outcome, Outcome::Nothing)) {
            let last = accepted.entry(link.partition).or_insert(link);
            last.position = link.position;
            last.epoch = link.epoch.max(last.epoch);
        }
        let named = link.map_or((0, offset), named);
        match outcome {
            Outcome::Nothing => {
                let repeats = |link: Link, last: &Link| {
                    let of_a_replaced_owner =
                        link.epoch < last.epoch && link.previous != last.position;
                    link.position <= last.position || of_a_replaced_owner
                };
                let repeated = link.is_some_and(|link| {
                    let last = accepted.get(&link.partition);
                    last.is_some_and(|last| repeats(link, last))
                });
                // The first link that is neither the next one nor a repeated one ends the log.
                stopped |= run.broken && link.is_some() && !repeated;
                if !repeated && !stopped {
                    return Err(format!("the record at {offset} is not answered (I4)"));
                }
                seen.insert(if stopped { "broken" } else { "repeated" }.to_owned());
            }
            Outcome::Reply(reply) => {
                let body = replied(record, named, reply, &mut seen)?;
                ids.check(&body)?;
            }
            Outcome::Forward(_) => {
                seen.insert("forwarded".to_owned());
                if home != Some(1) {
                    return Err(format!(
                        "the record at {offset} is at home and was forwarded"
                    ));
                }
                match forwarded.next() {
                    Some(Outcome::Reply(reply)) => {
                        seen.extend(link.map(|_| "forwarded again".to_owned()));
                        ids.check(&replied(record, named, reply, &mut seen)?)?;
                    }
                    other => return Err(format!("home does not answer {offset}: {other:?}")),
                }
            }
        }
    }
    Ok(seen)
}

fn named(link: Link) -> (i32, i64) {
    (
        i32::try_from(link.origin.partition).unwrap_or(i32::MAX),
        link.origin.offset.0,
    )
}

/// `named`: partition and offset of the record that the client wrote.
fn replied(
    record: &Record,
    named: (i32, i64),
    reply: &Reply,
    seen: &mut Seen,
) -> Result<Body, String> {
    let body = Body::read(&reply.body)?;
    let kind = body.kind()?;
    if (body.partition, body.offset) != named {
        return Err(format!("the reply to {named:?} names another: {body:?}"));
    }
    let key = record.key.as_ref().filter(|key| key.len() <= 255);
    if reply.key.as_ref() != key {
        return Err(format!("the reply has another key: {reply:?}"));
    }
    seen.insert(match &body.error {
        Some(error) => error.code.clone(),
        None => kind.to_owned(),
    });
    if body.changed.is_some() {
        seen.insert("last change".to_owned());
        if kind != "described" {
            return Err(format!("only a description has a last change: {body:?}"));
        }
    }
    headers(record, reply, &body, seen)?;
    Ok(body)
}

/// The reply has the headers that its request's headers call for, each once, and no others.
fn headers(record: &Record, reply: &Reply, body: &Body, seen: &mut Seen) -> Result<(), String> {
    let mut expected: Vec<(&[u8], Vec<u8>)> = Vec::new();
    let has = |name: &[u8]| record.header(name).is_some();
    let family = FAMILIES
        .iter()
        .position(|(_, topic)| has(topic))
        .or_else(|| FAMILIES.iter().position(|(id, _)| has(id)));
    if let Some(index) = family {
        let (name, _) = FAMILIES[index];
        let correlation = record.header(name);
        if let Some(value) = correlation.filter(|v| v.len() <= CORRELATION_BYTES_MAX) {
            expected.push((name, value.to_vec()));
        }
        if index == 0 {
            if let Some(error) = &body.error {
                expected.push((b"kafka_nest-err", serde_json::to_vec(error).unwrap()));
            }
            expected.push((b"kafka_nest-is-disposed", vec![0]));
        }
        seen.insert(format!("convention {index}"));
    }
    for name in [&b"traceparent"[..], b"tracestate"] {
        if let Some(value) = record.header(name).filter(|v| v.len() <= TRACE_BYTES_MAX) {
            expected.push((name, value.to_vec()));
        }
    }
    let undelivered: Vec<&[u8]> = reply.all(b"sequencer-undelivered").collect();
    if let [reason] = undelivered[..] {
        let reason = String::from_utf8_lossy(reason);
        let cause = reason.split(':').next().unwrap_or_default();
        if reply.topic.is_some() || !Cause::ALL.iter().any(|known| known.as_str() == cause) {
            return Err(format!("undelivered, and not: {reply:?}"));
        }
        seen.insert(cause.to_owned());
        expected.push((b"sequencer-undelivered", reason.as_bytes().to_vec()));
    }
    if reply.topic.is_some() {
        seen.insert("named topic".to_owned());
    }
    let found = reply.headers.iter();
    let found: Vec<(&[u8], Vec<u8>)> = found
        .map(|(name, value)| (name.as_slice(), value.clone().unwrap_or_default()))
        .collect();
    if found == expected {
        return Ok(());
    }
    Err(format!("headers should be {expected:?}, are {found:?}"))
}

/// I1, I2 and I5 of the names that no operator has touched.
#[derive(Default)]
struct Ids {
    next: BTreeMap<String, i64>,
    given: BTreeMap<(String, String), (i64, i64)>,
    operated: BTreeSet<String>,
}

impl Ids {
    fn check(&mut self, body: &Body) -> Result<(), String> {
        let Some(name) = &body.sequence else {
            return Ok(());
        };
        if body.definition.is_some() {
            self.operated.insert(name.clone());
        }
        let (Some(first), Some(last), Some(count)) = (body.first, body.last, body.count) else {
            return Ok(());
        };
        if self.operated.contains(name) {
            return Ok(());
        }
        if let Some(id) = &body.request_id {
            let given = self.given.entry((name.clone(), id.clone()));
            match given {
                Entry::Occupied(before) if *before.get() == (first, last) => return Ok(()),
                Entry::Occupied(before) => {
                    return Err(format!("I5: {before:?} before, now {body:?}"));
                }
                Entry::Vacant(place) => place.insert((first, last)),
            };
        }
        let next = self.next.entry(name.clone()).or_insert(1);
        if first != *next || last.checked_sub(first) != Some(count.cast_signed() - 1) {
            return Err(format!("I2: the next of {name:?} is {next}, got {body:?}"));
        }
        *next = last + 1;
        Ok(())
    }
}
