//! The last change of a sequence by an operator, as `describe` and `inspect` show it.

use serde::{Deserialize, Serialize};

use crate::audit::time;
use crate::core::fold::Note;
use crate::core::printable::printable;

/// The last change of a sequence by an operator. The reply to `describe` has the same fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(super) struct Changed {
    /// `define`, `set_next`, `retire`; `policy` for a sequence that its first request created with `audit`.
    pub op: String,
    pub at: String,
    /// The operator that the request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The offset of the operator's request.
    pub offset: i64,
}

impl Changed {
    /// The change in the state of a sequence.
    pub(super) fn of(note: &Note) -> Changed {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Changed {
            op: note.op.to_string(),
            at: time::of_millis(note.timestamp.0),
            requester: said(&note.requester),
            reason: said(&note.reason),
            offset: note.offset.0,
        }
    }

    /// One line for people.
    pub(super) fn words(&self) -> String {
        let Changed {
            op,
            at,
            requester,
            reason,
            offset,
        } = self;
        let (op, at) = (printable(op), printable(at));
        let mut line = format!("{op} at {at} by the request at offset {offset}");
        push_said(&mut line, [(" of ", requester), (", reason ", reason)]);
        line
    }
}

/// Appends the texts of an operator that are there, each behind its words.
pub(super) fn push_said(line: &mut String, texts: [(&str, &Option<String>); 2]) {
    for (before, text) in texts {
        if let Some(text) = text {
            line.push_str(before);
            line.push_str(&printable(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::definition::Definition;
    use crate::core::fold::Description;
    use crate::core::{Answer, Offset, Timestamp};
    use crate::wire::reply::{Subject, encode};

    #[test]
    fn the_reply_to_describe_has_the_fields_of_inspect() {
        let note = Note {
            op: "set_next".into(),
            requester: "maria@ops".into(),
            reason: "imported".into(),
            offset: Offset(7),
            timestamp: Timestamp(1_700_000_000_123),
        };
        let changed = Changed::of(&note);
        let answer = Answer::Described {
            description: Box::new(Description {
                definition: Definition::DEFAULT,
                next: None,
                retired: false,
            }),
            changed: Some(Box::new(note)),
        };
        let subject = Subject {
            name: None,
            request_id: None,
            partition: 0,
            offset: Offset(9),
        };
        let mut body = Vec::new();
        encode(&mut body, subject, &answer);
        let same = format!("\"changed\":{}", serde_json::to_string(&changed).unwrap());
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(&same), "{body} has no {same}");
        assert_eq!(
            changed.words(),
            "set_next at 2023-11-14T22:13:20.123Z by the request at offset 7 of maria@ops, reason \
             imported"
        );
    }
}
