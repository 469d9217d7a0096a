//! The dashboard and the alerts, in a Prometheus that scrapes a service under load.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::prometheus::{Prometheus, folder, root};
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::{DEADLINE, http};

/// Requests a second: what a small service has.
const RATE: u64 = 200;
/// How often Prometheus is asked again for what it does not have yet; it scrapes once a second.
const AGAIN: Duration = Duration::from_millis(500);

/// Every query of every panel, with the variables as Grafana would fill them in.
fn queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("deploy/grafana/sequencer.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "10s")
                .replace("$instance", ".*");
            assert!(!query.contains('$'), "{query}");
            queries.push((title.to_owned(), query));
        }
    }
    queries
}

/// The queries that have no number to show within the deadline.
fn without_data(
    prometheus: &Prometheus,
    mut left: Vec<(String, String)>,
    call: impl Fn(),
) -> Vec<(String, String)> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        call();
        left.retain(|(_, query)| {
            !prometheus
                .query(query)
                .iter()
                .any(|value| value.is_finite())
        });
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        thread::sleep(AGAIN);
    }
}

fn shows_data(mode: Mode) {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(skipped) => return println!("{skipped}"),
    };
    let mut random = Random::from_environment();
    let service = Service::new("dashboard", mode);
    let instance = service.start("a");
    let load = service.open_loop(&Names::new(40), RATE, &mut random);
    let gateway = service.gateway("g", &[]);
    let path = "/v1/sequences/called/next";
    let prometheus = Prometheus::start(&folder, &[instance.port(), gateway.port()], None);
    let called = || http::send(gateway.port(), "POST", path, "", "", DEADLINE).unwrap();
    assert_eq!(called().status, 200);
    let queries = queries();
    assert!(queries.len() > 40, "{}", queries.len());
    let empty = without_data(&prometheus, queries, || assert_eq!(called().status, 200));
    assert!(empty.is_empty(), "no data for {empty:#?}");

    let alerts = prometheus.alerts();
    assert!(alerts.len() > 20, "{alerts:?}");
    for (name, health, state) in &alerts {
        assert_eq!(health, "ok", "{name}");
        assert_ne!(state, "firing", "{name} fires for a service that is well");
    }
    let answers = "sequencer_reply_latency_seconds_count{since=\"append\"}";
    assert!(prometheus.query(answers)[0] > 0.0, "latencies are counted");
    load.stop();
    drop(prometheus);
    assert_eq!(gateway.sigterm_and_wait(), 0);
    assert_eq!(instance.sigterm_and_wait(), 0);
}

#[test]
fn every_query_of_the_dashboard_has_data_and_no_alert_fires_under_load_in_immediate_mode() {
    shows_data(Mode::Immediate);
}

#[test]
fn every_query_of_the_dashboard_has_data_and_no_alert_fires_under_load_in_exactly_once_mode() {
    shows_data(Mode::ExactlyOnce);
}
