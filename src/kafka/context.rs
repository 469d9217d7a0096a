//! Sends the log lines of librdkafka to `tracing`, with the target `librdkafka`.

use std::ffi::{c_char, c_int};
use std::ptr;

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka_sys as sys;
use tracing::{debug, error, info, trace, warn};

use super::error::text;

/// The context of every client that needs no more than logging.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level as i32, facility, message);
    }

    /// Statistics are events of [`super::consumer::GroupConsumer`]; no other client asks for them.
    fn stats_raw(&self, _statistics: &[u8]) {}

    /// An error of an operation is returned by that operation; this function gets all other errors.
    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "librdkafka", %error, reason, "client error");
    }
}

/// Clients with this context belong to no group, so there is no rebalance to answer.
impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    /// Called only while a producer is dropped: [`super::produce::Reports`] serves the events in the
    /// producer's queue.
    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}

/// Passes on a log event of a queue that this service polls.
///
/// # Safety
/// `event` is an event of librdkafka that is alive.
pub(super) unsafe fn log_event(event: *mut sys::rd_kafka_event_t) {
    let mut facility: *const c_char = ptr::null();
    let mut message: *const c_char = ptr::null();
    let mut level: c_int = 0;
    // SAFETY: the event is alive by the caller's promise, and so are the texts that it returns; they are
    // copied. An event of another kind returns nothing.
    let (facility, message) = unsafe {
        let code =
            sys::rd_kafka_event_log(event, &raw mut facility, &raw mut message, &raw mut level);
        if code != 0 {
            return;
        }
        (text(facility), text(message))
    };
    log(level, facility.trim(), message.trim());
}

/// Logs librdkafka's lines about a client also while librdkafka itself serves that client's events, as in a
/// read of many records. Without this, librdkafka prints such lines on standard error.
pub(super) fn keep_off_stderr<C: ClientContext>(client: &Client<C>) {
    // SAFETY: the client is alive, and the function lives as long as the program.
    unsafe { sys::rd_kafka_set_logger(client.native_ptr(), Some(logged)) }
}

/// # Safety
/// Called by librdkafka, with texts that live during the call.
unsafe extern "C" fn logged(
    _client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    message: *const c_char,
) {
    // SAFETY: as the caller promises; the texts are copied.
    let (facility, message) = unsafe { (text(facility), text(message)) };
    log(level, facility.trim(), message.trim());
}

/// A warning of librdkafka that needs no action from an operator: its facility, and texts that all occur in
/// it.
struct Harmless(&'static str, &'static [&'static str]);

/// These warnings come with every start, and would teach readers to overlook warnings. Each is still logged
/// at `debug`. A line belongs here only if it shows a normal state: other lines of its facility may not.
const HARMLESS: [Harmless; 4] = [
    // A broker that has just started loads its transactions first. If that does not end, replies and
    // checkpoints are not written; a metric and an alert report that.
    Harmless("GETPID", &["Coordinator load in progress", ": retrying"]),
    Harmless("GETPID", &["Coordinator not available", ": retrying"]),
    // Forwards need it (docs/architecture.md), and librdkafka has called it experimental since 2019.
    Harmless("CONFWARN", &["enable.gapless.guarantee is experimental"]),
    // Producers and consumers share one configuration.
    Harmless("CONFWARN", &["property and will be ignored by this"]),
];

fn is_harmless(facility: &str, message: &str) -> bool {
    HARMLESS.iter().any(|Harmless(of, words)| {
        *of == facility && words.iter().all(|word| message.contains(word))
    })
}

/// Passes on a line of librdkafka's log. Its levels are syslog's. An error of librdkafka is a connection that
/// failed and is tried again, so nothing is lost: it is logged as a warning.
fn log(level: i32, facility: &str, message: &str) {
    match level {
        ..=2 => error!(target: "librdkafka", facility, "{message}"),
        4 if is_harmless(facility, message) => {
            debug!(target: "librdkafka", facility, "{message}");
        }
        3..=4 => warn!(target: "librdkafka", facility, "{message}"),
        5 => info!(target: "librdkafka", facility, "{message}"),
        6 => debug!(target: "librdkafka", facility, "{message}"),
        _ => trace!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_lines_of_a_start_are_harmless() {
        for (facility, message) in [
            (
                "GETPID",
                "[thrd:main]: Failed to acquire idempotence PID from broker 127.0.0.1:9/1: Broker: \
                 Coordinator load in progress: retrying",
            ),
            (
                "CONFWARN",
                "[thrd:app]: Configuration property enable.gapless.guarantee is experimental: When set",
            ),
            (
                "CONFWARN",
                "[thrd:app]: Configuration property session.timeout.ms is a consumer property and will \
                 be ignored by this producer instance",
            ),
        ] {
            assert!(is_harmless(facility, message), "{message}");
        }
        for (facility, message) in [
            (
                "GETPID",
                "Failed to acquire transactional PID from broker b/1: Broker: Transactional Id \
                 authorization failed: retrying",
            ),
            (
                "CONFWARN",
                "Configuration property queued.max.messages.kbytes is deprecated: x",
            ),
            (
                "FAIL",
                "Connect to ipv4#127.0.0.1:1 failed: Connection refused",
            ),
        ] {
            assert!(!is_harmless(facility, message), "{message}");
        }
    }
}
