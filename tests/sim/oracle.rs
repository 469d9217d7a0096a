//! Computes the expected answer of each request when its record becomes visible. It is the plainest possible
//! fold, which shares no code with the product's. It knows what a client meant, so it parses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use sequencer::core::command::Undefined;
use sequencer::core::definition::AtEnd;
use sequencer::core::fold::{Entry, OWN_SEGMENT};
use sequencer::core::partitioner::partition_of;
use sequencer::core::window::{Place as StoredPlace, RequestKey, SEGMENT};
use sequencer::processor::restore::Restored;
use serde_json::Value;

use crate::log::{Record, What};

/// The meaning of a client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Next {
        count: i128,
    },
    Define(Fields),
    SetNext {
        next: i128,
        force: bool,
    },
    Describe,
    Retire,
    Policy {
        refuse: bool,
        audit: bool,
    },
    /// An operator's split: the list of N with the new one.
    Split(Vec<u32>),
    /// A request without a valid meaning, with the code of its error.
    Invalid(&'static str),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub start: Option<i128>,
    pub increment: Option<i128>,
    pub min: Option<i128>,
    pub max: Option<i128>,
    pub cycle: Option<bool>,
    pub max_count: Option<i128>,
    pub audit: Option<bool>,
    pub remember: Option<i128>,
}

/// A record that the ledger must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub name: String,
    /// The number of the record within its sequence.
    pub record: u64,
    pub kind: &'static str,
    /// First and last ID of a grant.
    pub ids: Option<(i128, i128)>,
    /// The next ID after an operator's act.
    pub next: Option<i128>,
    /// The partition of the client's record.
    pub partition: u32,
    pub offset: i64,
}

impl Told {
    /// The difference from a ledger record: the one at this index of its page.
    pub fn difference(&self, page: &Value, place: usize) -> Option<String> {
        let json = &page["records"][place];
        let number = |field: &str| json.get(field).and_then(Value::as_i64).map(i128::from);
        let record = page["record"].as_u64().map(|first| first + place as u64);
        let same = page["sequence"] == *self.name
            && record == Some(self.record)
            && json["kind"] == self.kind
            && number("first").zip(number("last")) == self.ids
            && number("next") == self.next
            && number("partition") == Some(i128::from(self.partition))
            && number("offset") == Some(i128::from(self.offset));
        (!same).then(|| format!("record {place} of {page} is not {self:?}"))
    }
}

#[derive(Clone, Debug)]
pub struct Asked {
    /// None when the key is not a valid name.
    pub name: Option<String>,
    pub meaning: Meaning,
    pub request_id: Option<String>,
    pub requester: Option<&'static str>,
    pub reason: Option<&'static str>,
}

/// The operator's record that changed a sequence last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    op: &'static str,
    requester: Option<&'static str>,
    reason: Option<&'static str>,
    offset: i64,
    timestamp: i64,
}

impl Changed {
    fn of(op: &'static str, at: Place, asked: &Asked) -> Option<Changed> {
        Some(Changed {
            op,
            requester: asked.requester,
            reason: asked.reason,
            offset: at.offset,
            timestamp: at.timestamp,
        })
    }

    /// Compares with a reply. A day of the simulation is enough: it begins in 1970.
    fn is(&self, json: &Value) -> bool {
        let (seconds, millis) = (self.timestamp / 1_000, self.timestamp % 1_000);
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        let seconds = seconds % 60;
        let at = match self.timestamp {
            // The clock steps back at the very beginning.
            ..0 => "unknown".to_owned(),
            _ => format!("1970-01-01T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z"),
        };
        let mut same = serde_json::json!({"op": self.op, "at": at, "offset": self.offset});
        for (field, text) in [("requester", self.requester), ("reason", self.reason)] {
            if let Some(text) = text {
                same[field] = text.into();
            }
        }
        *json == same
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    pub first: i128,
    pub last: i128,
    pub count: i128,
    pub increment: i128,
}

/// The expected content of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Ids(Ids),
    /// A sequence. The flag is true when the reply has its last change.
    Described(Sequence, bool),
    Policy {
        refuse: bool,
        audit: bool,
    },
    Split(Vec<u32>),
    Error(&'static str),
}

/// The result of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Reply(Expected),
    /// Forwarded to its home.
    Stray,
    /// Forwarded to this partition again.
    Dropped,
    /// An order of a rescale, and the partitions that it gives orders to.
    Order(Vec<u32>),
    /// The same, by an operator, who gets a reply.
    Ordered(Expected, Vec<u32>),
    /// A stray before this one is missing.
    Broken,
    /// It was forwarded as often as it may be, and is not home.
    TooManyHops,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub next: i128,
    start: i128,
    increment: i128,
    min: i128,
    max: i128,
    cycle: bool,
    max_count: i128,
    defined: bool,
    retired: bool,
    audit: bool,
    /// Number of requests that it remembers itself.
    remember: i128,
    /// These requests, the oldest one first.
    own: VecDeque<Remembered>,
    /// The number of the next one.
    own_next: u64,
    changed: Option<Changed>,
    /// Number of its records in the ledger.
    records: u64,
}

const LAST: i128 = (1 << 53) - 1;
const COUNT_DEFAULT_MAX: i128 = 1_000_000;
const COUNT_MAX: i128 = (1 << 53) - 1;
/// Most requests that the sequences of a partition remember together.
const REMEMBERED_MAX: i128 = 1_000_000;
/// Most times that a request is forwarded.
const HOPS_MAX: u8 = 16;

impl Sequence {
    fn fresh(fields: &Fields) -> Result<Sequence, &'static str> {
        let increment = fields.increment.unwrap_or(1);
        let down = increment < 0;
        let min = fields.min.unwrap_or(if down { -LAST } else { 1 });
        let max = fields.max.unwrap_or(if down { -1 } else { LAST });
        let start = fields.start.unwrap_or(if down { max } else { min });
        let sequence = Sequence {
            next: start,
            start,
            increment,
            min,
            max,
            cycle: fields.cycle.unwrap_or(false),
            max_count: fields.max_count.unwrap_or(COUNT_DEFAULT_MAX),
            defined: true,
            retired: false,
            audit: fields.audit.unwrap_or(false),
            remember: fields.remember.unwrap_or(0),
            own: VecDeque::new(),
            own_next: 0,
            changed: None,
            records: 0,
        };
        let fits = sequence.is_sound() && min <= start && start <= max;
        if fits {
            Ok(sequence)
        } else {
            Err("invalid_definition")
        }
    }

    pub fn was_changed(&self) -> bool {
        self.changed.is_some()
    }

    fn is_sound(&self) -> bool {
        self.increment != 0
            && self.min <= self.max
            && (1..=COUNT_MAX).contains(&self.max_count)
            && (0..=1_000_000).contains(&self.remember)
    }

    fn has_next(&self) -> bool {
        self.min <= self.next && self.next <= self.max
    }

    fn shown_next(&self) -> Option<i128> {
        self.has_next().then_some(self.next)
    }

    fn take(&mut self, count: i128) -> Result<Ids, &'static str> {
        if count > self.max_count {
            return Err("invalid_count");
        }
        let mut last = self.next;
        // One by one, in the way a person counts.
        for taken in 0..count {
            let id = self.next + taken * self.increment;
            if id < self.min || id > self.max {
                return Err("exhausted");
            }
            last = id;
        }
        let ids = Ids {
            first: self.next,
            last,
            count,
            increment: self.increment,
        };
        self.next = last + self.increment;
        if !self.has_next() && self.cycle {
            self.next = self.beginning();
        }
        Ok(ids)
    }

    fn beginning(&self) -> i128 {
        if self.increment < 0 {
            self.max
        } else {
            self.min
        }
    }

    /// True when `a` comes before `b` in the direction of counting.
    fn before(&self, a: i128, b: i128) -> bool {
        if self.increment < 0 { a > b } else { a < b }
    }

    fn redefine(&self, fields: &Fields) -> Result<Sequence, &'static str> {
        let refused = Err("invalid_definition");
        let mut after = self.clone();
        after.start = fields.start.unwrap_or(self.start);
        after.increment = fields.increment.unwrap_or(self.increment);
        after.min = fields.min.unwrap_or(self.min);
        after.max = fields.max.unwrap_or(self.max);
        after.cycle = fields.cycle.unwrap_or(self.cycle);
        after.max_count = fields.max_count.unwrap_or(self.max_count);
        after.audit = fields.audit.unwrap_or(self.audit);
        after.remember = fields.remember.unwrap_or(self.remember);
        if !after.is_sound() || (after.increment < 0) != (self.increment < 0) {
            return refused;
        }
        if self.retired {
            if after.start < after.min || after.start > after.max {
                return refused;
            }
            if after.before(after.next, after.start) {
                after.next = after.start;
            }
        } else if after.start != self.start {
            return refused;
        }
        if !after.has_next() {
            let end = if after.increment < 0 {
                after.min
            } else {
                after.max
            };
            let beyond = after.before(end, after.next);
            if !beyond || self.has_next() {
                return refused;
            }
            if after.cycle {
                after.next = after.beginning();
            }
        }
        after.defined = true;
        after.retired = false;
        after.forget();
        Ok(after)
    }
}

impl Sequence {
    /// Remembers a request itself. False when its definition does not say so.
    fn remembers(&mut self, new: &Remembered) -> bool {
        if self.remember == 0 {
            return false;
        }
        self.own.push_back(new.clone());
        self.own_next += 1;
        self.forget();
        true
    }

    fn forget(&mut self) {
        if self.remember == 0 {
            self.own.clear();
            self.own_next = 0;
            return;
        }
        // A whole segment at a time.
        let oldest = (i128::from(self.own_next) - self.remember).max(0) as usize;
        let first = oldest / OWN_SEGMENT * OWN_SEGMENT;
        while self.own_next as usize - self.own.len() < first {
            self.own.pop_front();
        }
    }

    /// The room that it takes of what a partition can remember for its sequences.
    fn room(&self) -> i128 {
        match self.remember {
            0 => 0,
            remember => remember.max(100),
        }
    }

    /// The difference of a segment of its own window from this one.
    fn own_difference(&self, segment: u64, places: &[StoredPlace]) -> Option<String> {
        let first = self.own_next - self.own.len() as u64;
        for (number, place) in (segment * OWN_SEGMENT as u64..).zip(places) {
            let known = number.checked_sub(first);
            let known = known.and_then(|at| self.own.get(at as usize));
            if !known.is_some_and(|known| known.is(place)) {
                return Some(format!(
                    "own place {number} is {place:?}, should be {known:?}"
                ));
            }
        }
        None
    }

    /// The places that a segment of its own window has.
    fn own_segments(&self) -> BTreeMap<u64, usize> {
        let first = (self.own_next - self.own.len() as u64) / OWN_SEGMENT as u64;
        let mut segments = BTreeMap::new();
        for number in first * OWN_SEGMENT as u64..self.own_next {
            if !self.own.is_empty() {
                *segments.entry(number / OWN_SEGMENT as u64).or_default() += 1;
            }
        }
        segments
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Remembered {
    name: String,
    request_id: String,
    got: Got,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Ids(Ids),
    /// An operator's record, and its meaning.
    Act(Meaning),
}

impl Remembered {
    fn is(&self, place: &StoredPlace) -> bool {
        place.key == RequestKey::new(&self.name, &self.request_id)
            && match &self.got {
                Got::Ids(ids) => {
                    i128::from(place.first) == ids.first
                        && i128::from(place.increment) == ids.increment
                        && i128::from(place.count) == ids.count
                }
                Got::Act(_) => place.is_act(),
            }
    }
}

/// A link in a forwarded record.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub source: u32,
    pub epoch: u64,
    pub at: Position,
    pub previous: Position,
    /// Partition and offset of the client's record.
    pub origin: (u32, i64),
    pub hops: u8,
}

/// Leader epoch and offset.
pub type Position = (i32, i64);

/// The end of the chain from a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub epoch: u64,
    pub at: Position,
    /// True when home was repaired: the next link need not follow.
    pub open: bool,
}

impl Link {
    /// The link of a forwarded record. A copy that a client wrote has none.
    pub fn of(record: &Record) -> Option<Link> {
        let header = record.header("sequencer-forwarded");
        matches!(record.what, What::Forward(_))
            .then(|| Link::read(header.expect("a stray has a link")))
    }

    pub fn read(header: &[u8]) -> Link {
        let text = std::str::from_utf8(header).expect("a link is text");
        let mut parts = text.split([':', '.']).map(|part| part.parse::<i64>());
        let mut part = || parts.next().expect("nine parts").expect("a number");
        Link {
            source: part() as u32,
            epoch: part() as u64,
            at: (part() as i32, part()),
            previous: (part() as i32, part()),
            origin: (part() as u32, part()),
            hops: part() as u8,
        }
    }

    /// None when the link came before. An error when a link before it is missing.
    pub fn accepted(&self, end: Option<End>, links_open: bool) -> Option<Result<End, ()>> {
        let (before, at, open) = match end {
            Some(end) => (end.epoch, end.at, end.open),
            None => (0, (-1, -1), links_open),
        };
        if self.at <= at {
            return None;
        }
        let follows = self.previous == at;
        if !follows && self.epoch < before {
            // An owner that a repair has replaced wrote the link.
            return None;
        }
        let nothing_between = self.previous < at;
        let restarted = self.epoch > before;
        let lost_at_source = self.at.0 > at.0;
        let right = follows || open || nothing_between && (restarted || lost_at_source);
        Some(
            right
                .then_some(End {
                    epoch: before.max(self.epoch),
                    at: self.at,
                    open: false,
                })
                .ok_or(()),
        )
    }
}

/// The place of a record.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub partition: u32,
    /// The home partition of its name. Its own partition when it has no name.
    pub home: u32,
    pub leader_epoch: i32,
    pub offset: i64,
    pub timestamp: i64,
}

/// The state of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naive {
    pub sequences: BTreeMap<String, Sequence>,
    window: VecDeque<Remembered>,
    capacity: usize,
    remembered: u64,
    refuse_undefined: bool,
    audit_undefined: bool,
    /// IDs up to this one are taken for names that are not known.
    pub floor: i128,
    /// N of each epoch that the partition knows. Empty before its first footer.
    pub homes: Vec<u32>,
    pub policy_is_own: bool,
    /// The state at the last split, which is not forgotten here.
    pub frozen: Option<Rc<Naive>>,
    /// True until all children have adopted.
    pub is_split: bool,
    pub reported: BTreeSet<u32>,
    /// The ledger record that the last record causes.
    pub told: Option<Told>,
    /// True when the last record got new IDs, or was carried out.
    granted: bool,
    pub sent: BTreeMap<u32, Position>,
    pub accepted: BTreeMap<u32, End>,
    epoch: u64,
    pub links_open: bool,
    pub applied: u64,
    pub highest_timestamp: i64,
}

impl Naive {
    pub fn new(capacity: usize) -> Naive {
        Naive {
            sequences: BTreeMap::new(),
            window: VecDeque::new(),
            capacity,
            remembered: 0,
            refuse_undefined: false,
            audit_undefined: false,
            floor: 0,
            homes: Vec::new(),
            policy_is_own: false,
            frozen: None,
            is_split: false,
            reported: BTreeSet::new(),
            told: None,
            granted: false,
            sent: BTreeMap::new(),
            accepted: BTreeMap::new(),
            epoch: 0,
            links_open: false,
            applied: 0,
            highest_timestamp: -1,
        }
    }

    pub fn fold(&mut self, at: Place, link: Option<Link>, asked: &Asked) -> Outcome {
        let mut dropped = false;
        self.told = None;
        self.granted = false;
        let is_stray = asked.name.is_some()
            && at.home != at.partition
            && !matches!(asked.meaning, Meaning::Policy { .. } | Meaning::Invalid(_));
        if let Some(link) = link {
            let end = self.accepted.get(&link.source).copied();
            match link.accepted(end, self.links_open) {
                None => dropped = true,
                Some(Err(())) => return Outcome::Broken,
                Some(Ok(_)) if is_stray && link.hops == HOPS_MAX => return Outcome::TooManyHops,
                Some(Ok(end)) => drop(self.accepted.insert(link.source, end)),
            }
        }
        self.applied += 1;
        self.highest_timestamp = self.highest_timestamp.max(at.timestamp);
        if dropped {
            return Outcome::Dropped;
        }
        let name = match (&asked.meaning, &asked.name) {
            (Meaning::Invalid(code), _) => return Outcome::Reply(Expected::Error(code)),
            (_, None) => return Outcome::Reply(Expected::Error("invalid_name")),
            (_, Some(name)) => name,
        };
        if is_stray {
            let position = (at.leader_epoch, at.offset);
            self.sent.insert(at.home, position);
            return Outcome::Stray;
        }
        let before = self.sequences.get(name).cloned();
        let answer = self.answer(at, name, asked);
        if let Ok(expected) = &answer {
            self.tell(at, link, name, asked, before.as_ref(), expected);
        }
        Outcome::Reply(answer.unwrap_or_else(Expected::Error))
    }

    /// Computes the ledger record: one for each new grant of an audited sequence, and for each act on a
    /// sequence that is audited before or after it.
    fn tell(
        &mut self,
        at: Place,
        link: Option<Link>,
        name: &str,
        asked: &Asked,
        before: Option<&Sequence>,
        expected: &Expected,
    ) {
        let Some(sequence) = self.sequences.get_mut(name) else {
            return;
        };
        let audited = sequence.audit || before.is_some_and(|before| before.audit);
        let moved = before.is_none_or(|before| before.next != sequence.next);
        let (kind, ids) = match (&asked.meaning, expected) {
            (Meaning::Next { .. }, Expected::Ids(ids)) if self.granted => {
                ("grant", Some((ids.first, ids.last)))
            }
            _ if !self.granted => return,
            (Meaning::Define(_), _) => ("define", None),
            (Meaning::SetNext { .. }, _) => ("set_next", None),
            (Meaning::Retire, _) if moved || before.is_some_and(|before| !before.retired) => {
                ("retire", None)
            }
            _ => return,
        };
        if !audited {
            return;
        }
        sequence.records += 1;
        self.told = Some(Told {
            name: name.to_owned(),
            record: sequence.records,
            kind,
            ids,
            next: ids.is_none().then(|| sequence.shown_next()).flatten(),
            partition: link.map_or(at.partition, |link| link.origin.0),
            offset: link.map_or(at.offset, |link| link.origin.1),
        });
    }

    fn known(&self, name: &str, request_id: &str) -> Option<&Got> {
        let is = |r: &&Remembered| r.name == name && r.request_id == request_id;
        let own = self.sequences.get(name);
        let mut own = own.into_iter().flat_map(|sequence| &sequence.own);
        let known = own.find(is).or_else(|| self.window.iter().find(is));
        known.map(|known| &known.got)
    }

    fn remember(&mut self, name: &str, request_id: &str, got: Got) {
        let new = Remembered {
            name: name.to_owned(),
            request_id: request_id.to_owned(),
            got,
        };
        // Operators' records are among those of the partition.
        if let (Got::Ids(_), Some(sequence)) = (&new.got, self.sequences.get_mut(name))
            && sequence.remembers(&new)
        {
            return;
        }
        self.remember_here(new);
    }

    fn remember_here(&mut self, new: Remembered) {
        if self.capacity == 0 {
            return;
        }
        if self.window.len() == self.capacity {
            self.window.pop_front();
        }
        self.window.push_back(new);
        self.remembered += 1;
    }

    fn answer(&mut self, at: Place, name: &str, asked: &Asked) -> Result<Expected, &'static str> {
        let acts = !matches!(asked.meaning, Meaning::Next { .. } | Meaning::Describe);
        let Some(id) = asked.request_id.as_deref().filter(|_| acts) else {
            return self.carry_out(at, name, asked);
        };
        match self.known(name, id) {
            None => {}
            Some(Got::Act(before)) if *before == asked.meaning => {
                return match asked.meaning {
                    Meaning::Policy { .. } => Ok(Expected::Policy {
                        refuse: self.refuse_undefined,
                        audit: self.audit_undefined,
                    }),
                    _ => Ok(Expected::Described(self.sequences[name].clone(), false)),
                };
            }
            Some(_) => return Err("request_id_reused"),
        }
        let answer = self.carry_out(at, name, asked)?;
        self.remember(name, id, Got::Act(asked.meaning.clone()));
        Ok(answer)
    }

    fn carry_out(
        &mut self,
        at: Place,
        name: &str,
        asked: &Asked,
    ) -> Result<Expected, &'static str> {
        self.granted = !matches!(asked.meaning, Meaning::Next { .. });
        match &asked.meaning {
            Meaning::Next { count } => self.next(at, name, *count, asked),
            Meaning::Define(fields) => {
                let mut sequence = match self.sequences.get(name) {
                    Some(sequence) => sequence.redefine(fields)?,
                    None => {
                        let mut sequence = Sequence::fresh(fields)?;
                        if self.floor > 0 && sequence.increment > 0 {
                            sequence.next = sequence.next.max(self.floor + 1);
                        }
                        sequence
                    }
                };
                let before = self.sequences.get(name).map_or(0, |before| before.remember);
                if sequence.remember > before {
                    let is_here = |other: &str| {
                        let n = self.homes.last().expect("a known N");
                        other != name && partition_of(other.as_bytes(), *n) == at.partition
                    };
                    let others = self.sequences.iter().filter(|(other, _)| is_here(other));
                    let taken: i128 = others.map(|(_, other)| other.room()).sum();
                    if taken + sequence.room() > REMEMBERED_MAX {
                        return Err("invalid_definition");
                    }
                }
                sequence.changed = Changed::of("define", at, asked);
                self.sequences.insert(name.to_owned(), sequence.clone());
                Ok(Expected::Described(sequence, false))
            }
            Meaning::Policy { refuse, audit } => {
                self.refuse_undefined = *refuse;
                self.audit_undefined = *audit;
                self.policy_is_own |= self.homes.last().is_some_and(|n| at.partition >= *n);
                Ok(Expected::Policy {
                    refuse: *refuse,
                    audit: *audit,
                })
            }
            Meaning::Describe | Meaning::Retire | Meaning::SetNext { .. } => {
                let sequence = self.sequences.get_mut(name).ok_or("unknown_sequence")?;
                match asked.meaning {
                    Meaning::Retire => {
                        if !sequence.retired {
                            sequence.changed = Changed::of("retire", at, asked);
                        }
                        sequence.retired = true;
                        sequence.defined = true;
                    }
                    Meaning::SetNext { .. } if sequence.retired => return Err("retired"),
                    Meaning::SetNext { next, force } => {
                        let inside = sequence.min <= next && next <= sequence.max;
                        let back = sequence.before(next, sequence.next);
                        if !inside || (back && !force) {
                            return Err("invalid_definition");
                        }
                        sequence.next = next;
                        sequence.defined = true;
                        sequence.changed = Changed::of("set_next", at, asked);
                    }
                    _ => {}
                }
                let shows = asked.meaning == Meaning::Describe;
                Ok(Expected::Described(sequence.clone(), shows))
            }
            Meaning::Invalid(code) => Err(code),
            Meaning::Split(_) => Err("unknown_field"),
        }
    }

    /// Takes over what a child begins with: the names that `mine` is true for, and what belongs to all.
    pub fn adopt(&mut self, parent: &Naive, mine: impl Fn(&str) -> bool) {
        let leaving = parent.sequences.iter().filter(|(name, _)| mine(name));
        let leaving = leaving.map(|(name, sequence)| (name.clone(), sequence.clone()));
        self.sequences.extend(leaving);
        let own = std::mem::replace(&mut self.window, parent.window.clone());
        self.capacity = parent.capacity;
        self.remembered = parent.remembered;
        for known in own {
            self.remember_here(known);
        }
        if !self.policy_is_own {
            self.refuse_undefined = parent.refuse_undefined;
            self.audit_undefined = parent.audit_undefined;
        }
        self.floor = self.floor.max(parent.floor);
        self.highest_timestamp = self.highest_timestamp.max(parent.highest_timestamp);
    }

    fn next(
        &mut self,
        at: Place,
        name: &str,
        count: i128,
        asked: &Asked,
    ) -> Result<Expected, &'static str> {
        let request_id = asked.request_id.as_deref();
        match request_id.and_then(|id| self.known(name, id)) {
            None => {}
            Some(Got::Ids(ids)) if ids.count == count => return Ok(Expected::Ids(ids.clone())),
            Some(_) => return Err("request_id_reused"),
        }
        let ids = match self.sequences.get_mut(name) {
            Some(sequence) if sequence.retired => return Err("retired"),
            Some(sequence) => sequence.take(count)?,
            None if self.refuse_undefined => return Err("unknown_sequence"),
            None => {
                let mut sequence = Sequence::fresh(&Fields::default())?;
                sequence.next = self.floor + 1;
                sequence.defined = self.audit_undefined;
                sequence.audit = self.audit_undefined;
                if self.audit_undefined {
                    // The policy made the definition. Its author is not the client.
                    sequence.changed = Some(Changed {
                        op: "policy",
                        requester: None,
                        reason: None,
                        offset: at.offset,
                        timestamp: at.timestamp,
                    });
                }
                let ids = sequence.take(count)?;
                self.sequences.insert(name.to_owned(), sequence);
                ids
            }
        };
        self.granted = true;
        if let Some(id) = request_id {
            self.remember(name, id, Got::Ids(ids.clone()));
        }
        Ok(Expected::Ids(ids))
    }

    /// Repairs by a jump, like an operator: each chain begins again, and home accepts one gap in each.
    pub fn jumped(&mut self, epoch: u64) {
        self.sent.clear();
        self.accepted.values_mut().for_each(|end| end.open = true);
        self.applied += 1;
        self.epoch = epoch;
        self.links_open = true;
    }

    /// Each ledger goes on where it stood in an earlier state.
    pub fn keep_ledgers(&mut self, written: &Naive) {
        for (name, sequence) in &mut self.sequences {
            let known = written.sequences.get(name);
            sequence.records = known.map_or(0, |known| known.records);
        }
    }

    /// Repairs a home partition that misses a stray of one partition.
    pub fn opened(&mut self, source: u32, epoch: u64) {
        let nothing = End {
            epoch: 0,
            at: (-1, -1),
            open: true,
        };
        self.accepted.entry(source).or_insert(nothing).open = true;
        self.epoch = epoch;
    }

    /// True when a sequence has forgotten requests that it remembered itself.
    pub fn has_full_own_window(&self) -> bool {
        let is_full = |sequence: &Sequence| sequence.own_next > sequence.own.len() as u64;
        self.sequences.values().any(is_full)
    }

    pub fn window_is_full(&self) -> bool {
        self.capacity > 0 && self.window.len() == self.capacity
    }

    /// The difference between a restored state and this one. `staged`: the names that move here, and the state of
    /// their parent, for a partition that may have begun to write them.
    pub fn difference(
        &self,
        restored: &Restored,
        staged: Option<(&BTreeMap<String, Sequence>, &Naive)>,
    ) -> Option<String> {
        let mut seen = (0, 0, BTreeMap::new(), BTreeMap::new());
        let (mut extra, mut copied, mut is_complete) = (0, 0, false);
        let mut own: BTreeMap<String, BTreeMap<u64, usize>> = BTreeMap::new();
        let mut reported = BTreeSet::new();
        let frozen = match staged {
            Some((_, parent)) => Some(parent),
            None => self.frozen.as_deref().filter(|_| self.is_split),
        };
        for entry in restored.fold.iter() {
            match &entry {
                Entry::Sequence {
                    name,
                    sequence,
                    defined,
                } => {
                    let known = match (self.sequences.get(*name), staged) {
                        (Some(known), _) => {
                            seen.0 += 1;
                            known
                        }
                        (None, Some((leaving, _))) => {
                            extra += 1;
                            match leaving.get(*name) {
                                Some(known) => known,
                                None => return Some(format!("{name} does not move here")),
                            }
                        }
                        (None, None) => {
                            extra += 1;
                            continue;
                        }
                    };
                    let same_rules = match defined {
                        None => !known.defined && known.records == 0,
                        Some(defined) => {
                            let rules = &defined.definition;
                            let note = &defined.note;
                            let text = |text: Option<&'static str>| text.unwrap_or_default();
                            let same_note = known.changed.as_ref().is_some_and(|changed| {
                                *note.op == *changed.op
                                    && *note.requester == *text(changed.requester)
                                    && *note.reason == *text(changed.reason)
                                    && note.offset.0 == changed.offset
                                    && note.timestamp.0 == changed.timestamp
                            });
                            known.defined
                                && same_note
                                && known.retired == defined.retired
                                && known.start == i128::from(rules.start)
                                && known.increment == i128::from(rules.increment)
                                && known.min == i128::from(rules.min)
                                && known.max == i128::from(rules.max)
                                && known.cycle == (rules.at_end == AtEnd::Cycle)
                                && known.max_count == i128::from(rules.max_count)
                                && known.audit == rules.audit
                                && known.remember == i128::from(rules.remember)
                                && known.records
                                    == defined.chain.as_ref().map_or(0, |chain| chain.records)
                        }
                    };
                    if !same_rules || known.next != i128::from(sequence.stored()) {
                        return Some(format!("{entry:?} is not {known:?}"));
                    }
                }
                Entry::Window { segment, places } => {
                    for (within, place) in places.iter().enumerate() {
                        seen.1 += 1;
                        let at = *segment as usize * SEGMENT + within;
                        let known = self.place(at);
                        if !known.is_some_and(|known| known.is(place)) {
                            return Some(format!("place {at} of the window is not {known:?}"));
                        }
                    }
                }
                Entry::Own {
                    name,
                    segment,
                    places,
                } => {
                    let here = self.sequences.get(*name);
                    let leaving = staged.and_then(|(leaving, _)| leaving.get(*name));
                    // A parent removes what a child has adopted at its own pace.
                    let Some(known) = here.or(leaving) else {
                        continue;
                    };
                    if let Some(difference) = known.own_difference(*segment, places) {
                        return Some(format!("{name}: {difference}"));
                    }
                    let of_name = own.entry(name.to_string()).or_default();
                    of_name.insert(*segment, places.len());
                }
                Entry::FrozenWindow { segment, places } => {
                    for (within, place) in places.iter().enumerate() {
                        copied += 1;
                        let at = *segment as usize * SEGMENT + within;
                        let known = frozen.and_then(|frozen| frozen.place(at));
                        let same = known.is_some_and(|known| {
                            place.key == RequestKey::new(&known.name, &known.request_id)
                        });
                        if !same {
                            return Some(format!("place {at} of the copy is not {known:?}"));
                        }
                    }
                }
                Entry::Frozen(scalars) => {
                    is_complete = true;
                    let known = frozen.map(|frozen| (frozen.floor, frozen.remembered));
                    let theirs = (i128::from(scalars.floor), scalars.window_next);
                    if known != Some(theirs) {
                        return Some(format!("the copy is {theirs:?}, should be {known:?}"));
                    }
                }
                Entry::Reported(partition) => drop(reported.insert(*partition)),
                Entry::Sent { home, position } => {
                    let position = (position.leader_epoch, position.offset);
                    seen.2.insert(*home, position);
                }
                Entry::Accepted { source, end } => {
                    let end = End {
                        epoch: end.epoch,
                        at: (end.position.leader_epoch, end.position.offset),
                        open: end.open,
                    };
                    seen.3.insert(*source, end);
                }
            }
        }
        let leaving = staged.filter(|_| is_complete).map(|(leaving, _)| leaving);
        for (name, sequence) in self.sequences.iter().chain(leaving.into_iter().flatten()) {
            let (found, due) = (
                own.get(name).cloned().unwrap_or_default(),
                sequence.own_segments(),
            );
            if found != due {
                return Some(format!("{name}: own segments {found:?}, should be {due:?}"));
            }
        }
        let scalars = restored.fold.scalars();
        let homes: Vec<u32> = scalars.homes.counts().collect();
        if homes != self.homes || reported != self.reported {
            let known = (&self.homes, &self.reported);
            return Some(format!("{homes:?}, {reported:?} are not {known:?}"));
        }
        let places = frozen.map_or(0, |frozen| frozen.window.len());
        let complete = match staged {
            Some((leaving, _)) => !is_complete || extra == leaving.len() && copied == places,
            None => {
                is_complete == self.is_split && copied == places && extra as u64 == scalars.unburied
            }
        };
        if !complete {
            return Some(format!(
                "{extra} further names, {copied} of {places} places copied, unburied {}",
                scalars.unburied
            ));
        }
        let theirs = (
            scalars.applied,
            scalars.highest_timestamp.0,
            scalars.window_next,
            scalars.undefined == Undefined::Refuse,
            scalars.undefined == Undefined::CreateAudited,
            (scalars.epoch, scalars.links_open),
            (scalars.policy_is_own, i128::from(scalars.floor)),
            seen,
        );
        let ours = (
            self.applied,
            self.highest_timestamp,
            self.remembered,
            self.refuse_undefined,
            self.audit_undefined,
            (self.epoch, self.links_open),
            (self.policy_is_own, self.floor),
            (
                self.sequences.len(),
                self.window.len(),
                self.sent.clone(),
                self.accepted.clone(),
            ),
        );
        (theirs != ours).then(|| format!("{theirs:?} is not {ours:?}"))
    }

    fn place(&self, at: usize) -> Option<&Remembered> {
        let oldest = self.remembered as usize - self.window.len();
        let index = (0..self.window.len()).find(|index| (oldest + index) % self.capacity == at)?;
        self.window.get(index)
    }
}

impl Expected {
    /// The difference between a reply's body and this answer.
    pub fn difference(&self, body: &Value) -> Option<String> {
        let number = |field: &str| body.get(field).and_then(Value::as_i64).map(i128::from);
        let same = match self {
            Expected::Ids(ids) => {
                number("first") == Some(ids.first)
                    && number("last") == Some(ids.last)
                    && number("count") == Some(ids.count)
                    && number("increment").unwrap_or(1) == ids.increment
            }
            Expected::Described(sequence, shows) => {
                let changed = sequence.changed.as_ref().filter(|_| *shows);
                let rules = &body["definition"];
                let rule = |field: &str| rules.get(field).and_then(Value::as_i64).map(i128::from);
                rule("start") == Some(sequence.start)
                    && rule("increment") == Some(sequence.increment)
                    && rule("min") == Some(sequence.min)
                    && rule("max") == Some(sequence.max)
                    && rule("max_count") == Some(sequence.max_count)
                    && (rules["at_end"] == "cycle") == sequence.cycle
                    && number("next") == sequence.shown_next()
                    && body.get("retired").is_some() == sequence.retired
                    && rules["audit"] == sequence.audit
                    && rule("remember") == Some(sequence.remember)
                    && match (changed, body.get("changed")) {
                        (Some(changed), Some(json)) => changed.is(json),
                        (changed, json) => changed.is_none() && json.is_none(),
                    }
            }
            Expected::Policy { refuse, audit } => {
                body["undefined"] == if *refuse { "refuse" } else { "create" }
                    && body.get("audit").is_some() == *audit
            }
            Expected::Split(homes) => body["partitions"] == serde_json::json!(homes),
            Expected::Error(code) => body["error"]["code"] == **code,
        };
        (!same).then(|| format!("{body} is not {self:?}"))
    }
}
