//! Measures the time to drain a backlog, beside a raw echo of the same backlog in the same run.
//!
//! The test asserts nothing about time: it prints the figures with their ratio, since these machines are noisy.
//! It asserts that the answers are right. `docs/performance.md` has figures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::admin::Admin;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{DEADLINE, cluster, heavy, unique};

/// Set by `make test-long`: a million requests, five rounds.
const LONG_VARIABLE: &str = "SEQUENCER_LONG";
const NAMES: u64 = 100;
/// The interval between two reads of the end of the reply topic.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(5);

#[test]
fn a_backlog_is_drained_in_both_modes_beside_a_raw_echo() {
    let _machine = heavy();
    let long = std::env::var_os(LONG_VARIABLE).is_some();
    let (requests, rounds) = if long { (1_000_000, 5) } else { (100_000, 1) };
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let echo = echo(requests);
        let immediate = drain(Mode::Immediate, requests);
        let exactly_once = drain(Mode::ExactlyOnce, requests);
        println!(
            "drain of {requests}: raw echo {echo:.0}/s, immediate {immediate:.0}/s, \
             exactly_once {exactly_once:.0}/s"
        );
        ratios[0].push(immediate / echo);
        ratios[1].push(exactly_once / echo);
    }
    for (mode, mut ratios) in ["immediate", "exactly_once"].into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        println!(
            "{mode} against the raw echo: least {:.2}, median {:.2}, most {:.2}",
            ratios[0],
            ratios[ratios.len() / 2],
            ratios[ratios.len() - 1]
        );
    }
}

/// Writes requests of about 45 bytes.
fn write(bootstrap: &str, topic: &str, requests: u64) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "500000")
        .set("linger.ms", "20")
        .create()
        .unwrap();
    for index in 0..requests {
        let key = format!("name-{:03}", index % NAMES);
        let value = format!("{{\"count\":1,\"request_id\":\"r-{index:012}\"}}");
        while producer
            .send(BaseRecord::to(topic).key(&key).payload(&value))
            .is_err()
        {
            producer.poll(Duration::from_millis(1));
        }
        if index % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(DEADLINE).unwrap();
}

/// Consumes and produces the same bytes, and nothing else. Returns requests a second, from the first record to
/// the last acknowledgement.
fn echo(requests: u64) -> f64 {
    let bootstrap = cluster::shared_bootstrap();
    let (from, to) = (unique("echo-in"), unique("echo-out"));
    let admin = Admin::new(bootstrap);
    admin.create(
        &from,
        PARTITIONS,
        &[("message.timestamp.type", "LogAppendTime")],
    );
    admin.create(&to, PARTITIONS, &[]);
    write(bootstrap, &from, requests);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", unique("echo"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "2")
        .create()
        .unwrap();
    // This is the faster of the two settings that the service uses for its own replies.
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "200000")
        .create()
        .unwrap();
    consumer.subscribe(&[from.as_str()]).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let (mut echoed, mut began) = (0, None);
    while echoed < requests {
        assert!(Instant::now() < deadline, "waited for the echo");
        let Some(record) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let record = record.unwrap();
        began.get_or_insert_with(Instant::now);
        let (key, value) = (record.key().unwrap(), record.payload().unwrap());
        while producer
            .send(
                BaseRecord::to(&to)
                    .key(key)
                    .payload(value)
                    .partition(record.partition()),
            )
            .is_err()
        {
            producer.poll(Duration::from_millis(1));
        }
        echoed += 1;
        if echoed % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(DEADLINE).unwrap();
    rate(requests, began.unwrap().elapsed())
}

/// Lets the service drain a backlog that exists before it starts. Returns requests a second, from the first
/// growth of the reply topic to the last.
fn drain(mode: Mode, requests: u64) -> f64 {
    let mut service = Service::new("drain", mode);
    if mode == Mode::ExactlyOnce {
        service.settings = vec!["checkpoint.interval_ms=20".to_owned()];
    }
    service.create_topics();
    write(&service.bootstrap, &service.requests, requests);
    let stop = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(&service.bootstrap, &service.replies, &stop));
        let mut instance = service.spawn("a");
        instance.wait("to own every partition", |instance| {
            (instance.running() == PARTITIONS as usize).then_some(())
        });
        instance.wait("to answer the backlog", |instance| {
            let answered = instance.metric("sequencer_requests_total")?;
            (answered >= requests as f64).then_some(())
        });
        // A clean stop writes all pending records.
        assert_eq!(instance.sigterm_and_wait(), 0);
        stop.store(true, Ordering::Relaxed);
        sampler.join().unwrap()
    });
    service.check();
    rate(requests, took)
}

/// Returns the time for which the topic grew, until `stop`.
fn sample(bootstrap: &str, topic: &str, stop: &AtomicBool) -> Duration {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap();
    let end = || -> i64 {
        (0..PARTITIONS)
            .map(|partition| {
                consumer
                    .fetch_watermarks(topic, partition, DEADLINE)
                    .unwrap()
                    .1
            })
            .sum()
    };
    let (mut last, mut grown) = (end(), None);
    let deadline = Instant::now() + 2 * DEADLINE;
    while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
        let now = end();
        if now > last {
            last = now;
            let at = Instant::now();
            grown = Some((grown.map_or(at, |(first, _)| first), at));
        }
        thread::sleep(SAMPLE_INTERVAL);
    }
    let (first, last) = grown.expect("the reply topic grew");
    last - first
}

fn rate(requests: u64, took: Duration) -> f64 {
    requests as f64 / took.as_secs_f64()
}
