//! When the whole state is written again, so that a restore does not grow with uptime.
//!
//! A restore reads every state record since the last full rewrite began. When these records exceed twice the
//! live entries and a floor, the owner writes all entries again, a chunk with each checkpoint. When the last
//! chunk is committed, the committed offset's metadata says where the first one lies. A restore tries there
//! first. So it reads at most about four times the live entries plus the floor: two before the rewrite begins,
//! one for the rewrite, and the changes during the rewrite.

/// Entries that one checkpoint writes again when little changes. It bounds what a rewrite adds to a
/// transaction.
pub const CHUNK_ENTRIES: usize = 5_000;

/// A rewrite begins when the records since the last one exceed this many times the live entries.
const GROWTH_MAX: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Idle,
    /// Of the `live` entries at the last chunk, those below `next` are in a batch. `from` is the offset of the first
    /// chunk once that is committed.
    Running {
        next: usize,
        live: usize,
        from: Option<i64>,
    },
}

/// The progress of one partition's full rewrites.
#[derive(Debug)]
pub struct Rewrite {
    floor_records: u64,
    /// State records that a restore would read now.
    records: u64,
    /// Of these, the records since the running rewrite began.
    since_start: u64,
    progress: Progress,
    /// State offset at which the last complete rewrite begins.
    from: Option<i64>,
    /// True when the state log has lost records, so that nothing adds up before the running rewrite has ended.
    lost: bool,
}

impl Rewrite {
    /// The progress after a restore that read `records`. `from` is present when the restore began at a rewrite.
    pub fn new(floor_records: u64, records: u64, from: Option<i64>) -> Rewrite {
        Rewrite {
            floor_records,
            records,
            since_start: 0,
            progress: Progress::Idle,
            from,
            lost: false,
        }
    }

    /// The slots that the next checkpoint writes again, at most `most`, besides the `changed` entries that it
    /// writes anyway.
    pub fn chunk(&mut self, live: usize, changed: usize, most: usize) -> std::ops::Range<usize> {
        let begins = match self.progress {
            Progress::Idle => self.due(live),
            // When entries go, at the end of a rescale, those behind them move to lower places.
            Progress::Running { live: before, .. } => live < before,
        };
        if begins {
            self.begin();
        }
        match &mut self.progress {
            Progress::Idle => 0..0,
            Progress::Running {
                next, live: seen, ..
            } => {
                *seen = live;
                let start = *next;
                // Twice the number of changes, so that a rewrite ends before changes overtake it.
                *next = live.min(start + CHUNK_ENTRIES.max(2 * changed).min(most));
                start..*next
            }
        }
    }

    /// Notes that the state log has lost records: everything is written again, from the next checkpoint on.
    pub fn lost(&mut self) {
        self.from = None;
        self.lost = true;
        self.begin();
    }

    fn begin(&mut self) {
        self.since_start = 0;
        self.progress = Progress::Running {
            next: 0,
            live: 0,
            from: None,
        };
    }

    /// True while nothing in the state log adds up.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// True while a checkpoint is wanted for the rewrite alone.
    pub fn wants_checkpoint(&self, live: usize) -> bool {
        match self.progress {
            Progress::Idle => self.due(live),
            Progress::Running { .. } => true,
        }
    }

    /// Notes that a batch of `records` was committed, the first of them at state offset `first`. `live` is the
    /// number of entries now.
    pub fn committed(&mut self, records: u64, first: Option<i64>, live: usize) {
        self.records += records;
        self.since_start += records;
        let Progress::Running {
            next,
            live: seen,
            from,
        } = &mut self.progress
        else {
            return;
        };
        *from = from.or(first);
        if *next >= live.max(*seen) {
            self.from = *from;
            self.records = self.since_start;
            self.progress = Progress::Idle;
            self.lost = false;
        }
    }

    /// The state offset at which a restore should begin first.
    pub fn from(&self) -> Option<i64> {
        self.from
    }

    fn due(&self, live: usize) -> bool {
        let live = u64::try_from(live).unwrap_or(u64::MAX);
        self.records > self.floor_records.max(live.saturating_mul(GROWTH_MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Makes checkpoints of `changed` entries each, like an owner. Returns the most records that a restore
    /// would have read at any time.
    fn worst(live: usize, changed: usize, floor: u64, checkpoints: usize) -> u64 {
        let mut rewrite = Rewrite::new(floor, 0, None);
        // Every transaction ends with a marker, which takes an offset and is not read.
        let (mut offset, mut written, mut worst) = (0, 0, 0);
        let mut written_before = BTreeMap::from([(offset, written)]);
        for _ in 0..checkpoints {
            let chunk = rewrite.chunk(live, changed, usize::MAX);
            let records = (live.min(changed + chunk.len()) + 1) as u64;
            written_before.insert(offset, written);
            rewrite.committed(records, Some(offset), live);
            offset += records as i64 + 1;
            written += records;
            let start = rewrite.from().unwrap_or(0);
            worst = worst.max(written - written_before[&start]);
        }
        worst
    }

    #[test]
    fn restore_reads_at_most_four_times_the_live_entries_plus_the_floor() {
        for (live, changed) in [
            (100, 1),
            (100, 100),
            (20_000, 10),
            (20_000, 5_000),
            (20_000, 20_000),
            (50_000, 50),
        ] {
            let floor = 10_000;
            let bound = 4 * live as u64 + floor;
            let read = worst(live, changed, floor, 36_000);
            assert!(
                read <= bound,
                "{live} live, {changed} changed: {read} > {bound}"
            );
        }
    }

    #[test]
    fn a_loss_begins_a_rewrite_at_once_also_in_the_middle_of_another() {
        let mut rewrite = Rewrite::new(1_000_000, 0, Some(7));
        rewrite.lost();
        assert_eq!(
            (rewrite.chunk(8_000, 0, usize::MAX), rewrite.from()),
            (0..5_000, None)
        );
        rewrite.committed(5_001, Some(0), 8_000);
        rewrite.lost();
        assert!(rewrite.is_lost() && rewrite.wants_checkpoint(8_000));
        assert_eq!(rewrite.chunk(8_000, 0, usize::MAX), 0..5_000);
        rewrite.committed(5_001, Some(3), 8_000);
        assert_eq!(rewrite.chunk(8_000, 0, usize::MAX), 5_000..8_000);
        rewrite.committed(3_001, Some(5_005), 8_000);
        assert!(!rewrite.is_lost() && !rewrite.wants_checkpoint(8_000));
        assert_eq!(rewrite.from(), Some(3));
    }

    #[test]
    fn a_rewrite_begins_again_when_entries_have_gone() {
        let mut rewrite = Rewrite::new(10, 20_000, None);
        assert_eq!(rewrite.chunk(8_000, 0, usize::MAX), 0..5_000);
        // Those that are not written yet lie below the next chunk now.
        rewrite.committed(5_001, Some(7), 4_000);
        assert_eq!(rewrite.from(), None);
        assert_eq!(rewrite.chunk(4_000, 0, usize::MAX), 0..4_000);
        rewrite.committed(4_001, Some(6_000), 4_000);
        assert_eq!(rewrite.from(), Some(6_000));
    }

    #[test]
    fn a_rewrite_that_is_aborted_begins_where_its_first_committed_batch_lies() {
        let mut rewrite = Rewrite::new(10, 11, None);
        assert_eq!(rewrite.chunk(3, 0, usize::MAX), 0..3);
        assert!(rewrite.wants_checkpoint(3), "until it is committed");
        assert_eq!(
            rewrite.chunk(3, 0, usize::MAX),
            3..3,
            "the aborted slots come back by themselves"
        );
        rewrite.committed(4, Some(70), 3);
        assert_eq!(rewrite.from(), Some(70));
        assert!(!rewrite.wants_checkpoint(3));
    }
}
