//! Takes a consumer's records one by one, or many in one call.

use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use crate::kafka::client::{Authenticated, Config};
use crate::kafka::context::Context;
use crate::kafka::error::{Class, Error, is_end_of_log};

/// Records taken in one call.
const BATCH_RECORDS: usize = 500;

/// A record, or the end of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// True for the end of a partition: all records that can be read now have been read.
    pub end: bool,
}

/// Reads every partition of a topic from its beginning.
pub struct Source {
    queue: NonNull<sys::rd_kafka_queue_t>,
    batch: Vec<*mut sys::rd_kafka_message_t>,
    // Outlives the queue: `drop` runs before the fields are dropped.
    _consumer: Authenticated<BaseConsumer<Context>>,
}

// SAFETY: librdkafka's clients and queues may be used from any thread. The targets of the buffer's pointers are
// used within one call only.
unsafe impl Send for Source {}

impl Source {
    /// # Errors
    /// A configuration that librdkafka refuses, or a topic that does not exist.
    pub fn new(config: &Config, topic: &str, partitions: u32) -> Result<Source, Error> {
        const OPERATION: &str = "create consumer";
        let consumer: Authenticated<BaseConsumer<Context>> = config.create(OPERATION, Context)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .map_err(|error| Error::from_kafka(OPERATION, &error))?;
        }
        // With a request for this topic, the leaders are known at once and not within a second.
        consumer
            .client()
            .fetch_metadata(Some(topic), super::super::CALL_DEADLINE)
            .and_then(|_| consumer.assign(&list))
            .map_err(|error| Error::from_kafka(OPERATION, &error).about(topic))?;
        // SAFETY: the client is alive; the returned reference to the queue is ours to destroy.
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        Ok(Source {
            queue: NonNull::new(queue)
                .ok_or_else(|| Error::own(OPERATION, Class::Fatal, "group.id is not set"))?,
            batch: vec![ptr::null_mut(); BATCH_RECORDS],
            _consumer: consumer,
        })
    }

    /// Waits up to `wait` (in whole milliseconds) for a record or an end. False when none came.
    ///
    /// # Errors
    /// The client is no longer usable.
    pub fn next(&self, wait: Duration, on: &mut impl FnMut(Found<'_>)) -> Result<bool, Error> {
        let wait_ms = c_int::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX);
        // SAFETY: the queue is alive; the event is ours, and is destroyed after the last use of borrowed data.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.queue.as_ptr(), wait_ms);
            if event.is_null() {
                return Ok(false);
            }
            let mut result = Ok(true);
            match sys::rd_kafka_event_type(event) {
                sys::RD_KAFKA_EVENT_FETCH => {
                    while let Some(message) = sys::rd_kafka_event_message_next(event).as_ref() {
                        on(found(message, false));
                    }
                }
                sys::RD_KAFKA_EVENT_ERROR => {
                    let code = sys::rd_kafka_event_error(event);
                    if is_end_of_log(code) {
                        let place = sys::rd_kafka_event_topic_partition(event);
                        if let Some(place) = place.as_ref() {
                            on(Found {
                                partition: place.partition,
                                key: None,
                                value: None,
                                end: true,
                            });
                        }
                        if !place.is_null() {
                            sys::rd_kafka_topic_partition_destroy(place);
                        }
                    } else {
                        result = passing(Error::check("consume", code)).map(|()| true);
                    }
                }
                _ => {}
            }
            sys::rd_kafka_event_destroy(event);
            result
        }
    }

    /// Takes all available records, in one call. Returns their number.
    ///
    /// # Errors
    /// As [`Source::next`].
    pub fn batch(&mut self, on: &mut impl FnMut(Found<'_>)) -> Result<usize, Error> {
        // SAFETY: the queue is alive, and the buffer has room for this many pointers.
        let taken = unsafe {
            sys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                0,
                self.batch.as_mut_ptr(),
                self.batch.len(),
            )
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        let mut result = Ok(taken);
        for message in self.batch.iter().take(taken) {
            // SAFETY: this many messages are ours; each is destroyed once, after its use.
            unsafe {
                if let Some(message) = message.as_ref() {
                    if is_end_of_log(message.err) {
                        on(found(message, true));
                    } else {
                        match passing(Error::check("consume", message.err)) {
                            Ok(()) => on(found(message, false)),
                            Err(error) => result = Err(error),
                        }
                    }
                }
                sys::rd_kafka_message_destroy(*message);
            }
        }
        result
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: our own reference, which is not used after this; its client is still alive.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Ignores errors that pass by themselves.
fn passing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.class == Class::Retriable => Ok(()),
        result => result,
    }
}

/// # Safety
/// `message` is a message of librdkafka that lives as long as `'a`.
unsafe fn found(message: &sys::rd_kafka_message_t, end: bool) -> Found<'_> {
    // SAFETY: not null, so data of the message with that length.
    let bytes = |data: *mut std::ffi::c_void, size: usize| unsafe {
        (!data.is_null()).then(|| std::slice::from_raw_parts(data.cast_const().cast::<u8>(), size))
    };
    Found {
        partition: message.partition,
        key: bytes(message.key, message.key_len),
        // The value of an error is its text.
        value: bytes(message.payload, message.len).filter(|_| !end),
        end,
    }
}
