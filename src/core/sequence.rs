//! One counter.

use super::limits::{ID_FIRST, ID_LAST};
use super::rejection::{Code, Rejection};

/// The counter of one sequence: the ID that the next grant begins with.
///
/// `ID_LAST + 1` means that every ID has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    next: i64,
}

impl Sequence {
    /// A counter that nothing was taken from, above an operator's floor (0 when there is none).
    pub fn above(floor: i64) -> Sequence {
        Sequence {
            next: floor.clamp(ID_FIRST - 1, ID_LAST) + 1,
        }
    }

    /// A counter as a state record holds it; `None` when no counter can stand there.
    pub fn restored(next: i64) -> Option<Sequence> {
        (ID_FIRST..=ID_LAST + 1)
            .contains(&next)
            .then_some(Sequence { next })
    }

    /// The ID that the next grant begins with.
    pub const fn next(self) -> i64 {
        self.next
    }

    /// Moves on above `floor`, never back.
    #[must_use]
    pub fn raised_above(self, floor: i64) -> Sequence {
        Sequence {
            next: self.next.max(Sequence::above(floor).next),
        }
    }

    /// Takes `count` contiguous IDs, or none of them.
    ///
    /// # Errors
    /// [`Code::Exhausted`] when fewer are left; the counter stays.
    pub fn take(&mut self, count: u64) -> Result<(i64, i64), Rejection> {
        let left = (ID_LAST + 1 - self.next).cast_unsigned();
        if count > left {
            return Err(Rejection::new(
                Code::Exhausted,
                format!("the sequence has {left} IDs left up to {ID_LAST}, asked for {count}"),
            ));
        }
        let first = self.next;
        // `count` is at most what is left, so the sum is at most ID_LAST + 1.
        self.next += count.cast_signed();
        Ok((first, self.next - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_does_not_fit_is_refused_whole_and_the_last_id_is_given() {
        let mut sequence = Sequence::above(ID_LAST - 3);
        assert_eq!(sequence.take(4).unwrap_err().code, Code::Exhausted);
        assert_eq!(sequence.take(3).unwrap(), (ID_LAST - 2, ID_LAST));
        assert_eq!(sequence.take(1).unwrap_err().code, Code::Exhausted);
        assert_eq!(sequence.next(), ID_LAST + 1);
        assert_eq!(Sequence::restored(sequence.next()), Some(sequence));
    }

    #[test]
    fn a_counter_out_of_range_is_not_restored() {
        assert_eq!(Sequence::restored(0), None);
        assert_eq!(Sequence::restored(ID_LAST + 2), None);
    }

    #[test]
    fn raising_never_lowers() {
        let sequence = Sequence::above(100);
        assert_eq!(sequence.raised_above(50), sequence);
        assert_eq!(sequence.raised_above(200).next(), 201);
        assert_eq!(sequence.raised_above(i64::MAX).next(), ID_LAST + 1);
    }
}
