//! A checkpoint as bytes: for each partition a batch of state records that ends with a footer, the
//! offset to commit, and in `exactly_once` mode the replies.

use std::ops::Range;

use crate::core::NextOffset;
use crate::core::fold::Entry;
use crate::wire::state::{self, BatchId, Footer};

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A partition of the default reply topic.
    Default {
        /// Its number.
        partition: i32,
    },
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
        let key = self.write(|out| state::encode_key(out, state::entry::key(entry)));
        let value = self.write(|out| state::entry::encode(out, batch, entry));
        self.records.push((key, Some(value)));
    }

    /// Adds a tombstone for a key as it lies in the state topic.
    pub fn tombstone(&mut self, key: &[u8]) {
        let key = self.write(|out| out.extend_from_slice(key));
        self.records.push((key, None));
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
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
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

#[derive(Debug)]
struct HeldReply {
    destination: Destination,
    key: Option<Range<usize>>,
    body: Range<usize>,
}

/// Replies that wait for their transaction, in one buffer, in log order.
#[derive(Debug, Default)]
pub struct HeldReplies {
    bytes: Vec<u8>,
    replies: Vec<HeldReply>,
}

impl HeldReplies {
    /// Holds one more.
    pub fn push(&mut self, destination: Destination, key: Option<&[u8]>, body: &[u8]) {
        let mut write = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let key = key.map(&mut write);
        let body = write(body);
        self.replies.push(HeldReply {
            destination,
            key,
            body,
        });
    }

    /// Destination, key and body of each.
    pub fn iter(&self) -> impl Iterator<Item = (Destination, Option<&[u8]>, &[u8])> {
        self.replies.iter().map(|reply| {
            let key = reply.key.clone().map(|key| &self.bytes[key]);
            (reply.destination, key, &self.bytes[reply.body.clone()])
        })
    }

    /// Puts those of an aborted transaction back in front of the later ones.
    pub fn prepend(&mut self, mut earlier: HeldReplies) {
        for (destination, key, body) in self.iter() {
            earlier.push(destination, key, body);
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
    pub slots: Vec<usize>,
    /// Keys in the batch that are written because somebody else touched them.
    pub touched: Vec<Vec<u8>>,
    /// The offset to commit.
    pub next: NextOffset,
    /// For the committed offset's metadata.
    pub rewrite_from: Option<i64>,
    /// The epoch whose replies must be acknowledged before.
    pub epoch: u32,
    /// In `exactly_once` mode, the replies that it carries.
    pub replies: HeldReplies,
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

/// The committed offset's metadata.
pub fn metadata(rewrite_from: Option<i64>) -> String {
    rewrite_from.map_or_else(String::new, |at| format!("{REWRITE_PREFIX}{at}"))
}

/// Reads the committed offset's metadata; a hint, so anything else is no hint.
pub fn rewrite_from(metadata: &str) -> Option<i64> {
    metadata.strip_prefix(REWRITE_PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: Destination = Destination::Default { partition: 2 };

    #[test]
    fn replies_of_an_aborted_transaction_go_before_later_ones() {
        let (mut aborted, mut later) = (HeldReplies::default(), HeldReplies::default());
        aborted.push(TO, Some(b"a"), b"1");
        later.push(TO, None, b"2");
        later.prepend(aborted);
        let all: Vec<_> = later.iter().collect();
        assert_eq!(
            all,
            [(TO, Some(&b"a"[..]), &b"1"[..]), (TO, None, &b"2"[..])]
        );
    }

    #[test]
    fn metadata_is_a_hint_and_survives_what_others_write_there() {
        assert_eq!(rewrite_from(&metadata(Some(42))), Some(42));
        assert_eq!(rewrite_from(&metadata(None)), None);
        assert_eq!(rewrite_from("someone else's"), None);
    }
}
