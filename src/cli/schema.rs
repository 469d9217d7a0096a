//! `sequencer schema`: prints what records and calls look like, for machines.

mod asyncapi;

use std::io::Write;

use serde_json::Value;

use super::Error;
use super::args::SchemaArgs;
use crate::gateway::call::openapi;
use crate::wire::schema;

/// The names of the documents.
pub(super) const DOCUMENTS: [&str; 5] = ["request", "reply", "ledger", "asyncapi", "openapi"];

/// Prints a document. It needs no cluster.
pub(super) fn run(args: &SchemaArgs, out: &mut impl Write) -> Result<(), Error> {
    Ok(write!(out, "{}", document(&args.document)?)?)
}

fn document(name: &str) -> Result<String, Error> {
    let known = schema::documents().into_iter();
    match known.into_iter().find(|(known, _)| *known == name) {
        Some((_, document)) => Ok(printed(&document)),
        None if name == "asyncapi" => Ok(printed(&asyncapi::document()?)),
        None => Ok(openapi::document()),
    }
}

fn printed(document: &Value) -> String {
    // A tree of texts and numbers can always be serialised.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_documents_for_machines_are_those_that_are_published() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), DOCUMENTS.len());
        for name in DOCUMENTS {
            let file = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap_or_default();
            assert!(
                file == document(name).unwrap(),
                "write it again: sequencer schema {name} > docs/schema/{name}.json"
            );
        }
    }

    /// The names of all properties, at any depth.
    fn properties(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::Object(properties)) = fields.get("properties") {
                    names.extend(properties.keys().cloned());
                }
                fields.values().for_each(|field| properties(field, names));
            }
            Value::Array(values) => values.iter().for_each(|value| properties(value, names)),
            _ => {}
        }
    }

    #[test]
    fn the_document_for_people_names_every_topic_field_header_and_code() {
        let mut names = Vec::new();
        let asyncapi = asyncapi::document().unwrap();
        properties(&asyncapi, &mut names);
        for channel in asyncapi["channels"].as_object().unwrap().values() {
            names.extend(channel["address"].as_str().map(str::to_owned));
        }
        names.extend(crate::core::Code::ALL.map(|code| code.as_str().to_owned()));
        names.extend(crate::wire::route::Cause::ALL.map(|cause| cause.as_str().to_owned()));
        assert!(names.len() > 100, "{names:?}");
        let protocol = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
        let protocol = fs::read_to_string(protocol).unwrap();
        for name in names {
            let named = [
                format!("`{name}`"),
                format!("\"{name}\":"),
                format!("`{name}:"),
            ];
            assert!(named.iter().any(|text| protocol.contains(text)), "{name}");
        }
    }
}
