//! `sequencer dev`: runs a Kafka, the service, a gateway and a demo in one process, to try the service.
//!
//! It starts from the bottom up and stops from the top down: demo, gateway, service (with its final checkpoint),
//! Kafka. Each step prints a line.

mod demo;
mod header;
mod part;

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::args::DevArgs;
use super::signals::Stop;
use super::{Error, session};
use crate::embedded::{self, Kafka, Options};
use crate::gateway;
use crate::kafka::admin::Admin;
use crate::observe::status::{PartitionState, Shared};
use crate::service::serve;
use crate::service::settings::{CreateTopics, Settings};
use demo::Demo;
use part::Part;

/// The interval of a wait's checks for its end.
const POLL: Duration = Duration::from_millis(50);
/// After this long without being ready, `dev` prints the missing condition.
const PATIENCE: Duration = Duration::from_secs(5);
/// A start of Kafka that is interrupted may finish within this time, to be stopped cleanly. A download of its
/// jars takes longer, and can be abandoned: an incomplete file does not have its final name yet.
const START_GRACE: Duration = Duration::from_secs(5);

/// The first line, printed while Kafka takes some seconds to start.
const WELCOME: &str = "A Kafka on this machine, the service and a gateway, to try things out. Lines to copy \
                       follow in a few seconds; Ctrl-C stops all of it.";

/// Starts everything, shows it at work, and stops everything.
pub(super) fn run(args: &DevArgs, out: &mut impl Write) -> Result<(), Error> {
    let (settings, warnings) = session::load(&args.flags())?;
    session::start_log(&settings, "warn")?;
    // This comes before Kafka, which takes seconds to start.
    serve::check(&of_our_own(settings.clone(), ""))?;
    gateway::serve::check(&settings)?;
    let stop = Stop::listen()?;
    say(out, WELCOME)?;
    say(
        out,
        &starting(&args.directory, &embedded::cache_directory()),
    )?;
    let Some(mut kafka) = start_kafka(args, &stop)? else {
        return say(out, "stopped before Kafka was there");
    };
    let settings = of_our_own(settings, kafka.bootstrap());
    let served = serve_and_show(args, &settings, warnings, &stop, out);
    say(out, "stopping Kafka")?;
    let stopped = kafka.stop();
    served?;
    stopped?;
    say(out, "stopped; the next start goes on from the same IDs")
}

/// Prints a line and flushes it.
fn say(out: &mut impl Write, line: &str) -> Result<(), Error> {
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn starting(directory: &Path, cache: &Path) -> String {
    let directory = directory.display();
    // A download that is not complete has this suffix.
    let fetched = |name: &str| name.starts_with("kafka-") && !name.ends_with(".partial");
    let there = cache.read_dir().is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_str().is_some_and(fetched))
    });
    if there {
        return format!("starting Kafka, data in {directory}");
    }
    format!(
        "fetching Kafka once into {} (45 MB), then starting it, data in {directory}",
        cache.display()
    )
}

/// Starts Kafka. `None` when a stop came first.
fn start_kafka(args: &DevArgs, stop: &Stop) -> Result<Option<Kafka>, Error> {
    let options = Options::single(&args.directory);
    let (started, result) = channel();
    std::thread::Builder::new()
        .name("kafka-start".to_owned())
        .spawn(move || {
            // If no caller waits any longer, the result is dropped, which kills the Kafka that was started.
            let _ = started.send(Kafka::start(options));
        })
        .map_err(system)?;
    let mut asked_to_stop = None;
    loop {
        match result.recv_timeout(POLL) {
            // Ctrl-C in the terminal also ends a download. This is not a failure.
            Ok(Err(_)) if stop.is_asked() => return Ok(None),
            Ok(started) => return Ok(Some(started?)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Failed(
                    "Kafka's start ended without a result".to_owned(),
                ));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.is_asked() {
            let since = *asked_to_stop.get_or_insert_with(Instant::now);
            if since.elapsed() > START_GRACE {
                return Ok(None);
            }
        }
    }
}

/// The settings for the Kafka that was started: one broker without security.
fn of_our_own(mut settings: Settings, bootstrap: &str) -> Settings {
    const NOT_OURS: [&str; 4] = ["security.", "sasl.", "ssl.", "enable.ssl."];
    settings.brokers = Some(bootstrap.to_owned());
    settings.topics.replication = Some(1);
    settings.topics.create = CreateTopics::Always;
    settings
        .kafka
        .retain(|property, _| !NOT_OURS.iter().any(|prefix| property.starts_with(prefix)));
    settings
}

/// The service, on a thread of its own.
struct Service {
    status: Shared,
    part: Part<serve::Error>,
}

impl Service {
    fn start(settings: &Settings, warnings: Vec<String>) -> Result<Service, Error> {
        let status = Shared::new(serve::starting(settings));
        let (settings, shared) = (settings.clone(), status.clone());
        let part = Part::start("service", async move |stop| {
            serve::run_until(&settings, &warnings, shared, stop).await
        })?;
        Ok(Service { status, part })
    }

    fn has_ended(&self) -> bool {
        self.part.has_ended()
    }

    /// True when every partition runs, or has halted with a reason.
    fn is_ready(&self) -> bool {
        let status = self.status.read();
        let settled = |state| matches!(state, PartitionState::Running | PartitionState::Halted);
        let mut states = status.partitions.values().map(|partition| partition.state);
        status.connected && !status.partitions.is_empty() && states.all(settled)
    }
}

/// The gateway, on a thread of its own.
struct Gateway {
    status: gateway::serve::Status,
    part: Part<gateway::serve::Error>,
}

impl Gateway {
    fn start(settings: &Settings) -> Result<Gateway, Error> {
        let status = gateway::serve::Status::default();
        let (settings, shared) = (settings.clone(), status.clone());
        let part = Part::start("gateway", async move |stop| {
            gateway::serve::run_until(&settings, &shared, stop).await
        })?;
        Ok(Gateway { status, part })
    }
}

fn serve_and_show(
    args: &DevArgs,
    settings: &Settings,
    warnings: Vec<String>,
    stop: &Stop,
    out: &mut impl Write,
) -> Result<(), Error> {
    let service = Service::start(settings, warnings)?;
    let shown = wait_until_ready(&service, stop, out).and_then(|ready| match ready {
        true => with_gateway(args, settings, &service, stop, out),
        false => Ok(()),
    });
    if !service.has_ended() {
        say(out, "\nstopping the service: final checkpoint")?;
    }
    service.part.finish()?;
    shown
}

/// Shows the service at work, with a gateway beside it.
fn with_gateway(
    args: &DevArgs,
    settings: &Settings,
    service: &Service,
    stop: &Stop,
    out: &mut impl Write,
) -> Result<(), Error> {
    let gateway = Gateway::start(settings)?;
    let goes_on = || !stop.is_asked() && !service.has_ended() && !gateway.part.has_ended();
    // A first call that is refused would be a poor welcome.
    let until = Instant::now() + PATIENCE;
    while gateway.status.obstacle().is_some() && goes_on() && Instant::now() < until {
        std::thread::sleep(POLL);
    }
    if let Some(obstacle) = gateway.status.obstacle() {
        say(out, &format!("the gateway is not ready yet: {obstacle}"))?;
    }
    let shown = show(args, settings, service, &goes_on, out);
    gateway.part.finish()?;
    shown
}

/// Waits until the service is ready. False when it was stopped or has ended.
fn wait_until_ready(service: &Service, stop: &Stop, out: &mut impl Write) -> Result<bool, Error> {
    let began = Instant::now();
    let mut told = false;
    loop {
        if stop.is_asked() || service.has_ended() {
            return Ok(false);
        }
        if service.is_ready() {
            return Ok(true);
        }
        if !told && began.elapsed() > PATIENCE {
            told = true;
            say(out, &still_waiting(service))?;
        }
        std::thread::sleep(POLL);
    }
}

fn still_waiting(service: &Service) -> String {
    let status = service.status.read();
    let reason = status
        .problem
        .unwrap_or_else(|| match status.partitions.is_empty() {
            // After a killed run, the group notices the missing member only when its session ends.
            true => "the group gives partitions once the last run's session is over".to_owned(),
            false => "the state is being read".to_owned(),
        });
    format!("still starting: {reason}")
}

fn show(
    args: &DevArgs,
    settings: &Settings,
    service: &Service,
    goes_on: &dyn Fn() -> bool,
    out: &mut impl Write,
) -> Result<(), Error> {
    header::print(args, settings, out)?;
    for (partition, halted) in service.status.read().halted() {
        let reason = halted.reason.as_deref().unwrap_or_default();
        let repair = halted.repair.as_deref().unwrap_or_default();
        writeln!(
            out,
            "partition {partition} halted: {reason}\n  repair: {repair}"
        )?;
    }
    if args.no_demo {
        say(out, "Ctrl-C stops all of it.")?;
        while goes_on() {
            std::thread::sleep(POLL);
        }
        return Ok(());
    }
    say(
        out,
        &format!(
            "Demo, {} requests a second; Ctrl-C stops all of it.\n",
            args.rate
        ),
    )?;
    let connection = serve::connection(settings)?;
    let cluster = Admin::new(&connection.admin())?.cluster()?;
    let mut demo = Demo::new(&connection, settings, &cluster, args.rate)?;
    while goes_on() {
        demo.step(out)?;
    }
    Ok(())
}

fn system(error: io::Error) -> Error {
    Error::Serve(serve::Error::System(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings::Flags;

    #[test]
    fn settings_for_another_cluster_do_not_reach_our_own() {
        let flags = Flags {
            brokers: Some("elsewhere:9092".to_owned()),
            set: [
                "kafka.sasl.username=me",
                "kafka.security.protocol=sasl_ssl",
                "kafka.sasl.mechanism=PLAIN",
                "kafka.session.timeout.ms=7000",
                "topics.replication=3",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Flags::default()
        };
        let (settings, _) = Settings::load(&flags, []).unwrap();
        let settings = of_our_own(settings, "127.0.0.1:9");
        assert_eq!(settings.brokers.as_deref(), Some("127.0.0.1:9"));
        assert_eq!(settings.topics.replication, Some(1));
        let left: Vec<_> = settings.kafka.keys().map(String::as_str).collect();
        assert_eq!(left, ["session.timeout.ms"]);
    }

    #[test]
    fn a_taken_port_ends_it_before_anything_is_started() {
        use clap::Parser;

        use crate::cli::args::{Cli, Command};

        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("dev");
        let http = taken.local_addr().unwrap().to_string();
        let words = ["sequencer", "dev", "--http", &http, "--directory"];
        let words = words.map(std::ffi::OsString::from).into_iter();
        let cli = Cli::parse_from(words.chain([directory.clone().into_os_string()]));
        let Command::Dev(args) = cli.command else {
            panic!("not dev")
        };
        let mut out = Vec::new();
        let error = run(&args, &mut out).unwrap_err().to_string();
        assert!(error.contains("already in use"), "{error}");
        assert!(out.is_empty() && !directory.exists());
    }

    #[test]
    fn the_first_start_says_that_it_fetches() {
        let cache = tempfile::tempdir().unwrap();
        let line = || starting(Path::new("data"), cache.path());
        assert!(line().starts_with("fetching Kafka once into"));
        std::fs::create_dir(cache.path().join("kafka-4.3.0-1.partial")).unwrap();
        assert!(line().starts_with("fetching"));
        std::fs::create_dir(cache.path().join("kafka-4.3.0-1")).unwrap();
        assert_eq!(line(), "starting Kafka, data in data");
    }
}
