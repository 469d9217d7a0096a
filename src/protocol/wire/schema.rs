//! Requests, replies and pages of the ledger for machines, as JSON Schema: made from the tables and limits that
//! read and write them.
//!
//! JSON Schema counts the characters of a text and the service its UTF-8 bytes, and it takes `5.0` for an integer.
//! So a valid request always fits the schema, and a few that fit are refused.

use serde_json::{Map, Value, json};

use super::request::fields_of;
use crate::core::Code;
use crate::core::command::Undefined;
use crate::core::definition::AtEnd;
use crate::core::limits::{
    BOUND_MAX, BOUND_MIN, COUNT_MAX, NAME_BYTES_MAX, REMEMBER_MAX, TEXT_FIELD_BYTES_MAX,
};
use crate::core::name::POLICY;
use crate::wire::ledger::PAGE_RECORDS_MAX;

/// The dialect of the documents.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// How a schema is written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The place of the schemas that others refer to, with a slash at its end.
    pub refs: &'static str,
    /// Whether IDs may be texts, as in answers over HTTP.
    pub ids_as_text: bool,
}

impl Style {
    /// A document of JSON Schema.
    const DOCUMENT: Style = Style {
        refs: "#/$defs/",
        ids_as_text: false,
    };

    fn to(self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.refs)})
    }

    fn id(self) -> Value {
        match self.ids_as_text {
            true => json!({"type": ["integer", "string"], "format": "int64"}),
            false => integer(BOUND_MIN, BOUND_MAX),
        }
    }
}

/// A document of one kind of record: any of its schemas.
struct Document {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// The schemas of a record, of which one fits.
    kinds: &'static [&'static str],
}

const REQUEST: Document = Document {
    name: "request",
    title: "The value of a request",
    description: "A record of the request topic. Its key is the name of the sequence. No value counts as null. Texts \
                  are limited in UTF-8 bytes, and 5.0 is no integer, which JSON Schema cannot say.",
    kinds: &[
        "OneId", "Count", "Next", "Define", "SetNext", "Describe", "Retire", "Policy",
    ],
};

const REPLY: Document = Document {
    name: "reply",
    title: "The value of a reply",
    description: "A record of a reply topic: IDs, the state of a sequence or of a policy, or an error. A later release \
                  may have more fields.",
    kinds: &["Grant", "Description", "PolicyState", "Error"],
};

const LEDGER: Document = Document {
    name: "ledger",
    title: "A page of the ledger",
    description: "A record of the ledger topic: grants and operators' acts of one audited sequence. Its key is the name \
                  of the sequence. A later release may have more fields.",
    kinds: &["Page"],
};

/// The documents, each with its name.
pub fn documents() -> [(&'static str, Value); 3] {
    [&REQUEST, &REPLY, &LEDGER].map(|document| (document.name, document.to_value()))
}

impl Document {
    fn to_value(&self) -> Value {
        let mut value = json!({
            "$schema": DIALECT,
            "$id": format!("urn:sequencer:{}", self.name),
            "title": self.title,
            "description": self.description,
            "$defs": schemas(self.kinds, Style::DOCUMENT),
        });
        let one = one_of(self.kinds, Style::DOCUMENT);
        if let (Value::Object(value), Value::Object(one)) = (&mut value, one) {
            value.extend(one);
        }
        value
    }
}

/// Any of these schemas.
fn one_of(kinds: &[&str], style: Style) -> Value {
    match kinds {
        [one] => style.to(one),
        kinds => {
            json!({"oneOf": kinds.iter().map(|kind| style.to(kind)).collect::<Vec<_>>()})
        }
    }
}

/// The value of a request, of a reply and of a page of the ledger, by these names, with all that they refer to.
pub fn all(style: Style) -> Map<String, Value> {
    let kinds = [&REQUEST, &REPLY, &LEDGER].map(|document| document.kinds);
    let mut all = schemas(&kinds.concat(), style);
    for (name, document) in [("Request", &REQUEST), ("Reply", &REPLY)] {
        all.insert(name.to_owned(), one_of(document.kinds, style));
    }
    all
}

/// These schemas, and those that they refer to.
pub fn schemas(kinds: &[&str], style: Style) -> Map<String, Value> {
    let mut found = Map::new();
    let mut wanted: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    while let Some(kind) = wanted.pop() {
        if found.contains_key(&kind) {
            continue;
        }
        let schema = schema(&kind, style);
        referred(&schema, style, &mut wanted);
        found.insert(kind, schema);
    }
    found
}

/// Collects the names that a schema refers to.
fn referred(schema: &Value, style: Style, names: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str);
            names.extend(
                target
                    .and_then(|target| target.strip_prefix(style.refs))
                    .map(str::to_owned),
            );
            for field in fields.values() {
                referred(field, style, names);
            }
        }
        Value::Array(values) => {
            for value in values {
                referred(value, style, names);
            }
        }
        _ => {}
    }
}

fn schema(kind: &str, style: Style) -> Value {
    match kind {
        "OneId" => json!({"description": "One ID", "type": "null"}),
        "Count" => described("As many IDs", count()),
        "Next" => next(),
        "Define" => request(
            "define",
            "Defines a sequence, or changes the fields that are given",
            &[],
        ),
        "SetNext" => set_next(),
        "Describe" => request("describe", "Asks for the state, and takes no ID", &[]),
        "Retire" => request("retire", "Ends a sequence", &[]),
        "Policy" => policy(),
        "Grant" => grant(style),
        "Description" => description(style),
        "Definition" => definition(style),
        "Changed" => changed(),
        "PolicyState" => policy_state(),
        "Error" => error(),
        "Page" => page(style),
        _ => page_record(style),
    }
}

fn described(description: &str, mut schema: Value) -> Value {
    schema["description"] = json!(description);
    schema
}

fn integer(minimum: i64, maximum: i64) -> Value {
    json!({"type": "integer", "format": "int64", "minimum": minimum, "maximum": maximum})
}

fn count() -> Value {
    integer(1, i64::try_from(COUNT_MAX).unwrap_or(i64::MAX))
}

/// Texts without a control character (Unicode's Cc).
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";

/// The name of a sequence.
pub fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": NO_CONTROLS})
}

/// A `request_id`, a requester or a reason.
pub fn text() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": TEXT_FIELD_BYTES_MAX})
}

/// The words of `at_end`.
pub fn at_end() -> Value {
    json!({"enum": [AtEnd::Error.as_str(), AtEnd::Cycle.as_str()]})
}

/// A field of a request.
fn field(field: &str) -> Value {
    match field {
        "count" | "max_count" => count(),
        "at_end" => at_end(),
        "remember" => integer(0, REMEMBER_MAX.into()),
        "audit" | "force" => json!({"type": "boolean"}),
        "undefined" => json!({"enum": [Undefined::Create.as_str(), Undefined::Refuse.as_str()]}),
        "reason" => text(),
        _ => integer(BOUND_MIN, BOUND_MAX),
    }
}

/// The same, or null, which counts as absent.
fn or_null(mut schema: Value) -> Value {
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    } else {
        schema["type"] = json!([schema["type"].clone(), "null"]);
    }
    schema
}

/// The object of an operation. `required`: fields that must be there, and not null.
fn request(op: &str, description: &str, required: &[&str]) -> Value {
    let mut properties = Map::new();
    properties.insert("op".to_owned(), json!({"const": op}));
    for name in fields_of(op) {
        let schema = field(name);
        let schema = match required.contains(name) {
            true => schema,
            false => or_null(schema),
        };
        properties.insert((*name).to_owned(), schema);
    }
    for name in ["request_id", "requester"] {
        properties.insert(name.to_owned(), or_null(text()));
    }
    let required: Vec<&str> = ["op"].iter().chain(required).copied().collect();
    json!({
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
        // A null counts as absent whatever its name is: mappers write every field that they know.
        "additionalProperties": {"type": "null"},
    })
}

fn next() -> Value {
    let mut next = request("next", "The next IDs, as one range", &[]);
    next["properties"]["op"] = json!({"enum": ["next", null]});
    next["required"] = json!([]);
    next
}

fn set_next() -> Value {
    let mut set_next = request(
        "set_next",
        "Moves a sequence; back only by force",
        &["next"],
    );
    set_next["if"] = json!({"properties": {"force": {"const": true}}, "required": ["force"]});
    set_next["then"] =
        json!({"properties": {"reason": {"type": "string"}}, "required": ["reason"]});
    set_next
}

fn policy() -> Value {
    let mut policy = request(
        "policy",
        &format!(
            "Decides about undefined names; under the key {POLICY}, one record to each partition"
        ),
        &["undefined"],
    );
    policy["if"] = json!({"properties": {"audit": {"const": true}}, "required": ["audit"]});
    policy["then"] = json!({"properties": {"undefined": {"const": Undefined::Create.as_str()}}});
    policy
}

/// An object that a later release may extend. `place`: partition and offset of the record that the client wrote.
fn object(description: &str, properties: Value, required: &[&str]) -> Value {
    json!({
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

fn partition() -> Value {
    let schema = json!({"type": "integer", "format": "int32", "minimum": 0});
    described("Partition of the record that the client wrote", schema)
}

fn offset() -> Value {
    described(
        "Offset of the record that the client wrote",
        integer(0, i64::MAX),
    )
}

fn increment() -> Value {
    described(
        "The step from one ID to the next; absent if it is 1",
        integer(BOUND_MIN, BOUND_MAX),
    )
}

fn grant(style: Style) -> Value {
    let properties = json!({
        "sequence": name(),
        "first": described("The first ID", style.id()),
        "last": described("The last ID: first + (count - 1) * increment", style.id()),
        "count": count(),
        "increment": increment(),
        "request_id": text(),
        "partition": partition(),
        "offset": offset(),
    });
    object(
        "IDs",
        properties,
        &["sequence", "first", "last", "count", "partition", "offset"],
    )
}

fn definition(style: Style) -> Value {
    let properties = json!({
        "start": described("The first ID", style.id()),
        "increment": integer(BOUND_MIN, BOUND_MAX),
        "min": described("The lowest ID", style.id()),
        "max": described("The highest ID", style.id()),
        "at_end": at_end(),
        "max_count": described("The most IDs that one request can take", count()),
        "audit": described("Whether grants go to the ledger", json!({"type": "boolean"})),
        "remember": described(
            "Requests with a request_id that the sequence remembers itself",
            field("remember"),
        ),
    });
    let required = [
        "start",
        "increment",
        "min",
        "max",
        "at_end",
        "max_count",
        "audit",
        "remember",
    ];
    object("The rules of a sequence", properties, &required)
}

fn changed() -> Value {
    let properties = json!({
        "op": {"enum": ["define", "set_next", "retire", "policy"]},
        "at": described("UTC as in RFC 3339, or unknown", json!({"type": "string"})),
        "requester": text(),
        "reason": text(),
        "offset": described("Offset of the change in the home partition", integer(0, i64::MAX)),
    });
    object("The last change", properties, &["op", "at", "offset"])
}

fn description(style: Style) -> Value {
    let properties = json!({
        "sequence": name(),
        "definition": style.to("Definition"),
        "next": described("The next ID; absent if none is left", style.id()),
        "retired": described("Present if the sequence is retired", json!({"const": true})),
        "changed": style.to("Changed"),
        "request_id": text(),
        "partition": partition(),
        "offset": offset(),
    });
    object(
        "The state of a sequence",
        properties,
        &["sequence", "definition", "partition", "offset"],
    )
}

fn policy_state() -> Value {
    let properties = json!({
        "sequence": {"const": POLICY},
        "undefined": field("undefined"),
        "audit": described("Present if sequences are created with audit", json!({"const": true})),
        "request_id": text(),
        "partition": partition(),
        "offset": offset(),
    });
    object(
        "The policy of a partition",
        properties,
        &["sequence", "undefined", "partition", "offset"],
    )
}

fn error() -> Value {
    let codes = Code::ALL.map(Code::as_str);
    let properties = json!({
        "sequence": described("Absent if the name is not valid", name()),
        "error": {
            "type": "object",
            "properties": {
                "code": {
                    "description": "Stable. A later release may have more",
                    "type": "string",
                    "examples": codes,
                },
                "message": {"description": "For people; may change", "type": "string"},
            },
            "required": ["code", "message"],
        },
        "request_id": text(),
        "partition": partition(),
        "offset": offset(),
    });
    object(
        "An error: no ID was taken",
        properties,
        &["error", "partition", "offset"],
    )
}

fn page(style: Style) -> Value {
    let properties = json!({
        "sequence": name(),
        "record": described("The number of its first record", integer(1, i64::MAX)),
        "previous": {
            "description": "The hash of the record before its first",
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
        },
        "records": {
            "type": "array",
            "minItems": 1,
            "maxItems": PAGE_RECORDS_MAX,
            "items": style.to("PageRecord"),
        },
    });
    object(
        "Records of one sequence",
        properties,
        &["sequence", "record", "previous", "records"],
    )
}

fn page_record(style: Style) -> Value {
    let properties = json!({
        "turn": described("How often the sequence went back before; absent if never", integer(1, i64::MAX)),
        "kind": {"enum": ["grant", "define", "set_next", "retire"]},
        "first": style.id(),
        "last": style.id(),
        "count": count(),
        "increment": increment(),
        "definition": style.to("Definition"),
        "next": style.id(),
        "partition": partition(),
        "offset": offset(),
        "home_offset": described("Of a forwarded request: its offset in the home partition", integer(0, i64::MAX)),
        "timestamp": described("Milliseconds since 1970, as the broker wrote it", integer(i64::MIN, i64::MAX)),
        "requester": text(),
        "request_id": text(),
        "reason": text(),
        "repaired": described("Present in the first record after a repair", json!({"const": true})),
    });
    object(
        "A grant, or an operator's act",
        properties,
        &["kind", "partition", "offset", "timestamp"],
    )
}

#[cfg(test)]
mod tests;
