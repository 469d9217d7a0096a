//! Requests in an open transaction: they are in the log, and not visible yet.

use std::time::Duration;

use rdkafka::producer::Producer as _;
use sequencer::kafka::clients::Connection;
use sequencer::kafka::error::Error;
use sequencer::kafka::produce::Producer;
use sequencer::kafka::tools::measure::backlog;
use sequencer::kafka::tools::measure::shape::Shape;

/// The longest time for a begin or a commit.
const TRANSACTION_CALL: Duration = Duration::from_secs(30);
/// The longest time that a transaction may be open before its records become visible. It is the longest that
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

    /// Commits, which makes the requests visible.
    pub fn release(self) -> Result<(), Error> {
        let base = self.0.base();
        base.commit_transaction(TRANSACTION_CALL)
            .map_err(|error| Error::from_commit(&error, base.client()))
    }
}
