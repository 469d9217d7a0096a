//! A copy of one partition of the state topic, so that compaction cannot change what is read twice,
//! and a restore of our own over it.
//!
//! Like an owner's restore it takes the compacted head as it comes, up to the first footer that the
//! entries add up to; from there on a batch counts whole or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use super::oracle::{Key, Oracle};
use super::remembered::{Remembered, Value, key_of, scalars_of, value_of};
use super::source::Record;
use super::spill;
use crate::wire::state::{self, BatchId, Content, Footer};

/// The rules of the fold that the oracle knows.
const FOLD_VERSION: u16 = 1;

/// A repair in the state log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Where its footer lies in the state log.
    pub footer: i64,
    /// Where the partition goes on.
    pub from: i64,
}

/// The copy.
pub struct StateLog {
    file: BufWriter<File>,
    /// Where the next record of the topic is read.
    pub end: i64,
    /// Records in it.
    pub records: u64,
    /// Repairs that are there as a whole.
    pub repairs: Vec<Repair>,
    /// Repairs of which compaction has left a part only: their last offset.
    pub torn_repair: Option<i64>,
    /// The highest next offset of a footer after the last repair.
    pub covered: Option<i64>,
    /// What the first footer says was decided once for the whole service.
    pub decided: Option<(u32, [u8; 32])>,
    /// Places of the window, by the first footer.
    pub window_capacity: Option<u32>,
    /// A record that a newer release wrote.
    pub unreadable: Option<String>,
    /// Nothing was compacted away at the beginning.
    pub exact: bool,
    /// Records of batches without a footer yet, and whether they repair.
    open: BTreeMap<BatchId, (u32, Option<i64>)>,
    footers: u64,
}

impl StateLog {
    /// An empty copy of a log that starts at an offset.
    pub fn new(directory: &Path, start: i64) -> io::Result<StateLog> {
        Ok(StateLog {
            file: BufWriter::with_capacity(1 << 16, spill::unnamed(directory)?),
            end: start,
            records: 0,
            repairs: Vec::new(),
            torn_repair: None,
            covered: None,
            decided: None,
            window_capacity: None,
            unreadable: None,
            exact: false,
            open: BTreeMap::new(),
            footers: 0,
        })
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record<'_>) -> io::Result<()> {
        let key = record.key.unwrap_or_default();
        self.note(record.offset, key, record.value, record.batch);
        self.records += 1;
        self.end = record.offset + 1;
        let length = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => u32::try_from(bytes.len()).unwrap_or(ABSENT),
            None => ABSENT,
        };
        self.file.write_all(&record.offset.to_le_bytes())?;
        for part in [Some(key), record.value, record.batch] {
            self.file.write_all(&length(part).to_le_bytes())?;
            self.file.write_all(part.unwrap_or_default())?;
        }
        Ok(())
    }

    fn note(&mut self, offset: i64, key: &[u8], value: Option<&[u8]>, batch: Option<&[u8]>) {
        let record = match state::decode(key, value, batch) {
            Ok(record) => record,
            Err(error @ state::Error::Version(_)) => {
                self.unreadable.get_or_insert_with(|| error.to_string());
                return;
            }
            Err(state::Error::Malformed { .. }) => return,
        };
        let Some(batch) = record.batch else { return };
        match record.content {
            Content::Footer(footer) => {
                if footer.fold_version != FOLD_VERSION {
                    self.unreadable.get_or_insert_with(|| {
                        let version = footer.fold_version;
                        format!("folded by version {version}, this release knows {FOLD_VERSION}")
                    });
                }
                let (records, repair) = self.open.remove(&batch).unwrap_or_default();
                let whole = records == footer.batch_records;
                if self.footers == 0 {
                    self.exact = whole && i64::from(records) == offset;
                }
                self.footers += 1;
                self.close(&footer, offset, repair, whole);
            }
            Content::Reset(_) => self
                .open
                .entry(batch)
                .or_insert((0, None))
                .bump(Some(offset)),
            Content::Entry(_) | Content::Tombstone(_) => {
                self.open.entry(batch).or_insert((0, None)).bump(None);
            }
        }
    }

    fn close(&mut self, footer: &Footer, offset: i64, repair: Option<i64>, whole: bool) {
        let next = footer.next.0;
        self.window_capacity
            .get_or_insert(footer.scalars.window_capacity);
        self.decided
            .get_or_insert((footer.partitions, footer.link_key.0));
        match repair {
            Some(_) if whole => {
                self.repairs.push(Repair {
                    footer: offset,
                    from: next,
                });
                self.covered = Some(next);
            }
            Some(reset) => self.torn_repair = self.torn_repair.max(Some(reset)),
            None => self.covered = self.covered.max(Some(next)),
        }
    }

    /// A reset without its footer: compaction has taken it.
    pub fn settle(&mut self) {
        for (_, repair) in std::mem::take(&mut self.open).into_values() {
            self.torn_repair = self.torn_repair.max(repair);
        }
    }

    /// Reads it from the beginning.
    pub fn frames(&mut self) -> io::Result<Frames> {
        self.file.flush()?;
        let mut file = self.file.get_mut().try_clone()?;
        file.rewind()?;
        Ok(Frames {
            left: self.records,
            reader: BufReader::with_capacity(1 << 16, file),
        })
    }
}

trait Bump {
    fn bump(&mut self, repair: Option<i64>);
}

impl Bump for (u32, Option<i64>) {
    fn bump(&mut self, repair: Option<i64>) {
        self.0 += 1;
        self.1 = self.1.or(repair);
    }
}

/// In the place of a length.
const ABSENT: u32 = u32::MAX;

/// Records of the copy, in order.
pub struct Frames {
    left: u64,
    reader: BufReader<File>,
}

struct Frame {
    offset: i64,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    batch: Option<Vec<u8>>,
}

impl Frames {
    fn next(&mut self) -> io::Result<Option<Frame>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut offset = [0; 8];
        self.reader.read_exact(&mut offset)?;
        let mut part = || {
            let mut length = [0; 4];
            self.reader.read_exact(&mut length)?;
            let length = u32::from_le_bytes(length);
            if length == ABSENT {
                return Ok(None);
            }
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            self.reader.read_exact(&mut bytes)?;
            Ok::<_, io::Error>(Some(bytes))
        };
        Ok(Some(Frame {
            offset: i64::from_le_bytes(offset),
            key: part()?.unwrap_or_default(),
            value: part()?,
            batch: part()?,
        }))
    }
}

/// A footer, and what it makes of the entries.
#[derive(Debug)]
pub struct Found {
    /// It.
    pub footer: Footer,
    /// Where it lies in the state log.
    pub offset: i64,
    /// It closes a repair.
    pub repair: Option<Repaired>,
    /// How it stands to what came before it.
    pub standing: Standing,
}

/// A repair's statements, and the state before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Requests from here on up to where it goes on may be passed over.
    pub answered: i64,
    /// The epoch that it must raise.
    pub epoch_before: u64,
}

/// How a footer stands to what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In the compacted head: what lies around it is younger.
    Head,
    /// An owner that had lost the partition wrote it; a restore passes over it.
    Late,
    /// It should hold.
    Counts {
        /// Its digest is that of the entries.
        adds_up: bool,
        /// Nothing was believed before it.
        first: bool,
    },
}

type Change = (Key, Option<Value>);

/// Our own restore: footer by footer, with the entries as they stand at each.
pub struct Replay {
    frames: Frames,
    /// The entries at the last footer.
    pub remembered: Remembered,
    /// Keys that changed since they were last asked for.
    pub touched: Vec<Key>,
    anchored: bool,
    believed: bool,
    /// Where the last footer goes on that was believed.
    last_next: Option<i64>,
    /// The repair that it knows of.
    last_epoch: u64,
    /// Of each open batch, up to where its reset says that requests are answered, and its changes.
    staged: BTreeMap<BatchId, (Option<i64>, Vec<Change>)>,
}

impl Replay {
    /// From the beginning of a copy.
    pub fn new(log: &mut StateLog) -> io::Result<Replay> {
        Ok(Replay {
            frames: log.frames()?,
            remembered: Remembered::default(),
            touched: Vec::new(),
            anchored: log.exact,
            believed: false,
            last_next: None,
            last_epoch: 0,
            staged: BTreeMap::new(),
        })
    }

    /// Goes on to the next footer. Names get their numbers from the oracle.
    pub fn next(&mut self, oracle: &mut Oracle) -> io::Result<Option<Found>> {
        while let Some(frame) = self.frames.next()? {
            let Frame {
                offset,
                key,
                value,
                batch,
            } = frame;
            // What cannot be read belongs to no batch, as for an owner's restore.
            let Ok(record) = state::decode(&key, value.as_deref(), batch.as_deref()) else {
                continue;
            };
            let change = match record.content {
                Content::Footer(footer) => {
                    return Ok(Some(self.close(*footer, offset, record.batch, oracle)));
                }
                Content::Reset(reset) => {
                    if !self.anchored {
                        self.clear(oracle);
                    }
                    if let Some(batch) = record.batch {
                        let answered = Some(reset.answered.0);
                        self.staged.insert(batch, (answered, Vec::new()));
                    }
                    continue;
                }
                Content::Entry(entry) => {
                    let key = key_of(entry.key(), &mut |name| oracle.intern(name));
                    (key, Some(value_of(&entry)))
                }
                Content::Tombstone(key) => (key_of(key, &mut |name| oracle.intern(name)), None),
            };
            match record.batch {
                _ if !self.anchored => {
                    self.apply(change, oracle);
                }
                Some(batch) => self.staged.entry(batch).or_default().1.push(change),
                None => {}
            }
        }
        Ok(None)
    }

    fn apply(&mut self, (key, value): Change, oracle: &Oracle) -> Change {
        self.touched.push(key);
        (key, self.remembered.put(key, value, &oracle.names))
    }

    fn clear(&mut self, oracle: &Oracle) -> Vec<Change> {
        let keys: Vec<Key> = self.remembered.keys().collect();
        let gone = keys.into_iter().map(|key| self.apply((key, None), oracle));
        gone.collect()
    }

    fn close(
        &mut self,
        footer: Footer,
        offset: i64,
        batch: Option<BatchId>,
        oracle: &Oracle,
    ) -> Found {
        let staged = batch.and_then(|batch| self.staged.remove(&batch));
        let (answered, changes) = staged.unwrap_or_default();
        let scalars = scalars_of(&footer);
        let next = footer.next.0;
        // In the head its entries are there already.
        let mut undo = if answered.is_some() && self.anchored {
            self.clear(oracle)
        } else {
            Vec::new()
        };
        for change in changes {
            let before = self.apply(change, oracle);
            undo.push(before);
        }
        let adds_up = self.remembered.digest(&scalars) == footer.digest.0;
        let epoch = scalars.epoch;
        let before = |last: i64| next < last || epoch < self.last_epoch;
        let late = answered.is_none() && self.last_next.is_some_and(before);
        let standing = match (self.anchored, adds_up) {
            (false, false) => Standing::Head,
            (true, _) if late => Standing::Late,
            (_, adds_up) => Standing::Counts {
                adds_up,
                first: !self.believed,
            },
        };
        let epoch_before = self.last_epoch;
        if standing == Standing::Late || (self.anchored && !adds_up) {
            for change in undo.into_iter().rev() {
                self.apply(change, oracle);
            }
        } else if adds_up {
            self.anchored = true;
            self.believed = true;
            self.last_next = Some(next);
            self.last_epoch = epoch;
        }
        Found {
            footer,
            offset,
            repair: answered.map(|answered| Repaired {
                answered,
                epoch_before,
            }),
            standing,
        }
    }
}
