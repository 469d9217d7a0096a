//! `sequencer bench`: how fast the service is beside a raw echo, in one run on one cluster.
//!
//! The service that is measured is the real `serve`, a process of its own in its default
//! configuration; the echo is a process of its own as well. Rounds alternate between all subjects
//! and begin each with another one, so that what else happens on the machine falls on all of them.
//! A ratio is that of two measurements of one round.
//!
//! `benches/acceptance` measures more with the same parts, and judges the figures. It is not shipped.
//!
//! | file | subject |
//! |---|---|
//! | [`options`] | what to measure, and with what load |
//! | [`figure`], [`series`] | what is measured, and its values |
//! | [`machine`] | where it ran |
//! | [`report`] | what a run came to |
//! | [`stage`] | the cluster, topics, and what has to be cleared away |
//! | [`process`], [`server`] | processes that are measured |
//! | [`drain`] | one backlog, answered by one subject |
//! | [`drains`] | rounds of them |
//! | [`latency`] | an open loop |

pub mod drain;
pub mod drains;
mod error;
pub mod figure;
pub mod latency;
pub mod machine;
pub mod options;
pub mod process;
pub mod report;
pub mod series;
pub mod server;
pub mod stage;

use std::io::Write;

pub use error::Error;
pub use options::{Options, Scenario};
pub use report::Report;
pub use stage::Stage;

/// Measures, and says on `out` how it goes.
///
/// # Errors
/// As [`measured`].
pub fn run(
    options: &Options,
    only: &[Scenario],
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<Report, Error> {
    let mut stage = Stage::open(options, stop, out)?;
    let names: Vec<&str> = only.iter().map(|scenario| scenario.as_str()).collect();
    stage.setting("scenarios", names.join(","));
    measured(stage, |stage| {
        for scenario in Scenario::ALL {
            if only.contains(&scenario) {
                match scenario {
                    Scenario::Drain => drains::modes(stage)?,
                    Scenario::Latency => latency::run(stage)?,
                }
                // What is kept of a scenario is its figures.
                stage.delete_topics()?;
            }
        }
        Ok(())
    })
}

/// A whole run, of which `measure` is the middle. However it ends, no process, topic or file of its
/// own is left.
///
/// # Errors
/// What kept it from measuring; [`Error::Stopped`] when somebody asked for a stop.
pub fn measured<'a>(
    mut stage: Stage<'a>,
    measure: impl FnOnce(&mut Stage<'a>) -> Result<(), Error>,
) -> Result<Report, Error> {
    stage.describe_clients();
    let measured = latency::warm_broker(&mut stage).and_then(|()| measure(&mut stage));
    let cleared = stage.clear();
    measured.and(cleared)?;
    Ok(stage.into_report())
}
