//! Questions to the engine about sequences. Each is an ordinary message, and bounded: the fold belongs to the
//! engine's thread, and requests for IDs come first.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::Message;
use crate::core::fold::{Description, Matches, Note};
use crate::processor::instance::Instance;

/// Most sequences that one question looks at: a few tenths of a millisecond between two polls.
pub(crate) const LOOK_MAX: usize = 5_000;
/// Most sequences that one question finds.
pub(crate) const FOUND_MAX: usize = 50;

/// A question to one partition.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Describe the sequence of this name.
    Name(String),
    /// Find the next sequences with this prefix, from an index on.
    Prefix {
        /// The beginning of their names.
        prefix: String,
        /// The index to begin at, 0 at first.
        from: usize,
    },
}

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The sequences, each with its last change if it has a definition.
    pub sequences: Vec<(String, Description, Option<Note>)>,
    /// Number of sequences that the engine looked at.
    pub looked_at: usize,
    /// The index at which the next question begins. None at the end.
    pub next: Option<usize>,
}

/// A question, and the channel for its answer.
pub(crate) struct Inquiry {
    partition: i32,
    question: Question,
    answer: Box<dyn FnOnce(Option<Found>) + Send>,
}

impl Inquiry {
    /// Creates a question. `answer` gets nothing when the partition is not running in this instance.
    pub(crate) fn new(
        partition: i32,
        question: Question,
        answer: impl FnOnce(Option<Found>) + Send + 'static,
    ) -> Inquiry {
        Inquiry {
            partition,
            question,
            answer: Box::new(answer),
        }
    }

    pub(super) fn answer(self, instance: &Instance) {
        let one = |name: String, description: Description| Matches {
            sequences: vec![(name, description)],
            looked_at: 1,
            next: None,
        };
        let here = u32::try_from(self.partition).unwrap_or(0);
        let found = instance.fold(self.partition).map(|fold| {
            let matches = match self.question {
                Question::Name(name) => match fold.description(&name) {
                    Some(description) if fold.is_home_of(here, &name) => one(name, description),
                    _ => Matches::default(),
                },
                Question::Prefix { prefix, from } => {
                    fold.search(here, &prefix, from, LOOK_MAX, FOUND_MAX)
                }
            };
            let sequences = matches.sequences.into_iter();
            Found {
                sequences: sequences
                    .map(|(name, description)| {
                        let note = fold.note(&name).cloned();
                        (name, description, note)
                    })
                    .collect(),
                looked_at: matches.looked_at,
                next: matches.next,
            }
        });
        (self.answer)(found);
    }
}

/// The channel to the engine that runs now. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Inquiries {
    engine: Arc<Mutex<Option<Sender<Message>>>>,
}

impl Inquiries {
    /// Sends questions to this engine from now on.
    pub(crate) fn connect(&self, engine: Sender<Message>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
    }

    /// Asks the engine. Without an engine, the answer's sender is dropped, which its receiver notices.
    pub(crate) fn ask(&self, inquiry: Inquiry) {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engine.as_ref() {
            // An engine that has ended drops the question as well.
            let _ = engine.send(Message::Asked(inquiry));
        }
    }
}
