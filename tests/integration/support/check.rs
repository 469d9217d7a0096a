//! The judge: checks a whole request log and all replies against the promises.
//!
//! It is a pure function over plain records, so that `checker_catches` can show that it finds every kind of
//! mistake. It checks the replies in two ways: by the invariants, which require only that IDs are unique,
//! gapless, stable and complete, and by the oracle, which gives the expected reply of each request.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::murmur2::partition_of;
use super::oracle::{Oracle, Outcome};
use super::records::{Mode, Repair, Reply, Request, show};

/// Highest number of anomalies of one kind that a report quotes. The others are only counted.
const QUOTED_MAX: usize = 5;

/// The kinds of anomalies, by the numbers of the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// No two requests share an ID.
    I1,
    /// IDs of a sequence are consecutive in log order, from 1, without a hole.
    I2,
    /// Every reply to a request has the same bytes, except for an error's message.
    I3,
    /// Every request has a reply, and every reply has a request.
    I4,
    /// In `exactly_once` mode a request has one reply.
    Once,
    /// The reply is the one that the wire contract requires: IDs or code, bytes, key, partition.
    Contract,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invariant::I1 => "I1 unique",
            Invariant::I2 => "I2 gapless and monotonic",
            Invariant::I3 => "I3 stable",
            Invariant::I4 => "I4 answered",
            Invariant::Once => "answered once",
            Invariant::Contract => "contract",
        })
    }
}

/// The data to judge.
pub struct Evidence<'a> {
    pub requests: &'a [Request],
    pub replies: &'a [Reply],
    pub mode: Mode,
    /// Number of partitions of the reply topic, which decides the default partition of a reply.
    pub reply_partitions: i32,
    /// The repairs of operators.
    pub repairs: &'a [Repair],
}

/// The verdict.
#[derive(Debug, Default)]
pub struct Report {
    pub requests: usize,
    pub replies: usize,
    /// Number of replies after the first one to the same request.
    pub repeated: usize,
    pub sequences: usize,
    pub ids: i64,
    pub errors: usize,
    /// All anomalies by kind: their number, and the first few in words.
    anomalies: Vec<(Invariant, usize, Vec<String>)>,
}

impl Report {
    fn add(&mut self, invariant: Invariant, words: impl FnOnce() -> String) {
        let index = match self
            .anomalies
            .iter()
            .position(|(known, ..)| *known == invariant)
        {
            Some(index) => index,
            None => {
                self.anomalies.push((invariant, 0, Vec::new()));
                self.anomalies.len() - 1
            }
        };
        let (_, count, quoted) = &mut self.anomalies[index];
        *count += 1;
        if quoted.len() < QUOTED_MAX {
            quoted.push(words());
        }
    }

    /// The kinds of anomalies that were found, in their order.
    pub fn broken(&self) -> Vec<Invariant> {
        let mut broken: Vec<_> = self
            .anomalies
            .iter()
            .map(|(invariant, ..)| *invariant)
            .collect();
        broken.sort_unstable();
        broken
    }

    /// Fails with all anomalies, if there are any.
    pub fn assert_clean(&self) {
        assert!(self.anomalies.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests for {} sequences: {} replies ({} repeated), {} ids, {} errors",
            self.requests, self.sequences, self.replies, self.repeated, self.ids, self.errors
        )?;
        for (invariant, count, quoted) in &self.anomalies {
            writeln!(f, "{invariant}: {count} anomalies")?;
            for words in quoted {
                writeln!(f, "  {words}")?;
            }
        }
        Ok(())
    }
}

/// Judges a log and its replies. Requests are in log order within each partition.
pub fn check(evidence: &Evidence<'_>) -> Report {
    let Evidence {
        requests, replies, ..
    } = evidence;
    let mut report = Report {
        requests: requests.len(),
        replies: replies.len(),
        ..Report::default()
    };
    let index: HashMap<(i32, i64), usize> = requests
        .iter()
        .enumerate()
        .map(|(i, request)| ((request.partition, request.offset), i))
        .collect();
    assert_eq!(
        index.len(),
        requests.len(),
        "the request log was read twice"
    );

    let mut answers: Vec<Answers<'_>> = requests.iter().map(|_| Answers::default()).collect();
    for reply in *replies {
        attribute(reply, evidence, &index, &mut answers, &mut report);
    }
    i4_and_once(evidence, &answers, &mut report);
    i1_and_i2(evidence, &answers, &mut report);
    contract(evidence, &answers, &mut report);
    report
}

/// The replies to one request.
#[derive(Default)]
struct Answers<'a> {
    count: usize,
    first: Option<(&'a Reply, Body)>,
}

/// The IDs in a reply's body.
struct Body {
    sequence: Option<String>,
    ids: Option<(i64, i64)>,
}

fn attribute<'a>(
    reply: &'a Reply,
    evidence: &Evidence<'a>,
    index: &HashMap<(i32, i64), usize>,
    answers: &mut [Answers<'a>],
    report: &mut Report,
) {
    let parsed = serde_json::from_slice::<Value>(&reply.body).ok();
    let Some((value, cause)) = parsed.and_then(|value| cause(&value).map(|cause| (value, cause)))
    else {
        return report.add(Invariant::Contract, || {
            format!("{} names no record", words(reply))
        });
    };
    let Some(&at) = index.get(&cause) else {
        return report.add(Invariant::I4, || {
            format!("{} answers a record that is not in the log", words(reply))
        });
    };
    misplaced(
        reply,
        &evidence.requests[at],
        evidence.reply_partitions,
        report,
    );
    let answers = &mut answers[at];
    answers.count += 1;
    match &answers.first {
        None => {
            let ids = value["first"].as_i64().zip(value["last"].as_i64());
            let sequence = value["sequence"].as_str().map(str::to_owned);
            answers.first = Some((reply, Body { sequence, ids }));
        }
        Some((first, _)) => {
            report.repeated += 1;
            if !same(&first.body, &reply.body) {
                report.add(Invariant::I3, || {
                    format!("{} and {} differ", words(first), words(reply))
                });
            }
        }
    }
}

/// The record that a reply answers.
pub fn cause(body: &Value) -> Option<(i32, i64)> {
    let partition = body["partition"]
        .as_i64()
        .and_then(|partition| i32::try_from(partition).ok())?;
    Some((partition, body["offset"].as_i64()?))
}

/// True when both are equal except for the wording of an error.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one == other
        || matches!((without_message(one), without_message(other)), (Some(a), Some(b)) if a == b)
}

/// The parts before and after an error's message.
fn without_message(body: &[u8]) -> Option<(&str, &str)> {
    const MARK: &str = "\"message\":\"";
    let body = std::str::from_utf8(body).ok()?;
    let (before, rest) = body.split_once(MARK)?;
    let mut escaped = false;
    let end = rest.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })?;
    Some((before, &rest[end..]))
}

/// Checks that a reply has the key of its request, and is in the partition of the Java client's partitioner.
fn misplaced(reply: &Reply, request: &Request, partitions: i32, report: &mut Report) {
    const KEY_BYTES_MAX: usize = 255;
    let key = request
        .key
        .as_ref()
        .filter(|key| key.len() <= KEY_BYTES_MAX);
    if reply.key.as_ref() != key {
        report.add(Invariant::Contract, || {
            format!(
                "{} has the key {}, not {}",
                words(reply),
                show(reply.key.as_deref()),
                show(key.map(Vec::as_slice))
            )
        });
    }
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return;
    };
    let expected = partition_of(key, partitions);
    if reply.partition != expected {
        report.add(Invariant::Contract, || {
            format!("{} should be on partition {expected}", words(reply))
        });
    }
}

fn i4_and_once(evidence: &Evidence<'_>, answers: &[Answers<'_>], report: &mut Report) {
    for (request, answers) in evidence.requests.iter().zip(answers) {
        if answers.count == 0 {
            report.add(Invariant::I4, || format!("{} has no reply", asked(request)));
        }
        if answers.count > 1 && evidence.mode == Mode::ExactlyOnce {
            report.add(Invariant::Once, || {
                format!("{} has {} replies", asked(request), answers.count)
            });
        }
    }
}

/// Checks the content of the replies alone, without the counts of requests.
fn i1_and_i2(evidence: &Evidence<'_>, answers: &[Answers<'_>], report: &mut Report) {
    let mut sequences: HashMap<&str, usize> = HashMap::new();
    let mut grants: Vec<Vec<(i64, i64, &Request)>> = Vec::new();
    let mut next: HashMap<(i32, &str), i64> = HashMap::new();
    let oracle = Oracle::new(evidence.repairs);
    for (request, answers) in evidence.requests.iter().zip(answers) {
        let Some((reply, body)) = &answers.first else {
            continue;
        };
        let (Some(name), Some((first, last))) = (body.sequence.as_deref(), body.ids) else {
            report.errors += 1;
            continue;
        };
        report.ids += last - first + 1;
        let number = *sequences.entry(name).or_insert_with(|| {
            grants.push(Vec::new());
            grants.len() - 1
        });
        grants[number].push((first, last, request));
        let next = next.entry((request.partition, name)).or_insert(1);
        let expected = (*next).max(oracle.floor(request) + 1);
        if first != expected || last < first {
            report.add(Invariant::I2, || {
                format!("{} should begin with {expected}", words(reply))
            });
        }
        *next = last + 1;
    }
    report.sequences = grants.len();
    for grants in &mut grants {
        grants.sort_unstable_by_key(|(first, last, request)| (*first, *last, request.offset));
        for pair in grants.windows(2) {
            let ((first, last, request), (again, _, other)) = (pair[0], pair[1]);
            if again <= last {
                report.add(Invariant::I1, || {
                    format!(
                        "{again} is among {first} to {last} of {} and again of {}",
                        asked(request),
                        asked(other)
                    )
                });
            }
        }
    }
}

fn contract(evidence: &Evidence<'_>, answers: &[Answers<'_>], report: &mut Report) {
    let mut oracle = Oracle::new(evidence.repairs);
    for (request, answers) in evidence.requests.iter().zip(answers) {
        let expected = oracle.answer(request);
        let Some((reply, _)) = &answers.first else {
            continue;
        };
        let (begin, end) = expected.body(request);
        let right = match expected.outcome {
            Outcome::Ids { .. } => reply.body == [begin.as_bytes(), end.as_bytes()].concat(),
            Outcome::Error(_) => {
                reply.body.len() > begin.len() + end.len()
                    && reply.body.starts_with(begin.as_bytes())
                    && reply.body.ends_with(end.as_bytes())
            }
        };
        if !right {
            report.add(Invariant::Contract, || {
                let key = show(request.key.as_deref());
                format!("{} for {key} should be {begin}…{end}", words(reply))
            });
        }
    }
}

fn asked(request: &Request) -> String {
    format!(
        "request {}:{} (value {})",
        request.partition,
        request.offset,
        show(request.value.as_deref())
    )
}

fn words(reply: &Reply) -> String {
    format!(
        "reply {} at {}:{}",
        String::from_utf8_lossy(&reply.body),
        reply.partition,
        reply.offset
    )
}
