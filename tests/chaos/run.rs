//! One run: the cluster, the load, the faults one after another, the verdict.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sequencer::embedded::{Kafka, Listener, Options};

use crate::support::admin::{self, Admin};
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail::{self, Isolation, Raw};
use crate::support::{DEADLINE, heavy, http, wait_for};

use super::calls::{self, Calls};
use super::check::{Asked, Evidence, Report, Told, check};
use super::faults::Deck;
use super::history::History;
use super::load::Load;
use super::observer::Observer;
use super::proxy::{Bound, Proxy};
use super::recovery::{self, CALM, Event};
use super::requests::Source;
use super::rescale;
use super::stage::{self, BROKERS, Stage};
use super::topics::Topics;
use super::transactions::Transactions;
use super::verify;

/// Sets the time during which faults come; `make chaos MINUTES=…` sets it.
const MINUTES_VARIABLE: &str = "SEQUENCER_CHAOS_MINUTES";
const MINUTES_DEFAULT: f64 = 1.0;
/// Sets the requests a second, without retries.
const RATE_VARIABLE: &str = "SEQUENCER_CHAOS_RATE";
/// At this rate, two cores carry three brokers, three instances and a million requests in twenty minutes.
const RATE_DEFAULT: f64 = 1_000.0;

/// Sets a part of the names of the faults that are drawn, such as `link`. Without it, all faults are drawn.
pub const ONLY_VARIABLE: &str = "SEQUENCER_CHAOS_ONLY";

/// If it is set, the history of a run that passed is kept, too.
const KEEP_VARIABLE: &str = "SEQUENCER_CHAOS_KEEP";

/// Number of answers before the first fault.
const ANSWERS_FIRST: usize = 2_000;
/// Time without faults between recovery and the next fault, in ms.
const CALM_MS: (u64, u64) = (1_500, 4_000);
/// After one of this many faults, the next one comes without waiting for recovery.
const OVERLAPPING_ONE_IN: u64 = 6;
/// The key of the records by which a rescale goes on.
const RESERVED: &[u8] = b"__policy";
/// The header of a request that the service has forwarded.
const FORWARDED: &str = "sequencer-forwarded";

/// The events with their times, for people.
#[derive(Default)]
pub struct Journal(Mutex<String>);

impl Journal {
    fn text(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn note(&self, at_ms: u64, words: &str) {
        let line = format!("{:>7.1} s  {words}", at_ms as f64 / 1e3);
        println!("{line}");
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&line);
        text.push('\n');
    }
}

pub fn number(variable: &str, default: f64) -> f64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number, is {text:?}"))
    })
}

/// Starts three brokers, and the proxy of one instance.
fn cluster(history: &History) -> (Kafka, Proxy) {
    let bound = Bound::new(BROKERS);
    let mut options = Options::cluster_of_three(history.kafka());
    // The brokers tell clients of this listener to connect through the proxy.
    let behind: Vec<u16> = bound.ports().iter().map(|_| http::free_port()).collect();
    let proxied = behind.iter().zip(bound.ports()).enumerate();
    options.listeners = proxied
        .map(|(broker, (&port, advertised_port))| Listener {
            broker,
            name: "PROXIED".to_owned(),
            protocol: "PLAINTEXT".to_owned(),
            port,
            advertised_port,
        })
        .collect();
    options.properties = recovery::broker_properties();
    let kafka = Kafka::start(options).unwrap();
    (kafka, bound.serve(&behind))
}

/// Runs the faults in one reply mode.
pub fn run(mode: Mode) {
    run_growing("chaos", mode, &[]);
}

/// Runs the faults in one reply mode, while the service gets these numbers of partitions, one after another.
pub fn run_growing(kind: &str, mode: Mode, grown: &[i32]) {
    let name = format!("{kind}-{}", mode.as_str().replace('_', "-"));
    on_a_cluster(&name, |kafka, proxy, history, journal| {
        play((&name, mode, grown), (kafka, proxy), history, journal);
    });
}

/// Runs `play` on three brokers of its own. Keeps the history when anything is wrong.
pub fn on_a_cluster(name: &str, play: impl FnOnce(&mut Kafka, Proxy, &History, &Journal)) {
    let _machine = heavy();
    let history = History::new(name);
    let journal = Journal::default();
    let (mut kafka, proxy) = cluster(&history);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        play(&mut kafka, proxy, &history, &journal);
    }));
    kafka.stop().unwrap();
    drop(kafka);
    match outcome {
        Ok(()) if std::env::var_os(KEEP_VARIABLE).is_some() => history.keep(&journal.text()),
        Ok(()) => history.forget(),
        Err(panic) => {
            history.keep(&journal.text());
            resume_unwind(panic)
        }
    }
}

fn play(
    (name, mode, grown): (&str, Mode, &[i32]),
    (kafka, proxy): (&mut Kafka, Proxy),
    history: &History,
    journal: &Journal,
) {
    let mut random = Random::from_environment();
    let mut service = Service::on(kafka.bootstrap(), name, mode);
    service.settings = recovery::settings();
    // The first instance creates the topics. Some brokers know them earlier than others.
    let instances: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let mut instance = stage::spawn(&service, &proxy, name);
            instance.wait_ready();
            (name.to_owned(), instance)
        })
        .into();
    let administrator = Admin::new(&service.bootstrap);
    let topics = Topics::create(&service, &administrator);
    let (observer, observing) = Observer::start(&service, &topics);
    let rate = number(RATE_VARIABLE, RATE_DEFAULT) as u64;
    let source = Source::new(1, random.fork());
    let known = source.known();
    let load = Load::start(&service, &topics, &observer, rate, (source, random.fork()));
    let transactions = Transactions::start(&service, &topics, &mut random);
    let calls = Calls::start(&service, &proxy, &mut random);
    wait_for("the first answers", || {
        (observer.count() >= ANSWERS_FIRST).then_some(())
    });

    let only = std::env::var(ONLY_VARIABLE).unwrap_or_default();
    let mut deck = Deck::new(random.fork(), &only);
    let parts = (topics.clone(), administrator, observer.clone());
    let mut stage = Stage::set(
        &service,
        (kafka, proxy),
        history.kafka().to_owned(),
        instances,
        (parts, calls),
        random.fork(),
    );
    let growth = random.fork();
    let Course { events, calms } = thread::scope(|scope| {
        let grow = || rescale::grow(&service, &known, grown, growth, (&observer, journal));
        let growing = scope.spawn(grow);
        let course = faults(&mut stage, &mut deck, &mut random, journal);
        growing.join().unwrap_or_else(|panic| resume_unwind(panic));
        course
    });

    let attempts = stage.stop_calls();
    let written = load.stop();
    let (ended, held) = transactions.stop();
    journal.note(observer.now_ms(), &format!("{written}; {ended}"));
    let asked = wait_answered(&service, &topics, &observer);
    wait_covered(&service, grown.last().copied().unwrap_or(PARTITIONS));
    stage.look();
    stage.look_for_halts();
    let arrivals = observer.arrivals();
    println!("{}", recovery::measured(&events, &arrivals));
    println!("{}", recovery::table(&events, &calms, &arrivals));
    let waits = observer.waits(&asked, &[]);
    if !grown.is_empty() {
        for (which, waits) in rescale::apart(&waits, &asked) {
            println!("{which}: {}", recovery::waits(waits));
        }
    }
    println!("{}", recovery::waits(waits));
    println!(
        "without the time that a transaction of the load held a request back: {}",
        recovery::waits(observer.waits(&asked, &held))
    );
    let kept = observer.kept();
    let moves = match grown {
        [] => |_: &[u8]| false,
        _ => rescale::moves,
    };
    let gone = judge(&service, &topics, (&asked, &kept), moves);
    let verdict = calls::judge(&attempts, &calls::Topics::read(&service));
    println!("{verdict}");
    assert!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);
    verify::assert_clean(&service, &gone);
    stage.clear();
    observer.stop();
    observing
        .join()
        .unwrap_or_else(|panic| resume_unwind(panic));
    assert!(stage.surprises.is_empty(), "{:#?}", stage.surprises);
}

/// The events of a run.
struct Course {
    events: Vec<Event>,
    /// The times between recovery and the next fault.
    calms: Vec<Event>,
}

/// Plays one fault after another until the time is over.
fn faults(
    stage: &mut Stage<'_>,
    deck: &mut Deck,
    random: &mut Random,
    journal: &Journal,
) -> Course {
    let minutes = number(MINUTES_VARIABLE, MINUTES_DEFAULT);
    let until = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    let mut events: Vec<Event> = Vec::new();
    let mut calms = Vec::new();
    let mut overlapping = false;
    while Instant::now() < until {
        let fault = stage.possible(deck.draw());
        stage.prepare(fault);
        let begin_ms = stage.observer.now_ms();
        if let Some(last) = events.last_mut() {
            last.end_ms = begin_ms;
        }
        let what = stage.play(fault);
        journal.note(begin_ms, &format!("{fault}: {what}"));
        let before = overlapping;
        overlapping = random.below(OVERLAPPING_ONE_IN) == 0 && !fault.is_measured();
        let kind = |kind: &str| {
            let alone = !(before || overlapping);
            let kind = if alone { kind } else { "one upon another" };
            kind.to_owned()
        };
        let back_ms = stage.take_back_ms();
        events.push(Event {
            kind: kind(&fault.kind()),
            begin_ms,
            end_ms: back_ms.unwrap_or(u64::MAX),
        });
        if let Some(begin_ms) = back_ms {
            events.push(Event {
                kind: kind("instance back"),
                begin_ms,
                end_ms: u64::MAX,
            });
        }
        if !overlapping {
            stage.wait_recovered();
            let begin_ms = stage.observer.now_ms();
            let (least, most) = CALM_MS;
            thread::sleep(Duration::from_millis(least + random.below(most - least)));
            calms.push(Event {
                kind: CALM.to_owned(),
                begin_ms,
                end_ms: stage.observer.now_ms(),
            });
        }
        stage.look();
        stage.look_for_halts();
    }
    stage.wait_recovered();
    if let Some(last) = events.last_mut() {
        last.end_ms = stage.observer.now_ms();
    }
    Course { events, calms }
}

/// Waits until all requests of clients are answered, or until no more answers come. In the second case the judge
/// reports the requests without an answer. Returns the requests.
fn wait_answered(service: &Service, topics: &Topics, observer: &Observer) -> Vec<Asked> {
    let asked: Vec<Asked> = tail::raw(&service.bootstrap, &service.requests)
        .into_iter()
        .filter(|record| record.header(FORWARDED).is_none())
        .filter(|record| record.key.as_deref() != Some(RESERVED))
        .filter(|record| !calls::is_of_a_gateway(record, service))
        .map(asked)
        .collect();
    let deleted = topics.deleted();
    let gone = |asked: &Asked| {
        asked
            .topic
            .as_ref()
            .is_some_and(|topic| deleted.contains(topic))
    };
    let needed: Vec<(i32, i64)> = asked
        .iter()
        .filter(|asked| !gone(asked))
        .map(|asked| (asked.partition, asked.offset))
        .collect();
    let mut open = needed;
    let mut deadline = Instant::now() + DEADLINE;
    loop {
        let before = open.len();
        open = observer.unanswered(open.into_iter());
        if open.is_empty() || Instant::now() > deadline {
            return asked;
        }
        if open.len() < before {
            deadline = Instant::now() + DEADLINE;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Waits twice until checkpoints cover the whole log. After the first wait, every stray is forwarded. After the second
/// wait, no reply is in progress, not even to a deleted topic.
fn wait_covered(service: &Service, count: i32) {
    let Service {
        bootstrap,
        requests,
        group,
        ..
    } = service;
    for _ in 0..2 {
        let ends: Vec<i64> = (0..count)
            .map(|partition| tail::high_watermark(bootstrap, requests, partition))
            .collect();
        wait_for("checkpoints to cover the log", || {
            let committed = admin::committed(bootstrap, group, requests, count);
            let mut partitions = (0..count).zip(&ends);
            partitions
                .all(|(partition, end)| committed.get(&partition).unwrap_or(&0) >= end)
                .then_some(())
        });
    }
}

fn asked(record: Raw) -> Asked {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let value = record.value.as_deref().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(value).unwrap_or_default();
    Asked {
        partition: record.partition,
        offset: record.offset,
        appended_ms: record.timestamp_ms,
        topic: record.header("reply_to").map(text),
        request_id: value["request_id"].as_str().map(str::to_owned),
        key: record.key,
    }
}

/// Judges the content of the topics, with the replies that were seen on deleted ones. Returns the requests
/// without a reply on a topic that still exists.
fn judge(
    service: &Service,
    topics: &Topics,
    (asked, kept): (&[Asked], &[Told]),
    moves: fn(&[u8]) -> bool,
) -> Vec<(i32, i64)> {
    let deleted = topics.deleted();
    let all = told(service, topics, Isolation::Uncommitted);
    let mut everything = all.clone();
    let on_deleted = |told: &&Told| deleted.contains(&told.topic);
    everything.extend(kept.iter().filter(on_deleted).cloned());
    print_and_assert(&check(&Evidence {
        asked,
        told: &everything,
        once: false,
        deleted: &deleted,
        moves,
    }));
    let seen = match service.mode {
        Mode::Immediate => all,
        // Clients read in this way: no reply is repeated.
        Mode::ExactlyOnce => {
            let seen = told(service, topics, Isolation::Committed);
            let in_steps = told(service, topics, Isolation::CommittedInSteps).len();
            let shown = in_steps.abs_diff(seen.len());
            println!(
                "{shown} of {} committed replies differ for a reader in steps",
                seen.len()
            );
            seen
        }
    };
    let visible = check(&Evidence {
        asked,
        told: &seen,
        once: service.mode == Mode::ExactlyOnce,
        deleted: &deleted,
        moves,
    });
    let mut gone: Vec<(i32, i64)> = visible.lost_with_topic.iter().copied().collect();
    gone.sort_unstable();
    // The missing IDs were deleted with a topic. The check above has filled them in.
    let broken = visible.broken();
    let holes =
        |wrong: &super::check::Wrong| *wrong == super::check::Wrong::Gap && !gone.is_empty();
    assert!(broken.iter().all(holes), "{visible}");
    gone
}

fn print_and_assert(report: &Report) {
    println!("{report}");
    report.assert_clean();
}

/// All replies on the existing topics.
fn told(service: &Service, topics: &Topics, isolation: Isolation) -> Vec<Told> {
    let mut told = Vec::new();
    let mut names = vec![service.replies.clone()];
    names.extend(topics.lasting().iter().cloned());
    names.extend(topics.doomed());
    for topic in names {
        for reply in tail::replies(&service.bootstrap, &topic, isolation) {
            // This is a reply that could not be written to a gateway's topic. The judge of the calls checks it.
            if calls::is_called(reply.key.as_deref()) {
                continue;
            }
            told.push(Told {
                topic: topic.clone(),
                partition: reply.partition,
                offset: reply.offset,
                key: reply.key,
                body: reply.body,
            });
        }
    }
    told
}
