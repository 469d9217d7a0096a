//! One sequence with its definition: the IDs that it gives next. Numbers have 128 bits, so that no sum of two
//! IDs overflows.

use super::code::Code;
use super::grant::Grant;
use super::own::{Own, REMEMBER_MAX};
use super::request::Change;

/// 2^53-1.
const ID_LAST: i64 = 9_007_199_254_740_991;
const COUNT_DEFAULT_MAX: u64 = 1_000_000;
const COUNT_MAX: u64 = ID_LAST.unsigned_abs();

/// The rules of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    pub max_count: u64,
    pub audit: bool,
    /// Number of requests that the sequence remembers itself.
    pub remember: u32,
}

/// The last change of a sequence: who made it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub op: Box<str>,
    pub requester: Box<str>,
    pub reason: Box<str>,
    pub offset: i64,
    pub timestamp_ms: i64,
}

/// The definition of a sequence, and its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defined {
    pub rules: Rules,
    pub retired: bool,
    pub note: Note,
    pub ledger: Ledger,
}

/// The position of a sequence's ledger in the state. It is part of the digest, and is compared with nothing
/// else, since no ledger is read here (`sequencer audit` reads it).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger(pub Option<LedgerEnd>);

/// The last record of a ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct LedgerEnd {
    pub records: u64,
    pub turn: u32,
    pub repaired: bool,
    pub hash: [u8; 32],
}

impl PartialEq for Ledger {
    fn eq(&self, _: &Ledger) -> bool {
        true
    }
}

impl Eq for Ledger {}

impl Rules {
    /// The rules of a sequence without a definition.
    pub(super) const UNDEFINED: Rules = Rules {
        start: 1,
        increment: 1,
        min: 1,
        max: ID_LAST,
        cycle: false,
        max_count: COUNT_DEFAULT_MAX,
        audit: false,
        remember: 0,
    };

    /// The rules of a sequence that is defined for the first time.
    pub(super) fn first(change: Change) -> Result<Rules, Code> {
        let down = change.increment.is_some_and(|increment| increment < 0);
        let (min, max) = if down { (-ID_LAST, -1) } else { (1, ID_LAST) };
        let (min, max) = (change.min.unwrap_or(min), change.max.unwrap_or(max));
        let rules = Rules {
            start: if down { max } else { min },
            min,
            max,
            ..Rules::UNDEFINED
        };
        rules.changed(change)?.beginning()
    }

    /// Checks that a new sequence begins at one of its IDs. A sequence that goes on need not.
    fn beginning(self) -> Result<Rules, Code> {
        if self.hold(self.start.into()) {
            Ok(self)
        } else {
            Err(Code::InvalidDefinition)
        }
    }

    fn changed(self, change: Change) -> Result<Rules, Code> {
        let rules = Rules {
            start: change.start.unwrap_or(self.start),
            increment: change.increment.unwrap_or(self.increment),
            min: change.min.unwrap_or(self.min),
            max: change.max.unwrap_or(self.max),
            cycle: change.cycle.unwrap_or(self.cycle),
            max_count: change.max_count.unwrap_or(self.max_count),
            audit: change.audit.unwrap_or(self.audit),
            remember: change.remember.unwrap_or(self.remember),
        };
        if rules.is_sound() {
            Ok(rules)
        } else {
            Err(Code::InvalidDefinition)
        }
    }

    /// True when a definition can have these rules.
    pub(super) fn is_sound(&self) -> bool {
        self.increment != 0
            && self.min <= self.max
            && [self.start, self.increment, self.min, self.max]
                .iter()
                .all(|number| *number != i64::MIN)
            && (1..=COUNT_MAX).contains(&self.max_count)
            && self.remember <= REMEMBER_MAX
    }

    fn hold(&self, id: i128) -> bool {
        i128::from(self.min) <= id && id <= i128::from(self.max)
    }

    /// True when the sequence counts down.
    pub(super) fn down(&self) -> bool {
        self.increment < 0
    }

    /// True when `id` lies after the end.
    fn beyond(&self, id: i128) -> bool {
        if self.down() {
            id < i128::from(self.min)
        } else {
            id > i128::from(self.max)
        }
    }

    /// The ID at which a cycle begins again.
    fn begin(&self) -> i128 {
        if self.down() {
            self.max.into()
        } else {
            self.min.into()
        }
    }

    /// True when `one` comes before `other` in the direction of the sequence.
    fn before(&self, one: i128, other: i128) -> bool {
        if self.down() {
            one > other
        } else {
            one < other
        }
    }
}

/// A sequence and its counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The next ID, or a number beyond the end.
    pub next: i128,
    /// The definition. None for a sequence that no operator has defined.
    pub defined: Option<Box<Defined>>,
    /// Number of moves by operators. A grant after a move need not follow the grant before it.
    pub run: u32,
    /// Number of moves after which IDs may repeat.
    pub life: u32,
    /// True when a cycle has ended, so that the next grant begins another one.
    wrapped: bool,
    /// The requests that the sequence remembers itself.
    pub own: Own,
}

impl Sequence {
    /// A sequence that is used for the first time.
    pub(super) fn undefined(floor: i64) -> Sequence {
        Sequence {
            next: i128::from(floor.clamp(0, ID_LAST)) + 1,
            defined: None,
            run: 0,
            life: 0,
            wrapped: false,
            own: Own::default(),
        }
    }

    /// A sequence that is defined for the first time.
    pub(super) fn first_defined(rules: Rules, floor: i64, note: Note) -> Sequence {
        let mut next = i128::from(rules.start);
        if floor > 0 && floor < i64::MAX && !rules.down() {
            next = next.max(i128::from(floor) + 1);
        }
        let defined = Defined {
            rules,
            retired: false,
            note,
            ledger: Ledger::default(),
        };
        Sequence {
            next,
            defined: Some(Box::new(defined)),
            run: 0,
            life: 0,
            wrapped: false,
            own: Own::default(),
        }
    }

    /// Adds `audit` to a sequence that its first request created under an auditing policy.
    pub(super) fn audit(&mut self, offset: i64, timestamp_ms: i64) {
        self.defined = Some(Box::new(Defined {
            rules: Rules {
                audit: true,
                ..Rules::UNDEFINED
            },
            retired: false,
            note: Note {
                op: "policy".into(),
                requester: "".into(),
                reason: "".into(),
                offset,
                timestamp_ms,
            },
            ledger: Ledger::default(),
        }));
    }

    /// Reads the form in a state record.
    pub(super) fn stored(next: i64, defined: Option<Box<Defined>>) -> Sequence {
        let down = defined.as_ref().is_some_and(|defined| defined.rules.down());
        let next = match next {
            // The sequence had no number left.
            i64::MIN if !down => i128::from(i64::MAX) + 1,
            next => next.into(),
        };
        Sequence {
            next,
            defined,
            run: 0,
            life: 0,
            wrapped: false,
            own: Own::default(),
        }
    }

    /// The form in a state record. A number that does not fit is stored as the lowest of all.
    pub(super) fn to_store(&self) -> i64 {
        i64::try_from(self.next).unwrap_or(i64::MIN)
    }

    /// The rules of the sequence.
    pub(super) fn rules(&self) -> &Rules {
        self.defined
            .as_ref()
            .map_or(&Rules::UNDEFINED, |defined| &defined.rules)
    }

    /// True when the sequence gives no more IDs.
    pub(super) fn retired(&self) -> bool {
        self.defined.as_ref().is_some_and(|defined| defined.retired)
    }

    /// The next ID, if there is one.
    pub(super) fn shown(&self) -> Option<i64> {
        let next = self.next;
        i64::try_from(next).ok().filter(|_| self.rules().hold(next))
    }

    /// Takes `count` IDs.
    pub(super) fn take(&mut self, count: u64) -> Result<Grant, Code> {
        if self.retired() {
            return Err(Code::Retired);
        }
        let rules = *self.rules();
        if count > rules.max_count {
            return Err(Code::InvalidCount);
        }
        let Some(first) = self.shown() else {
            return Err(Code::Exhausted);
        };
        let increment = i128::from(rules.increment);
        let last = self.next + i128::from(count - 1) * increment;
        if !rules.hold(last) {
            return Err(Code::Exhausted);
        }
        if std::mem::take(&mut self.wrapped) {
            self.run += 1;
            self.life += 1;
        }
        self.next = last + increment;
        if rules.cycle && !rules.hold(self.next) {
            self.next = rules.begin();
            self.wrapped = true;
        }
        Ok(Grant {
            first,
            count,
            increment: rules.increment,
        })
    }

    /// Changes the definition. Returns the segments of requests that are forgotten.
    pub(super) fn define(&mut self, change: Change, note: Note) -> Result<Vec<u64>, Code> {
        let before = *self.rules();
        let retired = self.retired();
        let mut rules = before.changed(change)?;
        if retired {
            rules = rules.beginning()?;
        }
        let kept = rules.down() == before.down() && (retired || rules.start == before.start);
        let mut next = self.next;
        if retired && rules.before(next, rules.start.into()) {
            next = rules.start.into();
        }
        let exhausted = self.shown().is_none();
        let inside = rules.hold(next) || (rules.beyond(next) && exhausted);
        if !kept || !inside {
            return Err(Code::InvalidDefinition);
        }
        if rules.cycle && rules.beyond(next) {
            next = rules.begin();
            self.life += 1;
        }
        self.moved(next, rules, false, note);
        Ok(self.own.forget(rules.remember))
    }

    /// Moves the next ID.
    pub(super) fn set_next(&mut self, next: i64, force: bool, note: Note) -> Result<(), Code> {
        if self.retired() {
            return Err(Code::Retired);
        }
        let rules = *self.rules();
        let next = i128::from(next);
        let back = rules.before(next, self.next);
        if !rules.hold(next) || (back && !force) {
            return Err(Code::InvalidDefinition);
        }
        if back {
            self.life += 1;
        }
        self.moved(next, rules, false, note);
        Ok(())
    }

    /// Ends the sequence. A second time changes nothing.
    pub(super) fn retire(&mut self, note: Note) {
        if !self.retired() {
            let rules = *self.rules();
            self.moved(self.next, rules, true, note);
        }
    }

    fn moved(&mut self, next: i128, rules: Rules, retired: bool, note: Note) {
        if next != self.next {
            self.run += 1;
        }
        self.next = next;
        self.defined = Some(Box::new(Defined {
            rules,
            retired,
            note,
            ledger: Ledger::default(),
        }));
    }

    /// True when `other` stands before this counter, so that IDs would repeat.
    pub(super) fn would_go_back_to(&self, other: &Sequence) -> bool {
        !self.rules().cycle && self.rules().before(other.next, self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        Note {
            op: "define".into(),
            requester: "".into(),
            reason: "".into(),
            offset: 0,
            timestamp_ms: 0,
        }
    }

    fn sequence(change: Change) -> Sequence {
        Sequence::first_defined(Rules::first(change).unwrap(), 0, note())
    }

    fn firsts(sequence: &mut Sequence, count: u64, times: usize) -> Vec<Result<i64, Code>> {
        (0..times)
            .map(|_| sequence.take(count).map(|grant| grant.first))
            .collect()
    }

    #[test]
    fn a_batch_never_spans_the_end_and_a_cycle_begins_again() {
        let change = Change {
            max: Some(5),
            cycle: Some(true),
            ..Change::default()
        };
        let mut cycle = sequence(change);
        assert_eq!(
            firsts(&mut cycle, 2, 3),
            [Ok(1), Ok(3), Err(Code::Exhausted)]
        );
        assert_eq!(firsts(&mut cycle, 1, 2), [Ok(5), Ok(1)]);
        assert_eq!((cycle.run, cycle.life), (1, 1));
    }

    #[test]
    fn down_to_the_lowest_number_and_up_to_the_highest() {
        let change = Change {
            start: Some(i64::MIN + 2),
            increment: Some(-1),
            min: Some(-i64::MAX),
            ..Change::default()
        };
        let mut down = sequence(change);
        assert_eq!(
            firsts(&mut down, 1, 3),
            [Ok(i64::MIN + 2), Ok(i64::MIN + 1), Err(Code::Exhausted)]
        );
        assert_eq!(down.to_store(), i64::MIN);
        let change = Change {
            start: Some(i64::MAX),
            max: Some(i64::MAX),
            ..Change::default()
        };
        let mut up = sequence(change);
        assert_eq!(firsts(&mut up, 1, 2), [Ok(i64::MAX), Err(Code::Exhausted)]);
        assert_eq!(up.to_store(), i64::MIN);
        assert_eq!(Sequence::stored(i64::MIN, up.defined.clone()).next, up.next);
    }

    #[test]
    fn an_operator_moves_on_freely_and_back_with_force_only() {
        let mut one = Sequence::undefined(0);
        assert_eq!(one.take(1).unwrap().first, 1);
        one.set_next(10, false, note()).unwrap();
        assert_eq!((one.run, one.life), (1, 0));
        assert_eq!(one.set_next(5, false, note()), Err(Code::InvalidDefinition));
        one.set_next(5, true, note()).unwrap();
        assert_eq!((one.run, one.life), (2, 1));
        one.retire(note());
        assert_eq!(one.take(1), Err(Code::Retired));
        one.define(Change::default(), note()).unwrap();
        assert_eq!(one.take(1).unwrap().first, 5);
    }
}
