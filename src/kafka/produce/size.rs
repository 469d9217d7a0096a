//! The size limit of a batch for one topic.
//!
//! A broker refuses a batch above the topic's `max.message.bytes`. librdkafka does not split a refused batch:
//! made again, it would be the same. So producers fill their batches only up to the topic's limit, as far as it
//! is known. A refusal shows that the limit is lower: an operator has lowered it, or the service may not ask
//! for it. Then the limit is asked for again, and halved if no answer explains the refusal. The producer is
//! created again with the smaller size. A limit below the size that producers would fill is asked for
//! regularly: it may be raised again.

use std::time::{Duration, Instant};

use tracing::warn;

use crate::kafka::admin::TopicAccess;
use crate::kafka::clients::Connection;
use crate::kafka::directory::Directory;
use crate::wire::headers::{Block, UNDELIVERED, block};
use crate::wire::route::Undelivered;

/// Most bytes of a batch besides its records.
pub const BATCH_OVERHEAD_BYTES: usize = 61;
/// Most bytes of a record besides key, value and headers.
pub const RECORD_OVERHEAD_BYTES: usize = 64;
/// A guess is never below this: nearly every reply and every entry of the state is smaller.
const GUESS_BYTES_MIN: usize = 1_000;
/// How often a low limit is asked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long a question about a topic may take: many times what a broker needs. Without an answer the topic is
/// tried.
const QUESTION_DEADLINE: Duration = Duration::from_millis(500);

/// The limit of one topic, as far as it is known.
#[derive(Clone, Debug)]
pub struct BatchSize {
    topic: String,
    /// The size in the configuration of the operator or librdkafka.
    configured: usize,
    /// `max.message.bytes`, if it is known or had to be guessed.
    limit: Option<usize>,
    asked_at: Instant,
}

impl BatchSize {
    /// The limit of a topic about which nothing is known yet.
    pub fn new(connection: &Connection, topic: &str) -> BatchSize {
        BatchSize {
            topic: topic.to_owned(),
            configured: connection.batch_bytes(),
            limit: None,
            asked_at: Instant::now(),
        }
    }

    /// Asks again if the limit is low and the question is due. True when batches may be larger.
    pub fn look_again(&mut self, directory: &Directory) -> bool {
        let before = self.batch_bytes();
        if before >= self.configured || self.asked_at.elapsed() < LOOK_AGAIN {
            return false;
        }
        self.ask(directory);
        self.batch_bytes() > before
    }

    /// Asks a broker for the topic's limit.
    pub fn ask(&mut self, directory: &Directory) {
        self.asked_at = Instant::now();
        let access = directory.access(&self.topic, QUESTION_DEADLINE);
        self.know(access.ok().flatten());
    }

    /// Takes a broker's answer, if it gave one.
    pub fn know(&mut self, access: Option<TopicAccess>) {
        let limit = access.and_then(|access| access.batch_bytes_max);
        self.limit = limit.or(self.limit);
    }

    /// Notes that a batch was refused as too large, so batches become smaller. False when they cannot.
    pub fn refused(&mut self, directory: &Directory) -> bool {
        let before = self.batch_bytes();
        let access = directory.access(&self.topic, QUESTION_DEADLINE).ok();
        self.lower(access.flatten().and_then(|access| access.batch_bytes_max));
        let batch_bytes_max = self.batch_bytes();
        let smaller = batch_bytes_max < before;
        if smaller {
            warn!(
                topic = self.topic,
                batch_bytes_max, "a batch was refused as too large; they become smaller"
            );
        }
        smaller
    }

    /// Lowers the limit. `found` is the limit that a broker gave.
    fn lower(&mut self, found: Option<usize>) {
        let held = self.batch_bytes() + BATCH_OVERHEAD_BYTES;
        let lower = found.filter(|found| *found < held);
        self.limit = Some(lower.unwrap_or((held / 2).max(GUESS_BYTES_MIN.min(held))));
    }

    /// The `batch.size` of a producer.
    pub fn batch_bytes(&self) -> usize {
        let limit = self.limit.unwrap_or(usize::MAX);
        let limit = limit.saturating_sub(BATCH_OVERHEAD_BYTES).max(1);
        self.configured.min(limit)
    }

    /// True when the topic takes a record with this number of bytes of key, value and headers.
    pub fn fits(&self, bytes: usize) -> bool {
        let batch = bytes + RECORD_OVERHEAD_BYTES + BATCH_OVERHEAD_BYTES;
        self.limit.is_none_or(|limit| batch <= limit)
    }

    /// The headers of a reply that does not fit: the largest are left out, as many as needed, and the reason is
    /// added. None when the topic does not take the reply even without any: then it waits. `bytes` is the size
    /// of key and value.
    pub fn shrunk(
        &self,
        bytes: usize,
        headers: Block<'_>,
        reason: &Undelivered,
    ) -> Option<Vec<u8>> {
        let mut kept: Vec<_> = headers.iter().collect();
        let told = kept.iter().any(|(name, _)| *name == UNDELIVERED);
        loop {
            let mut shrunk = Vec::new();
            for (name, value) in &kept {
                block::push(&mut shrunk, name, value);
            }
            if !told {
                reason.push(&mut shrunk);
            }
            if self.fits(bytes + shrunk.len()) {
                return Some(shrunk);
            }
            let sizes = kept.iter().enumerate();
            let droppable = sizes.filter(|(_, (name, _))| *name != UNDELIVERED);
            let largest = droppable.max_by_key(|(_, (name, value))| name.len() + value.len());
            let (index, _) = largest?;
            kept.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::route::Cause;

    fn size(configured: usize, limit: Option<usize>) -> BatchSize {
        BatchSize {
            topic: "t".to_owned(),
            configured,
            limit,
            asked_at: Instant::now(),
        }
    }

    #[test]
    fn a_batch_is_filled_up_to_the_lower_of_two_limits() {
        assert_eq!(size(1_000_000, None).batch_bytes(), 1_000_000);
        assert_eq!(size(1_000_000, Some(1_048_588)).batch_bytes(), 1_000_000);
        assert_eq!(size(1_000_000, Some(20_000)).batch_bytes(), 19_939);
        assert_eq!(size(500, Some(20_000)).batch_bytes(), 500);
    }

    #[test]
    fn a_refused_batch_is_never_made_again_as_large() {
        for found in [None, Some(1_048_588), Some(20_000)] {
            let mut size = size(1_000_000, None);
            let mut before = size.batch_bytes();
            while before + BATCH_OVERHEAD_BYTES > GUESS_BYTES_MIN {
                size.lower(found);
                assert!(size.batch_bytes() < before, "{found:?} {before}");
                before = size.batch_bytes();
            }
        }
        let mut known = size(1_000_000, None);
        known.lower(Some(20_000));
        assert_eq!(known.batch_bytes(), 19_939, "as the broker says");
    }

    #[test]
    fn a_reply_that_does_not_fit_keeps_what_fits_and_says_why() {
        let mut headers = Vec::new();
        block::push(&mut headers, "kafka_correlationId", &[7; 16]);
        block::push(&mut headers, "traceparent", &[8; 3_000]);
        block::push(&mut headers, "tracestate", &[9; 2_000]);
        let reason = Undelivered::new(Cause::ReplyTooLarge, "too large");
        let names = |limit| {
            let size = size(1_000_000, Some(limit));
            let shrunk = size.shrunk(100, Block(&headers), &reason)?;
            let names = Block(&shrunk).iter().map(|(name, _)| name.to_owned());
            Some(names.collect::<Vec<_>>().join(" "))
        };
        for (limit, kept) in [
            (
                4_000,
                Some("kafka_correlationId tracestate sequencer-undelivered"),
            ),
            (400, Some("kafka_correlationId sequencer-undelivered")),
            (300, Some("sequencer-undelivered")),
            (200, None),
        ] {
            assert_eq!(names(limit).as_deref(), kept, "{limit}");
        }
        let small = size(1_000_000, Some(300));
        let told = small.shrunk(100, Block(&headers), &reason).unwrap();
        let again = small.shrunk(100, Block(&told), &reason);
        assert_eq!(Some(told), again, "the reason is there once");
    }
}
