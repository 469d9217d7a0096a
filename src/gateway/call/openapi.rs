//! The description of the calls for machines: OpenAPI 3.1. It is made from the tables that read the calls.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Op;
use super::problem::{MEDIA_TYPE, Own, status_of};
use super::route::NAMED;
use crate::core::Code;
use crate::core::limits::{BOUND_MAX, BOUND_MIN, COUNT_MAX, ID_LAST, REMEMBER_MAX};
use crate::wire::schema::{self, Style, name, text};

/// Schemas of replies. IDs are texts with `?ids=string`.
const STYLE: Style = Style {
    refs: "#/components/schemas/",
    ids_as_text: true,
};

/// The document as text.
pub(crate) fn document() -> String {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for row in NAMED {
        let last = row.last.map_or_else(String::new, |last| format!("/{last}"));
        let id = if row.op == Op::Trace { "/{id}" } else { "" };
        let path = format!("/v1/sequences/{{name}}{last}{id}");
        let method = row.method.to_ascii_lowercase();
        let call = call(
            row.op,
            &row.op.as_path().replace('-', "_"),
            true,
            row.method,
        );
        paths.entry(path).or_default().insert(method, call);
    }
    for op in Op::ALL {
        let id = format!("{}_by_body", op.as_str());
        let methods = Map::from_iter([("post".to_owned(), call(op, &id, false, "POST"))]);
        paths.insert(format!("/v1/{}", op.as_path()), methods);
    }
    paths.extend(cosid());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sequencer gateway",
            "version": "1",
            "description": "Unique, gapless, monotonic IDs over HTTP. Repeat a call without an answer with the same Idempotency-Key.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Problem": problem(),
                "Trace": trace(),
            },
        },
        // Without a file of callers, a gateway needs no token.
        "security": [{}, {"token": []}],
    });
    if let Value::Object(schemas) = &mut document["components"]["schemas"] {
        schemas.extend(schema::schemas(&["Grant", "Description"], STYLE));
    }
    // A tree of texts and numbers can always be serialised.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn call(op: Op, id: &str, named: bool, method: &str) -> Value {
    let mut parameters = Vec::new();
    if op != Op::Trace {
        parameters.push(json!({
            "name": "ids",
            "in": "query",
            "description": "string: IDs in the answer are texts, for readers that hold numbers as floats",
            "schema": {"enum": ["string"]},
        }));
    }
    if named && op == Op::Trace {
        parameters.push(number("id", "path", "The ID", [i64::MIN, i64::MAX]));
    }
    if named {
        parameters.push(json!({
            "name": "name",
            "in": "path",
            "required": true,
            "description": "The name of the sequence, percent-encoded",
            "schema": name(),
        }));
    }
    if method == "DELETE" {
        parameters.push(json!({"name": "reason", "in": "query", "schema": text()}));
    }
    if !op.only_reads() {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key again gets the same IDs, or is carried out once. Without it, the gateway draws one and returns it.",
            "schema": text(),
        }));
    }
    let mut call = json!({
        "operationId": id,
        "summary": summary(op),
        "parameters": parameters,
        "responses": responses(op),
    });
    let own = if named { &[][..] } else { &["sequence"] };
    let fields: Vec<&str> = own.iter().copied().chain(op.fields()).collect();
    if matches!(method, "POST" | "PATCH") && !fields.is_empty() {
        let required: Vec<&str> = own
            .iter()
            .copied()
            .chain((op == Op::SetNext).then_some("next"))
            .chain((op == Op::Trace).then_some("id"))
            .collect();
        let properties = fields.iter().map(|name| {
            let schema = match required.contains(name) {
                true => field(name),
                // Null counts as absent, as in a record.
                false => json!({"anyOf": [field(name), {"type": "null"}]}),
            };
            ((*name).to_owned(), schema)
        });
        call["requestBody"] = json!({
            "required": !required.is_empty(),
            "content": {"application/json": {"schema": {
                "type": "object",
                "properties": Map::from_iter(properties),
                "required": required,
                "additionalProperties": false,
            }}},
        });
    }
    call
}

const fn summary(op: Op) -> &'static str {
    match op {
        Op::Next => "Take the next IDs",
        Op::Describe => "Show the definition, the next ID and the last change",
        Op::Define => "Define the sequence, or change the fields that are given",
        Op::SetNext => "Move the sequence on",
        Op::Retire => "Retire the sequence",
        Op::Trace => "Find who got an ID of an audited sequence",
    }
}

/// A parameter in a path or a query that is a number.
fn number(name: &str, place: &str, description: &str, [min, max]: [i64; 2]) -> Value {
    json!({
        "name": name,
        "in": place,
        "required": true,
        "description": description,
        "schema": {"type": "integer", "format": "int64", "minimum": min, "maximum": max},
    })
}

/// The calls of CosId's protocol.
fn cosid() -> [(String, Map<String, Value>); 2] {
    let part = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1, "pattern": "^[^/\\x00-\\x1f\\x7f-\\x9f]+$"}});
    let step = || {
        number(
            "step",
            "query",
            "The size of a block",
            [1, COUNT_MAX.cast_signed()],
        )
    };
    let call = |id: &str, summary: &str, own: Option<Value>, content: Option<Value>| {
        let parameters: Vec<Value> = [part("namespace"), part("name"), step()]
            .into_iter()
            .chain(own)
            .collect();
        let mut responses = responses(Op::Next);
        responses["200"] = json!({"description": "Done"});
        if let Some(schema) = content {
            responses["200"]["content"] = json!({"application/json": {"schema": schema}});
        }
        json!({"operationId": id, "summary": summary, "parameters": parameters, "responses": responses})
    };
    let offset = number(
        "offset",
        "query",
        "The last ID that is taken already",
        [i64::MIN, ID_LAST - 1],
    );
    let create = call(
        "cosid_create_distributor",
        "CosId: define the sequence NAMESPACE/NAME unless it is there",
        Some(offset),
        None,
    );
    let block = call(
        "cosid_next_max_id",
        "CosId: take a block of IDs and get the last one",
        None,
        Some(json!({"type": "integer", "format": "int64"})),
    );
    let methods = |method: &str, call| Map::from_iter([(method.to_owned(), call)]);
    [
        (
            "/segments/distributor/{namespace}/{name}".to_owned(),
            methods("post", create),
        ),
        (
            "/segments/{namespace}/{name}".to_owned(),
            methods("patch", block),
        ),
    ]
}

/// The answers: the body of a reply, and each status with its codes.
fn responses(op: Op) -> Value {
    let schema = match op {
        Op::Next => "Grant",
        Op::Trace => "Trace",
        _ => "Description",
    };
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    let own = Own::ALL.iter().map(|code| (code.status(), code.as_str()));
    let replied = Code::ALL
        .iter()
        .map(|code| (status_of(*code), code.as_str()));
    for (status, code) in own.chain(replied) {
        codes.entry(status).or_default().push(code);
    }
    let mut responses = Map::new();
    let answer =
        |schema: &str| json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
    responses.insert(
        "200".to_owned(),
        json!({"description": "The reply", "content": {"application/json": answer(schema)}}),
    );
    for (status, codes) in codes {
        responses.insert(
            status.to_string(),
            json!({"description": codes.join(", "), "content": {MEDIA_TYPE: answer("Problem")}}),
        );
    }
    Value::Object(responses)
}

/// A field of a body. Its numbers may be texts.
fn field(field: &str) -> Value {
    let integer = |min: i64, max: i64| {
        let text = match min {
            0 => "^(0|[1-9][0-9]*)$",
            1 => "^[1-9][0-9]*$",
            _ => "^-?(0|[1-9][0-9]*)$",
        };
        json!({"anyOf": [
            {"type": "integer", "format": "int64", "minimum": min, "maximum": max},
            {"type": "string", "pattern": text},
        ]})
    };
    let count = i64::try_from(COUNT_MAX).unwrap_or(i64::MAX);
    match field {
        "sequence" => name(),
        "reason" => text(),
        "audit" => json!({"type": "boolean"}),
        "at_end" => schema::at_end(),
        "count" | "max_count" => integer(1, count),
        "remember" => integer(0, REMEMBER_MAX.into()),
        "increment" => {
            let mut increment = integer(BOUND_MIN, BOUND_MAX);
            increment["not"] = json!({"enum": [0, "0", "-0"]});
            increment
        }
        _ => integer(BOUND_MIN, BOUND_MAX),
    }
}

/// The output of `sequencer trace --json`.
fn trace() -> Value {
    let whole = || json!({"type": "integer", "format": "int64"});
    let grant = json!({
        "type": "object",
        "properties": {
            "ledger_partition": whole(),
            "ledger_offset": whole(),
            "record": {"type": "object"},
        },
        "required": ["ledger_partition", "ledger_offset", "record"],
    });
    json!({
        "type": "object",
        "properties": {
            "sequence": name(),
            "partition": whole(),
            "grants": {"type": "array", "items": grant},
            "pages_read": whole(),
            "offsets_read": whole(),
            "offsets": whole(),
            "notes": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["sequence", "partition", "grants", "notes"],
    })
}

fn problem() -> Value {
    let codes = Own::ALL.iter().map(|code| code.as_str());
    let codes: Vec<&str> = codes
        .chain(Code::ALL.iter().map(|code| code.as_str()))
        .collect();
    let properties = json!({
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "A later release may have more", "examples": codes},
        "sequence": name(),
        "idempotency_key": text(),
        "partition": {"type": "integer", "format": "int32"},
        "offset": {"type": "integer", "format": "int64"},
    });
    json!({
        "type": "object",
        "properties": properties,
        "required": ["type", "title", "status", "detail", "code"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::call::route;

    #[test]
    fn each_documented_call_is_one() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut calls = 0;
        for (path, methods) in paths {
            for (method, call) in methods.as_object().unwrap() {
                let template = path;
                let path = path.replace("{name}", "orders");
                let path = path.replace("{namespace}", "shop").replace("{id}", "7");
                assert_eq!(route::template(&path).as_ref(), Some(template));
                let found = route::of(&method.to_ascii_uppercase(), &path).unwrap();
                let has_body = call.get("requestBody").is_some();
                assert!(!has_body || found.takes_body, "{method} {path}");
                assert!(call["responses"]["504"].is_object());
                calls += 1;
            }
        }
        assert_eq!(calls, NAMED.len() + Op::ALL.len() + cosid().len());
        let text = document.to_string();
        for schema in ["Grant", "Description", "Problem", "Trace"] {
            assert!(text.contains(&format!("#/components/schemas/{schema}")));
            assert!(document["components"]["schemas"][schema].is_object());
        }
    }
}
