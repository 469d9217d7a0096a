//! Repairs that a rescale stands against.

use super::evidence::Evidence;

/// Checks that nothing is lost that only another partition has: names that move in a rescale.
///
/// # Errors
/// Why the partition cannot be repaired, in words.
pub(super) fn check(partition: i32, evidence: &Evidence) -> Result<(), String> {
    let state = &evidence.state;
    if state.is_in_rescale || state.scalars.unburied > 0 {
        return Err(format!(
            "partition {partition} has not done its part of a rescale, and a repair would lose names that move: \
             this release has no repair for it"
        ));
    }
    let homes = evidence.decided.homes;
    let first = homes.counts().next().unwrap_or(1);
    let is_of_rescale = u32::try_from(partition).is_ok_and(|partition| partition >= first);
    if homes.epoch() > 0 && is_of_rescale && state.last_footer.is_none() {
        return Err(format!(
            "names of partition {partition} came from another partition in a rescale, and nothing is left of its \
             state: this release has no repair for it"
        ));
    }
    Ok(())
}
