//! Plays and ends each fault, on the brokers and instances of one run.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use sequencer::embedded::Kafka;
use serde_json::Value;

use crate::support::admin::Admin;
use crate::support::broker::{Controls, signal_to};
use crate::support::instance::Instance;
use crate::support::random::Random;
use crate::support::service::Service;
use crate::support::tail::{self, Isolation};
use crate::support::{DEADLINE, signal, wait_for};

use super::calls::{Attempt, Calls, GATEWAYS};
use super::faults::{Brokers, Fault, Instances, Links};
use super::observer::Observer;
use super::proxy::{Link, Proxy};
use super::topics::Topics;

/// The instance that connects to the brokers through the proxy. It always runs, or is started again.
pub const PROXIED: &str = "a";
pub const BROKERS: usize = 3;
/// Lowest number of instances. With fewer instances, most faults would stop every partition.
const INSTANCES_MIN: usize = 2;
/// Highest number of instances. It exceeds the number of partitions by one, so that one instance has none.
const INSTANCES_MAX: usize = 5;

/// The processes and links that can be broken.
pub struct Stage<'a> {
    pub service: &'a Service,
    pub kafka: &'a mut Kafka,
    pub proxy: Proxy,
    /// The directory of the brokers.
    pub directory: PathBuf,
    pub topics: Topics,
    pub admin: Admin,
    pub observer: Observer,
    pub random: Random,
    fleet: Vec<(String, Instance)>,
    /// None after the callers have been stopped.
    calls: Option<Calls>,
    started: u64,
    /// The time when the instance that was stopped last came back, until it is taken.
    back_ms: Option<u64>,
    /// Events without a fault: instances that ended on their own, partitions that halted.
    pub surprises: Vec<String>,
}

impl<'a> Stage<'a> {
    /// Starts a stage with these instances, which are ready.
    pub fn set(
        service: &'a Service,
        (kafka, proxy): (&'a mut Kafka, Proxy),
        directory: PathBuf,
        instances: Vec<(String, Instance)>,
        ((topics, admin, observer), calls): ((Topics, Admin, Observer), Calls),
        random: Random,
    ) -> Stage<'a> {
        Stage {
            service,
            kafka,
            proxy,
            directory,
            topics,
            admin,
            observer,
            random,
            started: instances.len() as u64,
            fleet: instances,
            calls: Some(calls),
            back_ms: None,
            surprises: Vec::new(),
        }
    }

    /// Replaces `fault` if it is not possible now.
    pub fn possible(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Instances(Instances::Grow) if self.fleet.len() >= INSTANCES_MAX => {
                Fault::Instances(Instances::Shrink)
            }
            Fault::Instances(Instances::Shrink) if self.fleet.len() <= INSTANCES_MIN => {
                Fault::Instances(Instances::Grow)
            }
            fault => fault,
        }
    }

    /// Waits until the fault is allowed: a broker may stop only while all others are in sync.
    pub fn prepare(&self, fault: Fault) {
        if matches!(fault, Fault::Brokers(_) | Fault::Mixed(..)) {
            wait_in_sync(&self.service.bootstrap);
        }
    }

    /// Ends the callers of gateways. Returns their attempts.
    pub fn stop_calls(&mut self) -> Vec<Attempt> {
        self.calls.take().map_or_else(Vec::new, Calls::stop)
    }

    /// Takes the time at which the instance of the last fault came back, if it was measured.
    pub fn take_back_ms(&mut self) -> Option<u64> {
        self.back_ms.take()
    }

    /// Plays and ends a fault. Returns its description.
    pub fn play(&mut self, fault: Fault) -> String {
        match fault {
            Fault::Instances(instances) => self.instances(instances, true),
            Fault::Brokers(brokers) => {
                let (broker, hold) = self.break_broker(brokers);
                thread::sleep(hold);
                self.mend_broker(broker, brokers);
                format!("broker {}, {hold:.1?}", broker + 1)
            }
            Fault::Links(links) => self.links(links),
            Fault::Mixed(instances, brokers) => {
                let (broker, hold) = self.break_broker(brokers);
                let what = self.instances(instances, false);
                thread::sleep(hold / 2);
                self.mend_broker(broker, brokers);
                format!("broker {}, {what}", broker + 1)
            }
            Fault::Gateway => {
                let gateway = self.random.below(GATEWAYS.len() as u64) as usize;
                let hold = self.seconds(0, 3);
                if let Some(calls) = &mut self.calls {
                    calls.kill(self.service, &self.proxy, gateway, hold);
                }
                format!("{} back after {hold:.1?}", GATEWAYS[gateway])
            }
            Fault::DeleteTopic => {
                self.topics.delete(&self.admin);
                self.topics.renew(&self.admin);
                format!("topic {}", self.topics.deleted().len())
            }
        }
    }

    fn seconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(1_000 * from + self.random.below(1_000 * (to - from)))
    }

    /// Breaks the links of the proxied instance to one broker or to all.
    fn links(&mut self, fault: Links) -> String {
        let one = self.random.below(BROKERS as u64) as usize;
        let (broken, whose) = if self.random.below(2) == 0 {
            (0..BROKERS, "every broker".to_owned())
        } else {
            (one..one + 1, format!("broker {}", one + 1))
        };
        let delay = Duration::from_millis(200 + self.random.below(800));
        let (link, hold) = match fault {
            Links::CutBriefly => (Link::Cut, self.seconds(1, 5)),
            // The session is 6 s, and a transaction and its cleanup may take 15 s.
            Links::Cut => (Link::Cut, self.seconds(7, 16)),
            Links::Slow => (Link::Slow(delay), self.seconds(5, 12)),
            Links::Mute => (Link::Mute, self.seconds(2, 12)),
            Links::Lost => {
                broken.for_each(|broker| self.proxy.lose(broker));
                return format!("{PROXIED} to {whose}");
            }
        };
        for broker in broken.clone() {
            self.proxy.set(broker, link);
        }
        thread::sleep(hold);
        for broker in broken {
            self.proxy.set(broker, Link::Open);
        }
        format!("{PROXIED} to {whose}, {link:?} for {hold:.1?}")
    }

    /// `calm`: the brokers work, so that a stopped instance must end cleanly.
    fn instances(&mut self, fault: Instances, calm: bool) -> String {
        let mut at = self.random.below(self.fleet.len() as u64) as usize;
        if fault == Instances::Shrink && self.fleet[at].0 == PROXIED {
            at = (at + 1) % self.fleet.len();
        }
        let name = self.fleet[at].0.clone();
        match fault {
            Instances::Kill => {
                self.fleet.remove(at).1.sigkill();
                // Either the instance is back at once and fences its predecessor, or others have taken over before.
                let hold = if self.random.below(2) == 0 {
                    self.seconds(0, 2)
                } else {
                    self.seconds(8, 12)
                };
                thread::sleep(hold);
                self.start(&name);
                format!("{name} back after {hold:.1?}")
            }
            Instances::Pause => {
                self.fleet[at].1.sigstop();
                // The session is 6 s.
                let hold = self.seconds(7, 11);
                thread::sleep(hold);
                self.fleet[at].1.sigcont();
                format!("{name} for {hold:.1?}")
            }
            Instances::Terminate => {
                self.terminate(at, calm);
                // The instance hands over its partitions before it comes back and gets some.
                let hold = self.seconds(2, 4);
                thread::sleep(hold);
                self.back_ms = Some(self.observer.now_ms());
                self.start(&name);
                format!("{name} back after {hold:.1?}")
            }
            Instances::Roll => {
                let names: Vec<String> = self.fleet.iter().map(|(name, _)| name.clone()).collect();
                for name in &names {
                    let at = self.fleet.iter().position(|(found, _)| found == name);
                    self.terminate(at.unwrap(), calm);
                    self.start(name);
                    self.fleet.last_mut().unwrap().1.wait_ready();
                }
                names.join(", ")
            }
            Instances::Grow => {
                self.started += 1;
                let name = format!("i{}", self.started);
                self.start(&name);
                format!("{name}, {} now", self.fleet.len())
            }
            Instances::Shrink => {
                self.terminate(at, calm);
                format!("{name}, {} left", self.fleet.len())
            }
        }
    }

    fn start(&mut self, name: &str) {
        let instance = spawn(self.service, &self.proxy, name);
        self.fleet.push((name.to_owned(), instance));
    }

    fn terminate(&mut self, at: usize, calm: bool) {
        let (name, instance) = self.fleet.remove(at);
        let code = instance.sigterm_and_wait();
        // While a broker is away, the drain may not end in time.
        if code != 0 && calm {
            self.surprises
                .push(format!("{name} ended with {code} on SIGTERM"));
        }
    }

    fn break_broker(&mut self, fault: Brokers) -> (usize, Duration) {
        let controller = self.controller();
        let others: Vec<usize> = (0..BROKERS)
            .filter(|broker| *broker != controller)
            .collect();
        let other = others[self.random.below(others.len() as u64) as usize];
        match fault {
            Brokers::Kill => self.kafka.kill_broker(other),
            Brokers::KillController => self.kafka.kill_broker(controller),
            Brokers::Pause => signal_to(self.kafka, other, signal::SIGSTOP),
        }
        let hold = match fault {
            Brokers::Pause => self.seconds(2, 13),
            Brokers::Kill | Brokers::KillController => self.seconds(0, 5),
        };
        let broken = if fault == Brokers::KillController {
            controller
        } else {
            other
        };
        (broken, hold)
    }

    fn mend_broker(&mut self, broker: usize, fault: Brokers) {
        match fault {
            Brokers::Pause => signal_to(self.kafka, broker, signal::SIGCONT),
            Brokers::Kill | Brokers::KillController => self.kafka.start_broker(broker),
        }
    }

    /// The index of the active controller, according to the voters of the highest epoch.
    fn controller(&self) -> usize {
        let state = |broker: usize| {
            let path = self
                .directory
                .join(format!("broker-{}", broker + 1))
                .join("data/__cluster_metadata-0/quorum-state");
            let state: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            let leader = usize::try_from(state["leaderId"].as_i64()?).ok()?;
            (leader > 0).then_some((state["leaderEpoch"].as_i64()?, leader - 1))
        };
        wait_for("a controller", || (0..BROKERS).filter_map(state).max()).1
    }

    /// Waits until every partition answers requests that are sent after this call.
    pub fn wait_recovered(&mut self) {
        let healed_ms = self.observer.now_ms();
        let observer = self.observer.clone();
        wait_for("every partition to answer again", || {
            self.look();
            observer.all_since(healed_ms).then_some(())
        });
    }

    /// Notes instances that ended on their own, and starts them again like an orchestrator.
    pub fn look(&mut self) {
        for (name, instance) in &mut self.fleet {
            if let Some(status) = instance.ended() {
                let words = format!("{name} ended by itself: {status}");
                // An instance that starts while the controller is away may give up. It has not served any
                // request yet.
                if instance.log().contains("rebalance") {
                    self.surprises.push(words);
                } else {
                    println!("{words}, before it had joined the group");
                }
                *instance = spawn(self.service, &self.proxy, name);
            }
        }
    }

    /// Asks every instance for partitions that halted.
    pub fn look_for_halts(&mut self) {
        for (name, instance) in &self.fleet {
            for (partition, halted) in instance.halted() {
                self.surprises.push(format!(
                    "{name} halted partition {partition}: {}",
                    halted.reason
                ));
            }
        }
    }

    /// Ends the stage: every instance must leave cleanly.
    pub fn clear(&mut self) {
        while !self.fleet.is_empty() {
            self.terminate(0, true);
        }
    }
}

/// Starts an instance, through the proxy if it is the proxied one.
pub fn spawn(service: &Service, proxy: &Proxy, name: &str) -> Instance {
    if name == PROXIED {
        service.spawn_at(&proxy.bootstrap(), name)
    } else {
        service.spawn(name)
    }
}

/// Waits until every replica of every partition is in sync.
pub fn wait_in_sync(bootstrap: &str) {
    let client = tail::consumer(bootstrap, Isolation::Uncommitted);
    wait_for("all replicas to be in sync", || {
        let metadata = client.fetch_metadata(None, DEADLINE).ok()?;
        let mut partitions = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions());
        partitions
            .all(|partition| partition.isr().len() == partition.replicas().len())
            .then_some(())
    });
}
