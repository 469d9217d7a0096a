//! Topics from the administrator's side: creates, deletes, cuts and describes them.

use std::collections::BTreeMap;
use std::future::Future;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::{DEADLINE, wait_for};

/// An administrator of one cluster.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
}

impl Admin {
    pub fn new(bootstrap: &str) -> Admin {
        let client = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .create()
            .unwrap();
        Admin { client }
    }

    /// Creates a topic with one replica and waits until it can be used.
    pub fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.create_replicated(topic, partitions, 1, settings);
    }

    /// Creates a topic with this number of replicas and waits until it can be used.
    pub fn create_replicated(
        &self,
        topic: &str,
        partitions: i32,
        replicas: i32,
        settings: &[(&str, &str)],
    ) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        done(block_on(self.client.create_topics([&new], &options())));
        wait_for(&format!("topic {topic} to be there"), || {
            (self.partitions(topic) == partitions).then_some(())
        });
    }

    /// Gives a topic more partitions and waits until they exist.
    pub fn grow(&self, topic: &str, partitions: i32) {
        let new = NewPartitions::new(topic, partitions as usize);
        done(block_on(self.client.create_partitions([&new], &options())));
        wait_for(&format!("topic {topic} to grow"), || {
            (self.partitions(topic) == partitions).then_some(())
        });
    }

    /// Deletes a topic and waits until it is gone.
    pub fn delete(&self, topic: &str) {
        done(block_on(self.client.delete_topics(&[topic], &options())));
        wait_for(&format!("topic {topic} to be gone"), || {
            (self.partitions(topic) == 0).then_some(())
        });
    }

    /// The number of partitions of a topic. 0 when it does not exist.
    pub fn partitions(&self, topic: &str) -> i32 {
        let metadata = self.client.inner().fetch_metadata(None, DEADLINE).unwrap();
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        found.map_or(0, |found| found.partitions().len() as i32)
    }

    /// The settings of a topic.
    pub fn settings(&self, topic: &str) -> BTreeMap<String, String> {
        self.describe(topic)
            .into_iter()
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect()
    }

    /// The topic's own settings, without the broker's.
    pub fn own_settings(&self, topic: &str) -> BTreeMap<String, String> {
        let own = |entry: &ConfigEntry| entry.source == ConfigSource::DynamicTopic;
        self.describe(topic)
            .into_iter()
            .filter(own)
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect()
    }

    fn describe(&self, topic: &str) -> Vec<ConfigEntry> {
        let results = block_on(
            self.client
                .describe_configs([&ResourceSpecifier::Topic(topic)], &options()),
        )
        .unwrap();
        results.into_iter().next().unwrap().unwrap().entries
    }

    /// Replaces a topic's own settings with these.
    pub fn replace_settings(&self, topic: &str, settings: &BTreeMap<String, String>) {
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in settings {
            alter = alter.set(key, value);
        }
        block_on(self.client.alter_configs([&alter], &options()))
            .unwrap()
            .remove(0)
            .unwrap();
        let what = format!("the settings of topic {topic}");
        wait_for(&what, || {
            (self.own_settings(topic) == *settings).then_some(())
        });
    }

    /// Deletes the records of a partition before `offset`. A broker describes new settings a moment before its
    /// logs use them. Until then it refuses to delete from a compacted topic.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
        wait_for(&format!("{topic}-{partition} to be cut"), || {
            let result = block_on(self.client.delete_records(&list, &options())).unwrap();
            let refused = |error: KafkaError| {
                error.rdkafka_error_code() == Some(RDKafkaErrorCode::PolicyViolation)
            };
            let elements = result.elements();
            let mut outcomes = elements.iter().map(|element| element.error());
            match outcomes.find_map(Result::err) {
                Some(error) if refused(error.clone()) => None,
                Some(error) => panic!("{topic}-{partition}: {error}"),
                None => Some(()),
            }
        });
    }
}

/// The offsets that a group has committed, by partition. A partition without an offset is absent.
pub fn committed(bootstrap: &str, group: &str, topic: &str, partitions: i32) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    // A coordinator that has moved since it was found reports that it is not the coordinator.
    let committed = wait_for("the committed offsets", || {
        consumer.committed_offsets(list.clone(), DEADLINE).ok()
    });
    let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element
        .offset()
    {
        Offset::Offset(offset) => Some((element.partition(), offset)),
        _ => None,
    };
    committed.elements().iter().filter_map(offset).collect()
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(DEADLINE))
        .operation_timeout(Some(DEADLINE))
}

fn done(results: Result<Vec<TopicResult>, KafkaError>) {
    for result in results.unwrap() {
        result.unwrap();
    }
}

/// Waits for a future. librdkafka's own thread completes these futures, so they need no runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
