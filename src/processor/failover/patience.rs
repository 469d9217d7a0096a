//! An instance that was evicted alive asks for more patience, so that it is not evicted again at once.
//!
//! It tells so itself, in its heartbeats: it always knows, since the group fences it, and all others hear it,
//! whoever of them evicted it.

/// How long an instance must have been left in peace before it asks for less again, in ms.
const CALM_MS: u64 = 10 * 60 * 1_000;

/// What an instance asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    asked_ms: u64,
    fenced_ms: u64,
}

impl Patience {
    /// The group has fenced this instance: twice the silence that it could not keep, at most a session.
    pub fn fenced(&mut self, now_ms: u64, silence_ms: u64, session_ms: u64) {
        let before = self.asked(now_ms).max(silence_ms);
        self.asked_ms = (2 * before).min(session_ms);
        self.fenced_ms = now_ms;
    }

    /// What its heartbeats ask for, in ms; 0 for nothing.
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
