//! After an instance was evicted alive, it asks for more patience, so that it is not evicted again at once.
//!
//! The instance asks in its own heartbeats. It always knows of its eviction, because the group fences it. All
//! peers read its heartbeats, whichever of them evicted it.

/// After this time without an eviction an instance asks for less patience again, in ms.
const CALM_MS: u64 = 10 * 60 * 1_000;

/// The patience that an instance asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    asked_ms: u64,
    fenced_ms: u64,
}

impl Patience {
    /// Notes that the group has fenced this instance. It asks for twice the silence that it could not keep,
    /// at most a session.
    pub fn fenced(&mut self, now_ms: u64, silence_ms: u64, session_ms: u64) {
        let before = self.asked(now_ms).max(silence_ms);
        self.asked_ms = (2 * before).min(session_ms);
        self.fenced_ms = now_ms;
    }

    /// The patience that the instance's heartbeats ask for, in ms; 0 when they ask for none.
    pub fn asked(&self, now_ms: u64) -> u64 {
        match now_ms.saturating_sub(self.fenced_ms) {
            0..CALM_MS => self.asked_ms,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_a_session_and_is_forgotten_in_calm() {
        let mut patience = Patience::default();
        assert_eq!(patience.asked(0), 0);
        for expected in [400, 800, 1_600, 3_200, 6_000, 6_000] {
            patience.fenced(1_000, 200, 6_000);
            assert_eq!(patience.asked(1_000), expected);
        }
        assert_eq!(patience.asked(1_000 + CALM_MS - 1), 6_000);
        assert_eq!(patience.asked(1_000 + CALM_MS), 0);
        patience.fenced(1_000 + CALM_MS, 200, 6_000);
        assert_eq!(patience.asked(1_000 + CALM_MS), 400);
    }
}
