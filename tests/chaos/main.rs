//! Chaos: three Kafka brokers, three or more instances, an open-loop load, and a fault every few seconds. The
//! topics at the end must keep the promises.
//!
//! | file | subject |
//! |---|---|
//! | `run` | one run: the cluster, the faults one after another, the verdict |
//! | `faults` | the faults, and the choice of the next one |
//! | `stage` | the start and the end of each fault |
//! | `proxy` | the links between one instance and the brokers |
//! | `requests`, `load`, `transactions`, `topics` | the requests of clients, and the reply topics that they
//! name |
//! | `calls` | HTTP calls through gateways, and their judge |
//! | `observer` | the replies that clients see, and their times |
//! | `recovery` | the longest silence for each kind of fault |
//! | `failover` | the same faults with failover and without, beside the bars |
//! | `rescale` | the same faults while the service gets more partitions |
//! | `large` | the takeover of a partition with many sequences |
//! | `check`, `verify` | two judges of the topics: a naive one, and `sequencer verify` |
//! | `catches` | tests that the naive judge finds planted anomalies |
//! | `history` | the data that is kept of a run that failed |
//! | `bounce` | Kafka's own matrix: clients and brokers, clean and hard |
//!
//! A run is short by default. `SEQUENCER_CHAOS_MINUTES`, `SEQUENCER_CHAOS_RATE` (requests a second),
//! `SEQUENCER_CHAOS_ONLY` (a part of the names of the faults, such as `link`), `SEQUENCER_CHAOS_SILENCE_MS`
//! (`failover.silence_ms` of the instances, 0 for off), `SEQUENCER_CHAOS_NAMES` (the number of sequences) and
//! `SEQUENCER_TEST_SEED` change it. The seed decides
//! the faults and the load, but not how the kernel schedules threads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

#[allow(
    dead_code,
    reason = "shared with the integration tests, which use all of it"
)]
#[path = "../integration/support/mod.rs"]
mod support;

mod bounce;
mod calls;
mod catches;
mod check;
mod failover;
mod faults;
mod history;
mod large;
mod load;
mod observer;
mod proxy;
mod recovery;
mod requests;
mod rescale;
mod run;
mod stage;
mod topics;
mod transactions;
mod verify;

use support::records::Mode;

#[test]
fn chaos_breaks_no_promise_in_immediate_mode() {
    run::run(Mode::Immediate);
}

#[test]
fn chaos_breaks_no_promise_in_exactly_once_mode() {
    run::run(Mode::ExactlyOnce);
}
