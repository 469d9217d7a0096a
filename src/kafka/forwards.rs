//! Forwards strays to their home partition of the request topic.
//!
//! Strays go outside any transaction, in both modes, and never expire: a checkpoint that covers a stray waits
//! for its acknowledgement. A home partition accepts a chain only without a gap, so the order of the chain is
//! always kept: one batch at a time, and a producer that stops at a gap (`enable.gapless.guarantee`). After
//! that a new producer gets all unacknowledged strays again, in order. The home partition drops repeats.

mod shares;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::clients::{Connection, with_batches};
use super::directory::Directory;
use super::error::Error;
use super::produce::{BatchSize, Enqueued, Outgoing, Producer, Topic};
use crate::processor::partition::Forward;
use crate::processor::replies::Token;
use crate::wire::headers::Block;
pub(crate) use shares::Changes;
use shares::Shares;

/// Pause before a stopped producer is created again.
const RENEWAL_PAUSE: Duration = Duration::from_millis(500);

struct Parcel {
    token: Token,
    source: i32,
    home: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

impl Parcel {
    fn bytes(&self) -> usize {
        let length = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        length(&self.key) + length(&self.value) + self.headers.len()
    }
}

/// Sends strays to their home partitions.
pub(crate) struct ForwardProducer {
    connection: Connection,
    topic: String,
    directory: Arc<Directory>,
    /// Known when the first producer is created.
    size: Option<BatchSize>,
    /// Created when the first stray comes: most services never have one.
    sender: Option<Topic>,
    /// The strays by number, in the order of the chains.
    parcels: BTreeMap<u64, Parcel>,
    shares: Shares,
    next: u64,
    /// Numbers below this one have been handed to the producer.
    handed_over: u64,
    renew_at: Option<Instant>,
}

impl ForwardProducer {
    /// Creates a forwarder for one request topic.
    pub(crate) fn new(
        connection: &Connection,
        topic: &str,
        directory: Arc<Directory>,
    ) -> ForwardProducer {
        ForwardProducer {
            connection: connection.clone(),
            topic: topic.to_owned(),
            directory,
            size: None,
            sender: None,
            parcels: BTreeMap::new(),
            shares: Shares::default(),
            next: 0,
            handed_over: 0,
            renew_at: None,
        }
    }

    /// Takes a stray that was found in partition `source`.
    pub(crate) fn send(&mut self, source: i32, forward: &Forward<'_>) {
        let parcel = Parcel {
            token: forward.token,
            source,
            home: forward.home,
            key: forward.key.map(<[u8]>::to_vec),
            value: forward.value.map(<[u8]>::to_vec),
            headers: forward.headers.0.to_vec(),
        };
        self.shares.add(source, parcel.bytes());
        self.parcels.insert(self.next, parcel);
        self.next += 1;
        self.hand_over();
    }

    /// The sources that must wait from now on, and the sources that may go on, among this number of partitions.
    pub(crate) fn changes(&mut self, partitions: usize) -> Changes {
        self.shares.changes(partitions)
    }

    /// True while a source's share is full: its records are skipped, and read again later.
    pub(crate) fn is_waiting(&self, source: i32) -> bool {
        self.shares.is_waiting(source)
    }

    /// Notes that these sources are no longer owned. Strays found in them are still forwarded.
    pub(crate) fn forget(&mut self, partitions: &[i32]) {
        self.shares.forget(partitions);
    }

    /// The home partitions that a source's strays wait for.
    pub(crate) fn homes_of(&self, source: i32) -> BTreeSet<i32> {
        let of_source = |parcel: &&Parcel| parcel.source == source;
        let parcels = self.parcels.values().filter(of_source);
        parcels.map(|parcel| parcel.home).collect()
    }

    /// Number of strays that are not acknowledged.
    pub(crate) fn pending(&self) -> i32 {
        i32::try_from(self.parcels.len()).unwrap_or(i32::MAX)
    }

    /// Serves delivery reports, and passes acknowledgements on.
    pub(crate) fn serve(&mut self, mut acknowledged: impl FnMut(Token, u64)) {
        let (mut done, mut problem) = (Vec::new(), None);
        if let Some(sender) = &self.sender {
            let producer = sender.producer();
            producer.serve_ready(Duration::ZERO, |report| match report.result {
                Ok(_) => done.push(report.opaque as u64),
                // The other errors only say that the producer has stopped because of the first one.
                Err(error) if problem.as_ref().is_none_or(|p: &Error| !p.is_too_large()) => {
                    problem = Some(error);
                }
                Err(_) => {}
            });
        }
        // Reports that are served then are only logged.
        if self.parcels.is_empty() {
            return;
        }
        for number in done {
            if let Some(parcel) = self.parcels.remove(&number) {
                self.shares.remove(parcel.source, parcel.bytes());
                acknowledged(parcel.token, 1);
            }
        }
        if let Some(error) = problem {
            self.stop(&error);
        }
        self.hand_over();
    }

    /// Stops the producer: from now on nothing of it counts, and all unacknowledged strays are sent again.
    fn stop(&mut self, error: &Error) {
        warn!(%error, strays = self.parcels.len(), "strays came back and are forwarded again");
        // A gapless producer stops because of this error, and then only reports that it has stopped.
        let fatal = self
            .sender
            .as_ref()
            .and_then(|sender| sender.producer().fatal("forward"));
        let too_large = error.is_too_large() || fatal.is_some_and(|fatal| fatal.is_too_large());
        if too_large && let Some(size) = &mut self.size {
            size.refused(&self.directory);
        }
        self.sender = None;
        self.handed_over = 0;
        self.renew_at = Some(Instant::now() + RENEWAL_PAUSE);
    }

    fn hand_over(&mut self) {
        if self.renew_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.renew_at = None;
        if self.sender.is_none() {
            match self.sender() {
                Ok(sender) => self.sender = Some(sender),
                Err(error) => return self.stop(&error),
            }
        }
        let Some(sender) = &self.sender else { return };
        let mut refused = None;
        for (number, parcel) in self.parcels.range(self.handed_over..) {
            let record = Outgoing {
                partition: parcel.home,
                key: parcel.key.as_deref(),
                value: parcel.value.as_deref(),
                headers: Block(&parcel.headers),
                opaque: usize::try_from(*number).unwrap_or(usize::MAX),
            };
            match sender.produce(record) {
                Ok(Enqueued::Yes) => self.handed_over = number + 1,
                Ok(Enqueued::QueueFull) => break,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = refused {
            self.stop(&error);
        }
    }

    fn sender(&mut self) -> Result<Topic, Error> {
        let (connection, directory) = (&self.connection, &self.directory);
        let size = self.size.get_or_insert_with(|| {
            let mut size = BatchSize::new(connection, &self.topic);
            size.ask(directory);
            size
        });
        // The limit may have been raised since the last producer was created.
        size.look_again(directory);
        let config = with_batches(connection.forward_producer(), size.batch_bytes());
        Producer::new(&config)?.topic(&self.topic)
    }
}
