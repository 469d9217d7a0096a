//! HTTP without a library: a request line, and the whole response. So the test gets the exact bytes that the product
//! sends.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// The limit for an answer, since a paused process does not answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Below the ports that systems give to outgoing connections, and above those of the embedded Kafka.
const PORTS: std::ops::Range<u16> = 30_000..32_000;

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Sends `GET path` to a port of this machine.
pub fn get(port: u16, path: &str) -> io::Result<Response> {
    get_with(port, path, "")
}

/// Like [`get`], with additional headers, each with its line end.
pub fn get_with(port: u16, path: &str, headers: &str) -> io::Result<Response> {
    send(port, "GET", path, headers, "", TIMEOUT)
}

/// Sends any request to a port of this machine. `headers`: each with its line end.
pub fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
    timeout: Duration,
) -> io::Result<Response> {
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_read_timeout(Some(timeout))?;
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}{headers}\r\n{body}"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    parse(&response).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, response))
}

fn parse(response: &str) -> Option<Response> {
    let (head, body) = response.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    (!chunked).then(|| Response {
        status,
        headers,
        body: body.to_owned(),
    })
}

/// A port that was free a moment ago. No other call of this run returns it.
pub fn free_port() -> u16 {
    static STEP: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Runs at the same time begin at different ports.
    let begin = (std::process::id() % u32::from(span)) as u16;
    for _ in 0..span {
        let step = STEP.fetch_add(1, Ordering::Relaxed);
        let port =
            PORTS.start + (u32::from(begin) + u32::from(step)).rem_euclid(u32::from(span)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port in {PORTS:?}");
}
