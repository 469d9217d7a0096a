//! Transactions, as the node that carries one out and as the coordinator sees it.

use super::*;
use crate::processor::Mode;

impl World {
    /// Ends a transaction: a marker comes into each log that it wrote to.
    pub(super) fn end(&mut self, id: usize, fate: Fate) {
        if self.transactions[id].fate != Fate::Open {
            return;
        }
        self.transactions[id].fate = fate;
        for log in &mut self.states {
            let mut records = log.records.iter().flatten();
            if records.any(|record| record.transaction == id) {
                log.records.push(None);
            }
        }
        if fate == Fate::Committed {
            assert!(!self.transactions[id].too_late, "T3");
            let offsets = std::mem::take(&mut self.transactions[id].offsets);
            let replies = std::mem::take(&mut self.transactions[id].replies);
            for (partition, offset, body) in replies {
                self.reply_seen(partition, offset, &body);
                self.requests[partition].records[offset]
                    .as_mut()
                    .unwrap()
                    .answers += 1;
            }
            for (partition, committed) in offsets {
                self.check_commit(partition, committed);
                self.committed[partition] = Some(committed);
            }
        }
    }

    pub(super) fn check_commit(&self, partition: usize, Committed { next, .. }: Committed) {
        let before = self.committed[partition].map_or(0, |before| before.next.0);
        assert!(
            before <= next.0,
            "T2, T3: {partition} steps back from {before} to {next}"
        );
        let unanswered = |(_, request): &(i64, &Request)| request.answers == 0;
        let oldest = self.between(partition, 0, next.0).find(unanswered);
        let oldest = oldest.map(|(offset, _)| Offset(offset));
        assert!(
            i4_nothing_lost(next, oldest),
            "I4: {partition}:{oldest:?} below {next}"
        );
        if self.mode == Mode::ExactlyOnce {
            for (offset, request) in self.between(partition, 0, next.0) {
                assert_eq!(request.answers, 1, "exactly once: {partition}:{offset}");
            }
            let early = self
                .between(partition, next.0, i64::MAX)
                .find(|(_, r)| r.answers > 0);
            assert!(early.is_none(), "a reply that no checkpoint covers");
        }
    }

    pub(super) fn time_out_transactions(&mut self) {
        for id in 0..self.transactions.len() {
            if self.now_ms > self.transactions[id].opened_ms + TRANSACTION_TIMEOUT_MS {
                self.end(id, Fate::Aborted);
            }
        }
    }

    /// A new producer of a node's transactional ID settles what the old one left: a commit under
    /// way may have arrived before it.
    pub(super) fn init_producer(&mut self, node: usize, committing: Option<usize>) {
        if let Some(id) = committing
            && self.random.chance(50)
        {
            self.end(id, Fate::Committed);
        }
        for id in 0..self.transactions.len() {
            if self.transactions[id].node == node {
                self.end(id, Fate::Aborted);
            }
        }
    }

    pub(super) fn committing(&self, node: usize) -> Option<usize> {
        let carried = self.nodes[node].as_ref()?.carried.as_ref()?;
        carried
            .id
            .filter(|_| carried.calling == Some(Action::Commit))
    }

    pub(super) fn transaction_step(&mut self, node: usize) {
        let Some(mut carried) = self.live(node).carried.take() else {
            return;
        };
        let Some(action) = carried.calling.take() else {
            match carried.steps.action() {
                Action::Done(outcome) => return self.settled(node, carried, outcome),
                action => carried.calling = Some(action),
            }
            self.live(node).carried = Some(carried);
            return;
        };
        match self.call(node, &mut carried, action) {
            Ok(()) => {
                let known_member = self.live(node).member == Some(carried.generation);
                carried
                    .steps
                    .succeeded(known_member || self.random.chance(50));
            }
            Err((failure, own_timeout)) => carried.steps.failed(failure, own_timeout),
        }
        self.live(node).carried = Some(carried);
    }

    pub(super) fn call(
        &mut self,
        node: usize,
        carried: &mut Carried,
        action: Action,
    ) -> Result<(), (Failure, bool)> {
        let fails = self.faults && self.random.chance(6);
        let failures = [
            Failure::Retriable,
            Failure::Abort,
            Failure::Indefinite,
            Failure::Fatal,
        ];
        let failed = Err((failures[self.random.below(failures.len())], false));
        if action == Action::Renew {
            if fails {
                return Err((Failure::Retriable, false));
            }
            self.init_producer(node, None);
            carried.fenced = false;
            return Ok(());
        }
        if carried.fenced {
            return Err((Failure::Fenced, false));
        }
        let fate = carried.id.map(|id| self.transactions[id].fate);
        if fate == Some(Fate::Aborted) {
            return Err((Failure::Fenced, true));
        }
        match action {
            Action::Begin => {
                carried.id = Some(self.transactions.len());
                self.transactions.push(KafkaTransaction {
                    node,
                    opened_ms: self.now_ms,
                    fate: Fate::Open,
                    too_late: carried.too_late,
                    replies: Vec::new(),
                    offsets: Vec::new(),
                });
            }
            Action::Produce => self.produce(carried, fails),
            Action::SendOffsets => {
                if self.live(node).member != Some(carried.generation) {
                    return Err((Failure::Abort, false));
                }
                let offsets = carried.checkpoint.sections.iter().map(|section| {
                    let (next, rewrite_from) = (section.next, section.rewrite_from);
                    (index(section.partition), Committed { next, rewrite_from })
                });
                self.transactions[carried.id.unwrap()].offsets = offsets.collect();
            }
            Action::Commit if !fails => self.end(carried.id.unwrap(), Fate::Committed),
            Action::Commit => {
                let unknown = matches!(failed, Err((Failure::Indefinite | Failure::Fatal, _)));
                if unknown && self.random.chance(50) {
                    self.end(carried.id.unwrap(), Fate::Committed);
                }
            }
            Action::Abort if !fails => self.end(carried.id.unwrap(), Fate::Aborted),
            Action::Abort | Action::Renew | Action::Done(_) => {}
        }
        if fails { failed } else { Ok(()) }
    }

    /// Writes all records, or only some.
    pub(super) fn produce(&mut self, carried: &mut Carried, fails: bool) {
        let transaction = carried.id.unwrap();
        for section in &carried.checkpoint.sections {
            let partition = index(section.partition);
            for (_, _, body) in section.replies.iter() {
                let reply: serde_json::Value = serde_json::from_slice(body).unwrap();
                assert_eq!(reply["partition"], section.partition);
                let offset = usize::try_from(reply["offset"].as_u64().unwrap()).unwrap();
                let reply = (partition, offset, body.to_vec());
                self.transactions[transaction].replies.push(reply);
            }
            let log = &mut self.states[partition];
            let first = number(log.records.len());
            let header = section.batch_id.to_header();
            for (key, value) in section.batch.iter() {
                log.records.push(Some(StateRecord {
                    key: key.to_vec(),
                    value: value.map(<[u8]>::to_vec),
                    header: value.is_none().then_some(header),
                    transaction,
                }));
                if fails && self.random.chance(30) {
                    return;
                }
            }
            let last = number(log.records.len()) - 1;
            carried.written.push(Written { first, last });
        }
    }

    pub(super) fn settled(&mut self, node: usize, carried: Carried, outcome: Outcome) {
        let fate = carried.id.map(|id| self.transactions[id].fate);
        match outcome {
            Outcome::Committed => assert!(fate == Some(Fate::Committed), "T5"),
            Outcome::Aborted => assert!(fate != Some(Fate::Committed), "T5"),
            _ => {}
        }
        if fate != Some(Fate::Committed) {
            for section in &carried.checkpoint.sections {
                let records = section.batch.iter();
                self.leftovers.push(Leftover {
                    partition: index(section.partition),
                    writer: section.batch_id.writer,
                    next: section.next,
                    records: records
                        .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
                        .collect(),
                });
            }
        }
        self.input(
            node,
            Input::Settled {
                checkpoint: carried.checkpoint,
                outcome,
                written: carried.written,
            },
        );
    }

    /// A batch that was given up long ago comes into the log after all, or a part of it; its writer
    /// owns the partition no more.
    pub(super) fn land_late(&mut self) {
        let is_late = |leftover: &Leftover| {
            let committed = self.committed[leftover.partition];
            let owner =
                self.owners[leftover.partition].and_then(|owner| self.nodes[owner].as_ref());
            committed.is_some_and(|committed| leftover.next < committed.next)
                && owner.is_some_and(|owner| owner.writer != leftover.writer)
        };
        let Some(chosen) = self.leftovers.iter().position(is_late) else {
            return;
        };
        let leftover = self.leftovers.swap_remove(chosen);
        let transaction = self.transactions.len();
        self.transactions.push(KafkaTransaction {
            node: NOBODY,
            opened_ms: self.now_ms,
            fate: Fate::Open,
            too_late: false,
            replies: Vec::new(),
            offsets: Vec::new(),
        });
        for (key, value) in leftover.records {
            if self.random.chance(80) {
                self.states[leftover.partition]
                    .records
                    .push(Some(StateRecord {
                        key,
                        value,
                        header: None,
                        transaction,
                    }));
            }
        }
        self.end(transaction, Fate::Committed);
    }
}
