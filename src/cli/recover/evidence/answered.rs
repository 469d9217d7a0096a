//! The requests that are answered beyond the last checkpoint: whether the log still has them.

use super::{Inquiry, Judged, State};
use crate::cli::Error;
use crate::core::{Fold, NextOffset, Scalars};
use crate::processor::answered::Answered;
use crate::processor::halt::Halt;
use crate::processor::rebuild::Rebuild;
use crate::processor::repair;
use crate::processor::takeover::Start;

impl Inquiry<'_> {
    /// Folds what is answered beyond the checkpoint, as an owner does before its first answer.
    pub(super) fn judged_by_answers(&self, start: Start) -> Result<Judged, Error> {
        let Some(answered) = start.answered else {
            return Ok(Judged::Starts);
        };
        let partition = u32::try_from(self.partition).unwrap_or(0);
        let mut rebuilt = Rebuild::new(
            partition,
            start.link_key,
            start.restored.fold,
            start.next,
            start.last_applied,
        );
        match self.refold(&mut rebuilt, answered.next) {
            Ok(()) => {}
            Err(Error::Kafka(error)) if error.is_unreadable() => {
                return Ok(Judged::Halts(Halt::Unreadable {
                    at: rebuilt.folding.next,
                    problem: error.to_string(),
                }));
            }
            Err(error) => return Err(error),
        }
        let digest = rebuilt.folding.fold.cut(&mut Vec::new());
        let last = rebuilt.folding.last_applied;
        Ok(match answered.is(digest, last) {
            true => Judged::Starts,
            false => Judged::Halts(answered.other_record(last)),
        })
    }

    /// After a cut among the requests that are answered beyond the checkpoint: folds those that the log still has
    /// into the state, so that a repair does not forget what they got.
    pub(super) fn learn_answered(
        &self,
        judged: &Judged,
        answered: Option<Answered>,
        cut: Option<NextOffset>,
        state: &mut State,
    ) -> Result<(), Error> {
        let Some((_, footer)) = answered.zip(state.restored.footer.as_ref()) else {
            return Ok(());
        };
        let end = match judged {
            Judged::Halts(Halt::Truncated { end, .. }) => cut.or(Some(*end)),
            Judged::Halts(Halt::OtherRecord { .. }) => cut,
            _ => None,
        };
        let Some(end) = end.filter(|end| *end > footer.next) else {
            return Ok(());
        };
        let partition = u32::try_from(self.partition).unwrap_or(0);
        let fold = state.restored.fold.clone();
        let mut rebuilt = Rebuild::new(partition, footer.link_key, fold, footer.next, None);
        self.refold(&mut rebuilt, end)?;
        let mut fold = rebuilt.folding.fold;
        repair::keep_ledgers(&mut fold, &state.restored.fold);
        state.take_in(&fold);
        Ok(())
    }
}

impl State {
    /// Takes in the state of a later place in the log.
    fn take_in(&mut self, fold: &Fold) {
        fold.iter().for_each(|entry| self.entry(entry));
        let Scalars {
            highest_timestamp,
            applied,
            undefined,
            window_next,
            ..
        } = fold.scalars();
        let known = &mut self.scalars;
        known.highest_timestamp = highest_timestamp.max(known.highest_timestamp);
        known.applied = applied.max(known.applied);
        known.undefined = undefined;
        known.window_next = window_next.max(known.window_next);
    }
}
