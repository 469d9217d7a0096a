//! Free ports on the loopback address.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use super::Error;

/// This range is below the ports that systems give to connecting sockets. A broker that is down for a while
/// must find its port free again. A client that keeps trying a port of the systems' range would in the end
/// connect to itself.
const RANGE: Range<u16> = 20_000..30_000;

/// The range is far larger than the number of used ports, so this many misses mean that something else is
/// wrong.
const ATTEMPTS_MAX: u32 = 1_000;

/// `count` different ports that were free a moment ago. Another process may take one before a broker does. Then
/// the start is tried again with others.
pub(super) fn free(count: usize) -> Result<Vec<u16>, Error> {
    // All are held until the last is found, so that they differ.
    let mut held: Vec<(u16, TcpListener)> = Vec::with_capacity(count);
    for _ in 0..ATTEMPTS_MAX {
        if held.len() == count {
            break;
        }
        let port = random_port();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
    }
    if held.len() < count {
        return Err(Error::NoPorts);
    }
    Ok(held.into_iter().map(|(port, _)| port).collect())
}

/// Random, so that processes that start at the same time do not choose the same ports.
fn random_port() -> u16 {
    let span = u64::from(RANGE.end - RANGE.start);
    // The standard library seeds each hasher state with new random data. The remainder is below the span, a
    // u16.
    let step = RandomState::new().hash_one(0_u8) % span;
    RANGE.start + u16::try_from(step).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_different_and_in_range() {
        let ports = free(6).unwrap();
        assert_eq!(ports.len(), 6);
        for (index, port) in ports.iter().enumerate() {
            assert!(RANGE.contains(port));
            assert!(!ports[..index].contains(port));
            TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap();
        }
    }
}
