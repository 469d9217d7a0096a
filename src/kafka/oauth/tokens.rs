//! The current token, the thread that renews it, and the clients that get it.
//!
//! Clients do not ask for a token by librdkafka's event: a client in a blocking call, and one that is never
//! polled, would not. Instead, each has a token before its first connection, and the thread gives a new one to all.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError, c_char};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fmt, ptr, thread};

use rdkafka::client::{Client, ClientContext};
use rdkafka_sys as sys;
use tracing::{debug, error, warn};

use super::fetch::{Failure, Token, fetch};
use super::provider::Provider;
use crate::kafka::error::{Class, Error, text};

const OPERATION: &str = "fetch a token";
/// The part of its life after which a token is renewed: as much is left for attempts that fail.
const RENEWED_AFTER: f64 = 0.5;
/// Shortest time between two questions. It bounds the questions when tokens live for a moment only.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest time between two attempts while the provider gives no token. It doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Bytes for librdkafka's reason to refuse a token.
const REASON_BYTES: usize = 512;

/// The tokens of a connection. Without OAUTHBEARER there are none, and clients need none.
#[derive(Clone, Default)]
pub struct Tokens(Option<Arc<Source>>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Tokens(..)"
        } else {
            "Tokens"
        })
    }
}

impl Tokens {
    /// The tokens for the operator's properties. Nothing is fetched before a client needs one.
    pub fn of(properties: &BTreeMap<String, String>) -> Tokens {
        Tokens(Provider::of(properties).map(|provider| {
            Arc::new(Source(Arc::new(Shared {
                provider,
                state: Mutex::default(),
                changed: Condvar::new(),
            })))
        }))
    }

    /// Gives a client the current token, and later ones until the pass is dropped. The client must live longer
    /// than the pass.
    ///
    /// # Errors
    /// The provider gives no token, and has given none before.
    pub(crate) fn admit<C: ClientContext>(&self, client: &Client<C>) -> Result<Pass, Error> {
        let Some(source) = &self.0 else {
            return Ok(Pass(None));
        };
        let handle = Handle(client.native_ptr());
        let number = source.0.admit(handle)?;
        Ok(Pass(Some((Arc::clone(source), number))))
    }
}

/// Ends its thread when it is dropped.
struct Source(Arc<Shared>);

impl Drop for Source {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

/// Keeps a client among those that get new tokens.
pub(crate) struct Pass(Option<(Arc<Source>, u64)>);

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some((source, number)) = &self.0 {
            source.0.state().clients.remove(number);
        }
    }
}

/// A client of librdkafka. It is used with the lock of the state held, and only while its pass exists.
struct Handle(*mut sys::rd_kafka_t);

// SAFETY: librdkafka's clients may be used from any thread.
unsafe impl Send for Handle {}

#[derive(Default)]
struct State {
    is_running: bool,
    is_over: bool,
    /// True when a client waits for an attempt.
    is_urgent: bool,
    /// Number of attempts that have ended.
    attempts: u64,
    current: Option<Current>,
    /// Why the last attempt failed.
    failure: Option<Failure>,
    clients: BTreeMap<u64, Handle>,
    next: u64,
}

/// The last token, as librdkafka takes it.
struct Current {
    value: CString,
    principal: CString,
    /// Names and values in turn.
    extensions: Vec<CString>,
    /// Its end, in ms since 1970 by this machine's clock.
    until_ms: i64,
}

struct Shared {
    provider: Provider,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Shared>, handle: Handle) -> Result<u64, Error> {
        let mut state = self.state();
        if !state.is_running {
            let own = Arc::clone(self);
            let thread = thread::Builder::new().name("tokens".to_owned());
            thread
                .spawn(move || own.run())
                .map_err(|error| Error::thread(&error))?;
            state.is_running = true;
        }
        if state.current.is_none() {
            // An attempt that is under way may have begun long before.
            let before = state.attempts;
            state.is_urgent = true;
            self.changed.notify_all();
            let waits = |state: &mut State| state.current.is_none() && state.attempts == before;
            let waited = self.changed.wait_while(state, waits);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let Some(current) = &state.current else {
            let failure = state.failure.as_ref();
            let (class, reason) = failure.map_or((Class::Retriable, "no answer"), |failure| {
                (failure.class, failure.reason.as_str())
            });
            return Err(Error::own(
                OPERATION,
                class,
                format!("no token from {reason}"),
            ));
        };
        current.give(&handle)?;
        let number = state.next;
        state.next += 1;
        state.clients.insert(number, handle);
        Ok(number)
    }

    fn run(&self) {
        let mut pause = PAUSE_MIN;
        loop {
            let fetched = fetch(&self.provider);
            let mut state = self.state();
            state.attempts += 1;
            state.is_urgent = false;
            let wait = match fetched.and_then(|token| self.took(&mut state, &token)) {
                Ok(wait) => {
                    pause = PAUSE_MIN;
                    state.failure = None;
                    wait
                }
                Err(failure) => {
                    let reason = &failure.reason;
                    match &state.current {
                        Some(current) if current.until_ms < now_ms() => {
                            error!(%reason, "the token has expired, and there is no other: brokers refuse new connections");
                        }
                        Some(_) => {
                            warn!(%reason, "the token was not renewed, the last one goes on")
                        }
                        None => debug!(%reason, "no token"),
                    }
                    state.failure = Some(failure);
                    pause = (pause * 2).min(PAUSE_MAX);
                    pause
                }
            };
            self.changed.notify_all();
            let idles = |state: &mut State| !state.is_over && !state.is_urgent;
            let waited = self.changed.wait_timeout_while(state, wait, idles);
            if waited.unwrap_or_else(PoisonError::into_inner).0.is_over {
                return;
            }
        }
    }

    /// Gives a new token to all clients. Returns the time until it must be renewed.
    fn took(&self, state: &mut State, token: &Token) -> Result<Duration, Failure> {
        let current = Current::of(token, &self.provider).map_err(|_| Failure {
            class: Class::Denied,
            reason: format!("{}: a zero byte in the token", self.provider.endpoint),
        })?;
        for client in state.clients.values() {
            current.give(client).map_err(|error| Failure {
                class: error.class,
                reason: error.message,
            })?;
        }
        debug!(
            clients = state.clients.len(),
            life_s = token.life.as_secs(),
            principal = token.principal,
            "new token"
        );
        state.current = Some(current);
        Ok(token.life.mul_f64(RENEWED_AFTER).max(PAUSE_MIN))
    }
}

impl Current {
    fn of(token: &Token, provider: &Provider) -> Result<Current, NulError> {
        let extensions = provider.extensions.iter();
        let extensions = extensions.flat_map(|(name, value)| [name, value]);
        let life_ms = i64::try_from(token.life.as_millis()).unwrap_or(i64::MAX);
        Ok(Current {
            value: CString::new(token.value.as_str())?,
            principal: CString::new(token.principal.as_str())?,
            extensions: extensions
                .map(|text| CString::new(text.as_str()))
                .collect::<Result<_, _>>()?,
            until_ms: now_ms().saturating_add(life_ms),
        })
    }

    fn give(&self, client: &Handle) -> Result<(), Error> {
        let mut reason: [c_char; REASON_BYTES] = [0; REASON_BYTES];
        let mut extensions: Vec<*const c_char> =
            self.extensions.iter().map(|text| text.as_ptr()).collect();
        let list = match extensions.is_empty() {
            true => ptr::null_mut(),
            false => extensions.as_mut_ptr(),
        };
        // SAFETY: the client is alive, as its pass exists. The texts and the list are alive and copied; the reason
        // has the room that is stated.
        let code = unsafe {
            sys::rd_kafka_oauthbearer_set_token(
                client.0,
                self.value.as_ptr(),
                // librdkafka refuses a token that has expired; the broker says so, too.
                self.until_ms.max(now_ms() + 1_000),
                self.principal.as_ptr(),
                list,
                extensions.len(),
                reason.as_mut_ptr(),
                REASON_BYTES,
            )
        };
        match code {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            // SAFETY: librdkafka has written a text that ends with a zero.
            _ => Err(Error::own(OPERATION, Class::Denied, unsafe {
                text(reason.as_ptr())
            })),
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
