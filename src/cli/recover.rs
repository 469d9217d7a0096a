//! `sequencer recover`: the operator's answer to a halt. It finds out what an owner stumbled over, and
//! how the partition goes on: with the state that the request log gives, where the log reaches back
//! far enough, else above every ID that was seen, with a margin. The state begins anew with a reset,
//! which says which of the two it was.
//!
//! It is the one writer of state that is no owner (the exception to T4), so it looks first: at the
//! logs, at the IDs that were given, at who owns the partition. Without `--yes` that is all.

mod evidence;
mod plan;
mod print;
mod unreadable;
mod way;

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Error;
use super::args::RecoverArgs;
use super::session::Session;
use crate::core::NextOffset;
use crate::core::limits::ID_LAST;
use crate::kafka::admin::Access;
use crate::kafka::tools::repair;
use crate::wire::state::BatchId;
use evidence::{Evidence, Look, Ownership};
use plan::{Ask, Plan};
use way::Way;

/// Looks, shows, and with `--yes` repairs.
pub fn run(args: &RecoverArgs, out: &mut impl Write) -> Result<(), Error> {
    if let Some(above) = args.above.filter(|above| *above > ID_LAST) {
        return Err(Error::Usage(format!(
            "--above must be 0 to {ID_LAST}, got {above}"
        )));
    }
    let session = Session::open(&args.connection.flags())?;
    let look = Look::new(&session, args.partition)?;
    let evidence = look.evidence()?;
    let settings = &session.settings;
    print::found(args.partition, &evidence, settings, out)?;
    let way = if args.from.is_some() || args.above.is_some() {
        Way::Jump {
            from: way::go_on_at(&evidence),
            why: "as it was asked for".to_owned(),
        }
    } else {
        way::find(&look, args.partition, &evidence)?
    };
    let (plan, reason) = match way {
        Way::Nothing => return Ok(print::nothing(out)?),
        Way::Rebuild { rebuilt, since } => {
            let plan = Plan::rebuilt(
                args.partition,
                &settings.group,
                *rebuilt,
                &evidence,
                now_ms(),
            );
            let plan = plan.map_err(Error::Failed)?;
            print::rebuilt(since, &evidence, &plan, out)?;
            let next = plan.footer.next;
            (plan, format!("folded again from {since} to {next}"))
        }
        Way::Skip(skip) => {
            unreadable::print(&skip, &evidence, out)?;
            let (from, next) = (skip.from, skip.rebuilt.next);
            let plan = Plan::rebuilt(args.partition, &settings.group, *skip.rebuilt, &evidence);
            let plan = plan.map_err(Error::Failed)?;
            (
                plan,
                format!("passed over what cannot be read, {from} to {next}"),
            )
        }
        Way::Jump { from, why } => {
            let ask = ask(args, from, &look, &evidence, &session)?;
            let plan = Plan::new(&ask, &evidence).map_err(Error::Failed)?;
            print::jump(&ask, &why, &evidence, &plan, out)?;
            let (from, floor) = (ask.from, plan.footer.scalars.floor);
            let seen = plan::highest_seen(&evidence);
            let jumped = format!("went on at {from} above {floor}, highest ID seen {seen}; {why}");
            (plan, jumped)
        }
    };
    if !args.yes {
        print::not_written(args, &evidence, out)?;
        return Ok(());
    }
    may_write(args, &look, &session)?;
    // A transaction that is denied its first partition says only that its records were purged.
    let topic = &settings.topics.state;
    session.admin.permits(topic, Access::Write)?;
    // Nothing is written before it has been said.
    out.flush()?;
    let batch_id = BatchId {
        writer: getrandom::u64()
            .map_err(|error| Error::Failed(format!("no randomness from the system: {error}")))?,
        number: 1,
    };
    let batch = plan.batch(batch_id, &said(&reason));
    repair::write(&session.connection, topic, args.partition, &batch)?;
    verify(&look, &plan)?;
    print::written(&plan, out)?;
    Ok(())
}

/// What the operator asks for, and what follows from the evidence where nothing was said.
fn ask(
    args: &RecoverArgs,
    from: NextOffset,
    look: &Look<'_>,
    evidence: &Evidence,
    session: &Session,
) -> Result<Ask, Error> {
    let from = args.from.map_or(from, NextOffset);
    let seen = plan::highest_seen(evidence);
    Ok(Ask {
        partition: args.partition,
        from,
        above: args
            .above
            .unwrap_or_else(|| seen.saturating_add(args.margin).min(ID_LAST)),
        group: session.settings.group.clone(),
        before: look.before(from, evidence.log)?,
        now_ms: now_ms(),
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
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

/// The record of the repair, for people: in the state topic for as long as it begins with the reset,
/// in `sequencer inspect`, and in the log of each owner that restores from it.
fn said(reason: &str) -> String {
    format!(
        "sequencer recover at {}: {reason}",
        crate::audit::time::now_utc()
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
