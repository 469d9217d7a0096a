//! What a repair writes, decided from what was found. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::evidence::{Counter, Evidence, State};
use crate::core::definition::Definition;
use crate::core::fold::{Defined, Entry};
use crate::core::limits::{FOLD_VERSION, ID_LAST};
use crate::core::sequence::Sequence;
use crate::core::{Fold, NextOffset, Scalars};
use crate::processor::checkpoint::Batch;
use crate::processor::rebuild::Rebuild;
use crate::processor::repair;
use crate::wire::state::{BatchId, Fingerprint, Footer, Reset};

/// The writer in the footer, for people.
const INSTANCE: &str = "recover";

/// What the operator asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The partition.
    pub partition: i32,
    /// Where it goes on.
    pub from: NextOffset,
    /// Above which ID.
    pub above: i64,
    /// The group that counts.
    pub group: String,
    /// The record just before the place to go on at, if one is there.
    pub before: Option<Fingerprint>,
    /// By this machine's clock.
    pub now_ms: u64,
}

/// What to write.
#[derive(Debug)]
pub struct Plan {
    /// Every sequence, raised.
    pub fold: Fold,
    /// The footer that closes the batch.
    pub footer: Footer,
}

impl Plan {
    /// Decides.
    ///
    /// # Errors
    /// What was asked for would break the promise, or another repair is needed; in words.
    pub fn new(ask: &Ask, evidence: &Evidence) -> Result<Plan, String> {
        check(ask, evidence)?;
        let floor = floor(ask, evidence);
        let state = &evidence.state;
        let mut fold = Fold::default();
        for (name, counter) in &state.counters {
            fold.put(Entry::Sequence {
                name,
                sequence: moved_on(name, counter, floor, evidence),
                defined: counter.defined.clone().map(repaired).map(Cow::Owned),
            });
        }
        for (segment, places) in &state.window {
            fold.put(Entry::Window {
                segment: *segment,
                places: Cow::Borrowed(places),
            });
        }
        let scalars = Scalars {
            floor,
            ..state.scalars
        };
        let of_other_topic = BTreeMap::new();
        let accepted = if is_of_other_topic(evidence) {
            &of_other_topic
        } else {
            &state.accepted
        };
        repair::jump(&mut fold, scalars, accepted, ask.now_ms);
        let records = 1 + fold.len();
        let footer = Footer {
            next: ask.from,
            last_applied: ask.before,
            batch_records: u32::try_from(records).unwrap_or(u32::MAX),
            ..footer(&fold, &ask.group, evidence)
        };
        Ok(Plan { fold, footer })
    }

    /// The state as the log gives it.
    ///
    /// # Errors
    /// As for a jump.
    pub fn rebuilt(
        partition: i32,
        group: &str,
        rebuilt: Rebuild,
        evidence: &Evidence,
        now_ms: u64,
    ) -> Result<Plan, String> {
        belongs(partition, group, evidence)?;
        let mut fold = rebuilt.fold;
        fold.cut(&mut Vec::new());
        tell_ledgers(&mut fold);
        repair::refolded(&mut fold, evidence.state.scalars.epoch, now_ms);
        let records = 1 + fold.len();
        let footer = Footer {
            next: rebuilt.next,
            last_applied: rebuilt.last_applied,
            batch_records: u32::try_from(records).unwrap_or(u32::MAX),
            ..footer(&fold, group, evidence)
        };
        Ok(Plan { fold, footer })
    }

    /// A gap in a chain of forwarded requests is believed.
    pub fn opens_a_chain(&self) -> bool {
        let mut entries = self.fold.iter();
        entries.any(|entry| matches!(entry, Entry::Accepted { end, .. } if end.open))
    }

    /// The records: the reset, every sequence, the footer.
    pub fn batch(&self, id: BatchId, reason: &str) -> Batch {
        let mut batch = Batch::default();
        let reason = reason.to_owned();
        batch.reset(id, &Reset { reason });
        for entry in self.fold.iter() {
            batch.entry(id, &entry);
        }
        batch.footer(id, &self.footer);
        batch
    }
}

/// The request topic was made again since: what was accepted from it is void, as is its state.
fn is_of_other_topic(evidence: &Evidence) -> bool {
    let footer = evidence.state.last_footer.as_ref();
    footer.is_some_and(|footer| footer.topic_id != evidence.log.topic_id)
}

/// A footer of this state, at no place yet.
fn footer(fold: &Fold, group: &str, evidence: &Evidence) -> Footer {
    let scalars = fold.scalars();
    Footer {
        next: NextOffset::ZERO,
        digest: fold.digest_with(scalars),
        scalars,
        partitions: evidence.decided.partitions,
        link_key: evidence.decided.link_key,
        fold_version: FOLD_VERSION,
        topic_id: evidence.log.topic_id,
        last_applied: None,
        batch_records: 0,
        group: group.to_owned(),
        instance: INSTANCE.to_owned(),
    }
}

/// The highest ID that was seen, of a sequence without a definition.
pub fn highest_seen(evidence: &Evidence) -> i64 {
    let State { counters, .. } = &evidence.state;
    let plain = |name: &String| {
        counters
            .get(name)
            .is_none_or(|known| known.defined.is_none())
    };
    let given = evidence.replies.given.iter();
    let replied = given
        .filter(|(name, _)| plain(name))
        .map(|(_, (_, highest))| (*highest).min(ID_LAST))
        .max();
    evidence.state.highest_id().max(replied.unwrap_or(0))
}

/// IDs up to here count as given: what the operator says, and more if a record says so. Sequences
/// with a definition count by rules of their own.
pub fn floor(ask: &Ask, evidence: &Evidence) -> i64 {
    ask.above.max(highest_seen(evidence))
}

/// Grants of which the last checkpoint knew nothing are in the state again, and in no ledger.
fn tell_ledgers(fold: &mut Fold) {
    let audited = |entry: Entry<'_>| match entry {
        Entry::Sequence {
            name,
            sequence,
            defined: Some(defined),
        } if defined.chain.is_some() => {
            Some((name.to_owned(), sequence, repaired(defined.into_owned())))
        }
        _ => None,
    };
    let audited: Vec<_> = fold.iter().filter_map(audited).collect();
    for (name, sequence, defined) in audited {
        fold.put(Entry::Sequence {
            name: &name,
            sequence,
            defined: Some(Cow::Owned(defined)),
        });
    }
}

/// The next record of its ledger says that what came before was repaired: the sequence may have moved,
/// and requests that are read again get IDs again.
fn repaired(mut defined: Defined) -> Defined {
    if let Some(chain) = &mut defined.chain {
        chain.repaired = true;
    }
    defined
}

/// Counts as one that nobody defined does, `audit` apart.
fn counts_by_default(defined: &Defined) -> bool {
    let audit = defined.definition.audit;
    defined.definition
        == Definition {
            audit,
            ..Definition::DEFAULT
        }
}

/// A counter moves on beyond every ID that may have been given.
fn moved_on(name: &str, counter: &Counter, floor: i64, evidence: &Evidence) -> Sequence {
    let Counter { sequence, defined } = counter;
    let given = evidence.replies.given.get(name);
    match (defined, given) {
        (None, _) => sequence.raised_above(floor),
        (Some(defined), None) if counts_by_default(defined) => sequence.raised_above(floor),
        (Some(defined), Some((lowest, highest))) if counts_by_default(defined) => sequence
            .raised_above(floor)
            .beyond(&defined.definition, *lowest, *highest),
        (Some(defined), Some((lowest, highest))) => {
            sequence.beyond(&defined.definition, *lowest, *highest)
        }
        (Some(_), None) => *sequence,
    }
}

fn check(ask: &Ask, evidence: &Evidence) -> Result<(), String> {
    let Ask {
        partition, above, ..
    } = ask;
    let (start, end) = (evidence.log.start, evidence.log.end);
    if !(start..=end).contains(&ask.from) {
        return Err(format!(
            "--from must be {start} to {end}, where the request log of partition {partition} starts \
             and ends, got {}",
            ask.from
        ));
    }
    let known = evidence.state.restored.highest_id();
    if *above < known {
        return Err(format!(
            "--above must be at least {known}, the highest ID that the state of partition \
             {partition} knows, got {above}"
        ));
    }
    belongs(*partition, &ask.group, evidence)
}

/// The state is this service's to repair.
fn belongs(partition: i32, group: &str, evidence: &Evidence) -> Result<(), String> {
    let n = evidence.decided.partitions;
    if u32::try_from(partition).is_ok_and(|partition| partition >= n) {
        return Err(format!(
            "the service has {n} partitions since its beginning, so partition {partition} has no \
             state to repair"
        ));
    }
    let Some(footer) = &evidence.state.restored.footer else {
        return Ok(());
    };
    if footer.group != group {
        return Err(format!(
            "group {0} counts in this state topic, not {group}: use --group {0}",
            footer.group
        ));
    }
    if footer.fold_version != FOLD_VERSION {
        return Err(format!(
            "the state is of fold version {}, this release knows {FOLD_VERSION}: repair with the \
             release that wrote it, or a newer one",
            footer.fold_version
        ));
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::super::evidence::{Judged, Ownership, Replies};
    use super::*;
    use crate::core::definition::Changes;
    use crate::core::fold::Note;
    use crate::core::ledger::Chain;
    use crate::core::link::{Accepted, LinkKey, Position};
    use crate::core::{Offset, Timestamp};
    use crate::processor::restore::Restore;
    use crate::processor::takeover::{Decided, RequestLog};
    use crate::wire::state::{self, TopicId};

    const BATCH: BatchId = BatchId {
        writer: 7,
        number: 1,
    };

    pub fn evidence() -> Evidence {
        let counters = [("orders", 41), ("invoices", 999)];
        let counters: BTreeMap<String, Counter> = counters
            .map(|(name, last)| {
                let counter = Counter {
                    sequence: Sequence::above(last),
                    defined: None,
                };
                (name.to_owned(), counter)
            })
            .into();
        Evidence {
            log: RequestLog {
                start: NextOffset(100),
                end: NextOffset(200),
                topic_id: TopicId([1; 16]),
                partitions: 4,
            },
            state: State {
                counters,
                scalars: Scalars {
                    highest_timestamp: Timestamp(5),
                    applied: 77,
                    ..Scalars::default()
                },
                ..State::default()
            },
            replies: given("orders", 400, 500),
            decided: Decided {
                partitions: 4,
                link_key: LinkKey([1; 32]),
            },
            judged: Judged::Starts,
            committed: None,
            ownership: Ownership::Nobody,
        }
    }

    pub fn given(name: &str, lowest: i64, highest: i64) -> Replies {
        Replies {
            given: BTreeMap::from([(name.to_owned(), (lowest, highest))]),
            ..Replies::default()
        }
    }

    fn ask(from: i64, above: i64) -> Ask {
        Ask {
            partition: 3,
            from: NextOffset(from),
            above,
            group: "g".to_owned(),
            before: Some(Fingerprint {
                offset: Offset(149),
                hash: 9,
            }),
            now_ms: 1_700,
        }
    }

    #[test]
    fn a_restore_arrives_at_what_was_planned_whatever_lay_before() {
        let plan = Plan::new(&ask(150, 700), &evidence()).unwrap();
        let mut restore = Restore::default();
        // A counter of which nothing may be left.
        let old = Entry::Sequence {
            name: "old",
            sequence: Sequence::above(5),
            defined: None,
        };
        let mut batch = Batch::default();
        batch.entry(BATCH, &old);
        let repair = plan.batch(BATCH, "why");
        for (key, value) in batch.iter().chain(repair.iter()) {
            restore.record(key, value, None).unwrap();
        }
        let restored = restore.finish();
        assert_eq!(restored.footer.as_ref(), Some(&plan.footer));
        assert_eq!(restored.fold.len(), 2);
        let next = |name| restored.fold.description(name).unwrap().next;
        assert_eq!(next("orders"), Some(1000));
        assert_eq!(restored.fold.scalars().floor, 999);
        assert_eq!(
            restored.footer.unwrap().batch_records as usize,
            repair.len() - 1
        );
    }

    #[test]
    fn nothing_goes_below_an_id_that_was_given() {
        let floor_of = |above| {
            Plan::new(&ask(150, above), &evidence())
                .unwrap()
                .footer
                .scalars
                .floor
        };
        assert_eq!(floor_of(0), 999, "the state");
        assert_eq!(floor_of(2_000), 2_000, "the operator");
        let mut evidence = evidence();
        evidence.replies = given("new", 1, 5_000);
        assert_eq!(floor(&ask(150, 2_000), &evidence), 5_000, "a reply");
    }

    #[test]
    fn a_defined_sequence_goes_on_beyond_its_own_ids_and_moves_no_other() {
        let definition = Definition::new(Changes {
            increment: Some(-5),
            min: Some(-1_000),
            max: Some(1_000_000_000),
            ..Changes::default()
        })
        .unwrap();
        let defined = Defined {
            definition,
            retired: false,
            note: Note {
                op: "define".into(),
                requester: "".into(),
                reason: "".into(),
                offset: Offset(1),
                timestamp: Timestamp(1),
            },
            chain: Some(Box::new(Chain::new(false))),
        };
        let mut evidence = evidence();
        let counter = Counter {
            sequence: Sequence::restored(999_999_000),
            defined: Some(defined),
        };
        evidence.state.counters.insert("down".to_owned(), counter);
        evidence.replies = given("down", 999_998_000, 1_000_000_000);
        let plan = Plan::new(&ask(150, 0), &evidence).unwrap();
        assert_eq!(plan.footer.scalars.floor, 999);
        let next = |name| plan.fold.description(name).unwrap().next;
        assert_eq!(next("down"), Some(999_997_995));
        assert_eq!(next("orders"), Some(1_000));
        let entries: Vec<_> = plan.fold.iter().collect();
        let repaired = |entry: &Entry<'_>| match entry {
            Entry::Sequence { defined, .. } => defined
                .as_ref()
                .and_then(|defined| defined.chain.as_ref())
                .is_some_and(|chain| chain.repaired),
            _ => false,
        };
        assert!(
            entries.iter().any(repaired),
            "its ledger tells of the repair"
        );
    }

    #[test]
    fn an_audited_sequence_by_default_rules_is_raised_like_one_that_nobody_defined() {
        let mut evidence = evidence();
        let counter = evidence.state.counters.get_mut("orders").unwrap();
        counter.defined = Some(Defined {
            definition: Definition {
                audit: true,
                ..Definition::DEFAULT
            },
            retired: false,
            note: Note {
                op: "policy".into(),
                requester: "".into(),
                reason: "".into(),
                offset: Offset(1),
                timestamp: Timestamp(1),
            },
            chain: None,
        });
        let next = |above, evidence: &Evidence| {
            let plan = Plan::new(&ask(150, above), evidence).unwrap();
            plan.fold.description("orders").unwrap().next
        };
        assert_eq!(next(5_000, &evidence), Some(5_001));
        evidence.replies = given("orders", 1, 9_000);
        assert_eq!(next(5_000, &evidence), Some(9_001));
    }

    #[test]
    fn chains_begin_again_and_what_was_accepted_is_kept_unless_the_topic_is_another_one() {
        let end = Accepted {
            epoch: 4,
            position: Position {
                leader_epoch: 2,
                offset: 90,
            },
            open: false,
        };
        let mut evidence = evidence();
        evidence.state.accepted.insert(1, end);
        evidence.state.scalars.epoch = 2_000;
        let chains = |evidence: &Evidence| {
            let plan = Plan::new(&ask(150, 0), evidence).unwrap();
            assert_eq!(plan.footer.scalars.epoch, 2_001);
            let ends = plan.fold.iter().filter_map(|entry| match entry {
                Entry::Accepted { source, end } => Some((source, end)),
                Entry::Sent { .. } => panic!("a chain that goes on"),
                _ => None,
            });
            ends.collect::<Vec<_>>()
        };
        assert_eq!(chains(&evidence), [(1, Accepted { open: true, ..end })]);
        let plan = Plan::new(&ask(150, 0), &evidence).unwrap();
        evidence.state.last_footer = Some(Footer {
            topic_id: TopicId([2; 16]),
            ..plan.footer
        });
        assert_eq!(chains(&evidence), []);
    }

    #[test]
    fn what_would_break_the_promise_is_refused_with_the_limits() {
        let refused = |ask: Ask, evidence: &Evidence| Plan::new(&ask, evidence).unwrap_err();
        for from in [99, 201] {
            assert!(refused(ask(from, 0), &evidence()).contains("100 to 200"));
        }
        assert!(Plan::new(&ask(100, 0), &evidence()).is_ok());
        assert!(Plan::new(&ask(200, 0), &evidence()).is_ok());
        let small = Evidence {
            decided: Decided {
                partitions: 3,
                ..evidence().decided
            },
            ..evidence()
        };
        assert!(refused(ask(150, 0), &small).contains("3 partitions"));

        let mut anchored = evidence();
        let plan = Plan::new(&ask(150, 0), &anchored).unwrap();
        let mut restore = Restore::default();
        for (key, value) in plan.batch(BATCH, "").iter() {
            restore.record(key, value, None).unwrap();
        }
        anchored.state.restored = restore.finish();
        assert!(refused(ask(150, 998), &anchored).contains("at least 999"));
        let other = Ask {
            group: "h".to_owned(),
            ..ask(150, 999)
        };
        assert!(refused(other, &anchored).contains("--group g"));
    }

    #[test]
    fn the_batch_begins_with_the_reset_and_ends_with_the_footer() {
        let plan = Plan::new(&ask(150, 0), &evidence()).unwrap();
        let batch = plan.batch(BATCH, "why");
        let keys: Vec<&[u8]> = batch.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.first(), Some(&state::RESET_KEY));
        assert_eq!(keys.last(), Some(&state::FOOTER_KEY));
        assert_eq!(keys.len(), 4);
    }
}
