//! The status page in a real browser.

use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use crate::browser::{self, Browser};
use crate::support::DEADLINE;
use crate::support::admin::Admin;
use crate::support::command::{Outcome, run};
use crate::support::instance::Instance;
use crate::support::links;
use crate::support::load::{Names, Writer};
use crate::support::murmur2::names_at_home;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail;
use crate::support::wait_for;

/// The partition that halts.
const DAMAGED: i32 = 1;
/// Partitions after the rescale.
const GROWN: i32 = 2 * PARTITIONS;
/// The new partition that the rescale waits for: the child of partition 1.
const HELD: i32 = PARTITIONS + 1;
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

/// Gives the topics more partitions, like the first part of `sequencer rescale`.
fn grow(service: &Service, instances: [&Instance; 2]) {
    let admin = Admin::new(&service.bootstrap);
    for topic in [&service.ledger, &service.state, &service.requests] {
        admin.grow(topic, GROWN);
    }
    wait_for("the new partitions to run", || {
        let running = instances.map(Instance::running);
        (running.iter().sum::<usize>() == GROWN as usize).then_some(())
    });
}

/// A producer whose open transaction holds a partition of the request topic back.
fn hold(service: &Service, partition: i32) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &service.bootstrap)
        .set("transactional.id", format!("{}-holder", service.group))
        .set("transaction.timeout.ms", DEADLINE.as_millis().to_string())
        .create()
        .unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(&service.requests).partition(partition);
    let sent = producer.send(record.key("never committed"));
    sent.map_err(|(error, _)| error).unwrap();
    producer.flush(DEADLINE).unwrap();
    producer
}

/// Runs `sequencer rescale` with these arguments.
fn rescale(service: &Service, arguments: &[&str]) -> Outcome {
    let mut words = vec!["rescale".to_owned()];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    words.extend(service.arguments());
    run(&words)
}

#[test]
fn readers_see_the_partitions_of_all_instances_a_rescale_and_no_instance_that_is_gone() {
    if let Some(program) = browser::missing() {
        return println!("skipped: browser ({program} is not there)");
    }
    let mut random = Random::from_environment();
    let service = Service::new("page-of-two", Mode::ExactlyOnce);
    let [name, other] = ["sequencer-1", "sequencer-2"];
    let (first, second) = (service.start(name), service.start(other));
    service.wait_shared(&[&first, &second]);
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    let address = format!("http://127.0.0.1:{}/", second.port());
    let mut browser = Browser::start("service.mjs", first.port(), &[&address, name, other]);

    browser.wait("rescale");
    grow(&service, [&first, &second]);
    let holder = hold(&service, HELD);
    // The command begins no rescale while a partition is held back, but goes on with one.
    links::split(&service, &[PARTITIONS, GROWN]);
    wait_for("the rescale to begin", || {
        let status = rescale(&service, &["--status", "--json"]);
        let status: Value = serde_json::from_str(&status.stdout).ok()?;
        (status["homes"] == json!([PARTITIONS, GROWN])).then_some(())
    });
    let rescales = service.clone();
    let partitions = GROWN.to_string();
    let rescale =
        thread::spawn(move || rescale(&rescales, &["--yes", "--partitions", &partitions]));
    browser.go_on();
    browser.wait("finish the rescale");
    holder.abort_transaction(DEADLINE).unwrap();
    let outcome = rescale.join().unwrap();
    assert_eq!(outcome.code, 0, "{}", outcome.said());
    browser.go_on();

    browser.wait(&format!("kill {other}"));
    second.sigkill();
    browser.go_on();
    browser.end();
    load.stop();
    assert_eq!(first.sigterm_and_wait(), 0);
}
