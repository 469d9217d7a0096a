//! `sequencer gateway`.

use super::args::GatewayArgs;
use super::{Error, session};
use crate::gateway::serve;
use crate::service::logging;

/// Answers HTTP calls until it is stopped.
pub(super) fn run(args: &GatewayArgs) -> Result<(), Error> {
    let (settings, warnings) = session::load(&args.flags())?;
    logging::init(settings.log_format, &settings.log_level)?;
    Ok(serve::run(&settings, &warnings)?)
}
