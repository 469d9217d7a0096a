//! The promise as predicates, under the numbers that the docs, the tests and the checkers use.
//!
//! Assertions ([`holds!`]) and tests call them. Nothing else decides what "unique" or "gapless" means.

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

use super::fold::Grant;
use super::position::{NextOffset, Offset};

/// I1 unique: no two grants of one sequence share an ID.
pub fn i1_unique(earlier: Grant, later: Grant) -> bool {
    let range = |grant: Grant| (grant.first.min(grant.last), grant.first.max(grant.last));
    let ((first, last), (next_first, next_last)) = (range(earlier), range(later));
    last < next_first || next_last < first
}

/// I2 gapless and monotonic: a grant begins at the sequence's next ID and holds as many IDs as it says.
pub fn i2_gapless_and_monotonic(next_before: i64, grant: Grant) -> bool {
    let distance = i128::from(grant.last) - i128::from(grant.first);
    let steps = distance
        .checked_div(i128::from(grant.increment))
        .unwrap_or(-1);
    grant.first == next_before && steps + 1 == i128::from(grant.count)
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
        assert!(i3_stable(b"a", b"a") && !i3_stable(b"a", b"b"));
        assert!(i4_nothing_lost(NextOffset(5), Some(Offset(5))));
        assert!(!i4_nothing_lost(NextOffset(5), Some(Offset(4))));
        assert!(i5_one_grant(grant(1, 2), grant(1, 2)) && !i5_one_grant(grant(1, 2), grant(1, 3)));
        assert!(i6_log_reaches(NextOffset(1), NextOffset(1), NextOffset(9)));
        assert!(!i6_log_reaches(NextOffset(2), NextOffset(1), NextOffset(9)));
        assert!(!i6_log_reaches(NextOffset(1), NextOffset(9), NextOffset(8)));
    }
}
