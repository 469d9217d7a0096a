//! A topic of one producer.

use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::time::Instant;

use rdkafka::producer::Producer as _;
use rdkafka_sys as sys;

use super::producer::REPORT_POLL;
use super::{Enqueued, OPERATION, Outgoing, Producer, Report};
use crate::kafka::error::{self, Class, Error};
use crate::wire::headers::Block;

/// A topic handle. It keeps its producer alive.
pub struct Topic {
    topic: NonNull<sys::rd_kafka_topic_t>,
    producer: Producer,
}

// SAFETY: librdkafka's topic handles may be used from any thread, and from several.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Topic {
    pub(super) fn new(producer: Producer, name: &str) -> Result<Topic, Error> {
        const OPERATION: &str = "open topic";
        let refuse = || {
            Error::own(
                OPERATION,
                Class::Refused,
                format!("{name:?} is no topic name"),
            )
        };
        let c_name = CString::new(name).map_err(|_| refuse())?;
        let client = producer.base().client().native_ptr();
        // SAFETY: the client is alive. A null configuration means the client's own.
        let topic = unsafe { sys::rd_kafka_topic_new(client, c_name.as_ptr(), ptr::null_mut()) };
        let topic = NonNull::new(topic).ok_or_else(refuse)?;
        Ok(Topic { topic, producer })
    }

    /// The producer of this topic.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    pub(super) fn native(&self) -> *mut sys::rd_kafka_topic_t {
        self.topic.as_ptr()
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

    /// Hands a record to the producer, and serves its reports while its queue is full. False when the queue is
    /// still full at the deadline.
    ///
    /// # Errors
    /// As [`Topic::produce`].
    pub fn produce_until(
        &self,
        deadline: Instant,
        record: Outgoing<'_>,
        mut on: impl FnMut(Report<'_>),
    ) -> Result<bool, Error> {
        while self.produce(record)? == Enqueued::QueueFull {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            self.producer.serve(REPORT_POLL, &mut on);
        }
        Ok(true)
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
            let error = sys::rd_kafka_produceva(
                self.producer.base().client().native_ptr(),
                parts.as_ptr(),
                parts.len(),
            );
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

/// Null for none. An empty key or value has a pointer, so that it stays empty and does not become null.
pub(super) fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| {
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}
