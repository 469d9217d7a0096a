//! Measures the time for which the slowest partition stands still when instances fail. The same faults come
//! with failover and without, in one run on three brokers. The times are printed beside their bars, and never
//! asserted.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use sequencer::embedded::Kafka;

use crate::support::admin::Admin;
use crate::support::broker::signal_to;
use crate::support::instance::Instance;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::{http, signal, wait_for};

use super::load::Load;
use super::observer::Observer;
use super::proxy::{Link, Proxy};
use super::recovery::{self, Event};
use super::requests::Source;
use super::run::{self, Journal};
use super::stage::{self, BROKERS, PROXIED};
use super::topics::Topics;
use super::verify;

/// The number of times that each fault comes; `make failover` sets 10.
const TIMES_VARIABLE: &str = "SEQUENCER_FAILOVER_TIMES";
const TIMES_DEFAULT: f64 = 1.0;
/// Each fault without failover takes half a minute. Three of each are enough for the order of magnitude.
const WITHOUT_MAX: usize = 3;
/// Requests a second. At this rate, two cores have time to spare between the faults, and each partition has an answer
/// every few milliseconds.
const RATE: u64 = 400;
const INSTANCES: [&str; 3] = [PROXIED, "b", "c"];
/// The time without faults before each fault.
const CALM: Duration = Duration::from_secs(2);
/// The time for which an instance stays away. With failover, its partitions are back long before. Without
/// failover, the session must end, and in `exactly_once` mode the transaction and the brokers' clean-up, too.
const AWAY: Duration = Duration::from_secs(5);
const AWAY_WITHOUT: Duration = Duration::from_secs(17);
/// The time for which an instance stays away after it has left. It hands over at once.
const AWAY_LEFT: Duration = Duration::from_secs(3);
/// The time for which a link is cut, so that each connection sees it.
const CUT: Duration = Duration::from_millis(300);
/// The time for which all brokers stand still. It is longer than any session.
const OUTAGE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    HostGone,
    Terminate,
    Roll,
    KillAll,
}

const FAULTS: [Fault; 6] = [
    Fault::Kill,
    Fault::Stop,
    Fault::HostGone,
    Fault::Terminate,
    Fault::Roll,
    Fault::KillAll,
];

impl Fault {
    /// The name, and the bar with failover in ms.
    fn row(self, mode: Mode) -> (&'static str, u64) {
        match (self, mode) {
            (Fault::Kill, _) => ("SIGKILL of one", 500),
            (Fault::Stop, _) => ("SIGSTOP of one", 500),
            (Fault::HostGone, _) => ("host of one gone", 500),
            (Fault::Terminate, Mode::Immediate) => ("SIGTERM of one", 300),
            (Fault::Terminate, Mode::ExactlyOnce) => ("SIGTERM of one", 400),
            (Fault::Roll, _) => ("rolling restart of three", 400),
            (Fault::KillAll, _) => ("SIGKILL of all, since they are up", 1_000),
        }
    }
}

#[test]
fn failover_times_in_immediate_mode() {
    measure(Mode::Immediate);
}

#[test]
fn failover_times_in_exactly_once_mode() {
    measure(Mode::ExactlyOnce);
}

fn measure(mode: Mode) {
    let name = format!("failover-{}", mode.as_str().replace('_', "-"));
    run::on_a_cluster(&name, |kafka, proxy, _, journal| {
        play(&name, mode, kafka, &proxy, journal);
    });
}

fn play(name: &str, mode: Mode, kafka: &mut Kafka, proxy: &Proxy, journal: &Journal) {
    let times = run::number(TIMES_VARIABLE, TIMES_DEFAULT) as usize;
    let only = std::env::var(run::ONLY_VARIABLE).unwrap_or_default();
    let mut random = Random::from_environment();
    let mut service = Service::on(kafka.bootstrap(), name, mode);
    let mut measured = Vec::new();
    let mut fleet = Fleet::start(&service, proxy, &mut random);
    let topics = Topics::create(&service, &Admin::new(&service.bootstrap));
    let (observer, observing) = Observer::start(&service, &topics);
    // The load is plain here, since the chaos tests cover other requests: a reply that its topic refuses aborts
    // a transaction.
    let source = Source::plain(1, random.fork());
    let load = Load::start(&service, &topics, &observer, RATE, (source, random.fork()));
    for with_failover in [true, false] {
        if !with_failover {
            fleet.stop();
            service.settings = recovery::settings();
            service.settings.push("failover.silence_ms=0".to_owned());
            fleet = Fleet::start(&service, proxy, &mut random);
        }
        let mut scene = Scene {
            fleet: &mut fleet,
            observer: &observer,
            journal,
            away: if with_failover { AWAY } else { AWAY_WITHOUT },
            course: Course::default(),
        };
        let rounds = if with_failover {
            times
        } else {
            times.min(WITHOUT_MAX)
        };
        for _ in 0..rounds {
            for fault in FAULTS {
                if format!("{fault:?}").contains(&only) {
                    scene.play(fault);
                }
            }
        }
        scene.wait_calm();
        measured.push(scene.course);
        if with_failover {
            println!("{}", table(mode, &measured, &observer.arrivals()));
            outage(kafka, &mut fleet);
        }
    }
    wait_answered(&observer);
    let written = load.stop();
    println!("{written}");
    let arrivals = observer.arrivals();
    println!("{}", table(mode, &measured, &arrivals));
    fleet.stop();
    verify::assert_clean(&service, &[]);
    observer.stop();
    observing
        .join()
        .unwrap_or_else(|panic| resume_unwind(panic));
}

/// Stops all brokers for a time. No instance may be evicted, since all are silent for the same reason.
fn outage(kafka: &mut Kafka, fleet: &mut Fleet<'_>) {
    let before = fleet.evictions();
    for broker in 0..BROKERS {
        signal_to(kafka, broker, signal::SIGSTOP);
    }
    thread::sleep(OUTAGE);
    for broker in 0..BROKERS {
        signal_to(kafka, broker, signal::SIGCONT);
    }
    fleet.wait_ready();
    thread::sleep(CALM);
    let evictions = fleet.evictions() - before;
    println!("all brokers stopped for {OUTAGE:?}: {evictions} evictions");
    assert!(
        evictions == 0.0,
        "an outage of the cluster evicted somebody"
    );
}

fn wait_answered(observer: &Observer) {
    let now_ms = observer.now_ms();
    wait_for("every partition to answer", || {
        observer.all_since(now_ms).then_some(())
    });
}

/// The faults of one setting, in ms of the observer.
#[derive(Default)]
struct Course {
    events: Vec<(Fault, Event)>,
    calms: Vec<Event>,
    /// The times at which the processes were up again after all had been killed.
    up_ms: Vec<u64>,
}

struct Scene<'a, 'b> {
    fleet: &'a mut Fleet<'b>,
    observer: &'a Observer,
    journal: &'a Journal,
    away: Duration,
    course: Course,
}

impl Scene<'_, '_> {
    /// Waits until the last fault is over and all instances share the partitions. Then it observes a time without
    /// faults.
    fn wait_calm(&mut self) {
        self.fleet.wait_shared();
        wait_answered(self.observer);
        let begin_ms = self.observer.now_ms();
        if let Some((_, last)) = self.course.events.last_mut() {
            last.end_ms = last.end_ms.min(begin_ms);
        }
        thread::sleep(CALM);
        self.course.calms.push(Event {
            kind: recovery::CALM.to_owned(),
            begin_ms,
            end_ms: self.observer.now_ms(),
        });
    }

    fn play(&mut self, fault: Fault) {
        self.wait_calm();
        let begin_ms = self.observer.now_ms();
        let mut end_ms = u64::MAX;
        let name = match fault {
            Fault::HostGone => PROXIED.to_owned(),
            // An instance that was evicted alive is left to the group for ten seconds, and the next fault is not to
            // measure that.
            Fault::Stop => self.fleet.pick_other_than(PROXIED),
            _ => self.fleet.pick(),
        };
        let now = jiff::Timestamp::now();
        self.journal
            .note(begin_ms, &format!("{fault:?} {name} at {now}"));
        // An instance that comes back causes another rebalance, so the event ends before.
        match fault {
            Fault::Kill => {
                self.fleet.take(&name).sigkill();
                thread::sleep(self.away);
                end_ms = self.observer.now_ms();
                self.fleet.spawn(&name);
            }
            Fault::Stop => {
                self.fleet.get(&name).sigstop();
                thread::sleep(self.away);
                end_ms = self.observer.now_ms();
                self.fleet.get(&name).sigcont();
            }
            Fault::HostGone => {
                self.fleet.link(Link::Gone);
                self.fleet.take(&name).sigkill();
                thread::sleep(self.away);
                end_ms = self.observer.now_ms();
                // No bytes in transit arrive after this.
                self.fleet.link(Link::Cut);
                thread::sleep(CUT);
                self.fleet.link(Link::Open);
                self.fleet.spawn(&name);
            }
            Fault::Terminate => {
                assert_eq!(self.fleet.take(&name).sigterm_and_wait(), 0);
                thread::sleep(AWAY_LEFT);
                end_ms = self.observer.now_ms();
                self.fleet.spawn(&name);
            }
            Fault::Roll => {
                for name in INSTANCES {
                    assert_eq!(self.fleet.take(name).sigterm_and_wait(), 0);
                    self.fleet.spawn(name);
                    self.fleet.wait_shared();
                }
            }
            Fault::KillAll => {
                for name in INSTANCES {
                    self.fleet.take(name).sigkill();
                }
                for name in INSTANCES {
                    self.fleet.spawn(name);
                }
                self.fleet.wait_up();
                self.course.up_ms.push(self.observer.now_ms());
            }
        }
        let event = Event {
            kind: format!("{fault:?}"),
            begin_ms,
            end_ms,
        };
        self.course.events.push((fault, event));
    }
}

struct Fleet<'a> {
    service: Service,
    proxy: &'a Proxy,
    instances: Vec<(String, Instance)>,
    random: Random,
}

impl<'a> Fleet<'a> {
    fn start(service: &Service, proxy: &'a Proxy, random: &mut Random) -> Fleet<'a> {
        let mut fleet = Fleet {
            service: service.clone(),
            proxy,
            instances: Vec::new(),
            random: random.fork(),
        };
        // The first instance creates the topics.
        for name in INSTANCES {
            fleet.spawn(name);
            fleet.wait_ready();
        }
        fleet
    }

    fn pick(&mut self) -> String {
        let at = self.random.below(self.instances.len() as u64) as usize;
        self.instances[at].0.clone()
    }

    fn pick_other_than(&mut self, name: &str) -> String {
        loop {
            let picked = self.pick();
            if picked != name {
                return picked;
            }
        }
    }

    fn get(&self, name: &str) -> &Instance {
        let mut all = self.instances.iter();
        &all.find(|(found, _)| found == name).unwrap().1
    }

    fn take(&mut self, name: &str) -> Instance {
        let mut all = self.instances.iter();
        let at = all.position(|(found, _)| found == name).unwrap();
        self.instances.remove(at).1
    }

    fn spawn(&mut self, name: &str) {
        let instance = stage::spawn(&self.service, self.proxy, name);
        self.instances.push((name.to_owned(), instance));
    }

    fn link(&self, link: Link) {
        for broker in 0..BROKERS {
            self.proxy.set(broker, link);
        }
    }

    fn wait_up(&mut self) {
        for (_, instance) in &mut self.instances {
            instance.wait("to be up", |instance| {
                http::get(instance.port(), "/healthz").ok().map(drop)
            });
        }
    }

    fn wait_ready(&mut self) {
        for (_, instance) in &mut self.instances {
            instance.wait_ready();
        }
    }

    fn wait_shared(&self) {
        let all: Vec<&Instance> = self
            .instances
            .iter()
            .map(|(_, instance)| instance)
            .collect();
        self.service.wait_shared(&all);
    }

    fn evictions(&self) -> f64 {
        let all = self.instances.iter();
        let done = |(_, instance): &(String, Instance)| {
            let begin = "sequencer_failover_evictions_total{result=\"done\"}";
            instance.metric(begin).unwrap()
        };
        all.map(done).sum()
    }

    fn stop(&mut self) {
        for (name, instance) in std::mem::take(&mut self.instances) {
            assert_eq!(instance.sigterm_and_wait(), 0, "{name}");
        }
    }
}

/// The time from `up_ms` to the first answer of the slowest partition.
fn first_answers_ms(up_ms: u64, arrivals: &[Vec<u64>]) -> u64 {
    let first = |arrivals: &Vec<u64>| {
        let after = arrivals.partition_point(|at| *at < up_ms);
        arrivals.get(after).map_or(u64::MAX, |at| at - up_ms)
    };
    arrivals.iter().map(first).max().unwrap_or(u64::MAX)
}

fn silences(course: &Course, arrivals: &[Vec<u64>]) -> BTreeMap<String, Vec<u64>> {
    let mut silences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for calm in &course.calms {
        let silence = recovery::calm_ms(calm, arrivals);
        silences.entry(calm.kind.clone()).or_default().push(silence);
    }
    let mut up_ms = course.up_ms.iter();
    for (fault, event) in &course.events {
        let silence = match fault {
            Fault::KillAll => {
                let up_ms = up_ms.next().expect("one for each time");
                first_answers_ms(*up_ms, arrivals)
            }
            _ => recovery::silence_ms(event, arrivals),
        };
        let kind = event.kind.clone();
        silences.entry(kind).or_default().push(silence);
    }
    for times in silences.values_mut() {
        times.sort_unstable();
    }
    silences
}

fn table(mode: Mode, measured: &[Course], arrivals: &[Vec<u64>]) -> String {
    let all: Vec<_> = measured
        .iter()
        .map(|course| silences(course, arrivals))
        .collect();
    let cell = |times: Option<&Vec<u64>>| {
        let Some(times) = times.filter(|times| !times.is_empty()) else {
            return format!("{:>8} {:>8}", "-", "-");
        };
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        format!("{median:>8} {longest:>8}")
    };
    let mut table = format!(
        "silence of the slowest partition in ms, {}\n{:<34} {:>17} {:>17} {:>6}\n{:<34} {:>8} {:>8} {:>8} {:>8}\n",
        mode.as_str(),
        "",
        "with failover",
        "without",
        "bar",
        "fault",
        "median",
        "longest",
        "median",
        "longest",
    );
    let row = |name: &str, key: &str| {
        let cells = all.iter().map(|times| cell(times.get(key)));
        format!("{name:<34} {}", cells.collect::<Vec<_>>().join(" "))
    };
    table += &row(recovery::CALM, recovery::CALM);
    table.push('\n');
    for fault in FAULTS {
        let key = format!("{fault:?}");
        let (name, bar_ms) = fault.row(mode);
        let median = all[0].get(&key).map(|times| times[times.len() / 2]);
        let met = median.map_or("", |median| if median <= bar_ms { "met" } else { "missed" });
        table += &format!("{} {bar_ms:>6} {met}\n", row(name, &key));
    }
    table
}

#[test]
fn the_first_answer_of_the_slowest_partition_counts() {
    let arrivals = [vec![10, 90, 1_300], vec![95, 1_000, 1_400]];
    assert_eq!(first_answers_ms(900, &arrivals), 400);
    assert_eq!(first_answers_ms(1_350, &arrivals), u64::MAX, "none yet");
}
