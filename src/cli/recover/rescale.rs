//! Repairs that a rescale stands against.

use std::collections::BTreeSet;

use super::evidence::Evidence;
use crate::core::fold::Entry;
use crate::core::{Fold, Scalars};

/// Checks that nothing is lost that only this partition has: names that move in a rescale, or its orders.
///
/// # Errors
/// Why the partition cannot be repaired, in words.
pub(super) fn check(partition: i32, evidence: &Evidence) -> Result<(), String> {
    let service = evidence.decided.homes;
    let takes_part = |number: &u32| service.epoch() > 0 && service.has(*number);
    let Some(number) = u32::try_from(partition).ok().filter(takes_part) else {
        return Ok(());
    };
    if let Some(child) = evidence.waiting {
        return Err(format!(
            "partition {child} has not adopted the names that move to it from partition {partition}, and a repair \
             would lose them. If partition {child} halts, repair it first; else wait until `sequencer rescale \
             --status` calls it done"
        ));
    }
    let state = &evidence.state;
    let footer = state.restored.footer.as_ref();
    let own = footer.or(state.last_footer.as_ref());
    let n = service.partitions();
    match own.map(|footer| footer.scalars.homes) {
        Some(own) if own == service => Ok(()),
        Some(_) => Err(format!(
            "partition {partition} has not learned of the rescale to {n} partitions, and a repair would pass over \
             the orders that it has not read: this release has no repair for it"
        )),
        None if service.counts().next().is_some_and(|first| number >= first) => Err(format!(
            "names of partition {partition} came from another partition in a rescale, and nothing is left of its \
             state: this release has no repair for it"
        )),
        None => Ok(()),
    }
}

/// False for a name that has moved to another partition, whose state has it now.
pub(super) fn stays(partition: i32, name: &str, evidence: &Evidence) -> bool {
    let homes = evidence.decided.homes;
    homes.epoch() == 0 || i32::try_from(homes.of(name.as_bytes())) == Ok(partition)
}

/// The scalars of a partition that jumps. Names that another partition has adopted are left out of its state.
pub(super) fn scalars(floor: i64, evidence: &Evidence) -> Scalars {
    Scalars {
        floor,
        homes: evidence.decided.homes,
        unburied: 0,
        ..evidence.state.scalars
    }
}

/// Keeps what partition 0 remembers of the last rescale.
pub(super) fn keep_reports(partition: i32, evidence: &Evidence, fold: &mut Fold) {
    for partition in reports(partition, evidence) {
        fold.put(Entry::Reported(partition));
    }
}

/// The partitions that have done their part of the last rescale, as partition 0 remembers them: it has done its own,
/// or could not be repaired. Others report again when the rescale is asked for again.
fn reports(partition: i32, evidence: &Evidence) -> BTreeSet<u32> {
    match partition == 0 && evidence.decided.homes.epoch() > 0 {
        true => evidence.state.restored.fold.reports().chain([0]).collect(),
        false => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::recover::plan::tests::evidence;
    use crate::core::link::LinkKey;
    use crate::core::{Digest, Homes, NextOffset};
    use crate::wire::state::{Footer, TopicId};

    fn homes(counts: &[u32]) -> Homes {
        Homes::read(counts.iter().copied()).unwrap()
    }

    fn with(service: &[u32], own: Option<&[u32]>, waiting: Option<u32>) -> Evidence {
        let mut evidence = evidence();
        evidence.decided.homes = homes(service);
        evidence.waiting = waiting;
        evidence.state.last_footer = own.map(|own| Footer {
            next: NextOffset::ZERO,
            digest: Digest(0),
            scalars: Scalars {
                homes: homes(own),
                ..Scalars::default()
            },
            link_key: LinkKey([1; 32]),
            fold_version: 1,
            topic_id: TopicId([1; 16]),
            last_applied: None,
            answers_beyond: false,
            batch_records: 0,
            group: "g".to_owned(),
            instance: "i".to_owned(),
        });
        evidence
    }

    #[test]
    fn a_repaired_parent_keeps_no_name_that_has_moved() {
        let done = with(&[2, 4], Some(&[2, 4]), None);
        let mut homes = BTreeSet::new();
        for number in 0..100 {
            let name = format!("n{number}");
            let home = done.decided.homes.of(name.as_bytes());
            homes.insert(home);
            assert_eq!(stays(1, &name, &done), home == 1);
        }
        assert_eq!(homes.len(), 4);
        assert!(stays(1, "any", &with(&[4], None, None)));
        assert_eq!(reports(0, &done), BTreeSet::from([0]));
        assert_eq!(reports(1, &done), BTreeSet::new());
    }

    #[test]
    fn a_partition_in_the_middle_of_a_rescale_is_not_repaired() {
        let refused = |partition, evidence: &Evidence| check(partition, evidence).unwrap_err();
        let before = with(&[4], None, None);
        assert_eq!(check(3, &before), Ok(()));
        let parent = with(&[2, 4], Some(&[2, 4]), Some(3));
        assert!(refused(1, &parent).contains("partition 3 has not adopted"));
        let late = with(&[2, 4], Some(&[2]), None);
        assert!(refused(3, &late).contains("not learned"));
        assert!(refused(1, &late).contains("not learned"));
        let lost = with(&[2, 4], None, None);
        assert!(refused(3, &lost).contains("came from another partition"));
        // A parent whose children have everything, a child that has adopted, a partition that is no home.
        assert_eq!(check(1, &lost), Ok(()));
        let done = with(&[2, 4], Some(&[2, 4]), None);
        assert_eq!((check(1, &done), check(3, &done)), (Ok(()), Ok(())));
        assert_eq!(check(5, &late), Ok(()));
    }
}
