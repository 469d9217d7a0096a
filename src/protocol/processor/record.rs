//! A request record, as an owner or a repair reads it from its log.

use crate::core::{Offset, Request, Timestamp};
use crate::wire::headers::Headers;
use crate::wire::request;

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
