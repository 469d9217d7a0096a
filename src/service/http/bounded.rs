//! A listener with limits: how many connections, and how long each may take over a request. axum
//! sets neither, and a port that serves probes must not be filled by clients that say nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Most open connections. Probes and scrapers are a handful; the next one waits in the backlog.
const CONNECTIONS_MAX: usize = 64;

/// Longest time in seconds from accepting a connection, or from the last byte of an answer, to the
/// last byte of the next request's head; an idle connection is closed by it too. Above the usual 60
/// s between scrapes, so that a scraper keeps its connection.
const REQUEST_S_MAX: u64 = 75;

/// A TCP listener whose connections are limited in number and time.
pub(super) struct Bounded {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    request_max: Duration,
}

impl Bounded {
    pub fn new(listener: TcpListener) -> Bounded {
        Bounded::with_limits(
            listener,
            CONNECTIONS_MAX,
            Duration::from_secs(REQUEST_S_MAX),
        )
    }

    pub fn with_limits(
        listener: TcpListener,
        connections: usize,
        request_max: Duration,
    ) -> Bounded {
        Bounded {
            listener,
            slots: Arc::new(Semaphore::new(connections)),
            request_max,
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed; were it, connections would go unlimited rather than
        // unserved.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        // axum's own accept waits and tries again when the process is out of descriptors.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            deadline: Box::pin(sleep(self.request_max)),
            request_max: self.request_max,
            _slot: slot,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its peer takes too long to ask, or to take the answer.
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    request_max: Duration,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// What the stream says, unless it has nothing to say and the deadline is past.
    fn or_late<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending if self.deadline.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            polled => polled,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A read does not move the deadline: a byte at a time is no way to keep a connection.
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.or_late(polled, cx)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if polled.is_ready() {
            let next = Instant::now() + self.request_max;
            self.deadline.as_mut().reset(next);
        }
        self.or_late(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
