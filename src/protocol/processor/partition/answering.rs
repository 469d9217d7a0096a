//! Writes the messages that a partition gives out, and counts them.

use std::ops::Range;

use super::{Counts, Record, Service};
use crate::core::fold::Answer;
use crate::core::limits::NAME_BYTES_MAX;
use crate::core::partitioner::hash_of;
use crate::processor::checkpoint::{Choice, Destination, Outgoing};
use crate::wire::headers::{self, Block, Headers, Names, block};
use crate::wire::reply::{self, Subject};
use crate::wire::route::{Cause, Route, Undelivered};

/// The buffers from which messages are borrowed.
#[derive(Debug, Default)]
pub(super) struct Answering {
    body: Vec<u8>,
    headers: Vec<u8>,
    pub(super) counts: Counts,
}

impl Answering {
    /// Writes the reply to a record of this partition.
    #[inline]
    pub(super) fn reply<'a>(
        &'a mut self,
        partition: u32,
        record: &Record<'a>,
        subject: Subject<'_>,
        answer: &Answer,
        service: &'a Service,
    ) -> Outgoing<'a> {
        self.body.clear();
        let error = reply::encode(&mut self.body, subject, answer);
        let key = record.key.filter(|key| key.len() <= NAME_BYTES_MAX);
        // Without a key, the partition of a reply follows the request's partition.
        let hash = key.map_or(partition, hash_of);
        Outgoing {
            destination: self.destination(record.headers, hash, error, service),
            key,
            body: &self.body,
            headers: Block(&self.headers),
        }
    }

    /// Routes the reply: returns its destination and writes its headers.
    fn destination<'a>(
        &mut self,
        headers: &Headers<'a>,
        hash: u32,
        error: Option<Range<usize>>,
        service: &'a Service,
    ) -> Destination<'a> {
        let Service {
            routing,
            reply_partitions,
            ..
        } = service;
        let by_name = i32::try_from(hash % (*reply_partitions).max(1)).unwrap_or(0);
        let mut route = routing.route(headers);
        let destination = default_or_named(&mut route, hash, by_name, *reply_partitions);
        self.headers.clear();
        let error = error.and_then(|range| self.body.get(range));
        route.push_headers(&routing.names, error, &mut self.headers);
        self.counts.count_undelivered(&route);
        destination
    }

    /// Writes the headers of a stray: its link, and the request's headers that this service reads.
    pub(super) fn forward(
        &mut self,
        link: &str,
        headers: &Headers<'_>,
        names: &Names,
    ) -> Block<'_> {
        self.headers.clear();
        block::push(&mut self.headers, headers::FORWARDED, link.as_bytes());
        headers.forward(names, &mut self.headers);
        Block(&self.headers)
    }
}

/// `hash` is the Java client's hash of the key. A reply to a partition that the default topic lacks is
/// undeliverable. For a named topic, only the code that writes to it can tell.
fn default_or_named<'a>(
    route: &mut Route<'a>,
    hash: u32,
    by_name: i32,
    reply_partitions: u32,
) -> Destination<'a> {
    if let Some(topic) = route.topic {
        return Destination::Named {
            topic,
            partition: route.partition.map_or(Choice::Hash(hash), Choice::Exact),
            fallback: by_name,
        };
    }
    let Some(partition) = route.partition else {
        return Destination::Default { partition: by_name };
    };
    if u32::try_from(partition).is_ok_and(|partition| partition < reply_partitions) {
        return Destination::Default { partition };
    }
    route.undelivered = Some(Undelivered::new(
        Cause::PartitionUnknown,
        format!("the default reply topic has {reply_partitions} partitions, asked for {partition}"),
    ));
    Destination::Default { partition: by_name }
}
