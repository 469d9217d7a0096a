//! The service as its users see it: `sequencer` processes, a real Kafka broker, kill signals.
//!
//! There is one binary, because linking librdkafka is slow. In each scenario, the test writes requests with a
//! seeded load (`support::load`), and starts and disturbs `sequencer serve` processes (`support::instance`). At
//! its end it reads the whole request log and every reply, which `support::check` judges by independent rules:
//! it shares no code with the fold.
//!
//! All scenarios share one broker (`support::cluster`), each with its own topics and group, so that they run
//! side by side. Scenarios that need the machine for themselves take `support::heavy`. No test asserts a
//! duration: each wait has a deadline, whose message names the missing condition.

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
mod gateway;
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
mod rescale;
mod restart;
mod restore_bound;
mod rolling;
mod routing;
mod scale;
mod scope;
mod secured;
mod secured_connection;
mod sizes;
mod spans;
mod strays;
mod tokens;
mod unwritable;
mod verify;
mod zombie;
