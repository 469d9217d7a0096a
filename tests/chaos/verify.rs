//! The second judge: `sequencer verify`, as a user runs it.

use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::command::program;
use crate::support::service::Service;
use crate::support::tail::WHOLE;
use crate::support::{cluster, unique};

/// The longest time for the command, which bounds a hang. A minute for a million requests is usual.
const LIMIT: Duration = Duration::from_secs(1_200);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the command over all topics of a service, which may be running.
fn report(service: &Service) -> Value {
    let output = cluster::directory().join(format!("{}.json", unique("verify")));
    let errors = output.with_extension("err");
    let pattern = format!("{}-*.reply", service.group);
    let mut child = program()
        .arg("verify")
        .args(service.arguments())
        .args(WHOLE.iter().flat_map(|(property, value)| {
            ["--set".to_owned(), format!("kafka.{property}={value}")]
        }))
        .args(["--replies", &pattern, "--replies", &service.gateway_replies])
        .args(["--json", "--wait-ms", "60000"])
        .stdout(File::create(&output).unwrap())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("waited {} s for sequencer verify", LIMIT.as_secs());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    let text = fs::read_to_string(&output).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| {
        let errors = fs::read_to_string(&errors).unwrap();
        panic!("sequencer verify printed no report: {error}\n{text}{errors}")
    })
}

/// Fails if any check fails, except for these replies, which were deleted with their topics.
pub fn assert_clean(service: &Service, gone: &[(i32, i64)]) {
    let report = report(service);
    let mut problems = Vec::new();
    println!("sequencer verify:");
    for finding in report["findings"].as_array().unwrap() {
        let anomalies = finding["anomalies"].as_u64().unwrap();
        let invariant = finding["invariant"].as_str().unwrap();
        println!(
            "  {invariant}: {} {} checked, {anomalies} anomalies",
            finding["checked"],
            finding["of"].as_str().unwrap()
        );
        let expected = if invariant == "I4 answered" {
            gone.len() as u64
        } else {
            0
        };
        let place = |example: &Value| {
            let partition = example["partition"].as_i64().unwrap() as i32;
            (partition, example["offset"].as_i64().unwrap())
        };
        let examples = finding["examples"].as_array().unwrap();
        let known = examples
            .iter()
            .all(|example| gone.contains(&place(example)));
        if anomalies != expected || !known {
            problems.push(format!("{expected} anomalies expected: {finding:#}"));
        }
    }
    println!("  {}", report["counts"]);
    let unchecked = report["unchecked"].as_array().unwrap();
    assert!(
        problems.is_empty() && unchecked.is_empty(),
        "{report:#}\n{problems:#?}"
    );
}
