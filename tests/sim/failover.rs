//! Evictions: observers that sleep, brokers that stand still, two evictors at once, victims that live, and victims
//! that are back at any moment. A world of its own beside the logs: heartbeats, a group, and processes.
//!
//! Each step is [`STEP_MS`] of everybody's time. What is checked at each join of an evictor is what the log says,
//! which the evictor has read or not: how long its victim had really been silent.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sequencer::processor::failover::heartbeat::{Heartbeat, INTERVAL_MS, Sign};
use sequencer::processor::failover::namesake::{Namesake, listen_ms};
use sequencer::processor::failover::observer::{Heard, Observer, Options, Victim, may_fence};
use sequencer::processor::failover::patience::Patience;

use crate::random::Random;
use crate::seeds::said;

const STEP_MS: u64 = 5;
const SILENCE_MS: u64 = 200;
pub const SESSION_MS: u64 = 6_000;
/// An observer sees what was appended before its own last heartbeat was written, which is so long ago at most.
const VIEW_MS: u64 = 150;
/// What one step reads: after a pause, what has come meanwhile is not there at once.
const READ_MAX: usize = 2;
const STEPS: u64 = 6_000;
/// Without faults, until everything is as it should be.
const CALM_STEPS: u64 = 3_000;
/// What the group takes to agree.
const REBALANCE_MS: u64 = 100;
/// Before an engine that ended begins again.
const START_OVER_MS: u64 = 1_000;
/// One that lives is not evicted twice in this time.
const QUIET_MS: u64 = 10_000;
/// How often a run has two processes of one name, in a hundred.
const DUPLICATE_PERCENT: usize = 20;

const SEEDS: u64 = 300;

struct Record {
    heartbeat: Heartbeat,
    appended_ms: u64,
    readable_ms: u64,
}

/// Where an eviction is.
#[derive(Clone, Debug)]
enum Step {
    /// The group was asked.
    Asked { answer_ms: u64 },
    /// The join is on its way.
    Joining { arrives_ms: u64 },
    /// The evictor is a member in the victim's place.
    Joined { leaves_ms: u64 },
}

struct Engine {
    incarnation: u64,
    observer: Observer,
    next_heartbeat_ms: u64,
    count: u64,
    eviction: Option<(Victim, Step)>,
}

enum State {
    /// No process; started again then.
    Dead {
        again_ms: Option<u64>,
    },
    /// Listens for its name before it makes any client.
    Listening {
        until_ms: u64,
        namesake: Namesake,
    },
    /// Between two engines.
    Between {
        until_ms: u64,
    },
    Running(Box<Engine>),
    /// Ended by itself: its name is in use.
    Refused,
}

struct Process {
    instance: String,
    state: State,
    /// Drawn by its engines so far.
    own: Vec<u64>,
    patience: Patience,
    /// The victim of which the others are not told yet.
    notice: Option<Victim>,
    read: usize,
    paused_until_ms: u64,
    /// It reaches no broker before.
    cut_until_ms: u64,
    dies_calm: bool,
    /// Which of its incarnations the others were last told to be evicted, and when.
    told: Option<(u64, u64)>,
}

/// A member of the group, by `instance_id`.
#[derive(Clone, Copy, Debug)]
struct Member {
    process: usize,
    incarnation: u64,
    heartbeat_ms: u64,
    /// An evictor's, in the place of its victim.
    evictor: bool,
}

struct World {
    random: Random,
    now_ms: u64,
    calm: bool,
    log: Vec<Record>,
    /// Nothing is appended, read or answered before.
    stalled_until_ms: u64,
    group: BTreeMap<String, Member>,
    rebalanced_ms: u64,
    processes: Vec<Process>,
    incarnations: u64,
    evictions: u64,
    of_the_living: u64,
    expired: u64,
    refused: u64,
    /// Transactions that were ended although nobody evicted their instance.
    ended: u64,
    fenced: Vec<(String, u64)>,
    duplicates: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed ^ 0xfa11);
        let names = 2 + random.below(3);
        let duplicates = random.chance(DUPLICATE_PERCENT);
        let mut instances: Vec<String> = (0..names).map(|n| format!("i{n}")).collect();
        if duplicates {
            instances.push("i0".to_owned());
        }
        let processes = instances.into_iter().map(|instance| Process {
            instance,
            state: State::Dead { again_ms: Some(0) },
            own: Vec::new(),
            patience: Patience::default(),
            notice: None,
            read: 0,
            paused_until_ms: 0,
            cut_until_ms: 0,
            dies_calm: false,
            told: None,
        });
        World {
            processes: processes.collect(),
            random,
            now_ms: 0,
            calm: false,
            log: Vec::new(),
            stalled_until_ms: 0,
            group: BTreeMap::new(),
            rebalanced_ms: 0,
            incarnations: 0,
            evictions: 0,
            of_the_living: 0,
            expired: 0,
            refused: 0,
            ended: 0,
            fenced: Vec::new(),
            duplicates,
        }
    }

    fn step(&mut self) {
        crate::STEP.set(crate::STEP.get() + 1);
        self.now_ms += STEP_MS;
        if !self.calm && self.random.one_in(60) {
            self.fault();
        }
        self.expire();
        for index in 0..self.processes.len() {
            if self.processes[index].paused_until_ms <= self.now_ms {
                self.process(index);
            }
        }
    }

    fn fault(&mut self) {
        let now_ms = self.now_ms;
        let chosen = self.random.below(self.processes.len());
        let length = |random: &mut Random| match random.below(4) {
            0 => random.below(100) as u64,
            1 => random.below(400) as u64,
            2 => random.below(1_500) as u64,
            _ => random.below(8_000) as u64,
        };
        match self.random.below(8) {
            0 | 1 => {
                let again_ms = Some(now_ms + length(&mut self.random));
                self.processes[chosen].state = State::Dead { again_ms };
            }
            2 => self.stalled_until_ms = now_ms + length(&mut self.random),
            3 | 4 => self.processes[chosen].cut_until_ms = now_ms + length(&mut self.random),
            _ => self.processes[chosen].paused_until_ms = now_ms + length(&mut self.random),
        }
    }

    /// The group notices by itself.
    fn expire(&mut self) {
        let now_ms = self.now_ms;
        if now_ms < self.stalled_until_ms {
            self.group
                .values_mut()
                .for_each(|member| member.heartbeat_ms += STEP_MS);
            return;
        }
        let before = self.group.len();
        self.group
            .retain(|_, member| now_ms < member.heartbeat_ms + SESSION_MS);
        if self.group.len() < before {
            self.expired += 1;
            self.rebalanced_ms = now_ms + REBALANCE_MS;
        }
    }

    fn process(&mut self, index: usize) {
        let now_ms = self.now_ms;
        match &mut self.processes[index].state {
            State::Dead { again_ms } => {
                if again_ms.is_some_and(|again_ms| now_ms >= again_ms) {
                    self.listen(index);
                }
            }
            State::Between { until_ms } => {
                if now_ms >= *until_ms {
                    self.listen(index);
                }
            }
            State::Refused => {}
            State::Listening { .. } => self.listening(index),
            State::Running(_) => self.running(index),
        }
    }

    fn reaches(&self, index: usize) -> bool {
        self.now_ms >= self.stalled_until_ms && self.now_ms >= self.processes[index].cut_until_ms
    }

    /// Nothing begins without a broker.
    fn listen(&mut self, index: usize) {
        if !self.reaches(index) {
            return;
        }
        let until_ms = self.now_ms + listen_ms(INTERVAL_MS);
        let process = &mut self.processes[index];
        if matches!(process.state, State::Dead { .. }) {
            // It is another process.
            (process.own, process.patience) = (Vec::new(), Patience::default());
            (process.notice, process.told) = (None, None);
        }
        process.read = self.log.len();
        let namesake = Namesake::new(&process.instance, process.own.clone());
        process.state = State::Listening { until_ms, namesake };
    }

    fn readable(&mut self, index: usize) -> Vec<Heartbeat> {
        let reaches = self.reaches(index);
        let process = &mut self.processes[index];
        let mut read = Vec::new();
        while let Some(record) = self.log.get(process.read)
            && record.readable_ms <= self.now_ms
            && read.len() < READ_MAX
            && reaches
        {
            read.push(record.heartbeat.clone());
            process.read += 1;
        }
        read
    }

    fn listening(&mut self, index: usize) {
        let read = self.readable(index);
        let process = &mut self.processes[index];
        let State::Listening { until_ms, namesake } = &mut process.state else {
            return;
        };
        read.iter().for_each(|heartbeat| namesake.heard(heartbeat));
        if namesake.is_in_use() {
            process.state = State::Refused;
            self.refused += 1;
            assert!(
                self.duplicates,
                "namesake: {} is used by one process, which refused to begin",
                self.processes[index].instance
            );
        } else if self.now_ms >= *until_ms {
            self.begin(index);
        }
    }

    fn begin(&mut self, index: usize) {
        self.incarnations += 1;
        let (incarnation, now_ms) = (self.incarnations, self.now_ms);
        let process = &mut self.processes[index];
        process.own.push(incarnation);
        let options = Options {
            instance: process.instance.clone(),
            incarnation,
            interval_ms: INTERVAL_MS,
            silence_ms: SILENCE_MS,
            session_ms: SESSION_MS,
        };
        let mut observer = Observer::new(options, now_ms);
        let recent = self.log[..process.read].iter();
        recent
            .filter(|record| record.appended_ms + SESSION_MS >= now_ms)
            .for_each(|record| {
                observer.heard(now_ms, &record.heartbeat);
            });
        process.state = State::Running(Box::new(Engine {
            incarnation,
            observer,
            next_heartbeat_ms: now_ms,
            count: 0,
            eviction: None,
        }));
        self.join(index, incarnation);
    }

    fn join(&mut self, index: usize, incarnation: u64) {
        let member = Member {
            process: index,
            incarnation,
            heartbeat_ms: self.now_ms,
            evictor: false,
        };
        let instance = self.processes[index].instance.clone();
        self.group.insert(instance, member);
        self.rebalanced_ms = self.now_ms + REBALANCE_MS;
    }

    fn running(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let State::Running(engine) = &mut self.processes[index].state else {
            return;
        };
        engine.observer.turn(now_ms);
        self.write_heartbeat(index);
        for heartbeat in self.readable(index) {
            let process = &mut self.processes[index];
            if let State::Running(engine) = &mut process.state
                && engine.observer.heard(now_ms, &heartbeat) == Heard::OfOwnEviction
            {
                process.patience.evicted(now_ms, SILENCE_MS, SESSION_MS);
            }
        }
        if self.reaches(index) && self.is_member(index) {
            self.evict(index);
        }
    }

    fn write_heartbeat(&mut self, index: usize) {
        let (now_ms, reaches) = (self.now_ms, self.reaches(index));
        let process = &mut self.processes[index];
        let known_ms = process.patience.asked(now_ms);
        let State::Running(engine) = &mut process.state else {
            return;
        };
        let patience_ms = engine.observer.patience(now_ms, known_ms);
        if now_ms < engine.next_heartbeat_ms {
            return;
        }
        engine.next_heartbeat_ms = now_ms + u64::from(INTERVAL_MS);
        engine.count += 1;
        engine.observer.wrote(now_ms, engine.count);
        // What cannot be written now expires.
        if !reaches {
            return;
        }
        let heartbeat = Heartbeat {
            instance: process.instance.clone(),
            incarnation: engine.incarnation,
            count: engine.count,
            interval_ms: INTERVAL_MS,
            patience_ms: patience_ms as u32,
            sign: Sign::Alive,
        };
        self.append(heartbeat);
        if let Some(victim) = self.processes[index].notice.take() {
            self.append(sign_of(&victim, Sign::Evicted));
            for process in &mut self.processes {
                if process.own.contains(&victim.incarnation) {
                    process.told = Some((victim.incarnation, now_ms));
                }
            }
        }
    }

    fn append(&mut self, heartbeat: Heartbeat) {
        let delay = self.random.below(12) as u64;
        let after = self.log.last().map_or(0, |record| record.readable_ms);
        self.log.push(Record {
            heartbeat,
            appended_ms: self.now_ms,
            readable_ms: after.max(self.now_ms + delay),
        });
    }

    /// A heartbeat of the group's own. False when the engine has ended by its answer.
    fn is_member(&mut self, index: usize) -> bool {
        let now_ms = self.now_ms;
        let process = &self.processes[index];
        let State::Running(engine) = &process.state else {
            return false;
        };
        let (instance, incarnation) = (process.instance.clone(), engine.incarnation);
        match self.group.get_mut(&instance) {
            Some(member) if member.process == index && member.incarnation == incarnation => {
                member.heartbeat_ms = now_ms;
                true
            }
            // Another bears the name.
            Some(_) => {
                self.fence(index);
                false
            }
            // Thrown out: it joins again by itself.
            None => {
                self.join(index, incarnation);
                true
            }
        }
    }

    /// The engine was fenced, says goodbye, and begins again as a new incarnation.
    fn fence(&mut self, index: usize) {
        let now_ms = self.now_ms;
        self.say_goodbye(index);
        let process = &mut self.processes[index];
        process.patience.evicted(now_ms, SILENCE_MS, SESSION_MS);
        self.fenced.push((process.instance.clone(), now_ms));
        let until_ms = now_ms + START_OVER_MS;
        process.state = State::Between { until_ms };
    }

    fn say_goodbye(&mut self, index: usize) {
        let process = &self.processes[index];
        let State::Running(engine) = &process.state else {
            return;
        };
        let itself = Victim {
            instance: process.instance.clone(),
            incarnation: engine.incarnation,
        };
        self.append(sign_of(&itself, Sign::Goodbye));
    }

    fn evict(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let delay = 5 + self.random.below(60) as u64;
        let State::Running(engine) = &mut self.processes[index].state else {
            return;
        };
        let Some((victim, step)) = engine.eviction.take() else {
            if let Some(victim) = engine.observer.victim(now_ms) {
                let answer_ms = now_ms + delay;
                engine.eviction = Some((victim, Step::Asked { answer_ms }));
            }
            return;
        };
        match step {
            Step::Asked { answer_ms } if now_ms >= answer_ms => {
                let member = self.group.get(&victim.instance).copied();
                let one_at_a_time = now_ms >= self.rebalanced_ms;
                match member {
                    None => {
                        let stopped = engine.observer.has_stopped(now_ms, &victim.instance);
                        let members = self.group.keys().map(String::as_str);
                        self.ended += u64::from(may_fence(&victim.instance, stopped, members));
                        engine.observer.left(&victim);
                    }
                    Some(member) if one_at_a_time && !member.evictor => {
                        if engine.observer.may_join(now_ms, &victim) {
                            engine.observer.evicts(now_ms, &victim);
                            let arrives_ms = now_ms + delay;
                            engine.eviction = Some((victim.clone(), Step::Joining { arrives_ms }));
                            self.processes[index].notice = Some(victim.clone());
                            self.check_join(&victim);
                        }
                    }
                    Some(_) => {}
                }
            }
            Step::Joining { arrives_ms } if now_ms >= arrives_ms => {
                self.evictions += 1;
                let incarnation = u64::MAX - self.evictions;
                let member = Member {
                    process: index,
                    incarnation,
                    heartbeat_ms: now_ms,
                    evictor: true,
                };
                let leaves_ms = now_ms + delay;
                engine.eviction = Some((victim.clone(), Step::Joined { leaves_ms }));
                engine.observer.evicted(&victim);
                self.group.insert(victim.instance.clone(), member);
                self.check_fence(&victim);
            }
            Step::Joined { leaves_ms } if now_ms >= leaves_ms => {
                let evictor = |member: &Member| member.evictor && member.process == index;
                if self.group.get(&victim.instance).is_some_and(evictor) {
                    self.group.remove(&victim.instance);
                    self.rebalanced_ms = now_ms + REBALANCE_MS;
                }
            }
            step => engine.eviction = Some((victim, step)),
        }
    }

    /// How long the victim was silent by the log, whoever has read it.
    fn check_join(&mut self, victim: &Victim) {
        let seen_ms = self.now_ms - VIEW_MS;
        // A goodbye or a notice is no sign of life.
        let of_victim = |record: &&Record| {
            let Heartbeat { instance, sign, .. } = &record.heartbeat;
            *instance == victim.instance && *sign == Sign::Alive && record.appended_ms <= seen_ms
        };
        let last = self.log.iter().rev().find(of_victim);
        let last_ms = last.map_or(0, |record| record.appended_ms);
        let silent_ms = self.now_ms - last_ms;
        assert!(
            silent_ms >= SILENCE_MS,
            "eviction: {} had written {silent_ms} ms before",
            victim.instance
        );
        let now_ms = self.now_ms;
        for process in &self.processes {
            let lives = matches!(process.state, State::Running(_));
            if process.instance != victim.instance || !lives {
                continue;
            }
            self.of_the_living += 1;
            let told = process.told.filter(|(incarnation, told_ms)| {
                *incarnation == victim.incarnation && *told_ms < seen_ms
            });
            assert!(
                told.is_none_or(|(_, told_ms)| now_ms >= told_ms + QUIET_MS),
                "peace: {} lives, was evicted as everybody knows {told:?}, and is again at {now_ms}",
                victim.instance
            );
        }
    }

    /// Somebody looks for open transactions in the way of a takeover: nobody's who is a member.
    fn check_fence(&mut self, victim: &Victim) {
        for process in &self.processes {
            let State::Running(engine) = &process.state else {
                continue;
            };
            for (name, member) in self
                .group
                .iter()
                .filter(|(name, _)| **name != victim.instance)
            {
                let stopped = engine.observer.has_stopped(self.now_ms, name);
                let members = self.group.keys().map(String::as_str);
                assert!(
                    member.evictor || !may_fence(name, stopped, members),
                    "fence: {name} is a member"
                );
            }
        }
    }

    /// Whoever died for good while all was calm was evicted before its session ended; all others are members.
    fn check_end(&mut self) {
        for process in &self.processes {
            let member = self.group.get(&process.instance);
            match &process.state {
                State::Running(engine) => assert!(
                    member.is_some_and(|member| member.incarnation == engine.incarnation)
                        || self.duplicates,
                    "liveness: {} is no member: {member:?}",
                    process.instance
                ),
                State::Dead { .. } if process.dies_calm => {
                    assert!(
                        member.is_none(),
                        "liveness: {} is a member",
                        process.instance
                    );
                }
                State::Refused => {}
                _ => assert!(
                    self.duplicates,
                    "liveness: {} does not run",
                    process.instance
                ),
            }
        }
        for instance in self.processes.iter().map(|process| &process.instance) {
            let mut of_name = self.processes.iter().filter(|p| p.instance == *instance);
            let alive = of_name
                .clone()
                .any(|p| matches!(p.state, State::Running(_)));
            let killed = of_name.any(|p| p.dies_calm);
            assert!(alive || killed, "namesake: nobody is left of {instance}");
        }
    }
}

fn sign_of(victim: &Victim, sign: Sign) -> Heartbeat {
    Heartbeat {
        instance: victim.instance.clone(),
        incarnation: victim.incarnation,
        count: 0,
        interval_ms: INTERVAL_MS,
        patience_ms: 0,
        sign,
    }
}

#[derive(Default)]
struct Reached {
    evictions: u64,
    of_the_living: u64,
    expired: u64,
    refused: u64,
    ended: u64,
}

/// One history: faults, calm, then one that dies for good.
fn history(seed: u64) -> Reached {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.calm = true;
    for process in &mut world.processes {
        process.paused_until_ms = process.paused_until_ms.min(world.now_ms);
        process.cut_until_ms = process.cut_until_ms.min(world.now_ms);
    }
    world.stalled_until_ms = world.stalled_until_ms.min(world.now_ms);
    let fenced = world.fenced.len();
    let before = world.now_ms;
    for _ in 0..CALM_STEPS {
        world.step();
    }
    let settled = before + SESSION_MS;
    let late = world.fenced[fenced..]
        .iter()
        .find(|(_, at_ms)| *at_ms > settled);
    assert!(
        world.duplicates || late.is_none(),
        "calm: {late:?} was fenced"
    );
    let running = |process: &Process| matches!(process.state, State::Running(_));
    let alive = world
        .processes
        .iter()
        .filter(|process| running(process))
        .count();
    let last = world.processes.iter().position(running);
    if let Some(last) = last.filter(|_| alive > 1 && !world.duplicates) {
        let expired = world.expired;
        let instance = world.processes[last].instance.clone();
        let needed = world
            .processes
            .iter()
            .filter_map(|process| match &process.state {
                State::Running(engine) => engine.observer.needs(&instance),
                _ => None,
            });
        let needed_ms = needed.max().unwrap_or(0);
        world.processes[last].state = State::Dead { again_ms: None };
        world.processes[last].dies_calm = true;
        for _ in 0..CALM_STEPS {
            world.step();
        }
        assert!(
            world.expired == expired || needed_ms >= SESSION_MS / 2,
            "liveness: the session of {instance} had to end"
        );
    }
    world.check_end();
    Reached {
        evictions: world.evictions,
        of_the_living: world.of_the_living,
        expired: world.expired,
        refused: world.refused,
        ended: world.ended,
    }
}

/// What went wrong in one history, for the planted mistakes.
#[cfg(feature = "planted-bugs")]
pub fn wrong(seed: u64) -> Option<String> {
    let run = catch_unwind(AssertUnwindSafe(|| history(seed)));
    run.err().map(|panic| said(&*panic))
}

#[test]
fn nobody_who_was_heard_is_evicted_and_whoever_is_gone_is() {
    let asked = std::env::var("SIM_SEEDS").ok();
    let seeds = asked.map_or(SEEDS, |text| text.parse().expect("SIM_SEEDS is a number"));
    let (mut sum, mut failed) = (Reached::default(), Vec::new());
    for seed in 0..seeds {
        match catch_unwind(AssertUnwindSafe(|| history(seed))) {
            Ok(reached) => {
                sum.evictions += reached.evictions;
                sum.of_the_living += reached.of_the_living;
                sum.expired += reached.expired;
                sum.refused += reached.refused;
                sum.ended += reached.ended;
            }
            Err(panic) => {
                println!("seed {seed}: {}", said(&*panic));
                failed.push(seed);
            }
        }
    }
    println!(
        "{} evictions, {} of the living, {} sessions ended, {} refused to begin, {} transactions ended without an eviction",
        sum.evictions, sum.of_the_living, sum.expired, sum.refused, sum.ended
    );
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
    let reached = [
        sum.evictions,
        sum.of_the_living,
        sum.expired,
        sum.refused,
        sum.ended,
    ];
    assert!(
        seeds < SEEDS || !reached.contains(&0),
        "not reached: {reached:?}"
    );
}
