//! A checkpoint as bytes. For each partition: a batch of state records that ends with a footer, the offset to
//! commit, the ledger records, and in `exactly_once` mode the replies. Or replies and offset alone
//! ([`super::answered`]).

use std::ops::Range;

use crate::core::fold::{Entry, EntryKey, Slot};
use crate::core::{Homes, NextOffset};
use crate::processor::answered::Answered;
use crate::wire::headers::Block;
use crate::wire::ledger::Lines;
use crate::wire::state::{self, BatchId, Footer};

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A partition of the default reply topic.
    Default {
        /// The number of the partition.
        partition: i32,
    },
    /// A topic that the client named and the allow-list permits.
    Named {
        /// The name of the topic.
        topic: &'a str,
        /// How the partition of the topic is chosen.
        partition: Choice,
        /// The partition of the default reply topic for the case that the topic cannot be written.
        fallback: i32,
    },
}

/// A partition of a topic whose number of partitions is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The partition that the client asked for.
    Exact(i32),
    /// The partition is this number modulo the topic's partitions.
    Hash(u32),
}

/// A reply, borrowed from the buffer that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The topic and partition of the reply.
    pub destination: Destination<'a>,
    /// The key of the reply, which is the request's key. None when that is longer than a name may be.
    pub key: Option<&'a [u8]>,
    /// The JSON body of the reply.
    pub body: &'a [u8],
    /// The headers of the reply.
    pub headers: Block<'a>,
}

/// State records in one buffer, in the order in which they are written.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<(Range<usize>, Option<Range<usize>>)>,
}

impl Batch {
    /// Adds an entry with its current value.
    pub fn entry(&mut self, batch: BatchId, entry: &Entry<'_>) {
        let key = self.write(|out| state::encode_key(out, entry.key()));
        let value = self.write(|out| state::entry::encode(out, batch, entry));
        self.records.push((key, Some(value)));
    }

    /// Adds a tombstone for an entry that the fold no longer has.
    pub(super) fn buried(&mut self, key: EntryKey<'_>) {
        let key = self.write(|out| state::encode_key(out, key));
        self.records.push((key, None));
    }

    /// Adds a tombstone for a key of the state topic.
    pub fn tombstone(&mut self, key: &[u8]) {
        let key = self.write(|out| out.extend_from_slice(key));
        self.records.push((key, None));
    }

    /// Adds a record unchanged, as it was read.
    pub fn raw(&mut self, key: &[u8], value: Option<&[u8]>) {
        let key = self.write(|out| out.extend_from_slice(key));
        let value = value.map(|value| self.write(|out| out.extend_from_slice(value)));
        self.records.push((key, value));
    }

    /// Adds the reset, which is the first record of a repair.
    pub fn reset(&mut self, batch: BatchId, reset: &state::Reset) {
        let key = self.write(|out| out.extend_from_slice(state::RESET_KEY));
        let value = self.write(|out| reset.encode(out, batch));
        self.records.push((key, Some(value)));
    }

    /// Closes the batch with a footer.
    pub fn footer(&mut self, batch: BatchId, footer: &Footer) {
        let key = self.write(|out| out.extend_from_slice(state::FOOTER_KEY));
        let value = self.write(|out| footer.encode(out, batch));
        self.records.push((key, Some(value)));
    }

    /// Iterates over keys and values in order. A tombstone has no value.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        self.records.iter().map(|(key, value)| {
            let value = value.clone().map(|value| &self.bytes[value]);
            (&self.bytes[key.clone()], value)
        })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True before the first record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        start..self.bytes.len()
    }
}

/// The parts of a reply as ranges of the buffer.
#[derive(Debug)]
struct HeldReply {
    destination: HeldDestination,
    key: Option<Range<usize>>,
    body: Range<usize>,
    headers: Range<usize>,
}

#[derive(Debug)]
enum HeldDestination {
    Default(i32),
    Named(Range<usize>, Choice, i32),
}

/// Replies that wait for their transaction: in one buffer, in log order.
#[derive(Debug, Default)]
pub struct HeldReplies {
    bytes: Vec<u8>,
    replies: Vec<HeldReply>,
}

impl HeldReplies {
    /// Holds one more reply.
    pub fn push(&mut self, reply: Outgoing<'_>) {
        let mut write = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let destination = match reply.destination {
            Destination::Default { partition } => HeldDestination::Default(partition),
            Destination::Named {
                topic,
                partition,
                fallback,
            } => HeldDestination::Named(write(topic.as_bytes()), partition, fallback),
        };
        let held = HeldReply {
            destination,
            key: reply.key.map(&mut write),
            body: write(reply.body),
            headers: write(reply.headers.0),
        };
        self.replies.push(held);
    }

    /// All replies, in order.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        self.replies.iter().map(|reply| Outgoing {
            destination: match &reply.destination {
                HeldDestination::Default(partition) => Destination::Default {
                    partition: *partition,
                },
                HeldDestination::Named(topic, partition, fallback) => Destination::Named {
                    // The bytes were valid UTF-8 when they were written.
                    topic: std::str::from_utf8(&self.bytes[topic.clone()]).unwrap_or_default(),
                    partition: *partition,
                    fallback: *fallback,
                },
            },
            key: reply.key.clone().map(|key| &self.bytes[key]),
            body: &self.bytes[reply.body.clone()],
            headers: Block(&self.bytes[reply.headers.clone()]),
        })
    }

    /// Puts the replies of an aborted transaction back in front of the later ones.
    pub fn prepend(&mut self, mut earlier: HeldReplies) {
        for reply in self.iter() {
            earlier.push(reply);
        }
        *self = earlier;
    }

    /// Number of replies held.
    pub fn len(&self) -> usize {
        self.replies.len()
    }

    /// True when no reply is held.
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// Number of bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// The part of a checkpoint that belongs to one partition.
#[derive(Debug)]
pub struct Section {
    /// The partition of the section.
    pub partition: i32,
    /// The assignment of the partition under which the section was cut.
    pub assignment: u32,
    /// The ID of the section's batch.
    pub batch_id: BatchId,
    /// State records, the footer last. Empty in a section of replies and offset alone.
    pub batch: Batch,
    /// Present in a section of replies and offset alone, for the committed offset's metadata.
    pub answered: Option<Answered>,
    /// Slots of the entries in the batch.
    pub slots: Vec<Slot>,
    /// Keys that the batch writes because another writer touched them.
    pub touched: Vec<Vec<u8>>,
    /// The offset to commit.
    pub next: NextOffset,
    /// State offset at which the last full rewrite begins, for the committed offset's metadata.
    pub rewrite_from: Option<i64>,
    /// The partitions that names are spread over, for the committed offset's metadata.
    pub homes: Homes,
    /// The epoch whose replies must be acknowledged before the commit.
    pub epoch: u32,
    /// The replies that the transaction carries, in `exactly_once` mode.
    pub replies: HeldReplies,
    /// The ledger records of the requests that the section covers.
    pub ledger: Lines,
}

impl Section {
    /// The committed offset's metadata.
    pub fn metadata(&self) -> String {
        metadata(&self.homes, self.rewrite_from, self.answered)
    }
}

/// The work of one interval of one instance: one transaction.
#[derive(Debug)]
pub struct Checkpoint {
    /// The sections, at most one for each partition.
    pub sections: Vec<Section>,
}

impl Checkpoint {
    /// Number of state records in all batches.
    pub fn records(&self) -> usize {
        self.sections
            .iter()
            .map(|section| section.batch.len())
            .sum()
    }
}

/// The state offsets of a section's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Offset of the first record.
    pub first: i64,
    /// Offset of the footer.
    pub last: i64,
}

const REWRITE_PREFIX: &str = "rewrite=";
const ANSWERED_PREFIX: &str = "answered=";
const PARTITIONS_PREFIX: &str = "partitions=";
const METADATA_SEPARATOR: char = ';';

/// Separates N of one epoch from that of the next.
const EPOCH_SEPARATOR: char = ',';

/// The committed offset's metadata. N of each epoch is there as well, because without the state topic it cannot
/// be found in any other place. The key of the links is not there, because everyone who may describe a group can
/// read this.
fn metadata(homes: &Homes, rewrite_from: Option<i64>, answered: Option<Answered>) -> String {
    let mut metadata = PARTITIONS_PREFIX.to_owned();
    for (epoch, n) in homes.counts().enumerate() {
        if epoch > 0 {
            metadata.push(EPOCH_SEPARATOR);
        }
        metadata.push_str(&n.to_string());
    }
    if let Some(at) = rewrite_from {
        metadata.push_str(&format!("{METADATA_SEPARATOR}{REWRITE_PREFIX}{at}"));
    }
    if let Some(answered) = answered {
        let text = answered.to_text();
        metadata.push_str(&format!("{METADATA_SEPARATOR}{ANSWERED_PREFIX}{text}"));
    }
    metadata
}

fn of_metadata<'a>(metadata: &'a str, prefix: &str) -> Option<&'a str> {
    let mut parts = metadata.split(METADATA_SEPARATOR);
    parts.find_map(|part| part.strip_prefix(prefix))
}

/// Reads where the last full rewrite begins from the committed offset's metadata. It is a hint, so unreadable
/// metadata gives none.
pub fn rewrite_from(metadata: &str) -> Option<i64> {
    of_metadata(metadata, REWRITE_PREFIX)?.parse().ok()
}

/// Reads up to where everything is answered from the committed offset's metadata.
pub(super) fn answered(metadata: &str) -> Option<Answered> {
    Answered::from_text(of_metadata(metadata, ANSWERED_PREFIX)?)
}

/// Reads N of each epoch from the committed offset's metadata, for a repair without a state.
pub fn homes(metadata: &str) -> Option<Homes> {
    let counts = of_metadata(metadata, PARTITIONS_PREFIX)?;
    let counts: Result<Vec<u32>, _> = counts.split(EPOCH_SEPARATOR).map(str::parse).collect();
    Homes::read(counts.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Digest;

    #[test]
    fn replies_of_an_aborted_transaction_go_before_later_ones() {
        let plain = Outgoing {
            destination: Destination::Default { partition: 2 },
            key: Some(b"a"),
            body: b"1",
            headers: Block::EMPTY,
        };
        let mut block = Vec::new();
        crate::wire::headers::block::push(&mut block, "correlation_id", b"7");
        let named = Outgoing {
            destination: Destination::Named {
                topic: "a.reply",
                partition: Choice::Hash(9),
                fallback: 1,
            },
            key: None,
            body: b"2",
            headers: Block(&block),
        };
        let (mut aborted, mut later) = (HeldReplies::default(), HeldReplies::default());
        aborted.push(plain);
        later.push(named);
        later.prepend(aborted);
        assert_eq!(later.iter().collect::<Vec<_>>(), [plain, named]);
    }

    #[test]
    fn metadata_is_a_hint_and_survives_what_others_write_there() {
        let four = Homes::first(4);
        assert_eq!(metadata(&four, Some(42), None), "partitions=4;rewrite=42");
        assert_eq!(rewrite_from(&metadata(&four, Some(42), None)), Some(42));
        assert_eq!(rewrite_from(&metadata(&four, None, None)), None);
        assert_eq!(rewrite_from("someone else's"), None);
        let known = Answered {
            next: NextOffset(9),
            batch: BatchId {
                writer: 10,
                number: 3,
            },
            digest: Digest(255),
            last_applied: None,
        };
        let text = "partitions=4;rewrite=42;answered=9,a,3,ff";
        assert_eq!(metadata(&four, Some(42), Some(known)), text);
        assert_eq!(
            (rewrite_from(text), answered(text)),
            (Some(42), Some(known))
        );
        assert_eq!(homes(text), Some(four));
        assert_eq!(answered("partitions=4"), None);
        let rescaled = Homes::read([4, 12, 24]).unwrap();
        assert_eq!(metadata(&rescaled, None, None), "partitions=4,12,24");
        for known in [four, rescaled] {
            assert_eq!(homes(&metadata(&known, Some(42), None)), Some(known));
            assert_eq!(homes(&metadata(&known, None, None)), Some(known));
        }
        assert_eq!(homes("partitions=0"), None);
        assert_eq!(homes("partitions=4,6"), None);
        assert_eq!(homes("someone else's"), None);
    }
}
