//! The messages of a record that causes several of them: a reply to the operator, and orders to other partitions.

use std::collections::VecDeque;

use super::messages::{Forward, Output, Reply};
use crate::processor::checkpoint::{HeldReplies, Outgoing};
use crate::processor::replies::Token;
use crate::wire::headers::Block;

/// Messages that wait to be taken. A split causes the most: one for each partition that it leads to.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: VecDeque<Message>,
    /// The message that was taken last.
    taken: Option<Message>,
}

#[derive(Debug)]
struct Message {
    /// The epoch that counts its acknowledgement.
    epoch: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Reply(HeldReplies),
    Forward {
        home: u32,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
        headers: Vec<u8>,
    },
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn reply(&mut self, epoch: u32, outgoing: Outgoing<'_>) {
        let mut held = HeldReplies::default();
        held.push(outgoing);
        let content = Content::Reply(held);
        self.messages.push_back(Message { epoch, content });
    }

    pub(super) fn forward(
        &mut self,
        epoch: u32,
        home: u32,
        key: &[u8],
        value: Option<&[u8]>,
        headers: Block<'_>,
    ) {
        let content = Content::Forward {
            home,
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
            headers: headers.0.to_vec(),
        };
        self.messages.push_back(Message { epoch, content });
    }

    /// Moves the message that came last in front of the others.
    pub(super) fn last_comes_first(&mut self) {
        if let Some(last) = self.messages.pop_back() {
            self.messages.push_front(last);
        }
    }

    /// Takes the next message.
    pub(super) fn next(&mut self, assignment: u32) -> Option<Output<'_>> {
        let Message { epoch, content } = self.taken.insert(self.messages.pop_front()?);
        let token = Token {
            assignment,
            epoch: *epoch,
        };
        Some(match content {
            Content::Reply(held) => Output::Reply(Reply {
                token,
                outgoing: held.iter().next()?,
            }),
            Content::Forward {
                home,
                key,
                value,
                headers,
            } => Output::Forward(Forward {
                token,
                home: i32::try_from(*home).unwrap_or(0),
                key: Some(key),
                value: value.as_deref(),
                headers: Block(headers),
            }),
        })
    }
}
