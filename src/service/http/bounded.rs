//! A listener with limits for the number of connections, and for the time of each client's step. axum sets
//! neither limit, and silent clients must not fill a port that serves probes.
//!
//! | a connection that | is closed |
//! |---|---|
//! | has sent nothing, or only a part of a request | after [`Limits::head`] |
//! | has had an answer and sends no other request | after [`Limits::idle`] |
//! | does not read its answer | when no part of it was read for [`Limits::head`] |
//! | waits for its client, when its peer or all peers have too many | when the next one comes, if it has waited
//! longest |
//! | is being answered | never |
//!
//! So a new connection never waits for others, and the next request of a probe succeeds however many
//! connections a client keeps open.

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
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep, sleep};

use super::open::{Open, Slot};
use super::stream::Stream;
use super::tls::Tls;

/// Highest number of open connections. There are only a few probes and scrapers.
const CONNECTIONS_MAX: usize = 64;

/// Highest number of open connections of one address: two browsers, a scraper and the probes of one machine or proxy.
const PEER_CONNECTIONS_MAX: usize = 16;

/// Longest time in seconds for the head of a request. It begins when a connection is accepted, or with the
/// first byte of a later request. Probes time out sooner.
const HEAD_S_MAX: u64 = 5;

/// Longest time in seconds without a request on a connection that has had an answer. It is above the usual 60 s
/// between scrapes, so that a scraper keeps its connection.
const IDLE_S_MAX: u64 = 75;

#[derive(Clone, Copy)]
pub(crate) struct Limits {
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
pub(crate) struct Bounded {
    listener: TcpListener,
    open: Open,
    limits: Limits,
    tls: Option<Tls>,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, limits: Limits) -> Bounded {
        Bounded {
            listener,
            open: Open::default(),
            limits,
            tls: None,
        }
    }

    /// The same with TLS, if there is a certificate.
    pub(crate) fn with_tls(self, tls: Option<Tls>) -> Bounded {
        Bounded { tls, ..self }
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
            // axum's own accept waits and tries again when the process has no free descriptor.
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // A connection without a slot is closed: all other connections are being answered.
            let Some(slot) = self.open.admit(address.ip(), per_peer, connections) else {
                continue;
            };
            let Ok(stream) = Stream::new(stream, self.tls.as_ref()) else {
                self.open.remove(&slot);
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

/// A connection that fails when its client takes too long, or when it has to make room for another.
pub(crate) struct Connection {
    stream: Stream,
    slot: Arc<Slot>,
    open: Open,
    timer: Pin<Box<Sleep>>,
    /// True until the first answer.
    first: bool,
    /// The time since which a part of a request's head has arrived.
    head_since: Option<Instant>,
    /// The time since which no part of an answer has been read.
    write_since: Option<Instant>,
    limits: Limits,
}

impl Connection {
    /// The connection's place among the open ones.
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// The time by which the client must send the next request. None while a request is being answered.
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

    /// True when the client has not read anything for too long, while something is to be written.
    fn is_unread(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.write_since.get_or_insert_with(Instant::now);
        self.is_late(since + self.limits.head, cx)
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
        // This call also registers the waker, so it comes before the read.
        if self.slot.is_closed(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_ready() {
            // A later byte does not move the deadline. Otherwise a client could keep a connection with single
            // bytes.
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
        match self.is_unread(cx) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS, this writes as well.
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        match polled.is_pending() && self.is_unread(cx) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => polled,
        }
    }
}

/// The connection of a request, for [`answering`].
#[derive(Clone)]
pub(super) struct Own(Arc<Slot>);

impl Connected<IncomingStream<'_, Bounded>> for Own {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Own {
        Own(Arc::clone(&stream.io().slot))
    }
}

/// Marks the connection of a request as being answered until the answer is complete.
pub(super) async fn answering(
    ConnectInfo(Own(slot)): ConnectInfo<Own>,
    request: Request,
    next: Next,
) -> Response {
    let _answering = slot.answer();
    next.run(request).await
}
