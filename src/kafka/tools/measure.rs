//! The Kafka clients of `sequencer bench` and of `benches/acceptance`. They write the load, look at the result,
//! and are the echo that the service is compared with.
//!
//! | file | subject |
//! |---|---|
//! | [`shape`] | the form of requests, and the match of replies to requests |
//! | [`backlog`] | requests that exist before the subject starts |
//! | [`client`] | an open loop: requests at a rate that does not depend on the replies |
//! | [`echo`] | the floor: consumes and produces only |
//! | [`ends`] | the ends of topics |
//! | [`source`] | a consumer without a group, as fast as it can be |

pub mod backlog;
pub mod client;
pub mod echo;
pub mod ends;
pub mod shape;
pub mod source;

use std::collections::BTreeMap;

use crate::kafka::client::Config;
use crate::kafka::clients::Connection;

/// Room for the requests that a writer is ahead of its broker.
const WRITER_QUEUE_RECORDS: &str = "500000";

/// The configuration of a consumer without a group.
pub fn reading(connection: &Connection, isolation: &str, fetch_wait_ms: &str) -> Config {
    let mut config = connection.reader();
    config
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", fetch_wait_ms);
    config
}

/// The isolation level that sees committed records only, or all records.
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

/// The configurations of the clients that the service and the echo share.
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
            let properties = config.properties().into_iter();
            let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (name, properties.collect())
        })
        .collect()
}
