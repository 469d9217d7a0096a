//! One transactional producer. Each call has a deadline.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{Producer as _, PurgeConfig};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Topics;
use super::delivery::{Deliveries, ReplyTo, Sent};
use super::sizes::{Role, Sizes};
use crate::kafka::clients::{Connection, with_batches};
use crate::kafka::consumer::GroupMetadata;
use crate::kafka::error::{Class, Error};
use crate::kafka::produce::{self, OpenTopics, Producer, Report, Topic};
use crate::kafka::undelivered::undelivered;
use crate::processor::checkpoint::{Checkpoint, Choice, Destination, Outgoing, Section, Written};
use crate::wire::headers::{Block, block};
use crate::wire::route::Cause;
use crate::wire::state::BATCH_HEADER;

/// The step of a wait for delivery reports. rust-rdkafka's own flush polls 100 ms at a time, even when
/// everything is delivered. Without it, a transaction takes 4 ms instead of 100 ms.
const REPORT_POLL: Duration = Duration::from_millis(1);

/// Records in one call: enough to make the cost of the call itself negligible.
const BATCH_RECORDS: usize = 256;
/// The wait for the reports of a transaction that has failed.
const REFUSAL_WAIT: Duration = Duration::from_millis(200);
/// Upper limit for the replies to clients' topics that are searched for replies in progress. Those before
/// them are acknowledged, or their topic takes large batches.
const UNDER_WAY_MAX: usize = 10_000;
/// The part of the time after which a topic is unwritable that replies may take when they go one by one: a
/// tenth of the transaction's time. All others in the transaction wait for them.
const ONE_BY_ONE_PART: u32 = 5;
/// How long an abort waits for the answers to produce requests: as long as the new producer takes that is made
/// otherwise.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// How long a new topic may take until the producer has heard of it, and the interval of the checks.
const KNOWN_WAIT: Duration = Duration::from_secs(1);
const KNOWN_POLL: Duration = Duration::from_millis(20);
/// How long the metadata of a topic that has grown may take.
const METADATA_DEADLINE: Duration = Duration::from_secs(1);

/// Opaque of a reply to the default topic. The opaque of a state record is the index of its section plus one.
const REPLY: usize = 0;
/// Opaque of a page of the ledger; above any number of sections.
const PAGE: usize = NAMED - 1;
/// Opaque of the first reply to a topic that a client named; above any number of sections.
const NAMED: usize = 1 << 32;
/// The bits above these hold the number of the transaction: records that were purged from an aborted
/// transaction may be reported during the next one.
const TRANSACTION_SHIFT: u32 = 40;
/// The number of a transaction has this number of bits.
const TRANSACTION_MASK: usize = (1 << 20) - 1;

#[derive(Default)]
struct Progress {
    /// The number of the transaction.
    transaction: usize,
    failed: Option<Error>,
    written: Vec<Option<Written>>,
    /// Replies to topics that clients named.
    named: Vec<Sent>,
    refused: Vec<(usize, Error)>,
    /// The topic whose batch was too large.
    too_large: Option<Role>,
    /// True when a broker may still write a record whose report was an error.
    unanswered: bool,
}

impl Progress {
    fn add(&mut self, report: Report<'_>) {
        if report.opaque >> TRANSACTION_SHIFT != self.transaction {
            return;
        }
        self.unanswered |= report.is_unanswered;
        let opaque = report.opaque & ((1 << TRANSACTION_SHIFT) - 1);
        let named = opaque.checked_sub(NAMED);
        if let Some(sent) = named.and_then(|index| self.named.get_mut(index)) {
            sent.done = true;
        }
        match report.result {
            Err(error) => {
                if let Some(index) = named {
                    self.refused.push((index, error.clone()));
                } else if error.is_too_large() {
                    self.too_large = Some(match opaque {
                        REPLY => Role::Replies,
                        PAGE => Role::Ledger,
                        _ => Role::State,
                    });
                }
                // A record that was purged with its transaction says nothing about the reason.
                if self.failed.as_ref().is_none_or(Error::is_purged) {
                    self.failed = Some(error);
                }
            }
            Ok(_) if opaque == REPLY || opaque == PAGE || named.is_some() => {}
            Ok(offset) => {
                if let Some(written) = self.written.get_mut(opaque - 1) {
                    let (first, last) = written.map_or((offset, offset), |w| {
                        (w.first.min(offset), w.last.max(offset))
                    });
                    *written = Some(Written { first, last });
                }
            }
        }
    }
}

/// Waits until the producer has heard of the topic, or for [`KNOWN_WAIT`]. Returns the number of its partitions. Brokers hear of a new topic one
/// after another, and a topic that does not exist must not keep the producer from being made. Without this, a
/// batch that is handed over before (`rd_kafka_produce_batch`) puts the partition -1 into the transaction,
/// where librdkafka keeps records without a partition. The coordinator refuses that partition until the
/// transaction has timed out: five seconds of the first start.
fn known(topic: &Topic, wait: Duration) -> Result<u32, Error> {
    const OPERATION: &str = "look at a topic";
    let client = topic.producer().base().client();
    let patience = Instant::now() + KNOWN_WAIT.min(wait);
    loop {
        let found = client.fetch_metadata(Some(topic.name()), wait);
        let found = found
            .map_err(|error| Error::from_client(OPERATION, &error, client).about(topic.name()))?;
        let heard =
            |topic: &MetadataTopic| topic.error().is_none() && !topic.partitions().is_empty();
        if found.topics().iter().all(heard) || Instant::now() >= patience {
            let partitions = found.topics().first().map(|topic| topic.partitions().len());
            return Ok(u32::try_from(partitions.unwrap_or(0)).unwrap_or(u32::MAX));
        }
        std::thread::sleep(KNOWN_POLL);
    }
}

/// A producer after `init_transactions`, which knows its topics.
pub(crate) struct TransactionalProducer {
    producer: Producer,
    state: Topic,
    replies: Topic,
    ledger: Topic,
    /// The open topics that clients named.
    named: RefCell<OpenTopics>,
    progress: RefCell<Progress>,
    topics: Topics,
    sizes: Sizes,
    refused: Cell<Option<Role>>,
    /// Number of partitions of the state topic that the producer knows.
    reach: Cell<u32>,
}

impl TransactionalProducer {
    /// Fences every earlier producer of this instance and settles its transaction.
    pub(super) fn new(
        connection: &Connection,
        topics: &Topics,
        sizes: Sizes,
        deadline: Duration,
    ) -> Result<TransactionalProducer, Error> {
        let began = Instant::now();
        let config = with_batches(connection.transactional_producer(), sizes.batch_bytes());
        let producer = Producer::new(&config)?;
        let open = |name: &str| {
            let topic = producer.topic(name)?;
            let partitions = known(&topic, deadline.saturating_sub(began.elapsed()))?;
            Ok((topic, partitions))
        };
        let ((state, reach), (replies, _)) = (open(&topics.state)?, open(&topics.replies)?);
        let (ledger, _) = open(&topics.ledger)?;
        let left = deadline.saturating_sub(began.elapsed());
        let base = producer.base();
        base.init_transactions(left).map_err(|error| {
            Error::from_client("init transactions", &error, base.client()).about(&format!(
                "transactional.id {}",
                connection.transactional_id()
            ))
        })?;
        Ok(TransactionalProducer {
            state,
            replies,
            ledger,
            named: RefCell::new(OpenTopics::new(producer.clone())),
            producer,
            progress: RefCell::default(),
            topics: topics.clone(),
            sizes,
            refused: Cell::default(),
            reach: Cell::new(reach),
        })
    }

    /// The topic whose batch was refused as too large since the last call.
    pub(super) fn take_refused(&self) -> Option<Role> {
        self.refused.take()
    }

    pub(super) fn begin(&self) -> Result<(), Error> {
        let base = self.producer.base();
        base.begin_transaction()
            .map_err(|error| self.error("begin transaction", &error))
    }

    /// Produces everything and waits until all of it is acknowledged (T1). Returns the positions of the
    /// sections' state records.
    pub(super) fn produce(
        &self,
        checkpoint: &Checkpoint,
        timeout: Duration,
        deliveries: &mut Deliveries,
        cancelled: impl Fn() -> bool,
    ) -> Result<Vec<Option<Written>>, Error> {
        let began = Instant::now();
        let deadline = began + timeout;
        let transaction = self.progress.borrow().transaction;
        *self.progress.borrow_mut() = Progress {
            transaction: (transaction + 1) & TRANSACTION_MASK,
            written: vec![None; checkpoint.sections.len()],
            ..Progress::default()
        };
        self.reach_for(checkpoint, deadline);
        let produced = self
            .produce_all(checkpoint, (began, deadline), deliveries)
            .and_then(|()| self.acknowledged(began, deadline, deliveries, cancelled));
        let failed = self.progress.borrow().failed.is_some();
        if failed || produced.as_ref().is_err_and(Error::is_about_producer) {
            self.drain_reports();
        }
        let mut progress = self.progress.borrow_mut();
        self.refused.set(progress.too_large);
        let Progress { named, refused, .. } = &*progress;
        for (index, error) in refused.iter().filter(|(_, e)| !e.is_about_producer()) {
            if let Some(sent) = named.get(*index) {
                deliveries.refused(sent, error);
            }
        }
        if let Some(error) = progress.failed.take() {
            return Err(error);
        }
        produced?;
        let written = std::mem::take(&mut progress.written);
        let mut sections = checkpoint.sections.iter().zip(&written);
        if sections.any(|(section, written)| written.is_none() && !section.batch.is_empty()) {
            return Err(aborted("a batch was not acknowledged"));
        }
        Ok(written)
    }

    /// Looks at the topics again when they have grown since the last look. A producer that has not heard of a
    /// partition keeps its records until it looks by itself, and the whole transaction waits for them.
    fn reach_for(&self, checkpoint: &Checkpoint, deadline: Instant) {
        let partitions = checkpoint.sections.iter().map(|section| section.partition);
        let wanted = partitions
            .max()
            .and_then(|last| u32::try_from(last + 1).ok());
        let Some(wanted) = wanted.filter(|wanted| *wanted > self.reach.get()) else {
            return;
        };
        let until = deadline.min(Instant::now() + KNOWN_WAIT);
        let left = || until.saturating_duration_since(Instant::now());
        // Without an answer, the producer tries to write.
        let look = |topic: &Topic| self.producer.partitions(topic.name(), left()).ok();
        // The ledger may have fewer partitions, and then takes no records of this one.
        look(&self.ledger);
        loop {
            let found = look(&self.state).unwrap_or(0);
            self.reach.set(found.max(self.reach.get()));
            if found >= wanted || left().is_zero() {
                return;
            }
            std::thread::sleep(KNOWN_POLL);
        }
    }

    /// Serves reports after a failure. The report of the record that failed may come behind the reports of
    /// records that went with their transaction, and behind the producer's refusal of more records.
    fn drain_reports(&self) {
        let mut progress = self.progress.borrow_mut();
        let deadline = Instant::now() + REFUSAL_WAIT;
        self.producer
            .serve_all(deadline, |report| progress.add(report));
    }

    fn produce_all(
        &self,
        checkpoint: &Checkpoint,
        (began, deadline): (Instant, Instant),
        deliveries: &mut Deliveries,
    ) -> Result<(), Error> {
        let replies = &self.replies;
        let mut batch = produce::Batch::default();
        for section in &checkpoint.sections {
            for reply in section.replies.iter() {
                match reply.destination {
                    Destination::Default { partition } => {
                        let shrunk = self.shrunk(&reply, reply.headers);
                        if shrunk.is_some() {
                            deliveries.shrunk();
                        }
                        let record = produce::Outgoing {
                            partition,
                            key: reply.key,
                            value: Some(reply.body),
                            headers: shrunk.as_deref().map_or(reply.headers, Block),
                            opaque: REPLY,
                        };
                        self.collect(replies, &mut batch, record, deadline)?;
                    }
                    Destination::Named {
                        topic,
                        partition,
                        fallback,
                    } => {
                        self.produce_together(replies, &mut batch, deadline)?;
                        let place = (topic, partition, fallback);
                        self.produce_named(place, &reply, (began, deadline), deliveries)?;
                    }
                }
            }
        }
        self.produce_together(replies, &mut batch, deadline)?;
        for section in &checkpoint.sections {
            self.produce_ledger(section, &mut batch, deadline)?;
        }
        for (index, section) in checkpoint.sections.iter().enumerate() {
            self.produce_state(section, index + 1, &mut batch, deadline)?;
        }
        Ok(())
    }

    /// Collects a record, which is produced together with others of its topic.
    fn collect(
        &self,
        topic: &Topic,
        batch: &mut produce::Batch,
        record: produce::Outgoing<'_>,
        deadline: Instant,
    ) -> Result<(), Error> {
        batch.push(self.numbered(record));
        if batch.len() >= BATCH_RECORDS {
            self.produce_together(topic, batch, deadline)?;
        }
        Ok(())
    }

    /// Produces many records of one topic in one call.
    fn produce_together(
        &self,
        topic: &Topic,
        batch: &mut produce::Batch,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        topic.produce_all(batch, |record, _| {
            if result.is_ok() {
                result = self.enqueue(topic, record, deadline);
            }
        });
        result
    }

    /// Produces ledger pages into the partition with the number of the requests' partition, so that one
    /// partition holds a whole sequence.
    fn produce_ledger(
        &self,
        section: &Section,
        batch: &mut produce::Batch,
        deadline: Instant,
    ) -> Result<(), Error> {
        let ledger = &self.ledger;
        let mut result = Ok(());
        section.ledger.each_page(|key, value| {
            let record = produce::Outgoing {
                partition: section.partition,
                key: Some(key),
                value: Some(value),
                headers: Block::EMPTY,
                opaque: PAGE,
            };
            if result.is_ok() {
                result = self.collect(ledger, batch, record, deadline);
            }
        });
        result?;
        self.produce_together(ledger, batch, deadline)
    }

    /// Waits until all records are acknowledged. A reply that a client's topic does not take in time is
    /// undeliverable, provided that everything else was taken.
    fn acknowledged(
        &self,
        began: Instant,
        deadline: Instant,
        deliveries: &mut Deliveries,
        cancelled: impl Fn() -> bool,
    ) -> Result<(), Error> {
        let unwritable = began + deliveries.deadline;
        while self.producer.in_flight() > 0 {
            self.poll();
            let progress = self.progress.borrow();
            if progress.failed.is_some() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= unwritable {
                self.late(&progress, deliveries)?;
            }
            if cancelled() || now >= deadline {
                if !progress.named.is_empty() {
                    deliveries.doubt();
                }
                return Err(aborted("not every record was acknowledged in time"));
            }
        }
        Ok(())
    }

    /// Returns an error when replies to clients' topics are all that is still waited for.
    fn late(&self, progress: &Progress, deliveries: &mut Deliveries) -> Result<(), Error> {
        let late: Vec<&Sent> = progress.named.iter().filter(|sent| !sent.done).collect();
        let waited_for = usize::try_from(self.producer.in_flight()).unwrap_or(0);
        if late.is_empty() || waited_for > late.len() {
            return Ok(());
        }
        late.into_iter().for_each(|sent| deliveries.late(sent));
        Err(aborted("a client's reply topic was not written in time"))
    }

    fn produce_named(
        &self,
        (topic, choice, fallback): (&str, Choice, i32),
        reply: &Outgoing<'_>,
        (began, deadline): (Instant, Instant),
        deliveries: &mut Deliveries,
    ) -> Result<(), Error> {
        let mut record = produce::Outgoing {
            partition: fallback,
            key: reply.key,
            value: Some(reply.body),
            headers: reply.headers,
            opaque: REPLY,
        };
        let patience = began + deliveries.deadline / ONE_BY_ONE_PART;
        let mut reply_to = deliveries.reply_to(topic, choice, reply);
        if let ReplyTo::Named { sent, .. } = &reply_to
            && !self.has_turn(sent, patience)?
        {
            // The reply was not sent, so the transaction is whole, and no other reply waits for its topic.
            reply_to = deliveries.too_slow(sent);
        }
        match reply_to {
            ReplyTo::Elsewhere(undelivered) => {
                let mut block = reply.headers.0.to_vec();
                undelivered.push(&mut block);
                if let Some(shrunk) = self.shrunk(reply, Block(&block)) {
                    block = shrunk;
                }
                record.headers = Block(&block);
                self.enqueue(&self.replies, record, deadline)
            }
            ReplyTo::Named { partition, sent } => {
                let alone = sent.is_alone();
                let index = {
                    let mut progress = self.progress.borrow_mut();
                    progress.named.push(sent);
                    progress.named.len() - 1
                };
                record.partition = partition;
                record.opaque = NAMED + index;
                self.enqueue_named(topic, record, deadline)?;
                if alone {
                    let unwritable = began + deliveries.deadline;
                    self.until_reported(index, (unwritable, deadline), deliveries)?;
                }
                Ok(())
            }
        }
    }

    /// The shortened headers of a reply that is too large for the default topic with all of them.
    fn shrunk(&self, reply: &Outgoing<'_>, headers: Block<'_>) -> Option<Vec<u8>> {
        let size = &self.sizes.replies;
        let bytes = reply.key.map_or(0, <[u8]>::len) + reply.body.len();
        if size.fits(bytes + headers.0.len()) {
            return None;
        }
        let reason = undelivered(Cause::ReplyTooLarge, &self.topics.replies);
        size.shrunk(bytes, headers, &reason)
    }

    fn enqueue_named(
        &self,
        topic: &str,
        record: produce::Outgoing<'_>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut named = self.named.borrow_mut();
        let enqueued = self.enqueue(named.get(topic)?, record, deadline);
        enqueued.inspect_err(|error| {
            let mut progress = self.progress.borrow_mut();
            let index = record.opaque - NAMED;
            progress.refused.push((index, error.clone()));
        })
    }

    /// True when a reply may be sent now. Where it must not share a batch with those before it, this waits up
    /// to `patience` for them.
    ///
    /// The producer fills its batches up to a limit of its own. For a topic with a smaller limit, the replies
    /// in progress are kept few enough for one batch of that topic. So such a topic takes a few replies in
    /// each round trip, and many replies would take longer than their transaction may.
    fn has_turn(&self, next: &Sent, patience: Instant) -> Result<bool, Error> {
        if next.is_alone() {
            return Ok(Instant::now() < patience);
        }
        if next.fits(self.sizes.batch_bytes()) {
            return Ok(true);
        }
        loop {
            let progress = self.progress.borrow();
            let under_way = progress.named.iter().rev().take(UNDER_WAY_MAX);
            let bytes: usize = under_way
                .filter(|sent| !sent.done && sent.topic == next.topic)
                .map(Sent::bytes)
                .sum();
            if bytes == 0 || next.fits(bytes + next.bytes()) {
                return Ok(true);
            }
            if progress.failed.is_some() {
                return Err(aborted("a reply was refused"));
            }
            drop(progress);
            if Instant::now() >= patience {
                return Ok(false);
            }
            self.poll();
        }
    }

    /// Waits until a reply that is sent alone is acknowledged or refused.
    fn until_reported(
        &self,
        index: usize,
        (unwritable, deadline): (Instant, Instant),
        deliveries: &mut Deliveries,
    ) -> Result<(), Error> {
        loop {
            self.poll();
            let progress = self.progress.borrow();
            if progress.failed.is_some() {
                return Err(aborted("a reply was refused"));
            }
            if progress.named.get(index).is_none_or(|sent| sent.done) {
                return Ok(());
            }
            let now = Instant::now();
            if now >= unwritable {
                self.late(&progress, deliveries)?;
            }
            if now >= deadline {
                return Err(aborted("a reply was not acknowledged in time"));
            }
        }
    }

    fn produce_state(
        &self,
        section: &Section,
        opaque: usize,
        batch: &mut produce::Batch,
        deadline: Instant,
    ) -> Result<(), Error> {
        let state = &self.state;
        let mut tombstone = Vec::new();
        block::push(&mut tombstone, BATCH_HEADER, &section.batch_id.to_header());
        for (key, value) in section.batch.iter() {
            let record = produce::Outgoing {
                partition: section.partition,
                key: Some(key),
                value,
                headers: if value.is_some() {
                    Block::EMPTY
                } else {
                    Block(&tombstone)
                },
                opaque,
            };
            self.collect(state, batch, record, deadline)?;
        }
        self.produce_together(state, batch, deadline)
    }

    /// Enqueues a record. If its topic has grown since this producer read its metadata, they are read again.
    fn enqueue(
        &self,
        topic: &Topic,
        record: produce::Outgoing<'_>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let record = self.numbered(record);
        let enqueue = || {
            let mut progress = self.progress.borrow_mut();
            topic.produce_until(deadline, record, |report| progress.add(report))
        };
        let taken = match enqueue() {
            Err(error) if error.is_unknown_partition() => {
                known(topic, METADATA_DEADLINE)?;
                enqueue()
            }
            taken => taken,
        };
        match taken? {
            true => Ok(()),
            false => Err(aborted("the producer's queue stayed full")),
        }
    }

    /// Adds the number of the transaction to the opaque. A second call changes nothing.
    fn numbered<'a>(&self, record: produce::Outgoing<'a>) -> produce::Outgoing<'a> {
        produce::Outgoing {
            opaque: self.progress.borrow().transaction << TRANSACTION_SHIFT | record.opaque,
            ..record
        }
    }

    pub(super) fn send_offsets(
        &self,
        checkpoint: &Checkpoint,
        member: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), Error> {
        let mut offsets = TopicPartitionList::with_capacity(checkpoint.sections.len());
        for section in &checkpoint.sections {
            let mut element = offsets.add_partition(&self.topics.requests, section.partition);
            element.set_metadata(section.metadata());
            element
                .set_offset(Offset::Offset(section.next.0))
                .map_err(|error| self.error("send offsets", &error))?;
        }
        member.send_offsets(self.producer.base().client(), &offsets, timeout)
    }

    /// Commits. Everything is acknowledged, so rust-rdkafka's flush before it returns at once.
    pub(super) fn commit(&self, timeout: Duration) -> Result<(), Error> {
        let base = self.producer.base();
        base.commit_transaction(timeout)
            .map_err(|error| Error::from_commit(&error, base.client()))
    }

    /// Aborts, so that no record of the transaction can be written any more (T9). librdkafka drops the queued
    /// records, and waits for the answers to those in flight.
    ///
    /// # Errors
    /// Class [`Class::Indefinite`]: a produce request is not answered, and a broker may handle it after the
    /// abort. The next transaction must have a higher epoch, which a new producer has.
    pub(super) fn abort(&self, timeout: Duration) -> Result<(), Error> {
        if self.progress.borrow().unanswered {
            return Err(unanswered());
        }
        let began = Instant::now();
        let aborted = self.abort_within(timeout.min(ANSWER_WAIT));
        if self.producer.in_flight() > 0 || self.progress.borrow().unanswered {
            return Err(unanswered());
        }
        match aborted {
            // The coordinator takes longer than the answers to the records. A second call goes on.
            Err(_) if began.elapsed() >= ANSWER_WAIT => {
                self.abort_within(timeout.saturating_sub(began.elapsed()))
            }
            aborted => aborted,
        }
    }

    /// Aborts while another thread serves the reports that librdkafka's abort waits for.
    fn abort_within(&self, timeout: Duration) -> Result<(), Error> {
        let producer = &self.producer;
        let done = AtomicBool::new(false);
        let mut progress = self.progress.borrow_mut();
        let progress = &mut *progress;
        let serve = || {
            while !done.load(Ordering::Acquire) {
                producer.serve(REPORT_POLL, |report| progress.add(report));
            }
        };
        let result = std::thread::scope(|scope| {
            scope.spawn(serve);
            let result = producer.base().abort_transaction(timeout);
            done.store(true, Ordering::Release);
            result
        });
        result.map_err(|error| self.error("abort transaction", &error))
    }

    /// Serves the events of the producer while it is not used.
    pub(super) fn idle(&self) {
        while self.serve(Duration::ZERO) {}
    }

    fn poll(&self) {
        self.serve(REPORT_POLL);
    }

    /// False when there was no event.
    fn serve(&self, wait: Duration) -> bool {
        let mut progress = self.progress.borrow_mut();
        self.producer.serve(wait, |report| progress.add(report))
    }

    fn error(&self, operation: &'static str, error: &KafkaError) -> Error {
        Error::from_client(operation, error, self.producer.base().client())
    }
}

fn unanswered() -> Error {
    Error::own(
        "abort transaction",
        Class::Indefinite,
        "a broker has not answered a produce request, and may still handle it",
    )
}

/// The error that says that the transaction cannot be committed.
fn aborted(message: &str) -> Error {
    Error::own("produce in transaction", Class::AbortTransaction, message)
}

impl Drop for TransactionalProducer {
    fn drop(&mut self) {
        // rust-rdkafka purges as well, and then waits for reports that nothing serves.
        let all = PurgeConfig::default().queue().inflight();
        self.producer.base().purge(all);
        self.drain_reports();
    }
}

#[cfg(test)]
mod tests;
