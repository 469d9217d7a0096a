//! Another process with the same `instance_id`: an instance that hears one does not start.
//!
//! Two such processes would throw each other out without end: each takes the place of the other in the group
//! and fences the other's transactions. So an engine listens before it makes any client: at the start of its
//! process, and after it was fenced. An engine that a peer evicted, or whose predecessor crashed, hears no
//! namesake and goes on.

use super::heartbeat::{Heartbeat, Sign};
use crate::core::planted::planted;

/// This number of heartbeats of one other incarnation, appended while this process listens, shows another
/// process. A single heartbeat may have been on its way when its process ended.
const HEARD_MIN: u32 = 2;
/// Lower limit for the listening time, in ms: several intervals of a peer, and the delay of a busy machine.
const LISTEN_MIN_MS: u64 = 300;
/// The listening time in intervals: two heartbeats arrive in it even if one is late by an interval.
const LISTEN_INTERVALS: u64 = 3;

/// The listening time before this process starts under its `instance_id`, in ms.
pub fn listen_ms(interval_ms: u32) -> u64 {
    LISTEN_MIN_MS.max(LISTEN_INTERVALS * u64::from(interval_ms))
}

/// Counts heartbeats with this process's own `instance_id`.
#[derive(Debug)]
pub struct Namesake {
    instance: String,
    /// The incarnations of this process, whose last heartbeats may still arrive.
    own: Vec<u64>,
    /// Each other incarnation, and the number of its heartbeats.
    others: Vec<(u64, u32)>,
}

impl Namesake {
    /// Starts to count. Only heartbeats that are appended after this call are passed to [`Namesake::heard`].
    pub fn new(instance: &str, own: Vec<u64>) -> Namesake {
        Namesake {
            instance: instance.to_owned(),
            own,
            others: Vec::new(),
        }
    }

    /// Counts a heartbeat that was appended.
    pub fn heard(&mut self, heartbeat: &Heartbeat) {
        let Heartbeat { incarnation, .. } = *heartbeat;
        if heartbeat.instance != self.instance || self.own.contains(&incarnation) {
            return;
        }
        match heartbeat.sign {
            Sign::Alive => {}
            Sign::Goodbye => {
                self.others.retain(|(other, _)| *other != incarnation);
                return;
            }
            // A peer wrote it.
            Sign::Evicted => return,
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

    /// True when another process lives under this name. If an engine was fenced and has heard no namesake, a
    /// peer evicted it because it seemed to be gone. Such an engine goes on.
    pub fn is_in_use(&self) -> bool {
        planted!(FencedExitsUnheard) || self.others.iter().any(|(_, heard)| *heard >= HEARD_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(instance: &str, incarnation: u64, ends: bool) -> Heartbeat {
        Heartbeat {
            instance: instance.to_owned(),
            incarnation,
            count: 0,
            interval_ms: 50,
            patience_ms: 0,
            sign: if ends { Sign::Goodbye } else { Sign::Alive },
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
