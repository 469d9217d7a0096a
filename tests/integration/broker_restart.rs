//! The broker stops under load, once cleanly and once not, and comes back with its data.

use crate::support::broker::Controls;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::{cluster, heavy};

/// Number of answers to wait for before each change.
const ANSWERS: usize = 2_000;
/// Requests a second.
const RATE: u64 = 1_000;

#[test]
fn a_broker_restart_under_load_loses_and_repeats_no_id_in_immediate_mode() {
    broker_restart("broker-restart-immediate", Mode::Immediate);
}

#[test]
fn a_broker_restart_under_load_loses_and_repeats_no_id_in_exactly_once_mode() {
    broker_restart("broker-restart-exactly-once", Mode::ExactlyOnce);
}

fn broker_restart(name: &str, mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let mut kafka = cluster::own_broker(name);
    let service = Service::on(kafka.bootstrap(), name, mode);
    let instance = service.start("a");
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    let mut tail = service.tail();
    tail.wait_answered(ANSWERS);

    kafka.stop_broker(0);
    kafka.start_broker(0);
    tail.wait_answered(tail.answered() + ANSWERS);

    kafka.kill_broker(0);
    kafka.start_broker(0);
    tail.wait_answered(tail.answered() + ANSWERS);

    load.stop();
    service.check_answered(&mut tail);
    assert_eq!(instance.sigterm_and_wait(), 0);
    kafka.stop().unwrap();
}
