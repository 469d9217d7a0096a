//! The operations that a request can ask for.

use std::borrow::Cow;

use super::definition::Changes;
use super::name::Name;
use super::rejection::Rejection;

/// The rule for a name that nobody defined, when its first request comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undefined {
    /// The first request creates a sequence.
    #[default]
    Create,
    /// The first request creates a sequence with `audit`.
    CreateAudited,
    /// The request is refused.
    Refuse,
}

impl Undefined {
    /// The number in the digest and in the state. It never changes.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Undefined::Create => 0,
            Undefined::Refuse => 1,
            Undefined::CreateAudited => 2,
        }
    }

    /// True when the sequence that the first request creates is audited.
    pub const fn audits(self) -> bool {
        matches!(self, Undefined::CreateAudited)
    }

    /// The word in requests and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Undefined::Create | Undefined::CreateAudited => "create",
            Undefined::Refuse => "refuse",
        }
    }
}

/// An operation on a sequence, or on the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The next `count` IDs, contiguous. `count` is 1 to [`super::limits::COUNT_MAX`].
    Next {
        /// Number of IDs that the request takes.
        count: u64,
    },
    /// An operator's record. It is boxed, because requests for IDs come by the million.
    Operator(Box<Operation<'a>>),
}

/// An operator's record: the action, and who asked for it and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The action and its parameters.
    pub action: Action,
    /// The person or system that the record names as its author.
    pub requester: Option<Cow<'a, str>>,
    /// The author's reason; required with force.
    pub reason: Option<Cow<'a, str>>,
}

/// An operator's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Define a sequence, or change its definition.
    Define(Changes),
    /// Move a sequence on; move it back only with force.
    SetNext {
        /// The next ID.
        next: i64,
        /// Permits a move back, after which IDs repeat.
        force: bool,
    },
    /// Return the definition of a sequence and its next ID; under the key `__policy`, the rule for undefined
    /// names.
    Describe,
    /// Give no more IDs.
    Retire,
    /// Set the rule for undefined names; the key is `__policy`.
    Policy(Undefined),
}

impl Action {
    /// The word in the field `op`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Define(_) => "define",
            Action::SetNext { .. } => "set_next",
            Action::Describe => "describe",
            Action::Retire => "retire",
            Action::Policy(_) => "policy",
        }
    }
}

/// A request record as decoded, without knowledge of the log before it.
///
/// An invalid request is still part of the log and still gets a reply (I4). So each part has a result of its
/// own.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The record's key after the check.
    pub name: Result<Name<'a>, Rejection>,
    /// The record's value after parsing and checking.
    pub command: Result<Command<'a>, Rejection>,
    /// The client's `request_id`, which the reply repeats. It is present only when it is valid by its own
    /// rules, also when another part of the request is invalid.
    pub request_id: Option<Cow<'a, str>>,
    /// Who asks for IDs, for the ledger. An operator's record has the requester in its operation instead.
    pub requester: Option<Cow<'a, str>>,
}
