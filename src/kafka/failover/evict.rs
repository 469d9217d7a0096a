//! Removes a member that is gone from the group: joins under its `group.instance.id`, and leaves.
//!
//! No call of the client library removes a member. Any client with read access to the group can do it: a
//! consumer with the `group.instance.id` of a static member takes its place. The old member gets
//! `FENCED_INSTANCE_ID` when it comes back, and the group assigns its partitions to others as soon as the
//! consumer leaves. The consumer fetches and commits nothing, and none of its errors concerns this process's
//! engine.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::fence::Fence;
use super::ready::Ready;
use super::shared::Shared;
use crate::kafka::admin::{Admin, Listed};
use crate::kafka::client::Config;
use crate::kafka::clients::Connection;
use crate::kafka::consumer::{Event, GroupConsumer};
use crate::kafka::error::{Class, Error};
use crate::observe::metrics::Metrics;
use crate::processor::failover::observer::{Victim, may_fence};

/// The suffix of an evictor's client ID. No instance has such a name, because an `instance_id` contains no
/// slash.
const EVICTOR: &str = "/evicts";
/// How long brokers may take to list the members of the group: many times the usual time. All brokers are
/// asked, and one that is away must not delay the answer of the group's coordinator.
const ASK_DEADLINE: Duration = Duration::from_millis(300);
/// How long the answer to the join may take. In a group that waits for another member, the answer comes when
/// that member has joined again or its session ends. A join that is given up earlier leaves a member without
/// a process in the group, for a session.
const JOIN_DEADLINE: Duration = Duration::from_secs(6);
/// The interval at which the answer is looked for.
const JOIN_POLL: Duration = Duration::from_millis(5);
/// How long leaving may take.
const LEAVE_DEADLINE: Duration = Duration::from_secs(3);
/// How long the whole eviction may take. After this time no thread waits for it.
pub(super) const EVICTION_MAX: Duration = Duration::from_secs(10);
const _: () = assert!(JOIN_DEADLINE.as_secs() + LEAVE_DEADLINE.as_secs() < EVICTION_MAX.as_secs());

/// How long the end of a transaction is tried. After this time it has ended by its time-out of 5 s and the
/// brokers' look every 10 s.
const FENCE_MAX: Duration = Duration::from_secs(15);

/// The result of an eviction.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The victim is no longer a member.
    Evicted,
    /// The victim was not a member when the group was asked.
    Left,
    /// The eviction was not tried; the reason may have passed at the next look.
    NotNow(&'static str),
    /// The eviction was tried and failed.
    Failed(Error),
}

/// Evicts one victim at a time.
pub(super) struct Evictor {
    pub(super) connection: Connection,
    /// The topic that the members of the group subscribe to.
    pub(super) requests: String,
    pub(super) admin: Admin,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) ready: Ready,
}

impl Evictor {
    /// Has consumers ready for the peers that this instance would be the first to evict. Closing a consumer that is no
    /// longer wanted may take long, so changes have a thread of their own.
    pub(super) fn get_ready(self: &Arc<Evictor>, changing: &mut Option<JoinHandle<()>>) {
        let wanted = self
            .shared
            .observe(|observer, now_ms| observer.first_for(now_ms));
        let is_changing = changing
            .as_ref()
            .is_some_and(|thread| !thread.is_finished());
        if !self.ready.serve(&wanted) || is_changing {
            return;
        }
        let own = Arc::clone(self);
        let change = move || {
            own.ready.change(&wanted, |instance| {
                let made = GroupConsumer::prepare(&own.consumer(instance), &own.requests);
                made.inspect_err(|error| debug!(%error, "no consumer is ready for an eviction"))
                    .ok()
            });
        };
        let thread = thread::Builder::new().name("ready".to_owned());
        *changing = thread.spawn(change).ok();
    }

    pub(super) fn evict(self: &Arc<Evictor>, victim: &Victim) -> Outcome {
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
        outcome
    }

    /// Lists the members of the group. The first call, at the start, shows whether this instance may list
    /// them, and opens the connections.
    pub(super) fn ask(&self) -> Result<Vec<Listed>, Error> {
        self.admin
            .listed_members(&self.connection.group, ASK_DEADLINE)
    }

    fn try_evict(self: &Arc<Evictor>, victim: &Victim) -> Result<Outcome, Error> {
        // If no consumer is ready, it is made first: it finds the coordinator while the group is asked. A peer that is
        // left to the group is only looked for, again and again, which needs no consumer.
        let may_join = self
            .shared
            .observe(|observer, now_ms| observer.may_join(now_ms, victim));
        let prepare = || match self.ready.take(&victim.instance) {
            Some(consumer) => Ok(consumer),
            None => GroupConsumer::prepare(&self.consumer(&victim.instance), &self.requests),
        };
        let consumer = may_join.then(prepare).transpose()?;
        let members = self.ask()?;
        let is_member = |instance: &str| {
            members
                .iter()
                .any(|member| member.instance() == Some(instance))
        };
        // An evictor whose own instance is gone has been left behind in the group.
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
            self.end_left_transaction(victim, &members);
            return Ok(Outcome::Left);
        }
        let silence_ms = self.shared.observe(|observer, now_ms| {
            let may_join = consumer.is_some() && observer.may_join(now_ms, victim);
            may_join.then(|| {
                observer.evicts(now_ms, victim);
                observer.silence(now_ms, &victim.instance)
            })
        });
        let Some((consumer, silence_ms)) = consumer.zip(silence_ms) else {
            return Ok(Outcome::NotNow("it was heard, or this instance was late"));
        };
        let Victim {
            instance,
            incarnation,
        } = victim;
        self.shared.announce(victim);
        info!(
            peer = instance,
            incarnation, silence_ms, "evicting a peer: joining in its place"
        );
        let evict = || self.join_and_leave(consumer, victim);
        let ended = || Ok(Outcome::NotNow("the engine ends"));
        self.shared.evicting(evict).unwrap_or_else(ended)
    }

    fn join_and_leave(
        self: &Arc<Evictor>,
        mut consumer: GroupConsumer,
        victim: &Victim,
    ) -> Result<Outcome, Error> {
        let began = Instant::now();
        let fence = self.fence(victim);
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
        // From here on the victim is thrown out, so a heartbeat of it means that it lives. The end of its
        // transaction may take seconds, in which it comes back as another incarnation.
        self.shared.observe(|observer, _| observer.evicted(victim));
        let peer = &victim.instance;
        let took_ms = began.elapsed().as_millis();
        info!(
            peer,
            took_ms, "evicting a peer: it is fenced; leaving in its place"
        );
        // Not before the join is answered: a member that is alive would be fenced.
        let _ = fence.send(());
        consumer.close(LEAVE_DEADLINE);
        let took_ms = began.elapsed().as_millis();
        self.metrics.failover.evicted.inc();
        info!(peer, took_ms, "evicted a peer: it has left the group");
        Ok(Outcome::Evicted)
    }

    /// Ends the open transaction of a silent peer that left the group, or was thrown out of it by the end of its
    /// session, and forgets the peer.
    fn end_left_transaction(self: &Arc<Evictor>, victim: &Victim, members: &[Listed]) {
        let names = members.iter().flat_map(|member| {
            let names = [member.instance(), Some(member.client_id.as_str())];
            names.into_iter().flatten()
        });
        let may_fence = self.shared.observe(|observer, now_ms| {
            let stopped = observer.has_stopped(now_ms, &victim.instance);
            may_fence(&victim.instance, stopped, names)
        });
        if may_fence {
            let _ = self.fence(victim).send(());
        }
        self.shared.observe(|observer, _| observer.left(victim));
    }

    /// Gets ready to end the open transaction of the victim, which delays the new owner of its partitions, and hides
    /// the replies of others. It is ended once the returned value has sent; it is left alone if that is dropped before.
    /// Nobody waits for the end. A failure does not fail the eviction.
    fn fence(self: &Arc<Evictor>, victim: &Victim) -> Sender<()> {
        let (go, wait) = mpsc::channel();
        let (own, of) = (Arc::clone(self), victim.clone());
        let thread = thread::Builder::new().name("fence".to_owned());
        if let Err(error) = thread.spawn(move || own.end_transaction(&of, &wait)) {
            warn!(%error, "no thread to end a transaction on");
        }
        go
    }

    fn end_transaction(&self, victim: &Victim, wait: &Receiver<()>) {
        let peer = &victim.instance;
        let of = self.of(peer);
        let prepare = || Fence::prepare(&of, &self.requests);
        let mut prepared = prepare();
        if wait.recv().is_err() {
            return;
        }
        let began = Instant::now();
        for attempts in 0.. {
            let ended = prepared.and_then(|fence| fence.end_transaction(attempts));
            let took_ms = began.elapsed().as_millis();
            let Err(error) = ended else {
                return info!(peer, took_ms, "the transaction of a silent peer is ended");
            };
            // The coordinator may be away together with the victim. A victim that is back fences its own past.
            let is_back = self
                .shared
                .observe(|observer, now_ms| observer.is_alive(now_ms, peer));
            let is_over = error.class == Class::Denied || began.elapsed() >= FENCE_MAX;
            if is_over || is_back || self.shared.stops() {
                return warn!(
                    peer, took_ms, %error,
                    "the transaction of a silent peer was not ended, it ends by its time-out"
                );
            }
            debug!(peer, took_ms, %error, "the transaction of a silent peer is not ended yet");
            prepared = prepare();
        }
    }

    fn of(&self, instance: &str) -> Connection {
        Connection {
            instance_id: instance.to_owned(),
            ..self.connection.clone()
        }
    }

    fn consumer(&self, instance: &str) -> Config {
        let mut config = self.of(instance).group_consumer();
        let client_id = format!("{}{EVICTOR}", self.connection.instance_id);
        config.set("client.id", client_id);
        config
    }
}

/// True when another member has taken the place, or when the group may not be joined.
fn is_end(error: &Error) -> bool {
    matches!(error.class, Class::Fenced | Class::Fatal | Class::Denied)
}
