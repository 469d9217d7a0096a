//! A copy of one partition of the state topic, so that compaction changes nothing between two reads, and an
//! independent restore over this copy.
//!
//! Like an owner's restore, it accepts the compacted head up to the first footer that the entries add up to.
//! From there on a batch counts as a whole or not at all.

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
pub(super) struct Repair {
    /// Offset of the repair's footer in the state log.
    pub footer: i64,
    /// Request offset at which the partition goes on.
    pub from: i64,
}

/// The copy of a state partition.
pub(super) struct StateLog {
    file: BufWriter<File>,
    /// The next offset to read from the topic.
    pub end: i64,
    /// Number of records in the copy.
    pub records: u64,
    /// Complete repairs.
    pub repairs: Vec<Repair>,
    /// The last offset of repairs of which compaction has left only a part.
    pub torn_repair: Option<i64>,
    /// The highest next offset of a footer after the last repair.
    pub covered: Option<i64>,
    /// The decisions for the whole service in the first footer: the first N, and the key.
    pub decided: Option<(u32, [u8; 32])>,
    /// The list of N in the first footer, and the longest list in any.
    pub homes: Option<(Vec<u32>, Vec<u32>)>,
    /// Number of places of the window, from the first footer.
    pub window_capacity: Option<u32>,
    /// The problem with a record that a newer release wrote.
    pub unreadable: Option<String>,
    /// True when compaction removed nothing at the beginning.
    pub exact: bool,
    /// Number of records of each batch without a footer yet, and the offset of its reset if it repairs.
    open: BTreeMap<BatchId, (u32, Option<i64>)>,
    footers: u64,
}

impl StateLog {
    /// Creates an empty copy of a log that starts at `start`.
    pub(super) fn new(directory: &Path, start: i64) -> io::Result<StateLog> {
        Ok(StateLog {
            file: BufWriter::with_capacity(1 << 16, spill::unnamed(directory)?),
            end: start,
            records: 0,
            repairs: Vec::new(),
            torn_repair: None,
            covered: None,
            decided: None,
            homes: None,
            window_capacity: None,
            unreadable: None,
            exact: false,
            open: BTreeMap::new(),
            footers: 0,
        })
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &Record<'_>) -> io::Result<()> {
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
        let list: Vec<u32> = footer.scalars.homes.counts().collect();
        let first = list.first().copied().unwrap_or(1);
        self.decided.get_or_insert((first, footer.link_key.0));
        let (_, longest) = self.homes.get_or_insert((list.clone(), list.clone()));
        if list.len() > longest.len() {
            *longest = list;
        }
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

    /// Handles a reset without its footer, which compaction has removed.
    pub(super) fn settle(&mut self) {
        for (_, repair) in std::mem::take(&mut self.open).into_values() {
            self.torn_repair = self.torn_repair.max(repair);
        }
    }

    /// Reads the copy from its beginning.
    pub(super) fn frames(&mut self) -> io::Result<Frames> {
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

/// Stands for the length of an absent value.
const ABSENT: u32 = u32::MAX;

/// The records of the copy, in order.
pub(super) struct Frames {
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

/// A footer, and its relation to the entries.
#[derive(Debug)]
pub(super) struct Found {
    /// The footer itself.
    pub footer: Footer,
    /// The offset of the footer in the state log.
    pub offset: i64,
    /// Present when the footer ends a repair.
    pub repair: Option<Repaired>,
    /// The relation of the footer to the records before it.
    pub standing: Standing,
}

/// The content of a repair's reset, and the epoch before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repaired {
    /// Requests from this offset on, up to the repair's next offset, may be skipped.
    pub answered: i64,
    /// The previous epoch, which the repair must raise.
    pub epoch_before: u64,
}

/// The relation of a footer to the records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// In the compacted head: the records around it are younger.
    Head,
    /// An owner that had lost the partition wrote it. A restore skips it.
    Late,
    /// The footer must add up.
    Counts {
        /// True when its digest is that of the entries.
        adds_up: bool,
        /// True when no footer was accepted before it.
        first: bool,
    },
}

type Change = (Key, Option<Value>);

/// The independent restore: footer by footer, with the entries at each footer.
pub(super) struct Replay {
    frames: Frames,
    /// The entries at the last footer.
    pub remembered: Remembered,
    /// Keys that changed since the last call that took them.
    pub touched: Vec<Key>,
    anchored: bool,
    believed: bool,
    /// The next offset of the last accepted footer.
    last_next: Option<i64>,
    /// The epoch of the last repair.
    last_epoch: u64,
    /// For each open batch: the offset in its reset up to which requests are answered, and its changes.
    staged: BTreeMap<BatchId, (Option<i64>, Vec<Change>)>,
}

impl Replay {
    /// Starts at the beginning of a copy.
    pub(super) fn new(log: &mut StateLog) -> io::Result<Replay> {
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

    /// Goes on to the next footer. The oracle gives names their numbers.
    pub(super) fn next(&mut self, oracle: &mut Oracle) -> io::Result<Option<Found>> {
        while let Some(frame) = self.frames.next()? {
            let Frame {
                offset,
                key,
                value,
                batch,
            } = frame;
            // A record that cannot be read belongs to no batch, as in an owner's restore.
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
        // In the head the entries of the batch are there already.
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
