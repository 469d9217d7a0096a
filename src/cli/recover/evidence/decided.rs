//! Finds N and the key of the links. They are decided once for the whole service, so a repair must not decide
//! them again from incomplete data.

use std::fmt;

use super::{Inquiry, State};
use crate::cli::Error;
use crate::core::Homes;
use crate::core::link::LinkKey;
use crate::processor::checkpoint::homes;
use crate::processor::takeover::Decided;

/// The decided values and their source.
pub(crate) struct Service {
    pub decided: Decided,
    pub origin: Origin,
}

/// The source of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the state of this partition, with the key.
    State(i32),
    /// From the committed offset of this partition.
    Offsets(i32),
    /// From the operator.
    Operator,
    /// The topic has only one partition, and no topic shrinks.
    OnePartition,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::State(partition) => write!(f, "by the state of partition {partition}"),
            Origin::Offsets(partition) => {
                write!(f, "by the committed offset of partition {partition}")
            }
            Origin::Operator => f.write_str("by --partitions"),
            Origin::OnePartition => f.write_str("since the request topic has no more"),
        }
    }
}

impl Inquiry<'_> {
    /// Finds both values. Any footer of any partition has the key, also one that does not add up. The longest list
    /// of N is that of the service: a partition learns of a rescale at its own time. Without a footer the committed
    /// offsets may have N, but the key is lost.
    pub(super) fn decided(
        &self,
        state: &State,
        topic_has: u32,
        asked: Option<u32>,
    ) -> Result<Service, Error> {
        if let Some((partition, mut decided)) = self.in_the_state(state)? {
            for partition in 0..i32::try_from(self.state_partitions).unwrap_or(i32::MAX) {
                let found = self.questions.last_homes(partition)?;
                let longer = found.filter(|found| found.epoch() > decided.homes.epoch());
                decided.homes = longer.unwrap_or(decided.homes);
            }
            let origin = Origin::State(partition);
            agrees(asked, decided.homes, origin)?;
            return Ok(Service { decided, origin });
        }
        let (homes, origin) = n(self.in_the_offsets(topic_has)?, asked, topic_has)?;
        if self.partition != 0 {
            return Err(Error::Failed(
                "no state of any partition is left, and with it the key of forwarded requests, which is \
                 one for the whole service: partition 0 decides it again. Repair that first (sequencer \
                 recover --partition 0), or start an instance if it needs no repair"
                    .to_owned(),
            ));
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| Error::Failed(format!("no randomness from the system: {error}")))?;
        let decided = Decided {
            homes,
            link_key: LinkKey::drawn_by_repair(key),
        };
        Ok(Service { decided, origin })
    }

    fn in_the_state(&self, state: &State) -> Result<Option<(i32, Decided)>, Error> {
        let footer = state.restored.footer.as_ref();
        if let Some(footer) = footer.or(state.last_footer.as_ref()) {
            return Ok(Some((self.partition, footer.decided())));
        }
        for partition in 0..i32::try_from(self.state_partitions).unwrap_or(i32::MAX) {
            if let Some(decided) = self.questions.decided(partition)? {
                return Ok(Some((partition, decided)));
            }
        }
        Ok(None)
    }

    fn in_the_offsets(&self, topic_has: u32) -> Result<Option<(i32, Homes)>, Error> {
        let settings = &self.session.settings;
        let (group, topic) = (&settings.group, &settings.topics.requests);
        let committed = self.session.admin.committed(group, topic, topic_has)?;
        Ok((0..)
            .zip(committed)
            .find_map(|(partition, committed)| Some((partition, homes(&committed?.metadata)?))))
    }
}

/// Finds N without any state.
fn n(
    in_the_offsets: Option<(i32, Homes)>,
    asked: Option<u32>,
    topic_has: u32,
) -> Result<(Homes, Origin), Error> {
    if let Some((partition, homes)) = in_the_offsets {
        let origin = Origin::Offsets(partition);
        agrees(asked, homes, origin)?;
        return Ok((homes, origin));
    }
    match asked {
        Some(n) if n <= topic_has => Ok((Homes::first(n), Origin::Operator)),
        Some(n) => Err(Error::Failed(format!(
            "--partitions must be 1 to {topic_has}, the partitions that the request topic has now, got {n}"
        ))),
        None if topic_has == 1 => Ok((Homes::first(1), Origin::OnePartition)),
        None => Err(Error::Failed(format!(
            "the partitions among which the service spreads its names are not known, since neither \
             state nor committed offsets are left: say with --partitions N how many the request topic \
             had when the service began. It has {topic_has} now; that is the number unless partitions \
             were added"
        ))),
    }
}

fn agrees(asked: Option<u32>, found: Homes, origin: Origin) -> Result<(), Error> {
    let found = found.partitions();
    match asked {
        Some(asked) if asked != found => Err(Error::Failed(format!(
            "--partitions is {asked}, but the service has {found} {origin}: leave it out"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n_is_found_or_said_and_never_guessed() {
        let failed = |found, asked, has| match n(found, asked, has) {
            Err(Error::Failed(why)) => why,
            other => panic!("{:?}", other.is_ok()),
        };
        assert!(failed(None, None, 6).contains("--partitions N"));
        let of = |found, asked, has| n(found, asked, has).ok();
        let (one, four) = (Homes::first(1), Homes::first(4));
        assert_eq!(of(None, Some(4), 6), Some((four, Origin::Operator)));
        assert_eq!(of(None, None, 1), Some((one, Origin::OnePartition)));
        let found = Some((5, four));
        assert_eq!(of(found, None, 6), Some((four, Origin::Offsets(5))));
        assert!(failed(None, Some(7), 6).contains("1 to 6"));
        assert!(failed(found, Some(6), 6).contains("has 4"));
    }
}
