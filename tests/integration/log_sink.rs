//! The output of log lines never decides whether the service lives.

use std::fs::OpenOptions;
use std::io::{Write, pipe};
use std::process::Stdio;
use std::thread;

use crate::support::command::program;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;

/// Every write to this output fails because no space is left.
fn full_disk() -> Stdio {
    Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap())
}

/// Every write to this output fails because its reader is gone.
fn closed_pipe() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    Stdio::from(writer)
}

#[test]
fn a_full_disk_and_a_closed_pipe_cost_log_lines_and_not_the_service() {
    let service = Service::new("log-sink", Mode::Immediate);
    let mut random = Random::from_environment();
    let mut full = service.spawn_into("full", full_disk(), full_disk());
    full.wait_ready();
    // A second instance makes the first one log a rebalance.
    let mut closed = service.spawn_into("closed", closed_pipe(), closed_pipe());
    closed.wait_ready();
    service.wait_shared(&[&full, &closed]);
    service.preload(&Names::new(20), 200, &mut random);
    service.check();
    for instance in [&full, &closed] {
        let lost = instance.metric("sequencer_log_lines_lost_total").unwrap();
        assert!(lost > 0.0, "lines that were written to nowhere are counted");
    }
    assert_eq!(closed.sigterm_and_wait(), 0);
    assert_eq!(full.sigterm_and_wait(), 0);
}

#[test]
fn a_full_pipe_that_nobody_reads_makes_the_service_wait_for_nothing() {
    let mut service = Service::new("log-unread", Mode::Immediate);
    // These settings produce far more lines than the service keeps for a slow reader, with those of librdkafka.
    service.settings = vec!["log.level=trace".to_owned(), "kafka.debug=all".to_owned()];
    let mut random = Random::from_environment();
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // The writer fills the pipe, and is stuck until the reader is gone.
    let filler = thread::spawn(move || while filler.write_all(&[b'x'; 4_096]).is_ok() {});
    let mut instance = service.spawn_into("a", Stdio::null(), Stdio::from(writer));
    instance.wait_ready();
    service.preload(&Names::new(20), 200, &mut random);
    service.check();
    assert_eq!(instance.sigterm_and_wait(), 0);
    drop(reader);
    filler.join().unwrap();
}

#[test]
fn wrong_usage_exits_2_and_a_failure_1_wherever_the_words_go() {
    for stderr in [full_disk, closed_pipe] {
        let ends = |arguments: &[&str]| {
            let mut command = program();
            command.args(arguments).stdout(stderr()).stderr(stderr());
            command.status().unwrap().code()
        };
        assert_eq!(ends(&["--help"]), Some(0));
        assert_eq!(ends(&["serve", "--no-such-flag"]), Some(2));
        assert_eq!(ends(&["serve", "--set", "no.such.key=1"]), Some(2));
        // No process listens on port 1 of this machine.
        let unreachable = ["serve", "--brokers", "127.0.0.1:1", "--http", ""];
        assert_eq!(ends(&unreachable), Some(1));
    }
}
