//! Whether another process lives under this `instance_id`. This is checked before any client is made that
//! would throw the other process out.

use std::time::Duration;

use super::tail::Listening;
use crate::kafka::clients::Connection;
use crate::kafka::error::Error;
use crate::processor::failover::namesake::{Namesake, listen_ms};

/// How long reading may take to begin. A client takes this long to find the partition's leader on a busy
/// machine.
const BEGIN_DEADLINE: Duration = Duration::from_secs(5);
/// How much of the past is read, to learn the interval at which instances write.
const BACK: Duration = Duration::from_secs(2);

/// Listens for a few intervals. True when the name is in use. A process that has crashed is not heard. `own`:
/// the incarnations of this process so far.
///
/// # Errors
/// The topic cannot be read, so the question stays open.
pub(crate) fn is_in_use(
    connection: &Connection,
    topic: &str,
    own: Vec<u64>,
) -> Result<bool, Error> {
    let mut listening = Listening::begin(connection, topic, BACK, BEGIN_DEADLINE)?;
    let mut namesake = Namesake::new(&connection.instance_id, own);
    let mut interval_ms = 0;
    loop {
        let (since, heard) = listening.next()?;
        if since.is_some_and(|since| since >= Duration::from_millis(listen_ms(interval_ms))) {
            return Ok(false);
        }
        let Some(heard) = heard else {
            continue;
        };
        if heard.heartbeat.instance == connection.instance_id {
            interval_ms = interval_ms.max(heard.heartbeat.interval_ms);
        }
        if !heard.old {
            namesake.heard(&heard.heartbeat);
        }
        if namesake.is_in_use() {
            return Ok(true);
        }
    }
}
