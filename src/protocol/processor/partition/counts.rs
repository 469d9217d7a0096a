//! Counts of a partition's answers, for metrics.

use crate::core::Code;
use crate::core::fold::Answer;
use crate::wire::route::{Cause, Route};

/// Counts for metrics. The reporting code takes and resets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that got IDs.
    pub granted: u64,
    /// Requests that got the IDs of an earlier one with the same `request_id`.
    pub again: u64,
    /// Operators' actions that were carried out.
    pub operated: u64,
    /// Strays that were forwarded to their home partition.
    pub forwarded: u64,
    /// Forwarded requests that arrived again and were skipped.
    pub repeated: u64,
    /// IDs that requests got.
    pub ids: u64,
    /// Requests that got an error, by [`Code::ALL`].
    pub rejected: [u64; Code::ALL.len()],
    /// Replies that went to the default reply topic instead of the requested one because of the request's
    /// headers alone, by [`Cause::ALL`].
    pub undelivered: [u64; Cause::ALL.len()],
}

impl Counts {
    /// Adds another partition's counts.
    pub fn add(&mut self, other: Counts) {
        self.granted += other.granted;
        self.ids = self.ids.saturating_add(other.ids);
        self.again += other.again;
        self.operated += other.operated;
        self.forwarded += other.forwarded;
        self.repeated += other.repeated;
        for (sum, count) in self.rejected.iter_mut().zip(other.rejected) {
            *sum += count;
        }
        for (sum, count) in self.undelivered.iter_mut().zip(other.undelivered) {
            *sum += count;
        }
    }

    pub(super) fn count_undelivered(&mut self, route: &Route<'_>) {
        let Some(undelivered) = &route.undelivered else {
            return;
        };
        let index = Cause::ALL
            .iter()
            .position(|cause| *cause == undelivered.cause);
        if let Some(count) = index.and_then(|index| self.undelivered.get_mut(index)) {
            *count += 1;
        }
    }

    pub(super) fn count(&mut self, answer: &Answer) {
        match answer {
            Answer::Granted(grant) => {
                self.granted += 1;
                self.ids = self.ids.saturating_add(grant.count);
            }
            Answer::Again(_) => self.again += 1,
            Answer::Described { .. } | Answer::Policy(_) => self.operated += 1,
            Answer::Stray { .. } => self.forwarded += 1,
            Answer::Repeated => self.repeated += 1,
            Answer::TooManyHops { .. }
            | Answer::Broken { .. }
            | Answer::Unfit { .. }
            | Answer::Adopts { .. } => {}
            Answer::Rescaled(rescaled) => self.operated += u64::from(rescaled.reply.is_some()),
            Answer::Rejected(rejection) => {
                let index = Code::ALL.iter().position(|code| *code == rejection.code);
                if let Some(count) = index.and_then(|index| self.rejected.get_mut(index)) {
                    *count += 1;
                }
            }
        }
    }
}
