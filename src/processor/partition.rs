//! A running partition: folds its records, holds or hands out its replies, and knows what the next
//! checkpoint must contain.
//!
//! The fold is a function of the log, so nothing here ever steps back: an aborted checkpoint leaves
//! the counters alone, and what it would have written goes into the next one.

use std::collections::BTreeSet;

use super::Mode;
use super::checkpoint::{Batch, Destination, HeldReplies, Section, Written};
use super::replies::{Outstanding, Token};
use super::rewrite::Rewrite;
use super::takeover::Start;
use crate::core::digest::fingerprint;
use crate::core::invariants::i4_nothing_lost;
use crate::core::limits::{FOLD_VERSION, NAME_BYTES_MAX};
use crate::core::partitioner::partition_of;
use crate::core::{Fold, NextOffset, Offset, Timestamp};
use crate::wire::reply::{self, Subject};
use crate::wire::request;
use crate::wire::state::{self, BatchId, Fingerprint, Footer, TopicId};

/// A request record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: Offset,
    /// Its LogAppendTime.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// A reply to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// To be handed back with the acknowledgement.
    pub token: Token,
    /// Where it goes.
    pub destination: Destination,
    /// The reply's key.
    pub key: Option<&'a [u8]>,
    /// The reply's body.
    pub body: &'a [u8],
}

/// What all partitions of an instance have in common.
#[derive(Clone, Debug)]
pub struct Service {
    /// When replies go out.
    pub mode: Mode,
    /// The consumer group.
    pub group: String,
    /// The instance, for people.
    pub instance: String,
    /// Partitions of the default reply topic.
    pub reply_partitions: u32,
    /// Below this many state records since the last full rewrite there is none.
    pub rewrite_floor_records: u64,
}

/// Counts for metrics, taken and reset by whoever reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that got IDs.
    pub granted: u64,
    /// IDs that they got.
    pub ids: u64,
    /// Requests that got an error, by [`crate::core::Code::ALL`].
    pub rejected: [u64; crate::core::Code::ALL.len()],
}

/// A partition that is restored and folds on.
#[derive(Debug)]
pub struct Partition {
    id: i32,
    assignment: u32,
    fold: Fold,
    next: NextOffset,
    last_applied: Option<Fingerprint>,
    partitions: u32,
    topic_id: TopicId,
    /// The next offset of the last committed footer; `None` before the first.
    committed: Option<NextOffset>,
    /// Entries to write besides those that change, from aborted checkpoints and foreign batches.
    unwritten: Vec<usize>,
    /// Keys that foreign batches touched, to be written or buried.
    touched: BTreeSet<Vec<u8>>,
    outstanding: Outstanding,
    held: HeldReplies,
    rewrite: Rewrite,
    /// Where our next state record should lie, if nobody else writes.
    state_end: i64,
    /// No more records are folded: it is being handed over.
    draining: bool,
    in_checkpoint: bool,
    body: Vec<u8>,
    counts: Counts,
}

impl Partition {
    /// Takes over where the takeover arrived.
    pub fn new(id: i32, assignment: u32, start: Start, service: &Service) -> Partition {
        let Start {
            restored,
            next,
            partitions,
            topic_id,
            last_applied,
            state_end,
            rewrite_from,
        } = start;
        Partition {
            id,
            assignment,
            fold: restored.fold,
            next,
            last_applied,
            partitions,
            topic_id,
            committed: restored.footer.map(|footer| footer.next),
            unwritten: Vec::new(),
            touched: restored.touched,
            outstanding: Outstanding::default(),
            held: HeldReplies::default(),
            rewrite: Rewrite::new(
                service.rewrite_floor_records,
                restored.records,
                rewrite_from,
            ),
            state_end,
            draining: false,
            in_checkpoint: false,
            body: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Folds a record. In `immediate` mode the reply is returned, to be sent now; in
    /// `exactly_once` mode it is held for the next checkpoint. A record that was read before, or
    /// comes while draining, is passed over.
    pub fn record<'a>(&'a mut self, record: Record<'a>, service: &Service) -> Option<Reply<'a>> {
        if self.draining || self.next.covers(record.offset) {
            return None;
        }
        let request = request::decode(record.key, record.value);
        let answer = self.fold.apply(record.timestamp, &request);
        self.counts.count(&answer);
        self.next = NextOffset::after(record.offset);
        self.last_applied = Some(Fingerprint {
            offset: record.offset,
            hash: fingerprint(record.key, record.value, record.timestamp.0),
        });
        let subject = Subject {
            name: request.name.as_ref().ok().copied(),
            request_id: request.request_id.as_deref(),
            partition: self.id,
            offset: record.offset,
        };
        self.body.clear();
        reply::encode(&mut self.body, subject, &answer);
        let key = record.key.filter(|key| key.len() <= NAME_BYTES_MAX);
        let destination = destination(self.id, key, service.reply_partitions);
        if service.mode == Mode::ExactlyOnce {
            self.held.push(destination, key, &self.body);
            return None;
        }
        Some(Reply {
            token: Token {
                assignment: self.assignment,
                epoch: self.outstanding.sent(),
            },
            destination,
            key,
            body: &self.body,
        })
    }

    /// The end of the partition's committed records is reached: `next` is past markers and aborted
    /// records, where the last record's offset is not.
    pub fn reached(&mut self, next: NextOffset) {
        if !self.draining {
            self.next = self.next.max(next);
        }
    }

    /// So many replies of this assignment are acknowledged.
    pub fn acknowledged(&mut self, epoch: u32, replies: u64) {
        self.outstanding.acknowledged(epoch, replies);
    }

    /// True when a checkpoint has something to say.
    pub fn wants_checkpoint(&self) -> bool {
        self.committed != Some(self.next)
            || !self.unwritten.is_empty()
            || !self.touched.is_empty()
            || !self.held.is_empty()
            || (!self.draining && self.rewrite.wants_checkpoint(self.fold.len()))
    }

    /// Cuts: what the state is now, as a batch.
    pub fn cut(&mut self, batch_id: BatchId, service: &Service) -> Section {
        let mut slots = std::mem::take(&mut self.unwritten);
        let digest = self.fold.cut(&mut slots);
        let mut batch = Batch::default();
        let touched: Vec<Vec<u8>> = std::mem::take(&mut self.touched).into_iter().collect();
        for key in &touched {
            match state::entry_key(key).and_then(|key| self.fold.slot(key)) {
                Some(slot) => slots.push(slot),
                None if key != state::FOOTER_KEY => batch.tombstone(key),
                None => {}
            }
        }
        if !self.draining {
            slots.extend(self.rewrite.chunk(self.fold.len(), slots.len()));
        }
        slots.sort_unstable();
        slots.dedup();
        for entry in slots.iter().filter_map(|slot| self.fold.entry(*slot)) {
            batch.entry(batch_id, &entry);
        }
        let footer = Footer {
            next: self.next,
            digest,
            scalars: self.fold.scalars(),
            partitions: self.partitions,
            fold_version: FOLD_VERSION,
            topic_id: self.topic_id,
            last_applied: self.last_applied,
            batch_records: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            group: service.group.clone(),
            instance: service.instance.clone(),
        };
        batch.footer(batch_id, &footer);
        self.in_checkpoint = true;
        Section {
            partition: self.id,
            assignment: self.assignment,
            batch_id,
            batch,
            slots,
            touched,
            next: self.next,
            rewrite_from: self.rewrite.from(),
            epoch: self.outstanding.cut(),
            replies: std::mem::take(&mut self.held),
        }
    }

    /// I4: may this section be committed now?
    pub fn covered(&self, section: &Section) -> bool {
        let settled = self.outstanding.settled(section.epoch);
        let unanswered = (!settled).then_some(Offset(section.next.0 - 1));
        i4_nothing_lost(section.next, unanswered)
    }

    /// The section is committed. Returns the range of state offsets in which somebody else has
    /// written since our last batch, if there is one.
    pub fn committed(
        &mut self,
        section: &Section,
        written: Written,
    ) -> Option<std::ops::Range<i64>> {
        self.in_checkpoint = false;
        self.committed = Some(section.next);
        let records = u64::try_from(section.batch.len()).unwrap_or(u64::MAX);
        self.rewrite
            .committed(records, Some(written.first), self.fold.len());
        let expected = self.state_end;
        // Our own commit writes one marker behind the footer.
        self.state_end = written.last + 2;
        (expected < written.first).then_some(expected..written.first)
    }

    /// The section was aborted: all of it goes into the next one.
    pub fn aborted(&mut self, section: Section) {
        self.in_checkpoint = false;
        self.unwritten.extend(section.slots);
        self.touched.extend(section.touched);
        self.held.prepend(section.replies);
    }

    /// Somebody else's committed records touched these keys, up to `end` of the state log.
    pub fn touched_by_others(&mut self, keys: impl IntoIterator<Item = Vec<u8>>, end: i64) {
        self.touched.extend(keys);
        self.state_end = self.state_end.max(end);
    }

    /// No more records from here on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// True when everything that was folded is committed.
    pub fn is_drained(&self) -> bool {
        self.draining && !self.in_checkpoint && !self.wants_checkpoint()
    }

    /// True when no more records are folded.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// The assignment.
    pub fn assignment(&self) -> u32 {
        self.assignment
    }

    /// The next offset to read.
    pub fn next(&self) -> NextOffset {
        self.next
    }

    /// Sequences known.
    pub fn sequences(&self) -> usize {
        self.fold.len()
    }

    /// Entries that the next checkpoint would write, those of aborted ones among them.
    pub fn changes(&self) -> usize {
        self.fold.changes() + self.unwritten.len()
    }

    /// Replies held for the next checkpoint, and their bytes.
    pub fn held(&self) -> (usize, usize) {
        (self.held.len(), self.held.bytes())
    }

    /// Replies sent and not acknowledged.
    pub fn outstanding(&self) -> u64 {
        self.outstanding.total()
    }

    /// Where our next state record should lie.
    pub fn state_end(&self) -> i64 {
        self.state_end
    }

    /// Takes the counts.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

impl Counts {
    /// Adds another partition's counts.
    pub fn add(&mut self, other: Counts) {
        self.granted += other.granted;
        self.ids += other.ids;
        for (sum, count) in self.rejected.iter_mut().zip(other.rejected) {
            *sum += count;
        }
    }

    fn count(&mut self, answer: &crate::core::Answer) {
        match answer {
            crate::core::Answer::Granted(grant) => {
                self.granted += 1;
                self.ids += grant.count;
            }
            crate::core::Answer::Rejected(rejection) => {
                let index = crate::core::Code::ALL
                    .iter()
                    .position(|code| *code == rejection.code);
                if let Some(count) = index.and_then(|index| self.rejected.get_mut(index)) {
                    *count += 1;
                }
            }
        }
    }
}

/// Replies go where the Java client's partitioner would send their key; without a key they follow
/// the request's partition.
fn destination(partition: i32, key: Option<&[u8]>, reply_partitions: u32) -> Destination {
    let chosen = match key {
        Some(key) => partition_of(key, reply_partitions),
        None => u32::try_from(partition).unwrap_or(0) % reply_partitions.max(1),
    };
    Destination::Default {
        partition: i32::try_from(chosen).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
