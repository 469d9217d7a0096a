//! A read of a topic that does not use the records. A restore is compared with it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sequencer::kafka::clients::Connection;
use sequencer::kafka::error::{Class, Error};
use sequencer::kafka::tools::measure::reading;
use sequencer::kafka::tools::measure::source::{Found, Source};

/// The read fails when no record comes for this long.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// The result of a raw read.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Number of records.
    pub records: u64,
    /// The time from the first question to the last record.
    pub took: Duration,
}

/// Reads the committed records of a topic, from its beginning to its end, and does not use them.
pub fn read(connection: &Connection, topic: &str, partitions: u32) -> Result<Read, Error> {
    let began = Instant::now();
    let mut source = Source::new(
        &reading(connection, "read_committed", "10"),
        topic,
        partitions,
    )?;
    let (mut records, mut ended) = (0, BTreeSet::new());
    let mut last = began;
    loop {
        let mut seen = 0_usize;
        let mut on = |found: Found<'_>| {
            seen += 1;
            if found.end {
                ended.insert(found.partition);
            } else {
                records += 1;
            }
        };
        if source.batch(&mut on)? == 0 {
            source.next(POLL, &mut on)?;
        }
        if seen > 0 {
            last = Instant::now();
        }
        if ended.len() >= usize::try_from(partitions).unwrap_or(usize::MAX) {
            break;
        }
        if last.elapsed() > SILENCE_MAX {
            let message = format!("nothing came for {} s", SILENCE_MAX.as_secs());
            return Err(Error::own("read", Class::Retriable, message).about(topic));
        }
    }
    Ok(Read {
        records,
        took: last - began,
    })
}
