//! What there is to find out before a repair.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::cli::Error;
use crate::cli::session::Session;
use crate::core::fold::Entry;
use crate::core::sequence::Sequence;
use crate::core::{NextOffset, Offset, Scalars};
use crate::kafka::admin::Member;
use crate::kafka::consumer::{Flow, Reader};
use crate::kafka::takeovers::questions::Questions;
use crate::kafka::tools::{extent, reader_of_everything};
use crate::processor::restore::{Restore, Restored};
use crate::processor::takeover::{Action, Event, RequestLog};
use crate::wire::state::{self, BATCH_HEADER, Content, Fingerprint, Footer};

/// More replies than this take so long to read that it is said.
const MANY_REPLIES: i64 = 1_000_000;
/// A rebalance is over within this time, or something is wrong with the group.
const REBALANCE_MAX: Duration = Duration::from_secs(10);
/// How often to look meanwhile.
const REBALANCE_POLL: Duration = Duration::from_millis(250);

/// All that a repair is decided by.
#[derive(Debug)]
pub struct Evidence {
    /// The request log.
    pub log: RequestLog,
    /// The state log.
    pub state: State,
    /// The default reply topic.
    pub replies: Replies,
    /// N.
    pub service_partitions: u32,
    /// The record just before the place to go on at, if one is there.
    pub before: Option<Fingerprint>,
    /// Who owns the partition.
    pub ownership: Ownership,
}

/// What the state log has, whether it adds up or not.
#[derive(Debug, Default)]
pub struct State {
    /// What a restore arrives at.
    pub restored: Restored,
    /// The highest counter that any record has of each name.
    pub counters: BTreeMap<String, Sequence>,
    /// The highest of each that any footer has.
    pub scalars: Scalars,
    /// The last footer, even if it does not add up.
    pub last_footer: Option<Footer>,
}

impl State {
    /// The highest ID that any record speaks of.
    pub fn highest_id(&self) -> i64 {
        let counters = self.counters.values().map(|sequence| sequence.next() - 1);
        counters.chain([self.scalars.floor]).max().unwrap_or(0)
    }

    fn footer(&mut self, footer: &Footer) {
        let Scalars {
            highest_timestamp,
            applied,
            floor,
        } = &mut self.scalars;
        *highest_timestamp = footer.scalars.highest_timestamp.max(*highest_timestamp);
        *applied = footer.scalars.applied.max(*applied);
        *floor = footer.scalars.floor.max(*floor);
        self.last_footer = Some(footer.clone());
    }

    fn entry(&mut self, name: &str, sequence: Sequence) {
        match self.counters.get_mut(name) {
            Some(known) if known.next() >= sequence.next() => {}
            Some(known) => *known = sequence,
            None => {
                self.counters.insert(name.to_owned(), sequence);
            }
        }
    }
}

/// What the replies say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// Replies read.
    pub read: u64,
    /// Those of requests of this partition.
    pub of_partition: u64,
    /// The highest ID among them.
    pub highest: i64,
}

/// As much of a reply as matters here.
#[derive(Deserialize)]
struct Given {
    partition: i32,
    first: Option<i64>,
    last: Option<i64>,
}

impl Replies {
    fn reply(&mut self, partition: i32, body: &[u8]) {
        self.read += 1;
        let Ok(given) = serde_json::from_slice::<Given>(body) else {
            return;
        };
        if given.partition == partition {
            self.of_partition += 1;
            let highest = given.first.max(given.last).unwrap_or(0);
            self.highest = self.highest.max(highest);
        }
    }
}

/// Who owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The group has no members.
    Nobody,
    /// This one, in words.
    Member(String),
    /// The group has members, and none of them owns it: a rebalance is going on.
    Unsettled,
}

/// Looks at one partition.
pub struct Look<'a> {
    session: &'a Session,
    questions: Questions,
    partition: i32,
    reply_partitions: u32,
}

impl Look<'_> {
    /// For a partition that must be there.
    pub fn new(session: &Session, partition: i32) -> Result<Look<'_>, Error> {
        let cluster = session.admin.cluster()?;
        let topics = &session.settings.topics;
        for topic in [&topics.requests, &topics.state] {
            let partitions = session.partitions(&cluster, topic)?;
            if u32::try_from(partition).is_ok_and(|partition| partition >= partitions) {
                return Err(Error::Failed(format!(
                    "partition {partition} does not exist: {topic} has partitions 0 to {}",
                    partitions.saturating_sub(1)
                )));
            }
        }
        Ok(Look {
            reply_partitions: session.partitions(&cluster, &topics.replies)?,
            questions: Questions::new(&session.connection, &session.topics())?,
            session,
            partition,
        })
    }

    /// Everything, for going on at `from`.
    pub fn evidence(&self, from: NextOffset) -> Result<Evidence, Error> {
        let log = match self.questions.answer(self.partition, Action::DescribeLog)? {
            Event::Log(log) => log,
            other => return Err(unexpected(&other)),
        };
        let state = self.state()?;
        Ok(Evidence {
            service_partitions: self.service_partitions(&state, log.partitions)?,
            state,
            replies: self.replies()?,
            before: self.before(from, log)?,
            ownership: self.ownership()?,
            log,
        })
    }

    /// The state as it is now.
    pub fn state(&self) -> Result<State, Error> {
        let topic = &self.session.settings.topics.state;
        let (from, to) = match self.questions.answer(self.partition, Action::ReadBound)? {
            Event::Bound(Some(log)) => (log.start, log.end),
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
                Ok(Content::Entry(Entry::Sequence { name, sequence })) => {
                    state.entry(name, sequence);
                }
                Ok(Content::Footer(footer)) => state.footer(&footer),
                // A tombstone takes nothing back: the name may have been used up to there.
                Ok(Content::Tombstone(_) | Content::Reset(_)) | Err(_) => {}
            }
            Flow::Continue
        })?;
        if let Some(error) = unknown {
            return Err(Error::Failed(format!(
                "{error}: repair with the release that wrote the state, or a newer one"
            )));
        }
        state.restored = restore.finish();
        Ok(state)
    }

    /// N never changes, so any footer will do, also one that does not add up.
    fn service_partitions(&self, state: &State, topic_has: u32) -> Result<u32, Error> {
        let footer = state
            .restored
            .footer
            .as_ref()
            .or(state.last_footer.as_ref());
        if let Some(footer) = footer {
            return Ok(footer.partitions);
        }
        match self
            .questions
            .answer(self.partition, Action::ReadServiceSize)?
        {
            Event::ServiceSize(size) => Ok(size.unwrap_or(topic_has)),
            other => Err(unexpected(&other)),
        }
    }

    fn before(&self, from: NextOffset, log: RequestLog) -> Result<Option<Fingerprint>, Error> {
        if from <= log.start || from > log.end {
            return Ok(None);
        }
        let offset = Offset(from.0 - 1);
        match self
            .questions
            .answer(self.partition, Action::ReadRecord(offset))?
        {
            Event::Record(hash) => Ok(hash.map(|hash| Fingerprint { offset, hash })),
            other => Err(unexpected(&other)),
        }
    }

    fn replies(&self) -> Result<Replies, Error> {
        let topic = &self.session.settings.topics.replies;
        let reader = reader_of_everything(&self.session.connection)?;
        let mut extents = Vec::new();
        for partition in 0..i32::try_from(self.reply_partitions).unwrap_or(i32::MAX) {
            let (from, to) = extent(&reader, topic, partition)?;
            extents.push((partition, from, to));
        }
        let total: i64 = extents.iter().map(|(_, from, to)| to - from).sum();
        if total > MANY_REPLIES {
            // To standard error, since it is news and no result.
            let _ = writeln!(std::io::stderr(), "reading {total} replies of {topic} …");
        }
        let mut replies = Replies::default();
        for (partition, from, to) in extents {
            reader.read(topic, partition, from, to, |record| {
                replies.reply(self.partition, record.value.unwrap_or_default());
                Flow::Continue
            })?;
        }
        Ok(replies)
    }

    fn ownership(&self) -> Result<Ownership, Error> {
        let Session {
            settings, admin, ..
        } = self.session;
        let members = admin.group_members(&settings.group)?;
        Ok(ownership(
            &members,
            &settings.topics.requests,
            self.partition,
        ))
    }

    /// The same, once a rebalance is over.
    pub fn settled_ownership(&self) -> Result<Ownership, Error> {
        let began = Instant::now();
        loop {
            let ownership = self.ownership()?;
            if ownership != Ownership::Unsettled || began.elapsed() > REBALANCE_MAX {
                return Ok(ownership);
            }
            std::thread::sleep(REBALANCE_POLL);
        }
    }
}

fn ownership(members: &[Member], requests: &str, partition: i32) -> Ownership {
    let owns = |member: &&Member| {
        let assigned = member.assigned.get(requests);
        assigned.is_some_and(|partitions| partitions.contains(&partition))
    };
    match members.iter().find(owns) {
        Some(member) => {
            let host = member.host.trim_start_matches('/');
            Ownership::Member(format!("instance {} at {host}", member.client_id))
        }
        None if members.is_empty() => Ownership::Nobody,
        None => Ownership::Unsettled,
    }
}

/// The questions answer with the event of their kind.
fn unexpected(event: &Event) -> Error {
    Error::Failed(format!("unexpected answer: {event:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_id_is_that_of_this_partitions_replies() {
        let mut replies = Replies::default();
        for body in [
            r#"{"sequence":"a","first":41,"last":50,"count":10,"partition":3,"offset":1}"#,
            r#"{"sequence":"a","first":90,"last":99,"count":10,"partition":2,"offset":1}"#,
            r#"{"error":{"code":"exhausted","message":"m"},"partition":3,"offset":2}"#,
            "no JSON",
        ] {
            replies.reply(3, body.as_bytes());
        }
        let expected = Replies {
            read: 4,
            of_partition: 2,
            highest: 50,
        };
        assert_eq!(replies, expected);
    }

    #[test]
    fn a_group_whose_members_do_not_own_the_partition_is_not_settled() {
        let member = Member {
            id: "m".to_owned(),
            instance_id: None,
            client_id: "host".to_owned(),
            host: "/10.0.0.1".to_owned(),
            assigned: BTreeMap::from([("r".to_owned(), vec![0, 2])]),
        };
        let members = [member];
        assert_eq!(ownership(&[], "r", 0), Ownership::Nobody);
        assert_eq!(ownership(&members, "r", 1), Ownership::Unsettled);
        assert_eq!(ownership(&members, "other", 0), Ownership::Unsettled);
        let Ownership::Member(words) = ownership(&members, "r", 2) else {
            panic!("it owns partition 2")
        };
        assert_eq!(words, "instance host at 10.0.0.1");
    }

    #[test]
    fn the_highest_counter_of_a_name_is_kept_whatever_came_last() {
        let mut state = State::default();
        state.entry("a", Sequence::above(10));
        state.entry("a", Sequence::above(7));
        state.entry("b", Sequence::above(3));
        assert_eq!(state.highest_id(), 10);
        state.scalars.floor = 20;
        assert_eq!(state.highest_id(), 20);
    }
}
