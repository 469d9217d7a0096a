//! Requests in an open transaction: in the log, and not yet to be seen.

use std::time::Duration;

use rdkafka::producer::Producer as _;
use sequencer::kafka::clients::Connection;
use sequencer::kafka::error::Error;
use sequencer::kafka::produce::Producer;
use sequencer::kafka::tools::measure::backlog;
use sequencer::kafka::tools::measure::shape::Shape;

/// How long a begin or a commit may take.
const TRANSACTION_CALL: Duration = Duration::from_secs(30);
/// How long a transaction may be held open before its records become visible: the longest that
/// brokers allow by default.
const HOLD_MAX_MS: &str = "900000";

/// Requests that appear all at once.
pub struct Held(Producer);

impl Held {
    /// Writes the requests of these numbers.
    pub fn write(
        connection: &Connection,
        topic: &str,
        shape: Shape,
        numbers: std::ops::Range<u64>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Held, Error> {
        let mut config = backlog::config(connection);
        config
            .set("transactional.id", topic)
            .set("transaction.timeout.ms", HOLD_MAX_MS);
        let producer = Producer::new(&config)?;
        let base = producer.base();
        base.init_transactions(TRANSACTION_CALL)
            .and_then(|()| base.begin_transaction())
            .map_err(|error| Error::from_kafka("begin transaction", &error))?;
        backlog::produce(&producer, topic, shape, numbers, stop)?;
        Ok(Held(producer))
    }

    /// Makes them visible.
    pub fn release(self) -> Result<(), Error> {
        let base = self.0.base();
        base.commit_transaction(TRANSACTION_CALL)
            .map_err(|error| Error::from_commit(&error, base.client()))
    }
}
