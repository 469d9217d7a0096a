//! The command line: one file for each verb.
//!
//! A verb returns [`Error`]; how that is told and which exit code it has is decided here only. What
//! a verb prints goes to an [`output::Output`], which takes a closed pipe for the end of interest
//! and not for a failure.
//!
//! | file | subject |
//! |---|---|
//! | [`args`] | what can be asked for |
//! | `serve`, `next`, `inspect`, `topics`, `recover`, `dev` | the verbs |
//! | `session` | settings and connection, the same for every verb |
//! | `output`, `table`, `shell` | how things are printed |

pub mod args;
mod dev;
mod error;
mod inspect;
mod next;
mod output;
mod recover;
mod serve;
mod session;
mod shell;
mod table;
mod topics;

use std::io::Write;
use std::process::ExitCode;

use args::{Cli, Command};
pub use error::Error;

/// Does what was asked for and says how it went.
pub fn run(cli: Cli) -> ExitCode {
    let mut out = output::stdout();
    let done = dispatch(cli.command, &mut out);
    let flushed = out.flush().map_err(Error::Output);
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
        Command::Next(args) => next::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Topics(args) => topics::run(&args, out),
        Command::Recover(args) => recover::run(&args, out),
    }
}
