//! The promise as predicates, under the numbers that the docs, the tests and the checkers use.
//!
//! Releases check those that cost nothing ([`Invariant`]). Assertions ([`holds!`]) and tests check the others.
//! Nothing else decides what "unique" or "gapless" means.

/// Asserts an invariant in tests and debug builds. Tests are built like the release, so that the native
/// libraries are compiled once. `debug_assert!` would check nothing there.
macro_rules! holds {
    ($condition:expr, $($message:tt)+) => {
        if cfg!(any(test, debug_assertions)) {
            assert!($condition, $($message)+);
        }
    };
}
pub(crate) use holds;

use super::definition::{AtEnd, Definition};
use super::grant::Grant;
use super::position::{NextOffset, Offset};
use super::sequence::Sequence;

/// An invariant that releases check as well. A partition for which one does not hold halts, and commits
/// nothing of what it has folded since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Unique: after each grant.
    I1,
    /// Gapless and monotonic: after each grant.
    I2,
    /// The digest is the sum of what is remembered: at each cut.
    I6,
    /// The order of a transaction: before each commit.
    T1,
}

impl Invariant {
    /// Its number, and what it says.
    pub const fn as_str(self) -> &'static str {
        match self {
            Invariant::I1 => "I1: the sequence does not stand beyond the IDs that it has given",
            Invariant::I2 => "I2: the IDs do not follow the ones before without a gap",
            Invariant::I6 => "I6: the digest is not the sum of what is remembered",
            Invariant::T1 => "T1: not acknowledged, then offsets, then commit",
        }
    }
}

/// The invariant that does not hold for a grant, if any. `before` and `after`: where the sequence stood.
#[inline]
pub fn broken_by_grant(
    before: Sequence,
    after: Sequence,
    definition: &Definition,
    grant: Grant,
) -> Option<Invariant> {
    if !i2_gapless_and_monotonic(before.stored(), grant) {
        return Some(Invariant::I2);
    }
    (!i1_beyond(after, definition, grant)).then_some(Invariant::I1)
}

/// I1 unique: no two grants of one sequence share an ID.
pub fn i1_unique(earlier: Grant, later: Grant) -> bool {
    let range = |grant: Grant| (grant.first.min(grant.last), grant.first.max(grant.last));
    let ((first, last), (next_first, next_last)) = (range(earlier), range(later));
    last < next_first || next_last < first
}

/// I1 unique, of one grant: the sequence stands beyond the grant, so no later grant shares an ID. Only a cycle
/// begins again.
#[inline]
pub fn i1_beyond(after: Sequence, definition: &Definition, grant: Grant) -> bool {
    !after.is_back_at(grant.last, grant.increment) || definition.at_end == AtEnd::Cycle
}

/// I2 gapless and monotonic: a grant begins at the sequence's next ID and holds as many IDs as it says.
#[inline]
pub fn i2_gapless_and_monotonic(next_before: i64, grant: Grant) -> bool {
    if grant.count == 1 {
        return grant.first == next_before && grant.last == grant.first;
    }
    // Multiplied instead of divided: a division of 128 bits costs as much as the rest of a grant.
    let steps = i128::from(grant.count) - 1;
    let distance = i128::from(grant.last) - i128::from(grant.first);
    grant.first == next_before && distance == steps * i128::from(grant.increment)
}

/// I3 stable: two replies to one request record have the same body.
pub fn i3_stable(body: &[u8], again: &[u8]) -> bool {
    body == again
}

/// I4 nothing lost: a checkpoint covers a record only when the reply to the record is acknowledged, or goes out
/// in the checkpoint's own transaction.
pub fn i4_nothing_lost(covered: NextOffset, oldest_unanswered: Option<Offset>) -> bool {
    oldest_unanswered.is_none_or(|offset| !covered.covers(offset))
}

/// I5 one request, one grant: a request that is remembered gets its earlier grant again.
pub fn i5_one_grant(before: Grant, again: Grant) -> bool {
    before == again
}

/// I6 stop rather than guess: a fold goes on only at an offset that the log still has, at or above the log's
/// start and at or below its end.
pub fn i6_log_reaches(start: NextOffset, next: NextOffset, end: NextOffset) -> bool {
    start <= next && next <= end
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn grant(first: i64, last: i64) -> Grant {
        Grant {
            first,
            last,
            count: (last - first).cast_unsigned() + 1,
            increment: 1,
        }
    }

    #[test]
    fn each_predicate_can_fail() {
        assert!(i1_unique(grant(1, 2), grant(3, 3)) && !i1_unique(grant(1, 2), grant(2, 3)));
        assert!(i2_gapless_and_monotonic(5, grant(5, 6)));
        assert!(!i2_gapless_and_monotonic(5, grant(6, 6)));
        assert!(!i2_gapless_and_monotonic(
            5,
            Grant {
                count: 3,
                ..grant(5, 6)
            }
        ));
        let beyond = |stored| {
            let after = Sequence::restored(stored);
            i1_beyond(after, &Definition::DEFAULT, grant(5, 6))
        };
        assert!(beyond(7) && !beyond(6) && !beyond(4));
        assert!(i3_stable(b"a", b"a") && !i3_stable(b"a", b"b"));
        assert!(i4_nothing_lost(NextOffset(5), Some(Offset(5))));
        assert!(!i4_nothing_lost(NextOffset(5), Some(Offset(4))));
        assert!(i5_one_grant(grant(1, 2), grant(1, 2)) && !i5_one_grant(grant(1, 2), grant(1, 3)));
        assert!(i6_log_reaches(NextOffset(1), NextOffset(1), NextOffset(9)));
        assert!(!i6_log_reaches(NextOffset(2), NextOffset(1), NextOffset(9)));
        assert!(!i6_log_reaches(NextOffset(1), NextOffset(9), NextOffset(8)));
    }
}
