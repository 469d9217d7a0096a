//! One session: a producer of requests and a consumer of their replies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::info;

use super::{CORRELATION_BYTES, Fate, Options, Request, Shared, lock};
use crate::core::name::POLICY;
use crate::core::partitioner::partition_id_of;
use crate::kafka::admin::{Admin, Cluster};
use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Enqueued, Outgoing, Producer, Report, Topic};
use crate::wire::headers::{Block, FamilyNames, TRACE_BYTES_MAX, TRACEPARENT, TRACESTATE, block};
use crate::wire::request::DESCRIBE;

/// How long one question to the brokers may take. They answer in milliseconds or are away.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for a reply before reports and deadlines are looked at.
const POLL: Duration = Duration::from_millis(20);
/// Most events of reports between two replies. An event may hold many reports.
const REPORT_EVENTS_MAX: usize = 100;
/// How often a `describe` is written until one has come back. Each goes to another partition, since the owner of
/// one may be away.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// The number of such a record. No call has it.
const PROBE_NUMBER: usize = usize::MAX;

/// The producer of a session.
pub(super) struct Outlet {
    topic: Topic,
    /// Partitions of the request topic.
    partitions: u32,
    names: FamilyNames,
    reply_topic: String,
    reply_partition: i32,
}

/// A session.
pub(super) struct Session {
    outlet: Arc<Outlet>,
    consumer: Authenticated<BaseConsumer<Context>>,
    probe: Probe,
}

/// The `describe` that shows that requests and replies get through.
struct Probe {
    correlation: [u8; CORRELATION_BYTES],
    sent: Option<Instant>,
    partition: i32,
    answered: bool,
}

impl Outlet {
    /// Hands the record of a call to the producer.
    ///
    /// # Errors
    /// The reason why the producer did not take it.
    pub(super) fn produce(
        &self,
        request: Request<'_>,
        correlation: &[u8; CORRELATION_BYTES],
        number: usize,
    ) -> Result<(), String> {
        let partition = partition_id_of(request.name.as_bytes(), self.partitions);
        self.produce_to(partition, request, correlation, number)
    }

    fn produce_to(
        &self,
        partition: i32,
        request: Request<'_>,
        correlation: &[u8; CORRELATION_BYTES],
        number: usize,
    ) -> Result<(), String> {
        let Request {
            name,
            value,
            traceparent,
            tracestate,
        } = request;
        let mut headers = Vec::new();
        block::push(&mut headers, &self.names.correlation, correlation);
        block::push(&mut headers, &self.names.topic, self.reply_topic.as_bytes());
        if let Some(name) = &self.names.partition {
            block::push(&mut headers, name, &self.reply_partition.to_be_bytes());
        }
        for (name, value) in [(TRACEPARENT, traceparent), (TRACESTATE, tracestate)] {
            if let Some(value) = value.filter(|value| value.len() <= TRACE_BYTES_MAX) {
                block::push(&mut headers, name, value);
            }
        }
        let record = Outgoing {
            partition,
            key: Some(name.as_bytes()),
            value: Some(value),
            headers: Block(&headers),
            opaque: number,
        };
        match self.topic.produce(record) {
            Ok(Enqueued::Yes) => Ok(()),
            Ok(Enqueued::QueueFull) => Err("the producer's queue is full".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Session {
    /// Connects. The end of the replies is known when this returns, so before the first write.
    ///
    /// # Errors
    /// No brokers, a topic that is missing, or a configuration that librdkafka refuses.
    pub(super) fn open(connection: &Connection, options: &Options) -> Result<Session, Error> {
        let Options {
            requests,
            replies,
            names,
            timeout,
        } = options;
        let admin = Admin::new(&connection.admin())?;
        let cluster = admin.cluster()?;
        let partitions = partitions_of(&cluster, requests)?;
        let reply_partitions = partitions_of(&cluster, replies)?;
        let topic = Producer::new(&connection.call_producer(*timeout))?.topic(requests)?;
        let consumer: Authenticated<BaseConsumer<Context>> = connection
            .call_reader()
            .create("create consumer", Context)?;
        let reply_partition = partition_id_of(connection.instance_id.as_bytes(), reply_partitions);
        begin_at_end(&admin, &consumer, replies, reply_partition)?;
        info!(
            requests,
            replies, reply_partition, "connected; waiting for the first reply"
        );
        Ok(Session {
            outlet: Arc::new(Outlet {
                topic,
                partitions,
                names: names.clone(),
                reply_topic: replies.clone(),
                reply_partition,
            }),
            consumer,
            probe: Probe {
                correlation: [0; CORRELATION_BYTES],
                sent: None,
                partition: 0,
                answered: false,
            },
        })
    }

    pub(super) fn outlet(&self) -> Arc<Outlet> {
        Arc::clone(&self.outlet)
    }

    /// Reads replies until it is stopped.
    ///
    /// # Errors
    /// Replies can no longer be read.
    pub(super) fn run(&mut self, shared: &Shared) -> Result<(), Error> {
        let mut turned = Instant::now();
        self.ask(shared);
        while !shared.stops() {
            self.read(shared)?;
            if turned.elapsed() >= POLL {
                turned = Instant::now();
                shared.turn();
                self.ask(shared);
            }
        }
        Ok(())
    }

    fn read(&mut self, shared: &Shared) -> Result<(), Error> {
        let polled = self.consumer.poll(POLL);
        // A record is reported before its reply comes, but both may wait here. So reports are taken first.
        self.take_reports(shared);
        let message = match polled {
            None => return Ok(()),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                let error = Error::from_kafka("read replies", &error);
                return match error.class {
                    Class::EndOfLog | Class::Retriable => Ok(()),
                    _ => Err(error.about(&self.outlet.reply_topic)),
                };
            }
        };
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let correlation = headers
            .filter(|header| header.key == self.outlet.names.correlation)
            .find_map(|header| header.value);
        let Some(correlation) = correlation else {
            return Ok(());
        };
        if !self.probe.answered && correlation == self.probe.correlation {
            self.probe.answered = true;
            shared.set_obstacle(None);
            info!("ready: a describe has come back");
            return Ok(());
        }
        let body = message.payload().unwrap_or_default();
        lock(&shared.pending).replied(correlation, body);
        Ok(())
    }

    fn take_reports(&self, shared: &Shared) {
        for _ in 0..REPORT_EVENTS_MAX {
            let served = self
                .outlet
                .topic
                .producer()
                .serve(Duration::ZERO, |report| {
                    lock(&shared.pending).reported(report.opaque, fate(&report));
                });
            if !served {
                return;
            }
        }
    }

    /// Writes a `describe` from time to time, until one has come back.
    fn ask(&mut self, shared: &Shared) {
        let probe = &mut self.probe;
        let waits = |sent: Instant| sent.elapsed() < PROBE_INTERVAL;
        if probe.answered || probe.sent.is_some_and(waits) {
            return;
        }
        let request = Request {
            name: POLICY,
            value: DESCRIBE,
            traceparent: None,
            tracestate: None,
        };
        // The same correlation for all: whichever comes back shows that the way is there.
        if probe.sent.is_none() && getrandom::fill(&mut probe.correlation).is_err() {
            return;
        }
        probe.sent = Some(Instant::now());
        let partition = probe.partition;
        let count = i32::try_from(self.outlet.partitions).unwrap_or(i32::MAX);
        probe.partition = (partition + 1) % count.max(1);
        let produced = self
            .outlet
            .produce_to(partition, request, &probe.correlation, PROBE_NUMBER);
        let replies = &self.outlet.reply_topic;
        shared.set_obstacle(Some(match produced {
            Ok(()) => format!(
                "no reply has come on {replies} yet: is `sequencer serve` running, with the same topics and of \
                 a release that has a gateway?"
            ),
            Err(error) => error,
        }));
    }
}

/// The fate of a record by its report.
fn fate(report: &Report<'_>) -> Fate {
    match &report.result {
        Ok(offset) => Fate::Written {
            partition: report.partition,
            offset: *offset,
            latency: report.latency,
        },
        Err(error) if report.is_unwritten() => Fate::Unwritten(error.to_string()),
        Err(error) => Fate::Doubtful(error.to_string()),
    }
}

fn partitions_of(cluster: &Cluster, topic: &str) -> Result<u32, Error> {
    let found = cluster.topics.get(topic).map(|topic| topic.partitions);
    found.filter(|partitions| *partitions > 0).ok_or_else(|| {
        let message = format!(
            "topic {topic:?} is not there, or may not be seen: `sequencer serve` creates it"
        );
        Error::own("look for the topics", Class::Refused, message)
    })
}

/// Assigns the partition from its present end.
fn begin_at_end(
    admin: &Admin,
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partition: i32,
) -> Result<(), Error> {
    const OPERATION: &str = "ask for the end of the replies";
    // A consumer that has not heard of a topic looks for its leader once a second.
    let asked = consumer
        .fetch_metadata(Some(topic), CALL_DEADLINE)
        .and_then(|_| consumer.fetch_watermarks(topic, partition, CALL_DEADLINE))
        .map_err(|error| Error::from_kafka(OPERATION, &error).about(topic));
    let (_, end) = admin.explained(asked)?;
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, Offset::Offset(end))
        .and_then(|()| consumer.assign(&list))
        .map_err(|error| Error::from_kafka("assign", &error))
}
