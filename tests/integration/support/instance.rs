//! A `sequencer serve` process: starts it, watches it, and sends it signals.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use serde_json::Value;

use super::command::program;
use super::{cluster, http, signal, unique, wait_for};

/// Number of log lines that are shown when a test fails.
const TAIL_LINES: usize = 60;

/// The command of an instance, and the flag of its HTTP address.
const SERVE: [&str; 2] = ["serve", "--http"];

/// A running instance. It is killed when the value is dropped, and its log is shown when a test fails.
pub struct Instance {
    name: String,
    child: Child,
    port: u16,
    log: PathBuf,
    /// The exit status, once the process has been waited for.
    status: Option<ExitStatus>,
}

/// A partition that stopped rather than guess, as `/healthz` describes it.
#[derive(Clone, Debug)]
pub struct Halted {
    pub reason: String,
    /// The command that repairs the partition.
    pub repair: String,
}

impl Instance {
    /// Starts `sequencer serve` with these arguments.
    pub fn spawn(name: &str, arguments: &[String]) -> Instance {
        Instance::spawn_with(name, arguments, &[])
    }

    /// Like [`Instance::spawn`], with variables in the environment.
    pub fn spawn_with(
        name: &str,
        arguments: &[String],
        variables: &[(String, String)],
    ) -> Instance {
        let log = cluster::directory().join(format!("{}.log", unique(name)));
        let output = File::create(&log).unwrap();
        let mut program = program();
        program
            .envs(variables.iter().cloned())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        Instance::started(name, program, SERVE, arguments, log)
    }

    /// Starts `sequencer gateway` with these arguments. It has the same probes.
    pub fn spawn_gateway(name: &str, arguments: &[String]) -> Instance {
        let log = cluster::directory().join(format!("{}.log", unique(name)));
        let output = File::create(&log).unwrap();
        let mut program = program();
        program.stdout(output.try_clone().unwrap()).stderr(output);
        Instance::started(name, program, ["gateway", "--address"], arguments, log)
    }

    /// Like [`Instance::spawn`], with the output in other places than the files that are shown.
    pub fn spawn_into(name: &str, arguments: &[String], stdout: Stdio, stderr: Stdio) -> Instance {
        let log = cluster::directory().join(format!("{}.log", unique(name)));
        File::create(&log).unwrap();
        let mut program = program();
        program.stdout(stdout).stderr(stderr);
        Instance::started(name, program, SERVE, arguments, log)
    }

    fn started(
        name: &str,
        mut program: Command,
        [verb, address]: [&str; 2],
        arguments: &[String],
        log: PathBuf,
    ) -> Instance {
        let port = http::free_port();
        let child = program
            .arg(verb)
            .args(arguments)
            .args([address, &format!("127.0.0.1:{port}")])
            .spawn()
            .unwrap();
        Instance {
            name: name.to_owned(),
            child,
            port,
            log,
            status: None,
        }
    }

    /// The port of its HTTP server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The whole log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until `/readyz` succeeds, which it also does without a partition.
    pub fn wait_ready(&mut self) {
        self.wait("to be ready", |instance| {
            http::get(instance.port, "/readyz")
                .is_ok_and(|response| response.status == 200)
                .then_some(())
        });
    }

    /// Waits for a condition. The process must not end before.
    pub fn wait<T>(&mut self, what: &str, mut condition: impl FnMut(&Instance) -> Option<T>) -> T {
        let what = format!("{} {what}", self.name);
        wait_for(&what, || {
            if let Some(status) = self.ended() {
                panic!("waited for {what}, and it ended with {status}");
            }
            condition(self)
        })
    }

    /// The exit status, if the process ended on its own.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Number of partitions that the instance answers for. 0 while it does not report.
    pub fn running(&self) -> usize {
        self.running_partitions().len()
    }

    /// The partitions that the instance answers for. None while it does not report.
    pub fn running_partitions(&self) -> Vec<i32> {
        let Some(body) = self.body("/readyz") else {
            return Vec::new();
        };
        let partitions = body["status"]["partitions"].as_object().unwrap();
        let running = partitions
            .iter()
            .filter(|(_, partition)| partition["state"] == "running");
        running
            .map(|(partition, _)| partition.parse().unwrap())
            .collect()
    }

    /// The halted partitions. None while the instance does not report.
    pub fn halted(&self) -> BTreeMap<i32, Halted> {
        let Some(body) = self.body("/healthz") else {
            return BTreeMap::new();
        };
        let text = |value: &Value| {
            value
                .as_str()
                .unwrap_or_else(|| panic!("no text in {body:#}"))
                .to_owned()
        };
        let halted = |value: &Value| {
            let partition = value["partition"].as_i64().unwrap() as i32;
            (
                partition,
                Halted {
                    reason: text(&value["reason"]),
                    repair: text(&value["repair"]),
                },
            )
        };
        body["halted"]
            .as_array()
            .unwrap()
            .iter()
            .map(halted)
            .collect()
    }

    /// The content of all its HTTP pages.
    pub fn pages(&self) -> String {
        ["/metrics", "/healthz", "/readyz"]
            .map(|path| http::get(self.port, path).map_or_else(|_| String::new(), |page| page.body))
            .concat()
    }

    fn body(&self, path: &str) -> Option<Value> {
        let response = http::get(self.port(), path).ok()?;
        Some(
            serde_json::from_str(&response.body)
                .unwrap_or_else(|error| panic!("{error}: {}", response.body)),
        )
    }

    /// The sum of the samples of `/metrics` with this prefix, which is a name, or a name with its labels.
    pub fn metric(&self, begin: &str) -> Option<f64> {
        let body = http::get(self.port, "/metrics").unwrap().body;
        let samples = body.lines().filter_map(|line| {
            let rest = line
                .strip_prefix(begin)
                .filter(|rest| rest.starts_with(['{', ' ']))?;
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        samples.reduce(|a, b| a + b)
    }

    /// Asks for a clean stop.
    pub fn sigterm(&self) {
        signal::send(&self.child, signal::SIGTERM);
    }

    /// Asks for a clean stop and returns the exit code.
    pub fn sigterm_and_wait(mut self) -> i32 {
        self.sigterm();
        self.wait_exit()
    }

    /// Waits for its end and returns the exit code.
    pub fn wait_exit(&mut self) -> i32 {
        let what = format!("{} to end", self.name);
        let status = wait_for(&what, || self.child.try_wait().unwrap());
        self.status = Some(status);
        status
            .code()
            .unwrap_or_else(|| panic!("{} ended with {status}", self.name))
    }

    /// Sends SIGKILL, which a process cannot handle.
    pub fn sigkill(mut self) {
        self.kill();
    }

    /// Pauses the process, which does not notice it.
    pub fn sigstop(&self) {
        signal::send(&self.child, signal::SIGSTOP);
    }

    /// Lets the process go on.
    pub fn sigcont(&self) {
        signal::send(&self.child, signal::SIGCONT);
    }

    fn kill(&mut self) {
        if self.status.is_none() {
            // The process may have ended already.
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            println!(
                "--- {} ({}), last {} lines:\n{}",
                self.name,
                self.log.display(),
                tail.len(),
                tail.join("\n")
            );
        }
    }
}
