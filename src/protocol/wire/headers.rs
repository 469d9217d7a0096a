//! The headers of a request that this service reads, and the block that holds headers.
//!
//! Request-reply clients say in headers where their reply goes and what it must carry ([`crate::wire::route`]).
//! Of all headers, only [`REQUEST_ID`] and [`FORWARDED`] take part in the fold. Their names are fixed. The
//! names of the clients' conventions can be configured: two instances that disagree about them still give the
//! same IDs.

pub mod block;

pub use block::Block;

/// The client's identification of its request. The fold uses it.
pub const REQUEST_ID: &str = "sequencer-request-id";
/// The link of a stray's chain ([`crate::core::link`]).
pub const FORWARDED: &str = "sequencer-forwarded";
/// On a reply that could not go where its request asked for: the code and the reason.
pub const UNDELIVERED: &str = "sequencer-undelivered";
/// W3C trace context, passed on.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context, passed on.
pub const TRACESTATE: &str = "tracestate";

/// Longest correlation that a client's own topic gets, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 4 * 1024;
/// Longest correlation that a reply repeats at all, in bytes. A reply on the default reply topic repeats a
/// longer correlation than a client's own topic gets, up to this size. Beyond it the correlation is left out,
/// so that a reply always fits.
pub const CORRELATION_COPIED_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a topic that a broker accepts, in bytes.
pub const TOPIC_BYTES_MAX: usize = 249;
/// Longest text of a partition, in bytes: more than the digits of any partition.
pub const PARTITION_BYTES_MAX: usize = 16;
/// Longest trace header that is passed on, in bytes. W3C asks for at least 512.
pub const TRACE_BYTES_MAX: usize = 4 * 1024;
/// Most bytes that the headers of a forward add up to, with their names. The forwarding producer must accept
/// this size, with the longest name and value of a request.
pub const FORWARD_HEADERS_BYTES_MAX: usize = 3
    * (CORRELATION_COPIED_BYTES_MAX + TOPIC_BYTES_MAX + PARTITION_BYTES_MAX)
    + 2 * TRACE_BYTES_MAX
    + 8 * 1024;

/// The header names of one client convention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyNames {
    /// The header whose value the reply must repeat.
    pub correlation: String,
    /// The header with the topic of the reply.
    pub topic: String,
    /// The header with the partition of the reply. Not every convention has one.
    pub partition: Option<String>,
}

/// The header names of all conventions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Spring's `ReplyingKafkaTemplate` and NestJS's `ClientKafka`.
    pub kafka: FamilyNames,
    /// NestJS: the error of a reply.
    pub nest_error: String,
    /// NestJS: marks the reply as the last one.
    pub nest_disposed: String,
    /// SmallRye's and Quarkus's `KafkaRequestReply`.
    pub smallrye: FamilyNames,
    /// FastStream.
    pub faststream: FamilyNames,
}

impl Default for Names {
    fn default() -> Names {
        let family = |correlation: &str, topic: &str, partition: Option<&str>| FamilyNames {
            correlation: correlation.to_owned(),
            topic: topic.to_owned(),
            partition: partition.map(str::to_owned),
        };
        Names {
            kafka: family(
                "kafka_correlationId",
                "kafka_replyTopic",
                Some("kafka_replyPartition"),
            ),
            nest_error: "kafka_nest-err".to_owned(),
            nest_disposed: "kafka_nest-is-disposed".to_owned(),
            smallrye: family(
                "REPLY_CORRELATION_ID",
                "REPLY_TOPIC",
                Some("REPLY_PARTITION"),
            ),
            faststream: family("correlation_id", "reply_to", None),
        }
    }
}

/// The values of one convention's headers, undecoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Family<'a> {
    /// The bytes that the reply must repeat.
    pub correlation: Option<&'a [u8]>,
    /// The topic of the reply.
    pub topic: Option<&'a [u8]>,
    /// The partition of the reply.
    pub partition: Option<&'a [u8]>,
}

impl Family<'_> {
    const NONE: Family<'static> = Family {
        correlation: None,
        topic: None,
        partition: None,
    };
}

/// The headers of a request, undecoded. If a name occurs several times, the last header counts. A null value
/// counts as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// [`REQUEST_ID`].
    pub request_id: Option<&'a [u8]>,
    /// [`FORWARDED`].
    pub forwarded: Option<&'a [u8]>,
    /// The headers of Spring and NestJS.
    pub kafka: Family<'a>,
    /// The headers of SmallRye and Quarkus.
    pub smallrye: Family<'a>,
    /// The headers of FastStream.
    pub faststream: Family<'a>,
    /// [`TRACEPARENT`].
    pub traceparent: Option<&'a [u8]>,
    /// [`TRACESTATE`].
    pub tracestate: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// No headers at all.
    pub const NONE: &'static Headers<'static> = &Headers {
        request_id: None,
        forwarded: None,
        kafka: Family::NONE,
        smallrye: Family::NONE,
        faststream: Family::NONE,
        traceparent: None,
        tracestate: None,
    };

    /// Picks the headers that the service reads from all headers of a record.
    pub fn collect(
        names: &Names,
        all: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Headers<'a> {
        let mut headers = Headers::default();
        for (name, value) in all {
            if let Some(place) = headers.place(names, name) {
                *place = value;
            }
        }
        headers
    }

    fn place(&mut self, names: &Names, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        let is = |known: &str| known.as_bytes() == name;
        Some(match () {
            () if is(REQUEST_ID) => &mut self.request_id,
            () if is(FORWARDED) => &mut self.forwarded,
            () if is(TRACEPARENT) => &mut self.traceparent,
            () if is(TRACESTATE) => &mut self.tracestate,
            () => {
                let families = [
                    (&names.kafka, &mut self.kafka),
                    (&names.smallrye, &mut self.smallrye),
                    (&names.faststream, &mut self.faststream),
                ];
                let mut found = None;
                for (names, family) in families {
                    if is(&names.correlation) {
                        found = Some(&mut family.correlation);
                    } else if is(&names.topic) {
                        found = Some(&mut family.topic);
                    } else if names.partition.as_deref().is_some_and(is) {
                        found = Some(&mut family.partition);
                    }
                }
                found?
            }
        })
    }

    /// Appends the headers that a forward carries: all but [`FORWARDED`]. Each is cut one byte above its limit,
    /// so that the home partition finds it too long as well.
    pub fn forward(&self, names: &Names, out: &mut Vec<u8>) {
        let Headers {
            request_id,
            forwarded: _, // the forward has its own link
            kafka,
            smallrye,
            faststream,
            traceparent,
            tracestate,
        } = self;
        let mut push = |name: &str, value: &Option<&[u8]>, limit: usize| {
            if let Some(value) = value {
                block::push(out, name, &value[..value.len().min(limit + 1)]);
            }
        };
        // A request with a longer one is invalid, and is answered in the partition where it lies.
        push(
            REQUEST_ID,
            request_id,
            crate::core::limits::TEXT_FIELD_BYTES_MAX,
        );
        for (names, family) in [
            (&names.kafka, kafka),
            (&names.smallrye, smallrye),
            (&names.faststream, faststream),
        ] {
            push(
                &names.correlation,
                &family.correlation,
                CORRELATION_COPIED_BYTES_MAX,
            );
            push(&names.topic, &family.topic, TOPIC_BYTES_MAX);
            if let Some(name) = &names.partition {
                push(name, &family.partition, PARTITION_BYTES_MAX);
            }
        }
        push(TRACEPARENT, traceparent, TRACE_BYTES_MAX);
        push(TRACESTATE, tracestate, TRACE_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests;
