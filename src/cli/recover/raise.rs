//! Moves one sequence on for a jump: in its own direction, by its own IDs, within its own bounds. Pure.

use crate::core::definition::{AtEnd, Definition};
use crate::core::fold::Defined;
use crate::core::sequence::Sequence;

/// The IDs of a sequence that count as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The IDs that were seen, and this many more.
    Margin(i64),
    /// The IDs up to this one, in the direction of the sequence. The operator knows of no later one.
    Id(i64),
}

/// A sequence after the jump, and the reason for its new counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// Beyond everything that may have been given.
    On(Sequence),
    /// The jump leads past the end of its cycle, so the next cycle begins.
    NextCycle(Sequence),
    /// The sequence is retired, and the jump leads past its end. A new definition needs wider bounds.
    RetiredAtEnd(Sequence),
    /// No ID was left before, so no ID can be given twice.
    Exhausted(Sequence),
}

impl Raised {
    pub(super) fn sequence(self) -> Sequence {
        match self {
            Raised::On(sequence)
            | Raised::NextCycle(sequence)
            | Raised::RetiredAtEnd(sequence)
            | Raised::Exhausted(sequence) => sequence,
        }
    }
}

/// The reason why a sequence cannot be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The jump would use up all IDs that are left.
    TooFewLeft {
        /// The next ID according to the evidence.
        next: i64,
        /// The bound in the sequence's direction.
        end: i64,
    },
    /// The operator's ID lies outside the bounds.
    OutOfBounds { min: i64, max: i64 },
    /// The operator's ID lies before one that was given.
    Given { next: i64 },
}

/// All known facts about one sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub sequence: Sequence,
    pub defined: Option<&'a Defined>,
    /// The lowest and the highest ID in its replies.
    pub given: Option<(i64, i64)>,
}

impl Known<'_> {
    pub(super) fn definition(&self) -> Definition {
        let defined = self.defined.map(|defined| defined.definition);
        defined.unwrap_or(Definition::DEFAULT)
    }

    fn is_retired(&self) -> bool {
        self.defined.is_some_and(|defined| defined.retired)
    }

    /// The counter beyond the IDs in state and replies. IDs outside the bounds belong to an earlier definition.
    pub(super) fn seen(&self) -> Sequence {
        let definition = self.definition();
        let Some((lowest, highest)) = self.given else {
            return self.sequence;
        };
        let last = if definition.increment < 0 {
            lowest
        } else {
            highest
        };
        if definition.contains(last) {
            self.sequence.beyond(&definition, lowest, highest)
        } else {
            self.sequence
        }
    }

    /// Moves the sequence on.
    ///
    /// # Errors
    /// The sequence would have no ID left, or the operator's ID does not fit.
    pub(super) fn raised(&self, beyond: Beyond) -> Result<Raised, Refused> {
        let definition = self.definition();
        let seen = self.seen();
        let Some(next) = seen.next(&definition) else {
            return Ok(Raised::Exhausted(seen));
        };
        let increment = i128::from(definition.increment);
        let steps = match beyond {
            Beyond::Margin(margin) => i128::from(margin),
            Beyond::Id(id) => steps_beyond(next, id, &definition)?,
        };
        let target = i128::from(next) + steps * increment;
        let target = i64::try_from(target).ok();
        if let Some(id) = target.filter(|id| definition.contains(*id)) {
            return Ok(Raised::On(Sequence::restored(id)));
        }
        if definition.at_end == AtEnd::Cycle {
            return Ok(Raised::NextCycle(Sequence::restored(definition.begin())));
        }
        let past_end = target.map_or(Sequence::BEYOND_EVERY_NUMBER, Sequence::restored);
        if self.is_retired() {
            return Ok(Raised::RetiredAtEnd(past_end));
        }
        // The operator knows that the last ID was given, so none is left.
        if beyond == Beyond::Id(definition.end()) {
            return Ok(Raised::Exhausted(past_end));
        }
        Err(Refused::TooFewLeft {
            next,
            end: definition.end(),
        })
    }
}

/// Number of steps from the next ID to the first ID beyond `id`.
fn steps_beyond(next: i64, id: i64, definition: &Definition) -> Result<i128, Refused> {
    if !definition.contains(id) {
        let Definition { min, max, .. } = *definition;
        return Err(Refused::OutOfBounds { min, max });
    }
    let increment = i128::from(definition.increment);
    let way = (i128::from(id) - i128::from(next)) * increment.signum();
    let stride = increment.abs();
    // The operator may name the ID before the next one: no later ID was given.
    if way < -stride {
        return Err(Refused::Given { next });
    }
    Ok(way.div_euclid(stride) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::definition::Changes;
    use crate::core::fold::Note;
    use crate::core::limits::ID_LAST;
    use crate::core::{Offset, Timestamp};

    fn defined(changes: Changes, retired: bool) -> Defined {
        Defined {
            definition: Definition::new(changes).unwrap(),
            retired,
            note: Note {
                op: "define".into(),
                requester: "".into(),
                reason: "".into(),
                offset: Offset(1),
                timestamp: Timestamp(1),
            },
            chain: None,
        }
    }

    fn known(next: i64, defined: Option<&Defined>) -> Known<'_> {
        Known {
            sequence: Sequence::restored(next),
            defined,
            given: None,
        }
    }

    fn on(next: i64) -> Result<Raised, Refused> {
        Ok(Raised::On(Sequence::restored(next)))
    }

    #[test]
    fn a_sequence_moves_in_its_own_direction_by_its_own_step() {
        let margin = Beyond::Margin(100);
        assert_eq!(known(42, None).raised(margin), on(142));
        let changes = Changes {
            increment: Some(10),
            max_count: Some(5),
            ..Changes::default()
        };
        let tens = defined(changes, false);
        assert_eq!(known(501, Some(&tens)).raised(margin), on(1_501));
        let changes = Changes {
            increment: Some(-5),
            ..Changes::default()
        };
        let down = defined(changes, false);
        assert_eq!(known(-41, Some(&down)).raised(margin), on(-541));
        assert_eq!(known(-41, Some(&down)).raised(Beyond::Id(-72)), on(-76));
        assert_eq!(known(501, Some(&tens)).raised(Beyond::Id(530)), on(531));
        assert_eq!(known(501, Some(&tens)).raised(Beyond::Id(531)), on(541));
    }

    #[test]
    fn replies_count_in_its_own_direction_and_those_of_an_earlier_definition_do_not() {
        let changes = Changes {
            increment: Some(-1),
            min: Some(-1_000),
            ..Changes::default()
        };
        let down = defined(changes, false);
        let given = |lowest, highest| Known {
            given: Some((lowest, highest)),
            ..known(-41, Some(&down))
        };
        assert_eq!(given(-60, -1).raised(Beyond::Margin(10)), on(-71));
        assert_eq!(given(-30, -1).raised(Beyond::Margin(10)), on(-51));
        assert_eq!(given(-2_000, -1).raised(Beyond::Margin(10)), on(-51));
    }

    #[test]
    fn one_with_too_few_ids_left_is_refused_until_the_operator_names_the_last() {
        let changes = Changes {
            max: Some(100),
            ..Changes::default()
        };
        let few = defined(changes, false);
        let known = known(42, Some(&few));
        let refused = Err(Refused::TooFewLeft { next: 42, end: 100 });
        assert_eq!(known.raised(Beyond::Margin(59)), refused);
        assert_eq!(known.raised(Beyond::Margin(58)), on(100));
        assert_eq!(known.raised(Beyond::Id(41)), on(42));
        assert_eq!(known.raised(Beyond::Id(57)), on(58));
        let none_left = Raised::Exhausted(Sequence::restored(101));
        assert_eq!(known.raised(Beyond::Id(100)), Ok(none_left));
        let given = Err(Refused::Given { next: 42 });
        assert_eq!(known.raised(Beyond::Id(40)), given);
        let bounds = Err(Refused::OutOfBounds { min: 1, max: 100 });
        assert_eq!(known.raised(Beyond::Id(101)), bounds);
    }

    #[test]
    fn at_its_end_a_cycle_begins_again_and_a_retired_one_stays_closed() {
        let changes = Changes {
            max: Some(100),
            at_end: Some(AtEnd::Cycle),
            ..Changes::default()
        };
        let cycle = defined(changes, false);
        let next = Raised::NextCycle(Sequence::restored(1));
        assert_eq!(known(42, Some(&cycle)).raised(Beyond::Margin(59)), Ok(next));
        assert_eq!(known(42, Some(&cycle)).raised(Beyond::Margin(9)), on(51));
        let changes = Changes {
            max: Some(100),
            ..Changes::default()
        };
        let retired = defined(changes, true);
        let closed = Raised::RetiredAtEnd(Sequence::restored(101));
        assert_eq!(
            known(42, Some(&retired)).raised(Beyond::Margin(59)),
            Ok(closed)
        );
        assert_eq!(known(42, Some(&retired)).raised(Beyond::Margin(9)), on(51));
        let used_up = Raised::Exhausted(Sequence::restored(101));
        assert_eq!(
            known(101, Some(&retired)).raised(Beyond::Margin(9)),
            Ok(used_up)
        );
    }

    #[test]
    fn no_jump_runs_over_the_largest_number() {
        let changes = Changes {
            increment: Some(i64::MAX),
            max: Some(i64::MAX),
            ..Changes::default()
        };
        let wide = defined(changes, true);
        let known = known(1, Some(&wide));
        let none = Raised::RetiredAtEnd(Sequence::BEYOND_EVERY_NUMBER);
        assert_eq!(known.raised(Beyond::Margin(ID_LAST)), Ok(none));
        let gone = super::tests::known(i64::MIN, Some(&wide));
        let used_up = Raised::Exhausted(Sequence::BEYOND_EVERY_NUMBER);
        assert_eq!(gone.raised(Beyond::Margin(1)), Ok(used_up));
    }
}
