//! The last records of a state log with the values that they replaced, to see the state as one writer left it.
//!
//! A batch of a zombie may lie among the owner's batches. If compaction has also removed what came before,
//! there is no known state on which the owner's batch could be judged alone. But each writer has restored
//! everything below its own first record. So everything that others wrote after that record is foreign, whether
//! a complete batch or a torn one, and can be left out. A batch that comes after a later one of the same writer
//! can be left out too, since a writer's batches come in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::wire::state::BatchId;

/// A key of the state topic.
pub(super) type Key = Rc<[u8]>;
/// The value of a key. None when there is no value.
pub(super) type Value = Option<Rc<[u8]>>;

/// Most records that are remembered: some of the largest ordinary batches, a few megabytes. Older records of a
/// zombie can no longer be distinguished.
const RECENT_RECORDS_MAX: usize = 50_000;

/// One record of the state log, and the value that it replaced.
#[derive(Debug)]
pub(super) struct Step {
    /// The batch of the record. None when it is unknown.
    pub batch: Option<BatchId>,
    /// The key of the record.
    pub key: Key,
    /// The value of the record.
    pub value: Value,
    /// The value before the record.
    pub before: Value,
}

/// The last records, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Recent {
    steps: VecDeque<Step>,
    /// Number of the next step.
    next: u64,
    writers: BTreeMap<Option<u64>, Extent>,
    /// Numbers of the steps whose batches came late.
    late: BTreeSet<u64>,
}

/// The remembered steps of one writer.
#[derive(Debug)]
struct Extent {
    /// Number of the writer's first step.
    first: u64,
    /// Number of the writer's last step.
    last: u64,
    /// Highest batch number of the writer.
    number: u64,
}

impl Recent {
    /// Remembers a record.
    pub(super) fn push(&mut self, step: Step) {
        let number = step.batch.map_or(0, |batch| batch.number);
        let known = self.writers.entry(step.batch.map(|batch| batch.writer));
        let extent = known.or_insert(Extent {
            first: self.next,
            last: self.next,
            number,
        });
        extent.last = self.next;
        if number < extent.number {
            self.late.insert(self.next);
        }
        extent.number = number.max(extent.number);
        self.next += 1;
        if self.steps.len() >= RECENT_RECORDS_MAX {
            self.steps.pop_front();
            let oldest = self.oldest();
            if self.late.first().is_some_and(|late| *late < oldest) {
                self.late.pop_first();
            }
        }
        self.steps.push_back(step);
    }

    /// Forgets all records.
    pub(super) fn clear(&mut self) {
        *self = Recent::default();
    }

    /// Number of the oldest step that is remembered.
    fn oldest(&self) -> u64 {
        self.next - u64::try_from(self.steps.len()).unwrap_or(self.next)
    }

    /// The keys that others have written since this writer's first record, or any writer wrote too late, with
    /// the values that they would have without these records.
    pub(super) fn without_others(&self, writer: u64) -> Vec<(Key, Value)> {
        let writer = Some(writer);
        let began = self.writers.get(&writer).map(|extent| extent.first);
        let began = began.unwrap_or(self.next);
        let mut extents = self.writers.iter();
        let others = extents.any(|(other, extent)| *other != writer && extent.last > began);
        if !others && self.late.is_empty() {
            return Vec::new();
        }
        let mut held: BTreeMap<&Key, (&Value, bool)> = BTreeMap::new();
        for (at, step) in (self.oldest()..).zip(&self.steps) {
            let (value, foreign) = held.entry(&step.key).or_insert((&step.before, false));
            let is_own = step.batch.map(|batch| batch.writer) == writer;
            if self.late.contains(&at) || (at >= began && !is_own) {
                *foreign = true;
            } else {
                *value = &step.value;
            }
        }
        let foreign = held.into_iter().filter(|(_, (_, foreign))| *foreign);
        foreign
            .map(|(key, (value, _))| (Rc::clone(key), value.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Value {
        (!text.is_empty()).then(|| text.as_bytes().into())
    }

    fn step((writer, number): (u64, u64), key: &str, before: &str, value: &str) -> Step {
        Step {
            batch: Some(BatchId { writer, number }),
            key: key.as_bytes().into(),
            value: some(value),
            before: some(before),
        }
    }

    fn recent(steps: impl IntoIterator<Item = Step>) -> Recent {
        let mut recent = Recent::default();
        steps.into_iter().for_each(|step| recent.push(step));
        recent
    }

    fn taken(key: &str, value: &str) -> (Key, Value) {
        (key.as_bytes().into(), some(value))
    }

    #[test]
    fn what_others_wrote_behind_a_writers_first_record_is_taken_back() {
        let recent = recent([
            step((1, 1), "a", "", "a1"),
            step((2, 1), "b", "b0", "b2"),
            step((1, 2), "a", "a1", "a2"),
            step((1, 2), "b", "b2", "b1"),
            step((1, 2), "c", "", "c1"),
        ]);
        let expected = [taken("a", "a1"), taken("b", "b2"), taken("c", "")];
        assert_eq!(recent.without_others(2), expected);
        assert_eq!(recent.without_others(1), [taken("b", "b1")]);
        assert!(recent.without_others(3).is_empty());
    }

    #[test]
    fn a_batch_that_comes_after_a_later_one_of_its_writer_is_taken_back() {
        let recent = recent([
            step((1, 7), "a", "", "a7"),
            step((1, 5), "a", "a7", "a5"),
            step((1, 8), "b", "", "b8"),
        ]);
        for writer in [1, 2] {
            assert_eq!(recent.without_others(writer), [taken("a", "a7")]);
        }
    }

    #[test]
    fn only_the_last_records_are_remembered() {
        let mut recent = recent([
            step((2, 2), "a", "", "a1"),
            step((2, 1), "a", "a1", "a2"),
            step((1, 1), "a", "a1", "a2"),
        ]);
        assert_eq!(recent.without_others(1).len(), 1);
        for _ in 0..RECENT_RECORDS_MAX {
            recent.push(step((1, 1), "b", "", ""));
        }
        assert_eq!(recent.steps.len(), RECENT_RECORDS_MAX);
        assert!(recent.late.is_empty() && recent.without_others(1).is_empty());
    }
}
