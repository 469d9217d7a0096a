//! The footer: the truth about one partition at the end of one batch.

use super::bytes::{Reader, push_text};
use super::entry::{flag, read_undefined};
use super::{
    BatchId, FORMAT_VERSION_FIRST, FORMAT_VERSION_OF_ANSWERS, FORMAT_VERSION_OF_RESCALES,
    encode_envelope,
};
use crate::core::limits::EPOCHS_MAX;
use crate::core::link::LinkKey;
use crate::core::{Digest, Homes, NextOffset, Offset, Scalars, Timestamp};

/// Kafka's ID of a topic. A topic that was deleted and created again has another ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub [u8; 16]);

impl std::fmt::Display for TopicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The last applied record, by which a restore recognises its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The offset of the record.
    pub offset: Offset,
    /// Leader epoch under which the record was appended; -1 when unknown. After a truncation, leaders have
    /// higher ones.
    pub leader_epoch: i32,
    /// [`crate::core::digest::fingerprint`] of the record.
    pub hash: u128,
}

/// The last record of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The next request offset to read.
    pub next: NextOffset,
    /// The digest of everything that the fold remembers for the partition.
    pub digest: Digest,
    /// The values that the fold remembers once for the partition.
    pub scalars: Scalars,
    /// The key of the tags of forwarded requests, drawn once with the first N.
    pub link_key: LinkKey,
    /// The version of the rules by which the state was folded.
    pub fold_version: u16,
    /// The ID of the request topic.
    pub topic_id: TopicId,
    /// The last applied record. None before the first one.
    pub last_applied: Option<Fingerprint>,
    /// True when requests beyond the footer may be answered, as the committed offset says. A release that does not
    /// know this would answer them again, so it must not read the footer.
    pub answers_beyond: bool,
    /// Number of records of the batch before the footer.
    pub batch_records: u32,
    /// The consumer group of the service.
    pub group: String,
    /// The instance that wrote the footer, for people.
    pub instance: String,
}

/// Stands for the last applied offset when there is none.
const NO_OFFSET: i64 = -1;
/// Stands for an unknown leader epoch.
pub const NO_LEADER_EPOCH: i32 = -1;

/// The values that state partition 0 decides for the whole service: its first footer decides the first N and the
/// key, and each rescale a further N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The partitions that names are spread over.
    pub homes: Homes,
    /// The key of the tags of forwarded requests.
    pub link_key: LinkKey,
}

fn read_homes(reader: &mut Reader<'_>) -> Option<Homes> {
    let epochs = usize::from(reader.u8()?);
    let mut counts = [0; EPOCHS_MAX];
    let counts = counts.get_mut(..epochs)?;
    for n in counts.iter_mut() {
        *n = reader.u32()?;
    }
    Homes::read(counts.iter().copied())
}

impl Footer {
    /// The values that were decided before this footer was written.
    pub fn decided(&self) -> Decided {
        Decided {
            homes: self.scalars.homes,
            link_key: self.link_key,
        }
    }

    pub(super) fn version(&self) -> u8 {
        match (self.answers_beyond, self.scalars.are_of_rescale()) {
            (true, _) => FORMAT_VERSION_OF_ANSWERS,
            (false, true) => FORMAT_VERSION_OF_RESCALES,
            (false, false) => FORMAT_VERSION_FIRST,
        }
    }

    /// Appends the footer's value to `out`.
    pub fn encode(&self, out: &mut Vec<u8>, batch: BatchId) {
        let Footer {
            next,
            digest,
            scalars,
            link_key,
            fold_version,
            topic_id,
            last_applied,
            answers_beyond: _, // the version says it
            batch_records,
            group,
            instance,
        } = self;
        let Scalars {
            highest_timestamp,
            applied,
            floor,
            undefined,
            window_capacity,
            window_next,
            links_open,
            epoch,
            homes,
            policy_is_own,
            unburied,
        } = scalars;
        let version = self.version();
        encode_envelope(out, batch, version);
        out.extend_from_slice(&next.0.to_be_bytes());
        out.extend_from_slice(&digest.0.to_be_bytes());
        out.extend_from_slice(&highest_timestamp.0.to_be_bytes());
        out.extend_from_slice(&applied.to_be_bytes());
        out.extend_from_slice(&floor.to_be_bytes());
        out.push(undefined.number());
        out.extend_from_slice(&window_capacity.to_be_bytes());
        out.extend_from_slice(&window_next.to_be_bytes());
        out.push(u8::from(*links_open));
        out.extend_from_slice(&epoch.to_be_bytes());
        // At most 16.
        out.push(u8::try_from(homes.counts().count()).unwrap_or(u8::MAX));
        for n in homes.counts() {
            out.extend_from_slice(&n.to_be_bytes());
        }
        if version > FORMAT_VERSION_FIRST {
            out.push(u8::from(*policy_is_own));
            out.extend_from_slice(&unburied.to_be_bytes());
        }
        out.extend_from_slice(&link_key.0);
        out.extend_from_slice(&fold_version.to_be_bytes());
        out.extend_from_slice(&topic_id.0);
        let none = (NO_OFFSET, NO_LEADER_EPOCH, 0);
        let last = last_applied.map(|last| (last.offset.0, last.leader_epoch, last.hash));
        let (offset, leader_epoch, hash) = last.unwrap_or(none);
        out.extend_from_slice(&offset.to_be_bytes());
        out.extend_from_slice(&leader_epoch.to_be_bytes());
        out.extend_from_slice(&hash.to_be_bytes());
        out.extend_from_slice(&batch_records.to_be_bytes());
        push_text(out, group);
        push_text(out, instance);
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u8) -> Option<Footer> {
        let of_rescale = version > FORMAT_VERSION_FIRST;
        Some(Footer {
            next: NextOffset(reader.offset()?),
            digest: Digest(reader.u128()?),
            scalars: Scalars {
                highest_timestamp: Timestamp(reader.i64()?),
                applied: reader.count()?,
                floor: reader.i64()?,
                undefined: read_undefined(reader)?,
                window_capacity: reader.u32()?,
                window_next: reader.count()?,
                links_open: flag(reader)?,
                epoch: reader.u64()?,
                homes: read_homes(reader)?,
                policy_is_own: of_rescale && flag(reader)?,
                unburied: if of_rescale { reader.count()? } else { 0 },
            },
            link_key: LinkKey(reader.array()?),
            fold_version: reader.u16()?,
            topic_id: TopicId(reader.array()?),
            last_applied: match (
                reader.i64()?,
                i32::from_be_bytes(reader.array()?),
                reader.u128()?,
            ) {
                (NO_OFFSET, NO_LEADER_EPOCH, 0) => None,
                (offset, leader_epoch, _) if offset < 0 || leader_epoch < NO_LEADER_EPOCH => {
                    return None;
                }
                (offset, leader_epoch, hash) => Some(Fingerprint {
                    offset: Offset(offset),
                    leader_epoch,
                    hash,
                }),
            },
            answers_beyond: version == FORMAT_VERSION_OF_ANSWERS,
            batch_records: reader.u32()?,
            group: reader.text()?.to_owned(),
            instance: reader.text()?.to_owned(),
        })
    }
}
