//! The topic of the heartbeats. Nothing depends on its records but how soon a death is noticed, so it is made for
//! being there and not for keeping.

use std::collections::BTreeMap;

use crate::kafka::admin::topics::{CreateOptions, NewTopic, default_replication};
use crate::kafka::admin::{Access, Admin};
use crate::kafka::error::Error;

/// How long heartbeats are kept: nobody reads one that is older than a session, and an hour helps a person.
const KEPT_MS: u64 = 60 * 60 * 1_000;

/// The topic as `serve` makes it. All heartbeats are in one partition, in order.
pub fn heartbeats(name: &str, replication: u32) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions: 1,
        replication,
        config: BTreeMap::from([
            ("cleanup.policy", "delete".to_owned()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("retention.ms", KEPT_MS.to_string()),
            ("segment.ms", KEPT_MS.to_string()),
            ("min.insync.replicas", "1".to_owned()),
        ]),
    }
}

/// Makes the topic if it is missing, and looks whether it can be used.
///
/// # Errors
/// Why there is no failover by heartbeats: everything else is as it would be without.
pub fn prepare(admin: &Admin, name: &str, options: CreateOptions) -> Result<(), String> {
    let said = |error: Error| error.to_string();
    let cluster = admin.cluster().map_err(said)?;
    match cluster.topics.get(name) {
        Some(found) if found.partitions != 1 => {
            return Err(format!(
                "topic {name} has {} partitions; heartbeats need one, to be in order",
                found.partitions
            ));
        }
        Some(_) => {}
        None => {
            let replication = options
                .replication
                .unwrap_or_else(|| default_replication(cluster.brokers));
            match admin.create_new(&[heartbeats(name, replication)]) {
                // Another instance was faster.
                Err(error) if error.is_present() => {}
                made => made.map_err(said)?,
            }
        }
    }
    admin.permits(name, Access::Read).map_err(said)?;
    admin.permits(name, Access::Write).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_has_one_partition_and_is_deleted_by_age() {
        let topic = heartbeats("heartbeats", 3);
        assert_eq!((topic.partitions, topic.replication), (1, 3));
        assert_eq!(topic.config["cleanup.policy"], "delete");
        assert_eq!(topic.config["message.timestamp.type"], "LogAppendTime");
        // The active segment is never deleted, so a small topic would keep everything for a week.
        assert_eq!(topic.config["segment.ms"], topic.config["retention.ms"]);
    }
}
