//! The promise, checked when it could be broken: at each reply, each commit, each start and each
//! halt. A violation is a panic whose first word names the invariant.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use sequencer::core::invariants::i3_stable;
use sequencer::core::ledger::Hash;
use sequencer::core::partitioner::partition_of;
use sequencer::processor::Mode;
use sequencer::processor::restore::Restored;
use sequencer::wire::ledger::{PAGE_RECORDS_MAX, decode, hex};
use sequencer::wire::state::{self, Content};
use serde_json::Value;

use crate::faults::compact;
use crate::log::{Log, Record, Slot, Uid, What};
use crate::oracle::{Link, Meaning, Naive, Outcome, Place, Told};
use crate::rescale::is_order;
use crate::transactions::{Fate, Piece};
use crate::world::{Broken, Request, Truth, World};

/// Commits of a run after which only one in so many is compared with a whole restore.
const COMMITS_COMPARED: u64 = 60;
const COMPARED_ONE_IN: usize = 8;

/// With one number of partitions, a request is home after one hop.
const HOPS_OF_ONE_N_MAX: u8 = 1;
/// Each rescale adds as many at most: from anywhere to the child, which has not adopted, to its parent, and back.
const HOPS_OF_RESCALE_MAX: u8 = 3;

/// The oracle.
impl World {
    /// Folds what has become visible of a partition.
    pub fn fold_visible(&mut self, partition: usize) {
        let knows = |naive: &Rc<Naive>| !naive.homes.is_empty();
        if !self.partitions[partition]
            .folding
            .snapshots
            .last()
            .is_some_and(knows)
        {
            return;
        }
        while self.fold_order(partition) {}
        let epochs = self.epochs();
        let part = &mut self.partitions[partition];
        let (log, folding) = (&part.requests, &mut part.folding);
        while folding.broken.is_none() && (folding.outcomes.len() as i64) < log.stable() {
            let offset = folding.outcomes.len() as i64;
            let Some(record) = log.committed_at(offset, &self.transactions) else {
                folding.outcomes.push(None);
                let same = Rc::clone(folding.snapshots.last().expect("a beginning"));
                folding.snapshots.push(same);
                continue;
            };
            let uid = record.what.uid().expect("a request");
            let request = &mut self.requests[uid];
            if is_order(record, &request.asked) {
                return self.fold_visible(partition);
            }
            let link = Link::of(record);
            if let Some(link) = link {
                let named = (request.partition as u32, request.offset);
                assert!(
                    link.origin == named,
                    "I4: {link:?} is of the record at {named:?}"
                );
                let hops = link.hops - request.hops;
                let most = HOPS_OF_ONE_N_MAX.max(epochs * HOPS_OF_RESCALE_MAX);
                assert!(hops <= most, "hops: {link:?} of {uid}");
            }
            let key = request.key.as_deref().unwrap_or_default();
            let n = folding
                .snapshots
                .last()
                .and_then(|naive| naive.homes.last());
            let at = Place {
                partition: partition as u32,
                home: match request.asked.meaning {
                    Meaning::Policy { .. } => partition as u32,
                    _ => partition_of(key, *n.expect("a known N")),
                },
                leader_epoch: record.leader_epoch,
                offset,
                timestamp: record.timestamp,
            };
            let mut state = folding
                .snapshots
                .last()
                .expect("a beginning")
                .as_ref()
                .clone();
            let outcome = state.fold(at, link, &request.asked);
            self.coverage.state(match &outcome {
                Outcome::Reply(crate::oracle::Expected::Ids(_)) => "request granted",
                Outcome::Reply(crate::oracle::Expected::Described(_, false)) => "sequence changed",
                Outcome::Reply(crate::oracle::Expected::Described(sequence, true)) => {
                    if sequence.was_changed() {
                        "sequence described with its last change"
                    } else {
                        "sequence described"
                    }
                }
                Outcome::Reply(crate::oracle::Expected::Policy { .. }) => "policy changed",
                Outcome::Reply(crate::oracle::Expected::Error(code)) => code,
                Outcome::Stray if link.is_some() => "stray found on its way: its link counts",
                Outcome::Stray => "stray found",
                Outcome::Dropped => "stray dropped: it came before",
                Outcome::Broken => "chain broken",
                Outcome::TooManyHops => "stray forwarded too often",
                Outcome::Order(_) | Outcome::Ordered(..) => "order",
                Outcome::Reply(crate::oracle::Expected::Split(_)) => "split",
            });
            if state.window_is_full() {
                self.coverage.state("window full");
            }
            if state.has_full_own_window() {
                self.coverage.state("own window full");
            }
            if outcome == Outcome::Broken {
                let link = link.expect("only a link can be broken");
                assert!(
                    part.lost_copies.contains(&(link.source, link.previous)),
                    "I6: partition {partition} did not lose what the link of {uid} follows: {link:?}"
                );
            }
            let code = match outcome {
                Outcome::Broken => Some("link_broken"),
                Outcome::TooManyHops => Some("too_many_hops"),
                _ => None,
            };
            if let Some(code) = code {
                folding.broken = Some(Broken { at: offset, code });
                return;
            }
            if let Outcome::Reply(expected) = &outcome {
                assert!(
                    request.expected.is_none() || request.lost,
                    "I5: {uid} is answered twice: {:?} and {expected:?}",
                    request.expected
                );
                request.expected = Some(expected.clone());
            }
            folding.outcomes.push(Some((uid, outcome)));
            folding.snapshots.push(Rc::new(state));
        }
    }

    /// True when the partition cannot go on and must not.
    pub fn must_stop(&self, partition: usize) -> bool {
        let part = &self.partitions[partition];
        part.cut_below
            || self.damaged.contains_key(&partition)
            || part.folding.broken.is_some()
            || part
                .truth
                .is_some_and(|truth| truth.next < part.requests.start)
    }
}

/// Replies.
impl World {
    /// A reply to a known record: I1, I2 and I5 by what was expected, I3 by what was seen before.
    pub fn reply_seen(&mut self, uid: Uid, body: &[u8]) {
        self.trace.bytes(body);
        let request = &mut self.requests[uid];
        if request.lost {
            return;
        }
        if let Some(earlier) = &request.body {
            self.coverage.state("reply repeated");
            assert!(
                i3_stable(earlier, body),
                "I3: {} is not {}",
                String::from_utf8_lossy(body),
                String::from_utf8_lossy(earlier)
            );
            return;
        }
        let json: Value = serde_json::from_slice(body).expect("JSON");
        let Some(expected) = &request.expected else {
            panic!("I4: a reply to what is not committed: {json}");
        };
        if let Some(difference) = expected.difference(&json) {
            panic!("I1, I2, I5: {difference}");
        }
        let text = |field: &str| json.get(field).and_then(Value::as_str);
        let same = json["partition"] == request.partition
            && json["offset"] == request.offset
            && text("request_id") == request.asked.request_id.as_deref()
            && text("sequence") == request.asked.name.as_deref();
        assert!(same, "I4: the reply names another request: {json}");
        request.body = Some(body.to_vec());
    }

    /// Whose a reply is that was held for a transaction; none when its record was lost.
    fn uid_of(&self, body: &[u8], piece: &Piece) -> Option<Uid> {
        let (home, next) = (piece.partition, piece.next);
        let json: Value = serde_json::from_slice(body).expect("JSON");
        let partition = json["partition"].as_u64().expect("a partition") as usize;
        let offset = json["offset"].as_i64().expect("an offset");
        let known = self.places.get(&(partition, offset));
        let known = known.expect("a record where the reply says");
        let last = *known.last().expect("one at least");
        let fits = |uid: Uid| {
            let request = &self.requests[uid];
            let expected = request.expected.as_ref();
            let text = |field: &str| json.get(field).and_then(Value::as_str);
            // Another record with the same error shows by the count in the message.
            let is_count = match request.asked.meaning {
                Meaning::Next { count } if json["error"]["code"] == "invalid_count" => {
                    let message = json["error"]["message"].as_str();
                    message.is_some_and(|text| text.ends_with(&format!(" {count}")))
                }
                _ => true,
            };
            is_count
                && text("request_id") == request.asked.request_id.as_deref()
                && text("sequence") == request.asked.name.as_deref()
                && expected.is_some_and(|expected| expected.difference(&json).is_none())
        };
        let replaced = known[..known.len() - 1].iter();
        let mut lost = replaced.filter(|uid| self.requests[**uid].lost);
        // The record that lies there now may get an error with the same code.
        let is_void = partition == home && self.void_at(piece).is_some_and(|at| offset >= at);
        if is_void && lost.clone().next().is_some() {
            return None;
        }
        if !fits(last) && lost.clone().next().is_some() {
            return None;
        }
        // A stray that its log has lost since, and the record that lies there now, may get the same reply, an
        // error for example. The log of their home says which of the two is due here.
        let part = &self.partitions[home];
        let from = part.answered;
        let is_due = |uid: Uid| {
            let due =
                (from..next).filter_map(|at| part.folding.outcomes.get(at as usize)?.as_ref());
            let mut due = due.filter(|(_, outcome)| matches!(outcome, Outcome::Reply(_)));
            due.any(|(known, _)| *known == uid)
        };
        let of_last = is_due(last) && self.requests[last].answers == 0;
        if !of_last && lost.any(|uid| is_due(*uid)) {
            return None;
        }
        Some(last)
    }

    /// A reply in a transaction, which whoever reads uncommitted sees whatever becomes of it.
    pub fn reply_written(&mut self, body: &[u8], piece: &Piece) {
        if let Some(uid) = self.uid_of(body, piece) {
            self.reply_seen(uid, body);
        }
    }
}

/// Commits.
impl World {
    pub fn check_commit(&mut self, number: usize) {
        let pieces = self.transactions.all[number].pieces.clone();
        self.coverage.commits += 1;
        assert!(
            !self.transactions.all[number].too_late,
            "T3: committed after a partition in it was given up"
        );
        let late = self.transactions.all[number].late.clone();
        for piece in pieces.iter().chain(&late) {
            for body in &piece.replies {
                let Some(uid) = self.uid_of(body, piece) else {
                    continue;
                };
                let request = &mut self.requests[uid];
                assert!(
                    request.answers == 0 || request.lost || request.may_repeat,
                    "exactly once: answered again: {}",
                    String::from_utf8_lossy(body)
                );
                request.answers += 1;
            }
        }
        for piece in pieces {
            self.check_piece(number, &piece);
        }
    }

    /// Where the log was cut below what the writer of this section had folded.
    fn void_at(&self, piece: &Piece) -> Option<i64> {
        let voids = self.voids.iter().filter(|void| {
            void.run == piece.run
                && void.partition == piece.partition
                && piece.assignment <= void.assignment
                && piece.next > void.at
        });
        voids.map(|void| void.at).min()
    }

    fn check_piece(&mut self, number: usize, piece: &Piece) {
        let Piece {
            partition,
            run,
            assignment,
            next,
            has_footer,
            ..
        } = *piece;
        let part = &self.partitions[partition];
        let (before, answered) = (part.truth, part.answered);
        let void = self.void_at(piece);
        assert!(
            void.is_some() || !part.cut_below,
            "I6: partition {partition} is committed at {next} on a log that was truncated to {:?}",
            part.requests.cuts
        );
        if let Some(at) = void {
            let part = &mut self.partitions[partition];
            part.cut_below = true;
            part.cut_at = Some(part.cut_at.map_or(at, |before| before.min(at)));
            part.answered = next;
            if !has_footer {
                return;
            }
            part.checkpointed = None;
            let last_applied = before.and_then(|before| before.last_applied);
            part.truth = Some(Truth { next, last_applied });
            return;
        }
        let offsets = &self.transactions.all[number].offsets;
        let sent = offsets.iter().find(|(sent, _)| *sent == partition);
        let sent = sent.map(|(_, committed)| committed.next.0);
        assert!(
            sent == Some(next),
            "pair: state and offset of partition {partition} are committed apart: {next}, {sent:?}"
        );
        assert!(
            answered <= next,
            "T2, T3: partition {partition} steps back from {answered} to {next}"
        );
        if let Some(started) = part.started
            && (started.run, started.assignment) != (run, assignment)
        {
            assert!(
                piece.first.is_some_and(|first| first < started.bound),
                "T1, T2, T3: partition {partition} is committed at {:?}, above the bound {} of \
                 whoever took it over",
                piece.first,
                started.bound
            );
        }
        self.fold_visible(partition);
        self.check_answers(piece, answered);
        self.partitions[partition].answered = next;
        if !has_footer {
            self.coverage.state("answers committed without a footer");
            assert!(
                piece.first.is_none() && piece.ledger.is_empty(),
                "a part of the state without its footer"
            );
            return;
        }
        self.check_decided(number, partition);
        let from = before.map_or(0, |before| before.next);
        self.check_ledger(piece, from);
        let part = &self.partitions[partition];
        // A footer without news keeps the record of the one before. That of a repair may have none.
        let mut news = before.map_or(0, |before| before.next)..next;
        let applied = |offset: &i64| part.folding.outcomes[*offset as usize].is_some();
        let last_applied = news
            .rfind(applied)
            .or(before.and_then(|before| before.last_applied));
        self.partitions[partition].checkpointed = Some(Rc::clone(
            &self.partitions[partition].folding.snapshots[next as usize],
        ));
        self.partitions[partition].truth = Some(Truth { next, last_applied });
        if self.partitions[partition].state_lost {
            let end = self.partitions[partition]
                .state
                .as_ref()
                .map_or(0, |state| state.end());
            let restored = self.restored(partition, 0, end);
            let found = restored.footer.map(|footer| footer.next.0);
            if found == Some(next) {
                self.partitions[partition].state_lost = false;
                self.partitions[partition].repaired_to = end;
            }
        } else if self.coverage.commits < COMMITS_COMPARED || self.random.one_in(COMPARED_ONE_IN) {
            self.check_state(partition);
        }
    }

    /// N and the key of the links are decided once, and by a footer of partition 0.
    fn check_decided(&mut self, number: usize, partition: usize) {
        let Some(state) = &self.partitions[partition].state else {
            return;
        };
        let records = state.slots.iter().rev();
        let footer = records
            .filter_map(|slot| match slot {
                Slot::Record(record) if record.transaction == Some(number) => Some(record),
                _ => None,
            })
            .find_map(|record| {
                let key = record.key.as_deref().unwrap_or_default();
                match state::decode(key, record.value.as_deref(), None)
                    .ok()?
                    .content
                {
                    Content::Footer(footer) => Some((footer.decided(), footer.scalars.floor)),
                    _ => None,
                }
            });
        let Some((found, floor)) = footer else {
            panic!("I6: a batch without a footer");
        };
        match self.decided {
            None => {
                assert!(partition == 0, "I6: N decided by another partition");
                self.decided = Some(found);
            }
            Some(decided) => assert!(
                found.link_key == decided.link_key,
                "I6: the key of links changed"
            ),
        }
        self.begin_with(partition, found.homes, floor);
    }

    fn check_answers(&self, piece: &Piece, from: i64) {
        let part = &self.partitions[piece.partition];
        let outcomes = &part.folding.outcomes;
        assert!(
            piece.next <= outcomes.len() as i64,
            "I4: {} of partition {} is not visible yet",
            piece.next,
            piece.partition
        );
        for offset in from..piece.next {
            let Some((uid, outcome)) = &outcomes[offset as usize] else {
                continue;
            };
            let request = &self.requests[*uid];
            let answered = match outcome {
                Outcome::Reply(_) => request.answers > 0,
                Outcome::Stray => self.forwarded.contains(&(piece.partition, *uid)),
                Outcome::Dropped | Outcome::Broken | Outcome::TooManyHops => true,
                Outcome::Order(to) => self.are_out(piece.partition, offset, to),
                Outcome::Ordered(_, to) => {
                    request.answers > 0 && self.are_out(piece.partition, offset, to)
                }
            };
            assert!(
                answered || request.lost,
                "I4: {}:{offset} is covered by a checkpoint at {} and {outcome:?} is not out",
                piece.partition,
                piece.next
            );
        }
        if self.config.mode == Mode::ExactlyOnce {
            let later = outcomes[piece.next as usize..].iter().flatten();
            for (uid, outcome) in later {
                let replies = matches!(outcome, Outcome::Reply(_) | Outcome::Ordered(..));
                let Request {
                    answers,
                    lost,
                    may_repeat,
                    ..
                } = self.requests[*uid];
                let early = replies && answers > 0;
                assert!(
                    !early || lost || may_repeat,
                    "exactly once: {uid} is answered and not covered"
                );
            }
        }
    }

    /// Whoever reads committed pages of the ledger sees a record for each grant of an audited sequence
    /// and each act on it, those of a sequence in the order of the log, once; and each names the hash of
    /// the one before.
    fn check_ledger(&mut self, piece: &Piece, from: i64) {
        let partition = piece.partition;
        let snapshots = &self.partitions[partition].folding.snapshots;
        let mut due: BTreeMap<String, VecDeque<Told>> = BTreeMap::new();
        for offset in from..piece.next {
            let folded = self.partitions[partition].folding.outcomes[offset as usize].is_some();
            // The state behind each offset.
            let state = &snapshots[offset as usize + 1];
            if let Some(told) = state.told.clone().filter(|_| folded) {
                due.entry(told.name.clone()).or_default().push_back(told);
            }
        }
        for page in &piece.ledger {
            let json: Value = serde_json::from_slice(page).expect("JSON");
            let entries = decode(page).expect("a page of the ledger");
            assert!(entries.len() <= PAGE_RECORDS_MAX, "ledger: {json} is long");
            self.coverage.state(match entries.len() {
                1 => "ledger page of one record",
                _ => "ledger page of several records",
            });
            for (place, entry) in entries.iter().enumerate() {
                let told = due.get_mut(&entry.sequence).and_then(VecDeque::pop_front);
                let Some(told) = told else {
                    panic!("ledger: record {place} of {json} is not due");
                };
                if let Some(difference) = told.difference(&json, place) {
                    panic!("ledger: {difference}");
                }
                let before = self.ledger_end(partition, &told.name);
                let ends = &mut self.partitions[partition].ledger;
                ends.insert(told.name.clone(), entry.hash);
                let known = hex(&before.unwrap_or(Hash::NONE));
                assert!(
                    entry.previous == known,
                    "ledger: the chain of {} is broken at record {}",
                    told.name,
                    told.record
                );
                self.coverage.state(match told.kind {
                    "grant" => "ledger record of a grant",
                    _ => "ledger record of an operator's act",
                });
            }
        }
        let missing: Vec<_> = due.values().flatten().collect();
        assert!(
            missing.is_empty(),
            "ledger: partition {partition} from {from} to {}: not written: {missing:?}",
            piece.next
        );
    }

    /// What a restore would make of the state now is what the oracle has there.
    fn check_state(&self, partition: usize) {
        let end = self.partitions[partition]
            .state
            .as_ref()
            .map(|state| state.end());
        let restored = self.restored(partition, 0, end.unwrap_or(0));
        let truth = self.partitions[partition].truth.map(|truth| truth.next);
        let next = restored.footer.as_ref().map(|footer| footer.next.0);
        assert!(
            next == truth,
            "I6: partition {partition} is restored at {next:?}, committed is {truth:?}; {} batches \
             skipped\n{}",
            restored.skipped_batches,
            self.told_state(partition)
        );
        self.check_restored(partition, &restored, "at a commit");
    }

    /// The state log in words, for the report of a failure.
    fn told_state(&self, partition: usize) -> String {
        let mut told = String::new();
        let state = self.partitions[partition].state.as_ref();
        for (at, slot) in state.iter().flat_map(|log| log.slots.iter().enumerate()) {
            let Slot::Record(record) = slot else {
                told += &format!(
                    "{at}: {}\n",
                    if matches!(slot, Slot::Gone) {
                        "gone"
                    } else {
                        "marker"
                    }
                );
                continue;
            };
            let fate = record
                .transaction
                .map(|number| self.transactions.all[number].fate);
            let key = record.key.as_deref().unwrap_or_default();
            let read = state::decode(key, record.value.as_deref(), record.header("b"));
            let read = read.map(|read| format!("{:?} {:?}", read.batch, read.content));
            told += &format!("{at}: {fate:?} {:?} {read:?}\n", record.what);
        }
        told
    }

    fn check_restored(&self, partition: usize, restored: &Restored, what: &str) {
        let Some(footer) = &restored.footer else {
            return;
        };
        let snapshots = &self.partitions[partition].folding.snapshots;
        let naive = snapshots.get(footer.next.0 as usize);
        let naive = naive.expect("I6: restored beyond what is visible");
        if let Some(difference) = self.difference(partition, naive, restored) {
            panic!(
                "I6: partition {partition} {what}, at {}: {difference}",
                footer.next
            );
        }
    }

    /// By now the owner has written again what others wrote, so that nothing but the last value of
    /// each key is needed.
    fn check_compacted(&mut self, partition: usize) {
        let Some(whole) = self.partitions[partition].state.clone() else {
            return;
        };
        let mut compacted = whole.clone();
        compact(&mut compacted.slots, |record| self.is_committed(record));
        self.partitions[partition].state = Some(compacted);
        self.check_state(partition);
        self.partitions[partition].state = Some(whole);
    }

    /// At any cut of the state, and with any compaction, a restore is right or refused.
    pub fn check_cuts(&mut self, partition: usize, cuts: usize) {
        let Some(state) = self.partitions[partition].state.clone() else {
            return;
        };
        if self.partitions[partition].cut_below {
            return;
        }
        let late = state.slots.iter().any(|slot| {
            matches!(slot, Slot::Record(record) if record.what == What::State { late: true })
        });
        for _ in 0..cuts {
            // The oracle has forgotten what a repair has made void.
            let least = self.partitions[partition].repaired_to;
            let most = state.slots.len() as i64 - least;
            let to = least + self.random.below(most as usize + 1) as i64;
            let restored = self.restored(partition, 0, to);
            self.check_restored(partition, &restored, "at a cut of its state");
            // Compaction stays below the last stable offset, so it sees transactions whole.
            let end = whole(&state, to);
            let mut compacted = state.clone();
            compacted.cut(end, false);
            let dirty = self.random.below(end as usize + 1);
            compact(&mut compacted.slots[..dirty], |record| {
                self.is_committed(record)
            });
            let kept = self.partitions[partition].state.replace(compacted);
            let restored = self.restored(partition, 0, end);
            self.partitions[partition].state = kept;
            self.check_restored(partition, &restored, "at a cut of its compacted state");
            let is_footer = |slot: &&Slot| match slot {
                Slot::Record(record) => {
                    record.key.as_deref() == Some(b"F") && self.is_committed(record)
                }
                _ => false,
            };
            let committed = state.slots[..end as usize]
                .iter()
                .any(|slot| is_footer(&slot));
            let real = end >= state.compacted;
            assert!(
                late || !committed || !real || restored.footer.is_some(),
                "I6: partition {partition} is refused with {dirty} of {end} compacted"
            );
        }
    }
}

/// Starts and halts.
impl World {
    /// An owner begins to fetch.
    pub fn check_start(&mut self, partition: usize, from: i64) {
        let part = &self.partitions[partition];
        let truth = part.truth.map_or(0, |truth| truth.next);
        // A cut of what is answered beyond the state shows when that is folded, and before anything is committed.
        let shows_later = part.answered > truth && part.cut_at.is_some_and(|at| at >= truth);
        assert!(
            !part.cut_below || shows_later,
            "I6: partition {partition} goes on at {from} on a log that was truncated to {:?}; \
             committed is {:?}",
            part.requests.cuts,
            part.truth
        );
        // An owner that runs learns of another topic at its next look, and may begin a fetch until then.
        let damage = self.damaged.get(&partition);
        assert!(
            damage.is_none() || self.is_in_another_topic(partition as i32),
            "I6: partition {partition} goes on at {from} although it was damaged: {damage:?}"
        );
        assert!(
            from == truth,
            "T1, T2: partition {partition} is taken over at {from}, committed is {truth}\n{}",
            self.told_state(partition)
        );
        self.trace.number(from);
    }

    /// Nobody halts who owns a partition, unless something was lost.
    pub fn check_halt(&self, node: usize, partition: usize) {
        let Some(live) = &self.nodes[node] else {
            return;
        };
        for report in live.instance.report() {
            if report.partition as usize != partition {
                continue;
            }
            let sequencer::processor::instance::Phase::Halted { code, reason, .. } = report.phase
            else {
                continue;
            };
            if !self.owns(node, partition) {
                continue;
            }
            let part = &self.partitions[partition];
            let fits = match code {
                "truncated" | "other_record" => part.cut_below,
                "requests_missing" => part.cut_below || part.requests.start > 0,
                // A log that was cut below an answer may break a chain before the digest there shows the cut.
                "link_broken" | "too_many_hops" => {
                    let broken = part.folding.broken;
                    part.cut_below || broken.is_some_and(|broken| broken.code == code)
                }
                "unreadable" => part.unread.is_some_and(|unread| unread.in_log),
                _ => self.damaged.get(&partition) == Some(&code),
            };
            assert!(
                fits,
                "I6: partition {partition} halts for no reason: {reason}\n{}",
                self.told_state(partition)
            );
        }
    }

    /// At the end: everything is answered that was not lost, and the state is right.
    pub fn check_all(&mut self) {
        for partition in 0..self.partitions.len() {
            let halted = self.halted(partition);
            assert!(
                !self.partitions[partition].state_lost,
                "I6: the state of partition {partition} was lost and is not there again"
            );
            assert!(
                halted.is_some() == self.must_stop(partition),
                "I6: partition {partition} is halted: {halted:?}"
            );
            if let Some(code) = halted {
                self.coverage.state(match code {
                    "truncated" => "halted at the end: truncated",
                    "other_record" => "halted at the end: other record",
                    "requests_missing" => "halted at the end: requests missing",
                    "link_broken" => "halted at the end: link broken",
                    "too_many_hops" => "halted at the end: forwarded too often",
                    _ => "halted at the end: damaged on purpose",
                });
            } else {
                self.check_state(partition);
                self.check_cuts(partition, 4);
                self.check_compacted(partition);
            }
        }
        self.check_rescales();
        for (uid, request) in self.requests.iter().enumerate() {
            let committed = request
                .transaction
                .is_none_or(|number| self.transactions.all[number].fate == Fate::Committed);
            if !committed {
                assert!(request.body.is_none(), "T8: {uid} was never committed");
                continue;
            }
            let key = request.key.as_deref().unwrap_or_default();
            let home = self.partitions[0].folding.snapshots.last();
            let n = home.and_then(|naive| naive.homes.last()).unwrap_or(&1);
            let home = partition_of(key, *n) as usize;
            let stopped = self.must_stop(request.lies_in) || self.must_stop(home);
            assert!(
                request.answers > 0 || request.lost || stopped,
                "I4: {}:{} has no answer: {:?}, {:?}",
                request.partition,
                request.offset,
                request.asked,
                request.expected
            );
        }
    }

    pub fn no_rest(&self) -> ! {
        let mut words = Vec::new();
        for (index, part) in self.partitions.iter().enumerate() {
            words.push(format!(
                "{index}: owner {:?}, end {}, stable {}, committed {:?}, must stop {}",
                part.owner,
                part.requests.end(),
                part.requests.stable(),
                part.truth,
                self.must_stop(index)
            ));
        }
        for live in self.nodes.iter().flatten() {
            words.push(format!(
                "run {}: {:?}, reads {:?}, asks {:?}, transaction {:?}, strays {:?}, replies {}, \
                 takes records {}, rebalances {:?}, revoking {:?}, membership {:?}",
                live.run,
                live.instance.report(),
                live.reading,
                live.asked
                    .iter()
                    .map(|asked| asked.question)
                    .collect::<Vec<_>>(),
                live.carried.as_ref().map(|carried| {
                    let sections = carried.checkpoint.sections.iter();
                    let held = sections.map(|section| {
                        let touched = section.touched.len();
                        (
                            section.partition,
                            section.batch.len(),
                            touched,
                            section.replies.len(),
                        )
                    });
                    (carried.calling, held.collect::<Vec<_>>())
                }),
                live.forwards
                    .iter()
                    .map(|parcel| parcel.landed)
                    .collect::<Vec<_>>(),
                live.unacknowledged.len(),
                live.instance.takes_records(),
                live.rebalances,
                live.revoking,
                live.known,
            ));
        }
        panic!("liveness: no rest: {}", words.join("; "));
    }
}

/// The first offset at or above `to` that no transaction lies on both sides of.
fn whole(log: &Log, to: i64) -> i64 {
    let mut extents: BTreeMap<usize, (i64, i64)> = BTreeMap::new();
    for (at, slot) in log.slots.iter().enumerate() {
        if let Slot::Record(Record {
            transaction: Some(number),
            ..
        }) = slot
        {
            let at = at as i64;
            extents.entry(*number).or_insert((at, at)).1 = at;
        }
    }
    let mut end = to;
    while let Some((_, last)) = extents
        .values()
        .find(|(first, last)| *first < end && end <= *last)
    {
        end = last + 1;
    }
    end
}
