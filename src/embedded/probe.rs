//! Asks a broker for the members of its cluster, with one Metadata request in raw bytes. So this needs no
//! client library to find out whether a broker serves.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A broker on this machine answers in a millisecond. One that is still loading is asked again.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The answer has no topics, only up to three brokers.
const RESPONSE_BYTES_MAX: usize = 4_096;

/// Metadata, version 2 (the first with the cluster's ID), a correlation of 1, no client name, no topics.
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];

/// A broker's view of its cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) cluster_id: String,
    /// The brokers that the controller lets serve, including this one once it has caught up.
    pub(super) nodes: Vec<u32>,
}

/// Asks the broker at `port` of the loopback address.
pub(super) fn ask(port: u16) -> io::Result<View> {
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&REQUEST)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > RESPONSE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut response = vec![0; length];
    stream.read_exact(&mut response)?;
    parse(&response).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(response: &[u8]) -> Option<View> {
    let mut rest = Reader(response);
    let _correlation = rest.int()?;
    let mut nodes = Vec::new();
    for _ in 0..rest.int()? {
        nodes.push(rest.int()?);
        let _host = rest.text()?;
        let _port = rest.int()?;
        let _rack = rest.text()?;
    }
    Some(View {
        cluster_id: rest.text()??.to_owned(),
        nodes,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn int(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// The inner `None` is a null, which has the length -1.
    fn text(&mut self) -> Option<Option<&'a str>> {
        let (length, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let Ok(length) = usize::try_from(i16::from_be_bytes(*length)) else {
            return Some(None);
        };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(std::str::from_utf8(bytes).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_a_torn_one_is_refused() {
        let mut answer = vec![0, 0, 0, 1, 0, 0, 0, 2];
        for node in [1, 3] {
            answer.extend([0, 0, 0, node, 0, 1, b'h', 0, 0, 0x4e, 0x20, 0xff, 0xff]);
        }
        answer.extend([0, 2, b'i', b'd', 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(
            parse(&answer),
            Some(View {
                cluster_id: "id".to_owned(),
                nodes: vec![1, 3]
            })
        );
        for length in 0..answer.len() - 8 {
            assert_eq!(parse(&answer[..length]), None);
        }
    }
}
