//! Answers the questions of a takeover that need no record. Several may be asked at the same time.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as TopicOffset, TopicPartitionList};

use crate::core::{NextOffset, Timestamp};
use crate::kafka::admin;
use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};
use crate::kafka::transactor::Topics;
use crate::processor::takeover::{Bound, Committed, Event, RequestLog, StateLog};
use crate::wire::state::TopicId;

/// How long one call may take. Brokers answer in milliseconds or are away.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Pause before a committed offset is asked for again that a transaction may still replace. A transaction that is
/// decided has its markers within milliseconds.
const UNSTABLE_PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Cluster {
    /// Sees the ends of logs with read-uncommitted isolation (T2).
    uncommitted: Authenticated<BaseConsumer<Context>>,
    topics: Topics,
}

impl Cluster {
    pub(super) fn new(connection: &Connection, topics: &Topics) -> Result<Cluster, Error> {
        let uncommitted = connection
            .uncommitted()
            .create("create consumer", Context)?;
        Ok(Cluster {
            uncommitted,
            topics: topics.clone(),
        })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Context> {
        &self.uncommitted
    }

    /// The number of partitions of the state topic. `None` when there is no topic.
    pub(super) fn state_partitions(&self) -> Result<Option<u32>, Error> {
        admin::partition_count(self.uncommitted.client(), &self.topics.state)
    }

    pub(super) fn bound(&self, partition: i32) -> Result<Event, Error> {
        let Some(count) = self.state_partitions()? else {
            return Ok(Event::Bound(Bound::NoTopic));
        };
        if u32::try_from(partition).is_ok_and(|partition| partition >= count) {
            return Ok(Event::Bound(Bound::NoPartition));
        }
        let (start, end) = self.extent(&self.topics.state, partition)?;
        Ok(Event::Bound(Bound::Log(StateLog { start, end })))
    }

    /// Start and end of a log.
    pub(super) fn extent(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        self.uncommitted
            .fetch_watermarks(topic, partition, CALL_DEADLINE)
            .map_err(|error| {
                Error::from_kafka("ask for the ends of a log", &error)
                    .about(&format!("{topic}-{partition}"))
            })
    }

    /// The committed offset, once no transaction that is open or prepared may commit another one. `stable`: a client
    /// with the view [`crate::processor::reading::committed_view`].
    pub(super) fn committed(
        &self,
        stable: &BaseConsumer<Context>,
        partition: i32,
    ) -> Result<Event, Error> {
        const OPERATION: &str = "ask for the committed offset";
        let topic = &self.topics.requests;
        let deadline = Instant::now() + CALL_DEADLINE;
        let offsets = loop {
            let mut asked = TopicPartitionList::with_capacity(1);
            asked.add_partition(topic, partition);
            let left = deadline.saturating_duration_since(Instant::now());
            let offsets = stable
                .committed_offsets(asked, left)
                .map_err(|error| Error::from_kafka(OPERATION, &error))?;
            // The call succeeds for a partition with an error, which then seems to have no offset.
            let of_partition = offsets.find_partition(topic, partition);
            let problem = of_partition.and_then(|found| found.error().err());
            match problem.map(|problem| Error::from_kafka(OPERATION, &problem)) {
                None => break offsets,
                Some(error) if error.is_unstable() && Instant::now() < deadline => {
                    std::thread::sleep(UNSTABLE_PAUSE);
                }
                Some(error) => return Err(error.about(&format!("{topic}-{partition}"))),
            }
        };
        let committed = offsets.find_partition(topic, partition).and_then(|found| {
            let TopicOffset::Offset(next) = found.offset() else {
                return None;
            };
            Some(Committed::read(NextOffset(next), found.metadata()))
        });
        Ok(Event::Committed(committed))
    }

    pub(super) fn log(&self, partition: i32) -> Result<Event, Error> {
        let topic = &self.topics.requests;
        let missing = || {
            let message = format!("topic {topic} does not exist");
            Error::own("describe the request log", Class::Retriable, message)
        };
        let client = self.uncommitted.client();
        let (partitions, id) = admin::partitions_and_id(client, topic)?.ok_or_else(missing)?;
        let (start, end) = self.extent(topic, partition)?;
        Ok(Event::Log(RequestLog {
            start: NextOffset(start),
            end: NextOffset(end),
            topic_id: TopicId(id),
            partitions,
        }))
    }

    /// The request topic has grown: grows the state topic and the ledger topic with it.
    pub(super) fn grow_state(&self) -> Result<Event, Error> {
        let client = self.uncommitted.client();
        if let Some(partitions) = admin::partition_count(client, &self.topics.requests)? {
            admin::grow(client, &self.topics.state, partitions)?;
            admin::grow(client, &self.topics.ledger, partitions)?;
        }
        Ok(Event::Growing)
    }

    pub(super) fn first_after(
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
}
