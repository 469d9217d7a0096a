//! A real Apache Kafka on this machine: for `sequencer dev`, `make run` and the tests.
//!
//! Kafka runs in KRaft mode from its published jars, which Maven fetches once into [`cache_directory`]. It
//! requires Java 17, and Maven for the one fetch. Each broker has a directory `broker-N` with its
//! configuration, data and logs, which survive a restart (`broker.log` is Kafka's, `process.log` has Java's
//! output).
//!
//! No process outlives its owner. [`Kafka`] kills its processes when it is dropped, and the kernel kills them
//! when the owner's process is killed (on Linux). A broker listens on 127.0.0.1 only, on ports that are chosen
//! again for each [`Kafka`].
//!
//! This module knows nothing of Sequencer and of no client library, so a test can use it to judge both.

mod broker;
mod cluster;
mod error;
mod jars;
mod java;
mod lock;
mod options;
mod ports;
mod probe;
mod process;
mod properties;
mod runtime;
mod system;
#[cfg(test)]
mod tests;

use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use broker::Broker;
use cluster::Cluster;
use lock::Lock;
use process::Spawner;
use properties::Node;
use runtime::Runtime;

pub use error::Error;
pub use jars::{cache_directory, kafka_version};
pub use options::{Jvm, Listener, Options};
pub use system::die_with_parent;
pub(crate) use system::terminate;

/// A start takes two seconds, or six for three brokers on two cores. After a kill, logs are checked first, and
/// tests share the machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A clean stop takes under a second, and two more when it archives its classes. The last leader of three
/// controllers waits 5 s for a successor.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// The brokers of a killed owner die with it, but the kernel takes a moment to free their memory.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Attempts to start with free ports. If other processes take a port between choice and use this many times,
/// something else is wrong.
const PORT_ATTEMPTS: u32 = 3;

/// The exception that Java throws when a port is taken. Its message is in the language of the user.
const PORT_TAKEN: &str = "BindException";

/// A Kafka cluster that runs as long as this value lives. Brokers are identified by their index, from 0; the ID
/// of the node is one more.
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<Broker>,
    bootstrap: String,
    cluster: Cluster,
    jvm: Jvm,
    runtime: Runtime,
    spawner: Spawner,
    lock: Lock,
}

impl Kafka {
    /// Starts the cluster. Returns when each broker answers and knows that all of them serve, within 90 s.
    ///
    /// A new directory is formatted. An existing one keeps its topics, groups and offsets.
    ///
    /// # Errors
    ///
    /// Java or Maven is missing or too old, the jars cannot be fetched, another process uses the directory, the
    /// directory holds a cluster of another size, or a broker does not start: the error has the last lines of
    /// its log.
    pub fn start(options: Options) -> Result<Kafka, Error> {
        if !(1..=3).contains(&options.brokers) {
            return Err(Error::Brokers {
                brokers: options.brokers,
            });
        }
        let runtime = Runtime::prepare()?;
        // Brokers run in directories of their own, so a relative path would mean another directory.
        let directory =
            std::path::absolute(&options.directory).map_err(Error::at(&options.directory))?;
        fs::create_dir_all(&directory).map_err(Error::at(&directory))?;
        let lock = Lock::acquire(&directory, LOCK_PATIENCE)?;
        let cluster = Cluster::of(&directory, options.brokers)?;
        let spawner = Spawner::new().map_err(Error::at("kafka-spawner"))?;
        let mut kafka = Kafka {
            brokers: Vec::new(),
            bootstrap: String::new(),
            cluster,
            jvm: options.jvm,
            runtime,
            spawner,
            lock,
        };

        let mut attempt = 1;
        loop {
            kafka.configure(&directory, &options)?;
            kafka.format(&options.scram_users)?;
            match kafka.start_stopped() {
                Err(Error::Exited { log, .. })
                    if attempt < PORT_ATTEMPTS && log.contains(PORT_TAKEN) =>
                {
                    tracing::warn!(attempt, "a port chosen for kafka was taken, trying others");
                    kafka.kill()?;
                    attempt += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(kafka),
            }
        }
    }

    /// The bootstrap servers: `127.0.0.1:PORT` of each broker, separated by commas. It does not change.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The process ID of a broker; `None` when it does not run or does not exist.
    pub fn pid(&mut self, index: usize) -> Option<u32> {
        self.brokers.get_mut(index).and_then(Broker::pid)
    }

    /// Stops every broker cleanly: SIGTERM, and SIGKILL for those that still run after 15 s.
    ///
    /// # Errors
    ///
    /// A process cannot be signalled or waited for.
    pub fn stop(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        for broker in &mut self.brokers {
            match broker.terminate() {
                Ok(()) | Err(Error::NotRunning { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for broker in &mut self.brokers {
            let left = STOP_LIMIT.saturating_sub(started.elapsed());
            if !broker.ended(&self.runtime, left)? {
                tracing::warn!(
                    broker = broker.index,
                    "kafka broker did not stop in time, killing it"
                );
                broker.kill()?;
            }
        }
        tracing::info!(elapsed_ms = started.elapsed().as_millis(), "kafka stopped");
        Ok(())
    }

    /// Starts every broker that does not run, all at once, each on its old port and data. Returns when they
    /// serve.
    ///
    /// The controller may still consider the previous process of the broker alive. Then it does not let the
    /// broker in before `broker.session.timeout.ms` has passed (Kafka's default of 9 s, or 3 s for a single
    /// broker).
    ///
    /// # Errors
    ///
    /// A broker ended early or did not serve within 90 s.
    pub fn start_stopped(&mut self) -> Result<(), Error> {
        let mut stopped = Vec::new();
        for broker in &mut self.brokers {
            if !broker.is_running() {
                stopped.push(broker.index);
            }
        }
        self.start_those(&stopped)
    }

    /// Chooses ports and writes the configurations.
    fn configure(&mut self, directory: &Path, options: &Options) -> Result<(), Error> {
        let ports = ports::free(2 * usize::from(options.brokers))?;
        let nodes: Vec<Node> = (1..)
            .zip(ports.chunks_exact(2))
            .map(|(id, ports)| Node {
                id,
                client_port: ports[0],
                controller_port: ports[1],
            })
            .collect();
        self.brokers.clear();
        for (index, node) in nodes.iter().enumerate() {
            let properties = properties::server(
                *node,
                &nodes,
                options.jvm.heap_mb,
                options
                    .listeners
                    .iter()
                    .filter(|listener| listener.broker == index),
                &options.properties,
            );
            let home = directory.join(format!("broker-{}", node.id));
            self.brokers
                .push(Broker::configured(index, *node, home, &properties)?);
        }
        let addresses: Vec<String> = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.client_port))
            .collect();
        self.bootstrap = addresses.join(",");
        Ok(())
    }

    /// Formats the brokers in parallel, since each takes most of a second of Java's start.
    fn format(&self, users: &[(String, String)]) -> Result<(), Error> {
        thread::scope(|scope| {
            let formats: Vec<_> = self
                .brokers
                .iter()
                .map(|broker| scope.spawn(|| broker.format(&self.runtime, &self.cluster.id, users)))
                .collect();
            formats
                .into_iter()
                .try_for_each(|format| format.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    fn start_those(&mut self, indexes: &[usize]) -> Result<(), Error> {
        let started = Instant::now();
        let mut nodes = Vec::new();
        for &index in indexes {
            let broker = &mut self.brokers[index];
            broker.launch(&self.runtime, &self.spawner, &self.lock, self.jvm)?;
            nodes.push(broker.node.id);
        }
        let mut waiting = indexes.to_vec();
        loop {
            // All are asked each time: a broker that has ended may be the reason why the first never gets
            // ready.
            let mut not_ready = Vec::new();
            for index in waiting {
                if !self.brokers[index].is_ready(&self.cluster.id, &nodes)? {
                    not_ready.push(index);
                }
            }
            waiting = not_ready;
            let Some(&index) = waiting.first() else {
                break;
            };
            if started.elapsed() > START_LIMIT {
                let broker = &self.brokers[index];
                return Err(Error::NotReady {
                    broker: index,
                    waited_s: START_LIMIT.as_secs(),
                    directory: broker.directory().to_path_buf(),
                    log: process::tail(&broker.directory().join("broker.log")),
                });
            }
            thread::sleep(process::POLL);
        }
        tracing::info!(
            brokers = indexes.len(),
            bootstrap = %self.bootstrap,
            elapsed_ms = started.elapsed().as_millis(),
            "kafka started"
        );
        Ok(())
    }

    fn kill(&mut self) -> Result<(), Error> {
        // Every broker is tried, also after the failure of another one.
        self.brokers
            .iter_mut()
            .map(Broker::kill)
            .fold(Ok(()), Result::and)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "a kafka broker may still run");
        }
    }
}
