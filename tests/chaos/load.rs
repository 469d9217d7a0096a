//! An open-loop load: a fixed number of requests a second, whether they are answered or not. A request with a
//! `request_id` is written again when its answer does not come in time, and sometimes without a reason.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::support::DEADLINE;
use crate::support::random::Random;
use crate::support::service::Service;

use super::observer::Observer;
use super::requests::{Draft, Source};
use super::topics::Topics;

const TICK: Duration = Duration::from_millis(5);
/// After this time without an answer, a client asks again.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Highest number of times that one client asks for the same request.
const TRIES_MAX: u32 = 4;
/// One of this many requests with a `request_id` is written again although its answer may have come.
const ANYWAY_ONE_IN: u64 = 30;
/// Longest time until this repeat, which may come before the answer or after it.
const ANYWAY_MS_MAX: u64 = 2_000;
/// After its topic is deleted, a client waits this long before it asks again without naming a topic.
const AFTER_DELETION: Duration = Duration::from_secs(1);

/// Counts the records that brokers acknowledged, and those that they did not. Only the log shows which requests
/// exist.
#[derive(Clone, Default)]
pub struct Deliveries {
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {
    // Brokers are killed here all the time.
    fn error(&self, _error: KafkaError, _reason: &str) {}
    fn log(&self, _level: rdkafka::config::RDKafkaLogLevel, _facility: &str, _message: &str) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        let counter = if result.is_ok() {
            &self.done
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Appends one request to the partition that a client's partitioner chose.
pub fn write(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    draft: &Draft,
    partition: i32,
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
    record.key = draft.key.as_deref();
    record.payload = draft.value.as_deref();
    if let Some(topic) = &draft.topic {
        let correlation = vec![b'c'; draft.correlation_bytes];
        let mut headers = OwnedHeaders::new().insert(Header {
            key: "reply_to",
            value: Some(topic.as_bytes()),
        });
        if !correlation.is_empty() {
            headers = headers.insert(Header {
                key: "correlation_id",
                value: Some(&correlation),
            });
        }
        record = record.headers(headers);
    }
    producer.send(record).map_err(|(error, _)| error)
}

/// The counts of the load.
#[derive(Clone, Copy)]
pub struct Written {
    pub requests: u64,
    pub again: u64,
    pub acknowledged: u64,
    pub failed: u64,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests written, {} of them again, {} acknowledged, {} given up",
            self.requests, self.again, self.acknowledged, self.failed
        )
    }
}

/// A load that runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

impl Load {
    pub fn start(
        service: &Service,
        topics: &Topics,
        observer: &Observer,
        rate: u64,
        (source, random): (Source, Random),
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = Client {
            deliveries: Deliveries::default(),
            producer: None,
            bootstrap: service.bootstrap.clone(),
            topic: service.requests.clone(),
            source,
            random,
            topics: topics.clone(),
            observer: observer.clone(),
            waiting: HashMap::new(),
            due: VecDeque::new(),
            doomed: Vec::new(),
            lost: VecDeque::new(),
            written: 0,
            again: 0,
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || client.run(rate, &stopped));
        Load { stop, thread }
    }

    /// Ends the load, and waits until every record is acknowledged or given up.
    pub fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Waiting {
    draft: Draft,
    tries: u32,
}

struct Client {
    deliveries: Deliveries,
    producer: Option<BaseProducer<Deliveries>>,
    bootstrap: String,
    topic: String,
    source: Source,
    random: Random,
    topics: Topics,
    observer: Observer,
    /// Requests with a `request_id` and without an answer.
    waiting: HashMap<u64, Waiting>,
    /// The time to check one of them again, or to write it again in any case.
    due: VecDeque<(Instant, u64)>,
    /// Requests whose answers may be lost with their topic, by topic.
    doomed: Vec<(String, Draft)>,
    /// Requests whose topic is deleted, and the time when they are asked again.
    lost: VecDeque<(Instant, Draft)>,
    written: u64,
    again: u64,
}

impl Client {
    fn run(&mut self, rate: u64, stop: &AtomicBool) -> Written {
        let started = Instant::now();
        let mut drawn = 0;
        let mut anyway: VecDeque<(Instant, Draft)> = VecDeque::new();
        while !stop.load(Ordering::Relaxed) {
            let due = started.elapsed().as_millis() as u64 * rate / 1000;
            while drawn < due {
                drawn += 1;
                let draft = self.source.draw(&self.topics);
                self.remember(&draft, &mut anyway);
                self.send(&draft);
            }
            self.ask_again(&mut anyway);
            self.producer().poll(TICK);
        }
        self.ask_for_lost(true);
        // A record that cannot be written is given up after its timeout, so this ends.
        let _ = self.producer().flush(2 * DEADLINE);
        Written {
            requests: self.written,
            again: self.again,
            acknowledged: self.deliveries.done.load(Ordering::Relaxed),
            failed: self.deliveries.failed.load(Ordering::Relaxed),
        }
    }

    fn remember(&mut self, draft: &Draft, anyway: &mut VecDeque<(Instant, Draft)>) {
        let Some(id) = draft.request_id else { return };
        let now = Instant::now();
        self.due.push_back((now + TIMEOUT, id));
        self.waiting.insert(
            id,
            Waiting {
                draft: draft.clone(),
                tries: 1,
            },
        );
        if self.random.below(ANYWAY_ONE_IN) == 0 {
            let soon = Duration::from_millis(self.random.below(ANYWAY_MS_MAX));
            anyway.push_back((now + soon, draft.clone()));
        }
        if let Some(topic) = draft.topic.as_ref().filter(|topic| Topics::forgets(topic)) {
            self.doomed.push((topic.clone(), draft.clone()));
        }
    }

    fn ask_again(&mut self, anyway: &mut VecDeque<(Instant, Draft)>) {
        let now = Instant::now();
        for id in self.observer.take_answered() {
            self.waiting.remove(&id);
        }
        // The queue is out of order by at most the longest pause, which does no harm.
        while anyway.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, draft)) = anyway.pop_front() {
                self.again += 1;
                self.send(&draft);
            }
        }
        while self.due.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.due.pop_front() else {
                break;
            };
            let Some(waiting) = self.waiting.get_mut(&id) else {
                continue;
            };
            if waiting.tries == TRIES_MAX {
                self.waiting.remove(&id);
                continue;
            }
            waiting.tries += 1;
            let draft = waiting.draft.clone();
            self.due.push_back((now + TIMEOUT, id));
            self.again += 1;
            self.send(&draft);
        }
        self.ask_for_lost(false);
    }

    /// A client whose reply topic is deleted asks again a while later, without naming a topic. Nothing else
    /// waits for this.
    fn ask_for_lost(&mut self, at_once: bool) {
        let now = Instant::now();
        if !self.doomed.is_empty() {
            let deleted = self.topics.deleted();
            let is_lost = |(topic, _): &(String, Draft)| deleted.contains(topic);
            let (lost, kept) = std::mem::take(&mut self.doomed)
                .into_iter()
                .partition(is_lost);
            self.doomed = kept;
            let lost: Vec<(String, Draft)> = lost;
            let later = |(_, draft): (String, Draft)| (now + AFTER_DELETION, draft);
            self.lost.extend(lost.into_iter().map(later));
        }
        while self
            .lost
            .front()
            .is_some_and(|(at, _)| at_once || *at <= now)
        {
            let Some((_, mut draft)) = self.lost.pop_front() else {
                break;
            };
            draft.topic = None;
            self.again += 1;
            self.send(&draft);
        }
    }

    fn send(&mut self, draft: &Draft) {
        let partition = draft.partition(&mut self.random);
        let topic = self.topic.clone();
        self.written += 1;
        while let Err(error) = write(self.producer(), &topic, draft, partition) {
            // The queue is full while brokers are away, or an idempotent producer has failed.
            if self.producer().client().fatal_error().is_some() {
                println!("the load's producer starts over: {error}");
                self.producer = None;
            } else {
                self.producer().poll(TICK);
            }
        }
    }

    fn producer(&mut self) -> &BaseProducer<Deliveries> {
        self.producer.get_or_insert_with(|| {
            ClientConfig::new()
                .set("bootstrap.servers", &self.bootstrap)
                .set("enable.idempotence", "true")
                // With more, librdkafka polls without a pause while records wait behind a batch. The tested
                // processes then lose three quarters of this machine.
                .set("max.in.flight.requests.per.connection", "1")
                .set("queue.buffering.max.messages", "200000")
                .set("message.timeout.ms", "60000")
                .set("allow.auto.create.topics", "false")
                .set("reconnect.backoff.max.ms", "500")
                .create_with_context(self.deliveries.clone())
                .unwrap()
        })
    }
}
