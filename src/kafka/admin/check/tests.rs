use super::super::topics::{CreateOptions, missing};
use super::*;
use crate::core::limits::NAME_BYTES_MAX;
use crate::wire::headers::{CORRELATION_COPIED_BYTES_MAX, TRACE_BYTES_MAX};
use crate::wire::reply::BODY_BYTES_MAX;

fn names() -> TopicNames {
    TopicNames {
        requests: "sequencer.requests".to_owned(),
        replies: "sequencer.replies".to_owned(),
        state: "sequencer.state".to_owned(),
        ledger: "sequencer.ledger".to_owned(),
    }
}

/// A cluster of three brokers with topics as this service creates them.
struct World {
    cluster: Cluster,
    configs: BTreeMap<String, TopicConfig>,
}

impl World {
    fn new() -> World {
        let mut cluster = Cluster {
            brokers: 3,
            ..Cluster::default()
        };
        let options = CreateOptions {
            partitions: 12,
            replication: None,
        };
        let mut configs = BTreeMap::new();
        for topic in missing(&names(), options, &cluster.clone()) {
            let shape = Topic {
                partitions: topic.partitions,
                replication: topic.replication,
                led: true,
            };
            cluster.topics.insert(topic.name.clone(), shape);
            let config = topic.config.into_iter();
            let config = config.map(|(key, value)| (key.to_owned(), value)).collect();
            configs.insert(topic.name, config);
        }
        World { cluster, configs }
    }

    fn set(mut self, topic: &str, key: &str, value: &str) -> World {
        let config = self.configs.entry(topic.to_owned()).or_default();
        config.insert(key.to_owned(), value.to_owned());
        self
    }

    fn shape(mut self, topic: &str, partitions: u32, replication: u32) -> World {
        let shape = Topic {
            partitions,
            replication,
            led: true,
        };
        self.cluster.topics.insert(topic.to_owned(), shape);
        self
    }

    fn without(mut self, topic: &str) -> World {
        self.cluster.topics.remove(topic);
        self
    }

    fn found(self) -> Vec<Finding> {
        let expected = Expected {
            partitions: Some(12),
            ..Expected::default()
        };
        findings(
            &names(),
            &self.cluster,
            &self.configs,
            "kafka:9092",
            expected,
        )
    }

    fn only(self) -> (Severity, String) {
        let found = self.found();
        assert_eq!(found.len(), 1, "{found:?}");
        let finding = &found[0];
        assert!(!finding.problem.contains('\n') && !finding.remedy.contains('\n'));
        (
            finding.severity,
            format!("{}; {}", finding.problem, finding.remedy),
        )
    }
}

#[test]
fn topics_as_we_create_them_are_good() {
    assert_eq!(World::new().found(), []);
}

#[test]
fn a_missing_topic_comes_with_the_command_that_creates_it() {
    let (severity, text) = World::new().without("sequencer.requests").only();
    assert_eq!(severity, Severity::Error);
    assert_eq!(
        text,
        "topic \"sequencer.requests\" does not exist; \
         create it with: sequencer topics create --brokers kafka:9092"
    );
}

#[test]
fn what_breaks_the_promise_is_an_error() {
    let requests = "sequencer.requests";
    let state = "sequencer.state";
    for (world, part) in [
        (
            World::new().set(requests, "cleanup.policy", "compact"),
            "is compacted",
        ),
        (
            World::new().set(requests, "cleanup.policy", "compact,delete"),
            "is compacted",
        ),
        (
            World::new().set(state, "cleanup.policy", "delete"),
            "cleaned by age",
        ),
        (
            World::new().set(state, "cleanup.policy", "compact,delete"),
            "cleaned by age",
        ),
        (
            World::new().set(state, "min.insync.replicas", "4"),
            "nothing can be written",
        ),
        (
            World::new().set(state, "max.message.bytes", "2000"),
            "none is committed",
        ),
        (
            World::new().set("sequencer.ledger", "max.message.bytes", "20000"),
            "no checkpoint is committed",
        ),
        (
            World::new().set(requests, "max.message.bytes", "32768"),
            "its partition stands still",
        ),
    ] {
        let (severity, text) = world.only();
        assert_eq!(severity, Severity::Error, "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_leaves_less_to_spare_is_a_warning() {
    let requests = "sequencer.requests";
    let state = "sequencer.state";
    for (world, part) in [
        (
            World::new().set(requests, "message.timestamp.type", "CreateTime"),
            "CreateTime",
        ),
        (
            World::new().set(requests, "retention.ms", "3600000"),
            "retention.ms=3600000",
        ),
        (
            World::new().set(requests, "min.insync.replicas", "1"),
            "may be lost with one broker",
        ),
        (
            World::new().set(requests, "min.insync.replicas", "3"),
            "stops with one broker",
        ),
        (
            World::new().set(requests, "unclean.leader.election.enable", "true"),
            "unclean.leader.election.enable=true",
        ),
        (
            World::new().set("sequencer.replies", "cleanup.policy", "compact"),
            "is compacted",
        ),
        (
            World::new().set(state, "min.compaction.lag.ms", "0"),
            "min.compaction.lag.ms=0",
        ),
        (
            World::new().set(state, "max.message.bytes", "20000"),
            "max.message.bytes=20000: batches are kept below it",
        ),
        (
            World::new().set("sequencer.replies", "max.message.bytes", "2000"),
            "goes without it",
        ),
        (
            World::new().shape("sequencer.replies", 4, 3),
            "has 4 partitions, and topics.partitions is 12",
        ),
        (World::new().shape(state, 24, 3), "has 24 partitions"),
        (World::new().shape(state, 6, 3), "has 6 partitions"),
        (
            World::new()
                .shape(requests, 12, 1)
                .set(requests, "min.insync.replicas", "1"),
            "has replication 1 on a cluster of 3",
        ),
    ] {
        let (severity, text) = world.only();
        assert_eq!(severity, Severity::Warning, "{text}");
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(World::new().set(requests, "retention.ms", "-1").found(), []);
}

#[test]
fn errors_come_before_warnings() {
    let found = World::new()
        .set("sequencer.requests", "message.timestamp.type", "CreateTime")
        .without("sequencer.state")
        .found();
    let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning]);
}

#[test]
fn one_replica_is_named_on_one_broker_as_well() {
    let mut world = World::new().shape("sequencer.state", 12, 1).set(
        "sequencer.state",
        "min.insync.replicas",
        "1",
    );
    world.cluster.brokers = 1;
    let (severity, text) = world.only();
    assert_eq!(severity, Severity::Warning);
    assert!(
        text.contains("has replication 1 on a cluster of 1"),
        "{text}"
    );
}

#[test]
fn a_session_outside_the_brokers_range_is_named_with_both_settings() {
    let broker = TopicConfig::from([
        ("group.min.session.timeout.ms".to_owned(), "6000".to_owned()),
        (
            "group.max.session.timeout.ms".to_owned(),
            "1800000".to_owned(),
        ),
    ]);
    for (session_ms, key) in [
        (
            5_999,
            "below the brokers' group.min.session.timeout.ms=6000",
        ),
        (
            1_800_001,
            "above the brokers' group.max.session.timeout.ms=1800000",
        ),
    ] {
        let finding = session(&broker, session_ms).unwrap();
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.problem.contains("kafka.session.timeout.ms"));
        assert!(finding.problem.contains(key), "{}", finding.problem);
    }
    assert_eq!(session(&broker, 6_000), None);
    assert_eq!(session(&TopicConfig::new(), 1), None);
}

#[test]
fn heartbeats_that_cannot_be_used_are_a_warning() {
    use super::super::topics::heartbeats as made;
    const NAME: &str = "sequencer.heartbeats";
    let topic = made(NAME, 3);
    let config = topic.config.into_iter();
    let config: TopicConfig = config.map(|(key, value)| (key.to_owned(), value)).collect();
    let found = |world: &World, config: &TopicConfig| {
        let findings = heartbeats(NAME, &world.cluster, config, "kafka:9092");
        let warns = |finding: &Finding| finding.severity == Severity::Warning;
        assert!(findings.iter().all(warns), "{findings:?}");
        findings
    };
    let missing = found(&World::new(), &TopicConfig::new());
    assert!(missing[0].problem.contains("does not exist"));
    assert!(missing[0].remedy.contains("sequencer topics create"));
    let world = World::new().shape(NAME, 1, 3);
    assert_eq!(found(&world, &config), []);
    let forever = TopicConfig::from([
        ("cleanup.policy".to_owned(), "compact".to_owned()),
        ("retention.ms".to_owned(), "-1".to_owned()),
    ]);
    assert_eq!(found(&world, &forever).len(), 2);
    let world = World::new().shape(NAME, 4, 3);
    assert!(found(&world, &config)[0].problem.contains("4 partitions"));
}

#[test]
fn the_largest_reply_fits_into_a_topic_that_passes_the_check() {
    // The rest is for the names of headers and for the short fields.
    let parts =
        BODY_BYTES_MAX + NAME_BYTES_MAX + CORRELATION_COPIED_BYTES_MAX + 2 * TRACE_BYTES_MAX + 1024;
    assert!(i64::try_from(parts).unwrap() <= REPLY_BYTES_MAX);
}
