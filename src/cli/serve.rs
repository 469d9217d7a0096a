//! `sequencer serve`.

use super::args::ServeArgs;
use super::{Error, session};
use crate::service::{logging, serve};

/// Serves until it is stopped.
pub(super) fn run(args: &ServeArgs) -> Result<(), Error> {
    let (settings, warnings) = session::load(&args.flags())?;
    logging::init(settings.log_format, &settings.log_level)?;
    Ok(serve::run(&settings, &warnings)?)
}
