//! Delivery reports.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka_sys as sys;

use super::OPERATION;
use crate::kafka::consumer::Headers;
use crate::kafka::context::{self, Context};
use crate::kafka::error::{Class, Error};

/// One delivery report.
pub struct Report<'a> {
    /// The number that was given with the record.
    pub opaque: usize,
    /// Offset of the record, or the reason why it was not written.
    pub result: Result<i64, Error>,
    /// True when a broker may write the record, although the result is an error: it was sent, and not answered.
    pub is_unanswered: bool,
    /// True when librdkafka knows of no attempt that a broker may have written.
    is_not_persisted: bool,
    /// Time from the hand-over of the record to this result.
    pub latency: Duration,
    /// The record's partition.
    pub partition: i32,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: Headers<'a>,
}

impl Report<'_> {
    /// True when the record is not in the log by all that librdkafka knows: it was never sent whole, or a broker
    /// refused each attempt before it wrote, and said why. (A broker that ceases to lead a partition while it waits
    /// for its followers answers like one that never led it, which librdkafka takes for such a refusal. The record
    /// can then be in the log if no later attempt succeeds within the time-out.)
    pub fn is_unwritten(&self) -> bool {
        let refused = self.result.as_ref().is_err_and(|error| !error.is_silent());
        refused && self.is_not_persisted
    }
}

/// The queue of one producer's delivery reports. It must be dropped before the producer.
pub(super) struct Reports(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread, and from several.
unsafe impl Send for Reports {}
// SAFETY: as above.
unsafe impl Sync for Reports {}

impl Reports {
    pub(super) fn of(producer: &BaseProducer<Context>) -> Result<Reports, Error> {
        // SAFETY: the client is alive. The returned reference to the queue is ours to destroy.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let missing = || Error::own("create producer", Class::Fatal, "no delivery reports");
        NonNull::new(queue).map(Reports).ok_or_else(missing)
    }

    /// Serves one event, which may hold many reports or a log line. Waits for it up to `wait` (in whole
    /// milliseconds). False when there was none.
    pub(super) fn serve(&self, wait: Duration, mut on: impl FnMut(Report<'_>)) -> bool {
        let wait_ms = i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive. The event is ours, and destroyed below, after the last use of its
        // messages.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.0.as_ptr(), wait_ms);
            if event.is_null() {
                return false;
            }
            match sys::rd_kafka_event_type(event) {
                sys::RD_KAFKA_EVENT_DR => {
                    while let Some(message) = sys::rd_kafka_event_message_next(event).as_ref() {
                        on(report(message));
                    }
                }
                sys::RD_KAFKA_EVENT_LOG => context::log_event(event),
                // The operation that an error concerns also returns the error.
                _ => {}
            }
            sys::rd_kafka_event_destroy(event);
        }
        true
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        // SAFETY: our own reference, which is not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `message` is a message of a delivery report that lives as long as `'a`.
unsafe fn report(message: &sys::rd_kafka_message_t) -> Report<'_> {
    use sys::rd_kafka_msg_status_t as Status;
    // SAFETY: not null, so data of the message with that length.
    let bytes = |data: *mut c_void, size: usize| unsafe {
        (!data.is_null()).then(|| slice::from_raw_parts(data.cast_const().cast::<u8>(), size))
    };
    // SAFETY: a live message of a report.
    let status = unsafe { sys::rd_kafka_message_status(message) };
    // SAFETY: as above.
    let latency_us = unsafe { sys::rd_kafka_message_latency(message) };
    Report {
        opaque: message._private as usize,
        result: Error::check(OPERATION, message.err).map(|()| message.offset),
        is_unanswered: status == Status::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED,
        is_not_persisted: status == Status::RD_KAFKA_MSG_STATUS_NOT_PERSISTED,
        // Negative if librdkafka does not know it.
        latency: Duration::from_micros(u64::try_from(latency_us).unwrap_or(0)),
        partition: message.partition,
        key: bytes(message.key, message.key_len),
        value: bytes(message.payload, message.len),
        // SAFETY: the caller's promise holds.
        headers: unsafe { Headers::of(message) },
    }
}
