//! Ends the open transaction of an instance that is gone.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer};

use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::Error;

const OPERATION: &str = "end the transaction of a peer";
/// How long one attempt may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// The first attempts are short, because librdkafka asks again only after 500 ms (`rd_kafka_idemp_request_pid_failed`).
/// A coordinator that is just writing a change of the transaction refuses the first question, and the transaction stays
/// open. A new producer asks at once.
const QUICK_DEADLINE: Duration = Duration::from_millis(100);
/// The number of short attempts: a second of them.
const QUICK_ATTEMPTS: u32 = 10;

/// A producer of the name of another instance, which has changed nothing yet.
pub(super) struct Fence(Authenticated<BaseProducer<Context>>);

impl Fence {
    /// Makes the producer, and has it learn the brokers. Without them, librdkafka looks for the coordinator only after
    /// 500 ms (`rd_kafka_txn_coord_query`), in which the new owner of a partition waits for the end of the transaction.
    /// `of`: the connection with the name of that instance.
    ///
    /// # Errors
    /// No answer in time.
    pub(super) fn prepare(of: &Connection, topic: &str) -> Result<Fence, Error> {
        let producer: Authenticated<BaseProducer<Context>> =
            of.transactional_producer().create(OPERATION, Context)?;
        producer
            .client()
            .fetch_metadata(Some(topic), DEADLINE)
            .map_err(|error| Error::from_client(OPERATION, &error, producer.client()))?;
        Ok(Fence(producer))
    }

    /// Becomes the producer of that instance: the init ends the transaction that the instance left open. `attempts`:
    /// those before this one.
    ///
    /// # Errors
    /// No answer in time, or no permission.
    pub(super) fn end_transaction(&self, attempts: u32) -> Result<(), Error> {
        let deadline = match attempts < QUICK_ATTEMPTS {
            true => QUICK_DEADLINE,
            false => DEADLINE,
        };
        self.0
            .init_transactions(deadline)
            .map_err(|error| Error::from_client(OPERATION, &error, self.0.client()))
    }
}
