//! Chooses the repair of a partition: from the log if it reaches back far enough, else above every ID that was
//! seen.

use super::evidence::{Evidence, Inquiry, Judged};
use super::unreadable::{self, Skip};
use crate::cli::Error;
use crate::core::fold::EntryKey;
use crate::core::{Fold, NextOffset};
use crate::processor::halt::Halt;
use crate::processor::rebuild::Rebuild;
use crate::processor::repair;

/// The repair to make.
#[derive(Debug)]
pub(super) enum Repair {
    /// Nothing is wrong.
    Nothing,
    /// Use the state that the log gives: nothing is lost, and no ID jumps.
    Rebuild {
        /// The state after folding the log.
        rebuilt: Box<Rebuild>,
        /// The offset from which the log was folded.
        since: NextOffset,
    },
    /// Go on after a batch that cannot be read.
    Skip(Skip),
    /// Go on at an offset, above the highest ID that was seen.
    Jump {
        /// The first request to answer.
        from: NextOffset,
        /// The reason why the log is not enough.
        why: String,
    },
}

/// Chooses the repair, unless the operator has chosen.
pub(super) fn find(
    inquiry: &Inquiry<'_>,
    partition: i32,
    evidence: &Evidence,
) -> Result<Repair, Error> {
    let halt = match &evidence.judged {
        Judged::Starts => return broken_link(inquiry, partition, evidence),
        Judged::Waits(reason) => return Err(Error::Failed(format!("try again: {reason}"))),
        Judged::Halts(halt) => halt,
    };
    if halt.repair_from().is_none() {
        let remedy = halt.remedy(partition);
        return Err(Error::Failed(format!("{halt}: {remedy}")));
    }
    let why = match halt {
        Halt::NoState { .. } | Halt::NothingAddsUp { .. } => {
            if let Some(why) = not_whole(evidence) {
                why
            } else {
                match whole_log(inquiry, partition, evidence)? {
                    Ok(rebuilt) => {
                        return Ok(Repair::Rebuild {
                            rebuilt: Box::new(rebuilt),
                            since: NextOffset::ZERO,
                        });
                    }
                    Err(why) => why,
                }
            }
        }
        halt => halt.to_string(),
    };
    Ok(Repair::Jump {
        from: go_on_at(evidence),
        why,
    })
}

/// The offset at which a repair goes on that does not fold the log again.
pub(super) fn go_on_at(evidence: &Evidence) -> NextOffset {
    let Evidence {
        log, state, cut, ..
    } = evidence;
    let from = match &evidence.judged {
        Judged::Halts(halt @ (Halt::Truncated { .. } | Halt::OtherRecord { .. })) => {
            cut.or(halt.repair_from())
        }
        Judged::Halts(halt) => halt.repair_from().map(|from| from.max(evidence.covered())),
        Judged::Starts | Judged::Waits(_) => {
            let footer = state.restored.footer.as_ref();
            footer.map(|footer| footer.next.max(evidence.covered()))
        }
    };
    // A group may have committed more than the log still has.
    from.unwrap_or(log.start).clamp(log.start, log.end)
}

/// The reason why the log does not hold everything that was ever answered. None when it may hold everything.
fn not_whole(evidence: &Evidence) -> Option<String> {
    let Evidence {
        log,
        state,
        committed,
        ..
    } = evidence;
    if log.start > NextOffset::ZERO {
        return Some(format!("the request log begins at {} only", log.start));
    }
    let other = |footer: &&crate::wire::state::Footer| footer.topic_id != log.topic_id;
    if state.last_footer.as_ref().filter(other).is_some() {
        return Some("the request topic was recreated".to_owned());
    }
    if state.scalars.floor > 0 || state.scalars.links_open {
        return Some("the partition was repaired before, and its IDs have jumped".to_owned());
    }
    let past = committed.filter(|committed| *committed > log.end)?;
    Some(format!(
        "the request log ends at {}, and the group has committed {past}",
        log.end
    ))
}

/// The evidence of the log for a jump after a loss of the state: the definition of each sequence, and an ID
/// that it has reached at least. Forwards that cannot be distinguished from forged ones count as ordinary
/// requests here. They move a sequence on and never back.
pub(super) fn log_without_state(
    inquiry: &Inquiry<'_>,
    partition: i32,
    evidence: &Evidence,
) -> Result<Option<Fold>, Error> {
    if evidence.state.restored.footer.is_some() || not_whole(evidence).is_some() {
        return Ok(None);
    }
    let mut all = from_the_beginning(partition, evidence);
    inquiry.refold(&mut all, evidence.log.end)?;
    Ok(Some(all.folding.fold))
}

/// The state at the committed offset, or the reason why the log cannot be complete.
fn whole_log(
    inquiry: &Inquiry<'_>,
    partition: i32,
    evidence: &Evidence,
) -> Result<Result<Rebuild, String>, Error> {
    let mut rebuilt = from_the_beginning(partition, evidence);
    let to = evidence.committed.unwrap_or(NextOffset::ZERO);
    inquiry.refold(&mut rebuilt, to)?;
    // Goes beyond markers and aborted records.
    if rebuilt.broken.is_none() {
        rebuilt.folding.next = to;
    }
    let mut all = rebuilt.clone();
    inquiry.refold(&mut all, evidence.log.end)?;
    Ok(match contradiction(&all, evidence) {
        None => Ok(rebuilt),
        Some(why) => Err(why),
    })
}

/// A rebuild of a log that begins at 0.
fn from_the_beginning(partition: i32, evidence: &Evidence) -> Rebuild {
    let homes = evidence.decided.homes;
    let homes = u32::try_from(partition).map_or(homes, |partition| homes.at_birth(partition));
    rebuild(partition, evidence, Fold::new(homes), NextOffset::ZERO)
}

pub(super) fn rebuild(
    partition: i32,
    evidence: &Evidence,
    fold: Fold,
    next: NextOffset,
) -> Rebuild {
    let partition = u32::try_from(partition).unwrap_or(0);
    Rebuild::new(partition, evidence.decided.link_key, fold, next, None)
}

/// The evidence that the log, folded to its end, differs from what was answered.
pub(super) fn contradiction(all: &Rebuild, evidence: &Evidence) -> Option<String> {
    // When the key is known, such a header is forged or copied, and counts as absent.
    if all.folding.unknown_links > 0 && !evidence.has_key() {
        return Some(
            "the log has forwarded requests, and the key that tells them from forged ones is lost"
                .to_owned(),
        );
    }
    if all.adopts {
        return Some(
            "names came from another partition in a rescale, which this log does not show"
                .to_owned(),
        );
    }
    if let Some(broken) = all.broken {
        return Some(format!(
            "requests that partition {} forwarded are missing before {}",
            broken.source, broken.at
        ));
    }
    let given = evidence.replies.given.iter();
    let mut beyond = given.filter(|(name, given)| match all.fold().sequence(name) {
        // An operator may have moved it back.
        Some(_) if is_defined(all.fold(), name) => false,
        Some(sequence) => sequence.highest() < given.highest,
        None => true,
    });
    beyond.next().map(|(name, given)| {
        format!(
            "a reply gave ID {} of {name:?}, which the log does not give",
            given.highest
        )
    })
}

fn is_defined(fold: &Fold, name: &str) -> bool {
    let entry = fold
        .slot(EntryKey::Sequence(name))
        .and_then(|slot| fold.entry(slot));
    matches!(
        entry,
        Some(crate::core::fold::Entry::Sequence {
            defined: Some(_),
            ..
        })
    )
}

/// Repairs a partition that halts only because of a forwarded request: its state is right, and this one chain
/// is continued after the gap.
fn broken_link(
    inquiry: &Inquiry<'_>,
    partition: i32,
    evidence: &Evidence,
) -> Result<Repair, Error> {
    let restored = &evidence.state.restored;
    let Some(footer) = &restored.footer else {
        return Ok(Repair::Nothing);
    };
    if let Some(skip) = unreadable::find(inquiry, partition, evidence)? {
        return Ok(Repair::Skip(skip));
    }
    let mut rebuilt = rebuild(partition, evidence, restored.fold.clone(), footer.next);
    rebuilt.folding.last_applied = footer.last_applied;
    inquiry.refold(&mut rebuilt, evidence.log.end)?;
    let Some(broken) = rebuilt.broken else {
        return Ok(Repair::Nothing);
    };
    rebuilt.folding.next = broken.at;
    repair::open(&mut rebuilt.folding.fold, broken.source);
    Ok(Repair::Rebuild {
        rebuilt: Box::new(rebuilt),
        since: footer.next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::recover::plan::tests::{evidence, given};
    use crate::core::Offset;
    use crate::core::fold::Entry;
    use crate::core::link::LinkKey;
    use crate::core::sequence::Sequence;

    fn folded(name: &str, last: i64) -> Rebuild {
        let mut fold = Fold::default();
        fold.put(Entry::Sequence {
            name,
            sequence: Sequence::above(last),
            defined: None,
        });
        rebuild(3, &evidence(), fold, NextOffset(9))
    }

    #[test]
    fn a_reply_above_what_the_log_gives_shows_that_the_log_is_not_whole() {
        let mut evidence = evidence();
        evidence.replies = given("orders", 1, 41);
        assert_eq!(contradiction(&folded("orders", 41), &evidence), None);
        let why = contradiction(&folded("orders", 40), &evidence).unwrap();
        assert!(why.contains("ID 41"), "{why}");
        assert!(contradiction(&folded("invoices", 50), &evidence).is_some());
    }

    #[test]
    fn a_forged_header_denies_no_repair_unless_the_key_is_lost() {
        let mut evidence = evidence();
        evidence.replies = given("orders", 1, 41);
        let mut forged = folded("orders", 41);
        forged.folding.unknown_links = 1;
        assert_eq!(contradiction(&forged, &evidence), None);
        evidence.decided.link_key = LinkKey::drawn_by_repair([2; 32]);
        let why = contradiction(&forged, &evidence).unwrap();
        assert!(why.contains("is lost"), "{why}");
    }

    #[test]
    fn after_a_cut_it_goes_on_at_the_cut_also_when_the_log_has_grown_again() {
        let (next, end) = (NextOffset(180), NextOffset(160));
        let halts = [
            (Halt::Truncated { next, end }, end),
            (
                Halt::OtherRecord {
                    offset: Offset(179),
                    next,
                },
                next,
            ),
        ];
        for (halt, otherwise) in halts {
            let mut evidence = evidence();
            evidence.judged = Judged::Halts(halt);
            assert_eq!(go_on_at(&evidence), otherwise, "nothing came since");
            evidence.cut = Some(NextOffset(150));
            assert_eq!(go_on_at(&evidence), NextOffset(150));
        }
    }

    #[test]
    fn only_a_log_from_its_beginning_and_never_repaired_is_folded_again() {
        let whole = || {
            let mut evidence = evidence();
            evidence.log.start = NextOffset::ZERO;
            evidence.state.scalars.floor = 0;
            evidence.state.last_footer = None;
            evidence
        };
        assert_eq!(not_whole(&whole()), None);
        assert!(not_whole(&evidence()).is_some(), "it begins at 100");
        let mut repaired = whole();
        repaired.state.scalars.floor = 7;
        assert!(not_whole(&repaired).is_some());
        let mut truncated = whole();
        truncated.committed = Some(NextOffset(201));
        assert!(not_whole(&truncated).is_some());
    }
}
