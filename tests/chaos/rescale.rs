//! The service gets more partitions while instances, brokers and links fail, and the command that rescales is killed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::admin::Admin;
use crate::support::command::program;
use crate::support::murmur2::partition_of;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::{PARTITIONS, Service};
use crate::support::{cluster, unique};

use super::check::Asked;
use super::observer::Observer;
use super::requests::Known;
use super::run::{self, Journal};

/// The numbers of partitions, one after another.
const GROWN: [i32; 2] = [2 * PARTITIONS, 6 * PARTITIONS];
/// The pause before each rescale.
const PAUSE: Duration = Duration::from_secs(5);
/// The pause before a command that failed or was killed is run again.
const AGAIN: Duration = Duration::from_secs(1);
/// One of this many runs of the command is killed after a while.
const KILLED_ONE_IN: u64 = 2;
const KILLED_AFTER_MS: u64 = 3_000;
/// The longest time for one rescale, with all runs of the command.
const LIMIT: Duration = Duration::from_secs(300);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

#[test]
fn rescale_among_faults_breaks_no_promise_in_immediate_mode() {
    run::run_growing("rescale", Mode::Immediate, &GROWN);
}

#[test]
fn rescale_among_faults_breaks_no_promise_in_exactly_once_mode() {
    run::run_growing("rescale", Mode::ExactlyOnce, &GROWN);
}

/// Rescales to each of these numbers. Clients learn of new partitions as soon as there are any.
pub fn grow(
    service: &Service,
    known: &Known,
    grown: &[i32],
    mut random: Random,
    (observer, journal): (&Observer, &Journal),
) {
    for &partitions in grown {
        thread::sleep(PAUSE);
        let began = Instant::now();
        let mut runs = 1;
        while let Err(said) = rescaled(service, partitions, known, &mut random) {
            let took = began.elapsed();
            assert!(
                took < LIMIT,
                "no rescale to {partitions}, run {runs}: {said}"
            );
            thread::sleep(AGAIN);
            runs += 1;
        }
        let took = began.elapsed();
        let words =
            format!("rescaled to {partitions} within {took:.1?}, runs of the command: {runs}");
        journal.note(observer.now_ms(), &words);
    }
}

/// Runs the command once, until it ends or is killed.
///
/// # Errors
/// The rescale is not done; what the command said.
fn rescaled(
    service: &Service,
    partitions: i32,
    known: &Known,
    random: &mut Random,
) -> Result<(), String> {
    let killed = random.below(KILLED_ONE_IN) == 0;
    let killed = killed.then(|| Duration::from_millis(random.below(KILLED_AFTER_MS)));
    let admin = Admin::new(&service.bootstrap);
    let said = cluster::directory().join(format!("{}.out", unique("rescale")));
    let output = File::create(&said).unwrap();
    let mut command = program();
    command
        .args(["rescale", "--yes", "--partitions", &partitions.to_string()])
        .args(service.arguments())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    loop {
        let ended = child.try_wait().unwrap();
        known.set(admin.partitions(&service.requests));
        match ended {
            Some(status) if status.success() => return Ok(()),
            Some(_) => return Err(fs::read_to_string(&said).unwrap()),
            None => {}
        }
        if killed.is_some_and(|after| began.elapsed() > after) {
            child.kill().unwrap();
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

type Wait = (i64, (i32, i64));

/// True for the names that move at one of the rescales.
pub fn moves(name: &[u8]) -> bool {
    let last = GROWN[GROWN.len() - 1];
    partition_of(name, last) != partition_of(name, PARTITIONS)
}

/// The waits for names that stay in their partition, and for those that move.
pub fn apart(waits: &[Wait], asked: &[Asked]) -> [(&'static str, Vec<Wait>); 2] {
    let moving: HashMap<(i32, i64), bool> = asked
        .iter()
        .filter_map(|asked| {
            let key = asked.key.as_deref()?;
            Some(((asked.partition, asked.offset), moves(key)))
        })
        .collect();
    let of = |moves: bool| {
        let of = |(_, place): &&Wait| moving.get(place) == Some(&moves);
        waits.iter().filter(of).copied().collect()
    };
    [
        ("names that stay", of(false)),
        ("names that move", of(true)),
    ]
}

#[test]
fn waits_of_names_that_move_are_told_apart() {
    let names: Vec<String> = (0..100).map(|n| format!("orders-{n}")).collect();
    let asked: Vec<Asked> = (0..)
        .zip(&names)
        .map(|(offset, name)| Asked {
            partition: 0,
            offset,
            appended_ms: 0,
            topic: None,
            request_id: None,
            key: Some(name.clone().into()),
        })
        .collect();
    let waits: Vec<Wait> = (0..100).map(|offset| (offset, (0, offset))).collect();
    let [(_, stay), (_, moved)] = apart(&waits, &asked);
    assert_eq!(stay.len() + moved.len(), 100);
    let home = |wait: &Wait| partition_of(names[wait.1.1 as usize].as_bytes(), 24);
    assert!(stay.iter().all(|wait| home(wait) < 4));
    assert!(moved.iter().all(|wait| home(wait) >= 4));
}
