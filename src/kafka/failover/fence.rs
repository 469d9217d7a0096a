//! Ends the open transaction of an instance that is gone.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer};

use crate::kafka::client::Authenticated;
use crate::kafka::clients::Connection;
use crate::kafka::context::Context;
use crate::kafka::error::Error;

/// How long one attempt may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Becomes the producer of that instance: the init ends the transaction that the instance left open. `of`:
/// the connection with the name of that instance.
///
/// # Errors
/// No answer in time, or no permission.
pub(super) fn end_transaction(of: &Connection) -> Result<(), Error> {
    const OPERATION: &str = "end the transaction of a peer";
    let producer: Authenticated<BaseProducer<Context>> =
        of.transactional_producer().create(OPERATION, Context)?;
    producer
        .init_transactions(DEADLINE)
        .map_err(|error| Error::from_client(OPERATION, &error, producer.client()))
}
