//! Checks one partition: runs its request log through the oracle, and compares each footer of its state log.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Error;
use super::body;
use super::checkpoint::Comparison;
use super::facts::{self, Due as Fact, Given, Kind, Layout, NO_SEQUENCE};
use super::link::Link;
use super::oracle::rescale::Cuts;
use super::oracle::{Answer, Due, Oracle, Service, WINDOW_DEFAULT};
use super::progress::Progress;
use super::remembered::scalars_of;
use super::report::{Invariant, Report};
use super::rules::Grant;
use super::source::{Extent, Flow, Logs, Record, Topic};
use super::spill::Spill;
use super::state_log::{Found, Repaired, Replay, Standing, StateLog};
use crate::wire::state::Footer;

/// Longest key that a reply repeats.
const KEY_BYTES_MAX: usize = 255;
/// Bits for the moves of a sequence. They keep the moves before and after a repair apart.
const ERA_BITS: u32 = 24;
/// The largest cost of a sequence here, in bytes without its name. It is held twice in memory, with its hashes.
const SEQUENCE_BYTES: u64 = 400;

/// The place where the oracle begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Offset 0, with an empty state.
    Zero,
    /// This footer of the state log, with its entries.
    Footer {
        at: i64,
        next: i64,
        /// The last stray that was accepted from each partition.
        accepted: BTreeMap<u32, i64>,
        /// The list of N there.
        homes: Vec<u32>,
        /// Children that had not adopted their names there.
        waiting: BTreeSet<u32>,
    },
    /// No place: nothing can be checked.
    Nowhere,
}

/// Finds the first footer that adds up at or after the start of the log. `adopted`: only a footer of a partition
/// that has adopted its names, because the split that it adopted by is not read.
pub(super) fn begin(
    number: u32,
    log: &mut StateLog,
    requests: Extent,
    service: Service,
    adopted: bool,
) -> io::Result<Begin> {
    // Links from before a repair that had to draw another key can no longer be checked.
    let key_lost = service.is_key_of_repair() && !log.repairs.is_empty();
    if requests.start == 0 && log.torn_repair.is_none() && !key_lost && !adopted {
        return Ok(Begin::Zero);
    }
    let mut oracle = Oracle::new(number, service, WINDOW_DEFAULT);
    let mut replay = Replay::new(log)?;
    while let Some(found) = replay.next(&mut oracle)? {
        replay.touched.clear();
        let next = found.footer.next.0;
        let holds = matches!(found.standing, Standing::Counts { adds_up: true, .. });
        let after_repair = log.torn_repair.is_none_or(|torn| torn < found.offset);
        let homes = scalars_of(&found.footer).homes;
        let is_home = homes.last().is_some_and(|n| number < *n);
        let in_time = is_home || !adopted;
        if holds && after_repair && in_time && (requests.start..=requests.end).contains(&next) {
            replay
                .remembered
                .seed(&mut oracle, scalars_of(&found.footer));
            return Ok(Begin::Footer {
                homes,
                waiting: oracle.cuts().into_keys().map(|(child, _)| child).collect(),
                at: found.offset,
                next,
                accepted: replay.remembered.accepted(),
            });
        }
    }
    Ok(Begin::Nowhere)
}

impl Begin {
    /// True when what a child adopts with this list can be read from here.
    pub(super) fn is_before_adoption(&self, child: u32, list: &[u32]) -> bool {
        match self {
            Begin::Zero => true,
            Begin::Nowhere => false,
            Begin::Footer { homes, waiting, .. } => {
                homes.len() < list.len() || homes.len() == list.len() && waiting.contains(&child)
            }
        }
    }

    /// True when a stray of this partition and offset was accepted before this begin.
    pub(super) fn is_after_stray(&self, source: u32, offset: i64) -> bool {
        match self {
            Begin::Zero => false,
            Begin::Nowhere => true,
            Begin::Footer { accepted, .. } => {
                accepted.get(&source).is_some_and(|last| offset <= *last)
            }
        }
    }
}

/// The data that all partitions share.
pub(super) struct Common<'a> {
    pub logs: &'a dyn Logs,
    pub layout: &'a Layout,
    pub service: Service,
    /// The ID of the request topic.
    pub topic_id: Option<[u8; 16]>,
    /// By partition, requests below this offset must be answered.
    pub required: &'a [i64],
    /// By partition, requests below this offset are covered by a checkpoint.
    pub covered: &'a [i64],
    /// Replies to requests of this time or earlier may be gone.
    pub cut_ms: Option<i64>,
    /// The memory limit of the oracle in bytes.
    pub memory_bytes: u64,
}

/// The outputs of a check.
pub(super) struct Sinks<'a> {
    /// Names and copies that partitions hand over to others in rescales.
    pub cuts: &'a mut Cuts,
    pub dues: &'a mut Spill<Fact>,
    pub given: &'a mut Spill<Given>,
    pub report: &'a mut Report,
    pub progress: &'a mut Progress,
}

/// The pass over one partition.
struct Pass<'a, 'b> {
    number: u32,
    common: &'a Common<'a>,
    sinks: &'a mut Sinks<'b>,
    state: &'a StateLog,
    oracle: Oracle,
    replay: Replay,
    comparison: Comparison,
    pending: Option<Found>,
    /// True after a missing link: from here on nothing counts.
    halted: bool,
    /// Footers from before the repair reach up to this offset.
    void_to: i64,
    /// Number of repairs so far.
    era: u32,
    /// Names that were counted, and their bytes.
    names_counted: usize,
    names_bytes: u64,
    /// Number of sequences that partitions after this one adopt.
    handed_over: usize,
    body: Vec<u8>,
}

/// Checks a partition.
pub(super) fn check(
    number: u32,
    begin: &Begin,
    end: i64,
    state: &mut StateLog,
    common: &Common<'_>,
    sinks: &mut Sinks<'_>,
    begins_by: Vec<u32>,
) -> Result<(), Error> {
    let capacity = state.window_capacity.unwrap_or(WINDOW_DEFAULT);
    let replay = Replay::new(state)?;
    let mut oracle = Oracle::new(number, common.service, capacity);
    oracle.scalars.homes = begins_by;
    // Nobody else adopts it.
    let of_this = |key: &(u32, usize), _: &mut _| key.0 == number;
    oracle.put_cuts(sinks.cuts.extract_if(.., of_this).collect());
    let mut pass = Pass {
        number,
        common,
        sinks,
        oracle,
        replay,
        state,
        comparison: Comparison::default(),
        pending: None,
        halted: false,
        void_to: 0,
        era: 0,
        names_counted: 0,
        names_bytes: 0,
        handed_over: 0,
        body: Vec::new(),
    };
    let from = match begin {
        Begin::Zero => 0,
        Begin::Footer { at, next, .. } => {
            pass.begin_at(*at)?;
            *next
        }
        Begin::Nowhere => return Ok(()),
    };
    pass.advance()?;
    let range = Extent { start: from, end };
    let mut failed = None;
    let logs = pass.common.logs;
    logs.read(Topic::Requests, number, range, &mut |record| {
        let done = u64::try_from(record.offset - from).unwrap_or(0);
        pass.sinks.progress.reached(done);
        match pass.record(record) {
            Ok(()) => Flow::Continue,
            Err(error) => {
                failed = Some(error);
                Flow::Stop
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    pass.settle(end)?;
    pass.rest()?;
    let sequences = pass.oracle.at_home();
    pass.sinks.report.counts.sequences += sequences;
    Ok(())
}

impl Pass<'_, '_> {
    /// Accepts the entries at a footer, because the log before it is gone.
    fn begin_at(&mut self, at: i64) -> Result<(), Error> {
        while let Some(found) = self.replay.next(&mut self.oracle)? {
            self.sinks.report.counts.footers += 1;
            self.sinks.report.counts.footers_unchecked += 1;
            if found.offset == at {
                self.take_over(&found);
                return Ok(());
            }
        }
        Ok(())
    }

    fn take_over(&mut self, found: &Found) {
        let scalars = scalars_of(&found.footer);
        self.replay.remembered.seed(&mut self.oracle, scalars);
        self.oracle.last = last_of(&found.footer);
        self.replay.touched.clear();
        self.oracle.touched.clear();
        self.comparison = Comparison::default();
        self.halted = false;
        self.hand_over();
    }

    /// Notes what the children adopt that have not done so here.
    fn hand_over(&mut self) {
        let cuts = self.oracle.cuts();
        if cuts.is_empty() {
            return;
        }
        self.sinks.cuts.extend(cuts);
        let cuts = self.sinks.cuts.values();
        self.handed_over = cuts.map(|cut| cut.sequences.len()).sum();
    }

    /// Finds the next footer that can be compared.
    fn advance(&mut self) -> Result<(), Error> {
        loop {
            let found = self.replay.next(&mut self.oracle)?;
            let Some(found) = found else {
                self.pending = None;
                return Ok(());
            };
            let counts = &mut self.sinks.report.counts;
            counts.footers += 1;
            let next = found.footer.next.0;
            if found.standing == Standing::Late {
                counts.footers_late += 1;
                continue;
            }
            let repairs = self.state.repairs.iter();
            let mut later = repairs.filter(|repair| repair.footer > found.offset);
            let void = later.any(|repair| repair.from < next);
            let elsewhere = self
                .common
                .topic_id
                .is_some_and(|id| id != found.footer.topic_id.0);
            if void {
                self.void_to = self.void_to.max(next);
            }
            if found.standing == Standing::Head || void || elsewhere {
                counts.footers_unchecked += 1;
                continue;
            }
            self.pending = Some(found);
            return Ok(());
        }
    }

    /// Compares every footer whose next offset is at `limit` or below: the oracle has read up to there.
    fn settle(&mut self, limit: i64) -> Result<(), Error> {
        while let Some(found) = self.pending.take_if(|found| found.footer.next.0 <= limit) {
            let Standing::Counts { adds_up, first } = found.standing else {
                self.advance()?;
                continue;
            };
            if let Some(repaired) = found.repair.filter(|_| adds_up) {
                self.repair(&found, repaired);
            } else {
                let report = &mut *self.sinks.report;
                report.checked(Invariant::CheckpointAddsUp);
                let (replay, oracle) = (&mut self.replay, &mut self.oracle);
                let service = self.common.service;
                let comparison = &mut self.comparison;
                let words = comparison.at(&found, adds_up, first, replay, oracle, service);
                if let Some(words) = words {
                    let place = (self.number, found.offset);
                    report.wrong(Invariant::CheckpointAddsUp, place, || {
                        format!("the footer for offset {}: {words}", found.footer.next)
                    });
                }
            }
            self.advance()?;
        }
        Ok(())
    }

    /// Handles an operator's repair: everything goes on from its state, which must lie beyond every ID that was
    /// given.
    fn repair(&mut self, found: &Found, repaired: Repaired) {
        let place = (self.number, found.offset);
        let (is, was) = (
            found.footer.scalars.epoch,
            repaired.epoch_before.max(self.oracle.scalars.epoch),
        );
        self.sinks.report.checked(Invariant::CheckpointAddsUp);
        if is <= was {
            self.sinks
                .report
                .wrong(Invariant::CheckpointAddsUp, place, || {
                    format!("the repair has epoch {is}, and {was} came before it")
                });
        }
        let numbers = 0..u32::try_from(self.oracle.names.len()).unwrap_or(0);
        let before: Vec<_> = numbers
            .clone()
            .map(|number| self.oracle.sequence(number).cloned())
            .collect();
        self.take_over(found);
        self.era += 1;
        self.sinks.report.counts.repairs += 1;
        let floor = self.oracle.scalars.floor;
        for (number, before) in numbers.zip(before) {
            let Some(before) = before else { continue };
            let undefined = super::rules::Sequence::undefined(floor);
            let after = self.oracle.sequence(number).unwrap_or(&undefined);
            if before.would_go_back_to(after) {
                let (was, is) = (before.to_store(), after.to_store());
                let at = usize::try_from(number).unwrap_or(0);
                let name = self.oracle.names.get_index(at).map_or("", |name| name);
                let words = format!("the repair moves sequence {name:?} back from {was} to {is}");
                self.sinks.report.wrong(Invariant::Unique, place, || words);
            }
        }
    }

    /// Handles the footers beyond the end of the range that was read.
    fn rest(&mut self) -> Result<(), Error> {
        while self.pending.take().is_some() {
            self.sinks.report.counts.footers_unchecked += 1;
            self.advance()?;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), Error> {
        self.settle(record.offset)?;
        self.sinks.report.counts.requests += 1;
        if self.halted {
            return Ok(());
        }
        if self.is_left_out(record.offset) {
            self.sinks.report.counts.passed_over += 1;
            return self.unanswered(record);
        }
        let epochs = self.oracle.scalars.homes.len();
        let answer = self.oracle.answer(record);
        if self.oracle.scalars.homes.len() > epochs {
            self.hand_over();
        }
        self.bounded()?;
        self.tell(record, &answer)
    }

    /// True when the next footer is a repair that goes on after this record with the state from before it.
    fn is_left_out(&self, offset: i64) -> bool {
        let Some(found) = &self.pending else {
            return false;
        };
        let passed_over = found.repair.is_some_and(|repair| offset >= repair.answered);
        passed_over
            && found.footer.scalars.applied == self.oracle.scalars.applied
            && last_of(&found.footer) == self.oracle.last
    }

    /// Handles a record without a due answer: a reply to it is wrong.
    fn unanswered(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let link = self.oracle.link(record);
        let known = |link: &Link| {
            let end = self.oracle.accepted(link.partition);
            end.is_some_and(|end| link.position <= end.position)
        };
        if link.as_ref().is_some_and(known) {
            return Ok(());
        }
        let (partition, offset) = link.map_or((self.number, record.offset), |link| link.origin);
        let layout = self.common.layout;
        let home = layout.place(self.number, record.offset);
        let Some((place, home)) = layout.place(partition, offset).zip(home) else {
            return Ok(());
        };
        let fact = Fact::unanswered(place, home);
        Ok(self.sinks.dues.push(&fact)?)
    }

    /// Checks the memory of the oracle, which is the only data that cannot go to disk.
    fn bounded(&mut self) -> Result<(), Error> {
        let names = self.oracle.names.len();
        let new = self.names_counted..names;
        self.names_counted = names;
        let new = new.filter_map(|at| self.oracle.names.get_index(at));
        self.names_bytes += new.map(|name| name.len() as u64).sum::<u64>();
        let names = (names + self.handed_over) as u64;
        let bytes = names * SEQUENCE_BYTES + self.names_bytes;
        if bytes <= self.common.memory_bytes {
            return Ok(());
        }
        Err(Error::Memory {
            partition: self.number,
            sequences: names,
        })
    }

    fn tell(&mut self, record: &Record<'_>, answer: &Answer<'_>) -> Result<(), Error> {
        let counts = &mut self.sinks.report.counts;
        match &answer.due {
            Due::Granted(grant) => {
                counts.grants += 1;
                counts.ids = counts.ids.saturating_add(grant.count);
            }
            Due::Again(_) => counts.again += 1,
            Due::Described { .. } | Due::Policy { .. } | Due::Split(_) => counts.operators += 1,
            Due::Ordered | Due::Lost { .. } => counts.orders += 1,
            Due::Refused(_) => counts.refused += 1,
            Due::Stray { .. } => counts.strays += 1,
            Due::Repeated => counts.forwarded_again += 1,
            Due::Broken { .. } | Due::TooManyHops { .. } | Due::Unfit | Due::NoCut { .. } => {}
        }
        let place = (self.number, record.offset);
        if answer.link.is_some() {
            self.sinks.report.checked(Invariant::StopsRatherThanGuesses);
        }
        match &answer.due {
            Due::Broken { link, accepted } => {
                self.halted = true;
                let invariant = Invariant::StopsRatherThanGuesses;
                self.sinks.report.wrong(invariant, place, || {
                    format!(
                        "the forward of {}:{} says that {} came before it from there, and {} did: a \
                         request was lost, and this partition halts here",
                        link.partition, link.position.1, link.previous.1, accepted.1
                    )
                });
                Ok(())
            }
            Due::TooManyHops { home } => {
                self.halted = true;
                let invariant = Invariant::StopsRatherThanGuesses;
                self.sinks.report.wrong(invariant, place, || {
                    format!(
                        "the request was forwarded as often as one may be, and its home is partition {home}: \
                         this partition halts here"
                    )
                });
                Ok(())
            }
            Due::Unfit => {
                self.halted = true;
                let invariant = Invariant::StopsRatherThanGuesses;
                self.sinks.report.wrong(invariant, place, || {
                    "the order contradicts the partitions that this one knows: this partition halts here".to_owned()
                });
                Ok(())
            }
            Due::Lost {
                child,
                adopted,
                handed_over,
            } => {
                let invariant = Invariant::CheckpointAddsUp;
                self.sinks.report.wrong(invariant, place, || {
                    format!(
                        "partition {child} adopted {adopted} sequences, and {handed_over} were handed over to it"
                    )
                });
                Ok(())
            }
            Due::NoCut { parent } => Err(Error::NoSplit {
                partition: self.number,
                parent: *parent,
            }),
            Due::Repeated | Due::Ordered => Ok(()),
            _ => self.fact(record, answer),
        }
    }

    fn fact(&mut self, record: &Record<'_>, answer: &Answer<'_>) -> Result<(), Error> {
        let (partition, offset) = answer
            .link
            .map_or((self.number, record.offset), |link| link.origin);
        let layout = self.common.layout;
        let Some(home) = layout.place(self.number, record.offset) else {
            return Ok(());
        };
        self.body.clear();
        body::write(&mut self.body, answer, partition, offset);
        let key = record.key.filter(|key| key.len() <= KEY_BYTES_MAX);
        let mut fact = Fact {
            hash: body::hash(&[&self.body]),
            key: body::hash_of_key(key),
            flags: self.flags(record, partition, offset),
            hops: answer.link.map_or(0, |link| link.hops),
            ..Fact::unanswered(home, home)
        };
        if let Some(number) = answer.name.and_then(|name| self.oracle.number(name))
            && let Some(sequence) = self.oracle.sequence(number)
        {
            let era = self.era << ERA_BITS;
            fact.sequence = number;
            fact.run = era.wrapping_add(sequence.run);
            fact.life = era.wrapping_add(sequence.life);
        }
        match answer.due {
            Due::Granted(grant) => fact.granted(Kind::Granted, grant),
            Due::Again(grant) => fact.granted(Kind::Again, grant),
            Due::Refused(code) => fact.kind = Kind::Refused(code.number()),
            Due::Stray { home } => {
                fact.kind = Kind::Stray;
                fact.sequence = home;
            }
            _ => {}
        }
        match layout.place(partition, offset) {
            Some(place) => fact.place = place,
            None => {
                // The stray itself lies before the checked range: only its IDs count here.
                if fact.kind == Kind::Granted {
                    self.sinks.given.push(&fact.unseen())?;
                }
                return Ok(());
            }
        }
        self.sinks.dues.push(&fact)?;
        Ok(())
    }

    fn flags(&mut self, record: &Record<'_>, partition: u32, offset: i64) -> u8 {
        let below = |limits: &[i64]| {
            let limit = usize::try_from(partition)
                .ok()
                .and_then(|at| limits.get(at));
            limit.is_some_and(|limit| offset < *limit)
        };
        let repaired = self.pending.as_ref().and_then(|found| found.repair);
        let passed_over = repaired.is_some_and(|repaired| record.offset >= repaired.answered);
        if passed_over {
            self.sinks.report.counts.passed_over += 1;
        }
        let cut = self
            .common
            .cut_ms
            .is_some_and(|cut| record.timestamp_ms <= cut);
        let flags = [
            (facts::REQUIRED, below(self.common.required) && !passed_over),
            (facts::CUT, cut),
            (facts::NAMES_TOPIC, record.names_topic),
            (facts::RELIVED, record.offset < self.void_to && self.era > 0),
            (facts::COVERED, below(self.common.covered)),
        ];
        let set = flags.into_iter().filter(|(_, set)| *set);
        set.fold(0, |flags, (flag, _)| flags | flag)
    }
}

/// The last record that was read, in the form of the oracle.
pub(super) fn last_of(footer: &Footer) -> Option<(i64, i32, u128)> {
    let last = footer.last_applied;
    last.map(|record| (record.offset.0, record.leader_epoch, record.hash))
}

impl Fact {
    /// The fact about a record without a due answer.
    fn unanswered(place: u64, home: u64) -> Fact {
        Fact {
            place,
            home,
            hash: 0,
            key: 0,
            kind: Kind::Other,
            flags: 0,
            hops: 0,
            sequence: NO_SEQUENCE,
            run: 0,
            life: 0,
            first: 0,
            increment: 1,
            count: 0,
        }
    }

    fn granted(&mut self, kind: Kind, grant: Grant) {
        self.kind = kind;
        self.first = grant.first;
        self.increment = grant.increment;
        self.count = grant.count;
    }

    fn unseen(&self) -> Given {
        Given {
            home: self.home,
            place: self.home,
            sequence: self.sequence,
            run: self.run,
            life: self.life,
            first: self.first,
            last: self.last(),
            increment: self.increment,
            first_due: self.first,
            unseen: true,
        }
    }
}
