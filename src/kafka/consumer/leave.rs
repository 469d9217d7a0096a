//! Leaving the group on purpose, because closing a static member does not make it leave.
//!
//! librdkafka sends no LeaveGroup for a static member that is being closed (`rd_kafka_cgrp_leave_maybe`), so
//! its partitions would stand still until its session ends. It sends LeaveGroup when the member unsubscribes
//! and the revocation of all its partitions is answered, and forgets the member's name at that moment. A
//! close after that waits for the broker's answer. A close before that would cancel the leave.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::TopicPartitionList;
use tracing::{debug, warn};

use super::native::Signal;
use super::{GroupConsumer, Rebalance, native};
use crate::kafka::error::Error;

/// The wait for an event before the member's name is checked again.
const LEAVE_POLL: Duration = Duration::from_millis(5);
/// The wait for the first join of a consumer that is no member yet. A join that is given up while in progress
/// would leave a member without a process in the group, for a session.
const FIRST_JOIN_WAIT: Duration = Duration::from_millis(500);

impl GroupConsumer {
    /// Leaves the group. Gives up at `until`; then the session ends the membership.
    pub(super) fn leave(&mut self, until: Instant) {
        if !self.joining {
            return;
        }
        if let Err(error) = self.try_leave(until) {
            warn!(%error, "the group was not left on purpose, it notices the missing heartbeats");
        }
    }

    fn try_leave(&mut self, until: Instant) -> Result<(), Error> {
        if let Rebalance::Assigning = self.rebalance {
            self.accept_assignment()?;
        }
        let fetched: Vec<i32> = self.polling.fetched.keys().copied().collect();
        // This also answers a revoke that waits.
        self.unassign(&fetched)?;
        if !self.has_name() && self.answered.is_some() {
            debug!("no member of the group any more");
            return Ok(());
        }
        // Unsubscribing now would make librdkafka ignore the answer to its first join.
        if !self.comes_to(true, until.min(Instant::now() + FIRST_JOIN_WAIT))? {
            return Ok(());
        }
        native::unsubscribe(self.consumer()?.client())?;
        if !self.comes_to(false, until)? {
            warn!("the group was not left in time, it notices the missing heartbeats");
        }
        Ok(())
    }

    /// Answers rebalances until the group has a name for this member, or no longer has one. False when this
    /// does not happen in time.
    fn comes_to(&self, named: bool, until: Instant) -> Result<bool, Error> {
        while self.has_name() != named {
            if Instant::now() >= until {
                return Ok(false);
            }
            self.answer_waiting()?;
        }
        Ok(true)
    }

    /// True while the member has a name. librdkafka forgets the name as soon as LeaveGroup is on its way.
    fn has_name(&self) -> bool {
        self.credentials
            .now()
            .is_some_and(|known| !known.name().is_empty())
    }

    /// Waits for an event, and answers a rebalance. All other events are ignored.
    fn answer_waiting(&self) -> Result<(), Error> {
        let Some(event) = self.queue.as_ref().and_then(|queue| queue.poll(LEAVE_POLL)) else {
            return Ok(());
        };
        if event.signal() != Signal::Rebalance {
            return Ok(());
        }
        let (client, nothing) = (self.consumer()?.client(), TopicPartitionList::new());
        if event.is_assignment() {
            native::incremental_assign(client, &nothing)
        } else {
            native::incremental_unassign(client, &nothing)
        }
    }
}
