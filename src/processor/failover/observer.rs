//! Who was heard, who is silent, and whether this process is fit to judge.
//!
//! Silence counts only while this process itself is on time: its loop ran when it was due, and its own heartbeats
//! come back soon. All heartbeats are in one partition, in order, so whoever reads its own last one has read what
//! others wrote before it. After an interruption of its own (it was not scheduled, a broker or the partition's
//! leader was away) a peer is suspected only when it was heard again, or when others have had time to come back.

use std::collections::{BTreeMap, VecDeque};

use super::SILENT_INTERVALS;
use super::heartbeat::{Heartbeat, interval_ms};
use super::order::{self, STAGGER_MS};
use super::patience::Patience;
use crate::core::planted::planted;

/// How often [`Observer::turn`] is due, in ms: several times in the shortest silence.
pub const TURN_MS: u64 = 20;
/// A turn that comes so long after the last is an interruption, in ms: half of the shortest silence.
const LATE_TURN_MS: u64 = 100;
/// The last own heartbeat that came back was written so many intervals before at most; longer, and what others
/// wrote since may be on its way, too. One interval passes between two of them, and one more is their way.
const LATE_INTERVALS: u64 = 3;
/// So many own heartbeats are remembered while they are on their way: seconds of them, while those that expired
/// never come.
const UNDER_WAY_MAX: usize = 64;
/// How long others may take to come back after an interruption that was theirs as well, in ms: what a client takes
/// to find a partition's new leader.
const RETURN_MS: u64 = 2_000;
/// How long a victim that was evicted is left alone, in ms, if it is a member all the same.
const AGAIN_MS: u64 = 1_000;
/// So many peers are known at most: more than a group has. Names that nobody has may be written by whoever may write
/// to the topic.
const PEERS_MAX: usize = 1_000;
/// After so many sessions a silent peer is forgotten: the group has noticed by itself.
const FORGET_SESSIONS: u64 = 2;

/// Who observes, and how strictly.
#[derive(Clone, Debug)]
pub struct Options {
    /// `instance_id`.
    pub instance: String,
    /// Of this engine.
    pub incarnation: u64,
    /// How often this engine writes a heartbeat, in ms.
    pub interval_ms: u32,
    /// The silence that is taken for a death, in ms; 0 for never.
    pub silence_ms: u64,
    /// After so long the group notices by itself, in ms.
    pub session_ms: u64,
}

/// Somebody to evict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// `instance_id`.
    pub instance: String,
    /// The one that fell silent.
    pub incarnation: u64,
}

/// A peer that has fallen silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Who.
    pub victim: Victim,
    /// When it was heard last.
    pub heard_ms: u64,
    /// Since then, in ms.
    pub silence_ms: u64,
}

/// What a heartbeat says beside that its instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Ordinary,
    /// It had been told as silent.
    AfterSilence,
    /// It had been evicted by this process: a pause was taken for a death.
    AfterEviction,
}

/// One that this process has evicted.
#[derive(Debug, Default)]
struct Evicted {
    incarnation: u64,
    /// It has not been heard since.
    is_gone: bool,
    /// What it is given since it was heard again. Another incarnation asks for itself.
    patience: Patience,
}

#[derive(Clone, Debug)]
struct Peer {
    incarnation: u64,
    heard_ms: u64,
    interval_ms: u64,
    patience_ms: u64,
    /// Was heard since the last interruption.
    trusted: bool,
    /// Its silence was told.
    suspected: bool,
    /// When it was evicted by us last.
    evicted_ms: Option<u64>,
}

/// What one engine knows of the others.
#[derive(Debug)]
pub struct Observer {
    options: Options,
    peers: BTreeMap<String, Peer>,
    /// By name, those of [`PEERS_MAX`] peers at most.
    evicted: BTreeMap<String, Evicted>,
    turned_ms: u64,
    /// Own heartbeats on their way: number, and when it was written.
    under_way: VecDeque<(u64, u64)>,
    /// When the last own heartbeat that came back was written: what was appended before that is read.
    returned_ms: u64,
    interrupted_ms: u64,
}

impl Observer {
    /// Knows nobody, and has yet to prove that it is on time.
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

    /// Is due every [`TURN_MS`], and before what was read meanwhile is handed over by [`Observer::heard`]. True
    /// when an interruption of this process ends or goes on.
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

    /// How often this engine writes from here on, in ms: by how many instances there are.
    pub fn write_every(&mut self) -> u32 {
        self.options.interval_ms = interval_ms(self.peers.len() + 1);
        self.options.interval_ms
    }

    /// This engine has written its heartbeat of this number.
    pub fn wrote(&mut self, now_ms: u64, count: u64) {
        if self.under_way.len() == UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        self.under_way.push_back((count, now_ms));
    }

    /// A heartbeat was read, one's own among them. Those of the last session that are found at the start count as
    /// heard then.
    pub fn heard(&mut self, now_ms: u64, heartbeat: &Heartbeat) -> Heard {
        if heartbeat.instance == self.options.instance {
            if heartbeat.incarnation == self.options.incarnation {
                while let Some((count, written_ms)) = self.under_way.front().copied()
                    && count <= heartbeat.count
                {
                    self.returned_ms = self.returned_ms.max(written_ms);
                    self.under_way.pop_front();
                }
            }
            return Heard::Ordinary;
        }
        if heartbeat.goodbye {
            let said = |peer: &Peer| peer.incarnation == heartbeat.incarnation;
            if self.peers.get(&heartbeat.instance).is_some_and(said) {
                self.peers.remove(&heartbeat.instance);
            }
            return Heard::Ordinary;
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

    /// Whether it comes from one that was evicted, which is given twice the silence from then on. It may not know by
    /// itself: the group told it only that it is no member any more, if it woke late.
    fn is_evicted_alive(&mut self, now_ms: u64, heartbeat: &Heartbeat) -> bool {
        let silence_ms = self.silence_of(heartbeat.interval_ms.into(), 0);
        match self.evicted.get_mut(&heartbeat.instance) {
            Some(evicted) if evicted.incarnation == heartbeat.incarnation && evicted.is_gone => {
                evicted.is_gone = false;
                let session_ms = self.options.session_ms;
                evicted.patience.fenced(now_ms, silence_ms, session_ms);
                true
            }
            _ => false,
        }
    }

    /// Those who have fallen silent since this was asked last.
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

    /// The group has no member of this name any more.
    pub fn left(&mut self, victim: &Victim) {
        let same = |peer: &Peer| peer.incarnation == victim.incarnation;
        if self.peers.get(&victim.instance).is_some_and(same) {
            self.peers.remove(&victim.instance);
        }
    }

    /// It was evicted by this process.
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

    /// An eviction of it begins.
    pub fn evicts(&mut self, now_ms: u64, victim: &Victim) {
        if let Some(peer) = self.peers.get_mut(&victim.instance)
            && peer.incarnation == victim.incarnation
        {
            peer.evicted_ms = Some(now_ms);
        }
    }

    /// Whom this process should evict now, if the group says that it is a member.
    pub fn victim(&self, now_ms: u64) -> Option<Victim> {
        let due = |(instance, peer): (&String, &Peer)| {
            self.is_due(now_ms, instance, peer).then(|| Victim {
                instance: instance.clone(),
                incarnation: peer.incarnation,
            })
        };
        self.peers.iter().find_map(due)
    }

    /// Whether an eviction may go on: asked again right before the join, since the group was asked meanwhile. A
    /// victim that has come back would be thrown out by the join, and one that has left would be made by it.
    pub fn may_join(&self, now_ms: u64, victim: &Victim) -> bool {
        planted!(EvictionUnchecked)
            || self.peers.get(&victim.instance).is_some_and(|peer| {
                peer.incarnation == victim.incarnation
                    && self.is_due(now_ms, &victim.instance, peer)
            })
    }

    /// Whether it was heard and is not silent: what it has begun goes on.
    pub fn is_alive(&self, now_ms: u64, instance: &str) -> bool {
        let peer = self.peers.get(instance);
        peer.is_some_and(|peer| !self.is_silent(now_ms, peer))
    }

    /// Whether it was heard, and has been silent for as long as an eviction takes: what a transaction's end needs
    /// to know, besides that no member of the group bears this name.
    pub fn has_stopped(&self, now_ms: u64, instance: &str) -> bool {
        self.peers
            .get(instance)
            .is_some_and(|peer| self.is_silent(now_ms, peer))
    }

    /// How long it has not been heard, in ms.
    pub fn silence(&self, now_ms: u64, instance: &str) -> u64 {
        let peer = self.peers.get(instance);
        peer.map_or(0, |peer| now_ms.saturating_sub(peer.heard_ms))
    }

    /// The silence that is needed to take it for gone, in ms.
    pub fn needs(&self, instance: &str) -> Option<u64> {
        let peer = self.peers.get(instance)?;
        Some(self.silence_of_peer(peer))
    }

    /// Peers and the age of their last heartbeats, in ms.
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
        // Whoever waited for it to come back counts from there: else all would act at once.
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

/// Whether the open transaction of an instance may be ended by others, when its partition was not taken over in an
/// eviction. A live one may own other partitions, and one of an older release writes no heartbeats, so neither is
/// touched. `members`: instance IDs and client IDs of the group.
pub fn may_fence<'a>(
    instance: &str,
    has_stopped: bool,
    mut members: impl Iterator<Item = &'a str>,
) -> bool {
    has_stopped && (planted!(LiveMemberFenced) || members.all(|name| name != instance))
}

#[cfg(test)]
mod tests;
