//! Reads a TOML file as a list of keys with values and lines.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Error;
use super::key;
use super::origin::Origin;
use super::raw::Raw;

/// Largest configuration file in bytes (1 MiB). The documented default has a few KiB. A larger file is a wrong path,
/// such as an endless device.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// One assignment of a layer: the full key, the value, and the place.
pub(super) type Assignment = (String, Raw, Origin);

/// The text of a configuration file.
///
/// # Errors
/// [`Error::Unreadable`]: the file cannot be opened or read, is not UTF-8, or is too large.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    text_of(path, FILE_BYTES_MAX).map_err(|reason| Error::Unreadable {
        path: path.to_owned(),
        reason,
    })
}

/// The text of a file of at most `bytes_max` bytes.
///
/// # Errors
/// The reason why the file cannot be read.
pub(crate) fn text_of(path: &Path, bytes_max: u64) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(bytes_max + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > bytes_max {
        return Err(format!("it has more than {bytes_max} bytes"));
    }
    Ok(text)
}

/// Parses a TOML text into its tables, with the position of each part.
///
/// # Errors
/// The line, from 1, and the parser's message.
pub(crate) fn tables(text: &str) -> Result<Spanned<DeTable<'_>>, (usize, String)> {
    DeTable::parse(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        // The parser may wrap its message. Users can search for a single line.
        (line, error.message().lines().collect::<Vec<_>>().join(", "))
    })
}

/// The assignments of a TOML text, in the parser's order of keys. `origin` returns the place for a line.
///
/// # Errors
/// The line, from 1, and the parser's message.
pub(super) fn parse(
    text: &str,
    origin: impl Fn(usize) -> Origin,
) -> Result<Vec<Assignment>, (usize, String)> {
    let table = tables(text)?;
    let mut assignments = Vec::new();
    flatten("", table.get_ref(), &mut assignments, &|at| {
        origin(line_of(text, at))
    });
    Ok(assignments)
}

/// Turns nested tables into dotted keys. In TOML, `session.timeout.ms = 1` is three nested tables.
fn flatten(
    prefix: &str,
    table: &DeTable<'_>,
    assignments: &mut Vec<Assignment>,
    origin: &impl Fn(usize) -> Origin,
) {
    for (name, value) in table {
        let full = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => {
                flatten(&format!("{full}."), inner, assignments, origin);
            }
            // An empty section sets nothing, but an unknown section is still an error.
            DeValue::Table(_) if key::is_section(&full) => {}
            _ => assignments.push((full, raw(value), origin(name.span().start))),
        }
    }
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Raw::Number(integer.as_str().to_owned()), Raw::Integer),
        DeValue::Float(float) => Raw::Number(float.as_str().to_owned()),
        DeValue::Array(items) => Raw::List(items.iter().map(raw).collect()),
        DeValue::Datetime(_) => Raw::Other("date"),
        DeValue::Table(_) => Raw::Other("table"),
    }
}

/// The line, from 1, that contains the byte at this position.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
