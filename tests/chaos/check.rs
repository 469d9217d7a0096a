//! The naive judge compares requests with replies, without any knowledge of how the service works. It knows
//! neither partitioners nor windows nor checkpoints, and shares no code with `sequencer verify`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use crate::support::check::{cause, same};
use crate::support::records::show;

/// Highest number of anomalies of one kind that are quoted. The others are only counted.
const QUOTED_MAX: usize = 5;

/// A record that a client wrote and that is committed.
#[derive(Clone, Debug)]
pub struct Asked {
    pub partition: i32,
    pub offset: i64,
    /// The time at which the broker appended it, in milliseconds since 1970.
    pub appended_ms: i64,
    pub key: Option<Vec<u8>>,
    pub request_id: Option<String>,
    /// The reply topic that the record names.
    pub topic: Option<String>,
}

/// A reply and its place in its topic.
#[derive(Clone, Debug)]
pub struct Told {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub body: Vec<u8>,
}

/// The kinds of anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// I1: two requests share an ID.
    NotUnique,
    /// I2: an ID is skipped.
    Gap,
    /// I2: the later of two requests in one partition has the lower IDs.
    OutOfOrder,
    /// I3: two replies to one record differ.
    Unstable,
    /// I4: a request has no reply.
    Unanswered,
    /// I4: a reply belongs to no request.
    Unasked,
    /// I5: one `request_id` has two grants.
    GrantedTwice,
    /// A reader of committed records sees two replies to one record in `exactly_once` mode.
    AnsweredTwice,
    /// The reply is for another sequence.
    OtherSequence,
    /// The reply has another key than the request.
    OtherKey,
}

/// The data to judge.
pub struct Evidence<'a> {
    pub asked: &'a [Asked],
    /// The replies, in the order of each topic partition.
    pub told: &'a [Told],
    /// True when replies must not be repeated.
    pub once: bool,
    /// Topics that were deleted, with any replies on them.
    pub deleted: &'a [String],
    /// True for the keys whose requests in one partition need not be granted in their order, as while a name moves.
    pub moves: fn(&[u8]) -> bool,
}

/// The verdict.
#[derive(Debug, Default)]
pub struct Report {
    pub requests: usize,
    pub replies: usize,
    pub repeated: usize,
    pub sequences: usize,
    pub ids: i64,
    pub errors: usize,
    /// Number of records that share their `request_id` with an earlier record.
    pub again: usize,
    /// Requests whose reply was deleted with its topic before any reader saw it.
    pub lost_with_topic: HashSet<(i32, i64)>,
    anomalies: BTreeMap<Wrong, (usize, Vec<String>)>,
}

impl Report {
    fn add(&mut self, wrong: Wrong, words: impl FnOnce() -> String) {
        let (count, quoted) = self.anomalies.entry(wrong).or_default();
        *count += 1;
        if quoted.len() < QUOTED_MAX {
            quoted.push(words());
        }
    }

    /// The kinds of anomalies found.
    pub fn broken(&self) -> Vec<Wrong> {
        self.anomalies.keys().copied().collect()
    }

    pub fn assert_clean(&self) {
        assert!(self.anomalies.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests ({} under an id that others have too) for {} sequences: {} replies \
             ({} repeated), {} ids, {} errors, {} replies gone with their topic",
            self.requests,
            self.again,
            self.sequences,
            self.replies,
            self.repeated,
            self.ids,
            self.errors,
            self.lost_with_topic.len()
        )?;
        for (wrong, (count, quoted)) in &self.anomalies {
            writeln!(f, "{wrong:?}: {count}")?;
            for words in quoted {
                writeln!(f, "  {words}")?;
            }
        }
        Ok(())
    }
}

/// The IDs in a reply, and the request that they belong to.
struct Grant<'a> {
    name: String,
    range: (i64, i64),
    asked: &'a Asked,
}

/// Judges requests and replies.
pub fn check(evidence: &Evidence<'_>) -> Report {
    let mut report = Report {
        requests: evidence.asked.len(),
        replies: evidence.told.len(),
        ..Report::default()
    };
    let index: HashMap<(i32, i64), usize> = evidence
        .asked
        .iter()
        .enumerate()
        .map(|(at, asked)| ((asked.partition, asked.offset), at))
        .collect();
    assert_eq!(index.len(), evidence.asked.len(), "the log was read twice");
    let mut answers: Vec<Vec<&Told>> = vec![Vec::new(); evidence.asked.len()];
    for told in evidence.told {
        let value = serde_json::from_slice::<Value>(&told.body).ok();
        match value
            .as_ref()
            .and_then(cause)
            .and_then(|cause| index.get(&cause))
        {
            Some(&at) => answers[at].push(told),
            None => report.add(Wrong::Unasked, || words(told)),
        }
    }
    let mut grants = Vec::new();
    for (asked, answers) in evidence.asked.iter().zip(&answers) {
        request(evidence, asked, answers, &mut grants, &mut report);
    }
    one_grant_and_order(evidence.asked, evidence.moves, &mut grants, &mut report);
    unique_and_gapless(&grants, &mut report);
    report
}

/// Checks one request and its replies: I3 and I4.
fn request<'a>(
    evidence: &Evidence<'a>,
    asked: &'a Asked,
    answers: &[&Told],
    grants: &mut Vec<Grant<'a>>,
    report: &mut Report,
) {
    let Some((first, others)) = answers.split_first() else {
        let gone = |topic: &String| evidence.deleted.contains(topic);
        if asked.topic.as_ref().is_some_and(gone) {
            report
                .lost_with_topic
                .insert((asked.partition, asked.offset));
        } else {
            report.add(Wrong::Unanswered, || format!("{asked:?}"));
        }
        return;
    };
    for answer in answers.iter().filter(|answer| answer.key != asked.key) {
        report.add(Wrong::OtherKey, || {
            format!(
                "{} has the key {}",
                words(answer),
                show(answer.key.as_deref())
            )
        });
    }
    report.repeated += others.len();
    for other in others {
        if !same(&first.body, &other.body) {
            report.add(Wrong::Unstable, || {
                format!("{} and {}", words(first), words(other))
            });
        }
    }
    if evidence.once && !others.is_empty() {
        report.add(Wrong::AnsweredTwice, || {
            format!("{asked:?} {} times, first {}", answers.len(), words(first))
        });
    }
    // The body was parsed before.
    let value: Value = serde_json::from_slice(&first.body).unwrap_or_default();
    let ids = value["first"].as_i64().zip(value["last"].as_i64());
    let (Some(name), Some(range)) = (value["sequence"].as_str(), ids) else {
        report.errors += 1;
        return;
    };
    if asked.key.as_deref() != Some(name.as_bytes()) {
        report.add(Wrong::OtherSequence, || {
            format!(
                "{} for the key {}",
                words(first),
                show(asked.key.as_deref())
            )
        });
    }
    grants.push(Grant {
        name: name.to_owned(),
        range,
        asked,
    });
}

/// Checks I5, and the order of I2 among requests of one partition. Leaves one grant for each request.
fn one_grant_and_order(
    asked: &[Asked],
    moves: fn(&[u8]) -> bool,
    grants: &mut Vec<Grant<'_>>,
    report: &mut Report,
) {
    let mut times: HashMap<(Option<&[u8]>, &str), usize> = HashMap::new();
    for asked in asked {
        if let Some(id) = &asked.request_id {
            *times
                .entry((asked.key.as_deref(), id.as_str()))
                .or_default() += 1;
        }
    }
    let mut known: HashMap<(&str, &str), (i64, i64)> = HashMap::new();
    for grant in grants.iter() {
        let Some(id) = &grant.asked.request_id else {
            continue;
        };
        let range = *known
            .entry((grant.name.as_str(), id.as_str()))
            .or_insert(grant.range);
        if range != grant.range {
            report.add(Wrong::GrantedTwice, || {
                format!("{range:?} and {:?} to {:?}", grant.range, grant.asked)
            });
        }
    }
    let mut highest: HashMap<(i32, String), i64> = HashMap::new();
    let mut granted = HashSet::new();
    grants.retain(|grant| {
        if let Some(id) = &grant.asked.request_id
            && times.get(&(grant.asked.key.as_deref(), id.as_str())) > Some(&1)
        {
            report.again += 1;
            // Only the home partition knows which of the records came first there. Another grant with the same
            // `request_id` was reported already, and counts.
            return granted.insert((grant.name.clone(), id.clone(), grant.range));
        }
        let highest = highest
            .entry((grant.asked.partition, grant.name.clone()))
            .or_insert(0);
        if grant.range.0 <= *highest && !grant.asked.key.as_deref().is_some_and(moves) {
            let highest = *highest;
            report.add(Wrong::OutOfOrder, || {
                format!("{:?} after {highest} to {:?}", grant.range, grant.asked)
            });
        }
        *highest = grant.range.1;
        true
    });
}

/// Checks I1 and I2: the ranges of a sequence are adjacent from 1 on.
fn unique_and_gapless(grants: &[Grant<'_>], report: &mut Report) {
    let mut sequences: BTreeMap<&str, Vec<&Grant<'_>>> = BTreeMap::new();
    for grant in grants {
        sequences.entry(&grant.name).or_default().push(grant);
    }
    report.sequences = sequences.len();
    for (name, mut grants) in sequences {
        grants.sort_unstable_by_key(|grant| grant.range);
        let mut next = 1;
        for grant in grants {
            let (first, last) = grant.range;
            report.ids += last - first + 1;
            if first < next {
                report.add(Wrong::NotUnique, || {
                    format!(
                        "{name}: {first} to {last}, up to {next} is taken: {:?}",
                        grant.asked
                    )
                });
            } else if first > next {
                report.add(Wrong::Gap, || {
                    format!(
                        "{name}: {next} to {} is missing before {:?}",
                        first - 1,
                        grant.asked
                    )
                });
            }
            next = next.max(last + 1);
        }
    }
}

fn words(told: &Told) -> String {
    let Told {
        topic,
        partition,
        offset,
        body,
        ..
    } = told;
    format!(
        "{} at {topic}-{partition}:{offset}",
        String::from_utf8_lossy(body)
    )
}
