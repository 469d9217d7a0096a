//! One idempotent producer with its delivery reports.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

use crate::kafka::context::Context;
use crate::kafka::error::Error;
use crate::kafka::produce::{Report, Reports, Topic};

/// Most events of reports served in one go. It bounds the time away from other work.
const REPORTS_MAX: usize = 64;

/// A producer and its reports. Topics created for it must be dropped before it.
pub(in crate::kafka) struct Lane {
    // Must be dropped before the producer.
    reports: Option<Reports>,
    producer: BaseProducer<Context>,
}

impl Lane {
    pub(in crate::kafka) fn new(config: &ClientConfig) -> Result<Lane, Error> {
        let producer: BaseProducer<Context> = config
            .create_with_context(Context)
            .map_err(|error| Error::from_kafka("create producer", &error))?;
        Ok(Lane {
            reports: Reports::of(&producer),
            producer,
        })
    }

    /// Creates a topic handle of this producer.
    pub(in crate::kafka) fn topic(&self, name: &str) -> Result<Topic, Error> {
        Topic::new(&self.producer, name)
    }

    /// Looks up the number of partitions of a topic now. From then on this producer can write to them. Waits
    /// for a broker up to `wait`.
    pub(in crate::kafka) fn partitions(&self, topic: &str, wait: Duration) -> Result<u32, Error> {
        let metadata = self.producer.client().fetch_metadata(Some(topic), wait);
        let metadata = metadata.map_err(|error| Error::from_kafka("look at a topic", &error))?;
        let topic = metadata.topics().first();
        let count = topic.map_or(0, |topic| topic.partitions().len());
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Serves one event of reports. Waits for it up to `wait`. False when there was none.
    pub(in crate::kafka) fn serve(&self, wait: Duration, on: impl FnMut(Report<'_>)) -> bool {
        let served = |reports: &Reports| reports.serve(wait, on);
        self.reports.as_ref().is_some_and(served)
    }

    /// Serves the available events, up to the limit of one go. Waits for the first one up to `wait`.
    pub(in crate::kafka) fn serve_ready(&self, wait: Duration, mut on: impl FnMut(Report<'_>)) {
        let mut wait = wait;
        for _ in 0..REPORTS_MAX {
            if !self.serve(wait, &mut on) {
                break;
            }
            wait = Duration::ZERO;
        }
    }

    /// Number of records queued and in flight.
    pub(in crate::kafka) fn in_flight(&self) -> i32 {
        self.producer.in_flight_count()
    }

    /// The fatal error that the producer has had, if any.
    pub(in crate::kafka) fn fatal(&self, operation: &'static str) -> Option<Error> {
        Error::fatal_of(operation, self.producer.client())
    }
}
