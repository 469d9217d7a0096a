//! Writes the ledger records of a fold.

use super::Fold;
use super::at::At;
use crate::core::ledger::{Chain, Event, Ledger, Line};
use crate::core::link::Link;
use crate::core::sequence::Sequence;

/// The request behind a record of the ledger.
#[derive(Clone, Copy)]
pub(super) struct Cause<'a> {
    pub at: At,
    /// Present for a request that was forwarded to this partition.
    pub link: Option<Link>,
    pub requester: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub reason: Option<&'a str>,
}

/// Where a sequence stood before an operator's act.
#[derive(Clone, Copy)]
pub(super) struct Before {
    sequence: Sequence,
    audit: bool,
    retired: bool,
}

impl Fold {
    /// The position of a sequence before an operator's act.
    pub(super) fn before(&self, name: &str) -> Option<Before> {
        self.sequences.get(name).map(|state| Before {
            sequence: state.sequence,
            audit: state.definition().audit,
            retired: state.is_retired(),
        })
    }

    /// Writes the ledger record of a grant of an audited sequence. If the sequence begins again after the
    /// grant, the grant is the last one of its turn.
    pub(super) fn write_grant(
        &mut self,
        index: usize,
        event: Event,
        cause: &Cause<'_>,
        ledger: &mut dyn Ledger,
    ) {
        self.write_line(index, event, 0, cause, ledger);
        let Some((_, state)) = self.sequences.get_index_mut(index) else {
            return;
        };
        let (Event::Granted(grant), Some(defined)) = (event, &mut state.defined) else {
            return;
        };
        let begins_again = state.sequence.is_back_at(grant.last, grant.increment);
        if let Some(chain) = defined.chain.as_mut().filter(|_| begins_again) {
            chain.turn = chain.turn.saturating_add(1);
        }
    }

    /// Writes the ledger record of an operator's act on a sequence that is audited now, or was before.
    pub(super) fn write_act(
        &mut self,
        name: &str,
        before: Option<Before>,
        event: impl FnOnce(&super::Description) -> Event,
        cause: &Cause<'_>,
        ledger: &mut dyn Ledger,
    ) {
        let Some((index, _, state)) = self.sequences.get_full(name) else {
            return;
        };
        let description = state.description();
        let audited_before = before.is_some_and(|before| before.audit);
        let unchanged = description.retired && before.is_some_and(|before| before.retired);
        if unchanged || !(audited_before || description.definition.audit) {
            return;
        }
        let increment = description.definition.increment;
        let back = before.is_some_and(|before| {
            // The ledger has no record of where the sequence went while it was not audited.
            !before.audit || state.sequence.is_before(before.sequence, increment)
        });
        let event = event(&description);
        self.write_line(index, event, u32::from(back), cause, ledger);
    }

    fn write_line(
        &mut self,
        index: usize,
        event: Event,
        turns: u32,
        cause: &Cause<'_>,
        ledger: &mut dyn Ledger,
    ) {
        // A repair that lost the state lost the chains with it.
        let repaired = self.scalars.links_open;
        let Some((name, state)) = self.sequences.get_index_mut(index) else {
            return;
        };
        let Some(defined) = &mut state.defined else {
            return;
        };
        let chain = &mut **defined
            .chain
            .get_or_insert_with(|| Box::new(Chain::new(repaired)));
        if chain.records > 0 {
            chain.turn = chain.turn.saturating_add(turns);
        }
        let Cause {
            at,
            link,
            requester,
            request_id,
            reason,
        } = *cause;
        let line = Line {
            sequence: name,
            record: chain.records + 1,
            turn: chain.turn,
            event,
            partition: link.map_or(at.partition, |link| link.origin.partition),
            offset: link.map_or(at.offset, |link| link.origin.offset),
            home_offset: link.map(|_| at.offset),
            timestamp: at.timestamp,
            requester,
            request_id,
            reason,
            repaired: chain.repaired,
            previous: chain.hash,
        };
        chain.hash = ledger.write(&line);
        chain.records = line.record;
        chain.repaired = false;
    }
}
