//! The size limit of one transaction, after one that did not fit into its time.
//!
//! A transaction has a few seconds. If the brokers cannot take its content in that time (a produce quota, a
//! slow disk, a slow network), the same work would be late again, and a larger transaction would be even later.
//! So the next transaction is smaller: half of the late one, and half again if it is late too. As far as
//! possible, a transaction is cut between partitions. A single partition that holds more than the allowance
//! cannot be cut, since its footer describes the current state. Such a partition is restored from the log and
//! folds on in smaller parts. One late transaction is no reason for this: a broker that restarts makes
//! transactions late as well.
//!
//! The allowance grows again while records wait for it and transactions take little of their time. It doubles
//! after a transaction that took next to none of its time: then the late one waited for a broker that was away,
//! and its size was not the reason. A transaction that used less than half of the allowance says nothing about
//! it: while one partition waits for its strays, the others would make it large enough to be late again.

use super::load::Load;
use super::{Instance, Stage, Transaction};
use crate::core::planted::planted;
use crate::processor::instance::messages::Effect;
use crate::processor::transaction::Outcome;
use crate::wire::state::BatchId;

/// Lower bound of the allowance, in bytes: one record of a partition is always taken.
const ALLOWANCE_BYTES_MIN: usize = 512;
/// From this size on there is no allowance, in bytes (64 MiB): the limits of [`super::load`] are below it.
const ALLOWANCE_BYTES_MAX: usize = 64 << 20;
/// The allowance grows by this part of itself at a time. So it rarely becomes too large again, which would cost
/// the time of a transaction.
const GROWTH_PART: usize = 4;
/// The allowance grows after transactions that took at most this part of their time.
const QUICK_PART: u64 = 2;
/// The allowance doubles after transactions that took at most this part of their time: two times as much would
/// take a fifth of it. Size was not why the last one was late, so its ceiling is lifted too.
const SWIFT_PART: u64 = 10;
/// For this many transactions for which records waited, the allowance stays well below the size that was late.
const CEILING_TRANSACTIONS: u32 = 100;
/// Late transactions in a row after which lateness is not a coincidence.
const LATE_MAX: u32 = 2;

/// The size limit of one transaction.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// The allowance. None when no transaction was late for a long time.
    bytes: Option<usize>,
    /// Number of late transactions in a row.
    late: u32,
    /// The size of the last late transaction.
    late_bytes: usize,
    /// The allowance does not grow above this, three quarters of the size that was late, for this many
    /// transactions.
    ceiling: Option<(usize, u32)>,
    /// True when something was kept out of the last transaction.
    wanted: bool,
    /// The partition that was cut last. The partitions after it come first in the next checkpoint.
    last_cut: i32,
}

/// The course of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) ms: u64,
    pub(super) timeout_ms: u64,
    /// True when the transaction did not fit into its time.
    pub(super) late: bool,
}

impl Allowance {
    /// False while transactions fit into their time. Then no record has to ask for the load.
    pub(super) fn is_limited(&self) -> bool {
        self.bytes.is_some()
    }

    /// True when a partition with this load takes no more records.
    pub(super) fn is_full(&self, load: Load) -> bool {
        self.bytes.is_some_and(|bytes| load.weight_bytes() >= bytes)
    }

    /// Entries that a checkpoint may write besides the changed ones.
    pub(super) fn spare_entries(&self) -> usize {
        self.bytes.map_or(usize::MAX, |bytes| {
            (bytes / 2 / super::load::ENTRY_BYTES).max(1)
        })
    }

    /// Notes that a record, or a partition, is left for the next transaction.
    pub(super) fn keep_out(&mut self) {
        self.wanted = true;
    }

    /// True when the next transaction need not wait for more.
    pub(super) fn is_waited_for(&self) -> bool {
        self.wanted
    }

    pub(super) fn settled(&mut self, outcome: Outcome, load: Load, took: Took) {
        let held = load.weight_bytes();
        if took.late && outcome != Outcome::Committed {
            self.late += 1;
            self.late_bytes = held;
            if !planted!(LoadNotLowered) {
                let bytes = self.bytes.unwrap_or(held).min(held);
                self.bytes = Some((bytes / 2).max(ALLOWANCE_BYTES_MIN));
                self.ceiling = Some((bytes / 4 * 3, CEILING_TRANSACTIONS));
            }
            return;
        }
        if outcome != Outcome::Committed {
            return;
        }
        // A transaction that holds little, of other partitions, says nothing about the late one. The allowance
        // is no measure here: it falls each time that the same work is late again.
        if held >= self.late_bytes / 2 {
            self.late = 0;
        }
        let was_used = self.bytes.is_some_and(|bytes| held >= bytes / 2);
        if !std::mem::take(&mut self.wanted) || !was_used {
            return;
        }
        if took.ms <= took.timeout_ms / SWIFT_PART {
            self.ceiling = None;
            self.bytes = self.bytes.map(|bytes| bytes * 2);
        } else if took.ms <= took.timeout_ms / QUICK_PART {
            let ceiling = self.ceiling.map_or(usize::MAX, |(bytes, _)| bytes);
            self.bytes = self
                .bytes
                .map(|bytes| (bytes + bytes / GROWTH_PART).min(ceiling).max(bytes));
            self.ceiling = self
                .ceiling
                .and_then(|(bytes, left)| Some((bytes, left.checked_sub(1)?)));
        }
        self.bytes = self.bytes.filter(|bytes| *bytes < ALLOWANCE_BYTES_MAX);
    }

    /// True when a partition with this load must be folded again in smaller parts.
    pub(super) fn is_far_exceeded(&self, load: Load) -> bool {
        self.late >= LATE_MAX && self.bytes.is_some_and(|bytes| load.weight_bytes() > bytes)
    }
}

impl Instance {
    /// The partitions of the next checkpoint: as many as it may hold, and at least one. Partitions that are
    /// handed over come first, then the partitions that were left out before. With the batch of its last footer
    /// comes a partition whose section is replies and offset alone.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<(i32, Option<BatchId>)> {
        if !self.allowance.is_limited() {
            let wanting = self.wanting(now_ms);
            return wanting.map(|(id, _, footer)| (id, footer)).collect();
        }
        let wanting = self.wanting(now_ms);
        let wanting = wanting
            .map(|(id, partition, _)| (id, !partition.intake.is_draining(), partition.load()));
        let mut wanting: Vec<_> = wanting.collect();
        let last_cut = self.allowance.last_cut;
        wanting.sort_by_key(|(id, stays, _)| (*stays, *id <= last_cut, *id));
        let (mut due, mut load) = (Vec::new(), Load::default());
        for (id, _, more) in wanting {
            if !due.is_empty() && self.allowance.is_full(load.plus(more)) {
                self.allowance.keep_out();
                break;
            }
            load = load.plus(more);
            due.push(id);
        }
        self.allowance.last_cut = due.last().copied().unwrap_or(last_cut);
        due.sort_unstable();
        due.into_iter().map(|id| (id, None)).collect()
    }

    pub(super) fn took(&self, now_ms: u64, late: bool) -> Took {
        let begun_ms = match &self.transaction {
            Transaction::Running { begun_ms, .. } => *begun_ms,
            _ => now_ms,
        };
        Took {
            ms: now_ms.saturating_sub(begun_ms),
            timeout_ms: self.options.transaction_timeout_ms,
            late,
        }
    }

    /// The load of the next checkpoint.
    pub(super) fn load(&self) -> Load {
        let mut load = Load::default();
        for owned in self.owned.values() {
            if let Stage::Running(partition) = &owned.stage {
                load = load.plus(partition.load());
            }
        }
        load
    }

    /// Stops the fetch of partitions that hold their share, and fetches partitions that may take more.
    pub(super) fn fetch_by_allowance(&mut self, effects: &mut Vec<Effect>) {
        for (id, owned) in &mut self.owned {
            let Stage::Running(partition) = &mut owned.stage else {
                continue;
            };
            if !partition.intake.is_kept_out() {
                continue;
            }
            if !self.allowance.is_full(partition.load()) {
                let still_fetched = partition.intake.let_in();
                if partition.intake.is_open() {
                    if still_fetched {
                        effects.push(Effect::StopFetching { partition: *id });
                    }
                    effects.push(Effect::Fetch {
                        partition: *id,
                        from: partition.next(),
                    });
                }
            } else if partition.intake.stop_fetching() {
                effects.push(Effect::StopFetching { partition: *id });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Took = Took {
        ms: 1_000,
        timeout_ms: 5_000,
        late: false,
    };
    const LATE: Took = Took {
        ms: 5_000,
        timeout_ms: 5_000,
        late: true,
    };

    fn holds(bytes: usize) -> Load {
        Load {
            bytes,
            ..Load::default()
        }
    }

    #[test]
    fn what_was_late_is_halved_until_it_fits_and_grows_again_while_records_wait() {
        let mut allowance = Allowance::default();
        assert!(!allowance.is_full(holds(usize::MAX / 2)));
        // The brokers take 3,000 bytes in the time of a transaction.
        let mut load = 1_000_000;
        let mut tries = 0;
        while load > 3_000 {
            allowance.settled(Outcome::Aborted, holds(load), LATE);
            load = allowance.bytes.unwrap();
            tries += 1;
        }
        assert_eq!((tries, load), (9, 1_953));
        allowance.settled(Outcome::Committed, holds(load), QUICK);
        assert_eq!(allowance.bytes, Some(load), "nothing waits for more");
        allowance.keep_out();
        allowance.settled(Outcome::Committed, holds(load), QUICK);
        assert_eq!(allowance.bytes, Some(load + load / 4));
        let slow = Took { ms: 2_501, ..QUICK };
        allowance.keep_out();
        allowance.settled(Outcome::Committed, holds(load), slow);
        assert_eq!(allowance.bytes, Some(load + load / 4), "not any closer");
        while let Some(bytes) = allowance.bytes {
            allowance.keep_out();
            allowance.settled(Outcome::Committed, holds(bytes), QUICK);
        }
    }

    #[test]
    fn a_transaction_that_waited_for_a_broker_makes_the_next_ones_small_for_a_moment_only() {
        let mut allowance = Allowance::default();
        allowance.settled(Outcome::Aborted, holds(6_000), LATE);
        assert_eq!(allowance.bytes, Some(3_000));
        let swift = Took { ms: 200, ..QUICK };
        let mut transactions = 0;
        while let Some(bytes) = allowance.bytes {
            allowance.keep_out();
            allowance.settled(Outcome::Committed, holds(bytes), swift);
            transactions += 1;
        }
        assert_eq!(transactions, 15, "3,000 bytes to 64 MiB");
    }

    #[test]
    fn one_record_is_always_taken() {
        let mut allowance = Allowance::default();
        for _ in 0..100 {
            allowance.settled(Outcome::Aborted, holds(1), LATE);
        }
        assert!(!allowance.is_full(Load::default()));
        assert_eq!(allowance.spare_entries(), 1);
    }

    #[test]
    fn one_late_transaction_may_be_a_broker_that_restarts() {
        let mut allowance = Allowance::default();
        allowance.settled(Outcome::Aborted, holds(10_000), LATE);
        assert!(!allowance.is_far_exceeded(holds(10_000)));
        allowance.settled(Outcome::Aborted, holds(10_000), LATE);
        assert!(allowance.is_far_exceeded(holds(10_000)));
        assert!(!allowance.is_far_exceeded(holds(2_000)));
        allowance.settled(Outcome::Committed, holds(1), QUICK);
        assert!(allowance.is_far_exceeded(holds(10_000)), "it held little");
        allowance.settled(Outcome::Committed, holds(5_000), QUICK);
        assert!(!allowance.is_far_exceeded(holds(10_000)));
    }

    #[test]
    fn small_transactions_of_others_do_not_make_the_allowance_grow() {
        let mut allowance = Allowance::default();
        allowance.settled(Outcome::Aborted, holds(10_000), LATE);
        for ms in [100, 1_000] {
            allowance.keep_out();
            allowance.settled(Outcome::Committed, holds(2_499), Took { ms, ..QUICK });
            assert_eq!(allowance.bytes, Some(5_000));
        }
        allowance.keep_out();
        let swift = Took { ms: 100, ..QUICK };
        allowance.settled(Outcome::Committed, holds(2_500), swift);
        assert_eq!(allowance.bytes, Some(10_000), "half of it is enough");
    }

    #[test]
    fn small_transactions_of_others_do_not_excuse_a_large_one_that_is_late_each_time() {
        let mut allowance = Allowance::default();
        for _ in 0..5 {
            allowance.settled(Outcome::Aborted, holds(10_000), LATE);
        }
        // The allowance has fallen to the load of the others.
        for _ in 0..2 {
            allowance.settled(Outcome::Committed, holds(600), QUICK);
            allowance.settled(Outcome::Aborted, holds(10_000), LATE);
            assert!(allowance.is_far_exceeded(holds(10_000)));
        }
    }
}
