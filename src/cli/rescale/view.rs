//! The part of each partition in a rescale, as its checkpoints show it.

use crate::cli::Error;
use crate::cli::inspect::partition::{Facts, Outlook, longest};
use crate::cli::inspect::sequences::Selection;
use crate::cli::inspect::{self, partition};
use crate::cli::session::Session;
use crate::core::Homes;
use crate::core::rescale::Part;
use crate::kafka::admin::Access;
use crate::kafka::admin::Cluster;

/// A topic whose partitions belong to those of the request topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sized {
    pub topic: String,
    pub partitions: u32,
}

/// The state of the whole service.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The ledger, state and request topics, in the order in which they grow.
    pub topics: Vec<Sized>,
    /// The longest list of N. None before the first checkpoint.
    pub homes: Option<Homes>,
    /// The partitions of the request topic.
    pub partitions: Vec<Facts>,
}

impl View {
    /// Reads the state of each partition.
    pub(super) fn of(session: &Session) -> Result<View, Error> {
        let cluster = session.admin.cluster()?;
        session.admin.permits_group(&session.settings.group)?;
        let topics = sizes(session, &cluster)?;
        let requests = topics.last().map_or(0, |topic| topic.partitions);
        let range = 0..i32::try_from(requests).unwrap_or(i32::MAX);
        let (mut partitions, _) = inspect::look_at(range, session, Selection::new(None, 0))?;
        partitions.sort_by_key(|facts| facts.partition);
        Ok(View {
            topics,
            homes: longest(&partitions),
            partitions,
        })
    }

    /// The partition with this number.
    pub(super) fn partition(&self, number: u32) -> Option<&partition::Facts> {
        self.partitions.get(usize::try_from(number).ok()?)
    }

    /// The part that a partition has left to do. None when that is not known.
    pub(super) fn part(&self, facts: &Facts) -> Option<Part> {
        facts.part(self.homes.as_ref()?)
    }

    /// True while the next rescale would be refused.
    pub(super) fn is_unfinished(&self) -> bool {
        let Some(homes) = self.homes.filter(|homes| homes.epoch() > 0) else {
            return false;
        };
        let parents = homes.before().unwrap_or(0);
        let reported = |facts: &Facts| {
            let is_of_this = facts.standing.map(|standing| standing.homes) == Some(homes);
            is_of_this && (0..parents).all(|parent| facts.reports.contains(&parent))
        };
        !self.partition(0).is_some_and(reported)
    }

    /// Why the part of a partition is not known, in words. None when all parts are.
    pub(super) fn unknown(&self) -> Option<String> {
        let n = self.homes.map_or(0, |homes| homes.partitions());
        let unknown = (0..n).find_map(|number| match self.partition(number) {
            None => Some(format!("the request topic has no partition {number}")),
            Some(facts) if self.part(facts).is_none() || facts.outlook != Outlook::Starts => {
                let (word, reason) = (facts.outlook.as_str(), facts.reason.as_deref());
                Some(format!(
                    "partition {number} {word}: {}",
                    reason.unwrap_or("its state is not known")
                ))
            }
            Some(_) => None,
        });
        match self.homes {
            Some(_) => unknown,
            None => Some("no partition has a checkpoint yet: has the service begun?".to_owned()),
        }
    }
}

/// The number of partitions of each topic that grows.
pub(super) fn sizes(session: &Session, cluster: &Cluster) -> Result<Vec<Sized>, Error> {
    let topics = &session.settings.topics;
    let sized = [&topics.ledger, &topics.state, &topics.requests].map(|topic| {
        Ok(Sized {
            topic: topic.clone(),
            partitions: session.partitions(cluster, topic, Access::Read)?,
        })
    });
    sized.into_iter().collect()
}
