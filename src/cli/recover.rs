//! `sequencer recover`: the operator's answer to a halt. It says where the partition goes on and
//! above which ID, and the state begins anew from there with a reset.
//!
//! It is the one writer of state that is no owner (the exception to T4), so it looks first: at the
//! logs, at the IDs that were given, at who owns the partition. Without `--yes` that is all.

mod evidence;
mod plan;
mod print;
mod time;

use std::io::Write;

use super::Error;
use super::args::RecoverArgs;
use super::session::Session;
use crate::core::NextOffset;
use crate::core::limits::ID_LAST;
use crate::kafka::tools::repair;
use crate::wire::state::BatchId;
use evidence::{Look, Ownership};
use plan::{Ask, Plan};

/// Looks, shows, and with `--yes` repairs.
pub fn run(args: &RecoverArgs, out: &mut impl Write) -> Result<(), Error> {
    if args.above > ID_LAST {
        return Err(Error::Usage(format!(
            "--above must be 0 to {ID_LAST}, got {}",
            args.above
        )));
    }
    let session = Session::open(&args.connection.flags())?;
    let look = Look::new(&session, args.partition)?;
    let ask = Ask {
        partition: args.partition,
        from: NextOffset(args.from),
        above: args.above,
        group: session.settings.group.clone(),
    };
    let evidence = look.evidence(ask.from)?;
    print::found(&ask, &evidence, &session.settings.topics, out)?;
    let plan = Plan::new(&ask, &evidence).map_err(Error::Failed)?;
    print::planned(&ask, &evidence, &plan, out)?;
    if !args.yes {
        print::not_written(args, &evidence, out)?;
        return Ok(());
    }
    may_write(args, &look, &session)?;
    // Nothing is written before it has been said.
    out.flush()?;
    let batch_id = BatchId {
        writer: getrandom::u64()
            .map_err(|error| Error::Failed(format!("no randomness from the system: {error}")))?,
        number: 1,
    };
    let batch = plan.batch(batch_id, &reason(&ask));
    let topic = &session.settings.topics.state;
    repair::write(&session.connection, topic, args.partition, &batch)?;
    verify(&look, &plan)?;
    print::written(&plan, out)?;
    Ok(())
}

/// An owner that runs would go on with the state that it has in memory, and write it.
fn may_write(args: &RecoverArgs, look: &Look<'_>, session: &Session) -> Result<(), Error> {
    let partition = args.partition;
    let group = &session.settings.group;
    match look.settled_ownership()? {
        Ownership::Nobody => Ok(()),
        Ownership::Member(_) if args.owner_halted => Ok(()),
        Ownership::Member(member) => Err(Error::Failed(format!(
            "{member} of group {group} owns partition {partition}: stop it, or add --owner-halted if \
             its /healthz reports the partition as halted"
        ))),
        Ownership::Unsettled => Err(Error::Failed(format!(
            "group {group} is rebalancing, so who owns partition {partition} is not known: try again \
             in a moment"
        ))),
    }
}

/// For people who read the state topic later.
fn reason(ask: &Ask) -> String {
    let Ask { from, above, .. } = ask;
    format!(
        "sequencer recover --from {from} --above {above} at {}",
        time::now_utc()
    )
}

/// The state as an owner will find it.
fn verify(look: &Look<'_>, plan: &Plan) -> Result<(), Error> {
    let footer = look.state()?.restored.footer;
    if footer.as_ref() == Some(&plan.footer) {
        return Ok(());
    }
    let found = match footer {
        Some(footer) => format!("goes on at {} by {}", footer.next, footer.instance),
        None => "does not add up".to_owned(),
    };
    Err(Error::Failed(format!(
        "the repair is not what a restore finds: the state {found}. Did an owner write meanwhile? \
         Stop it, and run the command again"
    )))
}
