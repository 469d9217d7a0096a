//! HTTP for operators: `/healthz`, `/readyz`, `/metrics` and the status page. Everything is read-only, no
//! handler reads a request's body, and none but the searches for sequences and for the owner of an ID wait
//! for anything, so that it answers also while Kafka does not.
//!
//! - `/healthz` is 200 as long as the engine reports: a restart helps one that is stuck, and cannot help a
//!   halted partition, which the body names.
//! - `/readyz` is 200 when the instance is a member of its group, its checkpoints do not fail in a row, and
//!   each owned partition is restored and within the lag limit, also with none. Requests that were read and
//!   not answered count as lag. Halted partitions do not fail it: they would take the running ones with them.

mod bounded;
mod busy;
mod health;
mod hosts;
mod open;
pub mod owners;
mod page;
mod query;
mod search;
#[cfg(test)]
mod tests;
mod token;
pub mod trace;

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

use super::metrics::Metrics;
use super::status::Shared;
use crate::kafka::engine::inquiry::Inquiries;
use bounded::{Bounded, Limits, Own};
use busy::Pages;
pub use hosts::Hosts;
use owners::{Owner, Owners};
pub use token::Token;
use trace::Tracer;

/// Time for answers in flight once shutdown has begun, in milliseconds: each is made in
/// microseconds, and a client that does not read must not hold up the final checkpoint.
const SHUTDOWN_MS_MAX: u64 = 1_000;

/// What the handlers read.
#[derive(Clone)]
pub struct State {
    /// The status that the engine publishes.
    pub status: Shared,
    /// The metrics, whose partition series are set from the status at each scrape.
    pub metrics: Metrics,
    /// Where the metrics are registered.
    pub registry: Registry,
    /// `ready.lag_max_records`.
    pub lag_max_records: u64,
    /// The way to the engine, for questions about sequences.
    pub inquiries: Inquiries,
    /// Who owns which partition; none where there is no cluster to ask.
    pub owners: Option<Owners>,
    /// The way to the ledger; none where there is no cluster to ask.
    pub tracer: Option<Tracer>,
    /// What a reader must know, the probes apart.
    pub token: Option<Token>,
    /// Under which names the pages are answered, the probes apart; none: under any.
    pub hosts: Option<Hosts>,
}

impl State {
    fn owners(&self) -> Option<Result<Vec<Owner>, String>> {
        self.owners.as_ref()?.known()
    }
}

/// The address cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "http.address {address}: {reason}; set --http HOST:PORT, or --set http.address= to turn it off"
)]
pub struct BindError {
    /// The address as it was configured.
    pub address: String,
    /// Why not, in the words of people.
    pub reason: String,
}

/// Listens on HOST:PORT.
///
/// # Errors
/// The port is taken or forbidden, or the host is no address of this machine.
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| BindError {
        address: address.to_owned(),
        reason: match error.kind() {
            io::ErrorKind::AddrInUse => "address already in use".to_owned(),
            io::ErrorKind::AddrNotAvailable => "not an address of this machine".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "permission denied (ports below 1024 are for privileged users)".to_owned()
            }
            _ => error.to_string(),
        },
    })
}

/// Serves until `shutdown` is ready, then finishes answers in flight, for at most a second.
///
/// # Errors
/// The listener's; axum retries those of single connections itself.
pub async fn serve(
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
        // The sender is dropped when shutdown begins, and with the server, which then has ended.
        let _: Result<(), _> = begun.await;
        sleep(Duration::from_millis(SHUTDOWN_MS_MAX)).await;
    };
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
    }
}

/// The pages, and a hint at any other path.
pub fn router(state: State) -> Router {
    let pages = page::routes().route_layer(from_fn_with_state(Pages::default(), busy::bound));
    Router::new()
        .route("/metrics", get(metrics))
        .merge(pages)
        .route_layer(from_fn_with_state(state.token.clone(), token::check))
        .route_layer(from_fn_with_state(state.hosts.clone(), hosts::check))
        // After the layers: probes need no token and no name.
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
    let code = if health.healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(code, &health)
}

async fn readyz(Extract(state): Extract<State>) -> Response {
    let silence = state.status.silence();
    let readiness = health::readiness(&state.status.read(), silence, state.lag_max_records);
    let code = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(code, &readiness)
}

async fn metrics(Extract(state): Extract<State>) -> Response {
    state
        .metrics
        .publish(&state.status.read(), state.status.silence());
    match TextEncoder::new().encode_to_string(&state.registry.gather()) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => failed(&error),
    }
}

/// Pretty JSON: people read these bodies with curl.
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
