//! Applies one record to the fold.

use super::act;
use super::at::At;
use super::audit::Cause;
use super::entry::{accepted_element, sent_element};
use super::{Answer, Change, Defined, Description, Fold, Grant, Note, SequencesMax, Slot, State};
use crate::core::command::{Action, Command, Operation, Request, Undefined};
use crate::core::definition::{Changes, Definition};
use crate::core::invariants;
use crate::core::ledger::{Event, Ledger};
use crate::core::limits::{HOPS_MAX, REMEMBERED_PER_PARTITION_MAX};
use crate::core::link::{Accepted, Link, Position, Verdict};
use crate::core::name::{Name, POLICY};
use crate::core::own::{self, Changed, OwnWindows};
use crate::core::partitioner::partition_of;
use crate::core::planted::{self, planted};
use crate::core::position::Timestamp;
use crate::core::rejection::{Code, Rejection};
use crate::core::sequence::Sequence;
use crate::core::window::{Place, Replaced, RequestKey};

/// The IDs that a request took. Also the index of the sequence, if the sequence is audited.
struct Taken {
    grant: Grant,
    audited: Option<usize>,
}

impl Fold {
    /// Folds one record and answers it. `link` is the verified link of a record that another partition forwarded
    /// to this one. `ledger` takes the ledger records of audited sequences.
    pub fn apply(
        &mut self,
        at: At,
        link: Option<Link>,
        request: &Request<'_>,
        ledger: &mut dyn Ledger,
    ) -> Answer {
        let home = match (&request.name, &request.command) {
            (Ok(name), Ok(_)) => self.home(at, *name),
            // A request that is invalid by itself is answered in the partition where it lies.
            _ => at.partition,
        };
        // A link counts here, wherever the name's home is: here is where the next one of its chain arrives, too.
        if let Some(link) = link.filter(|_| !planted!(LinkAtHomeOnly) || home == at.partition) {
            let end = self.accepted.get(&link.partition).copied();
            match link.judged(end, self.scalars.links_open) {
                Verdict::Next(_) if link.hops >= HOPS_MAX && home != at.partition => {
                    return Answer::TooManyHops { home, link };
                }
                Verdict::Next(end) => self.accept(link.partition, end),
                Verdict::Broken => {
                    let accepted = end.map_or(Position::NONE, |end| end.position);
                    return Answer::Broken { link, accepted };
                }
                Verdict::Repeated => {
                    self.count(at.timestamp);
                    return Answer::Repeated;
                }
            }
        }
        self.count(at.timestamp);
        let (name, command) = match (&request.name, &request.command) {
            (Ok(name), Ok(command)) => (name.as_str(), command),
            (Err(rejection), _) | (_, Err(rejection)) => {
                return Answer::Rejected(rejection.clone());
            }
        };
        if home != at.partition {
            return self.stray(at, link, home);
        }
        let request_id = request.request_id.as_deref();
        let cause = Cause {
            at,
            link,
            requester: request.requester.as_deref(),
            request_id,
            reason: None,
        };
        let answer = match command {
            Command::Next { count } => self.next(name, *count, &cause, ledger),
            Command::Operator(operation) => self.operate(name, operation, &cause, ledger),
        };
        answer.unwrap_or_else(Answer::Rejected)
    }

    /// The partition that counts for a name.
    fn home(&self, at: At, name: Name<'_>) -> u32 {
        if name.is_policy() {
            return at.partition;
        }
        let name = name.as_str().as_bytes();
        if planted!(LeavingCounted)
            && let Some(before) = self.n_before_split()
        {
            return partition_of(name, before);
        }
        self.scalars.homes.of(name)
    }

    pub(super) fn count(&mut self, timestamp: Timestamp) {
        self.scalars.applied += 1;
        if planted!(ClockInFold) {
            self.scalars.highest_timestamp.0 += planted::clock();
        }
        self.scalars.highest_timestamp = self.scalars.highest_timestamp.max(timestamp);
    }

    pub(super) fn accept(&mut self, source: u32, end: Accepted) {
        let before = self.accepted.insert(source, end);
        self.entries.replace(
            before.map(|before| accepted_element(source, before)),
            Some(accepted_element(source, end)),
        );
        self.touch(Slot::Accepted(source));
    }

    /// Forwards a record to its home. `before`: the link with which the record came here.
    fn stray(&mut self, at: At, before: Option<Link>, home: u32) -> Answer {
        let mut link = self.link_to(at, home);
        if let Some(before) = before {
            link.hops += before.hops;
            if !planted!(OriginLost) {
                link.origin = before.origin;
            }
        }
        Answer::Stray { home, link }
    }

    /// The next link of the chain to a partition, for the record at this place.
    pub(super) fn link_to(&mut self, at: At, destination: u32) -> Link {
        let position = at.position();
        let previous = self.sent.insert(destination, position);
        self.entries.replace(
            previous.map(|previous| sent_element(destination, previous)),
            Some(sent_element(destination, position)),
        );
        self.touch(Slot::Sent(destination));
        Link {
            partition: at.partition,
            epoch: self.scalars.epoch,
            position,
            previous: previous.unwrap_or(Position::NONE),
            origin: at.origin(),
            hops: 1,
        }
    }

    pub(super) fn touch(&mut self, slot: Slot) {
        touch(&mut self.touched, slot);
    }

    fn next(
        &mut self,
        name: &str,
        count: u64,
        cause: &Cause<'_>,
        ledger: &mut dyn Ledger,
    ) -> Result<Answer, Rejection> {
        let Some(request_id) = cause.request_id else {
            let grant = self.grant(name, count, cause, ledger)?;
            return Ok(Answer::Granted(grant));
        };
        let key = RequestKey::new(name, request_id);
        if let Some(place) = self.known(name, key) {
            if place.is_act() {
                return Err(Rejection::new(
                    Code::RequestIdReused,
                    "the request_id was used for an operator's record, this one asks for IDs",
                ));
            }
            let grant = place.grant();
            if grant.count != count {
                return Err(Rejection::new(
                    Code::RequestIdReused,
                    format!(
                        "the request_id was used for a request of {} IDs, this one asks for {count}",
                        grant.count
                    ),
                ));
            }
            return Ok(Answer::Again(grant));
        }
        let grant = self.grant(name, count, cause, ledger)?;
        self.remember(name, key, grant);
        Ok(Answer::Granted(grant))
    }

    fn grant(
        &mut self,
        name: &str,
        count: u64,
        cause: &Cause<'_>,
        ledger: &mut dyn Ledger,
    ) -> Result<Grant, Rejection> {
        let Taken { grant, audited } = self.take(name, count, cause.at)?;
        if let Some(index) = audited {
            self.write_grant(index, Event::Granted(grant), cause, ledger);
        }
        Ok(grant)
    }

    /// The grant or act of a request, in the own window of its sequence or in that of the partition. A sequence that
    /// remembers requests itself from now on has earlier ones there, and operators' records always.
    fn known(&mut self, name: &str, key: RequestKey) -> Option<Place> {
        let own = match self.own.is_empty() {
            true => None,
            false => self.own.find(name, key),
        };
        own.or_else(|| self.window.find(key).copied())
    }

    fn remember(&mut self, name: &str, key: RequestKey, grant: Grant) {
        let place = Place {
            key,
            first: grant.first,
            increment: grant.increment,
            count: grant.count,
        };
        invariants::holds!(
            invariants::i5_one_grant(grant, place.grant()),
            "I5 one request, one grant"
        );
        if !self.own.is_empty() && self.remember_own(name, place) {
            return;
        }
        self.remember_place(place);
    }

    /// False when the sequence has no own window.
    fn remember_own(&mut self, name: &str, place: Place) -> bool {
        !planted!(OwnWindowShared)
            && self.change_own(|own, changed| own.remember(name, place, changed))
    }

    /// Changes own windows. The digest and the entries to write follow.
    fn change_own<T>(&mut self, change: impl FnOnce(&mut OwnWindows, Changed<'_>) -> T) -> T {
        let Fold {
            own,
            entries,
            touched,
            ..
        } = self;
        change(own, &mut |slot, Replaced { before, after }| {
            entries.replace(before, after);
            touch(touched, Slot::Own(slot));
        })
    }

    /// Sets the number of requests that a sequence remembers, and forgets what is beyond it: at most so many segments,
    /// whose number is returned. All of a million requests take a tenth of a second, and 6 MB of tombstones.
    pub(super) fn set_remember(&mut self, name: &str, remember: u32, max: usize) -> usize {
        self.own.set(name, remember);
        self.change_own(|own, changed| own.forget(name, max, changed))
    }

    /// Checks that the partition has room for what a sequence is to remember. Names of other partitions do not count:
    /// when they are removed does not follow from the log.
    fn room_to_remember(
        &self,
        partition: u32,
        name: &str,
        before: u32,
        after: u32,
    ) -> Result<(), Rejection> {
        if after <= before {
            return Ok(());
        }
        let others = |other: &str| other != name && self.is_home_of(partition, other);
        let taken = self.own.counted(others);
        let room = REMEMBERED_PER_PARTITION_MAX.saturating_sub(taken);
        if own::counted(after) <= room {
            return Ok(());
        }
        Err(Rejection::new(
            Code::InvalidDefinition,
            format!(
                "remember can be {room} at most, got {after}: the other sequences of the partition remember {taken} of \
                 {REMEMBERED_PER_PARTITION_MAX} requests"
            ),
        ))
    }

    pub(super) fn remember_place(&mut self, place: Place) {
        let capacity = self.scalars.window_capacity;
        if capacity == 0 {
            return;
        }
        let number = self.scalars.window_next;
        self.scalars.window_next += 1;
        let (segment, replaced) = self.window.remember(number, capacity, place);
        self.entries.replace(replaced.before, replaced.after);
        self.touch(Slot::Window(segment));
    }

    fn take(&mut self, name: &str, count: u64, at: At) -> Result<Taken, Rejection> {
        let Some((index, _, state)) = self.sequences.get_full_mut(name) else {
            return self.take_first(name, count, at);
        };
        if state.is_retired() {
            return Err(retired());
        }
        let before = state.sequence;
        let definition = match &state.defined {
            Some(defined) => &defined.definition,
            None => &Definition::DEFAULT,
        };
        let grant = state.sequence.take(definition, count)?;
        let audited = definition.audit.then_some(index);
        let broken = invariants::broken_by_grant(before, state.sequence, definition, grant);
        self.broken = broken.or(self.broken);
        if !state.changed {
            state.changed = true;
            let before = super::entry::sequence_element(name, before, state.defined.as_deref());
            self.changed.push(Change {
                index,
                before: Some(before),
            });
        }
        Ok(Taken { grant, audited })
    }

    /// Serves the first request for a name, and creates its sequence. A refused request leaves nothing behind.
    fn take_first(&mut self, name: &str, count: u64, at: At) -> Result<Taken, Rejection> {
        let audit = match self.scalars.undefined {
            Undefined::Create => false,
            Undefined::CreateAudited => true,
            Undefined::Refuse => return Err(unknown()),
        };
        self.room_for_one()?;
        let before = Sequence::above(self.scalars.floor);
        let mut sequence = before;
        let grant = sequence.take(&Definition::DEFAULT, count)?;
        let broken = invariants::broken_by_grant(before, sequence, &Definition::DEFAULT, grant);
        self.broken = broken.or(self.broken);
        let defined = audit.then(|| {
            Box::new(Defined {
                definition: Definition {
                    audit,
                    ..Definition::DEFAULT
                },
                retired: false,
                note: Note {
                    op: "policy".into(),
                    requester: "".into(),
                    reason: "".into(),
                    offset: at.offset,
                    timestamp: at.timestamp,
                },
                chain: None,
            })
        });
        let index = self.insert(name, sequence, defined);
        Ok(Taken {
            grant,
            audited: audit.then_some(index),
        })
    }

    fn room_for_one(&self) -> Result<(), Rejection> {
        let SequencesMax(max) = self.sequences_max;
        if self.counted() < max {
            return Ok(());
        }
        Err(Rejection::new(
            Code::TooManySequences,
            format!("the partition holds {max} sequences already"),
        ))
    }

    fn insert(&mut self, name: &str, sequence: Sequence, defined: Option<Box<Defined>>) -> usize {
        let state = State {
            sequence,
            defined,
            changed: true,
            buried: false,
        };
        let (index, _) = self.sequences.insert_full(name.into(), state);
        self.changed.push(Change {
            index,
            before: None,
        });
        index
    }

    fn operate(
        &mut self,
        name: &str,
        operation: &Operation<'_>,
        cause: &Cause<'_>,
        ledger: &mut dyn Ledger,
    ) -> Result<Answer, Rejection> {
        let key = cause.request_id.map(|id| RequestKey::new(name, id));
        let Some(new) = key.and_then(|key| act::place(key, operation.action)) else {
            return self.act(name, operation, cause, ledger);
        };
        if let Some(known) = self.known(name, new.key)
            && !planted!(ActTwice)
        {
            if known != new {
                return Err(Rejection::new(
                    Code::RequestIdReused,
                    "the request_id was used for a record that asks for something else",
                ));
            }
            // The action is not carried out again. Its writer has to know where the sequence stands now.
            return match operation.action {
                Action::Policy(_) => Ok(Answer::Policy(self.scalars.undefined)),
                _ => self.description(name).map(described).ok_or_else(unknown),
            };
        }
        let answer = self.act(name, operation, cause, ledger)?;
        self.remember_place(new);
        Ok(answer)
    }

    fn act(
        &mut self,
        name: &str,
        operation: &Operation<'_>,
        cause: &Cause<'_>,
        ledger: &mut dyn Ledger,
    ) -> Result<Answer, Rejection> {
        let at = cause.at;
        let before = self.before(name);
        let now = match operation.action {
            Action::Policy(undefined) => {
                self.scalars.undefined = undefined;
                self.scalars.policy_is_own |= !self.scalars.homes.has(at.partition);
                return Ok(Answer::Policy(undefined));
            }
            Action::Define(changes) => {
                self.define(at.partition, name, changes, note(at, operation))?
            }
            Action::Describe if name == POLICY => {
                return Ok(Answer::Policy(self.scalars.undefined));
            }
            Action::Describe => {
                return Ok(Answer::Described {
                    description: Box::new(self.description(name).ok_or_else(unknown)?),
                    changed: self.note(name).cloned().map(Box::new),
                });
            }
            Action::SetNext { next, force } => {
                let state = self.sequences.get(name).ok_or_else(unknown)?;
                if state.is_retired() {
                    return Err(retired());
                }
                let definition = *state.definition();
                let sequence = state.sequence.moved(&definition, next, force)?;
                self.change(name, sequence, definition, false, note(at, operation))
            }
            Action::Retire => {
                let state = self.sequences.get(name).ok_or_else(unknown)?;
                let (sequence, definition) = (state.sequence, *state.definition());
                if state.is_retired() {
                    state.description()
                } else {
                    self.change(name, sequence, definition, true, note(at, operation))
                }
            }
        };
        let event: fn(&Description) -> Event = match operation.action {
            Action::Define(_) => |now| Event::Defined {
                definition: now.definition,
                next: now.next,
            },
            Action::SetNext { .. } => |now| Event::Moved {
                next: now.next,
                increment: now.definition.increment,
            },
            Action::Retire => |now| Event::Retired {
                next: now.next,
                increment: now.definition.increment,
            },
            Action::Describe | Action::Policy(_) => return Ok(described(now)),
        };
        let cause = Cause {
            requester: operation.requester.as_deref(),
            reason: operation.reason.as_deref(),
            ..*cause
        };
        self.write_act(name, before, event, &cause, ledger);
        Ok(described(now))
    }

    fn define(
        &mut self,
        partition: u32,
        name: &str,
        changes: Changes,
        note: Note,
    ) -> Result<Description, Rejection> {
        if let Some(state) = self.sequences.get(name) {
            let before = *state.definition();
            let (definition, sequence) =
                state
                    .sequence
                    .redefined(&before, changes, state.is_retired())?;
            self.room_to_remember(partition, name, before.remember, definition.remember)?;
            self.set_remember(name, definition.remember, usize::MAX);
            return Ok(self.change(name, sequence, definition, false, note));
        }
        self.room_for_one()?;
        let definition = Definition::new(changes)?;
        self.room_to_remember(partition, name, 0, definition.remember)?;
        self.set_remember(name, definition.remember, usize::MAX);
        let sequence = Sequence::defined(&definition, self.scalars.floor);
        let defined = Box::new(Defined {
            definition,
            retired: false,
            note,
            chain: None,
        });
        self.insert(name, sequence, Some(defined));
        Ok(Description {
            definition,
            next: sequence.next(&definition),
            retired: false,
        })
    }

    /// Changes a sequence that exists.
    fn change(
        &mut self,
        name: &str,
        sequence: Sequence,
        definition: Definition,
        retired: bool,
        note: Note,
    ) -> Description {
        if let Some((index, _, state)) = self.sequences.get_full_mut(name) {
            if !state.changed {
                state.changed = true;
                let before = Some(state.element(name));
                self.changed.push(Change { index, before });
            }
            state.sequence = sequence;
            let chain = state.defined.take().and_then(|defined| defined.chain);
            state.defined = Some(Box::new(Defined {
                definition,
                retired,
                note,
                chain,
            }));
        }
        Description {
            definition,
            next: sequence.next(&definition),
            retired,
        }
    }
}

fn touch(touched: &mut Vec<Slot>, slot: Slot) {
    if touched.last() != Some(&slot) {
        touched.push(slot);
    }
}

/// The answer to an operator's action.
fn described(now: Description) -> Answer {
    Answer::Described {
        description: Box::new(now),
        changed: None,
    }
}

fn note(at: At, operation: &Operation<'_>) -> Note {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or("").into();
    Note {
        op: operation.action.as_str().into(),
        requester: text(&operation.requester),
        reason: text(&operation.reason),
        offset: at.offset,
        timestamp: at.timestamp,
    }
}

fn unknown() -> Rejection {
    Rejection::new(
        Code::UnknownSequence,
        "the sequence does not exist; define it first",
    )
}

fn retired() -> Rejection {
    Rejection::new(
        Code::Retired,
        "the sequence is retired; defining it again lets it go on",
    )
}
