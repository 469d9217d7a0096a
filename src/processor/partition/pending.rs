//! The content of a partition's next checkpoint, besides the entries that the fold has changed.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::core::fold::Slot;
use crate::core::planted::planted;
use crate::core::{Fold, NextOffset};
use crate::processor::checkpoint::{Batch, HeldReplies, Section, Written};
use crate::processor::instance::Load;
use crate::processor::rewrite::{CHUNK_ENTRIES, Rewrite};
use crate::wire::ledger::Lines;
use crate::wire::state::{self, BatchId};

#[derive(Debug)]
pub(in crate::processor) struct Pending {
    /// The next offset in the last committed footer. `None` before the first.
    committed: Option<NextOffset>,
    /// Entries to write besides the changed ones: from aborted checkpoints and foreign batches.
    pub(super) unwritten: Vec<Slot>,
    /// Keys that foreign batches touched. The next checkpoint writes each again, or a tombstone for it.
    touched: BTreeSet<Vec<u8>>,
    pub(super) held: HeldReplies,
    /// Ledger records since the last committed checkpoint, without those of a checkpoint in progress.
    pub(super) ledger: Lines,
    pub(super) rewrite: Rewrite,
    /// The expected offset of this instance's next state record, if nobody else writes.
    pub(in crate::processor) state_end: i64,
    /// Where records of others may begin that were not looked at: the place behind this owner's last footer, or the
    /// bound of its takeover. The marker of its last transaction need not lie there: another writer's records may come
    /// between the footer and the marker.
    pub(in crate::processor) unseen_from: i64,
    /// True while a section is cut that is neither committed nor aborted.
    pub(super) in_checkpoint: bool,
    /// The batch of this owner's last footer. None before the first one is committed, and while another one is
    /// neither committed nor written again: then nobody knows the last footer of the state log.
    footer: Option<BatchId>,
    /// True when something was folded that others read from the state only.
    pub(super) footer_is_due: bool,
    /// When the next footer is due in any case, in ms.
    footer_due_ms: u64,
}

/// The state records of a section, before its footer.
pub(super) struct Entries {
    pub(super) batch: Batch,
    pub(super) slots: Vec<Slot>,
    pub(super) touched: Vec<Vec<u8>>,
}

impl Pending {
    pub(super) fn new(
        committed: Option<NextOffset>,
        touched: BTreeSet<Vec<u8>>,
        rewrite: Rewrite,
        state_end: i64,
    ) -> Pending {
        Pending {
            committed,
            unwritten: Vec::new(),
            touched,
            held: HeldReplies::default(),
            ledger: Lines::default(),
            rewrite,
            state_end,
            unseen_from: state_end,
            in_checkpoint: false,
            footer: None,
            footer_is_due: false,
            footer_due_ms: 0,
        }
    }

    /// The batch of the last footer, unless another footer is due. State that others may have damaged is written
    /// again at once.
    pub(super) fn footer_before_answers(&self, now_ms: u64) -> Option<BatchId> {
        let is_damaged = self.rewrite.is_lost() || !self.touched.is_empty();
        let is_due = self.footer_is_due || is_damaged || now_ms >= self.footer_due_ms;
        self.footer.filter(|_| !is_due)
    }

    /// Notes when the next footer is due in any case.
    pub(in crate::processor) fn footer_due_at(&mut self, due_ms: u64) {
        self.footer_due_ms = due_ms;
    }

    /// True when there is something to write, or an offset to commit. `stays` is false for a partition that is
    /// handed over.
    pub(super) fn is_wanted(&self, next: NextOffset, fold: &Fold, stays: bool) -> bool {
        self.committed != Some(next)
            || !self.unwritten.is_empty()
            || !self.touched.is_empty()
            || !self.held.is_empty()
            || !self.ledger.is_empty()
            || (self.rewrites(stays) && self.rewrite.wants_checkpoint(fold.len()))
    }

    /// True when entries are rewritten. A partition that is handed over need not be, unless nothing adds up
    /// without it.
    fn rewrites(&self, stays: bool) -> bool {
        stays || self.rewrite.is_lost()
    }

    /// Takes the entries to write, at most `spare` of them besides the unwritten ones.
    pub(super) fn cut(
        &mut self,
        fold: &Fold,
        batch_id: BatchId,
        spare: usize,
        stays: bool,
    ) -> Entries {
        self.in_checkpoint = true;
        self.footer = None;
        self.footer_is_due = false;
        let mut slots = std::mem::take(&mut self.unwritten);
        let mut batch = Batch::default();
        let mut touched = Vec::new();
        while touched.len() < CHUNK_ENTRIES.min(spare)
            && let Some(key) = self.touched.pop_first()
        {
            touched.push(key);
        }
        for key in &touched {
            match state::entry_key(key).and_then(|key| fold.slot(key)) {
                Some(slot) => slots.push(slot),
                // The reset prevents compaction from bringing back what a repair made void.
                None if [state::FOOTER_KEY, state::RESET_KEY].contains(&key.as_slice()) => {}
                None => batch.tombstone(key),
            }
        }
        if self.rewrites(stays) {
            let chunk = self.rewrite.chunk(fold.len(), slots.len(), spare);
            slots.extend(chunk.filter_map(|place| fold.slot_at(place)));
        }
        slots.sort_unstable();
        slots.dedup();
        for slot in &slots {
            match (fold.entry(*slot), fold.key(*slot)) {
                (Some(entry), _) => batch.entry(batch_id, &entry),
                (None, Some(key)) => batch.buried(key),
                (None, None) => {}
            }
        }
        Entries {
            batch,
            slots,
            touched,
        }
    }

    /// Notes that the section is committed. Returns the range of state offsets in which another writer has
    /// written since our last batch, or into this one, if there is such a range.
    pub(super) fn committed(
        &mut self,
        section: &Section,
        written: Written,
        fold: &Fold,
    ) -> Option<Range<i64>> {
        self.in_checkpoint = false;
        self.footer = Some(section.batch_id);
        self.committed = Some(section.next);
        let Written { first, last } = written;
        let records = u64::try_from(section.batch.len()).unwrap_or(u64::MAX);
        self.rewrite.committed(records, Some(first), fold.len());
        let (expected, unseen) = (self.state_end, self.unseen_from);
        // This instance's commit writes one marker after the footer.
        self.state_end = last + 2;
        self.unseen_from = last + 1;
        if first < expected {
            self.state_lost();
            return None;
        }
        let len = i64::try_from(section.batch.len()).unwrap_or(i64::MAX);
        if last - first + 1 != len {
            return Some(unseen..last + 1);
        }
        (expected < first).then_some(unseen..first)
    }

    /// Notes that the section was aborted: all of it goes into the next one.
    pub(in crate::processor) fn aborted(&mut self, section: Section) {
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
    pub(in crate::processor) fn touched_by_others(
        &mut self,
        keys: impl IntoIterator<Item = Vec<u8>>,
        range: Range<i64>,
    ) {
        let Range { start, end } = range;
        // The last own footer lies before the range.
        if end < start {
            self.state_end = end;
            self.unseen_from = end;
            self.state_lost();
        }
        if !planted!(ForeignKeysLeft) {
            self.touched.extend(keys);
        }
        self.state_end = self.state_end.max(end);
        self.unseen_from = self.unseen_from.max(end);
    }

    /// The state log was truncated, or its topic created again: the only copy of the state is in memory.
    fn state_lost(&mut self) {
        if !planted!(StateLossIgnored) {
            self.rewrite.lost();
        }
    }

    /// The load of the next checkpoint.
    pub(super) fn load(&self, fold: &Fold) -> Load {
        Load {
            entries: fold.changes() + self.unwritten.len(),
            replies: self.held.len(),
            bytes: self.held.bytes(),
            ledger_records: self.ledger.len(),
            ledger_bytes: self.ledger.bytes(),
        }
    }
}
