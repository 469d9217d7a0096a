//! The records that a partition takes, the messages that it gives out, and its settings.

use crate::core::{Offset, Request, Timestamp};
use crate::processor::Mode;
use crate::processor::checkpoint::Outgoing;
use crate::processor::replies::Token;
use crate::wire::headers::{Block, Headers};
use crate::wire::request;
use crate::wire::route::Routing;

/// A request record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The record's partition.
    pub partition: i32,
    /// The leader epoch under which the broker appended the record.
    pub leader_epoch: i32,
    /// The record's offset.
    pub offset: Offset,
    /// The record's LogAppendTime.
    pub timestamp: Timestamp,
    /// The record's key, which names the sequence.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: &'a Headers<'a>,
}

impl<'a> Record<'a> {
    /// The request in the record. A record that is no valid request gives a rejected one.
    #[inline]
    pub(in crate::processor) fn request(&self) -> Request<'a> {
        request::decode(self.key, self.value, self.headers.request_id)
    }
}

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
