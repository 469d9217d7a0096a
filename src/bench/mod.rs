//! `sequencer bench`: the speed of the service compared with a raw echo, in one run on one cluster.
//!
//! The measured service is the real `serve`, in a process of its own with its default configuration. The echo
//! has a process of its own as well. Rounds alternate between all subjects, and each round begins with another
//! one, so that other load on the machine affects all of them. A ratio compares two measurements of one round.
//!
//! `benches/acceptance` measures more with the same parts, and judges the figures. It is not shipped.
//!
//! | file | subject |
//! |---|---|
//! | [`options`] | the measurements to make, and their load |
//! | [`figure`], [`series`] | measured figures, and their values |
//! | [`machine`] | the machine of a run |
//! | [`report`] | the result of a run |
//! | [`stage`] | the cluster, topics, and their removal |
//! | [`process`], [`server`] | measured processes |
//! | [`drain`] | one backlog, answered by one subject |
//! | [`drains`] | rounds of drains |
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

/// Measures, and reports progress on `out`.
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
                // Only the figures of a scenario are kept.
                stage.delete_topics()?;
            }
        }
        Ok(())
    })
}

/// Runs `measure` between set-up and removal. At any end of it, no process, topic or file of the run is left.
///
/// # Errors
/// The reason why nothing could be measured; [`Error::Stopped`] when the user asked for a stop.
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
