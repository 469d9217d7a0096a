//! Finds a sequence's ledger, for `trace` and `audit`.

use super::Error;
use super::ask::check_name;
use super::session::Session;
use crate::audit::lineage::Lineage;
use crate::core::Homes;
use crate::kafka::admin::Access;
use crate::kafka::takeovers::questions::Questions;

/// The place of a sequence's ledger.
pub(super) struct LedgerPartition {
    /// Asks questions about the state.
    pub questions: Questions,
    /// The partitions of the ledger topic that have the sequence's records.
    pub ledger: Lineage,
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
        let homes = questions.homes_of(name)?;
        let homes = homes.unwrap_or(Homes::first(partitions));
        let ledger = Lineage::live(&session.connection, &topics.ledger, &homes, name)?;
        let home = ledger.home();
        if u32::try_from(home).is_ok_and(|home| home >= partitions) {
            return Err(Error::Failed(format!(
                "the home of {name:?} is partition {home}, and topic {:?} has {partitions}",
                topics.ledger
            )));
        }
        Ok(LedgerPartition { questions, ledger })
    }
}
