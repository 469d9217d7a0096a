//! The sockets: connections with limits for number, time and size, and a clean end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tracing::debug;

use super::app::{App, router};
use crate::service::http::bounded::{Bounded, Limits};
use crate::service::http::tls::Tls;

/// Highest number of bytes of a request's first line and headers. The longest name as a percent-encoded path, the
/// longest key and both trace headers (4 KiB each) take less than 12 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Highest number of bytes that are read ahead from one connection: its head and a small body.
const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// Longest time for the head of a request, in seconds. A client sends it at once. A silent connection takes no
/// slot for longer.
const HEAD_S_MAX: u64 = 5;

/// Longest time in seconds without a request on a connection that has had an answer. It is longer than the minute after
/// which most clients close the connection themselves.
const IDLE_S_MAX: u64 = 75;

/// Serves until `stop` is ready and all requests in progress are answered.
pub(super) async fn serve(
    listener: TcpListener,
    app: App,
    connections_max: usize,
    tls: Option<Tls>,
    stop: impl Future<Output = ()>,
) {
    let limits = Limits {
        connections: connections_max,
        // All clients of a proxy on this machine have one address.
        per_peer: connections_max,
        head: Duration::from_secs(HEAD_S_MAX),
        idle: Duration::from_secs(IDLE_S_MAX),
    };
    let mut bounded = Bounded::new(listener, limits).with_tls(tls);
    let connections = GracefulShutdown::new();
    let service = TowerToHyperService::new(router(app.clone()));
    tokio::pin!(stop);
    loop {
        let connection = tokio::select! {
            biased;
            () = &mut stop => break,
            (connection, _) = axum::serve::Listener::accept(&mut bounded) => connection,
        };
        let (slot, service) = (connection.slot(), service.clone());
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let (slot, answer) = (Arc::clone(&slot), service.call(request));
            async move {
                let _answering = slot.answer();
                answer.await
            }
        });
        let connection = http1::Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(connection), answer);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended");
            }
        });
    }
    // From here on, new connections are refused.
    drop(bounded);
    app.stop();
    connections.shutdown().await;
}
