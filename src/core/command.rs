//! What a request can ask for.

use std::borrow::Cow;

use super::definition::Changes;
use super::name::Name;
use super::rejection::Rejection;

/// What happens to a name that nobody defined when IDs are first asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undefined {
    /// It becomes a sequence.
    #[default]
    Create,
    /// It becomes a sequence with `audit`.
    CreateAudited,
    /// The request is refused.
    Refuse,
}

impl Undefined {
    /// True when what is created is audited.
    pub const fn audits(self) -> bool {
        matches!(self, Undefined::CreateAudited)
    }

    /// As in requests and replies.
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
        /// How many IDs.
        count: u64,
    },
    /// Something that an operator does; boxed, because requests for IDs come by the million.
    Operator(Box<Operation<'a>>),
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// What.
    pub action: Action,
    /// Who.
    pub requester: Option<Cow<'a, str>>,
    /// Why.
    pub reason: Option<Cow<'a, str>>,
}

/// An operator's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Define a sequence, or change its definition.
    Define(Changes),
    /// Move a sequence on; back with force.
    SetNext {
        /// The next ID.
        next: i64,
        /// Also back.
        force: bool,
    },
    /// Say how a sequence is defined and where it stands; under the key `__policy`, what happens to
    /// undefined names.
    Describe,
    /// Give no more IDs.
    Retire,
    /// Say what happens to undefined names; under the key `__policy`.
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

/// A request record as decoded: what can be said of it without the log before it.
///
/// A record that is no valid request is still part of the log and still gets a reply (I4), so the
/// parts are results of their own.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The key, checked.
    pub name: Result<Name<'a>, Rejection>,
    /// The value, parsed and checked.
    pub command: Result<Command<'a>, Rejection>,
    /// The client's own identification of the request, repeated in the reply; present only when
    /// it is valid by itself.
    pub request_id: Option<Cow<'a, str>>,
    /// Who asks for IDs, for the ledger; of an operator's request it is in the operation.
    pub requester: Option<Cow<'a, str>>,
}
