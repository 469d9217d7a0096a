//! The evidence for a repair.

mod answered;
mod decided;
mod ownership;
mod replies;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use super::cut::first_of_later_leader;
use crate::cli::Error;
use crate::cli::session::Session;
use crate::core::definition::Definition;
use crate::core::fold::{Defined, Entry, EntryKey};
use crate::core::limits::ID_LAST;
use crate::core::link::{Accepted, LinkKey};
use crate::core::sequence::Sequence;
use crate::core::window::Place;
use crate::core::{Fold, Homes, NextOffset, Offset, Scalars, Timestamp};
use crate::kafka::admin::Access;
use crate::kafka::consumer::{Flow, Reader};
use crate::kafka::error::Error as KafkaError;
use crate::kafka::takeovers::questions::Questions;
use crate::kafka::tools::{extent, reader_of_everything};
use crate::processor::answered::Answered;
use crate::processor::halt::Halt;
use crate::processor::partition::Record;
use crate::processor::rebuild::Rebuild;
use crate::processor::restore::{Restore, Restored};
use crate::processor::takeover::{
    Action, Bound, Decided, Event, RequestLog, Step, Takeover, Verdict,
};
use crate::wire::headers::Headers;
use crate::wire::state::{self, BATCH_HEADER, Content, Fingerprint, Footer, NO_LEADER_EPOCH};
pub(super) use decided::{Origin, Service};
pub(super) use ownership::Ownership;
#[cfg(test)]
pub(crate) use replies::Given;
pub(super) use replies::Replies;

/// Reading more replies than this takes long enough to print a message.
const MANY_REPLIES: i64 = 1_000_000;
/// A rebalance ends within this time, unless something is wrong with the group.
const REBALANCE_MAX: Duration = Duration::from_secs(10);
/// The interval of checks of the group in this time.
const REBALANCE_POLL: Duration = Duration::from_millis(250);

/// All facts that decide a repair.
#[derive(Debug)]
pub(super) struct Evidence {
    /// The extent and the ID of the request log.
    pub log: RequestLog,
    /// The content of the state log.
    pub state: State,
    /// The IDs in the default reply topic.
    pub replies: Replies,
    /// N and the key of the links.
    pub decided: Decided,
    /// The source of N and the key.
    pub origin: Origin,
    /// A partition that has not adopted the names that move to it from this one, if there is one.
    pub waiting: Option<u32>,
    /// The verdict that an owner reaches from log and state.
    pub judged: Judged,
    /// The cut of the log: the first request below the checkpoint that was appended after the last answered
    /// one. None when the log was not cut, or when nothing was appended since.
    pub cut: Option<NextOffset>,
    /// The group's committed offset: all requests below it are answered.
    pub committed: Option<NextOffset>,
    /// The end of the answered requests beyond the last checkpoint that adds up.
    pub answered: Option<Answered>,
    /// The owner of the partition.
    pub ownership: Ownership,
}

impl Evidence {
    /// True when the key of forwarded requests is the original one. A lost key was drawn again, by this repair
    /// or by an earlier one.
    pub(super) const fn has_key(&self) -> bool {
        !self.decided.link_key.is_of_repair()
    }

    /// True when the request topic was created again since: its old state and the accepted ends are void.
    pub(super) fn is_of_other_topic(&self) -> bool {
        let footer = self.state.last_footer.as_ref();
        footer.is_some_and(|footer| footer.topic_id != self.log.topic_id)
    }

    /// The offset up to which a checkpoint, or the committed offset beyond it, says that everything was answered.
    pub(super) fn covered(&self) -> NextOffset {
        let footer = self.state.restored.footer.as_ref();
        let of_this_topic = footer.filter(|_| !self.is_of_other_topic());
        of_this_topic.map_or(NextOffset::ZERO, |footer| {
            self.answered.map_or(footer.next, |answered| answered.next)
        })
    }
}

/// The verdict of an owner's takeover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The partition would run.
    Starts,
    /// The partition would wait, for the reason given.
    Waits(String),
    /// The partition would halt.
    Halts(Halt),
}

/// The content of the state log, whether it adds up or not.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The result of a restore.
    pub restored: Restored,
    /// The furthest counter that any record has of each name, and the last definition of the name.
    pub counters: BTreeMap<String, Counter>,
    /// The last record of each segment of the window.
    pub window: BTreeMap<u32, Vec<Place>>,
    /// The same for own windows, by name and segment.
    pub own: BTreeMap<(String, u64), Vec<Place>>,
    /// The last stray that was accepted from each partition.
    pub accepted: BTreeMap<u32, Accepted>,
    /// The highest value of each in any footer.
    pub scalars: Scalars,
    /// The last footer, even if it does not add up.
    pub last_footer: Option<Footer>,
}

/// The known facts about one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    /// The counter of the sequence.
    pub sequence: Sequence,
    /// The definition, if an operator defined the sequence.
    pub defined: Option<Defined>,
}

impl State {
    /// The highest ID in any record of a sequence without a definition. A defined sequence counts by its own
    /// rules, and says nothing about the others.
    pub(super) fn highest_id(&self) -> i64 {
        let plain = |counter: &Counter| {
            let highest = counter.sequence.highest();
            (counter.defined.is_none()).then_some(highest.min(ID_LAST))
        };
        let counters = self.counters.values().filter_map(plain);
        counters.chain([self.scalars.floor]).max().unwrap_or(0)
    }

    /// Gives a fold the requests that are remembered.
    pub(super) fn put_windows(&self, fold: &mut Fold) {
        for (segment, places) in &self.window {
            fold.put(Entry::Window {
                segment: *segment,
                places: Cow::Borrowed(places),
            });
        }
        for ((name, segment), places) in &self.own {
            fold.put(Entry::Own {
                name,
                segment: *segment,
                places: Cow::Borrowed(places),
            });
        }
    }

    /// Takes a restored definition. It adds up, so it is right, even if a skipped batch has another one.
    fn believe(&mut self, restored: Restored) {
        if restored.footer.is_some() {
            for entry in restored.fold.iter() {
                if let Entry::Sequence { name, defined, .. } = entry
                    && let Some(known) = self.counters.get_mut(name)
                {
                    known.defined = defined.map(|defined| defined.into_owned());
                }
            }
        }
        self.restored = restored;
    }

    /// Takes the definition of each sequence from the log, and how far the log moved it. The window is left
    /// out: with it, requests that are read again would get IDs of the fold, which may belong to others.
    pub(super) fn learn(&mut self, log: &Fold) {
        for entry in log.iter() {
            if let Entry::Sequence {
                name,
                sequence,
                defined,
            } = entry
            {
                self.sequence(name, sequence, defined.map(|defined| defined.into_owned()));
            }
        }
        let scalars = log.scalars();
        self.scalars.undefined = scalars.undefined;
        let highest = &mut self.scalars.highest_timestamp;
        *highest = scalars.highest_timestamp.max(*highest);
    }

    fn footer(&mut self, footer: &Footer) {
        let Scalars {
            highest_timestamp,
            applied,
            floor,
            undefined,
            window_capacity,
            window_next,
            links_open,
            epoch,
            homes,
            policy_is_own,
            unburied,
        } = &mut self.scalars;
        let found = &footer.scalars;
        *highest_timestamp = found.highest_timestamp.max(*highest_timestamp);
        *applied = found.applied.max(*applied);
        *floor = found.floor.max(*floor);
        // The value of the last footer.
        *undefined = found.undefined;
        *window_capacity = found.window_capacity;
        *window_next = found.window_next.max(*window_next);
        *links_open |= found.links_open;
        *epoch = found.epoch.max(*epoch);
        *homes = found.homes;
        *policy_is_own = found.policy_is_own;
        *unburied = found.unburied;
        self.last_footer = Some(footer.clone());
    }

    fn entry(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Sequence {
                name,
                sequence,
                defined,
            } => self.sequence(name, sequence, defined.map(|defined| defined.into_owned())),
            Entry::Window { segment, places } => {
                self.window.insert(segment, places.into_owned());
            }
            Entry::Own {
                name,
                segment,
                places,
            } => {
                let key = (name.to_owned(), segment);
                self.own.insert(key, places.into_owned());
            }
            // A repair begins each chain again.
            Entry::Sent { .. } => {}
            Entry::Accepted { source, end } => {
                let known = self.accepted.entry(source).or_insert(end);
                known.epoch = end.epoch.max(known.epoch);
                known.position = end.position.max(known.position);
            }
            // A repair is refused until they are no longer needed.
            Entry::Frozen(_) | Entry::FrozenWindow { .. } | Entry::Reported(_) => {}
        }
    }

    fn sequence(&mut self, name: &str, sequence: Sequence, defined: Option<Defined>) {
        let Some(known) = self.counters.get_mut(name) else {
            let counter = Counter { sequence, defined };
            self.counters.insert(name.to_owned(), counter);
            return;
        };
        let further = match &defined {
            Some(defined) => known.sequence.furthest(sequence, &defined.definition),
            None => known.sequence.furthest(sequence, &Definition::DEFAULT),
        };
        *known = Counter {
            sequence: further,
            defined,
        };
    }
}

/// Collects the evidence about one partition.
pub(super) struct Inquiry<'a> {
    session: &'a Session,
    questions: Questions,
    partition: i32,
    reply_partitions: u32,
    state_partitions: u32,
}

impl Inquiry<'_> {
    /// Prepares the questions about a partition, which must exist.
    pub(super) fn new(session: &Session, partition: i32) -> Result<Inquiry<'_>, Error> {
        let cluster = session.admin.cluster()?;
        let topics = &session.settings.topics;
        for topic in [&topics.requests, &topics.state] {
            let partitions = session.partitions(&cluster, topic, Access::Read)?;
            if u32::try_from(partition).is_ok_and(|partition| partition >= partitions) {
                return Err(Error::Failed(format!(
                    "partition {partition} does not exist: {topic} has partitions 0 to {}",
                    partitions.saturating_sub(1)
                )));
            }
        }
        session.admin.permits_group(&session.settings.group)?;
        Ok(Inquiry {
            reply_partitions: session.partitions(&cluster, &topics.replies, Access::Read)?,
            state_partitions: session.partitions(&cluster, &topics.state, Access::Read)?,
            questions: Questions::new(&session.connection, &session.topics())?,
            session,
            partition,
        })
    }

    /// Collects all evidence.
    pub(super) fn evidence(&self, partitions: Option<u32>) -> Result<Evidence, Error> {
        let log = match self.questions.answer(self.partition, Action::DescribeLog)? {
            Event::Log(log) => log,
            other => return Err(unexpected(&other)),
        };
        let committed = match self
            .questions
            .answer(self.partition, Action::ReadCommitted)?
        {
            Event::Committed(committed) => committed,
            other => return Err(unexpected(&other)),
        };
        let mut state = self.state()?;
        let Service { decided, origin } = self.decided(&state, log.partitions, partitions)?;
        let judged = self.judged(decided.link_key)?;
        let answered = committed.and_then(|committed| committed.answered_beyond(&state.restored));
        let cut = self.cut(&judged, &state, answered)?;
        self.learn_answered(&judged, answered, cut, &mut state)?;
        Ok(Evidence {
            cut,
            judged,
            committed: committed.map(|committed| committed.next),
            answered,
            waiting: self.waiting(&decided.homes)?,
            decided,
            origin,
            replies: self.replies(decided.homes)?,
            ownership: self.ownership(&state)?,
            state,
            log,
        })
    }

    /// The first partition that names of this one move to, and that is not their home as far as its checkpoints
    /// show.
    fn waiting(&self, homes: &Homes) -> Result<Option<u32>, Error> {
        let here = u32::try_from(self.partition).unwrap_or(0);
        for child in homes.children_of(here) {
            let learned = self
                .questions
                .last_homes(i32::try_from(child).unwrap_or(0))?;
            if learned.is_none_or(|learned| learned.epoch() < homes.epoch()) {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// Asks the same questions as an owner, so that the repair fits the reason of the halt.
    fn judged(&self, key: LinkKey) -> Result<Judged, Error> {
        let group = self.session.settings.group.as_str();
        let mut takeover = Takeover::new(self.partition, group, key);
        let mut step = takeover.first();
        loop {
            step = match step {
                Step::Done(Verdict::Start(start)) => return self.judged_by_answers(*start),
                Step::Done(Verdict::Wait(reason)) => return Ok(Judged::Waits(reason)),
                Step::Done(Verdict::Halt(halt, _)) => return Ok(Judged::Halts(halt)),
                // An inquiry changes nothing.
                Step::Do(Action::GrowState) => takeover.on(Event::Growing),
                Step::Do(action) => takeover.on(self.questions.answer(self.partition, action)?),
            };
        }
    }

    /// Finds the first record with a leader epoch above that of the last applied record, if epochs are known.
    /// Otherwise it searches by time: the broker sets the time of the topic's records, and the fold remembers
    /// the highest. So a record after a cut is younger, and a record before the cut never is. If a leader's
    /// clock is behind, the search can miss the first records after the cut, but can never find an answered
    /// one.
    fn cut(
        &self,
        judged: &Judged,
        state: &State,
        answered: Option<Answered>,
    ) -> Result<Option<NextOffset>, Error> {
        let Judged::Halts(Halt::Truncated { .. } | Halt::OtherRecord { .. }) = judged else {
            return Ok(None);
        };
        let Some(footer) = &state.restored.footer else {
            return Ok(None);
        };
        let (last, next) = match answered {
            Some(answered) => (answered.last_applied, answered.next),
            None => (footer.last_applied, footer.next),
        };
        if let Some(cut) = self.cut_by_leaders(last, next)? {
            return Ok(Some(cut));
        }
        // The highest time of what is answered beyond the footer is not known.
        if answered.is_some() {
            return Ok(None);
        }
        let time = footer.scalars.highest_timestamp;
        let found = self.questions.first_after(self.partition, time)?;
        Ok(found.filter(|cut| *cut < footer.next))
    }

    /// Looks for a record below `next` of a later leader than that of the last answered one. None when no leader
    /// epoch is known, or no readable record of a later leader is left.
    fn cut_by_leaders(
        &self,
        last: Option<Fingerprint>,
        next: NextOffset,
    ) -> Result<Option<NextOffset>, Error> {
        let last = last.map(|last| last.leader_epoch);
        let Some(last) = last.filter(|last| *last != NO_LEADER_EPOCH) else {
            return Ok(None);
        };
        let topic = &self.session.settings.topics.requests;
        let reader = Reader::new(&self.session.connection.reader())?;
        let (start, end) = extent(&reader, topic, self.partition)?;
        let first = |from, to| {
            let mut first = None;
            reader.read(topic, self.partition, from, to, |record| {
                first = Some((record.offset, record.leader_epoch));
                Flow::Stop
            })?;
            Ok::<_, KafkaError>(first)
        };
        match first_of_later_leader(start, end.min(next.0), last, first) {
            Ok(cut) => Ok(cut.map(NextOffset)),
            Err(error) if error.is_unreadable() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Folds committed requests up to an offset.
    pub(super) fn refold(&self, rebuild: &mut Rebuild, to: NextOffset) -> Result<(), Error> {
        let Session {
            settings,
            connection,
            ..
        } = self.session;
        let reader = Reader::new(&connection.reader())?;
        let topic = &settings.topics.requests;
        extent(&reader, topic, self.partition)?;
        let from = rebuild.folding.next.0;
        reader.read(topic, self.partition, from, to.0, |record| {
            rebuild.record(&Record {
                partition: record.partition,
                leader_epoch: record.leader_epoch,
                offset: Offset(record.offset),
                timestamp: Timestamp(record.timestamp_ms),
                key: record.key,
                value: record.value,
                headers: &Headers::collect(&settings.reply_headers, record.headers.iter()),
            });
            match rebuild.broken.is_some() || rebuild.fold().broken().is_some() {
                false => Flow::Continue,
                true => Flow::Stop,
            }
        })?;
        rebuild.fold().broken().map_or(Ok(()), |invariant| {
            let what = invariant.as_str();
            let at = rebuild.folding.next;
            Err(Error::Failed(format!(
                "folding the log again, at offset {at}: {what}"
            )))
        })
    }

    /// The batch that cannot be read where the next record from `at` on should be. None when it can be read.
    pub(super) fn unreadable(&self, at: NextOffset, end: NextOffset) -> Result<Option<i64>, Error> {
        let topic = &self.session.settings.topics.requests;
        let reader = Reader::new(&self.session.connection.reader())?;
        extent(&reader, topic, self.partition)?;
        match reader.read(topic, self.partition, at.0, end.0, |_| Flow::Stop) {
            Ok(()) => Ok(None),
            Err(error) if error.is_unreadable() => Ok(Some(error.offset.unwrap_or(at.0))),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the current state.
    pub(super) fn state(&self) -> Result<State, Error> {
        let topic = &self.session.settings.topics.state;
        let (from, to) = match self.questions.answer(self.partition, Action::ReadBound)? {
            Event::Bound(Bound::Log(log)) => (log.start, log.end),
            other => return Err(unexpected(&other)),
        };
        let reader = Reader::new(&self.session.connection.reader())?;
        extent(&reader, topic, self.partition)?;
        let mut restore = Restore::default();
        let mut state = State::default();
        let mut unknown = None;
        reader.read(topic, self.partition, from, to, |record| {
            let key = record.key.unwrap_or_default();
            let header = match record.value {
                Some(_) => None,
                None => record.header(BATCH_HEADER),
            };
            if let Err(error) = restore.record(key, record.value, header) {
                unknown = Some(error);
                return Flow::Stop;
            }
            match state::decode(key, record.value, header).map(|record| record.content) {
                Ok(Content::Entry(entry)) => state.entry(entry),
                Ok(Content::Footer(footer)) => state.footer(&footer),
                // The accepted ends that an earlier repair has kept follow its reset.
                Ok(Content::Reset(_)) => state.accepted.clear(),
                // The sequence has forgotten these requests.
                Ok(Content::Tombstone(EntryKey::Own { name, segment })) => {
                    state.own.remove(&(name.to_owned(), segment));
                }
                // Any other tombstone changes nothing here: the name may have been used up to there.
                Ok(Content::Tombstone(_)) | Err(_) => {}
            }
            Flow::Continue
        })?;
        if let Some(error) = unknown {
            return Err(Error::Failed(format!(
                "{error}: repair with the release that wrote the state, or a newer one"
            )));
        }
        state.believe(restore.finish());
        Ok(state)
    }

    /// The record just before the offset to go on at, if it exists.
    pub(super) fn before(
        &self,
        from: NextOffset,
        log: RequestLog,
    ) -> Result<Option<Fingerprint>, Error> {
        if from <= log.start || from > log.end {
            return Ok(None);
        }
        let offset = Offset(from.0 - 1);
        let answer = self
            .questions
            .answer(self.partition, Action::ReadRecord(offset));
        match answer {
            Ok(Event::Record(hash)) => Ok(hash.map(|hash| Fingerprint {
                offset,
                leader_epoch: NO_LEADER_EPOCH,
                hash,
            })),
            Ok(other) => Err(unexpected(&other)),
            // The unreadable record may be the one to skip.
            Err(error) if error.is_unreadable() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn replies(&self, homes: Homes) -> Result<Replies, Error> {
        let topic = &self.session.settings.topics.replies;
        let reader = reader_of_everything(&self.session.connection)?;
        let mut extents = Vec::new();
        for partition in 0..i32::try_from(self.reply_partitions).unwrap_or(i32::MAX) {
            let (from, to) = extent(&reader, topic, partition)?;
            extents.push((partition, from, to));
        }
        let total: i64 = extents.iter().map(|(_, from, to)| to - from).sum();
        if total > MANY_REPLIES {
            // This goes to standard error, since it is progress and not a result.
            let _ = writeln!(std::io::stderr(), "reading {total} replies of {topic} …");
        }
        let mut replies = Replies::default();
        for (partition, from, to) in extents {
            reader.read(topic, partition, from, to, |record| {
                replies.reply(record.value.unwrap_or_default(), |name| {
                    let home = homes.of(name.as_bytes());
                    i32::try_from(home) == Ok(self.partition)
                });
                Flow::Continue
            })?;
        }
        Ok(replies)
    }

    /// The owner of the partition after any rebalance has ended.
    pub(super) fn settled_ownership(&self, state: &State) -> Result<Ownership, Error> {
        let began = Instant::now();
        loop {
            let ownership = self.ownership(state)?;
            if ownership != Ownership::Unsettled || began.elapsed() > REBALANCE_MAX {
                return Ok(ownership);
            }
            std::thread::sleep(REBALANCE_POLL);
        }
    }
}

/// The error for an event of another question, which cannot happen.
fn unexpected(event: &Event) -> Error {
    Error::Failed(format!("unexpected answer: {event:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::definition::Changes;
    use crate::core::fold::Note;

    #[test]
    fn a_log_tells_the_definitions_that_were_lost_with_the_state() {
        let down = Defined {
            definition: Definition::new(Changes {
                increment: Some(-3),
                ..Changes::default()
            })
            .unwrap(),
            retired: false,
            note: Note {
                op: "define".into(),
                requester: "".into(),
                reason: "".into(),
                offset: Offset(1),
                timestamp: Timestamp(1),
            },
            chain: None,
        };
        let mut log = Fold::default();
        log.put(Entry::Sequence {
            name: "down",
            sequence: Sequence::restored(-73),
            defined: Some(std::borrow::Cow::Borrowed(&down)),
        });
        let mut state = State::default();
        state.learn(&log);
        let counter = &state.counters["down"];
        assert_eq!(counter.sequence, Sequence::restored(-73));
        assert_eq!(counter.defined.as_ref(), Some(&down));
    }

    #[test]
    fn the_highest_counter_of_a_name_is_kept_whatever_came_last() {
        let mut state = State::default();
        for (name, last) in [("a", 10), ("a", 7), ("b", 3)] {
            state.entry(Entry::Sequence {
                name,
                sequence: Sequence::above(last),
                defined: None,
            });
        }
        assert_eq!(state.highest_id(), 10);
        state.scalars.floor = 20;
        assert_eq!(state.highest_id(), 20);
    }
}
