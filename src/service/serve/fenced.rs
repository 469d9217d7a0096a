//! An engine that was fenced: by a peer that took it for gone, or by another process of its name.
//!
//! It tells by listening. Whoever hears another process of its name ends; whoever hears nobody was evicted while it
//! lived, begins again as a new incarnation, and asks for more patience in its heartbeats.

use std::time::Duration;

use tracing::{info, warn};

use crate::kafka::clients::Connection;
use crate::kafka::failover::heartbeats::Heartbeats;
use crate::kafka::failover::listen;

/// So many of its incarnations a process knows: the heartbeats of earlier ones have expired, since an engine takes
/// longer to start over than a heartbeat to expire.
const OWN_MAX: usize = 16;
/// Two processes of one name that fence each other would listen at the same time, and neither would hear the other:
/// each waits for so long at most before, by chance.
const APART_MS: u64 = 500;

/// The engines of this process, as its peers see them.
#[derive(Debug, Default)]
pub(super) struct Incarnations {
    own: Vec<u64>,
}

impl Incarnations {
    /// Another engine begins.
    pub(super) fn begins(&mut self, incarnation: u64) {
        if self.own.len() == OWN_MAX {
            self.own.remove(0);
        }
        self.own.push(incarnation);
    }

    /// After an engine was fenced. True when another process uses this `instance_id`; whoever cannot tell goes on:
    /// if there is one, it is met again.
    pub(super) async fn is_in_use(&self, connection: &Connection, heartbeats: &Heartbeats) -> bool {
        info!("fenced; listening for another process of this instance_id");
        let apart_ms = getrandom::u64().unwrap_or(0) % APART_MS;
        tokio::time::sleep(Duration::from_millis(apart_ms)).await;
        let (connection, topic) = (connection.clone(), heartbeats.topic.clone());
        let own = self.own.clone();
        let listen = move || listen::is_in_use(&connection, &topic, own);
        let heard = tokio::task::spawn_blocking(listen).await;
        let heard = heard.map_err(|error| error.to_string());
        let heard = heard.and_then(|heard| heard.map_err(|error| error.to_string()));
        heard.unwrap_or_else(|error| {
            warn!(
                error,
                "cannot tell whether another process uses this instance_id"
            );
            false
        })
    }
}
