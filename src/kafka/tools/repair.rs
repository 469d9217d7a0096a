//! Writes one batch of state records in one transaction, outside any group: no offsets go with it,
//! the footer is the truth.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext, PurgeConfig};

use crate::kafka::admin::Admin;
use crate::kafka::clients::{Connection, with_batches};
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{BatchSize, Enqueued, Outgoing, Topic};
use crate::processor::checkpoint::Batch;
use crate::wire::headers::Block;

/// `transaction.timeout.ms`: a repair writes the whole state, which may be large. Left open by a
/// repair that is killed, it keeps the one partition waiting for this long.
const TRANSACTION_TIMEOUT_MS: u64 = 60_000;
/// How long a repair may take in all.
const DEADLINE: Duration = Duration::from_secs(55);
/// How long ending a transaction that failed may take.
const ABORT_DEADLINE: Duration = Duration::from_secs(10);
/// How long the question about the topic may take.
const QUESTION_DEADLINE: Duration = Duration::from_secs(2);
/// Step of a wait for delivery reports.
const REPORT_POLL: Duration = Duration::from_millis(1);

/// Writes the state of one partition. While it is there, no earlier one can write.
pub struct Writer {
    connection: Connection,
    producer: BaseProducer<Failures>,
    topic: String,
    partition: i32,
    id: String,
}

impl Writer {
    /// Fences an earlier repair of the partition, and settles what that left open.
    ///
    /// # Errors
    /// The transaction coordinator cannot be reached, or refuses.
    pub fn open(connection: &Connection, topic: &str, partition: i32) -> Result<Writer, Error> {
        let id = connection.repair_id(partition);
        let connection = connection_of_repair(connection, partition);
        let producer = producer(&connection, topic, &id)?;
        Ok(Writer {
            connection,
            producer,
            topic: topic.to_owned(),
            partition,
            id,
        })
    }

    /// Writes it. A commit whose end is not known is settled and counts as written: the caller reads
    /// the state afterwards, and sees.
    ///
    /// # Errors
    /// It was not written.
    pub fn write(self, batch: &Batch) -> Result<(), Error> {
        let Writer {
            connection,
            producer,
            topic,
            partition,
            id,
        } = self;
        let deadline = Instant::now() + DEADLINE;
        producer
            .begin_transaction()
            .map_err(|error| Error::from_client("begin transaction", &error, producer.client()))?;
        if let Err(error) = produce(&producer, &topic, partition, batch, deadline) {
            abort(&producer);
            return Err(error);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match producer.commit_transaction(left) {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = Error::from_commit(&error, producer.client());
                if error.class != Class::Indefinite {
                    return Err(error);
                }
                // T5: the init of a new producer settles what the old one left.
                self::producer(&connection, &topic, &id).map(drop)
            }
        }
    }
}

/// Ends the transaction now and not by its time-out; if that fails, the time-out it is. What is
/// still queued is purged first: librdkafka's abort waits for its reports, which nobody would
/// serve meanwhile.
fn abort(producer: &BaseProducer<Failures>) {
    producer.purge(PurgeConfig::default().queue().inflight());
    let deadline = Instant::now() + ABORT_DEADLINE;
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        producer.poll(REPORT_POLL);
    }
    let _ = producer.abort_transaction(ABORT_DEADLINE);
}

fn connection_of_repair(connection: &Connection, partition: i32) -> Connection {
    let mut connection = Connection {
        instance_id: format!("recover-{partition}"),
        ..connection.clone()
    };
    connection.properties.insert(
        "transaction.timeout.ms".to_owned(),
        TRANSACTION_TIMEOUT_MS.to_string(),
    );
    connection
}

/// One that fills its batches up to what the topic takes.
fn producer(
    connection: &Connection,
    topic: &str,
    id: &str,
) -> Result<BaseProducer<Failures>, Error> {
    let access = Admin::new(&connection.admin())?.topic_access(topic, QUESTION_DEADLINE);
    let mut size = BatchSize::new(connection, topic);
    // Without an answer it is tried.
    size.know(access.ok().flatten());
    let mut config = with_batches(connection.transactional_producer(), size.batch_bytes());
    config.set("transactional.id", id);
    let producer: BaseProducer<Failures> = config
        .create_with_context(Failures::default())
        .map_err(|error| Error::from_kafka("create transactional producer", &error))?;
    producer.init_transactions(DEADLINE).map_err(|error| {
        Error::from_client("init transactions", &error, producer.client())
            .about(&format!("transactional.id {id}"))
    })?;
    Ok(producer)
}

fn produce(
    producer: &BaseProducer<Failures>,
    topic: &str,
    partition: i32,
    batch: &Batch,
    deadline: Instant,
) -> Result<(), Error> {
    const OPERATION: &str = "produce in transaction";
    let late = || {
        let message = "not every record was acknowledged in time";
        Error::own(OPERATION, Class::AbortTransaction, message)
    };
    let topic = Topic::new(producer, topic)?;
    for (key, value) in batch.iter() {
        let record = Outgoing {
            partition,
            key: Some(key),
            value,
            headers: Block::EMPTY,
            opaque: 0,
        };
        while topic.produce(record)? == Enqueued::QueueFull {
            producer.poll(REPORT_POLL);
            if Instant::now() >= deadline {
                return Err(late());
            }
        }
    }
    while producer.in_flight_count() > 0 {
        producer.poll(REPORT_POLL);
        if Instant::now() >= deadline {
            return Err(late());
        }
    }
    producer.context().take().map_or(Ok(()), Err)
}

/// The first delivery that failed.
#[derive(Default)]
struct Failures(Mutex<Option<Error>>);

impl Failures {
    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Failures {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Context.error(error, reason);
    }
}

impl ProducerContext for Failures {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        if let Err((error, _)) = result {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| Error::from_kafka("produce in transaction", error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_repair_fences_no_instance() {
        let instance = Connection {
            brokers: "a:1".to_owned(),
            properties: BTreeMap::new(),
            group: "g".to_owned(),
            instance_id: "host".to_owned(),
            awaited_transactions: true,
        };
        let repair = connection_of_repair(&instance, 3);
        assert_ne!(instance.repair_id(3), instance.transactional_id());
        assert_eq!(repair.transaction_timeout_ms(), TRANSACTION_TIMEOUT_MS);
    }
}
