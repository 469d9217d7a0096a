//! The program: what was asked for, and how it ended.

use std::process::ExitCode;

use clap::Parser;
use sequencer::cli::args::Cli;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => sequencer::cli::run(cli),
        Err(usage) => {
            // Help that nobody reads any more is no failure.
            let _ = usage.print();
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
    }
}
