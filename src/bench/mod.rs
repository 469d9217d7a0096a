//! `sequencer bench`: how fast the service is beside a raw echo, in one run on one cluster.
//!
//! The service that is measured is the real `serve`, a process of its own in its default
//! configuration; the echo is a process of its own as well. Rounds alternate between all subjects
//! and begin each with another one, so that what else happens on the machine falls on all of them.
//! A ratio is that of two measurements of one round.
//!
//! | file | subject |
//! |---|---|
//! | `options` | what to measure |
//! | `stage` | the cluster, topics, and what has to be cleared away |
//! | `process`, `server` | processes that are measured |
//! | `machine` | where it ran |
//! | `drain` | one backlog, answered by one subject |
//! | `drains` | the scenarios made of that: floors, modes, names, partitions, instances |
//! | `latency` | an open loop |
//! | `restore` | taking over, memory, checkpoints |
//! | `pause` | what a rebalance costs a client |
//! | `verified` | what was answered, against the promise |
//! | `series`, `bars`, `report`, `html` | figures, what they should be, and how they are shown |

mod bars;
mod drain;
mod drains;
mod error;
mod html;
mod latency;
mod machine;
mod options;
mod pause;
mod process;
mod report;
mod restore;
mod series;
mod server;
mod stage;
mod verified;

use std::io::Write;

pub use error::Error;
pub use options::{Options, Scenario};
pub use report::Report;
pub use verified::Verified;

/// The interval at which the bars of `exactly_once` are judged.
const EXACTLY_ONCE_INTERVAL_MS: u64 = 20;
/// Partitions unless a scenario says otherwise.
const PARTITIONS: u32 = 4;
/// Names unless a scenario says otherwise.
const NAMES: u64 = 100;

/// Measures, and tells on `out` how it goes. Whatever becomes of it, no process, topic or file of
/// its own is left.
///
/// # Errors
/// What kept it from measuring; [`Error::Stopped`] when `stop` said so.
pub fn run(
    options: &Options,
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<Report, Error> {
    let mut stage = stage::Stage::open(options, stop, out)?;
    let measured = measure(&mut stage);
    let cleared = stage.clear();
    measured.and(cleared)?;
    Ok(stage.into_report())
}

fn measure(stage: &mut stage::Stage<'_>) -> Result<(), Error> {
    stage.describe_clients();
    latency::warm_broker(stage)?;
    for scenario in Scenario::ALL {
        if !stage.options.only.contains(&scenario) {
            continue;
        }
        match scenario {
            Scenario::Drain => drains::modes(stage)?,
            Scenario::Names => drains::names(stage)?,
            Scenario::Partitions => drains::partitions(stage)?,
            Scenario::RequestId => drains::request_id(stage)?,
            Scenario::Audit => drains::audit(stage)?,
            Scenario::Instances => drains::instances(stage)?,
            Scenario::Latency => latency::run(stage)?,
            Scenario::Restore => restore::run(stage)?,
            Scenario::Pause => pause::run(stage)?,
        }
        // What is kept of a scenario is its figures.
        stage.delete_topics()?;
    }
    Ok(())
}
