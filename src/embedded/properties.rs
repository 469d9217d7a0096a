//! The `server.properties` of a broker.

use std::fmt::Write;

use super::Listener;

/// The values in which one broker differs from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Kafka's `node.id`, from 1.
    pub(super) id: u32,
    /// The port for clients.
    pub(super) client_port: u16,
    /// The port for the other controllers.
    pub(super) controller_port: u16,
}

/// The file for `node`, one of `nodes`. Later settings replace earlier ones, so `extra` replaces ours.
pub(super) fn server<'a>(
    node: Node,
    nodes: &[Node],
    heap_mb: u32,
    listeners: impl IntoIterator<Item = &'a Listener>,
    extra: &[(String, String)],
) -> String {
    let brokers = nodes.len();
    let in_sync_min = brokers.saturating_sub(1).max(1);
    let voters: Vec<String> = nodes
        .iter()
        .map(|other| format!("{}@127.0.0.1:{}", other.id, other.controller_port))
        .collect();
    let mut listening = format!(
        "PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}",
        node.client_port, node.controller_port
    );
    let mut advertised = format!("PLAINTEXT://127.0.0.1:{}", node.client_port);
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    for Listener {
        name,
        protocol,
        port,
        advertised_port,
        broker: _,
    } in listeners
    {
        // Writing to a string cannot fail.
        let _ = write!(listening, ",{name}://127.0.0.1:{port}");
        let _ = write!(advertised, ",{name}://127.0.0.1:{advertised_port}");
        let _ = write!(protocols, ",{name}:{protocol}");
    }
    let mut settings: Vec<(&str, String)> = vec![
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", node.id.to_string()),
        // Static voters may change their ports between starts, unlike voters that are kept in the log.
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", listening),
        ("advertised.listeners", advertised),
        ("listener.security.protocol.map", protocols),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        // The path is relative to the broker's directory. So that directory can be moved and may have any name.
        ("log.dirs", "data".to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("default.replication.factor", brokers.to_string()),
        ("min.insync.replicas", in_sync_min.to_string()),
        ("offsets.topic.replication.factor", brokers.to_string()),
        (
            "transaction.state.log.replication.factor",
            brokers.to_string(),
        ),
        ("transaction.state.log.min.isr", in_sync_min.to_string()),
        (
            "share.coordinator.state.topic.replication.factor",
            brokers.to_string(),
        ),
        (
            "share.coordinator.state.topic.min.isr",
            in_sync_min.to_string(),
        ),
        // The defaults are for a large cluster: 50 partitions of each kind take seconds to create here.
        ("offsets.topic.num.partitions", "5".to_owned()),
        ("transaction.state.log.num.partitions", "5".to_owned()),
        (
            "share.coordinator.state.topic.num.partitions",
            "5".to_owned(),
        ),
        ("num.network.threads", "2".to_owned()),
        ("num.io.threads", "4".to_owned()),
        // The default is 128 MiB, allocated from the heap at once.
        (
            "log.cleaner.dedupe.buffer.size",
            (u64::from(heap_mb / 32).max(4) << 20).to_string(),
        ),
        // This is the only timer that differs from production: here no group waits for more members to arrive.
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
    ];
    if brokers == 1 {
        // After a kill the controller reserves the ID of the dead broker until its session has ended. No other
        // broker could take over from the only one, so the default of 9 s would only delay its next start.
        settings.push(("broker.session.timeout.ms", "3000".to_owned()));
        settings.push(("broker.heartbeat.interval.ms", "500".to_owned()));
    }
    for (key, value) in extra {
        settings.retain(|(known, _)| known != key);
        settings.push((key, value.clone()));
    }
    settings
        .iter()
        .fold(String::new(), |mut file, (key, value)| {
            // Writing to a string cannot fail.
            let _ = writeln!(file, "{}={}", escape(key), escape(value));
            file
        })
}

/// Java reads a backslash as the start of an escape, and a line break as the end of the value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [Node; 3] = [
        Node {
            id: 1,
            client_port: 20_001,
            controller_port: 20_002,
        },
        Node {
            id: 2,
            client_port: 20_003,
            controller_port: 20_004,
        },
        Node {
            id: 3,
            client_port: 20_005,
            controller_port: 20_006,
        },
    ];

    fn value<'a>(file: &'a str, key: &str) -> Vec<&'a str> {
        file.lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(k, _)| *k == key)
            .map(|(_, v)| v)
            .collect()
    }

    #[test]
    fn one_broker_asks_for_one_replica() {
        let file = server(NODES[0], &NODES[..1], 512, &[], &[]);
        assert_eq!(
            value(&file, "controller.quorum.voters"),
            ["1@127.0.0.1:20002"]
        );
        assert_eq!(
            value(&file, "listeners"),
            ["PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"]
        );
        assert_eq!(value(&file, "offsets.topic.replication.factor"), ["1"]);
        assert_eq!(value(&file, "min.insync.replicas"), ["1"]);
        assert_eq!(value(&file, "log.cleaner.dedupe.buffer.size"), ["16777216"]);
    }

    #[test]
    fn three_brokers_know_each_other_and_keep_two_replicas_in_sync() {
        let file = server(NODES[1], &NODES, 400, &[], &[]);
        assert_eq!(value(&file, "node.id"), ["2"]);
        assert_eq!(
            value(&file, "controller.quorum.voters"),
            ["1@127.0.0.1:20002,2@127.0.0.1:20004,3@127.0.0.1:20006"]
        );
        assert_eq!(
            value(&file, "transaction.state.log.replication.factor"),
            ["3"]
        );
        assert_eq!(value(&file, "transaction.state.log.min.isr"), ["2"]);
    }

    #[test]
    fn a_further_listener_is_added_to_the_plain_one() {
        let secure = Listener {
            broker: 0,
            name: "SECURE".to_owned(),
            protocol: "SASL_SSL".to_owned(),
            port: 20_009,
            advertised_port: 20_009,
        };
        let file = server(NODES[0], &NODES[..1], 512, [&secure], &[]);
        assert_eq!(
            value(&file, "advertised.listeners"),
            ["PLAINTEXT://127.0.0.1:20001,SECURE://127.0.0.1:20009"]
        );
        assert_eq!(
            value(&file, "listener.security.protocol.map"),
            ["PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"]
        );
    }

    #[test]
    fn clients_of_a_further_listener_are_told_the_port_of_the_proxy() {
        let proxied = Listener {
            broker: 0,
            name: "PROXIED".to_owned(),
            protocol: "PLAINTEXT".to_owned(),
            port: 20_007,
            advertised_port: 40_001,
        };
        let file = server(NODES[0], &NODES, 400, [&proxied], &[]);
        assert_eq!(
            value(&file, "listeners"),
            ["PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002,\
                 PROXIED://127.0.0.1:20007"]
        );
        assert_eq!(
            value(&file, "advertised.listeners"),
            ["PLAINTEXT://127.0.0.1:20001,PROXIED://127.0.0.1:40001"]
        );
        assert_eq!(
            value(&file, "listener.security.protocol.map"),
            ["PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT"]
        );
    }

    #[test]
    fn extra_properties_replace_ours_and_are_escaped() {
        let extra = [
            ("num.io.threads".to_owned(), "9".to_owned()),
            ("x".to_owned(), "a\\b\nc".to_owned()),
        ];
        let file = server(NODES[0], &NODES[..1], 512, &[], &extra);
        assert_eq!(value(&file, "num.io.threads"), ["9"]);
        assert_eq!(value(&file, "x"), ["a\\\\b\\nc"]);
    }
}
