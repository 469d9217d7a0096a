//! Producing through a topic handle, and serving delivery reports: one call for each record, without
//! a look-up of its name, an allocation or a lock.
//!
//! rust-rdkafka's own poll spins through the last millisecond of its time-out, and wraps each report
//! for a callback; both showed in profiles.

use std::ffi::CString;
use std::os::raw::c_void;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka_sys as sys;

use super::error::{self, Class, Error};

/// A topic of one producer. Must be dropped before it.
pub struct Topic(NonNull<sys::rd_kafka_topic_t>);

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for Topic {}

/// What became of a record that was handed to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is on its way; a delivery report will follow.
    Yes,
    /// The producer's queue is full: serve its reports, then try again.
    QueueFull,
}

impl Topic {
    /// A handle for a topic.
    ///
    /// # Errors
    /// A name that cannot be a topic's.
    pub fn new<C>(producer: &BaseProducer<C>, name: &str) -> Result<Topic, Error>
    where
        C: ProducerContext + 'static,
    {
        const OPERATION: &str = "open topic";
        let refuse = || {
            Error::own(
                OPERATION,
                Class::Refused,
                format!("{name:?} is no topic name"),
            )
        };
        let c_name = CString::new(name).map_err(|_| refuse())?;
        // SAFETY: the client is alive; a null configuration means the client's own.
        let topic = unsafe {
            sys::rd_kafka_topic_new(
                producer.client().native_ptr(),
                c_name.as_ptr(),
                ptr::null_mut(),
            )
        };
        NonNull::new(topic).map(Topic).ok_or_else(refuse)
    }

    /// Hands a record to the producer, which copies it. `opaque` comes back with the report.
    ///
    /// # Errors
    /// What the producer refuses at once: a record over its size limit, a transaction in error.
    pub fn produce(
        &self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        opaque: usize,
    ) -> Result<Enqueued, Error> {
        let (key_pointer, key_length) = parts(key);
        let (value_pointer, value_length) = parts(value);
        // SAFETY: the topic is alive; key and value are copied during the call, so the casts to
        // mutable pointers write nothing; the opaque is a number that nobody follows.
        let result = unsafe {
            sys::rd_kafka_produce(
                self.0.as_ptr(),
                partition,
                sys::RD_KAFKA_MSG_F_COPY,
                value_pointer,
                value_length,
                key_pointer,
                key_length,
                opaque as *mut c_void,
            )
        };
        if result == 0 {
            return Ok(Enqueued::Yes);
        }
        // SAFETY: reads this thread's last error, set by the call above.
        let code = unsafe { sys::rd_kafka_last_error() };
        if error::is_queue_full_code(code) {
            return Ok(Enqueued::QueueFull);
        }
        Error::check("produce", code).map(|()| Enqueued::Yes)
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: our own reference, not used after this.
        unsafe { sys::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

/// One delivery report.
pub struct Report<'a> {
    /// As it was given with the record.
    pub opaque: usize,
    /// Offset of the record, or why there is none.
    pub result: Result<i64, Error>,
    /// The record's partition.
    pub partition: i32,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
}

/// The delivery reports of one producer. Must be dropped before it.
pub struct Reports(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Reports {}

impl Reports {
    /// Of this producer.
    pub fn of<C>(producer: &BaseProducer<C>) -> Option<Reports>
    where
        C: ProducerContext + 'static,
    {
        // SAFETY: the client is alive; the returned reference to the queue is ours to destroy.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        NonNull::new(queue).map(Reports)
    }

    /// Serves one event, which may hold many reports, waiting for it up to `wait` (in whole
    /// milliseconds). False when there was none.
    pub fn serve(&self, wait: Duration, mut on: impl FnMut(Report<'_>)) -> bool {
        let wait_ms = i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the event is ours, and destroyed below, after the last use
        // of its messages.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.0.as_ptr(), wait_ms);
            if event.is_null() {
                return false;
            }
            if sys::rd_kafka_event_type(event) == sys::RD_KAFKA_EVENT_DR {
                while let Some(message) = sys::rd_kafka_event_message_next(event).as_ref() {
                    on(report(message));
                }
            }
            sys::rd_kafka_event_destroy(event);
        }
        true
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        // SAFETY: our own reference, not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `message` is a message of a delivery report that lives as long as `'a`.
unsafe fn report(message: &sys::rd_kafka_message_t) -> Report<'_> {
    // SAFETY: not null, so data of the message with that length.
    let bytes = |data: *mut c_void, size: usize| unsafe {
        (!data.is_null()).then(|| slice::from_raw_parts(data.cast_const().cast::<u8>(), size))
    };
    Report {
        opaque: message._private as usize,
        result: Error::check("produce", message.err).map(|()| message.offset),
        partition: message.partition,
        key: bytes(message.key, message.key_len),
        value: bytes(message.payload, message.len),
    }
}

/// Null for none; an empty key or value has a pointer, so that it stays empty and does not become
/// null.
fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| {
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}
