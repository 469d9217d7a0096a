//! The counter of one sequence.

use super::definition::{AtEnd, Changes, Definition};
use super::grant::Grant;
use super::limits::{ID_FIRST, ID_LAST};
use super::planted::planted;
use super::rejection::{Code, Rejection};

/// Where the counter of one sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The ID that the next grant begins with, within the bounds or beyond the end. [`NONE`] when it would be
    /// beyond every number.
    next: i64,
}

/// Lies outside the bounds of every definition, so it is no ID.
const NONE: i64 = i64::MIN;

impl Sequence {
    /// A counter that has no number left at all.
    pub const BEYOND_EVERY_NUMBER: Sequence = Sequence { next: NONE };

    /// A counter by the default definition that has given no IDs. It begins above an operator's floor (0 when
    /// there is none).
    pub fn above(floor: i64) -> Sequence {
        Sequence {
            next: floor.clamp(ID_FIRST - 1, ID_LAST) + 1,
        }
    }

    /// A counter of a sequence with this definition. A floor applies to sequences that count up.
    pub fn defined(definition: &Definition, floor: i64) -> Sequence {
        let start = definition.start;
        let next = match floor.checked_add(1) {
            Some(above) if floor > 0 && definition.increment > 0 => start.max(above),
            _ => start,
        };
        Sequence { next }
    }

    /// A counter as a state record holds it.
    pub const fn restored(next: i64) -> Sequence {
        Sequence { next }
    }

    /// The counter as a state record holds it.
    pub const fn stored(self) -> i64 {
        self.next
    }

    /// The ID that the next grant begins with; none when no ID is left.
    pub fn next(self, definition: &Definition) -> Option<i64> {
        (self.next != NONE && definition.contains(self.next)).then_some(self.next)
    }

    /// One above the highest ID that can have been taken by a counter that counts up; for repairs.
    pub const fn highest(self) -> i64 {
        if self.next == NONE {
            i64::MAX
        } else {
            self.next - 1
        }
    }

    /// True when the counter stands at `id` or before it, in its direction of counting.
    pub const fn is_back_at(self, id: i64, increment: i64) -> bool {
        self.next != NONE
            && if increment < 0 {
                self.next >= id
            } else {
                self.next <= id
            }
    }

    /// True when the counter stands before `other`, in its direction of counting.
    pub const fn is_before(self, other: Sequence, increment: i64) -> bool {
        if self.next == NONE || other.next == NONE {
            return self.next != NONE;
        }
        self.next != other.next && self.is_back_at(other.next, increment)
    }

    /// Moves on above `floor`, never back.
    #[must_use]
    pub fn raised_above(self, floor: i64) -> Sequence {
        if self.next == NONE {
            return self;
        }
        Sequence {
            next: self.next.max(floor.saturating_add(1)),
        }
    }

    /// The one of two counters of a sequence that lies further on in its direction of counting. For a cycle,
    /// `later`.
    #[must_use]
    pub fn furthest(self, later: Sequence, definition: &Definition) -> Sequence {
        let further = self.next == NONE
            || if definition.increment < 0 {
                self.next < later.next
            } else {
                self.next > later.next
            };
        if definition.at_end == AtEnd::Error && further && later.next != NONE {
            self
        } else {
            later
        }
    }

    /// Moves on beyond IDs that were given, never back. A cycle gives these IDs again anyway.
    #[must_use]
    pub fn beyond(self, definition: &Definition, lowest: i64, highest: i64) -> Sequence {
        let last = if definition.increment < 0 {
            lowest
        } else {
            highest
        };
        let next = last.checked_add(definition.increment).unwrap_or(NONE);
        Sequence { next }.furthest(self, definition)
    }

    /// Takes `count` consecutive IDs, or none of them.
    ///
    /// # Errors
    /// [`Code::InvalidCount`] above the definition's own limit, [`Code::Exhausted`] when fewer are
    /// left; the counter stays.
    pub fn take(&mut self, definition: &Definition, count: u64) -> Result<Grant, Rejection> {
        let Definition {
            increment,
            max_count,
            ..
        } = *definition;
        if count > max_count {
            return Err(Rejection::new(
                Code::InvalidCount,
                format!("count must be 1 to {max_count}, got {count}"),
            ));
        }
        let left = self.left(definition);
        if u128::from(count) > left {
            return Err(exhausted(definition, left, count));
        }
        let first = if planted!(IdSkipped) {
            self.next + increment
        } else {
            self.next
        };
        // `count` is at least 1 and at most the number of IDs left, so the last ID lies within the bounds. The
        // distance may be longer than 63 bits. The wrapping sum is still right.
        let way = (count - 1).cast_signed().wrapping_mul(increment);
        let last = first.wrapping_add(way);
        let after = last.checked_add(increment);
        self.next = match after {
            Some(next) if definition.contains(next) => next,
            _ if definition.at_end == AtEnd::Cycle => definition.begin(),
            Some(next) => next,
            None => NONE,
        };
        if planted!(CounterStays) {
            self.next = first;
        }
        Ok(Grant {
            first,
            last,
            count,
            increment,
        })
    }

    /// Number of IDs left until the end.
    fn left(self, definition: &Definition) -> u128 {
        let Some(next) = self.next(definition) else {
            return 0;
        };
        let distance = i128::from(definition.end()).abs_diff(i128::from(next));
        match definition.increment.unsigned_abs() {
            1 => distance + 1,
            step => distance / u128::from(step) + 1,
        }
    }

    /// The share of IDs left until the end, in millionths of all IDs between the bounds. It is rounded down,
    /// but stays above 0 while an ID is left.
    pub fn left_ppm(self, definition: &Definition) -> u32 {
        const WHOLE: u128 = 1_000_000;
        let left = self.left(definition);
        if left == 0 {
            return 0;
        }
        let all = Sequence::restored(definition.begin()).left(definition);
        let ppm = (left * WHOLE / all.max(1)).clamp(1, WHOLE);
        u32::try_from(ppm).unwrap_or(u32::MAX)
    }

    /// Returns the counter after a new definition of a sequence that exists.
    ///
    /// # Errors
    /// [`Code::InvalidDefinition`], when the sequence could not keep its promise under the new definition.
    pub fn redefined(
        self,
        before: &Definition,
        changes: Changes,
        retired: bool,
    ) -> Result<(Definition, Sequence), Rejection> {
        let after = before.with(changes)?;
        let refuse = |message: String| Err(Rejection::new(Code::InvalidDefinition, message));
        if (before.increment < 0) != (after.increment < 0) {
            return refuse(format!(
                "increment cannot change its sign: it is {}, asked for {}",
                before.increment, after.increment
            ));
        }
        if !retired && before.start != after.start {
            return refuse(format!(
                "start of a sequence that exists cannot change: it is {}; set_next moves it on \
                 (`sequencer set-next`)",
                before.start
            ));
        }
        let after = if retired { after.beginning()? } else { after };
        let mut next = self.next;
        if next != NONE && retired {
            next = if after.increment < 0 {
                next.min(after.start)
            } else {
                next.max(after.start)
            };
        }
        let beyond = next == NONE
            || if after.increment < 0 {
                next < after.min
            } else {
                next > after.max
            };
        if !beyond && !after.contains(next) {
            return refuse(format!(
                "the next ID {next} is not between min {} and max {}",
                after.min, after.max
            ));
        }
        let was_exhausted = self.next(before).is_none();
        if beyond && !was_exhausted {
            return refuse(format!(
                "the next ID {next} is beyond the new bounds {} to {}",
                after.min, after.max
            ));
        }
        if beyond && after.at_end == AtEnd::Cycle {
            next = after.begin();
        }
        Ok((after, Sequence { next }))
    }

    /// Returns the counter after an operator's `set_next`.
    ///
    /// # Errors
    /// [`Code::InvalidDefinition`] outside the bounds, or back without force.
    pub fn moved(
        self,
        definition: &Definition,
        next: i64,
        force: bool,
    ) -> Result<Sequence, Rejection> {
        let refuse = |message: String| Err(Rejection::new(Code::InvalidDefinition, message));
        if !definition.contains(next) {
            return refuse(format!(
                "next must be {} to {}, got {next}",
                definition.min, definition.max
            ));
        }
        let back = self.next == NONE
            || if definition.increment < 0 {
                next > self.next
            } else {
                next < self.next
            };
        if back && !force {
            let stands = match self.next(definition) {
                Some(at) => format!("the next ID is {at}"),
                None => "no ID is left".to_owned(),
            };
            return refuse(format!(
                "next {next} would move the sequence back ({stands}); force it with a reason if \
                 IDs may be given twice"
            ));
        }
        Ok(Sequence { next })
    }
}

fn exhausted(definition: &Definition, left: u128, count: u64) -> Rejection {
    let end = definition.end();
    let cycle = match definition.at_end {
        AtEnd::Error => "",
        AtEnd::Cycle => "; a batch never spans the end of a cycle",
    };
    Rejection::new(
        Code::Exhausted,
        format!("the sequence has {left} IDs left up to {end}, asked for {count}{cycle}"),
    )
}

#[cfg(test)]
mod tests;
