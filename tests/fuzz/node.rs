//! The code under test as a whole: two partitions of a service that has two, one after the other.
//!
//! A log is written to partition 0; what it forwards is folded by partition 1.

use sequencer::core::{Fold, Homes, NextOffset, Offset, Timestamp};
use sequencer::processor::Mode;
use sequencer::processor::checkpoint::{Destination, Outgoing, Section, Written};
use sequencer::processor::partition::{Forward, Output, Partition, Record, Service};
use sequencer::processor::restore::Restored;
use sequencer::processor::takeover::Start;
use sequencer::wire::headers::{Headers, Names};
use sequencer::wire::route::{AllowList, Routing};
use sequencer::wire::state::{BatchId, TopicId};

use crate::input::{self, Header, LINK_KEY};

/// N.
pub const PARTITIONS: u32 = 2;
/// Of the default reply topic.
pub const REPLY_PARTITIONS: u32 = 3;
/// Its name.
pub const DEFAULT_TOPIC: &str = "replies";

/// The batch of a checkpoint.
pub const BATCH: BatchId = BatchId {
    writer: 1,
    number: 1,
};

/// A reply on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Topic of the client's own, if that is where it goes.
    pub topic: Option<String>,
    /// As text, because the partition of a client's topic is not known yet.
    pub partition: String,
    pub key: Option<Vec<u8>>,
    pub body: Vec<u8>,
    pub headers: Vec<Header>,
}

impl Reply {
    fn of(outgoing: Outgoing<'_>) -> Reply {
        let (topic, partition) = match outgoing.destination {
            Destination::Default { partition } => (None, format!("{partition}")),
            Destination::Named {
                topic,
                partition,
                fallback,
            } => (
                Some(topic.to_owned()),
                format!("{partition:?}, else {fallback}"),
            ),
        };
        let headers = outgoing.headers.iter();
        Reply {
            topic,
            partition,
            key: outgoing.key.map(<[u8]>::to_vec),
            body: outgoing.body.to_vec(),
            headers: headers
                .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.to_vec())))
                .collect(),
        }
    }

    /// The values of a header.
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let found = self.headers.iter().filter(move |(known, _)| known == name);
        found.filter_map(|(_, value)| value.as_deref())
    }
}

/// What came of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Reply(Reply),
    /// Its home gets this record.
    Forward(input::Record),
    /// Nothing goes out now.
    Nothing,
}

/// One partition under test.
pub trait Node {
    /// Folds the record at an offset.
    fn record(&mut self, offset: i64, record: &input::Record) -> Outcome;

    /// Closes the interval.
    fn cut(&mut self) -> Section;

    /// A link is missing, so no more is folded.
    fn is_broken(&self) -> bool;
}

/// Makes a node for a partition and a mode.
pub type Make<'a> = dyn FnMut(i32, Mode) -> Box<dyn Node> + 'a;

/// The shipped code.
pub struct Shipped {
    id: i32,
    service: Service,
    partition: Partition,
}

impl Shipped {
    #[allow(clippy::new_ret_no_self, reason = "the harness knows nodes only")]
    pub fn new(id: i32, mode: Mode) -> Box<dyn Node> {
        Box::new(Shipped::fresh(id, mode))
    }

    /// A partition without a past.
    pub fn fresh(id: i32, mode: Mode) -> Shipped {
        let restored = Restored {
            fold: Fold::new(Homes::first(PARTITIONS)),
            ..Restored::default()
        };
        Shipped::starting(id, mode, restored)
    }

    /// A checkpoint is committed.
    pub fn committed(&mut self, section: &Section, written: Written) {
        self.partition.committed(section, written);
    }

    /// Goes on from a restored state.
    pub fn starting(id: i32, mode: Mode, restored: Restored) -> Shipped {
        let service = Service {
            mode,
            group: "group".to_owned(),
            instance: "instance".to_owned(),
            reply_partitions: REPLY_PARTITIONS,
            routing: Routing {
                names: Names::default(),
                allow: AllowList::new(
                    vec!["*.reply".to_owned(), "re*".to_owned()],
                    vec!["requests".to_owned()],
                ),
                default_topic: DEFAULT_TOPIC.to_owned(),
            },
            rewrite_floor_records: 1_000_000,
        };
        let start = Start {
            restored,
            next: NextOffset::ZERO,
            answered: None,
            link_key: LINK_KEY,
            decides: false,
            topic_partitions: PARTITIONS,
            topic_id: TopicId([7; 16]),
            last_applied: None,
            state_end: 0,
            rewrite_from: None,
        };
        Shipped {
            id,
            partition: Partition::new(id, 1, start, &service),
            service,
        }
    }
}

impl Node for Shipped {
    fn record(&mut self, offset: i64, record: &input::Record) -> Outcome {
        let headers = record.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_slice(), value.as_deref()));
        let names = &self.service.routing.names;
        let record = Record {
            partition: self.id,
            leader_epoch: 0,
            offset: Offset(offset),
            timestamp: Timestamp(offset),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &Headers::collect(names, headers),
        };
        match self.partition.record(record, &self.service) {
            None | Some(Output::Several) => Outcome::Nothing,
            Some(Output::Reply(reply)) => Outcome::Reply(Reply::of(reply.outgoing)),
            Some(Output::Forward(Forward {
                key,
                value,
                headers,
                ..
            })) => Outcome::Forward(input::Record {
                key: key.map(<[u8]>::to_vec),
                value: value.map(<[u8]>::to_vec),
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.to_vec())))
                    .collect(),
            }),
        }
    }

    fn cut(&mut self) -> Section {
        self.partition.cut(BATCH, &self.service)
    }

    fn is_broken(&self) -> bool {
        self.partition.broken().is_some()
    }
}

/// The replies that a section carries, in `exactly_once` mode.
pub fn held(section: &Section) -> Vec<Reply> {
    section.replies.iter().map(Reply::of).collect()
}
