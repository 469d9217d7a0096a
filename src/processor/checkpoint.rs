//! A checkpoint as bytes: for each partition a batch of state records that ends with a footer, the
//! offset to commit, the ledger records, and in `exactly_once` mode the replies.

use std::ops::Range;

use crate::core::NextOffset;
use crate::core::fold::{Entry, Slot};
use crate::wire::headers::Block;
use crate::wire::ledger::Lines;
use crate::wire::state::{self, BatchId, Footer};

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A partition of the default reply topic.
    Default {
        /// Its number.
        partition: i32,
    },
    /// A topic that the client named, and that the allow-list has.
    Named {
        /// Its name.
        topic: &'a str,
        /// Which of its partitions.
        partition: Choice,
        /// The partition of the default reply topic, for when the topic cannot be written.
        fallback: i32,
    },
}

/// A partition of a topic whose number of partitions is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The client asked for this one.
    Exact(i32),
    /// This number modulo the topic's partitions.
    Hash(u32),
}

/// A reply, borrowed from where it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Where it goes.
    pub destination: Destination<'a>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its body.
    pub body: &'a [u8],
    /// Its headers.
    pub headers: Block<'a>,
}

/// State records in one buffer, in the order in which they are written.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<(Range<usize>, Option<Range<usize>>)>,
}

impl Batch {
    /// Adds an entry as it stands.
    pub fn entry(&mut self, batch: BatchId, entry: &Entry<'_>) {
        let key = self.write(|out| state::encode_key(out, entry.key()));
        let value = self.write(|out| state::entry::encode(out, batch, entry));
        self.records.push((key, Some(value)));
    }

    /// Adds a tombstone for a key as it lies in the state topic.
    pub fn tombstone(&mut self, key: &[u8]) {
        let key = self.write(|out| out.extend_from_slice(key));
        self.records.push((key, None));
    }

    /// Adds a record as it was read.
    pub fn raw(&mut self, key: &[u8], value: Option<&[u8]>) {
        let key = self.write(|out| out.extend_from_slice(key));
        let value = value.map(|value| self.write(|out| out.extend_from_slice(value)));
        self.records.push((key, value));
    }

    /// Adds the reset with which a repair begins.
    pub fn reset(&mut self, batch: BatchId, reset: &state::Reset) {
        let key = self.write(|out| out.extend_from_slice(state::RESET_KEY));
        let value = self.write(|out| reset.encode(out, batch));
        self.records.push((key, Some(value)));
    }

    /// Closes the batch.
    pub fn footer(&mut self, batch: BatchId, footer: &Footer) {
        let key = self.write(|out| out.extend_from_slice(state::FOOTER_KEY));
        let value = self.write(|out| footer.encode(out, batch));
        self.records.push((key, Some(value)));
    }

    /// Keys and values in order; a tombstone has no value.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        self.records.iter().map(|(key, value)| {
            let value = value.clone().map(|value| &self.bytes[value]);
            (&self.bytes[key.clone()], value)
        })
    }

    /// How many records.
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

/// A reply's parts as ranges of the buffer.
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

/// Replies that wait for their transaction, in one buffer, in log order.
#[derive(Debug, Default)]
pub struct HeldReplies {
    bytes: Vec<u8>,
    replies: Vec<HeldReply>,
}

impl HeldReplies {
    /// Holds one more.
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

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        self.replies.iter().map(|reply| Outgoing {
            destination: match &reply.destination {
                HeldDestination::Default(partition) => Destination::Default {
                    partition: *partition,
                },
                HeldDestination::Named(topic, partition, fallback) => Destination::Named {
                    // It was text when it was written.
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

    /// Puts those of an aborted transaction back in front of the later ones.
    pub fn prepend(&mut self, mut earlier: HeldReplies) {
        for reply in self.iter() {
            earlier.push(reply);
        }
        *self = earlier;
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.replies.len()
    }

    /// True when none is held.
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// One partition's part of a checkpoint.
#[derive(Debug)]
pub struct Section {
    /// The partition.
    pub partition: i32,
    /// The assignment under which it was cut.
    pub assignment: u32,
    /// Of its batch.
    pub batch_id: BatchId,
    /// State records, the footer last.
    pub batch: Batch,
    /// Entries in the batch, by slot.
    pub slots: Vec<Slot>,
    /// Keys in the batch that are written because somebody else touched them.
    pub touched: Vec<Vec<u8>>,
    /// The offset to commit.
    pub next: NextOffset,
    /// For the committed offset's metadata.
    pub rewrite_from: Option<i64>,
    /// N, for the same.
    pub service_partitions: u32,
    /// The epoch whose replies must be acknowledged before.
    pub epoch: u32,
    /// In `exactly_once` mode, the replies that it carries.
    pub replies: HeldReplies,
    /// The ledger records of what it covers.
    pub ledger: Lines,
}

/// The work of one interval of one instance: one transaction.
#[derive(Debug)]
pub struct Checkpoint {
    /// Its sections, at most one for each partition.
    pub sections: Vec<Section>,
}

impl Checkpoint {
    /// State records in all its batches.
    pub fn records(&self) -> usize {
        self.sections
            .iter()
            .map(|section| section.batch.len())
            .sum()
    }
}

/// Where a section's records came to lie in the state log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Offset of the first record.
    pub first: i64,
    /// Offset of the footer.
    pub last: i64,
}

const REWRITE_PREFIX: &str = "rewrite=";
const PARTITIONS_PREFIX: &str = "partitions=";
const METADATA_SEPARATOR: char = ';';

/// The committed offset's metadata. N is there as well because it cannot be found out again when the
/// state topic is lost; the key of the links is not, because everyone who may look at a group reads this.
pub fn metadata(service_partitions: u32, rewrite_from: Option<i64>) -> String {
    let rewrite = rewrite_from.map(|at| format!("{METADATA_SEPARATOR}{REWRITE_PREFIX}{at}"));
    format!(
        "{PARTITIONS_PREFIX}{service_partitions}{}",
        rewrite.unwrap_or_default()
    )
}

fn of_metadata<'a>(metadata: &'a str, prefix: &str) -> Option<&'a str> {
    let mut parts = metadata.split(METADATA_SEPARATOR);
    parts.find_map(|part| part.strip_prefix(prefix))
}

/// Reads the committed offset's metadata; a hint, so anything else is no hint.
pub fn rewrite_from(metadata: &str) -> Option<i64> {
    of_metadata(metadata, REWRITE_PREFIX)?.parse().ok()
}

/// N in the committed offset's metadata; for a repair that has no state.
pub fn service_partitions(metadata: &str) -> Option<u32> {
    let n = of_metadata(metadata, PARTITIONS_PREFIX)?.parse().ok();
    n.filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(metadata(4, Some(42)), "partitions=4;rewrite=42");
        assert_eq!(rewrite_from(&metadata(4, Some(42))), Some(42));
        assert_eq!(rewrite_from(&metadata(4, None)), None);
        assert_eq!(rewrite_from("someone else's"), None);
        assert_eq!(service_partitions(&metadata(4, Some(42))), Some(4));
        assert_eq!(service_partitions(&metadata(4, None)), Some(4));
        assert_eq!(service_partitions("partitions=0"), None);
        assert_eq!(service_partitions("someone else's"), None);
    }
}
