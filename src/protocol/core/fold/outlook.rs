//! How near sequences are to their end. A survey looks at a bounded number of them at a time, so that the owner
//! of a million sequences can survey all of them repeatedly beside its work.
//!
//! Only sequences that can end count: a sequence that cycles or is retired does not.

use super::Fold;
use crate::core::definition::AtEnd;

/// The result of one round over a partition's sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Sequences with less than a tenth of their IDs left.
    pub below_tenth: u64,
    /// Sequences with less than a hundredth left, which count in `below_tenth` too.
    pub below_hundredth: u64,
    /// Sequences with none left, which count in the two fields above too.
    pub exhausted: u64,
    /// The smallest share that a sequence has left, in millionths of its IDs. None when no sequence can end.
    pub least_left_ppm: Option<u32>,
}

/// A round over the sequences of a fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survey {
    place: usize,
    so_far: Outlook,
    complete: Option<Outlook>,
}

impl Survey {
    /// Looks at up to `max` further sequences. At the end of a round, the result becomes [`Survey::outlook`],
    /// and the next round begins.
    pub fn go_on(&mut self, fold: &Fold, partition: u32, max: usize) {
        let begin = self.place.min(fold.sequences.len());
        let end = begin.saturating_add(max).min(fold.sequences.len());
        let looked_at = fold.sequences.get_range(begin..end).into_iter().flatten();
        for (name, state) in looked_at {
            if state.buried || !fold.is_home_of(partition, name) {
                continue;
            }
            let definition = state.definition();
            if definition.at_end == AtEnd::Error && !state.is_retired() {
                self.so_far.count(state.sequence.left_ppm(definition));
            }
        }
        self.place = end;
        if end == fold.sequences.len() {
            *self = Survey {
                complete: Some(self.so_far),
                ..Survey::default()
            };
        }
    }

    /// The result of the last complete round. None before the first round ends.
    pub fn outlook(&self) -> Option<Outlook> {
        self.complete
    }
}

impl Outlook {
    fn count(&mut self, left_ppm: u32) {
        self.below_tenth += u64::from(left_ppm < 100_000);
        self.below_hundredth += u64::from(left_ppm < 10_000);
        self.exhausted += u64::from(left_ppm == 0);
        let least = self.least_left_ppm.unwrap_or(u32::MAX);
        self.least_left_ppm = Some(least.min(left_ppm));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::definition::{Changes, Definition};
    use crate::core::fold::{Defined, Entry, Note};
    use crate::core::sequence::Sequence;
    use crate::core::{Offset, Timestamp};
    use std::borrow::Cow;

    fn put(fold: &mut Fold, name: &str, next: i64, at_end: AtEnd, retired: bool) {
        let changes = Changes {
            max: Some(1_000),
            at_end: Some(at_end),
            ..Changes::default()
        };
        let note = Note {
            op: "define".into(),
            requester: "".into(),
            reason: "".into(),
            offset: Offset(0),
            timestamp: Timestamp(0),
        };
        fold.put(Entry::Sequence {
            name,
            sequence: Sequence::restored(next),
            defined: Some(Cow::Owned(Defined {
                definition: Definition::new(changes).unwrap(),
                retired,
                note,
                chain: None,
            })),
        });
    }

    #[test]
    fn a_round_counts_each_sequence_that_can_end_however_many_steps_it_takes() {
        let mut fold = Fold::default();
        put(&mut fold, "new", 1, AtEnd::Error, false);
        put(&mut fold, "tenth", 950, AtEnd::Error, false);
        put(&mut fold, "hundredth", 998, AtEnd::Error, false);
        put(&mut fold, "ended", 1_001, AtEnd::Error, false);
        put(&mut fold, "cycle", 1_000, AtEnd::Cycle, false);
        put(&mut fold, "retired", 1_001, AtEnd::Error, true);
        let seen = Outlook {
            below_tenth: 3,
            below_hundredth: 2,
            exhausted: 1,
            least_left_ppm: Some(0),
        };
        let mut survey = Survey::default();
        for _ in 0..2 {
            survey.go_on(&fold, 0, 2);
            survey.go_on(&fold, 0, 2);
            assert_eq!(survey.place, 4);
            survey.go_on(&fold, 0, 2);
            assert_eq!(survey.outlook(), Some(seen));
        }
    }

    #[test]
    fn without_a_sequence_nothing_is_near_its_end() {
        let mut survey = Survey::default();
        assert_eq!(survey.outlook(), None);
        survey.go_on(&Fold::default(), 0, 10);
        assert_eq!(survey.outlook(), Some(Outlook::default()));
    }
}
