//! HTTP calls through two gateways, which their callers repeat with the same keys, and the judge of the answers. A
//! repeat gets the IDs of the first call. A call that ended with 503 took no ID. A call without an answer took at most
//! the IDs that its repeat returns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::instance::Instance;
use crate::support::random::Random;
use crate::support::service::Service;
use crate::support::tail::{self, Isolation, Raw};
use crate::support::{DEADLINE, http};

use super::proxy::Proxy;

/// The gateways. The second gateway connects through the proxy, so that faults of links reach it.
pub const GATEWAYS: [&str; 2] = ["g", "h"];
/// The timeout is below the length of most faults, so that callers see both kinds of failure.
const SETTINGS: [&str; 1] = ["gateway.timeout_ms=3000"];
/// Number of callers of each gateway.
const CALLERS: u64 = 2;
/// Number of sequences that they use.
const SEQUENCES: u64 = 3;
/// The prefix of the sequences' names.
const CALLED: &str = "called-";
/// Time between two calls of a caller, and before a repeat.
const PAUSE: Duration = Duration::from_millis(20);
/// After one of this many answers, the caller repeats the call although it has its answer.
const REPEATED_ONE_IN: u64 = 8;
/// After one of this many first 503s, the call is never repeated: its record must not be in the log.
const ABANDONED_ONE_IN: u64 = 2;
/// The longest wait for an answer on a connection. The gateway answers earlier.
const PATIENCE: Duration = Duration::from_secs(8);

/// The answer that a caller got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The first and the last ID.
    Ids(i64, i64),
    Status(u16),
    /// The connection ended without an answer.
    Nothing,
}

/// One attempt of a call.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub key: String,
    pub told: Told,
}

/// Callers and their gateways.
pub struct Calls {
    gateways: Vec<Instance>,
    ports: Arc<[AtomicU16; 2]>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<Attempt>>>,
}

fn spawn(service: &Service, proxy: &Proxy, gateway: usize) -> Instance {
    let mut service = service.clone();
    if gateway == 1 {
        service.bootstrap = proxy.bootstrap();
    }
    service.spawn_gateway(GATEWAYS[gateway], &SETTINGS)
}

impl Calls {
    /// Starts the gateways and their callers.
    pub fn start(service: &Service, proxy: &Proxy, random: &mut Random) -> Calls {
        let gateways: Vec<Instance> = (0..GATEWAYS.len())
            .map(|gateway| {
                let mut gateway = spawn(service, proxy, gateway);
                gateway.wait_ready();
                gateway
            })
            .collect();
        let ports: Arc<[AtomicU16; 2]> =
            Arc::new([0, 1].map(|gateway: usize| AtomicU16::new(gateways[gateway].port())));
        let stop = Arc::new(AtomicBool::new(false));
        let callers = (0..GATEWAYS.len() as u64 * CALLERS)
            .map(|caller| {
                let (ports, stop) = (Arc::clone(&ports), Arc::clone(&stop));
                let random = random.fork();
                thread::spawn(move || call(caller, &ports, &stop, random))
            })
            .collect();
        Calls {
            gateways,
            ports,
            stop,
            callers,
        }
    }

    /// Kills a gateway, and starts it again after `hold`.
    pub fn kill(&mut self, service: &Service, proxy: &Proxy, gateway: usize, hold: Duration) {
        self.gateways.remove(gateway).sigkill();
        thread::sleep(hold);
        let started = spawn(service, proxy, gateway);
        self.ports[gateway].store(started.port(), Ordering::SeqCst);
        self.gateways.insert(gateway, started);
    }

    /// Waits until each call is answered, and ends the callers and the gateways. Returns all attempts.
    pub fn stop(self) -> Vec<Attempt> {
        self.stop.store(true, Ordering::SeqCst);
        let attempts = self
            .callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap());
        let attempts = attempts.collect();
        for gateway in self.gateways {
            assert_eq!(gateway.sigterm_and_wait(), 0);
        }
        attempts
    }
}

/// Runs one caller. It makes one call after another, and repeats each with its key until it is answered.
fn call(
    caller: u64,
    ports: &[AtomicU16; 2],
    stop: &AtomicBool,
    mut random: Random,
) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut number = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let key = format!("call-{caller}-{number}");
        let path = format!("/v1/sequences/{CALLED}{}/next", number % SEQUENCES);
        let mut deadline = None;
        for attempt in 0_u64.. {
            let port = ports[(caller % 2) as usize].load(Ordering::SeqCst);
            let headers = format!("Idempotency-Key: {key}\r\n");
            let told = match http::send(port, "POST", &path, &headers, "", PATIENCE) {
                Ok(response) if response.status == 200 => ids(&response.body),
                Ok(response) => Told::Status(response.status),
                Err(_) => Told::Nothing,
            };
            attempts.push(Attempt {
                key: key.clone(),
                told,
            });
            match told {
                Told::Ids(..) if random.below(REPEATED_ONE_IN) > 0 => break,
                Told::Status(503) if attempt == 0 && random.below(ABANDONED_ONE_IN) == 0 => break,
                _ => {}
            }
            // The judge reports a call that has no answer at the end.
            if stop.load(Ordering::SeqCst) {
                let end = *deadline.get_or_insert_with(|| Instant::now() + DEADLINE);
                if Instant::now() > end || matches!(told, Told::Ids(..)) {
                    break;
                }
            }
            thread::sleep(PAUSE);
        }
        thread::sleep(PAUSE);
    }
    attempts
}

fn ids(body: &str) -> Told {
    let json: Value = serde_json::from_str(body).unwrap();
    let id = |field: &str| json[field].as_i64().unwrap();
    Told::Ids(id("first"), id("last"))
}

/// The records of the calls in the topics.
#[derive(Default)]
pub struct Topics {
    /// The keys of the records in the log.
    pub written: BTreeSet<String>,
    /// The IDs that the records of each key got, in all replies.
    pub granted: BTreeMap<String, BTreeSet<(i64, i64)>>,
}

/// True for a record that a gateway wrote.
pub fn is_of_a_gateway(record: &Raw, service: &Service) -> bool {
    record.header("REPLY_TOPIC") == Some(service.gateway_replies.as_bytes())
}

/// True for the key of a reply to a gateway: to a call, or to its check that the service answers.
pub fn is_called(key: Option<&[u8]>) -> bool {
    key.is_some_and(|key| key.starts_with(CALLED.as_bytes()) || key == b"__policy")
}

impl Topics {
    pub fn read(service: &Service) -> Topics {
        let mut topics = Topics::default();
        for record in tail::raw(&service.bootstrap, &service.requests) {
            let value = record.value.as_deref().unwrap_or_default();
            let value: Value = serde_json::from_slice(value).unwrap_or_default();
            if let Some(key) = value["request_id"].as_str() {
                topics.written.insert(key.to_owned());
            }
        }
        // A reply that could not be written to its gateway's topic is on the default topic.
        let replies = [&service.gateway_replies, &service.replies].into_iter();
        let replies = replies
            .flat_map(|topic| tail::replies(&service.bootstrap, topic, Isolation::Uncommitted));
        for reply in replies.filter(|reply| is_called(reply.key.as_deref())) {
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            let ids = (body["first"].as_i64(), body["last"].as_i64());
            if let (Some(key), (Some(first), Some(last))) = (body["request_id"].as_str(), ids) {
                let granted = topics.granted.entry(key.to_owned()).or_default();
                granted.insert((first, last));
            }
        }
        topics
    }
}

/// A broken promise to callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Two answers to one key have different IDs.
    OtherIds(String),
    /// The records of one key took more IDs than its answer has.
    TookMore(String),
    /// The log has a call whose only answers were 503.
    Written(String),
    /// A call has no answer, and its caller did not give it up.
    Unanswered(String),
}

/// The judgement, with the number of each kind of answer.
pub struct Verdict {
    pub wrong: Vec<Wrong>,
    keys: usize,
    refused: usize,
    doubtful: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls, {} attempts refused with 503, {} without an answer in time: {} wrong",
            self.keys,
            self.refused,
            self.doubtful,
            self.wrong.len()
        )
    }
}

pub fn judge(attempts: &[Attempt], topics: &Topics) -> Verdict {
    let mut calls: BTreeMap<&str, Vec<Told>> = BTreeMap::new();
    for attempt in attempts {
        calls.entry(&attempt.key).or_default().push(attempt.told);
    }
    let count = |is: fn(Told) -> bool| attempts.iter().filter(|attempt| is(attempt.told)).count();
    let mut verdict = Verdict {
        wrong: Vec::new(),
        keys: calls.len(),
        refused: count(|told| told == Told::Status(503)),
        doubtful: count(|told| matches!(told, Told::Status(504) | Told::Nothing)),
    };
    for (key, told) in calls {
        let ids = |told: &Told| match told {
            Told::Ids(first, last) => Some((*first, *last)),
            _ => None,
        };
        let answers: BTreeSet<(i64, i64)> = told.iter().filter_map(ids).collect();
        let name = || key.to_owned();
        if answers.len() > 1 {
            verdict.wrong.push(Wrong::OtherIds(name()));
        }
        let granted = topics.granted.get(key);
        if !answers.is_empty() && granted != Some(&answers) {
            verdict.wrong.push(Wrong::TookMore(name()));
        }
        let never_written = told
            .iter()
            .all(|told| matches!(told, Told::Status(429 | 503)));
        if never_written && topics.written.contains(key) {
            verdict.wrong.push(Wrong::Written(name()));
        }
        if !never_written && answers.is_empty() {
            verdict.wrong.push(Wrong::Unanswered(name()));
        }
    }
    verdict
}

/// Two right calls. The first is refused, gets no answer, and is then answered twice. The second is refused and given
/// up.
fn right() -> (Vec<Attempt>, Topics) {
    let told = [
        ("a", Told::Status(503)),
        ("a", Told::Status(504)),
        ("a", Told::Nothing),
        ("a", Told::Ids(1, 1)),
        ("a", Told::Ids(1, 1)),
        ("b", Told::Status(503)),
    ];
    let attempts = told.map(|(key, told)| Attempt {
        key: key.to_owned(),
        told,
    });
    let topics = Topics {
        written: BTreeSet::from(["a".to_owned()]),
        granted: BTreeMap::from([("a".to_owned(), BTreeSet::from([(1, 1)]))]),
    };
    (attempts.to_vec(), topics)
}

fn found(change: impl FnOnce(&mut Vec<Attempt>, &mut Topics)) -> Vec<Wrong> {
    let (mut attempts, mut topics) = right();
    change(&mut attempts, &mut topics);
    judge(&attempts, &topics).wrong
}

#[test]
fn calls_that_are_told_the_truth_are_clean() {
    assert_eq!(found(|_, _| {}), []);
}

#[test]
fn a_repeat_that_gets_other_ids_is_seen() {
    let wrong = found(|attempts, topics| {
        attempts[4].told = Told::Ids(2, 2);
        topics.granted.get_mut("a").unwrap().insert((2, 2));
    });
    assert_eq!(wrong, [Wrong::OtherIds("a".to_owned())]);
}

#[test]
fn a_503_whose_record_was_written_is_seen() {
    let wrong = found(|_, topics| {
        topics.written.insert("b".to_owned());
    });
    assert_eq!(wrong, [Wrong::Written("b".to_owned())]);
}

#[test]
fn a_504_that_took_more_than_its_repeat_returns_is_seen() {
    let wrong = found(|_, topics| {
        topics.granted.get_mut("a").unwrap().insert((7, 7));
    });
    assert_eq!(wrong, [Wrong::TookMore("a".to_owned())]);
}

#[test]
fn a_call_that_is_never_answered_is_seen() {
    let wrong =
        found(|attempts, _| attempts.retain(|attempt| !matches!(attempt.told, Told::Ids(..))));
    assert_eq!(wrong, [Wrong::Unanswered("a".to_owned())]);
}
