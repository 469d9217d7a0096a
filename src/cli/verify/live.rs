//! The logs of a cluster.

use crate::kafka::admin::Cluster;
use crate::kafka::clients::Connection;
use crate::kafka::consumer::{self, Reader};
use crate::kafka::error::{Class, Error};
use crate::kafka::tools;
use crate::verify::source::{Extent, Flow, Logs, ReadError, Record, Topic};
use crate::wire::headers::{FORWARDED, REQUEST_ID};
use crate::wire::state::BATCH_HEADER;

/// The topics of a live cluster.
pub(super) struct Live {
    reader: Reader,
    /// Sees the ends of logs with read-uncommitted isolation.
    uncommitted: Reader,
    cluster: Cluster,
    names: Names,
}

/// The names of the topics.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The request topic.
    pub requests: String,
    /// The state topic.
    pub state: String,
    /// The reply topics.
    pub replies: Vec<String>,
    /// Headers that name a topic for the reply.
    pub topic_headers: Vec<String>,
}

impl Live {
    /// Creates the readers for the topics of a cluster.
    ///
    /// # Errors
    /// A configuration that the client library refuses.
    pub(super) fn new(
        connection: &Connection,
        cluster: Cluster,
        names: Names,
    ) -> Result<Live, Error> {
        Ok(Live {
            reader: tools::reader_of_much(connection)?,
            uncommitted: Reader::new(&connection.uncommitted())?,
            cluster,
            names,
        })
    }

    fn name(&self, topic: Topic) -> &str {
        match topic {
            Topic::Requests => &self.names.requests,
            Topic::State => &self.names.state,
            Topic::Replies(number) => {
                let name = self.names.replies.get(usize::from(number));
                name.map_or("", |name| name)
            }
        }
    }

    fn record<'a>(&self, topic: Topic, found: &consumer::Record<'a>) -> Record<'a> {
        let mut record = Record {
            leader_epoch: found.leader_epoch,
            offset: found.offset,
            timestamp_ms: found.timestamp_ms,
            key: found.key,
            value: found.value,
            ..Record::default()
        };
        match topic {
            Topic::Requests => {
                for (name, value) in found.headers.iter() {
                    if name == REQUEST_ID.as_bytes() {
                        record.request_id = value;
                    } else if name == FORWARDED.as_bytes() {
                        record.forwarded = value;
                    } else {
                        let mut headers = self.names.topic_headers.iter();
                        record.names_topic |= headers.any(|known| known.as_bytes() == name);
                    }
                }
            }
            // Only tombstones carry the header.
            Topic::State if found.value.is_none() => record.batch = found.header(BATCH_HEADER),
            Topic::State | Topic::Replies(_) => {}
        }
        record
    }
}

fn number(partition: u32) -> i32 {
    // Kafka's partitions are non-negative 32-bit integers.
    i32::try_from(partition).unwrap_or(i32::MAX)
}

impl Logs for Live {
    fn partitions(&self, topic: Topic) -> Result<u32, ReadError> {
        let name = self.name(topic);
        let found = self.cluster.topics.get(name);
        found.map(|topic| topic.partitions).ok_or_else(|| {
            let message = format!("topic {name:?} does not exist");
            Error::own("look for the topics", Class::Refused, message).into()
        })
    }

    fn extent(&self, topic: Topic, partition: u32) -> Result<Extent, ReadError> {
        let name = self.name(topic);
        let (start, end) = tools::extent(&self.reader, name, number(partition))?;
        Ok(Extent { start, end })
    }

    fn high_watermark(&self, topic: Topic, partition: u32) -> Result<i64, ReadError> {
        let (_, end) = tools::extent(&self.uncommitted, self.name(topic), number(partition))?;
        Ok(end)
    }

    fn read(
        &self,
        topic: Topic,
        partition: u32,
        range: Extent,
        on: &mut dyn FnMut(&Record<'_>) -> Flow,
    ) -> Result<(), ReadError> {
        let Extent { start, end } = range;
        let name = self.name(topic);
        self.reader
            .read(name, number(partition), start, end, |found| {
                match on(&self.record(topic, &found)) {
                    Flow::Continue => consumer::Flow::Continue,
                    Flow::Stop => consumer::Flow::Stop,
                }
            })?;
        Ok(())
    }
}
