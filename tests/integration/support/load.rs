//! Requests: written ahead of time, or as an open-loop load while something happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::DEADLINE;
use super::random::Random;

/// A producer that fails the test unless all records are acknowledged.
pub struct Writer {
    producer: BaseProducer<Deliveries>,
    topic: String,
    sent: u64,
}

/// Counts the records that the broker acknowledged.
#[derive(Clone, Default)]
struct Deliveries {
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {
    // This hides the errors of a broker that restarts on purpose.
    fn error(&self, _error: KafkaError, _reason: &str) {}
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

impl Writer {
    /// Sends keys to the same partitions as the Java client, so that no request is a stray.
    pub fn new(bootstrap: &str, topic: &str) -> Writer {
        let deliveries = Deliveries::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("partitioner", "murmur2_random")
            // Without this, a retry could write a request twice.
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "200000")
            .set("allow.auto.create.topics", "false")
            .create_with_context(deliveries)
            .unwrap();
        Writer {
            producer,
            topic: topic.to_owned(),
            sent: 0,
        }
    }

    /// Sends a record to the partition of its key.
    pub fn send(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.send_to(None, key, value);
    }

    /// Sends a record to a partition, or to the partition of its key.
    pub fn send_to(&mut self, partition: Option<i32>, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.send_with(partition, key, value, &[]);
    }

    /// Sends a record with headers.
    pub fn send_with(
        &mut self,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) {
        let topic = self.topic.clone();
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic);
        record.partition = partition;
        record.key = key;
        record.payload = value;
        if !headers.is_empty() {
            let all = headers
                .iter()
                .fold(OwnedHeaders::new(), |all, (key, value)| {
                    all.insert(Header {
                        key,
                        value: Some(*value),
                    })
                });
            record = record.headers(all);
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => panic!("request cannot be written: {error}"),
            }
        }
        self.sent += 1;
        if self.sent.is_multiple_of(1024) {
            self.producer.poll(Duration::ZERO);
        }
    }

    /// Serves acknowledgements without waiting.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until all records are acknowledged. Returns the number of records.
    pub fn finish(self) -> u64 {
        self.producer.flush(DEADLINE).unwrap();
        let Deliveries { done, failed } = &**self.producer.context();
        let (done, failed) = (done.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
        assert_eq!(
            (done, failed),
            (self.sent, 0),
            "requests acknowledged and refused, of {}",
            self.sent
        );
        done
    }
}

/// Sequence names, some of them unusual.
#[derive(Clone)]
pub struct Names(Vec<Vec<u8>>);

impl Names {
    pub fn new(count: usize) -> Names {
        let name = |i| match i % 10 {
            3 => format!("quoted \"{i}\" \\"),
            7 => format!("счёт № {i}"),
            _ => format!("orders-{i}"),
        };
        Names((0..count).map(|i| name(i).into_bytes()).collect())
    }

    pub fn pick(&self, random: &mut Random) -> &[u8] {
        &self.0[random.below(self.0.len() as u64) as usize]
    }
}

/// A request's value in a random form. About one in fifty is invalid.
pub fn forms(random: &mut Random) -> Option<Vec<u8>> {
    let count = 1 + random.below(20);
    let text = match random.below(50) {
        0 => "0".to_owned(),
        1..15 => return None,
        15..25 => String::new(),
        25..35 => count.to_string(),
        35..38 => "null".to_owned(),
        38..42 => format!("{{\"count\":{count}}}"),
        42..46 => format!(
            "{{\"op\":\"next\",\"count\":{count},\"request_id\":\"{:016x}\"}}",
            random.next()
        ),
        46..48 => "{\"requester\":\"billing\",\"count\":null}".to_owned(),
        _ => format!("{{\"request_id\":\"ö-{:x}\"}}", random.next()),
    };
    Some(text.into_bytes())
}

/// Writes `count` requests.
pub fn preload(bootstrap: &str, topic: &str, names: &Names, count: u64, random: &mut Random) {
    let mut writer = Writer::new(bootstrap, topic);
    for _ in 0..count {
        let key = names.pick(random).to_vec();
        writer.send(Some(&key), forms(random).as_deref());
    }
    writer.finish();
}

/// A load that runs until it is stopped, whether the service answers or not.
pub struct OpenLoop {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl OpenLoop {
    /// Starts writing about `rate` requests a second on its own thread.
    pub fn start(
        bootstrap: &str,
        topic: &str,
        names: Names,
        rate: u64,
        mut random: Random,
    ) -> OpenLoop {
        const TICK: Duration = Duration::from_millis(5);
        let mut writer = Writer::new(bootstrap, topic);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let started = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let due = started.elapsed().as_millis() as u64 * rate / 1000;
                while writer.sent < due {
                    let key = names.pick(&mut random).to_vec();
                    writer.send(Some(&key), forms(&mut random).as_deref());
                }
                writer.producer.poll(TICK);
            }
            writer.finish()
        });
        OpenLoop {
            stop,
            thread: Some(thread),
        }
    }

    /// Stops the load and returns the number of requests that it wrote.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for OpenLoop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
