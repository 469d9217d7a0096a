//! `sequencer serve`: starts an engine from the settings, runs it and stops it.
//!
//! The engine has its own thread. This thread waits for signals and serves HTTP. When a Kafka client is no longer
//! usable, a new engine replaces the old one, and reads from the log and the state where to go on.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use prometheus::Registry;
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use super::http;
use super::http::owners::Owners;
use super::http::trace::Tracer;
use super::settings::{self, Settings};
use crate::core::link::LinkKey;
use crate::kafka::clients::{Connection, PropertyError};
use crate::kafka::engine::inquiry::Inquiries;
use crate::kafka::engine::{Config, Engine, Exit, Message};
use crate::kafka::failover::heartbeats::Heartbeats;
use crate::kafka::oauth::Tokens;
use crate::kafka::transactor::{ProducerSlot, Topics};
use crate::observe::metrics::Metrics;
use crate::observe::status::{Shared, Status};
use crate::processor::Mode;
use crate::processor::instance::{FOOTER_INTERVAL_MS, Options, Run};
use crate::processor::partition::Service;
use crate::wire::route::Routing;
use fenced::Incarnations;

/// Pause between a failed engine and the next one, except after fencing.
const START_OVER_PAUSE: Duration = Duration::from_secs(1);
/// The limit for the handover of a revoked partition, with a last checkpoint or without it. It is well below
/// `max.poll.interval.ms`, and several times the duration of a checkpoint.
const REVOKE_DEADLINE_MS: u64 = 3_000;
/// Time for leaving the group, after the deadline of the final checkpoint. Then the process ends in any case.
const LEAVE_GRACE: Duration = Duration::from_secs(5);

/// The reason why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is invalid.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The HTTP address cannot be bound.
    #[error(transparent)]
    Http(#[from] http::BindError),
    /// An error of Kafka or of a topic.
    #[error("{0}")]
    Kafka(String),
    /// Another process uses this instance's ID.
    #[error("{0}")]
    Fenced(String),
    /// An error of the operating system.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl Error {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Settings(_) => settings::EXIT_CODE,
            Error::Http(_) | Error::Kafka(_) | Error::Fenced(_) | Error::System(_) => 1,
        }
    }
}

/// Serves until SIGTERM or SIGINT. Then it finishes, and leaves the group.
///
/// # Errors
/// The error that prevented the start or ended the service.
pub(crate) fn run(settings: &Settings, warnings: &[String]) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        run_until(settings, warnings, Shared::new(starting(settings)), stop).await
    })
}

/// The status of an instance with these settings before its start.
pub(crate) fn starting(settings: &Settings) -> Status {
    Status::starting(&settings.instance_id, &settings.group, settings.reply_mode)
}

/// Serves until `stop` is ready. Then it finishes, and leaves the group. `status` shows the progress.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_until(
    settings: &Settings,
    warnings: &[String],
    status: Shared,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    for warning in warnings {
        warn!("{warning}");
    }
    let connection = connection(settings)?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        instance_id = settings.instance_id,
        group = settings.group,
        brokers = connection.brokers,
        reply_mode = %settings.reply_mode,
        http = settings.http_address,
        // All other settings are as in config/default.toml.
        settings = %listed(settings.changed()),
        "starting"
    );
    debug!(settings = %listed(settings.describe()), "effective settings");
    let topics = topics(settings);
    let registry = Registry::new();
    let metrics =
        Metrics::register(&registry).map_err(|error| Error::Kafka(format!("metrics: {error}")))?;
    let listener = match &settings.http_address {
        Some(address) => Some(http::bind(address).await?),
        None => None,
    };
    let prepared = {
        let (connection, settings) = (connection.clone(), settings.clone());
        tokio::task::spawn_blocking(move || prepare::topics(&connection, &settings))
    };
    let prepared = match prepared.await {
        Ok(prepared) => prepared?,
        Err(error) => return Err(Error::Kafka(error.to_string())),
    };
    let inquiries = Inquiries::default();
    let owners = Owners::new(connection.clone(), &settings.topics.requests);
    let tracer = Tracer::new(connection.clone(), topics.clone());
    let config = Config {
        options: options(
            settings,
            prepared.reply_partitions,
            connection.transaction_timeout_ms(),
        )?,
        connection,
        topics,
        status: status.clone(),
        metrics: Arc::new(metrics.clone()),
        service_flags: settings.service_flags(),
        slot: ProducerSlot::default(),
        heartbeats: prepared.heartbeats.map(|topic| Heartbeats {
            topic,
            silence_ms: settings.failover_silence_ms,
            patience: Arc::default(),
            began: Instant::now(),
        }),
    };
    let (http_stop, http_stopped) = oneshot::channel::<()>();
    let page = listener.map(|listener| {
        let listens = listener.local_addr().ok().map(|address| address.ip());
        let address = settings.http_address.as_deref().unwrap_or_default();
        let state = http::State {
            status: status.clone(),
            metrics,
            registry,
            lag_max_records: settings.ready_lag_max_records,
            inquiries: inquiries.clone(),
            owners: Some(owners),
            tracer: Some(tracer),
            token: settings.http_token.as_deref().map(http::Token::new),
            hosts: http::Hosts::new(
                listens,
                address,
                &settings.http_hosts,
                settings.http_token.is_some(),
            ),
        };
        tokio::spawn(http::serve(listener, state, async move {
            // An error means that the sender is gone, which also means stop.
            let _ = http_stopped.await;
        }))
    });
    // The start took time, which must not count as silence of the engine.
    status.update(|_| {});
    let result = supervise(config, &inquiries, settings.shutdown_deadline, stop).await;
    drop(http_stop);
    if let Some(page) = page
        && let Ok(Err(error)) = page.await
    {
        warn!(%error, "http ended with an error");
    }
    if result.is_ok() {
        info!("stopped");
    }
    result
}

/// Finds the errors that show without Kafka, for a command that starts a Kafka first.
///
/// # Errors
/// A property that librdkafka does not know or refuses, or an address that cannot be bound.
pub(crate) fn check(settings: &Settings) -> Result<(), Error> {
    properties(settings)?;
    if let Some(address) = &settings.http_address {
        // This only tries the port. The service binds it again later.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(http::bind(address))?;
    }
    Ok(())
}

/// The checked data for connecting to Kafka. The properties are checked before the brokers, because a mistyped name
/// looks like missing brokers.
///
/// # Errors
/// No brokers, or a property that librdkafka does not know or refuses.
pub(crate) fn connection(settings: &Settings) -> Result<Connection, settings::Error> {
    properties(settings)?;
    Ok(Connection {
        brokers: settings.brokers()?.to_owned(),
        properties: settings.kafka.clone(),
        group: settings.group.clone(),
        instance_id: settings.instance_id.clone(),
        awaited_transactions: settings.reply_mode == Mode::ExactlyOnce,
        tokens: Tokens::of(&settings.kafka),
    })
}

fn properties(settings: &Settings) -> Result<(), settings::Error> {
    for (property, value) in &settings.kafka {
        match Connection::check_property(property, value) {
            Ok(()) => {}
            Err(PropertyError::Unknown) => return Err(settings.property_unknown(property)),
            Err(PropertyError::Refused(error)) => {
                return Err(settings.property_refused(property, &error.message));
            }
        }
    }
    Ok(())
}

fn listed(pairs: Vec<(String, String)>) -> String {
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(" ")
}

/// The topics of the service.
pub(crate) fn topics(settings: &Settings) -> Topics {
    let topics = &settings.topics;
    Topics {
        requests: topics.requests.clone(),
        replies: topics.replies.clone(),
        state: topics.state.clone(),
        ledger: topics.ledger.clone(),
    }
}

fn options(
    settings: &Settings,
    reply_partitions: u32,
    transaction_timeout_ms: u64,
) -> Result<Options, Error> {
    let no_randomness = |error| Error::Kafka(format!("no randomness from the system: {error}"));
    let writer = getrandom::u64().map_err(no_randomness)?;
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(no_randomness)?;
    let run = Run {
        writer,
        link_key: LinkKey::drawn(key),
    };
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(Options {
        service: Service {
            mode: settings.reply_mode,
            group: settings.group.clone(),
            instance: settings.instance_id.clone(),
            reply_partitions,
            routing: Routing {
                names: settings.reply_headers.clone(),
                allow: settings.reply_topics(),
                default_topic: settings.topics.replies.clone(),
            },
            rewrite_floor_records: settings.rewrite_floor_records,
        },
        run,
        transaction_timeout_ms,
        checkpoint_interval_ms: millis(settings.checkpoint_interval),
        footer_interval_ms: FOOTER_INTERVAL_MS,
        revoke_deadline_ms: REVOKE_DEADLINE_MS,
        stop_deadline_ms: millis(settings.shutdown_deadline),
    })
}

/// Runs engines, one after another, until the service ends.
async fn supervise(
    config: Config,
    inquiries: &Inquiries,
    shutdown_deadline: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    tokio::pin!(stop);
    let status = config.status.clone();
    let metrics = Arc::clone(&config.metrics);
    let start_over = |reason: String| {
        error!(reason, "starting over");
        metrics.start_overs.inc();
        status.update(|status| {
            status.connected = false;
            status.checkpoint_failures = 0;
            status.problem = Some(reason);
            status.partitions.clear();
        });
    };
    let (mut config, mut incarnations) = (config, Incarnations::default());
    loop {
        // Each engine is a new writer, so that it treats the batches of an earlier engine as foreign.
        let run = &mut config.options.run;
        run.writer = getrandom::u64().unwrap_or(run.writer.wrapping_add(1));
        incarnations.begins(run.writer);
        let (sender, mut ended) = spawn(config.clone())?;
        inquiries.connect(sender.clone());
        tokio::select! {
            biased;
            exit = &mut ended => match exit {
                Ok(Err(fenced @ Exit::Fenced(_))) => {
                    let Some(heartbeats) = &config.heartbeats else {
                        return Err(Error::Fenced(fenced.to_string()));
                    };
                    let in_use = tokio::select! {
                        in_use = incarnations.is_in_use(&config.connection, heartbeats) => in_use,
                        () = &mut stop => return Ok(()),
                    };
                    if in_use {
                        return Err(Error::Fenced(fenced.to_string()));
                    }
                    metrics.failover.evicted_alive.inc();
                    let session_ms = config.connection.session_timeout_ms();
                    heartbeats.evicted(session_ms);
                    start_over("this instance was evicted while it lived".to_owned());
                }
                Ok(Err(Exit::Denied(reason))) => return Err(Error::Kafka(reason)),
                Ok(Err(Exit::StartOver(reason))) => {
                    start_over(reason);
                    tokio::select! {
                        () = tokio::time::sleep(START_OVER_PAUSE) => {}
                        () = &mut stop => return Ok(()),
                    }
                }
                Ok(Ok(())) => return Ok(()),
                Err(_) => return Err(Error::Kafka("the engine's thread has died".to_owned())),
            },
            () = &mut stop => return finish(&sender, ended, shutdown_deadline + LEAVE_GRACE).await,
        }
    }
}

type Ended = oneshot::Receiver<Result<(), Exit>>;

fn spawn(config: Config) -> Result<(Sender<Message>, Ended), Error> {
    let (engine, sender) = match Engine::start(config) {
        Ok(started) => started,
        Err(exit) => return Err(Error::Kafka(exit.to_string())),
    };
    let (ended, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || {
            // After the deadline of the process, nobody waits for this result.
            let _ = ended.send(engine.run());
        })?;
    Ok((sender, receiver))
}

async fn finish(sender: &Sender<Message>, ended: Ended, deadline: Duration) -> Result<(), Error> {
    // An engine that has ended has closed its channel. Its result is already there.
    let _ = sender.send(Message::Stop);
    match tokio::time::timeout(deadline, ended).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(exit))) => Err(Error::Kafka(exit.to_string())),
        Ok(Err(_)) => Err(Error::Kafka("the engine's thread has died".to_owned())),
        Err(_) => Err(Error::Kafka(format!(
            "not finished within shutdown.deadline_ms; ending as after a crash, nothing is lost \
             ({} ms)",
            deadline.as_millis()
        ))),
    }
}

/// Resolves at the first SIGTERM or SIGINT.
///
/// # Errors
/// The process cannot listen to the signals.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

mod fenced;
pub(crate) mod prepare;
