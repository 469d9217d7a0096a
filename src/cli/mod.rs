//! The command line: one file for each command.
//!
//! A command returns an [`Error`]. Only this module decides how it is printed and which exit code it has. The
//! output of a command goes to an [`output::Output`]. For it a closed pipe means that the reader needs no more,
//! and not a failure.
//!
//! | file | subject |
//! |---|---|
//! | [`args`] | commands and flags |
//! | `serve`, `next`, `inspect`, `topics`, `recover`, `verify`, `dev`, `bench` | the commands |
//! | `rescale` | more partitions while the service runs |
//! | `trace`, `audit`, `ledger` | the commands that read the ledger, and their shared code |
//! | `define`, `definitions`, `policy` | the commands for operators: one sequence, a file of them, undefined
//! names |
//! | `ask`, `operation`, `reply` | shared code of commands that ask the service: client, requests, replies |
//! | `changed` | the last change of a sequence, as `describe` and `inspect` show it |
//! | `config` | shows the configuration in force |
//! | `manual` | manual pages, and completion of command lines in shells |
//! | `schema` | prints the descriptions of records and calls for machines |
//! | `session` | settings and connection, the same for every command |
//! | `signals` | a clean stop by Ctrl-C, for commands that start things |
//! | `output`, `table`, `shell` | output for people and shells |

pub mod args;
mod ask;
mod audit;
pub mod bench;
mod changed;
mod config;
mod define;
mod definitions;
mod dev;
mod error;
mod gateway;
mod inspect;
mod ledger;
mod manual;
mod next;
mod operation;
mod output;
mod policy;
mod recover;
mod reply;
mod rescale;
mod schema;
mod serve;
mod session;
mod shell;
mod signals;
pub mod table;
mod topics;
mod trace;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use crate::service::logging;
use args::{Cli, Command};
pub use error::Error;

/// Runs the command, prints its error, and returns the exit code.
pub fn run(cli: Cli) -> ExitCode {
    program(|mut out| dispatch(cli.command, &mut out))
}

/// Runs a program that prints to standard output, says how it ended, and gives its exit code.
pub fn program(verb: impl FnOnce(&mut dyn Write) -> Result<(), Error>) -> ExitCode {
    let mut out = output::stdout();
    let done = verb(&mut out);
    let flushed = out.flush().map_err(Error::Output);
    logging::flush();
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error::tell(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(command: Command, out: &mut impl Write) -> Result<(), Error> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Dev(args) => dev::run(&args, out),
        Command::Gateway(args) => gateway::run(&args),
        Command::Next(args) => next::run(&args, out),
        Command::Define(args) => match &args.file {
            Some(file) => definitions::run(file, &args, out),
            None => define::define(&args, out),
        },
        Command::Describe(args) => define::describe(&args, out),
        Command::SetNext(args) => define::set_next(&args, out),
        Command::Retire(args) => define::retire(&args, out),
        Command::Policy(args) => policy::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Topics(args) => topics::run(&args, out),
        Command::Recover(args) => recover::run(&args, out),
        Command::Rescale(args) => rescale::run(&args, out),
        Command::Trace(args) => trace::run(&args, out),
        Command::Audit(args) => audit::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Schema(args) => schema::run(&args, out),
        Command::Config(args) => config::run(&args, out),
        Command::Completions(args) => manual::completions(&args, out),
        Command::Man(args) => manual::write(&args, out),
        Command::Bench(args) => bench::run(&args, out),
        Command::BenchEcho(args) => bench::echo(&args),
    }
}
