//! Decides from the state of the service whether a rescale may begin or go on. Pure.

use super::view::{Sized, View};
use crate::cli::inspect::partition::Outlook;
use crate::core::Homes;
use crate::core::limits::{EPOCHS_MAX, RESCALED_PARTITIONS_MAX};

/// The next step of the operator.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Names are spread over this number of partitions, and all is done.
    Nothing,
    /// Carry out this plan.
    Do(Plan),
}

/// A topic that gets more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Growth {
    pub topic: String,
    pub before: u32,
    pub after: u32,
}

/// A rescale to carry out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The list of N before it.
    pub known: Homes,
    /// The list of N with the new one.
    pub homes: Homes,
    /// True when the record that begins it was written before.
    pub is_begun: bool,
    growths: Vec<Growth>,
}

impl Plan {
    /// The topics that get more partitions, in this order: a partition is not read before it can be written.
    pub(super) fn growths(&self) -> &[Growth] {
        &self.growths
    }
}

/// Decides the next step for a service that is to have this number of partitions.
///
/// # Errors
/// Why it may not be, in words.
pub(super) fn next(view: &View, partitions: u32) -> Result<Next, String> {
    if let Some(why) = view.unknown() {
        return Err(format!(
            "{why}. A rescale needs the state of every partition, and no halted one"
        ));
    }
    let halts = |facts: &&_| is_halted(facts);
    if let Some(facts) = view.partitions.iter().find(halts) {
        return Err(format!(
            "partition {} halts: {}. Repair it first",
            facts.partition,
            facts.reason.as_deref().unwrap_or("the reason is not known")
        ));
    }
    let Some(now) = view.homes else {
        return Err("the service has not begun".to_owned());
    };
    let n = now.partitions();
    let (is_unfinished, is_begun) = (view.is_unfinished(), partitions == n);
    if is_begun && !is_unfinished {
        return Ok(Next::Nothing);
    }
    if is_unfinished && !is_begun {
        return Err(format!(
            "the rescale to {n} partitions is not finished: `sequencer rescale --status` shows what is left, and \
             `sequencer rescale --partitions {n} --yes` goes on with it"
        ));
    }
    let (known, homes) = match is_begun {
        true => (earlier(now), now),
        false => (now, grown(now, partitions)?),
    };
    Ok(Next::Do(Plan {
        known,
        homes,
        is_begun,
        growths: growths(&view.topics, partitions),
    }))
}

fn is_halted(facts: &crate::cli::inspect::partition::Facts) -> bool {
    facts.outlook == Outlook::Halts
}

/// The list without its last number.
fn earlier(homes: Homes) -> Homes {
    let before = homes.counts().take(usize::from(homes.epoch()));
    Homes::read(before).unwrap_or(homes)
}

fn grown(now: Homes, partitions: u32) -> Result<Homes, String> {
    let n = now.partitions();
    if partitions < n {
        return Err(format!(
            "names are spread over {n} partitions, and there is no way back to fewer"
        ));
    }
    if partitions > RESCALED_PARTITIONS_MAX {
        return Err(format!(
            "--partitions must be {RESCALED_PARTITIONS_MAX} at most, got {partitions}"
        ));
    }
    if !partitions.is_multiple_of(n) {
        let below = partitions / n * n;
        let next = match below {
            same if same == n => format!("{}", 2 * n),
            below => format!("{below} or {}", below.saturating_add(n)),
        };
        return Err(format!(
            "--partitions must be a multiple of {n}, the present number, so that names stay or move to a new \
             partition, got {partitions}: take {next}"
        ));
    }
    now.grown(partitions).ok_or_else(|| {
        format!(
            "a service can have had {EPOCHS_MAX} numbers of partitions, and this one has: {now:?}"
        )
    })
}

fn growths(topics: &[Sized], partitions: u32) -> Vec<Growth> {
    let small = topics.iter().filter(|topic| topic.partitions < partitions);
    let growth = small.map(|topic| Growth {
        topic: topic.topic.clone(),
        before: topic.partitions,
        after: partitions,
    });
    growth.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::inspect::partition::Facts;
    use crate::core::rescale::Standing;

    fn homes(counts: &[u32]) -> Homes {
        Homes::read(counts.iter().copied()).unwrap()
    }

    fn facts(partition: i32, list: &[u32], reports: &[u32]) -> Facts {
        Facts {
            partition,
            outlook: Outlook::Starts,
            standing: Some(Standing {
                homes: homes(list),
                is_staged: false,
                is_split: false,
                has_unburied: false,
            }),
            reports: reports.to_vec(),
            ..Facts::default()
        }
    }

    fn view(list: &[u32], reports: &[u32], partitions: i32) -> View {
        let of = |partition| facts(partition, list, if partition == 0 { reports } else { &[] });
        let topics = ["ledger", "state", "requests"].map(|topic| Sized {
            topic: topic.to_owned(),
            partitions: partitions.unsigned_abs(),
        });
        View {
            topics: topics.to_vec(),
            homes: Some(homes(list)),
            partitions: (0..partitions).map(of).collect(),
        }
    }

    fn refused(view: &View, partitions: u32) -> String {
        next(view, partitions).unwrap_err()
    }

    #[test]
    fn a_rescale_is_to_a_multiple_and_grows_three_topics_in_order() {
        let view = view(&[4], &[], 4);
        let Ok(Next::Do(plan)) = next(&view, 8) else {
            panic!("refused");
        };
        assert_eq!((plan.homes, plan.is_begun), (homes(&[4, 8]), false));
        let grown: Vec<_> = plan.growths().iter().map(|of| of.topic.as_str()).collect();
        assert_eq!(grown, ["ledger", "state", "requests"]);
        assert_eq!(next(&view, 4), Ok(Next::Nothing));
        assert!(refused(&view, 2).contains("no way back"));
        assert!(
            refused(&view, 6).contains("take 8"),
            "{}",
            refused(&view, 6)
        );
        assert!(refused(&view, 10).contains("take 8 or 12"));
        assert!(refused(&view, 40_000).contains("10000 at most"));
    }

    #[test]
    fn an_unfinished_rescale_goes_on_and_lets_no_other_begin() {
        let open = view(&[2, 4], &[0], 4);
        assert!(refused(&open, 8).contains("not finished"));
        let Ok(Next::Do(plan)) = next(&open, 4) else {
            panic!("refused");
        };
        assert!(plan.is_begun && plan.growths().is_empty());
        assert_eq!((plan.known, plan.homes), (homes(&[2]), homes(&[2, 4])));
        let done = view(&[2, 4], &[0, 1], 4);
        assert_eq!(next(&done, 4), Ok(Next::Nothing));
        assert!(matches!(next(&done, 8), Ok(Next::Do(_))));
    }

    #[test]
    fn reports_of_the_rescale_before_do_not_count() {
        let mut view = view(&[2, 4], &[0, 1], 4);
        view.homes = Some(homes(&[2, 4, 8]));
        view.partitions
            .extend((4..8).map(|partition| facts(partition, &[2, 4], &[])));
        assert!(view.is_unfinished());
    }

    #[test]
    fn a_partition_that_halts_or_is_not_known_lets_none_begin() {
        for outlook in [Outlook::Halts, Outlook::Waits] {
            let mut view = view(&[2], &[], 2);
            view.partitions[1].outlook = outlook;
            view.partitions[1].reason = Some("of its own".to_owned());
            assert!(refused(&view, 4).contains("of its own"));
        }
        // Above N.
        let mut above = view(&[2], &[], 3);
        above.partitions[2].outlook = Outlook::Halts;
        assert!(refused(&above, 4).contains("halts"));
        above.partitions[2].outlook = Outlook::Waits;
        assert!(next(&above, 4).is_ok());
        let mut fresh = view(&[2], &[], 2);
        fresh.homes = None;
        assert!(refused(&fresh, 4).contains("no partition has a checkpoint"));
    }
}
