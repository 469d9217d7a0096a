//! The status page in a real browser.

use std::thread;
use std::time::Duration;

use crate::browser::{self, Browser};
use crate::support::admin::Admin;
use crate::support::instance::Instance;
use crate::support::load::{Names, Writer};
use crate::support::murmur2::names_at_home;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail;

/// The partition that halts.
const DAMAGED: i32 = 1;
/// A name that a page must not take for markup.
const EVIL: &str = "<b>bold</b>&'\"";
/// A sequence in the ledger.
const AUDITED: &str = "invoices";
/// Requests a second while the page is looked at.
const RATE: u64 = 100;
/// Longer than a fetch waits at the broker (`fetch.wait.max.ms`): after that a stopped process has
/// no question there that new records would answer.
const FETCH_OVER: Duration = Duration::from_secs(1);

/// Requests that are deleted before they are answered, under a running instance, halt their partition.
fn halt(service: &Service, instance: &mut Instance) {
    let name = names_at_home(DAMAGED, PARTITIONS, 1).remove(0);
    instance.sigstop();
    thread::sleep(FETCH_OVER);
    let mut writer = service.writer();
    (0..3).for_each(|_| writer.send(Some(name.as_bytes()), None));
    writer.finish();
    let end = tail::high_watermark(&service.bootstrap, &service.requests, DAMAGED);
    Admin::new(&service.bootstrap).delete_records(&service.requests, DAMAGED, end - 1);
    instance.sigcont();
    instance.wait("to halt the partition", |instance| {
        instance.halted().contains_key(&DAMAGED).then_some(())
    });
}

#[test]
fn a_reader_sees_partitions_finds_sequences_and_sees_a_partition_halt_at_the_next_refresh() {
    if let Some(program) = browser::missing() {
        return println!("skipped: browser ({program} is not there)");
    }
    let mut random = Random::from_environment();
    let service = Service::new("page", Mode::Immediate);
    let mut instance = service.start("a");
    let mut writer: Writer = service.writer();
    writer.send(Some(EVIL.as_bytes()), None);
    for request in [
        r#"{"op":"define","audit":true,"requester":"anna"}"#,
        "{}",
        r#"{"count":3,"requester":"billing"}"#,
        r#"{"op":"set_next","next":20260001,"reason":"new year","requester":"anna"}"#,
    ] {
        writer.send(Some(AUDITED.as_bytes()), Some(request.as_bytes()));
    }
    writer.finish();
    let load = service.open_loop(&Names::new(40), RATE, &mut random);

    let mut browser = Browser::start("page.mjs", instance.port(), &[EVIL, AUDITED]);
    browser.wait("ready");
    load.stop();
    halt(&service, &mut instance);
    browser.go_on();
    browser.end();
    assert_eq!(instance.sigterm_and_wait(), 0);
}
