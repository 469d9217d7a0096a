//! The service as its users meet it: `sequencer` processes, a real Kafka broker, kill signals.
//!
//! One binary, because linking librdkafka is slow. The picture of a scenario: the test writes requests
//! with a seeded load (`support::load`), starts and mistreats `sequencer serve` processes
//! (`support::instance`), and at its end reads the whole request log and every reply, which
//! `support::check` judges by rules of its own: it shares no code with the fold.
//!
//! All scenarios share one broker (`support::cluster`), each with topics and a group of its own, so
//! that they run side by side. Those that need the machine for themselves take `support::heavy`.
//! Nothing here asserts a duration: what is waited for has a deadline that says what it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod support;

mod bad_input;
mod broker_restart;
mod checker_catches;
mod cli;
mod define;
mod drain;
mod errors;
mod failover;
mod happy;
mod kill;
mod leaving;
mod ledger;
mod log_sink;
mod membership;
mod once;
mod refuse;
mod repair;
mod reply_headers;
mod reply_partitions;
mod restart;
mod restore_bound;
mod rolling;
mod routing;
mod scale;
mod scope;
mod secured;
mod secured_connection;
mod sizes;
mod strays;
mod unwritable;
mod verify;
mod zombie;
