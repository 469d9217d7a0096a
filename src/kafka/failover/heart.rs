//! Writes the heartbeats of one engine, on its own thread.
//!
//! The thread falls silent when the engine does: if the engine stands still, the process answers nobody,
//! however well its other threads run. A heartbeat that cannot be written expires. A late heartbeat would say
//! something that is no longer true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracing::{debug, info};

use super::evict::EVICTION_MAX;
use super::heartbeats::Heartbeats;
use super::shared::Shared;
use super::tail::PARTITION;
use super::watch::Watch;
use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::Error;
use crate::observe::clock::unix_ms;
use crate::observe::metrics::Metrics;
use crate::observe::status::{self, Peer};
use crate::observe::told;
use crate::processor::failover::heartbeat::INTERVAL_MS;
use crate::processor::failover::observer::Options;
use crate::wire::heartbeat::{Heartbeat, STATE_FORMAT, Sign};
use crate::wire::state::FORMAT_VERSION;

/// The interval between two heartbeats of an engine that watches no peers, in ms. A starting process of the
/// same name must hear two of them while it listens, for 0.3 s (`processor::failover::namesake`).
const UNWATCHED_INTERVAL_MS: u32 = 100;
/// An engine without a turn for this time is not alive. The limit is longer than a fence inside a revocation,
/// which waits twice for a producer.
const TURN_SILENCE_MAX: Duration = Duration::from_secs(12);
/// How often the peers are told the status of this instance, for their status pages. Offsets and lags change all the
/// time, and a reader does not look more often.
const TELL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the last heartbeat may take on its way.
const GOODBYE_DEADLINE: Duration = Duration::from_millis(200);
/// The interval at which the end of an eviction is looked for.
const EVICTION_POLL: Duration = Duration::from_millis(5);

/// The heartbeats of an engine, until it is dropped.
pub(crate) struct Heart {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Heart {
    /// Starts the threads. `requests`: the topic of the group's members. `incarnation`: a random number of
    /// this engine. `status` is told to the peers.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or a thread that cannot be started.
    pub(crate) fn start(
        connection: &Connection,
        heartbeats: &Heartbeats,
        requests: &str,
        incarnation: u64,
        metrics: &Arc<Metrics>,
        status: &status::Shared,
    ) -> Result<Heart, Error> {
        let producer = connection
            .heartbeat_producer()
            .create("create producer of heartbeats", Context)?;
        let watches = heartbeats.silence_ms > 0;
        let interval_ms = match watches {
            true => INTERVAL_MS,
            false => UNWATCHED_INTERVAL_MS,
        };
        let shared = Arc::new(Shared::new(Options {
            instance: connection.instance_id.clone(),
            incarnation,
            interval_ms,
            silence_ms: heartbeats.silence_ms,
            session_ms: connection.session_timeout_ms(),
        }));
        if watches {
            let watch = Watch {
                connection: connection.clone(),
                heartbeats: heartbeats.clone(),
                requests: requests.to_owned(),
                shared: Arc::clone(&shared),
                metrics: Arc::clone(metrics),
            };
            spawn("watch", move || watch.run())?;
        }
        let writer = Writer {
            producer,
            heartbeats: heartbeats.clone(),
            group: connection.group.clone(),
            heartbeat: Heartbeat {
                instance: connection.instance_id.clone(),
                incarnation,
                count: 0,
                interval_ms,
                patience_ms: 0,
                sign: Sign::Alive,
            },
            shared: Arc::clone(&shared),
            status: status.clone(),
            told: None,
        };
        let writer = Some(spawn("heart", move || writer.run())?);
        Ok(Heart { shared, writer })
    }

    /// Notes that the engine had a turn.
    pub(crate) fn turned(&self) {
        self.shared.turned();
    }

    /// The peers, as their heartbeats show them.
    pub(crate) fn peers(&self) -> BTreeMap<String, Peer> {
        self.shared.peers()
    }

    /// The time since the last heartbeat of the peer that fell silent last.
    pub(crate) fn since_gone(&self) -> Option<Duration> {
        self.shared.since_gone()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| Error::thread(&error))
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.shared.stop();
        let until = Instant::now() + EVICTION_MAX;
        // An eviction that is given up half-way would leave a member without a process in the group.
        while self.shared.is_evicting() && Instant::now() < until {
            std::thread::sleep(EVICTION_POLL);
        }
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // The goodbye has a deadline. The watch is not waited for: it may be asking a broker that is
            // away.
            let _ = writer.join();
        }
    }
}

struct Writer {
    producer: Authenticated<BaseProducer<Context>>,
    heartbeats: Heartbeats,
    group: String,
    heartbeat: Heartbeat,
    shared: Arc<Shared>,
    status: status::Shared,
    /// When the peers were last told the status.
    told: Option<Instant>,
}

impl Writer {
    fn run(mut self) {
        let incarnation = self.heartbeat.incarnation;
        let topic = &self.heartbeats.topic;
        info!(incarnation, topic, "heartbeats begin");
        while !self.shared.stops() {
            if self.shared.engine_silence() < TURN_SILENCE_MAX {
                self.write();
            }
            // The poll serves the delivery reports, which are not read.
            self.producer.poll(Duration::ZERO);
            self.write_notices();
            std::thread::park_timeout(Duration::from_millis(self.heartbeat.interval_ms.into()));
        }
        self.write_notices();
        self.heartbeat.sign = Sign::Goodbye;
        self.write();
        if let Err(error) = self.producer.flush(GOODBYE_DEADLINE) {
            debug!(%error, "the last heartbeat was not written in time");
        }
    }

    fn write(&mut self) {
        let known_ms = self.heartbeats.asked();
        let count = self.heartbeat.count;
        let watches = self.heartbeats.silence_ms > 0;
        let (asked_ms, interval_ms) = self.shared.observe(|observer, now_ms| {
            let asked_ms = observer.patience(now_ms, known_ms);
            observer.wrote(now_ms, count);
            (asked_ms, watches.then(|| observer.write_every()))
        });
        self.heartbeat.patience_ms = u32::try_from(asked_ms).unwrap_or(u32::MAX);
        self.heartbeat.interval_ms = interval_ms.unwrap_or(self.heartbeat.interval_ms);
        let status = self.status_when_due();
        self.send(&self.heartbeat, status.as_deref());
        self.heartbeat.count += 1;
    }

    /// The status for the peers, once in [`TELL_INTERVAL`].
    fn status_when_due(&mut self) -> Option<String> {
        if self.told.is_some_and(|at| at.elapsed() < TELL_INTERVAL) {
            return None;
        }
        self.told = Some(Instant::now());
        told::encode(&self.status.read(), unix_ms())
    }

    /// Tells the others which peers this engine evicts.
    fn write_notices(&self) {
        for victim in self.shared.take_notices() {
            let notice = Heartbeat {
                instance: victim.instance,
                incarnation: victim.incarnation,
                sign: Sign::Evicted,
                ..self.heartbeat.clone()
            };
            self.send(&notice, None);
        }
    }

    fn send(&self, heartbeat: &Heartbeat, status: Option<&str>) {
        let (key, value) = (heartbeat.key(&self.group), heartbeat.encode());
        let format = FORMAT_VERSION.to_string();
        let mut headers = OwnedHeaders::new_with_capacity(2).insert(Header {
            key: STATE_FORMAT,
            value: Some(&format),
        });
        if status.is_some() {
            let key = told::HEADER;
            headers = headers.insert(Header { key, value: status });
        }
        let record = BaseRecord::to(&self.heartbeats.topic)
            .partition(PARTITION)
            .key(key.as_bytes())
            .payload(&value[..])
            .headers(headers);
        if let Err((error, _)) = self.producer.send(record) {
            debug!(%error, "a heartbeat was not written");
        }
    }
}
