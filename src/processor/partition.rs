//! A running partition. It folds its records, holds or hands out its replies, and knows the content of the next
//! checkpoint.
//!
//! The fold is a function of the log, so nothing here ever steps back. An aborted checkpoint leaves the
//! counters unchanged, and its content goes into the next one.

mod counts;

use std::collections::BTreeSet;

use super::Mode;
use super::checkpoint::{Batch, Choice, Destination, HeldReplies, Outgoing, Section, Written};
use super::halt::Halt;
use super::instance::Load;
use super::replies::{Outstanding, Token};
use super::restore::highest_id;
use super::rewrite::{CHUNK_ENTRIES, Rewrite};
use super::takeover::{Decided, Start};
use crate::core::digest::fingerprint;
use crate::core::fold::{Answer, At, Outlook, Slot, Survey};
use crate::core::invariants::{Invariant, i4_nothing_lost};
use crate::core::limits::{FOLD_VERSION, NAME_BYTES_MAX};
use crate::core::link::Link;
use crate::core::partitioner::{hash_of, partition_of};
use crate::core::planted::planted;
use crate::core::{Code, Fold, NextOffset, Offset, Rejection, Timestamp};
use crate::wire::headers::{self, Block, Headers, block};
use crate::wire::ledger::Lines;
use crate::wire::reply::{self, Subject};
use crate::wire::request;
use crate::wire::route::{Cause, Route, Routing, Undelivered};
use crate::wire::state::{self, BatchId, Fingerprint, Footer, NO_LEADER_EPOCH, TopicId};

pub use counts::Counts;

/// A request record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The record's partition.
    pub partition: i32,
    /// The leader epoch under which the broker appended the record.
    pub leader_epoch: i32,
    /// The record's offset.
    pub offset: Offset,
    /// The record's LogAppendTime.
    pub timestamp: Timestamp,
    /// The record's key, which names the sequence.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: &'a Headers<'a>,
}

/// The message that a record causes, to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// A reply, in `immediate` mode.
    Reply(Reply<'a>),
    /// A stray, in both modes.
    Forward(Forward<'a>),
}

/// A stray on its way to its home partition of the request topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward<'a> {
    /// The token, which comes back with the acknowledgement.
    pub token: Token,
    /// The home partition.
    pub home: i32,
    /// The request's key.
    pub key: Option<&'a [u8]>,
    /// The request's value.
    pub value: Option<&'a [u8]>,
    /// The link, and the request's headers that this service reads.
    pub headers: Block<'a>,
}

/// A reply to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The token, which comes back with the acknowledgement.
    pub token: Token,
    /// The reply itself.
    pub outgoing: Outgoing<'a>,
}

/// The settings that all partitions of an instance share.
#[derive(Clone, Debug)]
pub struct Service {
    /// `immediate` or `exactly_once`.
    pub mode: Mode,
    /// The name of the consumer group.
    pub group: String,
    /// The instance's ID, for people.
    pub instance: String,
    /// Number of partitions of the default reply topic.
    pub reply_partitions: u32,
    /// The rules that route replies.
    pub routing: Routing,
    /// Below this many state records since the last full rewrite, no rewrite begins.
    pub rewrite_floor_records: u64,
}

/// Whether the partition takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Open,
    /// The next checkpoint is full. Records that arrive are skipped, and read again later.
    Full,
    /// The next checkpoint is full, and nothing is fetched.
    Stopped,
}

/// A partition after its restore, which folds new records.
#[derive(Debug)]
pub struct Partition {
    id: i32,
    assignment: u32,
    fold: Fold,
    next: NextOffset,
    last_applied: Option<Fingerprint>,
    /// The first record that this owner reads: the records before it were folded by an earlier owner.
    began: NextOffset,
    decided: Decided,
    /// True while the decision for the service is this partition's own and not committed. Another owner might
    /// decide otherwise, so nothing is folded by it.
    undecided: bool,
    topic_id: TopicId,
    /// Why no more records are folded. The partition halts once everything that it has folded is committed.
    broken: Option<Halt>,
    /// True when the folded state is wrong and must not be committed.
    void: bool,
    /// The next offset in the last committed footer. `None` before the first.
    committed: Option<NextOffset>,
    /// Entries to write besides the changed ones: from aborted checkpoints and foreign batches.
    unwritten: Vec<Slot>,
    /// Keys that foreign batches touched. The next checkpoint writes each again, or a tombstone for it.
    touched: BTreeSet<Vec<u8>>,
    outstanding: Outstanding,
    held: HeldReplies,
    /// Ledger records since the last committed checkpoint, without those of a checkpoint in progress.
    ledger: Lines,
    rewrite: Rewrite,
    /// The expected offset of this instance's next state record, if nobody else writes.
    state_end: i64,
    /// True while the partition is handed over: no more records are folded.
    draining: bool,
    intake: Intake,
    /// The first record that was skipped because of [`Intake::Full`] and was not folded since.
    passed_over: Option<Offset>,
    in_checkpoint: bool,
    body: Vec<u8>,
    headers: Vec<u8>,
    counts: Counts,
    /// The survey of how near the sequences are to their end.
    survey: Survey,
}

impl Partition {
    /// Starts the partition from the result of its takeover.
    pub fn new(id: i32, assignment: u32, start: Start, service: &Service) -> Partition {
        let Start {
            restored,
            next,
            decided,
            decides,
            topic_partitions: _, // for people
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
            began: next,
            decided,
            undecided: decides,
            topic_id,
            broken: None,
            void: false,
            committed: restored.footer.map(|footer| footer.next),
            unwritten: Vec::new(),
            touched: restored.touched,
            outstanding: Outstanding::default(),
            held: HeldReplies::default(),
            ledger: Lines::default(),
            rewrite: Rewrite::new(
                service.rewrite_floor_records,
                restored.records,
                rewrite_from,
            ),
            state_end,
            draining: false,
            intake: Intake::Open,
            passed_over: None,
            in_checkpoint: false,
            body: Vec::new(),
            headers: Vec::new(),
            counts: Counts::default(),
            survey: Survey::default(),
        }
    }

    /// Folds a record. In `immediate` mode the reply is returned, to be sent now. In `exactly_once` mode it is
    /// held for the next checkpoint. A record that was read before, or comes during a drain, is skipped.
    pub fn record<'a>(
        &'a mut self,
        record: Record<'a>,
        service: &'a Service,
    ) -> Option<Output<'a>> {
        if self.next.covers(record.offset) {
            return None;
        }
        if self.is_kept_out() {
            self.passed_over.get_or_insert(record.offset);
        }
        if !self.takes_records() || self.passed_over.is_some_and(|at| at < record.offset) {
            return None;
        }
        self.passed_over = None;
        let headers = record.headers;
        let mut request = request::decode(record.key, record.value, headers.request_id);
        if planted!(RoutingFolds) && service.routing.route(headers).undelivered.is_some() {
            request.command = Err(Rejection::new(Code::MalformedRequest, "unroutable"));
        }
        let at = At {
            partition: u32::try_from(self.id).unwrap_or(0),
            partitions: self.decided.partitions,
            leader_epoch: record.leader_epoch,
            offset: record.offset,
            timestamp: record.timestamp,
        };
        let link = self.link(&record);
        let answer = self.fold.apply(at, link, &request, &mut self.ledger);
        if let Answer::Broken { link, accepted } = answer {
            // The record is not folded: after the repair it is the first one that is read.
            self.halt(Halt::LinkBroken {
                source: link.partition,
                offset: link.position.offset,
                previous: link.previous.offset,
                accepted: accepted.offset,
                at: NextOffset(record.offset.0),
            });
            return None;
        }
        if let Some(invariant) = self.fold.broken() {
            self.invariant_broken(invariant);
            return None;
        }
        self.counts.count(&answer);
        self.next = NextOffset::after(record.offset);
        self.last_applied = Some(Fingerprint {
            offset: record.offset,
            leader_epoch: record.leader_epoch,
            hash: fingerprint(record.key, record.value, record.timestamp.0),
        });
        match answer {
            Answer::Repeated => return None,
            Answer::Stray { .. } if planted!(StrayLost) => return None,
            Answer::Stray { home, link } => {
                return Some(self.forward(&record, home, link, service));
            }
            _ => {}
        }
        let (partition, offset) = match link {
            Some(link) => (
                i32::try_from(link.partition).unwrap_or(i32::MAX),
                Offset(link.position.offset),
            ),
            None => (self.id, record.offset),
        };
        let subject = Subject {
            name: request.name.as_ref().ok().copied(),
            request_id: request.request_id.as_deref(),
            partition,
            offset,
        };
        self.body.clear();
        let error = reply::encode(&mut self.body, subject, &answer);
        let key = record.key.filter(|key| key.len() <= NAME_BYTES_MAX);
        let destination = self.destination(record.headers, key, error, service);
        let outgoing = Outgoing {
            destination,
            key,
            body: &self.body,
            headers: Block(&self.headers),
        };
        if service.mode == Mode::ExactlyOnce {
            self.held.push(outgoing);
            return None;
        }
        Some(Output::Reply(Reply {
            token: Token {
                assignment: self.assignment,
                epoch: self.outstanding.sent(),
            },
            outgoing,
        }))
    }

    /// The link of a record that another partition forwarded here, if the link is valid.
    fn link(&self, record: &Record<'_>) -> Option<Link> {
        let (header, key) = (record.headers.forwarded?, record.key?);
        let link = Link::verified(header, &self.decided.link_key, key, record.value)?;
        // In any other partition somebody copied the record, so it is an ordinary stray.
        let home = partition_of(key, self.decided.partitions);
        (i32::try_from(home) == Ok(self.id)).then_some(link)
    }

    /// Forwards a stray at once in both modes, outside any transaction. The checkpoint that covers the stray
    /// waits for its acknowledgement.
    fn forward<'a>(
        &'a mut self,
        record: &Record<'a>,
        home: u32,
        link: Link,
        service: &Service,
    ) -> Output<'a> {
        let key = record.key.unwrap_or_default();
        let header = link.header(&self.decided.link_key, key, record.value);
        self.headers.clear();
        block::push(&mut self.headers, headers::FORWARDED, header.as_bytes());
        record
            .headers
            .forward(&service.routing.names, &mut self.headers);
        Output::Forward(Forward {
            token: Token {
                assignment: self.assignment,
                epoch: if planted!(ForwardNotAwaited) {
                    self.outstanding.epoch()
                } else {
                    self.outstanding.sent()
                },
            },
            home: i32::try_from(home).unwrap_or(0),
            key: record.key,
            value: record.value,
            headers: Block(&self.headers),
        })
    }

    /// Routes the reply: returns its destination and writes its headers.
    fn destination<'a>(
        &mut self,
        headers: &Headers<'a>,
        key: Option<&[u8]>,
        error: Option<std::ops::Range<usize>>,
        service: &'a Service,
    ) -> Destination<'a> {
        let Service {
            routing,
            reply_partitions,
            ..
        } = service;
        // Without a key, the partition of a reply follows the request's partition.
        let hash = key.map_or(u32::try_from(self.id).unwrap_or(0), hash_of);
        let by_name = i32::try_from(hash % (*reply_partitions).max(1)).unwrap_or(0);
        let mut route = routing.route(headers);
        let destination = default_or_named(&mut route, hash, by_name, *reply_partitions);
        self.headers.clear();
        let error = error.and_then(|range| self.body.get(range));
        route.push_headers(&routing.names, error, &mut self.headers);
        self.counts.count_undelivered(&route);
        destination
    }

    /// Notes the end of the partition's committed records. `next` is beyond markers and aborted records, while
    /// the last record's offset is not.
    pub fn reached(&mut self, next: NextOffset) {
        if self.takes_records() && self.passed_over.is_none() {
            self.next = self.next.max(next);
        }
    }

    /// Counts acknowledged replies of this assignment.
    pub fn acknowledged(&mut self, epoch: u32, replies: u64) {
        self.outstanding.acknowledged(epoch, replies);
    }

    /// True when the next checkpoint has something to write.
    pub fn wants_checkpoint(&self) -> bool {
        !self.void
            && (self.committed != Some(self.next)
                || !self.unwritten.is_empty()
                || !self.touched.is_empty()
                || !self.held.is_empty()
                || !self.ledger.is_empty()
                || (self.rewrites() && self.rewrite.wants_checkpoint(self.fold.len())))
    }

    /// Cuts a section: the current state as a batch.
    pub fn cut(&mut self, batch_id: BatchId, service: &Service) -> Section {
        self.cut_within(batch_id, service, usize::MAX)
    }

    /// Cuts a section with at most `spare` entries besides the changed ones. When an invariant does not hold
    /// ([`Partition::is_void`]), the section must not be written.
    pub fn cut_within(&mut self, batch_id: BatchId, service: &Service, spare: usize) -> Section {
        let mut slots = std::mem::take(&mut self.unwritten);
        let digest = self.fold.cut(&mut slots);
        if let Some(invariant) = self.fold.broken() {
            self.invariant_broken(invariant);
        }
        let mut batch = Batch::default();
        let mut touched = Vec::new();
        while touched.len() < CHUNK_ENTRIES.min(spare)
            && let Some(key) = self.touched.pop_first()
        {
            touched.push(key);
        }
        for key in &touched {
            match state::entry_key(key).and_then(|key| self.fold.slot(key)) {
                Some(slot) => slots.push(slot),
                // The reset prevents compaction from bringing back what a repair made void.
                None if [state::FOOTER_KEY, state::RESET_KEY].contains(&key.as_slice()) => {}
                None => batch.tombstone(key),
            }
        }
        if self.rewrites() {
            let chunk = self.rewrite.chunk(self.fold.len(), slots.len(), spare);
            slots.extend(chunk.filter_map(|place| self.fold.slot_at(place)));
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
            partitions: self.decided.partitions,
            link_key: self.decided.link_key,
            fold_version: FOLD_VERSION,
            topic_id: self.topic_id,
            last_applied: self.last_applied,
            batch_records: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            group: service.group.clone(),
            instance: service.instance.clone(),
        };
        if !planted!(FooterNotWritten) {
            batch.footer(batch_id, &footer);
        }
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
            service_partitions: self.decided.partitions,
            epoch: self.outstanding.cut(),
            replies: std::mem::take(&mut self.held),
            ledger: self.ledger.take(),
        }
    }

    /// True when entries are rewritten. A partition that is handed over need not be, unless nothing adds up
    /// without it.
    fn rewrites(&self) -> bool {
        !self.draining || self.rewrite.is_lost()
    }

    /// I4: true when this section may be committed now.
    pub fn covered(&self, section: &Section) -> bool {
        let settled = self.outstanding.settled(section.epoch) || planted!(RepliesNotAwaited);
        let unanswered = (!settled).then_some(Offset(section.next.0 - 1));
        i4_nothing_lost(section.next, unanswered)
    }

    /// Notes that the section is committed. Returns the range of state offsets in which another writer has
    /// written since our last batch, or into this one, if there is such a range.
    pub fn committed(
        &mut self,
        section: &Section,
        written: Written,
    ) -> Option<std::ops::Range<i64>> {
        self.in_checkpoint = false;
        self.undecided = false;
        self.committed = Some(section.next);
        let records = u64::try_from(section.batch.len()).unwrap_or(u64::MAX);
        self.rewrite
            .committed(records, Some(written.first), self.fold.len());
        let expected = self.state_end;
        // This instance's commit writes one marker after the footer.
        self.state_end = written.last + 2;
        let Written { first, last } = written;
        if first < expected {
            self.state_lost();
            return None;
        }
        let len = i64::try_from(section.batch.len()).unwrap_or(i64::MAX);
        if last - first + 1 != len {
            return Some(expected..last + 1);
        }
        (expected < first).then_some(expected..first)
    }

    /// The state log was truncated, or its topic created again: the only copy of the state is in memory.
    fn state_lost(&mut self) {
        if !planted!(StateLossIgnored) {
            self.rewrite.lost();
        }
    }

    /// Notes that the section was aborted: all of it goes into the next one.
    pub fn aborted(&mut self, section: Section) {
        self.in_checkpoint = false;
        self.unwritten.extend(section.slots);
        self.touched.extend(section.touched);
        if !planted!(AbortedRepliesForgotten) {
            self.held.prepend(section.replies);
        }
        if !planted!(AbortedLedgerForgotten) {
            self.ledger.prepend(section.ledger);
        }
    }

    /// Notes that committed records of another writer touched these keys, in this range of the state log.
    pub fn touched_by_others(
        &mut self,
        keys: impl IntoIterator<Item = Vec<u8>>,
        range: std::ops::Range<i64>,
    ) {
        let std::ops::Range { start, end } = range;
        // The last own footer lies before the marker that begins the range. The marker may not be there yet.
        if end < start - 1 {
            self.state_end = end;
            self.state_lost();
        }
        if !planted!(ForeignKeysLeft) {
            self.touched.extend(keys);
        }
        self.state_end = self.state_end.max(end);
    }

    /// Halts the partition once everything that was folded is committed.
    pub fn halt(&mut self, halt: Halt) {
        self.broken = Some(halt);
        self.draining = true;
    }

    /// Halts the partition. Nothing that it has folded since its last cut is committed: the next owner folds it
    /// again.
    pub fn invariant_broken(&mut self, invariant: Invariant) {
        let at = self.next;
        self.void = true;
        self.halt(Halt::InvariantBroken { invariant, at });
    }

    /// True when the folded state must not be committed.
    pub fn is_void(&self) -> bool {
        self.void
    }

    /// Why the partition will halt once everything that was folded is committed.
    pub fn broken(&self) -> Option<&Halt> {
        self.broken.as_ref()
    }

    /// The highest ID that the partition knows of, for a repair.
    pub fn highest_id(&self) -> i64 {
        highest_id(&self.fold)
    }

    /// Begins a drain: no more records are folded.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// True when everything that was folded is committed, or must not be.
    pub fn is_drained(&self) -> bool {
        self.draining && !self.in_checkpoint && !self.wants_checkpoint()
    }

    /// True while records are folded: the partition is not being handed over, and the decision for the whole
    /// service is committed.
    pub fn takes_records(&self) -> bool {
        !self.draining && !self.is_kept_out() && (!self.undecided || planted!(UndecidedFolds))
    }

    /// Takes no more records until [`Partition::let_in`].
    pub(super) fn keep_out(&mut self) {
        if self.intake == Intake::Open {
            self.intake = Intake::Full;
        }
    }

    /// Takes records again. Returns true when the partition is still fetched and has skipped records.
    pub(super) fn let_in(&mut self) -> bool {
        std::mem::replace(&mut self.intake, Intake::Open) == Intake::Full
    }

    pub(super) fn is_kept_out(&self) -> bool {
        self.intake != Intake::Open
    }

    /// Marks a partition that is kept out as stopped. Returns true when it is still fetched, so that the fetch
    /// must be stopped.
    pub(super) fn stop_fetching(&mut self) -> bool {
        std::mem::replace(&mut self.intake, Intake::Stopped) == Intake::Full
    }

    /// True when no more records are folded.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// The number of the assignment.
    pub fn assignment(&self) -> u32 {
        self.assignment
    }

    /// The ID of the request topic whose log the partition folds.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The leader epoch of the last record that was folded here; none before the first.
    pub fn read_under(&self) -> Option<i32> {
        let last = self.last_applied.as_ref();
        let last = last.filter(|last| !self.began.covers(last.offset));
        last.map(|last| last.leader_epoch)
            .filter(|epoch| *epoch != NO_LEADER_EPOCH)
    }

    /// The next offset to read.
    pub fn next(&self) -> NextOffset {
        self.next
    }

    /// Number of sequences that the partition knows.
    pub fn sequences(&self) -> usize {
        self.fold.sequences()
    }

    /// The partition's share of the next checkpoint's load.
    pub(super) fn load(&self) -> Load {
        let (replies, bytes) = self.held();
        let (ledger_records, ledger_bytes) = self.ledger();
        Load {
            entries: self.changes(),
            replies,
            bytes,
            ledger_records,
            ledger_bytes,
        }
    }

    /// Entries that the next checkpoint would write, with those of aborted checkpoints.
    pub fn changes(&self) -> usize {
        self.fold.changes() + self.unwritten.len()
    }

    /// Number of replies held for the next checkpoint, and their bytes.
    pub fn held(&self) -> (usize, usize) {
        (self.held.len(), self.held.bytes())
    }

    /// Number of ledger records for the next checkpoint, and their bytes.
    pub fn ledger(&self) -> (usize, usize) {
        (self.ledger.len(), self.ledger.bytes())
    }

    /// Replies that are sent and not yet acknowledged.
    pub fn outstanding(&self) -> u64 {
        self.outstanding.total()
    }

    /// The expected offset of the next state record.
    pub fn state_end(&self) -> i64 {
        self.state_end
    }

    /// Looks at up to `max` further sequences, for [`Partition::outlook`].
    pub fn survey(&mut self, max: usize) {
        self.survey.go_on(&self.fold, max);
    }

    /// How near to their end all sequences were when each was last looked at. None before all were looked at.
    pub fn outlook(&self) -> Option<Outlook> {
        self.survey.outlook()
    }

    /// The fold of the partition, for reading.
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Takes and resets the counts.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

/// `hash` is the Java client's hash of the key. A reply to a partition that the default topic lacks is
/// undeliverable. For a named topic, only the code that writes to it can tell.
fn default_or_named<'a>(
    route: &mut Route<'a>,
    hash: u32,
    by_name: i32,
    reply_partitions: u32,
) -> Destination<'a> {
    if let Some(topic) = route.topic {
        return Destination::Named {
            topic,
            partition: route.partition.map_or(Choice::Hash(hash), Choice::Exact),
            fallback: by_name,
        };
    }
    let Some(partition) = route.partition else {
        return Destination::Default { partition: by_name };
    };
    if u32::try_from(partition).is_ok_and(|partition| partition < reply_partitions) {
        return Destination::Default { partition };
    }
    route.undelivered = Some(Undelivered::new(
        Cause::PartitionUnknown,
        format!("the default reply topic has {reply_partitions} partitions, asked for {partition}"),
    ));
    Destination::Default { partition: by_name }
}

#[cfg(test)]
mod tests;
