//! A producer with its delivery reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer as _};

use super::reports::{Report, Reports};
use super::topic::Topic;
use crate::kafka::client::{Authenticated, Config};
use crate::kafka::context::Context;
use crate::kafka::error::Error;

/// The longest wait for one event of reports before a deadline is looked at.
pub(super) const REPORT_POLL: Duration = Duration::from_millis(1);
/// Most events of reports served in one go. It bounds the time away from other work.
const REPORTS_MAX: usize = 64;

/// A producer and the queue of its reports. Clones share both, and so do its topics. The last of them ends the
/// producer, so nothing outlives it.
#[derive(Clone)]
pub struct Producer(Arc<Client>);

struct Client {
    // Dropped in this order: librdkafka wants the queue to be given back before the client.
    reports: Reports,
    base: Authenticated<BaseProducer<Context>>,
}

impl Producer {
    /// Creates a producer.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub fn new(config: &Config) -> Result<Producer, Error> {
        let base: Authenticated<BaseProducer<Context>> =
            config.create("create producer", Context)?;
        let reports = Reports::of(&base)?;
        Ok(Producer(Arc::new(Client { reports, base })))
    }

    /// The producer of rust-rdkafka, for its transactions.
    pub fn base(&self) -> &BaseProducer<Context> {
        &self.0.base
    }

    /// Opens a topic.
    ///
    /// # Errors
    /// The name is not valid for a topic.
    pub fn topic(&self, name: &str) -> Result<Topic, Error> {
        Topic::new(self.clone(), name)
    }

    /// Looks up the number of partitions of a topic now. From then on this producer can write to them. Waits
    /// for a broker up to `wait`.
    ///
    /// # Errors
    /// No broker has answered in time.
    pub fn partitions(&self, topic: &str, wait: Duration) -> Result<u32, Error> {
        let metadata = self.base().client().fetch_metadata(Some(topic), wait);
        let metadata = metadata.map_err(|error| Error::from_kafka("look at a topic", &error))?;
        let topic = metadata.topics().first();
        let count = topic.map_or(0, |topic| topic.partitions().len());
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Serves one event of reports. Waits for it up to `wait`. False when there was none.
    pub fn serve(&self, wait: Duration, on: impl FnMut(Report<'_>)) -> bool {
        self.0.reports.serve(wait, on)
    }

    /// Serves the available events, up to the limit of one go. Waits for the first one up to `wait`.
    pub fn serve_ready(&self, wait: Duration, mut on: impl FnMut(Report<'_>)) {
        let mut wait = wait;
        for _ in 0..REPORTS_MAX {
            if !self.serve(wait, &mut on) {
                break;
            }
            wait = Duration::ZERO;
        }
    }

    /// Serves reports until no record is queued or in flight. False when some still are at the deadline.
    pub fn serve_all(&self, deadline: Instant, mut on: impl FnMut(Report<'_>)) -> bool {
        while self.in_flight() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            self.serve(REPORT_POLL, &mut on);
        }
        true
    }

    /// Number of records queued and in flight.
    pub fn in_flight(&self) -> i32 {
        self.base().in_flight_count()
    }

    /// The fatal error that the producer has had, if any.
    pub fn fatal(&self, operation: &'static str) -> Option<Error> {
        Error::fatal_of(operation, self.base().client())
    }
}
