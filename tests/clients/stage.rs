//! A broker and a `serve` for each reply mode, with the topics' default names, which all clients share.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sequencer::embedded::Kafka;

use crate::support::admin::Admin;
use crate::support::cluster::own_broker;
use crate::support::instance::Instance;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};

/// The request topic that clients write to unless they are told otherwise.
pub const REQUESTS: &str = "sequencer.requests";

/// How much of the service's log is shown when a client's test fails.
const LOG_LINES: usize = 40;

/// What runs while the clients do.
pub struct Stage {
    kafka: Kafka,
    pub mode: Mode,
    service: Service,
    instance: Mutex<Instance>,
}

impl Stage {
    /// The one of this mode, started when it is first asked for.
    pub fn of(mode: Mode) -> &'static Stage {
        static IMMEDIATE: OnceLock<Stage> = OnceLock::new();
        static EXACTLY_ONCE: OnceLock<Stage> = OnceLock::new();
        let stage = match mode {
            Mode::Immediate => &IMMEDIATE,
            Mode::ExactlyOnce => &EXACTLY_ONCE,
        };
        stage.get_or_init(|| Stage::start(mode))
    }

    fn start(mode: Mode) -> Stage {
        let kafka = own_broker(mode.as_str());
        let service = Service {
            bootstrap: kafka.bootstrap().to_owned(),
            requests: REQUESTS.to_owned(),
            replies: "sequencer.replies".to_owned(),
            state: "sequencer.state".to_owned(),
            ledger: "sequencer.ledger".to_owned(),
            heartbeats: "sequencer.heartbeats".to_owned(),
            gateway_replies: "sequencer.gateway.replies".to_owned(),
            group: "sequencer".to_owned(),
            mode,
            settings: Vec::new(),
        };
        // The process ends with the thread that started it, and tests end before the last one does.
        let (started, instance) = mpsc::channel();
        let starter = service.clone();
        thread::spawn(move || {
            let _ = started.send(starter.start("a"));
            loop {
                thread::park();
            }
        });
        let instance = instance.recv().expect("serve to be ready");
        Stage {
            kafka,
            mode,
            service,
            instance: Mutex::new(instance),
        }
    }

    /// What a client's `bootstrap.servers` must say.
    pub fn bootstrap(&self) -> &str {
        self.kafka.bootstrap()
    }

    /// The settings of a gateway.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Makes a reply topic as its owner would.
    pub fn create_topic(&self, topic: &str) {
        Admin::new(self.bootstrap()).create(topic, PARTITIONS, &[]);
    }

    /// Gives a consumer group a position at the beginning of a topic, as if it had been there before.
    pub fn introduce(&self, group: &str, topic: &str) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("group.id", group)
            .create()
            .unwrap();
        let mut positions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let beginning = Offset::Offset(0);
            positions
                .add_partition_offset(topic, partition, beginning)
                .unwrap();
        }
        consumer.commit(&positions, CommitMode::Sync).unwrap();
    }

    fn instance(&self) -> MutexGuard<'_, Instance> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows the end of the service's log when the test that holds it fails.
pub struct ShowLog<'a>(pub &'a Stage);

impl Drop for ShowLog<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.0.instance().log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            println!("--- serve, {}:\n{}", self.0.mode.as_str(), tail.join("\n"));
        }
    }
}
