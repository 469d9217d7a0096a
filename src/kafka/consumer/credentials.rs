//! The member name and generation with which a member's offsets are sent. The sending thread asks for them.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;

use super::close::Membership;
use super::native::milliseconds;
use crate::kafka::client::Authenticated;
use crate::kafka::error::{Class, Error, text};
use crate::processor::membership::MemberId;

/// The consumer of a member.
type Member = Arc<Authenticated<BaseConsumer<Membership>>>;

/// Gives access to a member's credentials, until its consumer is closed.
#[derive(Clone)]
pub(crate) struct Credentials(Arc<Mutex<Option<Member>>>);

impl Credentials {
    pub(super) fn of(consumer: &Member) -> Credentials {
        Credentials(Arc::new(Mutex::new(Some(Arc::clone(consumer)))))
    }

    /// The group's view of this member at this moment, as far as librdkafka has heard. Takes some 50 µs,
    /// because librdkafka's main thread answers.
    pub(crate) fn now(&self) -> Option<GroupMetadata> {
        let consumer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        GroupMetadata::of(consumer.as_ref()?.client())
    }

    /// Waits for a question in progress, so that no thread holds the consumer after this.
    pub(super) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A member's name and generation, for a transaction that commits its offsets.
pub(crate) struct GroupMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: a separate object, which librdkafka only reads.
unsafe impl Send for GroupMetadata {}

impl GroupMetadata {
    pub(super) fn of<C: ClientContext>(client: &Client<C>) -> Option<GroupMetadata> {
        // SAFETY: the client is alive; the returned metadata are ours to destroy.
        NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(client.native_ptr()) })
            .map(GroupMetadata)
    }

    /// None when the consumer is no member of its group (T4).
    pub(crate) fn member(&self) -> Option<MemberId> {
        MemberId::of(&self.name(), self.generation())
    }

    pub(super) fn name(&self) -> String {
        // SAFETY: the metadata are alive; the name lives as long, and is copied.
        unsafe {
            text(sys::rd_kafka_consumer_group_metadata_member_id(
                self.0.as_ptr(),
            ))
        }
    }

    pub(super) fn generation(&self) -> i32 {
        // SAFETY: the metadata are alive.
        unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(self.0.as_ptr()) }
    }

    /// Makes offsets part of the producer's transaction, in the name of this member.
    ///
    /// # Errors
    /// The error of the group or of the transaction's coordinator.
    pub(crate) fn send_offsets<C: ClientContext>(
        &self,
        producer: &Client<C>,
        offsets: &TopicPartitionList,
        timeout: Duration,
    ) -> Result<(), Error> {
        const OPERATION: &str = "send offsets to transaction";
        // SAFETY: producer, offsets and metadata are alive and only read; the returned error is ours.
        let sent = unsafe {
            let error = sys::rd_kafka_send_offsets_to_transaction(
                producer.native_ptr(),
                offsets.ptr(),
                self.0.as_ptr(),
                milliseconds(timeout),
            );
            Error::check_native(OPERATION, error)
        };
        sent.map_err(|error| match error.class {
            Class::Fatal => Error::fatal_of(OPERATION, producer).unwrap_or(error),
            _ => error,
        })
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}
