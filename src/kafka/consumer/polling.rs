//! What a poll learns of the partitions that are fetched.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Event;
use super::close::Membership;
use super::fetching::Fetched;
use super::quiet::Quiet;
use super::records::{Records, Source, Taken};
use crate::kafka::error::{Class, Error};

/// The state that records and errors change. It is apart from the queues, which are borrowed while their
/// records are taken.
#[derive(Default)]
pub(super) struct Polling {
    /// Partitions that librdkafka has been told to fetch.
    pub(super) fetched: BTreeMap<i32, Fetched>,
    /// Partitions that are fetched, and of which no record has come yet.
    pub(super) silent: BTreeMap<i32, Source>,
    /// The partition of the record that was polled last, and the offset of its next record.
    polled: Option<(i32, i64)>,
    quiet: Quiet,
    brokers: String,
}

impl Polling {
    pub(super) fn new(brokers: String) -> Polling {
        Polling {
            brokers,
            ..Polling::default()
        }
    }

    pub(super) fn taken(
        &mut self,
        taken: Taken<'_>,
        consumer: Option<&BaseConsumer<Membership>>,
        on: &mut impl FnMut(Event<'_>),
    ) {
        let (partition, next) = match &taken {
            Taken::Record(record) => (record.partition, Some(record.offset + 1)),
            Taken::End { partition, next } => (*partition, Some(*next)),
            Taken::Failed { partition, .. } => (*partition, None),
        };
        if let Some(next) = next {
            if self.polled.is_some_and(|(last, _)| last != partition) {
                self.note_position();
            }
            self.polled = Some((partition, next));
        }
        if !self.silent.is_empty() {
            self.silent.remove(&partition);
        }
        match taken {
            Taken::Record(record) => on(Event::Record(record)),
            Taken::End { partition, next } => on(Event::EndOfPartition { partition, next }),
            Taken::Failed {
                partition,
                offset,
                error,
            } => self.error(Some((partition, offset)), error, consumer, on),
        }
    }

    /// Stores the position of the partition that was polled last.
    pub(super) fn note_position(&mut self) {
        if let Some((partition, next)) = self.polled.take()
            && let Some(fetched) = self.fetched.get_mut(&partition)
        {
            fetched.from = next;
        }
    }

    /// True when there was something to divert.
    pub(super) fn divert(&self, records: &Records) -> bool {
        self.silent
            .values()
            .for_each(|source| records.divert(source));
        !self.silent.is_empty()
    }

    pub(super) fn error(
        &mut self,
        at: Option<(i32, i64)>,
        error: Error,
        consumer: Option<&BaseConsumer<Membership>>,
        on: &mut impl FnMut(Event<'_>),
    ) {
        let error = error.with_brokers(&self.brokers);
        match (error.class, at) {
            (Class::OffsetLost, Some((partition, _))) => {
                if let Some(fetched) = self.fetched.get_mut(&partition) {
                    fetched.offset_lost = true;
                }
            }
            (Class::Fatal | Class::Fenced, _) => {}
            (_, None) if !self.quiet.tells(&error) => return,
            _ => {}
        }
        // The event may only say that the client had a fatal error before.
        let fatal = match (error.class, consumer) {
            (Class::Fatal, Some(consumer)) => Error::fatal_of("consume", consumer.client()),
            _ => None,
        };
        let error = fatal.unwrap_or(error);
        on(Event::Error { at, error });
    }
}
