//! Writes ledger records as a CSV file.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use csv::Writer;

use crate::audit::source::Place;
use crate::audit::time;
use crate::cli::Error;
use crate::wire::ledger::Entry;

const COLUMNS: [&str; 15] = [
    "ledger_offset",
    "record",
    "turn",
    "kind",
    "first",
    "last",
    "count",
    "next",
    "partition",
    "offset",
    "time",
    "requester",
    "request_id",
    "reason",
    "ledger_partition",
];

/// A file that is being written.
pub(super) struct Records<'a, W: Write> {
    path: &'a Path,
    writer: Writer<W>,
}

impl<'a> Records<'a, File> {
    /// Creates the file, and writes the names of the columns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn create(path: &'a Path) -> Result<Records<'a, File>, Error> {
        let file = File::create(path).map_err(|error| unwritable(path, &error))?;
        Records::of(path, file)
    }
}

impl<'a, W: Write> Records<'a, W> {
    fn of(path: &'a Path, file: W) -> Result<Records<'a, W>, Error> {
        let mut records = Records {
            path,
            writer: Writer::from_writer(file),
        };
        let head = records.writer.write_record(COLUMNS);
        records.check(head)?;
        Ok(records)
    }

    /// Writes one record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&mut self, place: Place, entry: &Entry) -> Result<(), Error> {
        fn number<N: ToString>(value: Option<N>) -> Cow<'static, str> {
            value.map_or(Cow::Borrowed(""), |value| value.to_string().into())
        }
        fn text(value: &Option<String>) -> Cow<'_, str> {
            value.as_deref().map_or(Cow::Borrowed(""), cell)
        }
        let cells: [Cow<'_, str>; COLUMNS.len()] = [
            place.offset.to_string().into(),
            entry.record.to_string().into(),
            entry.turn.to_string().into(),
            entry.kind.as_str().into(),
            number(entry.first),
            number(entry.last),
            number(entry.count),
            number(entry.next),
            entry.partition.to_string().into(),
            entry.offset.to_string().into(),
            time::of_millis(entry.timestamp).into(),
            text(&entry.requester),
            text(&entry.request_id),
            text(&entry.reason),
            place.partition.to_string().into(),
        ];
        let written = self.writer.write_record(cells.map(Cow::into_owned));
        self.check(written)
    }

    /// Writes the rest of the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let flushed = self.writer.flush();
        self.check(flushed)
    }

    fn check<E: Display>(&self, result: Result<(), E>) -> Result<(), Error> {
        result.map_err(|error| unwritable(self.path, &error))
    }
}

fn unwritable(path: &Path, error: &impl Display) -> Error {
    Error::Failed(format!("--csv: cannot write {}: {error}", path.display()))
}

/// A spreadsheet takes a text that begins with one of these for a formula, also after characters that it
/// ignores.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A client's text, so that a spreadsheet does not take it for a formula.
fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA_STARTS) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_cell_for_each_column_whatever_a_client_wrote() {
        let text = r#"{"kind":"grant","first":41,"last":50,"count":10,"partition":3,"offset":1234,"timestamp":1700000000000,"requester":"a \"b\", c","request_id":"=1+1"}"#;
        let entry = Entry {
            record: 12,
            ..serde_json::from_str(text).unwrap()
        };
        let mut file = Vec::new();
        let mut records = Records::of(Path::new("ledger.csv"), &mut file).unwrap();
        let place = Place {
            partition: 5,
            offset: 77,
        };
        records.write(place, &entry).unwrap();
        records.finish().unwrap();
        let text = String::from_utf8(file).unwrap();
        let (head, line) = text.split_once('\n').unwrap();
        assert_eq!(head, COLUMNS.join(","));
        assert_eq!(
            line,
            "77,12,0,grant,41,50,10,,3,1234,2023-11-14T22:13:20.000Z,\"a \"\"b\"\", c\",'=1+1,,5\n"
        );
        for text in ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
    }
}
