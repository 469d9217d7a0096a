//! The calls into librdkafka, each with what makes it sound.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::record::Record;
use crate::kafka::context;
use crate::kafka::error::{Error, Flags, is_end_of_log, text};

/// The queue of a consumer: records and all other events.
pub(super) struct Queue(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// Returns none for a consumer without a group. The queue must be dropped before its client.
    pub(super) fn of_consumer<C: ClientContext>(client: &Client<C>) -> Option<Queue> {
        // SAFETY: the client is alive; the returned reference to the queue is ours to destroy.
        NonNull::new(unsafe { sys::rd_kafka_queue_get_consumer(client.native_ptr()) }).map(Queue)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.0.as_ptr()
    }

    /// The next event, waiting for it up to `wait`.
    pub(super) fn poll(&self, wait: Duration) -> Option<RawEvent> {
        // SAFETY: the queue is alive; the returned event is ours to destroy.
        NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.0.as_ptr(), milliseconds(wait)) })
            .map(RawEvent)
    }

    /// The poll that waits returns without an event, or else the next one does.
    pub(super) fn end_wait(&self) {
        // SAFETY: the queue is alive, and may be used from any thread.
        unsafe { sys::rd_kafka_queue_yield(self.0.as_ptr()) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our own reference, not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// Rounded up, so that a short wait is no busy loop.
pub(super) fn milliseconds(wait: Duration) -> c_int {
    c_int::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Record,
    Rebalance,
    Error,
    Statistics,
    Log,
    Other,
}

/// An event of the queue, destroyed when dropped. Borrows of its data end with it.
pub(super) struct RawEvent(NonNull<sys::rd_kafka_event_t>);

impl RawEvent {
    fn as_ptr(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }

    pub(super) fn signal(&self) -> Signal {
        // SAFETY: the event is alive.
        match unsafe { sys::rd_kafka_event_type(self.as_ptr()) } {
            sys::RD_KAFKA_EVENT_FETCH => Signal::Record,
            sys::RD_KAFKA_EVENT_REBALANCE => Signal::Rebalance,
            sys::RD_KAFKA_EVENT_ERROR => Signal::Error,
            sys::RD_KAFKA_EVENT_STATS => Signal::Statistics,
            sys::RD_KAFKA_EVENT_LOG => Signal::Log,
            _ => Signal::Other,
        }
    }

    /// The record of a fetch event.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        // SAFETY: the event is alive; its message lives as long as it does, and so does the
        // borrow.
        unsafe {
            let message = sys::rd_kafka_event_message_next(self.as_ptr()).as_ref()?;
            Some(Record::from_native(message))
        }
    }

    /// For a rebalance event: true for an assignment, false for a revocation.
    pub(super) fn is_assignment(&self) -> bool {
        // SAFETY: the event is alive.
        let code = unsafe { sys::rd_kafka_event_error(self.as_ptr()) };
        code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
    }

    /// The partitions of a rebalance. The consumer is subscribed to one topic only.
    pub(super) fn partitions(&self) -> Vec<i32> {
        // SAFETY: the event is alive and owns the list, whose elements are `cnt` in number.
        unsafe {
            let Some(list) = sys::rd_kafka_event_topic_partition_list(self.as_ptr()).as_ref()
            else {
                return Vec::new();
            };
            let count = usize::try_from(list.cnt).unwrap_or(0);
            if list.elems.is_null() {
                return Vec::new();
            }
            slice::from_raw_parts(list.elems, count)
                .iter()
                .map(|element| element.partition)
                .collect()
        }
    }

    /// The partition and offset that an error event concerns.
    pub(super) fn partition(&self) -> Option<(i32, i64)> {
        // SAFETY: the event is alive; the returned object is ours, and destroyed here.
        unsafe {
            let partition = sys::rd_kafka_event_topic_partition(self.as_ptr());
            let found = partition.as_ref().map(|p| (p.partition, p.offset));
            if found.is_some() {
                sys::rd_kafka_topic_partition_destroy(partition);
            }
            found
        }
    }

    /// For an error event: true for the end of a partition, which is not an error.
    pub(super) fn is_end_of_log(&self) -> bool {
        // SAFETY: the event is alive.
        is_end_of_log(unsafe { sys::rd_kafka_event_error(self.as_ptr()) })
    }

    pub(super) fn error(&self, operation: &'static str) -> Error {
        // SAFETY: the event is alive; its text lives as long, and is copied.
        let (code, reason, fatal) = unsafe {
            (
                sys::rd_kafka_event_error(self.as_ptr()),
                text(sys::rd_kafka_event_error_string(self.as_ptr())),
                sys::rd_kafka_event_error_is_fatal(self.as_ptr()) != 0,
            )
        };
        let flags = Flags {
            fatal,
            ..Flags::default()
        };
        Error::with_flags(operation, code.into(), &reason, flags)
    }

    pub(super) fn statistics(&self) -> Option<&str> {
        // SAFETY: the event is alive; the text lives as long as it does, and so does the borrow.
        unsafe {
            let json = sys::rd_kafka_event_stats(self.as_ptr());
            (!json.is_null())
                .then(|| CStr::from_ptr(json))?
                .to_str()
                .ok()
        }
    }

    /// Passes on a line of librdkafka's log.
    pub(super) fn log(&self) {
        // SAFETY: the event is alive.
        unsafe { context::log_event(self.as_ptr()) }
    }
}

impl Drop for RawEvent {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this. The destruction of a rebalance event does
        // nothing but free it: it is no answer.
        unsafe { sys::rd_kafka_event_destroy(self.as_ptr()) }
    }
}

pub(super) fn subscribe<C: ClientContext>(
    client: &Client<C>,
    topics: &TopicPartitionList,
) -> Result<(), Error> {
    // SAFETY: client and list are alive; the list is copied.
    Error::check("subscribe", unsafe {
        sys::rd_kafka_subscribe(client.native_ptr(), topics.ptr())
    })
}

pub(super) fn unsubscribe<C: ClientContext>(client: &Client<C>) -> Result<(), Error> {
    // SAFETY: the client is alive.
    Error::check("unsubscribe", unsafe {
        sys::rd_kafka_unsubscribe(client.native_ptr())
    })
}

pub(super) fn incremental_assign<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
) -> Result<(), Error> {
    // SAFETY: client and list are alive, the list is copied; the returned error is ours.
    unsafe {
        let error = sys::rd_kafka_incremental_assign(client.native_ptr(), partitions.ptr());
        Error::check_native("assign partitions", error)
    }
}

pub(super) fn incremental_unassign<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
) -> Result<(), Error> {
    // SAFETY: client and list are alive, the list is copied; the returned error is ours.
    unsafe {
        let error = sys::rd_kafka_incremental_unassign(client.native_ptr(), partitions.ptr());
        Error::check_native("unassign partitions", error)
    }
}

pub(super) fn pause<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
) -> Result<(), Error> {
    // SAFETY: client and list are alive; results per partition are written into the list.
    let code = unsafe { sys::rd_kafka_pause_partitions(client.native_ptr(), partitions.ptr()) };
    Error::check("pause partitions", code)?;
    check_each("pause partitions", partitions)
}

pub(super) fn resume<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
) -> Result<(), Error> {
    // SAFETY: client and list are alive; results per partition are written into the list.
    let code = unsafe { sys::rd_kafka_resume_partitions(client.native_ptr(), partitions.ptr()) };
    Error::check("resume partitions", code)?;
    check_each("resume partitions", partitions)
}

/// Writes the offset after the last record that was polled into the list, and its leader epoch.
pub(super) fn position<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
) -> Result<(), Error> {
    // SAFETY: client and list are alive; positions are written into the list.
    Error::check("position", unsafe {
        sys::rd_kafka_position(client.native_ptr(), partitions.ptr())
    })
}

/// Gives each element of the list the leader epoch of the record before its offset.
pub(super) fn set_leader_epoch(partitions: &TopicPartitionList, leader_epoch: i32) {
    // SAFETY: the list is alive, and has as many elements as it says.
    unsafe {
        let list = &*partitions.ptr();
        for at in 0..usize::try_from(list.cnt).unwrap_or(0) {
            sys::rd_kafka_topic_partition_set_leader_epoch(list.elems.add(at), leader_epoch);
        }
    }
}

/// Seeks to the offsets and leader epochs of the list. Where the list has a leader epoch, librdkafka compares
/// the log by that epoch first.
pub(super) fn seek<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
    timeout: Duration,
) -> Result<(), Error> {
    // SAFETY: client and list are alive; results per partition are written into the list, and the
    // returned error is ours.
    unsafe {
        let error = sys::rd_kafka_seek_partitions(
            client.native_ptr(),
            partitions.ptr(),
            milliseconds(timeout),
        );
        Error::check_native("seek", error)?;
    }
    check_each("seek", partitions)
}

/// Checks the results that librdkafka wrote into a list.
fn check_each(operation: &'static str, partitions: &TopicPartitionList) -> Result<(), Error> {
    for element in partitions.elements() {
        element.error().map_err(|error| {
            Error::from_kafka(operation, &error).about(&format!(
                "{}-{}",
                element.topic(),
                element.partition()
            ))
        })?;
    }
    Ok(())
}
