//! Definitions: where a sequence begins, its step, and where it ends.
//!
//! A sequence that nobody defined counts by [`Definition::DEFAULT`]. Definitions are records in the request
//! log, like requests for IDs. So the log alone decides which requests came before a change and which came
//! after it.
//!
//! A new definition of a sequence that exists may change
//! - `increment`, but not its sign: the next ID stays where it is;
//! - `min` and `max`, as long as the next ID lies between them, or as long as the sequence was
//!   exhausted and stays so or goes on in its own direction;
//! - `at_end`, `max_count` and `audit` freely;
//! - `remember`, as far as the partition has room: the sequence forgets what is beyond a smaller number;
//! - `start` never: `set_next` moves a sequence.
//!
//! A retired name that is defined again may change `start` too. It goes on beyond its last ID.

use super::limits::{
    BOUND_MAX, BOUND_MIN, COUNT_DEFAULT_MAX, COUNT_MAX, ID_FIRST, ID_LAST, REMEMBER_MAX,
};
use super::rejection::{Code, Rejection};

/// The rule for a sequence that has no ID left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Requests are refused with [`Code::Exhausted`].
    Error,
    /// The sequence begins again at its other bound. A batch never spans the end.
    Cycle,
}

impl AtEnd {
    /// The word in requests and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            AtEnd::Error => "error",
            AtEnd::Cycle => "cycle",
        }
    }
}

/// The rules of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// First ID.
    pub start: i64,
    /// Step from one ID to the next; never 0, negative counts down.
    pub increment: i64,
    /// Lowest ID.
    pub min: i64,
    /// Highest ID.
    pub max: i64,
    /// The rule when no ID is left.
    pub at_end: AtEnd,
    /// Most IDs that one request can take.
    pub max_count: u64,
    /// Whether each grant is written to the ledger.
    pub audit: bool,
    /// Number of requests with a `request_id` that the sequence remembers itself. With 0, its partition remembers them
    /// among those of other sequences.
    pub remember: u32,
}

/// The fields of a definition record. A field that is absent keeps its value, or gets its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// [`Definition::start`].
    pub start: Option<i64>,
    /// [`Definition::increment`].
    pub increment: Option<i64>,
    /// [`Definition::min`].
    pub min: Option<i64>,
    /// [`Definition::max`].
    pub max: Option<i64>,
    /// [`Definition::at_end`].
    pub at_end: Option<AtEnd>,
    /// [`Definition::max_count`].
    pub max_count: Option<u64>,
    /// [`Definition::audit`].
    pub audit: Option<bool>,
    /// [`Definition::remember`].
    pub remember: Option<u32>,
}

fn invalid(message: String) -> Rejection {
    Rejection::new(Code::InvalidDefinition, message)
}

impl Definition {
    /// The rules of a sequence that nobody defined.
    pub const DEFAULT: Definition = Definition {
        start: ID_FIRST,
        increment: 1,
        min: ID_FIRST,
        max: ID_LAST,
        at_end: AtEnd::Error,
        max_count: COUNT_DEFAULT_MAX,
        audit: false,
        remember: 0,
    };

    /// Returns the definition of a new sequence. One that counts down begins at its maximum, -1 by default.
    ///
    /// # Errors
    /// [`Code::InvalidDefinition`], naming the field and the limit.
    pub fn new(changes: Changes) -> Result<Definition, Rejection> {
        let increment = changes.increment.unwrap_or(1);
        let (min, max) = if increment < 0 {
            (-ID_LAST, -ID_FIRST)
        } else {
            (ID_FIRST, ID_LAST)
        };
        let (min, max) = (changes.min.unwrap_or(min), changes.max.unwrap_or(max));
        let first = if increment < 0 { max } else { min };
        let defaults = Definition {
            start: first,
            increment,
            min,
            max,
            ..Definition::DEFAULT
        };
        defaults.with(changes)?.beginning()
    }

    /// Checks that `start` is one of the sequence's IDs. A sequence that goes on need not satisfy this.
    ///
    /// # Errors
    /// [`Code::InvalidDefinition`].
    pub fn beginning(self) -> Result<Definition, Rejection> {
        let Definition {
            start, min, max, ..
        } = self;
        if self.contains(start) {
            return Ok(self);
        }
        Err(invalid(format!(
            "start {start} is not between min {min} and max {max}"
        )))
    }

    /// Returns the definition with some fields changed.
    ///
    /// # Errors
    /// [`Code::InvalidDefinition`], when the fields contradict each other.
    pub fn with(self, changes: Changes) -> Result<Definition, Rejection> {
        let Changes {
            start,
            increment,
            min,
            max,
            at_end,
            max_count,
            audit,
            remember,
        } = changes;
        Definition {
            start: start.unwrap_or(self.start),
            increment: increment.unwrap_or(self.increment),
            min: min.unwrap_or(self.min),
            max: max.unwrap_or(self.max),
            at_end: at_end.unwrap_or(self.at_end),
            max_count: max_count.unwrap_or(self.max_count),
            audit: audit.unwrap_or(self.audit),
            remember: remember.unwrap_or(self.remember),
        }
        .checked()
    }

    /// The bound at which the sequence ends.
    pub const fn end(&self) -> i64 {
        if self.increment < 0 {
            self.min
        } else {
            self.max
        }
    }

    /// The bound at which a cycle begins again.
    pub const fn begin(&self) -> i64 {
        if self.increment < 0 {
            self.max
        } else {
            self.min
        }
    }

    /// True when `id` lies between the bounds.
    pub const fn contains(&self, id: i64) -> bool {
        self.min <= id && id <= self.max
    }

    /// Checks each field, and the fields against each other.
    ///
    /// # Errors
    /// [`Code::InvalidDefinition`].
    pub fn checked(self) -> Result<Definition, Rejection> {
        let Definition {
            start,
            increment,
            min,
            max,
            max_count,
            remember,
            ..
        } = self;
        if increment == 0 {
            return Err(invalid("increment must not be 0".to_owned()));
        }
        if min > max {
            return Err(invalid(format!("min {min} is above max {max}")));
        }
        for (field, value) in [
            ("min", min),
            ("max", max),
            ("start", start),
            ("increment", increment),
        ] {
            if !(BOUND_MIN..=BOUND_MAX).contains(&value) {
                return Err(invalid(format!(
                    "{field} must be {BOUND_MIN} to {BOUND_MAX}, got {value}"
                )));
            }
        }
        if !(1..=COUNT_MAX).contains(&max_count) {
            return Err(invalid(format!(
                "max_count must be 1 to {COUNT_MAX}, got {max_count}"
            )));
        }
        if remember > REMEMBER_MAX {
            return Err(invalid(format!(
                "remember must be 0 to {REMEMBER_MAX}, got {remember}"
            )));
        }
        Ok(self)
    }
}
