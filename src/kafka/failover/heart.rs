//! Writes the heartbeats of one engine, on a thread of its own.
//!
//! It falls silent when the engine does: a process whose engine stands still answers nobody, however well its other
//! threads do. A heartbeat that cannot be written expires; one that came late would say what is not true any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracing::{debug, info};

use super::tail::PARTITION;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::Error;
use crate::wire::heartbeat::Heartbeat;

/// How often an engine writes one, in ms. Only a process of the same name that starts acts on them: it must hear two
/// of them while it listens, for 0.3 s (`processor::failover::namesake`).
const INTERVAL_MS: u32 = 100;
/// An engine without a turn for so long is not alive: longer than a fence inside a revocation may take, in which it
/// waits twice for a producer.
const TURN_SILENCE_MAX: Duration = Duration::from_secs(12);
/// How long the last heartbeat may take on its way.
const GOODBYE_DEADLINE: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Shared {
    began: Instant,
    /// Since `began`, in ms, when the engine had its last turn.
    turned_ms: AtomicU64,
    stop: AtomicBool,
}

/// The heartbeats of an engine, until it is dropped.
#[derive(Debug)]
pub struct Heart {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    /// Starts the thread. `incarnation`: drawn for this engine.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or no thread.
    pub fn start(connection: &Connection, topic: &str, incarnation: u64) -> Result<Heart, Error> {
        let producer: BaseProducer<Context> = connection
            .heartbeat_producer()
            .create_with_context(Context)
            .map_err(|error| Error::from_kafka("create producer of heartbeats", &error))?;
        let shared = Arc::new(Shared {
            began: Instant::now(),
            turned_ms: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let writer = Writer {
            producer,
            topic: topic.to_owned(),
            group: connection.group.clone(),
            heartbeat: Heartbeat {
                instance: connection.instance_id.clone(),
                incarnation,
                count: 0,
                interval_ms: INTERVAL_MS,
                patience_ms: 0,
                goodbye: false,
            },
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("heart".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::thread(&error))?;
        Ok(Heart {
            shared,
            thread: Some(thread),
        })
    }

    /// The engine had a turn.
    pub fn turned(&self) {
        self.shared
            .turned_ms
            .store(self.shared.now_ms(), Ordering::Relaxed);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has a deadline for its goodbye.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn silence(&self) -> Duration {
        let turned_ms = self.turned_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(turned_ms))
    }
}

struct Writer {
    producer: BaseProducer<Context>,
    topic: String,
    group: String,
    heartbeat: Heartbeat,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self) {
        let incarnation = self.heartbeat.incarnation;
        info!(incarnation, topic = self.topic, "heartbeats begin");
        while !self.shared.stop.load(Ordering::SeqCst) {
            if self.shared.silence() < TURN_SILENCE_MAX {
                self.write();
            }
            // Reports of what was written, which nobody asks for.
            self.producer.poll(Duration::ZERO);
            std::thread::park_timeout(Duration::from_millis(self.heartbeat.interval_ms.into()));
        }
        self.heartbeat.goodbye = true;
        self.write();
        if let Err(error) = self.producer.flush(GOODBYE_DEADLINE) {
            debug!(%error, "the last heartbeat was not written in time");
        }
    }

    fn write(&mut self) {
        let (key, value) = (self.heartbeat.key(&self.group), self.heartbeat.encode());
        self.heartbeat.count += 1;
        let record = BaseRecord::to(&self.topic)
            .partition(PARTITION)
            .key(key.as_bytes())
            .payload(&value[..]);
        if let Err((error, _)) = self.producer.send(record) {
            debug!(%error, "a heartbeat was not written");
        }
    }
}
