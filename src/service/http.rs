//! HTTP for operators: `/healthz`, `/readyz`, `/metrics` and the status page. Everything is read-only, and no
//! handler reads a request's body. Only the searches for sequences and for the owner of an ID wait for
//! anything. So the other pages answer even while Kafka does not.
//!
//! - `/healthz` is 200 as long as the engine reports. A restart helps a stuck engine. It cannot help a halted
//!   partition, which the body names.
//! - `/readyz` is 200 when the instance is a member of its group, its checkpoints do not fail in a row, and
//!   each owned partition, if any, is restored and within the lag limit. Requests that were read and not
//!   answered count as lag. Halted partitions do not make it fail: otherwise they would also stop the running
//!   ones.

pub(crate) mod bounded;
mod busy;
mod health;
mod hosts;
mod open;
pub(crate) mod owners;
mod page;
mod query;
mod search;
mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod token;
pub(crate) mod trace;

use std::future::{Future, IntoFuture};
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::logging;
use crate::kafka::engine::inquiry::Inquiries;
use crate::observe::metrics::Metrics;
use crate::observe::status::Shared;
use bounded::{Bounded, Limits, Own};
use busy::Pages;
pub(crate) use hosts::Hosts;
use owners::{Owner, Owners};
pub(crate) use page::history::History;
pub(crate) use token::{Token, authorization};
use trace::Tracer;

/// Time for answers in flight after shutdown has begun, in milliseconds. An answer takes microseconds, and a
/// client that does not read must not delay the final checkpoint.
const SHUTDOWN_MS_MAX: u64 = 1_000;

/// The data and channels of the handlers.
#[derive(Clone)]
pub(crate) struct State {
    /// The status that the engine publishes.
    pub status: Shared,
    /// The metrics, whose partition series are set from the status at each scrape.
    pub metrics: Metrics,
    /// The registry that holds the metrics.
    pub registry: Registry,
    /// `ready.lag_max_records`.
    pub lag_max_records: u64,
    /// Rate and latency of the last minutes, sampled while the pages are served.
    pub history: History,
    /// The channel to the engine, for questions about sequences.
    pub inquiries: Inquiries,
    /// The owners of partitions. None without a cluster to ask.
    pub owners: Option<Owners>,
    /// Searches the ledger. None without a cluster to ask.
    pub tracer: Option<Tracer>,
    /// The token that a reader must send, except for the probes. None when no token is configured.
    pub token: Option<Token>,
    /// The host names under which pages are answered, except for the probes. None when every name is allowed.
    pub hosts: Option<Hosts>,
}

impl State {
    fn owners(&self) -> Option<Result<Vec<Owner>, String>> {
        self.owners.as_ref()?.known()
    }
}

/// The error of an address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "http.address {address}: {reason}; set --http HOST:PORT, or --set http.address= to turn it off"
)]
pub struct BindError {
    /// The address in the configuration.
    pub address: String,
    /// The reason in words for people.
    pub reason: String,
}

/// Listens on HOST:PORT.
///
/// # Errors
/// The port is taken or forbidden, or the host is no address of this machine.
pub(crate) async fn bind(address: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| BindError {
        address: address.to_owned(),
        reason: bind_reason(&error),
    })
}

/// The reason why an address cannot be bound, in words for people.
pub(crate) fn bind_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "not an address of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied (ports below 1024 are for privileged users)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Serves until `shutdown` is ready. Then it finishes answers in flight, for at most a second.
///
/// # Errors
/// An error of the listener. axum itself retries errors of single connections.
pub(crate) async fn serve(
    listener: TcpListener,
    state: State,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (begin, begun) = oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        drop(begin);
    };
    let deadline = async move {
        // The sender is dropped when shutdown begins, and also when the server ends.
        let _: Result<(), _> = begun.await;
        sleep(Duration::from_millis(SHUTDOWN_MS_MAX)).await;
    };
    let (status, metrics) = (state.status.clone(), state.metrics.clone());
    let samples = state.history.clone().follow(status, metrics);
    let service = router(state)
        .layer(from_fn(bounded::answering))
        .into_make_service_with_connect_info::<Own>();
    let server = axum::serve(Bounded::new(listener, Limits::default()), service)
        .with_graceful_shutdown(shutdown)
        .into_future();
    tokio::select! {
        biased;
        result = server => result,
        () = deadline => Ok(()),
        () = samples => Ok(()),
    }
}

/// Routes the pages, and answers any other path with a hint.
pub(crate) fn router(state: State) -> Router {
    let pages = page::routes().route_layer(from_fn_with_state(Pages::default(), busy::bound));
    Router::new()
        .route("/metrics", get(metrics))
        .merge(pages)
        .route_layer(from_fn_with_state(state.token.clone(), token::check))
        .route_layer(from_fn_with_state(state.hosts.clone(), hosts::check))
        // These come after the layers: probes need no token and no host name.
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "not found; there are /, /healthz, /readyz, /metrics\n",
            )
        })
        .with_state(state)
}

async fn healthz(Extract(state): Extract<State>) -> Response {
    let health = health::health(&state.status.read(), state.status.silence());
    probed(health.healthy, &health)
}

async fn readyz(Extract(state): Extract<State>) -> Response {
    let silence = state.status.silence();
    let readiness = health::readiness(&state.status.read(), silence, state.lag_max_records);
    probed(readiness.ready, &readiness)
}

async fn metrics(Extract(state): Extract<State>) -> Response {
    let (status, silence) = (state.status.read(), state.status.silence());
    let lines_lost = logging::lines_lost();
    state.metrics.publish(&status, silence, lines_lost);
    gathered(&state.registry)
}

/// The answer to a probe: 200 or 503, with the reasons in the body.
pub(crate) fn probed(good: bool, body: &impl Serialize) -> Response {
    let code = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(code, body)
}

/// The metrics of a registry, as Prometheus reads them.
pub(crate) fn gathered(registry: &Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => failed(&error),
    }
}

/// Formats pretty JSON: people read these bodies with curl.
fn json(code: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(body) {
        Ok(text) => {
            let headers = [
                (CONTENT_TYPE, "application/json"),
                (CACHE_CONTROL, "no-store"),
            ];
            (code, headers, text + "\n").into_response()
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}
