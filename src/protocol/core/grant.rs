//! What a request gets: a run of IDs.

/// IDs given to one request: `first..=last` in steps of `increment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// First ID.
    pub first: i64,
    /// Last ID.
    pub last: i64,
    /// Number of IDs.
    pub count: u64,
    /// Step from one to the next.
    pub increment: i64,
}
