//! An error concerns only its subject: a batch that cannot be read halts its partition, and a request topic
//! that is created again under a running service halts the partitions that were folding it.

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::admin::Admin;
use crate::support::command::run;
use crate::support::load::Writer;
use crate::support::murmur2::names_at_home;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{DEADLINE, heavy};

const DAMAGED: i32 = 1;

/// A size above the 100,000,000 bytes that Kafka's client library decompresses by default. It takes 3 kB in the log.
const LARGE_BYTES: usize = 110_000_000;

/// Sends a request for one ID of a name whose home is this partition.
fn ask(writer: &mut Writer, partition: i32) {
    let name = names_at_home(partition, PARTITIONS, 1).remove(0);
    writer.send(Some(name.as_bytes()), None);
}

fn ask_all(service: &Service) {
    let mut writer = service.writer();
    (0..PARTITIONS).for_each(|partition| ask(&mut writer, partition));
    writer.finish();
}

fn write_large(service: &Service) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &service.bootstrap)
        .set("compression.type", "zstd")
        .set("message.max.bytes", "1000000000")
        .create()
        .unwrap();
    let value = vec![b' '; LARGE_BYTES];
    let record = BaseRecord::<[u8], [u8]>::to(&service.requests)
        .partition(DAMAGED)
        .payload(&value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(DEADLINE).unwrap();
}

#[test]
fn a_batch_that_cannot_be_read_halts_its_partition_and_no_other_until_it_is_passed_over() {
    let _alone = heavy();
    let service = Service::new("scope-unreadable", Mode::Immediate);
    let mut instance = service.start("a");
    ask_all(&service);
    let mut tail = service.tail();
    tail.wait_answered(PARTITIONS as usize);
    write_large(&service);
    ask_all(&service);
    // All requests are answered except the one after the unreadable batch.
    tail.wait_answered(2 * PARTITIONS as usize - 1);
    let halted = instance.wait("to halt the partition", |instance| {
        let halted = instance.halted();
        (!halted.is_empty()).then_some(halted)
    });
    assert_eq!(halted.keys().copied().collect::<Vec<_>>(), [DAMAGED]);
    let halted = &halted[&DAMAGED];
    for word in ["at offset 1", "kafka.receive.message.max.bytes"] {
        assert!(halted.reason.contains(word), "{halted:?}");
    }
    let mut verify = vec!["verify".to_owned()];
    verify.extend(service.arguments());
    let verified = run(&verify);
    assert_eq!(verified.code, 1);
    let place = format!("{}-{DAMAGED}", service.requests);
    for word in [place.as_str(), "kafka.receive.message.max.bytes"] {
        assert!(verified.said().contains(word), "{}", verified.said());
    }

    let mut words: Vec<&str> = halted.repair.split_whitespace().skip(1).collect();
    let looked = run(&words);
    assert_eq!(looked.code, 0, "{}", looked.said());
    for word in ["never answers what lies at 1 to 1", "no ID jumps"] {
        assert!(looked.stdout.contains(word), "{}", looked.stdout);
    }
    words.extend(["--owner-halted", "--yes"]);
    let done = run(&words);
    assert_eq!(done.code, 0, "{}", done.said());
    tail.wait_answered(2 * PARTITIONS as usize);
    instance.wait("to run all partitions", |instance| {
        (instance.running() == PARTITIONS as usize).then_some(())
    });
    assert!(!instance.log().contains("starting over"));
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn a_request_topic_that_is_made_again_under_a_running_service_halts_its_partitions() {
    let service = Service::new("scope-recreated", Mode::Immediate);
    let mut instance = service.start("a");
    ask_all(&service);
    service.tail().wait_answered(PARTITIONS as usize);
    let admin = Admin::new(&service.bootstrap);
    // A paused instance does not see that the topic is deleted or empty.
    instance.sigstop();
    admin.delete(&service.requests);
    let settings = [("message.timestamp.type", "LogAppendTime")];
    admin.create(&service.requests, PARTITIONS, &settings);
    // There are more requests than before, so that a read at the old offset finds one.
    let mut writer = service.writer();
    for partition in 0..PARTITIONS {
        (0..5).for_each(|_| ask(&mut writer, partition));
    }
    writer.finish();
    instance.sigcont();
    let halted = instance.wait("to halt all partitions", |instance| {
        let halted = instance.halted();
        (halted.len() == PARTITIONS as usize).then_some(halted)
    });
    for halted in halted.values() {
        assert!(halted.reason.contains("recreated"), "{halted:?}");
    }
    assert_eq!(instance.sigterm_and_wait(), 0);
}
