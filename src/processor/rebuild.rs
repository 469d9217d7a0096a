//! Folds a partition's request log again, for a repair whose state topic is lost and whose log is not.
//!
//! The log is the counter. So if the log reaches back far enough, nothing has to be guessed: the result is the
//! state that was lost, and no ID jumps.

use super::folding::Folding;
use super::halt::Halt;
use super::partition::Record;
use crate::core::fold::Answer;
use crate::core::link::LinkKey;
use crate::core::{Fold, NextOffset};
use crate::wire::ledger::Hashes;
use crate::wire::state::Fingerprint;

/// A forwarded request that does not follow the previous one (I6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The partition that forwarded it.
    pub source: u32,
    /// The offset of the request in this partition.
    pub at: NextOffset,
}

/// The state of one partition, as far as its log has been folded.
#[derive(Clone, Debug)]
pub struct Rebuild {
    pub(crate) folding: Folding,
    /// The forwarded request at which the rebuild cannot go on.
    pub broken: Option<Broken>,
    /// True when it stopped at an order to adopt sequences of another partition.
    pub adopts: bool,
}

impl Rebuild {
    /// Starts on top of a state. For a log that begins at 0, that is [`Fold::new`].
    pub fn new(
        partition: u32,
        link_key: LinkKey,
        fold: Fold,
        next: NextOffset,
        last_applied: Option<Fingerprint>,
    ) -> Rebuild {
        Rebuild {
            folding: Folding {
                partition,
                link_key,
                fold,
                next,
                last_applied,
                unknown_links: 0,
            },
            broken: None,
            adopts: false,
        }
    }

    /// The counters that were folded.
    pub fn fold(&self) -> &Fold {
        &self.folding.fold
    }

    /// Folds the next committed record in the same way as the owner did. A broken invariant is left in the
    /// fold.
    pub fn record(&mut self, record: &Record<'_>) {
        if self.broken.is_some() || self.folding.next.covers(record.offset) {
            return;
        }
        let ledger = &mut Hashes::default();
        match self.folding.record(record, &record.request(), ledger) {
            Err(Halt::LinkBroken { source, at, .. }) => {
                self.broken = Some(Broken { source, at });
            }
            // The sequences that were adopted here are in no log.
            Ok((Answer::Adopts { parent, .. }, _)) => {
                self.adopts = true;
                self.broken = Some(Broken {
                    source: parent,
                    at: NextOffset(record.offset.0),
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fold::EntryKey;
    use crate::core::link::{Link, Origin, Position};
    use crate::core::{Offset, Timestamp};
    use crate::wire::headers::Headers;

    const LINK_KEY: LinkKey = LinkKey([3; 32]);

    fn forwarded(link: &str) -> Headers<'_> {
        Headers {
            forwarded: Some(link.as_bytes()),
            ..Headers::default()
        }
    }

    fn record<'a>(offset: i64, headers: &'a Headers<'a>) -> Record<'a> {
        Record {
            partition: 0,
            leader_epoch: 4,
            offset: Offset(offset),
            timestamp: Timestamp(1_000 + offset),
            key: Some(b"orders"),
            value: Some(b"5"),
            headers,
        }
    }

    fn rebuild() -> Rebuild {
        Rebuild::new(0, LINK_KEY, Fold::default(), NextOffset::ZERO, None)
    }

    #[test]
    fn the_log_gives_the_counters_again() {
        let mut rebuild = rebuild();
        for offset in [0, 1, 3] {
            rebuild.record(&record(offset, Headers::NONE));
        }
        rebuild.record(&record(1, Headers::NONE));
        let next = rebuild.fold().description("orders").and_then(|d| d.next);
        assert_eq!((next, rebuild.folding.next), (Some(16), NextOffset(4)));
        assert_eq!(
            rebuild.folding.last_applied.map(|last| last.offset),
            Some(Offset(3))
        );
    }

    #[test]
    fn it_stops_before_a_link_that_does_not_follow_and_counts_those_of_another_key() {
        let link = |key: LinkKey| {
            let position = |offset| Position {
                leader_epoch: 4,
                offset,
            };
            let link = Link {
                partition: 2,
                epoch: 0,
                position: position(9),
                previous: position(8),
                origin: Origin {
                    partition: 2,
                    offset: Offset(9),
                },
                hops: 1,
            };
            link.header(&key, 0, b"orders", Some(b"5"))
        };
        let mut rebuild = rebuild();
        rebuild.record(&record(0, &forwarded(&link(LinkKey([4; 32])))));
        assert_eq!(rebuild.folding.unknown_links, 1);
        rebuild.record(&record(1, &forwarded(&link(LINK_KEY))));
        rebuild.record(&record(2, Headers::NONE));
        let broken = Broken {
            source: 2,
            at: NextOffset(1),
        };
        assert_eq!(
            (rebuild.broken, rebuild.folding.next),
            (Some(broken), NextOffset(1))
        );
        assert!(rebuild.fold().slot(EntryKey::Accepted(2)).is_none());
    }
}
