//! Ends the open transaction of an instance that is gone.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer};

use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::Error;

/// How long the end of the transaction may take. The transaction ends by its own time-out not much later.
const DEADLINE: Duration = Duration::from_secs(5);

/// Becomes the producer of that instance: the init ends the transaction that the instance left open. `of`:
/// the connection with the name of that instance.
///
/// # Errors
/// No answer in time, or no permission.
pub(super) fn end_transaction(of: &Connection) -> Result<(), Error> {
    const OPERATION: &str = "end the transaction of a peer";
    let producer: BaseProducer<Context> = of
        .transactional_producer()
        .create_with_context(Context)
        .map_err(|error| Error::from_kafka(OPERATION, &error))?;
    producer
        .init_transactions(DEADLINE)
        .map_err(|error| Error::from_client(OPERATION, &error, producer.client()))
}
