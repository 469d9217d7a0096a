//! Finds a sequence's ledger, for `trace` and `audit`.

use super::Error;
use super::ask::check_name;
use super::session::Session;
use crate::audit::source::Live;
use crate::core::partitioner::partition_id_of;
use crate::kafka::admin::Access;
use crate::kafka::takeovers::questions::Questions;

/// The place of a sequence's ledger.
pub(super) struct LedgerPartition {
    /// Asks questions about the state.
    pub questions: Questions,
    /// The home partition of the name.
    pub partition: i32,
    /// This partition of the ledger topic.
    pub ledger: Live,
}

impl LedgerPartition {
    /// Finds the place for a name.
    pub(super) fn of(name: &str, session: &Session) -> Result<LedgerPartition, Error> {
        check_name(name)?;
        let cluster = session.admin.cluster()?;
        let topics = session.topics();
        let partitions = session.partitions(&cluster, &topics.ledger, Access::Read)?;
        session.partitions(&cluster, &topics.state, Access::Read)?;
        let questions = Questions::new(&session.connection, &topics)?;
        // The topic may have grown since N was decided.
        let homes = questions.decided(0)?;
        let homes = homes.map_or(partitions, |decided| decided.homes.partitions());
        let partition = partition_id_of(name.as_bytes(), homes);
        if u32::try_from(partition).is_ok_and(|partition| partition >= partitions) {
            return Err(Error::Failed(format!(
                "the home of {name:?} is partition {partition}, and topic {:?} has {partitions}",
                topics.ledger
            )));
        }
        let ledger = Live::new(&session.connection, &topics.ledger, partition)?;
        Ok(LedgerPartition {
            questions,
            partition,
            ledger,
        })
    }
}
