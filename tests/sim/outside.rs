//! Requests that a partition outside of N forwards, with links as its owner would make them: to whatever
//! partition, the home of their name or not, after any number of hops. So a partition has to count links of
//! requests that it must forward itself.
//!
//! Also copies: a client that mirrors the request topic writes a forwarded record to another partition, with its
//! link.

use sequencer::core::Offset;
use sequencer::core::limits::HOPS_MAX;
use sequencer::core::link::{Link, Origin, Position};
use sequencer::processor::takeover::Decided;

use crate::forwards::Parcel;
use crate::log::What;
use crate::oracle::Meaning;
use crate::requests::Written;
use crate::world::World;

/// The partition that forwards. No test has as many.
pub const OUTSIDE: u32 = 1_000;
/// The partition that clients wrote to when the request was forwarded before.
const FURTHER_OUTSIDE: u32 = 1_001;

/// The strays of the partition outside.
#[derive(Default)]
pub struct Outside {
    /// The offset of its next record.
    next: i64,
    /// By destination, the position of the last forward.
    sent: std::collections::BTreeMap<u32, Position>,
    /// Forwards that are not acknowledged.
    pub forwards: Vec<Parcel>,
}

impl World {
    /// A request of a client outside. Its partition forwards it to `destination`.
    pub fn write_outside(&mut self, written: Written, destination: usize, hops: u8) {
        let Some(decided) = self.decided else { return };
        let at = Position {
            leader_epoch: 0,
            offset: self.outside.next,
        };
        self.outside.next += 1;
        let origin = Origin {
            partition: if hops == 1 { OUTSIDE } else { FURTHER_OUTSIDE },
            offset: Offset(at.offset),
        };
        let sent = self.outside.sent.insert(destination as u32, at);
        let link = Link {
            partition: OUTSIDE,
            epoch: 0,
            position: at,
            previous: sent.unwrap_or(Position::NONE),
            origin,
            hops,
        };
        let header = header(decided, link, destination as u32, &written);
        let Written {
            asked,
            key,
            value,
            mut headers,
        } = written;
        // The service's own link is the only one on a forward.
        headers.retain(|(name, _)| name != "sequencer-forwarded");
        headers.push(("sequencer-forwarded".to_owned(), header.into_bytes()));
        let place = (origin.partition as usize, at.offset);
        let uid = self.asked(asked, key.clone(), place, None);
        self.requests[uid].lies_in = destination;
        self.requests[uid].hops = hops;
        let parcel = Parcel::outside(destination, uid, key, value, headers);
        self.outside.forwards.push(parcel);
    }

    /// A request of a client outside, for a random partition.
    pub fn outside_step(&mut self, written: Written) {
        let destination = self.random.below(self.partitions.len());
        // In a rescale a request goes on for some hops, and one that has come so far would halt a partition.
        let most = match self.config.rescales {
            0 => HOPS_MAX - 1,
            _ => HOPS_MAX / 2,
        };
        let hops = self.random.pick(&[1, 1, 2, 3, most]);
        self.write_outside(written, destination, hops);
    }

    /// True for a request that an owner would forward.
    pub fn may_come_from_outside(&self, written: &Written) -> bool {
        let is_valid = !matches!(
            written.asked.meaning,
            Meaning::Invalid(_) | Meaning::Policy { .. } | Meaning::Split(_)
        );
        self.decided.is_some() && is_valid && written.asked.name.is_some()
    }

    /// The producer outside: each destination gets its forwards in order, some of them more than once.
    pub fn forward_outside(&mut self) {
        if self.outside.forwards.is_empty() || self.random.chance(50) {
            return;
        }
        let chosen = self.random.below(self.outside.forwards.len());
        let destination = self.outside.forwards[chosen].home;
        let mine = |parcel: &Parcel| parcel.home == destination;
        let forwards = &self.outside.forwards;
        let unsent = |parcel: &Parcel| mine(parcel) && parcel.landed.is_none();
        if let Some(at) = forwards.iter().position(unsent) {
            let parcel = self.outside.forwards[at].clone();
            self.outside.forwards[at].landed = Some(self.land(&parcel));
            return;
        }
        let first = forwards.iter().position(mine).expect("the chosen one");
        let replicated = self.partitions[destination].requests.replicated;
        if forwards[first].landed.is_some_and(|at| at < replicated) {
            if self.random.one_in(4) {
                let parcel = self.outside.forwards[first].clone();
                self.land(&parcel);
            } else {
                self.outside.forwards.remove(first);
            }
        }
    }

    /// Copies a forwarded record of a random partition to another one.
    pub fn copy_a_forward(&mut self) {
        let (from, to) = (
            self.random.below(self.partitions.len()),
            self.random.below(self.partitions.len()),
        );
        let log = &self.partitions[from].requests;
        let is_forward = |at: &i64| {
            let record = log.record(*at);
            record.is_some_and(|record| matches!(record.what, What::Forward(_)))
        };
        let forwards: Vec<i64> = (log.start..log.end()).filter(is_forward).collect();
        if from == to || forwards.is_empty() {
            return;
        }
        let at = self.random.pick(&forwards);
        let record = self.partitions[from].requests.record(at);
        let record = record.expect("a forward").clone();
        let uid = record.what.uid().expect("a request");
        self.coverage.state("forward copied to another partition");
        let mut asked = self.requests[uid].asked.clone();
        if record.key.as_deref() == Some(b"__policy") {
            // An order counts nowhere else.
            asked.name = Some("__policy".to_owned());
            asked.request_id = None;
            asked.meaning = Meaning::Invalid("unknown_field");
        }
        let written = Written {
            asked,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        self.write(to, written, None);
    }
}

fn header(decided: Decided, link: Link, destination: u32, written: &Written) -> String {
    let key = written.key.as_deref().unwrap_or_default();
    link.header(
        &decided.link_key,
        destination,
        key,
        written.value.as_deref(),
    )
}
