//! What a scrape shows.

use prometheus::TextEncoder;

use super::*;
use crate::service::status::{PartitionState, PartitionStatus};

fn text(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap()
}

fn running() -> PartitionStatus {
    PartitionStatus {
        state: PartitionState::Running,
        next_offset: 42,
        lag_records: Some(7),
        sequences: 3,
        checkpoint_age_ms: Some(1_500),
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
    metrics.publish(&Status {
        partitions: [(0, running())].into(),
        ..Default::default()
    });
    for family in registry.gather() {
        assert!(family.name().starts_with("sequencer_"), "{}", family.name());
        assert!(family.help().ends_with('.'), "{}", family.name());
    }
}

#[test]
fn a_partition_that_is_gone_leaves_no_series() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let halted = PartitionStatus {
        state: PartitionState::Halted,
        ..Default::default()
    };
    metrics.publish(&Status {
        partitions: [(0, running()), (1, halted)].into(),
        ..Default::default()
    });
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
    ] {
        assert!(
            before.lines().any(|found| found == line),
            "{line} in\n{before}"
        );
    }
    assert!(!before.contains("sequencer_partition_lag_records{partition=\"1\"}"));

    metrics.publish(&Status {
        partitions: [(0, running())].into(),
        ..Default::default()
    });
    assert!(!text(&registry).contains("partition=\"1\""));
    metrics.drop_partition(0);
    assert!(!text(&registry).contains("partition=\"0\""));
}

#[test]
fn one_registry_takes_the_metrics_once() {
    let registry = Registry::new();
    Metrics::register(&registry).unwrap();
    assert!(Metrics::register(&registry).is_err());
}
