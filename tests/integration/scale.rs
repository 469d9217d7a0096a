//! One, two, three, then one instance, while requests keep coming.

use crate::support::heavy;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;

/// Number of answers to wait for between two changes, so that each set of instances does some work.
const ANSWERS: usize = 2_000;
/// Requests a second.
const RATE: u64 = 1_000;

#[test]
fn instances_come_and_go_under_load_in_immediate_mode() {
    come_and_go(Mode::Immediate);
}

#[test]
fn instances_come_and_go_under_load_in_exactly_once_mode() {
    come_and_go(Mode::ExactlyOnce);
}

fn come_and_go(mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = Service::new("scale", mode);
    let first = service.start("a");
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    let mut tail = service.tail();
    let mut work = || {
        let answered = tail.answered();
        tail.wait_answered(answered + ANSWERS);
    };
    service.wait_shared(&[&first]);
    work();
    let second = service.start("b");
    service.wait_shared(&[&first, &second]);
    work();
    let third = service.start("c");
    service.wait_shared(&[&first, &second, &third]);
    work();
    // One instance leaves cleanly, the other does not.
    assert_eq!(first.sigterm_and_wait(), 0);
    second.sigkill();
    service.wait_shared(&[&third]);
    work();
    load.stop();
    let report = service.check_answered(&mut tail);
    assert!(report.requests >= 4 * ANSWERS);
    assert_eq!(third.sigterm_and_wait(), 0);
}
