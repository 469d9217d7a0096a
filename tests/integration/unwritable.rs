//! The reply topic cannot be written for a while. The service reports this, covers no unanswered request (I4),
//! and answers when the topic can be written again, also after a kill in between.

use std::time::Duration;

use crate::support::admin::Admin;
use crate::support::instance::Instance;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};

/// Size limit of the topic. It is below a batch with any reply, and above a transaction's marker: Kafka itself cannot
/// end a transaction whose marker is refused.
const BYTES_MAX: usize = 120;

/// Number of requests before and during the time without answers.
const REQUESTS: u64 = 500;
/// Number of requests. Two instances cannot hold as many replies that cannot be written.
const HELD_REQUESTS: u64 = 800_000;

#[test]
fn replies_that_cannot_be_written_are_not_covered_in_immediate_mode() {
    unwritable(Mode::Immediate);
}

#[test]
fn replies_that_cannot_be_written_are_not_covered_in_exactly_once_mode() {
    unwritable(Mode::ExactlyOnce);
}

/// An instance that takes no requests gets the partitions of one that has died. It skips their requests until
/// it takes requests again, and must then read them once more.
#[test]
fn partitions_that_come_while_nothing_is_taken_lose_no_request() {
    let mut random = Random::from_environment();
    let names = Names::new(20);
    let service = Service::new("held", Mode::ExactlyOnce);
    let admin = Admin::new(&service.bootstrap);
    let mut stays = service.start("a");
    let mut dies = service.start("b");
    service.wait_shared(&[&stays, &dies]);

    let settings = admin.own_settings(&service.replies);
    let mut unwritable = settings.clone();
    unwritable.insert("max.message.bytes".to_owned(), BYTES_MAX.to_string());
    admin.replace_settings(&service.replies, &unwritable);
    service.preload(&names, HELD_REQUESTS, &mut random);
    for instance in [&mut stays, &mut dies] {
        instance.wait("to take no more requests", |instance| {
            instance.log().contains("requests wait").then_some(())
        });
    }
    dies.sigkill();
    stays.wait("to have every partition", |instance| {
        (instance.running() == PARTITIONS as usize).then_some(())
    });
    // If the instance fetches the partitions, their first records have arrived by now.
    std::thread::sleep(Duration::from_secs(1));
    admin.replace_settings(&service.replies, &settings);
    let report = service.check();
    assert_eq!(report.requests as u64, HELD_REQUESTS);
    assert_eq!(stays.sigterm_and_wait(), 0);
}

fn unwritable(mode: Mode) {
    for killed in [true, false] {
        let mut random = Random::from_environment();
        let names = Names::new(20);
        let service = Service::new("unwritable", mode);
        let admin = Admin::new(&service.bootstrap);
        let mut instance = service.start("a");
        service.preload(&names, REQUESTS, &mut random);
        service.check();

        let settings = admin.own_settings(&service.replies);
        let mut unwritable = settings.clone();
        unwritable.insert("max.message.bytes".to_owned(), BYTES_MAX.to_string());
        admin.replace_settings(&service.replies, &unwritable);
        service.preload(&names, REQUESTS, &mut random);
        instance.wait("to say that replies cannot be written", |instance| {
            says_so(instance).then_some(())
        });
        let writable = || admin.replace_settings(&service.replies, &settings);
        let instance = if killed {
            instance.sigkill();
            writable();
            service.start("a")
        } else {
            writable();
            instance
        };
        let report = service.check();
        assert_eq!(report.requests as u64, 2 * REQUESTS);
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

/// True when the log contains the broker's reason.
fn says_so(instance: &Instance) -> bool {
    instance.log().contains("Message size too large")
}
