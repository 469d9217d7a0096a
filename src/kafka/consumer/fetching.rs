//! Decides which partitions are fetched, and from which offset.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::debug;

use super::polling::Polling;
use super::records::Source;
use super::{GroupConsumer, Rebalance, Unpolled, native};
use crate::kafka::error::Error;

/// How long to wait for a seek. librdkafka's own thread answers it without asking a broker, so a timeout means
/// that this thread is stuck.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition that librdkafka fetches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetched {
    /// The offset of the next record. [`Polling`] may have a newer one.
    pub(super) from: i64,
    /// True when [`GroupConsumer::stop`] has paused it.
    stopped: bool,
    /// True when librdkafka no longer fetches it, because the offset was not in the log.
    pub(super) offset_lost: bool,
}

impl GroupConsumer {
    /// Fetches `partition` from `next` on. This also restarts a partition that was stopped, or whose offset
    /// was lost. `leader_epoch` is the epoch of the record before `next`, for a stopped partition whose log
    /// is to be compared by it. If the log was cut below `next` in the meantime, the offset is lost.
    ///
    /// # Errors
    /// The partition is being fetched, or the client is closed or had a fatal error.
    pub(crate) fn start(
        &mut self,
        partition: i32,
        next: i64,
        leader_epoch: Option<i32>,
    ) -> Result<(), Error> {
        let list = self.at(partition, next)?;
        self.polling.note_position();
        self.divert_anew(partition)?;
        let before = self.polling.fetched.get(&partition).copied();
        match before {
            Some(Fetched {
                offset_lost: true, ..
            }) => {
                if let Rebalance::Revoking { restart, .. } = &mut self.rebalance {
                    // An assign call now would answer the revoke.
                    restart.insert(partition, next);
                    return Ok(());
                }
                // librdkafka refuses to seek a partition that it no longer fetches.
                self.note_loss();
                self.unassign(&[partition])?;
                if self.generation() != self.answered {
                    // A rebalance is in progress, and this call may have been the answer to it.
                    self.unpolled = self.unpolled.max(Unpolled::Answered);
                }
                self.assign(&list)?;
            }
            Some(Fetched { stopped: true, .. }) => {
                let client = self.consumer()?.client();
                // In this order: a seek wakes the fetcher, a resume does not. The seek drops the records that
                // come from the old position between the two calls.
                native::resume(client, &list)?;
                if let Some(leader_epoch) = leader_epoch {
                    native::set_leader_epoch(&list, leader_epoch);
                }
                native::seek(client, &list, SEEK_TIMEOUT)?;
            }
            _ => self.assign(&list)?,
        }
        let fetched = Fetched {
            from: next,
            stopped: false,
            offset_lost: false,
        };
        self.polling.fetched.insert(partition, fetched);
        self.divert_anew(partition)?;
        Ok(())
    }

    /// Diverts a partition before it is fetched, so that none of its records reach the group's queue. It is
    /// diverted again after its last fetch was given up.
    fn divert_anew(&mut self, partition: i32) -> Result<(), Error> {
        let source = Source::of(self.consumer()?.client(), &self.topic, partition);
        if let (Some(source), Some(records)) = (source, &self.records) {
            records.divert(&source);
            self.polling.silent.insert(partition, source);
        }
        Ok(())
    }

    /// Starts the partitions that had to wait for the answer to a revoke, and that it did not take away.
    pub(super) fn restart(&mut self, waiting: BTreeMap<i32, i64>) -> Result<(), Error> {
        for (partition, next) in waiting {
            if self.polling.fetched.contains_key(&partition) {
                self.start(partition, next, None)?;
            }
        }
        Ok(())
    }

    /// Stops fetching `partition`, which stays assigned, because it is halted. No record of it comes after
    /// this call.
    ///
    /// # Errors
    /// The client is closed.
    pub(crate) fn stop(&mut self, partition: i32) -> Result<(), Error> {
        if !self.polling.fetched.contains_key(&partition) {
            return Ok(());
        }
        native::pause(self.consumer()?.client(), &self.unplaced(&[partition]))?;
        if let Some(fetched) = self.polling.fetched.get_mut(&partition) {
            fetched.stopped = true;
        }
        Ok(())
    }

    fn is_awake(&self, partition: i32) -> bool {
        let fetched = self.polling.fetched.get(&partition);
        fetched.is_some_and(|fetched| !fetched.stopped && !fetched.offset_lost)
    }

    /// Wakes all partitions after a rebalance, during which librdkafka pauses everything.
    pub(super) fn wake_all(&mut self) {
        let mut awake: Vec<i32> = self.polling.fetched.keys().copied().collect();
        awake.retain(|partition| self.is_awake(*partition));
        if let Err(error) = self.wake(&awake) {
            // Fetching is only late in this case: the fetcher looks itself after a second.
            debug!(%error, "fetching goes on late after a rebalance");
        }
    }

    /// Makes librdkafka look at partitions that it has resumed. Otherwise it would do so up to a second later
    /// (`rd_kafka_broker_consumer_serve`): the thread of a broker sleeps when all its partitions are paused,
    /// and after a resume only a seek wakes it. So each partition is sought to its current offset, with the
    /// leader epoch of the last record, which is validated.
    fn wake(&mut self, partitions: &[i32]) -> Result<(), Error> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.polling.note_position();
        let client = self.consumer()?.client();
        let mut list = self.unplaced(partitions);
        // Used for the leader epochs only. The offsets can be wrong: a transaction marker that was fetched
        // before a pause, and is dropped with the records around it, moves librdkafka's own position.
        native::position(client, &list)?;
        for &partition in partitions {
            if let Some(fetched) = self.polling.fetched.get(&partition) {
                let from = Offset::Offset(fetched.from);
                list.set_partition_offset(&self.topic, partition, from)
                    .map_err(|error| Error::from_kafka("seek", &error))?;
            }
        }
        native::seek(client, &list, SEEK_TIMEOUT)
    }

    pub(super) fn assign(&mut self, list: &TopicPartitionList) -> Result<(), Error> {
        self.note_loss();
        native::incremental_assign(self.consumer()?.client(), list)
    }

    pub(super) fn unassign(&mut self, partitions: &[i32]) -> Result<(), Error> {
        let list = self.unplaced(partitions);
        self.polling.note_position();
        native::incremental_unassign(self.consumer()?.client(), &list)?;
        let Polling {
            fetched, silent, ..
        } = &mut self.polling;
        fetched.retain(|partition, _| !partitions.contains(partition));
        silent.retain(|partition, _| !partitions.contains(partition));
        // A pause outlives the assignment in librdkafka, and would also hold in the next one.
        if let Err(error) = native::resume(self.consumer()?.client(), &list) {
            debug!(%error, "partitions that were given up stay paused");
        }
        Ok(())
    }

    fn unplaced(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    fn at(&self, partition: i32, next: i64) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, partition, Offset::Offset(next))
            .map_err(|error| Error::from_kafka("start partition", &error))?;
        Ok(list)
    }
}
