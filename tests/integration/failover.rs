//! A peer that is gone is evicted long before its session ends. A peer that lives is not evicted.
//!
//! The sessions are so long that no test passes by waiting for the end of a session.

use crate::support::heavy;
use crate::support::instance::Instance;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::wait_for;

/// The session timeout is longer than any wait of these tests, and at most `max.poll.interval.ms`.
const SESSION_TIMEOUT_MS: u64 = 300_000;
/// Requests a second.
const RATE: u64 = 300;
const EVICTIONS: &str = "sequencer_failover_evictions_total{result=\"done\"}";
const EVICTED_ALIVE: &str = "sequencer_failover_evictions_total{result=\"alive\"}";

fn watchful(scenario: &str, mode: Mode) -> Service {
    let mut service = Service::new(scenario, mode);
    let session = format!("kafka.session.timeout.ms={SESSION_TIMEOUT_MS}");
    service.settings.push(session);
    service.settings.push("failover.silence_ms=200".to_owned());
    service
}

/// Waits until each instance watches its peers.
fn wait_heard(instances: &mut [&mut Instance]) {
    for instance in instances {
        instance.wait("to watch its peers", |instance| {
            (instance.metric("sequencer_failover_active") == Some(1.0)).then_some(())
        });
    }
}

fn sum(instances: &[&Instance], metric: &str) -> f64 {
    let values = instances
        .iter()
        .map(|instance| instance.metric(metric).unwrap());
    values.sum()
}

/// Checks that a log contains these words, in this order.
fn assert_story(log: &str, words: &[&str]) {
    let mut rest = log;
    for word in words {
        let found = rest.find(word);
        let at =
            found.unwrap_or_else(|| panic!("no {word:?} behind the words before it in\n{log}"));
        rest = &rest[at..];
    }
}

fn killed(scenario: &str, mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = watchful(scenario, mode);
    let (mut a, mut b, mut c) = (service.start("a"), service.start("b"), service.start("c"));
    service.wait_shared(&[&a, &b, &c]);
    wait_heard(&mut [&mut a, &mut b, &mut c]);
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    let before = sum(&[&a, &b], EVICTIONS);
    c.sigkill();
    service.wait_shared(&[&a, &b]);
    load.stop();
    service.check();
    // If the machine delays an evictor, another evictor may follow.
    let evictions = sum(&[&a, &b], EVICTIONS) - before;
    assert!(evictions >= 1.0, "{evictions}");
    assert!(sum(&[&a, &b], "sequencer_failover_seconds_count") >= 1.0);
    let logs = [a.log(), b.log()];
    let evictor = logs.iter().find(|log| log.contains("evicted a peer"));
    let story = [
        "a peer is silent",
        "evicting a peer: joining in its place",
        "evicting a peer: it is fenced",
        "evicted a peer: it has left the group",
    ];
    assert_story(evictor.unwrap(), &story);
    // An instance that is back under its name is an ordinary member.
    let c = service.start("c");
    service.wait_shared(&[&a, &b, &c]);
    for instance in [a, b, c] {
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

#[test]
fn a_killed_instance_is_evicted() {
    killed("evicted", Mode::Immediate);
}

#[test]
fn a_killed_instance_is_evicted_and_its_transaction_is_ended() {
    killed("evicted-once", Mode::ExactlyOnce);
}

/// The instance learns that it was fenced or is no longer a member, and joins again.
#[test]
fn an_instance_that_is_evicted_while_it_lives_is_a_member_again() {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = watchful("evicted-alive", Mode::ExactlyOnce);
    let (mut a, mut b) = (service.start("a"), service.start("b"));
    service.wait_shared(&[&a, &b]);
    wait_heard(&mut [&mut a, &mut b]);
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    b.sigstop();
    wait_for("the other to answer for all", || {
        (a.running() == PARTITIONS as usize).then_some(())
    });
    b.sigcont();
    a.wait("to notice that the other lives", |a| {
        (a.metric(EVICTED_ALIVE) == Some(1.0)).then_some(())
    });
    service.wait_shared(&[&a, &b]);
    load.stop();
    service.check();
    assert_eq!(a.sigterm_and_wait(), 0);
    assert_eq!(b.sigterm_and_wait(), 0);
}

/// Neither calm instances nor instances that come and go are evicted.
#[test]
fn nobody_who_lives_or_leaves_is_evicted() {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = watchful("not-evicted", Mode::Immediate);
    let (mut a, mut b) = (service.start("a"), service.start("b"));
    service.wait_shared(&[&a, &b]);
    wait_heard(&mut [&mut a, &mut b]);
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    for _ in 0..3 {
        let c = service.start("c");
        service.wait_shared(&[&a, &b, &c]);
        assert_eq!(c.sigterm_and_wait(), 0);
        service.wait_shared(&[&a, &b]);
    }
    load.stop();
    service.check();
    assert_eq!(sum(&[&a, &b], EVICTIONS), 0.0);
    assert_eq!(sum(&[&a, &b], EVICTED_ALIVE), 0.0);
    assert_eq!(a.sigterm_and_wait(), 0);
    assert_eq!(b.sigterm_and_wait(), 0);
}
