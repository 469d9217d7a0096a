//! later
use super::Error;
use super::args::RecoverArgs;
use std::io::Write;
/// x
pub fn run(_args: &RecoverArgs, _out: &mut impl Write) -> Result<(), Error> {
    Ok(())
}
