use std::collections::BTreeSet;

use super::*;
use crate::core::command::Undefined;
use crate::core::definition::Definition;
use crate::core::fold::{Description, Note};
use crate::core::ledger::{Event, Hash, Line};
use crate::core::{Answer, Grant, Name, Offset, Rejection, Timestamp};
use crate::wire::{ledger, reply, request};

/// Checks the keywords that these schemas use, and fails on any other.
fn fits(schema: &Value, value: &Value, root: &Value) -> bool {
    let Value::Object(keywords) = schema else {
        panic!("{schema} is no schema")
    };
    keywords
        .iter()
        .all(|(keyword, rule)| match keyword.as_str() {
            "$ref" => {
                let target = rule.as_str().unwrap().strip_prefix('#').unwrap();
                fits(root.pointer(target).unwrap(), value, root)
            }
            "oneOf" => {
                let schemas = rule.as_array().unwrap().iter();
                schemas.filter(|one| fits(one, value, root)).count() == 1
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| has_type(one, value)),
                one => has_type(one, value),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value
                .as_i64()
                .is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => {
                value.is_null()
                    || value
                        .as_i64()
                        .is_some_and(|number| number <= rule.as_i64().unwrap())
            }
            "minLength" => length(value).is_none_or(|length| length >= rule.as_u64().unwrap()),
            "maxLength" => length(value).is_none_or(|length| length <= rule.as_u64().unwrap()),
            "minItems" => value.as_array().unwrap().len() as u64 >= rule.as_u64().unwrap(),
            "maxItems" => value.as_array().unwrap().len() as u64 <= rule.as_u64().unwrap(),
            "items" => value
                .as_array()
                .unwrap()
                .iter()
                .all(|item| fits(rule, item, root)),
            "required" => value.as_object().is_none_or(|fields| {
                let mut names = rule.as_array().unwrap().iter();
                names.all(|name| fields.contains_key(name.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|fields| {
                let mut fields = fields.iter();
                fields
                    .all(|(name, field)| rule.get(name).is_none_or(|rule| fits(rule, field, root)))
            }),
            "additionalProperties" => value.as_object().is_none_or(|fields| {
                let known = &schema["properties"];
                let mut others = fields.iter().filter(|(name, _)| known.get(*name).is_none());
                others.all(|(_, field)| fits(rule, field, root))
            }),
            "if" => !fits(rule, value, root) || fits(&schema["then"], value, root),
            "then" | "$schema" | "$id" | "$defs" | "title" | "description" | "format"
            | "examples" | "pattern" => true,
            other => panic!("{other}"),
        })
}

fn has_type(word: &Value, value: &Value) -> bool {
    match word.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn document(name: &str) -> Value {
    let mut all = documents().into_iter();
    all.find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn a_request_fits_exactly_when_the_service_takes_it() {
    let schema = document("request");
    let mut taken = 0;
    for text in [
        "null",
        "1",
        "9007199254740991",
        "0",
        "9007199254740992",
        "-1",
        "true",
        "\"5\"",
        "[]",
        "{}",
        r#"{"op":null,"count":null,"cuont":null}"#,
        r#"{"op":"next","count":10,"request_id":"6f1c","requester":"billing"}"#,
        r#"{"count":"10"}"#,
        r#"{"cuont":10}"#,
        r#"{"op":"nxt"}"#,
        r#"{"request_id":""}"#,
        r#"{"next":5}"#,
        r#"{"op":"next","next":null}"#,
        r#"{"op":"define","start":1000,"increment":-1,"min":-5,"max":9223372036854775807,"at_end":"cycle","max_count":100,"audit":true,"reason":"r"}"#,
        r#"{"op":"define","min":-9223372036854775807}"#,
        r#"{"op":"define","min":-9223372036854775808}"#,
        r#"{"op":"define","at_end":"stop"}"#,
        r#"{"op":"define","at_end":null,"audit":null,"max_count":null}"#,
        r#"{"op":"define","max_count":0}"#,
        r#"{"op":"define","audit":"true"}"#,
        r#"{"op":"define","count":1}"#,
        r#"{"op":"set_next","next":5000,"reason":"imported"}"#,
        r#"{"op":"set_next"}"#,
        r#"{"op":"set_next","next":null}"#,
        r#"{"op":"set_next","next":1,"force":true}"#,
        r#"{"op":"set_next","next":1,"force":true,"reason":null}"#,
        r#"{"op":"set_next","next":1,"force":true,"reason":"r"}"#,
        r#"{"op":"set_next","next":1,"force":false}"#,
        r#"{"op":"describe"}"#,
        r#"{"op":"describe","reason":"r"}"#,
        r#"{"op":"retire","reason":"merged","requester":"me","request_id":"x"}"#,
        r#"{"op":"retire","next":1}"#,
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        let decoded = request::decode(Some(b"orders"), Some(text.as_bytes()), None);
        let takes = decoded.command.is_ok() && decoded.name.is_ok();
        assert_eq!(fits(&schema, &value, &schema), takes, "{text}");
        taken += u32::from(takes);
    }
    for text in [
        r#"{"op":"policy","undefined":"refuse"}"#,
        r#"{"op":"policy","undefined":"create","audit":true}"#,
        r#"{"op":"policy","undefined":"refuse","audit":true}"#,
        r#"{"op":"policy","undefined":"drop"}"#,
        r#"{"op":"policy","undefined":null}"#,
        r#"{"op":"policy"}"#,
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        let decoded = request::decode(Some(POLICY.as_bytes()), Some(text.as_bytes()), None);
        let takes = decoded.command.is_ok() && decoded.name.is_ok();
        assert_eq!(fits(&schema, &value, &schema), takes, "{text}");
        taken += u32::from(takes);
    }
    assert_eq!(taken, 17);
}

/// The fields of an object that its schema does not name, and those that it names and no object here has.
fn strangers(schema: &Value, value: &Value, seen: &mut BTreeSet<String>) -> Vec<String> {
    let known = schema["properties"].as_object().unwrap();
    let fields = value.as_object().unwrap();
    seen.extend(fields.keys().cloned());
    fields
        .keys()
        .filter(|name| !known.contains_key(*name))
        .cloned()
        .collect()
}

fn answers() -> [(&'static str, Vec<Answer>); 4] {
    let grant = |increment| {
        Answer::Granted(Grant {
            first: 41,
            last: 41 + 9 * increment,
            count: 10,
            increment,
        })
    };
    let described = |next, retired, changed: Option<Note>| Answer::Described {
        description: Box::new(Description {
            definition: Definition::DEFAULT,
            next,
            retired,
        }),
        changed: changed.map(Box::new),
    };
    let note = |op: &str, text: &str| Note {
        op: op.into(),
        requester: text.into(),
        reason: text.into(),
        offset: Offset(7),
        timestamp: Timestamp(1_700_000_000_123),
    };
    let rejected = Answer::Rejected(Rejection::new(Code::Exhausted, "none is left"));
    [
        ("Grant", vec![grant(1), grant(-3)]),
        (
            "Description",
            vec![
                described(Some(5), false, None),
                described(None, true, Some(note("retire", "why"))),
                described(Some(5), false, Some(note("policy", ""))),
            ],
        ),
        (
            "PolicyState",
            vec![
                Answer::Policy(Undefined::Refuse),
                Answer::Policy(Undefined::CreateAudited),
            ],
        ),
        ("Error", vec![rejected]),
    ]
}

#[test]
fn every_reply_fits_and_has_the_fields_of_its_schema() {
    let schema = document("reply");
    for (kind, answers) in answers() {
        let mut seen = BTreeSet::new();
        for answer in answers {
            let key = match kind {
                "PolicyState" => POLICY,
                _ => "orders",
            };
            let subject = reply::Subject {
                name: Some(Name::from_key(Some(key.as_bytes())).unwrap()),
                request_id: Some("6f1c"),
                partition: 3,
                offset: Offset(1234),
            };
            let mut bytes = Vec::new();
            reply::encode(&mut bytes, subject, &answer);
            let mut value: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(fits(&schema, &value, &schema), "{value}");
            let own = &schema["$defs"][kind];
            assert_eq!(strangers(own, &value, &mut seen), Vec::<String>::new());
            for (field, name) in [("definition", "Definition"), ("changed", "Changed")] {
                if let Some(inner) = value.get(field) {
                    let own = &schema["$defs"][name];
                    assert_eq!(
                        strangers(own, inner, &mut BTreeSet::new()),
                        Vec::<String>::new()
                    );
                }
            }
            value.as_object_mut().unwrap().remove("offset");
            assert!(!fits(&schema, &value, &schema), "{value}");
        }
        let named = schema["$defs"][kind]["properties"].as_object().unwrap();
        assert!(
            named.keys().all(|name| seen.contains(name)),
            "{kind}: {seen:?}"
        );
    }
}

#[test]
fn a_page_of_the_ledger_fits_and_has_the_fields_of_its_schema() {
    let schema = document("ledger");
    let text = Some("text");
    let mut seen = BTreeSet::new();
    let events = [
        Event::Granted(Grant {
            first: 41,
            last: 23,
            count: 10,
            increment: -2,
        }),
        Event::Defined {
            definition: Definition::DEFAULT,
            next: Some(1),
        },
        Event::Moved {
            next: Some(1),
            increment: 1,
        },
        Event::Retired {
            next: None,
            increment: 1,
        },
    ];
    for event in events {
        let line = Line {
            sequence: "orders",
            record: 12,
            turn: 1,
            event,
            partition: 3,
            offset: Offset(1234),
            home_offset: Some(Offset(5)),
            timestamp: Timestamp(1_700_000_000_000),
            requester: text,
            request_id: text,
            reason: text,
            repaired: true,
            previous: Hash::NONE,
        };
        let mut record = Vec::new();
        ledger::encode(&mut record, &line);
        let record: Value = serde_json::from_slice(&record).unwrap();
        let page = json!({"sequence": "orders", "record": 12, "previous": ledger::hex(&Hash::NONE), "records": [record]});
        assert!(fits(&schema, &page, &schema), "{page}");
        assert!(ledger::decode(page.to_string().as_bytes()).is_some());
        let own = &schema["$defs"]["PageRecord"];
        assert_eq!(
            strangers(own, &page["records"][0], &mut seen),
            Vec::<String>::new()
        );
    }
    let named = schema["$defs"]["PageRecord"]["properties"]
        .as_object()
        .unwrap();
    assert!(named.keys().all(|name| seen.contains(name)), "{seen:?}");
}
