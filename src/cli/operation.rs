//! The value of an operator's request: the operation, its fields, its author and its reason.

use serde_json::{Map, Value};

use super::Error;
use super::args::{FieldArgs, RecordArgs};
use super::ask::check_text;
use crate::core::limits::TEXT_FIELD_BYTES_MAX;
use crate::wire::request::DESCRIBE;

/// A field of a definition with its value.
pub(super) type Field = (&'static str, Value);

/// The fields of a definition, in the order of the contract.
pub(super) const FIELDS: [&str; 8] = [
    "start",
    "increment",
    "min",
    "max",
    "at_end",
    "max_count",
    "audit",
    "remember",
];

/// The author and the reason of a change.
#[derive(Debug)]
pub(super) struct Record {
    requester: Option<String>,
    reason: Option<String>,
}

impl Record {
    /// Takes the values of the flags. By default the author is the user of this process on this host.
    pub(super) fn of(args: &RecordArgs) -> Result<Record, Error> {
        check_text("--reason", args.reason.as_deref())?;
        check_text("--requester", args.requester.as_deref())?;
        let requester = args.requester.clone().or_else(|| {
            let user = ["USER", "LOGNAME", "USERNAME"].into_iter();
            let user = user.filter_map(|variable| std::env::var(variable).ok());
            let host = gethostname::gethostname().to_string_lossy().into_owned();
            who(user.into_iter().find(|user| !user.is_empty()), host)
        });
        Ok(Record {
            requester,
            reason: args.reason.clone(),
        })
    }

    /// The value of a request that changes something.
    pub(super) fn value(&self, op: &str, fields: impl IntoIterator<Item = Field>) -> Vec<u8> {
        let texts = [("requester", &self.requester), ("reason", &self.reason)];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, Value::from(text.as_deref()?))));
        value(op, fields.into_iter().chain(texts))
    }
}

/// The value of a `describe` request, which has no author.
pub(super) fn describe() -> Vec<u8> {
    DESCRIBE.to_vec()
}

fn value(op: &str, fields: impl IntoIterator<Item = Field>) -> Vec<u8> {
    let mut object: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    object.insert("op".to_owned(), op.into());
    Value::Object(object).to_string().into_bytes()
}

/// The fields that were given, in the order of the contract.
pub(super) fn fields(args: &FieldArgs) -> Vec<Field> {
    let FieldArgs {
        start,
        increment,
        min,
        max,
        at_end,
        max_count,
        audit,
        remember,
    } = args;
    let all = [
        ("start", start.map(Value::from)),
        ("increment", increment.map(Value::from)),
        ("min", min.map(Value::from)),
        ("max", max.map(Value::from)),
        ("at_end", at_end.as_deref().map(Value::from)),
        ("max_count", max_count.map(Value::from)),
        ("audit", audit.map(Value::from)),
        ("remember", remember.map(Value::from)),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// The default author, cut to the limit.
fn who(user: Option<String>, host: String) -> Option<String> {
    let mut who = match user {
        Some(user) if host.is_empty() => user,
        Some(user) => format!("{user}@{host}"),
        None => host,
    };
    who.truncate(who.floor_char_boundary(TEXT_FIELD_BYTES_MAX));
    (!who.is_empty()).then_some(who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_names_the_operation_and_what_was_given() {
        let record = Record {
            requester: Some("maria@ops".to_owned()),
            reason: None,
        };
        let value = record.value("set_next", [("next", Value::from(-5))]);
        assert_eq!(
            String::from_utf8(value).unwrap(),
            r#"{"next":-5,"op":"set_next","requester":"maria@ops"}"#
        );
        assert_eq!(describe(), br#"{"op":"describe"}"#);
    }

    #[test]
    fn whoever_asks_is_named_as_well_as_can_be() {
        let who = |user: Option<&str>, host: &str| who(user.map(str::to_owned), host.to_owned());
        assert_eq!(who(Some("maria"), "ops-1").unwrap(), "maria@ops-1");
        assert_eq!(who(Some("maria"), "").unwrap(), "maria");
        assert_eq!(who(None, "ops-1").unwrap(), "ops-1");
        assert_eq!(who(None, ""), None);
        let long = who(Some(&"ü".repeat(200)), "ops-1").unwrap();
        assert_eq!(long.len(), 254, "whole characters only");
    }
}
