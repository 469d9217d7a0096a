//! Sends the replies of `immediate` mode at once, by idempotent producers.
//!
//! | room | subject |
//! |---|---|
//! | [`default`] | the default reply topic: nothing expires, and replies that cannot be written wait |
//! | [`named`] | topics that clients name: replies that cannot be written go to the default topic |
//! | [`threaded`] | a producer that a thread of its own serves |
//! | [`reported`] | the results in delivery reports |
//! | [`pace`] | the choice between two producers: at once or in bulk |
//!
//! Default and named topics have producers of their own, so that a client's topic that cannot be written takes
//! no room from the replies of others.

mod default;
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

/// The results of serving the producers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    /// Replies that came back with an error, and are sent again or to another topic.
    pub returned: usize,
    /// Replies that went to the default topic instead of the requested one.
    pub undelivered: Tally,
}

/// Sends the replies of `immediate` mode.
pub(crate) struct ReplyProducer {
    default: DefaultReplies,
    named: NamedReplies,
}

impl ReplyProducer {
    /// Creates a sender for one default reply topic.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub(crate) fn new(
        connection: &Connection,
        topic: &str,
        directory: Arc<Directory>,
    ) -> Result<ReplyProducer, Error> {
        Ok(ReplyProducer {
            default: DefaultReplies::new(connection, topic, Arc::clone(&directory))?,
            named: NamedReplies::new(connection, directory)?,
        })
    }

    /// Takes a reply. [`ReplyProducer::flush`] sends it at the latest.
    ///
    /// # Errors
    /// The producer is no longer usable.
    pub(crate) fn send(&mut self, reply: &Reply<'_>) -> Result<(), Error> {
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

    /// Sends the replies that were taken in this turn, or keeps them until there is room.
    ///
    /// # Errors
    /// The producer is no longer usable.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.default.flush()
    }

    /// Number of partitions of the default topic that can be written, looked up now. A producer refuses a
    /// record for a partition that it does not know yet.
    ///
    /// # Errors
    /// A broker did not answer.
    /// No answer from a broker.
    pub(crate) fn default_partitions(&self) -> Result<u32, Error> {
        self.default.partitions()
    }

    /// True while records may be taken: no reply waits for room or for the other producer.
    pub(crate) fn has_room(&mut self) -> bool {
        self.default.has_room() && self.named.has_room()
    }

    /// Serves delivery reports, sends returned replies again, and passes acknowledgements on.
    ///
    /// # Errors
    /// The producer of the default topic is no longer usable: its fatal error.
    pub(crate) fn serve(
        &mut self,
        mut acknowledged: impl FnMut(Token, u64),
    ) -> Result<Served, Error> {
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
    pub(crate) fn queued(&self) -> i32 {
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
