//! Watches the peers on its own thread: reads their heartbeats, and evicts a peer that is gone.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::evict::{Evictor, Outcome};
use super::heartbeats::Heartbeats;
use super::ready::Ready;
use super::shared::Shared;
use super::tail::{Heard, Tail};
use crate::kafka::admin::Admin;
use crate::kafka::clients::Connection;
use crate::kafka::error::{Class, Error};
use crate::observe::metrics::Metrics;
use crate::processor::failover::heartbeat::RECORDS_PER_SECOND_MAX;
use crate::processor::failover::observer::{self, Suspect, TURN_MS, Victim};
use crate::wire::heartbeat::Sign;

/// The wait for heartbeats in a turn: two turns fit into [`TURN_MS`].
const READ_WAIT: Duration = Duration::from_millis(TURN_MS / 2);
/// Upper limit for the heartbeats that one turn takes: those of a second. After a pause of this process there
/// may be more, and the observer must have its turns all the same.
const READ_MAX: u32 = RECORDS_PER_SECOND_MAX;
/// An engine without a turn for this time takes nothing over, so it evicts nobody.
const ENGINE_SILENCE_MAX: Duration = Duration::from_millis(500);
/// The pause after an answer of the group that was no reason to evict.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// The pause after an eviction that failed, which the log reports.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// How often the consumers that are ready for evictions are looked at, in ms.
const READY_EVERY_MS: u64 = 1_000;
/// The pause before heartbeats that could not be read are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Watch {
    pub(super) connection: Connection,
    pub(super) heartbeats: Heartbeats,
    /// The topic that the members of the group subscribe to.
    pub(super) requests: String,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
}

impl Watch {
    pub(super) fn run(self) {
        let mut told = false;
        while !self.shared.stops() {
            let result = self.watch();
            self.metrics.failover.active.set(0);
            let Err(error) = result else {
                return;
            };
            if !told {
                told = true;
                warn!(%error, "no failover: peers are not watched, and the group notices by itself who is gone");
            }
            if error.class == Class::Denied {
                return;
            }
            std::thread::park_timeout(RETRY_PAUSE);
        }
    }

    /// Watches until the engine ends.
    fn watch(&self) -> Result<(), Error> {
        let back = Duration::from_millis(self.connection.session_timeout_ms());
        let tail = Tail::begin(&self.connection, &self.heartbeats.topic, back)?;
        let evictor = Arc::new(Evictor {
            connection: self.connection.clone(),
            requests: self.requests.clone(),
            admin: Admin::new(&self.connection.admin())?,
            shared: Arc::clone(&self.shared),
            metrics: Arc::clone(&self.metrics),
            ready: Ready::default(),
        });
        match evictor.ask() {
            Err(error) if error.class == Class::Denied => return Err(error),
            Err(error) => debug!(%error, "the group was not asked yet"),
            Ok(_) => {}
        }
        let mut turns = Turns {
            watch: self,
            evictor,
            past: Some(Vec::new()),
            late: true,
            eviction: None,
            ask_ms: 0,
            changing: None,
            ready_ms: 0,
        };
        while !self.shared.stops() {
            turns.turn(&tail)?;
        }
        Ok(())
    }
}

struct Turns<'a> {
    watch: &'a Watch,
    evictor: Arc<Evictor>,
    /// The heartbeats that were there when reading began, until their age is known. They cover two seconds or
    /// more, and at most a session of them counts.
    past: Option<Vec<Heard>>,
    late: bool,
    /// The running eviction. There is at most one at a time.
    eviction: Option<JoinHandle<Outcome>>,
    /// The time when the group may be asked again.
    ask_ms: u64,
    /// The thread that makes consumers ready.
    changing: Option<JoinHandle<()>>,
    /// The time of the next look at the consumers that are ready.
    ready_ms: u64,
}

impl Turns<'_> {
    fn turn(&mut self, tail: &Tail) -> Result<(), Error> {
        let late = self
            .shared()
            .observe(|observer, now_ms| observer.turn(now_ms));
        self.note_late(late);
        let mut wait = READ_WAIT;
        for _ in 0..READ_MAX {
            let Some(heard) = tail.next(wait)? else {
                break;
            };
            self.heard(heard);
            wait = Duration::ZERO;
        }
        for suspect in self
            .shared()
            .observe(|observer, now_ms| observer.suspects(now_ms))
        {
            self.suspect(&suspect);
        }
        self.end_eviction()?;
        if self.eviction.is_none() {
            self.begin_eviction();
        }
        if self.shared().now_ms() >= self.ready_ms {
            self.ready_ms = self.shared().now_ms() + READY_EVERY_MS;
            self.evictor.get_ready(&mut self.changing);
        }
        Ok(())
    }

    fn shared(&self) -> &Shared {
        &self.watch.shared
    }

    fn note_late(&mut self, late: bool) {
        let failover = &self.watch.metrics.failover;
        if late && !self.late {
            failover.late.inc();
            self.evictor.ready.doubt();
            debug!("own heartbeats are late; no peer is suspected");
        } else if !late {
            failover.active.set(1);
        }
        self.late = late;
    }

    fn heard(&mut self, mut heard: Heard) {
        if heard.old {
            if let Some(past) = &mut self.past {
                past.push(heard);
            }
            return;
        }
        let told = heard.told.take();
        // A peer writes the notice of an eviction, in the name of another instance.
        if let (Some(told), Sign::Alive) = (told, heard.heartbeat.sign) {
            self.shared().told(heard.heartbeat.instance.clone(), told);
        }
        let session_ms = self.watch.connection.session_timeout_ms();
        let session_ms = i64::try_from(session_ms).unwrap_or(i64::MAX);
        // Both times are from the brokers' clock.
        let began_ms = heard.appended_ms.saturating_sub(session_ms);
        let past = self.past.take().unwrap_or_default().into_iter();
        let past = past.filter(|old| old.appended_ms >= began_ms);
        for heard in past.chain([heard]) {
            let said = self
                .shared()
                .observe(|observer, now_ms| observer.heard(now_ms, &heard.heartbeat));
            let peer = heard.heartbeat.instance;
            match said {
                observer::Heard::Ordinary => {}
                observer::Heard::AfterSilence => {
                    info!(peer, "a peer that was silent is heard again");
                }
                observer::Heard::OfOwnEviction => {
                    let session_ms = self.watch.connection.session_timeout_ms();
                    self.watch.heartbeats.evicted(session_ms);
                    warn!("a peer takes this instance for gone and evicts it");
                }
                observer::Heard::AfterEviction => {
                    self.watch.metrics.failover.alive.inc();
                    warn!(
                        peer,
                        "a peer that was evicted lives; it is given more time from now on"
                    );
                }
            }
        }
    }

    fn suspect(&self, suspect: &Suspect) {
        self.watch.metrics.failover.suspicions.inc();
        self.shared().fell_silent(suspect.heard_ms);
        warn!(
            peer = suspect.victim.instance,
            incarnation = suspect.victim.incarnation,
            silence_ms = suspect.silence_ms,
            "a peer is silent: no heartbeat of it, while our own come back"
        );
    }

    fn begin_eviction(&mut self) {
        if self.shared().engine_silence() > ENGINE_SILENCE_MAX {
            return;
        }
        let due = self
            .shared()
            .observe(|observer, now_ms| (now_ms >= self.ask_ms).then(|| observer.victim(now_ms)));
        let Some(victim) = due.flatten() else {
            return;
        };
        self.evict(victim);
    }

    /// Starts the eviction on its own thread, because heartbeats must be read meanwhile.
    fn evict(&mut self, victim: Victim) {
        let evictor = Arc::clone(&self.evictor);
        let thread = std::thread::Builder::new()
            .name("evictor".to_owned())
            .spawn(move || evictor.evict(&victim));
        match thread {
            Ok(thread) => self.eviction = Some(thread),
            Err(error) => warn!(%error, "no thread to evict a peer on"),
        }
    }

    /// # Errors
    /// This instance has no permission to evict.
    fn end_eviction(&mut self) -> Result<(), Error> {
        if !self.eviction.as_ref().is_some_and(JoinHandle::is_finished) {
            return Ok(());
        }
        let pause = match self.eviction.take().map(JoinHandle::join) {
            Some(Ok(Outcome::Failed(error))) if error.class == Class::Denied => return Err(error),
            Some(Ok(Outcome::Failed(_)) | Err(_)) => FAILED_PAUSE,
            _ => ASK_AGAIN,
        };
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.ask_ms = self.shared().now_ms() + pause_ms;
        Ok(())
    }
}

impl Drop for Turns<'_> {
    /// Waits for the eviction. An eviction that is given up between joining and leaving would leave a member
    /// without a process in the group.
    fn drop(&mut self) {
        if let Some(eviction) = self.eviction.take() {
            // Each step of the eviction has a deadline.
            let _ = eviction.join();
        }
    }
}
