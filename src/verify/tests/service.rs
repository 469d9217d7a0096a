//! Runs the shipped processor over logs in memory, with crashes.

use std::cell::RefCell;

use crate::progress::Progress;
use crate::report::Report;
use crate::source::{Extent, Flow, Logs, ReadError, Record, Topic};
use crate::{Error, Options};
use sequencer_protocol::core::link::LinkKey;
use sequencer_protocol::core::rescale::{Order, operators_link};
use sequencer_protocol::core::{Fold, Homes, NextOffset, Offset, Timestamp};
use sequencer_protocol::processor::Mode;
use sequencer_protocol::processor::checkpoint::{Batch, Section, Written};
use sequencer_protocol::processor::parent::Parent;
use sequencer_protocol::processor::partition::{
    Output, Partition, Record as Request, Service as Shipped,
};
use sequencer_protocol::processor::restore::{Restore, Restored};
use sequencer_protocol::processor::takeover::Start;
use sequencer_protocol::wire::headers::{FORWARDED, Headers, Names, REQUEST_ID};
use sequencer_protocol::wire::rescale;
use sequencer_protocol::wire::route::{AllowList, Routing};
use sequencer_protocol::wire::state::{self, BatchId, Content, Reset, TopicId};

const TOPIC_ID: [u8; 16] = [7; 16];
const LINK_KEY: LinkKey = LinkKey([4; 32]);
/// Few places, so that some of them are overwritten.
const BATCHES_EVERY: usize = 17;

/// A record of any log.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub request_id: Option<Vec<u8>>,
    pub forwarded: Option<Vec<u8>>,
    pub batch: Option<Vec<u8>>,
}

/// A small random number generator with the same numbers on every machine.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

/// The topics, and the service that serves them.
pub(super) struct World {
    pub requests: Vec<Vec<Own>>,
    pub state: Vec<Vec<Own>>,
    pub replies: Vec<Own>,
    pub memory_bytes: u64,
    starts: Vec<i64>,
    replies_start: i64,
    owners: Vec<Option<Partition>>,
    /// Number of partitions at the beginning.
    first: u32,
    shipped: Shipped,
    batches: u64,
    now_ms: u64,
    dice: RefCell<Dice>,
    /// The first batch of each partition, for an owner that lost the partition.
    early: Vec<Option<Section>>,
}

impl World {
    pub(super) fn new(seed: u64, partitions: usize) -> World {
        let shipped = Shipped {
            mode: Mode::Immediate,
            group: "sequencer".into(),
            instance: "test".into(),
            reply_partitions: 1,
            routing: Routing {
                names: Names::default(),
                allow: AllowList::new(Vec::new(), Vec::new()),
                default_topic: "replies".to_owned(),
            },
            rewrite_floor_records: 1_000_000,
        };
        World {
            requests: vec![Vec::new(); partitions],
            state: vec![Vec::new(); partitions],
            replies: Vec::new(),
            memory_bytes: 100 << 20,
            starts: vec![0; partitions],
            replies_start: 0,
            owners: (0..partitions).map(|_| None).collect(),
            first: partitions as u32,
            shipped,
            batches: 0,
            now_ms: 0,
            dice: RefCell::new(Dice(0x9e37_79b9 + seed)),
            early: (0..partitions).map(|_| None).collect(),
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.iter().map(|log| log.len() as u64).sum()
    }

    /// Writes a request to a partition; returns its offset.
    pub(super) fn ask(
        &mut self,
        partition: usize,
        name: &str,
        value: &[u8],
        id: Option<&str>,
    ) -> i64 {
        self.write(
            partition,
            Own {
                key: Some(name.as_bytes().to_vec()),
                value: Some(value.to_vec()),
                request_id: id.map(|id| id.as_bytes().to_vec()),
                ..Own::default()
            },
        )
    }

    /// Writes a record to a partition; returns its offset.
    pub(super) fn write(&mut self, partition: usize, mut record: Own) -> i64 {
        let log = &mut self.requests[partition];
        // Holes like those of transactions.
        let hole = i64::from(self.dice.borrow_mut().below(5) == 0);
        record.offset = log.last().map_or(0, |last| last.offset + 1 + hole);
        let offset = record.offset;
        log.push(record);
        offset
    }

    /// Writes requests of every form, some of them to the wrong partition.
    pub(super) fn load(&mut self, count: usize) {
        let partitions = self.requests.len() as u64;
        for _ in 0..count {
            let (form, number, name, stray, some) = {
                let mut dice = self.dice.borrow_mut();
                let name = format!("orders-{}", dice.below(6));
                let rest = (dice.below(4) == 0, dice.below(12));
                (dice.below(24), dice.below(9), name, rest.0, rest.1)
            };
            let home = sequencer_protocol::core::partitioner::partition_of(
                name.as_bytes(),
                partitions as u32,
            );
            let other = (u64::from(home) + u64::from(stray)) % partitions;
            let count = 1 + number;
            let value = match form {
                0 => "0".to_owned(),
                1 => format!("{{\"coun\":{number}}}"),
                2 => format!("{{\"request_id\":\"id-{number}\",\"count\":{count}}}"),
                3..7 => format!("{{\"request_id\":\"id-{some}\"}}"),
                7..10 => count.to_string(),
                10 => format!("{{\"op\":\"define\",\"max\":{}}}", 50 + 10 * number),
                11 => "{\"op\":\"define\",\"at_end\":\"cycle\",\"max\":40}".to_owned(),
                12 => format!("{{\"op\":\"define\",\"increment\":{}}}", number as i64 - 4),
                13 => format!("{{\"op\":\"set_next\",\"next\":{}}}", 3 * number),
                14 => format!(
                    "{{\"op\":\"set_next\",\"next\":{count},\"force\":true,\"reason\":\"r\"}}"
                ),
                15 if number < 2 => "{\"op\":\"retire\",\"requester\":\"ops\"}".to_owned(),
                16 => "{\"op\":\"describe\"}".to_owned(),
                17 => {
                    let remember = [0, 1, 2, 3, 5, 40, 100, 600_000, 1_000_001];
                    let remember = remember[number as usize];
                    format!("{{\"op\":\"define\",\"remember\":{remember}}}")
                }
                _ => String::new(),
            };
            let id = format!("id-{some}");
            let id = matches!(form, 11 | 14 | 18).then_some(id.as_str());
            match form {
                // An invalid name, and a policy.
                19 if number == 0 => self.ask(other as usize, "a\nb", value.as_bytes(), None),
                19 if number == 1 => {
                    let word = if some > 3 { "create" } else { "refuse" };
                    let value = format!("{{\"op\":\"policy\",\"undefined\":\"{word}\"}}");
                    self.ask(other as usize, "__policy", value.as_bytes(), None)
                }
                _ => self.ask(other as usize, &name, value.as_bytes(), id),
            };
        }
    }

    /// Gives the topics more partitions.
    pub(super) fn grow(&mut self, partitions: usize) {
        self.requests.resize_with(partitions, Vec::new);
        self.state.resize_with(partitions, Vec::new);
        self.starts.resize(partitions, 0);
        self.owners.resize_with(partitions, || None);
        self.early.resize_with(partitions, || None);
    }

    /// Writes the operator's record that begins a rescale; returns its offset.
    pub(super) fn split(&mut self, list: &[u32]) -> i64 {
        let homes = Homes::read(list.iter().copied()).unwrap();
        let value = rescale::encode(&Order::Split(homes));
        let link = operators_link(&homes);
        let header = link.header(&LINK_KEY, 0, rescale::KEY, Some(&value));
        self.write(
            0,
            Own {
                key: Some(rescale::KEY.to_vec()),
                value: Some(value),
                forwarded: Some(header.into_bytes()),
                ..Own::default()
            },
        )
    }

    /// The list of N that a partition has learned.
    pub(super) fn homes(&self, partition: usize) -> Vec<u32> {
        let footer = self.restore(partition).footer;
        footer.map_or_else(Vec::new, |footer| footer.scalars.homes.counts().collect())
    }

    /// Serves until everything is answered, with a crash now and then.
    pub(super) fn serve(&mut self) {
        loop {
            let mut moved = false;
            for partition in 0..self.requests.len() {
                moved |= self.turn(partition);
            }
            if !moved {
                return;
            }
        }
    }

    fn turn(&mut self, partition: usize) -> bool {
        let mut owner = match self.owners[partition].take() {
            Some(owner) if self.dice.borrow_mut().below(8) > 0 => owner,
            // A crash: all requests since the last checkpoint come again.
            _ => self.restored(partition),
        };
        let from = owner.next().0;
        let log = self.requests[partition].iter();
        let records: Vec<Own> = log
            .filter(|record| record.offset >= from)
            .take(BATCHES_EVERY)
            .cloned()
            .collect();
        for record in &records {
            self.feed(partition, &mut owner, record);
        }
        // Time passes with each turn.
        self.now_ms += 1_000;
        if let Some((parent, homes)) = owner.asks_parent(self.now_ms) {
            let restored = self.restore(parent as usize);
            let parent = Parent::of(&restored, partition as u32, &homes);
            owner.parent_read(parent, self.now_ms);
        }
        let waits = owner.next().0 < records.last().map_or(0, |last| last.offset + 1);
        let end = self.requests[partition]
            .last()
            .map_or(0, |last| last.offset + 1);
        if records.len() < BATCHES_EVERY {
            owner.reached(NextOffset(end));
        }
        // Sometimes the crash comes before the checkpoint.
        if owner.wants_checkpoint() && self.dice.borrow_mut().below(6) > 0 {
            self.checkpoint(partition, &mut owner);
        }
        let wants = owner.wants_checkpoint();
        self.owners[partition] = Some(owner);
        !records.is_empty() || wants || waits
    }

    fn feed(&mut self, partition: usize, owner: &mut Partition, record: &Own) {
        let shipped = self.shipped.clone();
        let headers = Headers {
            request_id: record.request_id.as_deref(),
            forwarded: record.forwarded.as_deref(),
            ..Headers::default()
        };
        let request = Request {
            partition: partition as i32,
            leader_epoch: 0,
            offset: Offset(record.offset),
            timestamp: Timestamp(record.offset),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        match owner.record(request, &shipped) {
            None => {}
            Some(Output::Several) => {
                while let Some(message) = owner.more() {
                    self.send(message);
                }
            }
            Some(message) => self.send(message),
        }
    }

    fn send(&mut self, message: Output<'_>) {
        match message {
            Output::Several => panic!("several in several"),
            Output::Reply(reply) => {
                self.replies.push(Own {
                    offset: self.replies.len() as i64,
                    key: reply.outgoing.key.map(<[u8]>::to_vec),
                    value: Some(reply.outgoing.body.to_vec()),
                    ..Own::default()
                });
            }
            Output::Forward(forward) => {
                let header = |name: &str| {
                    let mut headers = forward.headers.iter();
                    headers
                        .find(|(found, _)| *found == name)
                        .map(|(_, value)| value.to_vec())
                };
                let copy = Own {
                    key: forward.key.map(<[u8]>::to_vec),
                    value: forward.value.map(<[u8]>::to_vec),
                    request_id: header(REQUEST_ID),
                    forwarded: header(FORWARDED),
                    ..Own::default()
                };
                self.write(forward.home as usize, copy);
            }
        }
    }

    fn checkpoint(&mut self, partition: usize, owner: &mut Partition) {
        self.batches += 1;
        let batch_id = BatchId {
            writer: 1,
            number: self.batches,
        };
        let section = owner.cut(batch_id, &self.shipped);
        let first = self.append(partition, batch_id, &section.batch);
        let last = first + section.batch.len() as i64 - 1;
        owner.committed(&section, Written { first, last });
        if self.early[partition].is_none() && section.batch.len() > 2 {
            self.early[partition] = Some(section);
        }
    }

    /// Appends a committed batch to a state log, and its marker.
    fn append(&mut self, partition: usize, id: BatchId, batch: &Batch) -> i64 {
        let log = &mut self.state[partition];
        let first = log.last().map_or(0, |last| last.offset + 2);
        for (offset, (key, value)) in (first..).zip(batch.iter()) {
            log.push(Own {
                offset,
                key: Some(key.to_vec()),
                value: value.map(<[u8]>::to_vec),
                batch: value.is_none().then(|| id.to_header().to_vec()),
                ..Own::default()
            });
        }
        first
    }

    pub(super) fn restore(&self, partition: usize) -> Restored {
        let mut restore = Restore::default();
        for record in &self.state[partition] {
            let key = record.key.as_deref().unwrap_or_default();
            let (value, batch) = (record.value.as_deref(), record.batch.as_deref());
            restore.record(key, value, batch).unwrap();
        }
        restore.finish()
    }

    fn restored(&self, partition: usize) -> Partition {
        let mut restored = self.restore(partition);
        let is_new = restored.footer.is_none();
        if is_new {
            let service = self.restore(0).footer;
            let service = service.map_or(Homes::first(self.first), |footer| footer.scalars.homes);
            restored.fold = Fold::new(service.at_birth(partition as u32));
        }
        let footer = restored.footer.as_ref();
        let start = Start {
            next: footer.map_or(NextOffset::ZERO, |footer| footer.next),
            answered: None,
            last_applied: footer.and_then(|footer| footer.last_applied),
            link_key: LINK_KEY,
            decides: is_new && partition as u32 >= self.first,
            topic_partitions: self.requests.len() as u32,
            topic_id: TopicId(TOPIC_ID),
            state_end: 0,
            rewrite_from: None,
            restored,
        };
        Partition::new(partition as i32, 1, start, &self.shipped)
    }

    /// Writes a repair that goes on at the end of the log. Every undefined sequence goes on above `above`; with
    /// `above` below 0, from 1.
    pub(super) fn repair(&mut self, partition: usize, above: i64) {
        self.owners[partition] = None;
        let end = self.requests[partition]
            .last()
            .map_or(0, |last| last.offset + 1);
        self.batches += 1;
        let id = BatchId {
            writer: 9,
            number: self.batches,
        };
        let restored = self.restore(partition);
        let mut footer = restored.footer.clone().unwrap();
        let answered = footer.next;
        footer.next = NextOffset(end);
        footer.scalars.applied += 1;
        footer.scalars.epoch += 1;
        footer.scalars.floor = above.max(0);
        footer.scalars.links_open = true;
        let mut fold = Fold::default();
        for entry in restored.fold.iter() {
            if let state::Entry::Sequence {
                name,
                sequence,
                defined: None,
            } = entry
            {
                let sequence = if above < 0 {
                    sequencer_protocol::core::sequence::Sequence::above(0)
                } else {
                    sequence.raised_above(above)
                };
                fold.put(state::Entry::Sequence {
                    name,
                    sequence,
                    defined: None,
                });
            } else {
                fold.put(entry);
            }
        }
        footer.digest = fold.digest_with(footer.scalars);
        let mut batch = Batch::default();
        let reset = Reset {
            answered,
            epoch: footer.scalars.epoch,
            reason: "test".to_owned(),
        };
        batch.reset(id, &reset);
        for entry in fold.iter() {
            batch.entry(id, &entry);
        }
        footer.batch_records = batch.len() as u32;
        batch.footer(id, &footer);
        self.append(partition, id, &batch);
    }

    /// A repair to a right state: requests below `answered` were answered, and requests from there to the end
    /// of the log are skipped.
    pub(super) fn repair_unchanged(
        &mut self,
        partition: usize,
        right: &Restored,
        answered: i64,
        epoch: u64,
    ) {
        self.owners[partition] = None;
        self.batches += 1;
        let id = BatchId {
            writer: 9,
            number: self.batches,
        };
        let end = self.requests[partition].last();
        let mut footer = right.footer.clone().unwrap();
        footer.next = NextOffset(end.map_or(0, |last| last.offset + 1));
        footer.scalars.epoch = epoch;
        footer.digest = right.fold.digest_with(footer.scalars);
        let mut batch = Batch::default();
        let reset = Reset {
            answered: NextOffset(answered),
            epoch,
            reason: "test".to_owned(),
        };
        batch.reset(id, &reset);
        for entry in right.fold.iter() {
            batch.entry(id, &entry);
        }
        footer.batch_records = batch.len() as u32;
        batch.footer(id, &footer);
        self.append(partition, id, &batch);
    }

    /// Keeps only the last record of each key, with a footer that matches nothing.
    pub(super) fn damage_state(&mut self, partition: usize) {
        let log = &mut self.state[partition];
        let last: Vec<bool> = (0..log.len())
            .map(|at| !log[at + 1..].iter().any(|later| later.key == log[at].key))
            .collect();
        let mut last = last.into_iter();
        log.retain(|_| last.next() == Some(true));
        let footer = log
            .iter_mut()
            .find(|record| record.key.as_deref() == Some(state::FOOTER_KEY));
        // The digest follows version, batch and next offset.
        footer.unwrap().value.as_mut().unwrap()[1 + 8 + 8 + 8] ^= 1;
    }

    /// Appends the first batch again, at the end.
    pub(super) fn late_batch(&mut self, partition: usize) {
        let section = self.early[partition].take().unwrap();
        self.append(partition, section.batch_id, &section.batch);
    }

    /// Removes the oldest requests, like retention.
    pub(super) fn cut_requests(&mut self, partition: usize, records: usize) {
        self.requests[partition].drain(..records);
        self.starts[partition] = self.requests[partition][0].offset;
    }

    /// Removes the oldest replies, like retention.
    pub(super) fn cut_replies(&mut self, records: usize) {
        self.replies.drain(..records);
        self.replies_start = self.replies[0].offset;
    }

    /// Compacts the first records of a state log: the last one of each key stays.
    pub(super) fn compact(&mut self, partition: usize, records: usize) {
        let log = &mut self.state[partition];
        let records = records.min(log.len() / 2);
        let head: Vec<Own> = log.drain(..records).collect();
        let kept = head.iter().enumerate().filter(|(at, record)| {
            let mut later = head[at + 1..].iter();
            !later.any(|other| other.key == record.key)
        });
        let kept: Vec<Own> = kept.map(|(_, record)| record.clone()).collect();
        log.splice(..0, kept);
    }

    /// Indices of the footers in a state log.
    pub(super) fn footers(&self, partition: usize) -> Vec<usize> {
        let is_footer = |record: &Own| {
            let key = record.key.as_deref().unwrap_or_default();
            let decoded = state::decode(key, record.value.as_deref(), None);
            decoded.is_ok_and(|record| matches!(record.content, Content::Footer(_)))
        };
        let log = self.state[partition].iter().enumerate();
        log.filter(|(_, record)| is_footer(record))
            .map(|(at, _)| at)
            .collect()
    }

    fn log(&self, topic: Topic, partition: u32) -> &[Own] {
        match topic {
            Topic::Requests => &self.requests[partition as usize],
            Topic::State => &self.state[partition as usize],
            Topic::Replies(_) => &self.replies,
        }
    }
}

impl Logs for World {
    fn partitions(&self, topic: Topic) -> Result<u32, ReadError> {
        Ok(match topic {
            Topic::Requests | Topic::State => self.requests.len() as u32,
            Topic::Replies(_) => 1,
        })
    }

    fn extent(&self, topic: Topic, partition: u32) -> Result<Extent, ReadError> {
        let last = self.log(topic, partition).last();
        Ok(Extent {
            start: match topic {
                Topic::Requests => self.starts[partition as usize],
                Topic::State => 0,
                Topic::Replies(_) => self.replies_start,
            },
            end: last.map_or(0, |last| last.offset + 1),
        })
    }

    fn read(
        &self,
        topic: Topic,
        partition: u32,
        range: Extent,
        on: &mut dyn FnMut(&Record<'_>) -> Flow,
    ) -> Result<(), ReadError> {
        for own in self.log(topic, partition) {
            let record = Record {
                leader_epoch: 0,
                offset: own.offset,
                timestamp_ms: own.offset,
                key: own.key.as_deref(),
                value: own.value.as_deref(),
                request_id: own.request_id.as_deref(),
                forwarded: own.forwarded.as_deref(),
                names_topic: false,
                batch: own.batch.as_deref(),
            };
            let inside = (range.start..range.end).contains(&own.offset);
            if inside && on(&record) == Flow::Stop {
                break;
            }
        }
        Ok(())
    }
}

/// Checks a world.
pub(super) fn run(world: &World) -> Report {
    try_run(world).unwrap()
}

pub(super) fn try_run(world: &World) -> Result<Report, Error> {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        replies: vec!["replies".to_owned()],
        own_replies: 1,
        topic_id: Some(TOPIC_ID),
        memory_bytes: world.memory_bytes,
        directory: directory.path().to_owned(),
        wait: std::time::Duration::ZERO,
    };
    let report = crate::run(world, &options, &mut Progress::none());
    // Temporary files leave nothing behind in any case.
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    report
}
