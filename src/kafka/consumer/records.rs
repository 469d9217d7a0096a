//! The records of all fetched partitions in a queue of their own, from which many are taken in one call.
//! (`rd_kafka_consume_batch_queue` is not usable for this: it counts the end of a partition as a record, so
//! that the fetch after the next pause begins one record too late.)
//!
//! The group's queue mixes records with rebalances. Only an event-wise poll returns rebalances
//! unanswered (see `rd_kafka_poll_cb`), and this poll costs four looks at the clock and two locks for each
//! record. So each partition is *diverted*: librdkafka forwards its records to this queue, and the group's
//! queue keeps the rest. An event on the group's queue wakes a thread that waits for this queue.
//!
//! *Architecture invariant*: librdkafka undoes a diversion when it stops the partition's previous fetch
//! (`rd_kafka_toppar_fetch_stop`). This may be after the next fetch was ordered, and then the partition would
//! be stranded: fetched, but never polled. So a partition is diverted again at each poll until a record of the
//! new fetch has come, which is after that stop. Records that arrived in between are moved along.

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka_sys as sys;

use super::native::{Queue, milliseconds};
use super::record::Record;
use crate::kafka::error::{Error, Flags, is_end_of_log, text};

/// A message of a fetched partition.
#[derive(Debug)]
pub(super) enum Taken<'a> {
    /// A request record.
    Record(Record<'a>),
    /// All readable records have been read, up to this offset.
    End { partition: i32, next: i64 },
    /// The partition cannot be read from this offset on.
    Failed {
        partition: i32,
        offset: i64,
        error: Error,
    },
}

/// The queue of records. It must be dropped before its client, and after the group's queue that wakes it.
pub(super) struct Records {
    queue: NonNull<sys::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's clients and queues may be used from any thread.
unsafe impl Send for Records {}

/// The queue to which librdkafka adds the fetched records of one partition.
#[derive(Debug)]
pub(super) struct Source(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Source {}

impl Source {
    /// The queue of this partition. None for an invalid topic name.
    pub(super) fn of<C: ClientContext>(
        client: &Client<C>,
        topic: &str,
        partition: i32,
    ) -> Option<Source> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive, and the name is copied. The returned reference is ours to destroy.
        let queue = unsafe {
            sys::rd_kafka_queue_get_partition(client.native_ptr(), topic.as_ptr(), partition)
        };
        NonNull::new(queue).map(Source)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: our own reference, which is not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

impl Records {
    /// A queue of this client. An event on the group's queue wakes it.
    pub(super) fn new<C: ClientContext>(client: &Client<C>, group: &Queue) -> Option<Records> {
        // SAFETY: the client is alive. The returned queue is ours to destroy.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(client.native_ptr()) })?;
        // SAFETY: both queues are alive. The callback is removed before either is destroyed.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(
                group.as_ptr(),
                Some(wake),
                queue.as_ptr().cast::<c_void>(),
            );
        }
        Some(Records { queue })
    }

    /// Forwards a partition's records to this queue from now on, with those that were fetched already.
    pub(super) fn divert(&self, source: &Source) {
        // SAFETY: both queues are alive.
        unsafe { sys::rd_kafka_queue_forward(source.0.as_ptr(), self.queue.as_ptr()) }
    }

    /// Takes all available records. Waits for the first one up to `wait`, or until an event comes to the
    /// group's queue. Returns the number taken.
    pub(super) fn take<F: FnMut(Taken<'_>)>(&self, wait: Duration, on: F) -> usize {
        // SAFETY: the queue is alive.
        unsafe { take(self.queue.as_ptr(), wait, on) }
    }

    /// From now on the group's queue does not wake this one.
    pub(super) fn detach(&self, group: &Queue) {
        // SAFETY: the queue is alive. Without a callback there is nothing to point to.
        unsafe { sys::rd_kafka_queue_cb_event_enable(group.as_ptr(), None, ptr::null_mut()) }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // SAFETY: our own reference, which is not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// # Safety
/// `records` is a queue that is alive.
unsafe extern "C" fn wake(_client: *mut sys::rd_kafka_t, records: *mut c_void) {
    // SAFETY: the caller's promise holds.
    unsafe { sys::rd_kafka_queue_yield(records.cast()) }
}

/// Takes all available records of a consumer with an assigned range. librdkafka serves other events in its
/// queue in its own way: for example, it logs errors of the client.
pub(super) fn take_now(queue: &Queue, on: impl FnMut(Taken<'_>)) -> usize {
    // SAFETY: the queue is alive.
    unsafe { take(queue.as_ptr(), Duration::ZERO, on) }
}

/// Takes everything that is available, and no less. librdkafka sets the whole queue aside during the call, and
/// counts it as empty. If each call stopped half-way (`rd_kafka_yield`), librdkafka would fetch on and on,
/// until the whole log was in memory. This way the most that it holds is what `queued.min.messages` and
/// `queued.max.messages.kbytes` let it fetch ahead, and as much again. Only a batch that is larger after
/// decompression exceeds this.
///
/// # Safety
/// `queue` is alive.
unsafe fn take<F: FnMut(Taken<'_>)>(
    queue: *mut sys::rd_kafka_queue_t,
    wait: Duration,
    on: F,
) -> usize {
    let mut call = Call { on, taken: 0 };
    // SAFETY: the caller's promise holds. The callback is called within this call only, with a pointer to
    // `call`, which nothing else uses in between.
    unsafe {
        sys::rd_kafka_consume_callback_queue(
            queue,
            milliseconds(wait),
            Some(hand_over::<F>),
            ptr::from_mut(&mut call).cast::<c_void>(),
        );
    }
    call.taken
}

/// The state of one call that takes records.
struct Call<F> {
    on: F,
    taken: usize,
}

/// # Safety
/// `message` lives as long as this call, and `call` points to a [`Call`] of this `F`.
unsafe extern "C" fn hand_over<F: FnMut(Taken<'_>)>(
    message: *mut sys::rd_kafka_message_t,
    call: *mut c_void,
) {
    // SAFETY: the caller's promise holds.
    unsafe {
        let (Some(message), Some(call)) = (message.as_ref(), call.cast::<Call<F>>().as_mut())
        else {
            return;
        };
        (call.on)(taken(message));
        call.taken += 1;
    }
}

/// # Safety
/// `message` is a message of librdkafka.
unsafe fn taken(message: &sys::rd_kafka_message_t) -> Taken<'_> {
    let partition = message.partition;
    if message.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        // SAFETY: a fetched message, which lives as long as the borrow.
        return Taken::Record(unsafe { Record::from_native(message) });
    }
    if is_end_of_log(message.err) {
        return Taken::End {
            partition,
            next: message.offset,
        };
    }
    // SAFETY: the value of an error is its text.
    let reason = unsafe { text(message.payload.cast()) };
    let error = Error::with_flags("consume", message.err.into(), &reason, Flags::default());
    Taken::Failed {
        partition,
        offset: message.offset,
        error,
    }
}
