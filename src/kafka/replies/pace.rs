//! Which of two producers replies go through: the one that sends each at once, or the one that waits for
//! a full batch.
//!
//! Replies of one name must stay in order for whoever reads them, and two producers overtake each other.
//! So there is one at a time: the other one is taken into use when nothing is under way with the first.
//! Until then no record is taken, which lasts as long as a broker takes to acknowledge.

use std::time::{Duration, Instant};

/// How a reply is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once.
    Swift,
    /// With many others: there is a backlog.
    Bulk,
}

/// With more replies than this under way there is a backlog. At 200,000 a second fewer are under way
/// when each is sent at once.
pub(in crate::kafka) const BACKLOG_REPLIES: i32 = 1_500;
/// With fewer than this under way there may be none any more: what linger and the way to the broker keep under
/// way at 60,000 a second. Not above the other, or an even stream could have a backlog by this and none by that:
/// a reply takes longer with the linger.
const CALM_REPLIES: i32 = BACKLOG_REPLIES;
/// It must have been calm for so long: in a drain few are under way for a moment whenever the next fetch
/// is waited for, and each change stops the intake until the last reply is acknowledged.
const CALM_LASTS: Duration = Duration::from_millis(50);

/// The producer in use, and the one that is wanted.
#[derive(Debug)]
pub(super) struct Switch {
    used: Pace,
    wanted: Pace,
    /// Since when few have been under way with [`Pace::Bulk`].
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
    /// The one in use.
    pub(super) fn used(&self) -> Pace {
        self.used
    }

    /// Looks at how many replies are under way. False while records should not be taken, because the
    /// other producer is wanted and this one is not done.
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
            // Once it is wanted it is taken into use: what made it wanted goes down meanwhile.
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

    /// Whatever the rate and the brokers' time: a stream that does not change changes the producer once.
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
