//! Which of two producers replies go through: the one that sends each at once, or the one that waits for
//! a full batch.
//!
//! Replies of one name must stay in order for whoever reads them, and two producers overtake each other.
//! So there is one at a time: the other one is taken into use when nothing is under way with the first.
//! Until then no record is taken, which lasts as long as a broker takes to acknowledge.

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
const BACKLOG_REPLIES: i32 = 1_000;
/// With fewer than this under way there is none any more: what linger alone keeps under way at 70,000 a
/// second. Far enough below [`BACKLOG_REPLIES`] that a broker's hiccup does not make us go to and fro.
const CALM_REPLIES: i32 = 500;

/// The producer in use, and the one that is wanted.
#[derive(Debug)]
pub(super) struct Switch {
    used: Pace,
    wanted: Pace,
}

impl Default for Switch {
    fn default() -> Switch {
        Switch {
            used: Pace::Swift,
            wanted: Pace::Swift,
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
    pub(super) fn settle(&mut self, under_way: i32) -> bool {
        self.wanted = match self.wanted {
            Pace::Swift if under_way > BACKLOG_REPLIES => Pace::Bulk,
            // Once it is wanted it is taken into use: what made it wanted goes down meanwhile.
            Pace::Bulk if self.used == Pace::Bulk && under_way < CALM_REPLIES => Pace::Swift,
            wanted => wanted,
        };
        if under_way == 0 {
            self.used = self.wanted;
        }
        self.used == self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_sent_in_bulk_once_nothing_is_under_way() {
        let mut switch = Switch::default();
        assert!(switch.settle(1_000));
        assert!(!switch.settle(1_001));
        assert_eq!(switch.used(), Pace::Swift);
        assert!(!switch.settle(1), "what is under way might be overtaken");
        assert!(switch.settle(0));
        assert_eq!(switch.used(), Pace::Bulk);
    }

    #[test]
    fn a_calm_stream_is_sent_at_once_again_and_no_sooner() {
        let mut switch = Switch {
            used: Pace::Bulk,
            wanted: Pace::Bulk,
        };
        assert!(switch.settle(500));
        assert!(!switch.settle(499));
        assert_eq!(switch.used(), Pace::Bulk);
        assert!(switch.settle(0));
        assert_eq!(switch.used(), Pace::Swift);
    }
}
