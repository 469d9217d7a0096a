//! The messages that a partition gives out, and its settings.

use crate::processor::Mode;
use crate::processor::checkpoint::Outgoing;
use crate::processor::replies::Token;
use crate::wire::headers::Block;
use crate::wire::route::Routing;

/// The message that a record causes, to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// A reply, in `immediate` mode.
    Reply(Reply<'a>),
    /// A stray, in both modes.
    Forward(Forward<'a>),
    /// Several messages, which the caller takes one by one before the next record.
    Several,
}

/// A stray on its way to its home partition of the request topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward<'a> {
    /// The token, which comes back with the acknowledgement.
    pub token: Token,
    /// The home partition.
    pub home: i32,
    /// The request's key.
    pub key: Option<&'a [u8]>,
    /// The request's value.
    pub value: Option<&'a [u8]>,
    /// The link, and the request's headers that this service reads.
    pub headers: Block<'a>,
}

/// A reply to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The token, which comes back with the acknowledgement.
    pub token: Token,
    /// The reply itself.
    pub outgoing: Outgoing<'a>,
}

/// The settings that all partitions of an instance share.
#[derive(Clone, Debug)]
pub struct Service {
    /// `immediate` or `exactly_once`.
    pub mode: Mode,
    /// The name of the consumer group.
    pub group: String,
    /// The instance's ID, for people.
    pub instance: String,
    /// Number of partitions of the default reply topic.
    pub reply_partitions: u32,
    /// The rules that route replies.
    pub routing: Routing,
    /// Below this many state records since the last full rewrite, no rewrite begins.
    pub rewrite_floor_records: u64,
}
