//! Rolling upgrades and scaling in the way of the chart, while a careful client keeps asking. The client gets no error
//! and no wrong ID. The test prints the client's longest wait.
//!
//! The chart's StatefulSet has `podManagementPolicy: Parallel`, so pods start and are scaled in at the same
//! time. An update goes from the highest ordinal to the lowest. Each pod is stopped by SIGTERM, and started
//! again after it has ended. The next one follows when `/readyz` has succeeded for `minReadySeconds`.
//! Kubernetes's own delays (scheduling, images, removal of endpoints) are not simulated.

use std::time::Duration;
use std::{fs, thread};

use crate::support::asker::{Asker, Step};
use crate::support::command::run;
use crate::support::heavy;
use crate::support::instance::Instance;
use crate::support::records::Mode;
use crate::support::service::Service;

/// Requests a second.
const RATE: u64 = 400;
/// Ordinals of the pods.
const PODS: usize = 3;
/// `minReadySeconds` of the chart is 5. A step takes as long only with `SEQUENCER_LONG`.
const MIN_READY: Duration = Duration::from_secs(1);
const MIN_READY_LONG: Duration = Duration::from_secs(5);
const LONG_VARIABLE: &str = "SEQUENCER_LONG";

/// Number of times that one of the three pods is stopped.
const ROUNDS: usize = 1;
const ROUNDS_LONG: usize = 9;

fn long() -> bool {
    std::env::var_os(LONG_VARIABLE).is_some()
}

#[test]
fn an_upgrade_and_scaling_give_no_error_and_no_wrong_id_in_immediate_mode() {
    upgrade_and_scale(Mode::Immediate);
}

#[test]
fn an_upgrade_and_scaling_give_no_error_and_no_wrong_id_in_exactly_once_mode() {
    upgrade_and_scale(Mode::ExactlyOnce);
}

#[test]
fn one_of_three_that_is_stopped_is_missed_for_a_moment_in_immediate_mode() {
    stop_one_of_three(Mode::Immediate);
}

#[test]
fn one_of_three_that_is_stopped_is_missed_for_a_moment_in_exactly_once_mode() {
    stop_one_of_three(Mode::ExactlyOnce);
}

/// The pods of a release, by ordinal, and the client that asks them.
struct Release {
    service: Service,
    pods: Vec<Instance>,
    client: Asker,
}

impl Release {
    /// Starts one pod, and the client.
    fn install(service: Service) -> Release {
        let first = service.start("sequencer-0");
        let client = Asker::start(&service, RATE);
        let release = Release {
            service,
            pods: vec![first],
            client,
        };
        release.rest();
        release.client.end_step();
        release
    }

    fn name(ordinal: usize) -> String {
        format!("sequencer-{ordinal}")
    }

    /// Waits for `minReadySeconds`.
    fn rest(&self) {
        thread::sleep(if long() { MIN_READY_LONG } else { MIN_READY });
    }

    fn rounds(&self) -> usize {
        if long() { ROUNDS_LONG } else { ROUNDS }
    }

    fn ended(&self, what: &str) -> Step {
        self.rest();
        let step = self.client.end_step();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!(
            "{}, {what}: longest wait {} ms, {} asked, {} retried, load average {}",
            self.service.mode.as_str(),
            step.longest.as_millis(),
            step.asked,
            step.retried,
            load.split(' ').next().unwrap_or("unknown"),
        );
        step
    }

    fn scale_out(&mut self, to: usize) {
        let mut new: Vec<Instance> = (self.pods.len()..to)
            .map(|ordinal| self.service.spawn(&Release::name(ordinal)))
            .collect();
        new.iter_mut().for_each(Instance::wait_ready);
        self.pods.extend(new);
        self.shared();
    }

    fn shared(&self) {
        let pods: Vec<&Instance> = self.pods.iter().collect();
        self.service.wait_shared(&pods);
    }

    fn scale_in(&mut self, to: usize) {
        let leaving = self.pods.split_off(to);
        leaving.iter().for_each(Instance::sigterm);
        for mut pod in leaving.into_iter().rev() {
            assert_eq!(pod.wait_exit(), 0);
        }
        self.shared();
    }

    fn stop(&mut self, ordinal: usize) {
        let stopped = self.pods.remove(ordinal);
        assert_eq!(stopped.sigterm_and_wait(), 0);
        self.shared();
    }

    fn start(&mut self, ordinal: usize) {
        let new = self.service.start(&Release::name(ordinal));
        self.pods.insert(ordinal, new);
        self.shared();
    }

    /// Stops the pod and starts it again. Returns when it is ready, but before `minReadySeconds`.
    fn replace(&mut self, ordinal: usize) {
        let old = self.pods.remove(ordinal);
        assert_eq!(old.sigterm_and_wait(), 0);
        let new = self.service.start(&Release::name(ordinal));
        self.pods.insert(ordinal, new);
    }

    /// Checks the results of the client and of `sequencer verify`.
    fn judge(self) {
        let Release {
            service,
            pods,
            client,
        } = self;
        let granted = client.finish();
        println!("{}: {granted} requests granted", service.mode.as_str());
        let mut words = vec!["verify".to_owned()];
        words.extend(service.arguments());
        words.extend(["--wait-ms", "5000"].map(str::to_owned));
        assert_eq!(run(&words).code, 0);
        for pod in pods {
            assert_eq!(pod.sigterm_and_wait(), 0);
        }
    }
}

/// Stops each of three in turn, and prints the median of the longest waits.
fn stop_one_of_three(mode: Mode) {
    let _machine = heavy();
    let mut release = Release::install(Service::new("stopped", mode));
    release.scale_out(PODS);
    release.ended("scaled out from 1 to 3");
    let mut waits = Vec::new();
    for round in 0..release.rounds() {
        let ordinal = round % PODS;
        release.stop(ordinal);
        waits.push(
            release
                .ended(&format!("sequencer-{ordinal} stopped"))
                .longest,
        );
        release.start(ordinal);
        release.ended(&format!("sequencer-{ordinal} started"));
    }
    waits.sort_unstable();
    println!(
        "{}, one of three stopped, {} times: the median of the longest waits is {} ms, the longest {} ms",
        mode.as_str(),
        waits.len(),
        waits[waits.len() / 2].as_millis(),
        waits[waits.len() - 1].as_millis(),
    );
    release.judge();
}

fn upgrade_and_scale(mode: Mode) {
    let _machine = heavy();
    let mut release = Release::install(Service::new("rolling", mode));
    release.scale_out(PODS);
    release.ended("scaled out from 1 to 3");
    for ordinal in (0..PODS).rev() {
        release.replace(ordinal);
        release.rest();
        release.shared();
        release.ended(&format!("sequencer-{ordinal} replaced"));
    }
    release.scale_in(1);
    release.ended("scaled in from 3 to 1");
    release.judge();
}
