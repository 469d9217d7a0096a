//! Answers the questions of a takeover with calls on Kafka clients.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as TopicOffset, TopicPartitionList};

use crate::core::digest::fingerprint;
use crate::core::{NextOffset, Offset, Timestamp};
use crate::kafka::admin;
use crate::kafka::clients::Connection;
use crate::kafka::consumer::{Flow, Reader, Record};
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};
use crate::kafka::transactor::Topics;
use crate::processor::checkpoint::rewrite_from;
use crate::processor::restore::{Restored, restore};
use crate::processor::takeover::{Action, Bound, Committed, Decided, Event, RequestLog, StateLog};
use crate::wire::state::{self, BATCH_HEADER, BatchId, Content, TopicId};

/// How long one call may take. Brokers answer in milliseconds or are away.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The clients that find the answers.
pub(crate) struct Questions {
    /// Reads committed records only.
    reader: Reader,
    /// Sees the ends of logs with read-uncommitted isolation (T2).
    uncommitted: BaseConsumer<Context>,
    topics: Topics,
}

impl Questions {
    /// Creates the clients. Nothing is connected yet.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub(crate) fn new(connection: &Connection, topics: &Topics) -> Result<Questions, Error> {
        let uncommitted = connection
            .uncommitted()
            .create_with_context(Context)
            .map_err(|error| Error::from_kafka("create consumer", &error))?;
        Ok(Questions {
            reader: Reader::new(&connection.reader())?,
            uncommitted,
            topics: topics.clone(),
        })
    }

    /// Answers one question.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn answer(&self, partition: i32, action: Action) -> Result<Event, Error> {
        match action {
            Action::ReadBound => self.bound(partition),
            Action::ReadCommitted => self.committed(partition),
            Action::ReadState { from, to } => self.state(partition, from, to),
            Action::DescribeLog => self.log(partition),
            Action::ReadRecord(offset) => self.record(partition, offset),
            Action::ReadService => self.service(),
            Action::GrowState => self.grow_state(),
        }
    }

    fn bound(&self, partition: i32) -> Result<Event, Error> {
        let count = admin::partition_count(self.uncommitted.client(), &self.topics.state)?;
        let Some(count) = count else {
            return Ok(Event::Bound(Bound::NoTopic));
        };
        if u32::try_from(partition).is_ok_and(|partition| partition >= count) {
            return Ok(Event::Bound(Bound::NoPartition));
        }
        let (start, end) = self.extent(&self.topics.state, partition)?;
        Ok(Event::Bound(Bound::Log(StateLog { start, end })))
    }

    fn extent(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        self.uncommitted
            .fetch_watermarks(topic, partition, CALL_DEADLINE)
            .map_err(|error| {
                Error::from_kafka("ask for the ends of a log", &error)
                    .about(&format!("{topic}-{partition}"))
            })
    }

    fn committed(&self, partition: i32) -> Result<Event, Error> {
        let topic = &self.topics.requests;
        let mut asked = TopicPartitionList::with_capacity(1);
        asked.add_partition(topic, partition);
        // Under `read_committed` this call would wait for a dead owner's open transaction, up to its timeout.
        // The offset is a hint only, and the state log is read as committed all the same.
        let offsets = self
            .uncommitted
            .committed_offsets(asked, CALL_DEADLINE)
            .map_err(|error| Error::from_kafka("ask for the committed offset", &error))?;
        let committed = offsets.find_partition(topic, partition).and_then(|found| {
            let TopicOffset::Offset(next) = found.offset() else {
                return None;
            };
            Some(Committed {
                next: NextOffset(next),
                rewrite_from: rewrite_from(found.metadata()),
            })
        });
        Ok(Event::Committed(committed))
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

    fn log(&self, partition: i32) -> Result<Event, Error> {
        let topic = &self.topics.requests;
        let missing = || {
            let message = format!("topic {topic} does not exist");
            Error::own("describe the request log", Class::Retriable, message)
        };
        let client = self.uncommitted.client();
        let partitions = admin::partition_count(client, topic)?.ok_or_else(missing)?;
        let topic_id = admin::topic_id(client, topic)?.ok_or_else(missing)?;
        let (start, end) = self.extent(topic, partition)?;
        Ok(Event::Log(RequestLog {
            start: NextOffset(start),
            end: NextOffset(end),
            topic_id: TopicId(topic_id),
            partitions,
        }))
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

    /// The request topic has grown: grows the state topic and the ledger topic with it.
    fn grow_state(&self) -> Result<Event, Error> {
        let client = self.uncommitted.client();
        if let Some(partitions) = admin::partition_count(client, &self.topics.requests)? {
            admin::grow(client, &self.topics.state, partitions)?;
            admin::grow(client, &self.topics.ledger, partitions)?;
        }
        Ok(Event::Growing)
    }

    /// Restores the partition instead of reading its first footer: compaction may have left a late footer in
    /// front.
    fn service(&self) -> Result<Event, Error> {
        let (start, end) = self.extent(&self.topics.state, 0)?;
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
        let count = admin::partition_count(self.uncommitted.client(), &self.topics.state)?;
        for partition in 1..i32::try_from(count.unwrap_or(0)).unwrap_or(i32::MAX) {
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
        let (start, end) = self.extent(&self.topics.state, partition)?;
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
        let (start, end) = self.extent(&self.topics.state, partition)?;
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

    /// The first request that was appended after a time, if there is one: for repairs.
    ///
    /// # Errors
    /// The question cannot be answered now.
    pub(crate) fn first_after(
        &self,
        partition: i32,
        time: Timestamp,
    ) -> Result<Option<NextOffset>, Error> {
        const OPERATION: &str = "look for an offset by its time";
        let topic = &self.topics.requests;
        let mut asked = TopicPartitionList::with_capacity(1);
        asked
            .add_partition_offset(topic, partition, TopicOffset::Offset(time.0 + 1))
            .map_err(|error| Error::from_kafka(OPERATION, &error))?;
        let found = self
            .uncommitted
            .offsets_for_times(asked, CALL_DEADLINE)
            .map_err(|error| Error::from_kafka(OPERATION, &error))?;
        let found = found.find_partition(topic, partition);
        Ok(found.and_then(|found| match found.offset() {
            TopicOffset::Offset(offset) => Some(NextOffset(offset)),
            _ => None,
        }))
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
            None => self.extent(&self.topics.state, partition)?.1,
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
