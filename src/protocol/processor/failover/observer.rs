//! Which peers are alive, which are silent, and whether this process is fit to judge.
//!
//! Silence counts only while this process is on time: its loop runs when it is due, and its own heartbeats
//! come back soon. All heartbeats are in one partition, in order. So an engine that reads its own last
//! heartbeat has read all heartbeats that others wrote before it. An interruption is a time in which this
//! process was not scheduled, or in which a broker or the partition's leader was away. After an interruption,
//! a peer is suspected only when it was heard again, or when others have had time to come back.

use std::collections::{BTreeMap, VecDeque};

use super::SILENT_INTERVALS;
use super::heartbeat::{Heartbeat, Sign, interval_ms};
use super::order::{self, STAGGER_MS};
use super::patience::Patience;
use crate::core::planted::planted;

/// [`Observer::turn`] is due at this interval, in ms: several times in the shortest silence.
pub const TURN_MS: u64 = 20;
/// A turn that is later than this is an interruption, in ms: half of the shortest silence.
const LATE_TURN_MS: u64 = 100;
/// Upper limit, in intervals, for the age of the last own heartbeat that came back. If it is older,
/// heartbeats of others may be on their way too. One interval passes between two heartbeats, and one more is
/// their way.
const LATE_INTERVALS: u64 = 3;
/// Upper limit for the own heartbeats that are remembered while they are on their way. It covers seconds,
/// because heartbeats that expire never come back.
const UNDER_WAY_MAX: usize = 64;
/// The time that others get to come back after an interruption that was theirs as well, in ms. A client takes
/// this long to find a partition's new leader.
const RETURN_MS: u64 = 2_000;
/// The time for which an evicted victim is left alone, in ms, if it is a member all the same.
const AGAIN_MS: u64 = 1_000;
/// Upper limit for the number of known peers: more than a group has. A client with write access to the topic
/// can write names that no instance has.
const PEERS_MAX: usize = 1_000;
/// After this number of sessions a silent peer is forgotten: the group has noticed without an eviction.
const FORGET_SESSIONS: u64 = 2;

/// The identity of the observing engine, and its limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `instance_id` of this engine.
    pub instance: String,
    /// The incarnation of this engine.
    pub incarnation: u64,
    /// The interval between two heartbeats of this engine, in ms.
    pub interval_ms: u32,
    /// The silence that counts as a death, in ms; 0 to evict no peer.
    pub silence_ms: u64,
    /// The session time-out of the group, in ms: after it the group notices without an eviction.
    pub session_ms: u64,
}

/// A peer to evict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// The `instance_id` of the peer.
    pub instance: String,
    /// The incarnation that fell silent.
    pub incarnation: u64,
}

/// A peer that has fallen silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The peer and its incarnation.
    pub victim: Victim,
    /// The time of its last heartbeat.
    pub heard_ms: u64,
    /// The time since its last heartbeat, in ms.
    pub silence_ms: u64,
}

/// The meaning of a heartbeat, besides that its instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// No other meaning.
    Ordinary,
    /// The peer had been reported as silent.
    AfterSilence,
    /// The peer had been evicted: a pause was taken for a death.
    AfterEviction,
    /// A peer evicts this engine.
    OfOwnEviction,
}

/// A peer that this process or another one has evicted.
#[derive(Debug, Default)]
struct Evicted {
    incarnation: u64,
    /// True until the peer is heard again.
    is_gone: bool,
    /// The patience that this process grants since the peer was heard again. Another incarnation asks for its
    /// own.
    patience: Patience,
}

#[derive(Clone, Debug)]
struct Peer {
    incarnation: u64,
    heard_ms: u64,
    interval_ms: u64,
    patience_ms: u64,
    /// True when the peer was heard since the last interruption.
    trusted: bool,
    /// True when its silence was reported.
    suspected: bool,
    /// The time when this process last evicted the peer.
    evicted_ms: Option<u64>,
}

/// The knowledge of one engine about its peers.
#[derive(Debug)]
pub struct Observer {
    options: Options,
    peers: BTreeMap<String, Peer>,
    /// Evicted peers by name, at most [`PEERS_MAX`].
    evicted: BTreeMap<String, Evicted>,
    turned_ms: u64,
    /// Own heartbeats on their way: the number, and the time of writing.
    under_way: VecDeque<(u64, u64)>,
    /// The time of writing of the last own heartbeat that came back. All heartbeats that were appended before
    /// it are read.
    returned_ms: u64,
    interrupted_ms: u64,
}

impl Observer {
    /// Makes an observer that knows no peer and has yet to prove that it is on time.
    pub fn new(options: Options, now_ms: u64) -> Observer {
        Observer {
            options,
            peers: BTreeMap::new(),
            evicted: BTreeMap::new(),
            turned_ms: now_ms,
            under_way: VecDeque::new(),
            returned_ms: now_ms,
            interrupted_ms: now_ms,
        }
    }

    /// Runs every [`TURN_MS`], before the heartbeats that were read meanwhile are handed to
    /// [`Observer::heard`]. True when an interruption of this process ends or goes on.
    pub fn turn(&mut self, now_ms: u64) -> bool {
        let late = self.is_late(now_ms);
        self.turned_ms = now_ms;
        let forget_ms = FORGET_SESSIONS * self.options.session_ms;
        self.peers
            .retain(|_, peer| now_ms < peer.heard_ms + forget_ms);
        if late {
            self.interrupted_ms = now_ms;
            self.peers
                .values_mut()
                .for_each(|peer| peer.trusted = false);
        }
        late
    }

    fn is_late(&self, now_ms: u64) -> bool {
        let late_ms = LATE_INTERVALS * u64::from(self.options.interval_ms);
        let slept = now_ms.saturating_sub(self.turned_ms) > LATE_TURN_MS;
        let unreturned = now_ms.saturating_sub(self.returned_ms) > late_ms;
        (slept || unreturned) && !planted!(SilenceWhileAsleep)
    }

    /// Adapts this engine's interval to the number of instances. Returns the interval in ms.
    pub fn write_every(&mut self) -> u32 {
        self.options.interval_ms = interval_ms(self.peers.len() + 1);
        self.options.interval_ms
    }

    /// The patience that this engine asks for now, in ms, where it knows of an eviction that asks for `known_ms`. While
    /// its own heartbeats have not come back for as long as others bear, it asks for a session: a peer may have
    /// evicted it, and it has not read that yet. An engine that evicts nobody reads no heartbeats.
    pub fn patience(&self, now_ms: u64, known_ms: u64) -> u64 {
        let silence_ms = self.silence_of(self.options.interval_ms.into(), known_ms);
        let unreturned = now_ms.saturating_sub(self.returned_ms) > silence_ms;
        match unreturned && self.options.silence_ms > 0 {
            true => self.options.session_ms,
            false => known_ms,
        }
    }

    /// Notes that this engine has written its heartbeat of number `count`.
    pub fn wrote(&mut self, now_ms: u64, count: u64) {
        if self.under_way.len() == UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        self.under_way.push_back((count, now_ms));
    }

    /// Takes a heartbeat that was read; it may be an own one. Heartbeats of the last session that are found
    /// at the start count as heard at the start.
    pub fn heard(&mut self, now_ms: u64, heartbeat: &Heartbeat) -> Heard {
        if heartbeat.instance == self.options.instance {
            if heartbeat.incarnation == self.options.incarnation {
                if heartbeat.sign == Sign::Evicted {
                    return Heard::OfOwnEviction;
                }
                while let Some((count, written_ms)) = self.under_way.front().copied()
                    && count <= heartbeat.count
                {
                    self.returned_ms = self.returned_ms.max(written_ms);
                    self.under_way.pop_front();
                }
            }
            return Heard::Ordinary;
        }
        let of = || Victim {
            instance: heartbeat.instance.clone(),
            incarnation: heartbeat.incarnation,
        };
        match heartbeat.sign {
            Sign::Alive => {}
            Sign::Goodbye => {
                self.left(&of());
                return Heard::Ordinary;
            }
            // One eviction is enough.
            Sign::Evicted if planted!(NoticeIgnored) => return Heard::Ordinary,
            Sign::Evicted => {
                self.evicted(&of());
                return Heard::Ordinary;
            }
        }
        let before = self.peers.get(&heartbeat.instance);
        if before.is_none() && self.peers.len() >= PEERS_MAX {
            return Heard::Ordinary;
        }
        let same = before.filter(|peer| peer.incarnation == heartbeat.incarnation);
        let evicted_ms = same.and_then(|peer| peer.evicted_ms);
        let was_evicted = self.is_evicted_alive(now_ms, heartbeat);
        let given = self.evicted.get(&heartbeat.instance);
        let given = given.filter(|evicted| evicted.incarnation == heartbeat.incarnation);
        let given_ms = given.map_or(0, |evicted| evicted.patience.asked(now_ms));
        let peer = Peer {
            incarnation: heartbeat.incarnation,
            heard_ms: now_ms,
            interval_ms: heartbeat.interval_ms.into(),
            patience_ms: given_ms.max(heartbeat.patience_ms.into()),
            trusted: true,
            suspected: false,
            evicted_ms,
        };
        let before = self.peers.insert(heartbeat.instance.clone(), peer);
        match before {
            _ if was_evicted => Heard::AfterEviction,
            Some(peer) if peer.suspected => Heard::AfterSilence,
            _ => Heard::Ordinary,
        }
    }

    /// True when the heartbeat comes from a peer that was evicted. From then on the peer gets more patience. It may
    /// not know of its eviction yet.
    fn is_evicted_alive(&mut self, now_ms: u64, heartbeat: &Heartbeat) -> bool {
        let silence_ms = self.silence_of(heartbeat.interval_ms.into(), 0);
        match self.evicted.get_mut(&heartbeat.instance) {
            Some(evicted) if evicted.incarnation == heartbeat.incarnation && evicted.is_gone => {
                evicted.is_gone = false;
                let session_ms = self.options.session_ms;
                evicted.patience.evicted(now_ms, silence_ms, session_ms);
                true
            }
            _ => false,
        }
    }

    /// Returns the peers that have fallen silent since the last call.
    pub fn suspects(&mut self, now_ms: u64) -> Vec<Suspect> {
        let is_new = |peer: &Peer| !peer.suspected && self.is_silent(now_ms, peer);
        let suspects = self.peers.iter().filter(|(_, peer)| is_new(peer));
        let suspects: Vec<Suspect> = suspects
            .map(|(instance, peer)| Suspect {
                victim: Victim {
                    instance: instance.clone(),
                    incarnation: peer.incarnation,
                },
                heard_ms: peer.heard_ms,
                silence_ms: now_ms.saturating_sub(peer.heard_ms),
            })
            .collect();
        for suspect in &suspects {
            if let Some(peer) = self.peers.get_mut(&suspect.victim.instance) {
                peer.suspected = true;
            }
        }
        suspects
    }

    /// Forgets a peer that the group no longer has as a member.
    pub fn left(&mut self, victim: &Victim) {
        let same = |peer: &Peer| peer.incarnation == victim.incarnation;
        if self.peers.get(&victim.instance).is_some_and(same) {
            self.peers.remove(&victim.instance);
        }
    }

    /// Notes that the peer was evicted.
    pub fn evicted(&mut self, victim: &Victim) {
        self.left(victim);
        if self.evicted.len() < PEERS_MAX || self.evicted.contains_key(&victim.instance) {
            let evicted = self.evicted.entry(victim.instance.clone()).or_default();
            if evicted.incarnation != victim.incarnation {
                evicted.incarnation = victim.incarnation;
                evicted.patience = Patience::default();
            }
            evicted.is_gone = true;
        }
    }

    /// Notes that an eviction of the peer begins.
    pub fn evicts(&mut self, now_ms: u64, victim: &Victim) {
        if let Some(peer) = self.peers.get_mut(&victim.instance)
            && peer.incarnation == victim.incarnation
        {
            peer.evicted_ms = Some(now_ms);
        }
    }

    /// The peer that this process should look for in the group now. If it is a member, it is evicted
    /// ([`Observer::may_join`]). If it is none, its transaction is ended ([`may_fence`]).
    pub fn victim(&self, now_ms: u64) -> Option<Victim> {
        let due = |(instance, peer): (&String, &Peer)| {
            self.is_due(now_ms, instance, peer).then(|| Victim {
                instance: instance.clone(),
                incarnation: peer.incarnation,
            })
        };
        self.peers.iter().find_map(due)
    }

    /// The peers that this process would be the first to evict, sorted.
    pub fn first_for(&self, now_ms: u64) -> Vec<String> {
        let alive: Vec<&String> = self
            .peers
            .iter()
            .filter(|(_, peer)| !self.is_silent(now_ms, peer))
            .map(|(name, _)| name)
            .collect();
        let is_first = |victim: &&String| {
            let others = alive.iter().filter(|peer| *peer != victim);
            let others = others.map(|peer| peer.as_str());
            order::is_first(victim, &self.options.instance, others)
        };
        self.peers.keys().filter(is_first).cloned().collect()
    }

    /// True when an eviction may go on. The question is asked again right before the join, because the group
    /// was asked meanwhile. If the victim has come back, the join would throw it out. If it has left, the
    /// join would make it a member again.
    pub fn may_join(&self, now_ms: u64, victim: &Victim) -> bool {
        planted!(EvictionUnchecked)
            || self.peers.get(&victim.instance).is_some_and(|peer| {
                // After a session the group notices by itself.
                let left_to_the_group = self.silence_of_peer(peer) >= self.options.session_ms;
                peer.incarnation == victim.incarnation
                    && !left_to_the_group
                    && self.is_due(now_ms, &victim.instance, peer)
            })
    }

    /// True when the peer was heard and is not silent. Then an eviction that it has begun goes on.
    pub fn is_alive(&self, now_ms: u64, instance: &str) -> bool {
        let peer = self.peers.get(instance);
        peer.is_some_and(|peer| !self.is_silent(now_ms, peer))
    }

    /// True when the peer was heard, and has been silent for as long as an eviction requires. The end of its
    /// transaction needs this, and needs that no member of the group has this name.
    pub fn has_stopped(&self, now_ms: u64, instance: &str) -> bool {
        self.peers
            .get(instance)
            .is_some_and(|peer| self.is_silent(now_ms, peer))
    }

    /// The time since the peer was last heard, in ms.
    pub fn silence(&self, now_ms: u64, instance: &str) -> u64 {
        let peer = self.peers.get(instance);
        peer.map_or(0, |peer| now_ms.saturating_sub(peer.heard_ms))
    }

    /// The silence after which the peer counts as gone, in ms.
    pub fn needs(&self, instance: &str) -> Option<u64> {
        let peer = self.peers.get(instance)?;
        Some(self.silence_of_peer(peer))
    }

    /// The peers and the age of their last heartbeats, in ms.
    pub fn ages(&self, now_ms: u64) -> impl Iterator<Item = (&str, u64)> {
        let age = move |peer: &Peer| now_ms.saturating_sub(peer.heard_ms);
        self.peers
            .iter()
            .map(move |(name, peer)| (name.as_str(), age(peer)))
    }

    fn is_due(&self, now_ms: u64, instance: &str, peer: &Peer) -> bool {
        let left_alone = peer
            .evicted_ms
            .is_some_and(|evicted_ms| now_ms < evicted_ms + AGAIN_MS);
        if left_alone || !self.is_silent(now_ms, peer) {
            return false;
        }
        let alive = self
            .peers
            .iter()
            .filter(|(_, peer)| !self.is_silent(now_ms, peer));
        let alive = alive.map(|(name, _)| name.as_str());
        let place = order::place(instance, &self.options.instance, alive);
        // If this process waited for the peer to come back, its place counts from the end of that wait.
        // Otherwise all instances would act at once.
        let silent_ms = peer.heard_ms + self.silence_of_peer(peer);
        let from_ms = match peer.trusted {
            true => silent_ms,
            false => silent_ms.max(self.interrupted_ms + RETURN_MS),
        };
        now_ms >= from_ms + place * STAGGER_MS
    }

    fn is_silent(&self, now_ms: u64, peer: &Peer) -> bool {
        let returning = !peer.trusted && now_ms < self.interrupted_ms + RETURN_MS;
        self.options.silence_ms > 0
            && (!returning || planted!(SilenceWhileAsleep))
            && !self.is_late(now_ms)
            && now_ms >= peer.heard_ms + self.silence_of_peer(peer)
    }

    fn silence_of_peer(&self, peer: &Peer) -> u64 {
        self.silence_of(peer.interval_ms, peer.patience_ms)
    }

    fn silence_of(&self, interval_ms: u64, patience_ms: u64) -> u64 {
        self.options
            .silence_ms
            .max(SILENT_INTERVALS * interval_ms)
            .max(patience_ms)
            .min(self.options.session_ms)
    }
}

/// True when others may end the open transaction of an instance that they have not evicted. A live instance may own other partitions, and an instance of an older release writes no
/// heartbeats. So neither is touched. `members`: instance IDs and client IDs of the group.
pub fn may_fence<'a>(
    instance: &str,
    has_stopped: bool,
    mut members: impl Iterator<Item = &'a str>,
) -> bool {
    has_stopped && (planted!(LiveMemberFenced) || members.all(|name| name != instance))
}

#[cfg(test)]
mod tests;
