//! `sequencer rescale`: spreads the names over more partitions while the service runs.
//!
//! The instances carry a rescale out. This command checks that they can, gives the topics more partitions, and
//! writes the one record that begins it. Behind that record there is no way back, so only a value that all checks
//! have made can write it ([`ready`]). Each step is safe to repeat: after a crash the command runs again.
//!
//! | file | subject |
//! |---|---|
//! | [`view`] | the part of each partition, by its state |
//! | [`plan`] | whether a rescale may begin or go on; pure |
//! | [`ready`] | checks of topics, instances and partitions, and the record |
//! | [`follow`] | waits until all is done |
//! | [`print`] | the output |

mod follow;
mod plan;
mod print;
mod ready;
mod view;

use std::io::Write;

use super::Error;
use super::args::RescaleArgs;
use super::ask::Client;
use super::session::Session;
use crate::core::name::POLICY;
use plan::{Next, Plan};
use ready::Ready;
use view::View;

/// Shows, checks, or carries out.
pub(super) fn run(args: &RescaleArgs, out: &mut impl Write) -> Result<(), Error> {
    let session = Session::open(&args.ask.connection.flags())?;
    let json = args.ask.output.json();
    let view = View::of(&session)?;
    let Some(partitions) = args.partitions else {
        print::status(&view, json, out)?;
        return known(&view);
    };
    let plan = match plan::next(&view, partitions).map_err(Error::Failed)? {
        Next::Nothing => return Ok(print::nothing(&view, json, out)?),
        Next::Do(plan) => plan,
    };
    ready::topics(&session)?;
    ready::instances(&session)?;
    if !plan.is_begun {
        let mut client = Client::on(session.again()?, &args.ask, [POLICY])?;
        ready::partitions(&mut client)?;
    }
    if !args.yes {
        return Ok(print::planned(&plan, json, out)?);
    }
    if !json {
        print::begins(&plan, out)?;
        // The plan is printed before anything is changed.
        out.flush()?;
    }
    for growth in plan.growths() {
        session.admin.grow(&growth.topic, growth.after)?;
        if !json {
            print::grown(growth, out)?;
            out.flush()?;
        }
    }
    carry_out(&session, &plan, args, out)
}

fn carry_out(
    session: &Session,
    plan: &Plan,
    args: &RescaleArgs,
    out: &mut impl Write,
) -> Result<(), Error> {
    let json = args.ask.output.json();
    // A client knows the partitions from when it was made.
    let mut client = Client::on(session.again()?, &args.ask, [POLICY])?;
    let ready = Ready::check(session, &mut client, plan)?;
    ready.split(&mut client)?;
    if !json {
        print::split(plan, out)?;
        out.flush()?;
    }
    let view = follow::until_done(session, &plan.homes)?;
    print::status(&view, json, out)?;
    Ok(())
}

/// Fails when the part of a partition is not known: then nobody can say that nothing is left to do.
fn known(view: &View) -> Result<(), Error> {
    match view.unknown() {
        None => Ok(()),
        Some(why) => Err(Error::Failed(why)),
    }
}
