//! After an instance was evicted alive, it asks for more patience, so that it is not evicted again at once.
//!
//! The instance asks in its own heartbeats, which all peers read. It knows of its eviction: it reads the notice
//! that its evictor writes, or the group tells it.

/// An instance that was evicted alive is left to the group for this time, in ms: one that is hard to reach would
/// lose its partitions again and again.
const QUIET_MS: u64 = 10_000;
/// After this time without an eviction an instance asks for less patience again, in ms.
const CALM_MS: u64 = 10 * 60 * 1_000;

/// The patience that an instance asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// In the quiet, a session.
    session_ms: u64,
    /// After the quiet.
    asked_ms: u64,
    evicted_ms: u64,
}

impl Patience {
    /// Notes a sign that this instance was evicted alive. It asks for twice the silence that it could not keep,
    /// at most a session, and in the quiet for a whole session. Further signs in the quiet are of the same eviction.
    pub fn evicted(&mut self, now_ms: u64, silence_ms: u64, session_ms: u64) {
        if self.session_ms > 0 && self.age(now_ms) < QUIET_MS {
            return;
        }
        let before = self.asked(now_ms).max(silence_ms);
        self.session_ms = session_ms;
        self.asked_ms = (2 * before).min(session_ms);
        self.evicted_ms = now_ms;
    }

    /// The patience that the instance's heartbeats ask for, in ms; 0 when they ask for none.
    pub fn asked(&self, now_ms: u64) -> u64 {
        match self.age(now_ms) {
            0..QUIET_MS => self.session_ms,
            QUIET_MS..CALM_MS => self.asked_ms,
            _ => 0,
        }
    }

    fn age(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.evicted_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_then_doubles_up_to_a_session_and_is_forgotten_in_calm() {
        let mut patience = Patience::default();
        assert_eq!(patience.asked(0), 0);
        let mut now_ms = 0;
        for expected in [400, 800, 1_600, 3_200, 6_000, 6_000] {
            now_ms += QUIET_MS;
            patience.evicted(now_ms, 200, 6_000);
            patience.evicted(now_ms + 1, 200, 6_000);
            assert_eq!(patience.asked(now_ms + QUIET_MS - 1), 6_000);
            assert_eq!(patience.asked(now_ms + QUIET_MS), expected);
        }
        assert_eq!(patience.asked(now_ms + CALM_MS - 1), 6_000);
        now_ms += CALM_MS;
        assert_eq!(patience.asked(now_ms), 0);
        patience.evicted(now_ms, 200, 6_000);
        assert_eq!(patience.asked(now_ms + QUIET_MS), 400);
    }
}
