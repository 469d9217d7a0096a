//! Size limits of the brokers that are below the size of one full write. Batches and transactions become smaller, also
//! when a limit is lowered during the run.

use std::collections::BTreeMap;

use crate::support::admin::Admin;
use crate::support::partitioners::crc32;
use crate::support::quotas::limit_producer;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{heavy, load::Names, tail, wait_for};

/// Number of names. It is so large that checkpoints are far above the limit of the state topic.
const NAMES: usize = 5_000;
const REQUESTS: u64 = 12_000;
/// Number of strays. It is far more than the limit of the request topic allows in one batch.
const STRAYS: u64 = 600;

const STATE_BYTES_MAX: &str = "20000";
const REPLIES_BYTES_MAX: &str = "2000";
const REQUESTS_BYTES_MAX: &str = "2000";

fn limit(admin: &Admin, topic: &str, bytes: &str) -> BTreeMap<String, String> {
    let settings = admin.own_settings(topic);
    let mut limited = settings.clone();
    limited.insert("max.message.bytes".to_owned(), bytes.to_owned());
    admin.replace_settings(topic, &limited);
    settings
}

#[test]
fn batches_fit_into_topics_that_take_little_in_immediate_mode() {
    small_batches(Mode::Immediate);
}

#[test]
fn batches_fit_into_topics_that_take_little_in_exactly_once_mode() {
    small_batches(Mode::ExactlyOnce);
}

fn small_batches(mode: Mode) {
    let _heavy = heavy();
    let mut random = Random::from_environment();
    let service = Service::new("sizes", mode);
    let admin = Admin::new(&service.bootstrap);
    let names = Names::new(NAMES);
    let instance = service.start("a");
    service.wait_shared(&[&instance]);
    // The limit is lowered during the run, while producers are in use.
    service.preload(&names, 100, &mut random);
    service.check();
    limit(&admin, &service.state, STATE_BYTES_MAX);
    limit(&admin, &service.replies, REPLIES_BYTES_MAX);
    service.preload(&names, REQUESTS, &mut random);
    service.check();
    // A last checkpoint is committed. Otherwise the instance would not end in time.
    assert_eq!(instance.sigterm_and_wait(), 0);

    // The limit is low from the start.
    let instance = service.start("b");
    service.wait_shared(&[&instance]);
    service.preload(&names, REQUESTS, &mut random);
    service.check();
    assert!(instance.metric("sequencer_start_overs_total") == Some(0.0));
    assert_eq!(instance.sigterm_and_wait(), 0);
}

/// Strays are forwarded in batches that the request topic accepts.
#[test]
fn strays_fit_into_a_request_topic_that_takes_little() {
    let service = Service::new("sizes-strays", Mode::Immediate);
    let admin = Admin::new(&service.bootstrap);
    let instance = service.start("a");
    service.wait_shared(&[&instance]);
    let write = |round: u64| {
        let mut writer = service.writer();
        for number in 0..STRAYS {
            let name = format!("stray-{round}-{number}");
            let partition = crc32(name.as_bytes(), PARTITIONS);
            writer.send_to(Some(partition), Some(name.as_bytes()), None);
        }
        writer.finish();
    };
    let answered = |round: u64| {
        let all = usize::try_from((round + 1) * STRAYS).unwrap();
        service.tail().wait_answered(all);
    };
    write(0);
    answered(0);
    // Clients write requests that the topic accepts. Its limit is lowered before the service reads them.
    instance.sigstop();
    write(1);
    limit(&admin, &service.requests, REQUESTS_BYTES_MAX);
    instance.sigcont();
    answered(1);
    let forwarded = tail::raw(&service.bootstrap, &service.requests);
    let forwarded = forwarded
        .iter()
        .filter(|record| record.header("sequencer-forwarded").is_some());
    assert!(forwarded.count() > 600, "most names lie elsewhere");
    assert_eq!(instance.sigterm_and_wait(), 0);
}

/// A produce quota below the first transaction's size, in bytes a second.
const QUOTA: f64 = 30_000.0;
const UNDER_QUOTA: u64 = 6_000;

#[test]
fn transactions_fit_into_a_quota() {
    let _heavy = heavy();
    let mut random = Random::from_environment();
    let mut service = Service::new("sizes-quota", Mode::ExactlyOnce);
    service
        .settings
        .push("kafka.transaction.timeout.ms=2000".to_owned());
    service.create_topics();
    let id = format!("{}-limited", service.group);
    limit_producer(&service.bootstrap, &id, Some(QUOTA));
    service.preload(&Names::new(20), UNDER_QUOTA, &mut random);
    let mut instance = service.spawn(&id);
    instance.wait("to have a transaction that is late", |instance| {
        instance
            .log()
            .contains("not every record was acknowledged in time")
            .then_some(())
    });
    let committed = || {
        let committed = crate::support::admin::committed(
            &service.bootstrap,
            &service.group,
            &service.requests,
            PARTITIONS,
        );
        committed.values().sum::<i64>() >= i64::try_from(UNDER_QUOTA).unwrap() / 10
    };
    wait_for("transactions under the quota", || committed().then_some(()));
    limit_producer(&service.bootstrap, &id, None);
    service.check();
    assert_eq!(instance.sigterm_and_wait(), 0);
}
