//! The consumer of the request topic: one member of the group, used from one thread.
//!
//! Its queue is polled here and not by rust-rdkafka, for three reasons. The end-of-partition event carries
//! the offset to read next, which rust-rdkafka drops. A rebalance is handed to the caller as a value, and is
//! answered when the caller is done, not inside a callback. A record costs fewer calls.
//!
//! How a rebalance goes (classic protocol, cooperative-sticky; `rdkafka_cgrp.c`):
//!
//! | event | librdkafka meanwhile | the answer |
//! |---|---|---|
//! | [`Event::Assigned`] | pauses what is being fetched, keeps heartbeating, waits without a deadline | [`GroupConsumer::accept_assignment`]: an incremental assign of *nothing*. The group's view of who owns what is kept apart from what is fetched, so the new partitions are owned from here on and fetched from [`GroupConsumer::start`] on |
//! | [`Event::Revoked`] | the same; the partitions are not given to anyone before the answer | [`GroupConsumer::give_up`]: an incremental unassign of those that were started, perhaps of nothing |
//!
//! *Architecture invariant*: an incremental unassign also answers a revoke that librdkafka has raised and the
//! caller has not polled yet. It would give partitions away before their transaction has ended (T3). So
//! [`GroupConsumer::stop`] pauses instead. There is one other use of unassign: to fetch again from a
//! partition whose offset was lost. It makes the next revoke a lost one if the group has moved on meanwhile.

mod backward;
mod close;
mod credentials;
mod fetching;
mod leave;
mod native;
mod polling;
mod quiet;
mod reader;
mod rebalance;
mod record;
mod records;
mod waker;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;

use super::client::{Authenticated, Config};
use super::context::keep_off_stderr;
use super::error::{Class, Error};
use crate::processor::membership::MemberId;
pub(crate) use backward::search_backward;
use close::Membership;
pub(crate) use credentials::{Credentials, GroupMetadata};
use native::{Queue, RawEvent, Signal};
use polling::Polling;
pub(crate) use reader::{Flow, Reader, connect_to_leaders};
use rebalance::{Rebalance, Unpolled};
pub(crate) use record::{Headers, Record};
use records::Records;
pub(crate) use waker::Waker;

/// Lower limit for the time that closing gets after leaving has taken its time.
const CLOSE_DEADLINE_MIN: Duration = Duration::from_millis(500);

/// How long a consumer that is dropped without [`GroupConsumer::close`] may take to leave. It is as long as a
/// broker may take to answer, and shorter than the grace period of a container.
const DROP_DEADLINE: Duration = Duration::from_secs(5);

const NO_WAIT: Duration = Duration::ZERO;

/// The event of a member that has another name now. The owners of its partitions in between are not known
/// here.
fn became_another() -> Event<'static> {
    let message = "the group threw this member out and took it in again under another name";
    Event::Error {
        at: None,
        error: Error::own("rebalance", Class::Fatal, message),
    }
}

/// The interval at which librdkafka's main thread is woken. That thread sends heartbeats, by which a member
/// hears of a rebalance, only when something wakes it (`rd_kafka_thread_main`). Without this, only a timer of
/// 500 ms wakes it, whatever `heartbeat.interval.ms` says below that.
const WAKE_INTERVAL: Duration = Duration::from_millis(25);

/// An event of a poll. Borrowed data live until the callback returns.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A record of a started partition.
    Record(Record<'a>),
    /// All records that can be read now have been read. The event comes again each time that the end has
    /// moved, and after each rebalance.
    EndOfPartition {
        /// The partition of the request topic.
        partition: i32,
        /// The offset to read next, after transaction markers and aborted records.
        next: i64,
    },
    /// The group assigns these partitions to this member. The event waits for
    /// [`GroupConsumer::accept_assignment`]. The list may be empty.
    Assigned(Vec<i32>),
    /// The group takes these partitions away. The event waits for [`GroupConsumer::give_up`]. No record of
    /// any partition comes before the answer.
    Revoked {
        /// All partitions that are taken away, started or not.
        partitions: Vec<i32>,
        /// True when they are gone already and others may own them: the session expired, or this process did
        /// not poll in time. Nothing of these partitions may be committed.
        lost: bool,
    },
    /// An error; [`scope`](super::error::scope) says what it concerns. An error without a partition, such as
    /// an unreachable cluster or a wrong password, is reported only once in a while: librdkafka repeats it up
    /// to twenty times a second.
    Error {
        /// The partition and offset that the error concerns. With [`Class::OffsetLost`], no more records come
        /// from the partition until it is started again. With any other class, its next record may lie behind
        /// records that were skipped.
        at: Option<(i32, i64)>,
        /// What went wrong.
        error: Error,
    },
    /// The client's statistics as JSON, every `statistics.interval.ms`.
    Statistics(&'a str),
}

/// A member of the consumer group, subscribed to one topic.
pub(crate) struct GroupConsumer {
    // `Drop` takes all of these apart, in this order.
    queue: Option<Queue>,
    records: Option<Records>,
    consumer: Option<Arc<Authenticated<BaseConsumer<Membership>>>>,
    credentials: Credentials,
    waker: Waker,
    topic: String,
    polling: Polling,
    rebalance: Rebalance,
    unpolled: Unpolled,
    /// The generation at the last answer to a rebalance.
    answered: Option<i32>,
    /// The group's name for this member at the last answer to a rebalance; none after a loss.
    member: Option<MemberId>,
    close_deadline: Duration,
    /// The time of the next wake-up of librdkafka's main thread.
    wake_next: Instant,
    /// True when this consumer was a member at the last wake-up.
    was_member: bool,
    /// True once the consumer was told to join.
    joining: bool,
}

impl GroupConsumer {
    /// Joins the group of `config`, which is used as it is. The caller is responsible for
    /// `partition.assignment.strategy=cooperative-sticky`, `enable.partition.eof=true`,
    /// `enable.auto.commit=false` and `auto.offset.reset=error`.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub(crate) fn new(config: &Config, topic: &str) -> Result<GroupConsumer, Error> {
        let mut prepared = GroupConsumer::prepare(config, topic)?;
        prepared.join()?;
        Ok(prepared)
    }

    /// Like [`GroupConsumer::new`], without joining: the consumer only looks for the group's coordinator.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub(crate) fn prepare(config: &Config, topic: &str) -> Result<GroupConsumer, Error> {
        const OPERATION: &str = "create consumer";
        if topic.contains('\0') {
            return Err(Error::new(
                OPERATION,
                RDKafkaErrorCode::InvalidTopic,
                "topic name contains a zero byte",
            ));
        }
        let consumer: Authenticated<BaseConsumer<Membership>> =
            config.create(OPERATION, Membership::default())?;
        keep_off_stderr(consumer.client());
        let queue = Queue::of_consumer(consumer.client())
            .ok_or_else(|| Error::own(OPERATION, Class::Fatal, "group.id is not set"))?;
        let records = Records::new(consumer.client(), &queue)
            .ok_or_else(|| Error::own(OPERATION, Class::Fatal, "no queue for records"))?;
        let consumer = Arc::new(consumer);
        Ok(GroupConsumer {
            credentials: Credentials::of(&consumer),
            waker: Waker::default(),
            queue: Some(queue),
            records: Some(records),
            consumer: Some(consumer),
            topic: topic.to_owned(),
            polling: Polling::new(config.get("bootstrap.servers").unwrap_or("").to_owned()),
            rebalance: Rebalance::Settled,
            unpolled: Unpolled::Open,
            answered: None,
            member: None,
            close_deadline: DROP_DEADLINE,
            wake_next: Instant::now(),
            was_member: false,
            joining: false,
        })
    }

    /// From now on `waker` ends a wait of [`GroupConsumer::poll`].
    pub(crate) fn woken_by(&mut self, waker: Waker) {
        let consumer = self.consumer.as_ref();
        waker.set(consumer.and_then(|consumer| Queue::of_consumer(consumer.client())));
        self.waker = waker;
    }

    /// Joins the group.
    ///
    /// # Errors
    /// The reason why librdkafka refuses the topic's name.
    pub(crate) fn join(&mut self) -> Result<(), Error> {
        let mut topics = TopicPartitionList::new();
        topics.add_topic_unassigned(&self.topic);
        self.joining = true;
        native::subscribe(self.consumer()?.client(), &topics)
    }

    /// Serves records and all other events. Waits up to `wait` for the first one, then takes all that is
    /// there: the records of one or two fetches. Returns after a rebalance event, so that it can be answered
    /// before the next one. Returns the number of records and events served.
    ///
    /// Must be called at least every `max.poll.interval.ms`; otherwise the group throws the member out.
    pub(crate) fn poll(&mut self, wait: Duration, mut on: impl FnMut(Event<'_>)) -> usize {
        self.wake_main_thread();
        let mut served = 0;
        if let Some(records) = &self.records
            && self.polling.divert(records)
        {
            // Records that were fetched before the diversion lie in the group's queue. They are older than
            // the records of the diverted queue, and would be skipped if they came later.
            let (events, rebalance) = self.events(&mut on);
            served += events;
            if rebalance {
                return served;
            }
        }
        served += self.take_records(NO_WAIT, &mut on);
        served += self.events(&mut on).0;
        if served == 0 {
            // From here on, any event in the group's queue ends the wait.
            served = self.take_records(wait, &mut on);
        }
        served
    }

    /// Serves the records of diverted partitions. Waits for the first one up to `wait`.
    fn take_records(&mut self, wait: Duration, on: &mut impl FnMut(Event<'_>)) -> usize {
        let consumer = self.consumer.as_deref().map(Deref::deref);
        let polling = &mut self.polling;
        self.records.as_ref().map_or(0, |records| {
            records.take(wait, |taken| polling.taken(taken, consumer, on))
        })
    }

    /// Serves events, and records of partitions that are not diverted. True when it ends with a rebalance,
    /// behind which more events may wait.
    fn events(&mut self, on: &mut impl FnMut(Event<'_>)) -> (usize, bool) {
        let mut served = 0;
        while let Some(event) = self.queue.as_ref().and_then(|queue| queue.poll(NO_WAIT)) {
            served += 1;
            match event.signal() {
                // A record of a partition that was not diverted yet.
                Signal::Record => {
                    if let Some(record) = event.record() {
                        on(Event::Record(record));
                    }
                }
                Signal::Rebalance => {
                    self.rebalance(&event, on);
                    return (served, true);
                }
                Signal::Error => {
                    let position = event.partition();
                    match position {
                        Some((partition, next)) if event.is_end_of_log() => {
                            on(Event::EndOfPartition { partition, next });
                        }
                        _ => {
                            let consumer = self.consumer.as_deref().map(Deref::deref);
                            let error = event.error("consume");
                            self.polling.error(position, error, consumer, on);
                        }
                    }
                }
                Signal::Statistics => {
                    if let Some(statistics) = event.statistics() {
                        on(Event::Statistics(statistics));
                    }
                }
                Signal::Log => event.log(),
                Signal::Other => {}
            }
        }
        (served, false)
    }

    /// Wakes librdkafka's main thread. Any question that this thread answers wakes it; this one takes some 50
    /// µs.
    fn wake_main_thread(&mut self) {
        let now = Instant::now();
        if now >= self.wake_next {
            self.wake_next = now + WAKE_INTERVAL;
            let consumer = self.consumer.as_ref();
            let metadata = consumer.and_then(|consumer| GroupMetadata::of(consumer.client()));
            let member = metadata.and_then(|metadata| metadata.member());
            self.was_member = member.is_some();
        }
    }

    /// True when this consumer was a member of its group a moment ago. An assignment that is polled after
    /// this call is younger than the answer.
    pub(crate) fn is_member(&mut self) -> bool {
        self.wake_main_thread();
        self.was_member
    }

    fn rebalance(&mut self, event: &RawEvent, on: &mut impl FnMut(Event<'_>)) {
        let partitions = event.partitions();
        if event.is_assignment() {
            self.rebalance = Rebalance::Assigning;
            on(match self.is_another_member() {
                true => became_another(),
                false => Event::Assigned(partitions),
            });
            return;
        }
        self.note_loss();
        let lost = std::mem::replace(&mut self.unpolled, Unpolled::Open) > Unpolled::Open;
        let restart = match std::mem::replace(&mut self.rebalance, Rebalance::Settled) {
            Rebalance::Revoking { restart, .. } => restart,
            Rebalance::Settled | Rebalance::Assigning => BTreeMap::new(),
        };
        self.rebalance = Rebalance::Revoking { lost, restart };
        if !lost && self.is_another_member() {
            on(became_another());
            return;
        }
        on(Event::Revoked { partitions, lost });
    }

    /// Notes a lost assignment. librdkafka forgets the loss at any assign, so this runs before each assign.
    fn note_loss(&mut self) {
        if let Some(consumer) = &self.consumer
            && consumer.assignment_lost()
        {
            self.unpolled = Unpolled::Lost;
        }
    }

    /// True when the member has another name although no loss was reported. A static member that the group
    /// threw out during a rebalance joins again under another name, and keeps its partitions
    /// (`rd_kafka_cgrp_handle_JoinGroup`).
    fn is_another_member(&self) -> bool {
        self.member.is_some()
            && self
                .member_now()
                .is_some_and(|now| self.member.as_ref() != Some(&now))
    }

    fn member_now(&self) -> Option<MemberId> {
        self.credentials.now()?.member()
    }

    /// Answers [`Event::Assigned`]: the partitions are owned, and are fetched once started.
    ///
    /// # Errors
    /// The client is closed or had a fatal error.
    pub(crate) fn accept_assignment(&mut self) -> Result<(), Error> {
        self.assign(&TopicPartitionList::new())?;
        if let Rebalance::Assigning = self.rebalance {
            self.rebalance = Rebalance::Settled;
        }
        self.answered = self.generation();
        self.member = self.member_now();
        if self.unpolled == Unpolled::Answered {
            // The revoke would have come before the assignment.
            self.unpolled = Unpolled::Open;
        }
        self.wake_all();
        self.hasten_next_join();
        Ok(())
    }

    /// Answers [`Event::Revoked`]: from here on, others may own the partitions.
    ///
    /// # Errors
    /// No revoke waits for an answer, or the client is closed or had a fatal error.
    pub(crate) fn give_up(&mut self, partitions: &[i32]) -> Result<(), Error> {
        let Rebalance::Revoking { lost, .. } = self.rebalance else {
            return Err(Error::own(
                "give up partitions",
                Class::Fatal,
                format!("no revoke waits for an answer, partitions {partitions:?}"),
            ));
        };
        let mut fetched = partitions.to_vec();
        fetched.retain(|partition| self.polling.fetched.contains_key(partition));
        self.unassign(&fetched)?;
        self.answered = self.generation();
        self.member = self.member_now().filter(|_| !lost);
        let answered = std::mem::replace(&mut self.rebalance, Rebalance::Settled);
        self.wake_all();
        self.hasten_next_join();
        if let Rebalance::Revoking { restart, .. } = answered {
            self.restart(restart)?;
        }
        Ok(())
    }

    /// Makes librdkafka join sooner. A cooperative rebalance has two rounds when partitions move, and these
    /// partitions have no owner between the two. librdkafka joins once a second at most (`rkcg_join_intvl`),
    /// so the gap would take a second. But it forgets the time of its last join as soon as any metadata
    /// arrive (`rd_kafka_parse_Metadata`). So metadata are requested once for each answer to a rebalance,
    /// without waiting for them.
    fn hasten_next_join(&self) {
        if let Some(consumer) = &self.consumer {
            // Without waiting there is no answer yet. That is the only error here.
            let _ = consumer.fetch_metadata(Some(&self.topic), Duration::ZERO);
        }
    }

    /// The group's name for this member, as of the last answer to a rebalance (T4).
    pub(crate) fn member(&self) -> Option<MemberId> {
        self.member.clone()
    }

    /// The credentials for the thread that commits this member's offsets.
    pub(crate) fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// The generation of the group that this member is in; -1 when it is no member (T4).
    pub(crate) fn generation(&self) -> Option<i32> {
        Some(GroupMetadata::of(self.consumer.as_ref()?.client())?.generation())
    }

    /// Leaves the group and waits for that, `deadline` at most. Answers a rebalance that waits for an answer.
    pub(crate) fn close(mut self, deadline: Duration) {
        self.close_deadline = deadline;
    }

    fn consumer(&self) -> Result<&BaseConsumer<Membership>, Error> {
        self.consumer
            .as_deref()
            .map(Deref::deref)
            .ok_or_else(|| Error::own("consume", Class::Fatal, "the consumer is closed"))
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        // A rebalance without an answer would also keep the consumer from closing.
        let until = Instant::now() + self.close_deadline;
        self.leave(until);
        // The queues must be dropped before their client.
        self.polling.silent.clear();
        if let (Some(records), Some(queue)) = (&self.records, &self.queue) {
            records.detach(queue);
        }
        self.waker.set(None);
        drop(self.queue.take());
        drop(self.records.take());
        self.credentials.end();
        if let Some(consumer) = self.consumer.take().and_then(Arc::into_inner) {
            let left = until.saturating_duration_since(Instant::now());
            close::within(consumer, left.max(CLOSE_DEADLINE_MIN));
        }
    }
}

#[cfg(test)]
mod tests;
