//! Follows a rescale until all is done.

use std::thread;
use std::time::{Duration, Instant};

use super::view::View;
use crate::cli::Error;
use crate::cli::session::Session;
use crate::core::Homes;
use crate::core::rescale::Part;
use crate::verify::progress::Progress;

/// The pause between two readings of the state of all partitions.
const POLL: Duration = Duration::from_secs(1);
/// The pause is at least this many times as long as the reading before it. A reading takes the whole state of each
/// partition, and the brokers and instances have a rescale to carry out.
const POLL_TIMES: u32 = 5;
/// Without any change for this time, a rescale stands still: a checkpoint is due ten times a second, and each one
/// moves names.
const STILL_MAX: Duration = Duration::from_secs(120);

/// Reads the state of each partition. Returns the pause before the next reading as well.
pub(super) fn look(session: &Session, pause: Duration) -> Result<(View, Duration), Error> {
    let begin = Instant::now();
    let view = View::of(session)?;
    Ok((view, pause.max(begin.elapsed() * POLL_TIMES)))
}

/// Waits until each partition has done its part.
pub(super) fn until_done(session: &Session, homes: &Homes) -> Result<View, Error> {
    let n = homes.partitions();
    let mut progress = Progress::on_stderr();
    progress.stage(format!("partitions of the rescale to {n}"), u64::from(n));
    let (mut moved, mut last) = (Instant::now(), Vec::new());
    loop {
        let (view, pause) = look(session, POLL)?;
        let has_learned = view.homes.as_ref() == Some(homes);
        let parts: Vec<(Option<Part>, Option<usize>)> = view
            .partitions
            .iter()
            .take(usize::try_from(n).unwrap_or(usize::MAX))
            .map(|facts| (facts.part(homes), facts.sequences))
            .collect();
        let done = parts.iter().filter(|(part, _)| *part == Some(Part::Done));
        let done = done.count() as u64;
        progress.waiting(done);
        if has_learned && done == u64::from(n) && !view.is_unfinished() {
            progress.end();
            return Ok(view);
        }
        if parts != last {
            (moved, last) = (Instant::now(), parts);
        }
        if moved.elapsed() >= STILL_MAX {
            progress.end();
            return Err(Error::Failed(stands_still(&view, homes)));
        }
        thread::sleep(pause);
    }
}

fn stands_still(view: &View, homes: &Homes) -> String {
    let left = view.partitions.iter().filter_map(|facts| {
        let part = facts.part(homes);
        let reason = facts.reason.as_deref();
        match part {
            Some(Part::Done) => None,
            Some(part) => Some(format!("partition {} {}", facts.partition, part.as_str())),
            None => Some(format!(
                "partition {} {}: {}",
                facts.partition,
                facts.outlook.as_str(),
                reason.unwrap_or("its state is not known")
            )),
        }
    });
    let left: Vec<String> = left.collect();
    format!(
        "the rescale to {} partitions has not moved for {} s: {}. The log and the status page of the instances say \
         why; the same command goes on with it",
        homes.partitions(),
        STILL_MAX.as_secs(),
        left.join("; ")
    )
}
