//! The records of all fetched partitions in a queue of their own, from which many are taken in one call.
//! (Not by `rd_kafka_consume_batch_queue`: it counts the end of a partition as a record, so that what is
//! fetched after the next pause begins one record too late.)
//!
//! The group's queue mixes them with rebalances, which only an event-wise poll hands over unanswered
//! (`rd_kafka_poll_cb`), and that costs four looks at the clock and two locks for each record. So each
//! partition is *diverted*: librdkafka forwards what it fetches to this queue, and the group's queue
//! keeps the rest. What comes there wakes who waits here.
//!
//! *Architecture invariant*: librdkafka undoes a diversion when it gets round to stopping the partition's
//! previous fetch (`rd_kafka_toppar_fetch_stop`), which may be after the next one was ordered, and then
//! the partition would be stranded: fetched, and polled by nobody. So a partition is diverted again at
//! each poll until something of the new fetch has come, which is after that stop. What lay in between
//! moves along.

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka_sys as sys;

use super::native::{Queue, milliseconds};
use super::record::Record;
use crate::kafka::error::{Error, Flags, is_end_of_log, text};

/// What a fetched partition has to say.
#[derive(Debug)]
pub(super) enum Taken<'a> {
    /// A record.
    Record(Record<'a>),
    /// All that can be read has been read, up to this offset.
    End { partition: i32, next: i64 },
    /// It cannot be read from here on.
    Failed {
        partition: i32,
        offset: i64,
        error: Error,
    },
}

/// The queue. Must be dropped before its client, and after the group's queue that wakes it.
pub(super) struct Records {
    queue: NonNull<sys::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's clients and queues may be used from any thread.
unsafe impl Send for Records {}

/// Where librdkafka puts what it fetches of one partition.
#[derive(Debug)]
pub(super) struct Source(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Source {}

impl Source {
    /// None for a topic that cannot be.
    pub(super) fn of<C: ClientContext>(
        client: &Client<C>,
        topic: &str,
        partition: i32,
    ) -> Option<Source> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive, the name is copied; the returned reference is ours to destroy.
        let queue = unsafe {
            sys::rd_kafka_queue_get_partition(client.native_ptr(), topic.as_ptr(), partition)
        };
        NonNull::new(queue).map(Source)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: our own reference, not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

impl Records {
    /// Of this client; woken by what comes to the group's queue.
    pub(super) fn new<C: ClientContext>(client: &Client<C>, group: &Queue) -> Option<Records> {
        // SAFETY: the client is alive; the returned queue is ours to destroy.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(client.native_ptr()) })?;
        // SAFETY: both queues are alive; the callback is taken back before either is destroyed.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(
                group.as_ptr(),
                Some(wake),
                queue.as_ptr().cast::<c_void>(),
            );
        }
        Some(Records { queue })
    }

    /// What is fetched of a partition comes here from now on, and what was fetched already.
    pub(super) fn divert(&self, source: &Source) {
        // SAFETY: both queues are alive.
        unsafe { sys::rd_kafka_queue_forward(source.0.as_ptr(), self.queue.as_ptr()) }
    }

    /// Takes what is there; waits for the first up to `wait`, or until something comes to the group's
    /// queue. Returns how much it was.
    pub(super) fn take<F: FnMut(Taken<'_>)>(&self, wait: Duration, on: F) -> usize {
        // SAFETY: the queue is alive.
        unsafe { take(self.queue.as_ptr(), wait, on) }
    }

    /// The group's queue wakes nobody any more.
    pub(super) fn detach(&self, group: &Queue) {
        // SAFETY: the queue is alive; without a callback there is nothing to point to.
        unsafe { sys::rd_kafka_queue_cb_event_enable(group.as_ptr(), None, ptr::null_mut()) }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // SAFETY: our own reference, not used after this.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// # Safety
/// `records` is a queue that is alive.
unsafe extern "C" fn wake(_client: *mut sys::rd_kafka_t, records: *mut c_void) {
    // SAFETY: as the caller promises.
    unsafe { sys::rd_kafka_queue_yield(records.cast()) }
}

/// Takes what is there of the records of a consumer that reads what it is told. What else is in its queue
/// is served as librdkafka sees fit: an error of the client is logged by it.
pub(super) fn take_now(queue: &Queue, on: impl FnMut(Taken<'_>)) -> usize {
    // SAFETY: the queue is alive.
    unsafe { take(queue.as_ptr(), Duration::ZERO, on) }
}

/// All that is there, and no less: librdkafka sets the whole queue aside for the length of the call and
/// takes it for empty meanwhile, so a call that stopped half-way (`rd_kafka_yield`) each time would have
/// it fetch on and on, until the whole log was in memory. As it is, what `queued.min.messages` and
/// `queued.max.messages.kbytes` let it fetch ahead and as much again is the most there can be, but for a batch
/// that is larger when it is decompressed.
///
/// # Safety
/// `queue` is alive.
unsafe fn take<F: FnMut(Taken<'_>)>(
    queue: *mut sys::rd_kafka_queue_t,
    wait: Duration,
    on: F,
) -> usize {
    let mut call = Call { on, taken: 0 };
    // SAFETY: as the caller promises; the callback is called within this call only, with a pointer to
    // `call`, which nobody else uses meanwhile.
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

/// One call that takes records.
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
    // SAFETY: as the caller promises.
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
