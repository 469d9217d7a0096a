//! What a request can ask for.

use std::borrow::Cow;

use super::name::Name;
use super::rejection::Rejection;

/// An operation on a sequence. Definitions (`define`, `set_next`, …) will be further kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The next `count` IDs, contiguous. `count` is 1 to [`super::limits::COUNT_MAX`].
    Next {
        /// How many IDs.
        count: u64,
    },
}

/// A request record as decoded: what can be said of it without the log before it.
///
/// A record that is no valid request is still part of the log and still gets a reply (I4), so the
/// parts are results of their own.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The key, checked.
    pub name: Result<Name<'a>, Rejection>,
    /// The value, parsed and checked.
    pub command: Result<Command, Rejection>,
    /// The client's own identification of the request, repeated in the reply; present only when
    /// it is valid by itself.
    pub request_id: Option<Cow<'a, str>>,
}
