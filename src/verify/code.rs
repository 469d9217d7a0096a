//! The error codes of the contract, as the checker knows them.

/// The reason why a request gets no ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidName,
    MalformedRequest,
    UnknownField,
    UnknownOp,
    InvalidCount,
    InvalidRequestId,
    RequestIdConflict,
    RequestIdReused,
    RequestTooLarge,
    Exhausted,
    UnknownSequence,
    TooManySequences,
    Retired,
    InvalidDefinition,
}

/// All codes. A fact on disk names a code by its index in this list.
const WORDS: [(Code, &str); 14] = [
    (Code::InvalidName, "invalid_name"),
    (Code::MalformedRequest, "malformed_request"),
    (Code::UnknownField, "unknown_field"),
    (Code::UnknownOp, "unknown_op"),
    (Code::InvalidCount, "invalid_count"),
    (Code::InvalidRequestId, "invalid_request_id"),
    (Code::RequestIdConflict, "request_id_conflict"),
    (Code::RequestIdReused, "request_id_reused"),
    (Code::RequestTooLarge, "request_too_large"),
    (Code::Exhausted, "exhausted"),
    (Code::UnknownSequence, "unknown_sequence"),
    (Code::TooManySequences, "too_many_sequences"),
    (Code::Retired, "retired"),
    (Code::InvalidDefinition, "invalid_definition"),
];

impl Code {
    /// The word in replies.
    pub(super) fn word(self) -> &'static str {
        word_at(self.number())
    }

    /// The index of the code in the list.
    pub(super) fn number(self) -> u8 {
        let at = WORDS.iter().position(|(code, _)| *code == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
    }
}

/// The word at an index of the list.
pub(super) fn word_at(number: u8) -> &'static str {
    WORDS
        .get(usize::from(number))
        .map_or("another code", |(_, word)| word)
}

/// The index of a word. For a word that the contract does not have, an index past the list.
pub(super) fn number_of(word: &str) -> u8 {
    let at = WORDS.iter().position(|(_, known)| *known == word);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}
