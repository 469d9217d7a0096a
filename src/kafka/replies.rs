//! Sends the replies of `immediate` mode at once, by idempotent producers.
//!
//! | room | subject |
//! |---|---|
//! | [`default`] | the default reply topic: nothing expires, what cannot be written waits |
//! | [`named`] | topics that clients name: what cannot be written goes to the default topic |
//! | [`lane`] | one producer |
//! | [`threaded`] | one that is served by a thread of its own |
//! | [`reported`] | what its delivery reports say |
//! | [`pace`] | which of two, at once or in bulk |
//!
//! The two have producers of their own, so that a client's topic that cannot be written takes no
//! room from anybody else's replies.

mod default;
pub(super) mod lane;
mod named;
mod pace;
mod reported;
mod threaded;

use std::sync::Arc;

use super::clients::Connection;
use super::directory::Directory;
use super::error::Error;
use super::undelivered::Tally;
use crate::processor::checkpoint::{Destination, Outgoing};
use crate::processor::partition::Reply;
use crate::processor::replies::Token;
use crate::wire::headers::Block;
pub(super) use default::BATCH_REPLIES;
use default::DefaultReplies;
use named::NamedReplies;
pub(super) use named::partition;
pub(super) use pace::BACKLOG_REPLIES;

/// What came of serving the producers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    /// Replies that came back with an error, and are sent again or elsewhere.
    pub returned: usize,
    /// Replies that went to the default topic in the place of the one that was asked for.
    pub undelivered: Tally,
}

/// Sends replies.
pub struct ReplyProducer {
    default: DefaultReplies,
    named: NamedReplies,
}

impl ReplyProducer {
    /// For one default reply topic.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub fn new(
        connection: &Connection,
        topic: &str,
        directory: Arc<Directory>,
    ) -> Result<ReplyProducer, Error> {
        Ok(ReplyProducer {
            default: DefaultReplies::new(connection, topic, Arc::clone(&directory))?,
            named: NamedReplies::new(connection, directory)?,
        })
    }

    /// Takes a reply; [`ReplyProducer::flush`] sends it at the latest.
    ///
    /// # Errors
    /// The producer is of no more use.
    pub fn send(&mut self, reply: &Reply<'_>) -> Result<(), Error> {
        let Reply { token, outgoing } = reply;
        let Outgoing {
            destination,
            key,
            body,
            headers,
        } = *outgoing;
        match destination {
            Destination::Default { partition } => {
                self.default.send(*token, partition, key, body, headers)
            }
            Destination::Named { .. } => {
                self.named.send(*token, outgoing);
                self.reroute()
            }
        }
    }

    /// Sends what was taken in this turn, or keeps it until there is room.
    ///
    /// # Errors
    /// The producer is of no more use.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.default.flush()
    }

    /// Partitions of the default topic that can be written to, looked up now: a producer refuses what
    /// goes to a partition that it does not know yet.
    ///
    /// # Errors
    /// No answer from a broker.
    pub fn default_partitions(&self) -> Result<u32, Error> {
        self.default.partitions()
    }

    /// True while records may be taken: no reply waits for room or for the other producer.
    pub fn has_room(&mut self) -> bool {
        self.default.has_room() && self.named.has_room()
    }

    /// Serves delivery reports, sends again what came back, and passes on what was acknowledged.
    ///
    /// # Errors
    /// The producer of the default topic is of no more use: its fatal error.
    pub fn serve(&mut self, mut acknowledged: impl FnMut(Token, u64)) -> Result<Served, Error> {
        let mut returned = self.named.serve(&mut acknowledged);
        self.reroute()?;
        returned += self.default.serve(&mut acknowledged)?;
        let mut undelivered = self.named.take_tally();
        undelivered.merge(self.default.take_tally());
        Ok(Served {
            returned,
            undelivered,
        })
    }

    /// Replies that are not acknowledged yet, as far as their producers know.
    pub fn queued(&self) -> i32 {
        self.default
            .in_flight()
            .saturating_add(self.named.pending())
    }

    fn reroute(&mut self) -> Result<(), Error> {
        while let Some(reply) = self.named.next_undelivered() {
            self.default.send(
                reply.token,
                reply.fallback,
                reply.key.as_deref(),
                &reply.body,
                Block(&reply.headers),
            )?;
        }
        Ok(())
    }
}
