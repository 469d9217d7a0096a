//! Writes one batch of state records in one transaction, outside any group. The transaction commits no offsets:
//! the footer has the authoritative next offset.

use std::time::{Duration, Instant};

use rdkafka::producer::{Producer as _, PurgeConfig};

use crate::kafka::admin::Admin;
use crate::kafka::clients::{Connection, with_batches};
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{BatchSize, Outgoing, Producer, Report, Topic};
use crate::processor::checkpoint::Batch;
use crate::wire::headers::Block;

/// `transaction.timeout.ms`. A repair writes the whole state, which may be large. If a repair is killed and
/// leaves a transaction open, its one partition waits for this long.
const TRANSACTION_TIMEOUT_MS: u64 = 60_000;
/// The longest time for a repair.
const DEADLINE: Duration = Duration::from_secs(55);
/// The longest time for ending a failed transaction.
const ABORT_DEADLINE: Duration = Duration::from_secs(10);
/// The longest time for the question about the topic.
const QUESTION_DEADLINE: Duration = Duration::from_secs(2);

/// Writes the state of one partition. While it exists, no earlier writer can write.
pub struct Writer {
    connection: Connection,
    topic: Topic,
    partition: i32,
    id: String,
}

impl Writer {
    /// Fences an earlier repair of the partition, and settles the transaction that it left open.
    ///
    /// # Errors
    /// The transaction coordinator cannot be reached, or refuses.
    pub fn open(connection: &Connection, topic: &str, partition: i32) -> Result<Writer, Error> {
        let id = connection.repair_id(partition);
        let connection = connection_of_repair(connection, partition);
        Ok(Writer {
            topic: open(&connection, topic, &id)?,
            connection,
            partition,
            id,
        })
    }

    /// Writes the batch. A commit with an unknown result is settled and counts as written: the caller reads the
    /// state afterwards and finds out.
    ///
    /// # Errors
    /// The batch was not written.
    pub fn write(self, batch: &Batch) -> Result<(), Error> {
        let Writer {
            connection,
            topic,
            partition,
            id,
        } = self;
        let deadline = Instant::now() + DEADLINE;
        let base = topic.producer().base();
        base.begin_transaction()
            .map_err(|error| Error::from_client("begin transaction", &error, base.client()))?;
        if let Err(error) = produce(&topic, partition, batch, deadline) {
            abort(topic.producer());
            return Err(error);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match base.commit_transaction(left) {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = Error::from_commit(&error, base.client());
                if error.class != Class::Indefinite {
                    return Err(error);
                }
                // T5: the init of a new producer settles the old producer's transaction.
                self::open(&connection, topic.name(), &id).map(drop)
            }
        }
    }
}

/// Ends the transaction now instead of by its time-out. If the abort fails, the time-out ends it. Queued
/// records are purged first: librdkafka's abort waits for their reports, which no code would serve meanwhile.
fn abort(producer: &Producer) {
    let all = PurgeConfig::default().queue().inflight();
    producer.base().purge(all);
    producer.serve_all(Instant::now() + ABORT_DEADLINE, |_| {});
    let _ = producer.base().abort_transaction(ABORT_DEADLINE);
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

/// A producer's topic. Batches are filled up to the topic's limit.
fn open(connection: &Connection, topic: &str, id: &str) -> Result<Topic, Error> {
    let access = Admin::new(&connection.admin())?.topic_access(topic, QUESTION_DEADLINE);
    let mut size = BatchSize::new(connection, topic);
    // Without an answer, the producer tries to write.
    size.know(access.ok().flatten());
    let mut config = with_batches(connection.transactional_producer(), size.batch_bytes());
    config.set("transactional.id", id);
    let producer = Producer::new(&config)?;
    let base = producer.base();
    base.init_transactions(DEADLINE).map_err(|error| {
        Error::from_client("init transactions", &error, base.client())
            .about(&format!("transactional.id {id}"))
    })?;
    producer.topic(topic)
}

fn produce(topic: &Topic, partition: i32, batch: &Batch, deadline: Instant) -> Result<(), Error> {
    const OPERATION: &str = "produce in transaction";
    let late = || {
        let message = "not every record was acknowledged in time";
        Error::own(OPERATION, Class::AbortTransaction, message)
    };
    let mut failed = None;
    let mut on = |report: Report<'_>| {
        if let Err(error) = report.result {
            failed.get_or_insert(error);
        }
    };
    for (key, value) in batch.iter() {
        let record = Outgoing {
            partition,
            key: Some(key),
            value,
            headers: Block::EMPTY,
            opaque: 0,
        };
        if !topic.produce_until(deadline, record, &mut on)? {
            return Err(late());
        }
    }
    if !topic.producer().serve_all(deadline, &mut on) {
        return Err(late());
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kafka::oauth::Tokens;

    #[test]
    fn a_repair_fences_no_instance() {
        let instance = Connection {
            brokers: "a:1".to_owned(),
            properties: BTreeMap::new(),
            group: "g".to_owned(),
            instance_id: "host".to_owned(),
            awaited_transactions: true,
            tokens: Tokens::default(),
        };
        let repair = connection_of_repair(&instance, 3);
        assert_ne!(instance.repair_id(3), instance.transactional_id());
        assert_eq!(repair.transaction_timeout_ms(), TRANSACTION_TIMEOUT_MS);
    }
}
