//! A proxy between one instance and the brokers, whose links can be cut, slowed down and muted.
//!
//! There is one link for each broker. The load and the judges connect to the brokers directly, so a fault here
//! affects only that instance.

use std::future::pending;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

/// Bytes of one read.
const CHUNK_BYTES: usize = 64 << 10;
/// Highest number of chunks in transit in each direction of a connection. A slow link must delay and not
/// throttle.
const CHUNKS_MAX: usize = 256;

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Open,
    /// Connections end, and new connections end at once.
    Cut,
    /// Every byte is delayed by this much in each direction.
    Slow(Duration),
    /// Requests reach the broker. Its answers wait until the link is open again.
    Mute,
    /// No byte is delivered, and neither side learns that the other has ended.
    Gone,
}

/// The state that connections follow: the link, and how many times its connections were lost.
#[derive(Clone, Copy)]
struct State {
    link: Link,
    losses: u64,
}

#[derive(Clone, Copy)]
enum Way {
    ToBroker,
    ToClient,
}

impl Link {
    /// The delay in this direction. `None` when nothing is delivered in this state.
    fn delay(self, way: Way) -> Option<Duration> {
        match (self, way) {
            (Link::Open, _) | (Link::Mute, Way::ToBroker) => Some(Duration::ZERO),
            (Link::Slow(delay), _) => Some(delay),
            (Link::Mute, Way::ToClient) | (Link::Cut | Link::Gone, _) => None,
        }
    }
}

const OPEN: State = State {
    link: Link::Open,
    losses: 0,
};

/// Ports that are reserved before the brokers exist.
pub struct Bound(Vec<TcpListener>);

impl Bound {
    /// Reserves `count` free ports, which stay reserved until the end.
    pub fn new(count: usize) -> Bound {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Bound((0..count).map(|_| bind()).collect())
    }

    pub fn ports(&self) -> Vec<u16> {
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        self.0.iter().map(port).collect()
    }

    /// Forwards the bytes of each port to the broker of the same index.
    pub fn serve(self, brokers: &[u16]) -> Proxy {
        assert_eq!(self.0.len(), brokers.len());
        let ports = self.ports();
        let (links, watched): (Vec<_>, Vec<_>) =
            brokers.iter().map(|_| watch::channel(OPEN)).unzip();
        let served: Vec<_> = self.0.into_iter().zip(brokers.to_vec()).collect();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut accepting = tokio::task::JoinSet::new();
                for ((listener, broker), link) in served.into_iter().zip(watched) {
                    accepting.spawn(accept(listener, broker, link));
                }
                // Each task ends when its link is dropped.
                while accepting.join_next().await.is_some() {}
            });
        });
        Proxy {
            ports,
            links,
            thread: Some(thread),
        }
    }
}

/// The proxy, which ends when this value is dropped.
pub struct Proxy {
    ports: Vec<u16>,
    links: Vec<watch::Sender<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// The bootstrap address of a client that should use the proxy.
    pub fn bootstrap(&self) -> String {
        let addresses = self.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Sets the state of the link to this broker.
    pub fn set(&self, broker: usize, link: Link) {
        self.links[broker].send_modify(|state| state.link = link);
    }

    /// Loses the connections to this broker: nothing is delivered any more, and no side learns of it. New
    /// connections work.
    pub fn lose(&self, broker: usize) {
        self.links[broker].send_modify(|state| state.losses += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.links.clear();
        if let Some(thread) = self.thread.take() {
            // The thread has printed its panic.
            let _ = thread.join();
        }
    }
}

/// Accepts connections until the other end of `link` is dropped.
async fn accept(listener: TcpListener, broker: u16, mut link: watch::Receiver<State>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let shared = link.clone();
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(connection(client, broker, shared));
            },
            changed = link.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Serves one connection, until either side ends it or the link is cut. A connection to a cut link ends at
/// once.
async fn connection(client: TcpStream, broker: u16, link: watch::Receiver<State>) {
    let mut cut = link.clone();
    let passing = async {
        // The proxy refuses a connection when the broker does.
        let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await else {
            return;
        };
        let _ = (client.set_nodelay(true), broker.set_nodelay(true));
        let (client, broker) = (Arc::new(client), Arc::new(broker));
        tokio::select! {
            () = pass(&client, &broker, link.clone(), Way::ToBroker) => {}
            () = pass(&broker, &client, link, Way::ToClient) => {}
        }
    };
    tokio::select! {
        biased;
        _ = cut.wait_for(|state| state.link == Link::Cut) => {}
        () = passing => {}
    }
}

/// Forwards the bytes from one side until it ends.
async fn pass(from: &TcpStream, to: &TcpStream, link: watch::Receiver<State>, way: Way) {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    tokio::select! {
        () = deliver(to, receiver, link, way) => {}
        // The other half goes on with the bytes in transit.
        () = async { collect(from, sender).await; pending().await } => {}
    }
}

/// Bytes with the time of their arrival.
type Chunk = (Instant, Vec<u8>);

async fn collect(from: &TcpStream, under_way: mpsc::Sender<Chunk>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while from.readable().await.is_ok() {
        match from.try_read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
            Ok(read) => {
                let chunk = (Instant::now(), buffer[..read].to_vec());
                if under_way.send(chunk).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn deliver(
    to: &TcpStream,
    mut under_way: mpsc::Receiver<Chunk>,
    mut link: watch::Receiver<State>,
    way: Way,
) {
    let losses = link.borrow().losses;
    while let Some((arrived, bytes)) = under_way.recv().await {
        loop {
            let state = *link.borrow_and_update();
            let delay = match state.losses == losses {
                true => state.link.delay(way),
                false => None,
            };
            let changed = match delay {
                Some(Duration::ZERO) => break,
                Some(delay) => match timeout_at(arrived + delay, link.changed()).await {
                    Err(_) => break,
                    Ok(changed) => changed,
                },
                None => link.changed().await,
            };
            if changed.is_err() {
                return;
            }
        }
        let mut left = &bytes[..];
        while !left.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener as Server, TcpStream as Client};

    use super::*;

    /// The longest time for a loopback connection to deliver its bytes.
    const SILENCE: Duration = Duration::from_millis(300);

    /// A server that sends all bytes back.
    fn echo() -> u16 {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        thread::spawn(move || {
            for client in server.incoming() {
                let mut client = client.unwrap();
                thread::spawn(move || {
                    let mut other = client.try_clone().unwrap();
                    let _ = std::io::copy(&mut client, &mut other);
                });
            }
        });
        port
    }

    fn client(proxy: &Proxy) -> Client {
        let client = Client::connect(proxy.bootstrap()).unwrap();
        client
            .set_read_timeout(Some(crate::support::DEADLINE))
            .unwrap();
        client
    }

    fn say(client: &mut Client, byte: u8) -> std::io::Result<u8> {
        client.write_all(&[byte])?;
        let mut answer = [0];
        client.read_exact(&mut answer)?;
        Ok(answer[0])
    }

    fn proxy() -> Proxy {
        Bound::new(1).serve(&[echo()])
    }

    #[test]
    fn a_cut_link_ends_connections_and_new_ones_until_it_is_open_again() {
        let proxy = proxy();
        let mut before = client(&proxy);
        assert_eq!(say(&mut before, 1).unwrap(), 1);
        proxy.set(0, Link::Cut);
        assert!(matches!(before.read(&mut [0]), Ok(0) | Err(_)));
        assert!(say(&mut client(&proxy), 2).is_err());
        proxy.set(0, Link::Open);
        assert_eq!(say(&mut client(&proxy), 3).unwrap(), 3);
    }

    #[test]
    fn a_slow_link_is_late_in_each_direction() {
        let proxy = proxy();
        let mut client = client(&proxy);
        let delay = Duration::from_millis(100);
        proxy.set(0, Link::Slow(delay));
        let asked = Instant::now();
        assert_eq!(say(&mut client, 1).unwrap(), 1);
        assert!(asked.elapsed() >= 2 * delay);
    }

    #[test]
    fn a_lost_connection_is_silent_for_good_and_a_new_one_works() {
        let proxy = proxy();
        let mut lost = client(&proxy);
        assert_eq!(say(&mut lost, 1).unwrap(), 1);
        proxy.lose(0);
        lost.set_read_timeout(Some(SILENCE)).unwrap();
        let nothing = say(&mut lost, 2).unwrap_err().kind();
        assert!(matches!(
            nothing,
            ErrorKind::WouldBlock | ErrorKind::TimedOut
        ));
        assert_eq!(say(&mut client(&proxy), 3).unwrap(), 3);
    }

    #[test]
    fn what_a_mute_link_holds_back_comes_when_it_is_open_again() {
        let proxy = proxy();
        let mut client = client(&proxy);
        proxy.set(0, Link::Mute);
        client.set_read_timeout(Some(SILENCE)).unwrap();
        let nothing = say(&mut client, 7).unwrap_err().kind();
        assert!(matches!(
            nothing,
            ErrorKind::WouldBlock | ErrorKind::TimedOut
        ));
        client
            .set_read_timeout(Some(crate::support::DEADLINE))
            .unwrap();
        proxy.set(0, Link::Open);
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [7]);
    }
}
