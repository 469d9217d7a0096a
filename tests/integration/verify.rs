//! `sequencer verify` on real topics: it accepts them after kills and strays, and names planted anomalies.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::command::{Outcome, program, run};
use crate::support::heavy;
use crate::support::load::{Names, Writer, forms};
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail::{self, Isolation};

/// Number of requests in the run with a memory budget; `make test-long` sets ten million.
const REQUESTS_VARIABLE: &str = "SEQUENCER_VERIFY_REQUESTS";
const REQUESTS_DEFAULT: u64 = 100_000;
/// The budget of that run.
const MEMORY_MB: u64 = 500;
/// The longest time for that run, which bounds a hang.
const LONG: Duration = Duration::from_secs(1_800);

fn arguments(service: &Service, further: &[&str]) -> Vec<String> {
    let mut arguments = vec!["verify".to_owned()];
    arguments.extend(service.arguments());
    arguments.extend(further.iter().map(|&word| word.to_owned()));
    arguments
}

fn verify(service: &Service) -> (Outcome, Value) {
    let outcome = run(&arguments(service, &["--json", "--wait-ms", "5000"]));
    let report = serde_json::from_str(&outcome.stdout).unwrap();
    (outcome, report)
}

/// Names of the invariants that do not hold.
fn broken(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["anomalies"] != 0)
        .map(|finding| finding["invariant"].as_str().unwrap())
        .collect()
}

fn checked<'a>(report: &'a Value, invariant: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|finding| finding["invariant"] == invariant);
    &found.unwrap()["checked"]
}

/// Writes requests of every form, in any partition, some of them twice.
fn write(service: &Service, count: u64, random: &mut Random) {
    let names = Names::new(20);
    let mut writer = service.writer();
    for number in 0..count {
        let key = names.pick(random).to_vec();
        let value = match random.below(20) {
            0 => Some(format!("{{\"request_id\":\"{}\"}}", number / 50).into_bytes()),
            1 => Some(b"{\"op\":\"describe\"}".to_vec()),
            2 => Some(
                b"{\"op\":\"define\",\"max_count\":15,\"requester\":\"ops\",\"reason\":\"fewer\"}"
                    .to_vec(),
            ),
            _ => forms(random),
        };
        let stray = random.below(4) == 0;
        let partition = stray.then(|| random.below(PARTITIONS as u64) as i32);
        writer.send_to(partition, Some(&key), value.as_deref());
    }
    writer.finish();
}

fn after_kills(mode: Mode) -> Service {
    let mut random = Random::from_environment();
    let service = Service::new("verify", mode);
    service.create_topics();
    write(&service, 20_000, &mut random);
    let mut tail = service.tail();
    for answers in [2_000, 6_000] {
        let instance = service.spawn("a");
        tail.wait_answered(answers);
        instance.sigkill();
    }
    let instance = service.start("a");
    write(&service, 2_000, &mut random);
    // The service is running: the command itself waits for the checkpoints.
    let (outcome, report) = verify(&service);
    assert_eq!(outcome.code, 0, "{report:#}");
    assert_eq!(report["clean"], true);
    assert_eq!(instance.sigterm_and_wait(), 0);
    service
}

#[test]
fn verify_is_clean_after_kills_in_immediate_mode() {
    let _machine = heavy();
    let service = after_kills(Mode::Immediate);
    let (_, report) = verify(&service);
    assert_eq!(*checked(&report, "I4 answered"), 22_000);
    for invariant in [
        "I1 unique",
        "I5 one request, one grant",
        "checkpoint adds up",
    ] {
        assert!(*checked(&report, invariant) != 0, "{report:#}");
    }
    assert!(report["counts"]["strays"] != 0 && report["counts"]["operators"] != 0);

    // Without `--json` the output is a table.
    let table = run(&arguments(&service, &[]));
    assert_eq!(table.code, 0);
    assert!(table.stdout.contains("I4 answered") && table.stdout.contains("\nclean: "));
}

#[test]
fn verify_is_clean_after_kills_in_exactly_once_mode() {
    let _machine = heavy();
    after_kills(Mode::ExactlyOnce);
}

#[test]
fn verify_names_what_was_planted() {
    let mut random = Random::from_environment();
    let service = Service::new("planted", Mode::Immediate);
    service.create_topics();
    write(&service, 500, &mut random);
    let instance = service.start("a");
    service.tail().wait_answered(500);
    assert_eq!(instance.sigterm_and_wait(), 0);
    let (outcome, report) = verify(&service);
    assert_eq!((outcome.code, broken(&report).len()), (0, 0), "{report:#}");

    // A repeated reply with other content.
    let replies = service.all_replies();
    let granted = |body: &str| body.contains("\"first\":");
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    let reply = replies.iter().find(|reply| granted(&text(&reply.body)));
    let reply = reply.unwrap();
    let body = text(&reply.body).replace("\"first\":", "\"first\":7");
    let mut writer = Writer::new(&service.bootstrap, &service.replies);
    let (key, partition) = (reply.key.as_deref(), Some(reply.partition));
    writer.send_to(partition, key, Some(body.as_bytes()));
    writer.finish();
    let (outcome, report) = verify(&service);
    assert_eq!(outcome.code, 1);
    assert_eq!(broken(&report), ["I3 stable", "reply as the log says"]);
    let cause: Value = serde_json::from_slice(&reply.body).unwrap();
    let stable = &report["findings"][2]["examples"][0];
    assert_eq!(stable["partition"], cause["partition"], "{report:#}");
    assert_eq!(stable["offset"], cause["offset"], "{report:#}");

    // A footer whose digest does not match the entries.
    let state = tail::replies(&service.bootstrap, &service.state, Isolation::Committed);
    let footer = state
        .iter()
        .rfind(|record| record.key.as_deref() == Some(b"F"));
    let footer = footer.unwrap();
    let mut value = footer.body.clone();
    const DIGEST: usize = 1 + 16 + 8;
    value[DIGEST] ^= 1;
    let mut writer = Writer::new(&service.bootstrap, &service.state);
    writer.send_to(Some(footer.partition), Some(b"F"), Some(&value));
    writer.finish();
    // A request without an answer.
    let mut writer = service.writer();
    writer.send(Some(b"unanswered"), None);
    writer.finish();
    let (outcome, report) = verify(&service);
    assert_eq!(outcome.code, 1);
    let expected = [
        "I3 stable",
        "I4 answered",
        "checkpoint adds up",
        "reply as the log says",
    ];
    assert_eq!(broken(&report), expected, "{report:#}");
}

#[test]
fn bad_usage_of_verify_exits_2_and_a_missing_topic_1() {
    let service = Service::new("nothing", Mode::Immediate);
    assert_eq!(run(&arguments(&service, &["--memory-mb", "1"])).code, 2);
    let outcome = run(&arguments(&service, &[]));
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("does not exist"));
}

#[test]
fn verify_stays_within_its_budget() {
    let _machine = heavy();
    let requests =
        std::env::var(REQUESTS_VARIABLE).map_or(REQUESTS_DEFAULT, |text| text.parse().unwrap());
    let mut random = Random::from_environment();
    let service = Service::new("budget", Mode::Immediate);
    service.create_topics();
    let began = Instant::now();
    service.preload(&Names::new(1_000), requests, &mut random);
    println!("{requests} requests written in {:?}", began.elapsed());
    let instance = service.start("a");
    let wait_ms = LONG.as_millis().min(600_000).to_string();
    let wait = run_measured(&arguments(&service, &["--json", "--wait-ms", &wait_ms]));
    println!(
        "while they are served: {} s, {} MB at most",
        wait.seconds, wait.megabytes
    );
    assert_eq!(instance.sigterm_and_wait(), 0);

    let measured = run_measured(&arguments(&service, &["--json"]));
    println!("{} s, {} MB at most", measured.seconds, measured.megabytes);
    let report: Value = serde_json::from_str(&measured.stdout).unwrap();
    assert_eq!(measured.code, Some(0), "{report:#}");
    assert_eq!(report["counts"]["requests"], requests);
    assert_eq!(*checked(&report, "I4 answered"), requests);
    assert!(measured.megabytes <= MEMORY_MB, "{} MB", measured.megabytes);
}

struct Measured {
    code: Option<i32>,
    stdout: String,
    seconds: u64,
    megabytes: u64,
}

/// Runs a command and measures its peak memory during the run.
fn run_measured(arguments: &[String]) -> Measured {
    let began = Instant::now();
    let mut child = program()
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut megabytes = 0;
    let status = loop {
        // The line is like "VmHWM: 123 kB". It is gone when the process has ended.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let highest = status.ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        megabytes = megabytes.max(highest.unwrap_or(0) / 1_024);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > LONG {
            let _ = child.kill();
            panic!("verify took more than {LONG:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    // A report fits into a pipe.
    let stdout = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    Measured {
        code: status.code(),
        stdout,
        seconds: began.elapsed().as_secs(),
        megabytes,
    }
}
