//! Repairs by an operator: each halt, below and above N, with sequences of every kind, strays in both directions, and
//! replies on two topics. The printed command runs unchanged in a shell. Then every request is answered, and no ID is
//! given twice.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use sequencer::core::Offset;
use sequencer::core::link::{Link, Origin, Position};
use serde_json::Value;

use crate::refuse::{cut_log, flip_digest, replace_state_of};
use crate::support::admin::{self, Admin};
use crate::support::broker::Controls;
use crate::support::command::run;
use crate::support::instance::Instance;
use crate::support::links::link_key;
use crate::support::murmur2::names_at_home;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::tail;
use crate::support::{cluster, heavy, wait_for};

/// If it is set, the whole matrix runs.
const LONG_VARIABLE: &str = "SEQUENCER_LONG";
/// The damaged partition that is a home. The other damaged partition was added later.
const BELOW_N: i32 = 1;
const ABOVE_N: i32 = 5;
const DAMAGED: [i32; 2] = [BELOW_N, ABOVE_N];
/// Number of partitions after the request topic has grown.
const GROWN: i32 = 6;
/// Number of requests of each name in each round.
const ROUND: usize = 4;
const TO_DEFAULT: &[(&str, &[u8])] = &[];

/// The reason of a halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// Requests that were not answered are deleted.
    RequestsMissing,
    /// No state matches the footers.
    NothingAddsUp,
    /// No state matches the footers, and the log has lost its beginning.
    NothingAddsUpAndNoBeginning,
    /// The state topic was deleted.
    NoState,
    /// The request topic was deleted and created again.
    OtherTopic,
    /// The log was cut.
    Truncated,
    /// The log was cut and has grown again.
    OtherRecord,
    /// A forwarded request does not follow its predecessor.
    LinkBroken,
}

impl Damage {
    fn code(self) -> &'static str {
        match self {
            Damage::RequestsMissing => "requests_missing",
            Damage::NothingAddsUp | Damage::NothingAddsUpAndNoBeginning => "nothing_adds_up",
            Damage::NoState => "no_state",
            Damage::OtherTopic => "other_topic",
            Damage::Truncated => "truncated",
            Damage::OtherRecord => "other_record",
            Damage::LinkBroken => "link_broken",
        }
    }

    /// True when new requests get offsets of answered ones, so that `verify` cannot distinguish their replies.
    fn gives_offsets_twice(self) -> bool {
        matches!(
            self,
            Damage::OtherTopic | Damage::Truncated | Damage::OtherRecord
        )
    }

    /// The partitions that halt. No request is forwarded to a partition that is not a home.
    fn partitions(self) -> &'static [i32] {
        match self {
            Damage::LinkBroken => &[BELOW_N],
            _ => &DAMAGED,
        }
    }

    /// True when the damage is made to the files of a broker that is down.
    fn cuts(self) -> bool {
        matches!(self, Damage::Truncated | Damage::OtherRecord)
    }
}

struct Scene {
    service: Service,
    admin: Admin,
    /// A topic of the clients.
    own: String,
    /// Names whose home is the damaged partition, one of each kind.
    names: Vec<String>,
    /// A name whose home is another partition.
    away: String,
}

impl Scene {
    fn new(scenario: &str, mode: Mode, bootstrap: &str) -> Scene {
        let service = Service::on(bootstrap, scenario, mode);
        service.create_topics();
        let admin = Admin::new(bootstrap);
        let own = format!("{}.own.reply", service.group);
        admin.create(&own, 2, &[]);
        let scene = Scene {
            names: names_at_home(BELOW_N, PARTITIONS, 5),
            away: names_at_home(2, PARTITIONS, 1).remove(0),
            service,
            admin,
            own,
        };
        let mut instance = scene.service.start("a");
        scene.runs(&mut instance, PARTITIONS as usize);
        for (name, further) in scene.names[1..].iter().zip([
            &["--increment", "10", "--max-count", "50"][..],
            &["--audit", "true"],
            &["--increment=-3"],
            &["--start", "7"],
        ]) {
            scene.says(&["define", name], further);
        }
        scene.says(&["retire", &scene.names[4]], &[]);
        scene.admin.grow(&scene.service.requests, GROWN);
        scene.runs(&mut instance, GROWN as usize);
        let log = scene.write();
        scene.answered(&log);
        scene.covered();
        assert_eq!(instance.sigterm_and_wait(), 0);
        scene
    }

    /// Waits until checkpoints cover all requests. The first one after the topic has grown may take long.
    fn covered(&self) {
        let Service {
            bootstrap,
            group,
            requests,
            ..
        } = &self.service;
        wait_for("checkpoints to cover every request", || {
            let committed = admin::committed(bootstrap, group, requests, GROWN);
            let covered = |partition| {
                let end = tail::high_watermark(bootstrap, requests, partition);
                committed.get(&partition).copied().unwrap_or(0) >= end
            };
            (0..GROWN).all(covered).then_some(())
        });
    }

    fn says(&self, words: &[&str], further: &[&str]) {
        let words = words.iter().chain(further).map(|&word| word.to_owned());
        let words: Vec<String> = words.chain(self.service.arguments()).collect();
        let said = run(&words);
        assert_eq!(said.code, 0, "{}", said.said());
    }

    fn runs(&self, instance: &mut Instance, partitions: usize) {
        instance.wait("to run every partition", |instance| {
            (instance.running() == partitions).then_some(())
        });
    }

    /// Writes requests of every name to its home, to a damaged partition that is not its home, and to an
    /// undamaged one, for replies on both topics. Returns their places.
    fn write(&self) -> BTreeSet<(i32, i64)> {
        let before = self.clients_requests();
        let mut writer = self.service.writer();
        let to_own: &[(&str, &[u8])] = &[
            ("kafka_correlationId", b"7"),
            ("kafka_replyTopic", self.own.as_bytes()),
        ];
        for round in 0..ROUND {
            let headers = if round % 2 == 0 { TO_DEFAULT } else { to_own };
            for name in &self.names {
                for partition in [BELOW_N, ABOVE_N, 2] {
                    let key = Some(name.as_bytes());
                    writer.send_with(Some(partition), key, Some(b"2"), headers);
                }
            }
            for partition in [BELOW_N, ABOVE_N, 2] {
                let key = Some(self.away.as_bytes());
                writer.send_with(Some(partition), key, None, headers);
            }
        }
        writer.finish();
        self.clients_requests()
            .difference(&before)
            .copied()
            .collect()
    }

    fn clients_requests(&self) -> BTreeSet<(i32, i64)> {
        tail::raw(&self.service.bootstrap, &self.service.requests)
            .into_iter()
            .filter(|record| record.header("sequencer-forwarded").is_none())
            .map(|record| (record.partition, record.offset))
            .collect()
    }

    /// Every reply on both topics, by topic and place.
    fn replies(&self) -> BTreeMap<(bool, i32, i64), Value> {
        let isolation = self.service.isolation();
        let of = |topic: &str, own: bool| {
            let replies = tail::replies(&self.service.bootstrap, topic, isolation);
            replies.into_iter().map(move |reply| {
                let body = serde_json::from_slice(&reply.body).unwrap();
                ((own, reply.partition, reply.offset), body)
            })
        };
        let default = of(&self.service.replies, false);
        default.chain(of(&self.own, true)).collect()
    }

    /// Waits for replies to these requests.
    fn answered(&self, requests: &BTreeSet<(i32, i64)>) {
        self.answered_since(requests, &BTreeMap::new());
    }

    /// Like [`Scene::answered`], for replies that are not in `before`.
    fn answered_since(
        &self,
        requests: &BTreeSet<(i32, i64)>,
        before: &BTreeMap<(bool, i32, i64), Value>,
    ) {
        wait_for("a reply to every request", || {
            let replies = self.replies();
            let new = replies.iter().filter(|(at, _)| !before.contains_key(at));
            let answered: BTreeSet<(i32, i64)> = new
                .filter_map(|(_, body)| {
                    Some((body["partition"].as_i64()? as i32, body["offset"].as_i64()?))
                })
                .collect();
            requests.is_subset(&answered).then_some(())
        });
    }

    /// Makes both damaged partitions halt.
    fn damage(&self, damage: Damage) {
        let service = &self.service;
        // Uses a client that has not seen the topics before they grew.
        let admin = &Admin::new(&service.bootstrap);
        let end =
            |partition| tail::high_watermark(&service.bootstrap, &service.requests, partition);
        match damage {
            Damage::RequestsMissing => {
                let lost = self.write();
                assert!(!lost.is_empty());
                for partition in DAMAGED {
                    admin.delete_records(&service.requests, partition, end(partition));
                }
            }
            Damage::NothingAddsUp | Damage::NothingAddsUpAndNoBeginning => {
                for partition in DAMAGED {
                    replace_state_of(partition, service, admin, flip_digest);
                    if damage == Damage::NothingAddsUpAndNoBeginning {
                        admin.delete_records(&service.requests, partition, end(partition));
                    }
                }
            }
            Damage::NoState => admin.delete(&service.state),
            Damage::OtherTopic => {
                admin.delete(&service.requests);
                admin.create(
                    &service.requests,
                    GROWN,
                    &[("message.timestamp.type", "LogAppendTime")],
                );
            }
            Damage::LinkBroken => {
                // The link is from a partition that forwards nothing else, with a leader epoch above all brokers'.
                let position = |offset| Position {
                    leader_epoch: 1_000,
                    offset,
                };
                let link = Link {
                    partition: 0,
                    epoch: 0,
                    position: position(150),
                    previous: position(149),
                    origin: Origin {
                        partition: 0,
                        offset: Offset(150),
                    },
                    hops: 1,
                };
                let name = self.names[0].as_bytes();
                let header = link.header(&link_key(service), BELOW_N as u32, name, None);
                let headers = [("sequencer-forwarded", header.as_bytes())];
                let mut writer = service.writer();
                writer.send_with(Some(BELOW_N), Some(name), None, &headers);
                writer.finish();
            }
            Damage::Truncated | Damage::OtherRecord => panic!("done to the broker's files"),
        }
    }

    /// Repairs a halted service. Waits until everything in the log is answered, with the requests written
    /// `since` the damage.
    fn repaired(&self, damage: Damage, since: &BTreeSet<(i32, i64)>) {
        let service = &self.service;
        let replied = self.replies();
        let mut instance = service.spawn("a");
        instance.wait_ready();
        let halted = instance.wait("to halt the damaged partitions", |instance| {
            let halted = instance.halted();
            let all = halted.len() + instance.running() == GROWN as usize;
            let damaged = damage
                .partitions()
                .iter()
                .all(|partition| halted.contains_key(partition));
            (all && damaged).then_some(halted)
        });
        let code = format!("code=\"{}\"", damage.code());
        assert!(instance.log().contains(&code), "no {code} in the log");
        let new = self.write();
        for halted in halted.values() {
            self.runs_as_it_stands(&halted.repair);
            self.runs_as_it_stands(&format!("{} --owner-halted --yes", halted.repair));
        }
        self.runs(&mut instance, GROWN as usize);
        self.answered_since(since, &replied);
        self.answered_since(&new, &replied);
        let newer = self.write();
        self.answered_since(&newer, &replied);
        self.goes_its_way(&newer, &replied);
        assert_eq!(instance.sigterm_and_wait(), 0);
        self.no_id_repeats();
        if !damage.gives_offsets_twice() {
            let topics = ["--replies", self.own.as_str()];
            self.says(&["verify", "--wait-ms", "5000"], &topics);
        }
    }

    /// Checks that each sequence is unchanged: its step and direction, and whether it is retired.
    fn goes_its_way(
        &self,
        requests: &BTreeSet<(i32, i64)>,
        before: &BTreeMap<(bool, i32, i64), Value>,
    ) {
        let of_new = |(at, body): ((bool, i32, i64), Value)| {
            let cause = (body["partition"].as_i64()? as i32, body["offset"].as_i64()?);
            (!before.contains_key(&at) && requests.contains(&cause)).then_some(body)
        };
        for body in self.replies().into_iter().filter_map(of_new) {
            let name = self
                .names
                .iter()
                .position(|name| body["sequence"] == name.as_str());
            match name {
                Some(4) => assert_eq!(body["error"]["code"], "retired", "{body}"),
                Some(1) => assert_eq!(body["increment"], 10, "{body}"),
                Some(3) => assert_eq!(body["increment"], -3, "{body}"),
                _ => assert!(body["first"].is_i64(), "{body}"),
            }
        }
    }

    fn runs_as_it_stands(&self, command: &str) {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_sequencer"));
        let folder = program.parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-c", command])
            .env("PATH", format!("{folder}:{path}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        println!("{command}\n{said}{failed}");
        assert!(output.status.success(), "{command}\n{said}{failed}");
    }

    /// Checks both topics, also when requests share an offset.
    fn no_id_repeats(&self) {
        let mut given: BTreeMap<(String, i64), String> = BTreeMap::new();
        for body in self.replies().into_values() {
            let (Some(first), Some(count)) = (body["first"].as_i64(), body["count"].as_i64())
            else {
                continue;
            };
            let name = body["sequence"].as_str().unwrap().to_owned();
            let increment = body["increment"].as_i64().unwrap_or(1);
            for step in 0..count {
                let id = first + step * increment;
                let reply = body.to_string();
                let known = given
                    .entry((name.clone(), id))
                    .or_insert_with(|| reply.clone());
                assert_eq!(*known, reply, "I1: ID {id} of {name:?} was given twice");
            }
        }
    }
}

fn is_long() -> bool {
    let long = std::env::var_os(LONG_VARIABLE).is_some();
    if !long {
        println!("skipped: the whole matrix of repairs runs with {LONG_VARIABLE}=1");
    }
    long
}

fn case(damage: Damage, mode: Mode) {
    let name = format!("repair-{}-{}", word(damage), mode.as_str());
    let scene = Scene::new(&name, mode, cluster::shared_bootstrap());
    scene.damage(damage);
    scene.repaired(damage, &BTreeSet::new());
}

/// Like [`case`], but only in long runs.
fn long_case(damage: Damage, mode: Mode) {
    if is_long() {
        case(damage, mode);
    }
}

fn word(damage: Damage) -> String {
    format!("{damage:?}").to_lowercase()
}

#[test]
fn what_a_halt_for_missing_requests_prints_repairs_it_below_and_above_n() {
    case(Damage::RequestsMissing, Mode::Immediate);
}

#[test]
fn missing_requests_are_repaired_in_exactly_once_mode() {
    long_case(Damage::RequestsMissing, Mode::ExactlyOnce);
}

#[test]
fn a_state_that_does_not_add_up_is_repaired() {
    long_case(Damage::NothingAddsUp, Mode::Immediate);
}

#[test]
fn a_state_that_does_not_add_up_is_repaired_in_exactly_once_mode() {
    long_case(Damage::NothingAddsUp, Mode::ExactlyOnce);
}

#[test]
fn neither_state_nor_the_beginning_of_the_log_is_repaired() {
    long_case(Damage::NothingAddsUpAndNoBeginning, Mode::Immediate);
}

#[test]
fn neither_state_nor_the_beginning_of_the_log_is_repaired_in_exactly_once_mode() {
    long_case(Damage::NothingAddsUpAndNoBeginning, Mode::ExactlyOnce);
}

#[test]
fn a_state_topic_that_was_deleted_is_repaired() {
    long_case(Damage::NoState, Mode::Immediate);
}

#[test]
fn a_state_topic_that_was_deleted_is_repaired_in_exactly_once_mode() {
    long_case(Damage::NoState, Mode::ExactlyOnce);
}

#[test]
fn a_request_topic_that_was_made_again_is_repaired() {
    long_case(Damage::OtherTopic, Mode::Immediate);
}

#[test]
fn a_request_topic_that_was_made_again_is_repaired_in_exactly_once_mode() {
    long_case(Damage::OtherTopic, Mode::ExactlyOnce);
}

#[test]
fn a_chain_that_broke_is_repaired() {
    long_case(Damage::LinkBroken, Mode::Immediate);
}

#[test]
fn a_chain_that_broke_is_repaired_in_exactly_once_mode() {
    long_case(Damage::LinkBroken, Mode::ExactlyOnce);
}

#[test]
fn a_log_that_was_cut_is_repaired() {
    after_a_cut(Damage::Truncated);
}

#[test]
fn a_log_that_was_cut_and_has_grown_again_is_repaired() {
    after_a_cut(Damage::OtherRecord);
}

/// This has the result of an unclean election: the logs' files are cut while their broker is down.
fn after_a_cut(damage: Damage) {
    assert!(damage.cuts());
    if !is_long() {
        return;
    }
    let _machine = heavy();
    let name = format!("repair-{}", word(damage));
    let mut kafka = cluster::own_broker(&name);
    let scene = Scene::new(&name, Mode::Immediate, kafka.bootstrap());
    let requests = &scene.service.requests;
    let end = |partition| tail::high_watermark(&scene.service.bootstrap, requests, partition);
    let ends = DAMAGED.map(end);
    kafka.stop_broker(0);
    let data = cluster::directory().join(format!("{name}/broker-1/data"));
    for (at, partition) in DAMAGED.into_iter().enumerate() {
        // The first cut removes the mark of a clean stop.
        let mark = data.join(".kafka_cleanshutdown");
        if at > 0 {
            std::fs::write(&mark, b"").unwrap();
        }
        cut_log(&data, &format!("{requests}-{partition}"));
    }
    kafka.start_broker(0);
    let mut written = BTreeSet::new();
    if damage == Damage::OtherRecord {
        while DAMAGED
            .iter()
            .zip(ends)
            .any(|(partition, was)| end(*partition) < was)
        {
            written.extend(scene.write());
        }
    }
    scene.repaired(damage, &written);
    kafka.stop().unwrap();
}

#[test]
fn a_mistyped_request_topic_beside_the_live_service_repairs_nothing() {
    let service = Service::new("repair-mistyped", Mode::Immediate);
    service.create_topics();
    let instance = service.start("a");
    let mut writer = service.writer();
    for name in names_at_home(BELOW_N, PARTITIONS, 2) {
        writer.send(Some(name.as_bytes()), None);
    }
    writer.finish();
    service.tail().wait_answered(2);
    let end = || tail::high_watermark(&service.bootstrap, &service.state, BELOW_N);
    wait_for("a first checkpoint", || (end() > 0).then_some(()));
    let mistyped = format!("{}.mistyped", service.requests);
    Admin::new(&service.bootstrap).create(&mistyped, PARTITIONS, &[]);
    let partition = BELOW_N.to_string();
    let mut words: Vec<String> = [
        "recover",
        "--partition",
        &partition,
        "--owner-halted",
        "--yes",
    ]
    .map(str::to_owned)
    .to_vec();
    words.extend(service.arguments());
    words.extend(["--set".to_owned(), format!("topics.requests={mistyped}")]);
    let outcome = run(&words);
    assert_eq!(outcome.code, 1, "{}", outcome.said());
    outcome.line_with("topics.requests");
    let restored = tail::raw(&service.bootstrap, &service.state);
    assert!(
        restored
            .iter()
            .all(|record| record.key.as_deref() != Some(b"R")),
        "nothing was written"
    );
    assert_eq!(instance.sigterm_and_wait(), 0);
}
