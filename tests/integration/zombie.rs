//! A paused instance wakes after its session has ended, and goes on as if nothing had happened.
//!
//! It wakes up with requests that it has read and not answered, answers that it has not sent, and an open
//! transaction, while another owner has gone on. All replies that it still sends must have the same bytes (I3),
//! and its checkpoint must not count.

use crate::support::heavy;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};

/// Number of answers to wait for before each change.
const ANSWERS: usize = 2_000;
/// Requests a second.
const RATE: u64 = 2_000;
/// Number of times that one of the two instances is paused.
const PAUSES: usize = 2;

#[test]
fn an_owner_that_wakes_up_late_gives_no_other_answer_in_immediate_mode() {
    wakes_up_late(Mode::Immediate);
}

#[test]
fn an_owner_that_wakes_up_late_gives_no_other_answer_in_exactly_once_mode() {
    wakes_up_late(Mode::ExactlyOnce);
}

fn wakes_up_late(mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let service = Service::new("zombie", mode);
    let mut paused = service.start("a");
    let mut awake = service.start("b");
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    let mut tail = service.tail();
    for _ in 0..PAUSES {
        service.wait_shared(&[&paused, &awake]);
        tail.wait_answered(tail.answered() + ANSWERS);
        paused.sigstop();
        awake.wait("to own every partition", |awake| {
            (awake.running() == PARTITIONS as usize).then_some(())
        });
        tail.wait_answered(tail.answered() + ANSWERS);
        paused.sigcont();
        // The paused instance is a member again and owns its share.
        service.wait_shared(&[&paused, &awake]);
        std::mem::swap(&mut paused, &mut awake);
    }
    tail.wait_answered(tail.answered() + ANSWERS);
    load.stop();
    service.check_answered(&mut tail);
    assert_eq!(paused.sigterm_and_wait(), 0);
    assert_eq!(awake.sigterm_and_wait(), 0);
}
