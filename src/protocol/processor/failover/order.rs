//! Which instance acts first. A rendezvous order needs no messages: all instances that see the same peers get
//! the same order. It gives the work of two victims to two peers.

use crate::core::partitioner::murmur2;

/// Each instance waits this much longer than the one before it, in ms. An eviction takes about 0.1 s, and
/// others notice it a heartbeat later.
pub const STAGGER_MS: u64 = 300;

/// The place of `own` among the live instances, from 0. Names decide between equal weights.
pub fn place<'a>(victim: &str, own: &str, alive: impl Iterator<Item = &'a str>) -> u64 {
    before(victim, own, alive).count() as u64
}

/// True when `own` has the place 0. This seldom looks at all that are alive.
pub fn is_first<'a>(victim: &str, own: &str, alive: impl Iterator<Item = &'a str>) -> bool {
    before(victim, own, alive).next().is_none()
}

fn before<'a>(
    victim: &str,
    own: &str,
    alive: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = &'a str> {
    let weight = move |name: &str| murmur2(format!("{victim}\0{name}").as_bytes());
    let mine = weight(own);
    alive.filter(move |peer| *peer != own && (weight(peer), *peer) > (mine, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 4] = ["a", "b", "c", "d"];

    #[test]
    fn each_has_a_place_of_its_own_whoever_counts() {
        let mut places: Vec<u64> = ALL
            .iter()
            .map(|own| place("victim", own, ALL.into_iter()))
            .collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 3]);
    }

    #[test]
    fn one_that_is_gone_moves_those_behind_it_up_by_one() {
        let first = ALL
            .into_iter()
            .find(|own| place("victim", own, ALL.into_iter()) == 0)
            .unwrap();
        let left = || ALL.into_iter().filter(|peer| *peer != first);
        for own in left() {
            let before = place("victim", own, ALL.into_iter());
            assert_eq!(place("victim", own, left()) + 1, before);
        }
    }

    #[test]
    fn not_always_the_same_acts() {
        let first = |victim: &str| {
            let mut all = ALL.into_iter();
            all.find(|own| place(victim, own, ALL.into_iter()) == 0)
        };
        assert!((0..20).any(|n| first(&format!("victim-{n}")) != first("victim-0")));
    }
}
