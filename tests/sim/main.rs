//! The simulation: the shipped `core`, `wire` and `processor` around a simulated Kafka, with every
//! fault that the promise is about. One thread and one seeded source of choices, so that a seed that
//! fails fails again.
//!
//! | file | subject |
//! |---|---|
//! | `world` | everything there is, and the order in which things happen |
//! | `log`, `transactions`, `group` | Kafka |
//! | `node`, `takeover`, `forwards` | a process: what `src/kafka` does around the shipped instance |
//! | `requests` | clients |
//! | `faults` | what goes wrong |
//! | `oracle` | what each request must get: a plain fold of its own |
//! | `checks` | I1 to I6, at each reply, commit, start and halt |
//! | `failover` | evictions, in a world of their own |
//! | `seeds`, `crash_points`, `halts`, `planted` | the tests |

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod checks;
mod crash_points;
mod failover;
mod faults;
mod forwards;
mod group;
mod halts;
mod log;
mod node;
mod oracle;
#[cfg(feature = "planted-bugs")]
mod planted;
mod random;
mod repair;
mod requests;
mod seeds;
mod takeover;
mod trace;
mod transactions;
mod world;

thread_local! {
    /// Steps of the run that this thread is at, for the report of a failure.
    static STEP: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
