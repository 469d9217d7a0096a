//! A client in an open loop. Requests go out when they are due, and do not wait for replies. Each latency is
//! counted from the moment when its request was due. So a stall affects every request that was due in it, and
//! not only the one that was in progress (no coordinated omission).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::shape::{Request, Shape};
use super::source::{Found, Source};
use super::{WRITER_QUEUE_RECORDS, isolation, reading};
use crate::kafka::client::Config;
use crate::kafka::clients::Connection;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{Enqueued, Outgoing, Producer, Report, Topic};
use crate::wire::headers::Block;

/// The longest wait of a fetch at the broker, in milliseconds. A record ends the wait.
const FETCH_WAIT_MS: &str = "250";
/// The longest wait for replies before other work is looked at.
const POLL: Duration = Duration::from_millis(10);
/// The longest wait for replies after the last request was sent.
const GRACE: Duration = Duration::from_secs(15);
/// The longest wait for the first replies of all partitions.
const WARM_MAX: Duration = Duration::from_secs(60);
/// The shortest sleep of the sender. Requests that are due meanwhile go out together.
const SLEEP_MIN: Duration = Duration::from_micros(50);
/// Requests in a second during the warm-up.
const WARM_REQUESTS: u64 = 200;

/// The topics of requests and replies.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The request topic.
    pub requests: &'a str,
    /// The reply topic, with as many partitions.
    pub replies: &'a str,
    /// True when only committed replies count.
    pub committed: bool,
}

/// A received reply.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The time at which its request was due, since the beginning of the run.
    pub due: Duration,
    /// The time from then until the reply.
    pub latency: Duration,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Requests sent.
    pub sent: u64,
    /// Requests without a reply within [`GRACE`].
    pub unanswered: u64,
}

/// The client.
pub struct Client {
    shape: Shape,
    source: Source,
    topic: Topic,
    /// The number of the next request.
    next: u64,
}

impl Client {
    /// Makes a client whose first request has the number `next`. Names of earlier requests have given IDs
    /// before, so their numbers go on.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses, or a topic that does not exist.
    pub fn new(
        connection: &Connection,
        route: Route<'_>,
        shape: Shape,
        next: u64,
    ) -> Result<Client, Error> {
        let reading = reading(connection, isolation(route.committed), FETCH_WAIT_MS);
        Ok(Client {
            shape,
            source: Source::new(&reading, route.replies, shape.partitions)?,
            topic: Producer::new(&sending(connection))?.topic(route.requests)?,
            next,
        })
    }

    /// The number of the next request.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Sends a few requests and waits for their replies, so that all connections are open.
    ///
    /// # Errors
    /// No replies, or as [`Client::run`].
    pub fn warm(&mut self, stop: &dyn Fn() -> bool) -> Result<(), Error> {
        let run = self.run_for(WARM_REQUESTS, WARM_REQUESTS, WARM_MAX, stop, |_| {})?;
        match run.unanswered {
            0 => Ok(()),
            unanswered => Err(Error::own(
                "warm up",
                Class::Retriable,
                format!(
                    "{unanswered} requests without a reply after {} s",
                    WARM_MAX.as_secs()
                ),
            )),
        }
    }

    /// Sends `rate` requests a second for this long and reports every reply.
    ///
    /// # Errors
    /// A request is not acknowledged, a client is no longer usable, or `stop` returns true.
    pub fn run(
        &mut self,
        rate: u64,
        length: Duration,
        stop: &dyn Fn() -> bool,
        on: impl FnMut(Answered),
    ) -> Result<Run, Error> {
        let requests = u128::from(rate) * length.as_millis() / 1000;
        let requests = u64::try_from(requests).unwrap_or(u64::MAX);
        self.run_for(rate, requests, GRACE, stop, on)
    }

    fn run_for(
        &mut self,
        rate: u64,
        requests: u64,
        grace: Duration,
        stop: &dyn Fn() -> bool,
        mut on: impl FnMut(Answered),
    ) -> Result<Run, Error> {
        let Client {
            shape,
            source,
            topic,
            next,
        } = self;
        let (shape, first) = (*shape, *next);
        *next += requests;
        let began = Instant::now();
        let due = |index: u64| Duration::from_nanos(nanos(index, rate));
        let halt = AtomicBool::new(false);
        let sender = Sender {
            shape,
            topic,
            halt: &halt,
        };
        let mut seen = vec![false; usize::try_from(requests).unwrap_or(0)];
        let mut left = requests;
        thread::scope(|scope| {
            let sending = scope.spawn(|| sender.send(first, requests, began, due));
            let mut sent_at = None;
            let received = loop {
                let mut receive = |found: Found<'_>| {
                    let at = began.elapsed();
                    let (Some(key), Some(value)) = (found.key, found.value) else {
                        return;
                    };
                    let index = shape
                        .number(key, value)
                        .and_then(|number| number.checked_sub(first));
                    let seen = index
                        .and_then(|index| usize::try_from(index).ok())
                        .and_then(|index| seen.get_mut(index));
                    if let (Some(index), Some(seen @ false)) = (index, seen) {
                        *seen = true;
                        left -= 1;
                        let due = due(index);
                        on(Answered {
                            due,
                            latency: at.saturating_sub(due),
                        });
                    }
                };
                match source.batch(&mut receive) {
                    Ok(0) => {
                        if let Err(error) = source.next(POLL, &mut receive) {
                            break Err(error);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
                if left == 0 {
                    break Ok(());
                }
                if stop() {
                    break Err(Error::own("send requests", Class::Refused, "stopped"));
                }
                if sending.is_finished() {
                    let since = *sent_at.get_or_insert_with(Instant::now);
                    if since.elapsed() > grace {
                        break Ok(());
                    }
                }
            };
            halt.store(true, Ordering::Relaxed);
            let sent = match sending.join() {
                Ok(sent) => sent,
                Err(_) => Err(Error::own(
                    "send requests",
                    Class::Fatal,
                    "a thread has died",
                )),
            };
            received.and(sent)
        })?;
        Ok(Run {
            sent: requests,
            unanswered: left,
        })
    }
}

/// The time at which the request of an index is due, in nanoseconds since the beginning.
fn nanos(index: u64, rate: u64) -> u64 {
    let nanos = u128::from(index) * 1_000_000_000 / u128::from(rate.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

struct Sender<'a> {
    shape: Shape,
    topic: &'a Topic,
    halt: &'a AtomicBool,
}

impl Sender<'_> {
    fn send(
        &self,
        first: u64,
        requests: u64,
        began: Instant,
        due: impl Fn(u64) -> Duration,
    ) -> Result<(), Error> {
        let mut request = Request::default();
        let mut index = 0;
        let halted = || self.halt.load(Ordering::Relaxed);
        while index < requests && !halted() {
            let now = began.elapsed();
            while index < requests && due(index) <= now {
                self.shape.write(first + index, &mut request);
                self.produce(&request)?;
                index += 1;
            }
            while self.serve(Duration::ZERO)? {}
            let wait = due(index).saturating_sub(began.elapsed());
            if index < requests && !wait.is_zero() {
                thread::sleep(wait.max(SLEEP_MIN));
            }
        }
        while self.topic.producer().in_flight() > 0 && !halted() {
            self.serve(Duration::from_millis(1))?;
        }
        Ok(())
    }

    fn produce(&self, request: &Request) -> Result<(), Error> {
        let outgoing = Outgoing {
            partition: self.shape.partition(&request.key),
            key: Some(&request.key),
            value: Some(&request.value),
            headers: Block::EMPTY,
            opaque: 0,
        };
        while self.topic.produce(outgoing)? == Enqueued::QueueFull {
            self.serve(Duration::from_millis(1))?;
        }
        Ok(())
    }

    fn serve(&self, wait: Duration) -> Result<bool, Error> {
        let mut refused = None;
        let served = self.topic.producer().serve(wait, |report: Report<'_>| {
            if let Err(error) = report.result {
                refused = Some(error);
            }
        });
        refused.map_or(Ok(served), Err)
    }
}

/// Sends at once and once only, as a client in a hurry does. The first record of an idempotent producer would
/// wait half a second. As many requests are in flight as the Java client allows. Without that limit, an
/// overloaded broker gets one request for each record, and never catches up.
fn sending(connection: &Connection) -> Config {
    let mut config = connection.admin();
    config
        .set("acks", "all")
        .set("enable.idempotence", "false")
        .set("message.send.max.retries", "0")
        .set("max.in.flight.requests.per.connection", "5")
        .set("linger.ms", "0")
        .set("queue.buffering.max.messages", WRITER_QUEUE_RECORDS);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_evenly() {
        assert_eq!(nanos(0, 1_000), 0);
        assert_eq!(nanos(1, 1_000), 1_000_000);
        assert_eq!(nanos(150_000, 50_000), 3_000_000_000);
    }
}
