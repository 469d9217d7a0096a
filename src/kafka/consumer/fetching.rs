//! Which partitions are fetched, and from where.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::debug;

use super::records::Source;
use super::{GroupConsumer, native};
use crate::kafka::error::Error;

/// How long to wait for a seek. It is answered by librdkafka's own thread without asking a broker,
/// so this is only reached when that thread is stuck.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition that librdkafka has been told to fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetched {
    /// Where the next record comes from; [`GroupConsumer::polled`] may know better.
    from: i64,
    /// Paused by [`GroupConsumer::stop`].
    stopped: bool,
    /// librdkafka fetches it no more, because the offset was not in the log.
    pub(super) offset_lost: bool,
    /// Where to fetch it from once the revoke that waits for its answer has it.
    restart: Option<i64>,
}

impl GroupConsumer {
    /// Fetches `partition` from `next` on. Also for a partition that was stopped, or whose offset
    /// was lost. `leader_epoch`: of the record before, if the log of a stopped one is to be compared by it;
    /// where it was cut below `next` meanwhile, the offset is lost.
    ///
    /// # Errors
    /// The partition is being fetched, or the client is closed or had a fatal error.
    pub fn start(&self, partition: i32, next: i64, leader_epoch: Option<i32>) -> Result<(), Error> {
        let list = self.at(partition, next)?;
        self.note_position();
        self.divert_anew(partition)?;
        let before = self.fetched.borrow().get(&partition).copied();
        match before {
            Some(Fetched {
                offset_lost: true, ..
            }) if self.revoking.get() => {
                // It would be the answer to the revoke.
                if let Some(fetched) = self.fetched.borrow_mut().get_mut(&partition) {
                    fetched.restart = Some(next);
                }
                return Ok(());
            }
            Some(Fetched {
                offset_lost: true, ..
            }) => {
                // librdkafka refuses to seek a partition that it has given up on.
                self.note_loss();
                self.unassign(&[partition])?;
                if self.generation() != self.answered.get() {
                    // A rebalance is under way, and this may have been its answer.
                    self.gave_up_early.set(true);
                }
                self.assign(&list)?;
            }
            Some(Fetched { stopped: true, .. }) => {
                let client = self.consumer()?.client();
                // In this order: a seek wakes the fetcher, a resume does not. What comes from the
                // old position between the two is dropped by the seek.
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
            restart: None,
        };
        self.fetched.borrow_mut().insert(partition, fetched);
        self.divert_anew(partition)?;
        Ok(())
    }

    /// Before it is fetched, so that nothing of it comes to the group's queue; and once more after its
    /// last fetch was given up.
    fn divert_anew(&self, partition: i32) -> Result<(), Error> {
        let source = Source::of(self.consumer()?.client(), &self.topic, partition);
        if let (Some(source), Some(records)) = (source, &self.records) {
            records.divert(&source);
            self.silent.borrow_mut().insert(partition, source);
        }
        Ok(())
    }

    /// Starts what had to wait for the answer to a revoke.
    pub(super) fn restart(&self) -> Result<(), Error> {
        let waiting: Vec<(i32, i64)> = self
            .fetched
            .borrow()
            .iter()
            .filter_map(|(&partition, fetched)| Some((partition, fetched.restart?)))
            .collect();
        for (partition, next) in waiting {
            self.start(partition, next, None)?;
        }
        Ok(())
    }

    /// Fetches no more from `partition`, which stays ours: one that is halted. No record of it
    /// comes after this call.
    ///
    /// # Errors
    /// The client is closed.
    pub fn stop(&self, partition: i32) -> Result<(), Error> {
        if !self.fetched.borrow().contains_key(&partition) {
            return Ok(());
        }
        self.pause(&[partition])?;
        if let Some(fetched) = self.fetched.borrow_mut().get_mut(&partition) {
            fetched.stopped = true;
        }
        Ok(())
    }

    /// Fetches no more from these partitions until [`GroupConsumer::resume`]; drops what was
    /// fetched ahead, which is fetched again later.
    ///
    /// # Errors
    /// The client is closed, or a partition is not started.
    pub fn pause(&self, partitions: &[i32]) -> Result<(), Error> {
        native::pause(self.consumer()?.client(), &self.unplaced(partitions))
    }

    /// Fetches from these partitions again, from after the last record that was polled. Those that
    /// were stopped stay so.
    ///
    /// # Errors
    /// The client is closed, or a partition is not started.
    pub fn resume(&self, partitions: &[i32]) -> Result<(), Error> {
        let mut awake = partitions.to_vec();
        awake.retain(|partition| self.is_awake(*partition));
        native::resume(self.consumer()?.client(), &self.unplaced(&awake))?;
        self.wake(&awake)
    }

    fn is_awake(&self, partition: i32) -> bool {
        let fetched = self.fetched.borrow();
        let fetched = fetched.get(&partition);
        fetched.is_some_and(|fetched| !fetched.stopped && !fetched.offset_lost)
    }

    /// After a rebalance, during which librdkafka pauses everything.
    pub(super) fn wake_all(&self) {
        let mut awake: Vec<i32> = self.fetched.borrow().keys().copied().collect();
        awake.retain(|partition| self.is_awake(*partition));
        if let Err(error) = self.wake(&awake) {
            // Only late then: the fetcher looks by itself after a second.
            debug!(%error, "fetching goes on late after a rebalance");
        }
    }

    /// Makes librdkafka look at partitions that it has resumed. By itself it would do so up to a
    /// second later (`rd_kafka_broker_consumer_serve`): the thread of a broker sleeps when all its
    /// partitions are paused, and nothing wakes it when they are not any longer, except a seek. So
    /// each is sought to where it is, with the leader epoch of the last record, which is validated.
    fn wake(&self, partitions: &[i32]) -> Result<(), Error> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.note_position();
        let client = self.consumer()?.client();
        let mut list = self.unplaced(partitions);
        // For the leader epochs. The offsets are not to be believed: a transaction marker that was fetched
        // before a pause, and is dropped with the records around it, moves librdkafka's own position.
        native::position(client, &list)?;
        let fetched = self.fetched.borrow();
        for &partition in partitions {
            if let Some(fetched) = fetched.get(&partition) {
                let from = Offset::Offset(fetched.from);
                list.set_partition_offset(&self.topic, partition, from)
                    .map_err(|error| Error::from_kafka("seek", &error))?;
            }
        }
        drop(fetched);
        native::seek(client, &list, SEEK_TIMEOUT)
    }

    /// Keeps where the partition stands of which something was polled last.
    pub(super) fn note_position(&self) {
        if let Some((partition, next)) = self.polled.take()
            && let Some(fetched) = self.fetched.borrow_mut().get_mut(&partition)
        {
            fetched.from = next;
        }
    }

    pub(super) fn assign(&self, list: &TopicPartitionList) -> Result<(), Error> {
        self.note_loss();
        native::incremental_assign(self.consumer()?.client(), list)
    }

    pub(super) fn unassign(&self, partitions: &[i32]) -> Result<(), Error> {
        let client = self.consumer()?.client();
        let list = self.unplaced(partitions);
        self.note_position();
        native::incremental_unassign(client, &list)?;
        self.fetched
            .borrow_mut()
            .retain(|partition, _| !partitions.contains(partition));
        self.silent
            .borrow_mut()
            .retain(|partition, _| !partitions.contains(partition));
        // A pause of ours outlives the assignment in librdkafka, and would meet the next one.
        if let Err(error) = native::resume(client, &list) {
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
