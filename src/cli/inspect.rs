//! `sequencer inspect`: shows the result that a restore would have, partition by partition.
//!
//! The questions, their order and the meaning of the answers are those of an owner that takes a partition over.
//! So the verdict is the one that an instance would reach. `inspect` changes nothing, and joins no group.

pub(super) mod partition;
mod print;
pub(super) mod sequences;

use std::io::Write;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::args::InspectArgs;
use super::session::Session;
use super::{Error, output, shell};
use crate::core::command::Undefined;
use crate::core::limits::NAME_BYTES_MAX;
use crate::core::partitioner::partition_id_of;
use crate::core::rescale::Part;
use crate::kafka;
use crate::kafka::admin::Access;
use crate::kafka::takeovers::questions::Questions;
use partition::Facts;
use sequences::{Row, Selection};

/// Partitions looked at in parallel: most of the time is waiting for brokers.
const THREADS_MAX: usize = 3;

/// The content of the output.
#[derive(Debug, Serialize)]
pub(super) struct View {
    /// The name of the consumer group.
    pub group: String,
    /// The name of the request topic.
    pub requests: String,
    /// Number of partitions of the request topic now.
    pub request_partitions: u32,
    /// The name of the state topic.
    pub state: String,
    /// N, the number of partitions that names are spread over. Absent before the first checkpoint.
    pub service_partitions: Option<u32>,
    /// The partitions that were asked for.
    pub partitions: Vec<Facts>,
    /// Sequences, by name, up to the requested number.
    pub sequences: Vec<Row>,
    /// Number of all sequences.
    pub sequences_total: u64,
}

/// Collects the data and prints it.
pub(super) fn run(args: &InspectArgs, out: &mut impl Write) -> Result<(), Error> {
    if let Some(name) = &args.sequence
        && !(1..=NAME_BYTES_MAX).contains(&name.len())
    {
        return Err(Error::Usage(format!(
            "--sequence must be 1 to {NAME_BYTES_MAX} bytes, got {}",
            name.len()
        )));
    }
    let session = Session::open(&args.connection.flags())?;
    let view = look(args, &session)?;
    if args.output.json() {
        output::json(&view, out)?;
    } else {
        let connection = &args.connection;
        let flags = shell::service_flags(connection.brokers.as_deref(), &connection.common);
        match &args.sequence {
            Some(name) => print::sequence(name, &view, &flags, out)?,
            None => print::everything(&view, &flags, out)?,
        }
    }
    let found = view.sequences.iter().any(|row| row.used == Some(true));
    match &args.sequence {
        Some(_) if !found => Err(Error::Said),
        _ => Ok(()),
    }
}

fn look(args: &InspectArgs, session: &Session) -> Result<View, Error> {
    let cluster = session.admin.cluster()?;
    let topics = &session.settings.topics;
    let request_partitions = session.partitions(&cluster, &topics.requests, Access::Read)?;
    session.partitions(&cluster, &topics.state, Access::Read)?;
    session.admin.permits_group(&session.settings.group)?;
    let known = 0..i32::try_from(request_partitions).unwrap_or(i32::MAX);
    let asked = match args.partition {
        Some(partition) if !known.contains(&partition) => {
            return Err(Error::Failed(format!(
                "partition {partition} does not exist: {} has partitions 0 to {}",
                topics.requests,
                known.end - 1
            )));
        }
        Some(partition) => partition..partition + 1,
        None => known,
    };
    let selection = Selection::new(args.sequence.clone(), args.limit);
    let (mut partitions, selection) = look_at(asked, session, selection)?;
    partitions.sort_by_key(|facts| facts.partition);
    let longest = partition::longest(&partitions);
    if let Some(longest) = longest.filter(|longest| longest.epoch() > 0) {
        for facts in &mut partitions {
            facts.rescale = facts.part(&longest).map(Part::as_str);
        }
    }
    let service_partitions = longest.map(|longest| longest.partitions());
    let homes = service_partitions.unwrap_or(request_partitions);
    let home = |name: &str| partition_id_of(name.as_bytes(), homes);
    let (mut sequences, sequences_total) = selection.rows();
    for row in &mut sequences {
        row.home = home(&row.name);
    }
    if let Some(name) = &args.sequence
        && sequences.is_empty()
    {
        sequences.push(absent(name, home(name), &partitions));
    }
    Ok(View {
        group: session.settings.group.clone(),
        requests: topics.requests.clone(),
        request_partitions,
        state: topics.state.clone(),
        service_partitions,
        partitions,
        sequences,
        sequences_total,
    })
}

/// The row of a name that was not found. If its home was not read, or has not adopted its names yet, nothing is
/// known about the name.
fn absent(name: &str, home: i32, partitions: &[Facts]) -> Row {
    let facts = partitions.iter().find(|facts| facts.partition == home);
    let moves = [Part::Waits, Part::Adopts].map(Part::as_str);
    let is_known = |facts: &&Facts| {
        let moves = facts.rescale.is_some_and(|part| moves.contains(&part));
        facts.is_known() && !moves
    };
    let Some(facts) = facts.filter(is_known) else {
        return Row::unknown(name.to_owned(), home);
    };
    let refused = facts.undefined == Some(Undefined::Refuse.as_str());
    let floor = (!refused).then_some(facts.floor.unwrap_or(0));
    Row::unused(name.to_owned(), home, floor)
}

/// Looks at a range of partitions, a few in parallel.
pub(super) fn look_at(
    range: std::ops::Range<i32>,
    session: &Session,
    selection: Selection,
) -> Result<(Vec<Facts>, Selection), Error> {
    let group = session.settings.group.as_str();
    let topics = session.topics();
    let next = AtomicI32::new(range.start);
    let found = Mutex::new((Vec::new(), selection));
    let work = || -> Result<(), kafka::error::Error> {
        let questions = Questions::new(&session.connection, &topics)?;
        loop {
            let partition = next.fetch_add(1, Ordering::Relaxed);
            if partition >= range.end {
                return Ok(());
            }
            let (facts, fold) = partition::look(&questions, partition, group);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.0.push(facts);
            found.1.add(partition, &fold);
        }
    };
    let threads = range.len().min(THREADS_MAX);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| match worker.join() {
                Ok(worked) => worked.map_err(Error::from),
                Err(_) => Err(Error::Failed("looking at a partition failed".to_owned())),
            })
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::partition::Outlook;
    use super::*;

    #[test]
    fn a_name_is_called_unused_only_when_its_home_was_read() {
        let home = |facts: Facts| {
            let other = Facts {
                outlook: Outlook::Starts,
                ..Facts::default()
            };
            absent("a", 1, &[other, facts])
        };
        let facts = |outlook| Facts {
            partition: 1,
            outlook,
            ..Facts::default()
        };
        let row = home(facts(Outlook::Starts));
        assert_eq!((row.used, row.next_id), (Some(false), Some(1)));
        let refuses = Facts {
            undefined: Some("refuse"),
            ..facts(Outlook::Starts)
        };
        let row = home(refuses);
        assert_eq!((row.used, row.next_id), (Some(false), None));
        for outlook in [Outlook::Waits, Outlook::Halts] {
            assert_eq!(home(facts(outlook)).used, None);
        }
        assert_eq!(absent("a", 1, &[]).used, None, "left out by --partition");
        let halted = Facts {
            next_offset: Some(7),
            ..facts(Outlook::Halts)
        };
        assert_eq!(home(halted).used, Some(false));
        let part = |part: Part| Facts {
            rescale: Some(part.as_str()),
            ..facts(Outlook::Starts)
        };
        assert_eq!(home(part(Part::Done)).used, Some(false));
        for moves in [Part::Waits, Part::Adopts] {
            assert_eq!(home(part(moves)).used, None, "its names are elsewhere");
        }
    }
}
