//! One transactional producer: the calls, each with a deadline.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Topics;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::{self, Class, Error};
use crate::kafka::produce::{Enqueued, Report, Reports, Topic};
use crate::processor::checkpoint::{Checkpoint, Destination, Section, Written, metadata};
use crate::wire::state::BATCH_HEADER;

/// Step of a wait for delivery reports. rust-rdkafka's own flush polls 100 ms at a time, also when
/// everything is delivered: a transaction went from 100 ms to 4 ms without it.
const REPORT_POLL: Duration = Duration::from_millis(1);

/// Opaque of a reply; a state record's is its section's index plus one.
const REPLY: usize = 0;

#[derive(Default)]
struct Progress {
    failed: Option<Error>,
    written: Vec<Option<Written>>,
}

impl Progress {
    fn add(&mut self, report: Report<'_>) {
        match report.result {
            Err(error) => {
                self.failed.get_or_insert(error);
            }
            Ok(_) if report.opaque == REPLY => {}
            Ok(offset) => {
                if let Some(written) = self.written.get_mut(report.opaque - 1) {
                    let (first, last) = written.map_or((offset, offset), |w| {
                        (w.first.min(offset), w.last.max(offset))
                    });
                    *written = Some(Written { first, last });
                }
            }
        }
    }
}

/// A producer whose `init_transactions` has been done.
pub(super) struct TransactionalProducer {
    // These must go before the producer.
    state: Option<Topic>,
    replies: Option<Topic>,
    reports: Option<Reports>,
    producer: BaseProducer<Context>,
    progress: RefCell<Progress>,
    topics: Topics,
}

impl TransactionalProducer {
    /// Fences every earlier producer of this instance and settles what it left.
    pub(super) fn new(
        connection: &Connection,
        topics: &Topics,
        deadline: Duration,
    ) -> Result<TransactionalProducer, Error> {
        let producer: BaseProducer<Context> = connection
            .transactional_producer()
            .create_with_context(Context)
            .map_err(|error| Error::from_kafka("create transactional producer", &error))?;
        producer.init_transactions(deadline).map_err(|error| {
            Error::from_client("init transactions", &error, producer.client()).about(&format!(
                "transactional.id {}",
                connection.transactional_id()
            ))
        })?;
        Ok(TransactionalProducer {
            state: Some(Topic::new(&producer, &topics.state)?),
            replies: Some(Topic::new(&producer, &topics.replies)?),
            reports: Reports::of(&producer),
            producer,
            progress: RefCell::default(),
            topics: topics.clone(),
        })
    }

    pub(super) fn begin(&self) -> Result<(), Error> {
        self.producer
            .begin_transaction()
            .map_err(|error| self.error("begin transaction", &error))
    }

    /// Produces everything and waits until all of it is acknowledged (T1). Returns where the
    /// sections lie.
    pub(super) fn produce(
        &self,
        checkpoint: &Checkpoint,
        timeout: Duration,
        cancelled: impl Fn() -> bool,
    ) -> Result<Vec<Written>, Error> {
        let deadline = Instant::now() + timeout;
        *self.progress.borrow_mut() = Progress {
            failed: None,
            written: vec![None; checkpoint.sections.len()],
        };
        for section in &checkpoint.sections {
            for (destination, key, body) in section.replies.iter() {
                let Destination::Default { partition } = destination;
                let replies = self.replies.as_ref();
                self.enqueue(replies, partition, key, Some(body), REPLY, deadline)?;
            }
        }
        for (index, section) in checkpoint.sections.iter().enumerate() {
            self.produce_batch(section, index + 1, deadline)?;
        }
        while self.producer.in_flight_count() > 0 {
            self.poll();
            if cancelled() || Instant::now() >= deadline {
                let message = "not every record was acknowledged in time";
                return Err(Error::own(
                    "produce in transaction",
                    Class::AbortTransaction,
                    message,
                ));
            }
        }
        let mut progress = self.progress.borrow_mut();
        if let Some(error) = progress.failed.take() {
            return Err(error);
        }
        let written = std::mem::take(&mut progress.written);
        written
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                let message = "a batch was not acknowledged";
                Error::own("produce in transaction", Class::AbortTransaction, message)
            })
    }

    fn produce_batch(
        &self,
        section: &Section,
        opaque: usize,
        deadline: Instant,
    ) -> Result<(), Error> {
        let state = self.state.as_ref();
        for (key, value) in section.batch.iter() {
            if value.is_some() {
                self.enqueue(state, section.partition, Some(key), value, opaque, deadline)?;
                continue;
            }
            let batch = section.batch_id.to_header();
            self.until_enqueued(deadline, || {
                let headers = OwnedHeaders::new_with_capacity(1).insert(Header {
                    key: BATCH_HEADER,
                    value: Some(&batch),
                });
                let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topics.state)
                    .partition(section.partition)
                    .key(key)
                    .headers(headers);
                match self.producer.send(record) {
                    Ok(()) => Ok(Enqueued::Yes),
                    Err((error, _)) if error::is_queue_full(&error) => Ok(Enqueued::QueueFull),
                    Err((error, _)) => Err(self.error("produce in transaction", &error)),
                }
            })?;
        }
        Ok(())
    }

    fn enqueue(
        &self,
        topic: Option<&Topic>,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        opaque: usize,
        deadline: Instant,
    ) -> Result<(), Error> {
        self.until_enqueued(deadline, || match topic {
            Some(topic) => topic.produce(partition, key, value, opaque),
            None => Ok(Enqueued::Yes),
        })
    }

    fn until_enqueued(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut() -> Result<Enqueued, Error>,
    ) -> Result<(), Error> {
        while attempt()? == Enqueued::QueueFull {
            self.poll();
            if Instant::now() >= deadline {
                let message = "the producer's queue stayed full";
                return Err(Error::own(
                    "produce in transaction",
                    Class::AbortTransaction,
                    message,
                ));
            }
        }
        Ok(())
    }

    pub(super) fn send_offsets(
        &self,
        checkpoint: &Checkpoint,
        member: &ConsumerGroupMetadata,
        timeout: Duration,
    ) -> Result<(), Error> {
        let mut offsets = TopicPartitionList::with_capacity(checkpoint.sections.len());
        for section in &checkpoint.sections {
            let mut element = offsets.add_partition(&self.topics.requests, section.partition);
            element.set_metadata(metadata(section.rewrite_from));
            element
                .set_offset(Offset::Offset(section.next.0))
                .map_err(|error| self.error("send offsets", &error))?;
        }
        self.producer
            .send_offsets_to_transaction(&offsets, member, timeout)
            .map_err(|error| self.error("send offsets to transaction", &error))
    }

    /// Everything is acknowledged, so rust-rdkafka's flush before it returns at once.
    pub(super) fn commit(&self, timeout: Duration) -> Result<(), Error> {
        self.producer
            .commit_transaction(timeout)
            .map_err(|error| Error::from_commit(&error, self.producer.client()))
    }

    /// What is still queued or in flight is purged first: librdkafka's abort waits for its reports,
    /// which nobody would serve meanwhile.
    pub(super) fn abort(&self, timeout: Duration) -> Result<(), Error> {
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.poll();
        }
        self.producer
            .abort_transaction(timeout)
            .map_err(|error| self.error("abort transaction", &error))
    }

    fn poll(&self) {
        if let Some(reports) = &self.reports {
            let mut progress = self.progress.borrow_mut();
            reports.serve(REPORT_POLL, |report| progress.add(report));
        }
    }

    fn error(&self, operation: &'static str, error: &KafkaError) -> Error {
        Error::from_client(operation, error, self.producer.client())
    }
}

impl Drop for TransactionalProducer {
    fn drop(&mut self) {
        drop(self.state.take());
        drop(self.replies.take());
        drop(self.reports.take());
    }
}
