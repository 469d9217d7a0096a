//! Starts a gateway from the settings, runs it and stops it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::Registry;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::access::Access;
use super::app::{App, Limits};
use super::callers::Callers;
use super::local::Local;
use super::metrics::Metrics;
use super::server;
use super::spans::Spans;
use crate::kafka::calls::{Calls, Options};
use crate::service::http::bind_reason;
use crate::service::http::tls::{self, Tls};
use crate::service::http::trace::Tracer;
use crate::service::serve;
use crate::service::settings::{self, Gateway, Settings};

/// Time for answers in transit after the last call has ended.
const GRACE: Duration = Duration::from_secs(1);

/// The reason why the gateway ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is invalid.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The address cannot be bound.
    #[error("gateway.address {address}: {reason}; another one is --set gateway.address=HOST:PORT")]
    Bind {
        /// The address in the configuration.
        address: String,
        /// The reason in words for people.
        reason: String,
    },
    /// Other machines could reach the address, and without a file of callers the gateway could not identify them.
    #[error(
        "gateway.address {address} is not a loopback address, and without gateway.callers only callers on its own \
         machine are answered: use 127.0.0.1, or name a file of callers"
    )]
    NotLocal {
        /// The address that was bound.
        address: SocketAddr,
    },
    /// Tokens would cross a network in clear.
    #[error(
        "gateway.address {address} is not a loopback address, and tokens would reach it unencrypted: set \
         gateway.tls_certificate and gateway.tls_key, or gateway.tls_by_proxy=true if a proxy in front of the gateway \
         speaks TLS with the callers"
    )]
    NotEncrypted {
        /// The address that was bound.
        address: SocketAddr,
    },
    /// The certificate or its key cannot be used.
    #[error("{setting} {path}: {reason}")]
    Tls {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: String,
        /// The reason why the file cannot be used.
        reason: String,
    },
    /// The file of callers cannot be used.
    #[error("gateway.callers {path}: {reason}")]
    Callers {
        /// The file.
        path: String,
        /// The reason why the file cannot be used.
        reason: String,
    },
    /// The collector of spans cannot be used.
    #[error("gateway.otlp_endpoint {endpoint}: {reason}")]
    Spans {
        /// The endpoint in the configuration.
        endpoint: String,
        /// The reason why it cannot be used.
        reason: String,
    },
    /// An error of Kafka.
    #[error(transparent)]
    Kafka(#[from] crate::kafka::error::Error),
    /// An error of the metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// An error of the operating system.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl Error {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Settings(_)
            | Error::NotLocal { .. }
            | Error::NotEncrypted { .. }
            | Error::Tls { .. }
            | Error::Callers { .. }
            | Error::Spans { .. } => settings::EXIT_CODE,
            Error::Bind { .. } | Error::Kafka(_) | Error::Metrics(_) | Error::System(_) => 1,
        }
    }
}

/// Shows whether a gateway takes calls. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Status(Arc<OnceLock<Calls>>);

impl Status {
    /// The reason why no call is taken at present. None when calls are taken.
    pub(crate) fn obstacle(&self) -> Option<String> {
        match self.0.get() {
            Some(calls) => calls.obstacle(),
            None => Some("it is starting".to_owned()),
        }
    }
}

/// Serves until SIGTERM or SIGINT. Then it answers the calls in progress.
///
/// # Errors
/// The reason why it did not start.
pub(crate) fn run(settings: &Settings, warnings: &[String]) -> Result<(), Error> {
    for warning in warnings {
        warn!("{warning}");
    }
    runtime()?.block_on(async {
        let stop = serve::stop_signal()?;
        run_until(settings, &Status::default(), stop).await
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Serves until `stop` is ready. Then it answers the calls in progress. `status` shows the progress.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_until(
    settings: &Settings,
    status: &Status,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let connection = serve::connection(settings)?;
    let gateway = &settings.gateway;
    let callers = callers(gateway)?;
    let tls = certificate(gateway)?;
    let listener = bind(gateway).await?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        instance_id = settings.instance_id,
        brokers = connection.brokers,
        address = gateway.address,
        tls = tls.is_some(),
        "starting the gateway"
    );
    let registry = Registry::new();
    let metrics = Metrics::register(&registry)?;
    let spans = spans(settings, &metrics)?;
    let options = Options {
        requests: settings.topics.requests.clone(),
        replies: settings.topics.gateway_replies.clone(),
        names: settings.reply_headers.smallrye.clone(),
        timeout: gateway.timeout,
    };
    let tracer = Tracer::new(connection.clone(), serve::topics(settings));
    let (calls, thread) = Calls::start(connection, options)?;
    // This cannot fail: each run has its own status.
    let _ = status.0.set(calls.clone());
    let limits = Limits {
        in_flight_max: gateway.in_flight_max,
        key_age_max_s: gateway.key_age_max_s,
    };
    let access = match callers {
        None => Access::Local(Local::new(&listener, &gateway.address)),
        Some(callers) => {
            // The task ends with the runtime.
            drop(tokio::spawn(callers.clone().follow()));
            Access::Callers(callers)
        }
    };
    let app = App::new(
        calls.clone(),
        tracer,
        limits,
        access,
        metrics,
        spans.clone(),
        registry,
    );
    if let Some(tls) = &tls {
        drop(tokio::spawn(tls.clone().follow()));
    }
    let serving = server::serve(listener, app.clone(), gateway.connections_max, tls, stop);
    let stopping = async {
        app.stopped().await;
        info!("stopping: calls in progress are answered");
        // Each call ends at its own timeout. An operator may set a longer `shutdown.deadline_ms`.
        tokio::time::sleep(settings.shutdown_deadline.saturating_sub(GRACE)).await;
        calls.stop();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        () = serving => {}
        () = stopping => warn!("not all answers went out within shutdown.deadline_ms"),
    }
    calls.stop();
    spans.stop();
    // The thread may be waiting for brokers that are away. It needs no cleanup.
    drop(thread);
    info!("stopped");
    Ok(())
}

/// Loads the callers. None if calls need no token. No other place decides this.
fn callers(settings: &Gateway) -> Result<Option<Callers>, Error> {
    let Some(path) = &settings.callers else {
        return Ok(None);
    };
    let callers = Callers::load(path, settings.in_flight_per_caller_max);
    callers.map(Some).map_err(|reason| Error::Callers {
        path: path.display().to_string(),
        reason,
    })
}

/// Loads the certificate and its key. None if the gateway has none.
fn certificate(settings: &Gateway) -> Result<Option<Tls>, Error> {
    let Some((certificate, key)) = settings
        .tls_certificate
        .as_ref()
        .zip(settings.tls_key.as_ref())
    else {
        return Ok(None);
    };
    Tls::load(certificate, key).map(Some).map_err(|error| {
        let (setting, path, reason) = match error {
            tls::Error::Certificate(reason) => ("gateway.tls_certificate", certificate, reason),
            tls::Error::Key(reason) => ("gateway.tls_key", key, reason),
        };
        Error::Tls {
            setting,
            path: path.display().to_string(),
            reason,
        }
    })
}

/// Starts the export of spans, if it is wanted.
fn spans(settings: &Settings, metrics: &Metrics) -> Result<Spans, Error> {
    let Some(endpoint) = &settings.gateway.otlp_endpoint else {
        return Ok(Spans::default());
    };
    let (instance_id, topic) = (&settings.instance_id, &settings.topics.requests);
    Spans::start(endpoint, instance_id, topic, &metrics.spans).map_err(|reason| Error::Spans {
        endpoint: endpoint.clone(),
        reason,
    })
}

async fn bind(settings: &Gateway) -> Result<TcpListener, Error> {
    let address = &settings.address;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Error::Bind {
            address: address.clone(),
            reason: bind_reason(&error),
        })?;
    let address = listener.local_addr()?;
    let is_encrypted = settings.tls_certificate.is_some() || settings.tls_by_proxy;
    match settings.callers {
        _ if address.ip().is_loopback() => Ok(listener),
        None => Err(Error::NotLocal { address }),
        Some(_) if is_encrypted => Ok(listener),
        Some(_) => Err(Error::NotEncrypted { address }),
    }
}

/// Finds the errors that show without Kafka, for a command that starts a Kafka first.
///
/// # Errors
/// The address is taken or other machines could reach it, or a file of callers, certificate or key cannot be used.
pub(crate) fn check(settings: &Settings) -> Result<(), Error> {
    // This only tries the files and the port. The gateway uses them later.
    callers(&settings.gateway)?;
    certificate(&settings.gateway)?;
    runtime()?.block_on(bind(&settings.gateway))?;
    Ok(())
}
