//! The two measured programs: the service, and the echo that it is compared with.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::Error;
use super::process::Process;
use super::stage::{Stage, Topics};
use crate::kafka::tools::measure::echo::{Pace, Take};

/// The longest time that a service may take until it runs every partition. After a kill, the dead member stays
/// in the group for a session timeout, and millions of sequences take a while to restore.
const START_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);
const HTTP_MAX: Duration = Duration::from_secs(5);

/// Settings of a service that differ from its defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// `reply.mode`.
    pub exactly_once: bool,
    /// `checkpoint.interval_ms`.
    pub interval_ms: Option<u64>,
}

impl Mode {
    /// The default mode.
    pub const IMMEDIATE: Mode = Mode {
        exactly_once: false,
        interval_ms: None,
    };

    /// A mode that writes replies in the transactions of checkpoints, at this interval.
    pub fn exactly_once(interval_ms: u64) -> Mode {
        Mode {
            exactly_once: true,
            interval_ms: Some(interval_ms),
        }
    }

    /// The name of the subject.
    pub fn name(self) -> String {
        let mode = if self.exactly_once {
            "exactly_once"
        } else {
            "immediate"
        };
        match self.interval_ms {
            None => mode.to_owned(),
            Some(interval) => format!("{mode} {interval} ms"),
        }
    }
}

/// A `sequencer serve` process.
pub struct Server {
    /// The process.
    pub process: Process,
    port: u16,
}

impl Server {
    /// Starts the process without waiting for it.
    pub fn spawn(
        stage: &mut Stage<'_>,
        topics: &Topics,
        instance: &str,
        mode: Mode,
    ) -> Result<Server, Error> {
        let port = free_port()?;
        let mut command = Command::new(&stage.options.program);
        command.arg("serve").args(arguments(stage, topics)).args([
            "--http",
            &format!("127.0.0.1:{port}"),
            "--log-format",
            "json",
        ]);
        let reply_mode = if mode.exactly_once {
            "exactly_once"
        } else {
            "immediate"
        };
        command.args(["--reply-mode", reply_mode]);
        let mut settings = vec![format!("instance_id={instance}")];
        if let Some(interval) = mode.interval_ms {
            settings.push(format!("checkpoint.interval_ms={interval}"));
        }
        for setting in settings {
            command.args(["--set", &setting]);
        }
        let name = stage.unique("serve");
        Ok(Server {
            process: Process::spawn(&name, &mut command, stage.directory())?,
            port,
        })
    }

    /// Starts the process and waits until it runs every partition.
    pub fn start(
        stage: &mut Stage<'_>,
        topics: &Topics,
        instance: &str,
        mode: Mode,
    ) -> Result<Server, Error> {
        let mut server = Server::spawn(stage, topics, instance, mode)?;
        let all = usize::try_from(topics.partitions).unwrap_or(usize::MAX);
        wait(stage, &mut [&mut server], |running| running == [all])?;
        Ok(server)
    }

    /// The number of partitions that it runs.
    pub fn running(&self) -> usize {
        let Ok(body) = self.page("/readyz") else {
            return 0;
        };
        let Ok(body) = serde_json::from_str::<Value>(&body) else {
            return 0;
        };
        let partitions = body
            .pointer("/status/partitions")
            .and_then(Value::as_object);
        partitions.map_or(0, |partitions| {
            partitions
                .values()
                .filter(|partition| partition.get("state").is_some_and(|s| s == "running"))
                .count()
        })
    }

    /// The body of one of the service's HTTP pages, with any status.
    ///
    /// # Errors
    /// The service does not answer.
    pub fn page(&self, path: &str) -> Result<String, Error> {
        get(self.port, path).map_err(Error::system("ask a service for a page"))
    }
}

/// Arguments for each program of this service: the cluster, the group, the topics.
pub fn arguments(stage: &Stage<'_>, topics: &Topics) -> Vec<String> {
    let mut arguments = stage.options.passed.clone();
    let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
    add("--brokers", stage.connection.brokers.clone());
    // The state belongs to the group, so they share a name.
    add("--group", topics.state.clone());
    for (topic, name) in [
        ("requests", &topics.requests),
        ("replies", &topics.replies),
        ("state", &topics.state),
        ("ledger", &topics.ledger),
    ] {
        add("--set", format!("topics.{topic}={name}"));
    }
    arguments
}

/// Waits until these services run the expected numbers of partitions.
pub fn wait(
    stage: &Stage<'_>,
    servers: &mut [&mut Server],
    good: impl Fn(&[usize]) -> bool,
) -> Result<(), Error> {
    let deadline = Instant::now() + START_MAX;
    loop {
        stage.check()?;
        let mut running = Vec::new();
        for server in servers.iter_mut() {
            server.process.check()?;
            running.push(server.running());
        }
        if good(&running) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let what = format!(
                "runs {running:?} partitions after {} s",
                START_MAX.as_secs()
            );
            return Err(servers
                .first()
                .map_or(Error::Stopped, |s| s.process.failed(&what)));
        }
        thread::sleep(POLL);
    }
}

/// Settings of an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The service's producer that it uses.
    pub pace: Pace,
    /// The way it takes records.
    pub take: Take,
}

impl Echo {
    /// The name in the report.
    pub fn name(self) -> String {
        format!("{} {}", self.pace.as_str(), self.take.as_str())
    }
}

/// Starts an echo process. `body` is written instead of each value.
pub fn echo(
    stage: &mut Stage<'_>,
    (from, to): (&str, &str),
    partitions: u32,
    how: Echo,
    body: Option<&[u8]>,
) -> Result<Process, Error> {
    let name = stage.unique("echo");
    let mut command = Command::new(&stage.options.program);
    command.arg("bench-echo").args(&stage.options.passed).args([
        "--brokers",
        &stage.connection.brokers,
        "--group",
        &name,
        "--from",
        from,
        "--to",
        to,
        "--partitions",
        &partitions.to_string(),
        "--pace",
        how.pace.as_str(),
        "--take",
        how.take.as_str(),
    ]);
    if let Some(body) = body {
        command.args(["--body", &String::from_utf8_lossy(body)]);
    }
    Process::spawn(&name, &mut command, stage.directory())
}

/// A port that was free a moment ago. If another process takes it first, the service reports that and ends.
fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::system("find a free port"))
}

/// The body of a page of a service on this machine, with any status.
fn get(port: u16, path: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, HTTP_MAX)?;
    stream.set_read_timeout(Some(HTTP_MAX))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    response
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
