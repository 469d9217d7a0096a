//! State logs: reading and compaction; and retention of requests.

use super::*;

impl World {
    /// Committed records in a range; `None` while a transaction in it is open.
    pub(super) fn visible(
        &self,
        partition: usize,
        from: i64,
        to: i64,
    ) -> Option<Vec<&StateRecord>> {
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        let records = self.states[partition].records[range].iter().flatten();
        let mut visible = Vec::new();
        for record in records {
            match self.transactions[record.transaction].fate {
                Fate::Open => return None,
                Fate::Committed => visible.push(record),
                Fate::Aborted => {}
            }
        }
        Some(visible)
    }

    pub(super) fn restore(&self, partition: usize, from: i64, to: i64) -> Option<Restored> {
        let mut restore = Restore::default();
        for StateRecord {
            key, value, header, ..
        } in self.visible(partition, from, to)?
        {
            let header = header.as_ref().map(<[u8; 16]>::as_slice);
            restore.record(key, value.as_deref(), header).unwrap();
        }
        Some(restore.finish())
    }

    /// Compaction, or retention of requests; retention not between two questions of a takeover,
    /// which would take the record that it is about to compare for another one.
    pub(super) fn age(&mut self) {
        let partition = self.random.below(PARTITIONS);
        if self.random.chance(50) {
            let Some(Committed { next, .. }) = self.committed[partition] else {
                return;
            };
            let compared = |asked: &Asked| {
                index(asked.partition) == partition
                    && matches!(asked.question, Question::ReadRecord(_))
            };
            let mut asked = self.nodes.iter().flatten().flat_map(|node| &node.asked);
            if asked.any(compared) {
                return;
            }
            let log = &mut self.requests[partition];
            let removable = usize::try_from(next.0).unwrap() - log.start;
            log.start += self.random.below(removable + 1);
        } else {
            let end = self.states[partition].records.len();
            let cut = self.random.below(end + 1);
            if self.may_compact(partition, cut) {
                self.compact(partition, cut);
            }
        }
    }

    /// Below `cut` only the last committed record of each key is kept.
    pub(super) fn compact(&mut self, partition: usize, cut: usize) {
        let mut seen = BTreeSet::new();
        for record in self.states[partition].records[..cut].iter_mut().rev() {
            let superseded = |record: &mut StateRecord| {
                let fate = self.transactions[record.transaction].fate;
                fate != Fate::Committed || !seen.insert(record.key.clone())
            };
            drop(record.take_if(superseded));
        }
    }

    /// The lag of compaction: it cleans neither what is open nor what an owner may not have noticed.
    pub(super) fn may_compact(&self, partition: usize, cut: usize) -> bool {
        let late = |record: &StateRecord| self.transactions[record.transaction].node == NOBODY;
        let mut records = self.states[partition].records.iter().flatten();
        !records.any(late) && self.visible(partition, 0, number(cut)).is_some()
    }

    /// All that was committed is in the state, also when all that was superseded is gone.
    pub(super) fn check_state(&mut self, partition: usize) {
        let end = self.states[partition].records.len();
        for compacted in [false, true] {
            if compacted {
                self.compact(partition, end);
            }
            let restored = self.restore(partition, 0, number(end)).unwrap();
            let next = restored.footer.map(|footer| footer.next);
            let committed = self.committed[partition].map(|committed| committed.next);
            assert_eq!(
                next, committed,
                "I6: partition {partition}, compacted: {compacted}"
            );
            for (name, last_id) in &self.requests[partition].last_ids {
                let sequence = restored.fold.sequence(name).unwrap();
                assert_eq!(sequence.next(), last_id + 1, "I6: {name}");
            }
        }
    }
}
