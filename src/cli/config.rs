//! `sequencer config check`: shows what is in force, and where each value was given.

use std::io::Write;

use serde::Serialize;

use super::args::{ConfigArgs, ConfigCommand};
use super::table::{Side, Table};
use super::{Error, output};
use crate::core::printable::printable;
use crate::service::settings::{InForce, Settings};

/// The output for programs.
#[derive(Serialize)]
struct Checked {
    settings: Vec<InForce>,
    warnings: Vec<String>,
}

/// Checks the configuration. It needs no cluster.
pub(super) fn run(args: &ConfigArgs, out: &mut impl Write) -> Result<(), Error> {
    let ConfigCommand::Check(args) = &args.command;
    let (settings, warnings) = Settings::in_force(&args.connection.flags(), std::env::vars_os())?;
    let checked = Checked { settings, warnings };
    match args.output.json() {
        true => Ok(output::json(&checked, out)?),
        false => Ok(print(&checked, out)?),
    }
}

fn print(checked: &Checked, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new([
        ("key", Side::Left),
        ("value", Side::Left),
        ("from", Side::Left),
    ]);
    for InForce { key, value, origin } in &checked.settings {
        table.row([key, value, origin].map(|cell| printable(cell).to_string()));
    }
    table.print(out)?;
    for warning in &checked.warnings {
        writeln!(out, "warning: {}", printable(warning))?;
    }
    Ok(())
}
