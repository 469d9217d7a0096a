//! Replies in buffers of their own, and the results in delivery reports.

use crate::kafka::error::Error;
use crate::kafka::produce::{BatchSize, Outgoing, Report};
use crate::wire::headers::{Block, block};
use crate::wire::route::Undelivered;

/// A reply in a buffer of its own.
pub(super) struct OwnedReply {
    token: u64,
    partition: i32,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
    headers: Vec<u8>,
}

impl OwnedReply {
    pub(super) fn of(record: Outgoing<'_>) -> OwnedReply {
        OwnedReply {
            token: record.opaque as u64,
            partition: record.partition,
            key: record.key.map(<[u8]>::to_vec),
            body: record.value.unwrap_or_default().to_vec(),
            headers: record.headers.0.to_vec(),
        }
    }

    /// Removes the headers that keep the reply from fitting. True when it had such headers, and fits without
    /// them.
    pub(super) fn shrink(&mut self, size: &BatchSize, reason: &Undelivered) -> bool {
        let bytes = self.key.as_ref().map_or(0, Vec::len) + self.body.len();
        if size.fits(bytes + self.headers.len()) {
            return false;
        }
        let Some(shrunk) = size.shrunk(bytes, Block(&self.headers), reason) else {
            return false;
        };
        self.headers = shrunk;
        true
    }

    pub(super) fn borrowed(&self) -> Outgoing<'_> {
        Outgoing {
            partition: self.partition,
            key: self.key.as_deref(),
            value: Some(&self.body),
            headers: Block(&self.headers),
            opaque: opaque(self.token),
        }
    }
}

/// Delivery reports not yet passed on.
#[derive(Default)]
pub(super) struct Reported {
    /// Pairs of a token and the number of consecutive replies that were acknowledged under it.
    pub(super) runs: Vec<(u64, u64)>,
    /// Replies that came back, in order.
    pub(super) returned: Vec<OwnedReply>,
    /// The error of the last returned reply.
    pub(super) problem: Option<Error>,
    /// True when the topic refused a batch as too large.
    pub(super) too_large: bool,
}

impl Reported {
    pub(super) fn add(&mut self, report: Report<'_>) {
        let token = report.opaque as u64;
        match report.result {
            Ok(_) => self.acknowledged(token, 1),
            Err(error) => {
                self.too_large |= error.is_too_large();
                self.problem = Some(error);
                let mut headers = Vec::new();
                for (name, value) in report.headers.iter() {
                    // All headers of this service have text names and values.
                    let name = std::str::from_utf8(name).unwrap_or_default();
                    block::push(&mut headers, name, value.unwrap_or_default());
                }
                self.returned.push(OwnedReply {
                    token,
                    partition: report.partition,
                    key: report.key.map(<[u8]>::to_vec),
                    body: report.value.unwrap_or_default().to_vec(),
                    headers,
                });
            }
        }
    }

    /// Number of replies in the reports.
    pub(super) fn replies(&self) -> u64 {
        let acknowledged: u64 = self.runs.iter().map(|(_, replies)| replies).sum();
        acknowledged + self.returned.len() as u64
    }

    /// Takes over the newer reports of the other one.
    pub(super) fn append(&mut self, newer: &mut Reported) {
        for (token, replies) in newer.runs.drain(..) {
            self.acknowledged(token, replies);
        }
        self.returned.append(&mut newer.returned);
        self.too_large |= std::mem::take(&mut newer.too_large);
        self.problem = newer.problem.take().or(self.problem.take());
    }

    fn acknowledged(&mut self, token: u64, replies: u64) {
        match self.runs.last_mut() {
            Some((last, count)) if *last == token => *count += replies,
            _ => self.runs.push((token, replies)),
        }
    }
}

/// Converts a token to librdkafka's opaque.
pub(super) fn opaque(token: u64) -> usize {
    usize::try_from(token).unwrap_or(usize::MAX)
}
