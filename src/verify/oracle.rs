//! The oracle decides what each record of one partition should get, from the records before it. It is the
//! contract read a second time, written as plainly as possible.
//!
//! Nothing here is shared with the service's fold. So a mistake in both must have been made twice.

pub(super) mod rescale;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use indexmap::IndexSet;

use super::code::Code;
use super::grant::Grant;
use super::link::{self, BEGINNING, Carrier, End, HOPS_MAX, Link, Position, Step};
use super::murmur2::home_of;
use super::own::{self, Own};
use super::request::{self, Asked, Change, Deed, Unknown, Wish};
use super::rules::{Note, Rules, Sequence};
use super::source::Record;
use super::window::{self, Place, Window};
use rescale::{Copied, Cuts, OPERATOR};

/// Highest number of sequences of a partition.
const SEQUENCES_MAX: usize = 1 << 24;
/// Places in the window of a new service.
pub(super) const WINDOW_DEFAULT: u32 = 100_000;
/// The key of policy records.
const POLICY: &str = "__policy";

/// The decisions for all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// The first N, the number of partitions that names were spread over at the beginning.
    pub partitions: u32,
    /// The key of the links' tags. None before the first checkpoint.
    pub secret: Option<[u8; 32]>,
}

impl Service {
    /// True when a repair drew this key because the previous one was lost: the lowest bit of its last byte is
    /// set.
    pub(super) fn is_key_of_repair(&self) -> bool {
        self.secret.is_some_and(|secret| secret[31] & 1 == 1)
    }
}

/// The values that a partition remembers besides its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalars {
    pub highest_timestamp: i64,
    pub applied: u64,
    pub floor: i64,
    pub unknown: Unknown,
    pub window_capacity: u32,
    pub window_next: u64,
    pub links_open: bool,
    pub epoch: u64,
    /// The numbers of partitions that names were spread over, the present one last.
    pub homes: Vec<u32>,
    /// True when a policy record came to a partition that was no home.
    pub policy_is_own: bool,
    /// Number of sequences that children have adopted, and that the owner has not removed yet. It does not follow
    /// from the log.
    pub unburied: u64,
}

impl Scalars {
    /// The values of a partition before its first record.
    pub(super) fn fresh(window_capacity: u32, partitions: u32) -> Scalars {
        Scalars {
            highest_timestamp: -1,
            applied: 0,
            floor: 0,
            unknown: Unknown::Create,
            window_capacity,
            window_next: 0,
            links_open: false,
            epoch: 0,
            homes: vec![partitions],
            policy_is_own: false,
            unburied: 0,
        }
    }
}

/// The key of an entry. Sequences have numbers here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Sequence(u32),
    Window(u32),
    /// A segment of what a sequence remembers itself.
    Own(u32, u64),
    Sent(u32),
    Accepted(u32),
    /// The scalars of a parent at its split.
    Frozen,
    /// A segment of the window of a parent at its split.
    FrozenWindow(u32),
    /// A partition that has done its part of a rescale.
    Reported(u32),
}

/// The answer that a record should get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// New IDs.
    Granted(Grant),
    /// The IDs that the same request got before.
    Again(Grant),
    /// The description of a sequence.
    Described {
        rules: Rules,
        next: Option<i64>,
        retired: bool,
        /// The last change. Only `describe` shows it.
        changed: Option<Box<Note>>,
    },
    /// The rule for undefined names.
    Policy(Unknown),
    /// An error.
    Refused(Code),
    /// A copy in the home partition.
    Stray { home: u32 },
    /// No answer: the record was accepted before.
    Repeated,
    /// No answer: a link before it is missing, and the partition halts here (I6).
    Broken { link: Link, accepted: Position },
    /// No answer: it was forwarded too often, and the partition halts here (I6).
    TooManyHops { home: u32 },
    /// The list of N that an operator's split has led to.
    Split(Vec<u32>),
    /// No answer: a partition's order in a rescale.
    Ordered,
    /// As [`Due::Ordered`], from a child that has lost sequences.
    Lost {
        child: u32,
        adopted: u64,
        handed_over: u64,
    },
    /// No answer: an order that contradicts what this partition knows, and the partition halts here (I6).
    Unfit,
    /// The partition adopts names, and the log of this parent was not read back to its split.
    NoCut { parent: u32 },
}

/// A record's due answer, and the request that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// The name of the sequence. None when the name is invalid.
    pub name: Option<&'a str>,
    /// The client's `request_id`.
    pub request_id: Option<String>,
    /// The link of a forwarded record.
    pub link: Option<Link>,
    /// The answer that the record should get.
    pub due: Due,
}

/// The oracle of one partition.
#[derive(Debug)]
pub(super) struct Oracle {
    partition: u32,
    service: Service,
    /// Names by number. A number is never used twice, also after its sequence is removed.
    pub names: IndexSet<Box<str>>,
    sequences: Vec<Option<Sequence>>,
    /// Number of sequences that exist.
    present: usize,
    window: Window,
    sent: BTreeMap<u32, Position>,
    accepted: BTreeMap<u32, End>,
    /// The copy for children, from the split until all of them have adopted.
    copied: Option<Rc<Copied>>,
    /// Partitions that have reported here.
    reported: BTreeSet<u32>,
    /// Names and copies that parents hand over.
    incoming: Cuts,
    /// The values that are remembered besides the entries.
    pub scalars: Scalars,
    /// The last record that was read: its offset, its leader epoch, and the fingerprint that a footer has for
    /// it.
    pub last: Option<(i64, i32, u128)>,
    /// Keys that changed since the last call that took them.
    pub touched: IndexSet<Key>,
}

impl Oracle {
    /// The oracle of a partition before its first record.
    pub(super) fn new(partition: u32, service: Service, window_capacity: u32) -> Oracle {
        Oracle {
            partition,
            service,
            names: IndexSet::new(),
            sequences: Vec::new(),
            present: 0,
            window: Window::default(),
            sent: BTreeMap::new(),
            accepted: BTreeMap::new(),
            copied: None,
            reported: BTreeSet::new(),
            incoming: Cuts::new(),
            scalars: Scalars::fresh(window_capacity, service.partitions),
            last: None,
            touched: IndexSet::new(),
        }
    }

    /// Answers the next record.
    pub(super) fn answer<'a>(&mut self, record: &Record<'a>) -> Answer<'a> {
        let asked = asked_of(record);
        let link = self.link(record);
        if let Some(link) = link
            && let Some(order) = rescale::read(record.key, record.value)
        {
            return self.ordered(record, link, order);
        }
        let link = link.filter(|link| link.partition != OPERATOR);
        if let Some(found) = link {
            let nothing = End {
                epoch: 0,
                position: BEGINNING,
                open: self.scalars.links_open,
            };
            let end = self.accepted.get(&found.partition).copied();
            let end = end.unwrap_or(nothing);
            match found.step(end) {
                Step::Gap => {
                    let due = Due::Broken {
                        link: found,
                        accepted: end.position,
                    };
                    return answer(asked, link, due);
                }
                Step::Known => {
                    self.count(record);
                    return answer(asked, link, Due::Repeated);
                }
                Step::On(end) => {
                    let goes_to = self.goes_to(&asked);
                    if let Some(home) = goes_to.filter(|_| found.hops >= HOPS_MAX) {
                        return answer(asked, link, Due::TooManyHops { home });
                    }
                    self.accepted.insert(found.partition, end);
                    self.touched.insert(Key::Accepted(found.partition));
                }
            }
        }
        self.count(record);
        let due = self.due(record, &asked);
        answer(asked, link, due)
    }

    /// The link of a forwarded record. It counts in the partition that it is addressed to, and is none in any
    /// other.
    pub(super) fn link(&self, record: &Record<'_>) -> Option<Link> {
        let carrier = Carrier {
            partition: self.partition,
            key: record.key?,
            value: record.value,
        };
        link::read(record.forwarded?, &self.service.secret?, carrier)
    }

    /// The partition that a request is forwarded to. None for one that is answered here.
    fn goes_to(&self, asked: &Asked<'_>) -> Option<u32> {
        // An invalid request is answered in the partition where it lies.
        let name = asked.name.as_ref().ok().filter(|_| asked.wish.is_ok())?;
        let home = self.home(name);
        (*name != POLICY && home != self.partition).then_some(home)
    }

    fn home(&self, name: &str) -> u32 {
        let n = self.scalars.homes.last();
        home_of(name, n.copied().unwrap_or(self.service.partitions))
    }

    fn count(&mut self, record: &Record<'_>) {
        self.scalars.applied += 1;
        let highest = &mut self.scalars.highest_timestamp;
        *highest = (*highest).max(record.timestamp_ms);
        self.last = Some((record.offset, record.leader_epoch, record.fingerprint()));
    }

    fn due(&mut self, record: &Record<'_>, asked: &Asked<'_>) -> Due {
        let (name, wish) = match (&asked.name, &asked.wish) {
            (Ok(name), Ok(wish)) => (*name, wish),
            (Err(code), _) | (_, Err(code)) => return Due::Refused(*code),
        };
        if let Some(home) = self.goes_to(asked) {
            let position = (record.leader_epoch, record.offset);
            self.sent.insert(home, position);
            self.touched.insert(Key::Sent(home));
            return Due::Stray { home };
        }
        let due = match wish {
            Wish::Next(count) => self.next(name, *count, asked.request_id.as_deref(), record),
            Wish::Operator {
                deed,
                requester,
                reason,
            } => {
                let note = |op: &str| Note {
                    op: op.into(),
                    requester: requester.as_str().into(),
                    reason: reason.as_str().into(),
                    offset: record.offset,
                    timestamp_ms: record.timestamp_ms,
                };
                self.operate_once(name, *deed, asked.request_id.as_deref(), &note)
            }
        };
        due.unwrap_or_else(Due::Refused)
    }

    fn next(
        &mut self,
        name: &str,
        count: u64,
        request_id: Option<&str>,
        record: &Record<'_>,
    ) -> Result<Due, Code> {
        let key = request_id.map(|request_id| window::key_of(name, request_id));
        if let Some(grant) = key.and_then(|key| self.known(name, &key)) {
            // An operator's record has the count 0, which no request for IDs has.
            return if grant.count == count {
                Ok(Due::Again(grant))
            } else {
                Err(Code::RequestIdReused)
            };
        }
        let unknown = self.scalars.unknown;
        let grant = match self.sequence_mut(name) {
            Some(sequence) => sequence.take(count)?,
            None if unknown == Unknown::Refuse => return Err(Code::UnknownSequence),
            None => {
                self.room()?;
                let mut sequence = Sequence::undefined(self.scalars.floor);
                let grant = sequence.take(count)?;
                if unknown == Unknown::Audit {
                    sequence.audit(record.offset, record.timestamp_ms);
                }
                self.insert(name, sequence);
                grant
            }
        };
        self.touch(name);
        if let Some(key) = key {
            let place = Place { key, grant };
            if !self.remember_own(name, place) {
                self.remember(place);
            }
        }
        Ok(Due::Granted(grant))
    }

    /// The result of a request, as its sequence or the partition remembers it.
    fn known(&self, name: &str, key: &window::Key) -> Option<Grant> {
        let sequence = self.number(name).and_then(|number| self.sequence(number));
        let own = sequence.and_then(|sequence| sequence.own.find(key));
        own.map(|place| place.grant)
            .or_else(|| self.window.find(key))
    }

    /// False when the sequence remembers no requests itself.
    fn remember_own(&mut self, name: &str, place: Place) -> bool {
        let Some(number) = self.number(name) else {
            return false;
        };
        let Some(sequence) = self.sequence_mut(name) else {
            return false;
        };
        let remember = sequence.rules().remember;
        if remember == 0 {
            return false;
        }
        for segment in sequence.own.add(place, remember) {
            self.touched.insert(Key::Own(number, segment));
        }
        true
    }

    /// Checks that the sequences of the partition may remember as many requests.
    fn room_for(&self, name: &str, remember: u32) -> Result<(), Code> {
        let before = self.number(name).and_then(|number| self.sequence(number));
        if remember <= before.map_or(0, |sequence| sequence.rules().remember) {
            return Ok(());
        }
        let all = self.names.iter().zip(&self.sequences);
        let others = all.filter_map(|(other, sequence)| {
            let counts = **other != *name && self.home(other) == self.partition;
            let sequence = sequence.as_ref().filter(|_| counts)?;
            Some(own::room(sequence.rules().remember))
        });
        let taken: u64 = others.sum();
        match taken + own::room(remember) <= own::ALL_MAX {
            true => Ok(()),
            false => Err(Code::InvalidDefinition),
        }
    }

    fn remember(&mut self, place: Place) {
        let Scalars {
            window_capacity,
            window_next,
            ..
        } = &mut self.scalars;
        if *window_capacity == 0 {
            return;
        }
        let at = *window_next % u64::from(*window_capacity);
        *window_next += 1;
        let segment = self.window.put(usize::try_from(at).unwrap_or(0), place);
        let segment = u32::try_from(segment).unwrap_or(u32::MAX);
        self.touched.insert(Key::Window(segment));
    }

    /// Carries out an operator's record, unless the window has its `request_id`.
    fn operate_once(
        &mut self,
        name: &str,
        deed: Deed,
        request_id: Option<&str>,
        note: &dyn Fn(&str) -> Note,
    ) -> Result<Due, Code> {
        let key = request_id.map(|request_id| window::key_of(name, request_id));
        let Some((key, grant)) = key.zip(deed.remembered()) else {
            return self.operate(name, deed, note);
        };
        match self.known(name, &key) {
            Some(known) if known != grant => Err(Code::RequestIdReused),
            Some(_) if name == POLICY => Ok(Due::Policy(self.scalars.unknown)),
            Some(_) => self.described(name, false),
            None => {
                let due = self.operate(name, deed, note)?;
                self.remember(Place { key, grant });
                Ok(due)
            }
        }
    }

    fn operate(
        &mut self,
        name: &str,
        deed: Deed,
        note: &dyn Fn(&str) -> Note,
    ) -> Result<Due, Code> {
        let known = self
            .number(name)
            .is_some_and(|number| self.sequence(number).is_some());
        match deed {
            Deed::Policy(unknown) => {
                self.scalars.unknown = unknown;
                self.scalars.policy_is_own |= self.is_outside();
                return Ok(Due::Policy(unknown));
            }
            Deed::Describe if name == POLICY => {
                return Ok(Due::Policy(self.scalars.unknown));
            }
            Deed::Define(change) if !known => {
                self.room()?;
                let rules = Rules::first(change)?;
                self.room_for(name, rules.remember)?;
                let floor = self.scalars.floor;
                self.insert(name, Sequence::first_defined(rules, floor, note("define")));
            }
            _ => {}
        }
        if let Deed::Define(Change {
            remember: Some(remember),
            ..
        }) = deed
        {
            self.room_for(name, remember)?;
        }
        let sequence = self.sequence_mut(name).ok_or(Code::UnknownSequence)?;
        let mut forgotten = Vec::new();
        match deed {
            Deed::Define(change) if known => {
                forgotten = sequence.define(change, note("define"))?;
            }
            Deed::SetNext { next, force } => sequence.set_next(next, force, note("set_next"))?,
            Deed::Retire => sequence.retire(note("retire")),
            Deed::Define(_) | Deed::Describe | Deed::Policy(_) => {}
        }
        self.touch(name);
        for segment in forgotten {
            if let Some(number) = self.number(name) {
                self.touched.insert(Key::Own(number, segment));
            }
        }
        self.described(name, deed == Deed::Describe)
    }

    /// Describes a sequence as it is now.
    fn described(&mut self, name: &str, with_change: bool) -> Result<Due, Code> {
        let sequence = self.sequence_mut(name).ok_or(Code::UnknownSequence)?;
        let defined = sequence.defined.as_ref().filter(|_| with_change);
        Ok(Due::Described {
            rules: *sequence.rules(),
            next: sequence.shown(),
            retired: sequence.retired(),
            changed: defined.map(|defined| Box::new(defined.note.clone())),
        })
    }

    fn room(&self) -> Result<(), Code> {
        if self.present < SEQUENCES_MAX {
            Ok(())
        } else {
            Err(Code::TooManySequences)
        }
    }

    fn insert(&mut self, name: &str, sequence: Sequence) {
        let number = self.intern(name);
        self.put_sequence(number, Some(sequence));
    }

    fn touch(&mut self, name: &str) {
        if let Some(number) = self.number(name) {
            self.touched.insert(Key::Sequence(number));
        }
    }

    fn sequence_mut(&mut self, name: &str) -> Option<&mut Sequence> {
        let number = self.number(name)?;
        self.sequences
            .get_mut(usize::try_from(number).ok()?)?
            .as_mut()
    }

    /// The number of a name.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let at = self.names.get_index_of(name)?;
        u32::try_from(at).ok()
    }

    /// The number of a name. A name without a number gets a new one.
    pub(super) fn intern(&mut self, name: &str) -> u32 {
        let at = match self.names.get_index_of(name) {
            Some(at) => at,
            None => self.names.insert_full(name.into()).0,
        };
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// A sequence by its number.
    pub(super) fn sequence(&self, number: u32) -> Option<&Sequence> {
        self.sequences.get(usize::try_from(number).ok()?)?.as_ref()
    }

    /// Sets or removes a sequence.
    pub(super) fn put_sequence(&mut self, number: u32, sequence: Option<Sequence>) {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if self.sequences.len() <= at {
            self.sequences.resize(at + 1, None);
        }
        let after = usize::from(sequence.is_some());
        let before = std::mem::replace(&mut self.sequences[at], sequence);
        self.present = self.present + after - usize::from(before.is_some());
    }

    /// Sets the requests that a sequence remembers itself.
    pub(super) fn put_own(&mut self, number: u32, own: Own) {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(Some(sequence)) = self.sequences.get_mut(at) {
            sequence.own = own;
        }
    }

    /// Forgets every sequence, so that another state can be loaded. Names keep their numbers.
    pub(super) fn forget(&mut self) {
        self.sequences.clear();
        self.present = 0;
    }

    /// Sets both ends of the chains.
    pub(super) fn put_chains(
        &mut self,
        sent: BTreeMap<u32, Position>,
        accepted: BTreeMap<u32, End>,
    ) {
        (self.sent, self.accepted) = (sent, accepted);
    }

    /// Sets the window.
    pub(super) fn put_window(&mut self, window: Window) {
        self.window = window;
    }

    /// Returns the window.
    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// The last stray that was forwarded to a home partition.
    pub(super) fn sent(&self, home: u32) -> Option<Position> {
        self.sent.get(&home).copied()
    }

    /// The last stray that was accepted from a partition.
    pub(super) fn accepted(&self, source: u32) -> Option<End> {
        self.accepted.get(&source).copied()
    }

    /// Every key that the oracle remembers.
    pub(super) fn keys(&self) -> Vec<Key> {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let sequences = self.sequences.iter().enumerate();
        let sequences = sequences.filter(|(_, sequence)| sequence.is_some());
        let mut keys: Vec<Key> = sequences.map(|(at, _)| Key::Sequence(number(at))).collect();
        keys.extend((0..self.window.segments()).map(|at| Key::Window(number(at))));
        for (at, sequence) in self.sequences.iter().enumerate() {
            let segments = sequence.iter().flat_map(|sequence| sequence.own.segments());
            keys.extend(segments.map(|segment| Key::Own(number(at), segment)));
        }
        keys.extend(self.sent.keys().map(|home| Key::Sent(*home)));
        keys.extend(self.accepted.keys().map(|source| Key::Accepted(*source)));
        if let Some(copied) = &self.copied {
            keys.push(Key::Frozen);
            keys.extend((0..copied.window.segments()).map(|at| Key::FrozenWindow(number(at))));
        }
        keys.extend(
            self.reported
                .iter()
                .map(|partition| Key::Reported(*partition)),
        );
        keys
    }
}

fn asked_of<'a>(record: &Record<'a>) -> Asked<'a> {
    request::read(record.key, record.value, record.request_id)
}

fn answer<'a>(asked: Asked<'a>, link: Option<Link>, due: Due) -> Answer<'a> {
    Answer {
        name: asked.name.ok(),
        request_id: asked.request_id,
        link,
        due,
    }
}
