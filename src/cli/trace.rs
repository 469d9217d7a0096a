//! `sequencer trace`: prints who got an ID.

use std::io::Write;

use super::args::TraceArgs;
use super::ask::check_text;
use super::ledger::LedgerPartition;
use super::session::Session;
use super::{Error, output};
use crate::audit::told::{share, told};
use crate::audit::trace::{self, Trace};
use crate::core::printable::printable;

/// Searches and prints. Fails when nothing is found.
pub(super) fn run(args: &TraceArgs, out: &mut impl Write) -> Result<(), Error> {
    check_text("--request-id", args.request_id.as_deref())?;
    let session = Session::open(&args.connection.flags())?;
    let place = LedgerPartition::of(&args.name, &session)?;
    let (ledger, partition) = (&place.ledger, place.ledger.home());
    let found = match (args.number, &args.request_id) {
        (Some(number), _) => trace::by_number(ledger, partition, &args.name, number)?,
        (None, Some(request_id)) => {
            trace::by_request(ledger, partition, &args.name, request_id, args.from_time)?
        }
        (None, None) => return Err(Error::Usage("give a NUMBER or --request-id".to_owned())),
    };
    if args.output.json() {
        output::json(&found, out)?;
    } else {
        print(&found, out)?;
    }
    if found.grants.is_empty() {
        return Err(Error::Said);
    }
    Ok(())
}

fn print(found: &Trace, out: &mut impl Write) -> Result<(), Error> {
    for grant in &found.grants {
        writeln!(
            out,
            "{}: {}",
            printable(&found.sequence),
            told(&grant.record)
        )?;
        writeln!(
            out,
            "  ledger record {}, on the page at {}:{}",
            grant.record.record, grant.ledger_partition, grant.ledger_offset
        )?;
    }
    for note in &found.notes {
        writeln!(out, "{note}")?;
    }
    writeln!(out, "{}", share(&found.read, &found.partitions))?;
    Ok(())
}
