//! Answers the questions of a takeover with calls on Kafka clients.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster::Cluster;
use crate::core::digest::fingerprint;
use crate::core::{Homes, NextOffset, Offset, Timestamp};
use crate::kafka::clients::Connection;
use crate::kafka::consumer::{Flow, Reader, Record, connect_to_leaders, search_backward};
use crate::kafka::error::{Class, Error};
use crate::kafka::transactor::Topics;
use crate::processor::restore::{Restored, restore};
use crate::processor::takeover::{Action, Decided, Event};
use crate::wire::state::{self, BATCH_HEADER, BatchId, Content, FOOTER_KEY};

/// How long each step of connecting in advance may take. A takeover may be waiting for its end.
const WARM_DEADLINE: Duration = Duration::from_millis(500);

/// The clients that find the answers.
pub(crate) struct Questions {
    /// Reads committed records only.
    reader: Reader,
    cluster: Cluster,
    topics: Topics,
}

impl Questions {
    /// Creates the clients. Nothing is connected yet.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub(crate) fn new(connection: &Connection, topics: &Topics) -> Result<Questions, Error> {
        Ok(Questions {
            reader: Reader::new(&connection.reader())?,
            cluster: Cluster::new(connection, topics)?,
            topics: topics.clone(),
        })
    }

    /// Connects to the leaders of the topics that a takeover reads.
    ///
    /// # Errors
    /// One of them cannot be reached within a moment. The others are not tried then.
    pub(crate) fn warm(&self) -> Result<(), Error> {
        for consumer in [self.cluster.consumer(), self.reader.consumer()] {
            for topic in [&self.topics.state, &self.topics.requests] {
                connect_to_leaders(consumer, topic, WARM_DEADLINE)?;
            }
        }
        Ok(())
    }

    /// Answers a question and, at the same time, the one beside it ([`Action::beside`]), if it has an answer now.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn answer_both(
        &self,
        partition: i32,
        action: Action,
    ) -> Result<(Event, Option<(Action, Event)>), Error> {
        let Some(beside) = action.beside() else {
            return Ok((self.answer(partition, action)?, None));
        };
        let (cluster, stable) = (&self.cluster, self.reader.consumer());
        std::thread::scope(|scope| {
            let other = scope.spawn(move || match beside {
                Action::ReadCommitted => cluster.committed(stable, partition),
                _ => cluster.log(partition),
            });
            let answer = self.answer(partition, action)?;
            let other = other.join().ok().and_then(Result::ok);
            Ok((answer, other.map(|answer| (beside, answer))))
        })
    }

    /// Answers one question.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn answer(&self, partition: i32, action: Action) -> Result<Event, Error> {
        match action {
            Action::ReadState { from, to } => self.state(partition, from, to),
            Action::ReadRecord(offset) => self.record(partition, offset),
            Action::ReadService => self.service(),
            Action::ReadBound => self.cluster.bound(partition),
            Action::ReadCommitted => self.committed(partition),
            Action::DescribeLog => self.cluster.log(partition),
            Action::GrowState => self.cluster.grow_state(),
        }
    }

    fn committed(&self, partition: i32) -> Result<Event, Error> {
        self.cluster.committed(self.reader.consumer(), partition)
    }

    fn state(&self, partition: i32, from: i64, to: i64) -> Result<Event, Error> {
        let topic = &self.topics.state;
        let restored = restore(|feed| {
            self.reader.read(topic, partition, from, to, |record| {
                let key = record.key.unwrap_or_default();
                match feed(key, record.value, batch_header(&record)) {
                    true => Flow::Continue,
                    false => Flow::Stop,
                }
            })
        })?;
        Ok(match restored {
            Ok(restored) => Event::State(Box::new(restored)),
            Err(error) => Event::UnknownFormat(error.to_string()),
        })
    }

    fn record(&self, partition: i32, offset: Offset) -> Result<Event, Error> {
        let mut hash = None;
        let to = NextOffset::after(offset).0;
        let read = self
            .reader
            .read(&self.topics.requests, partition, offset.0, to, |record| {
                if record.offset == offset.0 {
                    hash = Some(fingerprint(record.key, record.value, record.timestamp_ms));
                }
                Flow::Stop
            });
        match read {
            Ok(()) => Ok(Event::Record(hash)),
            // The record was removed between two questions.
            Err(error) if error.class == Class::OffsetLost => Ok(Event::Record(None)),
            Err(error) => Err(error),
        }
    }

    /// Restores the partition instead of reading its first footer: compaction may have left a late footer in
    /// front.
    fn service(&self) -> Result<Event, Error> {
        let (start, end) = self.cluster.extent(&self.topics.state, 0)?;
        let restored = match self.state(0, start, end)? {
            Event::State(restored) => restored,
            other => return Ok(other),
        };
        let decided = restored.footer.as_ref().map(|footer| footer.decided());
        let has_past =
            restored.records > 0 || matches!(self.committed(0)?, Event::Committed(Some(_)));
        if decided.is_some() || !has_past {
            return Ok(Event::Service(decided));
        }
        // Partition 0 halts, because its state is lost. An owner that wrote a footer in another partition had
        // the decision from partition 0, and there is only one decision.
        let count = self.cluster.state_partitions()?.unwrap_or(0);
        for partition in 1..i32::try_from(count).unwrap_or(i32::MAX) {
            if let Some(decided) = self.decided(partition)? {
                return Ok(Event::Service(Some(decided)));
            }
        }
        Ok(Event::Service(None))
    }

    /// A partition's committed state as of now, for a partition that adopts names of it.
    ///
    /// # Errors
    /// The state cannot be read now.
    pub(crate) fn restored(&self, partition: i32) -> Result<Restored, Error> {
        let (start, end) = self.cluster.extent(&self.topics.state, partition)?;
        match self.state(partition, start, end)? {
            Event::State(restored) => Ok(*restored),
            other => {
                let message = format!("the state of partition {partition}: {other:?}");
                Err(Error::own(
                    "read the state of a parent",
                    Class::Retriable,
                    message,
                ))
            }
        }
    }

    /// The decision in the first footer of a state partition, whether or not the footer adds up: for repairs.
    /// None without a footer.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn decided(&self, partition: i32) -> Result<Option<Decided>, Error> {
        let (start, end) = self.cluster.extent(&self.topics.state, partition)?;
        let mut decided = None;
        self.reader
            .read(&self.topics.state, partition, start, end, |record| {
                let key = record.key.unwrap_or_default();
                match state::decode(key, record.value, None).map(|record| record.content) {
                    Ok(Content::Footer(footer)) => {
                        decided = Some(footer.decided());
                        Flow::Stop
                    }
                    _ => Flow::Continue,
                }
            })?;
        Ok(decided)
    }

    /// The longest list of N among the last footers of partition 0 and of the partitions that have been a name's
    /// home. A footer of its home follows the one that began the home's epoch. None before the first checkpoint.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn homes_of(&self, name: &str) -> Result<Option<Homes>, Error> {
        let Some(mut homes) = self.last_homes(0)? else {
            return Ok(None);
        };
        loop {
            let home = i32::try_from(homes.of(name.as_bytes())).unwrap_or(i32::MAX);
            match self.last_homes(home)? {
                // Each round adds an epoch, and their number is limited.
                Some(later) if later.epoch() > homes.epoch() => homes = later,
                _ => return Ok(Some(homes)),
            }
        }
    }

    /// The list in the last footer of a state partition, whether or not the footer adds up. None without a footer.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn last_homes(&self, partition: i32) -> Result<Option<Homes>, Error> {
        let topic = &self.topics.state;
        let (start, end) = self.cluster.extent(topic, partition)?;
        search_backward(start, end, |from, to| {
            let mut last = None;
            self.reader.read(topic, partition, from, to, |record| {
                let key = record.key.unwrap_or_default();
                if key == FOOTER_KEY
                    && let Ok(found) = state::decode(key, record.value, None)
                    && let Content::Footer(footer) = found.content
                {
                    last = Some(footer.scalars.homes);
                }
                Flow::Continue
            })?;
            Ok(last)
        })
    }

    /// The first request that was appended after a time, if there is one: for repairs.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn first_after(
        &self,
        partition: i32,
        time: Timestamp,
    ) -> Result<Option<NextOffset>, Error> {
        self.cluster.first_after(partition, time)
    }

    /// Keys of committed records in a range of the state log that `writer` did not write.
    ///
    /// # Errors
    /// The range cannot be read now.
    pub(crate) fn foreign(
        &self,
        partition: i32,
        from: i64,
        to: Option<i64>,
        writer: u64,
    ) -> Result<(Vec<Vec<u8>>, i64), Error> {
        let to = match to {
            Some(to) => to,
            None => self.cluster.extent(&self.topics.state, partition)?.1,
        };
        let mut keys = BTreeSet::new();
        if to < from {
            return Ok((Vec::new(), to));
        }
        self.reader
            .read(&self.topics.state, partition, from, to, |record| {
                let key = record.key.unwrap_or_default();
                let read = state::decode(key, record.value, batch_header(&record));
                let batch = read.ok().and_then(|record| record.batch);
                if batch.is_none_or(|BatchId { writer: by, .. }| by != writer) {
                    keys.insert(key.to_vec());
                }
                Flow::Continue
            })?;
        Ok((keys.into_iter().collect(), to))
    }
}

/// Only tombstones carry the header, so the headers of other records need not be parsed.
fn batch_header<'a>(record: &Record<'a>) -> Option<&'a [u8]> {
    match record.value {
        Some(_) => None,
        None => record.header(BATCH_HEADER),
    }
}
