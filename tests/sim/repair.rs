//! The operator's repair of a partition that its owner reports as halted: the state as the shipped
//! restore finds it, its chains as the shipped repair makes them, written as `sequencer recover` does.
//!
//! Which sequences a jump raises is another subject and not looked at here: what was answered and has
//! gone counts as lost.

use std::rc::Rc;

use sequencer::core::digest::fingerprint;
use sequencer::core::fold::Entry;
use sequencer::core::limits::FOLD_VERSION;
use sequencer::core::{Fold, NextOffset, Offset, Timestamp};
use sequencer::processor::checkpoint::Batch;
use sequencer::processor::partition::Record as Request;
use sequencer::processor::rebuild::Rebuild;
use sequencer::processor::repair;
use sequencer::processor::restore::Restored;
use sequencer::wire::headers::Headers;
use sequencer::wire::state::{BatchId, Fingerprint, Footer, NO_LEADER_EPOCH, Reset};

use crate::log::{Record, What};
use crate::node::names;
use crate::oracle::{Naive, Outcome};
use crate::transactions::{Fate, LogId};
use crate::world::{Truth, World};

/// The state that a repair writes.
struct Repaired {
    fold: Fold,
    naive: Naive,
    /// Up to here the state knows the log.
    known: i64,
    from: i64,
}

impl World {
    pub fn repair_something(&mut self) {
        let partitions = 0..self.partitions.len();
        let halted: Vec<usize> = partitions.filter(|at| self.halted(*at).is_some()).collect();
        if !halted.is_empty() {
            let partition = self.random.pick(&halted);
            self.repair(partition);
        }
    }

    /// Most of what has halted by the time that everything else is at rest is repaired, and goes on. Chains break
    /// there above all: a copy that was lost had no checkpoint yet, and its home reads the next one late.
    pub fn repair_what_halted(&mut self) {
        let repairs = |world: &World| {
            world
                .partitions
                .iter()
                .map(|part| part.repairs)
                .sum::<u64>()
        };
        let before = repairs(self);
        for partition in 0..self.partitions.len() {
            if self.random.chance(80) {
                self.repair(partition);
            }
        }
        if repairs(self) > before {
            self.come_to_rest();
        }
    }

    /// Repairs a partition, if it needs it and nobody else may write its state meanwhile.
    fn repair(&mut self, partition: usize) {
        let Some(code) = self.halted(partition) else {
            return;
        };
        if self.damaged.contains_key(&partition)
            || !self.must_stop(partition)
            || self.is_transacted(partition)
        {
            return;
        }
        let Some(state) = &self.partitions[partition].state else {
            return;
        };
        let restored = self.restored(partition, 0, state.end());
        let repaired = match code {
            "truncated" | "other_record" | "requests_missing" => self.jumped(partition, &restored),
            "link_broken" => self.opened(partition, &restored),
            _ => None,
        };
        if let Some(repaired) = repaired {
            self.coverage.state(match code {
                "truncated" => "repaired: truncated",
                "other_record" => "repaired: other record",
                "requests_missing" => "repaired: requests missing",
                _ => "repaired: link broken",
            });
            self.write_repair(partition, repaired);
        }
    }

    /// A transaction with the partition in it is not over.
    fn is_transacted(&self, partition: usize) -> bool {
        let open = self.transactions.all.iter();
        let mut open = open.filter(|transaction| transaction.fate == Fate::Open);
        let state = self.partitions[partition].state.as_ref();
        open.any(|transaction| transaction.pieces.iter().any(|p| p.partition == partition))
            || state.is_none_or(|state| state.stable() < state.end())
    }

    /// Goes on where the log was cut or begins, with the state as it was checkpointed.
    fn jumped(&mut self, partition: usize, restored: &Restored) -> Option<Repaired> {
        let part = &self.partitions[partition];
        let naive = part.checkpointed.as_deref()?.clone();
        if let Some(difference) = self.difference(partition, &naive, restored) {
            panic!("I6: partition {partition} before its repair: {difference}");
        }
        let (start, stable) = (part.requests.start, part.requests.stable());
        let footer = part.truth?.next;
        let next = footer.max(part.answered);
        let begin = part.cut_at.map_or(next, |at| at.min(next)).max(start);
        // As the halt said at first, or as it says by now.
        let from = if self.random.chance(70) {
            begin
        } else {
            next.max(begin).min(stable)
        };
        if from > stable {
            return None;
        }
        let now_ms = self.now_ms;
        // What is answered beyond the state, and lies before the cut, is known from the log.
        let known = part.cut_at.filter(|at| *at > footer && start <= footer);
        let known = known.map_or(footer, |at| at.min(from));
        let (mut naive, whole) = match known > footer {
            true => self.refolded(partition, restored, known),
            false => (naive, restored.fold.clone()),
        };
        let mut fold = Fold::default();
        let mut accepted = std::collections::BTreeMap::new();
        for entry in whole.iter() {
            match entry {
                Entry::Sent { .. } => {}
                Entry::Accepted { source, end } => drop(accepted.insert(source, end)),
                entry => fold.put(entry),
            }
        }
        repair::jump(&mut fold, whole.scalars(), &accepted, now_ms);
        naive.jumped(fold.scalars().epoch);
        Some(Repaired {
            fold,
            naive,
            known,
            from,
        })
    }

    /// Folds what lies between the state and an offset of the log.
    fn refolded(&self, partition: usize, restored: &Restored, to: i64) -> (Naive, Fold) {
        let part = &self.partitions[partition];
        let footer = restored.footer.as_ref().expect("a state");
        let (key, fold) = (footer.link_key, restored.fold.clone());
        let mut rebuild = Rebuild::new(partition as u32, key, fold, footer.next, None);
        let records = part
            .requests
            .committed(footer.next.0, to, &self.transactions);
        for (at, record) in records {
            let names = names();
            let all = record.headers.iter();
            let all = all.map(|(name, value)| (name.as_bytes(), Some(value.as_slice())));
            rebuild.record(&Request {
                partition: partition as i32,
                leader_epoch: record.leader_epoch,
                offset: Offset(at),
                timestamp: Timestamp(record.timestamp),
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &Headers::collect(&names, all),
            });
        }
        let mut fold = rebuild.fold().clone();
        fold.cut(&mut Vec::new());
        repair::keep_ledgers(&mut fold, &restored.fold);
        let mut naive = part.folding.snapshots[to as usize].as_ref().clone();
        if let Some(written) = &part.checkpointed {
            naive.keep_ledgers(written);
        }
        (naive, fold)
    }

    /// Folds up to the link that does not follow, and takes the chain up there.
    fn opened(&mut self, partition: usize, restored: &Restored) -> Option<Repaired> {
        let footer = restored.footer.as_ref()?;
        let part = &self.partitions[partition];
        let broken = part.folding.broken?.at;
        // The owner commits the rest of its fold before it halts.
        let mut between = part
            .requests
            .committed(footer.next.0, broken, &self.transactions);
        if part.cut_below || between.next().is_some() {
            return None;
        }
        drop(between);
        let (key, fold) = (footer.link_key, restored.fold.clone());
        let mut rebuild = Rebuild::new(partition as u32, key, fold, footer.next, None);
        let record = part.requests.committed_at(broken, &self.transactions)?;
        let names = names();
        let all = record.headers.iter();
        let all = all.map(|(name, value)| (name.as_bytes(), Some(value.as_slice())));
        rebuild.record(&Request {
            partition: partition as i32,
            leader_epoch: record.leader_epoch,
            offset: Offset(broken),
            timestamp: Timestamp(record.timestamp),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &Headers::collect(&names, all),
        });
        let source = rebuild.broken.expect("the same link is broken").source;
        let mut fold = rebuild.fold().clone();
        fold.cut(&mut Vec::new());
        repair::open(&mut fold, source);
        repair::refolded(&mut fold, 0, self.now_ms);
        let mut naive = part.folding.snapshots[broken as usize].as_ref().clone();
        naive.opened(source, fold.scalars().epoch);
        Some(Repaired {
            fold,
            naive,
            known: broken,
            from: broken,
        })
    }

    fn write_repair(&mut self, partition: usize, repaired: Repaired) {
        let Repaired {
            fold,
            naive,
            known,
            from,
        } = repaired;
        let decided = self.decided.expect("a partition that halts was decided");
        let before = self.before(partition, from);
        self.runs += 1;
        let id = BatchId {
            writer: self.runs,
            number: 1,
        };
        let mut batch = Batch::default();
        batch.reset(
            id,
            &Reset {
                answered: NextOffset(from),
                epoch: fold.scalars().epoch,
                reason: "why".into(),
            },
        );
        for entry in fold.iter() {
            batch.entry(id, &entry);
        }
        let scalars = fold.scalars();
        batch.footer(
            id,
            &Footer {
                next: NextOffset(from),
                digest: fold.digest_with(scalars),
                scalars,
                link_key: decided.link_key,
                fold_version: FOLD_VERSION,
                topic_id: self.topic,
                last_applied: before,
                answers_beyond: false,
                batch_records: batch.len() as u32,
                group: "group".into(),
                instance: "recover".into(),
            },
        );
        let number = self.open_transaction(None);
        let log = self.partitions[partition]
            .state
            .as_mut()
            .expect("a state log");
        for (key, value) in batch.iter() {
            log.append(Record {
                key: Some(key.to_vec()),
                value: value.map(<[u8]>::to_vec),
                headers: Vec::new(),
                timestamp: self.now_ms as i64,
                leader_epoch: 0,
                transaction: Some(number),
                what: What::State { late: false },
            });
        }
        let pending = &mut self.transactions.all[number].pending;
        pending.insert(LogId::State(partition));
        self.decide(number, Fate::Committed);
        self.complete(number);
        let last_applied = before.map(|before| before.offset.0);
        self.begin_again(partition, naive, known..from, last_applied);
    }

    /// The record just before the place to go on at, if one is there.
    fn before(&self, partition: usize, from: i64) -> Option<Fingerprint> {
        let log = &self.partitions[partition].requests;
        let offset = (from > log.start).then(|| from - 1)?;
        let record = log.committed_at(offset, &self.transactions)?;
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        Some(Fingerprint {
            offset: Offset(offset),
            leader_epoch: NO_LEADER_EPOCH,
            hash: fingerprint(key, value, record.timestamp),
        })
    }

    /// The oracle goes on from what the operator said. What lies before it and had no answer has none.
    fn begin_again(
        &mut self,
        partition: usize,
        naive: Naive,
        unknown: std::ops::Range<i64>,
        last_applied: Option<i64>,
    ) {
        let part = &mut self.partitions[partition];
        let from = unknown.end;
        let passed_over = part
            .cut_at
            .map_or(unknown.start, |at| at.min(unknown.start));
        self.lose(partition, passed_over..from);
        let part = &mut self.partitions[partition];
        let later = part.folding.outcomes.iter().skip(from as usize).flatten();
        for (uid, _) in later.filter(|(_, outcome)| matches!(outcome, Outcome::Reply(_))) {
            let request = &mut self.requests[*uid];
            // Somebody who did not know of the cut has answered it.
            request.lost |= request.body.is_some() || request.answers > 0;
            request.expected = None;
        }
        let folding = &mut part.folding;
        let first = folding.snapshots.first().cloned().expect("a beginning");
        folding.outcomes.resize(from as usize, None);
        folding.snapshots.resize(from as usize + 1, first);
        let naive = Rc::new(naive);
        folding.snapshots[from as usize] = Rc::clone(&naive);
        folding.broken = None;
        part.checkpointed = Some(naive);
        part.truth = Some(Truth {
            next: from,
            last_applied,
        });
        part.answered = from;
        part.cut_below = false;
        part.cut_at = None;
        part.repairs += 1;
        part.repair_unseen = true;
        part.repaired_to = part.state.as_ref().map_or(0, |state| state.end());
        self.voids.retain(|void| void.partition != partition);
        self.fold_visible(partition);
    }
}
