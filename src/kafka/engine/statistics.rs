//! Reads the consumer's statistics of each partition: lag, and producers that leave a transaction open (T8).

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: BTreeMap<String, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    partition: i32,
    #[serde(default = "unknown")]
    hi_offset: i64,
    #[serde(default = "unknown")]
    ls_offset: i64,
}

/// The value that librdkafka uses for "unknown".
const fn unknown() -> i64 {
    -1
}

/// The ends of one partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// High watermark.
    pub high: i64,
    /// Last stable offset. Committed readers do not see further.
    pub stable: i64,
}

/// Reads the ends of each fetched partition from librdkafka's JSON.
pub(super) fn ends(json: &str) -> BTreeMap<i32, Ends> {
    let Ok(statistics) = serde_json::from_str::<Statistics>(json) else {
        return BTreeMap::new();
    };
    let topics = statistics.topics.into_values();
    topics
        .flat_map(|topic| topic.partitions.into_values())
        .filter(|partition| partition.partition >= 0 && partition.hi_offset >= 0)
        .map(|partition| {
            let high = partition.hi_offset;
            let stable = if partition.ls_offset >= 0 {
                partition.ls_offset
            } else {
                high
            };
            (partition.partition, Ends { high, stable })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_from_the_partitions_that_are_known() {
        let json = r#"{"name":"x","topics":{"r":{"topic":"r","partitions":{
            "0":{"partition":0,"hi_offset":10,"ls_offset":7,"other":1},
            "1":{"partition":1,"hi_offset":-1001,"ls_offset":-1001},
            "-1":{"partition":-1}}}}}"#;
        let found = ends(json);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[&0],
            Ends {
                high: 10,
                stable: 7
            }
        );
        assert!(ends("not json").is_empty());
    }
}
