//! The Kafka clients of `sequencer bench` and of `benches/acceptance`: what writes the load, what the
//! service is compared with, and what looks at the result.
//!
//! | room | subject |
//! |---|---|
//! | [`shape`] | what requests look like, and which request a reply answers |
//! | [`backlog`] | requests that are there before the one who answers them |
//! | [`client`] | an open loop: requests at a rate, whatever becomes of the replies |
//! | [`echo`] | the floor: consumes and produces, and nothing else |
//! | [`ends`] | how far topics have grown |
//! | [`source`] | a consumer without a group, as fast as it can be |

pub mod backlog;
pub mod client;
pub mod echo;
pub mod ends;
pub mod shape;
pub mod source;

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

use crate::kafka::clients::Connection;

/// Room for the requests that a writer is ahead of its broker.
const WRITER_QUEUE_RECORDS: &str = "500000";

/// The configuration of a consumer without a group.
pub fn reading(connection: &Connection, isolation: &str, fetch_wait_ms: &str) -> ClientConfig {
    let mut config = connection.reader();
    config
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", fetch_wait_ms);
    config
}

/// The isolation level that sees what is committed, or everything.
fn isolation(committed: bool) -> &'static str {
    if committed {
        "read_committed"
    } else {
        "read_uncommitted"
    }
}

/// The version of librdkafka.
pub fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// The properties of one client, sorted by name.
pub type Properties = BTreeMap<String, String>;

/// The clients that the service and the echo share, and how they are configured.
pub fn configurations(connection: &Connection) -> Vec<(&'static str, Properties)> {
    let clients = [
        ("consumer", connection.group_consumer()),
        ("replies at once", connection.reply_producer()),
        ("replies of a backlog", connection.bulk_reply_producer()),
        ("transactions", connection.transactional_producer()),
    ];
    clients
        .into_iter()
        .map(|(name, config)| {
            let properties = config.config_map().into_iter();
            let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (name, properties.collect())
        })
        .collect()
}
