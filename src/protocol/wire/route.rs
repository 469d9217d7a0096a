//! Decides from the headers of a request where its reply goes and which headers the reply carries.
//!
//! | convention | correlation | topic | partition | besides |
//! |---|---|---|---|---|
//! | Spring, NestJS | `kafka_correlationId` | `kafka_replyTopic` | `kafka_replyPartition` | `kafka_nest-err`, `kafka_nest-is-disposed` |
//! | SmallRye, Quarkus | `REPLY_CORRELATION_ID` | `REPLY_TOPIC` | `REPLY_PARTITION` | |
//! | FastStream | `correlation_id` | `reply_to` | | |
//!
//! Routing is no part of the fold: nothing here changes whether IDs are granted or what the body says. A reply
//! that cannot go to the requested place goes to the default reply topic, with the reason in a header
//! ([`Undelivered`]).

mod allow;

use std::fmt;

pub use allow::AllowList;
pub use allow::matches;

use super::headers::{
    CORRELATION_BYTES_MAX, CORRELATION_COPIED_BYTES_MAX, Family, FamilyNames, Headers, Names,
    PARTITION_BYTES_MAX, TOPIC_BYTES_MAX, TRACE_BYTES_MAX, TRACEPARENT, TRACESTATE, UNDELIVERED,
    block,
};

/// Why a reply could not go where its request asked for; stable words of the wire contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The allow-list does not have the topic, or it is one of the service's own.
    TopicRefused,
    /// The name is not valid for a topic.
    TopicIllegal,
    /// The topic does not exist, or no longer exists.
    TopicUnknown,
    /// The topic lacks the partition.
    PartitionUnknown,
    /// The partition's header is not a number.
    PartitionUnreadable,
    /// The correlation is over its limit.
    CorrelationTooLong,
    /// The topic does not take a record of that size.
    ReplyTooLarge,
    /// The topic is compacted and the reply has no key, or another rule of the topic refuses it.
    RecordRefused,
    /// The service may not write to the topic.
    NotPermitted,
    /// The topic could not be written within its deadline.
    Unwritable,
}

impl Cause {
    /// Every cause, for documentation, metrics and tests.
    pub const ALL: [Cause; 10] = [
        Cause::TopicRefused,
        Cause::TopicIllegal,
        Cause::TopicUnknown,
        Cause::PartitionUnknown,
        Cause::PartitionUnreadable,
        Cause::CorrelationTooLong,
        Cause::ReplyTooLarge,
        Cause::RecordRefused,
        Cause::NotPermitted,
        Cause::Unwritable,
    ];

    /// The word in the header and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::TopicRefused => "topic_refused",
            Cause::TopicIllegal => "topic_illegal",
            Cause::TopicUnknown => "topic_unknown",
            Cause::PartitionUnknown => "partition_unknown",
            Cause::PartitionUnreadable => "partition_unreadable",
            Cause::CorrelationTooLong => "correlation_too_long",
            Cause::ReplyTooLarge => "reply_too_large",
            Cause::RecordRefused => "record_refused",
            Cause::NotPermitted => "not_permitted",
            Cause::Unwritable => "unwritable",
        }
    }
}

/// A reply that goes to the default reply topic instead of the requested topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The stable word.
    pub cause: Cause,
    /// The reason in words, for the client's author.
    pub reason: String,
}

impl Undelivered {
    /// Creates a cause with a reason that names the header or the topic.
    pub fn new(cause: Cause, reason: impl Into<String>) -> Undelivered {
        Undelivered {
            cause,
            reason: reason.into(),
        }
    }

    /// Appends the header [`UNDELIVERED`] to a block.
    pub fn push(&self, out: &mut Vec<u8>) {
        block::push(out, UNDELIVERED, self.to_string().as_bytes());
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.as_str(), self.reason)
    }
}

/// The destination and the headers that a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route<'a> {
    /// A topic of the client's own. None for the default reply topic.
    pub topic: Option<&'a str>,
    /// A partition of that topic. None to choose it by the name of the sequence.
    pub partition: Option<i32>,
    /// Why the reply goes to the default reply topic although the client named another.
    pub undelivered: Option<Undelivered>,
    correlation: Option<(&'a str, &'a [u8])>,
    nest: bool,
    traceparent: Option<&'a [u8]>,
    tracestate: Option<&'a [u8]>,
}

/// How replies are routed.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The clients' header names.
    pub names: Names,
    /// The topics that clients may name.
    pub allow: AllowList,
    /// The topic of replies whose requests name none.
    pub default_topic: String,
}

impl Routing {
    /// Reads a request's headers and decides the route.
    pub fn route<'a>(&'a self, headers: &Headers<'a>) -> Route<'a> {
        if *headers == Headers::default() {
            return Route::default();
        }
        let Names {
            kafka,
            smallrye,
            faststream,
            ..
        } = &self.names;
        let families = [
            (kafka, headers.kafka),
            (smallrye, headers.smallrye),
            (faststream, headers.faststream),
        ];
        let short = |value: Option<&'a [u8]>| value.filter(|v| v.len() <= TRACE_BYTES_MAX);
        let mut route = Route {
            traceparent: short(headers.traceparent),
            tracestate: short(headers.tracestate),
            ..Route::default()
        };
        let chosen = families
            .iter()
            .position(|(_, family)| family.topic.is_some())
            .or_else(|| {
                families
                    .iter()
                    .position(|(_, family)| family.correlation.is_some())
            });
        let Some(index) = chosen else { return route };
        let (names, family) = families[index];
        route.nest = index == 0;
        route.correlation = family
            .correlation
            .filter(|value| value.len() <= CORRELATION_COPIED_BYTES_MAX)
            .map(|value| (names.correlation.as_str(), value));
        match self.destination(names, family) {
            Ok((topic, partition)) => {
                route.topic = topic;
                route.partition = partition;
            }
            Err(undelivered) => route.undelivered = Some(undelivered),
        }
        route
    }

    /// Returns topic and partition. No topic means the default reply topic.
    fn destination<'a>(
        &self,
        names: &FamilyNames,
        family: Family<'a>,
    ) -> Result<(Option<&'a str>, Option<i32>), Undelivered> {
        let topic = family.topic.map(|topic| self.topic(topic)).transpose()?;
        let partition = match (family.partition, &names.partition) {
            (Some(bytes), Some(name)) => Some(partition(name, bytes)?),
            _ => None,
        };
        let length = family.correlation.map_or(0, <[u8]>::len);
        if length > CORRELATION_BYTES_MAX {
            return Err(Undelivered::new(
                Cause::CorrelationTooLong,
                format!(
                    "header {} must be at most {CORRELATION_BYTES_MAX} bytes, got {length}",
                    names.correlation
                ),
            ));
        }
        let own = topic.filter(|topic| *topic != self.default_topic);
        Ok((own, partition))
    }

    fn topic<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, Undelivered> {
        let legal = |topic: &&str| {
            (1..=TOPIC_BYTES_MAX).contains(&topic.len())
                && !matches!(*topic, "." | "..")
                && topic
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let topic = std::str::from_utf8(bytes).ok().filter(legal).ok_or_else(|| {
            Undelivered::new(
                Cause::TopicIllegal,
                format!(
                    "a topic is named by 1 to {TOPIC_BYTES_MAX} of letters, digits, '.', '_' and '-'"
                ),
            )
        })?;
        if topic != self.default_topic && !self.allow.allows(topic) {
            return Err(Undelivered::new(
                Cause::TopicRefused,
                format!("topic {topic} is not on the allow-list for reply topics (reply.allow)"),
            ));
        }
        Ok(topic)
    }
}

/// Four bytes that start with a zero byte are a big-endian integer. Anything else is decimal text. A longer
/// text than travels with a stray is not a valid partition anywhere, so both ends read the same.
fn partition(name: &str, bytes: &[u8]) -> Result<i32, Undelivered> {
    if let Ok(binary @ [0, ..]) = <[u8; 4]>::try_from(bytes) {
        return Ok(i32::from_be_bytes(binary));
    }
    let short = (bytes.len() <= PARTITION_BYTES_MAX).then_some(bytes);
    let text = short.and_then(|bytes| std::str::from_utf8(bytes).ok());
    // `parse` accepts a sign, but a partition has none.
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            Undelivered::new(
                Cause::PartitionUnreadable,
                format!(
                    "header {name} must be 4 bytes, big-endian, or decimal text of at most \
                     {PARTITION_BYTES_MAX} digits, got {} bytes",
                    bytes.len()
                ),
            )
        })
}

impl Route<'_> {
    /// Appends the reply's headers to a block. `error` is the compact JSON of the error object, if the reply
    /// has one.
    pub fn push_headers(&self, names: &Names, error: Option<&[u8]>, out: &mut Vec<u8>) {
        if let Some((name, value)) = self.correlation {
            block::push(out, name, value);
        }
        if self.nest {
            if let Some(error) = error {
                block::push(out, &names.nest_error, error);
            }
            block::push(out, &names.nest_disposed, &[0]);
        }
        if let Some(value) = self.traceparent {
            block::push(out, TRACEPARENT, value);
        }
        if let Some(value) = self.tracestate {
            block::push(out, TRACESTATE, value);
        }
        if let Some(undelivered) = &self.undelivered {
            undelivered.push(out);
        }
    }
}

#[cfg(test)]
mod tests;
