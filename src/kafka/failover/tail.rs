//! Reads the tail of the heartbeats without a group: the last records first, then new ones.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedHeaders, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};
use crate::observe::told::{self, Told};
use crate::processor::failover::heartbeat::RECORDS_PER_SECOND_MAX;
use crate::wire::heartbeat::{Heartbeat, STATE_FORMAT};

/// The only partition of the topic.
pub(super) const PARTITION: i32 = 0;
/// How long the question for the end of the topic may take: as long as a leader may take to move.
const END_DEADLINE: Duration = Duration::from_secs(10);
const OPERATION: &str = "read heartbeats";
/// The wait of a [`Listening`] for one heartbeat before the time is checked.
const LISTEN_POLL: Duration = Duration::from_millis(10);

/// A heartbeat as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The content of the record.
    pub heartbeat: Heartbeat,
    /// True when the record was there before reading began.
    pub old: bool,
    /// When the broker appended it, in ms since 1970.
    pub appended_ms: i64,
    /// The newest version of state records that the writer reads. None for a release from before rescales.
    pub state_format: Option<u8>,
    /// The status that the writer tells with this heartbeat, unless that is old.
    pub told: Option<Told>,
}

/// A consumer of the topic.
pub(crate) struct Tail {
    consumer: Authenticated<BaseConsumer<Context>>,
    group: String,
    end: i64,
    reads: Cell<bool>,
}

impl Tail {
    /// Begins far enough back to read all that was written in `back`. The distance is a number of records and
    /// not a time, so that no clocks are compared.
    ///
    /// # Errors
    /// No topic, no permission, or no answer.
    pub(crate) fn begin(
        connection: &Connection,
        topic: &str,
        back: Duration,
    ) -> Result<Tail, Error> {
        let consumer: Authenticated<BaseConsumer<Context>> =
            connection.heartbeat_consumer().create(OPERATION, Context)?;
        // A consumer that has not heard of a topic looks for its leader once a second.
        consumer
            .fetch_metadata(Some(topic), END_DEADLINE)
            .map_err(|error| Error::from_kafka(OPERATION, &error).about(topic))?;
        let (first, end) = consumer
            .fetch_watermarks(topic, PARTITION, END_DEADLINE)
            .map_err(|error| Error::from_kafka(OPERATION, &error).about(topic))?;
        let records =
            i64::from(RECORDS_PER_SECOND_MAX) * i64::try_from(back.as_secs()).unwrap_or(0);
        let from = (end - records).max(first);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, PARTITION, Offset::Offset(from))
            .and_then(|()| consumer.assign(&list))
            .map_err(|error| Error::from_kafka(OPERATION, &error).about(topic))?;
        Ok(Tail {
            consumer,
            group: connection.group.clone(),
            end,
            reads: Cell::new(false),
        })
    }

    /// True when the broker has answered a read, even if only with the end of the log.
    pub(crate) fn reads(&self) -> bool {
        self.reads.get()
    }

    /// The next heartbeat of this service. None when no record came within `wait`, or when the record was not
    /// such a heartbeat.
    ///
    /// # Errors
    /// Only errors that do not pass without help.
    pub(crate) fn next(&self, wait: Duration) -> Result<Option<Heard>, Error> {
        let record = match self.consumer.poll(wait) {
            None => return Ok(None),
            Some(Ok(record)) => {
                self.reads.set(true);
                record
            }
            Some(Err(error)) => {
                let error = Error::from_kafka(OPERATION, &error);
                return match error.class {
                    Class::EndOfLog => {
                        self.reads.set(true);
                        Ok(None)
                    }
                    Class::Denied | Class::Fatal => Err(error),
                    _ => Ok(None),
                };
            }
        };
        let heartbeat = Heartbeat::decode(&self.group, record.key(), record.payload());
        let old = record.offset() < self.end;
        Ok(heartbeat.map(|heartbeat| Heard {
            heartbeat,
            old,
            appended_ms: record.timestamp().to_millis().unwrap_or(0),
            state_format: state_format(record.headers()),
            told: if old { None } else { told(record.headers()) },
        }))
    }
}

/// A reader of heartbeats that knows how long it has been reading.
pub(super) struct Listening {
    tail: Tail,
    asked: Instant,
    began: Option<Instant>,
    begin_deadline: Duration,
}

impl Listening {
    /// Begins as [`Tail::begin`] does. Reading must have begun within `begin_deadline` after that.
    ///
    /// # Errors
    /// As [`Tail::begin`].
    pub(super) fn begin(
        connection: &Connection,
        topic: &str,
        back: Duration,
        begin_deadline: Duration,
    ) -> Result<Listening, Error> {
        Ok(Listening {
            tail: Tail::begin(connection, topic, back)?,
            asked: Instant::now(),
            began: None,
            begin_deadline,
        })
    }

    /// How long reading has gone on, if it has begun, and the next heartbeat, if one came.
    ///
    /// # Errors
    /// The topic cannot be read, or reading has not begun in time.
    pub(super) fn next(&mut self) -> Result<(Option<Duration>, Option<Heard>), Error> {
        let heard = self.tail.next(LISTEN_POLL)?;
        if self.tail.reads() {
            let began = *self.began.get_or_insert_with(Instant::now);
            return Ok((Some(began.elapsed()), heard));
        }
        if self.asked.elapsed() >= self.begin_deadline {
            let message = format!("nothing is read within {} s", self.begin_deadline.as_secs());
            return Err(Error::own("listen", Class::Retriable, message));
        }
        Ok((None, heard))
    }
}

fn state_format(headers: Option<&BorrowedHeaders>) -> Option<u8> {
    let found = header(headers, STATE_FORMAT)?;
    std::str::from_utf8(found).ok()?.parse().ok()
}

fn told(headers: Option<&BorrowedHeaders>) -> Option<Told> {
    told::decode(header(headers, told::HEADER)?)
}

fn header<'a>(headers: Option<&'a BorrowedHeaders>, name: &str) -> Option<&'a [u8]> {
    headers?.iter().find(|header| header.key == name)?.value
}
