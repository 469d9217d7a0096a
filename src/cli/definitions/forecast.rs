//! Predicts for a dry run which definitions the service would refuse: applies its own rules to its description.

use serde_json::Value;

use crate::cli::reply::Reply;
use crate::core::definition::{AtEnd, Changes, Definition};
use crate::core::sequence::Sequence;

/// The reason why the service would refuse a definition with these fields. None when no reason is known. The
/// service decides: it may have another release, and requests may come in between.
pub(super) fn refusal<'f, 'v>(
    fields: impl IntoIterator<Item = (&'f str, &'v Value)>,
    described: &Reply,
) -> Option<String> {
    let changes = changes(fields);
    let judged = match &described.definition {
        None => Definition::new(changes).map(drop),
        Some(definition) => {
            let fields = definition.iter();
            let fields = fields.map(|(field, value)| (field.as_str(), value));
            let before = Definition::DEFAULT.with(self::changes(fields)).ok()?;
            // The description of an exhausted sequence has no next ID.
            let sequence = Sequence::restored(described.next?);
            sequence
                .redefined(&before, changes, described.retired)
                .map(drop)
        }
    };
    judged.err().map(|rejection| rejection.message)
}

fn changes<'f, 'v>(fields: impl IntoIterator<Item = (&'f str, &'v Value)>) -> Changes {
    let mut changes = Changes::default();
    for (field, value) in fields {
        match field {
            "start" => changes.start = value.as_i64(),
            "increment" => changes.increment = value.as_i64(),
            "min" => changes.min = value.as_i64(),
            "max" => changes.max = value.as_i64(),
            "at_end" => changes.at_end = value.as_str().and_then(at_end),
            "max_count" => changes.max_count = value.as_u64(),
            "audit" => changes.audit = value.as_bool(),
            "remember" => {
                changes.remember = value.as_u64().and_then(|number| number.try_into().ok());
            }
            _ => {}
        }
    }
    changes
}

fn at_end(word: &str) -> Option<AtEnd> {
    [AtEnd::Error, AtEnd::Cycle]
        .into_iter()
        .find(|at_end| at_end.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(fields: &[(&str, Value)], described: &str) -> Option<String> {
        let fields = fields.iter().map(|(field, value)| (*field, value));
        refusal(fields, &Reply::read(described.as_bytes()).unwrap())
    }

    #[test]
    fn what_the_rules_of_the_service_refuse_is_foreseen() {
        let described = r#"{"definition":{"start":1,"increment":1,"min":1,"max":100,"at_end":"error","max_count":1000000,"audit":false,"remember":0},"next":42}"#;
        for (fields, word) in [
            (
                &[("start", Value::from(5))][..],
                "start of a sequence that exists",
            ),
            (&[("max", 41.into())], "beyond the new bounds"),
            (&[("min", 43.into())], "is not between min 43"),
            (&[("increment", (-1).into())], "cannot change its sign"),
        ] {
            let refusal = forecast(fields, described).unwrap_or_default();
            assert!(refusal.contains(word), "{refusal}");
        }
        let allowed = [("max", Value::from(42)), ("at_end", "cycle".into())];
        assert_eq!(forecast(&allowed, described), None);
        let exhausted = described.replace(r#","next":42"#, "");
        assert_eq!(
            forecast(&[("max", 5.into())], &exhausted),
            None,
            "not known"
        );

        let unknown = r#"{"error":{"code":"unknown_sequence","message":"…"}}"#;
        let fields = [("start", Value::from(5)), ("max", 4.into())];
        let refusal = forecast(&fields, unknown).unwrap_or_default();
        assert!(refusal.contains("start 5 is not between"), "{refusal}");
        assert_eq!(forecast(&fields[..1], unknown), None);
    }
}
