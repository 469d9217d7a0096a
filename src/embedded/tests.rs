//! Tests with real brokers.

use std::io;
use std::path::Path;
use std::process::Command;

use super::*;

/// The IDs of all processes that run in a broker's directory, started by this test or not.
fn processes_in(directory: &Path) -> Vec<String> {
    let directory = directory.canonicalize().unwrap();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        // The process has ended meanwhile, or may not be inspected.
        if fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&directory)) {
            found.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// Sends a signal to the broker, by the command of that name.
fn signal(kafka: &mut Kafka, signal: &str) {
    let pid = kafka.pid(0).unwrap().to_string();
    let status = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(status.success());
}

fn port(kafka: &Kafka) -> u16 {
    kafka
        .bootstrap()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn create_topic(kafka: &Kafka, name: &str) {
    let (mut command, _) = kafka
        .runtime
        .command(kafka.brokers[0].directory(), kafka.jvm, false);
    let status = command
        .args([
            "org.apache.kafka.tools.TopicCommand",
            "--create",
            "--topic",
            name,
        ])
        .args(["--bootstrap-server", kafka.bootstrap()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_second_start_finds_the_data_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("broker-1").join("data");

    let mut first = Kafka::start(Options::single(directory.path())).unwrap();
    // In the locale of this process Java might not find a directory with letters beyond ASCII.
    let (command, _) = first.runtime.command(&data, first.jvm, false);
    let locale = command.get_envs().find(|(name, _)| *name == "LC_ALL");
    assert!(locale.is_some_and(|(_, value)| value.is_some_and(|value| value == "C.UTF-8")));
    let view = probe::ask(port(&first)).unwrap();
    assert_eq!(
        view,
        probe::View {
            cluster_id: first.cluster.id.clone(),
            nodes: vec![1]
        }
    );
    create_topic(&first, "kept");
    let formatted = fs::read(data.join("meta.properties")).unwrap();
    first.stop().unwrap();
    assert_eq!(first.pid(0), None);
    drop(first);
    assert_eq!(processes_in(directory.path()), Vec::<String>::new());

    let mut second = Kafka::start(Options::single(directory.path())).unwrap();
    assert_eq!(probe::ask(port(&second)).unwrap(), view);
    assert!(data.join("kept-0").is_dir());
    assert_eq!(fs::read(data.join("meta.properties")).unwrap(), formatted);

    let taken = Kafka::start(Options::single(directory.path())).unwrap_err();
    assert!(matches!(taken, Error::InUse { .. }), "{taken}");

    let (old_port, old_pid) = (port(&second), second.pid(0));
    second.start_stopped().unwrap();
    assert_eq!(second.pid(0), old_pid);
    signal(&mut second, "-KILL");
    while second.pid(0).is_some() {
        thread::sleep(process::POLL);
    }
    assert!(probe::ask(old_port).is_err());
    second.start_stopped().unwrap();
    assert_eq!(port(&second), old_port);
    assert_ne!(second.pid(0), old_pid);
    assert_eq!(probe::ask(old_port).unwrap(), view);

    signal(&mut second, "-STOP");
    let deadline = Instant::now() + Duration::from_secs(10);
    let silence = loop {
        match probe::ask(old_port) {
            Err(error) => break error,
            // The broker's threads stop one by one, and some have a request in progress.
            Ok(_) => assert!(Instant::now() < deadline),
        }
    };
    assert!(
        matches!(
            silence.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ),
        "{silence}"
    );
    signal(&mut second, "-CONT");
    // The nodes are not compared: if the broker slept longer than its session, it may not be among them yet.
    assert_eq!(probe::ask(old_port).unwrap().cluster_id, view.cluster_id);

    drop(second);
    assert_eq!(processes_in(directory.path()), Vec::<String>::new());
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::single(directory.path());
    options
        .properties
        .push(("num.io.threads".to_owned(), "many".to_owned()));
    let error = Kafka::start(options).unwrap_err();
    assert!(error.to_string().contains("num.io.threads"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn a_directory_is_free_again_when_its_owner_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let first = Lock::acquire(directory.path(), LOCK_PATIENCE).unwrap();
    // A child that holds the lock, as a broker does, and ends by itself.
    let mut child = Command::new("sleep")
        .arg("0.2")
        .stdin(first.share().unwrap())
        .spawn()
        .unwrap();
    drop(first);
    let refused = Lock::acquire(directory.path(), Duration::ZERO).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string()),
        "{refused}"
    );
    Lock::acquire(directory.path(), LOCK_PATIENCE).unwrap();
    child.wait().unwrap();
}
