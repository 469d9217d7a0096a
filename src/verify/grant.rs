//! What a request should get.

/// The IDs of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub first: i64,
    pub count: u64,
    pub increment: i64,
}

impl Grant {
    /// The last ID.
    pub(super) fn last(&self) -> i64 {
        let steps = i128::from(self.count.saturating_sub(1));
        let last = i128::from(self.first) + steps * i128::from(self.increment);
        i64::try_from(last).unwrap_or(i64::MIN)
    }
}
