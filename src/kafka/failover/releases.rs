//! The releases of the instances, as far as their heartbeats show them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::tail::{Heard, Listening};
use crate::kafka::clients::Connection;
use crate::kafka::error::Error;
use crate::wire::heartbeat::Sign;

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
    let mut listening = Listening::begin(connection, topic, Duration::ZERO, BEGIN_DEADLINE)?;
    let mut formats = BTreeMap::new();
    while formats.len() < instances.len() {
        let (since, heard) = listening.next()?;
        if since.is_some_and(|since| since >= LISTEN_MAX) {
            break;
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
