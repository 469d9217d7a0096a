//! The matrix that Kafka's own system tests run for transactions: clients and brokers are bounced cleanly and
//! hard, three times each under load. No reply occurs twice, none is missing, and the order is kept, at the end
//! and for a reader that runs during the bounces.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::Message;
use sequencer::embedded::{Kafka, Options};
use serde_json::Value;

use crate::support::broker::Controls;
use crate::support::check::cause;
use crate::support::load::Names;
use crate::support::random::Random;
use crate::support::records::Mode;
use crate::support::service::Service;
use crate::support::{cluster, heavy, tail};

use super::stage::wait_in_sync;

/// The lowest number of requests of each cell; `make test-long` sets 100,000.
const REQUESTS_VARIABLE: &str = "SEQUENCER_BOUNCE_REQUESTS";
const REQUESTS_DEFAULT: usize = 5_000;
/// Requests a second.
const RATE: u64 = 2_000;
const BOUNCES: usize = 3;
const POLL: Duration = Duration::from_millis(50);

/// The process that is bounced, and the way in which it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounced {
    Clients,
    Brokers,
}

#[test]
fn bounce_of_clients_clean() {
    bounce("bounce-clients-clean", Bounced::Clients, false);
}

#[test]
fn bounce_of_clients_hard() {
    bounce("bounce-clients-hard", Bounced::Clients, true);
}

#[test]
fn bounce_of_brokers_clean() {
    bounce("bounce-brokers-clean", Bounced::Brokers, false);
}

#[test]
fn bounce_of_brokers_hard() {
    bounce("bounce-brokers-hard", Bounced::Brokers, true);
}

fn bounce(name: &str, bounced: Bounced, hard: bool) {
    let _machine = heavy();
    let mut random = Random::from_environment();
    let directory = cluster::directory().join(name);
    let mut kafka = Kafka::start(Options::cluster_of_three(directory)).unwrap();
    for mode in [Mode::Immediate, Mode::ExactlyOnce] {
        cell(&mut kafka, name, mode, (bounced, hard), &mut random);
    }
    kafka.stop().unwrap();
}

fn cell(
    kafka: &mut Kafka,
    name: &str,
    mode: Mode,
    (bounced, hard): (Bounced, bool),
    random: &mut Random,
) {
    let requests = std::env::var(REQUESTS_VARIABLE).map_or(REQUESTS_DEFAULT, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{REQUESTS_VARIABLE} must be a number, is {text:?}"))
    });
    let service = Service::on(kafka.bootstrap(), name, mode);
    let mut instances = vec![service.start("a"), service.start("b")];
    let mut tail = service.tail();
    let reader = Reader::start(&service);
    let load = service.open_loop(&Names::new(40), RATE, random);
    for bounce in 0..BOUNCES {
        tail.wait_answered((bounce + 1) * requests / (BOUNCES + 2));
        match bounced {
            Bounced::Clients => {
                let instance = instances.remove(0);
                if hard {
                    instance.sigkill();
                } else {
                    assert_eq!(instance.sigterm_and_wait(), 0);
                }
                // The removed instance had this name.
                instances.push(service.start(["a", "b"][bounce % 2]));
            }
            Bounced::Brokers => {
                wait_in_sync(kafka.bootstrap());
                let broker = bounce % 3;
                if hard {
                    kafka.kill_broker(broker);
                } else {
                    kafka.stop_broker(broker);
                }
                kafka.start_broker(broker);
            }
        }
    }
    tail.wait_answered(requests.max(tail.answered()));
    load.stop();
    let report = service.check_answered(&mut tail);
    assert!(report.requests >= requests);
    let order = reader.stop(report.replies);
    assert_eq!(order.problems, Vec::<String>::new());
    println!(
        "{name}, {}: {} requests, {} replies came again; a reader saw {} in order",
        mode.as_str(),
        report.requests,
        order.repeated,
        order.bodies.len()
    );
    for instance in instances {
        assert_eq!(instance.sigterm_and_wait(), 0);
    }
}

/// The checks of a reader: the replies of a sequence come in the order of their IDs, and a repeated reply is
/// the same as the first.
#[derive(Debug)]
struct Order {
    mode: Mode,
    next: HashMap<String, i64>,
    bodies: HashMap<(i32, i64), Vec<u8>>,
    repeated: usize,
    problems: Vec<String>,
}

impl Order {
    fn new(mode: Mode) -> Order {
        Order {
            mode,
            next: HashMap::new(),
            bodies: HashMap::new(),
            repeated: 0,
            problems: Vec::new(),
        }
    }

    fn see(&mut self, body: &[u8]) {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let words = || String::from_utf8_lossy(body).into_owned();
        let Some(cause) = cause(&value) else {
            return self.problems.push(format!("no reply: {}", words()));
        };
        if let Some(before) = self.bodies.get(&cause) {
            self.repeated += 1;
            if self.mode == Mode::ExactlyOnce || before != body {
                self.problems.push(format!("came again: {}", words()));
            }
            return;
        }
        self.bodies.insert(cause, body.to_vec());
        let Some((name, first)) = value["sequence"].as_str().zip(value["first"].as_i64()) else {
            return;
        };
        let next = self.next.entry(name.to_owned()).or_insert(1);
        if first != *next {
            self.problems.push(format!("{next} was next: {}", words()));
        }
        *next = value["last"].as_i64().unwrap_or_default() + 1;
    }
}

/// A reader that runs during the bounces.
struct Reader {
    /// The number of replies, once it is known.
    enough: Arc<OnceLock<usize>>,
    thread: JoinHandle<Order>,
}

impl Reader {
    fn start(service: &Service) -> Reader {
        let isolation = service.isolation();
        let (consumer, _) = tail::assigned(&service.bootstrap, &service.replies, isolation);
        let enough = Arc::new(OnceLock::new());
        let shared = Arc::clone(&enough);
        let mut order = Order::new(service.mode);
        let thread = thread::spawn(move || {
            let mut seen = 0;
            while shared.get().is_none_or(|all| seen < *all) {
                if let Some(Ok(message)) = consumer.poll(POLL) {
                    seen += 1;
                    order.see(message.payload().unwrap_or_default());
                }
            }
            order
        });
        Reader { enough, thread }
    }

    /// Ends when all `replies` replies were read.
    fn stop(self, replies: usize) -> Order {
        let _ = self.enough.set(replies);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[test]
fn a_reader_sees_replies_that_are_out_of_order_or_come_again() {
    let reply = |first: i64, offset: i64| {
        format!(
            "{{\"sequence\":\"a\",\"first\":{first},\"last\":{first},\"count\":1,\"partition\":0,\
             \"offset\":{offset}}}"
        )
        .into_bytes()
    };
    let problems = |mode, replies: &[Vec<u8>]| {
        let mut order = Order::new(mode);
        replies.iter().for_each(|reply| order.see(reply));
        order.problems.len()
    };
    let again = [reply(1, 0), reply(2, 1), reply(1, 0), reply(3, 2)];
    assert_eq!(problems(Mode::Immediate, &again), 0);
    assert_eq!(problems(Mode::ExactlyOnce, &again), 1);
    let swapped = [reply(2, 1), reply(1, 0)];
    assert_eq!(problems(Mode::Immediate, &swapped), 2);
    let doctored = [reply(1, 0), reply(2, 0)];
    assert_eq!(problems(Mode::Immediate, &doctored), 1);
}
