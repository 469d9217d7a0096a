//! Producing through a topic handle: one call for each record, without a look-up of its name.

use std::ffi::CString;
use std::os::raw::c_void;
use std::ptr::{self, NonNull};

use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::error::{Class, Error};

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
        let refuse = || Error::own(OPERATION, Class::Refused, format!("{name:?} is no topic name"));
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
        if code == Code::RD_KAFKA_RESP_ERR__QUEUE_FULL {
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

/// Null for none; an empty key or value has a pointer, so that it stays empty and does not become
/// null.
fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| {
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}
