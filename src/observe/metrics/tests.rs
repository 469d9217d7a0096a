//! Tests of the output of a scrape.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use prometheus::TextEncoder;
use prometheus::proto::MetricType;

use super::*;
use crate::core::fold::Outlook;
use crate::observe::status::{PartitionState, PartitionStatus};

fn text(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap()
}

const SILENCE: Duration = Duration::from_millis(250);

fn running() -> PartitionStatus {
    PartitionStatus {
        state: PartitionState::Running,
        next_offset: 42,
        lag_records: Some(7),
        sequences: 3,
        checkpoint_age_ms: Some(1_500),
        outlook: Some(Outlook {
            below_tenth: 2,
            below_hundredth: 1,
            exhausted: 0,
            least_left_ppm: Some(2_500),
        }),
        ..Default::default()
    }
}

#[test]
fn known_series_begin_at_zero() {
    let registry = Registry::new();
    Metrics::register(&registry).unwrap();
    let text = text(&registry);
    for line in [
        "sequencer_requests_total{outcome=\"granted\"} 0",
        "sequencer_rejections_total{code=\"invalid_count\"} 0",
        "sequencer_checkpoints_total{result=\"unknown\"} 0",
        "sequencer_rebalances_total{kind=\"lost\"} 0",
        "sequencer_kafka_errors_total{class=\"fatal\"} 0",
        "sequencer_halted_partitions 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn every_metric_has_the_prefix_and_a_help_text() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    metrics.publish(
        &Status {
            partitions: [(0, running())].into(),
            ..Default::default()
        },
        SILENCE,
        0,
    );
    for family in registry.gather() {
        let name = family.name();
        let ours = name.starts_with("sequencer_") || name.starts_with("process_");
        assert!(ours, "{name}");
        assert!(family.help().ends_with('.'), "{}", family.name());
    }
}

#[test]
fn a_partition_that_is_gone_leaves_no_series() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let halted = PartitionStatus {
        state: PartitionState::Halted,
        halt: Some("truncated"),
        ..Default::default()
    };
    metrics.publish(
        &Status {
            partitions: [(0, running()), (1, halted)].into(),
            ..Default::default()
        },
        SILENCE,
        0,
    );
    let before = text(&registry);
    for line in [
        "sequencer_partition_state{partition=\"0\",state=\"running\"} 1",
        "sequencer_partition_state{partition=\"0\",state=\"halted\"} 0",
        "sequencer_partition_state{partition=\"1\",state=\"halted\"} 1",
        "sequencer_partition_lag_records{partition=\"0\"} 7",
        "sequencer_partition_next_offset{partition=\"0\"} 42",
        "sequencer_partition_checkpoint_age_seconds{partition=\"0\"} 1.5",
        "sequencer_sequences{partition=\"0\"} 3",
        "sequencer_halted_partitions 1",
        "sequencer_partition_halted{partition=\"1\",reason=\"truncated\"} 1",
        "sequencer_engine_silence_seconds 0.25",
        "sequencer_sequences_near_exhaustion{left_below=\"0.1\",partition=\"0\"} 2",
        "sequencer_sequences_near_exhaustion{left_below=\"0\",partition=\"0\"} 0",
        "sequencer_sequence_left_ratio_min{partition=\"0\"} 0.0025",
    ] {
        assert!(
            before.lines().any(|found| found == line),
            "{line} in\n{before}"
        );
    }
    assert!(!before.contains("sequencer_partition_lag_records{partition=\"1\"}"));

    metrics.publish(
        &Status {
            partitions: [(0, running())].into(),
            ..Default::default()
        },
        SILENCE,
        0,
    );
    assert!(!text(&registry).contains("partition=\"1\""));
}

#[test]
fn one_registry_takes_the_metrics_once() {
    let registry = Registry::new();
    Metrics::register(&registry).unwrap();
    assert!(Metrics::register(&registry).is_err());
}

/// Name, type and labels of each metric, from the tables of `docs/metrics.md`.
fn documented(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[2].split('`').skip(1).step_by(2).map(str::to_owned);
        let name = cells[0].trim_end_matches('`').to_owned();
        (name, (cells[1].to_owned(), labels.collect()))
    })
    .collect()
}

#[test]
fn the_documented_metrics_are_those_that_are_exported_with_their_types_and_labels() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let halted = PartitionStatus {
        state: PartitionState::Halted,
        halt: Some("truncated"),
        ..Default::default()
    };
    metrics.publish(
        &Status {
            partitions: [(0, running()), (1, halted)].into(),
            ..Default::default()
        },
        SILENCE,
        0,
    );
    let exported: BTreeMap<_, _> = registry
        .gather()
        .into_iter()
        .map(|family| {
            let kind = match family.get_field_type() {
                MetricType::COUNTER => "counter",
                MetricType::GAUGE => "gauge",
                MetricType::HISTOGRAM => "histogram",
                other => panic!("{other:?}"),
            };
            let labels = family.get_metric()[0].get_label().iter();
            let labels = labels.map(|label| label.name().to_owned()).collect();
            (family.name().to_owned(), (kind.to_owned(), labels))
        })
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(documented(&text), exported);
    // No label holds a name of a sequence, a topic or a client: a series for each would grow with the data.
    let labels = exported.values().flat_map(|(_, labels)| labels);
    let bounded = [
        "cause",
        "class",
        "code",
        "kind",
        "left_below",
        "outcome",
        "part",
        "partition",
        "reason",
        "result",
        "since",
        "state",
        "version",
    ];
    assert_eq!(
        labels.map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(bounded)
    );
    let planted = text.replacen("| counter |", "| gauge |", 1);
    assert_ne!(documented(&planted), exported, "a wrong type is noticed");
}
