//! The releases of the instances, as far as their heartbeats show them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::tail::{Heard, Tail};
use crate::kafka::clients::Connection;
use crate::kafka::error::{Class, Error};
use crate::wire::heartbeat::Sign;

/// The wait for one heartbeat before the time is checked.
const LISTEN_POLL: Duration = Duration::from_millis(10);
/// The longest wait for the heartbeats of all instances: sixty of their intervals.
const LISTEN_MAX: Duration = Duration::from_secs(3);
/// How long reading may take to begin. A client takes this long to find the partition's leader on a busy
/// machine.
const BEGIN_DEADLINE: Duration = Duration::from_secs(10);

/// The newest version of state records that each of these instances reads, for those that are heard. None for
/// an instance of a release from before rescales.
///
/// # Errors
/// The topic cannot be read.
pub(crate) fn state_formats(
    connection: &Connection,
    topic: &str,
    instances: &BTreeSet<String>,
) -> Result<BTreeMap<String, Option<u8>>, Error> {
    let tail = Tail::begin(connection, topic, Duration::ZERO)?;
    let asked = Instant::now();
    let mut formats = BTreeMap::new();
    let mut began = None;
    while formats.len() < instances.len() {
        let heard = tail.next(LISTEN_POLL)?;
        if tail.reads() {
            let began = *began.get_or_insert_with(Instant::now);
            if began.elapsed() >= LISTEN_MAX {
                break;
            }
        } else if asked.elapsed() >= BEGIN_DEADLINE {
            let message = format!("nothing is read within {} s", BEGIN_DEADLINE.as_secs());
            return Err(Error::own("listen", Class::Retriable, message));
        }
        if let Some(Heard {
            heartbeat,
            state_format,
            ..
        }) = heard
            // A peer writes the notice of an eviction, in the name of another instance.
            && heartbeat.sign == Sign::Alive
            && instances.contains(&heartbeat.instance)
        {
            formats.insert(heartbeat.instance, state_format);
        }
    }
    Ok(formats)
}
