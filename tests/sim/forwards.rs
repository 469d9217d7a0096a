//! Strays on their way home. Each process has an idempotent producer. It keeps the order of every home and
//! never gives a stray up. After a failure, all unacknowledged strays go to a new producer, in order.

use sequencer::processor::partition::Forward;
use sequencer::processor::replies::Token;

use crate::log::{Record, Uid, What};
use crate::node::Node;
use crate::oracle::Link;
use crate::outside::OUTSIDE;
use crate::world::World;

#[derive(Clone)]
pub struct Parcel {
    /// None for a forward of the partition outside.
    token: Option<Token>,
    /// The partition that forwards it.
    source: usize,
    pub home: usize,
    uid: Uid,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    /// Its offset in its home's log.
    pub landed: Option<i64>,
}

/// A request of a producer that no longer exists. It arrives all the same.
pub struct Late {
    due_ms: u64,
    parcels: Vec<Parcel>,
}

impl Parcel {
    pub fn new(forward: &Forward<'_>, source: usize, uid: Uid) -> Parcel {
        let headers = forward.headers.iter();
        Parcel {
            token: Some(forward.token),
            source,
            home: forward.home as usize,
            uid,
            key: forward.key.map(<[u8]>::to_vec),
            value: forward.value.map(<[u8]>::to_vec),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect(),
            landed: None,
        }
    }

    /// A forward of the partition outside.
    pub fn outside(
        home: usize,
        uid: Uid,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        headers: Vec<(String, Vec<u8>)>,
    ) -> Parcel {
        Parcel {
            token: None,
            source: OUTSIDE as usize,
            home,
            uid,
            key,
            value,
            headers,
            landed: None,
        }
    }

    /// Handles a cut of its home's log that removed it.
    pub fn cut(&mut self, home: usize, at: i64) {
        if self.home == home && self.landed.is_some_and(|landed| landed >= at) {
            self.landed = None;
        }
    }
}

impl World {
    pub fn forward_step(&mut self, node: usize) {
        let count = self.live(node).forwards.len();
        if count == 0 {
            return;
        }
        if self.faulty() && self.random.one_in(50) {
            return self.renew_forwards(node);
        }
        let chosen = self.random.below(count);
        let home = self.live(node).forwards[chosen].home;
        let forwards = &self.live(node).forwards;
        let mine = |parcel: &&Parcel| parcel.home == home;
        let unsent = forwards.iter().filter(mine).find(|p| p.landed.is_none());
        let unsent = unsent.cloned();
        let first = forwards.iter().position(|parcel| parcel.home == home);
        if let Some(parcel) = unsent
            && self.random.chance(60)
        {
            let at = self.land(&parcel);
            let forwards = &mut self.live(node).forwards;
            let waiting = |p: &&mut Parcel| p.home == home && p.landed.is_none();
            forwards.iter_mut().find(waiting).expect("it waits").landed = Some(at);
            return;
        }
        let replicated = self.partitions[home].requests.replicated;
        if let Some(first) = first
            && self.live(node).forwards[first]
                .landed
                .is_some_and(|at| at < replicated)
        {
            let parcel = self.live(node).forwards.remove(first);
            if parcel.key.as_deref() == Some(b"__policy") {
                let link = parcel
                    .headers
                    .iter()
                    .map(|(_, value)| Link::read(value))
                    .next();
                let cause = link.expect("an order has a link").at.1;
                self.orders.insert((parcel.source, cause, parcel.home));
            } else {
                self.forwarded.insert((parcel.source, parcel.uid));
            }
            let token = parcel.token.expect("an instance forwards it");
            self.live(node).instance.acknowledged(token, 1);
        }
    }

    pub fn land(&mut self, parcel: &Parcel) -> i64 {
        self.coverage.state("stray forwarded home");
        self.trace.number(parcel.uid as i64);
        let timestamp = self.log_time();
        self.partitions[parcel.home].requests.append(Record {
            key: parcel.key.clone(),
            value: parcel.value.clone(),
            headers: parcel.headers.clone(),
            timestamp,
            leader_epoch: 0,
            transaction: None,
            what: What::Forward(parcel.uid),
        })
    }

    /// Stops the producer. A new one gets all unacknowledged strays.
    fn renew_forwards(&mut self, node: usize) {
        self.coverage.fault("producer of strays made anew");
        let live = self.nodes[node].take().expect("a live process");
        self.forwards_on_their_way(&live);
        self.nodes[node] = Some(live);
        for parcel in &mut self.live(node).forwards {
            parcel.landed = None;
        }
    }

    /// The requests in flight of a producer that is gone, one for each home.
    pub fn forwards_on_their_way(&mut self, live: &Node) {
        for home in 0..self.partitions.len() {
            let unsent = live.forwards.iter();
            let unsent = unsent.filter(|parcel| parcel.home == home && parcel.landed.is_none());
            let parcels: Vec<Parcel> = unsent.take(3).cloned().collect();
            if !parcels.is_empty() && self.random.chance(50) {
                self.late_forwards.push(Late {
                    due_ms: self.now_ms + self.random.below(300) as u64,
                    parcels,
                });
            }
        }
    }

    pub fn late_forward(&mut self) {
        let due = |late: &Late| late.due_ms <= self.now_ms;
        if let Some(at) = self.late_forwards.iter().position(due) {
            self.coverage.fault("stray arrived late");
            for parcel in self.late_forwards.swap_remove(at).parcels {
                self.land(&parcel);
            }
        }
    }
}
