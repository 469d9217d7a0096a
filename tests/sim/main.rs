//! The simulation: the shipped `core`, `wire` and `processor` around a simulated Kafka, with every fault that
//! the promises cover. It has one thread and one seeded source of choices, so that a failing seed always fails
//! again.
//!
//! | file | subject |
//! |---|---|
//! | `world` | the whole world, and the order of events |
//! | `log`, `transactions`, `group` | Kafka |
//! | `node`, `takeover`, `forwards` | a process: the tasks of `src/kafka` around the shipped instance |
//! | `requests`, `outside` | clients, and a partition that forwards requests by another N |
//! | `rescale` | the operator's splits, and the orders that follow from them |
//! | `faults` | the faults |
//! | `oracle` | the expected answer of each request, from a plain fold of its own |
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
mod outside;
#[cfg(feature = "planted-bugs")]
mod planted;
mod random;
mod repair;
mod requests;
mod rescale;
mod seeds;
mod takeover;
mod trace;
mod transactions;
mod world;

thread_local! {
    /// The current step of the run in this thread, for the report of a failure.
    static STEP: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
