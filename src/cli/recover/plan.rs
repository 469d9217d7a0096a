//! Decides from the evidence what a repair writes. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Counter, Evidence, State};
use super::raise::{Beyond, Known, Raised, Refused};
use super::rescale;
use crate::cli::shell;
use crate::core::command::Undefined;
use crate::core::definition::Definition;
use crate::core::fold::{Defined, Entry, Note};
use crate::core::limits::{FOLD_VERSION, ID_LAST};
use crate::core::sequence::Sequence;
use crate::core::{Fold, NextOffset, Offset, Scalars};
use crate::processor::checkpoint::Batch;
use crate::processor::rebuild::Rebuild;
use crate::processor::repair;
use crate::wire::state::{BatchId, Fingerprint, Footer, Reset};

/// The instance in the footer, for people.
const INSTANCE: &str = "recover";
/// Highest number of sequences that a refusal names. Another run names the next ones.
const REFUSED_NAMED_MAX: usize = 20;

/// The parameters of the operator.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// The partition to repair.
    pub partition: i32,
    /// The offset at which it goes on.
    pub from: NextOffset,
    /// IDs that are left out beyond the IDs that were seen.
    pub margin: i64,
    /// The ID above which sequences go on, instead of the margin.
    pub above: Option<i64>,
    /// The ID above which a single sequence goes on, by name.
    pub above_of: BTreeMap<String, i64>,
    /// The consumer group of the service.
    pub group: String,
    /// The record just before the offset to go on at, if it exists.
    pub before: Option<Fingerprint>,
    /// The time by this machine's clock.
    pub now_ms: u64,
}

/// The content of a repair.
#[derive(Debug)]
pub(super) struct Plan {
    /// The state, with every sequence moved on.
    pub fold: Fold,
    /// The footer at the end of the batch.
    pub footer: Footer,
    /// Requests from this offset on, up to the footer's next offset, may never be answered.
    pub answered: NextOffset,
    /// The move of each sequence. Empty without a jump.
    pub moved: Vec<Moved>,
}

/// The move of one sequence by a jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub name: String,
    /// The next ID according to the evidence. None when no ID was left.
    pub seen: Option<i64>,
    /// The distance of the jump.
    pub beyond: Beyond,
    /// The sequence after the jump.
    pub to: Raised,
}

impl Plan {
    /// Plans a jump.
    ///
    /// # Errors
    /// The parameters would break the promise, or another repair is needed. The error explains it.
    pub(super) fn new(ask: &Ask, evidence: &Evidence) -> Result<Plan, String> {
        check(ask, evidence)?;
        let floor = floor(ask, evidence)?;
        let moved = moved(ask, evidence)?;
        let state = &evidence.state;
        let mut fold = Fold::default();
        for Moved { name, to, .. } in &moved {
            let known = state.counters.get(name);
            let defined = match known {
                Some(counter) => counter.defined.clone().map(repaired),
                None => new_name(ask, evidence),
            };
            fold.put(Entry::Sequence {
                name,
                sequence: to.sequence(),
                defined: defined.map(Cow::Owned),
            });
        }
        state.put_windows(&mut fold);
        rescale::keep_reports(ask.partition, evidence, &mut fold);
        let scalars = rescale::scalars(floor, evidence);
        let of_other_topic = BTreeMap::new();
        let accepted = if evidence.is_of_other_topic() {
            &of_other_topic
        } else {
            &state.accepted
        };
        repair::jump(&mut fold, scalars, accepted, ask.now_ms);
        let footer = Footer {
            next: ask.from,
            last_applied: ask.before,
            ..footer(&fold, &ask.group, evidence)
        };
        Ok(Plan {
            fold,
            footer,
            answered: evidence.covered().min(ask.from),
            moved,
        })
    }

    /// Plans a repair with the state that the log gives.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub(super) fn rebuilt(
        partition: i32,
        group: &str,
        rebuilt: Rebuild,
        evidence: &Evidence,
        now_ms: u64,
    ) -> Result<Plan, String> {
        belongs(partition, group, evidence)?;
        let mut fold = rebuilt.folding.fold;
        fold.cut(&mut Vec::new());
        tell_ledgers(&mut fold);
        repair::refolded(&mut fold, evidence.state.scalars.epoch, now_ms);
        let footer = Footer {
            next: rebuilt.folding.next,
            last_applied: rebuilt.folding.last_applied,
            ..footer(&fold, group, evidence)
        };
        Ok(Plan {
            fold,
            footer,
            answered: rebuilt.folding.next,
            moved: Vec::new(),
        })
    }

    /// True when the plan accepts a gap in a chain of forwarded requests.
    pub(super) fn opens_a_chain(&self) -> bool {
        let mut entries = self.fold.iter();
        entries.any(|entry| matches!(entry, Entry::Accepted { end, .. } if end.open))
    }

    /// Returns the records: the reset, every sequence, the footer.
    pub(super) fn batch(&self, id: BatchId, reason: &str) -> Batch {
        let mut batch = Batch::default();
        let reason = reason.to_owned();
        let (answered, epoch) = (self.answered, self.footer.scalars.epoch);
        let reset = Reset {
            answered,
            epoch,
            reason,
        };
        batch.reset(id, &reset);
        for entry in self.fold.iter() {
            batch.entry(id, &entry);
        }
        batch.footer(id, &self.footer);
        batch
    }
}

/// A footer of this state, without an offset yet.
fn footer(fold: &Fold, group: &str, evidence: &Evidence) -> Footer {
    let scalars = fold.scalars();
    Footer {
        next: NextOffset::ZERO,
        digest: fold.digest_with(scalars),
        scalars,
        link_key: evidence.decided.link_key,
        fold_version: FOLD_VERSION,
        topic_id: evidence.log.topic_id,
        last_applied: None,
        answers_beyond: false,
        // With the reset.
        batch_records: u32::try_from(1 + fold.iter().count()).unwrap_or(u32::MAX),
        group: group.to_owned(),
        instance: INSTANCE.to_owned(),
    }
}

/// The highest ID of a sequence with default rules in the state and the default replies.
pub(super) fn highest_seen(evidence: &Evidence) -> i64 {
    let State { counters, .. } = &evidence.state;
    let given = evidence.replies.given.iter();
    let replied = given
        .filter(|(name, given)| given.is_plain() && !counters.contains_key(*name))
        .map(|(_, given)| given.highest)
        .max();
    evidence.state.highest_id().max(replied.unwrap_or(0))
}

/// False for a partition at or above N. It gives no IDs, because all of its names have their home elsewhere.
pub(super) fn is_home(partition: i32, evidence: &Evidence) -> bool {
    u32::try_from(partition).is_ok_and(|partition| partition < evidence.decided.homes.partitions())
}

/// The ID above which unseen names go on. If the state is complete, such a name began at its floor after the
/// last checkpoint. If the state is lost, only the IDs of other names are known.
fn floor(ask: &Ask, evidence: &Evidence) -> Result<i64, String> {
    let before = evidence.state.scalars.floor;
    if !is_home(ask.partition, evidence) {
        return Ok(before);
    }
    let whole = evidence.state.restored.footer.is_some();
    let (floor, because) = match ask.above {
        Some(above) => (above.max(before), String::new()),
        None => {
            let seen = if whole {
                before
            } else {
                highest_seen(evidence)
            };
            let because = format!(
                " ({} beyond {seen}, the highest ID that is known)",
                ask.margin
            );
            (seen.saturating_add(ask.margin), because)
        }
    };
    if floor > ID_LAST - ask.margin {
        return Err(format!(
            "names that were never seen would go on above ID {floor}{because}, which leaves less than \
             the --margin of {} below {ID_LAST}, the largest: give --above ID, an ID that no such name \
             has reached, or a smaller --margin",
            ask.margin
        ));
    }
    Ok(floor)
}

/// Moves every sequence in the state, in the replies, or named by the operator, each in its own direction.
fn moved(ask: &Ask, evidence: &Evidence) -> Result<Vec<Moved>, String> {
    if !is_home(ask.partition, evidence) {
        return Ok(Vec::new());
    }
    let (counters, given) = (&evidence.state.counters, &evidence.replies.given);
    let names: BTreeSet<&String> = counters
        .keys()
        .chain(given.keys())
        .chain(ask.above_of.keys())
        .filter(|name| rescale::stays(ask.partition, name, evidence))
        .collect();
    let (mut moved, mut refused) = (Vec::new(), Vec::new());
    for name in names {
        let given = given.get(name);
        let known = match counters.get(name) {
            Some(Counter { sequence, defined }) => Known {
                sequence: *sequence,
                defined: defined.as_ref(),
                given: given.map(|given| (given.lowest, given.highest)),
            },
            // Its definition, if it had one, is lost. Above all of its IDs none of them comes again.
            None => {
                let highest = given.map_or(0, |given| given.highest);
                Known {
                    sequence: Sequence::above(highest.max(evidence.state.scalars.floor)),
                    defined: None,
                    given: None,
                }
            }
        };
        let seen = known.seen().next(&known.definition());
        match raised(&known, ask, ask.above_of.get(name)) {
            Ok((beyond, to)) => moved.push(Moved {
                name: name.clone(),
                seen,
                beyond,
                to,
            }),
            Err(why) => refused.push(refusal(name, ask, why)),
        }
    }
    if refused.is_empty() {
        return Ok(moved);
    }
    let more = refused.len().saturating_sub(REFUSED_NAMED_MAX);
    refused.truncate(REFUSED_NAMED_MAX);
    if more > 0 {
        refused.push(format!("and {more} more"));
    }
    Err(format!(
        "nothing was written, because these sequences cannot be moved on:\n  {}",
        refused.join("\n  ")
    ))
}

/// Moves one sequence. An ID for all applies to sequences that count up to it. The others move by the margin.
fn raised(known: &Known<'_>, ask: &Ask, own: Option<&i64>) -> Result<(Beyond, Raised), Refused> {
    if let Some(id) = own {
        let beyond = Beyond::Id(*id);
        return Ok((beyond, known.raised(beyond)?));
    }
    if let Some(above) = ask.above
        && known.definition().increment > 0
        && let Ok(on @ Raised::On(_)) = known.raised(Beyond::Id(above))
    {
        return Ok((Beyond::Id(above), on));
    }
    let beyond = Beyond::Margin(ask.margin);
    Ok((beyond, known.raised(beyond)?))
}

fn refusal(name: &str, ask: &Ask, why: Refused) -> String {
    match why {
        Refused::TooFewLeft { next, end } => format!(
            "{name:?}: its next ID is {next} by what was seen, and the --margin of {} IDs leads past its \
             end at {end}: name the last ID that it may have given with --above NAME=ID, or give a \
             smaller --margin",
            ask.margin
        ),
        Refused::OutOfBounds { min, max } => {
            format!("{name:?}: the ID of --above must lie in its bounds, {min} to {max}")
        }
        Refused::Given { next } => format!(
            "{name:?}: the ID of --above lies before IDs that were given; the next one is {next} by what \
             was seen"
        ),
    }
}

/// The definition of a name that is in no state, as if its first request came now.
fn new_name(ask: &Ask, evidence: &Evidence) -> Option<Defined> {
    let Scalars {
        undefined,
        highest_timestamp,
        ..
    } = evidence.state.scalars;
    (undefined == Undefined::CreateAudited).then(|| Defined {
        definition: Definition {
            audit: true,
            ..Definition::DEFAULT
        },
        retired: false,
        note: Note {
            op: "policy".into(),
            requester: "".into(),
            reason: "".into(),
            offset: Offset(ask.from.0),
            timestamp: highest_timestamp,
        },
        chain: None,
    })
}

/// Marks the ledgers of audited sequences as repaired: the state contains grants again that the last checkpoint
/// did not have, and the ledger lacks them.
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

/// Marks the ledger of a sequence as repaired, so that its next record says so: the sequence may have moved,
/// and requests that are read again get IDs again.
fn repaired(mut defined: Defined) -> Defined {
    if let Some(chain) = &mut defined.chain {
        chain.repaired = true;
    }
    defined
}

fn check(ask: &Ask, evidence: &Evidence) -> Result<(), String> {
    let partition = ask.partition;
    let (start, end) = (evidence.log.start, evidence.log.end);
    if !(start..=end).contains(&ask.from) {
        return Err(format!(
            "--from must be {start} to {end}, where the request log of partition {partition} starts \
             and ends, got {}",
            ask.from
        ));
    }
    let homes = evidence.decided.homes;
    if !is_home(partition, evidence) && (ask.above.is_some() || !ask.above_of.is_empty()) {
        return Err(format!(
            "partition {partition} gives no IDs, since every name has its home in partitions 0 to {}: \
             leave out --above",
            homes.partitions().saturating_sub(1)
        ));
    }
    let elsewhere = ask.above_of.keys().find_map(|name| {
        let home = homes.of(name.as_bytes());
        (i32::try_from(home) != Ok(partition)).then_some((name, home))
    });
    if let Some((name, home)) = elsewhere {
        return Err(format!(
            "--above {name:?}: the home of this name is partition {home}, not {partition}"
        ));
    }
    rescale::check(partition, evidence)?;
    belongs(partition, &ask.group, evidence)
}

/// Checks that the state belongs to this service.
fn belongs(partition: i32, group: &str, evidence: &Evidence) -> Result<(), String> {
    let Some(footer) = &evidence.state.restored.footer else {
        return Ok(());
    };
    if footer.group != group {
        let other = shell::word(footer.group.as_ref());
        return Err(format!(
            "group {:?} counts in the state of partition {partition}, not {group:?}: use --group {other}",
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
pub(super) mod tests {
    use super::super::evidence::{Given, Judged, Origin, Ownership, Replies};
    use super::*;
    use crate::core::definition::Changes;
    use crate::core::fold::Note;
    use crate::core::ledger::Chain;
    use crate::core::link::{Accepted, LinkKey, Position};
    use crate::core::partitioner::partition_of;
    use crate::core::{Homes, Offset, Timestamp};
    use crate::processor::restore::Restore;
    use crate::processor::takeover::{Decided, RequestLog};
    use crate::wire::state::{self, TopicId};

    const BATCH: BatchId = BatchId {
        writer: 7,
        number: 1,
    };

    const MARGIN: i64 = 1_000;

    pub(crate) fn evidence() -> Evidence {
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
                homes: Homes::first(4),
                link_key: LinkKey::drawn([2; 32]),
            },
            origin: Origin::State(3),
            waiting: None,
            cut: None,
            judged: Judged::Starts,
            committed: None,
            answered: None,
            ownership: Ownership::Nobody,
        }
    }

    pub(crate) fn given(name: &str, lowest: i64, highest: i64) -> Replies {
        Replies {
            given: BTreeMap::from([(name.to_owned(), Given::from_to(lowest, highest))]),
            ..Replies::default()
        }
    }

    fn ask(from: i64, above: impl Into<Option<i64>>) -> Ask {
        Ask {
            partition: 3,
            from: NextOffset(from),
            margin: MARGIN,
            above: above.into(),
            above_of: BTreeMap::new(),
            group: "g".to_owned(),
            before: Some(Fingerprint {
                offset: Offset(149),
                leader_epoch: 3,
                hash: 9,
            }),
            now_ms: 1_700,
        }
    }

    #[test]
    fn a_restore_arrives_at_what_was_planned_whatever_lay_before() {
        let plan = Plan::new(&ask(150, None), &evidence()).unwrap();
        let mut restore = Restore::default();
        // A counter that may have no ID left.
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
        assert_eq!(next("orders"), Some(501 + MARGIN), "by its reply");
        assert_eq!(next("invoices"), Some(1_000 + MARGIN), "by its counter");
        assert_eq!(restored.fold.scalars().floor, 999 + MARGIN);
        assert_eq!(
            restored.footer.unwrap().batch_records as usize,
            repair.len() - 1
        );
    }

    fn next_of(plan: &Plan, name: &str) -> Option<i64> {
        plan.fold.description(name).unwrap().next
    }

    #[test]
    fn an_id_for_all_moves_what_counts_up_to_it_and_nothing_goes_below_an_id_that_was_given() {
        let with = |above| Plan::new(&ask(150, above), &evidence()).unwrap();
        let plan = with(2_000);
        assert_eq!(next_of(&plan, "orders"), Some(2_001));
        assert_eq!(next_of(&plan, "invoices"), Some(2_001));
        assert_eq!(plan.footer.scalars.floor, 2_000);
        let plan = with(700);
        assert_eq!(next_of(&plan, "orders"), Some(701));
        assert_eq!(
            next_of(&plan, "invoices"),
            Some(1_000 + MARGIN),
            "it gave 999"
        );
        assert_eq!(plan.footer.scalars.floor, 700);
    }

    #[test]
    fn no_sequence_is_moved_by_the_number_of_another_one() {
        let mut evidence = evidence();
        let given = &mut evidence.replies.given;
        given.insert("huge".to_owned(), Given::from_to(1, ID_LAST - 5));
        given.insert("wide".to_owned(), Given::from_to(1, i64::MAX));
        evidence.state.restored.footer = Some(footer(&Fold::default(), "g", &evidence));
        let refused = Plan::new(&ask(150, None), &evidence).unwrap_err();
        assert!(
            refused.contains("\"huge\"") && !refused.contains("orders"),
            "{refused}"
        );
        evidence.replies.given.remove("huge");
        let plan = Plan::new(&ask(150, None), &evidence).unwrap();
        assert_eq!(next_of(&plan, "orders"), Some(501 + MARGIN));
        assert_eq!(next_of(&plan, "wide"), None, "beyond the default maximum");
        let floor = plan.footer.scalars.floor;
        assert_eq!(floor, MARGIN, "new names began after the checkpoint");
        // Without a state, names that were never seen may have reached any ID.
        evidence.state.restored.footer = None;
        let plan = Plan::new(&ask(150, None), &evidence).unwrap();
        assert_eq!(plan.footer.scalars.floor, 999 + MARGIN);
        let high = Given::from_to(1, ID_LAST - 2 * MARGIN + 1);
        evidence.replies.given.insert("huge".to_owned(), high);
        let refused = Plan::new(&ask(150, None), &evidence).unwrap_err();
        assert!(refused.contains("never seen"), "{refused}");
        assert!(Plan::new(&ask(150, 5_000), &evidence).is_ok());
    }

    #[test]
    fn an_id_for_one_name_is_checked_against_its_home_its_bounds_and_what_it_gave() {
        let with = |name: &str, id| {
            let mut ask = ask(150, None);
            ask.above_of.insert(name.to_owned(), id);
            let mut evidence = evidence();
            evidence.decided.homes = Homes::first(5);
            ask.partition = i32::try_from(partition_of(b"orders", 5)).unwrap();
            Plan::new(&ask, &evidence)
        };
        assert_eq!(next_of(&with("orders", 600).unwrap(), "orders"), Some(601));
        assert!(with("orders", 499).unwrap_err().contains("before IDs"));
        assert!(with("orders", -1).unwrap_err().contains("bounds"));
        let away = (0..).map(|i| format!("n{i}"));
        let mut away = away.filter(|n| partition_of(n.as_bytes(), 5) != partition_of(b"orders", 5));
        let away = away.next().unwrap();
        assert!(with(&away, 600).unwrap_err().contains("home"));
    }

    #[test]
    fn a_partition_above_n_is_repaired_and_gives_no_ids() {
        let mut above_n = evidence();
        above_n.decided.homes = Homes::first(3);
        above_n.state.counters.clear();
        above_n.replies = Replies::default();
        let plan = Plan::new(&ask(150, None), &above_n).unwrap();
        assert_eq!(plan.footer.next, NextOffset(150));
        assert_eq!(plan.footer.scalars.floor, 0);
        assert_eq!(plan.fold.sequences(), 0);
        let refused = Plan::new(&ask(150, 5), &above_n).unwrap_err();
        assert!(refused.contains("leave out --above"), "{refused}");
        let Decided { homes, link_key } = above_n.decided;
        let rebuilt = Rebuild::new(3, link_key, Fold::new(homes), NextOffset(150), None);
        assert!(Plan::rebuilt(3, "g", rebuilt, &above_n, 1_700).is_ok());
    }

    #[test]
    fn a_name_that_only_replies_know_is_audited_where_new_names_are() {
        let mut evidence = evidence();
        evidence.state.scalars.undefined = Undefined::CreateAudited;
        evidence.replies = given("new", 1, 9);
        let plan = Plan::new(&ask(150, None), &evidence).unwrap();
        let new = plan.fold.description("new").unwrap();
        assert_eq!((new.next, new.definition.audit), (Some(10 + MARGIN), true));
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
        let plan = Plan::new(&ask(150, None), &evidence).unwrap();
        let next = |name| next_of(&plan, name);
        assert_eq!(next("down"), Some(999_997_995 - 5 * MARGIN));
        assert_eq!(next("orders"), Some(42 + MARGIN));
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
            next_of(&plan, "orders")
        };
        assert_eq!(next(5_000, &evidence), Some(5_001));
        evidence.replies = given("orders", 1, 9_000);
        assert_eq!(next(5_000, &evidence), Some(9_001 + MARGIN));
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
            let plan = Plan::new(&ask(150, None), evidence).unwrap();
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
        let mut anchored = evidence();
        let plan = Plan::new(&ask(150, 0), &anchored).unwrap();
        let mut restore = Restore::default();
        for (key, value) in plan.batch(BATCH, "").iter() {
            restore.record(key, value, None).unwrap();
        }
        anchored.state.restored = restore.finish();
        let other = Ask {
            group: "h".to_owned(),
            ..ask(150, 999)
        };
        assert!(refused(other, &anchored).contains("use --group g"));
        let footer = anchored.state.restored.footer.as_mut().unwrap();
        footer.group = "my group".to_owned();
        assert!(refused(ask(150, 999), &anchored).contains("use --group 'my group'"));
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
