//! A client that writes its requests in transactions, and aborts some of them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use crate::support::random::Random;
use crate::support::service::Service;

use super::load::{Deliveries, write};
use super::recovery::CLEAN_UP_INTERVAL_MS;
use super::requests::Source;
use super::topics::Topics;

/// Highest number of requests of one transaction.
const REQUESTS_MAX: u64 = 20;
/// Average pause between two transactions.
const PAUSE_MS: u64 = 300;
/// One of this many transactions is aborted.
const ABORTED_ONE_IN: u64 = 3;
/// Time limit of each step, above the time of a broker's restart.
const STEP_LIMIT: Duration = Duration::from_secs(15);
/// The timeout of a transaction in ms.
const TIMEOUT_MS: i64 = 10_000;
/// Highest number of attempts at a step.
const ATTEMPTS_MAX: u32 = 3;

/// The counts that this client knows.
#[derive(Clone, Copy, Default)]
pub struct Ended {
    pub committed: u64,
    pub aborted: u64,
    /// Transactions that were given up with a producer. The start of the next producer settles them.
    pub unknown: u64,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} transactions of a client committed, {} aborted, {} given up",
            self.committed, self.aborted, self.unknown
        )
    }
}

/// A transaction. Until its known end, readers of committed records stop before it in its partitions.
pub struct Held {
    partitions: BTreeSet<i32>,
    begin_ms: i64,
    end_ms: i64,
}

/// The time from which a request can be read, after the transactions that hold it back. Times are in ms since 1970.
pub fn readable_ms(held: &[Held], partition: i32, appended_ms: i64) -> i64 {
    let holds = |held: &&Held| {
        held.partitions.contains(&partition) && (held.begin_ms..held.end_ms).contains(&appended_ms)
    };
    let ends = held.iter().filter(holds).map(|held| held.end_ms);
    ends.max().unwrap_or(appended_ms)
}

fn now_ms() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64
}

/// Runs until it is stopped.
pub struct Transactions {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Ended, Vec<Held>)>,
}

impl Transactions {
    pub fn start(service: &Service, topics: &Topics, random: &mut Random) -> Transactions {
        let stop = Arc::new(AtomicBool::new(false));
        let client = Client {
            bootstrap: service.bootstrap.clone(),
            topic: service.requests.clone(),
            id: format!("{}-client", service.group),
            source: Source::new(2, random.fork()),
            topics: topics.clone(),
            random: random.fork(),
            ended: Ended::default(),
            held: Vec::new(),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || client.run(&stopped));
        Transactions { stop, thread }
    }

    /// Stops the client. Returns the counts, and the transactions in order.
    pub fn stop(self) -> (Ended, Vec<Held>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Client {
    bootstrap: String,
    topic: String,
    id: String,
    source: Source,
    topics: Topics,
    random: Random,
    ended: Ended,
    held: Vec<Held>,
}

impl Client {
    fn run(mut self, stop: &AtomicBool) -> (Ended, Vec<Held>) {
        while !stop.load(Ordering::Relaxed) {
            let producer = self.producer();
            if producer.init_transactions(STEP_LIMIT).is_err() {
                continue;
            }
            self.settled();
            while !stop.load(Ordering::Relaxed) {
                if self.transaction(&producer).is_err() {
                    self.ended.unknown += 1;
                    break;
                }
                self.settled();
                thread::sleep(Duration::from_millis(1 + self.random.below(2 * PAUSE_MS)));
            }
        }
        // An open transaction would hold later requests back.
        let producer = self.producer();
        let settled = (0..ATTEMPTS_MAX).any(|_| producer.init_transactions(STEP_LIMIT).is_ok());
        assert!(
            settled,
            "the client's last transaction could not be settled"
        );
        self.settled();
        (self.ended, self.held)
    }

    /// Ends the last transaction now, unless its timeout has already ended it.
    fn settled(&mut self) {
        if let Some(last) = self.held.last_mut() {
            last.end_ms = last.end_ms.min(now_ms());
        }
    }

    fn transaction(&mut self, producer: &BaseProducer<Deliveries>) -> Result<(), KafkaError> {
        producer.begin_transaction()?;
        let begin_ms = now_ms();
        self.held.push(Held {
            partitions: BTreeSet::new(),
            begin_ms,
            end_ms: begin_ms + TIMEOUT_MS + CLEAN_UP_INTERVAL_MS as i64,
        });
        for _ in 0..=self.random.below(REQUESTS_MAX) {
            let mut draft = self.source.draw(&self.topics);
            // This client never asks again.
            draft.topic = draft.topic.filter(|topic| !Topics::forgets(topic));
            let partition = draft.partition(&mut self.random);
            if let Some(held) = self.held.last_mut() {
                held.partitions.insert(partition);
            }
            write(producer, &self.topic, &draft, partition)?;
        }
        let abort = self.random.below(ABORTED_ONE_IN) == 0;
        let mut result = Ok(());
        for _ in 0..ATTEMPTS_MAX {
            result = if abort {
                producer.flush(STEP_LIMIT)?;
                producer.abort_transaction(STEP_LIMIT)
            } else {
                producer.commit_transaction(STEP_LIMIT)
            };
            match &result {
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
                _ => break,
            }
        }
        result?;
        *if abort {
            &mut self.ended.aborted
        } else {
            &mut self.ended.committed
        } += 1;
        Ok(())
    }

    fn producer(&self) -> BaseProducer<Deliveries> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("transactional.id", &self.id)
            // With more, librdkafka polls without a pause while records wait behind a batch. The tested
            // processes then lose three quarters of this machine.
            .set("max.in.flight.requests.per.connection", "1")
            .set("transaction.timeout.ms", TIMEOUT_MS.to_string())
            .set("socket.timeout.ms", "9000")
            .set("message.timeout.ms", "10000")
            .set("allow.auto.create.topics", "false")
            .set("reconnect.backoff.max.ms", "500")
            .create_with_context(Deliveries::default())
            .unwrap()
    }
}

#[test]
fn a_request_can_be_read_when_the_transaction_around_it_has_ended() {
    let held = |partition: i32, begin_ms: i64, end_ms: i64| Held {
        partitions: BTreeSet::from([partition]),
        begin_ms,
        end_ms,
    };
    let all = [held(1, 100, 200), held(2, 150, 900), held(1, 300, 400)];
    for (partition, appended_ms, expected_ms) in [
        (1, 99, 99),
        (1, 100, 200),
        (1, 199, 200),
        (1, 200, 200),
        (1, 350, 400),
        (2, 160, 900),
        (3, 160, 160),
    ] {
        assert_eq!(readable_ms(&all, partition, appended_ms), expected_ms);
    }
}
