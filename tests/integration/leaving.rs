//! An instance that is stopped or fenced leaves the group. An instance that is back after a crash takes its old place.
//!
//! The sessions are so long that no test passes by waiting for the end of a session.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

use crate::support::admin::Admin;
use crate::support::heavy;
use crate::support::instance::Instance;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::wait_for;

/// The session timeout is longer than any wait of these tests, and at most `max.poll.interval.ms`.
const SESSION_TIMEOUT_MS: u64 = 300_000;
/// The longest time until the brokers give the transactional ID to another producer.
const INIT_DEADLINE: Duration = Duration::from_secs(30);
/// Requests a second.
const RATE: u64 = 500;
/// Number of times that a third instance comes and goes.
const ROUNDS: usize = 3;
/// Each round has two rebalances of an incremental protocol: a join and a leave.
const REBALANCES: usize = 2 * ROUNDS;

fn patient(scenario: &str, mode: Mode) -> Service {
    let mut service = Service::new(scenario, mode);
    let session = format!("kafka.session.timeout.ms={SESSION_TIMEOUT_MS}");
    service.settings.push(session);
    service
}

#[test]
fn an_instance_that_is_stopped_leaves_the_group() {
    let service = patient("stopped-leaves", Mode::Immediate);
    let (first, second) = (service.start("a"), service.start("b"));
    service.wait_shared(&[&first, &second]);
    assert_eq!(first.sigterm_and_wait(), 0);
    service.wait_shared(&[&second]);
    assert_eq!(second.sigterm_and_wait(), 0);
}

/// The fenced instance hears no process with its name, so it starts over.
#[test]
fn an_instance_that_is_fenced_leaves_the_group_and_begins_again() {
    let service = patient("fenced-leaves", Mode::Immediate);
    let (mut first, second) = (service.start("a"), service.start("b"));
    service.wait_shared(&[&first, &second]);
    let stranger: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &service.bootstrap)
        .set("transactional.id", format!("{}-instance/a", service.group))
        .create()
        .unwrap();
    stranger.init_transactions(INIT_DEADLINE).unwrap();
    service.preload(&Names::new(20), 200, &mut Random::from_environment());
    first.wait("to begin again", |first| {
        (first.metric("sequencer_start_overs_total") == Some(1.0)).then_some(())
    });
    service.wait_shared(&[&first, &second]);
    assert!(
        first.log().contains("evicted while it lived"),
        "{}",
        first.log()
    );
    assert_eq!(first.sigterm_and_wait(), 0);
    assert_eq!(second.sigterm_and_wait(), 0);
}

#[test]
fn an_instance_that_was_killed_takes_its_old_place() {
    let service = patient("old-place", Mode::ExactlyOnce);
    let (first, second) = (service.start("a"), service.start("b"));
    service.wait_shared(&[&first, &second]);
    let (mine, others) = (first.running(), second.running());
    first.sigkill();
    let mut first = service.start("a");
    first.wait("to answer for as many partitions as before", |first| {
        (first.running() == mine).then_some(())
    });
    assert_eq!(
        (mine + others, second.running()),
        (PARTITIONS as usize, others)
    );
    assert_eq!(first.sigterm_and_wait(), 0);
    assert_eq!(second.sigterm_and_wait(), 0);
}

/// Offsets need the generation of the moment when they are sent. An older one would abort one to seven transactions of
/// each member that stays, in every rebalance.
#[test]
fn a_rebalance_aborts_no_transaction_of_those_who_stay() {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = Service::new("stays", Mode::ExactlyOnce);
    let first = service.start("a");
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    let second = service.start("b");
    service.wait_shared(&[&first, &second]);
    let problems = |log: String| log.matches("checkpoint had a problem").count();
    let before = problems(first.log()) + problems(second.log());
    for _ in 0..ROUNDS {
        let third = service.start("c");
        service.wait_shared(&[&first, &second, &third]);
        assert_eq!(third.sigterm_and_wait(), 0);
        service.wait_shared(&[&first, &second]);
    }
    let aborted = problems(first.log()) + problems(second.log()) - before;
    println!("{aborted} transactions aborted in {REBALANCES} rebalances at two members that stay");
    load.stop();
    service.check();
    // On a busy machine, the answer to a join may be in transit while each of the two members sends offsets.
    assert!(
        aborted < 2 * REBALANCES,
        "{aborted} in {REBALANCES} rebalances"
    );
    assert_eq!(first.sigterm_and_wait(), 0);
    assert_eq!(second.sigterm_and_wait(), 0);
}

/// After an upgrade, the group has a past, and the topic of heartbeats does not exist yet.
#[test]
fn heartbeats_begin_beside_a_group_that_had_none() {
    let service = Service::new("upgraded", Mode::Immediate);
    let admin = Admin::new(&service.bootstrap);
    // With two partitions the topic is not usable.
    admin.create(&service.heartbeats, 2, &[]);
    let first = service.start("a");
    service.wait_shared(&[&first]);
    assert!(first.log().contains("no heartbeats"), "{}", first.log());
    admin.delete(&service.heartbeats);
    let second = service.start("b");
    service.wait_shared(&[&first, &second]);
    assert_eq!(admin.partitions(&service.heartbeats), 1);
    assert_eq!(first.sigterm_and_wait(), 0);
    assert_eq!(second.sigterm_and_wait(), 0);
}

/// Otherwise the two processes would fence each other forever.
#[test]
fn a_second_process_of_one_name_refuses_to_start_and_the_first_goes_on() {
    let service = Service::new("namesake", Mode::Immediate);
    let mut first = service.start("a");
    first.wait("to own every partition", |first| {
        (first.running() == PARTITIONS as usize).then_some(())
    });
    for _ in 0..2 {
        let mut other = service.spawn("a");
        assert_eq!(other.wait_exit(), 1);
        let log = other.log();
        assert!(log.contains("another process uses instance_id"), "{log}");
    }
    service.preload(&Names::new(20), 200, &mut Random::from_environment());
    service.check();
    let lost = first.metric("sequencer_rebalances_total{kind=\"lost\"}");
    assert_eq!(lost, Some(0.0));
    first.sigkill();
    // A process that starts after a crash hears no other process.
    let after = service.start("a");
    assert_eq!(after.sigterm_and_wait(), 0);
}

/// No process hears another before it begins. Then they fence each other, until all but one have heard another.
#[test]
fn of_processes_of_one_name_that_start_at_once_one_goes_on() {
    let _machine = heavy();
    let service = Service::new("at-once", Mode::Immediate);
    // The topics exist, so no process waits for them.
    assert_eq!(service.start("b").sigterm_and_wait(), 0);
    let mut all: Vec<Instance> = (0..3).map(|_| service.spawn("a")).collect();
    wait_for("all but one to end", || {
        let ended = all.iter_mut().filter_map(Instance::ended).count();
        (ended == 2).then_some(())
    });
    let mut left = Vec::new();
    for mut instance in all {
        match instance.ended() {
            Some(status) => assert_eq!(status.code(), Some(1)),
            None => left.push(instance),
        }
    }
    let mut last = left.pop().expect("one that goes on");
    last.wait("to own every partition", |last| {
        (last.running() == PARTITIONS as usize).then_some(())
    });
    service.preload(&Names::new(20), 200, &mut Random::from_environment());
    service.check();
    assert_eq!(last.sigterm_and_wait(), 0);
}
