//! The form of requests, and the match of replies to requests.
//!
//! A request of the shape has 45 bytes with its key when there are 100 names, as in the figures of
//! `docs/performance.md`. Its number is in its value, where an echo repeats it. A reply of the service repeats
//! it as the `request_id`. Without a `request_id`, name and ID give the number: names take turns, so the n-th
//! ID of the k-th of N names answers request `(n - 1) * N + k`.

use std::io::Write;

use crate::core::partitioner::partition_id_of;
use crate::core::{Answer, Grant, Name, Offset};
use crate::wire::reply::{self, Subject};

/// Digits of a request's number. A run has far fewer requests.
const NUMBER_DIGITS: usize = 9;
/// The mark before the number in the value of a request, and in a reply that repeats it.
const NUMBER_MARK: &[u8] = b"\"r-";
const FIRST_MARK: &[u8] = b"\"first\":";
const KEY_MARK: &[u8] = b"name-";

/// The form of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of names, which take turns.
    pub names: u64,
    /// Partitions of the request topic.
    pub partitions: u32,
    /// True when each request has a `request_id` of its own.
    pub request_id: bool,
}

/// The bytes of one request. The next request overwrites them.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The name.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

impl Shape {
    /// Writes the request of this number.
    pub fn write(&self, number: u64, request: &mut Request) {
        request.key.clear();
        request.value.clear();
        let name = number % self.names.max(1);
        let field = if self.request_id {
            "request_id"
        } else {
            "requester"
        };
        // Writing to a vector cannot fail.
        let _ = write!(request.key, "name-{name:03}");
        let _ = write!(
            request.value,
            "{{\"count\":1,\"{field}\":\"r-{number:0NUMBER_DIGITS$}\"}}"
        );
    }

    /// The home partition of a key.
    pub fn partition(&self, key: &[u8]) -> i32 {
        partition_id_of(key, self.partitions)
    }

    /// The number of the request that a record of the reply topic answers.
    pub fn number(&self, key: &[u8], body: &[u8]) -> Option<u64> {
        if let Some(at) = find(body, NUMBER_MARK) {
            return digits(body.get(at..)?);
        }
        let first = digits(body.get(find(body, FIRST_MARK)?..)?)?;
        // The same topic may have replies to other names, which are not of this shape.
        let name = digits(key.strip_prefix(KEY_MARK)?).filter(|name| *name < self.names)?;
        Some(first.checked_sub(1)? * self.names + name)
    }

    /// The body of a reply in the middle of a run with this many requests. The equal-bytes floor writes it.
    pub fn reply(&self, requests: u64) -> Vec<u8> {
        let mut request = Request::default();
        let middle = requests / 2;
        self.write(middle, &mut request);
        let id = i64::try_from(middle / self.names.max(1) + 1).unwrap_or(1);
        let grant = Grant {
            first: id,
            last: id,
            count: 1,
            increment: 1,
        };
        let request_id = self
            .request_id
            .then(|| format!("r-{middle:0NUMBER_DIGITS$}"));
        let subject = Subject {
            name: Name::from_key(Some(&request.key)).ok(),
            request_id: request_id.as_deref(),
            partition: self.partition(&request.key),
            offset: Offset(i64::try_from(middle / u64::from(self.partitions.max(1))).unwrap_or(0)),
        };
        let mut body = Vec::new();
        reply::encode(&mut body, subject, &Answer::Granted(grant));
        body
    }
}

/// The position after the first `mark`.
fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes
        .windows(mark.len())
        .position(|window| window == mark)
        .map(|at| at + mark.len())
}

/// The number at the beginning of the bytes.
fn digits(bytes: &[u8]) -> Option<u64> {
    let mut digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .peekable();
    digits.peek()?;
    digits.try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        names: 100,
        partitions: 4,
        request_id: false,
    };

    #[test]
    fn a_request_has_45_bytes_with_its_key() {
        let mut request = Request::default();
        SHAPE.write(42, &mut request);
        assert_eq!(request.key, b"name-042");
        assert_eq!(request.value, br#"{"count":1,"requester":"r-000000042"}"#);
        assert_eq!(request.key.len() + request.value.len(), 45);
    }

    #[test]
    fn an_echo_and_both_kinds_of_replies_are_known_again() {
        for request_id in [false, true] {
            let shape = Shape {
                request_id,
                ..SHAPE
            };
            let mut request = Request::default();
            shape.write(4_242, &mut request);
            assert_eq!(shape.number(&request.key, &request.value), Some(4_242));
            let reply = shape.reply(2 * 4_242);
            assert_eq!(shape.number(&request.key, &reply), Some(4_242), "{reply:?}");
        }
        assert_eq!(SHAPE.number(b"name-001", b"{}"), None);
        assert_eq!(SHAPE.number(b"other", br#"{"first":7}"#), None);
        assert_eq!(SHAPE.number(b"name-099", br#"{"first":2}"#), Some(199));
        assert_eq!(SHAPE.number(b"name-100", br#"{"first":1}"#), None);
    }
}
