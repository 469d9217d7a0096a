//! Writes requests to the log before the subject that answers them starts.

use std::time::{Duration, Instant};

use super::WRITER_QUEUE_RECORDS;
use super::shape::{Request, Shape};
use crate::kafka::client::Config;
use crate::kafka::clients::Connection;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Enqueued, Outgoing, Producer, Report};
use crate::wire::headers::Block;

/// Delivery reports are served after this many records.
const REPORTS_EVERY: u64 = 4_096;
const REPORT_POLL: Duration = Duration::from_millis(1);

/// Writes the requests of these numbers.
///
/// # Errors
/// A broker refuses one, or `stop` returns true ([`Class::Refused`]).
pub fn write(
    connection: &Connection,
    topic: &str,
    shape: Shape,
    numbers: std::ops::Range<u64>,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let producer = Producer::new(&config(connection))?;
    produce(&producer, topic, shape, numbers, stop)
}

/// The configuration of the producer that writes the requests.
pub fn config(connection: &Connection) -> Config {
    let mut config = connection.admin();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "20")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", WRITER_QUEUE_RECORDS);
    config
}

/// Writes the requests of these numbers with a producer that has no other user meanwhile.
///
/// # Errors
/// As [`write()`].
pub fn produce(
    producer: &Producer,
    topic: &str,
    shape: Shape,
    numbers: std::ops::Range<u64>,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    const OPERATION: &str = "write requests";
    let topic = producer.topic(topic)?;
    let mut refused = None;
    let mut serve = |wait| {
        let on = |report: Report<'_>| {
            if let Err(error) = report.result {
                refused = Some(error);
            }
        };
        let served = producer.serve(wait, on);
        refused.take().map_or(Ok(served), Err)
    };
    let stopped = || Error::own(OPERATION, Class::Refused, "stopped");
    let mut request = Request::default();
    let began = Instant::now();
    for number in numbers {
        shape.write(number, &mut request);
        let outgoing = Outgoing {
            partition: shape.partition(&request.key),
            key: Some(&request.key),
            value: Some(&request.value),
            headers: Block::EMPTY,
            opaque: 0,
        };
        while topic.produce(outgoing)? == Enqueued::QueueFull {
            serve(REPORT_POLL)?;
        }
        if number % REPORTS_EVERY == 0 {
            while serve(Duration::ZERO)? {}
            if stop() {
                return Err(stopped());
            }
        }
    }
    while producer.in_flight() > 0 {
        serve(REPORT_POLL)?;
        if stop() {
            return Err(stopped());
        }
    }
    tracing::debug!(elapsed_ms = began.elapsed().as_millis(), "backlog written");
    Ok(())
}
