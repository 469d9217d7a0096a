//! A listener with limits: how many connections, and how long a client may take over each step. axum
//! sets neither, and a port that serves probes must not be filled by clients that say nothing.
//!
//! | a connection that | is closed |
//! |---|---|
//! | has sent nothing, or a part of a request | after [`Limits::head`] |
//! | has had an answer and sends nothing more | after [`Limits::idle`] |
//! | does not take its answer | when nothing of it was taken for [`Limits::head`] |
//! | waits for its client, and there are too many, of its peer or of all | when the next one comes, if it waits for longest |
//! | is being answered | by nobody |
//!
//! So a new connection never waits for others, and the next request of a probe finds its way however many
//! connections somebody keeps open.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::extract::connect_info::Connected;
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

use super::open::{Open, Slot};

/// Most open connections. Probes and scrapers are a handful.
const CONNECTIONS_MAX: usize = 64;

/// Most open connections of one address: two browsers, a scraper and the probes of one machine or proxy.
const PEER_CONNECTIONS_MAX: usize = 16;

/// Longest time in seconds from accepting a connection, or from the first byte of a later request, to the
/// last byte of its head. Probes give up before it.
const HEAD_S_MAX: u64 = 5;

/// Longest time in seconds without a request on a connection that has had an answer. Above the usual 60 s
/// between scrapes, so that a scraper keeps its connection.
const IDLE_S_MAX: u64 = 75;

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub connections: usize,
    pub per_peer: usize,
    pub head: Duration,
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: CONNECTIONS_MAX,
            per_peer: PEER_CONNECTIONS_MAX,
            head: Duration::from_secs(HEAD_S_MAX),
            idle: Duration::from_secs(IDLE_S_MAX),
        }
    }
}

/// A TCP listener whose connections are limited in number and time.
pub(super) struct Bounded {
    listener: TcpListener,
    open: Open,
    limits: Limits,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Bounded {
        Bounded {
            listener,
            open: Open::default(),
            limits,
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let Limits {
            connections,
            per_peer,
            ..
        } = self.limits;
        loop {
            // axum's own accept waits and tries again when the process is out of descriptors.
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // One that finds no place is closed: all the others are being answered.
            let Some(slot) = self.open.admit(address.ip(), per_peer, connections) else {
                continue;
            };
            let connection = Connection {
                stream,
                slot,
                open: self.open.clone(),
                timer: Box::pin(sleep(self.limits.head)),
                first: true,
                head_since: None,
                write_since: None,
                limits: self.limits,
            };
            return (connection, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its client takes too long, or has to make room for another.
pub(super) struct Connection {
    stream: TcpStream,
    slot: Arc<Slot>,
    open: Open,
    timer: Pin<Box<Sleep>>,
    /// Nothing was answered yet.
    first: bool,
    /// Since when a part of a request's head is there.
    head_since: Option<Instant>,
    /// Since when nothing of an answer has been taken.
    write_since: Option<Instant>,
    limits: Limits,
}

impl Connection {
    /// When the client must have sent the next request; never while one is being answered.
    fn read_deadline(&mut self) -> Option<Instant> {
        let Some(waiting_since) = self.slot.waiting_since() else {
            self.head_since = None;
            return None;
        };
        if self.first {
            return Some(waiting_since + self.limits.head);
        }
        Some(match self.head_since {
            Some(since) => since + self.limits.head,
            None => waiting_since + self.limits.idle,
        })
    }

    fn is_late(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(cx).is_ready()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.remove(&self.slot);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Remembers whom to wake as well, so before the stream is looked at.
        if self.slot.is_closed(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_ready() {
            // A later byte does not move the deadline: a byte at a time is no way to keep a connection.
            if buffer.filled().len() > before && self.slot.waiting_since().is_some() {
                self.head_since.get_or_insert_with(Instant::now);
            }
            return polled;
        }
        match self.read_deadline() {
            Some(deadline) if self.is_late(deadline, cx) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            _ => Poll::Pending,
        }
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
            (self.first, self.head_since, self.write_since) = (false, None, None);
            self.slot.wrote();
            return polled;
        }
        let since = *self.write_since.get_or_insert_with(Instant::now);
        let deadline = since + self.limits.head;
        if self.is_late(deadline, cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request's own connection, for [`answering`].
#[derive(Clone)]
pub(super) struct Own(Arc<Slot>);

impl Connected<IncomingStream<'_, Bounded>> for Own {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Own {
        Own(Arc::clone(&stream.io().slot))
    }
}

/// Marks the connection of a request as one that is being answered, for as long as it is.
pub(super) async fn answering(
    ConnectInfo(Own(slot)): ConnectInfo<Own>,
    request: Request,
    next: Next,
) -> Response {
    let _answering = slot.answer();
    next.run(request).await
}
