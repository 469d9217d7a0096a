//! SIGKILL under load, three times, with a restart after each.
//!
//! A backlog exists before the service starts, and a load goes on throughout. So requests are in progress when the
//! signal comes. The number of answers decides when it comes, not the time.

use crate::support::heavy;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;

/// Requests that are written before the start; `make test-long` sets a million.
const REQUESTS_VARIABLE: &str = "SEQUENCER_KILL_REQUESTS";
const REQUESTS_DEFAULT: u64 = 100_000;

const NAMES: usize = 100;
const KILLS: u64 = 3;
/// Requests a second in addition to the backlog.
const RATE: u64 = 1_000;

#[test]
fn kills_under_load_lose_and_repeat_no_id_in_immediate_mode() {
    kills_under_load(Mode::Immediate);
}

#[test]
fn kills_under_load_lose_and_repeat_no_id_in_exactly_once_mode() {
    kills_under_load(Mode::ExactlyOnce);
}

fn requests() -> u64 {
    std::env::var(REQUESTS_VARIABLE).map_or(REQUESTS_DEFAULT, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{REQUESTS_VARIABLE} must be a number, is {text:?}"))
    })
}

fn kills_under_load(mode: Mode) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let (requests, names) = (requests(), Names::new(NAMES));
    let service = Service::new("kill", mode);
    service.create_topics();
    service.preload(&names, requests, &mut random);
    let load = service.open_loop(&names, RATE, &mut random);
    let mut tail = service.tail();

    for kill in 1..=KILLS {
        let instance = service.spawn("a");
        // Waits for a part of the remaining backlog, and at least for one request.
        let left = requests.saturating_sub(tail.answered() as u64);
        let further = 1 + random.below(1 + left / (KILLS + 2 - kill));
        tail.wait_answered(tail.answered() + further as usize);
        instance.sigkill();
        println!(
            "kill {kill} after {} answers of {requests} and the load",
            tail.answered()
        );
    }
    let instance = service.start("a");
    tail.wait_answered(requests as usize);
    load.stop();
    let report = service.check_answered(&mut tail);
    assert!(report.requests as u64 > requests);
    assert_eq!(instance.sigterm_and_wait(), 0);
}
