//! `sequencer recover`: the operator's answer to a halt. It finds the reason of the halt and a way for the
//! partition to go on. If the request log reaches back far enough, the partition goes on with the state that
//! the log gives. Otherwise each sequence goes on beyond every ID that was seen of it, with a margin. The new
//! state begins with a reset, which contains the choice.
//!
//! It is the only writer of state that is not an owner (the exception to T4). So it first checks the logs, the
//! IDs that were given, and the owner of the partition. Without `--yes` it does nothing else.

mod cut;
mod evidence;
mod plan;
mod print;
mod raise;
mod rescale;
mod told;
mod unreadable;
mod way;

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Error;
use super::args::{Above, RecoverArgs};
use super::session::Session;
use super::{output, shell};
use crate::core::NextOffset;
use crate::kafka::admin::Access;
use crate::kafka::tools::repair;
use crate::observe::clock::unix_ms;
use crate::wire::state::BatchId;
use evidence::{Evidence, Inquiry, Ownership};
use plan::{Ask, Plan};
use told::Told;
use way::Repair;

/// Finds the evidence, prints the plan, and with `--yes` repairs.
pub(super) fn run(args: &RecoverArgs, out: &mut impl Write) -> Result<(), Error> {
    if args.output.json() {
        let told = carry_out(args, &mut io::sink())?;
        return Ok(output::json(&told, out)?);
    }
    carry_out(args, out).map(drop)
}

/// Prints for people, and returns the same for programs.
fn carry_out(args: &RecoverArgs, out: &mut impl Write) -> Result<Told, Error> {
    let session = Session::open(&args.connection.flags())?;
    let inquiry = Inquiry::new(&session, args.partition)?;
    let mut evidence = inquiry.evidence(args.partitions)?;
    let settings = &session.settings;
    print::found(args.partition, &evidence, settings, out)?;
    let mut told = Told::found(args.partition, &evidence, settings);
    not_of_another_topic(args, &evidence.ownership, &session)?;
    let way = if args.from.is_some() || !args.above.is_empty() {
        Repair::Jump {
            from: way::go_on_at(&evidence),
            why: "as it was asked for".to_owned(),
        }
    } else {
        way::find(&inquiry, args.partition, &evidence)?
    };
    let (plan, reason) = match way {
        Repair::Nothing => {
            print::nothing(out)?;
            return Ok(told);
        }
        Repair::Rebuild { rebuilt, since } => {
            let plan = Plan::rebuilt(
                args.partition,
                &settings.group,
                *rebuilt,
                &evidence,
                unix_ms(),
            );
            let plan = plan.map_err(Error::Failed)?;
            print::rebuilt(since, &evidence, &plan, out)?;
            told.repair = Some(told::Repair::of("fold", None, &plan));
            let next = plan.footer.next;
            (plan, format!("folded again from {since} to {next}"))
        }
        Repair::Skip(skip) => {
            unreadable::print(&skip, &evidence, out)?;
            let (from, next) = (skip.from, skip.rebuilt.folding.next);
            let plan = Plan::rebuilt(
                args.partition,
                &settings.group,
                *skip.rebuilt,
                &evidence,
                unix_ms(),
            );
            let mut plan = plan.map_err(Error::Failed)?;
            plan.answered = from;
            told.repair = Some(told::Repair::of("skip", None, &plan));
            (
                plan,
                format!("passed over what cannot be read, {from} to {next}"),
            )
        }
        Repair::Jump { from, why } => {
            if let Some(log) = way::log_without_state(&inquiry, args.partition, &evidence)? {
                evidence.state.learn(&log);
            }
            let ask = ask(args, from, &inquiry, &evidence, &session)?;
            let plan = Plan::new(&ask, &evidence).map_err(Error::Failed)?;
            print::jump(&ask, &why, &evidence, &plan, out)?;
            told.repair = Some(told::Repair::of("jump", Some(why.clone()), &plan));
            let (from, floor) = (ask.from, plan.footer.scalars.floor);
            let jumped = format!(
                "went on at {from}, each sequence beyond its own IDs, new names above {floor}; {why}"
            );
            (plan, jumped)
        }
    };
    if !args.yes {
        print::not_written(args, &evidence, out)?;
        told.command = Some(print::command(args, &shell::program()));
        return Ok(told);
    }
    may_write(args, &inquiry, &evidence, &session)?;
    // If the first partition of a transaction is denied, the error only says that its records were purged.
    let topic = &settings.topics.state;
    session
        .admin
        .explained(session.admin.permits(topic, Access::Write))?;
    // The plan is printed before anything is written.
    out.flush()?;
    let batch_id = BatchId {
        writer: getrandom::u64()
            .map_err(|error| Error::Failed(format!("no randomness from the system: {error}")))?,
        number: 1,
    };
    let batch = plan.batch(batch_id, &said(&reason));
    let writer = repair::Writer::open(&session.connection, topic, args.partition)?;
    // An earlier repair is fenced or done by now, and may have decided differently.
    unchanged(&inquiry, &evidence)?;
    writer.write(&batch)?;
    verify(&inquiry, &plan)?;
    print::written(&plan, out)?;
    told.written = true;
    Ok(told)
}

/// The operator's parameters. The evidence gives those that the operator left out.
fn ask(
    args: &RecoverArgs,
    from: NextOffset,
    inquiry: &Inquiry<'_>,
    evidence: &Evidence,
    session: &Session,
) -> Result<Ask, Error> {
    let from = args.from.map_or(from, NextOffset);
    let (mut above, mut above_of) = (None, BTreeMap::new());
    for Above { name, id } in &args.above {
        match name {
            Some(name) => above_of.insert(name.clone(), *id),
            None => above.replace(*id),
        };
    }
    Ok(Ask {
        partition: args.partition,
        from,
        margin: args.margin,
        above,
        above_of,
        group: session.settings.group.clone(),
        before: inquiry.before(from, evidence.log)?,
        now_ms: unix_ms(),
    })
}

/// Refuses a state of another topic: the request topic may be mistyped beside the live service, whose state
/// must not be repaired.
fn not_of_another_topic(
    args: &RecoverArgs,
    ownership: &Ownership,
    session: &Session,
) -> Result<(), Error> {
    let Ownership::OfOtherTopic { member, topic } = ownership else {
        return Ok(());
    };
    let settings = &session.settings;
    Err(Error::Failed(format!(
        "the state of partition {} is that of request topic {topic:?}, which {member} of group {:?} \
         reads: topics.requests is {:?} here, correct it, or stop that service",
        args.partition, settings.group, settings.topics.requests
    )))
}

/// Refuses while an owner runs: it would go on with the state in its memory, and write this state.
fn may_write(
    args: &RecoverArgs,
    inquiry: &Inquiry<'_>,
    evidence: &Evidence,
    session: &Session,
) -> Result<(), Error> {
    let partition = args.partition;
    let group = &session.settings.group;
    let ownership = inquiry.settled_ownership(&evidence.state)?;
    not_of_another_topic(args, &ownership, session)?;
    match ownership {
        Ownership::Nobody => Ok(()),
        Ownership::Member(_) | Ownership::Unknown { .. } if args.owner_halted => Ok(()),
        Ownership::Member(member) => Err(Error::Failed(format!(
            "{member} of group {group:?} owns partition {partition}: stop it, or add --owner-halted if \
             its /healthz reports the partition as halted"
        ))),
        Ownership::Unknown { member, topic } => Err(Error::Failed(format!(
            "{member} of group {group:?} reads request topic {topic:?}, and the state does not say \
             whether it is of that topic: stop it, or add --owner-halted if its topics.state is another \
             one"
        ))),
        Ownership::Unsettled | Ownership::OfOtherTopic { .. } => Err(Error::Failed(format!(
            "group {group:?} is rebalancing, so who owns partition {partition} is not known: try again \
             in a moment"
        ))),
    }
}

/// Checks that the state is still the one that the repair was planned from.
fn unchanged(inquiry: &Inquiry<'_>, evidence: &Evidence) -> Result<(), Error> {
    let (before, now) = (&evidence.state, inquiry.state()?);
    if now.restored.records == before.restored.records && now.last_footer == before.last_footer {
        return Ok(());
    }
    Err(Error::Failed(
        "the state has changed since it was looked at, and nothing was written. Does another repair \
         run, or an owner? Run the command again to see"
            .to_owned(),
    ))
}

/// The record of the repair, for people. It is in the state topic as long as the state begins with the reset,
/// in `sequencer inspect`, and in the log of each owner that restores from it.
fn said(reason: &str) -> String {
    format!(
        "sequencer recover at {}: {reason}",
        crate::audit::time::now_utc()
    )
}

/// Checks the state as an owner will find it.
fn verify(inquiry: &Inquiry<'_>, plan: &Plan) -> Result<(), Error> {
    let footer = inquiry.state()?.restored.footer;
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

#[cfg(test)]
mod tests;
