//! After a clean stop and a restart, the IDs go on, and no request is answered twice.

use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;

#[test]
fn after_a_clean_stop_the_numbers_go_on_in_immediate_mode() {
    stop_and_start(Mode::Immediate);
}

#[test]
fn after_a_clean_stop_the_numbers_go_on_in_exactly_once_mode() {
    stop_and_start(Mode::ExactlyOnce);
}

/// For a batch to a topic that it does not know yet, librdkafka uses the partition -1, and the transaction fails. The
/// first checkpoint follows right after the creation of its producer.
#[test]
fn the_first_start_of_all_aborts_no_checkpoint() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        // Sometimes the topics are known in time by chance.
        for _ in 0..4 {
            let instance = Service::new("first", mode).start("a");
            let log = instance.log();
            assert!(!log.contains("checkpoint had a problem"), "{log}");
            assert_eq!(instance.sigterm_and_wait(), 0);
        }
    }
}

fn stop_and_start(mode: Mode) {
    let mut random = Random::from_environment();
    let names = Names::new(20);
    let service = Service::new("restart", mode);
    let mut written = 0;
    for _ in 0..3 {
        let instance = service.start("a");
        let mut tail = service.tail();
        service.preload(&names, 1_000, &mut random);
        written += 1_000;
        tail.wait_answered(written);
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
    let report = service.check();
    assert_eq!((report.requests, report.repeated), (written, 0), "{report}");
}

#[test]
fn a_stop_in_the_middle_of_a_load_answers_nothing_twice() {
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let mut random = Random::from_environment();
        let service = Service::new("restart-under-load", mode);
        let mut instance = service.start("a");
        let load = service.open_loop(&Names::new(20), 2_000, &mut random);
        let mut tail = service.tail();
        for _ in 0..3 {
            tail.wait_answered(tail.answered() + 1_000 + random.below(1_000) as usize);
            assert_eq!(instance.sigterm_and_wait(), 0);
            instance = service.start("a");
        }
        load.stop();
        let report = service.check_answered(&mut tail);
        assert_eq!(report.repeated, 0, "{report}");
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

#[test]
fn the_reply_mode_can_change_from_start_to_start() {
    let mut random = Random::from_environment();
    let names = Names::new(20);
    let mut service = Service::new("mode", Mode::Immediate);
    for mode in [Mode::Immediate, Mode::ExactlyOnce, Mode::Immediate] {
        service.mode = mode;
        let instance = service.start("a");
        service.preload(&names, 500, &mut random);
        service.check();
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
    let report = service.check();
    assert_eq!((report.requests, report.repeated), (1_500, 0), "{report}");
}
