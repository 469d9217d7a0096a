//! A partition's log as its leader has it. An offset is an index.
//!
//! Records above the high watermark exist only on the leader and are lost with it. No reader sees them. Records
//! of open transactions, and of decided ones without a marker yet, hold the last stable offset back.

use std::collections::BTreeMap;

use sequencer::processor::reading::View;

use crate::transactions::{Fate, Transactions};

/// Identifies a request of a client in the whole run.
pub type Uid = usize;

/// The origin of a record, which only the simulation knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A client wrote it.
    Client(Uid),
    /// A copy in the home partition of a record that a client wrote to another partition.
    Forward(Uid),
    /// State. `late`: it was appended after its writer had given it up.
    State { late: bool },
}

impl What {
    pub fn uid(self) -> Option<Uid> {
        match self {
            What::Client(uid) | What::Forward(uid) => Some(uid),
            What::State { .. } => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timestamp: i64,
    /// The leader epoch, which the log sets.
    pub leader_epoch: i32,
    pub transaction: Option<usize>,
    pub what: What,
}

impl Record {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }
}

#[derive(Clone, Debug)]
pub enum Slot {
    Record(Record),
    Marker,
    /// Removed by compaction.
    Gone,
}

#[derive(Clone, Debug, Default)]
pub struct Log {
    pub slots: Vec<Slot>,
    pub start: i64,
    /// High watermark.
    pub replicated: i64,
    /// Rises with each new leader.
    pub leader_epoch: i32,
    /// Compaction has cleaned the log up to here.
    pub compacted: i64,
    /// First offset of each transaction that has no marker here.
    open: BTreeMap<usize, i64>,
    /// Ends to which the log was cut below its high watermark, in order.
    pub cuts: Vec<i64>,
    /// The leader epoch that began with each of them.
    cut_epochs: Vec<i32>,
}

impl Log {
    pub fn end(&self) -> i64 {
        self.slots.len() as i64
    }

    /// The last stable offset.
    pub fn stable(&self) -> i64 {
        let first_open = self.open.values().min().copied();
        first_open.map_or(self.replicated, |open| open.min(self.replicated))
    }

    /// The end as a reader with this view sees it.
    pub fn end_for(&self, view: View) -> i64 {
        match view {
            View::Uncommitted => self.replicated,
            View::Committed => self.stable(),
        }
    }

    pub fn append(&mut self, record: Record) -> i64 {
        let offset = self.end();
        if let Some(transaction) = record.transaction {
            self.open.entry(transaction).or_insert(offset);
        }
        let leader_epoch = self.leader_epoch;
        self.slots.push(Slot::Record(Record {
            leader_epoch,
            ..record
        }));
        offset
    }

    pub fn marker(&mut self, transaction: usize) {
        self.open.remove(&transaction);
        self.slots.push(Slot::Marker);
        self.replicated = self.end();
    }

    /// Changes to a leader with a shorter log. `unclean`: the cut is below the high watermark.
    pub fn cut(&mut self, at: i64, unclean: bool) {
        self.slots.truncate(at as usize);
        self.leader_epoch += 1;
        self.replicated = self.replicated.min(at);
        self.open.retain(|_, first| *first < at);
        if unclean {
            self.cuts.push(at);
            self.cut_epochs.push(self.leader_epoch);
        }
    }

    /// How many of the cuts a reader knows of whose last record has this leader epoch: a broker that is asked
    /// where that epoch ends tells the others. A reader without one is told of none, and takes the log as it is.
    pub fn cuts_known(&self, leader_epoch: Option<i32>) -> usize {
        let known = |known: i32| self.cut_epochs.iter().filter(|cut| **cut <= known).count();
        leader_epoch.map_or(self.cuts.len(), known)
    }

    pub fn record(&self, offset: i64) -> Option<&Record> {
        match self.slots.get(usize::try_from(offset).ok()?)? {
            Slot::Record(record) => Some(record),
            Slot::Marker | Slot::Gone => None,
        }
    }

    /// The record at an offset, if it exists and is committed.
    pub fn committed_at(&self, offset: i64, transactions: &Transactions) -> Option<&Record> {
        let is_committed = |record: &&Record| {
            let fate = record.transaction.map(|id| transactions.all[id].fate);
            fate.is_none_or(|fate| fate == Fate::Committed)
        };
        self.record(offset).filter(is_committed)
    }

    /// Committed records in a range, with those of prepared transactions.
    pub fn committed<'a>(
        &'a self,
        from: i64,
        to: i64,
        transactions: &'a Transactions,
    ) -> impl Iterator<Item = (i64, &'a Record)> {
        (from.max(self.start)..to.min(self.end()))
            .filter_map(move |at| Some((at, self.committed_at(at, transactions)?)))
    }
}
