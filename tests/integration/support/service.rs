//! One service under test: its topics, its group, and the final check.

use std::process::Stdio;

use super::admin::Admin;
use super::check::{Evidence, Report, check};
use super::instance::Instance;
use super::load::{Names, OpenLoop, Writer, preload};
use super::random::Random;
use super::records::{Mode, Repair, Reply, Request};
use super::tail::{self, Isolation, Tail};
use super::{cluster, unique, wait_for};

/// Partitions of each topic.
pub const PARTITIONS: i32 = 4;

/// The shortest session that brokers allow. The partitions of a killed instance wait until its session ends.
pub const SESSION_TIMEOUT_MS: u64 = 6_000;
pub const HEARTBEAT_INTERVAL_MS: u64 = 100;

/// A service with names that no other scenario has.
#[derive(Clone)]
pub struct Service {
    pub bootstrap: String,
    pub requests: String,
    pub replies: String,
    pub state: String,
    pub ledger: String,
    pub heartbeats: String,
    pub gateway_replies: String,
    pub group: String,
    pub mode: Mode,
    /// Additional settings of its instances, in the form of `--set`.
    pub settings: Vec<String>,
}

impl Service {
    /// A service on the shared broker.
    pub fn new(scenario: &str, mode: Mode) -> Service {
        Service::on(cluster::shared_bootstrap(), scenario, mode)
    }

    /// A service on the test's own broker.
    pub fn on(bootstrap: &str, scenario: &str, mode: Mode) -> Service {
        let name = unique(scenario);
        Service {
            bootstrap: bootstrap.to_owned(),
            requests: format!("{name}.requests"),
            replies: format!("{name}.replies"),
            state: format!("{name}.state"),
            ledger: format!("{name}.ledger"),
            heartbeats: format!("{name}.heartbeats"),
            gateway_replies: format!("{name}.gateway.replies"),
            group: name,
            mode,
            settings: Vec::new(),
        }
    }

    /// The arguments of every command of this service.
    pub fn arguments(&self) -> Vec<String> {
        self.arguments_at(&self.bootstrap)
    }

    fn arguments_at(&self, bootstrap: &str) -> Vec<String> {
        let Service {
            requests,
            replies,
            state,
            ledger,
            heartbeats,
            gateway_replies,
            group,
            ..
        } = self;
        let pairs = [
            ("--brokers", bootstrap.to_owned()),
            ("--group", group.clone()),
            ("--set", format!("topics.requests={requests}")),
            ("--set", format!("topics.replies={replies}")),
            ("--set", format!("topics.state={state}")),
            ("--set", format!("topics.ledger={ledger}")),
            ("--set", format!("topics.heartbeats={heartbeats}")),
            ("--set", format!("topics.gateway_replies={gateway_replies}")),
            ("--set", format!("topics.partitions={PARTITIONS}")),
        ];
        pairs
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }

    /// Starts an instance, and does not wait for it.
    pub fn spawn(&self, instance: &str) -> Instance {
        self.spawn_at(&self.bootstrap, instance)
    }

    /// Starts an instance with other bootstrap servers, and does not wait for it.
    pub fn spawn_at(&self, bootstrap: &str, instance: &str) -> Instance {
        let arguments = self.serve_arguments(bootstrap, instance);
        Instance::spawn(&format!("{}-{instance}", self.group), &arguments)
    }

    /// Starts an instance with these outputs, and does not wait for it.
    pub fn spawn_into(&self, instance: &str, stdout: Stdio, stderr: Stdio) -> Instance {
        let arguments = self.serve_arguments(&self.bootstrap, instance);
        let name = format!("{}-{instance}", self.group);
        Instance::spawn_into(&name, &arguments, stdout, stderr)
    }

    fn serve_arguments(&self, bootstrap: &str, instance: &str) -> Vec<String> {
        let mut arguments = self.arguments_at(bootstrap);
        arguments.extend(["--reply-mode".to_owned(), self.mode.as_str().to_owned()]);
        let own = [
            format!("instance_id={instance}"),
            format!("kafka.session.timeout.ms={SESSION_TIMEOUT_MS}"),
            format!("kafka.heartbeat.interval.ms={HEARTBEAT_INTERVAL_MS}"),
            "log.level=info,sequencer=debug".to_owned(),
        ];
        for setting in own.iter().chain(&self.settings) {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        arguments
    }

    /// Starts an instance and waits until it is ready.
    pub fn start(&self, instance: &str) -> Instance {
        let mut started = self.spawn(instance);
        started.wait_ready();
        started
    }

    /// Starts a gateway with these settings in the form of `--set`, and does not wait for it.
    pub fn spawn_gateway(&self, instance: &str, settings: &[&str]) -> Instance {
        let own = format!("instance_id={instance}");
        let mut arguments = self.arguments();
        for setting in [own.as_str()].iter().chain(settings) {
            arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        Instance::spawn_gateway(&format!("{}-{instance}", self.group), &arguments)
    }

    /// Starts a gateway and waits until it is ready.
    pub fn gateway(&self, instance: &str, settings: &[&str]) -> Instance {
        let mut started = self.spawn_gateway(instance, settings);
        started.wait_ready();
        started
    }

    /// Waits until these instances together answer for every partition, and each for at least one.
    pub fn wait_shared(&self, instances: &[&Instance]) {
        wait_for(
            &format!(
                "{} instances to share {PARTITIONS} partitions",
                instances.len()
            ),
            || {
                let running: Vec<usize> = instances
                    .iter()
                    .map(|instance| instance.running())
                    .collect();
                let all = running.iter().sum::<usize>() == PARTITIONS as usize;
                (all && running.iter().all(|count| *count > 0)).then_some(())
            },
        );
    }

    /// Creates the request and the reply topic like an administrator, for a test that writes before the service
    /// starts.
    pub fn create_topics(&self) {
        let admin = Admin::new(&self.bootstrap);
        admin.create(
            &self.requests,
            PARTITIONS,
            &[("message.timestamp.type", "LogAppendTime")],
        );
        admin.create(&self.replies, PARTITIONS, &[]);
    }

    pub fn preload(&self, names: &Names, count: u64, random: &mut Random) {
        preload(&self.bootstrap, &self.requests, names, count, random);
    }

    pub fn open_loop(&self, names: &Names, rate: u64, random: &mut Random) -> OpenLoop {
        OpenLoop::start(
            &self.bootstrap,
            &self.requests,
            names.clone(),
            rate,
            random.fork(),
        )
    }

    pub fn writer(&self) -> Writer {
        Writer::new(&self.bootstrap, &self.requests)
    }

    /// Follows the replies with the isolation that a client of this mode should use.
    pub fn tail(&self) -> Tail {
        Tail::new(&self.bootstrap, &self.replies, self.isolation())
    }

    /// The isolation level of a client of this mode.
    pub fn isolation(&self) -> Isolation {
        match self.mode {
            Mode::Immediate => Isolation::Uncommitted,
            Mode::ExactlyOnce => Isolation::Committed,
        }
    }

    /// The whole request log.
    pub fn request_log(&self) -> Vec<Request> {
        tail::requests(&self.bootstrap, &self.requests)
    }

    /// All replies that a client of this mode sees.
    pub fn all_replies(&self) -> Vec<Reply> {
        tail::replies(&self.bootstrap, &self.replies, self.isolation())
    }

    /// Waits until every request of the log is answered, then checks the whole log and all replies.
    pub fn check(&self) -> Report {
        self.check_answered(&mut self.tail())
    }

    /// Like [`Service::check`], with a tail that has already read replies.
    pub fn check_answered(&self, tail: &mut Tail) -> Report {
        let requests = self.request_log();
        let answered = tail.try_answered(requests.len());
        if self.mode == Mode::ExactlyOnce {
            // Replies of aborted transactions may be repeated, but must be right, too.
            let all = tail::replies(&self.bootstrap, &self.replies, Isolation::Uncommitted);
            self.judge(Mode::Immediate, &requests, &all, &[]);
        }
        // The judge reports the requests without an answer.
        let report = self.judge(self.mode, &requests, &self.all_replies(), &[]);
        answered.unwrap_or_else(|waited| panic!("{waited}"));
        report
    }

    /// Checks a log and its replies, and fails with all anomalies.
    pub fn judge(
        &self,
        mode: Mode,
        requests: &[Request],
        replies: &[Reply],
        repairs: &[Repair],
    ) -> Report {
        let report = check(&Evidence {
            requests,
            replies,
            mode,
            reply_partitions: PARTITIONS,
            repairs,
        });
        println!("{}, as {}: {report}", self.group, mode.as_str());
        report.assert_clean();
        report
    }
}
