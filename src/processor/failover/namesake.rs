//! Another process with the same `instance_id`: whoever finds one does not begin.
//!
//! Two of them would throw each other out without end: each takes the other's place in the group and fences the
//! other's transactions. So an engine listens before it makes any client: at the start of its process, and when it
//! was fenced. One that was evicted by a peer, or whose predecessor crashed, hears nobody and goes on.

use super::heartbeat::Heartbeat;
use crate::core::planted::planted;

/// So many heartbeats of one other incarnation, appended while one listens, are another process. One alone may have
/// been on its way when its process ended.
const HEARD_MIN: u32 = 2;
/// How long to listen at least, in ms: several intervals of a peer, and what a busy machine adds.
const LISTEN_MIN_MS: u64 = 300;
/// How many intervals to listen: two heartbeats come in them even if one is late by an interval.
const LISTEN_INTERVALS: u64 = 3;

/// How long to listen for a process of one's own name, in ms.
pub fn listen_ms(interval_ms: u32) -> u64 {
    LISTEN_MIN_MS.max(LISTEN_INTERVALS * u64::from(interval_ms))
}

/// Listens for one's own name.
#[derive(Debug)]
pub struct Namesake {
    instance: String,
    /// Of this process, whose last heartbeats may still come.
    own: Vec<u64>,
    /// Each other incarnation, and how often it was heard.
    others: Vec<(u64, u32)>,
}

impl Namesake {
    /// From here on, heartbeats that are appended count.
    pub fn new(instance: &str, own: Vec<u64>) -> Namesake {
        Namesake {
            instance: instance.to_owned(),
            own,
            others: Vec::new(),
        }
    }

    /// A heartbeat was appended.
    pub fn heard(&mut self, heartbeat: &Heartbeat) {
        let Heartbeat { incarnation, .. } = *heartbeat;
        if heartbeat.instance != self.instance || self.own.contains(&incarnation) {
            return;
        }
        if heartbeat.goodbye {
            self.others.retain(|(other, _)| *other != incarnation);
            return;
        }
        match self
            .others
            .iter_mut()
            .find(|(other, _)| *other == incarnation)
        {
            Some((_, heard)) => *heard += 1,
            None => self.others.push((incarnation, 1)),
        }
    }

    /// Whether another process lives under this name. Of an engine that was fenced and has not heard one, a peer
    /// thought that it was gone: it goes on.
    pub fn is_in_use(&self) -> bool {
        planted!(FencedExitsUnheard) || self.others.iter().any(|(_, heard)| *heard >= HEARD_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(instance: &str, incarnation: u64, goodbye: bool) -> Heartbeat {
        Heartbeat {
            instance: instance.to_owned(),
            incarnation,
            count: 0,
            interval_ms: 50,
            patience_ms: 0,
            goodbye,
        }
    }

    #[test]
    fn two_heartbeats_of_one_other_incarnation_are_another_process() {
        let mut namesake = Namesake::new("a", vec![1, 2]);
        for _ in 0..5 {
            namesake.heard(&heartbeat("b", 9, false));
            namesake.heard(&heartbeat("a", 1, false));
            namesake.heard(&heartbeat("a", 2, false));
        }
        namesake.heard(&heartbeat("a", 3, false));
        namesake.heard(&heartbeat("a", 4, false));
        assert!(!namesake.is_in_use());
        namesake.heard(&heartbeat("a", 3, false));
        assert!(namesake.is_in_use());
    }

    #[test]
    fn one_that_says_goodbye_is_no_process_any_more() {
        let mut namesake = Namesake::new("a", Vec::new());
        for goodbye in [false, false, true] {
            namesake.heard(&heartbeat("a", 3, goodbye));
        }
        assert!(!namesake.is_in_use());
    }

    #[test]
    fn slow_peers_are_listened_to_for_longer() {
        assert_eq!(listen_ms(50), LISTEN_MIN_MS);
        assert_eq!(listen_ms(100), LISTEN_MIN_MS);
        assert_eq!(listen_ms(250), 750);
    }
}
