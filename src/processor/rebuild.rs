//! Folds a partition's request log again, for a repair whose state topic is lost and whose log is not.
//!
//! The log is the counter. So if the log reaches back far enough, nothing has to be guessed: the result is the
//! state that was lost, and no ID jumps.

use super::partition::Record;
use crate::core::digest::fingerprint;
use crate::core::fold::{Answer, At};
use crate::core::link::Link;
use crate::core::partitioner::partition_of;
use crate::core::{Fold, NextOffset};
use crate::wire::ledger::Hashes;
use crate::wire::request;
use crate::wire::state::{Decided, Fingerprint};

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
    partition: u32,
    decided: Decided,
    /// The counters that were folded.
    pub fold: Fold,
    /// The offset of the next record to fold.
    pub next: NextOffset,
    /// The last record that was folded.
    pub last_applied: Option<Fingerprint>,
    /// Records with a link that was not made with this service's key: forged, or made with a key that is lost.
    pub unknown_links: u64,
    /// The forwarded request at which the rebuild cannot go on.
    pub broken: Option<Broken>,
}

impl Rebuild {
    /// Starts on top of a state, which is empty for a log that begins at 0.
    pub fn new(
        partition: u32,
        decided: Decided,
        fold: Fold,
        next: NextOffset,
        last_applied: Option<Fingerprint>,
    ) -> Rebuild {
        Rebuild {
            partition,
            decided,
            fold,
            next,
            last_applied,
            unknown_links: 0,
            broken: None,
        }
    }

    /// Folds the next committed record in the same way as the owner did.
    pub fn record(&mut self, record: &Record<'_>) {
        if self.broken.is_some() || self.next.covers(record.offset) {
            return;
        }
        let request = request::decode(record.key, record.value, record.headers.request_id);
        let at = At {
            partition: self.partition,
            partitions: self.decided.partitions,
            leader_epoch: record.leader_epoch,
            offset: record.offset,
            timestamp: record.timestamp,
        };
        let link = self.link(record);
        if let Answer::Broken { link, .. } =
            self.fold.apply(at, link, &request, &mut Hashes::default())
        {
            self.broken = Some(Broken {
                source: link.partition,
                at: NextOffset(record.offset.0),
            });
            return;
        }
        if self.fold.broken().is_some() {
            return;
        }
        self.next = NextOffset::after(record.offset);
        self.last_applied = Some(Fingerprint {
            offset: record.offset,
            leader_epoch: record.leader_epoch,
            hash: fingerprint(record.key, record.value, record.timestamp.0),
        });
    }

    fn link(&mut self, record: &Record<'_>) -> Option<Link> {
        let (header, key) = (record.headers.forwarded?, record.key?);
        let link = Link::verified(header, &self.decided.link_key, key, record.value);
        self.unknown_links += u64::from(link.is_none());
        link.filter(|_| partition_of(key, self.decided.partitions) == self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fold::EntryKey;
    use crate::core::link::{LinkKey, Position};
    use crate::core::{Offset, Timestamp};
    use crate::wire::headers::Headers;

    const DECIDED: Decided = Decided {
        partitions: 1,
        link_key: LinkKey([3; 32]),
    };

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
        Rebuild::new(0, DECIDED, Fold::default(), NextOffset::ZERO, None)
    }

    #[test]
    fn the_log_gives_the_counters_again() {
        let mut rebuild = rebuild();
        for offset in [0, 1, 3] {
            rebuild.record(&record(offset, Headers::NONE));
        }
        rebuild.record(&record(1, Headers::NONE));
        let next = rebuild.fold.description("orders").and_then(|d| d.next);
        assert_eq!((next, rebuild.next), (Some(16), NextOffset(4)));
        assert_eq!(
            rebuild.last_applied.map(|last| last.offset),
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
            };
            link.header(&key, b"orders", Some(b"5"))
        };
        let mut rebuild = rebuild();
        rebuild.record(&record(0, &forwarded(&link(LinkKey([4; 32])))));
        assert_eq!(rebuild.unknown_links, 1);
        rebuild.record(&record(1, &forwarded(&link(DECIDED.link_key))));
        rebuild.record(&record(2, Headers::NONE));
        let broken = Broken {
            source: 2,
            at: NextOffset(1),
        };
        assert_eq!(
            (rebuild.broken, rebuild.next),
            (Some(broken), NextOffset(1))
        );
        assert!(rebuild.fold.slot(EntryKey::Accepted(2)).is_none());
    }
}
