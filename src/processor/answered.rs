//! The committed offset as a place to go on at. In `exactly_once` mode, a transaction may hold replies and offsets
//! alone, without a footer. Then requests above the last footer are answered, and only the committed offset shows
//! it.
//!
//! The metadata of such an offset says to which state it belongs. A new owner folds the requests from the footer to
//! that offset without replies, and compares its fold with the metadata there. An offset without such metadata, or
//! with that of another state, is not believed: the answers since the footer are sent again.

use super::halt::Halt;
use crate::core::planted::planted;
use crate::core::{Digest, NextOffset, Offset};
use crate::wire::state::{BatchId, Fingerprint};

/// The end of the answered requests above a footer, and the fold there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The next request to answer: the committed offset itself. An operator who moves the offset does not change
    /// this.
    pub next: NextOffset,
    /// The batch of the last footer before it. A repair writes another one.
    pub batch: BatchId,
    /// The digest of the fold.
    pub digest: Digest,
    /// The last applied record. None before the first one.
    pub last_applied: Option<Fingerprint>,
}

/// Separates the values of the text.
const SEPARATOR: char = ',';

impl Answered {
    /// The text for the committed offset's metadata.
    pub(super) fn to_text(self) -> String {
        let Answered {
            next,
            batch: BatchId { writer, number },
            digest,
            last_applied,
        } = self;
        let mut text = format!("{next},{writer:x},{number},{:x}", digest.0);
        if let Some(Fingerprint {
            offset,
            leader_epoch,
            hash,
        }) = last_applied
        {
            text.push_str(&format!(",{offset},{leader_epoch},{hash:x}"));
        }
        text
    }

    /// Reads the text. None for any other text.
    pub(super) fn from_text(text: &str) -> Option<Answered> {
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        let (next, writer, number, digest, last) = match parts[..] {
            [next, writer, number, digest] => (next, writer, number, digest, None),
            [next, writer, number, digest, offset, leader_epoch, hash] => {
                let last = Fingerprint {
                    offset: Offset(offset.parse().ok()?),
                    leader_epoch: leader_epoch.parse().ok()?,
                    hash: u128::from_str_radix(hash, 16).ok()?,
                };
                (next, writer, number, digest, Some(last))
            }
            _ => return None,
        };
        Some(Answered {
            next: NextOffset(next.parse().ok()?),
            batch: BatchId {
                writer: u64::from_str_radix(writer, 16).ok()?,
                number: number.parse().ok()?,
            },
            digest: Digest(u128::from_str_radix(digest, 16).ok()?),
            last_applied: last,
        })
    }

    /// True when the group has committed this offset, and it lies beyond the footer of this batch.
    pub(super) fn follows(
        &self,
        committed: NextOffset,
        footer: NextOffset,
        batch: BatchId,
    ) -> bool {
        let is_unmoved = self.next == committed;
        let is_of_state = self.batch == batch || planted!(OldOffsetBelieved);
        is_unmoved && is_of_state && self.next > footer
    }

    /// The halt when it is another one. `found`: the last record that was applied instead.
    pub fn other_record(&self, found: Option<Fingerprint>) -> Halt {
        let last = self.last_applied.or(found);
        Halt::OtherRecord {
            offset: last.map_or(Offset(self.next.0 - 1), |last| last.offset),
            next: self.next,
        }
    }

    /// True when a fold that has arrived at the offset is the one that was answered from.
    pub fn is(&self, digest: Digest, last_applied: Option<Fingerprint>) -> bool {
        let record = |last: Option<Fingerprint>| last.map(|last| (last.offset, last.hash));
        let same = self.digest == digest && record(self.last_applied) == record(last_applied);
        same || planted!(OffsetUndigested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Fold;

    const BATCH: BatchId = BatchId {
        writer: u64::MAX,
        number: 12,
    };

    fn answered() -> Answered {
        Answered {
            next: NextOffset(120),
            batch: BATCH,
            digest: Digest(u128::MAX),
            last_applied: Some(Fingerprint {
                offset: Offset(117),
                leader_epoch: -1,
                hash: 7,
            }),
        }
    }

    #[test]
    fn its_text_survives_and_any_other_text_is_none() {
        let without = Answered {
            last_applied: None,
            ..answered()
        };
        for known in [answered(), without] {
            assert_eq!(Answered::from_text(&known.to_text()), Some(known));
        }
        assert_eq!(
            answered().to_text(),
            "120,ffffffffffffffff,12,ffffffffffffffffffffffffffffffff,117,-1,7"
        );
        for other in [
            "",
            "120",
            "120,1,2,x",
            "a,1,2,3",
            "120,1,2,3,4,5",
            "1,2,3,4,5,6,7,8",
        ] {
            assert_eq!(Answered::from_text(other), None, "{other}");
        }
    }

    #[test]
    fn an_offset_that_was_moved_or_is_of_another_state_is_not_believed() {
        let follows = |committed, footer, batch| {
            answered().follows(NextOffset(committed), NextOffset(footer), batch)
        };
        assert!(follows(120, 100, BATCH));
        assert!(!follows(119, 100, BATCH), "moved back");
        assert!(!follows(121, 100, BATCH), "moved on");
        let of_repair = BatchId {
            writer: 4,
            number: 1,
        };
        assert!(!follows(120, 100, of_repair));
        assert!(!follows(120, 120, BATCH), "the footer covers it");
    }

    #[test]
    fn the_fold_must_have_the_digest_and_the_last_record() {
        let known = answered();
        let digest = Fold::default().cut(&mut Vec::new());
        assert!(known.is(known.digest, known.last_applied));
        assert!(!known.is(digest, known.last_applied));
        assert!(!known.is(known.digest, None));
    }
}
