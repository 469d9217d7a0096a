//! Reads a range of one partition, outside any group's assignment: the state log in a restore, one request
//! record to compare, or the records of another owner.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::native::{Queue, Signal};
use super::record::Record;
use super::records::{Taken, take_now};
use crate::kafka::client::{Authenticated, Config};
use crate::kafka::context::{Context, keep_off_stderr};
use crate::kafka::error::{Class, Error};

/// How long a read waits without any record before it is given up and tried again later. This is above the 10 s
/// in which brokers look for timed-out transactions: an open transaction of a dead owner ends by then.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long the question for a topic's leaders may take.
const METADATA_DEADLINE: Duration = Duration::from_secs(10);
/// How often a wait checks its deadline.
const POLL: Duration = Duration::from_millis(100);

/// A consumer whose caller assigns the partition and the range.
pub struct Reader {
    // Must be dropped before its client.
    queue: Option<Queue>,
    consumer: Authenticated<BaseConsumer<Context>>,
    /// The reader does not join this group, but the client library looks for its coordinator all the same.
    group: String,
    /// Topics whose leaders the client knows.
    learnt: RefCell<BTreeSet<String>>,
}

/// Whether a read goes on after a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on with the next record.
    Continue,
    /// End the read.
    Stop,
}

impl Reader {
    /// `config` must have `group.id` (the reader does not join it), `enable.partition.eof=true` and
    /// `auto.offset.reset=error`.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub fn new(config: &Config) -> Result<Reader, Error> {
        const OPERATION: &str = "create reader";
        let consumer: Authenticated<BaseConsumer<Context>> = config.create(OPERATION, Context)?;
        keep_off_stderr(consumer.client());
        let queue = Queue::of_consumer(consumer.client())
            .ok_or_else(|| Error::own(OPERATION, Class::Fatal, "group.id is not set"))?;
        Ok(Reader {
            queue: Some(queue),
            consumer,
            group: config.get("group.id").unwrap_or("").to_owned(),
            learnt: RefCell::default(),
        })
    }

    /// Returns the client, for questions about the cluster.
    pub fn consumer(&self) -> &BaseConsumer<Context> {
        &self.consumer
    }

    /// Reads the records of `from..to` that are visible under the isolation level. Ends when the offset to read
    /// next is `to` or more.
    ///
    /// # Errors
    /// [`Class::OffsetLost`] when `from` is not in the log, [`Class::Retriable`] when no record came for a
    /// while, and every error after which the client gives up.
    pub fn read(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        to: i64,
        on: impl FnMut(Record<'_>) -> Flow,
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        self.learn(topic)?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, Offset::Offset(from))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| Error::from_kafka("assign", &error))?;
        let read = self.drain(partition, to, on);
        let unassigned = self
            .consumer
            .unassign()
            .map_err(|error| Error::from_kafka("unassign", &error));
        read.map_err(|error| error.about_group_or(&self.group, &format!("{topic}-{partition}")))
            .and(unassigned)
    }

    /// Asks for a topic's leaders by its name, which makes them known at once. A client that must read an
    /// unknown topic looks for its leaders only once a second. Neither way creates the topic.
    fn learn(&self, topic: &str) -> Result<(), Error> {
        if self.learnt.borrow().contains(topic) {
            return Ok(());
        }
        self.consumer
            .client()
            .fetch_metadata(Some(topic), METADATA_DEADLINE)
            .map_err(|error| Error::from_kafka("look for the leaders", &error).about(topic))?;
        self.learnt.borrow_mut().insert(topic.to_owned());
        Ok(())
    }

    /// Waits for one event; every error of the client comes as an event. Then takes the available records, many
    /// in one call.
    fn drain(
        &self,
        partition: i32,
        to: i64,
        on: impl FnMut(Record<'_>) -> Flow,
    ) -> Result<(), Error> {
        const OPERATION: &str = "read";
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        let mut range = Range {
            partition,
            to,
            on,
            end: None,
        };
        let mut last = Instant::now();
        loop {
            let Some(event) = queue.poll(POLL) else {
                if last.elapsed() > SILENCE_MAX {
                    return Err(Error::own(
                        OPERATION,
                        Class::Retriable,
                        format!("nothing came for {} s", SILENCE_MAX.as_secs()),
                    ));
                }
                continue;
            };
            match event.signal() {
                Signal::Record => {
                    if let Some(record) = event.record() {
                        range.record(record);
                        last = Instant::now();
                    }
                }
                Signal::Error => {
                    let error = event.error(OPERATION);
                    match (error.class, event.partition()) {
                        (Class::EndOfLog, Some((id, next))) => range.end_of_log(id, next),
                        (_, at) => range.failed(error, at.map(|(_, offset)| offset)),
                    }
                }
                _ => {}
            }
            drop(event);
            while range.end.is_none() {
                if take_now(queue, |taken| range.take(taken)) == 0 {
                    break;
                }
                last = Instant::now();
            }
            if let Some(end) = range.end {
                return end;
            }
        }
    }
}

/// Asks each leader of a topic for the ends of one of its logs, which connects to it. Does not create the topic.
///
/// # Errors
/// A leader does not answer in time. The others are not asked then.
pub(crate) fn connect_to_leaders(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    deadline: Duration,
) -> Result<(), Error> {
    let failed =
        |error: KafkaError| Error::from_kafka("connect to the leaders", &error).about(topic);
    let metadata = consumer
        .client()
        .fetch_metadata(Some(topic), deadline)
        .map_err(failed)?;
    let mut known = BTreeSet::new();
    let partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    for partition in partitions {
        let leader = partition.leader();
        if leader >= 0 && known.insert(leader) {
            consumer
                .fetch_watermarks(topic, partition.id(), deadline)
                .map_err(failed)?;
        }
    }
    Ok(())
}

/// The wanted range, and how the read ended.
struct Range<F> {
    partition: i32,
    to: i64,
    on: F,
    end: Option<Result<(), Error>>,
}

impl<F: FnMut(Record<'_>) -> Flow> Range<F> {
    fn take(&mut self, taken: Taken<'_>) {
        match taken {
            Taken::Record(record) => self.record(record),
            Taken::End { partition, next } => self.end_of_log(partition, next),
            Taken::Failed { error, offset, .. } => self.failed(error, Some(offset)),
        }
    }

    fn record(&mut self, record: Record<'_>) {
        let next = record.offset + 1;
        // A message of another partition belongs to the range before.
        if self.end.is_none()
            && record.partition == self.partition
            && (record.offset >= self.to || (self.on)(record) == Flow::Stop || next >= self.to)
        {
            self.end = Some(Ok(()));
        }
    }

    /// Nothing is left to read before `next`. Records that are in the log's range may still come.
    fn end_of_log(&mut self, partition: i32, next: i64) {
        if self.end.is_none() && partition == self.partition && next >= self.to {
            self.end = Some(Ok(()));
        }
    }

    fn failed(&mut self, error: Error, offset: Option<i64>) {
        if self.end.is_none() && !matches!(error.class, Class::EndOfLog | Class::Retriable) {
            self.end = Some(Err(Error { offset, ..error }));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.queue.take());
    }
}
