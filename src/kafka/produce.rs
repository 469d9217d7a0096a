//! Produces through a topic handle, and serves delivery reports: one call for each record, without a look-up of
//! the topic's name, an allocation or a lock.
//!
//! rust-rdkafka's own poll spins through the last millisecond of its timeout, and wraps each report for a
//! callback. Both showed in profiles.

mod batch;
mod open;
mod size;

use std::ffi::{CStr, CString};
use std::os::raw::c_void;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka_sys as sys;

use super::consumer::Headers;
use super::context;
use super::error::{self, Class, Error};
use crate::wire::headers::Block;

pub use batch::Batch;
pub use open::OpenTopics;
pub use size::{BATCH_OVERHEAD_BYTES, BatchSize, RECORD_OVERHEAD_BYTES};

/// A topic handle of one producer. It must be dropped before the producer.
pub struct Topic {
    topic: NonNull<sys::rd_kafka_topic_t>,
    /// The producer's client, which lives longer.
    client: *mut sys::rd_kafka_t,
}

// SAFETY: librdkafka's topic handles and clients may be used from any thread, and from several.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

/// A record to be produced.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The record's partition.
    pub partition: i32,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: Block<'a>,
    /// A number that comes back with the report.
    pub opaque: usize,
}

/// Whether the producer took a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The record is in the queue. A delivery report will follow.
    Yes,
    /// The producer's queue is full. Serve its reports, then try again.
    QueueFull,
}

impl Topic {
    /// Creates a handle for a topic.
    ///
    /// # Errors
    /// The name is not valid for a topic.
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
        let client = producer.client().native_ptr();
        // SAFETY: the client is alive. A null configuration means the client's own.
        let topic = unsafe { sys::rd_kafka_topic_new(client, c_name.as_ptr(), ptr::null_mut()) };
        NonNull::new(topic)
            .map(|topic| Topic { topic, client })
            .ok_or_else(refuse)
    }

    /// The name of the topic.
    pub fn name(&self) -> &str {
        // SAFETY: the topic is alive, and so is its name, which is ASCII.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.topic.as_ptr())) };
        name.to_str().unwrap_or_default()
    }

    /// Hands a record to the producer, which copies it.
    ///
    /// # Errors
    /// The producer refuses the record at once: it is over the size limit, or the transaction is in error.
    pub fn produce(&self, record: Outgoing<'_>) -> Result<Enqueued, Error> {
        if record.headers.is_empty() {
            self.produce_plain(record)
        } else {
            self.produce_with_headers(record)
        }
    }

    fn produce_plain(&self, record: Outgoing<'_>) -> Result<Enqueued, Error> {
        let Outgoing {
            partition,
            key,
            value,
            headers: _,
            opaque,
        } = record;
        let (key_pointer, key_length) = parts(key);
        let (value_pointer, value_length) = parts(value);
        // SAFETY: the topic is alive. Key and value are copied during the call, so nothing is written through
        // the casts to mutable pointers. The opaque is a number that nobody follows as a pointer.
        let result = unsafe {
            sys::rd_kafka_produce(
                self.topic.as_ptr(),
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
        // SAFETY: reads this thread's last error, which the call above has set.
        let code = unsafe { sys::rd_kafka_last_error() };
        if error::is_queue_full_code(code) {
            return Ok(Enqueued::QueueFull);
        }
        Error::check(OPERATION, code).map(|()| Enqueued::Yes)
    }

    fn produce_with_headers(&self, record: Outgoing<'_>) -> Result<Enqueued, Error> {
        use sys::rd_kafka_vtype_t as Kind;
        let Outgoing {
            partition,
            key,
            value,
            headers,
            opaque,
        } = record;
        let headers = native_headers(headers)?;
        let memory = |bytes: Option<&[u8]>| {
            let (ptr, size) = parts(bytes);
            Part {
                mem: PartMemory { ptr, size },
            }
        };
        let parts = [
            (
                Kind::RD_KAFKA_VTYPE_RKT,
                Part {
                    rkt: self.topic.as_ptr(),
                },
            ),
            (Kind::RD_KAFKA_VTYPE_PARTITION, Part { i32_: partition }),
            (
                Kind::RD_KAFKA_VTYPE_MSGFLAGS,
                Part {
                    i: sys::RD_KAFKA_MSG_F_COPY,
                },
            ),
            (Kind::RD_KAFKA_VTYPE_KEY, memory(key)),
            (Kind::RD_KAFKA_VTYPE_VALUE, memory(value)),
            (
                Kind::RD_KAFKA_VTYPE_OPAQUE,
                Part {
                    ptr: opaque as *mut c_void,
                },
            ),
            (
                Kind::RD_KAFKA_VTYPE_HEADERS,
                Part {
                    headers: headers.0.as_ptr(),
                },
            ),
        ]
        .map(|(vtype, u)| sys::rd_kafka_vu_t { vtype, u });
        // SAFETY: client, topic and headers are alive. Key and value are copied during the call. Each part is
        // of the type that its kind says. The error is ours, and checked below.
        let result = unsafe {
            let error = sys::rd_kafka_produceva(self.client, parts.as_ptr(), parts.len());
            Error::check_native(OPERATION, error)
        };
        match result {
            Ok(()) => {
                // The headers belong to the producer now.
                std::mem::forget(headers);
                Ok(Enqueued::Yes)
            }
            Err(error) if error::is_queue_full_error(&error) => Ok(Enqueued::QueueFull),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: our own reference, which is not used after this.
        unsafe { sys::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

use sys::rd_kafka_vu_s__bindgen_ty_1 as Part;
use sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 as PartMemory;

const OPERATION: &str = "produce";

struct NativeHeaders(NonNull<sys::rd_kafka_headers_t>);

impl Drop for NativeHeaders {
    fn drop(&mut self) {
        // SAFETY: the headers are ours as long as no producer has taken them.
        unsafe { sys::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

fn native_headers(block: Block<'_>) -> Result<NativeHeaders, Error> {
    let refuse = || Error::own(OPERATION, Class::Refused, "headers cannot be made");
    // SAFETY: the result is ours, and is destroyed when dropped.
    let headers = NonNull::new(unsafe { sys::rd_kafka_headers_new(HEADERS_EXPECTED) })
        .map(NativeHeaders)
        .ok_or_else(refuse)?;
    for (name, value) in block.iter() {
        let length = |bytes: &[u8]| isize::try_from(bytes.len()).unwrap_or(isize::MAX);
        // SAFETY: the headers are alive. Name and value have these lengths, and are copied. An empty value has
        // a pointer, so it does not become null.
        let code = unsafe {
            sys::rd_kafka_header_add(
                headers.0.as_ptr(),
                name.as_ptr().cast(),
                length(name.as_bytes()),
                value.as_ptr().cast(),
                length(value),
            )
        };
        Error::check(OPERATION, code)?;
    }
    Ok(headers)
}

/// Initial room for this many headers.
const HEADERS_EXPECTED: usize = 4;

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
pub struct Reports(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread, and from several.
unsafe impl Send for Reports {}
// SAFETY: as above.
unsafe impl Sync for Reports {}

impl Reports {
    /// The reports of this producer. None when librdkafka has no queue for it.
    pub fn of<C>(producer: &BaseProducer<C>) -> Option<Reports>
    where
        C: ProducerContext + 'static,
    {
        // SAFETY: the client is alive. The returned reference to the queue is ours to destroy.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        NonNull::new(queue).map(Reports)
    }

    /// Serves one event, which may hold many reports or a log line. Waits for it up to `wait` (in whole
    /// milliseconds). False when there was none.
    pub fn serve(&self, wait: Duration, mut on: impl FnMut(Report<'_>)) -> bool {
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
    // SAFETY: not null, so data of the message with that length.
    let bytes = |data: *mut c_void, size: usize| unsafe {
        (!data.is_null()).then(|| slice::from_raw_parts(data.cast_const().cast::<u8>(), size))
    };
    // SAFETY: a live message of a report.
    let status = unsafe { sys::rd_kafka_message_status(message) };
    Report {
        opaque: message._private as usize,
        result: Error::check(OPERATION, message.err).map(|()| message.offset),
        is_unanswered: status == sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED,
        is_not_persisted: status == sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED,
        partition: message.partition,
        key: bytes(message.key, message.key_len),
        value: bytes(message.payload, message.len),
        // SAFETY: the caller's promise holds.
        headers: unsafe { Headers::of(message) },
    }
}

/// Null for none. An empty key or value has a pointer, so that it stays empty and does not become null.
fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| {
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}
