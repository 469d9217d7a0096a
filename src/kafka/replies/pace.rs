//! Chooses the producer of replies: the one that sends each reply at once, or the one that waits for a full
//! batch.
//!
//! Replies of one name must stay in order for their readers, and two producers overtake each other. So only one
//! is in use at a time. The other one takes over when nothing is in progress with the first. Until then no
//! record is taken. This lasts as long as a broker takes to acknowledge.

use std::time::{Duration, Instant};

/// How a reply is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Each reply at once.
    Swift,
    /// With many others, because there is a backlog.
    Bulk,
}

/// With more replies than this in progress there is a backlog. At 200,000 a second, fewer are in progress when
/// each reply is sent at once.
pub(in crate::kafka) const BACKLOG_REPLIES: i32 = 1_500;
/// With fewer than this in progress the backlog may be over. At 60,000 replies a second, linger and the round
/// trip to the broker keep this many in progress. This must not be above [`BACKLOG_REPLIES`]. Otherwise a
/// steady stream could have a backlog by one limit and none by the other, because a reply takes longer with the
/// linger.
const CALM_REPLIES: i32 = BACKLOG_REPLIES;
/// The calm must last this long. In a drain, few replies are in progress for a moment whenever the next fetch
/// is awaited, and each change of the producer stops the intake until the last reply is acknowledged.
const CALM_LASTS: Duration = Duration::from_millis(50);

/// The producer in use, and the one that is wanted.
#[derive(Debug)]
pub(super) struct Switch {
    used: Pace,
    wanted: Pace,
    /// Since when few replies have been in progress with [`Pace::Bulk`].
    calm_since: Option<Instant>,
}

impl Default for Switch {
    fn default() -> Switch {
        Switch {
            used: Pace::Swift,
            wanted: Pace::Swift,
            calm_since: None,
        }
    }
}

impl Switch {
    /// The pace in use.
    pub(super) fn used(&self) -> Pace {
        self.used
    }

    /// Takes the number of replies in progress into account. False while records should not be taken, because
    /// the other producer is wanted and this one is not done.
    pub(super) fn settle(&mut self, now: Instant, under_way: i32) -> bool {
        match (self.used, self.wanted) {
            (Pace::Swift, Pace::Swift) if under_way > BACKLOG_REPLIES => self.wanted = Pace::Bulk,
            (Pace::Bulk, Pace::Bulk) if under_way >= CALM_REPLIES => self.calm_since = None,
            (Pace::Bulk, Pace::Bulk) => {
                let since = *self.calm_since.get_or_insert(now);
                if now.duration_since(since) >= CALM_LASTS {
                    self.wanted = Pace::Swift;
                }
            }
            // A wanted producer is always taken into use, although the number of replies falls in between.
            _ => {}
        }
        if under_way == 0 && self.used != self.wanted {
            self.used = self.wanted;
            self.calm_since = None;
        }
        self.used == self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_sent_in_bulk_once_nothing_is_under_way() {
        let now = Instant::now();
        let mut switch = Switch::default();
        assert!(switch.settle(now, 1_500));
        assert!(!switch.settle(now, 1_501));
        assert_eq!(switch.used(), Pace::Swift);
        assert!(
            !switch.settle(now, 1),
            "what is under way might be overtaken"
        );
        assert!(switch.settle(now, 0));
        assert_eq!(switch.used(), Pace::Bulk);
    }

    #[test]
    fn a_calm_stream_is_sent_at_once_again_and_no_sooner() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut switch = Switch {
            used: Pace::Bulk,
            wanted: Pace::Bulk,
            calm_since: None,
        };
        assert!(switch.settle(start, 1_499));
        assert!(switch.settle(after(49), 0), "not calm for long enough");
        assert!(
            switch.settle(after(49), 1_500),
            "and so it was a moment only"
        );
        assert!(switch.settle(after(50), 1_499));
        assert!(switch.settle(after(99), 1_499));
        assert!(!switch.settle(after(100), 1_499));
        assert_eq!(switch.used(), Pace::Bulk);
        assert!(!switch.settle(after(101), 1_600), "the change is made");
        assert!(switch.settle(after(102), 0));
        assert_eq!(switch.used(), Pace::Swift);
    }

    /// Whatever the rate and the latency of the brokers, a steady stream changes the producer once.
    #[test]
    fn an_even_stream_does_not_go_to_and_fro() {
        const LINGER_MS: u64 = 20;
        let start = Instant::now();
        for rate in (1_000..=400_000).step_by(1_000) {
            for acknowledged_ms in 1..=200 {
                let mut switch = Switch::default();
                let mut changes = 0;
                for ms in 0..400 {
                    let linger_ms = match switch.used() {
                        Pace::Swift => 0,
                        Pace::Bulk => LINGER_MS,
                    };
                    let under_way = match switch.used == switch.wanted {
                        true => rate * (acknowledged_ms + linger_ms) / 1_000,
                        false => 0,
                    };
                    let before = switch.used();
                    let under_way = i32::try_from(under_way).unwrap();
                    switch.settle(start + Duration::from_millis(ms), under_way);
                    changes += u32::from(switch.used() != before);
                }
                assert!(changes <= 1, "{rate}/s, {acknowledged_ms} ms: {changes}");
            }
        }
    }
}
