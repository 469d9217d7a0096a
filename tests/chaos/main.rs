//! Chaos: three Kafka brokers, three instances and more, a load that does not wait for anybody, and
//! something that breaks every few seconds. What is left at the end must keep the promise.
//!
//! | file | subject |
//! |---|---|
//! | `run` | one run: the cluster, the faults one after another, the verdict |
//! | `faults` | which faults there are, which comes next |
//! | `stage` | how each of them is done and undone |
//! | `proxy` | the links between one instance and the brokers |
//! | `requests`, `load`, `transactions`, `topics` | what clients write, and where they want their answers |
//! | `observer` | what clients see, and when |
//! | `recovery` | the longest silence for each kind of fault |
//! | `check`, `verify` | two judges: a naive one over what the topics hold, and `sequencer verify` |
//! | `catches` | that the naive one sees what is planted |
//! | `history` | what is kept of a run that failed |
//! | `bounce` | Kafka's own matrix: clients and brokers, clean and hard |
//!
//! A run is short by default. `SEQUENCER_CHAOS_MINUTES`, `SEQUENCER_CHAOS_RATE` (requests a second),
//! `SEQUENCER_CHAOS_ONLY` (a part of the names of the faults, as `link`), `SEQUENCER_CHAOS_SILENCE_MS`
//! (`failover.silence_ms` of the instances, 0 for off) and `SEQUENCER_TEST_SEED` change it; the seed decides the faults and the load, not when the kernel runs whom.

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
mod catches;
mod check;
mod faults;
mod history;
mod load;
mod observer;
mod proxy;
mod recovery;
mod requests;
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
