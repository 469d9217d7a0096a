//! The status page in a real browser.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::prometheus::root;
use crate::support::admin::Admin;
use crate::support::cluster;
use crate::support::instance::Instance;
use crate::support::load::{Names, Writer};
use crate::support::murmur2::names_at_home;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::signal;
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

/// Whether a program can be run.
fn there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

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
    for program in ["node", "chromium"] {
        if !there(program) {
            return println!("skipped: browser ({program} is not there)");
        }
    }
    let mut random = Random::from_environment();
    let service = Service::new("page", Mode::Immediate);
    let mut instance = service.start("a");
    let mut writer: Writer = service.writer();
    writer.send(Some(EVIL.as_bytes()), None);
    for request in [
        r#"{"op":"define","audit":true}"#,
        "{}",
        r#"{"count":3,"requester":"billing"}"#,
    ] {
        writer.send(Some(AUDITED.as_bytes()), Some(request.as_bytes()));
    }
    writer.finish();
    let load = service.open_loop(&Names::new(40), RATE, &mut random);

    let pictures = cluster::directory().join("pictures");
    let mut command = Command::new("node");
    command
        // Built in from Node.js 22 on.
        .arg("--experimental-websocket")
        .arg(root().join("tests/monitoring/page.mjs"))
        .arg(format!("http://127.0.0.1:{}/", instance.port()))
        .arg(EVIL)
        .arg(AUDITED)
        .arg(&pictures)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    signal::die_with_this_thread(&mut command);
    let mut browser = command.spawn().unwrap();
    let mut lines = BufReader::new(browser.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let mut ready = false;
    for line in lines.by_ref() {
        let line = line.unwrap();
        ready = line == "ready";
        said.push(line);
        if ready {
            break;
        }
    }
    assert!(ready, "{said:#?}");
    load.stop();
    halt(&service, &mut instance);
    browser
        .stdin
        .take()
        .unwrap()
        .write_all(b"halted\n")
        .unwrap();
    said.extend(lines.map(Result::unwrap));
    let status = browser.wait().unwrap();
    assert!(status.success(), "{said:#?}");
    println!("pictures in {}", pictures.display());
    assert_eq!(instance.sigterm_and_wait(), 0);
}
