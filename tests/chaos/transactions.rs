//! A client that writes its requests in transactions, and aborts some of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};

use crate::support::random::Random;
use crate::support::service::Service;

use super::load::{Deliveries, write};
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
/// Highest number of attempts at a step.
const ATTEMPTS_MAX: u32 = 3;

/// The counts of this client, as far as it knows them.
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

/// Runs until it is stopped.
pub struct Transactions {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Ended>,
}

impl Transactions {
    pub fn start(service: &Service, topics: &Topics, random: &mut Random) -> Transactions {
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = Client {
            bootstrap: service.bootstrap.clone(),
            topic: service.requests.clone(),
            id: format!("{}-client", service.group),
            source: Source::new(2, random.fork()),
            topics: topics.clone(),
            random: random.fork(),
            ended: Ended::default(),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || client.run(&stopped));
        Transactions { stop, thread }
    }

    pub fn stop(self) -> Ended {
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
}

impl Client {
    fn run(&mut self, stop: &AtomicBool) -> Ended {
        while !stop.load(Ordering::Relaxed) {
            let producer = self.producer();
            if producer.init_transactions(STEP_LIMIT).is_err() {
                continue;
            }
            while !stop.load(Ordering::Relaxed) {
                if self.transaction(&producer).is_err() {
                    self.ended.unknown += 1;
                    break;
                }
                thread::sleep(Duration::from_millis(1 + self.random.below(2 * PAUSE_MS)));
            }
        }
        // No transaction is left open, because later requests would wait for it.
        let producer = self.producer();
        let settled = (0..ATTEMPTS_MAX).any(|_| producer.init_transactions(STEP_LIMIT).is_ok());
        assert!(
            settled,
            "the client's last transaction could not be settled"
        );
        self.ended
    }

    fn transaction(&mut self, producer: &BaseProducer<Deliveries>) -> Result<(), KafkaError> {
        producer.begin_transaction()?;
        for _ in 0..=self.random.below(REQUESTS_MAX) {
            let mut draft = self.source.draw(&self.topics);
            // This client never asks again.
            draft.topic = draft.topic.filter(|topic| !Topics::forgets(topic));
            let partition = draft.partition(&mut self.random);
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
            .set("transaction.timeout.ms", "10000")
            .set("socket.timeout.ms", "9000")
            .set("message.timeout.ms", "10000")
            .set("allow.auto.create.topics", "false")
            .set("reconnect.backoff.max.ms", "500")
            .create_with_context(Deliveries::default())
            .unwrap()
    }
}
