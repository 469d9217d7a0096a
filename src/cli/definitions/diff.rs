//! Compares the wanted definitions with the present ones.

use serde::Serialize;
use serde_json::Value;

use super::file::Wanted;
use super::forecast;
use crate::cli::operation::Field;
use crate::cli::reply::{Reply, ReplyError};
use crate::core::Code;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The sequence is created.
    New,
    /// The definition of the sequence changes.
    Changed,
    /// The sequence stays as it is.
    Unchanged,
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// The name of the field.
    pub field: &'static str,
    /// The present value. Absent for a new sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The new value.
    pub new: Value,
}

/// Not a field of a definition, but of a description. A new definition makes it false.
const RETIRED: &str = "retired";

/// All changes of one sequence.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    /// The name of the sequence.
    pub sequence: String,
    /// The kind of the change.
    pub change: Kind,
    /// The fields that change.
    pub fields: Vec<Difference>,
    /// The reason why the service would refuse the change, if this can be predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be_refused: Option<String>,
    /// True when a refusal cannot be predicted: the description of an exhausted sequence has no next ID.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unforeseen: bool,
}

impl Change {
    /// Compares. `reply` is the reply to the request that describes the sequence.
    ///
    /// # Errors
    /// The service refused to describe it.
    pub(super) fn between(wanted: &Wanted, reply: &Reply) -> Result<Change, ReplyError> {
        let new = match &reply.error {
            Some(error) if error.code == Code::UnknownSequence.as_str() => true,
            Some(error) => return Err(error.clone()),
            None => false,
        };
        let mut fields = Vec::new();
        if reply.retired {
            fields.push(Difference {
                field: RETIRED,
                old: Some(true.into()),
                new: false.into(),
            });
        }
        for (field, new) in &wanted.fields {
            let old = reply.definition.as_ref().and_then(|all| all.get(*field));
            if old != Some(new) {
                fields.push(Difference {
                    field,
                    old: old.cloned(),
                    new: new.clone(),
                });
            }
        }
        let would_be_refused = forecast::refusal(sent(&fields), reply);
        let unforeseen = !fields.is_empty() && reply.definition.is_some() && reply.next.is_none();
        Ok(Change {
            sequence: wanted.name.clone(),
            change: match (new, fields.is_empty()) {
                (true, _) => Kind::New,
                (false, true) => Kind::Unchanged,
                (false, false) => Kind::Changed,
            },
            fields,
            would_be_refused,
            unforeseen,
        })
    }

    /// The fields of the request that makes the change.
    pub(super) fn to_send(&self) -> impl Iterator<Item = Field> {
        sent(&self.fields).map(|(field, value)| (field, value.clone()))
    }
}

fn sent(differences: &[Difference]) -> impl Iterator<Item = (&'static str, &Value)> {
    differences
        .iter()
        .filter(|difference| difference.field != RETIRED)
        .map(|difference| (difference.field, &difference.new))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIBED: &str = r#"{"sequence":"a","definition":{"start":1,"increment":1,"min":1,"max":9007199254740991,"at_end":"error","max_count":1000000,"audit":false,"remember":0},"next":42,"partition":0,"offset":3}"#;
    const UNKNOWN: &str = r#"{"sequence":"a","error":{"code":"unknown_sequence","message":"…"},"partition":0,"offset":3}"#;

    fn wanted(fields: &[Field]) -> Wanted {
        Wanted {
            name: "a".to_owned(),
            fields: fields.to_vec(),
        }
    }

    fn change(fields: &[Field], reply: &str) -> Result<Change, ReplyError> {
        Change::between(&wanted(fields), &Reply::read(reply.as_bytes()).unwrap())
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let fields = [
            ("start", Value::from(1)),
            ("max", Value::from(100)),
            ("at_end", Value::from("cycle")),
            ("max_count", Value::from(1_000_000)),
        ];
        let change = change(&fields, DESCRIBED).unwrap();
        assert_eq!(change.change, Kind::Changed);
        let sent: Vec<Field> = change.to_send().collect();
        assert_eq!(sent, [("max", 100.into()), ("at_end", "cycle".into())]);
        assert_eq!(
            serde_json::to_string(&change).unwrap(),
            r#"{"sequence":"a","change":"changed","fields":[{"field":"max","old":9007199254740991,"new":100},{"field":"at_end","old":"error","new":"cycle"}]}"#
        );
    }

    #[test]
    fn what_is_there_already_is_unchanged_and_so_is_a_table_without_fields() {
        for fields in [
            &[("start", Value::from(1)), ("audit", false.into())][..],
            &[],
        ] {
            let change = change(fields, DESCRIBED).unwrap();
            assert_eq!((change.change, change.fields.len()), (Kind::Unchanged, 0));
        }
    }

    #[test]
    fn a_new_sequence_has_nothing_old() {
        let change = change(&[("min", Value::from(5))], UNKNOWN).unwrap();
        assert_eq!((change.change, &change.fields[0].old), (Kind::New, &None));
        assert_eq!(
            super::tests::change(&[], UNKNOWN).unwrap().change,
            Kind::New
        );
    }

    #[test]
    fn a_retired_sequence_comes_back_by_a_definition_that_need_say_nothing() {
        let retired = DESCRIBED.replace(r#""next":42"#, r#""next":42,"retired":true"#);
        let change = change(&[("start", Value::from(1))], &retired).unwrap();
        assert_eq!(change.change, Kind::Changed);
        assert_eq!(change.fields[0].field, RETIRED);
        assert_eq!(change.to_send().count(), 0);
    }

    #[test]
    fn what_becomes_of_an_exhausted_sequence_is_not_foreseen() {
        let exhausted = DESCRIBED.replace(r#","next":42"#, "");
        let unforeseen = |field: Field, reply: &str| change(&[field], reply).unwrap().unforeseen;
        assert!(unforeseen(("max", 100.into()), &exhausted));
        assert!(!unforeseen(("start", 1.into()), &exhausted), "unchanged");
        assert!(!unforeseen(("max", 100.into()), DESCRIBED));
        assert!(!unforeseen(("max", 100.into()), UNKNOWN));
    }

    #[test]
    fn another_error_is_no_sign_that_the_sequence_is_new() {
        let other = UNKNOWN.replace("unknown_sequence", "invalid_name");
        assert_eq!(change(&[], &other).unwrap_err().code, "invalid_name");
    }
}
