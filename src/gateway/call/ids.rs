//! `?ids=string`: turns the numbers of a reply that are IDs into texts, for callers whose JSON reader holds numbers as
//! floats. The rest of the reply does not change.

use serde_json::value::RawValue;

use super::body::{Object, is_integer};

/// Fields that contain IDs or bounds of IDs.
const IDS: [&str; 6] = ["first", "last", "next", "start", "min", "max"];

/// The field whose object contains such fields, too.
const NESTED: &str = "definition";

/// The reply's body with IDs as texts. None for a body that is not an object.
pub(super) fn as_text(body: &[u8]) -> Option<Vec<u8>> {
    let body = std::str::from_utf8(body).ok()?;
    let mut out = String::with_capacity(body.len() + 2 * IDS.len());
    object(body, true, &mut out)?;
    Some(out.into_bytes())
}

fn object(json: &str, outer: bool, out: &mut String) -> Option<()> {
    let Object(pairs) = serde_json::from_str(json).ok()?;
    out.push('{');
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(name).ok()?);
        out.push(':');
        let value = RawValue::get(value);
        if IDS.contains(&name.as_str()) && is_integer(value) {
            out.push('"');
            out.push_str(value);
            out.push('"');
        } else if outer && name == NESTED {
            object(value, false, out)?;
        } else {
            out.push_str(value);
        }
    }
    out.push('}');
    Some(())
}
