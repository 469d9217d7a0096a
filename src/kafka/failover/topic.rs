//! The topic of the heartbeats. Its records decide only how soon a peer's death and a namesake are noticed.

use crate::kafka::admin::topics::CreateOptions;
use crate::kafka::admin::{Access, Admin};
use crate::kafka::error::Error;

/// Creates the topic if it is missing and `may_create` is true, and checks that it can be used.
///
/// # Errors
/// The reason why there are no heartbeats. Everything else works without them.
pub(crate) fn prepare(
    admin: &Admin,
    name: &str,
    options: CreateOptions,
    may_create: bool,
) -> Result<(), String> {
    let said = |error: Error| error.to_string();
    // Permissions are checked first: without the permission to see it, a topic seems to be missing.
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
