//! The interval between the heartbeats of an instance.

pub use crate::wire::heartbeat::{Heartbeat, Sign};

/// The shortest interval between two heartbeats of an instance, in ms. Four of them fit into the shortest
/// silence that counts as a death.
pub const INTERVAL_MS: u32 = 50;
/// Upper limit for the heartbeats of all instances together, in records a second. Each instance reads all of
/// them, which costs about half a percent of a core.
pub const RECORDS_PER_SECOND_MAX: u32 = 400;

/// The interval between two heartbeats of an instance in a group of `instances` instances, in ms.
pub fn interval_ms(instances: usize) -> u32 {
    let instances = u32::try_from(instances).unwrap_or(u32::MAX);
    instances
        .saturating_mul(1_000)
        .div_ceil(RECORDS_PER_SECOND_MAX)
        .max(INTERVAL_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_instances_write_less_often_each() {
        assert_eq!(interval_ms(1), INTERVAL_MS);
        assert_eq!(interval_ms(20), INTERVAL_MS);
        assert_eq!(interval_ms(21), 53);
        assert_eq!(interval_ms(100), 250);
        for instances in 1..1_000_u32 {
            let records = instances * 1_000 / interval_ms(instances as usize);
            assert!(records <= RECORDS_PER_SECOND_MAX);
        }
    }
}
