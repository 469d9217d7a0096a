//! The topic of the heartbeats. Nothing depends on its records but how soon a namesake is noticed.

use crate::kafka::admin::topics::CreateOptions;
use crate::kafka::admin::{Access, Admin};
use crate::kafka::error::Error;

/// Makes the topic if it is missing and `may_create`, and looks whether it can be used.
///
/// # Errors
/// Why there are no heartbeats: everything else is as it would be without.
pub fn prepare(
    admin: &Admin,
    name: &str,
    options: CreateOptions,
    may_create: bool,
) -> Result<(), String> {
    let said = |error: Error| error.to_string();
    // First: a topic that may not be seen seems to be missing.
    permits(admin, name).map_err(said)?;
    let found = admin.cluster().map_err(said)?.topics.get(name).copied();
    let partitions = match found {
        Some(found) => found.partitions,
        None if !may_create => {
            return Err(format!(
                "topic {name} does not exist, and topics.create is never: create it with: sequencer topics create"
            ));
        }
        None => {
            let made = admin.create_heartbeats(name, options).map_err(said)?;
            permits(admin, name).map_err(said)?;
            made.first().map_or(1, |made| made.partitions)
        }
    };
    match partitions {
        1 => Ok(()),
        _ => Err(format!(
            "topic {name} has {partitions} partitions; heartbeats need one, to be in order"
        )),
    }
}

fn permits(admin: &Admin, name: &str) -> Result<(), Error> {
    admin.permits(name, Access::Read)?;
    admin.permits(name, Access::Write)
}
