//! Measures the time for which a partition with many sequences stands still when its owner is killed: the next
//! owner reads its whole state first. The time is printed, and never asserted.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::{Message, Offset};
use sequencer::embedded::{Kafka, Options};
use serde_json::Value;

use crate::support::check::cause;
use crate::support::instance::Instance;
use crate::support::murmur2::partition_of;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{admin, cluster, heavy, tail, wait_for};

use super::run;

/// Sets the number of sequences of the partition.
const SEQUENCES_VARIABLE: &str = "SEQUENCER_FAILOVER_SEQUENCES";
const SEQUENCES_DEFAULT: f64 = 10_000.0;
/// The number of times that the owner is killed.
const KILLS: usize = 3;
const REQUEST: &[u8] = br#"{"op":"next"}"#;
/// The time between two requests while the partition stands still.
const ASK_INTERVAL: Duration = Duration::from_millis(10);
/// The longest wait for answers to the load, which takes minutes.
const LOADED: Duration = Duration::from_secs(1_200);
/// The partition that has the sequences.
const LARGE: i32 = 0;

#[test]
fn failover_of_a_large_partition() {
    let _machine = heavy();
    let sequences = run::number(SEQUENCES_VARIABLE, SEQUENCES_DEFAULT) as u64;
    let directory = cluster::directory().join("failover-large");
    let mut kafka = Kafka::start(Options::cluster_of_three(directory)).unwrap();
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        let service = Service::on(kafka.bootstrap(), "failover-large", mode);
        let times = play(&service, sequences);
        println!(
            "{sequences} sequences, {}: {times:?} from SIGKILL to the first answer",
            mode.as_str()
        );
    }
    kafka.stop().unwrap();
}

fn play(service: &Service, sequences: u64) -> Vec<Duration> {
    let mut fleet: Vec<Instance> = ["a", "b", "c"].map(|name| service.start(name)).into();
    let mut writer = service.writer();
    for name in names().take(sequences as usize) {
        writer.send(Some(name.as_bytes()), Some(REQUEST));
    }
    writer.finish();
    let deadline = Instant::now() + LOADED;
    while covered(service) < sequences as i64 {
        assert!(Instant::now() < deadline, "the load is not answered");
        thread::sleep(Duration::from_millis(200));
    }
    let name = names().next().expect("a name");
    let mut writer = service.writer();
    let isolation = service.isolation();
    let (replies, _) =
        tail::assigned_from(Offset::End, &service.bootstrap, &service.replies, isolation);
    let mut times = Vec::new();
    for kill in 0..KILLS {
        service.wait_shared(&fleet.iter().collect::<Vec<_>>());
        let owner = wait_for("an owner of the large partition", || {
            fleet
                .iter()
                .position(|instance| instance.running_partitions().contains(&LARGE))
        });
        let before = tail::high_watermark(&service.bootstrap, &service.requests, LARGE);
        fleet.remove(owner).sigkill();
        let killed = Instant::now();
        let mut asked = Instant::now();
        loop {
            if asked.elapsed() >= ASK_INTERVAL {
                asked = Instant::now();
                writer.send(Some(name.as_bytes()), Some(REQUEST));
                writer.poll();
            }
            if let Some(Ok(reply)) = replies.poll(Duration::from_millis(2)) {
                let body: Value = serde_json::from_slice(reply.payload().unwrap()).unwrap();
                if cause(&body).is_some_and(|cause| cause >= (LARGE, before)) {
                    break;
                }
            }
            assert!(killed.elapsed() < LOADED, "no answer after a SIGKILL");
        }
        times.push(killed.elapsed());
        fleet.push(service.start(&format!("d{kill}")));
    }
    for instance in fleet {
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
    times
}

/// Names whose home is the large partition.
fn names() -> impl Iterator<Item = String> {
    let all = (0_u64..).map(|number| format!("s{number}"));
    all.filter(|name| partition_of(name.as_bytes(), PARTITIONS) == LARGE)
}

fn covered(service: &Service) -> i64 {
    let Service {
        bootstrap,
        group,
        requests,
        ..
    } = service;
    let committed = admin::committed(bootstrap, group, requests, PARTITIONS);
    committed.get(&LARGE).copied().unwrap_or(0)
}
