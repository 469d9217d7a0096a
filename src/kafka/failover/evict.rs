//! Removes a member that is gone from the group: joins in its place, and leaves.
//!
//! No call of the client library removes a member. Whoever may read the group can do this: a consumer with the
//! `group.instance.id` of a static member takes its place, the member is told `FENCED_INSTANCE_ID` when it comes
//! back, and the group shares its partitions out as soon as the consumer leaves. The consumer fetches and commits
//! nothing, and none of its errors concerns this process's engine.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::fence;
use super::shared::Shared;
use crate::kafka::admin::{Admin, Listed};
use crate::kafka::clients::Connection;
use crate::kafka::consumer::{Event, GroupConsumer};
use crate::kafka::error::{Class, Error};
use crate::processor::failover::observer::Victim;
use crate::service::metrics::Metrics;

/// What the client ID of an evictor ends with. No instance is called so: its name has no slash.
const EVICTOR: &str = "/evicts";
/// How long brokers may take to say who is in the group: many times what they take. All of them are asked, and one
/// that is away must not keep the answer of the group's coordinator.
const ASK_DEADLINE: Duration = Duration::from_millis(300);
/// How long the join may take to be answered: in a group that waits for another member it takes until that one has
/// joined again or its session ends. Given up earlier, it leaves a member behind that nobody is, for a session.
const JOIN_DEADLINE: Duration = Duration::from_secs(6);
/// How often to look for the answer.
const JOIN_POLL: Duration = Duration::from_millis(5);
/// How long leaving may take.
const LEAVE_DEADLINE: Duration = Duration::from_secs(3);
/// How long all of it may take, after which nobody waits for it any more.
pub(super) const EVICTION_MAX: Duration = Duration::from_secs(10);
const _: () = assert!(JOIN_DEADLINE.as_secs() + LEAVE_DEADLINE.as_secs() < EVICTION_MAX.as_secs());

/// What came of an eviction.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The victim is a member no more.
    Evicted,
    /// It was none already.
    Left,
    /// It is better to look again.
    NotNow(&'static str),
    /// It was tried.
    Failed(Error),
}

/// What an eviction needs.
pub(super) struct Evictor {
    pub(super) connection: Connection,
    /// The topic of the group's members.
    pub(super) requests: String,
    pub(super) admin: Admin,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
}

impl Evictor {
    pub(super) fn evict(&self, victim: &Victim) -> Outcome {
        let outcome = self.try_evict(victim).unwrap_or_else(Outcome::Failed);
        let Victim { instance, .. } = victim;
        match &outcome {
            Outcome::Evicted => {}
            Outcome::Left => info!(peer = instance, "the silent peer is no member of the group"),
            Outcome::NotNow(reason) => debug!(peer = instance, reason, "not evicted"),
            Outcome::Failed(error) => {
                self.metrics.failover.failed.inc();
                warn!(peer = instance, %error, "the eviction failed");
            }
        }
        self.shared.observe(|observer, _| match &outcome {
            Outcome::Evicted => observer.evicted(victim),
            Outcome::Left => observer.left(victim),
            Outcome::NotNow(_) | Outcome::Failed(_) => {}
        });
        outcome
    }

    /// Who is in the group. Asked once at the start, it finds out whether it may, and has its connections.
    pub(super) fn ask(&self) -> Result<Vec<Listed>, Error> {
        self.admin
            .listed_members(&self.connection.group, ASK_DEADLINE)
    }

    fn try_evict(&self, victim: &Victim) -> Result<Outcome, Error> {
        // Made first: it finds the coordinator while the group is asked.
        let consumer = GroupConsumer::prepare(&self.consumer(victim), &self.requests)?;
        let members = self.ask()?;
        let is_member = |instance: &str| {
            members
                .iter()
                .any(|member| member.instance() == Some(instance))
        };
        // That of one that is gone itself has been left behind in the group.
        let of_living = |owner: &str| {
            self.shared
                .observe(|observer, now_ms| observer.is_alive(now_ms, owner))
        };
        if members
            .iter()
            .filter_map(|member| member.client_id.strip_suffix(EVICTOR))
            .any(of_living)
        {
            return Ok(Outcome::NotNow("another eviction is under way"));
        }
        if !is_member(&self.connection.instance_id) {
            return Ok(Outcome::NotNow("this instance is no member itself"));
        }
        if !is_member(&victim.instance) {
            return Ok(Outcome::Left);
        }
        let silence_ms = self.shared.observe(|observer, now_ms| {
            let may_join = observer.may_join(now_ms, victim);
            may_join.then(|| {
                observer.evicts(now_ms, victim);
                observer.silence(now_ms, &victim.instance)
            })
        });
        let Some(silence_ms) = silence_ms else {
            return Ok(Outcome::NotNow("it was heard, or this instance was late"));
        };
        let Victim {
            instance,
            incarnation,
        } = victim;
        info!(
            peer = instance,
            incarnation, silence_ms, "evicting a peer: joining in its place"
        );
        let evict = || self.join_and_leave(consumer, victim);
        let ended = || Ok(Outcome::NotNow("the engine ends"));
        self.shared.evicting(evict).unwrap_or_else(ended)
    }

    fn join_and_leave(
        &self,
        mut consumer: GroupConsumer,
        victim: &Victim,
    ) -> Result<Outcome, Error> {
        let began = Instant::now();
        consumer.join()?;
        let (mut joined, mut failure) = (false, None);
        while !joined && failure.is_none() && began.elapsed() < JOIN_DEADLINE {
            consumer.poll(JOIN_POLL, |event| match event {
                Event::Assigned(_) => joined = true,
                Event::Error { error, .. } if is_end(&error) => failure = Some(error),
                Event::Error { error, .. } => debug!(%error, "evictor"),
                _ => {}
            });
        }
        if !joined {
            let late = || {
                Error::own(
                    "evict",
                    Class::Retriable,
                    "the join was not answered in time",
                )
            };
            return Err(failure.unwrap_or_else(late));
        }
        let peer = &victim.instance;
        let took_ms = began.elapsed().as_millis();
        info!(
            peer,
            took_ms, "evicting a peer: it is fenced; leaving in its place"
        );
        // Not before the join is answered: a member that is alive would be fenced.
        thread::scope(|scope| {
            scope.spawn(|| self.fence(peer));
            consumer.close(LEAVE_DEADLINE);
            let took_ms = began.elapsed().as_millis();
            self.metrics.failover.evicted.inc();
            info!(peer, took_ms, "evicted a peer: it has left the group");
        });
        Ok(Outcome::Evicted)
    }

    /// Its open transaction holds up whoever takes over from it. That it cannot be ended is no failure: it ends by
    /// its time-out.
    fn fence(&self, instance: &str) {
        let began = Instant::now();
        match fence::end_transaction(&self.of(instance)) {
            Ok(()) => {
                let took_ms = began.elapsed().as_millis();
                info!(
                    peer = instance,
                    took_ms, "the transaction of an evicted peer is ended"
                );
            }
            Err(error) => warn!(
                peer = instance, %error,
                "the transaction of an evicted peer was not ended, it ends by its time-out"
            ),
        }
    }

    fn of(&self, instance: &str) -> Connection {
        Connection {
            instance_id: instance.to_owned(),
            ..self.connection.clone()
        }
    }

    fn consumer(&self, victim: &Victim) -> rdkafka::ClientConfig {
        let mut config = self.of(&victim.instance).group_consumer();
        let client_id = format!("{}{EVICTOR}", self.connection.instance_id);
        config.set("client.id", client_id);
        config
    }
}

/// Another member has the place by now, or the group may not be joined.
fn is_end(error: &Error) -> bool {
    matches!(error.class, Class::Fenced | Class::Fatal | Class::Denied)
}
