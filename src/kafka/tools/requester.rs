//! A client of the service, like any other. It writes requests, reads the default reply topic, and finds the
//! reply to a request by the partition and offset that the reply names.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{Producer as _, PurgeConfig};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Deserialize;

use super::CALL_DEADLINE;
use crate::core::partitioner::partition_id_of;
use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Enqueued, Outgoing, Producer, Report, Topic};
use crate::wire::headers::Block;

/// The longest wait for one of the two clients before the other is looked at.
const POLL: Duration = Duration::from_millis(1);

/// The longest wait for the reports of requests that are taken back. The client's threads give the reports
/// within milliseconds, unless one of them waits for a name server.
const TAKE_BACK_MAX: Duration = Duration::from_millis(500);

/// The topics of requests and replies.
#[derive(Clone, Debug)]
pub struct Route {
    /// The request topic.
    pub requests: String,
    /// Partitions of the request topic.
    pub request_partitions: u32,
    /// The default reply topic.
    pub replies: String,
    /// Partitions of the reply topic.
    pub reply_partitions: u32,
}

/// A request that waits for its reply.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number that [`Requester::send`] returned.
    pub number: usize,
    /// The name of the sequence.
    pub name: String,
    /// The time at which it was sent.
    pub at: Instant,
    /// Partition and offset, once it is in the log.
    pub place: Option<(i32, i64)>,
}

/// The result of a request.
#[derive(Debug)]
pub struct Outcome {
    /// The request.
    pub request: Request,
    /// The body of its reply, or the reason why there is none.
    pub reply: Result<Vec<u8>, Failure>,
}

/// The reason why it is unknown that a sent request is in the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// The producer's error.
    pub error: Error,
    /// True when the producer is certain that the request is not in the log. Otherwise it may be there, and may
    /// be answered at any time.
    pub never_written: bool,
}

/// Partition and offset of a request, or the reason why it has none.
type Delivered = Result<(i32, i64), Failure>;

/// The part of a reply that identifies its request.
#[derive(Debug, Deserialize)]
struct Cause {
    partition: i32,
    offset: i64,
}

/// Writes requests and waits for their replies.
pub struct Requester {
    route: Route,
    topic: Topic,
    consumer: Authenticated<BaseConsumer<Context>>,
    /// The consumer never joins it. The client library looks for its coordinator all the same.
    group: String,
    sent: usize,
    /// Delivery reports that are not handled yet.
    reports: VecDeque<(usize, Delivered)>,
    /// Requests that the producer has, by the number that comes back with the report.
    unreported: BTreeMap<usize, Request>,
    /// Requests in the log, by place.
    unanswered: BTreeMap<(i32, i64), Request>,
    /// Replies whose request is not known yet: a reply may be read before the report of its request. Most of
    /// them belong to other clients.
    early: BTreeMap<(i32, i64), Vec<u8>>,
    /// Outcomes that came while requests were taken back.
    settled: VecDeque<Outcome>,
}

impl Requester {
    /// Reads the replies to these names from now on. Brokers have `within` to answer.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or no answer about the reply topic in time.
    pub fn new<'a>(
        connection: &Connection,
        route: Route,
        names: impl IntoIterator<Item = &'a str>,
        within: Duration,
    ) -> Result<Requester, Error> {
        let deadline = Instant::now() + within;
        // The producer is made first, so that it connects while the consumer asks its questions.
        let mut config = connection.request_producer();
        // Each request is tried once. Not all of them have a request_id, and without one a second record would
        // be a second grant.
        config.set("message.send.max.retries", "0");
        let topic = Producer::new(&config)?.topic(&route.requests)?;
        let consumer: Authenticated<BaseConsumer<Context>> = connection
            .reply_reader()
            .create("create consumer", Context)?;
        let mut partitions: Vec<i32> = names
            .into_iter()
            .map(|name| home(name, route.reply_partitions))
            .collect();
        partitions.sort_unstable();
        partitions.dedup();
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let left = deadline.saturating_duration_since(Instant::now());
            let (_, end) = consumer
                .fetch_watermarks(&route.replies, partition, left.min(CALL_DEADLINE))
                .map_err(|error| {
                    Error::from_kafka("ask for the end of the replies", &error)
                        .about(&route.replies)
                })?;
            list.add_partition_offset(&route.replies, partition, Offset::Offset(end))
                .map_err(|error| Error::from_kafka("assign", &error))?;
        }
        consumer
            .assign(&list)
            .map_err(|error| Error::from_kafka("assign", &error))?;
        Ok(Requester {
            route,
            topic,
            reports: VecDeque::new(),
            consumer,
            group: connection.group.clone(),
            sent: 0,
            unreported: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            early: BTreeMap::new(),
            settled: VecDeque::new(),
        })
    }

    /// The number of partitions of the request topic.
    pub fn request_partitions(&self) -> u32 {
        self.route.request_partitions
    }

    /// Hands a request for `name` to the producer, for its home partition. Returns the number of the request,
    /// which its outcome has as well.
    ///
    /// # Errors
    /// The producer does not take it.
    pub fn send(&mut self, name: &str, value: &[u8]) -> Result<usize, Error> {
        self.send_to(home(name, self.route.request_partitions), name, value)
    }

    /// Like [`Requester::send`], for a partition of the caller's choice: a policy goes to each.
    ///
    /// # Errors
    /// The producer does not take it.
    pub fn send_to(&mut self, partition: i32, name: &str, value: &[u8]) -> Result<usize, Error> {
        self.send_with(partition, name, value, Block::EMPTY)
    }

    /// Like [`Requester::send_to`], with headers.
    ///
    /// # Errors
    /// The producer does not take it.
    pub fn send_with(
        &mut self,
        partition: i32,
        name: &str,
        value: &[u8],
        headers: Block<'_>,
    ) -> Result<usize, Error> {
        let number = self.sent;
        let record = Outgoing {
            partition,
            key: Some(name.as_bytes()),
            value: Some(value),
            headers,
            opaque: number,
        };
        match self.topic.produce(record)? {
            Enqueued::Yes => {}
            Enqueued::QueueFull => {
                let message = "the producer's queue is full";
                return Err(Error::own("send request", Class::Retriable, message));
            }
        }
        self.sent += 1;
        let request = Request {
            number,
            name: name.to_owned(),
            at: Instant::now(),
            place: None,
        };
        self.unreported.insert(number, request);
        Ok(number)
    }

    /// The next outcome within `wait`.
    ///
    /// # Errors
    /// Replies can no longer be read.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Outcome>, Error> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(outcome) = self.settled.pop_front() {
                return Ok(Some(outcome));
            }
            self.serve(Duration::ZERO);
            if let Some(outcome) = self.reported() {
                return Ok(Some(outcome));
            }
            if let Some(outcome) = self.read(POLL.min(wait))? {
                return Ok(Some(outcome));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Takes the requests that have waited for longer than `older_than` out of the producer. Unsent requests
    /// are never sent, and the outcome of each says whether it may have been written. While there are younger
    /// requests, this does nothing, because it would take them out too.
    pub fn take_back(&mut self, older_than: Duration) {
        let overdue = |request: &Request| request.at.elapsed() > older_than;
        if self.unreported.is_empty() || !self.unreported.values().all(overdue) {
            return;
        }
        // A purge that waits for all threads would be held up by a thread that waits for a name server.
        let all = PurgeConfig::default().queue().inflight().non_blocking();
        self.topic.producer().base().purge(all);
        let deadline = Instant::now() + TAKE_BACK_MAX;
        while !self.unreported.is_empty() && Instant::now() < deadline {
            self.serve(POLL);
            while let Some(outcome) = self.reported() {
                self.settled.push_back(outcome);
            }
        }
    }

    /// Forgets the requests that have waited for longer than `older_than`, and returns them.
    pub fn give_up(&mut self, older_than: Duration) -> Vec<Request> {
        let mut given_up = Vec::new();
        let mut keep = |request: &Request| {
            let keep = request.at.elapsed() <= older_than;
            if !keep {
                given_up.push(request.clone());
            }
            keep
        };
        self.unreported.retain(|_, request| keep(request));
        self.unanswered.retain(|_, request| keep(request));
        given_up
    }

    /// Serves the producer's reports. Waits for the first one up to `wait`.
    fn serve(&mut self, wait: Duration) {
        let reports = &mut self.reports;
        let producer = self.topic.producer();
        producer.serve_ready(wait, |report| {
            let number = report.opaque;
            reports.push_back((number, place(report)));
        });
    }

    /// Handles delivery reports. Returns an outcome when a report is a failure, or when the reply was read
    /// already.
    fn reported(&mut self) -> Option<Outcome> {
        loop {
            let (number, result) = self.reports.pop_front()?;
            let Some(mut request) = self.unreported.remove(&number) else {
                continue;
            };
            let place = match result {
                Ok(place) => place,
                Err(error) => {
                    let reply = Err(error);
                    return Some(Outcome { request, reply });
                }
            };
            request.place = Some(place);
            if let Some(body) = self.early.remove(&place) {
                let reply = Ok(body);
                return Some(Outcome { request, reply });
            }
            self.unanswered.insert(place, request);
        }
    }

    fn read(&mut self, wait: Duration) -> Result<Option<Outcome>, Error> {
        let message = match self.consumer.poll(wait) {
            None => return Ok(None),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                let error = Error::from_kafka("read replies", &error);
                return match error.class {
                    Class::EndOfLog | Class::Retriable => Ok(None),
                    _ => Err(error.about_group_or(&self.group, &self.route.replies)),
                };
            }
        };
        let body = message.payload().unwrap_or_default();
        let Ok(Cause { partition, offset }) = serde_json::from_slice(body) else {
            return Ok(None);
        };
        let place = (partition, offset);
        if let Some(request) = self.unanswered.remove(&place) {
            let reply = Ok(body.to_vec());
            return Ok(Some(Outcome { request, reply }));
        }
        if self.unreported.is_empty() {
            self.early.clear();
        } else {
            self.early.insert(place, body.to_vec());
        }
        Ok(None)
    }
}

/// The home partition of a name among this many partitions.
fn home(name: &str, partitions: u32) -> i32 {
    partition_id_of(name.as_bytes(), partitions)
}

/// The place of a request in the log, or the reason why it has none.
fn place(report: Report<'_>) -> Delivered {
    let never_written = report.is_unwritten();
    match report.result {
        Ok(offset) => Ok((report.partition, offset)),
        Err(error) => Err(Failure {
            never_written,
            error: Error {
                operation: "send request",
                ..error
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kafka::oauth::Tokens;

    /// A requester of a cluster that does not exist: its requests stay in its queue.
    fn unconnected() -> Requester {
        let connection = Connection {
            brokers: "127.0.0.1:1".to_owned(),
            properties: BTreeMap::new(),
            group: "g".to_owned(),
            instance_id: "i".to_owned(),
            awaited_transactions: false,
            tokens: Tokens::default(),
        };
        let route = Route {
            requests: "requests".to_owned(),
            request_partitions: 1,
            replies: "replies".to_owned(),
            reply_partitions: 1,
        };
        Requester::new(&connection, route, [], Duration::ZERO).unwrap()
    }

    fn outcome(requester: &mut Requester) -> Option<Outcome> {
        requester.next(Duration::ZERO).unwrap()
    }

    #[test]
    fn a_request_that_never_left_is_taken_back_as_never_written() {
        let mut requester = unconnected();
        let number = requester.send("orders", b"").unwrap();
        requester.take_back(Duration::from_secs(60));
        assert!(outcome(&mut requester).is_none(), "it is not overdue");
        std::thread::sleep(Duration::from_millis(2));
        requester.take_back(Duration::ZERO);
        let outcome = outcome(&mut requester).expect("an outcome");
        assert_eq!(outcome.request.number, number);
        assert!(outcome.reply.unwrap_err().never_written);
        assert!(requester.give_up(Duration::ZERO).is_empty());
    }

    #[test]
    fn an_older_request_is_not_taken_back_together_with_a_younger_one() {
        let mut requester = unconnected();
        requester.send("orders", b"").unwrap();
        std::thread::sleep(Duration::from_millis(200));
        requester.send("orders", b"").unwrap();
        requester.take_back(Duration::from_millis(190));
        assert!(outcome(&mut requester).is_none());
    }
}
