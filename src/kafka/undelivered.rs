//! The memory of topics that clients named and that could not be written.
//!
//! A topic that stays unwritable is remembered for a while. So one client's topic cannot slow down the
//! replies that others wait for or, in `exactly_once` mode, abort their transaction. A refusal by the broker
//! concerns the whole batch. The records of such a batch are tried one by one before one is called
//! undeliverable. From then on, the records of that topic go one by one for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::core::digest::fingerprint;
use crate::wire::route::{Cause, Undelivered};

/// How long a topic that could not be written is not tried again.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(10);
/// Upper limit for the number of times that the pause doubles: every 80 s. In a transaction, all others'
/// replies wait for a reply that is not written in time. So its topic is tried half as often after each late
/// reply in a row.
const DOUBLED_MAX: u32 = 3;
/// Number of topics that are remembered at a time. Beyond it the memory starts over, which costs a few
/// attempts.
const TOPICS_MAX: usize = 1_000;
/// After this number of refused records the whole topic is called unwritable. The count is of records of one
/// topic that its broker refused on their own. In `exactly_once` mode each refusal costs an aborted
/// transaction.
const REFUSALS_MAX: usize = 8;

/// The number of replies that could not go to their topic, by cause, in the order of [`Cause::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally([u64; Cause::ALL.len()]);

impl Tally {
    /// Counts one reply.
    pub(crate) fn add(&mut self, cause: Cause) {
        if let Some(index) = Cause::ALL.iter().position(|known| *known == cause) {
            self.0[index] += 1;
        }
    }

    /// Adds the counts of another tally.
    pub(crate) fn merge(&mut self, other: Tally) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// The counts that are not 0.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }
}

/// The properties of a record by which its broker may refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Number of bytes of key, value and headers.
    pub bytes: usize,
    /// True when the record has a key.
    pub keyed: bool,
    /// Hash of key and value.
    pub hash: u128,
}

impl Shape {
    /// The shape of a reply. `headers`: as a block.
    pub(crate) fn of(key: Option<&[u8]>, body: &[u8], headers: &[u8]) -> Shape {
        Shape {
            bytes: key.map_or(0, <[u8]>::len) + body.len() + headers.len(),
            keyed: key.is_some(),
            hash: fingerprint(key, Some(body), 0),
        }
    }
}

/// The way in which a record may go to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// In a batch with others.
    Together,
    /// In a batch of its own.
    Alone,
    /// Not to this topic.
    Elsewhere(Undelivered),
}

#[derive(Debug)]
struct Topic {
    until: Instant,
    /// The cause for which no record can be written to the topic.
    closed: Option<Cause>,
    /// Records of this size in bytes and above are too large for the topic.
    too_large: Option<usize>,
    /// True when the topic takes no record without a key.
    needs_key: bool,
    /// Hashes of records that the topic refused for another reason.
    refused: Vec<u128>,
    refusals: usize,
    /// Number of times in a row that the topic was late.
    late: u32,
}

/// The topics that could not be written.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    topics: BTreeMap<String, Topic>,
    /// Upper limit for the doublings of the pause before a topic that was late is tried again.
    doubled_max: u32,
}

impl Memory {
    /// Makes a memory for transactions, where other replies wait for a topic that is late.
    pub(crate) fn of_transactions() -> Memory {
        Memory {
            topics: BTreeMap::new(),
            doubled_max: DOUBLED_MAX,
        }
    }

    /// The way in which a record may go to a topic.
    pub(crate) fn advice(&mut self, topic: &str, shape: Shape, now: Instant) -> Advice {
        let Some(known) = self.topics.get(topic) else {
            return Advice::Together;
        };
        if now >= known.until {
            if known.late == 0 {
                self.topics.remove(topic);
            }
            return Advice::Together;
        }
        let elsewhere = |cause| Advice::Elsewhere(undelivered(cause, topic));
        if let Some(cause) = known.closed {
            return elsewhere(cause);
        }
        if known.too_large.is_some_and(|bytes| shape.bytes >= bytes) {
            return elsewhere(Cause::ReplyTooLarge);
        }
        if (known.needs_key && !shape.keyed) || known.refused.contains(&shape.hash) {
            return elsewhere(Cause::RecordRefused);
        }
        Advice::Alone
    }

    /// Notes that the topic takes no records. True when that is news: each reply that was on its way to the
    /// topic reports it again.
    pub(crate) fn close(&mut self, topic: &str, cause: Cause, now: Instant) -> bool {
        let known = self.topics.get(topic);
        let news = known.is_none_or(|known| known.closed != Some(cause) || now >= known.until);
        let late = match known {
            _ if cause != Cause::Unwritable => 0,
            Some(known) if !news => known.late,
            Some(known) if now < known.until + self.pause(known.late) => known.late + 1,
            _ => 1,
        };
        let pause = self.pause(late);
        let known = self.topic(topic, now);
        known.closed = Some(cause);
        known.late = late;
        if news {
            known.until = now + pause;
        }
        news
    }

    /// Closes the topic, and logs that unless it is known.
    pub(crate) fn close_and_tell(&mut self, topic: &str, cause: Cause, now: Instant) {
        if self.close(topic, cause, now) {
            warn!(
                topic,
                cause = cause.as_str(),
                "a client's reply topic cannot be written"
            );
        }
    }

    /// Notes that a batch was refused. The record that caused it is not known.
    pub(crate) fn suspect(&mut self, topic: &str, now: Instant) {
        self.topic(topic, now);
    }

    /// Notes that a record was refused on its own.
    pub(crate) fn refuse(&mut self, topic: &str, shape: Shape, cause: Cause, now: Instant) {
        let known = self.topic(topic, now);
        match cause {
            Cause::ReplyTooLarge => {
                let least = known
                    .too_large
                    .map_or(shape.bytes, |least| least.min(shape.bytes));
                known.too_large = Some(least);
            }
            _ if !shape.keyed => known.needs_key = true,
            _ => known.refused.push(shape.hash),
        }
        known.refusals += 1;
        if known.refusals >= REFUSALS_MAX {
            known.closed = Some(cause);
        }
    }

    /// The pause before a topic is tried again that was late this number of times in a row.
    fn pause(&self, late: u32) -> Duration {
        REMEMBERED * (1 << late.saturating_sub(1).min(self.doubled_max))
    }

    fn topic(&mut self, topic: &str, now: Instant) -> &mut Topic {
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(topic) {
            self.topics.clear();
        }
        let known = self
            .topics
            .entry(topic.to_owned())
            .or_insert_with(|| Topic::new(now));
        if now >= known.until {
            // Refusals before the pause no longer count; the number of late replies still does.
            *known = Topic {
                late: known.late,
                ..Topic::new(now)
            };
        }
        known.until = known.until.max(now + REMEMBERED);
        known
    }
}

impl Topic {
    fn new(now: Instant) -> Topic {
        Topic {
            until: now,
            closed: None,
            too_large: None,
            needs_key: false,
            refused: Vec::new(),
            refusals: 0,
            late: 0,
        }
    }
}

/// The cause in words, with the name of the topic.
pub(crate) fn undelivered(cause: Cause, topic: &str) -> Undelivered {
    let reason = match cause {
        Cause::TopicUnknown => format!("topic {topic} does not exist"),
        Cause::PartitionUnknown => format!("topic {topic} lacks the partition that was asked for"),
        Cause::ReplyTooLarge => format!("topic {topic} does not take a record of this size"),
        Cause::RecordRefused => {
            format!("topic {topic} refuses the record: see its cleanup.policy and limits")
        }
        Cause::NotPermitted => format!("the service may not write to topic {topic}"),
        _ => format!("topic {topic} could not be written in time"),
    };
    Undelivered::new(cause, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Shape = Shape {
        bytes: 10,
        keyed: true,
        hash: 1,
    };
    const LARGE: Shape = Shape {
        bytes: 1_000,
        keyed: true,
        hash: 2,
    };
    const KEYLESS: Shape = Shape {
        bytes: 10,
        keyed: false,
        hash: 3,
    };

    fn cause(advice: Advice) -> Option<Cause> {
        match advice {
            Advice::Elsewhere(undelivered) => Some(undelivered.cause),
            Advice::Together | Advice::Alone => None,
        }
    }

    #[test]
    fn a_closed_topic_is_tried_again_after_a_while() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        assert!(memory.close("a", Cause::Unwritable, now));
        assert!(!memory.close("a", Cause::Unwritable, now), "that is known");
        assert_eq!(
            cause(memory.advice("a", SMALL, now)),
            Some(Cause::Unwritable)
        );
        assert_eq!(memory.advice("b", SMALL, now), Advice::Together);
        assert_eq!(
            memory.advice("a", SMALL, now + REMEMBERED),
            Advice::Together
        );
        assert!(memory.close("a", Cause::Unwritable, now + REMEMBERED));
    }

    #[test]
    fn a_topic_that_is_late_again_and_again_is_tried_half_as_often_each_time() {
        let (mut memory, mut now) = (Memory::of_transactions(), Instant::now());
        for seconds in [10, 20, 40, 80, 80] {
            assert!(memory.close("a", Cause::Unwritable, now));
            let after = |seconds| now + Duration::from_secs(seconds);
            let advice = memory.advice("a", SMALL, after(seconds - 1));
            assert_eq!(cause(advice), Some(Cause::Unwritable), "{seconds}");
            now = after(seconds);
            assert_eq!(memory.advice("a", SMALL, now), Advice::Together);
        }
        // The topic worked for as long as it had been left alone.
        now += Duration::from_secs(80);
        assert!(memory.close("a", Cause::Unwritable, now));
        now += REMEMBERED;
        assert_eq!(memory.advice("a", SMALL, now), Advice::Together);
    }

    #[test]
    fn only_records_like_the_one_that_was_refused_go_elsewhere() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.suspect("a", now);
        assert_eq!(memory.advice("a", LARGE, now), Advice::Alone);
        memory.refuse("a", LARGE, Cause::ReplyTooLarge, now);
        assert_eq!(
            cause(memory.advice("a", LARGE, now)),
            Some(Cause::ReplyTooLarge)
        );
        assert_eq!(memory.advice("a", SMALL, now), Advice::Alone);
        memory.refuse("a", KEYLESS, Cause::RecordRefused, now);
        assert_eq!(
            cause(memory.advice("a", KEYLESS, now)),
            Some(Cause::RecordRefused)
        );
        assert_eq!(memory.advice("a", SMALL, now), Advice::Alone);
        memory.refuse("a", SMALL, Cause::RecordRefused, now);
        assert_eq!(
            cause(memory.advice("a", SMALL, now)),
            Some(Cause::RecordRefused)
        );
    }

    #[test]
    fn a_topic_that_goes_on_refusing_is_closed() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for hash in 0..REFUSALS_MAX as u128 {
            let shape = Shape { hash, ..SMALL };
            assert_ne!(
                cause(memory.advice("a", Shape { hash: 999, ..SMALL }, now)),
                Some(Cause::RecordRefused)
            );
            memory.refuse("a", shape, Cause::RecordRefused, now);
        }
        let other = Shape { hash: 999, ..SMALL };
        assert_eq!(
            cause(memory.advice("a", other, now)),
            Some(Cause::RecordRefused)
        );
    }

    #[test]
    fn the_memory_is_bounded() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for number in 0..3 * TOPICS_MAX {
            memory.suspect(&number.to_string(), now);
        }
        assert!(memory.topics.len() <= TOPICS_MAX);
    }
}
