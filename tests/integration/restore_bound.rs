//! A restore does not grow with uptime: after many checkpoints it reads a bounded number of records.

use crate::support::heavy;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};

const NAMES: usize = 40;
/// No rewrite begins below this number of records. It is small, so that many rewrites fit into the test.
const FLOOR: usize = 500;
/// Number of checkpoints: with about forty records each, many times what a restore may read.
const CHECKPOINTS: f64 = 1_000.0;

#[test]
fn after_many_checkpoints_a_restore_reads_at_most_four_times_the_live_names_and_the_floor() {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let mut service = Service::new("restore-bound", Mode::Immediate);
    service.settings = vec![
        "checkpoint.interval_ms=1".to_owned(),
        format!("restore.rewrite_floor_records={FLOOR}"),
    ];
    let mut instance = service.start("a");
    let load = service.open_loop(&Names::new(NAMES), 2_000, &mut random);
    let committed = "sequencer_checkpoints_total{result=\"committed\"}";
    instance.wait("to make many checkpoints", |instance| {
        instance
            .metric(committed)
            .filter(|count| *count >= CHECKPOINTS)
    });
    // Far more records were written than a restore may read, so the test is large enough for the bound.
    let written = instance
        .metric("sequencer_checkpoint_records_total")
        .unwrap();
    let bound = (4 * NAMES + PARTITIONS as usize * FLOOR) as f64;
    assert!(written > 5.0 * bound, "{written} records were written");
    load.stop();
    service.check();
    // A kill prevents a last checkpoint.
    instance.sigkill();

    let mut instance = service.spawn("a");
    instance.wait("to own every partition", |instance| {
        (instance.running() == PARTITIONS as usize).then_some(())
    });
    let read = instance.metric("sequencer_restore_records_total").unwrap();
    assert!(
        read > 0.0 && read <= bound,
        "{read} of {written} records were read, at most {bound}"
    );
    service.check();
    assert_eq!(instance.sigterm_and_wait(), 0);
}
